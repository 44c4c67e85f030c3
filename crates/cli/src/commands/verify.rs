//! `pinfold verify`: reads an image back.

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_engine::context::Context;
use pinfold_engine::keep;
use pinfold_engine::settings;
use pinfold_engine::ship;
use pinfold_engine::ship::verify::At;
use pinfold_image::Place;
use pinfold_image::verify;
use pinfold_image::verify::Level;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;

/// Check an image: every blob's digest, every layer's diff_id, and the rules of the specification
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or
    /// docker://HOST/REPOSITORY[:TAG], where it is read and nothing is kept; with --key a name with its registry is looked up there
    #[arg(required_unless_present = "store", add = complete::images())]
    image: Option<String>,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Read back every download, layer and blob instead; what does not match its name is set aside
    #[arg(long, conflicts_with = "image")]
    store: bool,
    /// Tell what this key has signed of the image instead: of HOST/NAME in its registry, else by what was kept when it was pulled
    #[arg(long, value_name = "FILE", requires = "image")]
    key: Option<PathBuf>,
    /// What the key must have signed: signature (unless said), provenance or the URI of a predicate (may be repeated)
    #[arg(long, value_name = "PREDICATE", value_parser = settings::predicate, requires = "key")]
    require: Vec<String>,
}

pub(crate) fn run(args: &VerifyArgs, global: Global) -> Outcome {
    if let (Some(key), Some(image)) = (&args.key, &args.image) {
        return signed(args, key, image, global);
    }
    let context = super::context(global, args.downloads)?;
    match &args.image {
        Some(image) => one(&context, image, global),
        None => all(&context, global),
    }
}

/// One image.
fn one(context: &Context, image: &str, global: Global) -> Outcome {
    let source = super::looked_at(context, image);
    let result = source.and_then(|source| Ok(verify::verify(&source, &*context.reporter)?));
    let set_aside = !context.tell_damage().is_empty();
    let result = result?;
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
        if set_aside && !global.quiet {
            render::note("`pinfold build` in the image's project makes again what was set aside");
        }
    }
    Ok(if result.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What a key has signed.
fn signed(args: &VerifyArgs, key: &Path, image: &str, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let (reference, at) = match image.parse()? {
        Place::Registry(reference) => (reference, At::Registry),
        Place::Store(reference) if reference.registry().is_some() && !args.downloads.offline => {
            (reference, At::Registry)
        }
        Place::Store(reference) => (reference, At::Kept),
        Place::Location(_) => {
            return Err(Failure::usage(
                "what is signed of an image in a directory or a file is not known",
                "name it as its registry has it",
            ));
        }
    };
    let require = args.require.iter().cloned().collect();
    let proved = ship::verify::verify(&context, &reference, at, key, &require)?;
    if global.json {
        render::json(&proved);
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::default();
    for proof in &proved.proofs {
        let form = if proof.form == "legacy" { " (in the older form alone)" } else { "" };
        let others = match proof.subject.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        page.line(shown!("{}{form}  {}{others}  {}", proof.predicate, proved.digest, proof.key));
    }
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

/// The whole store.
fn all(context: &Context, global: Global) -> Outcome {
    let report = keep::verify::store(context)?;
    if global.json {
        render::json(&report);
    } else {
        let mut table =
            Table::new(&[("WHAT", Align::Left), ("FILES", Align::Right), ("DAMAGED", Align::Right)]);
        for part in &report.parts {
            table.row([(&part.what).into(), part.files.to_string().into(), part.damaged.to_string().into()]);
        }
        render::out(&Page::from(&table));
        if !report.damaged.is_empty() && !global.quiet {
            render::note(
                "what was set aside is made or fetched again when it is wanted: by `pinfold build`, say",
            );
        }
    }
    Ok(ExitCode::from(u8::from(!report.damaged.is_empty())))
}
