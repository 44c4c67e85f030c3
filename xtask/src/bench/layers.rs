//! What is pulled again after upgrades of a closure of Nix: by our plan of layers, and by the rules of others for the same paths.
//!
//! A layer is pulled again when it is not one of the image before. Bytes are those of NARs. The uppermost layer (database, links) is left
//! out: it is small and moves with every upgrade, whoever makes it.
//!
//! ```text
//! dockerTools      paths by popularity (how often they are met from the roots, weighted by depth): one layer each, the rest in the last;
//!                  100 layers, of which one is the uppermost
//! nix2container    the same, counted as the number of ways from the roots; 100 layers, and 1 as it is by default
//! least            every path in a layer of its own: nobody can pull less
//! ```

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_image::plan::Assignment;
use pinfold_image::plan::ComponentSize;
use pinfold_image::plan::Sharing;
use pinfold_image::plan::Volatility;
use pinfold_testkit::nix;
use serde::Serialize;

use crate::say;

/// Layers that the others may have; ours has what a manifest has that says nothing.
const THEIRS: usize = 100;
const OURS: usize = 60;

/// What ten upgrades cost by one rule.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pulled {
    /// Of which closure.
    pub(super) closure: String,
    /// By which rule.
    pub(super) rule: String,
    /// Layers of the last image.
    pub(super) layers: usize,
    /// Bytes of all layers that were pulled again.
    pub(super) bytes: u64,
    /// How many layers that were.
    pub(super) requests: usize,
}

/// A store path without its hash.
#[derive(Clone, Debug)]
struct Package {
    bytes: u64,
    version: u32,
    references: Vec<String>,
}

type Closure = BTreeMap<String, Package>;

/// Layers as the names that are in them.
type Layers = Vec<Vec<String>>;

/// How a closure is cut into layers.
type Cut<'a> = &'a mut dyn FnMut(&Closure) -> Layers;

/// Measures all rules on all closures.
pub(super) fn rows(root: &Path) -> Result<Vec<Pulled>, String> {
    let text = fs::read_to_string(root.join("xtask/data/closures.txt")).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    say(&format!(
        "{:<28} {:>7} {:>12} {:>9}  pulled again in ten upgrades",
        "rule", "layers", "KiB", "requests"
    ));
    for (name, states) in closures(&text)? {
        let paths = states.first().map_or(0, Closure::len);
        let bytes =
            states.first().map_or(0, |state| state.values().map(|package| package.bytes).sum::<u64>());
        say(&format!("{name}: {paths} paths, {} KiB", bytes >> 10));
        let measured = measure(&name, &states)?;
        let ours = measured.iter().find(|row| row.rule == "pinfold").map_or(0, |row| row.bytes);
        for row in &measured {
            let share = share(row.bytes, ours);
            say(&format!(
                "  {:<26} {:>7} {:>12} {:>9}  {share}",
                row.rule,
                row.layers,
                row.bytes >> 10,
                row.requests
            ));
        }
        rows.extend(measured);
    }
    Ok(rows)
}

/// `N.NN ×` of what ours pulls.
fn share(bytes: u64, ours: u64) -> String {
    let hundredths = bytes.saturating_mul(100) / ours.max(1);
    format!("{}.{:02} ×", hundredths / 100, hundredths % 100)
}

