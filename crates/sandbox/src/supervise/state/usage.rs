//! What the processes of a sandbox use, as `/proc` tells (proc(5)).

use serde::Serialize;

/// What the processes of a sandbox use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Milliseconds of processor time of the processes that live.
    pub cpu_ms: u64,
    /// Bytes resident; shared pages are counted for each process.
    pub resident: u64,
    /// How many processes.
    pub processes: u32,
}

/// Fields of `/proc/PID/stat` after the name, which may hold anything (proc(5)); the first is field 3.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = text.rsplit_once(')')?.1;
    Some(after.split_whitespace().map(str::to_owned).collect())
}

/// When a process was started, in ticks since boot (field 22).
pub(super) fn started_at(pid: u32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// What process `init` and everything below it use.
pub(super) fn usage(init: u32) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let page = rustix::param::page_size() as u64;
    let mut processes = std::collections::BTreeMap::new();
    for entry in fs_err::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(fields) = stat(pid)
        {
            let number =
                |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let parent = number(1) as u32;
            processes.insert(pid, (parent, number(11) + number(12), number(21)));
        }
    }
    let inside = |mut pid: u32| {
        for _ in 0..1000 {
            if pid == init {
                return true;
            }
            match processes.get(&pid) {
                Some((parent, ..)) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    processes.iter().filter(|(pid, _)| inside(**pid)).fold(Usage::default(), |sum, (_, (_, cpu, pages))| {
        Usage {
            cpu_ms: sum.cpu_ms + cpu * 1000 / ticks,
            resident: sum.resident + pages * page,
            processes: sum.processes + 1,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_counts_descendants() {
        let found = usage(std::process::id());
        assert!(found.processes >= 1 && found.resident > 0);
        assert_eq!(usage(u32::MAX), Usage::default());
    }
}
