//! The database of installed packages, as dpkg and apt would have left it.
//!
//! ```text
//! /var/lib/dpkg/status                 one stanza per package: control, plus Status and Conffiles, in dpkg's order of fields
//!               info/NAME[:ARCH].list  paths of data.tar, one a line; the root is "/."
//!               info/NAME[:ARCH].*     the other members of control.tar, as they are
//!               info/format            "1"
//!               arch                   the architecture
//!               diversions             three lines each: path, where it went, by whom
//!               statoverride           user, group, mode and path, one a line, where there are any
//!               triggers/File          path and package, for interest in paths; triggers/NAME for named ones
//! /var/lib/apt/extended_states         packages that were not asked for
//!
//! /var/lib/dpkg/status.d/NAME          for images without dpkg: control as it is, and NAME.md5sums
//! ```
//!
//! `:ARCH` is there for packages with `Multi-Arch: same`. Not made: locks, backup copies, `available`.
//!
//! **Refuses**: lists of conffiles and triggers whose lines have another form.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use md5::Digest as _;
use md5::Md5;
use pinfold_archive::Component;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::decoded::MemberKind;
use pinfold_base::Arch;
use pinfold_base::ImagePath;

use super::PlaceError;
use super::below;
use super::control::Opened;
use super::image::Image;
use super::image::known;
use super::order;
use super::triggers;
use super::triggers::LineKind;
use crate::debian::script::world::Diversion;
use crate::debian::script::world::StatOverride;

const OWNER: &str = "dpkg";

/// dpkg's order of the fields it knows; `Status` and `Conffiles` are its own. Others follow in the order of control.
const ORDER: [&str; 24] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
];
/// It stands behind `Conffiles`.
const DESCRIPTION: &str = "Description";

/// What the packages and their placement have to say to the database.
pub(super) struct Facts<'a> {
    pub(super) packages: &'a [Opened<'a>],
    /// Their indexes in the order in which they were unpacked.
    pub(super) unpacked: &'a [usize],
    /// By index: paths that another package took over, which leave the list.
    pub(super) replaced: &'a BTreeMap<usize, BTreeSet<ImagePath>>,
    pub(super) diversions: &'a [Diversion],
    pub(super) overrides: &'a [StatOverride],
    pub(super) arch: Arch,
    /// Whether diversions or overrides are other than in the image below.
    pub(super) changed: bool,
}

/// Writes the whole database.
pub(super) fn write(image: &mut Image<'_>, facts: &Facts<'_>) -> Result<(), PlaceError> {
    let mut sorted: Vec<(usize, &Opened<'_>)> = facts.packages.iter().enumerate().collect();
    sorted.sort_by_key(|(_, package)| package.name());
    let mut status = Vec::new();
    let mut states = String::new();
    let below = facts.packages.iter().any(Opened::is_present);
    for (index, package) in sorted {
        if package.is_present() {
            // As it stood there; only its list changes, where others took files of it over.
            status.extend(package.read("control", image.contents)?.unwrap_or_default());
            status.push(b'\n');
            if let Some(replaced) = facts.replaced.get(&index) {
                list(image, package, Some(replaced))?;
            }
            continue;
        }
        status.extend(stanza(package, image.contents)?);
        if !package.locked.manual {
            let (name, arch) = (package.name(), facts.arch.debian());
            let _ = write!(states, "Package: {name}\nArchitecture: {arch}\nAuto-Installed: 1\n\n");
        }
        info(image, package, facts.replaced.get(&index))?;
    }
    image.put(OWNER, &known("var/lib/dpkg/status"), status);
    let extended = known("var/lib/apt/extended_states");
    let mut interests = Interests::default();
    let unpacked = facts.unpacked.iter().map(|&index| &facts.packages[index]);
    for package in unpacked.filter(|package| !package.is_present()) {
        interests.read(package, image.contents)?;
    }
    if below {
        if !interests.is_empty() {
            interests.write(image)?;
        }
        if !states.is_empty() {
            let before = below::before(image, &extended)?;
            image.put(OWNER, &extended, before + &states);
        }
        if !facts.changed {
            return Ok(());
        }
    } else {
        image.put(OWNER, &known("var/lib/dpkg/info/format"), "1\n");
        image.put(OWNER, &known("var/lib/dpkg/arch"), format!("{}\n", facts.arch.debian()));
        interests.write(image)?;
        image.put(OWNER, &extended, states);
    }
    let mut diversions = String::new();
    let mut sorted: Vec<&Diversion> = facts.diversions.iter().collect();
    sorted.sort_by_key(|diversion| (order::place_of_path(&diversion.path), &diversion.path));
    for Diversion { path, to, package } in sorted {
        let _ = write!(diversions, "{path}\n{to}\n{}\n", package.as_deref().unwrap_or(":"));
    }
    image.put(OWNER, &known("var/lib/dpkg/diversions"), diversions);
    if !facts.overrides.is_empty() {
        let mut lines = String::new();
        for StatOverride { user, group, mode, path } in facts.overrides {
            let _ = writeln!(lines, "{user} {group} {mode:o} {path}");
        }
        image.put(OWNER, &known("var/lib/dpkg/statoverride"), lines);
    }
    Ok(())
}

/// Writes what scanners read in an image without dpkg.
pub(super) fn write_status_d(image: &mut Image<'_>, packages: &[Opened<'_>]) -> Result<(), PlaceError> {
    for package in packages.iter().filter(|package| !package.is_present()) {
        let directory = known("var/lib/dpkg/status.d");
        let path = |name: String| {
            directory.join(name).map_err(|source| PlaceError::Path { package: package.name().into(), source })
        };
        let mut control = package.read("control", image.contents)?.unwrap_or_default();
        if !control.ends_with(b"\n") {
            control.push(b'\n');
        }
        image.put(OWNER, &path(package.name().into())?, control);
        if let Some(sums) = package.read("md5sums", image.contents)? {
            image.put(OWNER, &path(format!("{}.md5sums", package.name()))?, sums);
        }
    }
    Ok(())
}

