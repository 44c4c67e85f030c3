//! The last steps, in the process that becomes the program: session, inner user namespace, limits, then the walls, each
//! of which would forbid an earlier step.

use std::convert::Infallible;
use std::ffi::CString;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use crate::plan::Plan;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::walls::seccomp::Filter;

/// Never returns: either this process is the program, or the error is in the pipe. `gate` has a byte when process 1 is
/// ready for the program.
pub(super) fn main(
    plan: &Plan,
    terminal: Option<OwnedFd>,
    filter: &Filter,
    report: &OwnedFd,
    gate: &OwnedFd,
) -> ! {
    let error = match start(plan, terminal, filter, gate) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let _ = rustix::io::write(report, &serde_json::to_vec(&error).unwrap_or_else(|_| b"?".to_vec()));
    sys::exit_now(126)
}

fn start(
    plan: &Plan,
    terminal: Option<OwnedFd>,
    filter: &Filter,
    gate: &OwnedFd,
) -> Result<Infallible, StepError> {
    sys::reset_all();
    if plan.guards.session.holds() {
        sys::new_session().at(Step::Session)?;
    }
    if let Some(slave) = terminal {
        rustix::process::ioctl_tiocsctty(&slave).at(Step::Terminal)?;
        rustix::stdio::dup2_stdin(&slave).at(Step::Terminal)?;
        rustix::stdio::dup2_stdout(&slave).at(Step::Terminal)?;
        rustix::stdio::dup2_stderr(&slave).at(Step::Terminal)?;
    }
    if plan.guards.inner_user_namespace.holds() {
        sys::new_user_namespace().at(Step::InnerUserNamespace)?;
        map_ids(plan)?;
    }
    rustix::process::umask(Mode::from_raw_mode(plan.umask));
    enter_directory(plan)?;
    for limit in &plan.rlimits {
        limit.apply().on(Step::Rlimits, limit.resource.posix())?;
    }
    let env = plan
        .env
        .iter()
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<Result<Vec<_>, _>>()?;
    if plan.guards.capabilities.holds() {
        crate::start::walls::caps::drop_all().at(Step::Capabilities)?;
    }
    if plan.guards.no_new_privileges.holds() {
        rustix::thread::set_no_new_privs(true).at(Step::NoNewPrivileges)?;
    }
    if let Some(landlock) = &plan.landlock {
        crate::start::walls::landlock::enter(landlock).at(Step::Landlock)?;
    }
    if plan.guards.seccomp.holds() {
        filter.install().map_err(|error| StepError::new(Step::Seccomp, error.to_string(), Errno::INVAL))?;
    }
    if plan.guards.descriptors.holds() {
        crate::start::walls::fds::keep_standard_streams().at(Step::Descriptors)?;
    } else {
        // Everything is opened close-on-exec; the control needs one that is not.
        std::mem::forget(rustix::io::dup(rustix::stdio::stdin()).at(Step::Descriptors)?);
    }
    while rustix::io::read(gate, &mut [0; 1]) == Err(Errno::INTR) {}
    execute(&plan.args, plan.env.get("PATH").map(String::as_str), &env)
}

/// Executes the program, looked up as execvp(3) does: a place where it is not, or may not be, does not end the search.
pub(super) fn execute(
    command: &[impl AsRef<OsStr>],
    path: Option<&str>,
    env: &[CString],
) -> Result<Infallible, StepError> {
    let args = command.iter().map(|arg| bytes(arg.as_ref().as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let name = command[0].as_ref();
    let paths = if name.as_bytes().contains(&b'/') {
        vec![bytes(name.as_bytes())?]
    } else {
        path.unwrap_or("/usr/bin:/bin")
            .split(':')
            .filter(|directory| directory.starts_with('/'))
            .map(|directory| bytes(&[directory.as_bytes(), b"/", name.as_bytes()].concat()))
            .collect::<Result<_, _>>()?
    };
    let mut last = Errno::NOENT;
    for path in &paths {
        match sys::execute(path, &args, env) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => last = Errno::ACCESS,
            errno => {
                last = errno;
                break;
            }
        }
    }
    Err(StepError::new(Step::Execute, name.to_string_lossy().into_owned(), last))
}

fn text(text: &str) -> Result<CString, StepError> {
    bytes(text.as_bytes())
}

fn bytes(bytes: &[u8]) -> Result<CString, StepError> {
    CString::new(bytes).map_err(|_| StepError::new(Step::Execute, "", Errno::INVAL))
}

/// Enters the working directory by a path that is resolved inside, through no magic link of `/proc`.
fn enter_directory(plan: &Plan) -> Result<(), StepError> {
    let on = || plan.cwd.display();
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .on(Step::WorkingDirectory, on())?;
    let directory = rustix::fs::openat2(
        &root,
        &plan.cwd,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .on(Step::WorkingDirectory, on())?;
    rustix::process::fchdir(&directory).on(Step::WorkingDirectory, on())
}

/// Maps one user and one group of the outer namespace, which are 0 there, into this process's own new one.
fn map_ids(plan: &Plan) -> Result<(), StepError> {
    let write = |path: &str, text: String| {
        rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| rustix::io::write(&file, text.as_bytes()))
            .map(drop)
            .on(Step::InnerIdMap, path)
    };
    // Without this an ordinary user may not map groups: dropping a group could gain access (user_namespaces(7)).
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("{} 0 1", plan.ids.uid))?;
    write("/proc/self/gid_map", format!("{} 0 1", plan.ids.gid))
}
