//! What no builder can go below: the rates of the stages on this machine, measured with the same libraries in this run.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use pinfold_archive::deflate::Decoder;
use pinfold_archive::deflate::InflateError;
use pinfold_base::Algorithm;
use pinfold_base::Hasher;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

use super::Row;

const SAMPLE: usize = 64 << 20;
const SAMPLE_MB: f64 = 67.108_864;

/// Seconds that [`SAMPLE`] bytes take in each stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    sha256: f64,
    sha512: f64,
    gzip: f64,
    inflate: f64,
    write: f64,
}

impl Floor {
    /// Measures the stages, each on one thread; inflating with the largest npm package of the cache at `cache`.
    pub(crate) fn measure(cache: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let sample = sample();
        let hash = |algorithm| {
            timed(|| {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(&sample);
                hasher.finish()
            })
        };
        // What agents are made of: machine code with text in it, which this program has as well. Plain bytes are counted.
        let program = std::env::current_exe().and_then(fs::read).map_err(failed)?;
        let program: Vec<u8> = program.into_iter().cycle().take(SAMPLE).collect();
        let (gzip, packed) = timed(|| {
            let mut gzip = GzEncoder::new(std::io::sink(), Compression::new(6));
            gzip.write_all(&program).and_then(|()| gzip.finish())
        });
        packed.map_err(failed)?;
        let packages = fs::read_dir(cache.join("blobs/sha512")).map_err(failed)?.flatten();
        let largest = packages.max_by_key(|entry| entry.metadata().map_or(0, |metadata| metadata.len()));
        let largest = largest.ok_or("there is no npm package in the cache")?;
        let package = fs::read(largest.path()).map_err(failed)?;
        let (seconds, inflated) =
            timed(|| Decoder::gzip(&package[..]).run(|_| (), |_| Ok::<_, InflateError>(())));
        let inflated = inflated.map_err(|error| error.to_string())?;
        let kib = u32::try_from(inflated >> 10).map_err(|error| error.to_string())?;
        let inflate = seconds * SAMPLE_MB * 1e6 / 1024.0 / f64::from(kib);
        let mut file = tempfile::tempfile().map_err(failed)?;
        let (write, written) = timed(|| file.write_all(&sample));
        written.map_err(failed)?;
        let (sha256, _) = hash(Algorithm::Sha256);
        let (sha512, _) = hash(Algorithm::Sha512);
        Ok(Self { sha256, sha512, gzip, inflate, write })
    }

    /// The stages as rows; the rate stands in the note.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let stages = [
            ("SHA-256", self.sha256),
            ("SHA-512", self.sha512),
            ("inflate, blocks noted", self.inflate),
            ("gzip -6", self.gzip),
            ("writing to disk", self.write),
        ];
        let row = |(name, seconds): (&str, f64)| Row {
            name: format!("floor: {name}"),
            cpu: seconds,
            wall: seconds,
            peak: 0.0,
            note: format!("{:.0} MB/s", SAMPLE_MB / seconds),
            target: None,
        };
        stages.map(row).into()
    }

    /// CPU seconds below which no gzip layers of these bytes can be made out of compressed archives: what was compressed
    /// is inflated, content and result are hashed, what is not copied is compressed. (Debian's xz is left out.)
    pub(crate) fn layers(&self, made: &[Made]) -> f64 {
        let samples = |bytes: f64| bytes / 1e6 / SAMPLE_MB;
        made.iter()
            .map(|layer| {
                let ours = layer.plain * (1.0 - layer.copied / layer.compressed);
                let inflated = if layer.copied > 0.0 { layer.plain } else { 0.0 };
                samples(layer.plain + layer.compressed) * self.sha256
                    + samples(inflated) * self.inflate
                    + samples(ours) * self.gzip
            })
            .sum()
    }
}

/// A layer of a build, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// Of its tar.
    pub(crate) plain: f64,
    /// Of its blob.
    pub(crate) compressed: f64,
    /// Of that, copied from publishers' archives.
    pub(crate) copied: f64,
}

/// CPU seconds of this thread for `work`: what others do on the machine at the same time is not counted.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let begin = now();
    let result = work();
    (now().saturating_sub(begin).as_secs_f64(), result)
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
