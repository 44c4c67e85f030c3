//! What no builder can go below: the rates of the stages on this machine, measured with the same libraries in this run.

use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use pinfold_archive::deflate::Decoder;
use pinfold_archive::deflate::InflateError;
use pinfold_base::Algorithm;
use pinfold_base::Hasher;

use super::Row;

const SAMPLE: usize = 64 << 20;
const SAMPLE_MB: f64 = 67.108_864;

/// Rates in MB/s as rows; the figure stands in the note.
pub(crate) fn rows(rows: &mut Vec<Row>) -> Result<(), String> {
    let sample = sample();
    let mut add = |name: &str, seconds: f64, note: String| {
        let row = Row {
            name: format!("floor: {name}"),
            cpu: seconds,
            wall: seconds,
            peak: 0.0,
            note,
            target: None,
        };
        crate::say(&super::line(&row));
        rows.push(row);
    };
    let rate = |seconds: f64| format!("{:.0} MB/s", SAMPLE_MB / seconds);
    for (name, algorithm) in [("SHA-256", Algorithm::Sha256), ("SHA-512", Algorithm::Sha512)] {
        let begin = Instant::now();
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&sample);
        let _ = hasher.finish();
        let seconds = begin.elapsed().as_secs_f64();
        add(name, seconds, rate(seconds));
    }
    // What agents are made of: machine code with text in it, which this program has as well. Rates are those of plain bytes.
    let program = std::env::current_exe().and_then(fs::read).map_err(|error| error.to_string())?;
    let program: Vec<u8> = program.into_iter().cycle().take(SAMPLE).collect();
    let begin = Instant::now();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    let packed = gzip.write_all(&program).and_then(|()| gzip.finish()).map_err(|error| error.to_string())?;
    let seconds = begin.elapsed().as_secs_f64();
    add("gzip -6, one thread", seconds, rate(seconds));
    let begin = Instant::now();
    Decoder::gzip(&packed[..])
        .run(|_| (), |_| Ok::<_, InflateError>(()))
        .map_err(|error| error.to_string())?;
    let seconds = begin.elapsed().as_secs_f64();
    add("inflate, blocks noted", seconds, rate(seconds));
    let begin = Instant::now();
    let mut file = tempfile::tempfile().map_err(|error| error.to_string())?;
    file.write_all(&sample).map_err(|error| error.to_string())?;
    let seconds = begin.elapsed().as_secs_f64();
    add("writing to disk", seconds, rate(seconds));
    Ok(())
}

/// Bytes that hash and write like any others.
fn sample() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(SAMPLE);
    while bytes.len() < SAMPLE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
