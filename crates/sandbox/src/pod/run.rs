//! Process 1 of a pod, from its task to the program's end.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::error::one_line;
use pinfold_base::shown;
use pinfold_network::Endpoint;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;

use super::egress;
use super::egress::Round;
use super::egress::Surroundings;
use super::error::PodError;
use super::held;
use super::held::Held;
use super::proxy::Way;
use super::read_bounded;
use super::say;
use super::task::MAX_FILE;
use super::task::PodTask;
use super::task::RUN_DIRECTORY;
use super::task::TASK_WORD;
use crate::plan::LandlockPlan;
use crate::plan::guards::Guards;
use crate::plan::limits::Limited;
use crate::plan::limits::Rlimit;
use crate::spec::Debug;
use crate::start::spawn::init;
use crate::start::spawn::one;
use crate::start::spawn::one::Session;
use crate::start::spawn::one::Waiting;
use crate::start::spawn::relay;
use crate::start::step::At as _;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::walls::caps;
use crate::start::walls::fds;
use crate::start::walls::landlock;
use crate::start::walls::seccomp::Filter;
use crate::supervise::foreground::Asked;
use crate::supervise::session;
use crate::supervise::session::Detached;
use crate::supervise::terminal::escape::Filter as Shown;
use crate::weaken;
use crate::weaken::Weaken;

/// How long the program may take to end after SIGTERM. The kubelet's own patience is 30 s unless the pod says otherwise.
const GRACE: Duration = Duration::from_secs(25);
/// Between two tries of a proof.
const PAUSE: Duration = Duration::from_millis(500);
/// Exit code of process 1 that was asked to end before the program ran: 128 and SIGTERM.
const ASKED: u8 = 143;
/// Bytes of one word that the kernel takes, with the zero behind it (execve(2)).
const MAX_WORD: usize = 128 << 10;
/// The size of a terminal that nobody has looked at yet.
const SCREEN: (u16, u16) = (24, 80);
/// The variable that says which of an indexed job's pods this is.
const INDEX: &str = "JOB_COMPLETION_INDEX";

/// Is process 1: gives the program's exit code, or says why it was not started. The caller has no threads. `taken` names guards that
/// tests leave out.
pub fn run(config: &Path, taken: &BTreeSet<Weaken>) -> Result<u8, PodError> {
    let guards = weaken::guards(taken);
    let task = read(config)?;
    let words = words(&task)?;
    if !task.workspace.is_dir() {
        return Err(PodError::Workspace(task.workspace));
    }
    let walls = Walls::plan(&task, taken)?;
    let session = if task.terminal { Session::Own } else { Session::choose(&guards.session) };
    let mut asked = Asked::within(GRACE);
    // Where this is not process 1 of a namespace, orphans come here all the same.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    give_up(&guards)?;
    match &walls.own {
        Some(own) => landlock::enter(own).at(Step::Landlock)?,
        None => say(&shown!("no Landlock: this kernel has none, and the program can read its token")),
    }
    let (rows, columns) = SCREEN;
    let terminal = task.terminal.then(|| init::terminal(rows, columns)).transpose()?;
    let (master, slave) = terminal.map_or((None, None), |(master, slave)| (Some(master), Some(slave)));
    let waiting = Waiting::fork(|| become_program(&task, &words, slave.as_ref(), session, &walls, &guards))?;
    drop(slave);
    harden(&walls.filter, &guards)?;
    if task.proxy.token_wait_seconds > 0 && !claimed(&task, &guards, &mut asked)? {
        say(&shown!("asked to end before the program was started"));
        return Ok(ASKED);
    }
    // From here on the token is in this process's memory, which the program's process has no copy of.
    let way = Way::open(&task.proxy)?;
    let _ = pinfold_network::raise_open_files();
    relay::spawn(way.relay(&task.listens)?)?;
    let held = Held::reaping(waiting.program(), master)?;
    if guards.network_proof.holds() && !prove(&task, &way, &mut asked)? {
        say(&shown!("asked to end before the program was started"));
        return Ok(ASKED);
    }
    Ok(hold(held, waiting, &guards, &mut asked)?.code())
}

fn hold(
    mut held: Held,
    waiting: Waiting,
    guards: &Guards,
    asked: &mut Asked,
) -> Result<crate::types::Exit, PodError> {
    use crate::supervise::foreground::Supervised as _;
    let listener = held.terminal().is_some().then(held::listen).transpose()?;
    waiting.go()?;
    sys::settle();
    Ok(match listener {
        Some(listener) => held.serve(&listener, &guards.bounded_log, asked),
        None => held.follow(asked),
    })
}

