//! Where archives are: manifest → environment → the machine's apt sources → the snapshot archive at the locked date.
//!
//! | suite | manifest | environment | apt sources |
//! |---|---|---|---|
//! | `X-security`, `X/updates` | `security-mirror` | `PINFOLD_DEBIAN_SECURITY_MIRROR` | a source with that suite, else one of `…/debian-security` |
//! | others | `mirror` | `PINFOLD_DEBIAN_MIRROR` | a source with that suite, else one of `…/debian` |
//!
//! A further archive (`[[debian.archive]]`) is where the manifest says, an address or the name of a file of apt's sources, and
//! nowhere else. A source serves when it has all components asked for. The snapshot archive is named by the manifest only, as a template:
//! `{archive}` stands for `debian` or `debian-security`, `{timestamp}` for a state such as `20260711T101637Z`.
//!
//! **Guarantees**: no address is built in; logins (in the address, or in apt's `auth.conf`) travel beside addresses, and no
//! message or lock holds one. A further archive is signed for by its own keys alone, those that the manifest names or
//! `Signed-By` of its apt source; Debian's suites are never read from it, nor it from a mirror of Debian. **Refuses**: addresses that are not `http`, `https` or `file`, templates without place holders.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::http::Auth;
use pinfold_base::http::ParseUrlError;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Source;

use super::Freshness;
use super::apt_sources;
use super::apt_sources::AptSource;
use super::apt_sources::AptSources;
use super::apt_sources::SignedBy;
use super::openpgp::Keyring;
use super::openpgp::OpenPgpError;
use super::release;
use crate::debian::locked::LockedDeb;
use crate::debian::locked::LockedSuite;

/// Environment variable with the address of the Debian archive.
pub const MIRROR_VARIABLE: &str = "PINFOLD_DEBIAN_MIRROR";
/// Environment variable with the address of the security archive.
pub const SECURITY_MIRROR_VARIABLE: &str = "PINFOLD_DEBIAN_SECURITY_MIRROR";

/// Name of the Debian archive.
pub const DEBIAN: &str = "debian";
/// Name of the security archive.
pub const SECURITY: &str = "debian-security";

/// The archive's keys, for machines that have none of their own.
const SHIPPED_KEYS: &[u8] = include_bytes!("../../../data/debian-archive-keys.asc");

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Nothing says where a suite is.
    #[error("no mirror is known for suite `{suite}` with components {components}")]
    Unknown {
        /// The suite.
        suite: String,
        /// The components asked for.
        components: String,
    },
    /// apt has no such source.
    #[error("apt of this machine has no source `{name}` for suite `{suite}`{}", with(components))]
    NoSource {
        /// What the manifest calls it.
        name: String,
        /// The suite.
        suite: String,
        /// The components asked for.
        components: Vec<String>,
    },
    /// Neither manifest nor apt says who signs for a further archive.
    #[error("it is not said which keys sign for the archive `{archive}`")]
    NoKeyring {
        /// The archive.
        archive: String,
    },
    /// A lock names an archive that the manifest does not have.
    #[error("the manifest has no archive `{archive}` with suite `{suite}`")]
    Undeclared {
        /// The archive.
        archive: String,
        /// The suite.
        suite: String,
    },
    /// Something that should be an address is none.
    #[error("{origin} is not usable")]
    Address {
        /// Who says it.
        origin: String,
        /// What is wrong.
        source: ParseUrlError,
    },
    /// The template lacks a place holder.
    #[error("the snapshot template must hold `{{archive}}` and `{{timestamp}}`")]
    Template,
    /// A keyring is missing or damaged.
    #[error("the keys for `{suite}` cannot be had")]
    Keys {
        /// The suite.
        suite: String,
        /// Why.
        source: OpenPgpError,
    },
}

fn with(components: &[String]) -> String {
    let each = components.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
    if each.is_empty() { each } else { format!(" with components {each}") }
}

