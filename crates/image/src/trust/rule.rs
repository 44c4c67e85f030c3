//! The user's rules, and which of them is meant for an image.
//!
//! ```text
//!   registry.example/team/tool     this repository
//!   registry.example/team/*        every repository below it
//!   registry.example/*             every repository of this registry
//!   *                              everything
//! ```
//!
//! Of several that fit the longest counts, so that a narrower rule can name another key. A rule without predicates demands the
//! bare signature.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use pinfold_base::authority::Authority;
use pinfold_base::authority::Grammar;
use pinfold_base::authority::Host;

use super::TrustError;
use crate::Reference;
use crate::sign::PublicKey;
use crate::sign::SIGNATURE;

/// Which images a rule is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// A repository, or what stands before the `*`; its host as [`canonical`] has it.
    text: String,
    /// Whether everything that begins so is meant.
    below: bool,
}

impl Pattern {
    /// Whether an image of that canonical name is meant.
    fn fits(&self, name: &str) -> bool {
        if self.below { name.starts_with(&self.text) } else { name == self.text }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.below { "*" } else { "" })
    }
}

impl FromStr for Pattern {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let wrong = |reason| TrustError::Pattern { text: text.chars().take(300).collect(), reason };
        let (stem, below) = match text.strip_suffix('*') {
            Some("") => return Ok(Self { text: String::new(), below: true }),
            Some(stem) => (
                stem.strip_suffix('/')
                    .ok_or_else(|| wrong("`*` stands for whole parts of a name: after a `/`"))?,
                true,
            ),
            None => (text, false),
        };
        // A registry alone is no name; with something behind it, it is judged as one.
        let whole = if below { format!("{stem}/x") } else { stem.to_owned() };
        let reference: Reference = whole.parse().map_err(|_| wrong("it is no name of a repository"))?;
        if reference.name() != whole {
            return Err(wrong("tags and digests are not part of it"));
        }
        if reference.registry().is_none() {
            return Err(wrong("it names no registry"));
        }
        let mut text = canonical(&whole);
        if below {
            text.pop();
        }
        Ok(Self { text, below })
    }
}

/// A name as registries understand it: hosts know no case, addresses have several spellings, and the usual port need not be
/// written. Both usual ports are dropped: that a rule fits a name too many refuses an image, a name too few lets one in.
fn canonical(name: &str) -> String {
    let Some((host, path)) = name.split_once('/') else { return name.to_owned() };
    // What is no host is asked by no client either.
    let Ok(Authority { host, port }) = Authority::read(host.as_bytes(), Grammar::Uri) else {
        return format!("{}/{path}", host.to_ascii_lowercase());
    };
    // This machine by its name and by its usual address is one machine.
    let host = match host {
        Host::Name(name) if &*name == "localhost" => Host::Address(Ipv4Addr::LOCALHOST.into()),
        host => host,
    };
    match port {
        None | Some(80 | 443) => format!("{host}/{path}"),
        Some(port) => format!("{host}:{port}/{path}"),
    }
}

/// What must be proved of some images.
#[derive(Clone, Debug)]
pub struct Rule {
    images: Pattern,
    keys: Vec<PublicKey>,
    require: BTreeSet<String>,
}

impl Rule {
    /// A rule: which images, whose signatures count, and for which predicates; without any, for the bare signature.
    pub fn new(
        images: Pattern,
        keys: Vec<PublicKey>,
        mut require: BTreeSet<String>,
    ) -> Result<Self, TrustError> {
        if keys.is_empty() {
            return Err(TrustError::NoKey { images: images.to_string() });
        }
        if require.is_empty() {
            require.insert(SIGNATURE.to_owned());
        }
        Ok(Self { images, keys, require })
    }

    /// Which images it is for.
    pub fn images(&self) -> &Pattern {
        &self.images
    }

    /// Whose signatures count.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// What must be said, in order.
    pub fn require(&self) -> impl Iterator<Item = &str> {
        self.require.iter().map(String::as_str)
    }
}

/// All rules of a user. None at all lets everything in whose digests are right.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Rules for different images.
    pub fn new(mut rules: Vec<Rule>) -> Result<Self, TrustError> {
        rules.sort_by(|a, b| a.images.cmp(&b.images));
        match rules.windows(2).find(|pair| pair[0].images == pair[1].images) {
            Some(pair) => Err(TrustError::Twice { images: pair[0].images.to_string() }),
            None => Ok(Self(rules)),
        }
    }

    /// The rule for an image, by its repository with its registry. What has no name is meant by a rule for everything alone.
    pub fn of(&self, name: Option<&Reference>) -> Option<&Rule> {
        let name = name.map(|name| canonical(name.name())).unwrap_or_default();
        let fitting = self.0.iter().filter(|rule| rule.images.fits(&name));
        // A repository is longer than the text before its own `*`: `team/tool` counts before `team/*`.
        fitting.max_by_key(|rule| rule.images.text.len())
    }
}
