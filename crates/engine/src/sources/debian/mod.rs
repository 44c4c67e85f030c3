//! Debian packages: `[debian]`, with the packages that recipes need.
//!
//! It is the first source because it makes the system that the others are laid on: without Debian that is the least an image
//! needs, accounts and an empty `/tmp` ([`bare`]).

mod bare;
mod further;
mod section;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_archive::decoded::Format;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::http;
use pinfold_base::http::SafeUrl;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_image::plan::Volatility;
use pinfold_sources::accounts;
use pinfold_sources::debian::lock;
use pinfold_sources::debian::lock::mirrors::Declared;
use pinfold_sources::debian::lock::mirrors::Further;
use pinfold_sources::debian::lock::mirrors::Mirrors;
use pinfold_sources::debian::lock::mirrors::address;
use pinfold_sources::debian::lock::mirrors::archive_of;
use pinfold_sources::debian::lock::mirrors::below;
use pinfold_sources::debian::lock::mirrors::is_address;
use pinfold_sources::debian::lock::mirrors::is_debians;
use pinfold_sources::debian::lock::mirrors::is_security;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::debian::locked::LockedSuite;
use pinfold_sources::debian::place;
use pinfold_sources::debian::present;

pub use further::ArchiveFile;
pub use further::DebianArchive;
pub use section::Base;
pub use section::DebianFile;
pub use section::DebianMirrors;
pub use section::DebianRequest;
pub use section::LockedDebian;

use super::Archive;
use super::Asking;
use super::Date;
use super::Laying;
use super::Locate;
use super::Placed;
use super::Placing;
use super::Remotes;
use super::Server;
use super::Source;
use super::SourceError;
use super::Trust;
use super::Upgrade;
use super::counted;
use super::json;
use crate::context::Environment;
use crate::project::Project;
use crate::project::folder;
use crate::project::folder::EntryKind;
use crate::project::folder::OpenError;
use crate::project::folder::Opened;
use crate::project::lock::Lock;
use crate::project::manifest::Manifest;
use crate::project::manifest::Skipped;

/// What comes from `mirror`.
const PACKAGES: &str = "Debian packages";
/// What comes from `security-mirror`.
const SECURITY: &str = "Debian security updates";

/// The most that is read of a file of authorities, in bytes.
const AUTHORITY: u64 = 16 << 20;

/// Debian archives.
#[derive(Clone, Copy, Debug)]
pub struct Debian;

/// There is no Debian in the image, but an agent needs some.
#[derive(Debug, thiserror::Error)]
#[error("agent `{agent}` needs Debian packages ({}), and the manifest has no `[debian]`", .packages.join(", "))]
struct NoDebian {
    agent: String,
    packages: Vec<String>,
}

impl Diagnose for NoDebian {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("add to the manifest, with the suite that you want:".into())
    }

    fn own_block(&self) -> Vec<Shown> {
        vec!["[debian]".into(), "suite = \"bookworm\"".into()]
    }
}

/// The base is of another release.
#[derive(Debug, thiserror::Error)]
#[error("the base is Debian `{base}`, and `[debian]` takes packages from `{asked}`")]
struct OtherRelease {
    base: String,
    asked: String,
}

impl Diagnose for OtherRelease {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(format!("write `suite = \"{}\"` in `[debian]`, or take a base of `{}`", self.base, self.asked))
    }
}

/// The base is no Debian.
#[derive(Debug, thiserror::Error)]
#[error("the base `{image}` has no packages of Debian, to which others could be added")]
struct NoPackages {
    image: String,
}

impl Diagnose for NoPackages {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("leave `[debian]` out, or take a base that is made of Debian packages".into())
    }
}

/// The manifest leaves out what an agent needs.
#[derive(Debug, thiserror::Error)]
#[error("agent `{agent}` needs the Debian package `{package}`, which `remove` in `[debian]` leaves out")]
struct Removed {
    agent: String,
    package: String,
}

impl Diagnose for Removed {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(format!("take `{}` out of `remove`, or `{}` out of `agents`", self.package, self.agent))
    }
}