fn stanza(package: &Opened<'_>, contents: &dyn Contents) -> Result<Vec<u8>, PlaceError> {
    let control = package.stanza()?;
    let conffiles = conffiles(package, contents)?;
    let mut text = Vec::new();
    let mut put = |name: &str, value: &[u8]| {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        if !value.starts_with(b"\n") {
            text.push(b' ');
        }
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    for name in ORDER.into_iter().chain([DESCRIPTION]) {
        match name {
            "Status" => put(name, b"install ok installed"),
            "Conffiles" if !conffiles.is_empty() => put(name, conffiles.as_bytes()),
            _ => {
                if let Some(value) = control.get(name) {
                    put(name, value);
                }
            }
        }
    }
    for field in control.fields() {
        let known = ORDER.iter().chain([&DESCRIPTION]).any(|name| name.eq_ignore_ascii_case(field.name));
        if !known {
            put(field.name, field.value);
        }
    }
    text.push(b'\n');
    Ok(text)
}

/// One line of a package's list of conffiles.
enum Conffile {
    /// A path, and the same as written.
    Shipped(ImagePath, String),
    /// A path that is to go on upgrade, as written.
    ToRemove(String),
}

fn conffile_list(
    package: &Opened<'_>,
    contents: &dyn Contents,
) -> Result<Vec<(usize, Conffile)>, PlaceError> {
    let list = package.read_text("conffiles", contents)?.unwrap_or_default();
    let mut found = Vec::new();
    for (at, line) in list.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        // A line that begins with a slash is a path, blanks and all (deb-conffiles(5)).
        let (flag, path) = match line.split_once(' ').filter(|_| !line.starts_with('/')) {
            Some(("remove-on-upgrade", path)) => (true, path.trim()),
            Some(_) => {
                return Err(wrong(package, at, "it is neither a path nor `remove-on-upgrade` and a path"));
            }
            None => (false, line),
        };
        if !path.starts_with('/') {
            return Err(wrong(package, at, "the path does not begin with a slash"));
        }
        let conffile = if flag {
            Conffile::ToRemove(path.into())
        } else {
            let parsed = ImagePath::new(path);
            let failed = |source| PlaceError::Path { package: package.name().into(), source };
            Conffile::Shipped(parsed.map_err(failed)?, path.into())
        };
        found.push((at, conffile));
    }
    Ok(found)
}

fn wrong(package: &Opened<'_>, at: usize, what: &str) -> PlaceError {
    PlaceError::Line {
        package: package.name().into(),
        member: "conffiles".into(),
        line: at + 1,
        what: what.into(),
    }
}

/// The configuration files that a package ships, as it names them.
pub(super) fn conffile_paths(
    package: &Opened<'_>,
    contents: &dyn Contents,
) -> Result<Vec<ImagePath>, PlaceError> {
    let paths = conffile_list(package, contents)?.into_iter().filter_map(|(_, conffile)| match conffile {
        Conffile::Shipped(path, _) => Some(path),
        Conffile::ToRemove(_) => None,
    });
    Ok(paths.collect())
}

