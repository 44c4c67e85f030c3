//! `pinfold pull`: an image of a registry into the local store.

use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::ship::pull;
use pinfold_engine::ship::pull::Platforms;
use pinfold_image::Reference;
use pinfold_image::registry::pull::Pulled;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;
use pinfold_base::units;

/// Bring an image from a registry into the local store
///
/// What was cut short goes on where it stopped. A tag that still leads to what is there costs one request.
#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// HOST/REPOSITORY[:TAG] or HOST/REPOSITORY@DIGEST; a name without HOST where `registries.conf` says what it means
    #[arg(value_parser = name)]
    image: Reference,
    /// Take this platform instead of this machine's
    #[arg(long, value_name = "OS/ARCH", conflicts_with = "all_platforms")]
    platform: Option<Platform>,
    /// Take all platforms and their index
    #[arg(long)]
    all_platforms: bool,
}

/// Reads a name in a registry, as skopeo spells it too.
fn name(text: &str) -> Result<Reference, String> {
    args::hinted(text.strip_prefix("docker://").unwrap_or(text))
}

pub(crate) fn run(args: &PullArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads::default())?;
    let platforms = if args.all_platforms { Platforms::All } else { args.platform.into() };
    let pulled = pull::pull(&context, &args.image, platforms);
    context.tell_damage();
    let pulled = pulled?;
    if global.json {
        render::json(&pulled);
    } else {
        render::out(&told(&pulled, global));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was brought; its digest last.
fn told(pulled: &Pulled, global: Global) -> Page {
    let mut page = Page::default();
    if !global.quiet {
        let platforms: Vec<String> = pulled.platforms.iter().map(ToString::to_string).collect();
        let platforms = platforms.join(", ");
        page.line(if pulled.unchanged {
            shown!("{} is up to date ({platforms})", pulled.reference)
        } else {
            shown!(
                "pulled {} ({platforms}): {} in {} blobs; {} were there",
                pulled.reference,
                units::bytes(pulled.bytes),
                pulled.fetched,
                pulled.there
            )
        });
    }
    page.line(pulled.digest.to_string());
    page
}
