//! `pinfold build`: manifest in, image out.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_archive::encode::Reuse;
use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::build;
use pinfold_engine::build::Naming;
use pinfold_engine::build::Outcome as Built;
use pinfold_engine::build::compose::BuiltPlatform;
use pinfold_engine::build::heal::healing;
use pinfold_engine::build::layers::Records;
use pinfold_engine::context::Context;
use pinfold_engine::keep::gc;
use pinfold_engine::project::Project;
use pinfold_engine::project::manifest::Compression;
use pinfold_engine::verify;
use pinfold_engine::verify::Further;
use pinfold_engine::verify::own::Commands;
use pinfold_engine::verify::report::Report;
use pinfold_image::Location;
use pinfold_image::Reference;
use pinfold_image::export::export;
use pinfold_image::export::selection;
use pinfold_image::location::LocationKind;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use crate::render::verdicts;
use pinfold_base::units;

/// Build the image: lock what the manifest changed, fetch what is missing, compose what changed
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    downloads: args::Downloads,
    #[command(flatten)]
    locking: args::Locking,
    /// Build for this platform only (may be repeated)
    #[arg(long, value_name = "OS/ARCH")]
    platform: Vec<Platform>,
    /// Name the image NAME[:TAG] instead of the manifest's name
    #[arg(long, short, value_name = "NAME")]
    tag: Option<Reference>,
    /// Also write the image to oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE (may be repeated)
    #[arg(long, short, value_name = "OUTPUT", value_parser = args::hinted::<Location>)]
    output: Vec<Location>,
    /// Take inputs from this directory first, as `pinfold vendor` made it
    #[arg(long, value_name = "DIR", value_parser = args::vendored)]
    vendor: Vec<PathBuf>,
    /// Compress layers this way instead of the manifest's
    #[arg(long, value_enum)]
    compression: Option<Wanted>,
    /// Make everything anew: look at every byte of the downloads, decode and compress again, unpack again at the next run
    #[arg(long)]
    force: bool,
    /// Check what was built at once, as `pinfold verify` does without executing anything; a failed check is exit code 1
    #[arg(long)]
    verify: bool,
    /// Compress everything anew instead of copying the publishers' compressed blocks
    #[arg(long)]
    no_reuse: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Wanted {
    Gzip,
    Zstd,
}

pub(crate) fn run(args: &BuildArgs, global: Global) -> Outcome {
    let mut context = super::context(global, args.locking.downloads(args.downloads))?;
    context.vendor.clone_from(&args.vendor);
    let project = super::agreed(&context, &args.project)?;
    let options = build::Options {
        lock: args.locking.meant(),
        platforms: args.platform.clone(),
        name: args.tag.clone().map_or(Naming::Manifest, Naming::As),
        compression: args.compression.map(|wanted| match wanted {
            Wanted::Gzip => Compression::Gzip,
            Wanted::Zstd => Compression::Zstd,
        }),
        records: if args.force { Records::Passed } else { Records::Believed },
        reuse: if args.no_reuse { Reuse::Never } else { Reuse::Publisher },
    };
    // A blob that turns out to be damaged while it is written elsewhere is made again by another build.
    let (outcome, written) = healing(&context, || {
        let outcome = build::build(&context, &project, &options)?;
        let written: Result<Vec<Written>, Failure> =
            args.output.iter().map(|place| write(&context, &outcome, place)).collect();
        Ok::<_, Failure>((outcome, written?))
    })?;
    if args.force {
        gc::drop_roots_of(&context, outcome.images.values().map(|image| image.manifest.digest()))?;
    }
    let verified = if args.verify { Some(verified(&context, &project, &outcome)?) } else { None };
    if global.json {
        let mut told = serde_json::json!({
            "reference": outcome.built.reference,
            "index": outcome.built.index,
            "unchanged": outcome.unchanged,
            "seconds": outcome.time.as_secs_f64(),
            "platforms": outcome.built.platforms,
            "written": written,
        });
        if let Some(report) = &verified {
            told["verified"] = serde_json::json!(report);
        }
        render::json(&told);
    } else if outcome.unchanged {
        let Built { built, time, .. } = &outcome;
        if global.quiet {
            render::out(&Page::from(built.index.to_string()));
        } else {
            render::note(shown!(
                "{} is up to date ({}, {})",
                built.reference,
                built.index,
                units::duration(*time)
            ));
        }
    } else {
        render::out(&report(&outcome, global));
    }
    if !global.json && !global.quiet {
        for Written { place, bytes } in &written {
            render::note(shown!("wrote {place} ({})", units::bytes(*bytes)));
        }
    }
    let Some(verified) = verified else { return Ok(ExitCode::SUCCESS) };
    if !global.json {
        render::out(&verdicts::page(&verified, global.quiet));
    }
    Ok(ExitCode::from(u8::from(verified.failed())))
}

