//! The supervisor's side of a start.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::fs::MemfdFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::SealFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::process::Pid;
use rustix::process::WaitOptions;

use super::INIT_NAME;
use super::Message;
use super::Order;
use crate::error::SandboxError;
use crate::plan::IdMap;
use crate::plan::Namespace;
use crate::plan::ids::Outside;
use crate::plan::refusal::Refusal;
use crate::probe::NamespaceProblem;
use crate::start::key::SessionKey;
use crate::start::own;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::sys;
use crate::start::sys::Copy;
use crate::start::sys::Identity;
use crate::start::sys::Program;
use crate::start::sys::Streams;
use crate::start::trees::Trees;
use crate::start::walls::limits::Groups;

/// Process 1 as the supervisor holds it.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its id outside.
    pub(crate) pid: Pid,
    /// The control socket.
    pub(crate) control: OwnedFd,
    /// The master of the sandbox's terminal.
    pub(crate) terminal: Option<OwnedFd>,
    /// Control groups, removed after the end.
    pub(crate) groups: Option<Groups>,
}

/// What process 1 is handed beside its order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed<'a> {
    /// Its streams.
    pub(crate) streams: &'a Streams,
    /// The trees that the order names.
    pub(crate) trees: Option<&'a Trees>,
    /// The session key, where the plan has a place for one.
    pub(crate) key: Option<&'a SessionKey>,
}

/// Starts process 1 and follows it until the program runs.
pub(crate) fn start(order: &Order, handed: Handed<'_>) -> Result<Started, SandboxError> {
    let json = serde_json::to_vec(order)
        .map_err(|error| SandboxError::Supervisor { action: "write the plan", source: error.into() })?;
    let how = if order.plan.guards.protected_program.holds() { OpenAs::Mounted } else { OpenAs::File };
    let program = own_program(how).map_err(SandboxError::supervisor("open the program's own file"))?;
    // Ids that nobody has may run what everybody may.
    let program = if handed.trees.is_some() && !for_everybody(&program) {
        Program::File(sealed_program()?)
    } else {
        program
    };
    match start_from(order, &json, &program, handed) {
        // Its file was exchanged or removed, or lies where this process's mounts do not reach.
        Err(SandboxError::Start(error)) if error.step == Step::ReadOnlyProgram => {
            tracing::debug!("{error}; process 1 runs from a copy in memory");
            start_from(order, &json, &Program::File(sealed_program()?), handed)
        }
        Err(SandboxError::Start(error)) if matches!(error.step, Step::Namespaces | Step::OuterIdMap) => {
            // The plan assumed that user namespaces can be had; this says why not.
            match sys::try_user_namespace() {
                Err(errno) => Err(Refusal::NoUserNamespaces(NamespaceProblem::explain(errno)).into()),
                Ok(()) => Err(SandboxError::Start(error)),
            }
        }
        result => result,
    }
}