impl Diagnose for MirrorError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Keys { .. } => Kind::Integrity,
            _ => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Unknown { suite, .. } if is_security(suite) => Some(format!(
                "set `{SECURITY_MIRROR_VARIABLE}`, or `security-mirror` in the manifest's `[debian]`"
            )),
            Self::Unknown { .. } => {
                Some(format!("set `{MIRROR_VARIABLE}`, or `mirror` in the manifest's `[debian]`"))
            }
            Self::NoSource { .. } => Some(
                "write the archive's address as `uri`, or the name of a file of `/etc/apt/sources.list.d` that has it".into(),
            ),
            Self::NoKeyring { .. } => {
                Some("name the file of its keys with `keyring` in its `[[debian.archive]]`".into())
            }
            Self::Undeclared { .. } => Some("`pinfold lock` brings the lock up to date".into()),
            Self::Address { .. } => Some("write it as `https://HOST/PATH`".into()),
            Self::Template => Some("write it as `https://HOST/archive/{archive}/{timestamp}`".into()),
            Self::Keys { .. } => {
                Some("check `keyring` in the manifest, or `Signed-By` of the apt source".into())
            }
        }
    }
}

/// What the manifest says about archives.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Declared {
    /// Address of the Debian archive.
    pub mirror: Option<String>,
    /// Address of the security archive.
    pub security_mirror: Option<String>,
    /// Template of the snapshot archive.
    pub snapshot: Option<String>,
    /// Keyring that signs, instead of the machine's.
    pub keyring: Option<Vec<u8>>,
    /// Whether metadata must be recent.
    pub freshness: Freshness,
    /// Further archives.
    pub further: Vec<Further>,
}

/// A suite of a further archive, as the manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Further {
    /// Its name, which [`name_of`] makes of `uri`.
    pub archive: String,
    /// The suite.
    pub suite: String,
    /// Its address, or what the machine calls it: `debian`, `debian-security`, or the name of a file of apt's sources.
    pub uri: String,
    /// The keys that sign for it, instead of the machine's.
    pub keyring: Option<Vec<u8>>,
}

/// Where one suite is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Addresses, best first, without a slash at the end.
    pub bases: Vec<Source>,
    /// Keys that may sign; empty for the machine's Debian keyring.
    pub signed_by: SignedBy,
    /// Who says so.
    pub keys: Keys,
    /// Whether keys that apt trusts for everything count too (an apt source that names none).
    pub trusted: Trusted,
    /// Whether metadata must be recent.
    pub freshness: Freshness,
}

/// Who has named the keys that may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The manifest, with `keyring`.
    Manifest,
    /// An apt source of the machine, with `Signed-By`.
    Machine,
    /// Nobody: they are Debian's.
    Debian,
}

impl Keys {
    fn of(stated: Option<&Vec<u8>>, signed_by: &SignedBy) -> Self {
        match stated {
            Some(_) => Self::Manifest,
            None if signed_by.is_empty() => Self::Debian,
            None => Self::Machine,
        }
    }
}

/// Which keys count beside those of the Debian keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// None.
    Debian,
    /// Those below `/etc/apt/trusted.gpg.d`.
    Apt,
}

/// Everything that says where archives are.
#[derive(Clone, Debug)]
pub struct Mirrors {
    declared: Declared,
    mirror: Option<String>,
    security_mirror: Option<String>,
    apt: AptSources,
    root: PathBuf,
}

