//! Layers: from a tree to blobs, through a cache that is keyed by metadata alone.
//!
//! ```text
//! CACHE/layers/KEY.json      what a layer with this key came out as
//! CACHE/layers/blobs/HEX     its bytes, named by their digest; hard-linked into the image store
//! ```
//!
//! **Guarantees**: the key covers everything that decides the bytes (paths, modes, owners, times, attributes, where each
//! content comes from, encoder, `compat`), and is computed without reading any content. A record is only believed when it is
//! as it was written, and its blob too: of the right size, and hashed when it was written to since.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::Changeset;
use pinfold_archive::Content;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::encode;
use pinfold_archive::encode::Encoding;
use pinfold_archive::tar::write::pieces_of;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_base::store::Expected;
use pinfold_base::store::StoreError;
use pinfold_base::store::persist;
use pinfold_base::store::recall;
use pinfold_base::store::stamp;
use pinfold_base::store::stamp::Looked;
use serde::Deserialize;
use serde::Serialize;

use crate::context::Context;
use crate::project::lock::COMPAT;

/// Where records are, below the cache folder.
pub const RECORDS: &str = "layers";
/// Where blobs are, below the cache folder.
pub const BLOBS: &str = "layers/blobs";

/// A layer's blob, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Size of the uncompressed tar in bytes.
    pub uncompressed: u64,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Compressed bytes copied from publishers' archives.
    pub reused: u64,
}

/// What a layer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Its blob was in the cache.
    Cached,
    /// It was written now.
    Encoded,
}

/// Why a layer cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The cache failed.
    #[error("cannot use the layer cache")]
    Cache(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Encoding failed.
    #[error("cannot write layer `{name}`")]
    Encode {
        /// Name of the layer.
        name: String,
        /// What happened.
        #[source]
        source: encode::EncodeError,
    },
}

impl Diagnose for LayerError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Cache(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Encode { source, .. } => Diagnosis::Inner(source),
        }
    }
}

/// The key of a layer: a digest over everything that decides its bytes.
pub fn key(tree: &Tree, encoding: &Encoding) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut line = format!("compat {COMPAT} encoder {}\n", encoding.id());
    for (path, node) in tree.iter() {
        hasher.update(line.as_bytes());
        line.clear();
        let meta = &node.meta;
        // Paths and targets are length-prefixed: they may hold any byte.
        let _ = write!(line, "{}:", path.as_bytes().len());
        hasher.update(line.as_bytes());
        hasher.update(path.as_bytes());
        line.clear();
        let _ = write!(line, " {:o} {} {} {}", meta.mode, meta.uid, meta.gid, meta.mtime);
        for (name, value) in &meta.xattrs {
            let _ = write!(line, " x{}:{}", Digest::sha256(name), Digest::sha256(value));
        }
        match &node.kind {
            NodeKind::Directory => line.push_str(" dir\n"),
            NodeKind::File(Content::Inline(bytes)) => {
                let _ = writeln!(line, " file {} {}", bytes.len(), Digest::sha256(bytes));
            }
            NodeKind::File(Content::Range { archive, offset, size }) => {
                let _ = writeln!(line, " range {size} {archive}@{offset}");
            }
            NodeKind::Symlink(target) => {
                let _ = writeln!(line, " symlink {}", Digest::sha256(target));
            }
            NodeKind::Hardlink(target) => {
                let _ = writeln!(line, " link {}", Digest::sha256(target.as_bytes()));
            }
        }
    }
    hasher.update(line.as_bytes());
    hasher.finish()
}

fn record_path(context: &Context, key: &Digest) -> PathBuf {
    context.home.cache().join(RECORDS).join(format!("{}.json", key.hex()))
}

/// Where the blob of a composed layer is.
pub fn blob_path(context: &Context, digest: &Digest) -> PathBuf {
    context.home.cache().join(BLOBS).join(digest.hex())
}

/// Whether what earlier builds have written is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Yes.
    Believed,
    /// Everything is made anew (`build --force`).
    Passed,
}

/// How layers are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// How they are compressed.
    pub encoding: Encoding,
    /// Whether those of earlier builds are used.
    pub records: Records,
}

/// A layer: out of the cache, or written now.
pub fn layer(
    context: &Context,
    name: &str,
    layer: &Changeset,
    writing: &Writing,
) -> Result<(Written, Work), LayerError> {
    let Writing { encoding, records } = writing;
    // Whiteouts are nodes of it: a name that no file may have is in the key as any other.
    let tree = layer.tree();
    let key = key(tree, encoding);
    let record = record_path(context, &key);
    if *records == Records::Believed
        && let Some(layer) = recorded(context, &record)?
    {
        return Ok((layer, Work::Cached));
    }
    // What is read from archives; all else is small and in memory.
    let read = |node: &Node| match &node.kind {
        NodeKind::File(Content::Range { size, .. }) => *size,
        _ => 0,
    };
    let total: u64 = tree.iter().map(|(_, node)| read(node)).sum();
    let contents =
        Counted { context, running: Running::begin(&*context.reporter, Stage::Compose, name, Some(total)) };
    let mut temporary = context.store.temporary()?;
    let encoded = encode::encode(
        pieces_of(layer),
        &contents,
        &context.decoded,
        encoding,
        context.threads,
        std::io::BufWriter::with_capacity(1 << 20, temporary.as_file_mut()),
    )
    .map_err(|source| LayerError::Encode { name: name.to_owned(), source })?;
    let layer = Written {
        diff_id: encoded.diff_id,
        uncompressed: encoded.uncompressed,
        digest: encoded.digest,
        size: encoded.size,
        reused: encoded.reused,
    };
    let blob = blob_path(context, &layer.digest);
    persist(temporary, &blob)?;
    stamp::stamp(&blob)?;
    let text = serde_json::to_vec(&layer).map_err(std::io::Error::from)?;
    context.store.remember(&record, &text)?;
    Ok((layer, Work::Encoded))
}

/// The layer that an earlier build has made, if its blob is still what it was.
fn recorded(context: &Context, record: &Path) -> Result<Option<Written>, LayerError> {
    let written = recall(record).and_then(|bytes| serde_json::from_slice::<Written>(&bytes).ok());
    let Some(layer) = written else { return Ok(None) };
    let blob = blob_path(context, &layer.digest);
    let expected = Expected { digest: layer.digest.clone(), size: Some(layer.size) };
    let looked = stamp::look(&blob, &expected)?;
    if looked == Looked::Wrong {
        drop_damaged(context, &layer.digest)?;
    }
    if looked == Looked::Right {
        // It is in use: what keeps the cache within bounds goes by this.
        stamp::touch(&blob)?;
    }
    Ok((looked == Looked::Right).then_some(layer))
}

/// Removes a wrong blob, and says so.
pub(crate) fn drop_damaged(context: &Context, digest: &Digest) -> std::io::Result<()> {
    match fs::remove_file(blob_path(context, digest)) {
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        result => result?,
    }
    context.store.report_damage(format!("the composed layer {digest}"));
    Ok(())
}

/// Contents that tell the reporter how far a layer is.
struct Counted<'a> {
    context: &'a Context,
    running: Running<'a>,
}

impl pinfold_archive::Contents for Counted<'_> {
    fn open<'a>(&'a self, content: &'a Content) -> std::io::Result<Box<dyn std::io::Read + Send + 'a>> {
        self.running.advance(content.size());
        self.context.decoded.open(content)
    }
}

#[cfg(test)]
mod tests;