/// The manifest's keys cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the archive keys that the manifest names")]
struct NoKeys {
    source: OpenError,
}

impl Diagnose for NoKeys {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("`keyring` is a file, and counts from the folder of the manifest".into())
    }
}

impl Source for Debian {
    fn prefix(&self) -> &'static str {
        "debian"
    }

    fn names(&self, project: &Project) -> Vec<String> {
        let own = project.manifest.sources.debian.iter().flat_map(|debian| &debian.packages);
        let own = own.map(|package| section::name_of(package).to_owned());
        own.chain(project.recipes.iter().flat_map(|recipe| recipe.debian.clone())).collect()
    }

    fn request(&self, project: &Project) -> Option<String> {
        let wanted = project.manifest.sources.debian.as_ref()?;
        json(&(&wanted.suites, &wanted.components, wanted.base, &wanted.packages, wanted.recommends))
    }

    fn trusts(&self, project: &Project, environment: &Environment) -> Vec<Trust> {
        let Some(request) = &project.manifest.sources.debian else { return Vec::new() };
        let DebianRequest { mirrors, .. } = request;
        let addresses = [
            (PACKAGES, &mirrors.archive),
            (SECURITY, &mirrors.security),
            ("former Debian packages", &mirrors.snapshot),
        ];
        let beyond = |(what, address): (&str, &Option<String>)| {
            let address =
                address.as_ref().filter(|address| !is_machines(request, what, address, environment));
            address.map(|address| Trust::address(what, address))
        };
        let addresses = addresses.into_iter().filter_map(beyond);
        let keys = |file: &Option<PathBuf>, archive: Option<&str>| {
            let (file, sha256) = (file.clone()?, keys_of(project, file.as_deref())?);
            Some(Trust::Keyring { file, sha256, archive: archive.map(str::to_owned) })
        };
        let expired = (mirrors.freshness == lock::Freshness::Unchecked).then_some(Trust::Expired);
        let own = addresses.chain(keys(&mirrors.keyring, None)).chain(expired);
        let further = request.archives.iter().flat_map(|archive| {
            let address = is_outside(archive, environment)
                .then(|| Trust::address(&format!("{PACKAGES} of `{}`", archive.suite), &archive.uri));
            [address, keys(&archive.keyring, Some(&archive.name))]
        });
        own.chain(further.flatten()).collect()
    }

    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        let Some(request) = requested(project)? else { return Ok(Vec::new()) };
        let request = lock::Request { present: present(asking, &request, lock)?, ..request };
        let old = asking.old.and_then(|lock| lock.debian.as_ref());
        let previous = lock::Previous {
            suites: old.map(|debian| debian.suites.clone()).unwrap_or_default(),
            packages: old.map(|debian| debian.packages.clone()).unwrap_or_default(),
            upgrade: match asking.upgrade {
                Upgrade::Nothing => lock::Upgrade::Keep,
                Upgrade::Only(names) => {
                    let own = names.iter().map(|name| name.strip_prefix("debian/").unwrap_or(name));
                    lock::Upgrade::Names(own.map(str::to_owned).collect())
                }
                Upgrade::All => lock::Upgrade::All,
            },
            settled: asking.remotes.settled,
        };
        let names: Vec<String> = request.suites.iter().map(lock::AskedSuite::to_string).collect();
        let item = format!("Debian {}", names.join(", "));
        let running = Running::begin(&*context.reporter, Stage::Resolve, item, None);
        let mirrors = mirrors(asking.remotes)?;
        let inputs = lock::Inputs {
            mirrors: &mirrors,
            fetch: context.http().map_err(SourceError::of)?,
            store: &context.store,
            reporter: &*context.reporter,
            now: asking.now,
        };
        let resolution = lock::resolve(&request, &previous, &inputs);
        drop(running);
        let resolution = resolution.map_err(SourceError::of)?;
        lock.debian = Some(LockedDebian { suites: resolution.suites, packages: resolution.packages });
        Ok(resolution.notes)
    }

    fn servers(&self, remotes: &Remotes<'_>) -> Vec<Server> {
        let Some(wanted) = &remotes.project.manifest.sources.debian else { return Vec::new() };
        let mirrors = match mirrors(remotes) {
            Ok(mirrors) => mirrors,
            Err(error) => return vec![Server { what: "Debian archive".into(), source: Err(error) }],
        };
        let server = |suite: lock::AskedSuite| Server {
            what: format!("Debian {suite}"),
            source: release(&mirrors, &suite),
        };
        asked(wanted).map(server).collect()
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let Some(debian) = &lock.debian else { return Vec::new() };
        let archive = |deb: &'a LockedDeb| Archive {
            component: format!("debian/{}", deb.name),
            version: deb.version.clone(),
            what: format!("{} {} ({})", deb.name, deb.version, deb.arch),
            digest: &deb.sha256,
            size: Some(deb.size),
            format: Format::Deb,
            origin: Box::new(InSuite { deb, suite: debian.suites.iter().find(|suite| suite.has(deb)) }),
        };
        debian.packages.get(&platform).into_iter().flatten().map(archive).collect()
    }

    /// Binary packages of one source are one component.
    fn bytes(&self, _: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        let of = |deb: &LockedDeb| (format!("debian/{}", deb.source), super::unpacked(deb.size));
        let all = |platform| lock.debian.iter().filter_map(move |debian| debian.packages.get(&platform));
        Ok(super::largest(|platform| all(platform).flatten().map(of).collect()))
    }

    fn date(&self, lock: &Lock) -> Option<Date> {
        let suites = lock.debian.iter().flat_map(|debian| &debian.suites);
        suites.map(|suite| Date::Signed(suite.date)).max()
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let Placing { context, project, lock, platform, below, .. } = *placing;
        let manifest = &project.manifest;
        let user = manifest.user.as_ref().map(|user| accounts::NewUser {
            name: user.name.clone(),
            uid: user.uid,
            gid: user.gid,
            gecos: String::new(),
            home: user.home.0.clone(),
            home_mode: 0o755,
            shell: user.shell.clone(),
        });
        let (Some(request), Some(locked)) = (&manifest.sources.debian, &lock.debian) else {
            return Ok(match below {
                None => bare::tree(user.as_ref(), lock.epoch)?.into(),
                Some(below) => {
                    let tree = bare::over(below, user.as_ref(), lock.epoch, &context.decoded)?;
                    Placed { tree, laying: Laying::Whole, ..Placed::default() }
                }
            });
        };
        let not_locked = || SourceError::not_locked("debian", platform);
        let mut packages = Vec::new();
        for locked in locked.packages.get(&platform).ok_or_else(not_locked)? {
            let what = format!("{} {}", locked.name, locked.version);
            let listing = placing.listing(&what, &locked.sha256, Format::Deb)?;
            packages.push(place::Package { locked, listing });
        }
        let options = place::Options {
            arch: platform.arch,
            epoch: lock.epoch,
            slim: if request.slim { place::Slim::Slim } else { place::Slim::Full },
            database: match (below, request.base) {
                (Some(below), _) if below.has_dpkg() => place::Database::Dpkg,
                (Some(_), _) | (None, Base::None) => place::Database::StatusD,
                (None, Base::Minbase | Base::Essential) => place::Database::Dpkg,
            },
            answers: answers(manifest),
            debconf: request.debconf.iter().map(|(name, answer)| (name.clone(), answer.meant())).collect(),
            extra_certificates: authorities(project, platform),
            accounts: if below.is_some() { Vec::new() } else { user.clone().into_iter().collect() },
            below: match below {
                None => None,
                Some(below) => Some(place::Below {
                    tree: bare::over(below, user.as_ref(), lock.epoch, &context.decoded)?,
                    component: below.component.clone(),
                }),
            },
        };
        let placed = place::place(&packages, &options, &context.decoded).map_err(SourceError::of)?;
        let notes = stale(manifest, lock, platform, &placed.ledger);
        Ok(Placed {
            tree: placed.tree,
            ledger: placed.ledger,
            yields: placed.conffiles,
            laying: if below.is_some() { Laying::Whole } else { Laying::Beside },
            notes,
            ..Placed::default()
        })
    }

    fn summary(&self, components: &[(&str, &str)]) -> String {
        counted(components.len(), "Debian package")
    }

    fn volatility(&self, _: &Project, _: &str) -> Volatility {
        Volatility::Stable
    }
}