impl Mirrors {
    /// Collects what manifest, environment (`lookup` is `std::env::var` in the program) and machine (`root` is `/`) say.
    pub fn find(declared: Declared, lookup: impl Fn(&str) -> Option<String>, root: &Path) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            declared,
            mirror: set(MIRROR_VARIABLE),
            security_mirror: set(SECURITY_MIRROR_VARIABLE),
            apt: apt_sources::read(root),
            root: root.to_owned(),
        }
    }

    /// Files of the machine that could not be understood.
    pub fn odd(&self) -> &[String] {
        &self.apt.odd
    }

    /// Where a suite of an archive is. `seen` is its date in the lock, for the snapshot archive.
    pub fn archive(
        &self,
        archive: &str,
        suite: &str,
        components: &[String],
        seen: Option<u64>,
    ) -> Result<Archive, MirrorError> {
        let mut further = self.declared.further.iter();
        let further = further.find(|one| one.archive == archive && one.suite == suite);
        match further {
            Some(one) if !is_debians(archive) => self.further(one, components),
            Some(Further { keyring: Some(keys), .. }) => {
                self.own(archive, suite, components, seen, Some(keys))
            }
            None if !is_debians(archive) => {
                Err(MirrorError::Undeclared { archive: archive.to_owned(), suite: suite.to_owned() })
            }
            _ => self.own(archive, suite, components, seen, self.declared.keyring.as_ref()),
        }
    }

    /// Whether apt of this machine fetches a suite from an address.
    pub fn has(&self, address: &SafeUrl, suite: &str) -> bool {
        let mut sources =
            self.apt.sources.iter().filter(|source| source.suites.iter().any(|one| one == suite));
        sources.any(|source| self.places(source).iter().any(|one| one.url.same_place(address)))
    }

    fn places(&self, source: &AptSource) -> Vec<Source> {
        source.uris.iter().filter_map(|uri| self.location(uri).ok()).collect()
    }

    /// Where a suite of a further archive is.
    fn further(&self, declared: &Further, components: &[String]) -> Result<Archive, MirrorError> {
        let Further { archive, suite, uri, keyring } = declared;
        let mut sources = self.apt.sources.iter().filter(|source| {
            source.suites.contains(suite) && components.iter().all(|one| source.components.contains(one))
        });
        let base = is_address(uri).then(|| self.location(uri)).transpose();
        let base = base.map_err(|source| MirrorError::Address {
            origin: format!("`uri` of the archive `{archive}`"),
            source,
        })?;
        let source = sources.find(|source| match &base {
            Some(base) => self.places(source).iter().any(|one| one.url.same_place(&base.url)),
            None => source.name == *uri && !self.places(source).is_empty(),
        });
        let bases = match (base, source) {
            (Some(base), _) => vec![base],
            (None, Some(source)) => self.places(source),
            (None, None) => {
                let (name, suite, components) = (uri.clone(), suite.clone(), components.to_vec());
                return Err(MirrorError::NoSource { name, suite, components });
            }
        };
        let signed_by = match keyring {
            Some(keys) => SignedBy { inline: Some(keys.clone()), ..SignedBy::default() },
            None => source.map(|source| source.signed_by.clone()).unwrap_or_default(),
        };
        if signed_by.is_empty() {
            return Err(MirrorError::NoKeyring { archive: archive.clone() });
        }
        let freshness = source.map(|source| source.freshness).unwrap_or_default();
        let freshness = self.declared.freshness.max(freshness);
        let keys = Keys::of(keyring.as_ref(), &signed_by);
        Ok(Archive { bases, signed_by, keys, trusted: Trusted::Apt, freshness })
    }

    /// Where a suite of Debian's own archives is.
    fn own(
        &self,
        archive: &str,
        suite: &str,
        components: &[String],
        seen: Option<u64>,
        keyring: Option<&Vec<u8>>,
    ) -> Result<Archive, MirrorError> {
        let (declared, variable, name) = if archive == SECURITY {
            (&self.declared.security_mirror, &self.security_mirror, SECURITY_MIRROR_VARIABLE)
        } else {
            (&self.declared.mirror, &self.mirror, MIRROR_VARIABLE)
        };
        let stated = declared
            .as_ref()
            .map(|url| (url, "the mirror of the manifest".to_owned()))
            .or_else(|| variable.as_ref().map(|url| (url, format!("`{name}`"))));
        let stated_keys = keyring;
        let keyring = SignedBy { inline: keyring.cloned(), ..SignedBy::default() };
        let keys = Keys::of(stated_keys, &keyring);
        if let Some((url, origin)) = stated {
            let base = self.location(url).map_err(|source| MirrorError::Address { origin, source })?;
            return Ok(Archive {
                bases: vec![base],
                signed_by: keyring,
                keys,
                trusted: Trusted::Debian,
                freshness: self.declared.freshness,
            });
        }
        if let Some(source) = self.source(archive, suite, components) {
            let signed_by = if keyring.is_empty() { source.signed_by.clone() } else { keyring };
            return Ok(Archive {
                bases: self.places(source),
                trusted: if signed_by.files.is_empty() && signed_by.inline.is_none() {
                    Trusted::Apt
                } else {
                    Trusted::Debian
                },
                keys: Keys::of(stated_keys, &signed_by),
                signed_by,
                freshness: self.declared.freshness.max(source.freshness),
            });
        }
        if let Some(date) = seen
            && let Some(base) = self.snapshot(archive, date)?
        {
            return Ok(Archive {
                bases: vec![base],
                signed_by: keyring,
                keys,
                trusted: Trusted::Debian,
                freshness: Freshness::Unchecked,
            });
        }
        let components = components.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
        Err(MirrorError::Unknown { suite: suite.to_owned(), components })
    }

    /// The apt source that serves a suite of Debian's: one that names it, of the archive by its address if there is one, else one
    /// that serves a sister suite of the same archive.
    fn source(&self, archive: &str, suite: &str, components: &[String]) -> Option<&AptSource> {
        let usable = |source: &&AptSource| {
            components.iter().all(|one| source.components.contains(one))
                && source.suites.iter().any(|suite| !suite.ends_with('/'))
                && source.uris.iter().any(|uri| self.location(uri).is_ok())
        };
        let named = |source: &&AptSource| source.suites.iter().any(|one| one == suite);
        let sister = |source: &&AptSource| {
            let last = |uri: &String| {
                uri.trim_end_matches('/').rsplit('/').next().is_some_and(|last| last == archive)
            };
            source.uris.iter().any(last)
        };
        let usable = || self.apt.sources.iter().filter(usable);
        usable()
            .find(|source| named(source) && sister(source))
            .or_else(|| usable().find(named))
            .or_else(|| usable().find(sister))
    }

    /// The keys that may sign for an archive. Keys shipped with pinfold stand in for those the machine does not have.
    pub fn keyring(&self, suite: &str, archive: &Archive) -> Result<Keyring, MirrorError> {
        let failed = |source| MirrorError::Keys { suite: suite.to_owned(), source };
        let signed_by = &archive.signed_by;
        if let Some(inline) = &signed_by.inline {
            let name = if archive.keys == Keys::Manifest { "keyring of the manifest" } else { "Signed-By" };
            return Keyring::read(name, inline).map_err(failed);
        }
        let mut keyring = Keyring::default();
        for file in &signed_by.files {
            keyring.add(read_keyring(&self.below_root(file)).map_err(failed)?);
        }
        if signed_by.files.is_empty() {
            for name in ["debian-archive-keyring.gpg", "debian-archive-keyring.pgp"] {
                let file = self.root.join("usr/share/keyrings").join(name);
                if file.is_file() {
                    keyring.add(read_keyring(&file).map_err(failed)?);
                    break;
                }
            }
            if archive.trusted == Trusted::Apt {
                for file in apt_sources::files_in(&self.root.join("etc/apt/trusted.gpg.d"), &["gpg", "asc"]) {
                    // One that cannot be read vouches for nothing; apt only warns as well.
                    if let Ok(more) = read_keyring(&file) {
                        keyring.add(more);
                    }
                }
            }
            keyring
                .add_missing(Keyring::read("the keys shipped with pinfold", SHIPPED_KEYS).map_err(failed)?);
        }
        if !signed_by.fingerprints.is_empty() {
            keyring.keep_only(&signed_by.fingerprints);
        }
        Ok(keyring)
    }

    /// Addresses of a locked .deb, best first: the mirrors of its suite, then the snapshot archive at the locked date. (The
    /// store and a vendor folder come before, and are the engine's.)
    pub fn archive_paths(&self, deb: &LockedDeb, suite: &LockedSuite) -> Result<Vec<Source>, MirrorError> {
        // `pool/COMPONENT/...`: sources of other archives may have a suite of the same name. The security archive keeps its
        // pool below `pool/updates/COMPONENT/`.
        let pool = deb.path.strip_prefix("pool/").map(|rest| rest.strip_prefix("updates/").unwrap_or(rest));
        let component = pool.and_then(|rest| rest.split_once('/'));
        let component = component.filter(|_| is_debians(&suite.archive));
        let components: Vec<String> = component.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut bases = self.archive(&suite.archive, &suite.name, &components, Some(suite.date))?.bases;
        if is_debians(&suite.archive)
            && let Some(snapshot) = self.snapshot(&suite.archive, suite.date)?
            && !bases.contains(&snapshot)
        {
            bases.push(snapshot);
        }
        bases
            .iter()
            .map(|base| below(base, &deb.path))
            .collect::<Result<_, _>>()
            .map_err(|source| MirrorError::Address { origin: format!("the path of `{}`", deb.name), source })
    }

    fn snapshot(&self, archive: &str, date: u64) -> Result<Option<Source>, MirrorError> {
        let Some(template) = &self.declared.snapshot else { return Ok(None) };
        if !template.contains("{archive}") || !template.contains("{timestamp}") {
            return Err(MirrorError::Template);
        }
        let url = template.replace("{archive}", archive).replace("{timestamp}", &release::timestamp(date));
        self.location(&url)
            .map(Some)
            .map_err(|source| MirrorError::Address { origin: "the snapshot template".into(), source })
    }

    fn location(&self, url: &str) -> Result<Source, ParseUrlError> {
        let url = address(url)?;
        let auth = match url.auth() {
            Auth::None => apt_sources::auth_for(&self.apt.machines, &url),
            own => own,
        };
        Ok(Source { auth, ..Source::open(url.without_secrets()) })
    }

    fn below_root(&self, file: &Path) -> PathBuf {
        self.root.join(file.strip_prefix("/").unwrap_or(file))
    }
}

