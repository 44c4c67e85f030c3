//! Signals: back to default for the program inside, caught for whoever supervises it, told for whoever interrupts work.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

/// Gives every signal its default action and blocks none, as a program expects to be started.
pub(crate) fn reset_all() {
    // SAFETY: an empty set and default actions are valid for every signal; KILL and STOP answer with an error.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// What asks a process to end.
const ENDINGS: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// What is told when this process is interrupted.
static WORDS: OnceLock<[&'static str; 2]> = OnceLock::new();

/// Says the words and ends as it would have ended without them: by the signal.
extern "C" fn tell(signal: i32) {
    for words in WORDS.get().into_iter().flatten() {
        // SAFETY: write(2) may be called in a handler; the words live as long as the process.
        unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
    }
    // SAFETY: both may be called in a handler. The signal is blocked until this function returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// From now on an interrupt (Ctrl-C) that nobody catches writes `words` to standard error before it ends this process, on a
/// terminal with `cleared` before them. Once; an interrupt that was ignored before stays ignored.
pub fn say_when_interrupted(words: &'static str, cleared: &'static str) {
    let cleared = if rustix::termios::isatty(rustix::stdio::stderr()) { cleared } else { "" };
    if WORDS.set([cleared, words]).is_err() {
        return;
    }
    // SAFETY: zeroes are a valid `sigaction`; the handler only does what a handler may. The structures outlive the calls.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &raw mut old);
        if old.sa_sigaction == libc::SIG_DFL {
            let mut new: libc::sigaction = std::mem::zeroed();
            new.sa_sigaction = tell as *const () as libc::sighandler_t;
            libc::sigaction(libc::SIGINT, &raw const new, std::ptr::null_mut());
        }
    }
}

/// Where the handler writes; -1 while nobody catches.
static CAUGHT: AtomicI32 = AtomicI32::new(-1);

/// Hangup, interrupt, quit and termination of this process, as bytes to read, for as long as this value lives. Those that
/// were ignored before (nohup(1)) stay ignored.
#[derive(Debug)]
pub struct Endings {
    read: OwnedFd,
    write: OwnedFd,
    before: Vec<(i32, libc::sighandler_t)>,
}

extern "C" fn note(signal: i32) {
    let fd = CAUGHT.load(Ordering::Relaxed);
    if let (Ok(byte), true) = (u8::try_from(signal), fd >= 0) {
        // SAFETY: write(2) may be called in a handler; the byte is on the stack. The descriptor does not block. errno is
        // put back for the code that was interrupted.
        unsafe {
            let errno = *libc::__errno_location();
            libc::write(fd, (&raw const byte).cast(), 1);
            *libc::__errno_location() = errno;
        }
    }
}

impl Endings {
    /// Begins to catch. Refused (EBUSY) while another value of this kind lives.
    pub fn catch() -> rustix::io::Result<Self> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let (read, write) = rustix::pipe::pipe_with(flags)?;
        if CAUGHT.compare_exchange(-1, write.as_raw_fd(), Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Err(Errno::BUSY);
        }
        let mut caught = Self { read, write, before: Vec::new() };
        for signal in ENDINGS {
            // SAFETY: zeroes are a valid `sigaction`; the handler only does what a handler may. The structures outlive
            // the calls.
            unsafe {
                let mut old: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, std::ptr::null(), &raw mut old);
                if [libc::SIG_DFL, tell as *const () as libc::sighandler_t].contains(&old.sa_sigaction) {
                    let mut new: libc::sigaction = std::mem::zeroed();
                    new.sa_sigaction = note as *const () as libc::sighandler_t;
                    new.sa_flags = libc::SA_RESTART;
                    libc::sigaction(signal, &raw const new, std::ptr::null_mut());
                    caught.before.push((signal, old.sa_sigaction));
                }
            }
        }
        Ok(caught)
    }

    /// The next one that has come.
    pub fn next(&self) -> Option<u8> {
        let mut byte = [0];
        (rustix::io::read(&self.read, &mut byte) == Ok(1)).then_some(byte[0])
    }
}

impl AsFd for Endings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for Endings {
    fn drop(&mut self) {
        for &(signal, before) in &self.before {
            // SAFETY: what was there before, the default action or `tell`, is valid for each of them.
            unsafe { libc::signal(signal, before) };
        }
        CAUGHT.store(-1, Ordering::Relaxed);
        // Closed only now: a handler may have been about to write.
        let _ = &self.write;
    }
}

/// The signals that process 1 passes on, blocked in this thread and those it starts.
#[derive(Clone, Copy)]
pub(crate) struct Blocked(libc::sigset_t);

impl Blocked {
    /// Blocks them.
    pub(crate) fn new() -> Self {
        let passed = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGCONT, libc::SIGALRM];
        // SAFETY: the set is initialised before it is used, and both outlive the calls.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in ENDINGS.into_iter().chain(passed) {
                libc::sigaddset(&raw mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            Self(set)
        }
    }

    /// Waits for one of them.
    pub(crate) fn wait(&self) -> Option<i32> {
        let mut signal = 0;
        // SAFETY: the set is initialised, and both outlive the call.
        let failed = unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
        (failed == 0).then_some(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_caught_and_let_go() {
        // TERM, because nohup(1) and background jobs ignore the others, and those stay ignored.
        let caught = Endings::catch().unwrap();
        assert!(Endings::catch().is_err());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        let start = std::time::Instant::now();
        let mut seen = None;
        while seen.is_none() && start.elapsed().as_secs() < 10 {
            seen = caught.next();
        }
        assert_eq!(seen, Some(15));
        assert_eq!(caught.next(), None);
        drop(caught);
        drop(Endings::catch().unwrap());
    }
}
