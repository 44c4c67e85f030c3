//! Where the readers of the field disagree, what a caller takes, and how much of it.
//!
//! A package is read once, by its maker's tar and by us, and its digest is pinned; old writers are met. A layer is read again by
//! every runtime that gets the image, so what two of them would see differently is refused there, and what all of them take
//! is taken. The three differences:
//!
//! | | [`Strictness::PACKAGE`] | [`Strictness::LAYER`] | in the field |
//! |---|---|---|---|
//! | [`TrailingSlash`]: type `0` and a name that ends with `/` | a directory | refused | GNU tar and node-tar see a directory, Go's archive/tar (containerd, podman, umoci) a file |
//! | [`End`]: a stream that ends between two entries, or after one block of zeros | refused | the end | GNU tar and Go take both; layers without an end marker exist, and the diff_id says whether something is missing |
//! | [`GlobalRecords`]: owners and times in a `g` header | applied | refused | GNU tar applies them, Docker and containerd skip the header; `git archive` writes only a comment, which both take |
//!
//! Everything else is the same for both: what no writer in use produces is refused even where some reader would take it. Of PAX
//! records these are an empty `uid`, `gid` or `mtime` (POSIX lets it take a record back; GNU tar calls it malformed), a `size` that
//! contradicts the header's or stands before something that has no content, records beside GNU long names that do not say the
//! same, and attributes beyond what a Linux file system holds; besides them, type `7` with a trailing slash (see [`super::read`]).

/// What a caller takes of what readers disagree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictness {
    /// A regular file whose name ends with a slash.
    pub trailing_slash: TrailingSlash,
    /// What ends an archive.
    pub end: End,
    /// What a `g` header may say.
    pub global: GlobalRecords,
}

impl Strictness {
    /// A package that becomes part of an image.
    pub const PACKAGE: Self =
        Self { trailing_slash: TrailingSlash::Directory, end: End::Marked, global: GlobalRecords::Applied };
    /// A layer, or an archive of images, that somebody else made.
    pub const LAYER: Self =
        Self { trailing_slash: TrailingSlash::Refused, end: End::Anywhere, global: GlobalRecords::Inert };
}

/// What an entry of type `0` is whose name ends with a slash. (Of type NUL it is a directory: before ustar there was no other sign
/// of one, and all readers know that.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// A directory.
    Directory,
    /// Nothing that is taken.
    Refused,
}

/// What ends an archive. Whatever it is, only zeros may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Two blocks of zeros, as POSIX has it.
    Marked,
    /// These, a single one, or the end of the stream between two entries.
    Anywhere,
}

/// What a `g` header may say. Names, sizes and attributes of all later entries it may never give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalRecords {
    /// Owners and times too, which count for all later entries that do not say otherwise.
    Applied,
    /// Only what changes no numbers: comments, names of owners.
    Inert,
}

/// How much a caller takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries, `g` headers counted.
    pub entries: u64,
    /// Most bytes in a name or link target.
    pub name: usize,
    /// Most bytes of PAX records before one entry, and of global ones together.
    pub pax: usize,
    /// Most bytes of the whole stream.
    pub total: u64,
}

impl Default for Limits {
    /// 400,000 entries, names as long as Linux allows, 1 MiB of PAX records, 8 GiB.
    fn default() -> Self {
        Self { entries: 400_000, name: pinfold_base::image_path::MAX_PATH + 1, pax: 1 << 20, total: 8 << 30 }
    }
}
