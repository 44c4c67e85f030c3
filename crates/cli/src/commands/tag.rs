//! `pinfold tag`: gives an image of the local store further names.

use std::process::ExitCode;

use pinfold_engine::keep::images;
use pinfold_image::Reference;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;

/// Give an image in the local store further names
#[derive(Debug, clap::Args)]
pub(crate) struct TagArgs {
    /// NAME[:TAG], NAME@DIGEST, or a digest or how it begins
    #[arg(add = complete::images())]
    image: String,
    /// The new NAME[:TAG] (may be repeated)
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Reference>,
}

pub(crate) fn run(args: &TagArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    for name in &args.names {
        if let Some(project) = images::tag(&context, &args.image, name)? {
            context.reporter.warn(&format!("`{name}` was the image of `{project}`"));
        }
    }
    context.tell_damage();
    if global.json {
        render::json(&args.names.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    Ok(ExitCode::SUCCESS)
}
