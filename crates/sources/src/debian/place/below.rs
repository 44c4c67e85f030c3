//! What an image below brings to the packages that are added: its own packages as if they had been placed here, its diversions,
//! overrides and alternatives.
//!
//! A package of the base has as its files what `info/NAME.list` names and the tree has, as its control files what else lies there. So it
//! owns paths, is replaced, is asked for by scripts and woken by triggers as any other is; it is never unpacked or configured again.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Listing;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;
use pinfold_base::Digest;
use pinfold_base::ImagePath;

use super::PlaceError;
use super::image::known;
use super::merge;
use crate::debian::locked::Indexed;
use crate::debian::locked::LockedDeb;
use crate::debian::present;
use crate::debian::script::world::Diversion;
use crate::debian::script::world::StatOverride;
use crate::debian::stanza;

/// What packages are added to.
#[derive(Clone, Debug)]
pub struct Below {
    /// Its tree, with the manifest's user.
    pub tree: Tree,
    /// The component that all of it is.
    pub component: Component,
}

/// A package that is there.
pub(super) struct Present {
    pub(super) locked: LockedDeb,
    pub(super) listing: Listing,
}

fn member(path: ImagePath, kind: MemberKind, meta: Metadata) -> Member {
    let raw_name = path.as_bytes().into();
    Member { path, raw_name, kind, meta, uname: Arc::default(), gname: Arc::default() }
}

/// A small file of the database; nothing where there is none.
fn text(tree: &Tree, contents: &dyn Contents, path: &ImagePath) -> Result<Option<Vec<u8>>, PlaceError> {
    let Some(content) = tree.content(path) else { return Ok(None) };
    let failed = |source| PlaceError::Present(present::PresentError::Read { path: path.clone(), source });
    contents.read(content, present::MAX_FILE).map(Some).map_err(failed)
}

/// A file of `info`: its kind, and what it is.
type Info<'a> = (&'a [u8], &'a Content, &'a Metadata);

/// Every package of the base.
pub(super) fn packages(below: &Below, contents: &dyn Contents) -> Result<Vec<Present>, PlaceError> {
    let tree = &below.tree;
    let info = known("var/lib/dpkg/info");
    // NAME or NAME:ARCH ─► its members.
    let mut members: BTreeMap<Vec<u8>, Vec<Info<'_>>> = BTreeMap::new();
    for (path, node) in tree.children(&info) {
        let name = path.name();
        if let (Some(dot), NodeKind::File(content)) =
            (name.iter().rposition(|&byte| byte == b'.'), &node.kind)
        {
            members.entry(name[..dot].to_vec()).or_default().push((&name[dot + 1..], content, &node.meta));
        }
    }
    let mut found = Vec::new();
    for bytes in present::stanzas(tree, contents)? {
        let wrong = |source| {
            PlaceError::Present(present::PresentError::Form { path: present::status_file(), source })
        };
        let one = stanza::single(&bytes).map_err(wrong)?;
        let name = one.require("Package").map_err(wrong)?.to_owned();
        let version = one.require("Version").map_err(wrong)?.to_owned();
        let arch = one.require("Architecture").map_err(wrong)?.to_owned();
        let source = one.text("Source").map_err(wrong)?.unwrap_or(&name);
        let source = source.split_whitespace().next().unwrap_or(&name).to_owned();
        let mut listing = Listing::default();
        let control = MemberKind::File { content: Content::inline(bytes.clone()) };
        listing.control.push(member(known("control"), control, Metadata::root(0o644, 0)));
        let own = [format!("{name}:{arch}").into_bytes(), name.clone().into_bytes()];
        for (kind, content, meta) in own.iter().find_map(|stem| members.get(stem)).into_iter().flatten() {
            if *kind == b"list" {
                let failed =
                    |source| PlaceError::Read { package: name.clone(), member: "list".into(), source };
                let list = contents.read(content, present::MAX_FILE).map_err(failed)?;
                listing.data = files(tree, &list);
            } else if let Ok(path) = ImagePath::new(kind) {
                let kind = MemberKind::File { content: (*content).clone() };
                listing.control.push(member(path, kind, (*meta).clone()));
            }
        }
        let locked = LockedDeb {
            name,
            version,
            arch,
            source,
            sha256: Digest::sha256(&bytes),
            size: 0,
            path: String::new(),
            suite: String::new(),
            archive: None,
            manual: true,
            indexed: Indexed::default(),
        };
        found.push(Present { locked, listing });
    }
    Ok(found)
}

/// The files of a list, as the tree has them; those that are gone are passed over.
fn files(tree: &Tree, list: &[u8]) -> Vec<Member> {
    let mut found = Vec::new();
    for line in list.split(|&byte| byte == b'\n') {
        let inside = line.strip_prefix(b"/").filter(|inside| !matches!(*inside, b"" | b"."));
        let Some(path) = inside.and_then(|inside| ImagePath::new(inside).ok()) else { continue };
        let Some(node) = tree.get(&tree.landing(&merge::place_of(&path))) else { continue };
        let kind = match &node.kind {
            NodeKind::Directory => MemberKind::Directory,
            NodeKind::File(content) => MemberKind::File { content: content.clone() },
            NodeKind::Symlink(target) => MemberKind::Symlink(target.clone()),
            NodeKind::Hardlink(target) => MemberKind::Hardlink(target.clone()),
        };
        found.push(member(path, kind, node.meta.clone()));
    }
    found
}

/// `dpkg-divert --list`: three lines each.
pub(super) fn diversions(tree: &Tree, contents: &dyn Contents) -> Result<Vec<Diversion>, PlaceError> {
    let text = text(tree, contents, &known("var/lib/dpkg/diversions"))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let one = |lines: &[&str]| Diversion {
        path: lines[0].into(),
        to: lines[1].into(),
        package: Some(lines[2].to_owned()).filter(|package| package != ":"),
    };
    Ok(lines.chunks_exact(3).map(one).collect())
}

/// `dpkg-statoverride --list`: user, group, mode and path.
pub(super) fn overrides(tree: &Tree, contents: &dyn Contents) -> Result<Vec<StatOverride>, PlaceError> {
    let text = text(tree, contents, &known("var/lib/dpkg/statoverride"))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let one = |line: &str| {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let (user, group) = (words.next()?, words.next()?);
        let mode = u32::from_str_radix(&words.next()?, 8).ok()?;
        Some(StatOverride { user, group, mode: mode & 0o7777, path: words.next()? })
    };
    Ok(text.lines().filter_map(one).collect())
}

/// The groups of alternatives, by name: the text of each.
pub(super) fn alternatives(
    tree: &Tree,
    contents: &dyn Contents,
) -> Result<Vec<(String, String)>, PlaceError> {
    let mut found = Vec::new();
    for (path, node) in tree.children(&known("var/lib/dpkg/alternatives")) {
        if let NodeKind::File(content) = &node.kind {
            let failed =
                |source| PlaceError::Present(present::PresentError::Read { path: path.clone(), source });
            let text = contents.read(content, 1 << 20).map_err(failed)?;
            let name = String::from_utf8_lossy(path.name()).into_owned();
            found.push((name, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    Ok(found)
}

/// What a file of the database has, where it has something.
pub(super) fn before(image: &super::image::Image<'_>, path: &ImagePath) -> Result<String, PlaceError> {
    let text = text(&image.tree, image.contents, path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).into_owned())
}
