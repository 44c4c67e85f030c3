//! A package with its control file read: what the rest of this room asks of it.

use pinfold_archive::Component;
use pinfold_archive::Contents;
use pinfold_base::Shown;

use super::Package;
use super::PlaceError;
use super::below::Present;
use crate::debian::locked::LockedDeb;
use crate::debian::stanza;
use crate::debian::stanza::Stanza;
use crate::debian::version;
use pinfold_archive::decoded::Listing;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;

/// Largest member of control.tar that is read (the largest in Debian, a list of MD5 sums, has a few MiB but is not read).
const MAX_MEMBER: u64 = 4 << 20;

/// A package whose control file was read.
pub(super) struct Opened<'a> {
    /// What the lock says.
    pub(super) locked: &'a LockedDeb,
    /// What it holds.
    pub(super) listing: &'a Listing,
    /// Owner of its files.
    pub(super) component: Component,
    control: Vec<u8>,
    whence: Whence,
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whence {
    /// It is added.
    Added,
    /// The image below has it.
    Present,
}

impl<'a> Opened<'a> {
    /// Reads the control file and holds it against the lock.
    pub(super) fn open(package: &'a Package<'_>, contents: &dyn Contents) -> Result<Self, PlaceError> {
        let locked = package.locked;
        let mut opened = Self {
            locked,
            listing: &package.listing,
            component: Component::new("debian", &locked.source),
            control: Vec::new(),
            whence: Whence::Added,
        };
        opened.control = opened.read("control", contents)?.ok_or_else(|| PlaceError::NotTheLocked {
            package: locked.name.clone(),
            version: locked.version.clone(),
            found: "no control file".into(),
        })?;
        let stanza = opened.stanza()?;
        let wrong = |source| PlaceError::Control { package: locked.name.clone(), source };
        let found = [
            stanza.require("Package").map_err(wrong)?,
            stanza.require("Version").map_err(wrong)?,
            stanza.require("Architecture").map_err(wrong)?,
        ];
        if found != [&locked.name, &locked.version, &locked.arch] {
            return Err(PlaceError::NotTheLocked {
                package: locked.name.clone(),
                version: locked.version.clone(),
                found: Shown::new(&found.join(" ")).to_string(),
            });
        }
        Ok(opened)
    }

    /// A package of the image below.
    pub(super) fn present(
        package: &'a Present,
        component: &Component,
        contents: &dyn Contents,
    ) -> Result<Self, PlaceError> {
        let mut opened = Self {
            locked: &package.locked,
            listing: &package.listing,
            component: component.clone(),
            control: Vec::new(),
            whence: Whence::Present,
        };
        opened.control = opened.read("control", contents)?.unwrap_or_default();
        Ok(opened)
    }

    /// Whether the image below has it already.
    pub(super) fn is_present(&self) -> bool {
        self.whence == Whence::Present
    }

    /// Package name.
    pub(super) fn name(&self) -> &'a str {
        &self.locked.name
    }

    /// How long the control file is.
    pub(super) fn control_size(&self) -> usize {
        self.control.len()
    }

    /// The control file.
    pub(super) fn stanza(&self) -> Result<Stanza<'_>, PlaceError> {
        stanza::single(&self.control)
            .map_err(|source| PlaceError::Control { package: self.name().into(), source })
    }

    /// The text of a field without surrounding blanks; nothing where it is missing.
    pub(super) fn field(&self, name: &str) -> Result<String, PlaceError> {
        self.fields([name]).map(|[text]| text)
    }

    /// Several, read at once; empty where one is not there.
    pub(super) fn fields<const N: usize>(&self, names: [&str; N]) -> Result<[String; N], PlaceError> {
        let stanza = self.stanza()?;
        let mut texts = names.map(|_| String::new());
        for (name, out) in names.iter().zip(&mut texts) {
            let text = stanza.text(name);
            let text = text.map_err(|source| PlaceError::Control { package: self.name().into(), source })?;
            text.unwrap_or_default().clone_into(out);
        }
        Ok(texts)
    }

    /// The member of control.tar of this name.
    pub(super) fn member(&self, name: &str) -> Option<&'a Member> {
        self.listing.control.iter().find(|entry| entry.path.as_bytes() == name.as_bytes())
    }

    /// The bytes of the member of control.tar of this name.
    pub(super) fn read(&self, name: &str, contents: &dyn Contents) -> Result<Option<Vec<u8>>, PlaceError> {
        let Some(MemberKind::File { content }) = self.member(name).map(|entry| &entry.kind) else {
            return Ok(None);
        };
        contents.read(content, MAX_MEMBER).map(Some).map_err(|source| PlaceError::Read {
            package: self.name().into(),
            member: name.into(),
            source,
        })
    }

    /// The same as text.
    pub(super) fn read_text(
        &self,
        name: &str,
        contents: &dyn Contents,
    ) -> Result<Option<String>, PlaceError> {
        let Some(bytes) = self.read(name, contents)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            PlaceError::Line {
                package: self.name().into(),
                member: name.into(),
                line: 1 + memchr::memchr_iter(b'\n', good).count(),
                what: "it is not UTF-8".into(),
            }
        })
    }

    /// Whether `Replaces` of this package names `other`, so that it may overwrite its files (Debian Policy 7.6.1).
    pub(super) fn replaces(&self, other: &Self) -> Result<bool, PlaceError> {
        let field = self.field("Replaces")?;
        Ok(field.split(',').any(|relation| relation_holds(relation, other.name(), &other.locked.version)))
    }
}

/// Whether `relation` (`name (<< 1.2)`) names this package in this version.
fn relation_holds(relation: &str, name: &str, version: &str) -> bool {
    let (named, bound) = match relation.split_once('(') {
        Some((named, bound)) => (named, Some(bound)),
        None => (relation, None),
    };
    if named.trim().split(':').next() != Some(name) {
        return false;
    }
    let Some(bound) = bound.map(|bound| bound.trim().trim_end_matches(')').trim()) else { return true };
    let at = bound.find(|c: char| !"<>=".contains(c)).unwrap_or(bound.len());
    let (operator, wanted) = bound.split_at(at);
    let order = version::compare(version.as_bytes(), wanted.trim().as_bytes());
    match operator {
        "<<" => order.is_lt(),
        "<=" | "<" => order.is_le(),
        "=" => order.is_eq(),
        ">=" | ">" => order.is_ge(),
        ">>" => order.is_gt(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each line was asked of dpkg --compare-versions; `<` and `>` are the deprecated spellings of `<=` and `>=`.
    #[test]
    fn relations() {
        for (relation, holds) in [
            ("libc6", true),
            (" libc6 (<< 2.37)", true),
            ("libc6 (<< 2.36-9)", false),
            ("libc6 (<= 2.36-9)", true),
            ("libc6 (< 2.36-9)", true),
            ("libc6 (= 2.36-9)", true),
            ("libc6 (>= 2.36-10)", false),
            ("libc6 (>> 2.36~)", true),
            ("libc6:any", true),
            ("libc6-dev", false),
            ("libc6 (!! 1)", false),
        ] {
            assert_eq!(relation_holds(relation, "libc6", "2.36-9"), holds, "{relation}");
        }
    }
}