/// Connects this process's terminal with the session of the pod it is in.
pub fn attach(input: BorrowedFd<'_>, output: BorrowedFd<'_>, shown: Shown) -> Result<Detached, PodError> {
    session::attach(&held::socket(), input, output, shown).map_err(PodError::NoSession)
}

pub(super) fn read(config: &Path) -> Result<PodTask, PodError> {
    let bytes = read_bounded(config, MAX_FILE).map_err(|source| PodError::Read {
        what: "the pod's task",
        path: config.to_owned(),
        source,
    })?;
    PodTask::parse(&bytes).map_err(|source| PodError::Task { path: config.to_owned(), source })
}

/// The program's words, with the task of this pod of a job.
fn words(task: &PodTask) -> Result<Vec<String>, PodError> {
    let Some(tasks) = &task.tasks else { return Ok(task.program.clone()) };
    let index = std::env::var(INDEX)
        .map_err(|_| PodError::Job(format!("the variable `{INDEX}` is not set, or is no text")))?;
    if index.is_empty() || index.len() > 10 || !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PodError::Job(format!("`{INDEX}` is `{index}`, and no number")));
    }
    let path = tasks.directory.join(&index);
    let bytes = read_bounded(&path, MAX_WORD).map_err(|error| PodError::Job(error.to_string()))?;
    let text = String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| PodError::Job(format!("`{}` is no text", path.display())))?;
    let words: Vec<String> = tasks.words.iter().map(|word| word.replace(TASK_WORD, &text)).collect();
    if words.iter().any(|word| word.len() >= MAX_WORD) {
        return Err(PodError::Job(format!(
            "`{}` makes a word of more than {MAX_WORD} bytes",
            path.display()
        )));
    }
    Ok(words)
}

/// The walls from inside.
pub(super) struct Walls {
    /// The domain of process 1, which the program's is in.
    own: Option<LandlockPlan>,
    /// The program's.
    pub(super) program: Option<LandlockPlan>,
    pub(super) filter: Filter,
}

impl Walls {
    pub(super) fn plan(task: &PodTask, taken: &BTreeSet<Weaken>) -> Result<Self, PodError> {
        let filter = Filter::compile(Debug::Denied)
            .map_err(|error| StepError::new(Step::Seccomp, error.to_string(), Errno::INVAL))?;
        let Some(abi) = sys::landlock_abi() else {
            return Ok(Self { own: None, program: None, filter });
        };
        tracing::debug!("Landlock ABI {abi}");
        let sockets = sockets(task);
        let writable = |more: &[PathBuf]| {
            let fixed = ["/dev", "/proc"].map(PathBuf::from);
            task.writable.iter().chain(&fixed).chain(more).cloned().collect::<Vec<_>>()
        };
        let mut own = sockets.clone();
        own.push(RUN_DIRECTORY.into());
        let domain = |writable: Vec<PathBuf>, hidden: Vec<PathBuf>| LandlockPlan {
            writable,
            sockets: sockets.clone(),
            connect_ports: None,
            hidden,
        };
        let mut program = writable(&[]);
        // The session's socket stays where it is.
        program.retain(|path| path != Path::new(RUN_DIRECTORY));
        let mut walls = Self {
            own: Some(domain(writable(&own), Vec::new())),
            program: Some(domain(program, task.hidden())),
            filter,
        };
        weaken::landlock(taken, &mut walls.own);
        weaken::landlock(taken, &mut walls.program);
        Ok(walls)
    }
}

/// Where the relay's sockets are made.
fn sockets(task: &PodTask) -> Vec<PathBuf> {
    let paths = task.listens.iter().filter_map(|listen| match &listen.at {
        Endpoint::Port(_) => None,
        Endpoint::Socket(path) | Endpoint::Alias(path) => path.parent(),
    });
    paths.map(Path::to_owned).collect()
}

/// Capabilities, and new privileges.
fn give_up(guards: &Guards) -> Result<(), StepError> {
    if guards.capabilities.holds() {
        caps::give_up().at(Step::Capabilities)?;
    }
    if guards.no_new_privileges.holds() {
        rustix::thread::set_no_new_privs(true).at(Step::NoNewPrivileges)?;
    }
    Ok(())
}

/// What process 1 does not need once the program's process is there.
fn harden(filter: &Filter, guards: &Guards) -> Result<(), StepError> {
    one::hide(&guards.hidden_init);
    Rlimit { resource: Limited::Core, value: 0 }.apply().on(Step::Rlimits, "RLIMIT_CORE")?;
    install(filter, guards)
}

fn install(filter: &Filter, guards: &Guards) -> Result<(), StepError> {
    if guards.seccomp.holds() {
        filter.install().map_err(|error| StepError::new(Step::Seccomp, error.to_string(), Errno::INVAL))?;
    }
    Ok(())
}

