//! Closures: roots, and all that they refer to.
//!
//! A closure is walked level by level, so that what a level names is asked for at once. Cycles are legal: paths refer to themselves
//! as a rule, and outputs of one derivation to each other.
//!
//! **Guarantees**: every path of a [`Closure`] is a [`Verified`] one, and so is everything it refers to.
//! **Refuses**: paths that nobody has, or of which nobody says what can be trusted (with the chain that leads there); more paths
//! or bytes than [`Limits`] allow.

use std::collections::BTreeMap;

use super::NixError;
use super::narinfo::Verified;
use super::store_path::StorePath;

/// How much a closure may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Store paths.
    pub paths: usize,
    /// Bytes of all NARs.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { paths: 20_000, bytes: 256 << 30 }
    }
}

/// What an origin says to a path.
#[derive(Debug)]
pub enum Answer {
    /// It has it.
    Has(Box<Verified>),
    /// It does not have it.
    HasNot,
    /// It could not be asked, or what it says cannot be trusted.
    Refused(NixError),
}

/// Who knows store paths: binary caches, a local store.
pub trait Origin: Sync {
    /// What people call it.
    fn names(&self) -> Vec<String>;

    /// Asks for paths; an answer for each, in their order.
    fn ask(&self, paths: &[StorePath]) -> Vec<Answer>;
}

/// Several of them, asked in order.
impl Origin for Vec<&dyn Origin> {
    fn names(&self) -> Vec<String> {
        self.iter().flat_map(|origin| origin.names()).collect()
    }

    fn ask(&self, paths: &[StorePath]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = paths.iter().map(|_| Answer::HasNot).collect();
        for origin in self {
            let open: Vec<usize> =
                (0..paths.len()).filter(|&at| !matches!(answers[at], Answer::Has(_))).collect();
            if open.is_empty() {
                break;
            }
            let asked: Vec<StorePath> = open.iter().map(|&at| paths[at].clone()).collect();
            for (at, answer) in open.into_iter().zip(origin.ask(&asked)) {
                // What was refused first is told, unless somebody has it.
                match (&answers[at], &answer) {
                    (Answer::HasNot, _) | (_, Answer::Has(_)) => answers[at] = answer,
                    _ => {}
                }
            }
        }
        answers
    }
}

/// Roots and all that they refer to.
#[derive(Debug, Default)]
pub struct Closure {
    paths: BTreeMap<StorePath, Verified>,
}

impl Closure {
    /// Asks for the closure of `roots`.
    pub fn of(roots: &[StorePath], origin: &dyn Origin, limits: &Limits) -> Result<Self, NixError> {
        let mut paths: BTreeMap<StorePath, Verified> = BTreeMap::new();
        // By whom a path was named first.
        let mut by: BTreeMap<StorePath, Option<StorePath>> = BTreeMap::new();
        let mut level: Vec<StorePath> = Vec::new();
        for root in roots {
            if by.insert(root.clone(), None).is_none() {
                level.push(root.clone());
            }
        }
        let mut bytes = 0_u64;
        while !level.is_empty() {
            level.sort();
            if by.len() > limits.paths {
                let limit = format!("{} store paths", limits.paths);
                return Err(NixError::TooMuch { limit, chain: chain(&level[0], &by) });
            }
            let mut next = Vec::new();
            for (path, answer) in level.iter().zip(origin.ask(&level)) {
                let verified = match answer {
                    Answer::Has(verified) => *verified,
                    Answer::HasNot => {
                        return Err(NixError::Missing {
                            path: path.clone(),
                            chain: chain(path, &by),
                            asked: origin.names(),
                        });
                    }
                    Answer::Refused(source) => {
                        return Err(NixError::Path {
                            path: path.clone(),
                            chain: chain(path, &by),
                            source: Box::new(source),
                        });
                    }
                };
                bytes = bytes.saturating_add(verified.info().nar_size);
                if bytes > limits.bytes {
                    let limit = format!("{} bytes", limits.bytes);
                    return Err(NixError::TooMuch { limit, chain: chain(path, &by) });
                }
                for reference in &verified.info().references {
                    if !by.contains_key(reference) {
                        by.insert(reference.clone(), Some(path.clone()));
                        next.push(reference.clone());
                    }
                }
                paths.insert(path.clone(), verified);
            }
            level = next;
        }
        Ok(Self { paths })
    }

    /// Its paths.
    pub fn paths(&self) -> &BTreeMap<StorePath, Verified> {
        &self.paths
    }

    /// Bytes of all its NARs.
    pub fn bytes(&self) -> u64 {
        self.paths.values().fold(0, |sum, path| sum.saturating_add(path.info().nar_size))
    }
}

/// Who led to a path, a root first; without the path itself.
fn chain(path: &StorePath, by: &BTreeMap<StorePath, Option<StorePath>>) -> Vec<StorePath> {
    let mut chain = Vec::new();
    let mut at = path;
    while let Some(Some(referrer)) = by.get(at) {
        chain.push(referrer.clone());
        at = referrer;
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests;