fn measure(closure: &str, states: &[Closure]) -> Result<Vec<Pulled>, String> {
    let mut previous = None;
    let mut ours = |closure: &Closure| {
        let plan = Assignment::new(&sizes(closure), previous.as_ref(), OURS);
        let named = |name: &String| name.strip_prefix("nix/").map(str::to_owned);
        let layers =
            plan.layers.iter().map(|layer| layer.components.iter().filter_map(named).collect()).collect();
        previous = Some(plan);
        layers
    };
    let docker = |closure: &Closure| first_alone(closure, &popularity(closure), THEIRS - 2);
    let container = |layers: usize| move |closure: &Closure| first_alone(closure, &ways(closure), layers - 1);
    let alone = |closure: &Closure| closure.keys().map(|name| vec![name.clone()]).collect();
    let mut rules: [(&str, Cut<'_>); 5] = [
        ("pinfold", &mut ours),
        ("dockerTools", &mut { docker }),
        ("nix2container, 100 layers", &mut container(THEIRS)),
        ("nix2container", &mut container(1)),
        ("least", &mut { alone }),
    ];
    let pulled = rules.iter_mut().map(|(rule, cut)| pulled(closure, rule, states, &mut **cut));
    pulled.collect()
}

fn pulled(closure: &str, rule: &str, states: &[Closure], cut: Cut<'_>) -> Result<Pulled, String> {
    let mut row = Pulled { closure: closure.into(), rule: rule.into(), layers: 0, bytes: 0, requests: 0 };
    let mut before: Option<BTreeSet<Vec<String>>> = None;
    for state in states {
        let names = hashes(state)?;
        let layers = cut(state);
        let all: usize = layers.iter().map(Vec::len).sum();
        if all != state.len() {
            return Err(format!("{rule} has {all} paths of {} in layers", state.len()));
        }
        let mut now = BTreeSet::new();
        for layer in layers.iter().filter(|layer| !layer.is_empty()) {
            let mut id: Vec<String> = layer.iter().filter_map(|name| names.get(name).cloned()).collect();
            id.sort();
            if before.as_ref().is_some_and(|before| !before.contains(&id)) {
                row.requests += 1;
                row.bytes +=
                    layer.iter().filter_map(|name| state.get(name)).map(|package| package.bytes).sum::<u64>();
            }
            now.insert(id);
        }
        row.layers = now.len();
        before = Some(now);
    }
    Ok(row)
}

/// What our plan is told: roots are what nobody refers to.
fn sizes(closure: &Closure) -> Vec<ComponentSize> {
    let used: BTreeSet<&String> = closure.values().flat_map(|package| &package.references).collect();
    let component = |name: &String| format!("nix/{name}").as_str().into();
    let size = |(name, package): (&String, &Package)| ComponentSize {
        component: component(name),
        bytes: package.bytes,
        volatility: if used.contains(name) { Volatility::Stable } else { Volatility::Weekly },
        sharing: Sharing::Auto,
        built_on: package.references.iter().chain([name]).map(component).collect(),
    };
    closure.iter().map(size).collect()
}

/// The first `alone` have a layer each, the rest the last.
fn first_alone(closure: &Closure, order: &[String], alone: usize) -> Layers {
    let mut layers: Layers = order.iter().take(alone).map(|name| vec![name.clone()]).collect();
    layers.push(order.iter().skip(alone).cloned().collect());
    debug_assert_eq!(order.len(), closure.len());
    layers
}

fn roots(closure: &Closure) -> Vec<String> {
    let used: BTreeSet<&String> = closure.values().flat_map(|package| &package.references).collect();
    closure.keys().filter(|name| !used.contains(name)).cloned().collect()
}

/// By what dockerTools counts: a path counts one where it is met, and one more with what it counts below each step that led there.
fn popularity(closure: &Closure) -> Vec<String> {
    fn below<'a>(
        closure: &'a Closure,
        name: &'a str,
        known: &mut BTreeMap<&'a str, BTreeMap<&'a str, u128>>,
    ) -> BTreeMap<&'a str, u128> {
        if let Some(counts) = known.get(name) {
            return counts.clone();
        }
        let mut counts: BTreeMap<&str, u128> = BTreeMap::new();
        for reference in closure.get(name).into_iter().flat_map(|package| &package.references) {
            *counts.entry(reference.as_str()).or_default() += 1;
            for (&other, &count) in &below(closure, reference, known) {
                let sum = counts.entry(other).or_default();
                *sum = sum.saturating_add(count).saturating_add(1);
            }
        }
        known.insert(name, counts.clone());
        counts
    }
    let mut known = BTreeMap::new();
    let mut counts: BTreeMap<&str, u128> = BTreeMap::new();
    let roots = roots(closure);
    for root in &roots {
        let (root, _) = closure.get_key_value(root).unzip();
        let Some(root) = root else { continue };
        *counts.entry(root.as_str()).or_default() += 1;
        for (other, count) in below(closure, root, &mut known) {
            let sum = counts.entry(other).or_default();
            *sum = sum.saturating_add(count).saturating_add(1);
        }
    }
    most_first(closure, &counts)
}

