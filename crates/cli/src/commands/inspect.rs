//! `pinfold inspect`: what an image is made of.

use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_engine::context::Context;
use pinfold_engine::describe::side;
use pinfold_engine::describe::side::Component;
use pinfold_engine::describe::side::File;
use pinfold_engine::describe::side::Side;
use pinfold_engine::keep::images;
use pinfold_engine::project::recipe::AGENT_LABEL;
use pinfold_engine::verify::secrets;
use pinfold_image::ImageSource;
use pinfold_image::contents::Detail;
use pinfold_image::inspect;
use pinfold_image::inspect::ImageSummary;
use pinfold_image::inspect::PlatformSummary;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use pinfold_base::units;

/// Show what an image is made of: agents, configuration, layers, components, files
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or
    /// docker://HOST/REPOSITORY[:TAG], where it is read and nothing is kept
    #[arg(add = complete::images())]
    image: String,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Show this platform only
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// List the components with their versions (reads every layer); of this machine's platform unless --platform says
    #[arg(long, conflicts_with = "files")]
    components: bool,
    /// List the files as `ls -l` does, each with its component (reads every layer)
    #[arg(long)]
    files: bool,
    /// With --components or --files: only this component, such as debian/curl (may be repeated)
    #[arg(long, value_name = "NAME")]
    component: Vec<String>,
}

pub(crate) fn run(args: &InspectArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let found =
        super::looked_at(&context, &args.image).and_then(|source| Ok((inspect::inspect(&source)?, source)));
    let whole = images::is_whole(&context, &args.image)?;
    context.tell_damage();
    let (mut summary, source) = found?;
    secrets::hidden::image(&mut summary);
    if !whole {
        context.reporter.warn(
            "some of its blobs are missing or damaged; `pinfold build` in its project makes them again",
        );
    }
    if let Some(wanted) = args.platform {
        // The error for a platform that it does not have names those that it has.
        source.image(wanted)?;
        summary.platforms.retain(|platform| platform.platform == wanted);
    }
    if args.components || args.files || !args.component.is_empty() {
        return inside(&context, args, &source, &summary, global);
    }
    if global.json {
        render::json(&summary);
    } else {
        render::out(&told(&summary));
    }
    Ok(ExitCode::SUCCESS)
}

