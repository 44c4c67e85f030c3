//! `pinfold verify`: reads an image back.

mod sealed;

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::build;
use pinfold_engine::build::heal::healing;
use pinfold_engine::context::Context;
use pinfold_engine::keep;
use pinfold_engine::portable::Asked;
use pinfold_engine::portable::Form;
use pinfold_engine::portable::vouched;
use pinfold_engine::settings;
use pinfold_engine::ship;
use pinfold_engine::ship::find::Finding;
use pinfold_engine::ship::verify::At;
use pinfold_engine::verify;
use pinfold_engine::verify::Further;
use pinfold_engine::verify::Wanted;
use pinfold_engine::verify::own::Commands;
use pinfold_engine::verify::own::structure;
use pinfold_engine::verify::report::Report;
use pinfold_engine::verify::report::Verdict;
use pinfold_engine::verify::sets;
use pinfold_image::ImageSource;
use pinfold_image::Location;
use pinfold_image::Place;
use pinfold_image::location::LocationKind;
use pinfold_image::portable::Portable;
use pinfold_image::trust::Admitted;

use super::Outcome;
use super::run::RuntimeArg;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use crate::render::verdicts;

/// Prove what an image is: its bytes, that everything in it can start, what it should not have, where each file came from
///
/// Every check is a line with what was seen; a failed one is exit code 1.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or
    /// docker://HOST/REPOSITORY[:TAG], where it is read and nothing is kept; the project here, built first, unless said. With --key a
    /// name with its registry is looked up there. What `pinfold pack` made, ./FILE or appimage:FILE, is looked at itself, too
    #[arg(add = complete::images())]
    image: Option<String>,
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    locking: args::Locking,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Check this platform alone (may be repeated)
    #[arg(long = "platform", value_name = "OS/ARCH")]
    platforms: Vec<Platform>,
    /// Make this check alone, or this group of checks: file, oci, closure, hardening, secrets, agents, size, origin, run, rebuild, test (may be repeated)
    #[arg(long, value_name = "CHECK", value_parser = verify::only)]
    only: Vec<String>,
    /// Let a platform's compressed layers have up to this size, instead of the manifest's `policy.size-budget` or 700MiB
    #[arg(long, value_name = "SIZE", value_parser = super::push::size)]
    budget: Option<u64>,
    /// Tell what each platform weighs more or less than this image, and in which layers
    #[arg(long, value_name = "IMAGE", add = complete::images(), conflicts_with_all = ["store", "key", "set"])]
    against: Option<String>,
    /// Answer a table that others ask for, by its numbers: iteron
    #[arg(long, value_name = "NAME", conflicts_with = "only", value_parser = clap::builder::PossibleValuesParser::new(sets::SETS.iter().map(|set| set.name)))]
    set: Option<String>,
    /// Write the outcomes to this file as JUnit's XML, for CI systems (`-` is stdout)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "key"])]
    junit: Option<PathBuf>,
    /// Run the image too, in sandboxes: its agents and tools, and the commands of tests. What this machine cannot run has failed then
    #[arg(long, conflicts_with_all = ["store", "key"])]
    run: bool,
    /// Instead of an image: ask the worker of this sealed sandbox, while it runs, which walls it finds around itself, and look at it from
    /// outside. Each wall is PASS, FAIL or GAP (could not be tried)
    #[arg(long, value_name = "NAME", requires = "run", add = complete::sandboxes(), conflicts_with_all = ["image", "platforms", "only", "budget", "against", "set", "junit", "rebuild", "runtime", "structure_test", "store", "key"])]
    sealed: Option<String>,
    /// Execute nothing, which is so unless `--run` is said
    #[arg(long = "static", conflicts_with_all = ["run", "store", "key"])]
    look: bool,
    /// Build the project here once more, with nothing of earlier builds believed, and compare the digests
    #[arg(long, conflicts_with_all = ["image", "store", "key"])]
    rebuild: bool,
    /// What runs the sandboxes; runc and runsc must be installed
    #[arg(long, value_enum, default_value = "builtin", requires = "run")]
    runtime: RuntimeArg,
    /// Make the tests of this file too, in the format of container-structure-test 2.0.0, beside the manifest's (may be repeated)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "key"])]
    structure_test: Vec<PathBuf>,
    /// Read back every download, layer and blob instead; what does not match its name is set aside
    #[arg(long, conflicts_with_all = ["image", "platforms", "only", "budget", "set"])]
    store: bool,
    /// Tell what this key has signed of the image instead: of HOST/NAME in its registry, else by what was kept when it was pulled. Of what
    /// `pinfold pack` made, FILE.sigstore.json must be by this key, or else such a signature of its image
    #[arg(long, value_name = "FILE", requires = "image", conflicts_with_all = ["platforms", "budget", "set"])]
    key: Option<PathBuf>,
    /// Of what `pinfold pack` made: it, or its image, must have this SHA-256
    #[arg(long, value_name = "sha256:HEX", requires = "image", conflicts_with = "store")]
    digest: Option<Digest>,
    /// What the key must have signed: signature (unless said), provenance or the URI of a predicate (may be repeated)
    #[arg(long, value_name = "PREDICATE", value_parser = settings::predicate, requires = "key")]
    require: Vec<String>,
}