/// The program's process, behind its gate.
fn become_program(
    task: &PodTask,
    words: &[String],
    slave: Option<&OwnedFd>,
    session: Session,
    walls: &Walls,
    guards: &Guards,
) -> Result<Infallible, StepError> {
    sys::reset_all();
    let mut more = Vec::new();
    if let Some(slave) = slave {
        rustix::stdio::dup2_stdin(slave).at(Step::Terminal)?;
        rustix::stdio::dup2_stdout(slave).at(Step::Terminal)?;
        rustix::stdio::dup2_stderr(slave).at(Step::Terminal)?;
        if std::env::var_os("TERM").is_none() {
            more.push(("TERM", "xterm-256color"));
        }
    }
    session.enter()?;
    rustix::process::chdir(&task.workspace).on(Step::WorkingDirectory, task.workspace.display())?;
    if let Some(domain) = &walls.program {
        landlock::enter(domain).at(Step::Landlock)?;
    }
    install(&walls.filter, guards)?;
    if guards.descriptors.holds() {
        fds::keep_standard_streams().at(Step::Descriptors)?;
    } else {
        std::mem::forget(rustix::io::dup(rustix::stdio::stdin()).at(Step::Descriptors)?);
    }
    one::execute(words, &more)
}

/// Waits for the token of a sandbox that belongs to nobody yet, once nothing is reached from it. False where process 1 was asked to end
/// meanwhile.
fn claimed(task: &PodTask, guards: &Guards, asked: &mut Asked) -> Result<bool, PodError> {
    let until = Instant::now() + Duration::from_secs(task.probes.patience_seconds);
    if guards.network_proof.holds() {
        let Some(closed) = prove_closed(task, asked, until)? else { return Ok(false) };
        say(&shown!("nothing is reached, of {closed}"));
    }
    let (path, wait) = (&task.proxy.token, Duration::from_secs(task.proxy.token_wait_seconds));
    let until = Instant::now() + wait;
    let mut told = false;
    while fs_err::symlink_metadata(path).is_err() {
        if Instant::now() >= until {
            return Err(PodError::Unclaimed { path: path.clone(), seconds: wait.as_secs() });
        }
        if !told {
            say(&shown!("waits for its token"));
            told = true;
        }
        if is_asked(asked, PAUSE) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Proves that the proxy answers, and then that nothing else does; both are tried again while there is patience. False where process 1
/// was asked to end meanwhile.
fn prove(task: &PodTask, way: &Way, asked: &mut Asked) -> Result<bool, PodError> {
    let patience = task.probes.patience_seconds;
    let until = Instant::now() + Duration::from_secs(patience);
    let mut told = false;
    loop {
        match way.prove() {
            Ok(()) => break,
            Err(error) if Instant::now() >= until => return Err(error),
            Err(error) => {
                if !told {
                    say(&shown!("{}; trying again for {patience} s", one_line(&error)));
                }
                told = true;
            }
        }
        if is_asked(asked, PAUSE) {
            return Ok(false);
        }
    }
    let Some(closed) = prove_closed(task, asked, until)? else { return Ok(false) };
    say(&shown!("the proxy answers, and nothing else of {closed}"));
    Ok(true)
}

/// Proves that nothing but the proxy is reached: what was asked, in words. Nothing where process 1 was asked to end meanwhile.
fn prove_closed(task: &PodTask, asked: &mut Asked, until: Instant) -> Result<Option<String>, PodError> {
    let patience = task.probes.patience_seconds;
    let (targets, accepted) = egress::targets(task, &Surroundings::own()?)?;
    let mut told = Vec::new();
    loop {
        let open = match egress::round(&targets, egress::WAIT, asked.descriptor())? {
            Round::Asked(open) if open.is_empty() => break,
            Round::Asked(open) => open.iter().map(ToString::to_string).collect::<Vec<_>>(),
            // A signal, of which not each asks for the end.
            Round::Interrupted if asked.take() => return Ok(None),
            Round::Interrupted => continue,
        };
        if Instant::now() >= until {
            return Err(PodError::Reached { reached: open, patience });
        }
        if told != open {
            say(&shown!("reached besides the proxy, trying again for {patience} s: {}", open.join(", ")));
            told = open;
        }
        if is_asked(asked, PAUSE) {
            return Ok(None);
        }
    }
    let besides =
        if accepted.is_empty() { String::new() } else { format!(", besides {} accepted", accepted.len()) };
    Ok(Some(format!("{} asked{besides}", targets.len())))
}

/// Whether the end is asked for within a time.
fn is_asked(asked: &mut Asked, within: Duration) -> bool {
    let mut fds: Vec<PollFd<'_>> =
        asked.descriptor().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).into_iter().collect();
    let _ = rustix::event::poll(&mut fds, Some(&egress::timespec(within)));
    drop(fds);
    asked.take()
}
