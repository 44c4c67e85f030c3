//! `pinfold explain`: where a path of an image comes from.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::units;
use pinfold_engine::describe::explain;
use pinfold_engine::describe::explain::Earlier;
use pinfold_engine::describe::explain::Entry;
use pinfold_engine::describe::explain::Explained;
use pinfold_engine::describe::explain::Missing;
use pinfold_engine::describe::lock::find;
use pinfold_engine::describe::side;
use pinfold_engine::describe::side::Side;
use pinfold_image::contents::Detail;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;

/// Components that are shown of a directory.
const SHARES: usize = 20;

/// Explain where a path of an image comes from: component, layer, links, download, install scripts
///
/// Exits with 1 where there is no such path; what is near is told.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The image, in any place (as of `inspect`)
    #[arg(add = complete::images())]
    image: String,
    /// The path in the image; links are followed
    path: String,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Look at this platform; at this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// The lock that the image was built of; one that is known to be it unless said
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

pub(crate) fn run(args: &ExplainArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let path = ImagePath::new(&args.path).map_err(|error| {
        Failure::usage(shown!("{error}"), "name a path from the image's root, such as /usr/bin/git")
    })?;
    let source = super::looked_at(&context, &args.image)?;
    let platform = super::one_platform(&source, args.platform)?;
    let lock = find(&context, &source, args.lock.as_deref())?;
    let origins = side::origins(&context, &source, lock.as_ref(), platform);
    let side = Side::read(&context, &source, platform, &origins, Detail::Close);
    context.tell_damage();
    let explained = explain::explain(&side?, lock.as_ref(), &path);
    if global.json {
        render::json(&explained);
    } else {
        render::out(&told(&explained));
    }
    Ok(if explained.found.is_some() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn told(explained: &Explained) -> Page {
    let mut page = Page::default();
    page.line(&explained.asked);
    for hop in &explained.links {
        let of = hop.component.as_deref().unwrap_or("unknown");
        page.line(shown!("  {} -> {} ({of}, layer {})", hop.link, hop.target, hop.layer));
    }
    match (&explained.found, &explained.missing) {
        (Some(found), _) => entry(&mut page, &explained.path, found),
        (None, missing) => absent(&mut page, &explained.path, &missing.clone().unwrap_or_default()),
    }
    page
}

fn entry(page: &mut Page, path: &str, found: &Entry) {
    page.wrapped("is         ", shown!("{} {path}", found.kind));
    page.line(shown!("mode       {} {}:{}", found.mode, found.uid, found.gid));
    if found.kind == "file" {
        page.line(shown!("size       {} ({} bytes)", units::bytes(found.size), found.size));
    }
    if let Some(digest) = &found.digest {
        page.fitted(shown!("content    {digest}"));
    }
    let version =
        |version: &Option<String>| version.as_ref().map(|text| format!(" {text}")).unwrap_or_default();
    let component = found.component.as_deref().unwrap_or("unknown");
    page.line(shown!("component  {component}{}", version(&found.version)));
    if let Some(package) = &found.package {
        page.line(shown!("package    {}{}", package.name, version(&package.version)));
        page.wrapped("           ", &package.purl);
        if let Some(license) = &package.license {
            page.wrapped("licence    ", license);
        }
    }
    page.wrapped("why        ", &found.reason);
    page.fitted(shown!("layer      {} {}", found.layer.number, found.layer.digest));
    page.fitted(shown!("           {}, diff_id {}", found.layer.created_by, found.layer.diff_id));
    if let Some(download) = &found.download {
        page.wrapped("fetched    ", download.path.as_deref().unwrap_or("by its digest"));
        page.fitted(shown!("           {}", download.digest));
    }
    for effect in &found.effects {
        let sha256 = effect.sha256.short();
        page.line(shown!("script     {} of {} ({sha256})", effect.script, effect.package));
        for line in &effect.what {
            page.wrapped("           ", line);
        }
    }
    before(page, &found.before);
    if !found.below.is_empty() {
        page.blank();
        page.table(&shares(found));
    }
}

fn shares(found: &Entry) -> Table {
    let mut table = Table::new(&[("BELOW IT", Align::Left), ("PATHS", Align::Right), ("SIZE", Align::Right)]);
    for share in found.below.iter().take(SHARES) {
        let name = share.component.as_ref().map_or("(unknown)".into(), Shown::from);
        table.row([name, share.paths.to_string().into(), units::bytes(share.size).into()]);
    }
    let rest = found.below.iter().skip(SHARES);
    let (paths, size) = rest.clone().fold((0, 0), |sum, share| (sum.0 + share.paths, sum.1 + share.size));
    if paths > 0 {
        table.row([shown!("{} others", rest.count()), paths.to_string().into(), units::bytes(size).into()]);
    }
    table
}

fn before(page: &mut Page, before: &[Earlier]) {
    for earlier in before {
        let bytes = if earlier.kind == "file" { format!(", {} bytes", earlier.size) } else { String::new() };
        let digest =
            earlier.digest.as_ref().map(|digest| format!(", {}", digest.short())).unwrap_or_default();
        page.wrapped(
            "before     ",
            shown!(
                "layer {} had another one until layer {}: {}, mode {}{bytes}{digest}",
                earlier.layer,
                earlier.until,
                earlier.kind,
                earlier.mode
            ),
        );
    }
}

fn absent(page: &mut Page, path: &str, missing: &Missing) {
    page.line(shown!("is         not there: {path}"));
    page.line(shown!("nearest    {}", missing.parent));
    for (number, similar) in missing.similar.iter().enumerate() {
        page.line(shown!("{}{similar}", if number == 0 { "similar    " } else { "           " }));
    }
    before(page, &missing.before);
}
