//! What differs between two images or two locks, in sections.

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::units;
use pinfold_engine::describe::diff::Folded;
use pinfold_engine::describe::diff::Pair;
use pinfold_engine::describe::diff::Script;
use pinfold_engine::describe::diff::Setting;
use pinfold_engine::describe::diff::files::FileChange;
use pinfold_engine::describe::diff::files::FilesOf;
use pinfold_engine::describe::diff::folded;
use pinfold_engine::describe::diff::image;
use pinfold_engine::describe::diff::lock;
use pinfold_engine::describe::diff::lock::LockDifference;

use super::changes;
use super::document::Document;
use super::table::Align;
use super::table::Table;

/// Components and layers that are shown by what they weigh more or less; the others are summed up.
const HEAVIEST: usize = 15;
/// Lines that are shown of an install script.
const LINES: usize = 10;

/// Two locks.
pub(crate) fn of_locks(difference: &LockDifference) -> Document {
    let mut document = Document::default();
    if difference.is_empty() {
        document.line("Nothing differs.", []);
    }
    one_sided(&mut document, &difference.removed, &difference.added);
    let each = |table: &dyn Fn(&lock::PlatformDifference) -> Table| {
        let all = difference.platforms.iter();
        folded(all.flat_map(|one| one.platforms.iter().map(|platform| (*platform, table(&one.of)))))
    };
    for Folded { platforms, of } in each(&|of| changes::rows(&of.packages)) {
        section(&mut document, &platforms, "Packages", of);
    }
    for Folded { platforms, of } in each(&|of| scripts(&of.scripts)) {
        section(&mut document, &platforms, "Install scripts", of);
    }
    let mut downloads = Table::new(&[
        ("PLATFORM", Align::Left),
        ("FROM", Align::Right),
        ("TO", Align::Right),
        ("CHANGE", Align::Right),
    ]);
    for Folded { platforms, of } in &difference.platforms {
        if let Pair { from: Some(from), to: Some(to) } = of.downloads {
            let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            let sizes = [units::bytes(from).into(), units::bytes(to).into(), more(Some(from), Some(to))];
            downloads.row(std::iter::once(names.join(", ").into()).chain(sizes));
        }
    }
    if !downloads.is_empty() {
        document.heading("Downloads whose size is locked");
        document.table(downloads);
    }
    if !difference.rules.is_empty() || !difference.manifest.is_empty() {
        document.heading("What was asked, and by which rules");
        for key in &difference.manifest {
            document.line("The manifest asks for other things: {}.", [key.into()]);
        }
        document.table(settings(&difference.rules));
    }
    if !difference.layers.is_empty() {
        document.heading("Components that go to other layers");
        document.table(settings(&difference.layers));
    }
    if difference.further {
        document.line("They differ in parts that are told by `diff` only.", []);
    }
    document
}

/// Platforms that only one of two sides has.
fn one_sided(document: &mut Document, removed: &[Platform], added: &[Platform]) {
    for (platforms, line) in [(removed, "Only the first has {}."), (added, "Only the second has {}.")] {
        for platform in platforms {
            document.line(line, [Shown::of(platform)]);
        }
    }
}

/// The table of one section.
type OneTable<'a> = &'a dyn Fn(&image::PlatformDifference) -> Table;

