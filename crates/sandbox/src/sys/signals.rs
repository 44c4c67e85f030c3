//! Signals back to default for the program inside.

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
