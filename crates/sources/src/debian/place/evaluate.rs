//! Scripts that are neither debhelper's text nor recipes: evaluated over the image, in dpkg's order.
//!
//! All `preinst` come before all `postinst`; of each the packages that others depend on come first, Essential ones before all,
//! and a circle is broken at its first package by name. The packages' files are all there from the start, which is what a
//! `postinst` sees with dpkg too.
//!
//! **Guarantees**: every script that cannot be evaluated is told, not the first alone; what is told stops the whole image.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Component;
use pinfold_archive::Tree;
use pinfold_base::Arch;

use super::LedgerEntry;
use super::PlaceError;
use super::compose::Later;
use super::control::Opened;
use super::effect::Alternative;
use super::effect::Native;
use super::error::UnknownScript;
use super::image::Image;
use super::image::known;
use crate::accounts::Accounts;
use crate::debian::lock::relation;
use crate::debian::script;
use crate::debian::script::Script;
use crate::debian::script::world::Installed;
use crate::debian::script::world::State;
use crate::debian::script::world::World;

/// Longest last line of a script's errors in an error.
const MAX_SHOWN: usize = 200;
/// Fields of a control file that scripts ask for.
const FIELDS: [&str; 8] =
    ["Essential", "Priority", "Section", "Maintainer", "Source", "Multi-Arch", "Provides", "Installed-Size"];

/// A script that waits for the image.
pub(super) struct Waiting {
    /// The index of its package.
    pub(super) package: usize,
    /// What the ledger says of it, but for what it does.
    pub(super) entry: LedgerEntry,
    /// Its text.
    pub(super) text: Vec<u8>,
}

