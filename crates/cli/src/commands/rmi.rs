//! `pinfold rmi`: takes images out of the local store.

use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_engine::keep::images;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Remove images from the local store: a name, and the image with its last name
#[derive(Debug, clap::Args)]
pub(crate) struct RmiArgs {
    /// NAME[:TAG], NAME@DIGEST, or a digest or how it begins
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    images: Vec<String>,
    /// Remove also what a running sandbox stands on (it goes on), and all names of a digest
    #[arg(long, short)]
    force: bool,
}

pub(crate) fn run(args: &RmiArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for image in &args.images {
        // The others go on: what can be removed is, as elsewhere.
        match images::remove(&context, image, args.force) {
            Ok(one) => removed.push(one),
            Err(error) => failed.push(Failure::from(error)),
        }
    }
    context.tell_damage();
    if global.json {
        render::json(&removed);
    } else {
        let mut page = Page::default();
        for one in &removed {
            for name in &one.untagged {
                page.line(shown!("untagged {name}"));
            }
            if let Some(digest) = &one.deleted {
                page.line(shown!("deleted {digest}"));
            }
        }
        render::out(&page);
    }
    let mut failed = failed.into_iter();
    let Some(first) = failed.next() else { return Ok(ExitCode::SUCCESS) };
    failed.for_each(|failure| render::diagnostic::print(&failure));
    Err(first)
}
