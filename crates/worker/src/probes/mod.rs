//! The red team inside: what the worker itself, as its uid, can see and do in its sandbox. The host judges with what it knows.
//!
//! ```text
//!   {"probe"} ─► one function a row ─► {"probes": [{"name", "verdict": "pass" | "fail" | "gap", "seen"}]}
//! ```
//!
//! | file | rows |
//! |---|---|
//! | [`network`] | interfaces, routes, connections, sockets that are reached |
//! | [`files`] | what can be written, what is mounted, what is there that should not be |
//! | [`process`] | ids, capabilities, filters, other processes, calls that must fail |
//!
//! **Guarantees**: a row changes nothing that stays, waits at most half a second, and asks nothing of another machine: where an attempt
//! would lead out, its address is one that is nobody's (RFC 5737). **PASS**: it was tried and does not work. **FAIL**: it works.
//! **GAP**: it could not be tried here, or the kernel below does not say.

mod files;
mod network;
mod process;

use serde_json::Value;
use serde_json::json;

use crate::args::Args;
use crate::conversation::shortened;
use crate::pulse::Pulse;

/// Bytes of what one row tells.
const SEEN: usize = 400;
/// Paths of the host's choosing that must not be there.
const ABSENT: usize = 64;

/// How a row came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The wall holds; what was seen.
    Pass(String),
    /// It does not; what was seen.
    Fail(String),
    /// Nobody knows; why.
    Gap(String),
}

use Verdict::Fail;
use Verdict::Gap;
use Verdict::Pass;

/// What rows are given.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) args: &'a Args,
    pub(crate) pulse: &'a mut Pulse,
    /// Mount points that belong to the sandbox, where the host says so.
    pub(crate) mounts: Vec<String>,
    /// Whose sandbox it is, by the host's number.
    pub(crate) caller: Option<u64>,
    /// Paths of the host, and of other sandboxes.
    pub(crate) absent: Vec<String>,
}

type Row = (&'static str, fn(&mut Scene<'_>) -> Verdict);

/// All rows.
const ROWS: [Row; 35] = [
    ("net.interfaces", network::interfaces),
    ("net.routes", network::routes),
    ("net.tcp", network::tcp),
    ("net.udp", network::udp),
    ("net.dns", network::dns),
    ("net.loopback", network::loopback),
    ("net.abstract-sockets", network::abstract_sockets),
    ("net.raw", network::raw),
    ("net.netlink", network::netlink),
    ("model.other-path", network::other_path),
    ("model.other-host", network::other_host),
    ("socket.only-its-own", files::sockets),
    ("socket.engines", files::engines),
    ("queue.in-read-only", files::queue_in),
    ("queue.out-no-device", files::queue_out),
    ("root.read-only", files::read_only),
    ("mounts.only-those", files::mounts),
    ("mounts.no-exec", files::no_exec),
    ("key.file-gone", files::key),
    ("key.nowhere-in-proc", process::key_in_proc),
    ("host.paths-absent", files::absent),
    ("kernel.settings", files::settings),
    ("kernel.devices", files::devices),
    ("image.no-shell", files::shells),
    ("image.no-set-id", files::set_id),
    ("process.others-hidden", process::others),
    ("process.first-closed", process::first),
    ("process.not-root", process::ids),
    ("process.capabilities", process::capabilities),
    ("process.no-new-privileges", process::no_new_privileges),
    ("process.filter", process::filter),
    ("call.mount", process::mount),
    ("call.unshare", process::unshare),
    ("call.setns", process::setns),
    ("call.mknod", process::mknod),
];

/// Makes the rows that a message asks for: all, or those that are named.
pub(crate) fn run(list: &Value, args: &Args, pulse: &mut Pulse) -> Value {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let names = if list.is_array() { texts(list) } else { texts(&list["names"]) };
    let mut absent = texts(&list["absent"]);
    absent.truncate(ABSENT);
    let mut scene =
        Scene { args, pulse, mounts: texts(&list["mounts"]), caller: list["caller"].as_u64(), absent };
    let mut rows = Vec::new();
    for (name, row) in ROWS {
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        scene.pulse.beat();
        let (verdict, seen) = match row(&mut scene) {
            Pass(seen) => ("pass", seen),
            Fail(seen) => ("fail", seen),
            Gap(seen) => ("gap", seen),
        };
        rows.push(json!({ "name": name, "verdict": verdict, "seen": shortened(&seen, SEEN) }));
    }
    json!({ "probes": rows })
}

/// A small file of `/proc` or `/sys` as text.
fn read(path: &str) -> Result<String, rustix::io::Errno> {
    use rustix::fs::Mode;
    use rustix::fs::OFlags;
    let fd = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
        Mode::empty(),
    )?;
    let bytes = crate::beneath::read(&fd, 0, 256 << 10)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in a directory, at most 4096.
fn names(path: &str) -> Result<Vec<String>, rustix::io::Errno> {
    use rustix::fs::Mode;
    use rustix::fs::OFlags;
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&fd)?.take(4096) {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether an attempt failed, as it should.
fn refused<T>(what: &str, result: Result<T, rustix::io::Errno>) -> Verdict {
    match result.map(drop) {
        Ok(()) => Fail(format!("{what} works")),
        Err(rustix::io::Errno::NOSYS) => Pass(format!("{what}: no such call")),
        Err(error) => Pass(format!("{what}: {error}")),
    }
}

/// All of several attempts must have failed.
fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let (mut passed, mut gaps) = (Vec::new(), Vec::new());
    for verdict in verdicts {
        match verdict {
            Fail(seen) => return Fail(seen),
            Gap(seen) => gaps.push(seen),
            Pass(seen) => passed.push(seen),
        }
    }
    if passed.is_empty() && !gaps.is_empty() { Gap(gaps.join("; ")) } else { Pass(passed.join("; ")) }
}

#[cfg(test)]
mod tests;
