//! The list of system calls the program may make: default deny, as data in `data/seccomp-ARCH.json`.
//!
//! ```text
//!   allow    what is let through; anything else is EPERM
//!   debug    added to `allow` when the policy lets debuggers work
//!   absent   what is answered ENOSYS, as on a kernel without it
//! ```
//!
//! The list has the names that container engines let through by default (`data/moby-calls.txt` is moby's table), less:
//! `ptrace` and its relatives, keyrings, `userfaultfd`, `io_uring`, `perf_event_open`, everything about mounts, namespaces
//! and modules, and whatever moby gives only with a capability, for there is none here. Arguments are looked at
//! where a call is needed but not all of it: no `clone` flag that makes a namespace, no `TIOCSTI` or `TIOCLINUX`, sockets of
//! four families only, and no set-id bits on files: what is written in the workspace is the host's, where such a program would
//! run as the user (systemd's `RestrictSUIDSGID` is the model). `memfd_create` and `seccomp` stay: JIT compilers and browsers need them.
//!
//! **Guarantees**: only the native calling convention; a call by another (32-bit) kills the process, x32 numbers are EPERM.
//! A call is allowed only if all filters allow it, so the program can add filters of its own and never take one away.

mod program;

use libc::sock_filter;
use rustix::io::Errno;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::json;

use crate::spec::Debug as Debugging;

#[cfg(target_arch = "x86_64")]
const LIST: &str = include_str!("../../../../data/seccomp-x86_64.json");
#[cfg(target_arch = "aarch64")]
const LIST: &str = include_str!("../../../../data/seccomp-aarch64.json");

/// `AUDIT_ARCH_…` of the native calling convention (linux/audit.h).
const CONVENTION: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

/// A filter that cannot be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The data is not a policy; a bug of ours.
    #[error("the system-call policy is damaged: {0}")]
    Damaged(String),
    /// The kernel refused it.
    #[error("the kernel refused the filter: {0}")]
    Install(#[from] Errno),
}

/// The data of one architecture.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallList<'a> {
    #[serde(borrow)]
    allow: Vec<CallRule<'a>>,
    debug: Vec<CallRule<'a>>,
    absent: Vec<CallRule<'a>>,
}

/// A call, and what its arguments must be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallRule<'a> {
    /// Its name, for people and for other runtimes.
    syscall: &'a str,
    /// Its number on this architecture.
    number: u32,
    /// All must hold; of several rules for one call, one must.
    #[serde(default)]
    args: Vec<Condition>,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
}

/// What one argument must be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    index: u32,
    #[serde(rename = "type")]
    width: Width,
    #[serde(rename = "op")]
    operation: Operation,
    #[serde(rename = "val")]
    value: u64,
    #[serde(default, rename = "comment")]
    _comment: IgnoredAny,
}

/// How much of an argument the kernel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Width {
    Dword,
    Qword,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Operation {
    #[serde(rename = "eq")]
    Equal,
    #[serde(rename = "ne")]
    NotEqual,
    #[serde(rename = "masked_eq")]
    MaskedEqual(u64),
}

/// The filter, ready to be installed.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<sock_filter>);

impl Filter {
    /// Compiles the policy of this architecture.
    pub(crate) fn compile(debug: Debugging) -> Result<Self, SeccompError> {
        let list = list(LIST)?;
        program::compile(&list, debug, CONVENTION).map(Self)
    }

    /// Installs it for this thread and its children. Sets `no_new_privs` as well.
    pub(crate) fn install(&self) -> Result<(), SeccompError> {
        rustix::thread::set_no_new_privs(true)?;
        Ok(crate::start::sys::install_filter(&self.0)?)
    }
}

fn list(text: &str) -> Result<CallList<'_>, SeccompError> {
    serde_json::from_str(text).map_err(|error| SeccompError::Damaged(error.to_string()))
}

