//! Resident memory of our processes while a sandbox with its proxy does nothing.

use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;

use super::Bench;
use super::Goal;
use super::command;

/// Resident and proportional memory in MiB (proc(5), `smaps_rollup`): pages that processes share count fully in the first
/// and divided by their users in the second.
pub(crate) fn memory(pid: u32) -> Result<(f64, f64), String> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_err(|error| error.to_string())?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
    };
    field("Rss:").zip(field("Pss:")).ok_or_else(|| "a process's memory could not be read".into())
}

/// Children of all of a process's threads.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Process 1 of the sandbox that `supervisor` holds, once the program in it runs.
fn init_of(supervisor: u32) -> Option<u32> {
    children(supervisor).into_iter().find(|init| !children(*init).is_empty())
}

pub(super) fn figures(bench: &mut Bench) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        // Process 1 is hidden from its own user.
        crate::say("idle: can be measured by root only");
        return Ok(());
    }
    let mut supervisor = command(&bench.pinfold)
        .args(["run", "--quiet", "--", "sleep", "60"])
        .envs(bench.env())
        .current_dir(&bench.project)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let since = Instant::now();
    let mut init = None;
    while init.is_none() && since.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
        init = init_of(supervisor.id());
    }
    std::thread::sleep(Duration::from_secs(1));
    let found = init.ok_or_else(|| "the sandbox did not start".to_owned()).and_then(|init| {
        let (supervisor, init) = (memory(supervisor.id())?, memory(init)?);
        Ok((supervisor, init))
    });
    let _ = supervisor.kill();
    let _ = supervisor.wait();
    let (supervisor, init) = found?;
    let note = format!(
        "supervisor {:.1}, process 1 {:.1}; proportional {:.1} + {:.1}",
        supervisor.0, init.0, supervisor.1, init.1
    );
    let sum = supervisor.0 + init.0;
    bench.push(
        "idle sandbox with proxy: resident, all our processes",
        sum,
        "MiB",
        Some(Goal::AtMost(10.0)),
        note,
    );
    Ok(())
}
