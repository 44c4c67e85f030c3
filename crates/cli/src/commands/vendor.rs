//! `pinfold vendor`: keeps every input.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_base::text;
use pinfold_engine::build;
use pinfold_engine::build::fetch;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use pinfold_base::units;

/// Copy every input the lock names into a directory; `pinfold build --vendor DIR` uses it when mirrors have moved on
#[derive(Debug, clap::Args)]
pub(crate) struct VendorArgs {
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    locking: args::Locking,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Where to keep the inputs; created if need be
    directory: PathBuf,
}

pub(crate) fn run(args: &VendorArgs, global: Global) -> Outcome {
    let context = super::context(global, args.locking.downloads(args.downloads))?;
    let project = super::agreed(&context, &args.project)?;
    let settled = build::settle(&context, &project, args.locking.meant())?;
    let lock = settled.lock()?;
    let vendored = fetch::vendor(&context, &project, lock, &args.directory)?;
    if global.json {
        render::json(&vendored);
    } else if !global.quiet {
        render::note(shown!(
            "{} inputs ({}) in `{}`; build from them with `pinfold build --offline --vendor {}`",
            vendored.total,
            units::bytes(vendored.bytes),
            args.directory.display(),
            text::word(&args.directory)
        ));
    }
    Ok(ExitCode::SUCCESS)
}
