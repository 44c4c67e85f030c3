//! Another key for a queue.
//!
//! All that is sealed is sealed anew in `queue.new`, which then changes places with `queue` in one step: before it the old key opens
//! everything, after it the new one does. What is left of the old is then cleared, by this process or by whoever opens the queue next.

use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory;
use pinfold_base::private_folder;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::SessionKey;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::spool;
use pinfold_queue::spool::Published;
use pinfold_queue::spool::ReadError;
use pinfold_sandbox::Sandboxes;
use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use super::dead::Cause;
use super::error::WorkerError;
use super::list::Shelf;
use super::queue::OWN_FILES;
use super::queue::Open;
use super::queue::Queue;

/// Marks the directory that was made with the new key, until what is left of the old is gone.
const FRESH: &str = "fresh";

/// What was sealed anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rekeyed {
    /// Messages in both directions.
    pub messages: usize,
    /// Dead letters that could be opened.
    pub letters: usize,
}

impl Queue {
    /// Changes the key, while the sandbox does not run.
    pub fn rekey(&self, sandboxes: &Sandboxes) -> Result<Rekeyed, WorkerError> {
        let Some(_still) = sandboxes.hold(&self.name)? else {
            return Err(WorkerError::Running(self.name.clone()));
        };
        let mut open = self.open()?;
        open.settle(|_| ())?;
        let mut rekeyed = open.seal_anew()?;
        let (there, new) = (&self.folder, new_folder(self));
        // Who comes after the exchange waits for its end.
        let _held = super::queue::hold_directory(&new)?;
        match rustix::fs::renameat_with(CWD, there, CWD, &new, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOSYS) => {
                clear(&new)?;
                return Err(WorkerError::Exchange { path: there.clone() });
            }
            Err(errno) => return Err(std::io::Error::from(errno).into()),
        }
        sync_parent(there)?;
        rekeyed.letters = finish(self)?;
        Ok(rekeyed)
    }

    fn resealed(
        &self,
        (old, new): (&SessionKey, &SessionKey),
        direction: Direction,
        seq: Option<u64>,
        file: Vec<u8>,
    ) -> Result<Vec<u8>, WorkerError> {
        let sandbox = self.sandbox()?;
        let (header, body) =
            format::open(old, &sandbox, direction, seq, file).map_err(WorkerError::sealed("it"))?;
        // When it was made, it was; its salt is new.
        let header = Header::new(direction, header.seq, header.created).map_err(WorkerError::sealed("it"))?;
        format::seal(new, &sandbox, &header, &body).map_err(WorkerError::sealed("it"))
    }
}

impl Open<'_> {
    /// Makes `queue.new` with everything under a new key.
    fn seal_anew(&mut self) -> Result<Rekeyed, WorkerError> {
        let folder = new_folder(self.queue);
        clear(&folder)?;
        for part in ["", "in", "out", "dead"] {
            private_folder(&folder.join(part))?;
        }
        let own = Spool::open(&folder)?;
        let key = SessionKey::generate().map_err(WorkerError::sealed("key"))?;
        own.replace("key", key.expose())?;
        let keys = (&self.key, &key);
        let mut rekeyed = Rekeyed::default();
        let both = [
            (&self.inward, "in", Shelf::In, Direction::ToWorker),
            (&self.outward, "out", Shelf::Out, Direction::FromWorker),
        ];
        for (from, name, shelf, direction) in both {
            let to = Spool::open(&folder.join(name))?;
            for seq in from.list(OWN_FILES)?.messages {
                let sealed = match from.read(seq, direction.file_max()) {
                    Ok(None) => continue,
                    Ok(Some(file)) => self.queue.resealed(keys, direction, Some(seq), file),
                    Err(ReadError::Failed(failed)) => return Err(failed.into()),
                    Err(ReadError::Refused(refusal)) => {
                        Err(WorkerError::Unusable { what: name.into(), problem: refusal.to_string() })
                    }
                };
                match sealed {
                    Ok(file) => match to.publish(seq, &file)? {
                        Published::New | Published::Taken => rekeyed.messages += 1,
                    },
                    Err(error) => {
                        let c_name =
                            std::ffi::CString::new(spool::name(seq)).map_err(std::io::Error::from)?;
                        self.bury(from, shelf, &c_name, Cause::Integrity, &error.to_string())?;
                    }
                }
            }
            // The worker's own state, and the host's.
            let (states, kept) = if name == "out" { (from, &to) } else { (&self.own, &own) };
            match states.read_named("state", Direction::State.file_max()) {
                Ok(None) => {}
                Ok(Some(file)) => match self.queue.resealed(keys, Direction::State, None, file) {
                    Ok(file) => kept.replace("state", &file)?,
                    Err(error) => {
                        self.bury(states, shelf, c"state", Cause::Integrity, &error.to_string())?;
                    }
                },
                Err(ReadError::Refused(refusal)) => {
                    self.bury(states, shelf, c"state", Cause::Refused, &refusal.to_string())?;
                }
                Err(ReadError::Failed(failed)) => return Err(failed.into()),
            }
        }
        own.replace(FRESH, b"")?;
        Ok(rekeyed)
    }
}

/// Clears what an interrupted change of the key has left; for whoever holds the queue. Gives how many dead letters have the new key
/// since.
pub(super) fn finish(queue: &Queue) -> Result<usize, WorkerError> {
    let left = new_folder(queue);
    let own = Spool::open(&queue.folder)?;
    let has_changed = own.changed(FRESH).is_some();
    if !has_changed {
        if fs_err::symlink_metadata(&left).is_ok() {
            clear(&left)?;
        }
        return Ok(0);
    }
    let mut letters = 0;
    if fs_err::symlink_metadata(&left).is_ok() {
        // That is the old one: its letters come along, and those that it can open get the new key.
        let old = Spool::open(&left)?;
        let to = Spool::open(&queue.folder.join("dead"))?;
        if let (Ok(old_key), Ok(new_key), Ok(from)) =
            (queue.key_in(&old), queue.key_in(&own), Spool::open(&left.join("dead")))
        {
            let listing = from.list(&[])?;
            for name in listing.strange {
                let _ = rustix::fs::renameat_with(&from, &*name, &to, &*name, RenameFlags::NOREPLACE);
            }
            for number in listing.messages {
                let name = spool::name(number);
                let reason = format!("{name}.reason");
                let _ = rustix::fs::renameat_with(&from, &reason, &to, &reason, RenameFlags::NOREPLACE);
                for direction in [Direction::ToWorker, Direction::FromWorker] {
                    if let Ok(Some(file)) = from.read(number, direction.file_max())
                        && let Ok(file) = queue.resealed((&old_key, &new_key), direction, None, file)
                    {
                        from.replace(&name, &file)?;
                        letters += 1;
                    }
                }
                let _ = rustix::fs::renameat_with(&from, &name, &to, &name, RenameFlags::NOREPLACE);
            }
            let _ = rustix::fs::fsync(&to);
        }
        clear(&left)?;
    }
    own.remove_named(FRESH)?;
    Ok(letters)
}

fn new_folder(queue: &Queue) -> PathBuf {
    queue.folder.with_extension("new")
}

fn clear(folder: &Path) -> Result<(), WorkerError> {
    directory::remove(folder).map_err(|remains| WorkerError::Io(std::io::Error::other(remains.to_string())))
}

fn sync_parent(folder: &Path) -> Result<(), WorkerError> {
    if let Some(parent) = folder.parent() {
        fs_err::File::open(parent)?.sync_all()?;
    }
    Ok(())
}
