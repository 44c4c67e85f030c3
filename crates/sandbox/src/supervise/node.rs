//! Running a plan as a pod of a container runtime that Kubernetes speaks with (CRI): containerd, as a rule.
//!
//! ```text
//!   supervisor ── CRI ──► runtime ──► pod, its network deleted ──► container, process 1
//!        └─ session's folder/s ◄── one connection ────────────────────┘
//!             streams there or a terminal back, numbers of signals there; closed by whoever ends
//! ```
//!
//! The runtime starts process 1 elsewhere, so that it comes to its supervisor: it connects with a socket of the session's folder,
//! which is mounted for it, and is handed the program's streams, or hands over the master of a terminal of the sandbox's own. The connection is the lifeline too: when it
//! is closed, whoever is left ends.
//!
//! **Guarantees**: a pod that was begun is removed, whatever fails; what a killed supervisor leaves is found by its label
//! ([`clear`]). **Refuses** a pod whose network cannot be taken away.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::directory;
use pinfold_base::text::Shown;
use pinfold_cri::Client;
use pinfold_cri::CriError;
use pinfold_cri::Socket;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::Shutdown;

use crate::error::SandboxError;
use crate::oci::config::BundlePaths;
use crate::oci::pod;
use crate::oci::pod::CONTAINER;
use crate::oci::pod::LABEL;
use crate::oci::pod::Made;
use crate::plan::Namespace;
use crate::plan::Plan;
use crate::spec::Access;
use crate::spec::Node;
use crate::start::spawn::Message;
use crate::start::sys;
use crate::supervise::cut;
use crate::supervise::foreground::Supervised;
use crate::supervise::streams;
use crate::supervise::streams::Pipes;
use crate::types::Exit;
use crate::types::Stdio;

/// How long process 1 may take to come, and how often it is looked whether it has ended meanwhile.
const COMING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
/// How long a container may take to end whose lifeline is closed.
const ENDING: Duration = Duration::from_secs(10);
/// Most that is told of what it said.
const SAID: u64 = 4096;

/// A sandbox in a pod. Dropping it removes the pod.
#[derive(Debug)]
pub(crate) struct Pod {
    began: Begun,
    container: String,
    connection: OwnedFd,
    terminal: Option<OwnedFd>,
    pipes: Pipes,
    exit: Option<Exit>,
}

/// A pod that is there, until it is removed.
#[derive(Debug)]
struct Begun {
    client: Client,
    sandbox: Option<String>,
    folder: PathBuf,
    /// What was given to the program's user and is to be root's again.
    given: Vec<PathBuf>,
}

impl Begun {
    fn end(&mut self) -> Result<(), SandboxError> {
        if let Some(sandbox) = self.sandbox.take() {
            self.client.remove_sandbox(&sandbox)?;
        }
        for path in std::mem::take(&mut self.given) {
            give(&path, (0, 0)).map_err(SandboxError::file("take back", &path))?;
        }
        Ok(directory::remove(&self.folder)?)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if (self.sandbox.is_some() || self.folder.exists())
            && let Err(error) = self.end()
        {
            tracing::warn!("{}: a pod may stay", Shown::of(&error));
        }
    }
}

/// Starts the pod; `folder` is removed at its end.
pub(crate) fn start(
    plan: &Plan,
    paths: &BundlePaths,
    node: &Node,
    stdio: Stdio,
    folder: &Path,
) -> Result<Pod, SandboxError> {
    let network = plan.namespaces.contains(&Namespace::Network);
    let root = rustix::process::geteuid().is_root();
    if network && !root {
        return Err(SandboxError::Uncut(io::ErrorKind::PermissionDenied.into()));
    }
    let socket = Socket::find(node.socket.to_str(), None)?;
    let mut begun = Begun {
        client: Client::connect(&socket)?,
        sandbox: None,
        folder: folder.to_owned(),
        given: Vec::new(),
    };
    let coverings = folder.join("coverings");
    crate::oci::protect::write(plan, &coverings).map_err(SandboxError::file("fill", &coverings))?;
    let paths = BundlePaths { coverings: Some(coverings), ..paths.clone() };
    let unique = format!("{}-{}", std::process::id(), unique());
    let size = match stdio {
        Stdio::Terminal { rows, columns } => Some((rows, columns)),
        Stdio::Inherit | Stdio::Piped | Stdio::Outputs | Stdio::Null => None,
    };
    let asked = pod::pod(plan, &paths, &node.image, folder, &unique, size)?;
    make(&asked.made, asked.user)?;
    if root {
        let own = paths.home.iter().chain(paths.written.values());
        for path in own {
            begun.given.push(path.clone());
            give(path, asked.user).map_err(SandboxError::file("give", path))?;
        }
    }
    if let Some(egress) = &paths.egress {
        // Its folder is nobody else's.
        reachable(egress)?;
    }
    let place = folder.join("s");
    let listener = pinfold_base::socket::listen(&place).map_err(SandboxError::file("listen on", &place))?;
    reachable(&place)?;
    let streams::Prepared { streams, pipes, .. } = streams::prepare(stdio, &plan.guards.streams)?;
    own(&streams, asked.user).map_err(SandboxError::supervisor("give the program its streams"))?;

    let sandbox = begun.client.run_sandbox(&asked.sandbox)?;
    begun.sandbox = Some(sandbox.clone());
    if network {
        let told = begun.client.sandbox_info(&sandbox)?;
        let path = namespace(&told).ok_or_else(|| SandboxError::Uncut(io::ErrorKind::NotFound.into()))?;
        cut::network(&path).map_err(SandboxError::Uncut)?;
    }
    let container = begun.client.create_container(&sandbox, &asked.container, &asked.sandbox)?;
    begun.client.start_container(&container)?;
    let connection = meet(&begun, &container, &listener)?;
    hand_over(&connection, &streams).map_err(SandboxError::supervisor("hand the streams over"))?;
    let terminal = if size.is_some() { Some(master(&begun, &container, &connection)?) } else { None };
    Ok(Pod { began: begun, container, connection: connection.into(), terminal, pipes, exit: None })
}

