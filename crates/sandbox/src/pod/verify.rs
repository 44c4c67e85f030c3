//! What stands around a pod's program, measured from inside by a process that the kubelet has started beside it.
//!
//! ```text
//!   of this process    what the container gives everybody: user, capabilities, new privileges, a filter, the root
//!   of the program     and of all that it has started: our filter on top of that one
//!   of a child         that enters the program's walls and looks for the token
//!   of the network     that the proxy answers, and nothing else
//! ```
//!
//! **Guarantees**: a row passes for what was seen, never for what was configured; what this kernel cannot have is a gap, and says what
//! that means. It changes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::error::one_line;
use pinfold_network::Endpoint;
use rustix::fs::StatVfsMountFlags;
use rustix::process::WaitOptions;
use serde::Deserialize;
use serde::Serialize;

use super::PodError;
use super::PodTask;
use super::egress;
use super::egress::Round;
use super::egress::Surroundings;
use super::proxy::Way;
use super::read_bounded;
use super::run;
use super::run::Walls;
use crate::start::sys;
use crate::start::sys::Forked;
use crate::start::walls::landlock;

/// What a cluster puts into pods that did not say no.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Processes that are looked at.
const MAX_PROCESSES: usize = 4096;
/// Bytes of a process's own files.
const MAX_STATUS: usize = 64 << 10;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodVerdict {
    /// As it should.
    Pass,
    /// Not so.
    Fail,
    /// This node cannot have it, or it was accepted.
    Gap,
}

impl PodVerdict {
    /// For a table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Gap => "GAP",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRow {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub verdict: PodVerdict,
    /// What was seen.
    pub seen: String,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodReport {
    /// In the order they were looked at.
    pub rows: Vec<PodRow>,
}

impl PodReport {
    /// Whether something does not stand as it should.
    pub fn failed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == PodVerdict::Fail)
    }

    fn row(&mut self, name: &str, (verdict, seen): Seen) {
        self.rows.push(PodRow { name: name.to_owned(), verdict, seen });
    }
}

type Seen = (PodVerdict, String);

fn pass(seen: impl Into<String>) -> Seen {
    (PodVerdict::Pass, seen.into())
}

fn fail(seen: impl Into<String>) -> Seen {
    (PodVerdict::Fail, seen.into())
}

fn gap(seen: impl Into<String>) -> Seen {
    (PodVerdict::Gap, seen.into())
}

/// Looks at the pod that this process is in. The caller has no threads.
pub fn verify(config: &Path) -> PodReport {
    let mut report = PodReport::default();
    let own = Status::of("self");
    report.row("process-1", process_1());
    report.row("user", user(own.as_ref()));
    report.row("capabilities", capabilities(own.as_ref()));
    report.row("no-new-privileges", own.as_ref().map_or_else(unseen, no_new_privileges));
    report.row("runtime-filter", own.as_ref().map_or_else(unseen, runtime_filter));
    report.row("program-filter", program_filter(own.as_ref()));
    report.row("root", root());
    report.row("user-namespace", user_namespace());
    report.row("service-account", service_account());
    let task = run::read(config).and_then(|task| Ok((Walls::plan(&task, &BTreeSet::new())?, task)));
    let (walls, task) = match task {
        Ok(read) => read,
        Err(error) => {
            report.row("task", fail(one_line(&error)));
            return report;
        }
    };
    report.row("task", pass(config.display().to_string()));
    // Before anything makes a thread.
    report.row("token", token(&task, &walls));
    report.row(
        "landlock",
        match sys::landlock_abi() {
            Some(abi) => pass(format!("ABI {abi}")),
            None => gap("this kernel has none: files are as the container has them, and the program can read its token"),
        },
    );
    report.row("relay", relay(&task));
    report.row("proxy", proxy(&task));
    let (asked, accepted) = network(&task);
    report.row("egress", asked);
    if let Some(accepted) = accepted {
        report.row("egress-accepted", accepted);
    }
    report
}

fn unseen() -> Seen {
    fail("`/proc` does not say")
}

/// The lines of `/proc/PID/status` (proc_pid_status(5)).
#[derive(Debug)]
struct Status(BTreeMap<String, String>);

impl Status {
    fn of(process: &str) -> Option<Self> {
        let path = Path::new("/proc").join(process).join("status");
        Some(Self::parse(&String::from_utf8_lossy(&read_bounded(&path, MAX_STATUS).ok()?)))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.text(name).parse().ok()
    }

    fn is_zero(&self, name: &str) -> bool {
        let text = self.text(name);
        !text.is_empty() && text.bytes().all(|byte| byte == b'0')
    }
}

