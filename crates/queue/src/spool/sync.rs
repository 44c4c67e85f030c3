//! Several files to the disk at once.
//!
//! A file system that keeps a journal writes down together what several threads ask for at the same time: eight files that are synced
//! side by side wait for the disk about as long as one does. What one thread asks for in a row is waited for each by itself.

use std::os::fd::OwnedFd;
use std::thread;

use rustix::io::Errno;

/// Threads that sync, with the one that asks.
const THREADS: usize = 8;
/// Bytes of a thread's stack, which makes one call.
const STACK: usize = 64 << 10;

/// Waits until all of these files are on the disk; the first failure where there is one.
pub(super) fn together<'a>(files: impl IntoIterator<Item = &'a OwnedFd>) -> Result<(), Errno> {
    let files: Vec<&OwnedFd> = files.into_iter().collect();
    let parts: Vec<&[&OwnedFd]> = files.chunks(files.len().div_ceil(THREADS).max(1)).collect();
    let Some((own, others)) = parts.split_first() else { return Ok(()) };
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(others.len());
        let mut synced = Ok(());
        for part in others {
            match thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || in_turn(part)) {
                Ok(thread) => threads.push(thread),
                // A sandbox may have as many as it may have: one after the other, then.
                Err(_) => synced = synced.and(in_turn(part)),
            }
        }
        synced = synced.and(in_turn(own));
        for thread in threads {
            synced = synced.and(thread.join().unwrap_or(Err(Errno::IO)));
        }
        synced
    })
}

fn in_turn(files: &[&OwnedFd]) -> Result<(), Errno> {
    files.iter().try_for_each(rustix::fs::fsync)
}