/// Two images.
pub(crate) fn of_images(difference: &image::Difference) -> Document {
    let mut document = Document::default();
    let side = |named: &image::Named| [Shown::from(&named.name), named.digest.short().into()];
    document.line("From {} ({})", side(&difference.from));
    document.line("to   {} ({})", side(&difference.to));
    if difference.is_empty() {
        document.line("Nothing differs.", []);
    }
    one_sided(&mut document, &difference.removed, &difference.added);
    let each = |table: &dyn Fn(&image::PlatformDifference) -> Table| {
        let all = difference.platforms.iter();
        folded(all.flat_map(|one| one.platforms.iter().map(|platform| (*platform, table(&one.of)))))
    };
    let kinds: [(&str, OneTable<'_>); 7] = [
        ("Packages", &|of| changes::rows(&of.packages)),
        ("Configuration", &|of| settings(&of.configuration)),
        ("What it asks of its sandbox", &|of| settings(&of.contract)),
        ("Set-id bits, owners and capabilities of files", &|of| paths(&of.files.rights)),
        ("Files by component", &|of| components(&of.files.components)),
        ("Files", &|of| paths(&of.files.paths)),
        ("Install scripts", &|of| scripts(&of.scripts)),
    ];
    for (heading, table) in kinds {
        for Folded { platforms, of } in each(table) {
            section(&mut document, &platforms, heading, of);
        }
    }
    for Folded { platforms, of } in each(&|of| sizes(&of.sizes)) {
        section(&mut document, &platforms, "Sizes", of);
    }
    document
}

fn section(document: &mut Document, platforms: &[Platform], heading: &str, table: Table) {
    if !table.is_empty() {
        document.heading(on(heading, platforms));
        document.table(table);
    }
}

/// A heading for some platforms.
fn on(heading: &str, platforms: &[Platform]) -> Shown {
    let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    shown!("{heading} ({})", names.join(", "))
}

fn settings(settings: &[Setting]) -> Table {
    let mut table = Table::new(&[("KEY", Align::Left), ("FROM", Align::Left), ("TO", Align::Left)]);
    for Setting { key, values } in settings {
        table.row([key.into(), or_none(values.from.as_ref()), or_none(values.to.as_ref())]);
    }
    table
}

fn or_none(value: Option<&String>) -> Shown {
    match value {
        Some(value) if value.is_empty() => "\"\"".into(),
        Some(value) => value.into(),
        None => "-".into(),
    }
}

fn components(components: &[FilesOf]) -> Table {
    let number = |count: usize| Shown::from(if count == 0 { String::new() } else { count.to_string() });
    let mut table = Table::new(&[
        ("COMPONENT", Align::Left),
        ("ADDED", Align::Right),
        ("REMOVED", Align::Right),
        ("CHANGED", Align::Right),
    ]);
    for one in components {
        let name = one.component.as_ref().map_or("(unknown)".into(), Shown::from);
        table.row([name, number(one.added), number(one.removed), number(one.changed)]);
    }
    table
}

fn paths(changes: &[FileChange]) -> Table {
    let mut table = Table::new(&[("HOW", Align::Left), ("COMPONENT", Align::Left), ("PATH", Align::Left)])
        .whole_at_the_end();
    for change in changes {
        let component = change.component.as_ref().map_or("-".into(), Shown::from);
        table.row([change.told().into(), component, (&change.path).into()]);
    }
    table
}

/// Install scripts and what is other about them.
fn scripts(scripts: &[Script]) -> Table {
    let mut table = Table::new(&[("PACKAGE", Align::Left), ("SCRIPT", Align::Left), ("EFFECT", Align::Left)])
        .whole_at_the_end();
    for script in scripts {
        let (gone, new) =
            (script.no_longer.iter().map(|line| ('-', line)), script.now.iter().map(|line| ('+', line)));
        let all: Vec<(char, &String)> = gone.chain(new).collect();
        let mut row = |effect: Shown| {
            table.row([(&script.package).into(), (&script.script).into(), effect]);
        };
        if all.is_empty() {
            row("another script with the same effects".into());
        }
        for (sign, line) in all.iter().take(LINES) {
            row(shown!("{sign} {line}"));
        }
        if let Some(left) = all.len().checked_sub(LINES).filter(|left| *left > 0) {
            row(shown!("and {left} more"));
        }
    }
    table
}

fn sizes(sizes: &image::Sizes) -> Table {
    let mut table = Table::new(&[
        ("WHAT", Align::Left),
        ("FROM", Align::Right),
        ("TO", Align::Right),
        ("CHANGE", Align::Right),
    ]);
    let mut row = |what: Shown, pair: &Pair<u64>| {
        let bytes = |side: Option<u64>| Shown::from(side.map_or("-".into(), units::bytes));
        table.row([what, bytes(pair.from), bytes(pair.to), more(pair.from, pair.to)]);
    };
    row("all layers, compressed".into(), &sizes.compressed);
    row("all layers, unpacked".into(), &sizes.uncompressed);
    let layer = |side: fn(&image::LayerSide) -> &Digest, one: Option<&image::LayerSide>| {
        one.map_or_else(|| "-".to_owned(), |one| side(one).short())
    };
    let layers: Vec<(Shown, Pair<u64>)> = sizes
        .layers
        .iter()
        .map(|one| {
            let digests = (
                layer(|side| &side.digest, one.sides.from.as_ref()),
                layer(|side| &side.digest, one.sides.to.as_ref()),
            );
            let name = shown!("layer {} ({} to {})", one.created_by, digests.0, digests.1);
            let size = |side: &Option<image::LayerSide>| side.as_ref().map(|side| side.size);
            (name, Pair { from: size(&one.sides.from), to: size(&one.sides.to) })
        })
        .collect();
    let components: Vec<(Shown, Pair<u64>)> = sizes
        .components
        .iter()
        .map(|one| (shown!("files of {}", one.component), one.unpacked.clone()))
        .collect();
    for mut group in [layers, components] {
        group.sort_by_key(|(_, pair)| {
            std::cmp::Reverse(pair.to.unwrap_or_default().abs_diff(pair.from.unwrap_or_default()))
        });
        let rest = group.split_off(group.len().min(HEAVIEST));
        for (name, pair) in &group {
            row(name.clone(), pair);
        }
        if !rest.is_empty() {
            let sum = |side: fn(&Pair<u64>) -> Option<u64>| {
                Some(rest.iter().filter_map(|(_, pair)| side(pair)).fold(0, u64::saturating_add))
            };
            row(
                shown!("{} others", rest.len()),
                &Pair { from: sum(|pair| pair.from), to: sum(|pair| pair.to) },
            );
        }
    }
    table
}

/// `+1.2 MiB`, `-300 B`.
fn more(from: Option<u64>, to: Option<u64>) -> Shown {
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
    match to.cmp(&from) {
        std::cmp::Ordering::Equal => "".into(),
        std::cmp::Ordering::Greater => format!("+{}", units::bytes(to - from)).into(),
        std::cmp::Ordering::Less => format!("-{}", units::bytes(from - to)).into(),
    }
}
