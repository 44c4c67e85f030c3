//! What is judged, by what, and what comes of it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Serialize;

/// A file of objects: YAML of one or more documents, or JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What findings call it.
    pub file: String,
    /// Its bytes, as they were found.
    pub text: Vec<u8>,
}

/// A minor version of Kubernetes: `1.34`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(u8);

impl Minor {
    /// The oldest version that schemas are known of.
    pub const OLDEST: Self = Self(34);
    /// The newest.
    pub const NEWEST: Self = Self(37);

    /// Its number behind the `1.`.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Of the number behind the `1.`; `None` for versions that nothing is known of.
    pub const fn new(number: u8) -> Option<Self> {
        if number < Self::OLDEST.0 || number > Self::NEWEST.0 { None } else { Some(Self(number)) }
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for Minor {
    type Err = String;

    /// `1.36`, `v1.36` or `1.36.2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.");
        let number = rest.and_then(|rest| rest.split('.').next()?.parse().ok());
        number.and_then(Self::new).ok_or_else(|| {
            format!("no schemas of Kubernetes `{text}`: known are {} to {}", Self::OLDEST, Self::NEWEST)
        })
    }
}

/// Whose nodes the objects are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nodes {
    /// Anybody's.
    #[default]
    Any,
    /// Those of GKE that run gVisor: the rules of the sandbox policy that name them are asked too.
    Gke,
}

/// Says what a text is that is a secret: `a token of GitHub`. Never what stands in it. The name is that of a variable or a file whose
/// value it is; empty where it has none.
pub type Seeker = fn(&str, &[u8]) -> Option<&'static str>;

/// By what objects are judged.
#[derive(Clone, Debug)]
pub struct Judging {
    /// The versions of Kubernetes that all have to take the objects.
    pub versions: RangeInclusive<Minor>,
    /// Whose nodes they are for.
    pub nodes: Nodes,
    /// Files with a ValidatingAdmissionPolicy or more, each of which is asked too.
    pub policies: Vec<Document>,
    /// Who knows secrets when it sees them.
    pub secrets: Seeker,
}

impl Judging {
    /// By all versions that are known, for anybody's nodes, without other policies.
    pub fn new(secrets: Seeker) -> Self {
        let versions = Minor::OLDEST..=Minor::NEWEST;
        Self { versions, nodes: Nodes::Any, policies: Vec::new(), secrets }
    }
}

/// One thing that is wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file it stands in.
    pub file: String,
    /// The line there, counted from 1; 0 where none can be named.
    pub line: u32,
    /// `Kind/namespace/name`, as far as the object has them; empty for a file that could not be read.
    pub object: String,
    /// Where in the object: `spec.containers[0].image`.
    pub path: String,
    /// The rule's name: `schema`, `pod-security/run-as-non-root`, `sandbox-policy/07`, `pinfold/digest`.
    pub rule: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// How many were not kept, because there are too many to read.
    pub more: usize,
    /// How many objects were judged.
    pub objects: usize,
}
