//! Segments compressed in parallel and written in order.
//!
//! ```text
//!            jobs              results
//! producer ──────► workers × N ──────► writer ──► hash ──► out
//!        └────────── the order ─────────┘
//! ```
//!
//! The producer runs on the calling thread. It may be ahead of the writer by a fixed number of segments, so memory is
//! bounded; buffers are used again. A failure anywhere stops all of them; the writer's or a worker's error is reported
//! before the producer's, which may only have noticed that nobody listens any more.

use std::io;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::thread;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::digest::HashingWriter;

use super::EncodeError;
use super::IN_FLIGHT;
use super::gzip;
use super::splice::Patch;
use super::zstandard;
use crate::deflate::DeflateSources;

/// What the segments become.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// The bytes themselves.
    Tar,
    /// Deflate segments inside one gzip member.
    Gzip {
        /// 1 to 9.
        level: u8,
    },
    /// zstd frames.
    Zstd {
        /// 1 to 22.
        level: u8,
    },
}

impl Format {
    fn segment_size(self) -> usize {
        match self {
            Self::Tar | Self::Gzip { .. } => gzip::SEGMENT,
            Self::Zstd { .. } => zstandard::SEGMENT,
        }
    }
}

/// Work on one segment.
pub(super) enum Job {
    /// A piece of the tar, to be compressed.
    Compress(Vec<u8>),
    /// A piece of the tar that is to be stored.
    Store(Vec<u8>),
    /// Bytes of the layer.
    Bytes(Vec<u8>),
    /// Bytes of an archive, to be copied into the layer with some of them changed.
    Copy {
        /// The archive.
        archive: Digest,
        /// Which bytes of it.
        range: Range<u64>,
        /// The changes.
        patches: Vec<Patch>,
    },
    /// What the copied bytes before this stand for.
    Count {
        /// CRC-32 of the bytes of the tar.
        crc: crc32fast::Hasher,
        /// How many they are.
        uncompressed: u64,
    },
}

/// A segment as it goes to the layer.
#[derive(Default)]
struct Segment {
    compressed: Vec<u8>,
    crc: crc32fast::Hasher,
    uncompressed: u64,
    copied: u64,
}

/// The finished blob.
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Compressed bytes that were not made here.
    pub(super) copied: u64,
}

type Reply = Sender<Result<Segment, EncodeError>>;
type Ticket = Receiver<Result<Segment, EncodeError>>;

/// The producer's end.
pub(super) struct Lanes<'a> {
    format: Format,
    jobs: Sender<(Job, Reply)>,
    order: SyncSender<Ticket>,
    buffers: &'a Buffers,
}

impl Lanes<'_> {
    /// Bytes of a full segment.
    pub(super) fn segment_size(&self) -> usize {
        self.format.segment_size()
    }

    /// Whether what is compressed already is a segment of its own. zstd stores by itself what it cannot make smaller.
    pub(super) fn stores(&self) -> bool {
        matches!(self.format, Format::Gzip { .. })
    }

    /// An empty buffer for the next segment.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.take()
    }

    /// Hands a job over, waiting while too many are under way.
    pub(super) fn send(&self, job: Job) -> Result<(), EncodeError> {
        let stopped = || EncodeError::Output(io::ErrorKind::BrokenPipe.into());
        let (result, ticket) = mpsc::channel();
        self.order.send(ticket).map_err(|_| stopped())?;
        self.jobs.send((job, result)).map_err(|_| stopped())
    }
}

/// Buffers that have done their work and can be filled again.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Runs `produce` with `threads` workers and a writer beside it; gives what it returned, and the blob.
pub(super) fn run<T>(
    format: Format,
    threads: NonZeroUsize,
    sources: &dyn DeflateSources,
    out: impl Write + Send,
    produce: impl FnOnce(&Lanes<'_>) -> Result<T, EncodeError>,
) -> Result<(T, Blob), EncodeError> {
    // One more segment than this is in the producer's hands, one in the writer's; each is raw and compressed.
    let in_flight = (IN_FLIGHT / (2 * format.segment_size())).saturating_sub(2).max(1);
    let threads = threads.get().min(in_flight);
    let buffers = Buffers::default();
    let (jobs, todo) = mpsc::channel();
    let todo = Mutex::new(todo);
    let (order, tickets) = mpsc::sync_channel(threads.saturating_add(1).min(in_flight));
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| work(format, &todo, sources, &buffers))).collect();
        let writer = scope.spawn(|| write(format, tickets, &buffers, out));
        let produced = produce(&Lanes { format, jobs, order, buffers: &buffers });
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A scope waits for what its threads do, not for their end: who looks for leaks right after it finds what the C library
        // still keeps for a thread (32 bytes of `__cxa_thread_atexit_impl`).
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        match (produced, written) {
            (Ok(value), Ok(blob)) => Ok((value, blob)),
            (_, Err(error)) | (Err(error), _) => Err(error),
        }
    })
}

