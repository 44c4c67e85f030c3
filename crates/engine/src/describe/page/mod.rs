//! One page over an image, for a person: what it is, what it weighs, what was checked, what is in it, what install scripts did, and how its
//! platforms differ.
//!
//! ```text
//! subject (documents, sides, packages, checks, lock) ─► page: HTML, styles and maps in it, no scripts, nothing that is loaded
//! ```
//!
//! **Guarantees**: a function of its subject, without clock and machine: equal subjects give equal bytes. It holds no script and asks for
//! nothing, and its own policy (CSP) forbids both; text from the image is text ([`html`]). Every figure of a map stands in a table, too.

mod checks;
mod html;
mod maps;
mod svg;
mod treemap;

use std::collections::BTreeMap;

use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::units::bytes;
use pinfold_image::inspect::ImageSummary;
use pinfold_image::inspect::PlatformSummary;
use pinfold_sources::debian::place::LedgerEntry;
use pinfold_sources::debian::place::ScriptClass;

use self::html::Html;
use super::diff::folded;
use super::diff::image::Paths;
use super::diff::image::sides;
use super::side::Side;
use super::side::called;
use crate::project::lock::Lock;
use crate::project::recipe::AGENT_LABEL;
use crate::verify::report::Report;

/// The page's styles.
const STYLE: &str = include_str!("style.css");
/// Effects of a script that are shown at once; the others when they are asked for.
const EFFECTS: usize = 4;

/// What a page is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What the image's documents say.
    pub summary: &'a ImageSummary,
    /// Its platforms.
    pub sides: &'a [Side],
    /// What is installed.
    pub packages: &'a [Package],
    /// What was checked.
    pub checks: Option<&'a Report>,
    /// Its lock, where it is known.
    pub lock: Option<&'a Lock>,
}

/// A package on the platforms that have it in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name, with its kind: `debian/libc6`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
    /// The component that it is of.
    pub component: String,
    /// Where it is.
    pub platforms: Vec<Platform>,
}

/// Writes the page.
pub fn page(subject: &Subject<'_>) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    html.raw(
        "<meta name=\"referrer\" content=\"no-referrer\"><meta name=\"color-scheme\" content=\"light dark\">",
    );
    html.element("<title>", shown!("{}: what it is made of", subject.summary.name), "</title>");
    html.raw("<style>").raw(STYLE).raw("</style></head><body>\n");
    head(&mut html, subject);
    html.raw("<main>\n");
    platforms(&mut html, subject);
    checks::section(&mut html, subject.checks);
    maps::section(&mut html, subject);
    packages(&mut html, subject);
    scripts(&mut html, subject);
    differences(&mut html, subject);
    html.raw("</main>\n<footer>Written by pinfold ").text(env!("CARGO_PKG_VERSION"));
    html.raw(". The same image and lock give the same page.</footer>\n</body></html>\n");
    html.finish()
}

