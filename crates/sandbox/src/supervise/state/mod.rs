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
//!       log.size               on how large a screen
//!       network.log            the proxy's decisions
//!       stand-ins.json         what is on the host for the time of the run ([`crate::supervise::stand_in`])
//!       told                   marks one whose changes were told after its end
//!       leftover               marks a folder that could not be removed whole
//!       home/                  the writable home
//!       queue/                 of a sealed one: its queues and their key, which the program above looks after
//!       written/               what was written over directories of the image ([`crate::supervise::written`])
//!       runtime/               bundle and state of another runtime, while it runs
//! ```
//!
//! **Guarantees**: whether a sandbox runs is told by the lock alone, which the kernel lets go of when the supervisor dies in
//! whatever way. What a killed one left (control groups, another runtime's state, the folder of a sandbox that was to leave
//! nothing) is cleared by whoever starts, lists or removes next. Files are written under another name and renamed.

mod folder;
mod live;
mod record;
mod usage;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use pinfold_base::error::one_line;
use pinfold_base::text::Shown;
use pinfold_base::text::word;
use pinfold_network::Refusals;
use serde::Serialize;

use self::folder::Folder;
pub(crate) use self::live::Live;
pub use self::record::Life;
use self::record::State;
use self::record::kill;
pub use self::usage::Usage;
use self::usage::usage;
use crate::error::SandboxError;
use crate::plan::Plan;
use crate::plan::refusal::Refusal;
use crate::plan::socket::bound;
use crate::plan::wall::Standing;
use crate::probe::Probe;
use crate::spec::Keep;
use crate::spec::Mount;
use crate::spec::MountSource;
use crate::spec::Network;
use crate::spec::Spec;
use crate::supervise::foreground;
use crate::supervise::foreground::Asked;
use crate::supervise::foreground::OwnStreams;
use crate::supervise::log;
use crate::supervise::session;
use crate::supervise::session::Detached;
use crate::supervise::stand_in;
use crate::supervise::terminal::escape::Filter;
use crate::supervise::terminal::escape::Showing;
use crate::types::Exit;
use crate::types::Runtime;
use crate::types::Stdio;

/// Marks a sandbox whose changes were told after its end.
const TOLD: &str = "told";

/// A sandbox that does not run and is not started meanwhile.
#[derive(Debug)]
#[must_use]
pub struct Held(#[expect(dead_code, reason = "it is held")] fs_err::File);

/// All sandboxes below one directory.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    directory: PathBuf,
}

/// Whether a sandbox runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its supervisor lives.
    Running,
    /// The same, and it waits to start the program again.
    Restarting,
    /// It ended, in this way.
    Ended(Exit),
    /// Its supervisor was killed, and it with it.
    Killed,
    /// It was never started to the end.
    Prepared,
    /// It was removed, and something of it stays.
    Leftover,
}

