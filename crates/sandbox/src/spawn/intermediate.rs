//! The intermediate process: enters the outer user namespace and makes process 1 in the other new ones, as a child of the
//! supervisor, then ends.

use std::os::fd::OwnedFd;

use rustix::process::Signal;

use super::CONTROL;
use super::Message;
use super::ORDER;
use super::Order;
use crate::error::At;
use crate::error::Step;
use crate::error::StepError;
use crate::plan::Ids;
use crate::plan::Namespace;
use crate::sys;
use crate::sys::Forked;

/// Never returns.
pub(super) fn main() -> ! {
    let Ok(control) = sys::inherited(CONTROL) else { sys::exit_now(125) };
    if let Err(error) = start(&control) {
        let _ = Message::Failed(error).send(&control);
        sys::exit_now(125);
    }
    sys::exit_now(0)
}

/// Returns in the intermediate only.
fn start(control: &OwnedFd) -> Result<(), StepError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).at(Step::DeathSignal)?;
    let order = read_order()?;
    // Waiting for the word also notices a supervisor that died before the signal was set.
    match Message::receive(control).at(Step::ReadPlan)? {
        Some((Message::Go, _)) => {}
        _ => sys::exit_now(125),
    }
    sys::new_user_namespace().at(Step::OuterUserNamespace)?;
    let Ids { host_uid, host_gid, .. } = order.plan.ids;
    map_ids((0, host_uid), (0, host_gid), Step::OuterIdMap)?;
    let namespaces = order.plan.namespaces.iter().fold(0, |flags, namespace| flags | flag(*namespace));
    match sys::clone_sibling(namespaces).at(Step::Namespaces)? {
        Forked::Parent(pid) => {
            Message::Init(pid.as_raw_nonzero().get().cast_unsigned()).send(control).at(Step::Fork)
        }
        Forked::Child => super::init::main(&order, control),
    }
}

fn read_order() -> Result<Order, StepError> {
    let file = sys::inherited(ORDER).at(Step::ReadPlan)?;
    serde_json::from_reader(std::io::BufReader::new(fs_err::File::from_parts(file.into(), "order")))
        .map_err(|error| StepError::new(Step::ReadPlan, error.to_string(), rustix::io::Errno::INVAL))
}

const fn flag(namespace: Namespace) -> i32 {
    match namespace {
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Uts => libc::CLONE_NEWUTS,
        Namespace::Cgroup => libc::CLONE_NEWCGROUP,
        Namespace::Network => libc::CLONE_NEWNET,
    }
}

/// Maps one user and one group of the parent namespace into this process's own new one: (inside, outside).
pub(super) fn map_ids(user: (u32, u32), group: (u32, u32), step: Step) -> Result<(), StepError> {
    let write = |name: &str, text: String| {
        let path = format!("/proc/self/{name}");
        let file = rustix::fs::open(
            &path,
            rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .on(step, &path)?;
        rustix::io::write(&file, text.as_bytes()).map(drop).on(step, &path)
    };
    // Without this an ordinary user may not map groups: dropping a group could gain access (user_namespaces(7)).
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{} {} 1", user.0, user.1))?;
    write("gid_map", format!("{} {} 1", group.0, group.1))
}
