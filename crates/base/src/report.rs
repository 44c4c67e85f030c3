//! Progress as events. Libraries call a [`Reporter`], through a [`Running`] item; only the command line draws bars or prints lines.
//!
//! **Guarantees**: an item that was begun is ended, however the work on it ends, and what its parts do counts for it too.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// What the pipeline is busy with, for a heading or a bar's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Asking archives and registries what exists.
    Resolve,
    /// Building a program of the user's own, by tools of this machine.
    Build,
    /// Downloading and verifying.
    Fetch,
    /// Decoding archives and placing their files.
    Place,
    /// Writing layers.
    Compose,
    /// Reading an image back.
    Verify,
    /// Looking at what is in an image.
    Read,
    /// Seeing what an image does in a sandbox.
    Try,
    /// Unpacking an image.
    Unpack,
    /// Sending to a registry.
    Send,
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
    /// An item began that is a part of a running one. What it does is told of both, so it need not be shown.
    fn part(&self, _stage: Stage, _id: &str, _total: Option<u64>) {}
    /// A running item has `bytes` more than was said when it began.
    fn grow(&self, _id: &str, _bytes: u64) {}
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

/// An item that is running until this is dropped.
pub struct Running<'a> {
    reporter: &'a dyn Reporter,
    stage: Stage,
    id: String,
}

impl std::fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("stage", &self.stage).field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'a> Running<'a> {
    /// Begins an item.
    pub fn begin(
        reporter: &'a dyn Reporter,
        stage: Stage,
        id: impl Into<String>,
        total: Option<u64>,
    ) -> Self {
        let id = id.into();
        reporter.begin(stage, &id, total);
        Self { reporter, stage, id }
    }

    /// `bytes` more are done.
    pub fn advance(&self, bytes: u64) {
        self.reporter.advance(&self.id, bytes);
    }

    /// A part of this item, whose size is in its total where it is known.
    pub fn part(&self, size: Option<u64>) -> Part<'_> {
        Part { whole: self, size, done: AtomicU64::new(0) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.reporter.end(&self.id);
    }
}

/// A reporter for the work on one part of an item.
#[derive(Debug)]
pub struct Part<'a> {
    whole: &'a Running<'a>,
    size: Option<u64>,
    done: AtomicU64,
}

impl Part<'_> {
    /// `bytes` more of it are done; it is told of the whole alone.
    pub fn count(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.whole.advance(bytes);
    }

    /// The part is there, whoever brought it: what is not done by now counts as done.
    pub fn done(self) {
        let left = self.size.unwrap_or_default().saturating_sub(self.done.into_inner());
        if left > 0 {
            self.whole.advance(left);
        }
    }
}

impl Reporter for Part<'_> {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.whole.reporter.part(stage, id, total);
    }

    fn part(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.whole.reporter.part(stage, id, total);
    }

    fn grow(&self, id: &str, bytes: u64) {
        self.whole.reporter.grow(id, bytes);
        if self.size.is_none() {
            self.whole.reporter.grow(&self.whole.id, bytes);
        }
    }

    fn advance(&self, id: &str, bytes: u64) {
        self.whole.reporter.advance(id, bytes);
        self.count(bytes);
    }

    fn end(&self, id: &str) {
        self.whole.reporter.end(id);
    }

    fn note(&self, text: &str) {
        self.whole.reporter.note(text);
    }

    fn warn(&self, text: &str) {
        self.whole.reporter.warn(text);
    }
}
