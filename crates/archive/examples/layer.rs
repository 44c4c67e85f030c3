//! Measures layers: `layer reuse|plain|zstd|none THREADS ARCHIVE.tgz CACHE OUT` makes one layer of all files of an npm
//! package. What is decoded stays in the folder CACHE for the next run. Putting the archive into the store is not counted.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use pinfold_archive::Component;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::encode::Encoding;
use pinfold_archive::encode::Reuse;
use pinfold_archive::encode::encode;
use pinfold_archive::tar;
use pinfold_base::Algorithm;
use pinfold_base::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, mode, threads, source, cache, out] = &arguments[..] else { return Err("six arguments".into()) };
    let encoding = match &mode[..] {
        "reuse" => Encoding::Gzip { level: 6, reuse: Reuse::Publisher },
        "plain" => Encoding::Gzip { level: 6, reuse: Reuse::Never },
        "zstd" => Encoding::Zstd { level: 3 },
        _ => Encoding::None,
    };
    let store = Store::open(&PathBuf::from(cache))?;
    let mut writer = store.writer_unknown(source, Algorithm::Sha256)?;
    io::copy(&mut fs_err::File::open(source)?, &mut writer)?;
    let (archive, _) = writer.finish()?;
    let before = cpu()?;

    let start = Instant::now();
    let decoded = DecodedStore::new(&store);
    let owner = Component::new("npm", "package");
    let mut tree = Tree::new();
    for entry in &decoded.decode(&archive, Format::Tar)?.data {
        if let MemberKind::File { content } = &entry.kind {
            let meta = Metadata::root(entry.meta.mode & 0o755, 0);
            tree.insert(entry.path.clone(), Node::file(&owner, meta, content.clone()));
        }
    }
    tree.complete(&owner, 0)?;
    let (listed, listing) = (start.elapsed().as_secs_f64(), cpu()? - before);
    let out = fs_err::File::create(out)?;
    let encoded = encode(tar::pieces(&tree), &decoded, &decoded, &encoding, threads.parse()?, out)?;
    println!(
        "{} {} bytes of {}, {} copied, diff_id {}, digest {}; CPU {:.2} s ({listing:.2} of it for decoding), {:.2} s ({listed:.2})",
        encoding.id(),
        encoded.size,
        encoded.uncompressed,
        encoded.reused,
        encoded.diff_id.short(),
        encoded.digest.short(),
        cpu()? - before,
        start.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// User and system seconds of this process so far (proc(5), fields 14 and 15 of `stat`, in hundredths).
fn cpu() -> io::Result<f64> {
    let stat = fs_err::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 =
        behind_name.split(' ').skip(12).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}
