//! `pinfold verify`: reads an image back.

use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_image::verify;
use pinfold_image::verify::Level;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Check an image: every blob's digest, every layer's diff_id, and the rules of the specification
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE
    image: String,
}

pub(crate) fn run(args: &VerifyArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    let result = verify::verify(&super::image(&context, &args.image)?, &*context.reporter)?;
    if global.json {
        render::json(&result);
    } else {
        for finding in &result.findings {
            render::note(shown!("{}: {}", finding.object, finding.problem));
        }
        let word = |level| if result.holds(level) { "equal" } else { "DIFFERENT" };
        render::out(&Page::from(shown!(
            "blobs {}  diff_ids {}  structure {}  ({}, {} layers)",
            word(Level::Blob),
            word(Level::DiffId),
            if result.holds(Level::Structure) { "valid" } else { "INVALID" },
            result.platforms.join(", "),
            result.layers
        )));
    }
    Ok(if result.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
