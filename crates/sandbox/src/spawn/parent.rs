//! The supervisor's side of a start.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::process::Stdio as ProcessStdio;
use std::sync::OnceLock;

use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::process::Pid;
use rustix::process::WaitOptions;

use super::INIT_NAME;
use super::Message;
use super::Order;
use crate::error::SandboxError;
use crate::limits::Groups;
use crate::plan::Guard;
use crate::sys;
use crate::sys::Environment;
use crate::sys::Streams;

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

/// Starts the copy and follows it until the program runs.
pub(crate) fn start(order: &Order, streams: Streams) -> Result<Started, SandboxError> {
    let (control, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(SandboxError::supervisor("make a control socket"))?;
    let json = serde_json::to_vec(order)
        .map_err(|error| SandboxError::Supervisor { action: "write the plan", source: error.into() })?;
    let memory = memory("plan", &json)?;
    let program = if order.plan.guarded(Guard::SealedProgram) {
        sealed_program()?.as_fd().try_clone_to_owned()
    } else {
        fs_err::File::open("/proc/self/exe").map(|file| file.into_parts().0.into())
    }
    .map_err(SandboxError::supervisor("open the program's own file"))?;
    let mut child = sys::spawn_copy(
        program.as_fd(),
        INIT_NAME,
        Environment::Empty,
        streams,
        &[theirs.as_fd(), memory.as_fd()],
    )
    .map_err(SandboxError::supervisor("start the intermediate process"))?;
    drop(theirs);

    let (mut init, mut groups) = (None, None);
    let result = follow(order, &control, child.id(), &mut init, &mut groups);
    // It has ended, or does so once its end of the socket is closed. Groups can only be removed after that.
    match result {
        Ok(terminal) => {
            let _ = child.wait();
            let pid = init.ok_or(SandboxError::Vanished)?;
            Ok(Started { pid, control, terminal, groups })
        }
        Err(error) => {
            drop(control);
            let _ = child.wait();
            if let Some(pid) = init {
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            }
            Err(error)
        }
    }
}

fn follow(
    order: &Order,
    control: &OwnedFd,
    intermediate: u32,
    init: &mut Option<Pid>,
    groups: &mut Option<Groups>,
) -> Result<Option<OwnedFd>, SandboxError> {
    if let Some(plan) = &order.plan.cgroup {
        Groups::create(plan, intermediate, groups.insert(Groups::default()))?;
    }
    Message::Go.send(control).map_err(SandboxError::supervisor("start the intermediate process"))?;
    let mut terminal = None;
    loop {
        let message = match Message::receive(control) {
            Ok(Some(message)) => message,
            Ok(None) | Err(Errno::CONNRESET) => return Err(SandboxError::Vanished),
            Err(errno) => return Err(SandboxError::supervisor("read the control socket")(errno)),
        };
        match message {
            (Message::Init(pid), _) => *init = Pid::from_raw(pid.cast_signed()),
            (Message::Terminal, descriptor) => terminal = descriptor,
            (Message::Failed(error), _) => return Err(SandboxError::Start(error)),
            (Message::Running, _) if init.is_some() => return Ok(terminal),
            // Process 1 and the intermediate write to the same socket: its id may come after its first words.
            (Message::Running, _) => match Message::receive(control) {
                Ok(Some((Message::Init(pid), _))) => {
                    *init = Pid::from_raw(pid.cast_signed());
                    return Ok(terminal);
                }
                _ => return Err(SandboxError::Vanished),
            },
            _ => return Err(SandboxError::supervisor("read the control socket")(Errno::PROTO)),
        }
    }
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

/// This program's own file, copied to memory once and sealed: whoever gets hold of process 1's `/proc/PID/exe` can change
/// nothing (CVE-2019-5736).
pub(crate) fn sealed_program() -> Result<&'static OwnedFd, SandboxError> {
    static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(program) = PROGRAM.get() {
        return Ok(program);
    }
    let copy = || -> std::io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // From Linux 6.3 on a policy may demand that a file in memory says that it is to be executed.
        let memory = match rustix::fs::memfd_create(INIT_NAME, flags | MemfdFlags::EXEC) {
            Err(Errno::INVAL) => rustix::fs::memfd_create(INIT_NAME, flags)?,
            result => result?,
        };
        let own = fs_err::File::open("/proc/self/exe")?;
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
    let memory = copy().map_err(SandboxError::supervisor("copy the program to memory"))?;
    Ok(PROGRAM.get_or_init(|| memory))
}

impl Streams {
    /// Those of this process.
    pub(crate) fn inherited() -> Self {
        Self {
            stdin: ProcessStdio::inherit(),
            stdout: ProcessStdio::inherit(),
            stderr: ProcessStdio::inherit(),
        }
    }

    /// None.
    pub(crate) fn null() -> Self {
        Self { stdin: ProcessStdio::null(), stdout: ProcessStdio::null(), stderr: ProcessStdio::null() }
    }
}
