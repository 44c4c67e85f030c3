//! What stands beside the bytes of files: names, targets of links and extended attributes; and files that have other names, under which
//! they are a login, or protect something.
//!
//! **Guarantees**: what is not noted for its number does not pass: it is a finding.

use std::collections::HashMap;

use pinfold_archive::tar::Entry;
use pinfold_archive::tar::EntryKind;
use pinfold_base::ImagePath;
use pinfold_image::survey::Renamed;
use pinfold_image::survey::Survey;
use pinfold_image::survey::What;

use super::Found;
use super::Scanner;
use super::Secret;
use super::logins;

/// Most names of each kind that are noted; an image with more is told to have more than was looked at.
const NOTED_MAX: usize = 100_000;

/// Names of files that were seen.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Further names of files, by layer, and whose they are.
    hard: Vec<(usize, ImagePath, ImagePath)>,
    /// Symbolic links that are named as logins are, in all layers.
    logins: Vec<ImagePath>,
    /// What was found in files and protects nothing where they lie.
    known: Vec<(usize, ImagePath, Secret)>,
    /// Names that were too many.
    left_out: usize,
}

/// Notes one more; where there are too many, that.
fn note<T>(noted: &mut Vec<T>, left_out: &mut usize, one: impl FnOnce() -> T) {
    if noted.len() < NOTED_MAX {
        noted.push(one());
    } else {
        *left_out += 1;
    }
}

impl Names {
    /// Looks at an entry of a layer, and notes its name.
    pub(super) fn entry(
        &mut self,
        scanner: &Scanner,
        (layer, path): (usize, &ImagePath),
        of: Option<&ImagePath>,
        entry: &Entry,
        found: &mut Found,
    ) {
        let mut look = |text: &[u8], place: &str| {
            if let Some(secret) = scanner.text(text).first() {
                found.tell(path, format!("{} in {place}, in layer {}", secret.what, layer + 1));
            }
        };
        look(path.as_bytes(), "its name");
        if let EntryKind::Symlink(target) = &entry.kind {
            look(target, "the path that it leads to");
            if logins::is_login(path) {
                note(&mut self.logins, &mut self.left_out, || path.clone());
            }
        }
        for (name, value) in &entry.meta.xattrs {
            look(value, "an extended attribute");
            look(name, "the name of an extended attribute");
        }
        if let Some(of) = of {
            note(&mut self.hard, &mut self.left_out, || (layer, path.clone(), of.clone()));
        }
    }

    /// Notes what is known to be no secret, where it lies.
    pub(super) fn known(&mut self, layer: usize, path: &ImagePath, secret: Secret) {
        note(&mut self.known, &mut self.left_out, || (layer, path.clone(), secret));
    }

    /// All layers have passed. What protects nothing where it lies is told of its other names; files that have the name of a login beside
    /// their first are wanted once more.
    pub(super) fn again(&mut self, survey: &Survey, found: &mut Found) -> Vec<Renamed> {
        let Self { hard, logins, known, left_out } = std::mem::take(self);
        if left_out > 0 {
            let problem =
                format!("{left_out} more further names of files than are looked at: those were not");
            found.tell(&ImagePath::default(), problem);
        }
        let leads = |path: &ImagePath| {
            survey.find(path.as_bytes()).ok().map(|(real, seen)| (seen.layer, real.clone()))
        };
        let by_name: HashMap<(usize, &ImagePath), &ImagePath> =
            hard.iter().map(|(layer, name, of)| ((*layer, name), of)).collect();
        // The entry that has the content: links to links are rare, and end.
        let first = |layer: usize, path: &ImagePath| {
            let mut path = path;
            for _ in 0..8 {
                match by_name.get(&(layer, path)) {
                    Some(of) => path = of,
                    None => break,
                }
            }
            path.clone()
        };
        let mut protected: HashMap<(usize, &ImagePath), Vec<Secret>> = HashMap::new();
        for (layer, path, secret) in &known {
            protected.entry((*layer, path)).or_default().push(*secret);
        }
        if !known.is_empty() {
            let links = survey.paths.iter().filter(|(_, seen)| matches!(seen.what, What::Link(_)));
            let links = links.filter_map(|(path, _)| leads(path).map(|(layer, real)| (path, layer, real)));
            let hard = hard.iter().map(|(layer, path, of)| (path, *layer, of.clone()));
            for (name, layer, of) in links.chain(hard) {
                let of = first(layer, &of);
                for secret in protected.get(&(layer, &of)).into_iter().flatten() {
                    found.put(&name.to_string(), layer, &[*secret]);
                }
            }
        }
        let soft = logins.iter().filter_map(|name| leads(name).map(|(layer, real)| (name, layer, real)));
        let named = hard.iter().filter(|(_, name, _)| logins::is_login(name));
        let all = soft.chain(named.map(|(layer, name, of)| (name, *layer, of.clone())));
        all.filter(|(.., of)| !logins::is_login(of))
            .map(|(name, layer, of)| Renamed {
                layer,
                path: first(layer, &of),
                name: name.clone(),
                bytes: logins::SIZE_MAX as u64 + 1,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_noted_does_not_pass() {
        let (mut noted, mut left_out) = (vec![(); NOTED_MAX - 1], 0);
        for expected in [0, 1] {
            note(&mut noted, &mut left_out, || ());
            assert_eq!((noted.len(), left_out), (NOTED_MAX, expected));
        }
        for (left_out, told) in [(0, false), (1, true)] {
            let mut found = Found::default();
            let mut names = Names { left_out, ..Names::default() };
            assert!(names.again(&Survey::default(), &mut found).is_empty());
            assert_eq!(!found.is_empty(), told);
        }
    }
}