/// Platforms by their architecture.
fn names(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn head(html: &mut Html, subject: &Subject<'_>) {
    let summary = subject.summary;
    html.raw("<header>").element("<h1>", &summary.name, "</h1>");
    html.element("<p class=\"digest\"><code>", shown!("{}", summary.digest), "</code></p>");
    html.raw("<ul class=\"badges\">");
    if let Some(report) = subject.checks {
        checks::badges(html, report);
    }
    for (name, version) in summary.platforms.first().into_iter().flat_map(agents) {
        html.element("<li class=\"badge\">", shown!("{name} {version}"), "</li>");
    }
    html.raw("</ul><nav aria-label=\"Sections\"><a href=\"#platforms\">Platforms</a><a href=\"#checks\">Checks</a>");
    html.raw("<a href=\"#sizes\">Sizes</a><a href=\"#packages\">Packages</a><a href=\"#scripts\">Install scripts</a>");
    html.raw("<a href=\"#differences\">Differences</a></nav></header>\n");
}

/// Agents and their versions, as an image that was built here says.
fn agents(platform: &PlatformSummary) -> impl Iterator<Item = (&str, &str)> {
    let labels = platform.runtime.labels.iter();
    labels.filter_map(|(name, version)| Some((name.strip_prefix(AGENT_LABEL)?, version.as_str())))
}

fn platforms(html: &mut Html, subject: &Subject<'_>) {
    html.raw("<section id=\"platforms\"><h2>Platforms</h2><p>What each platform weighs, and how it is run.</p><div class=\"cards\">");
    for side in subject.sides {
        let (summary, runtime) = (&side.summary, &side.summary.runtime);
        html.element("<article class=\"card\"><h3>", shown!("{}", summary.platform), "</h3><dl>");
        let unpacked = summary.uncompressed.map_or("unknown".into(), bytes);
        let user = if runtime.user.is_empty() { "root" } else { &runtime.user };
        let workdir = if runtime.working_dir.is_empty() { "/" } else { &runtime.working_dir };
        let words = |words: &[String]| shown!("{}", words.join(" "));
        let plain: [(&'static str, Shown); 6] = [
            ("compressed", bytes(summary.size).into()),
            ("unpacked", unpacked.into()),
            ("layers", summary.layers.len().to_string().into()),
            ("paths", side.files.len().to_string().into()),
            ("packages", side.description.as_ref().map_or(0, |one| one.packages.len()).to_string().into()),
            ("created", summary.created.as_deref().unwrap_or("unknown").into()),
        ];
        for (name, value) in plain {
            html.raw("<dt>").raw(name).element("</dt><dd>", value, "</dd>");
        }
        let code: [(&'static str, Shown); 5] = [
            ("manifest", shown!("{}", summary.manifest)),
            ("user", user.into()),
            ("directory", workdir.into()),
            ("entrypoint", words(&runtime.entrypoint)),
            ("command", words(&runtime.cmd)),
        ];
        for (name, value) in code {
            html.raw("<dt>").raw(name).element("</dt><dd><code>", value, "</code></dd>");
        }
        html.raw("</dl>");
        table_of(html, "Environment", runtime.env.iter().map(|one| one.split_once('=').unwrap_or((one, ""))));
        table_of(html, "Labels", runtime.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        html.raw("</article>");
    }
    html.raw("</div></section>\n");
}

/// Names with values that are shown when they are asked for.
fn table_of<'a>(html: &mut Html, heading: &'static str, all: impl Iterator<Item = (&'a str, &'a str)>) {
    let all: Vec<(&str, &str)> = all.collect();
    if all.is_empty() {
        return;
    }
    html.raw("<details><summary>").raw(heading).text(shown!(" ({})", all.len())).raw("</summary><dl>");
    for (name, value) in all {
        html.element("<dt><code>", name, "</code></dt>").element("<dd><code>", value, "</code></dd>");
    }
    html.raw("</dl></details>");
}

fn packages(html: &mut Html, subject: &Subject<'_>) {
    html.raw("<section id=\"packages\"><h2>Packages</h2>");
    html.element(
        "<p>",
        shown!("{} packages, with the licences that they state themselves.", subject.packages.len()),
        "</p>",
    );
    html.raw("<table class=\"packages\"><thead><tr><th>Package<th>Version<th>Licence<th>Component");
    html.raw("<th>Platforms</tr></thead><tbody>");
    for package in subject.packages {
        let everywhere = package.platforms.len() == subject.sides.len();
        let (_, short) = package.name.split_once('/').unwrap_or(("", &package.name));
        html.raw("<tr><td class=\"key\"><code>").text(short).raw("</code></td>");
        html.open_cell("Version").element("<code>", &package.version, "</code></td>");
        html.cell("Licence", package.license.as_deref().unwrap_or("not stated"));
        html.open_cell("Component").element("<code>", &package.component, "</code></td>");
        html.cell("Platforms", if everywhere { "all".into() } else { names(&package.platforms) });
        html.raw("</tr>\n");
    }
    html.raw("</tbody></table></section>\n");
}

fn scripts(html: &mut Html, subject: &Subject<'_>) {
    html.raw("<section id=\"scripts\"><h2>Install scripts</h2>");
    let Some(lock) = subject.lock.filter(|lock| !lock.ledger.is_empty()) else {
        html.raw("<p>The lock that the image was built of is not known here, and with it what stands for the install scripts of Debian's packages. <code>--lock FILE</code> names it.</p></section>\n");
        return;
    };
    html.raw("<p>No program of the image ran while it was built. This is what was done instead of running the packages' scripts, and what deliberately was not.</p>");
    let wanted = subject.sides.iter().map(Side::platform);
    let each = wanted.filter_map(|platform| Some((platform, lock.ledger.get(&platform)?.as_slice())));
    for found in folded(each) {
        html.element("<h3>", names(&found.platforms), "</h3>");
        ledger(html, found.of);
    }
    html.raw("</section>\n");
}

fn ledger(html: &mut Html, entries: &[LedgerEntry]) {
    let idle = |entry: &&LedgerEntry| entry.class == ScriptClass::Nothing && entry.what.is_empty();
    html.raw(
        "<table class=\"scripts\"><thead><tr><th>Package<th>Script<th>What was done</tr></thead><tbody>",
    );
    for entry in entries.iter().filter(|entry| !idle(entry)) {
        html.element("<tr><td class=\"key\"><code>", &entry.package, "</code></td>");
        html.open_cell("Script").element("<code>", &entry.script, "</code></td>").open_cell("Done");
        if entry.class == ScriptClass::Skipped {
            html.raw("<span class=\"badge\">skipped by the manifest</span>");
        }
        if entry.what.is_empty() {
            html.raw("<span class=\"soft\">evaluated, without an effect</span>");
        }
        let (first, rest) = entry.what.split_at(entry.what.len().min(EFFECTS));
        effects(html, first);
        if !rest.is_empty() {
            html.element("<details><summary>", shown!("{} more", rest.len()), "</summary>");
            effects(html, rest);
            html.raw("</details>");
        }
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table>");
    let idle: Vec<String> =
        entries.iter().filter(idle).map(|entry| format!("{} ({})", entry.package, entry.script)).collect();
    if !idle.is_empty() {
        let count = shown!("{} scripts do nothing on a fresh install", idle.len());
        html.element("<details><summary>", count, "</summary><p>")
            .text(idle.join(", "))
            .raw("</p></details>");
    }
}

fn effects(html: &mut Html, effects: &[String]) {
    if effects.is_empty() {
        return;
    }
    html.raw("<ul class=\"effects\">");
    for effect in effects {
        html.element("<li><code>", effect, "</code></li>");
    }
    html.raw("</ul>");
}

fn differences(html: &mut Html, subject: &Subject<'_>) {
    html.raw("<section id=\"differences\"><h2>Differences between platforms</h2>");
    let [first, others @ ..] = subject.sides else {
        html.raw("</section>\n");
        return;
    };
    if others.is_empty() {
        html.element("<p>The page is about ", shown!("{}", first.platform()), " alone.</p></section>\n");
        return;
    }
    for other in others {
        let found = sides(first, other, Paths::Counted);
        let (one, two) = (first.platform().to_string(), other.platform().to_string());
        html.element("<h3>", shown!("{one} and {two}"), "</h3>");
        let (before, after) = (first.summary.size, other.summary.size);
        html.element("<p>", shown!("{} and {} compressed.", bytes(before), bytes(after)), "</p>");
        let none = || Shown::from("none");
        let rows = found.packages.iter().map(|change| {
            let side = |version: Option<&String>| version.map_or_else(none, Shown::from);
            (Shown::from(&change.component), side(change.from.as_ref()), side(change.to.as_ref()))
        });
        compared(html, "Package", (&one, &two), rows.collect());
        let settings = found.configuration.iter().chain(&found.contract);
        let rows = settings.map(|setting| {
            let side = |value: Option<&String>| value.map_or_else(none, Shown::from);
            let values = &setting.values;
            (Shown::from(&setting.key), side(values.from.as_ref()), side(values.to.as_ref()))
        });
        compared(html, "Setting", (&one, &two), rows.collect());
        files(html, (&one, &two), &found.files.components);
    }
    html.raw("</section>\n");
}

/// Values on two platforms.
fn compared(html: &mut Html, what: &'static str, (one, two): (&str, &str), rows: Vec<(Shown, Shown, Shown)>) {
    if rows.is_empty() {
        html.raw("<p>").raw(what).raw("s are the same on both.</p>");
        return;
    }
    html.raw("<table><thead><tr><th>").raw(what).element("<th>", one, "").element(
        "<th>",
        two,
        "</tr></thead><tbody>",
    );
    for (name, from, to) in rows {
        html.element("<tr><td class=\"key\"><code>", name, "</code></td>");
        html.raw("<td data-label=\"").text(one).element("\"><code>", from, "</code></td>");
        html.raw("<td data-label=\"").text(two).element("\"><code>", to, "</code></td></tr>\n");
    }
    html.raw("</tbody></table>");
}

fn files(html: &mut Html, (one, two): (&str, &str), components: &[super::diff::files::FilesOf]) {
    let sum = components
        .iter()
        .fold((0, 0, 0), |sum, of| (sum.0 + of.removed, sum.1 + of.added, sum.2 + of.changed));
    let (removed, added, changed) = sum;
    html.element(
        "<p>",
        shown!(
            "{removed} paths are on {one} alone, {added} on {two} alone, {changed} are on both and differ."
        ),
        "</p>",
    );
    if components.is_empty() {
        return;
    }
    html.raw("<details><summary>Paths by component</summary><table><thead><tr><th>Component");
    html.element("<th class=\"n\">only ", one, "").element("<th class=\"n\">only ", two, "");
    html.raw("<th class=\"n\">differ</tr></thead><tbody>");
    let number = |count: usize| if count == 0 { Shown::default() } else { count.to_string().into() };
    for of in components {
        let name = of.component.as_deref().unwrap_or("(unknown)");
        html.element("<tr><td class=\"key\"><code>", name, "</code></td>");
        html.raw("<td class=\"n\" data-label=\"only ").text(one).element("\">", number(of.removed), "</td>");
        html.raw("<td class=\"n\" data-label=\"only ").text(two).element("\">", number(of.added), "</td>");
        html.element("<td class=\"n\" data-label=\"differ\">", number(of.changed), "</td></tr>\n");
    }
    html.raw("</tbody></table></details>");
}

/// What is installed on one side.
pub fn packages_of(side: &Side) -> Vec<Package> {
    let package = |package: &super::Package| Package {
        name: called(package),
        version: package.version.clone().unwrap_or_default(),
        license: package.license.as_ref().map(|license| license.expression.clone()),
        component: package.component.clone().unwrap_or_default(),
        platforms: vec![side.platform()],
    };
    side.description.iter().flat_map(|description| &description.packages).map(package).collect()
}

/// Packages of all sides, each once, on the platforms that have it so.
pub fn joined(each: impl IntoIterator<Item = (Platform, Vec<Package>)>) -> Vec<Package> {
    let mut found: BTreeMap<(String, String, String, Option<String>), Vec<Platform>> = BTreeMap::new();
    for (platform, packages) in each {
        for Package { name, version, license, component, .. } in packages {
            let platforms = found.entry((name, version, component, license)).or_default();
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
    }
    let package = |((name, version, component, license), platforms)| Package {
        name,
        version,
        license,
        component,
        platforms,
    };
    found.into_iter().map(package).collect()
}

#[cfg(test)]
mod tests;
