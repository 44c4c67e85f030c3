//! `pinfold copy`: an image from any place to any other.

use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::ship::copy;
use pinfold_engine::ship::copy::Copied;
use pinfold_engine::ship::copy::Options;
use pinfold_image::Location;
use pinfold_image::Place;
use pinfold_image::location::LocationKind;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::page::Page;
use pinfold_base::units;

/// Copy an image from any place to any other: all of its platforms, its digests as they are
///
/// A place is a NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG]
/// or docker://HOST/REPOSITORY[:TAG]. A Docker archive holds one platform.
#[derive(Debug, clap::Args)]
pub(crate) struct CopyArgs {
    /// Where the image is
    #[arg(value_parser = args::hinted::<Place>, add = complete::images())]
    from: Place,
    /// Where it shall be
    #[arg(value_parser = args::hinted::<Place>)]
    to: Place,
    /// Copy this platform's manifest alone instead of the index
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Send compressed layers of up to this size for a platform to a registry instead of 700MiB
    #[arg(long, value_name = "SIZE", value_parser = super::push::size)]
    budget: Option<u64>,
}

pub(crate) fn run(args: &CopyArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads::default())?;
    let options = Options { platform: args.platform, budget: args.budget };
    let copied = copy::copy(&context, &args.from, &args.to, options);
    context.tell_damage();
    let copied = copied?;
    if let Place::Location(Location { kind: LocationKind::DockerArchive, .. }) = args.to {
        context.reporter.note(
            "a Docker archive has no manifest of its own: another tool may know the image by another digest",
        );
    }
    if global.json {
        render::json(&copied);
    } else {
        render::out(&told(&copied, global));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was copied; its digest last.
fn told(copied: &Copied, global: Global) -> Page {
    let mut page = Page::default();
    if !global.quiet {
        let platforms: Vec<String> = copied.platforms.iter().map(ToString::to_string).collect();
        let platforms = platforms.join(", ");
        page.line(match &copied.sent {
            Some(sent) if sent.unchanged => shown!("{} has it already ({platforms})", copied.to),
            Some(sent) => shown!(
                "copied to {} ({platforms}): {} in {} blobs sent, {} mounted, {} there",
                copied.to,
                units::bytes(sent.bytes),
                sent.sent.len(),
                sent.mounted.len(),
                sent.there
            ),
            None => shown!("copied to {} ({platforms})", copied.to),
        });
    }
    page.line(copied.digest.to_string());
    page
}
