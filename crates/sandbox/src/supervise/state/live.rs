//! Starting a sandbox with everything its supervisor holds for it: folder and lock, home, proxy, records.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_network::JournalConfig;
use pinfold_network::Proxy;
use pinfold_network::ProxyError;
use pinfold_network::ProxyHandle;
use pinfold_network::Refusals;

use super::Sandboxes;
use super::folder::Folder;
use super::record::Life;
use super::record::State;
use super::record::now;
use crate::error::SandboxError;
use crate::oci::config::BundleError;
use crate::oci::config::BundlePaths;
use crate::plan::Plan;
use crate::plan::refusal::Refusal;
use crate::probe::Probe;
use crate::spec::Access;
use crate::spec::MountSource;
use crate::spec::Need;
use crate::spec::Spec;
use crate::start::key::SessionKey;
use crate::start::own;
use crate::start::step::Step;
use crate::supervise::attend::Attendant;
use crate::supervise::foreground::Supervised;
use crate::supervise::node;
use crate::supervise::program;
use crate::supervise::program::Program;
use crate::supervise::sandbox::Sandbox;
use crate::supervise::stand_in::StandIns;
use crate::supervise::written;
use crate::supervise::written::Means;
use crate::supervise::written::Places;
use crate::types::Exit;
use crate::types::OciRuntime;
use crate::types::Runtime;
use crate::types::Stdio;

/// Bytes of the proxy's log before it is turned over.
const JOURNAL_MAX: u64 = 1 << 20;

/// A started sandbox with everything its supervisor holds for it.
pub(crate) struct Live {
    pub(crate) folder: Folder,
    pub(crate) plan: Plan,
    pub(crate) running: Box<dyn Supervised>,
    state: State,
    stand_ins: StandIns,
    proxy: Option<ProxyHandle>,
    _written: Places,
    _lock: fs_err::File,
}

