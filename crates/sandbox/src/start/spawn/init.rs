//! Process 1: makes the file system, starts the program, reaps, passes signals on, runs the relay, and ends with the
//! program. It has no capability and the same filter as the program once that runs; the program cannot look into it,
//! because it is not dumpable and belongs to the outer user namespace.

use std::convert::Infallible;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use pinfold_network::Upstream;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::process::DumpableBehavior;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use rustix::pty::OpenptFlags;

use super::INIT_NAME;
use super::Message;
use super::ORDER;
use super::Order;
use super::StreamKind;
use super::TREES;
use super::relay;
use crate::plan::Namespace;
use crate::plan::Proof;
use crate::spec::EGRESS_SOCKET;
use crate::start::key::SessionKey;
use crate::start::proof;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::sys::Forked;
use crate::start::trees::Trees;
use crate::start::walls::seccomp::Filter;
use crate::types::Exit;

/// Never returns: either the program ended, or the error has been sent.
pub(crate) fn main(control: &OwnedFd) -> ! {
    let error = match start(control) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let _ = Message::Failed(error).send(control);
    sys::exit_now(125)
}

fn start(control: &OwnedFd) -> Result<Infallible, StepError> {
    let _ = rustix::thread::set_name(INIT_NAME);
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::DeathSignal)?;
    let order = read_order()?;
    let plan = &order.plan;
    // Waiting for the word also notices a supervisor that died before the signal was set.
    match Message::receive(control).at(Step::ReadPlan)? {
        Some((Message::Go, _)) => {}
        _ => sys::exit_now(125),
    }
    if plan.namespaces.contains(&Namespace::Cgroup) {
        sys::new_cgroup_namespace().at(Step::CgroupNamespace)?;
    }
    if plan.guards.nested_namespaces.holds() {
        // Counted over all descendants of the outer namespace: the inner one is the first and last.
        write_file("/proc/sys/user/max_user_namespaces", b"1").at(Step::NestedNamespaces)?;
    }
    if plan.namespaces.contains(&Namespace::Network) {
        // Nothing outside sees these ports; servers listen on 80 without a capability, as in containers of podman.
        write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", b"0").at(Step::LowPorts)?;
    }
    crate::start::mounts::enter(plan, &order.paths, opened(&order)?)?;
    if plan.namespaces.contains(&Namespace::Network) {
        sys::loopback_up().at(Step::Loopback)?;
    }
    if plan.namespaces.contains(&Namespace::Uts) {
        rustix::system::sethostname(plan.hostname.as_bytes()).on(Step::Hostname, &plan.hostname)?;
    }
    if plan.guards.network_proof.holds() && plan.proof == Proof::NoNetwork {
        proof::no_network()?;
    }
    let terminal = match order.streams {
        StreamKind::Given { null } => {
            own_null(null).on(Step::Descriptors, "/dev/null")?;
            None
        }
        StreamKind::Terminal { rows, columns } => Some(open_terminal(control, rows, columns)?),
    };
    let relay = relay::bind(&Upstream::Socket(EGRESS_SOCKET.into()), &plan.listens)?;
    if let Some(path) = &plan.key {
        // Last of what can be refused.
        match SessionKey::receive(control).at(Step::SessionKey)? {
            Some(key) => key.place(path)?,
            None => sys::exit_now(125),
        }
    }
    let filter = Filter::compile(plan.debug)
        .map_err(|error| StepError::new(Step::Seccomp, error.to_string(), Errno::INVAL))?;

    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Fork)?;
    let (gate, open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Fork)?;
    let program = match sys::fork_single_threaded().at(Step::Fork)? {
        Forked::Child => {
            drop((read, open));
            super::program::main(plan, terminal, &filter, &write, &gate)
        }
        Forked::Parent(pid) => pid,
    };
    drop((write, gate));
    drop(terminal);
    harden(&order, &filter)?;
    // Threads before the program runs: one that makes processes up to the limit would leave none for them.
    relay::spawn(relay)?;
    let listener = rustix::io::fcntl_dupfd_cloexec(control, 3).at(Step::Fork)?;
    std::thread::Builder::new()
        .name("control".into())
        .stack_size(64 << 10)
        .spawn(move || listen(&listener, program))
        .at(Step::Fork)?;
    rustix::io::write(&open, b"x").at(Step::Fork)?;

    let mut report = Vec::new();
    fs_err::File::from_parts(read.into(), "report").read_to_end(&mut report).at(Step::Fork)?;
    if !report.is_empty() {
        return Err(
            serde_json::from_slice(&report).unwrap_or_else(|_| StepError::new(Step::Execute, "", Errno::IO))
        );
    }
    Message::Running.send(control).at(Step::Fork)?;
    drop(order);
    sys::settle();
    reap(control, program)
}

fn read_order() -> Result<Order, StepError> {
    let damaged =
        |error: &dyn std::fmt::Display| StepError::new(Step::ReadPlan, error.to_string(), Errno::INVAL);
    let file = sys::inherited(ORDER).at(Step::ReadPlan)?;
    let mut json = Vec::new();
    fs_err::File::from_parts(file.into(), "order").read_to_end(&mut json).map_err(|error| damaged(&error))?;
    serde_json::from_slice(&json).map_err(|error| damaged(&error))
}