pub(crate) fn run(args: &VerifyArgs, global: Global) -> Outcome {
    let packed = args.image.as_deref().and_then(packed);
    refuse(args, packed.as_deref(), global)?;
    if let (Some(image), None, Some(key)) = (&args.image, &packed, &args.key) {
        return signed(args, key, image, global);
    }
    let context = super::context(global, args.locking.downloads(args.downloads))?;
    if args.store {
        return all(&context, global);
    }
    if let Some(name) = &args.sealed {
        return sealed::run(&context, name, global);
    }
    let mut wanted =
        Wanted { platforms: args.platforms.clone(), budget: args.budget, only: args.only.clone() };
    let mut tests = Vec::new();
    for file in &args.structure_test {
        tests.extend(structure::read(file)?);
    }
    let commands = if args.run { Commands::Run(args.runtime.meant()) } else { Commands::Skip };
    let image = packed.as_ref().map(|file| format!("appimage:{}", file.display())).or(args.image.clone());
    let against = args.against.as_ref().map(|image| super::looked_at(&context, image)).transpose()?;
    let result = if let Some(image) = &image {
        let further = Further { commands, recipes: &[], tests: &tests };
        if commands == Commands::Skip && tests.is_empty() {
            super::looked_at(&context, image).and_then(|source| {
                compared(&source, against.as_ref(), &wanted, verify::statics(&context, &source, &wanted)?)
            })
        } else {
            // What is run must be let in.
            super::image(&context, image, Finding::default()).and_then(|source| {
                compared(&source, against.as_ref(), &wanted, proved(&context, &source, &wanted, &further)?)
            })
        }
    } else {
        let project = super::agreed(&context, &args.project)?;
        let platforms = args.platforms.clone();
        let options = build::Options { platforms, ..build::Options::new(args.locking.meant()) };
        wanted.budget = wanted.budget.or(project.manifest.policy.size_budget);
        let tests = [project.manifest.tests.clone(), tests].concat();
        let further = Further { commands, recipes: &project.recipes, tests: &tests };
        healing(&context, || {
            let outcome = build::build(&context, &project, &options)?;
            let report = proved(&context, &outcome.source, &wanted, &further)?;
            let mut report = compared(&outcome.source, against.as_ref(), &wanted, report)?;
            if args.rebuild {
                report.outcomes.push(verify::rebuild(&context, &project, &options, &outcome.built.index)?);
            }
            Ok::<_, Failure>(report)
        })
    };
    let set_aside = !context.tell_damage().is_empty();
    let mut report = result?;
    let mut code = 1;
    if let Some(file) = &packed {
        let portable = Portable::open(file)?;
        let asked = Asked { key: args.key.as_deref(), digest: args.digest.as_ref() };
        let mut outcomes = vouched(&context, &portable, file, asked)?;
        // What is asked of the file is answered whatever else is looked at.
        if args.key.is_none() && args.digest.is_none() {
            outcomes.retain(|outcome| wanted.wants(&outcome.check));
        }
        // Other bytes than those that were meant.
        if outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed) {
            code = 4;
        }
        report.outcomes.splice(0..0, outcomes);
    }
    if let Some(name) = wanted.unanswered(&report) {
        return Err(Failure::usage(
            format!("nothing was looked at for `--only {name}`"),
            "checks of `run` need `--run`, `rebuild` needs `--rebuild`, `size.change` needs `--against`, and `test` needs tests",
        ));
    }
    let set = args.set.as_deref().and_then(|name| sets::SETS.iter().find(|set| set.name == name));
    let report = set.map(|set| sets::answers(set, &report, &args.platforms)).unwrap_or(report);
    if let Some(file) = &args.junit {
        junit(&report, file)?;
    }
    if global.json {
        render::json(&report);
    } else if args.junit.as_deref() != Some(Path::new("-")) {
        render::out(&verdicts::page(&report, global.quiet));
    }
    if !args.run && args.only.is_empty() && set.is_none() && !global.quiet && !global.json {
        let run = verify::checks::CHECKS.iter().filter(|check| check.group() == "run").count();
        render::note(shown!("{run} more checks run the image in a sandbox: add `--run`"));
    }
    if set_aside && !global.quiet && !global.json {
        render::note("`pinfold build` in the image's project makes again what was set aside");
    }
    Ok(ExitCode::from(if report.failed() { code } else { 0 }))
}

