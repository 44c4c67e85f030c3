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
use pinfold_base::units;

/// Say what could be removed from the stores, and remove it with --yes
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// Remove instead of only saying what would be removed
    #[arg(long, short)]
    yes: bool,
    /// Also drop all composed layers and decoded archives, which are made again from the downloads when they are wanted
    #[arg(long)]
    layers: bool,
    /// Also drop downloads, which are fetched again when they are wanted
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
    let some: Vec<_> = report.parts.iter().filter(|part| part.files > 0).collect();
    for part in &some {
        table.row([(&part.what).into(), part.files.to_string().into(), units::bytes(part.bytes).into()]);
    }
    if !some.is_empty() {
        render::out(&Page::from(&table));
    }
    if !global.quiet {
        let bytes = units::bytes(some.iter().map(|part| part.bytes).sum());
        render::note(match (some.is_empty(), args.yes) {
            (true, _) => "nothing is there that nobody needs".into(),
            (false, false) => shown!("nothing was removed; `--yes` removes it, which frees {}", bytes),
            (false, true) => shown!("{} freed", bytes),
        });
        for further in &report.further {
            let again =
                if further.flag == "--layers" { "made again from the downloads" } else { "fetched again" };
            let bytes = units::bytes(further.bytes);
            render::note(shown!(
                "`{}` would free {} more, which is {} when it is wanted",
                further.flag,
                bytes,
                again
            ));
        }
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
