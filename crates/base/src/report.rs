//! Progress as events. Libraries call a [`Reporter`]; only the command line draws bars or prints lines.

/// What the pipeline is busy with, for a heading or a bar's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Asking archives and registries what exists.
    Resolve,
    /// Downloading and verifying.
    Fetch,
    /// Decoding archives and placing their files.
    Place,
    /// Writing layers.
    Compose,
    /// Reading an image back.
    Verify,
    /// Unpacking an image.
    Unpack,
}

/// A version that a lock has now instead of another.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// `debian/curl`, `agent/claude-code`, `npm/typescript`.
    pub component: String,
    /// The version that was locked; `None` for a new one.
    pub from: Option<String>,
    /// The version that is now; `None` for one that left.
    pub to: Option<String>,
}

/// Receives progress. All methods may be called from several threads; an `id` names one running item.
pub trait Reporter: Send + Sync {
    /// An item began; `total` is its size in bytes where known.
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>);
    /// `bytes` more of an item are done.
    fn advance(&self, id: &str, bytes: u64);
    /// An item is finished.
    fn end(&self, id: &str);
    /// A lock was written anew, and has other versions.
    fn changes(&self, _: &[Change]) {}
    /// One line of information worth keeping on the screen.
    fn note(&self, text: &str);
    /// Something the user should know, though the work goes on.
    fn warn(&self, text: &str);
}

/// A reporter that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn begin(&self, _: Stage, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {}
    fn end(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
