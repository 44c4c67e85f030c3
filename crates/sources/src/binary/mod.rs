//! Programs that are fetched by URL: an archive and the members to take out of it, or one executable.
//!
//! The address is the user's own and is kept as it was written; the digest is what counts. Where the manifest names none, the
//! first lock downloads the file, hashes it and writes the digest down ("trust on first use"); from then on it is checked.
//!
//! **Refuses**: members that do not exist or that are a directory and something else, names beginning with `.wh.`, addresses with credentials in them (they would stand
//! in the lock).

use std::collections::BTreeMap;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::Listing;
use pinfold_archive::decoded::Loss;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::decoded::Shadowed;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::http::Client;
use pinfold_base::http::HttpError;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Source;
use pinfold_base::image_path::PathError;
use pinfold_base::store::Expected;
use pinfold_base::text::nearest;
use serde::Deserialize;
use serde::Serialize;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;
/// The attribute that holds a file's capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// The largest download accepted while its size is unknown, in bytes.
pub const MAX_DOWNLOAD: u64 = 4 << 30;

/// What kind of file an address gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinaryFormat {
    /// A zip or a tar where the name says so (`.zip`, `.tar*`, `.tgz` and the like), else told from the bytes: a tar, one
    /// compressed file, or the program itself.
    #[default]
    Auto,
    /// A tar, plain or compressed.
    Tar,
    /// A zip.
    Zip,
    /// The program itself.
    Raw,
}

impl BinaryFormat {
    /// How the file at `url` is to be decoded.
    pub fn decode(self, url: &str) -> Format {
        match self {
            Self::Tar => Format::Tar,
            Self::Zip => Format::Zip,
            Self::Raw => Format::Raw,
            Self::Auto => {
                let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
                let name = path.rsplit('/').next().unwrap_or_default();
                let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
                let short = [".tgz", ".txz", ".tzst", ".tbz", ".tbz2", ".tlz"];
                if ends(&short) || ends(&[".tar"]) || name.contains(".tar.") {
                    Format::Tar
                } else if ends(&[".zip"]) {
                    Format::Zip
                } else {
                    Format::Auto
                }
            }
        }
    }
}

/// One member to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// A file or directory of the archive; the root for a file that is no archive, or for all of it.
    pub from: ImagePath,
    /// Where it stands in the image.
    pub to: ImagePath,
    /// Mode of a single file; 0755 for a program that is no archive, else as packed, when `None`.
    pub mode: Option<u32>,
}

/// A program asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryRequest {
    /// Name of the component.
    pub name: String,
    /// Version, for people.
    pub version: String,
    /// The address for each platform, `{version}` filled in.
    pub urls: BTreeMap<Platform, String>,
    /// Digests that are known already.
    pub sha256: BTreeMap<Platform, Digest>,
    /// What kind of file it is.
    pub format: BinaryFormat,
    /// What is placed.
    pub members: Vec<Member>,
}

/// One program for one platform, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBinary {
    /// Name of the component.
    pub name: String,
    /// Version, for people.
    pub version: String,
    /// The address, as the manifest has it.
    pub url: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What kind of file it is.
    #[serde(default)]
    pub format: BinaryFormat,
}

/// Members of an archive that are named where another was asked for.
const MEMBERS_SHOWN: usize = 8;

/// Why a program cannot be locked or placed.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// No address for a platform.
    #[error("the binary `{name}` has no address for {platform}")]
    NoUrl {
        /// The component.
        name: String,
        /// The platform.
        platform: Platform,
    },
    /// Credentials in an address.
    #[error(
        "the address of the binary `{name}` holds a user name or password, which would be written to the lock"
    )]
    Credentials {
        /// The component.
        name: String,
    },
    /// The file could not be fetched.
    #[error("failed to fetch the binary `{name}` for {platform}")]
    Http {
        /// The component.
        name: String,
        /// The platform.
        platform: Platform,
        /// Why.
        source: Box<HttpError>,
    },
    /// A member does not exist.
    #[error("the archive of the binary `{name}` has no `{from}`")]
    NoMember {
        /// The component.
        name: String,
        /// The member asked for.
        from: String,
        /// What it has that is most like it.
        near: Vec<String>,
    },
    /// A file of an image layer would mean something else.
    #[error(
        "`{path}` of the binary `{name}` is refused: names that begin with `.wh.` delete files in image layers"
    )]
    Whiteout {
        /// The component.
        name: String,
        /// The path in the image.
        path: ImagePath,
    },
    /// One name for a directory that has something in it, and for something else; tar cannot unpack that either.
    #[error("`{path}` of the binary `{name}` is a directory and something else")]
    Both {
        /// The component.
        name: String,
        /// The path in the archive.
        path: ImagePath,
    },
    /// A path is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Two members at one path.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
}