fn start_from(
    order: &Order,
    json: &[u8],
    program: &Program,
    Handed { streams, trees, key }: Handed<'_>,
) -> Result<Started, SandboxError> {
    let (control, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(SandboxError::supervisor("make a control socket"))?;
    let plan = memory("plan", json)?;
    let trees = trees.iter().flat_map(|trees| {
        std::iter::once(trees.root.as_fd()).chain(trees.mounts.iter().map(|(_, tree)| tree.as_fd()))
    });
    let descriptors: Vec<_> = [theirs.as_fd(), plan.as_fd()].into_iter().chain(trees).collect();
    let map = &order.plan.ids;
    let ids = match map.outside {
        Outside::Caller => Identity::Own { uid: map.host_uid, gid: map.host_gid },
        Outside::StandIn | Outside::StandInOrRoot => Identity::Given,
    };
    let copy = Copy {
        namespaces: order.plan.namespaces.iter().fold(0, |flags, namespace| flags | flag(*namespace)),
        ids,
        program,
        name: INIT_NAME,
        streams,
        descriptors: &descriptors,
    };
    let pid = copy.start().at(Step::Namespaces).map_err(SandboxError::Start)?;
    drop(theirs);
    let mut groups = None;
    let mapped = if ids == Identity::Given { give_ids(map, pid, &control) } else { Ok(()) };
    match mapped.and_then(|()| follow(order, key, &control, pid, &mut groups)) {
        Ok(terminal) => Ok(Started { pid, control, terminal, groups }),
        Err(error) => {
            // It has ended, or does so now. Groups can only be removed after that.
            drop(control);
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            Err(error)
        }
    }
}

/// Maps the ids that the copy is to have, and lets it go on. Why it cannot, if it has ended already, is in what it said.
fn give_ids(map: &IdMap, pid: Pid, control: &OwnedFd) -> Result<(), SandboxError> {
    let line = |id: u32| format!("0 {id} 1");
    sys::map_ids(pid, &line(map.host_uid), &line(map.host_gid))
        .at(Step::OuterIdMap)
        .map_err(SandboxError::Start)?;
    let _ = rustix::net::send(control, b"x", SendFlags::NOSIGNAL);
    Ok(())
}

/// What clone(2) is asked for. A new cgroup namespace begins at the group a process is in, so process 1 makes that itself
/// once it is in its own.
const fn flag(namespace: Namespace) -> i32 {
    match namespace {
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Uts => libc::CLONE_NEWUTS,
        Namespace::Network => libc::CLONE_NEWNET,
        Namespace::Cgroup => 0,
    }
}

fn follow(
    order: &Order,
    key: Option<&SessionKey>,
    control: &OwnedFd,
    pid: Pid,
    groups: &mut Option<Groups>,
) -> Result<Option<OwnedFd>, SandboxError> {
    if let Some(plan) = &order.plan.cgroup {
        let pid = pid.as_raw_nonzero().get().cast_unsigned();
        Groups::create(plan, pid, groups.insert(Groups::default()))?;
    }
    // It may have failed already; then the socket has its reason.
    let asked = Message::Go.send(control).and_then(|()| key.map_or(Ok(()), |key| key.send(control)));
    let mut terminal = None;
    let mut reset = false;
    loop {
        match Message::receive(control) {
            // It ended with our word unread, which is told before what it said itself.
            Err(Errno::CONNRESET) if !reset => reset = true,
            Ok(Some((Message::Terminal, descriptor))) => terminal = descriptor,
            Ok(Some((Message::Failed(error), _))) => return Err(SandboxError::Start(error)),
            Ok(Some((Message::Running, _))) => return Ok(terminal),
            Ok(Some(_)) => return Err(SandboxError::supervisor("read the control socket")(Errno::PROTO)),
            Ok(None) | Err(Errno::CONNRESET) => {
                asked.map_err(SandboxError::supervisor("start process 1"))?;
                return Err(SandboxError::Vanished);
            }
            Err(errno) => return Err(SandboxError::supervisor("read the control socket")(errno)),
        }
    }
}

/// How this program's file is to be executed once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenAs {
    Mounted,
    File,
}

/// Whether everybody may read and execute it.
fn for_everybody(program: &Program) -> bool {
    let (Program::Mounted { own, .. } | Program::File(own)) = program;
    rustix::fs::fstat(own).is_ok_and(|stat| stat.st_mode & 0o005 == 0o005)
}

fn own_program(how: OpenAs) -> std::io::Result<Program> {
    let (path, own) = own::opened()?;
    Ok(match how {
        OpenAs::Mounted => Program::Mounted { path, own },
        OpenAs::File => Program::File(own),
    })
}

/// Bytes as a sealed file in memory, to be read from the start.
pub(crate) fn memory(name: &str, bytes: &[u8]) -> Result<OwnedFd, SandboxError> {
    let failed = SandboxError::supervisor::<std::io::Error>("make a file in memory");
    let make = || {
        let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = fs_err::File::from_parts(fd.into(), name);
        file.write_all(bytes)?;
        std::io::Seek::rewind(&mut file)?;
        seal(&file)?;
        Ok(file.into_parts().0.into())
    };
    make().map_err(failed)
}

fn seal(file: impl AsFd) -> rustix::io::Result<()> {
    rustix::fs::fcntl_add_seals(
        file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )
}

/// This program's own file as a sealed copy in memory: whoever gets hold of process 1's `/proc/PID/exe` can change nothing.
fn sealed_program() -> Result<OwnedFd, SandboxError> {
    let copy = || -> std::io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // From Linux 6.3 on a policy may demand that a file in memory says that it is to be executed.
        let memory = match rustix::fs::memfd_create(INIT_NAME, flags | MemfdFlags::EXEC) {
            Err(Errno::INVAL) => rustix::fs::memfd_create(INIT_NAME, flags)?,
            result => result?,
        };
        let own = fs_err::File::open(own::held())?;
        let size = own.metadata()?.len();
        let mut copied = 0;
        while copied < size {
            let want = usize::try_from(size - copied).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(&memory, &own, None, want)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => copied += n as u64,
            }
        }
        seal(&memory)?;
        Ok(memory)
    };
    copy().map_err(SandboxError::supervisor("copy the program to memory"))
}

impl Streams {
    /// Those of this process.
    pub(crate) fn inherited() -> rustix::io::Result<Self> {
        let copy = |stream| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        Ok(Self {
            stdin: copy(rustix::stdio::stdin())?,
            stdout: copy(rustix::stdio::stdout())?,
            stderr: copy(rustix::stdio::stderr())?,
        })
    }

    /// None.
    pub(crate) fn null() -> rustix::io::Result<Self> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let copy = || rustix::io::fcntl_dupfd_cloexec(&null, 3);
        Ok(Self { stdin: copy()?, stdout: copy()?, stderr: copy()? })
    }
}