fn process_1() -> Seen {
    let Ok(bytes) = read_bounded(Path::new("/proc/1/cmdline"), MAX_STATUS) else { return unseen() };
    let words: Vec<String> =
        bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let own = fs_err::read_link("/proc/self/exe").unwrap_or_default();
    let is_own = words.first().is_some_and(|word| Path::new(word) == own);
    if !is_own
        || words.get(1).map(String::as_str) != Some("pod")
        || words.get(2).map(String::as_str) != Some("run")
    {
        let said = words.join(" ");
        return fail(format!("process 1 is `{}`, not `{} pod run`", said.trim(), own.display()));
    }
    // What it has in its memory is for nobody's eyes.
    match fs_err::File::open("/proc/1/environ") {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => pass("`pod run`, hidden"),
        Err(error) => fail(error.to_string()),
        // As in gVisor: what hides a process there is what keeps it from its files, and there is neither.
        Ok(_) if sys::landlock_abi().is_none() => {
            gap("`pod run`; this kernel hides no process from another of the same user")
        }
        Ok(_) => fail("`pod run`, and its memory can be looked at"),
    }
}

fn user(status: Option<&Status>) -> Seen {
    let Some(status) = status else { return unseen() };
    let ids: Vec<&str> = status.text("Uid").split_whitespace().collect();
    match ids.first() {
        Some(id) if !ids.contains(&"0") => pass(*id),
        Some(_) => fail("root"),
        None => unseen(),
    }
}

fn capabilities(status: Option<&Status>) -> Seen {
    let Some(status) = status else { return unseen() };
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let held: Vec<String> = sets
        .iter()
        .filter(|set| !status.is_zero(set))
        .map(|set| format!("{set} {}", status.text(set)))
        .collect();
    if held.is_empty() { pass("none, in no set") } else { fail(held.join(", ")) }
}

fn no_new_privileges(status: &Status) -> Seen {
    match status.text("NoNewPrivs") {
        "1" => pass("1"),
        other => fail(format!("NoNewPrivs is `{other}`: `allowPrivilegeEscalation: false` is missing")),
    }
}

fn runtime_filter(status: &Status) -> Seen {
    match status.text("Seccomp") {
        "2" => pass("mode 2"),
        other => fail(format!("Seccomp is `{other}`: `seccompProfile` is not `RuntimeDefault`")),
    }
}

/// Of each process that comes from process 1.
fn program_filter(own: Option<&Status>) -> Seen {
    let Some(own) = own else { return unseen() };
    let Ok(entries) = fs_err::read_dir("/proc") else { return unseen() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let ids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let all: BTreeMap<u32, Status> =
        ids.take(MAX_PROCESSES).filter_map(|id| Some((id.parse().ok()?, Status::of(&id)?))).collect();
    let comes_from_1 = |mut id: u32| {
        for _ in 0..all.len() {
            match all.get(&id).and_then(|status| status.number("PPid")) {
                Some(1) => return true,
                Some(parent) if parent != 0 => id = parent,
                _ => return false,
            }
        }
        false
    };
    let mut seen = 0;
    for (id, status) in all.iter().filter(|(id, _)| comes_from_1(**id)) {
        seen += 1;
        let name = status.text("Name");
        if status.text("Seccomp") != "2" || status.text("NoNewPrivs") != "1" {
            return fail(format!("process {id}, `{name}`, has no filter, or may gain privileges"));
        }
        // Newer than some kernels (Linux 5.10). What waits to be reaped has no filters any more.
        if let (Some(filters), Some(given)) =
            (status.number("Seccomp_filters"), own.number("Seccomp_filters"))
            && filters <= given
            && !status.text("State").starts_with('Z')
        {
            return fail(format!("process {id}, `{name}`, has the container's filter alone"));
        }
    }
    match seen {
        0 => fail("there is no program: process 1 has no child"),
        1 => pass("the program's one process"),
        seen => pass(format!("all of the program's {seen} processes")),
    }
}

fn root() -> Seen {
    match rustix::fs::statvfs("/") {
        Ok(stat) if stat.f_flag.contains(StatVfsMountFlags::RDONLY) => pass("read-only"),
        Ok(_) => fail("can be written to: `readOnlyRootFilesystem: true` is missing"),
        Err(errno) => fail(std::io::Error::from(errno).to_string()),
    }
}

fn user_namespace() -> Seen {
    let Ok(bytes) = read_bounded(Path::new("/proc/self/uid_map"), MAX_STATUS) else { return unseen() };
    let map = String::from_utf8_lossy(&bytes);
    let fields: Vec<&str> = map.split_whitespace().collect();
    match fields[..] {
        ["0", "0", "4294967295"] => gap("the node's own: `hostUsers: false` would give the pod one"),
        ["0", outside, ..] => pass(format!("its root is {outside} outside")),
        _ => pass(fields.join(" ")),
    }
}

fn service_account() -> Seen {
    match fs_err::symlink_metadata(ACCOUNT) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => pass("no token"),
        Err(error) => fail(error.to_string()),
        Ok(_) => fail(format!("`{ACCOUNT}` is there: `automountServiceAccountToken: false` is missing")),
    }
}