/// What was built, looked at, with the tests of the manifest that need no run.
fn verified(context: &Context, project: &Project, outcome: &Built) -> Result<Report, Failure> {
    let wanted = verify::Wanted {
        platforms: outcome.images.keys().copied().collect(),
        budget: project.manifest.policy.size_budget,
        only: Vec::new(),
    };
    let further =
        Further { commands: Commands::Skip, recipes: &project.recipes, tests: &project.manifest.tests };
    super::verify::proved(context, &outcome.source, &wanted, &further)
}

/// One more place that the image was written to.
#[derive(Debug, serde::Serialize)]
struct Written {
    place: String,
    bytes: u64,
}

/// Writes the image to one more place.
fn write(context: &Context, outcome: &Built, place: &Location) -> Result<Written, Failure> {
    let mut place = place.clone();
    let told = place.to_string();
    if place.tag.is_none() && place.kind != LocationKind::Oci {
        // `podman load` names what it loads after this.
        place.tag = Some(outcome.built.reference.clone());
    }
    let chosen = selection(&outcome.source, &place, None)?;
    export(&outcome.source, chosen, &place, Some(&outcome.built.reference), &*context.reporter)?;
    // Of an archive the file's; a directory may hold other images as well.
    let file = fs_err::metadata(&place.path).ok().filter(std::fs::Metadata::is_file);
    let image = outcome.built.platforms.iter().map(BuiltPlatform::size).sum();
    Ok(Written { place: told, bytes: file.map_or(image, |file| file.len()) })
}

/// What was built: sizes per component, layers, digests.
fn report(outcome: &Built, global: Global) -> Page {
    let built = &outcome.built;
    if global.quiet {
        return Page::from(built.index.to_string());
    }
    let mut page = Page::default();
    if let Some(first) = built.platforms.first().filter(|_| global.verbose > 0) {
        let mut table = Table::new(&[("COMPONENT", Align::Left), ("SIZE", Align::Right)]);
        let shown = 14;
        for (component, size) in first.components.iter().take(shown) {
            table.row([component.into(), units::bytes(*size).into()]);
        }
        let rest: u64 = first.components.iter().skip(shown).map(|(_, size)| size).sum();
        if first.components.len() > shown {
            table.row([shown!("{} more", first.components.len() - shown), units::bytes(rest).into()]);
        }
        page.table(&table);
        page.blank();
    }
    let mut table = Table::new(&[
        ("PLATFORM", Align::Left),
        ("LAYERS", Align::Right),
        ("CACHED", Align::Right),
        ("SIZE", Align::Right),
        ("UNPACKED", Align::Right),
        ("COPIED", Align::Right),
        ("MANIFEST", Align::Left),
    ])
    .sparing(&["MANIFEST", "UNPACKED"]);
    for platform in &built.platforms {
        let reused: u64 = platform.layers.iter().map(|layer| layer.layer.reused).sum();
        table.row([
            platform.platform.to_string().into(),
            platform.layers.len().to_string().into(),
            platform.layers.iter().filter(|layer| layer.cached).count().to_string().into(),
            units::bytes(platform.size()).into(),
            units::bytes(platform.uncompressed()).into(),
            units::bytes(reused).into(),
            shown!("sha256:{}", platform.manifest.short()),
        ]);
    }
    page.table(&table);
    let mut layers = built.platforms.iter().flat_map(|platform| &platform.layers);
    if layers.clone().any(|layer| layer.cached) {
        page.line("CACHED: layers that were there already");
    }
    if layers.any(|layer| layer.layer.reused > 0) {
        page.line("COPIED: bytes taken as their publishers compressed them");
    }
    page.blank();
    page.line(shown!("built {} in {}", built.reference, units::duration(outcome.time)));
    page.line(built.index.to_string());
    page
}