/// By what nix2container counts: in how many ways a path is reached.
fn ways(closure: &Closure) -> Vec<String> {
    fn users_first<'a>(
        closure: &'a Closure,
        name: &'a str,
        seen: &mut BTreeSet<&'a str>,
        order: &mut Vec<&'a str>,
    ) {
        if seen.insert(name) {
            for reference in closure.get(name).into_iter().flat_map(|package| &package.references) {
                users_first(closure, reference, seen, order);
            }
            order.push(name);
        }
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for name in closure.keys() {
        users_first(closure, name, &mut seen, &mut order);
    }
    let mut counts: BTreeMap<&str, u128> = closure.keys().map(|name| (name.as_str(), 1)).collect();
    for name in order.into_iter().rev() {
        let own = counts.get(name).copied().unwrap_or_default();
        for reference in closure.get(name).into_iter().flat_map(|package| &package.references) {
            let count = counts.entry(reference).or_default();
            *count = count.saturating_add(own);
        }
    }
    most_first(closure, &counts)
}

fn most_first(closure: &Closure, counts: &BTreeMap<&str, u128>) -> Vec<String> {
    let mut order: Vec<String> = closure.keys().cloned().collect();
    let count = |name: &String| counts.get(name.as_str()).copied().unwrap_or_default();
    order.sort_by(|one, other| count(other).cmp(&count(one)).then_with(|| one.cmp(other)));
    order
}

/// Store paths by their names: the hash follows from version and references.
fn hashes(closure: &Closure) -> Result<BTreeMap<String, String>, String> {
    let mut hashes: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Vec<&String> = closure.keys().collect();
    while !open.is_empty() {
        let before = open.len();
        open.retain(|name| {
            let Some(package) = closure.get(*name) else { return false };
            let references: Option<Vec<&str>> = package
                .references
                .iter()
                .map(|reference| hashes.get(reference).map(String::as_str))
                .collect();
            let Some(references) = references else { return true };
            let text = format!("{name} {} {} {}", package.version, package.bytes, references.join(" "));
            hashes
                .insert((*name).clone(), format!("{}-{name}", &Digest::sha256(text.as_bytes()).hex()[..32]));
            false
        });
        if open.len() == before {
            return Err(format!("`{}` refers to nothing, or in a circle", open[0]));
        }
    }
    Ok(hashes)
}

/// All closures by name, each with its states: the first, and one after each upgrade.
fn closures(text: &str) -> Result<Vec<(String, Vec<Closure>)>, String> {
    let mut sections: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(section) => name = section,
            None => sections.entry(name).or_default().push(line.split_whitespace().collect()),
        }
    }
    let section = |name: &str| sections.get(name).cloned().unwrap_or_default();
    let packages = |name: &str| -> Result<Closure, String> {
        section(name).iter().map(|words| package(words)).collect()
    };
    let new = packages("new")?;
    let mut all = vec![("fixture".to_owned(), states(fixture(), &fixture_upgrades(), &new)?)];
    for profile in ["base", "rust", "python"] {
        let mut closure = packages("base")?;
        closure.extend(packages(profile)?);
        let upgrades = section(&format!("{profile} upgrades"));
        all.push((profile.to_owned(), states(closure, &upgrades, &new)?));
    }
    Ok(all)
}