/// The same policy in the words of the OCI runtime specification, for runtimes that use libseccomp.
///
/// libseccomp compares 64 bits where the kernel reads 32 of `ioctl`'s request, and cannot say "not equal under a mask". What
/// is let through is therefore written as the requests that differ from both forbidden ones in some bit.
pub(crate) fn oci(debug: Debugging) -> Result<Value, SeccompError> {
    let data: Value = serde_json::from_str(LIST).map_err(|error| SeccompError::Damaged(error.to_string()))?;
    let list = |name: &str| data[name].as_array().cloned().unwrap_or_default();
    let mut plain = Vec::new();
    let mut rules = Vec::new();
    let mut all = list("allow");
    if debug == Debugging::Allowed {
        all.extend(list("debug"));
    }
    for rule in &all {
        let name = &rule["syscall"];
        match (name.as_str(), rule["args"].as_array()) {
            (Some("ioctl"), _) => rules.extend(ioctl_rules()),
            (_, None) => plain.push(name.clone()),
            (_, Some(args)) => {
                let args: Vec<Value> = args.iter().map(oci_argument).collect();
                rules.push(json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args}));
            }
        }
    }
    rules.push(json!({"names": plain, "action": "SCMP_ACT_ALLOW"}));
    let absent: Vec<Value> = list("absent").iter().map(|rule| rule["syscall"].clone()).collect();
    rules.push(json!({"names": absent, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    let architecture = if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" };
    Ok(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": [architecture],
        "syscalls": rules,
    }))
}

fn oci_argument(argument: &Value) -> Value {
    let (index, value) = (&argument["index"], &argument["val"]);
    match &argument["op"] {
        Value::Object(op) => {
            json!({"index": index, "value": op["masked_eq"], "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"})
        }
        // Equality of 64 bits allows less than equality of 32, never more.
        _ => json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"}),
    }
}

