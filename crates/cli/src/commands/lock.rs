//! `pinfold lock`: asks archives and registries, writes `pinfold.lock`.

use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_engine::build::resolve;
use pinfold_engine::build::resolve::Upgrade;
use pinfold_engine::sources::nix;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::changes;
use crate::render::page::Page;

/// Resolve the manifest and write pinfold.lock, keeping what is locked and still allowed
#[derive(Debug, clap::Args)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Move these packages and agents to their newest allowed versions (all of them when none is named)
    #[arg(long, value_name = "NAME", num_args = 0..)]
    upgrade: Option<Vec<String>>,
    /// Write nothing; exit with 1 if a fresh resolve would differ from the lock
    #[arg(long, conflicts_with = "upgrade")]
    check: bool,
    /// Print the command that makes the file for `resolution` of `[nix]` on a machine with Nix; lock nothing
    #[arg(long, conflicts_with_all = ["upgrade", "check"])]
    resolution_command: bool,
}

pub(crate) fn run(args: &LockArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    if args.resolution_command {
        let command = nix::resolution_command(&super::project(&context, &args.project)?)?;
        if global.json {
            render::json(&serde_json::json!({ "command": command }));
        } else {
            render::out(&Page::from(command));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let project = super::agreed(&context, &args.project)?;
    let upgrade = match &args.upgrade {
        _ if args.check => Upgrade::All,
        None => Upgrade::Nothing,
        Some(names) if names.is_empty() => Upgrade::All,
        Some(names) => Upgrade::Only(names.clone()),
    };
    let outcome = if args.check {
        resolve::check(&context, &project)?
    } else {
        resolve::lock(&context, &project, &upgrade)?
    };
    if global.json {
        render::json(&serde_json::json!({
            "lock": project.lock_file.display().to_string(),
            "changes": outcome.changes,
            "notes": outcome.notes,
            "written": outcome.written,
        }));
    } else if !global.quiet {
        if !outcome.changes.is_empty() && outcome.had_lock {
            render::out(&changes::table(&outcome.changes));
        }
        let state = match (args.check, outcome.written) {
            (true, _) if outcome.differs => "would change",
            (true, _) => "is up to date",
            (false, true) => "written",
            (false, false) => "unchanged",
        };
        render::note(shown!("{} {state}: {}", project.lock_file.display(), outcome.summary()));
    }
    Ok(if args.check && outcome.differs { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