/// A child enters the program's walls and looks whether it can read what is process 1's.
fn token(task: &PodTask, walls: &Walls) -> Seen {
    let files: [PathBuf; 2] = [task.proxy.token.clone(), task.proxy.ca.clone()];
    if let Some(file) = files.iter().find(|file| fs_err::File::open(file).is_err()) {
        return fail(format!("`{}` cannot be read by process 1 either", file.display()));
    }
    let child = match sys::fork_single_threaded() {
        Err(errno) => return fail(std::io::Error::from(errno).to_string()),
        Ok(Forked::Parent(child)) => child,
        Ok(Forked::Child) => {
            let entered = walls.program.as_ref().is_none_or(|domain| landlock::enter(domain).is_ok());
            if !entered || walls.filter.install().is_err() {
                sys::exit_now(9);
            }
            let can = files.iter().any(|file| fs_err::File::open(file).is_ok());
            sys::exit_now(i32::from(can))
        }
    };
    let code = loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(Some((_, status))) => break status.exit_status(),
            _ => break None,
        }
    };
    match (code, &walls.program) {
        (Some(0), _) => pass("not to be read behind the program's walls"),
        (Some(1), None) => gap(
            "can be read by the program: this kernel has no Landlock. It is worth this sandbox's own rights",
        ),
        (Some(1), Some(_)) => fail("can be read behind the program's walls"),
        _ => fail("the program's walls cannot be entered"),
    }
}

fn relay(task: &PodTask) -> Seen {
    let reached = |at: &Endpoint| match at {
        Endpoint::Port(port) => std::net::TcpStream::connect(("127.0.0.1", *port)).map(drop),
        Endpoint::Socket(path) | Endpoint::Alias(path) => pinfold_base::socket::connect(path).map(drop),
    };
    let silent = task.listens.iter().find_map(|listen| Some((&listen.at, reached(&listen.at).err()?)));
    match silent {
        Some((at, error)) => fail(format!("nobody listens on {at}: {error}")),
        None => pass(format!("listens at {} places", task.listens.len())),
    }
}

fn proxy(task: &PodTask) -> Seen {
    match Way::open(&task.proxy).and_then(|way| way.prove()) {
        Ok(()) => pass("answers this pod's token"),
        Err(error) => fail(one_line(&error)),
    }
}

fn network(task: &PodTask) -> (Seen, Option<Seen>) {
    let targets = Surroundings::own().and_then(|around| egress::targets(task, &around));
    let (targets, accepted) = match targets.map_err(PodError::from) {
        Ok(targets) => targets,
        Err(error) => return (fail(one_line(&error)), None),
    };
    let round = |targets: &[egress::Target]| match egress::round(targets, egress::WAIT, None) {
        Ok(Round::Asked(open)) => Ok(open.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Ok(Round::Interrupted) => Ok(Vec::new()),
        Err(error) => Err(one_line(&PodError::from(error))),
    };
    let asked = match round(&targets) {
        Ok(open) if open.is_empty() => pass(format!("nothing of {} asked is reached", targets.len())),
        Ok(open) => fail(format!("reached: {}", open.join(", "))),
        Err(error) => fail(error),
    };
    let accepted = (!accepted.is_empty()).then(|| match round(&accepted) {
        Ok(open) if open.is_empty() => pass("nothing of what is accepted is reached"),
        Ok(open) => gap(format!("reached, as accepted: {}", open.join(", "))),
        Err(error) => fail(error),
    });
    (asked, accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        Status::parse(text)
    }

    /// As kernels print them (proc_pid_status(5)), and each with one thing wrong.
    #[test]
    fn a_container_is_judged_by_what_the_kernel_says_of_a_process() {
        let good = "Name:\tpinfold\nUid:\t1000\t1000\t1000\t1000\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
                    CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n\
                    Seccomp:\t2\nSeccomp_filters:\t1\n";
        let judge = |text: &str| {
            let status = status(text);
            [
                user(Some(&status)),
                capabilities(Some(&status)),
                no_new_privileges(&status),
                runtime_filter(&status),
            ]
            .map(|(verdict, _)| verdict)
        };
        assert_eq!(judge(good), [PodVerdict::Pass; 4]);
        for (index, from, to) in [
            (0, "1000\t1000\t1000\t1000", "1000\t0\t1000\t1000"),
            (0, "Uid:", "Pid:"),
            (1, "CapBnd:\t0000000000000000", "CapBnd:\t00000000a80425fb"),
            (1, "CapAmb:\t0000000000000000", "CapAmb:\t"),
            (2, "NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            (3, "Seccomp:\t2", "Seccomp:\t0"),
        ] {
            let mut expected = [PodVerdict::Pass; 4];
            expected[index] = PodVerdict::Fail;
            assert_eq!(judge(&good.replace(from, to)), expected, "{to}");
        }
        assert_eq!(user(None).0, PodVerdict::Fail);
    }
}
