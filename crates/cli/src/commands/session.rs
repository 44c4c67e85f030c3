//! `pinfold ps`, `attach`, `logs`, `stop`, `rm`: sandboxes by name.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_engine::run;
use pinfold_engine::worker;
use pinfold_engine::worker::Glance;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Life;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Status;
use pinfold_sandbox::Summary;
use pinfold_sandbox::session::Detached;
use pinfold_sandbox::terminal::escape::Filter;
use pinfold_sandbox::terminal::escape::Showing;
use pinfold_sandbox::terminal::screen;
use rustix::termios::isatty;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::changed;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use pinfold_base::units;

/// List sandboxes: agent, workspace, state, use of the machine, network
#[derive(Debug, clap::Args)]
pub(crate) struct PsArgs {}

/// Connect this terminal with a session; Ctrl-\ detaches
#[derive(Debug, clap::Args)]
pub(crate) struct AttachArgs {
    /// Name of the session, as `pinfold ps` shows it
    #[arg(add = complete::sandboxes())]
    name: String,
}

/// Show what a session printed as text, or what its proxy decided
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// Name of the sandbox
    #[arg(add = complete::sandboxes())]
    name: String,
    /// Show the proxy's decisions, one JSON object a line
    #[arg(long)]
    network: bool,
    /// Show it as a terminal draws it; into a pipe or file, every byte as it was
    #[arg(long, conflicts_with = "network")]
    raw: bool,
}

/// End a running sandbox
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// Name of the sandbox
    #[arg(add = complete::sandboxes())]
    name: String,
    /// Seconds to wait before it is killed
    #[arg(long, short, default_value_t = 10)]
    time: u64,
}

/// Remove a sandbox that does not run, with its home
#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    /// Name of the sandbox
    #[arg(add = complete::sandboxes())]
    name: String,
    /// Stop it first
    #[arg(long, short)]
    force: bool,
}

pub(super) fn sandboxes(global: Global) -> Result<Sandboxes, render::diagnostic::Failure> {
    Ok(super::context(global, args::Downloads { offline: true })?.sandboxes())
}