/// What was opened for this process because it may not.
fn opened(order: &Order) -> Result<Option<Trees>, StepError> {
    let Some(targets) = &order.trees else { return Ok(None) };
    let root = sys::inherited(TREES).at(Step::OpenRoot)?;
    let mut mounts = Vec::new();
    for (number, target) in (TREES + 1..).zip(targets) {
        mounts.push((target.clone(), sys::inherited(number).on(Step::OpenMount, target.display())?));
    }
    Ok(Some(Trees { root, mounts, _exchanged: None }))
}

/// Passes signals on; ends everything when the supervisor is gone.
fn listen(control: &OwnedFd, program: Pid) {
    while let Ok(Some((message, _))) = Message::receive(control) {
        if let Message::Signal(number) = message
            && let Some(signal) = Signal::from_named_raw(i32::from(number))
            && rustix::process::kill_process_group(program, signal).is_err()
        {
            let _ = rustix::process::kill_process(program, signal);
        }
    }
    // Process 1 ending is how the kernel is asked to kill every process of the namespace.
    sys::exit_now(137)
}

/// Waits for every process that ends; with the program, process 1 ends too.
fn reap(control: &OwnedFd, program: Pid) -> ! {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => {
                let _ = Message::Exited(Exit::from_status(status)).send(control);
                sys::exit_now(0);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => sys::exit_now(125),
        }
    }
}

/// Gives up what process 1 needed to start: streams, capabilities, calls, and being looked at.
fn harden(order: &Order, filter: &Filter) -> Result<(), StepError> {
    let plan = &order.plan;
    // The ends of pipes that the program was given must close when the program closes them.
    own_null([true; 3]).on(Step::Descriptors, "/dev/null")?;
    if plan.guards.hidden_init.holds() {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::Capabilities)?;
    }
    crate::plan::limits::Rlimit { resource: crate::plan::limits::Limited::Core, value: 0 }
        .apply()
        .on(Step::Rlimits, "RLIMIT_CORE")?;
    if plan.guards.capabilities.holds() {
        crate::start::walls::caps::drop_all().at(Step::Capabilities)?;
    }
    if plan.guards.no_new_privileges.holds() {
        rustix::thread::set_no_new_privs(true).at(Step::NoNewPrivileges)?;
    }
    // Giving up capabilities can clear it; the control socket's end covers the time in between.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::DeathSignal)?;
    if plan.guards.seccomp.holds() {
        filter.install().map_err(|error| StepError::new(Step::Seccomp, error.to_string(), Errno::INVAL))?;
    }
    Ok(())
}

/// Puts `/dev/null`, as it is found here, where the streams say so.
pub(super) fn own_null(streams: [bool; 3]) -> rustix::io::Result<()> {
    if streams == [false; 3] {
        return Ok(());
    }
    let open = |access| rustix::fs::open("/dev/null", access | OFlags::CLOEXEC, Mode::empty());
    let [stdin, stdout, stderr] = streams;
    if stdin {
        // gVisor's kernel lets nobody write to a device of a directory that is read-only.
        rustix::stdio::dup2_stdin(open(OFlags::RDONLY)?)?;
    }
    if !(stdout || stderr) {
        return Ok(());
    }
    let null = open(OFlags::RDWR)?;
    if stdout {
        rustix::stdio::dup2_stdout(&null)?;
    }
    if stderr {
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(())
}

/// For some file systems of terminals the node beside them is the one that everybody may open.
fn open_ptmx(path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

/// A terminal of the sandbox's own `/dev/pts`: its master and its slave.
pub(crate) fn terminal(rows: u16, columns: u16) -> Result<(OwnedFd, OwnedFd), StepError> {
    let master =
        open_ptmx("/dev/pts/ptmx").or_else(|_| open_ptmx("/dev/ptmx")).on(Step::Terminal, "/dev/ptmx")?;
    rustix::pty::unlockpt(&master).at(Step::Terminal)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = match rustix::pty::ioctl_tiocgptpeer(&master, flags) {
        // gVisor's kernel knows the other end by its name alone.
        Err(Errno::NOTTY | Errno::INVAL) => rustix::pty::ptsname(&master, Vec::new()).and_then(|name| {
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
        }),
        result => result,
    }
    .at(Step::Terminal)?;
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&slave, size).at(Step::Terminal)?;
    Ok((master, slave))
}

/// The same: its master goes to the supervisor, the slave is returned.
pub(super) fn open_terminal(control: &OwnedFd, rows: u16, columns: u16) -> Result<OwnedFd, StepError> {
    let (master, slave) = terminal(rows, columns)?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [master.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(
        control,
        &[rustix::io::IoSlice::new(&Message::Terminal.encode())],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )
    .at(Step::Terminal)?;
    Ok(slave)
}

fn write_file(path: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes).map(drop)
}