/// The user's own authorities: what stands in `/usr/local/share/ca-certificates`. What cannot be read is told where the files
/// are placed.
fn authorities(project: &Project, platform: Platform) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut take = |path: &ImagePath, bytes: Option<Vec<u8>>| {
        let name = path.to_string();
        let name = name.strip_prefix("/usr/local/share/ca-certificates/");
        if let (Some(name), Some(bytes)) = (name.filter(|name| name.as_bytes().ends_with(b".crt")), bytes) {
            found.push((name.to_owned(), bytes));
        }
    };
    let read = |opened: Result<Opened, OpenError>| opened.ok()?.bytes(AUTHORITY).ok();
    for file in &project.manifest.files {
        match (project.inputs.source(file, platform), &file.content) {
            (Some(Ok(folder::Source::File(opened))), _) => take(&file.path.0, opened.bytes(AUTHORITY).ok()),
            (Some(Ok(folder::Source::Directory(directory))), _) => {
                let files = directory.entries().iter();
                for entry in files.filter(|entry| matches!(entry.kind, EntryKind::File { .. })) {
                    if let Ok(path) = file.path.0.join(entry.path.as_bytes()) {
                        take(&path, read(directory.open(entry)));
                    }
                }
            }
            (None, Some(text)) => take(&file.path.0, Some(text.clone().into_bytes())),
            _ => {}
        }
    }
    found
}