pub(crate) fn ps(_: &PsArgs, global: Global) -> Outcome {
    let sandboxes = sandboxes(global)?;
    let all: Vec<Line> = sandboxes
        .list()?
        .into_iter()
        .map(|one| Line { queue: worker::glance(&sandboxes.directory().join(&one.name), &one.name), one })
        .collect();
    if global.json {
        render::json(&all);
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() && !global.quiet {
        render::note("no sandboxes; `pinfold open claude-code` starts a session");
    }
    let mut columns = vec![
        ("NAME", Align::Left),
        ("AGENT", Align::Left),
        ("WORKSPACE", Align::Left),
        ("STATE", Align::Left),
        ("SINCE", Align::Right),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("NETWORK", Align::Left),
    ];
    let has_queues = all.iter().any(|line| line.queue.is_some());
    if has_queues {
        columns.extend([("IN/OUT", Align::Right), ("OLDEST", Align::Right), ("HEARTBEAT", Align::Right)]);
    }
    let mut table = Table::new(&columns).sparing(&["CPU", "MEMORY", "SINCE", "AGENT", "NETWORK", "OLDEST"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    for Line { one, queue } in all {
        let label = |name: &str| one.labels.get(name).map_or("-".into(), Shown::from);
        let mut cells: Vec<Shown> = vec![
            (&one.name).into(),
            label("agent"),
            label("workspace"),
            match one.status {
                Status::Running => "running".into(),
                Status::Restarting => restarting(one.last.as_ref()),
                Status::Ended(Exit::Code(0)) => "ended".into(),
                Status::Ended(exit) => ended(exit, one.last.as_ref()),
                Status::Killed => "killed".into(),
                Status::Prepared => "prepared".into(),
                Status::Leftover => "leftover".into(),
            },
            one.since.map(|since| age(now.saturating_sub(since))).unwrap_or_default().into(),
            one.usage
                .map(|usage| units::duration(Duration::from_millis(usage.cpu_ms)))
                .unwrap_or_default()
                .into(),
            one.usage.map(|usage| units::bytes(usage.resident)).unwrap_or_default().into(),
            one.network.into(),
        ];
        if let Some(queue) = queue {
            let time = |seconds: Option<u64>| Shown::from(seconds.map(age).unwrap_or_default());
            let depth = shown!("{}/{}", queue.waiting, queue.unread);
            cells.extend([depth, time(queue.oldest), time(queue.heartbeat)]);
        }
        table.row(cells);
    }
    render::out(&Page::from(&table));
    Ok(ExitCode::SUCCESS)
}

/// A sandbox, and its queue where it has one.
#[derive(serde::Serialize)]
struct Line {
    #[serde(flatten)]
    one: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Glance>,
}

/// That a program ended, and what it said before.
fn ended(exit: Exit, last: Option<&Life>) -> Shown {
    match last {
        Some(Life { exit: None, said, .. }) => shown!("ended, not started again: {}", begin(said)),
        Some(Life { said, .. }) if !said.is_empty() => shown!("ended, {exit}: {}", begin(said)),
        _ => shown!("ended, {exit}"),
    }
}

/// That a program is started again in a moment, and why.
fn restarting(last: Option<&Life>) -> Shown {
    match last {
        Some(Life { exit, said, .. }) if !said.is_empty() => {
            let how = exit.map_or_else(|| "not started".to_owned(), |exit| exit.to_string());
            shown!("restarting after {how}: {}", begin(said))
        }
        Some(Life { exit: Some(exit), .. }) => shown!("restarting after {exit}"),
        _ => "restarting".into(),
    }
}

/// The beginning of a line, for a column.
fn begin(line: &str) -> String {
    const COLUMN: usize = 60;
    let mut text: String = line.chars().take(COLUMN).collect();
    if text.len() < line.len() {
        text.push('…');
    }
    text
}

pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Connects this terminal with a session and says how that ended.
pub(super) fn connect(sandboxes: &Sandboxes, name: &str, global: Global) -> Outcome {
    let spec = sandboxes.spec(name)?;
    let (begun, _) = sandboxes.span(name)?;
    Ok(match sandboxes.attach(name, rustix::stdio::stdin(), rustix::stdio::stdout())? {
        Detached::ByUser => {
            render::note(shown!("detached; `pinfold attach {}` connects again", text::word(name)));
            ExitCode::SUCCESS
        }
        Detached::Ended(exit) => {
            changed::tell(&run::changed(&spec, begun, None), global);
            changed::tell_standing(sandboxes, name, global);
            // Who removes it later knows by then.
            sandboxes.note_told(name);
            super::run::code(exit)
        }
        Detached::Lost => {
            render::note("the session was killed");
            ExitCode::from(1)
        }
    })
}

pub(crate) fn attach(args: &AttachArgs, global: Global) -> Outcome {
    connect(&sandboxes(global)?, &args.name, global)
}

pub(crate) fn logs(args: &LogsArgs, global: Global) -> Outcome {
    let logs = sandboxes(global)?.logs(&args.name)?;
    if args.network {
        for bytes in logs.network.iter().filter_map(|path| fs_err::read(path).ok()) {
            render::json_lines(&bytes);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !args.raw {
        let bytes: Vec<u8> =
            logs.session.iter().filter_map(|path| fs_err::read(path).ok()).flatten().collect();
        let (rows, columns) = logs.screen;
        let mut page = Page::default();
        for line in screen::lines(&bytes, rows, columns) {
            page.line(Shown::new(&line));
        }
        render::out(&page);
        return Ok(ExitCode::SUCCESS);
    }
    #[expect(clippy::disallowed_methods, reason = "what a session printed is not for us to render")]
    let mut stdout = std::io::stdout().lock();
    // What a session wrote is for a terminal to draw, and nothing more.
    let mut filter = isatty(&stdout).then(|| Filter::new(Showing::Replay));
    for path in logs.session {
        if let Ok(bytes) = fs_err::read(path) {
            render::written(match &mut filter {
                Some(filter) => stdout.write_all(&filter.pass(&bytes)),
                None => stdout.write_all(&bytes),
            });
        }
    }
    if let Some(filter) = filter {
        render::written(stdout.write_all(&filter.restore()));
    }
    render::written(stdout.flush());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn stop(args: &StopArgs, global: Global) -> Outcome {
    let sandboxes = sandboxes(global)?;
    sandboxes.stop(&args.name, Duration::from_secs(args.time))?;
    told(&sandboxes, &args.name, global);
    sandboxes.note_told(&args.name);
    if global.json {
        render::json(&serde_json::json!({ "name": args.name, "status": "ended" }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells what changed while a sandbox ran that has ended. One that was damaged is removed all the same.
fn told(sandboxes: &Sandboxes, name: &str, global: Global) {
    if let (Ok(spec), Ok((begun, ended))) = (sandboxes.spec(name), sandboxes.span(name)) {
        changed::tell(&run::changed(&spec, begun, ended), global);
        changed::tell_standing(sandboxes, name, global);
    }
}

pub(crate) fn rm(args: &RmArgs, global: Global) -> Outcome {
    let sandboxes = sandboxes(global)?;
    if args.force {
        match sandboxes.stop(&args.name, Duration::from_secs(2)) {
            Ok(()) | Err(SandboxError::NotRunning(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let running = sandboxes.status(&args.name).is_ok_and(Status::is_live);
    if !running && !sandboxes.was_told(&args.name) {
        told(&sandboxes, &args.name, global);
    }
    sandboxes.remove(&args.name)?;
    if global.json {
        render::json(&serde_json::json!({ "name": args.name, "status": "removed" }));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_one_number_and_the_largest_unit_that_fits() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (86_399, "23 h"),
            (86_400, "1 d"),
            (20 * 86_400, "20 d"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