/// Waits for process 1, or for its end.
fn meet(
    begun: &Begun,
    container: &str,
    listener: &std::os::unix::net::UnixListener,
) -> Result<UnixStream, SandboxError> {
    let start = Instant::now();
    let waiting = SandboxError::supervisor::<io::Error>;
    listener.set_nonblocking(true).map_err(waiting("wait for process 1"))?;
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN)];
        let look = rustix::event::Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
        if rustix::event::poll(&mut ready, Some(&look)).is_ok_and(|ready| ready > 0) {
            let (stream, _) = listener.accept().map_err(waiting("wait for process 1"))?;
            stream.set_nonblocking(false).map_err(waiting("wait for process 1"))?;
            return Ok(stream);
        }
        match begun.client.wait(container, Duration::ZERO) {
            Ok(ended) => return Err(SandboxError::PodEnded { code: ended.code, said: said(begun) }),
            Err(CriError::Silent { .. }) if start.elapsed() < COMING => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the master of the terminal that process 1 has opened in the sandbox.
fn master(begun: &Begun, container: &str, connection: &UnixStream) -> Result<OwnedFd, SandboxError> {
    let failed = |error: io::Error| SandboxError::Supervisor { action: "take the terminal", source: error };
    connection.set_read_timeout(Some(COMING)).map_err(failed)?;
    let message = Message::receive(connection).map_err(|errno| failed(errno.into()))?;
    if let Some((Message::Terminal, Some(master))) = message {
        connection.set_read_timeout(None).map_err(failed)?;
        return Ok(master);
    }
    let code = begun.client.wait(container, ENDING)?.code;
    Err(SandboxError::PodEnded { code, said: said(begun) })
}

/// What a container has said that did not come as far as its streams.
fn said(begun: &Begun) -> String {
    use std::io::Read as _;
    let path = begun.folder.join("log").join(format!("{CONTAINER}.log"));
    let mut text = Vec::new();
    if let Ok(file) = fs_err::File::open(path) {
        let _ = file.take(SAID).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    // `TIME STREAM TAG TEXT` each (the interface's form of logs).
    let words = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
    words.collect::<Vec<_>>().join(" ")
}

/// Sends process 1 the program's streams.
fn hand_over(connection: &UnixStream, streams: &sys::Streams) -> rustix::io::Result<()> {
    let descriptors = [streams.stdin.as_fd(), streams.stdout.as_fd(), streams.stderr.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let word = [rustix::io::IoSlice::new(b"s")];
    rustix::net::sendmsg(connection, &word, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

/// The path of a pod's network namespace, in what a runtime tells of it.
fn namespace(told: &str) -> Option<String> {
    let told: serde_json::Value = serde_json::from_str(told).ok()?;
    let spaces = told["runtimeSpec"]["linux"]["namespaces"].as_array()?;
    let path = spaces.iter().find(|one| one["type"] == "network")?["path"].as_str()?;
    path.starts_with('/').then(|| path.to_owned())
}

/// What tells one pod from another of the same name: the time.
fn unique() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos())
}

/// Makes what the pod's mounts show.
fn make(made: &[Made], user: (u32, u32)) -> Result<(), SandboxError> {
    let root = rustix::process::geteuid().is_root();
    for one in made {
        match one {
            Made::Directory { path, mode, access } => {
                fs_err::create_dir_all(path).map_err(SandboxError::file("make", path))?;
                // What is not the program's own it can only look into.
                let mode = if *access == Access::ReadWrite { *mode } else { mode | 0o055 };
                fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
                    .map_err(SandboxError::file("make", path))?;
                if root && *access == Access::ReadWrite {
                    give(path, user).map_err(SandboxError::file("give", path))?;
                }
            }
            Made::Empty(path) => {
                if let Some(folder) = path.parent() {
                    fs_err::create_dir_all(folder).map_err(SandboxError::file("make", folder))?;
                }
                fs_err::write(path, "").map_err(SandboxError::file("make", path))?;
            }
            Made::Text(path, text) => {
                if let Some(folder) = path.parent() {
                    fs_err::create_dir_all(folder).map_err(SandboxError::file("make", folder))?;
                }
                fs_err::write(path, text).map_err(SandboxError::file("write", path))?;
            }
        }
    }
    Ok(())
}

/// Lets every user connect with a socket in a folder that only one can enter.
fn reachable(socket: &Path) -> Result<(), SandboxError> {
    fs_err::set_permissions(socket, std::fs::Permissions::from_mode(0o666))
        .map_err(SandboxError::file("open", socket))
}

/// Makes everything at and below `path` a user's. No link is followed.
fn give(path: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    fs_err::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    if fs_err::symlink_metadata(path)?.is_dir() {
        for entry in fs_err::read_dir(path)? {
            give(&entry?.path(), (uid, gid))?;
        }
    }
    Ok(())
}

/// Makes the program the owner of its pipes, which it may open again by name (`/dev/stdout`).
fn own(streams: &sys::Streams, (uid, gid): (u32, u32)) -> rustix::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
    for fd in [&streams.stdin, &streams.stdout, &streams.stderr] {
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode);
        if kind == rustix::fs::FileType::Fifo {
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Removes what a supervisor that was killed has left: its pods, by their label, and `folder`. A runtime that cannot be asked any
/// more keeps nothing from being removed.
pub(crate) fn clear(node: Option<&Node>, folder: &Path) -> Result<(), SandboxError> {
    let remove = || -> Result<(), SandboxError> {
        let Some(node) = node else { return Ok(()) };
        let client = Client::connect(&Socket::find(node.socket.to_str(), None)?)?;
        for sandbox in client.sandboxes(LABEL, &folder.display().to_string())? {
            client.remove_sandbox(&sandbox)?;
        }
        Ok(())
    };
    match remove() {
        Ok(()) => {}
        Err(SandboxError::Cri(error @ (CriError::NoSocket(_) | CriError::Denied(_)))) => {
            tracing::warn!("{}: a pod may stay", Shown::of(&error));
        }
        Err(error) => return Err(error),
    }
    Ok(directory::remove(folder)?)
}

impl Supervised for Pod {
    fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    fn ended(&self) -> BorrowedFd<'_> {
        // Process 1 never writes: what can be read is its end.
        self.connection.as_fd()
    }

    fn pipes(&mut self) -> Pipes {
        std::mem::take(&mut self.pipes)
    }

    fn signal(&self, number: u8) -> Result<(), SandboxError> {
        rustix::net::send(&self.connection, &[number], SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(SandboxError::supervisor("send a signal to the sandbox"))
    }

    fn kill(&mut self) -> Result<(), SandboxError> {
        rustix::net::shutdown(&self.connection, Shutdown::Both)
            .map_err(SandboxError::supervisor("kill the sandbox"))
    }

    fn finish(&mut self) -> Result<Exit, SandboxError> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let ended = self.began.client.wait(&self.container, ENDING);
        let exit = match &ended {
            // A runtime tells a signal as a shell does, and so does process 1.
            Ok(ended) => match ended.code {
                code @ 129..=159 => Exit::Signal(u8::try_from(code - 128).unwrap_or(9)),
                code => Exit::Code(u8::try_from(code).unwrap_or(255)),
            },
            // Whoever is left is killed with the pod.
            Err(CriError::Silent { .. }) => Exit::Signal(9),
            Err(_) => Exit::Code(255),
        };
        self.exit = Some(exit);
        self.began.end()?;
        match ended {
            Err(error) if !matches!(error, CriError::Silent { .. }) => Err(error.into()),
            _ => Ok(exit),
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if self.exit.is_none() {
            let _ = self.kill();
            let _ = self.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_namespace_is_found_in_what_a_runtime_tells() {
        let told = |path: &str| {
            format!(
                r#"{{"pid": 1, "runtimeSpec": {{"linux": {{"namespaces": [{{"type": "pid"}}, {{"type": "network"{path}}}]}}}}}}"#
            )
        };
        assert_eq!(namespace(&told(r#", "path": "/run/netns/cni-1""#)).as_deref(), Some("/run/netns/cni-1"));
        for wrong in [&told(""), &told(r#", "path": "netns""#), "", "{}", r#"{"runtimeSpec": 1}"#] {
            assert_eq!(namespace(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_runtime_that_is_gone_keeps_nothing_from_being_removed() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node { socket: dir.path().join("none.sock"), image: "sha256:0".into() };
        fs_err::create_dir(dir.path().join("folder")).unwrap();
        clear(Some(&node), &dir.path().join("folder")).unwrap();
        assert!(!dir.path().join("folder").exists());
        // One whose address is none does.
        let node = Node { socket: "relative.sock".into(), image: String::new() };
        assert!(clear(Some(&node), &dir.path().join("folder")).is_err());
    }
}