impl Diagnose for BinaryError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Http { source, .. } => Diagnosis::Inner(&**source),
            Self::Whiteout { .. } | Self::Both { .. } => Diagnosis::Own(Kind::Integrity),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoUrl { platform, .. } => Some(format!("add it: `url.\"{platform}\" = \"https://…\"`")),
            Self::Credentials { .. } => Some("leave them out, and use an address that needs none".into()),
            Self::NoMember { near, .. } => Some(match near.as_slice() {
                [] => "it has no file at all: check the address".into(),
                [one] => format!("did you mean `{one}`?"),
                some => format!("name in `members` what it has, such as `{}`", some.join("`, `")),
            }),
            _ => None,
        }
    }
}

/// Locks a program for one platform, downloading it into the store. What the previous lock knows is kept while address and
/// version are the same, without asking the network.
pub fn lock(
    client: &Client,
    store: &Store,
    request: &BinaryRequest,
    platform: Platform,
    previous: Option<&LockedBinary>,
    reporter: &dyn Reporter,
) -> Result<LockedBinary, BinaryError> {
    let no_url = || BinaryError::NoUrl { name: request.name.clone(), platform };
    let url = request.urls.get(&platform).ok_or_else(no_url)?;
    let failed = |source: HttpError| BinaryError::Http {
        name: request.name.clone(),
        platform,
        source: Box::new(source),
    };
    let source = SafeUrl::parse(url).map(Source::of_project).map_err(|error| failed(error.into()))?;
    if source.url.auth() != pinfold_base::http::Auth::None {
        return Err(BinaryError::Credentials { name: request.name.clone() });
    }
    let wanted = request.sha256.get(&platform);
    if let Some(previous) = previous
        && previous.url == *url
        && previous.version == request.version
        && wanted.is_none_or(|wanted| *wanted == previous.sha256)
    {
        return Ok(LockedBinary { format: request.format, ..previous.clone() });
    }
    let (sha256, size) = match wanted {
        Some(digest) => {
            let expected = Expected { digest: digest.clone(), size: None };
            client.download([source], &expected, &request.name, store, reporter).map_err(failed)?;
            let size = store
                .read(digest)
                .and_then(|file| Ok(file.metadata()?.len()))
                .map_err(|error| failed(error.into()))?;
            (digest.clone(), size)
        }
        None => client
            .download_unknown(&source, &request.name, store, MAX_DOWNLOAD, Algorithm::Sha256, reporter)
            .map_err(failed)?,
    };
    Ok(LockedBinary {
        name: request.name.clone(),
        version: request.version.clone(),
        url: url.clone(),
        sha256,
        size,
        format: request.format,
    })
}

impl LockedBinary {
    /// Where it can be fetched.
    pub fn source(&self) -> Result<Source, BinaryError> {
        SafeUrl::parse(&self.url)
            .map(Source::of_project)
            .map_err(|error| BinaryError::Credentials { name: format!("{}: {error}", self.name) })
    }

    /// How it is to be decoded.
    pub fn decode_as(&self) -> Format {
        self.format.decode(&self.url)
    }
}

