//! Measures decoders on a gzip file: `inflate own|zlib-rs FILE`. Prints bytes, blocks and seconds.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::io::Read;
use std::time::Instant;

use pinfold_archive::deflate::Decoder;
use pinfold_archive::deflate::InflateError;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, decoder, file] = &arguments[..] else { return Err("usage: inflate own|zlib-rs FILE".into()) };
    let source = fs_err::File::open(file)?;
    let start = Instant::now();
    let mut blocks = 0_u64;
    let bytes = if decoder == "own" {
        Decoder::gzip(source).run(|_| blocks += 1, |_| Ok::<_, InflateError>(()))?
    } else {
        let mut decoder =
            flate2::bufread::MultiGzDecoder::new(std::io::BufReader::with_capacity(64 << 10, source));
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            match decoder.read(&mut buffer)? {
                0 => break bytes,
                n => bytes += n as u64,
            }
        }
    };
    println!("{bytes} bytes, {blocks} blocks, {:.3} s", start.elapsed().as_secs_f64());
    Ok(())
}