/// `\n PATH MD5` for each conffile, in the order of the list.
fn conffiles(package: &Opened<'_>, contents: &dyn Contents) -> Result<String, PlaceError> {
    let mut text = String::new();
    for (at, conffile) in conffile_list(package, contents)? {
        let (content, path) = match conffile {
            Conffile::Shipped(shipped, path) => {
                let shipped = package.listing.data.iter().find_map(|entry| match &entry.kind {
                    MemberKind::File { content } if entry.path == shipped => Some(content),
                    _ => None,
                });
                (shipped.ok_or_else(|| wrong(package, at, "the package has no such file"))?, path)
            }
            Conffile::ToRemove(path) => {
                let _ = write!(text, "\n {path} newconffile remove-on-upgrade");
                continue;
            }
        };
        let failed =
            |source| PlaceError::Read { package: package.name().into(), member: path.clone(), source };
        let mut hash = Md5::new();
        std::io::copy(&mut contents.open(content).map_err(failed)?, &mut HashInto(&mut hash))
            .map_err(failed)?;
        let _ = write!(text, "\n {path} ");
        for byte in hash.finalize() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    Ok(text)
}

struct HashInto<'a>(&'a mut Md5);

impl std::io::Write for HashInto<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The name of a package in dpkg's own files: with its architecture where several of it can be installed.
fn name_with_arch(package: &Opened<'_>) -> Result<String, PlaceError> {
    let name = package.name();
    Ok(match package.field("Multi-Arch")?.as_str() {
        "same" => format!("{name}:{}", package.locked.arch),
        _ => name.to_owned(),
    })
}

fn info(
    image: &mut Image<'_>,
    package: &Opened<'_>,
    replaced: Option<&BTreeSet<ImagePath>>,
) -> Result<(), PlaceError> {
    let stem = name_with_arch(package)?;
    let directory = known("var/lib/dpkg/info");
    let path = |member: &[u8]| {
        directory
            .join([stem.as_bytes(), b".", member].concat())
            .map_err(|source| PlaceError::Path { package: package.name().into(), source })
    };
    let owner = Component::generated(OWNER);
    for entry in &package.listing.control {
        let name = entry.path.as_bytes();
        let MemberKind::File { content } = &entry.kind else { continue };
        if name == b"control" || name.contains(&b'/') {
            continue;
        }
        let meta = Metadata::root(entry.meta.mode & 0o777, entry.meta.mtime.min(image.epoch));
        image.tree.insert(path(name)?, Node::file(&owner, meta, content.clone()));
    }
    list(image, package, replaced)
}

/// The files of a package, but for those that others took over.
fn list(
    image: &mut Image<'_>,
    package: &Opened<'_>,
    replaced: Option<&BTreeSet<ImagePath>>,
) -> Result<(), PlaceError> {
    let name = [name_with_arch(package)?.as_bytes(), b".list"].concat();
    let failed = |source| PlaceError::Path { package: package.name().into(), source };
    let path = known("var/lib/dpkg/info").join(name).map_err(failed)?;
    let mut list = if package.is_present() { b"/.\n".to_vec() } else { Vec::new() };
    for entry in &package.listing.data {
        let gone = replaced.is_some_and(|paths| paths.contains(&super::merge::place_of(&entry.path)));
        if gone {
            continue;
        }
        list.push(b'/');
        list.extend_from_slice(if entry.path.is_root() { b"." } else { entry.path.as_bytes() });
        list.push(b'\n');
    }
    image.put(OWNER, &path, list);
    Ok(())
}

/// Interest in triggers.
#[derive(Default)]
struct Interests {
    /// Path and package, in order of the packages.
    paths: Vec<(String, String)>,
    named: BTreeMap<String, Vec<String>>,
}

impl Interests {
    fn read(&mut self, package: &Opened<'_>, contents: &dyn Contents) -> Result<(), PlaceError> {
        let name = name_with_arch(package)?;
        for line in triggers::lines(package, contents)? {
            let LineKind::Interest { noawait } = line.kind else { continue };
            let by = format!("{name}{}", if noawait { "/noawait" } else { "" });
            if line.name.starts_with('/') {
                self.paths.push((line.name, by));
            } else {
                self.named.entry(line.name).or_default().push(by);
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.named.is_empty()
    }

    /// Writes the lists, behind what is in them.
    fn write(&self, image: &mut Image<'_>) -> Result<(), PlaceError> {
        let directory = known("var/lib/dpkg/triggers");
        let file: String =
            self.paths.iter().flat_map(|(path, by)| [path.as_str(), " ", by.as_str(), "\n"]).collect();
        let path = known("var/lib/dpkg/triggers/File");
        let before = below::before(image, &path)?;
        if !file.is_empty() || before.is_empty() {
            image.put(OWNER, &path, before + &file);
        }
        let unincorporated = known("var/lib/dpkg/triggers/Unincorp");
        if !image.tree.contains(&unincorporated) {
            image.put(OWNER, &unincorporated, "");
        }
        for (name, by) in &self.named {
            let path =
                directory.join(name).map_err(|source| PlaceError::Path { package: by.join(" "), source })?;
            let lines: String = by.iter().flat_map(|package| [package.as_str(), "\n"]).collect();
            let before = below::before(image, &path)?;
            image.put(OWNER, &path, before + &lines);
        }
        Ok(())
    }
}