/// Whether every suite that the manifest has from this address comes from there by the machine's own configuration.
fn is_machines(request: &DebianRequest, what: &str, address: &str, environment: &Environment) -> bool {
    let Ok(url) = SafeUrl::parse(address.trim_end_matches('/')) else { return false };
    let suites = request.suites.iter().filter(|suite| match what {
        PACKAGES => !is_security(suite),
        SECURITY => is_security(suite),
        // Machines know no snapshots.
        _ => false,
    });
    let suites: Vec<&String> = suites.collect();
    if suites.is_empty() {
        return false;
    }
    let variable = |name: &str| environment.text(name).map(str::to_owned);
    let machine = Mirrors::find(Declared::default(), variable, Path::new("/"));
    suites.into_iter().all(|suite| {
        let found = machine.archive(archive_of(suite), suite, &request.components, None);
        found.is_ok_and(|archive| archive.bases.iter().any(|base| base.url.same_place(&url)))
    })
}

/// Whether a further archive is at an address that the machine's apt does not use for its suite.
fn is_outside(archive: &DebianArchive, environment: &Environment) -> bool {
    let variable = |name: &str| environment.text(name).map(str::to_owned);
    let machine = || Mirrors::find(Declared::default(), variable, Path::new("/"));
    is_address(&archive.uri)
        && !address(&archive.uri).is_ok_and(|address| machine().has(&address, &archive.suite))
}

/// SHA-256 of a file of keys that the manifest names, where it can be read.
fn keys_of(project: &Project, file: Option<&Path>) -> Option<String> {
    Some(project.inputs.keyring(file?)?.ok()?.sha256())
}

/// What a lock answers of further archives, as JSON: where each is, what is taken of it, how it is pinned, and its keys.
pub(crate) fn further(project: &Project) -> Option<String> {
    let archives = &project.manifest.sources.debian.as_ref()?.archives;
    let keys = archives.iter().map(|archive| keys_of(project, archive.keyring.as_deref()));
    let archives: Vec<_> = archives.iter().zip(keys).collect();
    if archives.is_empty() { None } else { json(&archives) }
}

