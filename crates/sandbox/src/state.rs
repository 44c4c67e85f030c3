//! The sandboxes of one user on disk, and dealing with them by name.
//!
//! ```text
//!   sandboxes/                 0700
//!     NAME/                    0700
//!       lock                   locked (flock) by the supervisor for as long as it lives
//!       spec.json              what was asked for
//!       state.json             what is: supervisor, since when, walls, how it ended
//!       attach.sock            of a lasting session
//!       egress.sock            the proxy's, removed once the sandbox has it
//!       log, log.1             what the session showed, 1 MiB each
//!       network.log            the proxy's decisions
//!       home/                  the writable home
//!       runtime/               bundle and state of another runtime, while it runs
//! ```
//!
//! **Guarantees**: whether a sandbox runs is told by the lock alone, which the kernel lets go of when the supervisor dies in
//! whatever way. What a killed one left (control groups, another runtime's state, the folder of a sandbox that was to leave
//! nothing) is cleared by whoever starts, lists or removes next. Files are written under another name and renamed.

use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use pinfold_network::JournalConfig;
use pinfold_network::Proxy;
use pinfold_network::ProxyError;
use pinfold_network::ProxyHandle;
use rustix::fs::FlockOperation;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use serde::Deserialize;
use serde::Serialize;

use crate::bundle::BundlePlaces;
use crate::bundle::Runtime;
use crate::error::SandboxError;
use crate::escape::Showing;
use crate::foreground;
use crate::foreground::Asked;
use crate::foreground::Supervised;
use crate::foreground::User;
use crate::layers::Layer;
use crate::plan::Plan;
use crate::probe::Probe;
use crate::refusal::Refusal;
use crate::sandbox::Exit;
use crate::sandbox::Sandbox;
use crate::sandbox::Stdio;
use crate::session;
use crate::session::Detached;
use crate::spec::Keep;
use crate::spec::Need;
use crate::spec::Network;
use crate::spec::Spec;

/// Bytes of the proxy's log before it is turned over.
const JOURNAL_MAX: u64 = 1 << 20;

/// Bytes of a state or specification file that are read.
const FILE_MAX: u64 = 4 << 20;

/// All sandboxes below one directory.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    directory: PathBuf,
}

/// What is recorded of a sandbox besides its specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Process id of the supervisor.
    supervisor: u32,
    /// When that process was started, in ticks since boot: with the id it names one process for ever.
    supervisor_started: u64,
    /// Process id of process 1, outside.
    init: u32,
    /// Seconds since the epoch.
    since: u64,
    /// The walls that are up.
    layers: Vec<Layer>,
    /// Control groups, to be removed when the supervisor could not.
    #[serde(default)]
    groups: Vec<PathBuf>,
    /// Another runtime than the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runtime: Option<Runtime>,
    /// How it ended; absent while it runs and when the supervisor was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<Exit>,
}

/// Whether a sandbox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its supervisor lives.
    Running,
    /// It ended, in this way.
    Ended(Exit),
    /// Its supervisor was killed, and it with it.
    Killed,
    /// It was never started to the end.
    Prepared,
}

/// One line of `ps`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub status: Status,
    /// Seconds since the epoch at which it was last started.
    pub since: Option<u64>,
    /// What it uses now, while it runs.
    pub usage: Option<Usage>,
    /// `none`, `proxy` or `host`.
    pub network: &'static str,
    /// The walls.
    pub layers: Vec<Layer>,
    /// The specification's labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// What the processes of a sandbox use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Milliseconds of processor time of the processes that live.
    pub cpu_ms: u64,
    /// Bytes resident; shared pages are counted for each process.
    pub resident: u64,
    /// How many processes.
    pub processes: u32,
}