impl Status {
    /// Whether a supervisor holds it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Restarting)
    }
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
    /// How the life before this one ended, or the last one, where that was not what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Life>,
    /// `none`, `proxy`, `routes` or `host`.
    pub network: &'static str,
    /// The walls.
    #[serde(rename = "layers")]
    pub walls: Vec<Standing>,
    /// The specification's labels.
    pub labels: std::collections::BTreeMap<String, String>,
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

    /// Runs a sandbox in the foreground and waits for the end; see [`Sandboxes::run_and_account`].
    pub fn run(&self, spec: &Spec, runtime: Runtime, stdio: Stdio) -> Result<Exit, SandboxError> {
        self.run_and_account(spec, runtime, stdio).ended
    }

    /// Runs a sandbox in the foreground, waits for the end, and gives what is to be told of it. Of a home that is not kept
    /// nothing stays on disk. SIGTERM and SIGHUP to this process end the program, in time or by force; SIGINT is passed to it.
    pub fn run_and_account(&self, spec: &Spec, runtime: Runtime, stdio: Stdio) -> Account {
        let asked = Asked::begin();
        let mut refused = Refusals::default();
        let mut started = false;
        let result = self.start(spec, runtime, stdio).and_then(|mut live| {
            started = true;
            let attendant = live.attend()?;
            let shown = Filter::guarded(Showing::Live, live.plan.guards.shown_output.clone());
            let followed = foreground::follow(&mut *live.running, OwnStreams::own(), &shown, asked);
            drop(attendant);
            refused = live.refused();
            // It has ended, whether or not what it said could be written.
            if let Ok(exit) | Err(SandboxError::Unwritten { exit, .. }) = followed {
                live.finish(exit, String::new());
            }
            followed
        });
        let keeps = spec.home.keep == Keep::Home;
        if !keeps
            && !matches!(result, Err(SandboxError::InUse(_) | SandboxError::Refused(Refusal::Name(_))))
            && let Err(error) = self.remove(&spec.name)
            && matches!(result, Ok(_) | Err(SandboxError::Unwritten { .. }))
        {
            // Nobody else says it.
            tracing::warn!("{}; `pinfold rm {}` tries again", Shown::of(&one_line(&error)), spec.name);
        }
        if started {
            self.clear_stand_ins();
        }
        Account { ended: result, refused, started }
    }

    /// Takes away what earlier sandboxes could not, or did not live to. Done at the end of a run, which nobody waits for.
    fn clear_stand_ins(&self) {
        let names = fs_err::read_dir(&self.directory).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let Ok(folder) = self.folder(&name) else { continue };
            if let Ok(Some(lock)) = folder.lock_if_stand_ins() {
                // Who removes it by name is told why they stay.
                let _ = stand_in::clear(&folder.0);
                drop(lock);
            }
        }
    }

    /// What stands in the workspace of a sandbox that has ended and could not be taken away, the first of it.
    pub fn left_standing(&self, name: &str) -> Option<PathBuf> {
        let folder = self.existing(name).ok()?;
        let lock = folder.lock_if_stand_ins().ok()??;
        let stays = stand_in::clear(&folder.0).ok()?;
        drop(lock);
        stays
    }

    /// Starts a lasting session with a terminal of this size; returns when it runs.
    pub fn open(&self, spec: &Spec, runtime: Runtime, rows: u16, columns: u16) -> Result<(), SandboxError> {
        // Said here, where the error still has its type.
        tell_covered(&self.with_own_sockets(Plan::new(spec, &Probe::run())?));
        if self.folder(&spec.name)?.0.is_dir() && self.status(&spec.name)?.is_live() {
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
        if !self.status(name)?.is_live() {
            return Err(SandboxError::NotRunning(name.into()));
        }
        let filter = Filter::guarded(Showing::Replay, self.spec(name)?.guards().shown_output);
        session::attach(&folder.attach_socket(), input, output, filter)
    }

    /// Whether a sandbox runs, or how it ended.
    pub fn status(&self, name: &str) -> Result<Status, SandboxError> {
        let folder = self.existing(name)?;
        if folder.lock()?.is_none() {
            // A record that is being exchanged or damaged says nothing against its running.
            let state = folder.read::<State>("state.json").ok().flatten();
            let waits = state.is_some_and(|state| state.restarts_at.is_some());
            return Ok(if waits { Status::Restarting } else { Status::Running });
        }
        if folder.is_leftover() {
            return Ok(Status::Leftover);
        }
        Ok(match folder.read::<State>("state.json")? {
            None => Status::Prepared,
            Some(State { exit: Some(exit), .. }) => Status::Ended(exit),
            Some(_) => Status::Killed,
        })
    }

    /// Keeps a sandbox from starting for as long as the value lives; nothing where it runs.
    pub fn hold(&self, name: &str) -> Result<Option<Held>, SandboxError> {
        Ok(self.existing(name)?.lock()?.map(Held))
    }

    /// All sandboxes, by name, once what killed ones left is cleared. One whose files are damaged, and a folder that could not
    /// be removed whole, is a [`Status::Leftover`].
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
                found.extend(self.summary(name).or_else(|_| self.leftover(name)));
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The same plan, in which sockets are open that programs in sandboxes of this user have: they share the directory. Such a
    /// socket is known by its path in the network of its sandbox; one of that name in this network is another program's.
    fn with_own_sockets(&self, plan: Plan) -> Plan {
        if plan.covered_sockets().next().is_none() {
            return plan;
        }
        let here = bound("self");
        let space = |pid: &str| fs_err::read_link(format!("/proc/{pid}/ns/net")).ok();
        let names = fs_err::read_dir(&self.directory).into_iter().flatten().flatten();
        let running = names.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let folder = self.folder(&name).ok()?;
            let state: State = folder.read("state.json").ok()??;
            let init = state.init.to_string();
            let is_apart = self.status(&name).is_ok_and(Status::is_live) && space(&init)? != space("self")?;
            is_apart.then_some((folder.read::<Spec>("spec.json").ok()??.mounts, bound(&init)))
        });
        let running: Vec<(Vec<Mount>, Vec<PathBuf>)> = running.collect();
        plan.with_own_sockets(|socket| {
            let is_called = |path: &PathBuf| path.file_name() == socket.file_name();
            let inside = |mounts: &[Mount], path: &Path| {
                mounts.iter().any(|mount| match &mount.source {
                    MountSource::Host(source) => {
                        socket.strip_prefix(source).is_ok_and(|rest| mount.target.join(rest) == path)
                    }
                    MountSource::Memory(_) | MountSource::Image(_) => false,
                })
            };
            let has = |mounts: &[Mount], path: &PathBuf| {
                if path.is_absolute() { inside(mounts, path) } else { is_called(path) }
            };
            !here.iter().any(is_called)
                && running.iter().any(|(mounts, paths)| paths.iter().any(|path| has(mounts, path)))
        })
    }

    /// Clears what is left of a sandbox whose supervisor was killed: outside its folder, and the folder itself where nothing
    /// was to stay.
    fn sweep(&self, name: &str) -> Result<(), SandboxError> {
        let folder = self.existing(name)?;
        let Some(lock) = folder.lock()? else { return Ok(()) };
        if folder.is_leftover() {
            // Whoever removes it by name is told why it stays.
            return Ok(());
        }
        let spec: Option<Spec> = folder.read("spec.json")?;
        if spec.as_ref().is_some_and(|spec| !spec.guards().cleared_leftovers.holds()) {
            return Ok(());
        }
        if folder.read::<State>("state.json")?.is_some_and(|state| state.exit.is_some()) {
            // It ended by itself: all that can be left is what could not be taken away then.
            stand_in::clear(&folder.0)?;
            return Ok(());
        }
        let stays = folder.clear(name)?;
        if stays.is_none() && spec.is_some_and(|spec| spec.home.keep != Keep::Home) {
            folder.remove(name)?;
        }
        drop(lock);
        Ok(())
    }

    /// A folder that nothing is known about.
    fn leftover(&self, name: &str) -> Result<Summary, SandboxError> {
        let folder = self.existing(name)?;
        if folder.lock()?.is_none() {
            return Err(SandboxError::InUse(name.into()));
        }
        Ok(Summary {
            name: name.to_owned(),
            status: Status::Leftover,
            since: None,
            usage: None,
            last: None,
            network: Network::None.word(),
            walls: Vec::new(),
            labels: std::collections::BTreeMap::new(),
        })
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
            // Another runtime does not tell its process 1: it is below the supervisor, as the runtime's own are.
            usage: state
                .as_ref()
                .filter(|_| running)
                .map(|state| usage(if state.init == 0 { state.supervisor } else { state.init })),
            last: state.as_ref().and_then(|state| state.last.clone()),
            network: spec.network.word(),
            walls: state.map(|state| state.walls).unwrap_or_default(),
            labels: spec.labels,
        })
    }

    /// From when to when a sandbox ran, by the clock of its folder; no end while it runs or when it was killed.
    pub fn span(&self, name: &str) -> Result<(SystemTime, Option<SystemTime>), SandboxError> {
        let folder = self.existing(name)?;
        let time = |name: &str| {
            let path = folder.0.join(name);
            fs_err::metadata(&path)
                .and_then(|data| data.modified())
                .map_err(SandboxError::file("look at", path))
        };
        // Written right before the start, and at the end.
        let ended = matches!(self.status(name)?, Status::Ended(_)).then(|| time("state.json")).transpose()?;
        Ok((time("spec.json")?, ended))
    }

    /// Notes that what changed while a sandbox ran has been told; its next start forgets it.
    pub fn note_told(&self, name: &str) {
        if let Ok(folder) = self.existing(name) {
            // Told twice is better than not at all.
            let _ = fs_err::write(folder.0.join(TOLD), "");
        }
    }

    /// Whether that was noted.
    pub fn was_told(&self, name: &str) -> bool {
        self.existing(name).is_ok_and(|folder| folder.0.join(TOLD).exists())
    }

    /// What was asked for.
    pub fn spec(&self, name: &str) -> Result<Spec, SandboxError> {
        self.existing(name)?.read("spec.json")?.ok_or_else(|| SandboxError::Unknown(name.into()))
    }

    /// The files with what the session showed (older first) and the proxy's decisions; they may not exist.
    pub fn logs(&self, name: &str) -> Result<Logs, SandboxError> {
        let folder = self.existing(name)?;
        Ok(Logs {
            screen: log::screen(&folder.log()),
            session: [folder.0.join("log.1"), folder.log()],
            network: [folder.0.join("network.log.1"), folder.0.join("network.log")],
        })
    }

    /// Ends a running sandbox: SIGTERM, and after `grace` the supervisor is killed, and with it everything.
    pub fn stop(&self, name: &str, grace: Duration) -> Result<(), SandboxError> {
        let folder = self.existing(name)?;
        if !self.status(name)?.is_live() {
            return Err(SandboxError::NotRunning(name.into()));
        }
        let asked = session::signal(&folder.attach_socket(), 15).map(drop).or_else(|error| {
            folder.read::<State>("state.json")?.map_or(Err(error), |state| record::terminate(&state))
        });
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

    /// Removes a sandbox that does not run, with its home, or says what stays ([`SandboxError::Remains`]).
    pub fn remove(&self, name: &str) -> Result<(), SandboxError> {
        let folder = self.existing(name)?;
        let Some(lock) = folder.lock()? else { return Err(SandboxError::InUse(name.into())) };
        folder.remove(name)?;
        drop(lock);
        Ok(())
    }
}