/// Refuses words that do not go together, and that clap cannot see.
fn refuse(args: &VerifyArgs, packed: Option<&Path>, global: Global) -> Result<(), Failure> {
    let is_image = args.image.is_some() && packed.is_none();
    if is_image && args.digest.is_some() {
        return Err(Failure::usage(
            "`--digest` is for what `pinfold pack` made",
            "name the image with it: NAME@sha256:…",
        ));
    }
    if is_image && args.key.is_some() && !args.only.is_empty() {
        return Err(Failure::usage(
            "`--key` tells what is signed of an image, and makes no checks",
            "leave out `--only`, or name a file of `pinfold pack`",
        ));
    }
    if global.json && args.junit.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage(
            "JSON and JUnit's XML cannot both go to stdout",
            "name a file: `--junit FILE`",
        ));
    }
    Ok(())
}

/// The file or directory that text names, where it is what `pinfold pack` makes. Nothing in a store or a registry is called like that.
fn packed(text: &str) -> Option<PathBuf> {
    if Location::is_spelt_by(text) {
        let location: Location = text.parse().ok()?;
        return (location.kind == LocationKind::AppImage).then_some(location.path);
    }
    let path = PathBuf::from(text);
    let named = text.starts_with(['.', '/']) || text.ends_with(".AppImage");
    (named || Form::tar(&path).is_some() && path.is_file()).then_some(path)
}

/// An image looked at, then run and tested as far as that is asked for.
pub(super) fn proved(
    context: &Context,
    source: &Admitted<ImageSource>,
    wanted: &Wanted,
    further: &Further<'_>,
) -> Result<Report, Failure> {
    let mut report = verify::statics(context, source, wanted)?;
    verify::further(context, source, wanted, further, &mut report)?;
    Ok(report)
}

/// A report with what the image weighs more or less than another, where that is asked for.
fn compared(
    source: &ImageSource,
    against: Option<&ImageSource>,
    wanted: &Wanted,
    mut report: Report,
) -> Result<Report, Failure> {
    if let Some(against) = against.filter(|_| wanted.wants(verify::checks::SIZE_CHANGE.id)) {
        report.outcomes.extend(verify::size_change(source, against, wanted)?);
    }
    Ok(report)
}

/// Writes the report where a CI system finds it.
fn junit(report: &Report, file: &Path) -> Result<(), Failure> {
    let xml = verify::junit::xml(report);
    if file == Path::new("-") {
        let mut page = Page::default();
        page.lines(&xml);
        render::out(&page);
        return Ok(());
    }
    Ok(fs_err::write(file, xml)?)
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