/// Evaluates the scripts; what is made natively when everything is there is added to `later`.
pub(super) fn evaluate(
    image: &mut Image<'_>,
    packages: &[Opened<'_>],
    mut waiting: Vec<Waiting>,
    arch: Arch,
    later: &mut Later,
) -> Result<Vec<LedgerEntry>, PlaceError> {
    // What packages ship below these is placed where they lead; where base-files is not known as a recipe, its own script
    // looks at them.
    for (path, target) in [("var/run", "/run"), ("var/lock", "/run/lock")] {
        if image.tree.contains(&known("var")) && !image.tree.contains(&known(path)) {
            image.link("base", &known(path), target);
        }
    }
    let order = order(packages)?;
    let place = |one: &Waiting| match one.entry.script.as_str() {
        "preinst" => (0, order[one.package], 0),
        "config" => (1, order[one.package], 0),
        _ => (1, order[one.package], 1),
    };
    waiting.sort_by_key(place);
    let tree = std::mem::replace(&mut image.tree, Tree::new());
    let accounts = std::mem::replace(&mut image.accounts, Accounts::minimal());
    let mut world = World::new(tree, accounts, arch, image.epoch, image.contents);
    world.packages = installed(packages)?;
    world.answers = templates(packages, image)?;
    let (ledger, unknown) =
        script::on_a_deep_stack(|| all(&mut world, packages, waiting)).map_err(|source| {
            PlaceError::Read { package: "dpkg".into(), member: "its scripts".into(), source }
        })?;
    if !unknown.is_empty() {
        return Err(PlaceError::UnknownScripts(unknown));
    }
    take_over(&world, later);
    (image.tree, image.accounts) = (world.tree, world.accounts);
    Ok(ledger)
}

fn all(
    world: &mut World<'_>,
    packages: &[Opened<'_>],
    waiting: Vec<Waiting>,
) -> (Vec<LedgerEntry>, Vec<UnknownScript>) {
    let (mut ledger, mut unknown) = (Vec::new(), Vec::new());
    for Waiting { package, mut entry, text } in waiting {
        let package = &packages[package];
        world.begin(Component::new("debian", &package.locked.source));
        // On a fresh install dpkg gives `postinst` an empty version and `preinst` none.
        let (name, args): (&str, &[&str]) = match entry.script.as_str() {
            "preinst" => ("preinst", &["install"]),
            "config" => ("config", &["configure", ""]),
            _ => ("postinst", &["configure", ""]),
        };
        let environment = [
            ("DPKG_MAINTSCRIPT_NAME", name),
            ("DPKG_MAINTSCRIPT_PACKAGE", package.name()),
            ("DPKG_MAINTSCRIPT_ARCH", package.locked.arch.as_str()),
            ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            ("DPKG_ROOT", ""),
            ("DPKG_ADMINDIR", "/var/lib/dpkg"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBIAN_HAS_FRONTEND", "1"),
            ("LC_ALL", "C.UTF-8"),
            ("HOME", "/root"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ];
        let script = Script { package: package.name(), name, text: &text, args, environment: &environment };
        let told = |line, text: String, what: String| UnknownScript {
            package: package.name().into(),
            script: name,
            line,
            text,
            what,
        };
        match script::evaluate(&script, world) {
            // Questions have their templates' defaults where they cannot be asked.
            Ok(script::Outcome { status: 1.., .. }) | Err(_) if name == "config" => {
                entry.what = vec!["not done: questions of debconf; their defaults stand".into()];
                ledger.push(entry);
            }
            Ok(outcome) if outcome.status == 0 => {
                entry.what = world.take_notes();
                ledger.push(entry);
            }
            Ok(outcome) => {
                let errors = String::from_utf8_lossy(&outcome.errors).into_owned();
                let last: String =
                    errors.lines().last().unwrap_or_default().chars().take(MAX_SHOWN).collect();
                let what =
                    format!("it ends with status {}, having said `{}`", outcome.status, last.escape_debug());
                unknown.push(told(outcome.line, String::new(), what));
            }
            Err(fault) => unknown.push(told(fault.line, fault.command, fault.what)),
        }
        if name == "postinst"
            && let Some(package) = world.packages.get_mut(package.name())
        {
            package.state = State::Installed;
        }
    }
    (ledger, unknown)
}

/// What is made when everything is there.
fn take_over(world: &World<'_>, later: &mut Later) {
    later.alternatives.extend(world.alternatives.iter().map(|choice| Alternative {
        link: choice.link.clone(),
        name: choice.name.clone(),
        path: choice.path.clone(),
        priority: choice.priority,
        slaves: choice.slaves.clone(),
    }));
    later.diversions.extend(world.diversions.iter().map(|diversion| {
        let package = diversion.package.clone().unwrap_or_else(|| ":".into());
        [diversion.path.clone(), diversion.to.clone(), package]
    }));
    later.shells.extend(world.shells.iter().cloned());
    for (name, _) in &world.triggers {
        later.natives.extend(match name.as_str() {
            "ldconfig" => Some(Native::LoaderCache),
            "update-ca-certificates" | "update-ca-certificates-fresh" => Some(Native::Certificates),
            "update-ca-certificates-java" | "update-ca-certificates-java-fresh" => {
                Some(Native::JavaCertificates)
            }
            "pam-auth-update" => Some(Native::Pam),
            "update-shells" => Some(Native::Shells),
            _ => None,
        });
    }
}

/// For each package its place in the order of configuration.
fn order(packages: &[Opened<'_>]) -> Result<Vec<usize>, PlaceError> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        for provided in package.field("Provides")?.split(',') {
            let name = provided.split(['(', ':']).next().unwrap_or_default().trim();
            names.entry(name.to_owned()).or_insert(index);
        }
    }
    for (index, package) in packages.iter().enumerate() {
        names.insert(package.name().to_owned(), index);
    }
    let mut needs = Vec::with_capacity(packages.len());
    let mut roots = Vec::with_capacity(packages.len());
    for (index, package) in packages.iter().enumerate() {
        let mut needed = Vec::new();
        for field in ["Pre-Depends", "Depends"] {
            let value = package.field(field)?;
            // What dpkg would not read was refused when the packages were chosen.
            for group in relation::groups(&value).unwrap_or_default() {
                needed.extend(group.iter().find_map(|relation| names.get(relation.name)).copied());
            }
        }
        needs.push(needed);
        roots.push((package.field("Essential")? != "yes", index));
    }
    roots.sort_unstable();
    let mut places = vec![usize::MAX; packages.len()];
    let (mut begun, mut next) = (BTreeSet::new(), 0);
    for (_, root) in roots {
        // Depth first without recursion: a package comes once all that it needs has come.
        let mut stack = vec![(root, 0)];
        while let Some((package, need)) = stack.pop() {
            if need == 0 && !begun.insert(package) {
                continue;
            }
            if let Some(&needed) = needs[package].get(need) {
                stack.push((package, need + 1));
                if !begun.contains(&needed) {
                    stack.push((needed, 0));
                }
            } else {
                places[package] = next;
                next += 1;
            }
        }
    }
    Ok(places)
}

/// The packages as dpkg's tools tell of them: unpacked, and configured once their `postinst` has run, or where there is none.
fn installed(packages: &[Opened<'_>]) -> Result<BTreeMap<String, Installed>, PlaceError> {
    let mut all = BTreeMap::new();
    for package in packages {
        let mut fields = BTreeMap::new();
        for field in FIELDS {
            let value = package.field(field)?;
            if !value.is_empty() {
                fields.insert(field.to_owned(), value);
            }
        }
        let files = package.listing.data.iter().map(|entry| [b"/", entry.path.as_bytes()].concat()).collect();
        let state = if package.member("postinst").is_some() { State::Unpacked } else { State::Installed };
        let locked = package.locked;
        let one =
            Installed { version: locked.version.clone(), arch: locked.arch.clone(), fields, state, files };
        all.insert(package.name().to_owned(), one);
    }
    Ok(all)
}

/// The defaults of debconf's templates by the name of their question.
fn templates(packages: &[Opened<'_>], image: &Image<'_>) -> Result<BTreeMap<String, String>, PlaceError> {
    let mut answers = BTreeMap::new();
    for package in packages {
        let Some(bytes) = package.read("templates", image.contents)? else { continue };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut name = None;
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("Template:") {
                let value = value.trim().to_owned();
                answers.entry(value.clone()).or_insert_with(String::new);
                name = Some(value);
            } else if let (Some(value), Some(name)) = (line.strip_prefix("Default:"), &name) {
                answers.insert(name.clone(), value.trim().to_owned());
            }
        }
    }
    Ok(answers)
}
