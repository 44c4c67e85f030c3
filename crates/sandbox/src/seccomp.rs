//! The list of system calls the program may make: default deny, as data in `data/seccomp-ARCH.json`.
//!
//! ```text
//!   allow    what is let through; anything else is EPERM          (installed second)
//!   debug    added to `allow` when the policy lets debuggers work
//!   absent   what is answered ENOSYS, as on a kernel without it   (installed first)
//! ```
//!
//! The list has the names that container engines let through by default, less: `ptrace` and its relatives, keyrings,
//! `userfaultfd`, `io_uring`, `perf_event_open`, everything about mounts, namespaces and modules. Arguments are looked at
//! where a call is needed but not all of it: no `clone` flag that makes a namespace, no `TIOCSTI` or `TIOCLINUX`, sockets of
//! four families only. `memfd_create` and `seccomp` stay: JIT compilers and browsers need them.
//!
//! **Guarantees**: only the native calling convention; a call by another (32-bit) kills the process, x32 numbers are EPERM.
//! A call is allowed only if all filters allow it, so the program can add filters of its own and never take one away.

use seccompiler::BpfProgram;
use serde_json::Value;
use serde_json::json;

use crate::spec::Debug as Debugging;

#[cfg(target_arch = "x86_64")]
const POLICY: &str = include_str!("../data/seccomp-x86_64.json");
#[cfg(target_arch = "aarch64")]
const POLICY: &str = include_str!("../data/seccomp-aarch64.json");

/// A filter that cannot be made or installed.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The data is not a policy; a bug of ours.
    #[error("the system-call policy is damaged: {0}")]
    Policy(String),
    /// The kernel refused it.
    #[error("the kernel refused the filter: {0}")]
    Install(#[from] seccompiler::Error),
}

/// The filters, in the order in which they are installed.
#[derive(Clone, Debug)]
pub struct Filters([BpfProgram; 2]);

impl Filters {
    /// Compiles the policy of this architecture.
    pub fn compile(debug: Debugging) -> Result<Self, SeccompError> {
        let damaged = |error: &dyn std::fmt::Display| SeccompError::Policy(error.to_string());
        let mut policy: serde_json::Value = serde_json::from_str(POLICY).map_err(|error| damaged(&error))?;
        if let Some(more) = policy["debug"]["filter"].as_array().cloned()
            && debug == Debugging::Allowed
            && let Some(filter) = policy["allow"]["filter"].as_array_mut()
        {
            filter.extend(more);
        }
        let text = policy.to_string();
        let arch =
            std::env::consts::ARCH.try_into().map_err(|error: seccompiler::BackendError| damaged(&error))?;
        let mut programs =
            seccompiler::compile_from_json(text.as_bytes(), arch).map_err(|error| damaged(&error))?;
        let mut take = |name: &str| programs.remove(name).ok_or_else(|| damaged(&name));
        Ok(Self([take("absent")?, take("allow")?]))
    }

    /// Installs them for this thread and its children. Sets `no_new_privs` as well.
    pub fn install(&self) -> Result<(), SeccompError> {
        self.0.iter().try_for_each(|program| Ok(seccompiler::apply_filter(program)?))
    }

    /// Instructions of both, for the limit of 4096 each.
    pub fn instructions(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

/// The same policy in the words of the OCI runtime specification, for runtimes that use libseccomp.
///
/// libseccomp compares 64 bits where the kernel reads 32 of `ioctl`'s request, and cannot say "not equal under a mask". What
/// is let through is therefore written as the requests that differ from both forbidden ones in some bit.
pub(crate) fn oci(debug: Debugging) -> Result<Value, SeccompError> {
    let policy: Value =
        serde_json::from_str(POLICY).map_err(|error| SeccompError::Policy(error.to_string()))?;
    let list = |name: &str| policy[name]["filter"].as_array().cloned().unwrap_or_default();
    let mut plain = Vec::new();
    let mut rules = Vec::new();
    let mut all = list("allow");
    if debug == Debugging::Allowed {
        all.extend(list("debug"));
    }
    for rule in &all {
        let name = &rule["syscall"];
        match (name.as_str(), rule["args"].as_array()) {
            (Some("clone3"), _) => {}
            (Some("ioctl"), _) => rules.extend(ioctl_rules()),
            (_, None) => plain.push(name.clone()),
            (_, Some(args)) => {
                let args: Vec<Value> = args.iter().map(oci_argument).collect();
                rules.push(json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args}));
            }
        }
    }
    rules.push(json!({"names": plain, "action": "SCMP_ACT_ALLOW"}));
    rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
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
    use std::collections::BTreeSet;

    use super::*;

    fn names(text: &str) -> BTreeSet<String> {
        let policy: serde_json::Value = serde_json::from_str(text).unwrap();
        let rules = policy["allow"]["filter"].as_array().unwrap();
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
        for text in
            [include_str!("../data/seccomp-x86_64.json"), include_str!("../data/seccomp-aarch64.json")]
        {
            let names = names(text);
            let found: Vec<_> = NEVER.iter().filter(|name| names.contains(**name)).collect();
            assert!(found.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn both_lists_compile_for_their_architecture() {
        for (text, arch) in [
            (include_str!("../data/seccomp-x86_64.json"), seccompiler::TargetArch::x86_64),
            (include_str!("../data/seccomp-aarch64.json"), seccompiler::TargetArch::aarch64),
        ] {
            let programs = seccompiler::compile_from_json(text.as_bytes(), arch).unwrap();
            assert_eq!(programs.len(), 3);
            assert!(programs["allow"].len() < 4096);
        }
    }

    /// The profile of a container engine, where one is installed, is the independent list: ours has no name that it lacks.
    #[test]
    fn the_list_only_subtracts() {
        let Ok(text) = fs_err::read_to_string("/usr/share/containers/seccomp.json") else {
            return; // Listed in tests/skips.txt.
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
            "set_mempolicy_home_node",
        ];
        let more: Vec<_> = names(POLICY)
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
        let strict = Filters::compile(Debugging::Denied).unwrap();
        let debug = Filters::compile(Debugging::Allowed).unwrap();
        assert!(debug.instructions() > strict.instructions());
    }
}