/// The suites that are asked for, Debian's own first: of equal versions at equal pins theirs come.
fn asked(wanted: &DebianRequest) -> impl Iterator<Item = lock::AskedSuite> {
    let own = wanted.suites.iter().map(|suite| lock::AskedSuite::of_debian(suite, &wanted.components));
    own.chain(wanted.archives.iter().map(DebianArchive::asked))
}

/// What is asked of the archives: the manifest's packages, then what recipes need and the manifest does not name.
fn requested(project: &Project) -> Result<Option<lock::Request>, SourceError> {
    let manifest = &project.manifest;
    let Some(wanted) = &manifest.sources.debian else {
        return match project
            .recipes
            .iter()
            .find(|recipe| !recipe.debian.is_empty() && recipe.root().is_none())
        {
            // An executable alone, as `FROM scratch`: allowed, but only when nothing is missing by the recipe's own word.
            // Beside Nix the manifest's roots are what an agent finds.
            Some(recipe)
                if manifest.user.is_some()
                    && manifest.sources.base.is_none()
                    && manifest.sources.nix.roots.is_empty() =>
            {
                Err(SourceError::of(NoDebian { agent: recipe.name.clone(), packages: recipe.debian.clone() }))
            }
            _ => Ok(None),
        };
    };
    let mut packages = wanted.packages.clone();
    for recipe in &project.recipes {
        for needed in &recipe.debian {
            if wanted.removed.contains(needed) {
                let (agent, package) = (recipe.name.clone(), needed.clone());
                return Err(SourceError::of(Removed { agent, package }));
            }
            if !packages.iter().any(|package| section::name_of(package) == needed) {
                packages.push(needed.clone());
            }
        }
    }
    Ok(Some(lock::Request {
        suites: asked(wanted).collect(),
        base: match wanted.base {
            // What there is before is the base's.
            _ if manifest.sources.base.is_some() => lock::Base::None,
            Base::Minbase => lock::Base::Minbase,
            Base::Essential => lock::Base::Essential,
            Base::None => lock::Base::None,
        },
        packages,
        recommends: if wanted.recommends { lock::Recommends::Install } else { lock::Recommends::Skip },
        platforms: manifest.platforms.clone(),
        present: std::collections::BTreeMap::new(),
    }))
}

/// What the base has installed, by platform. Its release must be the one that packages are taken from.
fn present(
    asking: &Asking<'_>,
    request: &lock::Request,
    lock: &Lock,
) -> Result<std::collections::BTreeMap<Platform, Vec<u8>>, SourceError> {
    let contents = &asking.remotes.context.decoded;
    let mut found = std::collections::BTreeMap::new();
    for &platform in &request.platforms {
        let Some(below) = super::base::below(asking.remotes, lock, platform)? else { break };
        let base = present::codename(&below.tree, contents);
        let asked = request.suites.first().map(|suite| suite.name.clone());
        if let (Some(base), Some(asked)) = (base, asked)
            && !matches!(asked.as_str(), "stable" | "testing" | "unstable" | "oldstable")
            && asked != base
        {
            return Err(SourceError::of(OtherRelease { base, asked }));
        }
        let index = present::index(&below.tree, contents).map_err(SourceError::of)?;
        if index.is_empty() {
            return Err(SourceError::of(NoPackages { image: below.name.clone() }));
        }
        found.insert(platform, index);
    }
    Ok(found)
}

/// `[scripts]` as the crate of sources reads it.
fn answers(manifest: &Manifest) -> std::collections::BTreeMap<String, place::Answer> {
    let answer = |(package, skipped): (&String, &Skipped)| {
        let answer = match skipped {
            Skipped::All(reason) => place::Answer::Skip { reason: reason.clone() },
            Skipped::Some(scripts) => place::Answer::Scripts(scripts.clone()),
        };
        (package.clone(), answer)
    };
    manifest.scripts.iter().map(answer).collect()
}

