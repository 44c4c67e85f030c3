//! Where findings go, and how their places are written.

use std::fmt;

use super::object::Object;
use super::text::meant;
use super::text::short;
use super::types::Document;
use super::types::Finding;
use super::types::Report;
use super::types::Seeker;

/// Most findings that are kept.
const KEPT: usize = 10_000;
/// How often a name is looked for that was meant.
const GUESSES: usize = 1000;
/// What stands in the place of a text that a secret is in.
const HIDDEN: &str = "not told, because a secret is in it";

/// A way into an object, which costs nothing as long as nobody asks for its text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Root,
    Name(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn name(&'a self, name: &'a str) -> Self {
        Self::Name(self, name)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Index(above, index) => write!(f, "{above}[{index}]"),
            Self::Name(above, name) => {
                let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
                match (above, !name.is_empty() && name.chars().all(plain)) {
                    (Self::Root, true) => f.write_str(name),
                    (above, true) => write!(f, "{above}.{name}"),
                    (above, false) => write!(f, "{above}[\"{}\"]", short(name)),
                }
            }
        }
    }
}

/// Collects findings.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    documents: &'a [Document],
    seeker: Seeker,
    findings: Vec<(usize, Finding)>,
    more: usize,
    guesses: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(documents: &'a [Document], seeker: Seeker) -> Self {
        Self { documents, seeker, findings: Vec::new(), more: 0, guesses: GUESSES }
    }

    /// Something is wrong with an object.
    pub(super) fn put(
        &mut self,
        object: &Object,
        path: &Path<'_>,
        line: u32,
        rule: &str,
        message: impl Into<String>,
    ) {
        if self.is_full() {
            return;
        }
        let (title, path) = (object.title(), path.to_string());
        self.keep(object.file, line, title, path, rule, message.into());
    }

    /// The known name that a name was probably meant to be. It takes longer than judging, so it is looked for only so often.
    pub(super) fn meant<'n>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Option<&'n str> {
        self.guesses = self.guesses.checked_sub(1)?;
        meant(name, known)
    }

    /// Something is wrong with a file.
    pub(super) fn file(&mut self, file: usize, line: u32, rule: &str, message: String) {
        self.keep(file, line, String::new(), String::new(), rule, message);
    }

    /// Something is wrong with a file that is none of those that are judged; told behind them.
    pub(super) fn beside(&mut self, file: &str, line: u32, object: String, rule: &str, message: String) {
        let (path, rule) = (String::new(), rule.to_owned());
        self.push(usize::MAX, Finding { file: file.to_owned(), line, object, path, rule, message });
    }

    fn keep(&mut self, file: usize, line: u32, object: String, path: String, rule: &str, message: String) {
        let name = self.documents.get(file).map_or_else(String::new, |document| document.file.clone());
        self.push(file, Finding { file: name, line, object, path, rule: rule.to_owned(), message });
    }

    /// Whether one more is not kept but counted.
    fn is_full(&mut self) -> bool {
        let full = self.findings.len() >= KEPT;
        self.more += usize::from(full);
        full
    }

    fn push(&mut self, file: usize, mut finding: Finding) {
        if self.is_full() {
            return;
        }
        // Messages and paths repeat names and values, and any of them may be what must not be told.
        for text in [&mut finding.object, &mut finding.path, &mut finding.message] {
            if (self.seeker)("", text.as_bytes()).is_some() {
                *text = format!("({HIDDEN})");
            }
        }
        self.findings.push((file, finding));
    }

    /// All of them in order, each once.
    pub(super) fn report(mut self, objects: usize) -> Report {
        self.findings.sort_by(|(one_file, one), (other_file, other)| {
            (one_file, one.line, &one.path, &one.rule, &one.message, &one.object).cmp(&(
                other_file,
                other.line,
                &other.path,
                &other.rule,
                &other.message,
                &other.object,
            ))
        });
        self.findings.dedup();
        let findings = self.findings.into_iter().map(|(_, finding)| finding).collect();
        Report { findings, more: self.more, objects }
    }
}
