//! What this machine's kernel says of a sealed sandbox's worker: `/proc` of the host, by the process that runs it.
//!
//! The worker is found by the image it runs from: the process whose root is not ours and whose words name the sandbox. It can lie about
//! neither its ids, filters and namespaces nor its files.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec;

use super::Row;
use super::Standing;

/// Processes that are looked at.
const PROCESSES: usize = 100_000;

/// The rows.
pub(super) fn rows(spec: &Spec) -> Vec<Row> {
    match worker(spec) {
        None => vec![Row::new(
            "outside.process",
            Standing::Gap,
            "no process of this machine is the worker: it has another kernel, or is another user's",
        )],
        Some(process) => look(&process),
    }
}

/// The folder of the worker's process in `/proc`.
fn worker(spec: &Spec) -> Option<PathBuf> {
    let program = spec.args.first()?.to_string_lossy().into_owned();
    let own = fs::read_link("/proc/self/ns/mnt").ok()?;
    for entry in fs::read_dir("/proc").ok()?.take(PROCESSES).flatten() {
        let folder = entry.path();
        let words = fs::read(folder.join("cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        if words.next().is_none_or(|word| word != program) {
            continue;
        }
        let rest: Vec<String> = words.map(std::borrow::Cow::into_owned).collect();
        let is_named = rest.windows(2).any(|pair| pair == ["--id", spec.name.as_str()]);
        if is_named && fs::read_link(folder.join("ns/mnt")).is_ok_and(|space| space != own) {
            return Some(folder);
        }
    }
    None
}

/// What there is to see of a process.
fn look(process: &Path) -> Vec<Row> {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let network = fs::read_to_string(process.join("net/dev")).ok();
    let mut rows = judge(&status, network.as_deref());
    let key = process.join("root").join(spec::SESSION_KEY.trim_start_matches('/'));
    rows.push(match fs::symlink_metadata(&key) {
        Ok(_) => Row::new("outside.key-gone", Standing::Fail, format!("{} is there", spec::SESSION_KEY)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Row::new("outside.key-gone", Standing::Pass, format!("{} is gone", spec::SESSION_KEY))
        }
        Err(error) => Row::new("outside.key-gone", Standing::Gap, error.kind().to_string()),
    });
    rows
}

/// `/proc/PID/status` and `/proc/PID/net/dev`.
fn judge(status: &str, network: Option<&str>) -> Vec<Row> {
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let wants = |row: &str, name: &str, holds: &dyn Fn(&str) -> bool| match field(name) {
        Some(value) if holds(value) => {
            Row::new(row, Standing::Pass, format!("{name} {value}").replace('\t', " "))
        }
        Some(value) => Row::new(row, Standing::Fail, format!("{name} {value}").replace('\t', " ")),
        None => Row::new(row, Standing::Gap, format!("the kernel does not tell {name}")),
    };
    let mut rows = vec![
        wants("outside.no-new-privileges", "NoNewPrivs", &|value| value == "1"),
        wants("outside.filter", "Seccomp", &|value| value == "2"),
        wants("outside.capabilities", "CapEff", &|value| value.bytes().all(|byte| byte == b'0')),
        wants("outside.bounding-set", "CapBnd", &|value| value.bytes().all(|byte| byte == b'0')),
    ];
    rows.push(match network {
        None => Row::new("outside.interfaces", Standing::Gap, "they cannot be read"),
        Some(text) => {
            let names: Vec<&str> =
                text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()).collect();
            let is_ours = |name: &&&str| **name == "lo" || TUNNELS.contains(*name);
            match names.iter().find(|name| !is_ours(name)) {
                Some(name) => Row::new("outside.interfaces", Standing::Fail, format!("there is {name}")),
                None => Row::new("outside.interfaces", Standing::Pass, names.join(" ")),
            }
        }
    });
    rows
}

/// What the kernel makes in each namespace by itself, down, where the modules are there.
const TUNNELS: [&str; 9] =
    ["tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"];

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tsandbox\nNoNewPrivs:\t1\nSeccomp:\t2\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n";
    const NETWORK: &str = "Inter-|   Receive\n face |bytes\n    lo:       0       0\n";

    fn failed(status: &str, network: &str) -> Vec<String> {
        let rows = judge(status, Some(network)).into_iter();
        rows.filter(|row| row.verdict == Standing::Fail).map(|row| row.name).collect()
    }

    #[test]
    fn each_wall_that_is_down_is_seen_from_outside() {
        assert_eq!(failed(STATUS, NETWORK), [""; 0]);
        for (from, to, row) in [
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "outside.no-new-privileges"),
            ("Seccomp:\t2", "Seccomp:\t0", "outside.filter"),
            ("CapEff:\t0000000000000000", "CapEff:\t000001ffffffffff", "outside.capabilities"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000001", "outside.bounding-set"),
        ] {
            assert_eq!(failed(&STATUS.replace(from, to), NETWORK), [row]);
        }
        assert_eq!(failed(STATUS, &format!("{NETWORK}  eth0: 0\n")), ["outside.interfaces"]);
        assert!(judge("", None).iter().all(|row| row.verdict == Standing::Gap));
    }
}
