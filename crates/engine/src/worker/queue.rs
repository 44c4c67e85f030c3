//! Opening the host's side of a queue, one process at a time.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::private_folder;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::key::KEY;
use pinfold_queue::spool::ReadError;
use pinfold_sandbox::Sandboxes;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::WorkerError;
use super::state::State;

/// How long another process is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Files of the worker's directory that are no messages: its own state and its heartbeat.
pub(super) const OWN_FILES: &[&str] = &["state", "alive"];

/// The queue of one sandbox.
#[derive(Clone, Debug)]
pub struct Queue {
    pub(super) folder: PathBuf,
    pub(super) name: String,
}

/// Makes the queue of a sandbox in its folder, with a new key, or finds the one that is there. Gives the directory with `in`, `out`
/// and `key`.
pub fn prepare(folder: &Path, name: &str) -> Result<PathBuf, WorkerError> {
    let queue = Queue { folder: folder.join("queue"), name: name.to_owned() };
    private_folder(&queue.folder)?;
    for part in ["in", "out", "dead"] {
        private_folder(&queue.folder.join(part))?;
    }
    let held = queue.hold()?;
    super::rekey::finish(&queue)?;
    let own = Spool::open(&queue.folder)?;
    if own.changed("key").is_none() {
        if !Spool::open(&queue.folder.join("in"))?.list(&[])?.messages.is_empty()
            || own.changed("state").is_some()
        {
            return Err(queue.bad_key("it is gone"));
        }
        let key = SessionKey::generate().map_err(WorkerError::sealed("key"))?;
        own.replace("key", key.expose())?;
    }
    drop(held);
    let mut open = queue.open()?;
    open.inward.sweep()?;
    open.own.sweep()?;
    // A queue that was used without one has lost it.
    if open.state.version == 0 {
        open.write_state()?;
    }
    drop(open);
    Ok(queue.folder)
}

/// The queue of this process alone, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Open<'a> {
    pub(super) queue: &'a Queue,
    pub(super) key: SessionKey,
    pub(super) sandbox: SandboxId,
    /// To the worker.
    pub(super) inward: Spool,
    /// From it.
    pub(super) outward: Spool,
    /// The queue's own files.
    pub(super) own: Spool,
    pub(super) state: State,
    /// The state as it is on the disk.
    written: State,
    _held: OwnedFd,
}

impl Queue {
    /// The queue of a sandbox that has one.
    pub fn of(sandboxes: &Sandboxes, name: &str) -> Result<Self, WorkerError> {
        sandboxes.status(name)?;
        Self::at(&sandboxes.directory().join(name).join("queue"), name)
    }

    /// The one in this directory.
    pub fn at(folder: &Path, name: &str) -> Result<Self, WorkerError> {
        let is_there = |path: &Path| fs_err::symlink_metadata(path).is_ok_and(|data| data.is_dir());
        if !is_there(folder) {
            return Err(WorkerError::NoQueue(name.to_owned()));
        }
        Ok(Self { folder: folder.to_owned(), name: name.to_owned() })
    }

    /// The directory that the worker writes to.
    pub(super) fn outward(&self) -> Result<Spool, WorkerError> {
        Ok(Spool::open(&self.folder.join("out"))?)
    }

    fn bad_key(&self, problem: impl Into<String>) -> WorkerError {
        WorkerError::Key { path: self.folder.join("key"), problem: problem.into() }
    }

