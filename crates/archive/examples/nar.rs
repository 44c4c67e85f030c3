//! Measures NARs: `nar FILE [CACHE]` hashes a NAR that nothing compresses, hashes and reads it, hashes and reads it and writes it again, and, with a
//! folder CACHE, decodes it as a source does (into a file, with a checksum of each file). Time is that of the processor; the NAR is in memory.
#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "a program for people")]

use std::io;
use std::io::BufReader;
use std::path::PathBuf;

use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_archive::nar::Entry;
use pinfold_archive::nar::EntryKind;
use pinfold_archive::nar::Limits;
use pinfold_archive::nar::Reader;
use pinfold_archive::nar::Writer;
use pinfold_base::Algorithm;
use pinfold_base::Store;
use pinfold_base::digest::HashingReader;
use pinfold_base::digest::HashingWriter;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let file = arguments.get(1).ok_or("a NAR is needed")?;
    let bytes = fs_err::read(file)?;
    measured("sha256", bytes.len(), || {
        io::copy(&mut HashingReader::new(Algorithm::Sha256, &bytes[..]), &mut io::sink())?;
        Ok("one file".into())
    })?;
    measured("read", bytes.len(), || {
        let mut reader = Reader::new(&bytes[..], Limits::ACCEPTED)?;
        let mut entries = 0;
        while reader.next_entry()?.is_some() {
            entries += 1;
        }
        Ok(format!("{entries} entries"))
    })?;
    measured("read + sha256", bytes.len(), || {
        let mut reader = reader(&bytes)?;
        while reader.next_entry()?.is_some() {}
        Ok(reader.into_inner().into_inner().finish().1.to_string())
    })?;
    measured("read + sha256 + write + sha256", bytes.len(), || {
        let mut reader = reader(&bytes)?;
        let mut writer = Writer::new(HashingWriter::new(Algorithm::Sha256, io::sink()));
        while let Some(Entry { path, kind }) = reader.next_entry()? {
            match kind {
                EntryKind::Directory => writer.directory(&path)?,
                EntryKind::Symlink(target) => writer.symlink(&path, &target)?,
                EntryKind::File { permission, size, .. } => {
                    writer.file(&path, permission, size, &mut reader)?;
                }
            }
        }
        Ok(writer.finish()?.finish().1.to_string())
    })?;
    let Some(cache) = arguments.get(2) else { return Ok(()) };
    let store = Store::open(&PathBuf::from(cache))?;
    let mut writer = store.writer_unknown(file, Algorithm::Sha256)?;
    io::copy(&mut &bytes[..], &mut writer)?;
    let (archive, _) = writer.finish()?;
    measured("decoded", bytes.len(), || {
        let decoded = DecodedStore::new(&store);
        decoded.remove(&archive)?;
        let listing = decoded.decode(&archive, Format::Nar)?;
        Ok(listing.whole.as_ref().map(|whole| whole.digest.to_string()).unwrap_or_default())
    })
}

fn reader(bytes: &[u8]) -> Outcome<Reader<BufReader<HashingReader<&[u8]>>>> {
    let stream = BufReader::with_capacity(128 << 10, HashingReader::new(Algorithm::Sha256, bytes));
    Ok(Reader::new(stream, Limits::ACCEPTED)?)
}

/// The best of five.
fn measured(what: &str, size: usize, mut run: impl FnMut() -> Outcome<String>) -> Outcome<()> {
    let mut best = f64::INFINITY;
    let mut said = String::new();
    for _ in 0..5 {
        let before = cpu()?;
        said = run()?;
        best = best.min(cpu()? - before);
    }
    println!("{what:<32} {:>6.0} MB/s   {said}", size as f64 / best / 1e6);
    Ok(())
}

/// Seconds that the processor has spent on this process.
fn cpu() -> io::Result<f64> {
    let stat = fs_err::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = stat.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    Ok(nanoseconds.unwrap_or_default() / 1e9)
}