/// Entries of `[scripts]` that skip nothing.
fn stale(manifest: &Manifest, lock: &Lock, platform: Platform, ledger: &[place::LedgerEntry]) -> Vec<String> {
    let mut notes = Vec::new();
    // Packages of npm have install scripts too.
    let named = |package: &str| {
        let archives = lock.archives(platform).into_iter();
        let mut names = archives.map(|archive| archive.component);
        names.find(|name| name.split_once('/').is_some_and(|(_, name)| name == package))
    };
    for (package, skipped) in &manifest.scripts {
        let Some(component) = named(package) else {
            notes.push(format!("`[scripts]` skips `{package}`, which is not in the image: leave it out"));
            continue;
        };
        if !component.starts_with("debian/") {
            continue;
        }
        let has = |script: &str| {
            ledger
                .iter()
                .any(|entry| entry.package == *package && (script.is_empty() || entry.script == script))
        };
        match skipped {
            Skipped::All(_) if !has("") => {
                notes.push(format!(
                    "`[scripts]` skips `{package}`, which has no install script: leave it out"
                ));
            }
            Skipped::All(_) => {}
            Skipped::Some(scripts) => {
                notes.extend(scripts.keys().filter(|script| !has(script)).map(|script| {
                    format!("`[scripts]` skips `{package}.{script}`, and the package has no such script: leave it out")
                }));
            }
        }
    }
    notes
}

/// The signed file of a suite, at the first of its mirrors.
fn release(mirrors: &Mirrors, suite: &lock::AskedSuite) -> Result<http::Source, SourceError> {
    let archive = mirrors.archive(&suite.archive, &suite.name, &suite.components, None);
    let archive = archive.map_err(SourceError::of)?;
    let path = suite.path("InRelease");
    let at = |base| below(base, &path).map_err(|error| SourceError::of(http::HttpError::from(error)));
    // An archive without an address is none.
    let nowhere = || SourceError::of(http::HttpError::Offline { what: path.clone() });
    archive.bases.first().ok_or_else(nowhere).and_then(at)
}

/// A package and the suite it came from.
struct InSuite<'a> {
    deb: &'a LockedDeb,
    suite: Option<&'a LockedSuite>,
}

impl Locate for InSuite<'_> {
    fn path(&self) -> Option<&str> {
        Some(&self.deb.path)
    }

    fn has_snapshots(&self) -> bool {
        self.suite.is_some_and(|suite| is_debians(&suite.archive))
    }

    fn purl(&self) -> Option<String> {
        let LockedDeb { name, version, arch, .. } = self.deb;
        Some(format!(
            "pkg:deb/debian/{}@{}?arch={}",
            super::purl_part(name),
            super::purl_part(version),
            super::purl_part(arch)
        ))
    }

    fn locate(&self, remotes: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        let Some(suite) = self.suite else { return Ok(Vec::new()) };
        mirrors(remotes)?.archive_paths(self.deb, suite).map_err(SourceError::of)
    }
}

fn mirrors(remotes: &Remotes<'_>) -> Result<std::sync::Arc<Mirrors>, SourceError> {
    remotes.kept(|| {
        let request = remotes.project.manifest.sources.debian.as_ref();
        let named = request.map(|debian| debian.mirrors.clone()).unwrap_or_default();
        let keys = |file: &Option<PathBuf>| {
            let read = file.as_ref().and_then(|file| remotes.project.inputs.keyring(file)).transpose();
            let read = read.map_err(|source| SourceError::of(NoKeys { source: source.clone() }))?;
            Ok::<_, SourceError>(read.map(|keys| keys.bytes.to_vec()))
        };
        let further = |archive: &DebianArchive| {
            Ok::<_, SourceError>(Further {
                archive: archive.name.clone(),
                suite: archive.suite.clone(),
                uri: archive.uri.clone(),
                keyring: keys(&archive.keyring)?,
            })
        };
        let archives = request.iter().flat_map(|debian| &debian.archives);
        let declared = Declared {
            mirror: named.archive,
            security_mirror: named.security,
            snapshot: named.snapshot,
            keyring: keys(&named.keyring)?,
            freshness: named.freshness,
            further: archives.map(further).collect::<Result<_, _>>()?,
        };
        let variable = |name: &str| remotes.context.environment.text(name).map(str::to_owned);
        Ok(Mirrors::find(declared, variable, Path::new("/")))
    })
}
