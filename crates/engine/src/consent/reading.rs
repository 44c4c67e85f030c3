//! One reading of what is asked for, and by whom: what is shown, what has a digest, and what is agreed to are this one value.
//!
//! Between a question and its answer an agent may exchange what was asked about. So the answer names what it is an answer to:
//! the digest over who asks and over everything that each ask means.
//!
//! **Guarantees**: what is kept is of this reading, and exactly what the named digest covers.
//! **Refuses**: an answer to anything else.

use pinfold_base::Digest;

use super::Ask;
use super::ConsentError;
use super::Subject;
use super::Told;
use super::Verbs;
use super::record;
use crate::context::Context;

/// What projects or an image ask for, read once.
#[derive(Debug)]
pub struct Reading {
    parts: Vec<Part>,
}

/// What one of them asks for.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Who asks.
    pub(crate) subject: Subject,
    /// For what, in a fixed order.
    pub(crate) asks: Vec<Ask>,
}

impl Part {
    /// The part of it that verbs other than `run` refuse for.
    fn of_build(&self) -> Self {
        let asks = self.asks.iter().filter(|ask| ask.verbs() == Verbs::Build).cloned().collect();
        Self { subject: self.subject.clone(), asks }
    }
}

/// Of who asks, and of everything that the asks mean.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = (&'a Subject, &'a [Ask])>) -> Digest {
    // Names and digests are hexadecimal, so that lines say it one way.
    let mut text = "asks 1\n".to_owned();
    for (subject, asks) in parts {
        text += &format!("who {}\n", subject.record());
        for ask in asks {
            text += &format!("ask {}\n", ask.digest());
        }
    }
    Digest::sha256(text.as_bytes())
}

fn digest_of(parts: &[Part]) -> Digest {
    digest(parts.iter().map(|part| (&part.subject, part.asks.as_slice())))
}

impl Reading {
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// The same, each with how the user stands to it: what is open comes first.
    pub fn told(&self, context: &Context) -> Vec<Told> {
        let mut all: Vec<Told> = Vec::new();
        for told in self.parts.iter().flat_map(|part| record::told(context, &part.subject, &part.asks)) {
            match all.iter_mut().find(|known| known.ask == told.ask) {
                // Another asks for the same, and was not agreed to.
                Some(known) if !told.agreed => *known = told,
                Some(_) => {}
                None => all.push(told),
            }
        }
        all.sort_by_key(|told| told.agreed);
        all
    }

    /// What an answer to all of it names.
    pub fn digest(&self) -> Digest {
        digest_of(&self.parts)
    }

    /// Whether anything of it was not agreed to before.
    pub fn is_open(&self, context: &Context) -> bool {
        self.told(context).iter().any(|told| !told.agreed)
    }

    /// Keeps the user's word on what has this digest: on all of it, or on what a refusal of one verb showed. Without a digest
    /// there must be nothing new. What was agreed to before and is no longer asked for is forgotten. Gives what was agreed to.
    pub fn accept(&self, context: &Context, word: Option<&Digest>) -> Result<Vec<Ask>, ConsentError> {
        let meant = if let Some(word) = word {
            self.meant(word)?
        } else {
            for Part { subject, asks } in &self.parts {
                record::check(context, subject.clone(), asks)?;
            }
            self.parts.clone()
        };
        for Part { subject, asks: shown } in &meant {
            // What this word does not cover stays as it was: agreed to, or not.
            let now = self.parts.iter().filter(|part| part.subject == *subject).flat_map(|part| &part.asks);
            let now: Vec<Ask> = now.cloned().collect();
            let now = record::told(context, subject, &now).into_iter();
            let kept = now.filter(|told| told.agreed || shown.contains(&told.ask)).map(|told| told.ask);
            let kept: Vec<Ask> = kept.collect();
            record::keep(context, subject, &kept)?;
        }
        Ok(each_once(&meant))
    }