fn package(words: &[&str]) -> Result<(String, Package), String> {
    let [name, kib, references @ ..] = words else { return Err(format!("{words:?} is no package")) };
    let kib: u64 = kib.parse().map_err(|_| format!("the size of `{name}` is no number"))?;
    let references = references.iter().map(|&name| name.to_owned()).collect();
    Ok(((*name).to_owned(), Package { bytes: kib << 10, version: 0, references }))
}

/// The binary cache that tests use; a path's reference to itself is left out.
fn fixture() -> Closure {
    let name = |path: &str| path.split_once('-').map_or(path, |(_, name)| name).to_owned();
    let package = |path: nix::StorePath| {
        let references = path.references.iter().filter(|reference| **reference != path.path);
        let references = references.map(|reference| name(reference)).collect();
        (name(&path.path), Package { bytes: path.nar_size, version: 0, references })
    };
    nix::closure().into_iter().map(package).collect()
}

/// A leaf nine times, then what most is built on.
fn fixture_upgrades() -> Vec<Vec<&'static str>> {
    let leaves = [
        "tiny-env",
        "tiny-file",
        "tiny-exec",
        "tiny-link",
        "tiny-text",
        "tiny-greet-1.0",
        "tiny-multi-1.0",
        "tiny-env",
    ];
    leaves.into_iter().chain(["tiny-odd-1.0", "tiny-hello-1.0"]).map(|name| vec![name]).collect()
}

fn states(first: Closure, upgrades: &[Vec<&str>], new: &Closure) -> Result<Vec<Closure>, String> {
    let mut states = vec![first];
    for upgrade in upgrades {
        let mut next = states.last().cloned().unwrap_or_default();
        for word in upgrade {
            let known = match (word.strip_prefix('+'), word.strip_prefix('-')) {
                (Some(name), _) => {
                    new.get(name).map(|package| drop(next.insert(name.to_owned(), package.clone())))
                }
                (_, Some(name)) => next.remove(name).map(drop),
                _ => next.get_mut(*word).map(|package| {
                    package.version += 1;
                    package.bytes += package.bytes / 100;
                }),
            };
            known.ok_or_else(|| format!("there is no `{word}` to upgrade"))?;
        }
        states.push(next);
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_rule(rows: &[Pulled], closure: &str, rule: &str) -> Pulled {
        rows.iter().find(|row| row.closure == closure && row.rule == rule).unwrap().clone()
    }

    #[test]
    fn our_layers_are_pulled_again_least() {
        let rows = rows(&crate::root()).unwrap();
        for closure in ["base", "rust", "python"] {
            let of = |rule| by_rule(&rows, closure, rule);
            let (ours, least) = (of("pinfold"), of("least"));
            assert!(ours.layers <= OURS && least.bytes <= ours.bytes, "{ours:?}");
            assert!(ours.bytes < least.bytes / 100 * 104, "{ours:?} {least:?}");
            for rule in ["dockerTools", "nix2container, 100 layers", "nix2container"] {
                assert!(of(rule).bytes > ours.bytes * 2, "{rule}: {:?} {ours:?}", of(rule));
            }
        }
        // Of a dozen paths everybody has each alone.
        let of = |rule| by_rule(&rows, "fixture", rule);
        assert_eq!(of("dockerTools").bytes, of("least").bytes);
        assert!(of("pinfold").bytes <= of("least").bytes / 100 * 110, "{:?}", of("pinfold"));
    }

    /// A diamond, counted by hand: `b` is met by way of two, each a step down from the root.
    #[test]
    fn popularity_is_counted_as_it_is_said_to_be() {
        let package = |references: &[&str]| Package {
            bytes: 1,
            version: 0,
            references: references.iter().map(|&name| name.to_owned()).collect(),
        };
        let closure: Closure = [("r", &["x", "y"][..]), ("x", &["b"]), ("y", &["b"]), ("b", &[])]
            .into_iter()
            .map(|(name, references)| (name.to_owned(), package(references)))
            .collect();
        assert_eq!(popularity(&closure), ["b", "x", "y", "r"]);
        assert_eq!(ways(&closure), ["b", "x", "y", "r"]);
    }
}