    /// Waits until no other process has the queue, and holds it.
    fn hold(&self) -> Result<OwnedFd, WorkerError> {
        let begun = Instant::now();
        loop {
            if let Some(directory) = hold_directory(&self.folder)? {
                let (held, there) = (rustix::fs::fstat(&directory), rustix::fs::stat(&self.folder));
                // Else it changed places with another one, when its key was changed.
                if let (Ok(held), Ok(there)) = (held, there)
                    && (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)
                {
                    return Ok(directory);
                }
            }
            if begun.elapsed() > PATIENCE {
                return Err(WorkerError::Busy(self.name.clone()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(super) fn key_in(&self, own: &Spool) -> Result<SessionKey, WorkerError> {
        let bytes = match own.read_named("key", KEY) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(self.bad_key("it is gone")),
            Err(ReadError::Refused(refusal)) => return Err(self.bad_key(refusal.to_string())),
            Err(ReadError::Failed(failed)) => return Err(failed.into()),
        };
        SessionKey::from_bytes(&bytes).ok_or_else(|| self.bad_key("it is not 32 bytes of a key"))
    }

    pub(super) fn sandbox(&self) -> Result<SandboxId, WorkerError> {
        SandboxId::new(&self.name).ok_or_else(|| WorkerError::NoQueue(self.name.clone()))
    }

    /// Opens it, for this process alone.
    pub(super) fn open(&self) -> Result<Open<'_>, WorkerError> {
        let held = self.hold()?;
        super::rekey::finish(self)?;
        let own = Spool::open(&self.folder)?;
        let key = self.key_in(&own)?;
        let sandbox = self.sandbox()?;
        let inward = Spool::open(&self.folder.join("in"))?;
        let outward = self.outward()?;
        let mut open = Open {
            queue: self,
            key,
            sandbox,
            inward,
            outward,
            own,
            state: State::default(),
            written: State::default(),
            _held: held,
        };
        open.state = open.read_state()?;
        open.written = open.state.clone();
        open.make_sure();
        Ok(open)
    }
}

impl Open<'_> {
    /// Seals what the host says and knows.
    pub(super) fn seal(&self, direction: Direction, seq: u64, body: &[u8]) -> Result<Vec<u8>, WorkerError> {
        let what = || pinfold_queue::spool::name(seq);
        let header = Header::new(direction, seq, now_ms()).map_err(WorkerError::sealed(what()))?;
        format::seal(&self.key, &self.sandbox, &header, body).map_err(WorkerError::sealed(what()))
    }

    fn read_state(&self) -> Result<State, WorkerError> {
        let lost = |problem: String| -> Result<State, WorkerError> {
            // A number is never given twice: whatever the lost one had given, it was fewer than milliseconds went by.
            self.bury_own("state", &problem)?;
            Ok(State::beginning(now_ms()))
        };
        let file = match self.own.read_named("state", Direction::State.file_max()) {
            Ok(Some(file)) => file,
            Ok(None) => {
                let is_new = self.inward.list(&[])?.count == 0 && self.outward.list(OWN_FILES)?.count == 0;
                return Ok(State::beginning(if is_new { 1 } else { now_ms() }));
            }
            Err(ReadError::Refused(refusal)) => return lost(refusal.to_string()),
            Err(ReadError::Failed(failed)) => return Err(failed.into()),
        };
        match format::open(&self.key, &self.sandbox, Direction::State, None, file) {
            Ok((_, body)) => match serde_json::from_slice(&body) {
                Ok(state) => Ok(state),
                Err(error) => lost(error.to_string()),
            },
            Err(error) => lost(error.to_string()),
        }
    }

    /// Writes the state to the disk.
    pub(super) fn write_state(&mut self) -> Result<(), WorkerError> {
        self.state.version += 1;
        let body = serde_json::to_vec(&self.state).map_err(std::io::Error::from)?;
        let file = self.seal(Direction::State, self.state.version, &body)?;
        self.own.replace("state", &file)?;
        self.written = self.state.clone();
        Ok(())
    }

    /// The same, where there is something new in it.
    pub(super) fn keep_state(&mut self) -> Result<(), WorkerError> {
        if self.state == self.written { Ok(()) } else { self.write_state() }
    }

    /// Whether the disk knows what was settled. What was sent it knows by the message itself.
    pub(super) fn is_settled(&self) -> bool {
        let (now, then) = (&self.state, &self.written);
        (&now.acks, &now.schedules, &now.seen, now.floor)
            == (&then.acks, &then.schedules, &then.seen, then.floor)
    }

    /// Finds out whether a message was published before whoever sent it was killed.
    fn make_sure(&mut self) {
        if let Some((id, seq)) = self.state.unsure.take()
            && self.inward.changed(&pinfold_queue::spool::name(seq)).is_some()
        {
            self.state.note_sent(id);
        }
    }
}

/// Locks a directory; nothing while somebody else has it.
pub(super) fn hold_directory(folder: &Path) -> Result<Option<OwnedFd>, WorkerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(folder, flags, Mode::empty()).map_err(std::io::Error::from)?;
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(directory)),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(errno) => Err(std::io::Error::from(errno).into()),
    }
}

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

impl Queue {
    /// The state as it was last written, for who only looks. Nobody is waited for.
    pub(super) fn read_only_state(&self) -> Option<State> {
        let own = Spool::open(&self.folder).ok()?;
        let key = self.key_in(&own).ok()?;
        let file = own.read_named("state", Direction::State.file_max()).ok()??;
        let (_, body) = format::open(&key, &self.sandbox().ok()?, Direction::State, None, file).ok()?;
        serde_json::from_slice(&body).ok()
    }
}