fn read_keyring(file: &Path) -> Result<Keyring, OpenPgpError> {
    let name = file.display().to_string();
    let bytes = fs::read(file)
        .map_err(|error| OpenPgpError::Keyring { name: name.clone(), reason: error.to_string() })?;
    Keyring::read(&name, &bytes)
}

/// Reads the address of an archive. apt knows `file:/path` too.
pub fn address(uri: &str) -> Result<SafeUrl, ParseUrlError> {
    match uri.strip_prefix("file:/") {
        Some(path) if !path.starts_with('/') => SafeUrl::parse(&format!("file:///{path}")),
        _ => SafeUrl::parse(uri.trim_end_matches('/')),
    }
}

/// Whether a suite belongs to the security archive.
pub fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.ends_with("/updates")
}

/// Debian's archive that has a suite, by its name at the snapshot archive.
pub fn archive_of(suite: &str) -> &'static str {
    if is_security(suite) { SECURITY } else { DEBIAN }
}

/// Whether an archive is one of Debian's own: mirrored, in apt's sources of every machine, kept at the snapshot archive.
pub fn is_debians(archive: &str) -> bool {
    matches!(archive, DEBIAN | SECURITY)
}

/// Whether `uri` of a further archive is an address, and not a name.
pub fn is_address(uri: &str) -> bool {
    uri.contains(['/', ':'])
}

/// What an archive is called in lock and messages: an address without its scheme, always with a slash in it; a name as it is.
pub fn name_of(uri: &str) -> Result<String, ParseUrlError> {
    if !is_address(uri) {
        return Ok(uri.to_owned());
    }
    let url = address(uri)?.without_secrets().to_string();
    let place = url.split_once("://").map_or(&*url, |(_, place)| place).trim_end_matches('/');
    Ok(if place.contains('/') { place.to_owned() } else { format!("{place}/") })
}

/// A file below an archive.
pub fn below(base: &Source, path: &str) -> Result<Source, ParseUrlError> {
    Ok(Source { url: base.url.join(path)?, ..base.clone() })
}
