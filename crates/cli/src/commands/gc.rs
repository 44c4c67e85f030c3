//! `pinfold gc`: frees disk space.

use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_base::text::Shown;
use pinfold_engine::keep::gc;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use crate::render::units;

/// Say what could be removed from the stores, and remove it with --yes
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// Remove instead of only saying what would be removed
    #[arg(long, short)]
    yes: bool,
    /// Also drop composed layers and decoded archives, which can be made again from the downloads
    #[arg(long)]
    layers: bool,
    /// Also drop downloads
    #[arg(long)]
    downloads: bool,
}

pub(crate) fn run(args: &GcArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    let scope = gc::Scope { layers: args.layers, downloads: args.downloads };
    let report = gc::gc(&context, scope, if args.yes { gc::Pass::Remove } else { gc::Pass::Look })?;
    let code = ExitCode::from(u8::from(!report.left.is_empty()));
    if global.json {
        render::json(&report);
        return Ok(code);
    }
    let mut table = Table::new(&[("WHAT", Align::Left), ("FILES", Align::Right), ("SIZE", Align::Right)]);
    for part in &report.parts {
        table.row([(&part.what).into(), part.files.to_string().into(), units::bytes(part.bytes).into()]);
    }
    render::out(&Page::from(&table));
    if !args.yes && !global.quiet {
        render::note("nothing was removed; `--yes` removes it");
    }
    if report.young > 0 && !global.quiet {
        render::note(shown!("{} blobs of no image are young, and stay for an hour", report.young));
    }
    for left in report.left.iter().chain(&report.damaged) {
        render::note(format!("warning: {}", Shown::new(&left.problem)));
        if let Some(hint) = &left.hint {
            render::note(format!("hint: {}", Shown::new(hint)));
        }
    }
    Ok(code)
}
