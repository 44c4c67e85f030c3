//! The folder of one sandbox: its files, its lock, and clearing what a supervisor that was killed has left.

use std::path::PathBuf;
use std::time::Duration;

use pinfold_base::directory;
use rustix::fs::FlockOperation;
use serde::Serialize;

use super::record::State;
use crate::error::SandboxError;
use crate::spec::Spec;
use crate::supervise::node;
use crate::supervise::program;
use crate::supervise::program::Program;
use crate::supervise::runtime;
use crate::supervise::stand_in;
use crate::supervise::written;
use crate::types::OciRuntime;
use crate::types::Runtime;

/// Bytes of a state or specification file that are read.
const FILE_MAX: u64 = 4 << 20;

/// Marks a folder that could not be removed whole.
const LEFTOVER: &str = "leftover";

/// The folder of one sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(crate) fn attach_socket(&self) -> PathBuf {
        self.0.join("attach.sock")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The queues of a sealed sandbox.
    pub(super) fn queue(&self) -> PathBuf {
        self.0.join("queue")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// Bundle and state of another runtime.
    pub(super) fn runtime(&self) -> PathBuf {
        self.0.join("runtime")
    }

    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), SandboxError> {
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
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SandboxError> {
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
    pub(super) fn lock_to_start(&self) -> Result<Option<fs_err::File>, SandboxError> {
        for _ in 0..20 {
            if let Some(lock) = self.lock()? {
                return Ok(Some(lock));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }

    /// Clears what a supervisor that was killed has left outside the folder; a stand-in that may not be removed now is
    /// returned. Called with the lock taken.
    pub(super) fn clear(&self, name: &str) -> Result<Option<PathBuf>, SandboxError> {
        let oci = match self.state().map(|state| state.runtime) {
            Some(Runtime::Oci(oci)) => oci,
            _ => OciRuntime::Runc,
        };
        if self.runtime().exists() && self.state().is_some_and(|state| state.runtime == Runtime::Containerd) {
            let spec = self.read::<Spec>("spec.json").ok().flatten();
            node::clear(spec.and_then(|spec| spec.node).as_ref(), &self.runtime())?;
        }
        if self.runtime().exists() {
            let all = self.0.parent().unwrap_or(&self.0);
            let program = Program::find(oci, program::places(all));
            runtime::clear(program, name, &self.runtime())?;
        }
        for path in self.groups(name) {
            crate::start::walls::limits::remove_group(&path);
        }
        let stays = stand_in::clear(&self.0)?;
        for stale in ["attach.sock", "egress.sock"] {
            let _ = fs_err::remove_file(self.0.join(stale));
        }
        Ok(stays)
    }

    /// What is recorded. Damaged files are no reason to leave anything.
    fn state(&self) -> Option<State> {
        self.read::<State>("state.json").ok().flatten()
    }

    /// Its control groups that are there: the recorded ones, and those that are known by name, as `runc` makes one in every
    /// hierarchy.
    fn groups(&self, name: &str) -> Vec<PathBuf> {
        let recorded = self.state().map(|state| state.groups).unwrap_or_default();
        let hierarchies = fs_err::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let usual = hierarchies.map(|hierarchy| hierarchy.path().join(format!("pinfold-{name}")));
        recorded.into_iter().chain(usual).filter(|path| path.exists()).collect()
    }

    /// Whether removing was begun and something of the home stayed.
    pub(super) fn is_marked(&self) -> bool {
        self.0.join(LEFTOVER).exists()
    }

    /// Whether there is nothing here to start or to look into.
    pub(super) fn is_leftover(&self) -> bool {
        self.is_marked() || !self.0.join("spec.json").exists()
    }

    /// Removes the folder. The records go last, so that what cannot be removed is still known for what it was. Called with
    /// the lock taken.
    pub(super) fn remove(&self, name: &str) -> Result<(), SandboxError> {
        if let Some(path) = self.clear(name)? {
            // Without its record nobody would know what it is.
            let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
            return Err(SandboxError::file("remove", path)(denied));
        }
        self.remove_home()?;
        if let Some(group) = self.groups(name).into_iter().next() {
            // The kernel has not let go of it: without its record nobody would come back for it.
            let mark = self.0.join(LEFTOVER);
            fs_err::write(&mark, "").map_err(SandboxError::file("write", &mark))?;
            let busy = std::io::Error::from(std::io::ErrorKind::ResourceBusy);
            return Err(SandboxError::file("remove", group)(busy));
        }
        Ok(directory::remove(&self.0)?)
    }

    /// Removes the home and what was written over the image, or marks the folder.
    pub(super) fn remove_home(&self) -> Result<(), SandboxError> {
        let mark = self.0.join(LEFTOVER);
        for part in [self.home(), self.home().with_extension("part"), written::folder(&self.0)] {
            if let Err(remains) = directory::remove(&part) {
                fs_err::write(&mark, "").map_err(SandboxError::file("write", &mark))?;
                return Err(remains.into());
            }
        }
        let _ = fs_err::remove_file(mark);
        Ok(())
    }

    /// Takes the lock where stand-ins are recorded; `None` where none are, or while somebody has it.
    pub(super) fn lock_if_stand_ins(&self) -> Result<Option<fs_err::File>, SandboxError> {
        if stand_in::are_recorded(&self.0) { self.lock() } else { Ok(None) }
    }

    /// Takes the lock; `None` while somebody has it.
    pub(super) fn lock(&self) -> Result<Option<fs_err::File>, SandboxError> {
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