/// Rules that together allow every request whose low 32 bits are neither TIOCSTI nor TIOCLINUX.
fn ioctl_rules() -> Vec<Value> {
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    let allow = |mask: u64, value: u64| {
        json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 1, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]})
    };
    let differ = TIOCSTI ^ TIOCLINUX;
    // A bit in which the two agree and the request does not.
    let common = (0..32).map(|bit| 1_u64 << bit).filter(|bit| differ & bit == 0);
    let mut rules: Vec<Value> = common.map(|bit| allow(bit, !TIOCSTI & bit)).collect();
    // All those bits agree: the remaining ones must be neither pattern.
    let mut pattern = differ;
    loop {
        if pattern != TIOCSTI & differ && pattern != TIOCLINUX & differ {
            rules.push(allow(0xffff_ffff, TIOCSTI & !differ | pattern));
        }
        if pattern == 0 {
            return rules;
        }
        pattern = (pattern - 1) & differ;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    use super::program::tests::Call;
    use super::program::tests::interpret;
    use super::*;

    fn names(text: &str) -> BTreeSet<String> {
        let data: serde_json::Value = serde_json::from_str(text).unwrap();
        let rules = data["allow"].as_array().unwrap();
        rules.iter().map(|rule| rule["syscall"].as_str().unwrap().to_owned()).collect()
    }

    /// What each architecture's file must never let through: calls that reach past the sandbox or into the kernel's less
    /// tested parts (the list of row P5).
    const NEVER: &[&str] = &[
        "_sysctl",
        "acct",
        "add_key",
        "bpf",
        "chroot",
        "clock_settime",
        "delete_module",
        "fanotify_init",
        "finit_module",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "get_mempolicy",
        "init_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "ioperm",
        "iopl",
        "kcmp",
        "kexec_file_load",
        "kexec_load",
        "keyctl",
        "lookup_dcookie",
        "mbind",
        "migrate_pages",
        "modify_ldt",
        "mount",
        "mount_setattr",
        "move_mount",
        "move_pages",
        "name_to_handle_at",
        "nfsservctl",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "pidfd_getfd",
        "pivot_root",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "query_module",
        "quotactl",
        "quotactl_fd",
        "reboot",
        "request_key",
        "set_mempolicy",
        "set_mempolicy_home_node",
        "setdomainname",
        "sethostname",
        "setns",
        "settimeofday",
        "swapoff",
        "swapon",
        "syslog",
        "umount2",
        "unshare",
        "uselib",
        "userfaultfd",
        "vhangup",
    ];

    #[test]
    fn nothing_dangerous_is_on_either_list() {
        for text in [
            include_str!("../../../../data/seccomp-x86_64.json"),
            include_str!("../../../../data/seccomp-aarch64.json"),
        ] {
            let names = names(text);
            let found: Vec<_> = NEVER.iter().filter(|name| names.contains(**name)).collect();
            assert!(found.is_empty(), "{found:?}");
        }
    }

    const LISTS: [(&str, u32, seccompiler::TargetArch); 2] = [
        (include_str!("../../../../data/seccomp-x86_64.json"), 0xc000_003e, seccompiler::TargetArch::x86_64),
        (
            include_str!("../../../../data/seccomp-aarch64.json"),
            0xc000_00b7,
            seccompiler::TargetArch::aarch64,
        ),
    ];

    /// Another compiler with a table of numbers of its own is the independent source: on both architectures, with and
    /// without debuggers, each call with telling arguments has the same end with its two filters as with our one.
    #[test]
    fn calls_end_as_with_another_compiler() {
        for (text, convention, arch) in LISTS {
            for debug in [Debugging::Denied, Debugging::Allowed] {
                let ours = program::compile(&list(text).unwrap(), debug, convention).unwrap();
                assert!(ours.len() < 600, "{} instructions", ours.len());
                let theirs = theirs(text, debug, arch);
                let mut allowed = 0;
                for call in calls(text, convention) {
                    let verdicts = theirs.iter().map(|program| interpret(program, &call));
                    // The more severe action has the smaller number, read as signed.
                    let expected = verdicts.min_by_key(|verdict| verdict.cast_signed()).unwrap();
                    assert_eq!(interpret(&ours, &call), expected, "{call:x?}");
                    allowed += usize::from(expected == 0x7fff_0000);
                }
                assert!(allowed > 10_000, "only {allowed} calls are allowed");
            }
        }
    }

    /// The list as two filters of seccompiler's: what is let through, and what is answered ENOSYS.
    fn theirs(text: &str, debug: Debugging, arch: seccompiler::TargetArch) -> Vec<Vec<sock_filter>> {
        let mut data: Value = serde_json::from_str(text).unwrap();
        for list in ["allow", "debug", "absent"] {
            for rule in data[list].as_array_mut().unwrap() {
                rule.as_object_mut().unwrap().remove("number");
            }
        }
        let absent = data["absent"].clone();
        let mut allow = data["allow"].as_array().unwrap().clone();
        if debug == Debugging::Allowed {
            allow.extend(data["debug"].as_array().unwrap().clone());
        }
        allow.extend(absent.as_array().unwrap().clone());
        let filters = json!({
            "allow": {"mismatch_action": {"errno": 1}, "match_action": "allow", "filter": allow},
            "absent": {"mismatch_action": "allow", "match_action": {"errno": 38}, "filter": absent},
        });
        let programs = seccompiler::compile_from_json(filters.to_string().as_bytes(), arch).unwrap();
        let convert = |instruction: &seccompiler::sock_filter| sock_filter {
            code: instruction.code,
            jt: instruction.jt,
            jf: instruction.jf,
            k: instruction.k,
        };
        programs.values().map(|program| program.iter().map(convert).collect()).collect()
    }

    /// All numbers, with arguments at and around those that rules name.
    fn calls(text: &str, convention: u32) -> Vec<Call> {
        let list = list(text).unwrap();
        let mut values = BTreeSet::from([0, 1, u64::MAX]);
        for condition in list.allow.iter().flat_map(|rule| &rule.args) {
            let value = condition.value;
            values.extend([value, value + 1, value.wrapping_sub(1), value | 1 << 32, value | 1 << 63]);
            if let Operation::MaskedEqual(mask) = condition.operation {
                values.extend((0..64).map(|bit| mask & 1 << bit));
            }
        }
        let x32 = (0..600).map(|number| number | 0x4000_0000);
        let mut calls = Vec::new();
        for number in (0..600).chain(x32).chain([u32::MAX]) {
            for value in &values {
                for other in [0, 9] {
                    let args = [*value, *value, other, 0, 0, 0];
                    calls.push(Call { convention, number, args });
                }
            }
            calls.push(Call { convention: convention ^ 0x4000_0000, number, args: [0; 6] });
        }
        calls
    }

    /// moby's own table (`data/moby-calls.txt`), by what it asks for: nothing here is let through that moby gives only with
    /// a capability, and debuggers' calls only where moby gives them to everybody on a recent kernel.
    #[test]
    fn nothing_is_let_through_that_moby_gives_with_a_capability_only() {
        let table = moby();
        assert_eq!(table["always"].len(), 361, "the table is whole");
        for (text, arch) in [
            (include_str!("../../../../data/seccomp-x86_64.json"), "amd64"),
            (include_str!("../../../../data/seccomp-aarch64.json"), "arm64"),
        ] {
            let given = |name: &str, groups: &[&str]| groups.iter().any(|group| table[group].contains(name));
            let list = list(text).unwrap();
            let wrong = |rules: &[CallRule<'_>], groups: &[&str]| -> Vec<String> {
                let names = rules.iter().map(|rule| rule.syscall);
                names.filter(|name| !given(name, groups)).map(str::to_owned).collect()
            };
            assert_eq!(wrong(&list.allow, &["always", "arguments", arch]), [""; 0]);
            assert_eq!(wrong(&list.debug, &["4.8"]), [""; 0]);
            // What moby looks into the arguments of is looked into here too.
            for rule in list.allow.iter().filter(|rule| table["arguments"].contains(rule.syscall)) {
                assert!(!rule.args.is_empty(), "{}", rule.syscall);
            }
        }
        // Control: the table does name what is to be found.
        assert!(table["CAP_SYS_NICE"].contains("mbind") && !table["always"].contains("mbind"));
    }

    fn moby() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let mut table: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in include_str!("../../../../data/moby-calls.txt").lines() {
            if let Some((condition, names)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
                table.entry(condition).or_default().extend(names.split(' '));
            }
        }
        table
    }

    /// The profile of a container engine, where one is installed, is the independent list: ours has no name that it lacks.
    #[expect(clippy::print_stdout, reason = "a skipped test must say so")]
    #[test]
    fn the_list_only_subtracts() {
        let Ok(text) = fs_err::read_to_string("/usr/share/containers/seccomp.json") else {
            println!("skip: no container engine's profile is installed");
            return;
        };
        let engine: serde_json::Value = serde_json::from_str(&text).unwrap();
        let allowed: BTreeSet<String> = engine["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW")
            .flat_map(|rule| rule["names"].as_array().unwrap())
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        // Calls newer than the installed engine's list; current engines let each of them through.
        let newer = [
            "cachestat",
            "fchmodat2",
            "futex_requeue",
            "futex_wait",
            "futex_waitv",
            "futex_wake",
            "io_pgetevents",
            "map_shadow_stack",
            "mseal",
        ];
        let more: Vec<_> = names(LIST)
            .into_iter()
            .filter(|name| !allowed.contains(name) && !newer.contains(&name.as_str()))
            .collect();
        assert!(more.is_empty(), "{more:?}");
    }

    #[test]
    fn ioctl_rules_forbid_exactly_two_requests() {
        let rules = ioctl_rules();
        let allowed = |request: u64| {
            rules.iter().any(|rule| {
                let argument = &rule["args"][0];
                request & argument["value"].as_u64().unwrap() == argument["valueTwo"].as_u64().unwrap()
            })
        };
        for request in (0..0x1_0000).chain([0x8000_5412, 0xffff_ffff, 0x4_5413]) {
            assert_eq!(allowed(request), request != 0x5412 && request != 0x541c, "{request:#x}");
        }
        assert!(!allowed(0x1_0000_5412) && !allowed(0xdead_0000_0000_541c));
    }

    #[test]
    fn debuggers_are_let_through_on_demand_only() {
        for (debug, expected) in [(Debugging::Denied, 0x0005_0001), (Debugging::Allowed, 0x7fff_0000)] {
            let Filter(program) = Filter::compile(debug).unwrap();
            let number = u32::try_from(libc::SYS_ptrace).unwrap();
            let call = Call { convention: CONVENTION, number, args: [0; 6] };
            assert_eq!(interpret(&program, &call), expected);
        }
    }
}
