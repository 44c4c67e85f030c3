//! `pinfold report`: one page over an image.

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_engine::describe;
use pinfold_engine::describe::lock::find;
use pinfold_engine::describe::page;
use pinfold_engine::describe::page::Subject;
use pinfold_engine::verify::Wanted;
use pinfold_engine::verify::secrets;
use pinfold_engine::verify::with_sides;
use pinfold_image::inspect;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;

/// Write one page over an image that a person can read: sizes, checks, packages, install scripts, differences between platforms
///
/// The page holds everything it needs: no scripts, nothing is loaded. The same image gives the same page.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The image, in any place (as of `inspect`)
    #[arg(add = complete::images())]
    image: String,
    /// Write the page to this file (`-` is stdout)
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    downloads: args::Downloads,
    /// The lock that the image was built of; one that is known to be it unless said
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

pub(crate) fn run(args: &ReportArgs, global: Global) -> Outcome {
    let to_stdout = args.output == Path::new("-");
    if !to_stdout {
        describe::folder(&args.output)?;
    }
    let context = super::context(global, args.downloads)?;
    let source = super::looked_at(&context, &args.image)?;
    let lock = find(&context, &source, args.lock.as_deref())?;
    let mut summary = inspect::inspect(&source)?;
    secrets::hidden::image(&mut summary);
    let looked = with_sides(&context, &source, &Wanted::default(), lock.as_ref());
    context.tell_damage();
    let (checks, sides) = looked?;
    let packages = page::joined(sides.iter().map(|side| (side.platform(), page::packages_of(side))));
    let subject = Subject {
        summary: &summary,
        sides: &sides,
        packages: &packages,
        checks: Some(&checks),
        lock: lock.as_ref(),
    };
    let page = page::page(&subject);
    if to_stdout {
        render::text(&page);
        return Ok(ExitCode::SUCCESS);
    }
    describe::save(&args.output, &page)?;
    if global.json {
        render::json(&serde_json::json!({
            "page": args.output.display().to_string(),
            "image": summary.name,
            "digest": summary.digest,
            "failed": checks.failed(),
        }));
    } else if !global.quiet {
        render::note(shown!("{} written", args.output.display()));
    }
    Ok(ExitCode::SUCCESS)
}
