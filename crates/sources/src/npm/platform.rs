//! Programs that are published as one npm package per platform: one version that all of them have.
//!
//! A recipe names the packages and how their versions are written (`{version}`, `{version}-linux-x64`). What is locked are
//! the platform packages themselves; the wrapper that would choose between them when it is installed is only asked for
//! its versions.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use deno_semver::Version;
use pinfold_base::Platform;

use super::AgeRule;
use super::InstallScripts;
use super::LockedNpm;
use super::MissingTime;
use super::NpmError;
use super::Packument;
use super::Registry;
use super::Release;
use super::Spec;
use super::error::InstallScript;
use super::range::too_young;

/// The package of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageTemplate {
    /// Package name.
    pub name: String,
    /// Its version in terms of the program's: `{version}` stands for that.
    pub version: String,
}

/// A program asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformPackage {
    /// What people call it.
    pub title: String,
    /// The package whose versions and tags count; the first platform's when `None`.
    pub versions_from: Option<String>,
    /// Range, tag or exact version.
    pub spec: String,
    /// The package of each platform. Empty: `versions_from` itself, on all of them.
    pub packages: BTreeMap<Platform, PackageTemplate>,
    /// Whether their install scripts have been answered for.
    pub scripts: InstallScripts,
}

/// One version of a program for all platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPackage {
    /// The program's version.
    pub version: String,
    /// What to fetch for each platform.
    pub packages: BTreeMap<Platform, LockedNpm>,
    /// What the user should know: newer versions that were passed over, and why.
    pub notes: Vec<String>,
}

/// One platform's package, its versions at hand.
struct Part {
    platform: Platform,
    template: PackageTemplate,
    packument: Arc<Packument>,
}

impl Part {
    fn release(&self, version: &str) -> Option<&Release> {
        self.packument.release(&self.template.version.replace("{version}", version))
    }
}

/// Why a version is passed over.
enum Passed {
    Missing(Vec<String>),
    Young(String),
}

/// The newest version that the request allows, that is old enough, and that every one of `platforms` has. `kept` is the
/// version in the previous lock: it stays while all that still holds for it.
pub fn resolve_platform_package(
    registry: &Registry,
    package: &PlatformPackage,
    platforms: &[Platform],
    age: &AgeRule,
    kept: Option<&str>,
) -> Result<ResolvedPackage, NpmError> {
    let mut names: BTreeSet<String> = package.packages.values().map(|part| part.name.clone()).collect();
    names.extend(package.versions_from.clone());
    registry.prefetch(&names);
    let fail = |reason: String| NpmError::NoVersion {
        package: package.title.clone(),
        spec: package.spec.clone(),
        reason,
        chain: Vec::new(),
    };
    let spec = Spec::parse(&package.spec).map_err(|reason| NpmError::Spec {
        package: package.title.clone(),
        spec: package.spec.clone(),
        reason,
        chain: Vec::new(),
    })?;
    let mut parts = Vec::new();
    for &platform in platforms {
        let template = match (package.packages.get(&platform), &package.versions_from) {
            (Some(template), _) => template.clone(),
            (None, Some(name)) if package.packages.is_empty() => {
                PackageTemplate { name: name.clone(), version: "{version}".into() }
            }
            _ => return Err(fail(format!("it has no package for {platform}"))),
        };
        let packument = registry.packument(&template.name)?;
        parts.push(Part { platform, template, packument });
    }
    let first = parts.first().ok_or_else(|| fail("no platform is asked for".into()))?;
    let index = match &package.versions_from {
        Some(name) => registry.packument(name)?,
        None => first.packument.clone(),
    };
    let candidates = candidates(&index, &parts, &spec).map_err(fail)?;
    let kept = kept.and_then(|kept| Version::parse_from_npm(kept).ok());
    if let Some(version) = kept.filter(|version| candidates.contains(version))
        && pass_over(&index, &parts, &version.to_string(), age).is_none()
    {
        return lock(registry, package, &parts, version.to_string(), Vec::new());
    }
    let mut notes = Vec::new();
    let mut first_reason = None;
    let (mut told_missing, mut told_young) = (false, false);
    for version in candidates.iter().rev() {
        let text = version.to_string();
        let Some(passed) = pass_over(&index, &parts, &text, age) else {
            let notes = notes.into_iter().map(|note: String| format!("{note}; taking {text}")).collect();
            return lock(registry, package, &parts, text, notes);
        };
        // Only the newest of each kind is worth a line.
        let (told, note) = match passed {
            Passed::Missing(missing) => {
                (&mut told_missing, format!("{text} does not exist as {}", missing.join(" and ")))
            }
            Passed::Young(why) => (&mut told_young, why),
        };
        first_reason.get_or_insert_with(|| note.clone());
        if !std::mem::replace(told, true) {
            notes.push(format!("`{}` {note}", package.title));
        }
    }
    Err(fail(first_reason.unwrap_or_else(|| match index.releases.last_key_value() {
        Some((newest, _)) => format!("the newest there is {newest}"),
        None => "there are no versions at all".into(),
    })))
}

