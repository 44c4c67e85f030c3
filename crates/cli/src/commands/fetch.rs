//! `pinfold fetch`: downloads what the lock names.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::build;
use pinfold_engine::build::fetch;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use pinfold_base::units;

/// Download and verify everything the lock names, so that a build needs no network
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    locking: args::Locking,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Fetch for this platform only (may be repeated)
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// Take inputs from this directory first, as `pinfold vendor` made it
    #[arg(long, value_name = "DIR", value_parser = args::vendored)]
    vendor: Vec<PathBuf>,
}

pub(crate) fn run(args: &FetchArgs, global: Global) -> Outcome {
    let mut context = super::context(global, args.locking.downloads(args.downloads))?;
    context.vendor.clone_from(&args.vendor);
    let project = super::agreed(&context, &args.project)?;
    let platforms =
        if args.platform.is_empty() { project.manifest.platforms.clone() } else { args.platform.clone() };
    let settled = build::settle_for(&context, &project, args.locking.meant(), &platforms)?;
    let lock = settled.lock()?;
    let fetched = fetch::fetch(&context, &project, lock, &platforms)?;
    if global.json {
        render::json(&fetched);
    } else if !global.quiet {
        render::note(shown!(
            "{} archives: {} fetched ({}), {} were here",
            fetched.total,
            fetched.fetched,
            units::bytes(fetched.bytes),
            fetched.total - fetched.fetched
        ));
    }
    Ok(ExitCode::SUCCESS)
}
