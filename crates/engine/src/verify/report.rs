//! What came of checking an image: one outcome for each check and platform, with what was seen.

use std::fmt;

use pinfold_base::Digest;
use pinfold_base::Platform;
use serde::Deserialize;
use serde::Serialize;

use super::checks::Check;

/// Findings that are kept of one check: a hostile image shall not fill the memory with complaints about it.
pub const FINDINGS_MAX: usize = 50;

/// What the reason of a check says that could not look, since not all of what it looks at could be read: nothing is proved then.
pub const NOT_READ: &str = "not all of the image could be read";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was looked at, and holds.
    Passed,
    /// It was looked at, and does not hold.
    Failed,
    /// It was not looked at; the evidence says why. Never an answer to what was asked for by name.
    NotRun,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::NotRun => "not run",
        })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The path in the image, the key of the configuration, or the layer.
    pub at: String,
    /// What is wrong with it, and with what it was compared.
    pub problem: String,
}

/// What is wrong, as it is found: the first [`FINDINGS_MAX`] are told, the rest are counted and never put into words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    more: usize,
}

impl Findings {
    /// One more.
    pub fn add(&mut self, finding: impl FnOnce() -> Finding) {
        if self.kept.len() < FINDINGS_MAX {
            self.kept.push(finding());
        } else {
            self.more += 1;
        }
    }

    /// One that stands before all others: what was not looked at.
    pub fn first(&mut self, finding: Finding) {
        self.kept.insert(0, finding);
        if self.kept.len() > FINDINGS_MAX {
            self.kept.pop();
            self.more += 1;
        }
    }
}

/// What came of one check on one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which check: its id in [`super::checks::CHECKS`], or `test: NAME` for one of the user's own.
    pub check: String,
    /// The platform; `None` where it is about the whole image.
    pub platform: Option<Platform>,
    /// How it ended.
    pub verdict: Verdict,
    /// What was looked at, and what was seen: `312 ELF files, 61 libraries`.
    pub evidence: String,
    /// What is wrong, the first [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: usize,
    /// What was measured, in bytes, where a check measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Outcome {
    /// Of a check that looked: it holds where nothing was found.
    pub fn looked(
        check: Check,
        evidence: impl Into<String>,
        found: impl IntoIterator<Item = Finding>,
    ) -> Self {
        let mut found = found.into_iter();
        let findings: Vec<Finding> = found.by_ref().take(FINDINGS_MAX).collect();
        Self {
            check: check.id.into(),
            platform: None,
            verdict: if findings.is_empty() { Verdict::Passed } else { Verdict::Failed },
            evidence: evidence.into(),
            findings,
            more: found.count(),
            bytes: None,
        }
    }

    /// The same of what was found one by one.
    pub fn found(check: Check, evidence: impl Into<String>, found: Findings) -> Self {
        let Findings { kept, more } = found;
        Self { more, ..Self::looked(check, evidence, kept) }
    }

    /// Whether it could not look since not all of the image could be read; the row of a set, where none of its checks could.
    pub fn is_unread(&self) -> bool {
        self.verdict == Verdict::NotRun && self.evidence.contains(NOT_READ)
    }

    /// Of a check that could not look.
    pub fn not_run(check: Check, reason: impl Into<String>) -> Self {
        Self {
            check: check.id.into(),
            platform: None,
            verdict: Verdict::NotRun,
            evidence: reason.into(),
            findings: Vec::new(),
            more: 0,
            bytes: None,
        }
    }

    /// The same of one platform.
    #[must_use]
    pub fn on(self, platform: Platform) -> Self {
        Self { platform: Some(platform), ..self }
    }
}

/// Everything that was checked of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What it was asked for as.
    pub image: String,
    /// Digest of its index or manifest.
    pub digest: Digest,
    /// The outcomes, in the order of [`super::checks::CHECKS`], each on all platforms.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Whether a check failed, or could not look since not all of the image could be read.
    pub fn failed(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed || outcome.is_unread())
    }
}