/// The versions that the request allows, whether or not they can be had. Versions are collected from the index and from the
/// platform packages, since registries (mirrors above all) do not always have both.
fn candidates(index: &Packument, parts: &[Part], spec: &Spec) -> Result<BTreeSet<Version>, String> {
    let mut all: BTreeSet<Version> = BTreeSet::new();
    if !parts.iter().any(|part| part.template.name == index.name && part.template.version != "{version}") {
        all.extend(index.releases.keys().cloned());
    }
    for part in parts {
        let Some((before, after)) = part.template.version.split_once("{version}") else { continue };
        all.extend(part.packument.releases.values().filter_map(|release| {
            let version = release.version.strip_prefix(before)?.strip_suffix(after)?;
            Version::parse_from_npm(version).ok()
        }));
    }
    match spec {
        Spec::Tag(tag) => {
            let Some(target) = index.tags.get(tag) else {
                let known: Vec<_> = index.tags.keys().map(String::as_str).take(8).collect();
                return Err(format!("there is no tag `{tag}`, only {}", known.join(", ")));
            };
            let limit = Version::parse_from_npm(target)
                .map_err(|_| format!("its tag `{tag}` points to `{target}`, which is no version"))?;
            // Prereleases are taken only where the tag itself points to one.
            all.retain(|version| *version <= limit && (version.pre.is_empty() || *version == limit));
            all.insert(limit);
        }
        Spec::Range(_) => all.retain(|version| spec.matches(version)),
        Spec::Alias { .. } => return Err("an alias has no meaning here".into()),
    }
    Ok(all)
}

fn pass_over(index: &Packument, parts: &[Part], version: &str, age: &AgeRule) -> Option<Passed> {
    let mut missing = BTreeMap::new();
    for part in parts {
        let there = part.release(version).is_some_and(|release| release.fits(part.platform));
        if !there {
            missing.insert(&part.template.name, format!("`{}` for {}", part.template.name, part.platform));
        }
    }
    if !missing.is_empty() {
        return Some(Passed::Missing(missing.into_values().collect()));
    }
    // The program is as young as the youngest of its parts. Where the index knows no time, the parts' counts.
    let times =
        index.release(version).into_iter().chain(parts.iter().filter_map(|part| part.release(version)));
    times
        .filter(|release| release.published.is_some() || age.missing == MissingTime::Refuse)
        .find(|release| !age.allows(release.published))
        .map(|release| Passed::Young(too_young(release, age)))
}

fn lock(
    registry: &Registry,
    package: &PlatformPackage,
    parts: &[Part],
    version: String,
    mut notes: Vec<String>,
) -> Result<ResolvedPackage, NpmError> {
    let mut packages = BTreeMap::new();
    for part in parts {
        let Some(release) = part.release(&version) else { continue };
        if let (InstallScripts::Refuse, Some((script, command))) =
            (&package.scripts, release.install_scripts.iter().next())
        {
            let wanted = InstallScript {
                package: part.template.name.clone(),
                version: release.version.clone(),
                script: script.clone(),
                command: command.as_str().into(),
                chain: Vec::new(),
            };
            return Err(NpmError::InstallScripts(vec![wanted]));
        }
        if release.published.is_none() {
            notes.push(format!(
                "the registry does not say when `{}` {} was published",
                part.template.name, release.version
            ));
        }
        if let Some(warning) = &release.deprecated {
            let warning: String = warning.chars().filter(|c| !c.is_control()).take(200).collect();
            notes.push(format!("`{}` {} is deprecated: {warning}", part.template.name, release.version));
        }
        packages.insert(part.platform, LockedNpm::new(registry, &part.template.name, release)?);
    }
    notes.dedup();
    Ok(ResolvedPackage { version, packages, notes })
}
