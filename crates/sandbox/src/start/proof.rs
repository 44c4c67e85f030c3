//! Process 1 proves from inside that nothing leads out of a sealed sandbox's network, before the program runs.
//!
//! What was asked of the kernel or of another runtime is one thing, what there is another: a namespace that was not made, or one
//! that somebody has put an interface into, is seen here.
//!
//! **Guarantees**: no interface but loopback is up, and no route leaves it, or the start fails and says what was seen. Interfaces
//! that are down are nothing: a kernel with modules for tunnels has some in every namespace (`sit0`, `tunl0`).

use std::io;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;

/// What of the kernel's tables is read.
const INTERFACES: &str = "/proc/net/dev";
const ROUTES: [(&str, Column); 2] =
    [("/proc/net/route", Column::First), ("/proc/net/ipv6_route", Column::Last)];

/// In which column of its table a route's interface stands (proc_net(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// With a line of headings before.
    First,
    /// Without.
    Last,
}

/// Refuses when a network can be seen.
pub(crate) fn no_network() -> Result<(), StepError> {
    let failed = |object: &str, error: &io::Error| StepError::io(Step::NoNetwork, object, error);
    let table = fs_err::read_to_string(INTERFACES).map_err(|error| failed(INTERFACES, &error))?;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| failed("a socket", &errno.into()))?;
    let mut seen = Vec::new();
    for name in interfaces(&table) {
        match sys::is_up(&socket, name) {
            Ok(false) | Err(Errno::NODEV) => {}
            Ok(true) => seen.push(format!("{name} is up")),
            Err(errno) => return Err(failed(name, &errno.into())),
        }
    }
    for (path, column) in ROUTES {
        match fs_err::read_to_string(path) {
            Ok(table) => {
                seen.extend(routes(&table, column).map(|name| format!("a route leads to {name}")));
            }
            // A kernel without that protocol.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path, &error)),
        }
    }
    seen.sort();
    seen.dedup();
    if seen.is_empty() { Ok(()) } else { Err(StepError::new(Step::NoNetwork, seen.join(", "), Errno::PERM)) }
}

/// Those of the table but loopback.
pub(crate) fn interfaces(table: &str) -> impl Iterator<Item = &str> {
    // Two lines of headings, in which a bar stands.
    let lines = table.lines().filter(|line| !line.contains('|'));
    lines.filter_map(|line| Some(line.split_once(':')?.0.trim())).filter(|name| *name != "lo")
}

/// The interfaces that routes lead to but loopback.
fn routes(table: &str, column: Column) -> impl Iterator<Item = &str> {
    let headings = usize::from(column == Column::First);
    table
        .lines()
        .skip(headings)
        .filter_map(move |line| match column {
            Column::First => line.split_whitespace().next(),
            Column::Last => line.split_whitespace().last(),
        })
        .filter(|name| *name != "lo")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel writes them: proc_net(5), and a machine with a network and the modules of tunnels.
    #[test]
    fn what_leads_out_is_found_in_the_kernels_tables() {
        const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
             lo:       0       0    0    0\n  eth0: 5 6 7 8\n  sit0:0 0\n";
        assert_eq!(interfaces(DEV).collect::<Vec<_>>(), ["eth0", "sit0"]);
        const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\teth0\n\
             lo\t0000007F\t00000000\t0001\t0\neth0\t00000000\t0100A8C0\t0003\t0\n";
        assert_eq!(routes(ROUTE, Column::First).collect::<Vec<_>>(), ["eth0"]);
        const ROUTE6: &str = "00000000000000000000000000000001 80 0 00 0 0 00000000 00000002 00000000 80200001       lo\n\
             fe80000000000000000000000000000 40 0 00 0 0 00000100 00000001 00000000 00000001     eth0\n";
        assert_eq!(routes(ROUTE6, Column::Last).collect::<Vec<_>>(), ["eth0"]);
        assert_eq!(routes("Iface\tDestination\n", Column::First).count(), 0);
    }
}