/// One encoder, set up once per worker.
enum Encoder {
    Tar,
    Gzip(gzip::Segments),
    Zstd(zstandard::Segments),
}

fn work(
    format: Format,
    todo: &Mutex<Receiver<(Job, Reply)>>,
    sources: &dyn DeflateSources,
    buffers: &Buffers,
) {
    let mut encoder = match format {
        Format::Tar => Ok(Encoder::Tar),
        Format::Gzip { level } => Ok(Encoder::Gzip(gzip::Segments::new(level))),
        Format::Zstd { level } => zstandard::Segments::new(level).map(Encoder::Zstd),
    };
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, result)) = next else { return };
        let segment = match (job, &mut encoder) {
            (Job::Compress(raw), Ok(encoder)) => encoder.segment(raw, buffers),
            (Job::Compress(_), Err(_)) => Err(EncodeError::Encoder("zstd")),
            (Job::Store(raw), _) => Ok(stored(raw, buffers)),
            (Job::Bytes(compressed), _) => Ok(Segment { compressed, ..Segment::default() }),
            (Job::Copy { archive, range, patches }, _) => copy(&archive, range, &patches, sources, buffers),
            (Job::Count { crc, uncompressed }, _) => Ok(Segment { crc, uncompressed, ..Segment::default() }),
        };
        // Nobody listens when another segment has failed.
        let _ = result.send(segment);
    }
}

impl Encoder {
    fn segment(&mut self, raw: Vec<u8>, buffers: &Buffers) -> Result<Segment, EncodeError> {
        let uncompressed = raw.len() as u64;
        let mut crc = crc32fast::Hasher::new();
        let compressed = match self {
            Self::Tar => raw,
            Self::Gzip(encoder) => {
                let mut compressed = buffers.take();
                encoder.deflate(&raw, &mut compressed)?;
                crc.update(&raw);
                buffers.give(raw);
                compressed
            }
            Self::Zstd(encoder) => {
                let mut compressed = buffers.take();
                encoder.compress(&raw, &mut compressed)?;
                buffers.give(raw);
                compressed
            }
        };
        Ok(Segment { compressed, crc, uncompressed, copied: 0 })
    }
}

fn stored(raw: Vec<u8>, buffers: &Buffers) -> Segment {
    let mut compressed = buffers.take();
    gzip::store(&raw, &mut compressed);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&raw);
    let uncompressed = raw.len() as u64;
    buffers.give(raw);
    Segment { compressed, crc, uncompressed, copied: 0 }
}

fn copy(
    archive: &Digest,
    range: Range<u64>,
    patches: &[Patch],
    sources: &dyn DeflateSources,
    buffers: &Buffers,
) -> Result<Segment, EncodeError> {
    let mut compressed = buffers.take();
    let copied = range.end - range.start;
    compressed.resize(usize::try_from(copied).unwrap_or_default(), 0);
    sources
        .read_at(archive, range.start, &mut compressed)
        .map_err(|source| EncodeError::Archive { archive: archive.clone(), source })?;
    for patch in patches {
        if let Some(byte) = usize::try_from(patch.at - range.start).ok().and_then(|at| compressed.get_mut(at))
        {
            *byte = *byte & patch.keep | patch.set;
        }
    }
    Ok(Segment { compressed, copied, ..Segment::default() })
}

fn write(
    format: Format,
    tickets: Receiver<Ticket>,
    buffers: &Buffers,
    out: impl Write,
) -> Result<Blob, EncodeError> {
    let mut out = HashingWriter::new(Algorithm::Sha256, Whole(out));
    let (mut crc, mut uncompressed, mut copied) = (crc32fast::Hasher::new(), 0, 0);
    if let Format::Gzip { .. } = format {
        out.write_all(&gzip::HEADER).map_err(EncodeError::Output)?;
    }
    for ticket in tickets {
        let segment = ticket.recv().map_err(|_| EncodeError::Output(io::ErrorKind::BrokenPipe.into()))??;
        out.write_all(&segment.compressed).map_err(EncodeError::Output)?;
        crc.combine(&segment.crc);
        uncompressed += segment.uncompressed;
        copied += segment.copied;
        buffers.give(segment.compressed);
    }
    if let Format::Gzip { .. } = format {
        let trailer = gzip::trailer(crc.finalize(), uncompressed);
        out.write_all(&gzip::LAST_BLOCK)
            .and_then(|()| out.write_all(&trailer))
            .map_err(EncodeError::Output)?;
    }
    out.flush().map_err(EncodeError::Output)?;
    let (_, digest, size) = out.finish();
    Ok(Blob { digest, size, copied })
}

/// Takes all of each buffer, so that the hash above is fed in big pieces.
struct Whole<W>(W);

impl<W: Write> Write for Whole<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