    /// The parts that an answer is about.
    fn meant(&self, word: &Digest) -> Result<Vec<Part>, ConsentError> {
        let alone = self.parts.iter().flat_map(|part| [vec![part.clone()], vec![part.of_build()]]);
        let mut possible = std::iter::once(self.parts.clone()).chain(alone);
        possible.find(|parts| digest_of(parts) == *word).ok_or_else(|| ConsentError::Exchanged {
            word: word.clone(),
            subjects: self.parts.iter().map(|part| part.subject.clone()).collect(),
        })
    }
}

fn each_once(parts: &[Part]) -> Vec<Ask> {
    let mut all: Vec<Ask> = Vec::new();
    for ask in parts.iter().flat_map(|part| &part.asks) {
        if !all.contains(ask) {
            all.push(ask.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use pinfold_base::Home;

    use super::*;
    use crate::context::Network;

    fn part(name: &str, asks: &[Ask]) -> Part {
        Part { subject: Subject::image(name, None), asks: asks.to_vec() }
    }

    fn reach(host: &str) -> Ask {
        Ask::Reach(host.into())
    }

    #[test]
    fn whoever_asks_for_anything_else_has_another_digest() {
        let all = [
            vec![],
            vec![part("m", &[])],
            vec![part("n", &[])],
            vec![part("m", &[reach("a")])],
            vec![part("n", &[reach("a")])],
            vec![part("m", &[reach("b")])],
            vec![part("m", &[Ask::Mount("a".into())])],
            vec![part("m", &[reach("a"), reach("b")])],
            vec![part("m", &[reach("a")]), part("n", &[reach("b")])],
            vec![part("m", &[]), part("n", &[reach("a"), reach("b")])],
            vec![part("m", &[reach("a"), reach("b")]), part("n", &[])],
        ];
        let digests: std::collections::BTreeSet<String> =
            all.iter().map(|parts| digest_of(parts).to_string()).collect();
        assert_eq!(digests.len(), all.len());
    }

    #[test]
    fn what_is_open_for_one_who_asks_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::under(dir.path());
        let context = Context::at(home, Network::Offline, Box::new(pinfold_base::report::Silent)).unwrap();
        let (m, n) = (part("m", &[reach("a"), reach("b")]), part("n", &[reach("b")]));
        Reading::new(vec![m.clone()]).accept(&context, Some(&digest_of(std::slice::from_ref(&m)))).unwrap();
        let told = |parts: &[Part]| -> Vec<(String, bool)> {
            let reading = Reading::new(parts.to_vec());
            reading.told(&context).into_iter().map(|told| (told.to_string(), told.agreed)).collect()
        };
        let line = |host: &str, agreed| (format!("reach `{host}`"), agreed);
        assert_eq!(told(std::slice::from_ref(&m)), [line("a", true), line("b", true)]);
        for parts in [[m.clone(), n.clone()], [n, m]] {
            assert_eq!(told(&parts), [line("b", false), line("a", true)]);
        }
    }

    #[test]
    fn a_word_covers_what_its_digest_names_and_takes_nothing_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::under(dir.path());
        let context = Context::at(home, Network::Offline, Box::new(pinfold_base::report::Silent)).unwrap();
        let whole = part("m", &[Ask::Expired, reach("a")]);
        let build = Reading::new(vec![whole.of_build()]);
        let reading = Reading::new(vec![whole]);
        assert!(matches!(reading.accept(&context, None), Err(ConsentError::Open { .. })));
        let other = Reading::new(vec![part("m", &[Ask::Expired, reach("b")])]);
        let answer = reading.accept(&context, Some(&other.digest()));
        assert!(matches!(answer, Err(ConsentError::Exchanged { .. })));
        assert!(reading.is_open(&context));
        // What a build was refused for is agreed to alone.
        assert_eq!(reading.accept(&context, Some(&build.digest())).unwrap(), [Ask::Expired]);
        assert!(reading.is_open(&context) && !build.is_open(&context));
        reading.accept(&context, Some(&reading.digest())).unwrap();
        assert!(!reading.is_open(&context));
        reading.accept(&context, Some(&build.digest())).unwrap();
        assert!(!reading.is_open(&context), "the narrower word takes nothing back");
        reading.accept(&context, None).unwrap();
    }
}