/// The folder of one sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn attach_socket(&self) -> PathBuf {
        self.0.join("attach.sock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// Bundle and state of another runtime.
    fn runtime(&self) -> PathBuf {
        self.0.join("runtime")
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), SandboxError> {
        let path = self.0.join(name);
        let part = self.0.join(format!("{name}.part"));
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| SandboxError::Damaged { path: path.clone(), problem: error.to_string() })?;
        bytes.push(b'\n');
        fs_err::write(&part, bytes)
            .and_then(|()| fs_err::rename(&part, &path))
            .map_err(SandboxError::file("write", path))
    }

    /// `None` when there is no such file.
    fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SandboxError> {
        let path = self.0.join(name);
        let bytes = match fs_err::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Ok(data) if data.len() > FILE_MAX => {
                return Err(SandboxError::Damaged { path, problem: "too large".into() });
            }
            _ => fs_err::read(&path).map_err(SandboxError::file("read", &path))?,
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| SandboxError::Damaged { path, problem: error.to_string() })
    }

    /// Takes the lock to start: who only looks whether it is taken lets go at once.
    fn lock_to_start(&self) -> Result<Option<fs_err::File>, SandboxError> {
        for _ in 0..20 {
            if let Some(lock) = self.lock()? {
                return Ok(Some(lock));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }

    /// Clears what a supervisor that was killed has left outside the folder. Called with the lock taken.
    fn clear(&self, name: &str) -> Result<(), SandboxError> {
        // Damaged files are no reason to leave groups: those of version 1 are known by name.
        let state = self.read::<State>("state.json").ok().flatten();
        let runtime = state.as_ref().and_then(|state| state.runtime).unwrap_or(Runtime::Runc);
        let recorded = state.map(|state| state.groups).unwrap_or_default();
        if self.runtime().exists() {
            crate::runtime::clear(runtime, name, &self.runtime())?;
        }
        // `runc` makes a group in every hierarchy.
        let hierarchies = fs_err::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let usual = hierarchies.map(|hierarchy| hierarchy.path().join(format!("pinfold-{name}")));
        for path in recorded.into_iter().chain(usual).filter(|path| path.exists()) {
            crate::limits::remove_group(&path);
        }
        for stale in ["attach.sock", "egress.sock"] {
            let _ = fs_err::remove_file(self.0.join(stale));
        }
        Ok(())
    }

    /// Takes the lock; `None` while somebody has it.
    fn lock(&self) -> Result<Option<fs_err::File>, SandboxError> {
        let path = self.0.join("lock");
        let file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(SandboxError::file("open", &path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(SandboxError::file("lock", path)(errno.into())),
        }
    }
}

/// A started sandbox with everything its supervisor holds for it.
pub(crate) struct Live {
    pub(crate) folder: Folder,
    pub(crate) running: Box<dyn Supervised>,
    state: State,
    _proxy: Option<ProxyHandle>,
    _lock: fs_err::File,
}

/// A sandbox with everything ready but the sandbox.
#[derive(Debug)]
struct Prepared {
    folder: Folder,
    lock: fs_err::File,
    plan: Plan,
    home: Option<PathBuf>,
    egress: Option<PathBuf>,
    proxy: Option<ProxyHandle>,
}

impl State {
    /// Of a sandbox that this process has just started.
    fn new(init: u32, plan: &Plan, runtime: Option<Runtime>) -> Self {
        let supervisor = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
        Self {
            supervisor,
            supervisor_started: started_at(supervisor).unwrap_or_default(),
            init,
            since: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            layers: match runtime {
                None => plan.layers.clone(),
                Some(runtime) => crate::bundle::layers(plan, runtime),
            },
            groups: plan
                .cgroup
                .iter()
                .flat_map(|plan| &plan.groups)
                .map(|group| group.path.clone())
                .collect(),
            runtime,
            exit: None,
        }
    }
}

impl Live {
    /// Records the end.
    pub(crate) fn finish(mut self, exit: Exit) {
        self.state.exit = Some(exit);
        let _ = fs_err::remove_file(self.folder.0.join("egress.sock"));
        // The sandbox is gone whether or not this can be written.
        let _ = self.folder.write("state.json", &self.state);
    }
}

impl Sandboxes {
    /// Those below `directory`, normally `DATA/sandboxes`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn folder(&self, name: &str) -> Result<Folder, SandboxError> {
        crate::plan::check_name(name)?;
        Ok(Folder(self.directory.join(name)))
    }

    /// The folder of a sandbox that exists.
    fn existing(&self, name: &str) -> Result<Folder, SandboxError> {
        let folder = self.folder(name)?;
        if folder.0.is_dir() { Ok(folder) } else { Err(SandboxError::Unknown(name.into())) }
    }

    /// Makes the folder of `spec` with its home, and starts its proxy.
    fn prepare(&self, spec: &Spec) -> Result<Prepared, SandboxError> {
        let folder = self.folder(&spec.name)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder.0)
            .map_err(SandboxError::file("make", &folder.0))?;
        let lock = folder.lock_to_start()?.ok_or_else(|| SandboxError::InUse(spec.name.clone()))?;
        folder.clear(&spec.name)?;
        let _ = fs_err::remove_file(folder.0.join("state.json"));
        let plan = Plan::new(spec, &Probe::for_start())?;
        folder.write("spec.json", spec)?;
        let mut prepared = Prepared { folder, lock, plan, home: None, egress: None, proxy: None };
        if spec.home.keep.on_disk() {
            let home = prepared.folder.home();
            crate::home::seed(&spec.rootfs, &spec.home.target, &home)
                .map_err(SandboxError::file("fill", &home))?;
            prepared.home = Some(home);
        }
        if let Network::Proxy(egress) = &spec.network {
            let folder = &prepared.folder.0;
            let journal = JournalConfig { path: folder.join("network.log"), size_max: JOURNAL_MAX };
            let config = egress.proxy(journal).map_err(|error| SandboxError::Egress(error.to_string()))?;
            #[cfg(feature = "weaken")]
            let config = crate::weaken::proxy(spec, config);
            let failed = |error: ProxyError| SandboxError::Egress(error.to_string());
            let socket = folder.join("egress.sock");
            prepared.proxy = Some(Proxy::bind(&socket, config).and_then(Proxy::spawn).map_err(failed)?);
            prepared.egress = Some(socket);
        }
        Ok(prepared)
    }

    /// Starts `spec` with its home, proxy and records. The calling thread supervises it.
    pub(crate) fn start(
        &self,
        spec: &Spec,
        runtime: Option<Runtime>,
        stdio: Stdio,
    ) -> Result<Live, SandboxError> {
        if runtime == Some(Runtime::Runsc) && spec.policy.cgroup == Need::Required {
            let why = "`runsc` is started without cgroups, which would hold its own kernel too";
            return Err(Refusal::NoCgroup(why.into()).into());
        }
        let Prepared { folder, lock, plan, home, egress, proxy } = self.prepare(spec)?;
        let state;
        let running: Box<dyn Supervised> = if let Some(runtime) = runtime {
            let program = std::env::current_exe().map_err(SandboxError::supervisor("find this program"))?;
            let places = BundlePlaces { home, egress, program: Some(program) };
            // Before the start: what is left after a kill must be known by then.
            state = State::new(0, &plan, Some(runtime));
            folder.write("state.json", &state)?;
            Box::new(crate::runtime::start(&plan, &places, runtime, stdio, &folder.runtime())?)
        } else {
            let mut sandbox = Sandbox::new(plan.clone());
            if let Some(home) = home {
                sandbox = sandbox.home(home);
            }
            if let Some(socket) = &egress {
                sandbox = sandbox.egress(socket);
            }
            let started = sandbox.spawn(stdio);
            if let Some(socket) = egress {
                // The sandbox has it mounted; nobody else is to find it.
                let _ = fs_err::remove_file(socket);
            }
            let running = started?;
            state = State::new(running.pid(), &plan, None);
            folder.write("state.json", &state)?;
            Box::new(running)
        };
        Ok(Live { folder, running, state, _proxy: proxy, _lock: lock })
    }

    /// Runs a sandbox with another runtime and waits for the end. Its home is kept as with [`Sandboxes::run`].
    pub fn run_in(&self, spec: &Spec, runtime: Runtime, stdio: Stdio) -> Result<Exit, SandboxError> {
        self.run_with(spec, Some(runtime), stdio)
    }

    /// Runs a sandbox in the foreground and waits for the end. Of a home that is not kept nothing stays on disk. SIGTERM and
    /// SIGHUP to this process end the program, in time or by force; SIGINT is passed to it.
    pub fn run(&self, spec: &Spec, stdio: Stdio) -> Result<Exit, SandboxError> {
        self.run_with(spec, None, stdio)
    }

    fn run_with(&self, spec: &Spec, runtime: Option<Runtime>, stdio: Stdio) -> Result<Exit, SandboxError> {
        let asked = Asked::begin();
        let result = self.start(spec, runtime, stdio).and_then(|mut live| {
            let showing = showing(spec, Showing::Live);
            let exit = foreground::follow(&mut *live.running, User::own(), showing, asked)?;
            live.finish(exit);
            Ok(exit)
        });
        let keeps = spec.home.keep == Keep::Home;
        if !keeps && !matches!(result, Err(SandboxError::InUse(_) | SandboxError::Refused(Refusal::Name(_))))
        {
            let _ = self.remove(&spec.name);
        }
        result
    }

    /// Starts a lasting session with a terminal of this size; returns when it runs.
    pub fn open(&self, spec: &Spec, rows: u16, columns: u16) -> Result<(), SandboxError> {
        self.open_with(spec, None, rows, columns)
    }

    /// The same with another runtime.
    pub fn open_in(
        &self,
        spec: &Spec,
        runtime: Runtime,
        rows: u16,
        columns: u16,
    ) -> Result<(), SandboxError> {
        self.open_with(spec, Some(runtime), rows, columns)
    }

    fn open_with(
        &self,
        spec: &Spec,
        runtime: Option<Runtime>,
        rows: u16,
        columns: u16,
    ) -> Result<(), SandboxError> {
        // Said here, where the error still has its type.
        Plan::new(spec, &Probe::run())?;
        if self.folder(&spec.name)?.0.is_dir() && self.status(&spec.name)? == Status::Running {
            return Err(SandboxError::InUse(spec.name.clone()));
        }
        session::open(self, spec, runtime, rows, columns)
    }

    /// Connects a terminal with a session, until it ends or the user detaches.
    pub fn attach(
        &self,
        name: &str,
        input: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
    ) -> Result<Detached, SandboxError> {
        let folder = self.existing(name)?;
        if self.status(name)? != Status::Running {
            return Err(SandboxError::NotRunning(name.into()));
        }
        let showing = showing(&self.spec(name)?, Showing::Replay);
        session::attach(&folder.attach_socket(), input, output, showing)
    }

    /// Whether a sandbox runs, or how it ended.
    pub fn status(&self, name: &str) -> Result<Status, SandboxError> {
        let folder = self.existing(name)?;
        if folder.lock()?.is_none() {
            return Ok(Status::Running);
        }
        Ok(match folder.read::<State>("state.json")? {
            None => Status::Prepared,
            Some(State { exit: Some(exit), .. }) => Status::Ended(exit),
            Some(_) => Status::Killed,
        })
    }

    /// All sandboxes, by name, once what killed ones left is cleared. One whose files are damaged is left out.
    pub fn list(&self) -> Result<Vec<Summary>, SandboxError> {
        let entries = match fs_err::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(SandboxError::file("list", &self.directory))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(SandboxError::file("list", &self.directory))?;
            if let Some(name) = entry.file_name().to_str() {
                // What cannot be cleared is shown.
                let _ = self.sweep(name);
                found.extend(self.summary(name));
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Clears what is left of a sandbox whose supervisor was killed: outside its folder, and the folder itself where nothing
    /// was to stay.
    fn sweep(&self, name: &str) -> Result<(), SandboxError> {
        let folder = self.existing(name)?;
        let Some(lock) = folder.lock()? else { return Ok(()) };
        let spec: Option<Spec> = folder.read("spec.json")?;
        #[cfg(feature = "weaken")]
        if spec.as_ref().is_some_and(|spec| spec.weaken.contains(&crate::weaken::Weaken::Leftovers)) {
            return Ok(());
        }
        if folder.read::<State>("state.json")?.is_some_and(|state| state.exit.is_some()) {
            return Ok(());
        }
        folder.clear(name)?;
        if spec.is_some_and(|spec| spec.home.keep != Keep::Home) {
            fs_err::remove_dir_all(&folder.0).map_err(SandboxError::file("remove", &folder.0))?;
        }
        drop(lock);
        Ok(())
    }

    /// One sandbox.
    pub fn summary(&self, name: &str) -> Result<Summary, SandboxError> {
        let folder = self.existing(name)?;
        let status = self.status(name)?;
        let state: Option<State> = folder.read("state.json")?;
        let spec: Spec = folder.read("spec.json")?.ok_or_else(|| SandboxError::Unknown(name.into()))?;
        let running = status == Status::Running;
        Ok(Summary {
            name: name.to_owned(),
            status,
            since: state.as_ref().map(|state| state.since),
            usage: state.as_ref().filter(|_| running).map(|state| usage(state.init)),
            network: spec.network.word(),
            layers: state.map(|state| state.layers).unwrap_or_default(),
            labels: spec.labels,
        })
    }

    /// What was asked for.
    pub fn spec(&self, name: &str) -> Result<Spec, SandboxError> {
        self.existing(name)?.read("spec.json")?.ok_or_else(|| SandboxError::Unknown(name.into()))
    }

    /// The files with what the session showed (older first) and the proxy's decisions; they may not exist.
    pub fn logs(&self, name: &str) -> Result<Logs, SandboxError> {
        let folder = self.existing(name)?;
        Ok(Logs {
            session: [folder.0.join("log.1"), folder.log()],
            network: [folder.0.join("network.log.1"), folder.0.join("network.log")],
        })
    }

    /// Ends a running sandbox: SIGTERM, and after `grace` the supervisor is killed, and with it everything.
    pub fn stop(&self, name: &str, grace: Duration) -> Result<(), SandboxError> {
        let folder = self.existing(name)?;
        if self.status(name)? != Status::Running {
            return Err(SandboxError::NotRunning(name.into()));
        }
        let asked = session::signal(&folder.attach_socket(), 15);
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < grace {
            if folder.lock()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(state) = folder.read::<State>("state.json")? {
            kill(&state)?;
        }
        let start = Instant::now();
        while folder.lock()?.is_none() {
            if start.elapsed() > Duration::from_secs(10) {
                return Err(SandboxError::InUse(name.into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes a sandbox that does not run, with its home.
    pub fn remove(&self, name: &str) -> Result<(), SandboxError> {
        let folder = self.existing(name)?;
        let Some(lock) = folder.lock()? else { return Err(SandboxError::InUse(name.into())) };
        folder.clear(name)?;
        fs_err::remove_dir_all(&folder.0).map_err(SandboxError::file("remove", &folder.0))?;
        drop(lock);
        Ok(())
    }
}

/// How output is shown: as it should be, but in negative controls.
#[cfg_attr(not(feature = "weaken"), expect(unused_variables, reason = "read by negative controls"))]
fn showing(spec: &Spec, showing: Showing) -> Showing {
    #[cfg(feature = "weaken")]
    if spec.weaken.contains(&crate::weaken::Weaken::Escapes) {
        return Showing::Everything;
    }
    showing
}

/// Where a sandbox's logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// What the session showed.
    pub session: [PathBuf; 2],
    /// The proxy's decisions.
    pub network: [PathBuf; 2],
}

/// Kills a supervisor, if the process of that id is still the one that was recorded.
fn kill(state: &State) -> Result<(), SandboxError> {
    let Some(pid) = rustix::process::Pid::from_raw(state.supervisor.cast_signed()) else { return Ok(()) };
    // Opened first and looked at then: from here on the descriptor stands for one process, whoever it is.
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    if started_at(state.supervisor) != Some(state.supervisor_started) {
        return Ok(());
    }
    rustix::process::pidfd_send_signal(&process, Signal::KILL)
        .map_err(SandboxError::supervisor("kill the supervisor"))
}

/// Fields of `/proc/PID/stat` after the name, which may hold anything (proc(5)); the first is field 3.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = text.rsplit_once(')')?.1;
    Some(after.split_whitespace().map(str::to_owned).collect())
}

/// When a process was started, in ticks since boot (field 22).
fn started_at(pid: u32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// What process `init` and everything below it use.
fn usage(init: u32) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let page = rustix::param::page_size() as u64;
    let mut processes = std::collections::BTreeMap::new();
    for entry in fs_err::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(fields) = stat(pid)
        {
            let number =
                |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let parent = number(1) as u32;
            processes.insert(pid, (parent, number(11) + number(12), number(21)));
        }
    }
    let inside = |mut pid: u32| {
        for _ in 0..1000 {
            if pid == init {
                return true;
            }
            match processes.get(&pid) {
                Some((parent, ..)) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    processes.iter().filter(|(pid, _)| inside(**pid)).fold(Usage::default(), |sum, (_, (_, cpu, pages))| {
        Usage {
            cpu_ms: sum.cpu_ms + cpu * 1000 / ticks,
            resident: sum.resident + pages * page,
            processes: sum.processes + 1,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(dir.path());
        for name in ["..", "a/b", "", ".hidden", "-x", "a\0"] {
            assert!(
                matches!(sandboxes.remove(name), Err(SandboxError::Refused(Refusal::Name(_)))),
                "{name:?}"
            );
        }
        assert!(matches!(sandboxes.remove("a@b.c-d_e"), Err(SandboxError::Unknown(_))));
    }

    #[test]
    fn the_lock_says_whether_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(dir.path());
        let folder = sandboxes.folder("a").unwrap();
        fs_err::create_dir(&folder.0).unwrap();
        folder.write("spec.json", &Spec::new("a", "/r", vec!["true".into()])).unwrap();
        assert_eq!(sandboxes.status("a").unwrap(), Status::Prepared);
        let lock = folder.lock().unwrap().unwrap();
        assert_eq!(sandboxes.status("a").unwrap(), Status::Running);
        assert!(matches!(sandboxes.remove("a"), Err(SandboxError::InUse(_))));
        assert_eq!(sandboxes.list().unwrap()[0].network, "proxy");
        drop(lock);
        sandboxes.remove("a").unwrap();
        assert!(sandboxes.list().unwrap().is_empty());
    }

    #[test]
    fn a_reused_id_is_not_killed() {
        let own = std::process::id();
        let state = State {
            supervisor: own,
            supervisor_started: started_at(own).unwrap() + 1,
            init: 0,
            since: 0,
            layers: Vec::new(),
            groups: Vec::new(),
            runtime: None,
            exit: None,
        };
        kill(&state).unwrap();
    }

    #[test]
    fn usage_counts_descendants() {
        let found = usage(std::process::id());
        assert!(found.processes >= 1 && found.resident > 0);
        assert_eq!(usage(u32::MAX), Usage::default());
    }
}
