//! What `docs/isolation.md` says of the lists: paths of `/proc`, and system calls beside those of moby. Written from the data
//! that the sandbox is made from, so that the page cannot say something else.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use pinfold_sandbox::plan::proc;
use pinfold_sandbox::plan::proc::ProcEntry;

/// moby's table of calls.
const MOBY: &str = include_str!("../../data/moby-calls.txt");

/// Ours.
const OURS: [(&str, &str, &str); 2] = [
    ("x86_64", "amd64", include_str!("../../data/seccomp-x86_64.json")),
    ("aarch64", "arm64", include_str!("../../data/seccomp-aarch64.json")),
];

/// What engines cover and make read-only by default (moby's `oci/defaults.go`, the same in containerd and podman).
const MOBY_MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Both lists as Markdown.
pub(crate) fn markdown() -> String {
    let mut text = String::from("## What `/proc` shows\n\n");
    text.push_str("There is no `/sys`. A path marked + is covered here and not by moby's default list.\n\n");
    table(&mut text, "covered", "because it tells", proc::MASKED);
    table(&mut text, "read-only", "what it is", proc::READ_ONLY);
    table(&mut text, "shown", "what it is, and who needs it", proc::SHOWN);
    text.push_str("## System calls beside moby's\n\n");
    text.push_str(&calls());
    text
}

fn table(text: &mut String, heading: &str, why: &str, entries: &[ProcEntry]) {
    let _ = writeln!(text, "| {heading} | {why} |\n|---|---|");
    for entry in entries {
        let more = heading == "covered" && !MOBY_MASKED.contains(&entry.path);
        let _ = writeln!(text, "| `{}`{} | {} |", entry.path, if more { " +" } else { "" }, entry.why);
    }
    text.push('\n');
}

fn calls() -> String {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let lines = MOBY.lines().filter(|line| !line.starts_with('#'));
    for (condition, names) in lines.filter_map(|line| line.split_once(": ")) {
        groups.entry(condition).or_default().extend(names.split(' '));
    }
    let commit = MOBY.split_once("at commit ").unwrap().1.split_once('.').unwrap().0;
    let mut text = format!(
        "moby's table is `seccomp/default.json` of moby/profiles at commit `{commit}` (`crates/sandbox/data/moby-calls.txt`). \
         Whatever it gives only with a capability is refused here, since there is none:\n\n"
    );
    for (capability, names) in groups.iter().filter(|(group, _)| group.starts_with("CAP_")) {
        let names: Vec<&str> = names.iter().filter(|name| **name != "clone").copied().collect();
        let _ = writeln!(text, "- `{capability}`: `{}`", names.join("` `"));
    }
    text.push('\n');
    for (arch, group, data) in OURS {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let names = |list: &str| -> BTreeSet<String> {
            let rules = data[list].as_array().unwrap();
            rules.iter().map(|rule| rule["syscall"].as_str().unwrap().to_owned()).collect()
        };
        let (ours, debug) = (names("allow"), names("debug"));
        let given = ["always", "arguments", group].map(|group| groups[group].clone()).into_iter().flatten();
        let given: BTreeSet<&str> = given.filter(|name| exists(name, arch)).collect();
        let more: Vec<&String> = ours.iter().filter(|name| !given.contains(name.as_str())).collect();
        let less: Vec<&str> = given.into_iter().filter(|name| !ours.contains(*name)).collect();
        let _ = writeln!(
            text,
            "On {arch} {} calls are let through, {} that moby refuses. Refused here and not there: `{}`, and unless \
             debuggers are let in `{}`.\n",
            ours.len(),
            if more.is_empty() { "none".to_owned() } else { format!("{more:?}") },
            less.join("` `"),
            debug.into_iter().collect::<Vec<_>>().join("` `"),
        );
    }
    text
}

/// Whether a call of moby's table is one of the native convention: the table has those of all architectures under one name.
fn exists(name: &str, arch: &str) -> bool {
    let table = match arch {
        "x86_64" => seccompiler::TargetArch::x86_64,
        _ => seccompiler::TargetArch::aarch64,
    };
    let filter = format!(
        r#"{{"a": {{"mismatch_action": "allow", "match_action": {{"errno": 1}}, "filter": [{{"syscall": "{name}"}}]}}}}"#
    );
    // Names newer than that compiler's table, which both conventions have.
    const NEWER: [&str; 8] = [
        "getxattrat",
        "listmount",
        "listxattrat",
        "removexattrat",
        "setxattrat",
        "statmount",
        "map_shadow_stack",
        "mseal",
    ];
    NEWER.contains(&name) || seccompiler::compile_from_json(filter.as_bytes(), table).is_ok()
}