/// Places members of a decoded archive. Everything belongs to root and has the time `mtime`; directories are 0755, files
/// are at least readable by all.
pub fn place(
    name: &str,
    listing: &Listing,
    members: &[Member],
    owner: &Component,
    mtime: u64,
) -> Result<Tree, BinaryError> {
    let mut tree = Tree::new();
    let below = |path: &ImagePath| members.iter().any(|member| path.starts_with(&member.from));
    let both = |lost: &&Shadowed| lost.loss == Loss::Directory && below(&lost.path);
    if let Some(lost) = listing.shadowed.iter().find(both) {
        return Err(BinaryError::Both { name: name.to_owned(), path: lost.path.clone() });
    }
    for member in members {
        let mut any = false;
        for entry in &listing.data {
            let Some(rest) = entry.path.strip_prefix(&member.from) else { continue };
            let whole = rest.is_empty();
            let path = if whole { member.to.clone() } else { member.to.join(rest)? };
            if path.components().any(|part| part.starts_with(b".wh.")) {
                return Err(BinaryError::Whiteout { name: name.to_owned(), path });
            }
            any = true;
            let node = match &entry.kind {
                MemberKind::Directory => {
                    Node::directory(owner, Metadata::root(0o755 | (entry.meta.mode & SET_ID), mtime))
                }
                MemberKind::File { content } => {
                    let mut meta = packed(&entry.meta, mtime);
                    // The download itself is the program.
                    if entry.path.is_root() {
                        meta.mode = 0o755;
                    }
                    meta.mode = member.mode.filter(|_| whole).unwrap_or(meta.mode);
                    Node::file(owner, meta, content.clone())
                }
                MemberKind::Symlink(target) => Node::symlink(owner, mtime, target),
                MemberKind::Hardlink(target) => match (whole, target.strip_prefix(&member.from)) {
                    // Both names are placed: they stay one file.
                    (false, Some(rest)) if !rest.is_empty() => Node {
                        kind: NodeKind::Hardlink(member.to.join(rest)?),
                        meta: packed(&entry.meta, mtime),
                        owner: owner.clone(),
                    },
                    // Only this one is: it becomes the file.
                    _ => {
                        let Some(content) = content_of(listing, target) else {
                            let from = target.to_string();
                            let near = near(listing, &from);
                            return Err(BinaryError::NoMember { name: name.to_owned(), from, near });
                        };
                        Node::file(owner, packed(&entry.meta, mtime), content.clone())
                    }
                },
            };
            tree.add(path, node)?;
        }
        if !any {
            let from = member.from.to_string();
            let near = near(listing, &from);
            return Err(BinaryError::NoMember { name: name.to_owned(), from, near });
        }
    }
    Ok(tree)
}

/// What of a file's metadata is taken over: its permissions, set-id bits and capabilities included, which the policy decides
/// about.
fn packed(meta: &Metadata, mtime: u64) -> Metadata {
    let mut taken = Metadata::root((meta.mode & (0o755 | SET_ID)) | 0o644, mtime);
    let capability = meta.xattrs.get_key_value(CAPABILITY);
    taken.xattrs.extend(capability.map(|(name, value)| (name.clone(), value.clone())));
    taken
}

/// The member that is most likely meant: by its spelling, or by the last part of its path; else some that there are.
fn near(listing: &Listing, from: &str) -> Vec<String> {
    let files = listing.data.iter().filter(|entry| !matches!(entry.kind, MemberKind::Directory));
    let names: Vec<String> =
        files.map(|entry| entry.path.to_string().trim_start_matches('/').to_owned()).collect();
    let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
    let same = names.iter().filter(|name| last(name) == last(from)).cloned().collect::<Vec<_>>();
    let from = from.trim_start_matches('/');
    if let Some(near) = nearest(from, names.iter().map(String::as_str)) {
        return vec![near.to_owned()];
    }
    if same.len() == 1 {
        return same;
    }
    let shown = if same.is_empty() { names } else { same };
    shown.into_iter().take(MEMBERS_SHOWN).collect()
}

fn content_of<'a>(listing: &'a Listing, path: &ImagePath) -> Option<&'a Content> {
    listing.data.iter().find(|entry| entry.path == *path).and_then(|entry| match &entry.kind {
        MemberKind::File { content } => Some(content),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