/// Components or files, of one platform.
fn inside(
    context: &Context,
    args: &InspectArgs,
    source: &ImageSource,
    summary: &ImageSummary,
    global: Global,
) -> Outcome {
    let host = summary.platforms.iter().find(|platform| Some(platform.platform) == Platform::host());
    let Some(platform) = host.or(summary.platforms.first()) else {
        return Err(Failure::usage(
            "the image has no platform that pinfold knows",
            "`pinfold inspect` it without `--files`",
        ));
    };
    let origins = side::origins(context, source, None, platform.platform);
    let side = Side::read(context, source, platform.platform, &origins, Detail::Plain);
    context.tell_damage();
    let Side { mut components, mut files, .. } = side?;
    for wanted in &args.component {
        if !components.iter().any(|component| is(wanted, &component.name)) {
            return Err(Failure::usage(
                format!("the image has no component `{wanted}`"),
                format!("`pinfold inspect {} --components` lists them", text::word(&args.image)),
            ));
        }
    }
    let is_wanted =
        |name: &str| args.component.is_empty() || args.component.iter().any(|wanted| is(wanted, name));
    components.retain(|component| is_wanted(&component.name));
    files.retain(|file| is_wanted(file.component.as_deref().unwrap_or_default()));
    let by_file = args.files || !args.components;
    match (global.json, by_file) {
        (true, true) => render::json(&serde_json::json!({ "platform": platform.platform, "files": files })),
        (true, false) => {
            render::json(&serde_json::json!({ "platform": platform.platform, "components": components }));
        }
        (false, true) => render::out(&listing(&files)),
        (false, false) => render::out(&Page::from(&table(&components))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a component is meant, by its name or by what stands behind the slash.
fn is(wanted: &str, name: &str) -> bool {
    name == wanted || name.split_once('/').is_some_and(|(_, short)| short == wanted)
}

fn table(components: &[Component]) -> Table {
    let mut table = Table::new(&[
        ("COMPONENT", Align::Left),
        ("VERSION", Align::Left),
        ("FILES", Align::Right),
        ("SIZE", Align::Right),
        ("LAYER", Align::Right),
    ])
    .sparing(&["LAYER", "FILES"]);
    for one in components {
        table.row([
            (&one.name).into(),
            one.version.as_ref().map(Shown::from).unwrap_or_default(),
            one.files.to_string().into(),
            units::bytes(one.size).into(),
            one.layer.to_string().into(),
        ]);
    }
    table
}

/// One line a path, the path and where it leads last: they may be long.
fn listing(files: &[File]) -> Page {
    let columns = [
        ("MODE", Align::Left),
        ("OWNER", Align::Left),
        ("SIZE", Align::Right),
        ("COMPONENT", Align::Left),
        ("PATH", Align::Left),
    ];
    let mut table = Table::new(&columns).sparing(&["OWNER"]).whole_at_the_end();
    for file in files {
        table.row([
            (&file.mode).into(),
            format!("{}:{}", file.uid, file.gid).into(),
            file.size.to_string().into(),
            file.component.as_ref().map_or("-".into(), Shown::from),
            match &file.target {
                Some(target) => shown!("{} -> {target}", file.path),
                None => (&file.path).into(),
            },
        ]);
    }
    Page::from(&table)
}

/// What the documents say.
fn told(summary: &ImageSummary) -> Page {
    let mut page = Page::default();
    page.line(&summary.name);
    page.fitted(summary.digest.to_string());
    let agents = summary.platforms.first().map(agents).unwrap_or_default();
    if !agents.is_empty() {
        page.wrapped("agents  ", agents.join(", "));
    }
    for platform in &summary.platforms {
        page.blank();
        page.line(shown!(
            "{}  {}, {} unpacked",
            platform.platform,
            units::bytes(platform.size),
            platform.uncompressed.map_or("unknown".into(), units::bytes)
        ));
        page.fitted(shown!("manifest    {}", platform.manifest));
        let runtime = &platform.runtime;
        let or = |text: &str, other: &str| Shown::new(if text.is_empty() { other } else { text });
        page.line(shown!("created     {}", or(platform.created.as_deref().unwrap_or_default(), "unknown")));
        page.line(shown!("user        {}", or(&runtime.user, "root")));
        page.line(shown!("workdir     {}", or(&runtime.working_dir, "/")));
        page.wrapped("entrypoint  ", list(&runtime.entrypoint));
        page.wrapped("cmd         ", list(&runtime.cmd));
        for (number, variable) in runtime.env.iter().enumerate() {
            page.wrapped(if number == 0 { "env         " } else { "            " }, variable);
        }
        for (number, (name, value)) in runtime.labels.iter().enumerate() {
            page.wrapped(if number == 0 { "labels      " } else { "            " }, shown!("{name}={value}"));
        }
        page.blank();
        page.table(&layers(platform));
        if platform.layers.iter().any(|layer| layer.reused > 0) {
            page.line("COPIED: bytes taken as their publishers compressed them");
        }
    }
    page
}

/// Agents and their versions, as an image that was built here says.
fn agents(platform: &PlatformSummary) -> Vec<String> {
    let labels = platform.runtime.labels.iter();
    labels
        .filter_map(|(name, version)| Some(format!("{} {version}", name.strip_prefix(AGENT_LABEL)?)))
        .collect()
}

fn layers(platform: &PlatformSummary) -> Table {
    let mut table = Table::new(&[
        ("#", Align::Right),
        ("LAYER", Align::Left),
        ("SIZE", Align::Right),
        ("UNPACKED", Align::Right),
        ("COPIED", Align::Right),
        ("COMPONENTS", Align::Left),
    ])
    .sparing(&["UNPACKED", "COPIED"]);
    for (number, layer) in platform.layers.iter().enumerate() {
        let mut components = Shown::from(layer.components.join(" "));
        if components.columns() > 40 {
            components = shown!("{} components", layer.components.len());
        }
        table.row([
            (number + 1).to_string().into(),
            layer.digest.short().into(),
            units::bytes(layer.size).into(),
            layer.uncompressed.map(units::bytes).unwrap_or_default().into(),
            units::bytes(layer.reused).into(),
            components,
        ]);
    }
    table
}

/// Words, told apart by quotes.
fn list(words: &[String]) -> Shown {
    let quoted = words.iter().map(|word| word.replace('\\', "\\\\").replace('"', "\\\""));
    shown!("[{}]", quoted.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}
