//! One program, five roles: the command line, process 1, the supervisor of a lasting session, and process 1 and a hook in
//! another runtime. The first word of the command line says which.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::start::spawn::CONTROL;
use crate::start::spawn::INIT_NAME;
use crate::start::spawn::guest;
use crate::start::spawn::hook;
use crate::start::spawn::init;
use crate::start::sys;
use crate::supervise::attend;
use crate::supervise::attend::Attend;
use crate::supervise::session;

/// Takes over when this process is a copy started for a sandbox; returns at once otherwise. To be called first thing in
/// `main`, before any thread is started and any descriptor is opened. Supervisors of sealed sandboxes, this process among them,
/// run `attend` meanwhile.
pub fn dispatch(attend: Option<Attend>) {
    if let Some(attend) = attend {
        attend::install(attend);
    }
    let mut words = std::env::args_os();
    let name = words.next();
    // A link that is called like that is none of ours: nobody hands it a descriptor.
    if name.as_deref() == Some(OsStr::from_bytes(INIT_NAME.to_bytes()))
        && let Ok(control) = sys::inherited(CONTROL)
    {
        init::main(&control);
    }
    if name.as_deref() == Some(OsStr::new(session::SUPERVISOR_NAME))
        && let (Ok(report), Ok(task)) = (sys::inherited(3), sys::inherited(4))
    {
        session::main(report, task);
    }
    // Another runtime starts the program by its path; the word is then its first argument.
    let role = words.next();
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    if role.as_deref() == Some(OsStr::new(guest::GUEST_WORD)) {
        guest::main(words.collect());
    }
    if role.as_deref() == Some(OsStr::new(hook::HOOK_WORD)) {
        hook::main(&words.next().unwrap_or_default());
    }
}