/// What there was before a start.
#[derive(Clone, Copy, Debug)]
enum After<'a> {
    /// Nothing that is known; with a Unix socket of the caller's in the proxy's place, where there is one.
    Nothing(Option<&'a Path>),
    /// A life, whose lock is held.
    Life(&'a Held),
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
    stand_ins: StandIns,
}

impl Live {
    /// What its proxy has refused so far.
    pub(crate) fn refused(&self) -> Refusals {
        self.proxy.as_ref().map(ProxyHandle::refused).unwrap_or_default()
    }

    /// Starts what the program above does meanwhile about the queues of a sealed sandbox.
    pub(crate) fn attend(&self) -> Result<Option<Attendant>, SandboxError> {
        if self.plan.key.is_none() {
            return Ok(None);
        }
        Attendant::start(&self.folder.queue(), &self.plan.name)
            .map_err(SandboxError::supervisor("start the attendant of its queues"))
    }

    /// Records the end, and what was said before it.
    pub(crate) fn finish(self, exit: Exit, said: String) {
        self.rest(exit, said, 0).finish();
    }

    /// Lets go of everything but the lock: the program has ended, and may be started again.
    pub(crate) fn rest(self, exit: Exit, said: String, failures: u32) -> Held {
        let Self { folder, mut state, stand_ins, proxy, _lock: lock, .. } = self;
        // Before the end is recorded: a sandbox that has ended is not looked at again.
        drop((stand_ins, proxy));
        let _ = fs_err::remove_file(folder.0.join("egress.sock"));
        if failures > 0 || !said.is_empty() {
            state.last = Some(Life { exit: Some(exit), said, failures });
        }
        Held { folder, lock, state, exit }
    }
}

/// A sandbox whose program does not run, and that is nobody else's.
#[derive(Debug)]
pub(crate) struct Held {
    folder: Folder,
    lock: fs_err::File,
    state: State,
    exit: Exit,
}

impl Held {
    /// Records the end.
    pub(crate) fn finish(mut self) {
        self.state.exit = Some(self.exit);
        self.state.restarts_at = None;
        self.write();
    }

    /// Records that it will be started again after `wait`.
    pub(crate) fn waits(&mut self, wait: Duration) {
        self.state.restarts_at = Some(now().saturating_add(wait.as_secs()));
        self.write();
    }

    /// Records that it could not be.
    pub(crate) fn failed(&mut self, said: String, failures: u32) {
        self.state.last = Some(Life { exit: None, said, failures });
    }

    fn write(&self) {
        // What it is does not depend on whether this can be written.
        let _ = self.folder.write("state.json", &self.state);
    }
}

impl Sandboxes {
    /// Makes the folder of `spec` with its home, and starts its proxy, unless there is a way out that takes its place.
    fn prepare(&self, spec: &Spec, after: After<'_>) -> Result<Prepared, SandboxError> {
        let folder = self.folder(&spec.name)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder.0)
            .map_err(SandboxError::file("make", &folder.0))?;
        let (lock, way) = match after {
            After::Life(held) => {
                (held.lock.try_clone().map_err(SandboxError::file("keep", folder.0.join("lock")))?, None)
            }
            After::Nothing(way) => {
                let lock = folder.lock_to_start()?.ok_or_else(|| SandboxError::InUse(spec.name.clone()))?;
                folder.clear(&spec.name)?;
                if folder.is_marked() {
                    // Half a home is nobody's.
                    folder.remove_home()?;
                }
                for old in ["state.json", super::TOLD] {
                    let _ = fs_err::remove_file(folder.0.join(old));
                }
                (lock, way)
            }
        };
        let plan = self.with_own_sockets(Plan::new(spec, &Probe::for_start())?);
        super::tell_covered(&plan);
        folder.write("spec.json", spec)?;
        let stand_ins = StandIns::make(&folder.0, &plan.stand_ins)?;
        let mut prepared = Prepared { folder, lock, plan, home: None, egress: None, proxy: None, stand_ins };
        if spec.home.keep.on_disk() {
            let home = prepared.folder.home();
            crate::supervise::home::seed(&spec.rootfs, &spec.home.target, &home)
                .map_err(SandboxError::file("fill", &home))?;
            crate::supervise::edit::all(&home, &spec.home_edits);
            prepared.home = Some(home);
        }
        let egress = spec.network.egress();
        if let (Some(_), Some(way)) = (&egress, way) {
            prepared.egress = Some(way.to_owned());
        } else if let Some(egress) = egress {
            let folder = &prepared.folder.0;
            let journal = JournalConfig { path: folder.join("network.log"), size_max: JOURNAL_MAX };
            let config = egress.proxy(journal).map_err(|error| SandboxError::Egress(error.to_string()))?;
            let config = crate::weaken::proxy(&spec.weaken, config);
            let failed = |error: ProxyError| SandboxError::Egress(error.to_string());
            let socket = folder.join("egress.sock");
            prepared.proxy = Some(Proxy::bind(&socket, config).and_then(Proxy::spawn).map_err(failed)?);
            prepared.egress = Some(socket);
        }
        Ok(prepared)
    }

    /// Starts `spec` with its home, proxy and records. The calling thread supervises it.
    pub(crate) fn start(&self, spec: &Spec, runtime: Runtime, stdio: Stdio) -> Result<Live, SandboxError> {
        self.start_with(spec, runtime, stdio, None)
    }

    /// The same with `way`, a Unix socket of the caller's, in the proxy's place.
    pub(crate) fn start_with(
        &self,
        spec: &Spec,
        runtime: Runtime,
        stdio: Stdio,
        way: Option<&Path>,
    ) -> Result<Live, SandboxError> {
        self.start_after(spec, runtime, stdio, After::Nothing(way))
    }

    /// The same once more, with everything anew but the lock.
    pub(crate) fn start_again(
        &self,
        spec: &Spec,
        runtime: Runtime,
        stdio: Stdio,
        held: &Held,
    ) -> Result<Live, SandboxError> {
        self.start_after(spec, runtime, stdio, After::Life(held))
    }

    fn start_after(
        &self,
        spec: &Spec,
        runtime: Runtime,
        stdio: Stdio,
        after: After<'_>,
    ) -> Result<Live, SandboxError> {
        let (way, last) = match after {
            After::Nothing(way) => (way, None),
            After::Life(held) => (None, held.state.last.clone()),
        };
        let stdio = if spec.seal.is_some() { Stdio::Outputs } else { stdio };
        if runtime == Runtime::Oci(OciRuntime::Runsc) && spec.policy.cgroup == Need::Required {
            let why = "`runsc` is started without cgroups, which would hold its own kernel too";
            return Err(Refusal::NoCgroup(why.into()).into());
        }
        let node = match (runtime, &spec.node) {
            (Runtime::Containerd, _) if spec.seal.is_some() => return Err(SandboxError::SealedPod),
            (Runtime::Containerd, None) => return Err(SandboxError::NoNode),
            (Runtime::Containerd, Some(node)) => Some(node),
            (Runtime::Builtin | Runtime::Oci(_), _) => None,
        };
        if matches!(runtime, Runtime::Oci(OciRuntime::Runsc) | Runtime::Containerd) {
            self.held_by_others(spec)?;
        }
        let Prepared { folder, lock, mut plan, home, egress, proxy, stand_ins } =
            self.prepare(spec, after)?;
        let key = spec.seal.as_ref().map(|seal| SessionKey::of_host(&seal.key)).transpose()?;
        let state;
        let mut written;
        let running: Box<dyn Supervised> = if let Runtime::Oci(_) | Runtime::Containerd = runtime {
            let program = own::own_path().map_err(SandboxError::supervisor("find this program"))?;
            written = written::places(&plan, &folder.0, Means::Copy)?;
            let copies =
                written.by_target.iter().map(|(target, place)| (target.clone(), place.path().clone()));
            let paths = BundlePaths {
                home,
                written: copies.collect(),
                egress,
                coverings: None,
                program: Some(program),
            };
            // Before the start: what is left after a kill must be known by then.
            state = State { last, ..State::new(0, &plan, runtime) };
            folder.write("state.json", &state)?;
            let own = folder.runtime();
            if let Runtime::Oci(oci) = runtime {
                let program = Program::find(oci, program::places(&self.directory))?;
                Box::new(crate::supervise::runtime::start_with(&plan, &paths, program, stdio, &own, key)?)
            } else {
                Box::new(node::start(&plan, &paths, node.ok_or(SandboxError::NoNode)?, stdio, &own)?)
            }
        } else {
            let mut sandbox = Sandbox::new(plan.clone()).key(key);
            if let Some(home) = home {
                sandbox = sandbox.home(home);
            }
            if let Some(socket) = &egress {
                sandbox = sandbox.egress(socket);
            }
            written = written::places(&plan, &folder.0, Means::Overlay)?;
            let mut started = sandbox.clone().written(&written).spawn(stdio);
            if let Err(SandboxError::Start(error)) = &started
                && error.step == Step::OverlayWritten
            {
                tracing::debug!("{error}; what is written to is a copy");
                written::without_overlays(written)?;
                written = written::places(&plan, &folder.0, Means::Copy)?;
                started = sandbox.written(&written).spawn(stdio);
            }
            if let Some(socket) = egress.filter(|_| way.is_none()) {
                // The sandbox has it mounted; nobody else is to find it.
                let _ = fs_err::remove_file(socket);
            }
            let running = started?;
            // Which ids it has outside is known only now.
            plan.0.walls = running.walls().to_vec();
            state = State { last, ..State::new(running.pid(), &plan, runtime) };
            folder.write("state.json", &state)?;
            Box::new(running)
        };
        Ok(Live { folder, plan, running, state, stand_ins, proxy, _written: written, _lock: lock })
    }

    /// `runsc` and containerd follow links in the sources of mounts. What `spec` protects or holds it would mount by path; another
    /// sandbox that runs and may exchange it for a link is a reason not to start.
    fn held_by_others(&self, spec: &Spec) -> Result<(), SandboxError> {
        let names = fs_err::read_dir(&self.directory).into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            let Ok(folder) = self.folder(&name) else { continue };
            if name == spec.name
                || (spec.protect.is_empty() && spec.hold.is_empty())
                || folder.lock()?.is_some()
            {
                continue;
            }
            let Some(other) = folder.read::<Spec>("spec.json")? else { continue };
            for mount in other.mounts.iter().filter(|mount| mount.access == Access::ReadWrite) {
                let MountSource::Host(within) = &mount.source else { continue };
                let kept = |path: &Path| other.protect.iter().any(|one| path.starts_with(&one.path));
                // What leads to a path stays in its place with it.
                let held = |path: &Path| {
                    let paths = other.protect.iter().map(|one| &one.path).chain(&other.hold);
                    kept(path) || paths.into_iter().any(|one| one.starts_with(path))
                };
                let protected = spec.protect.iter().map(|one| &one.path).filter(|path| !kept(path));
                let mut loose = protected.chain(spec.hold.iter().filter(|path| !held(path)));
                let loose = loose.find(|path| path.starts_with(within)).cloned();
                if let Some(path) = loose {
                    return Err(BundleError::Within { path, within: within.clone() }.into());
                }
            }
        }
        Ok(())
    }
}