/// Names what is covered inside without the user having asked for it.
fn tell_covered(plan: &Plan) {
    const TOLD_MAX: usize = 8;
    for path in plan.covered_sockets().take(TOLD_MAX) {
        let named = word(path);
        let path = Shown::of(&path.display());
        tracing::warn!(
            "`{path}` is a socket of a program outside: it is covered inside, unless you say `-v {named}`"
        );
    }
    let more = plan.covered_sockets().skip(TOLD_MAX).count();
    if more > 0 {
        tracing::warn!("{more} more sockets of programs outside are covered");
    }
    for path in plan.closed().take(TOLD_MAX) {
        let path = Shown::of(&path.display());
        tracing::warn!("`{path}` cannot be looked into and could hold a socket: it is empty inside");
    }
    let more = plan.closed().skip(TOLD_MAX).count();
    if more > 0 {
        tracing::warn!("{more} more directories cannot be looked into");
    }
}

/// What a run in the foreground came to.
#[derive(Debug)]
pub struct Account {
    /// How it ended, or why not.
    pub ended: Result<Exit, SandboxError>,
    /// What its proxy has refused.
    pub refused: Refusals,
    /// Whether the program ran, whatever came after: it may have changed something.
    pub started: bool,
}

/// Where a sandbox's logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// What the session showed.
    pub session: [PathBuf; 2],
    /// Rows and columns of the screen that it showed it on.
    pub screen: (u16, u16),
    /// The proxy's decisions.
    pub network: [PathBuf; 2],
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

    /// A group that cannot be removed yet: the folder stays, as what it is, until it can.
    #[test]
    fn groups_that_stay_are_still_known() {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(dir.path().join("sandboxes"));
        let folder = sandboxes.folder("a").unwrap();
        fs_err::create_dir_all(&folder.0).unwrap();
        let spec = Spec::new("a", "/", vec!["true".into()]);
        folder.write("spec.json", &spec).unwrap();
        let plan = Plan::new(&spec, &Probe::run()).unwrap();
        let group = dir.path().join("group");
        fs_err::create_dir_all(group.join("busy")).unwrap();
        let state = State { groups: vec![group.clone()], ..State::new(1, &plan, Runtime::Builtin) };
        folder.write("state.json", &state).unwrap();
        let error = sandboxes.remove("a").unwrap_err();
        assert!(error.to_string().contains("group"), "{error}");
        assert_eq!(sandboxes.list().unwrap()[0].status, Status::Leftover);
        fs_err::remove_dir(group.join("busy")).unwrap();
        sandboxes.remove("a").unwrap();
        assert!(!group.exists() && sandboxes.list().unwrap().is_empty());
    }

    /// Something is mounted in the home: `ps` shows what stays, nothing starts on it, and once it
    /// can be removed, it is.
    #[test]
    fn what_could_not_be_removed_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(dir.path());
        let folder = sandboxes.folder("a").unwrap();
        fs_err::create_dir_all(folder.home().join("mine/kept")).unwrap();
        let mut spec = Spec::new("a", "/", vec!["true".into()]);
        spec.labels.insert("agent".into(), "x".into());
        folder.write("spec.json", &spec).unwrap();
        if rustix::mount::mount_bind(dir.path(), folder.home().join("mine/kept")).is_err() {
            return; // Only root can mount.
        }
        let error = sandboxes.remove("a").unwrap_err();
        assert!(
            matches!(&error, SandboxError::Remains(remains) if remains.told[0].path == Path::new("mine/kept")),
            "{error}"
        );
        let listed = sandboxes.list().unwrap();
        assert_eq!((listed[0].status, listed[0].labels["agent"].as_str()), (Status::Leftover, "x"));
        assert!(matches!(
            sandboxes.start(&spec, Runtime::Builtin, Stdio::Null),
            Err(SandboxError::Remains(_))
        ));
        rustix::mount::unmount(folder.home().join("mine/kept"), rustix::mount::UnmountFlags::DETACH).unwrap();
        sandboxes.remove("a").unwrap();
        assert!(sandboxes.list().unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_says_nothing_is_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let sandboxes = Sandboxes::new(dir.path());
        fs_err::create_dir_all(dir.path().join("bare/home")).unwrap();
        fs_err::create_dir(dir.path().join("damaged")).unwrap();
        fs_err::write(dir.path().join("damaged/spec.json"), "no").unwrap();
        let listed: Vec<_> =
            sandboxes.list().unwrap().into_iter().map(|one| (one.name, one.status)).collect();
        assert_eq!(listed, [("bare".to_owned(), Status::Leftover), ("damaged".to_owned(), Status::Leftover)]);
        for name in ["bare", "damaged"] {
            sandboxes.remove(name).unwrap();
        }
        assert!(sandboxes.list().unwrap().is_empty());
    }
}
