//! What stands beside the bytes of files: names, targets of links and extended attributes; and files that have other names, under which
//! they are a login, or protect something.

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

/// Most names that are noted: no image for use has more links that are named as logins are, or keys that protect nothing.
const NOTED_MAX: usize = 10_000;

/// Names of files that were seen.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Further names of files, by layer, and whose they are.
    hard: Vec<(usize, ImagePath, ImagePath)>,
    /// Symbolic links that are named as logins are, in all layers.
    logins: Vec<ImagePath>,
    /// What was found in files and protects nothing where they lie.
    known: Vec<(usize, ImagePath, Secret)>,
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
            if logins::is_login(path) && self.logins.len() < NOTED_MAX {
                self.logins.push(path.clone());
            }
        }
        for (name, value) in &entry.meta.xattrs {
            look(value, "an extended attribute");
            look(name, "the name of an extended attribute");
        }
        if let Some(of) = of.filter(|_| self.hard.len() < NOTED_MAX) {
            self.hard.push((layer, path.clone(), of.clone()));
        }
    }

    /// Notes what is known to be no secret, where it lies.
    pub(super) fn known(&mut self, layer: usize, path: &ImagePath, secret: Secret) {
        if self.known.len() < NOTED_MAX {
            self.known.push((layer, path.clone(), secret));
        }
    }

    /// All layers have passed. What protects nothing where it lies is told of its other names; files that have the name of a login beside
    /// their first are wanted once more.
    pub(super) fn again(&mut self, survey: &Survey, found: &mut Found) -> Vec<Renamed> {
        let Self { hard, logins, known } = std::mem::take(self);
        let leads = |path: &ImagePath| {
            let mut absolute = vec![b'/'];
            absolute.extend_from_slice(path.as_bytes());
            survey.find(&absolute).ok().map(|(real, seen)| (seen.layer, real))
        };
        // The entry that has the content: links to links are rare, and end.
        let first = |layer: usize, path: &ImagePath| {
            let mut path = path.clone();
            for _ in 0..8 {
                match hard.iter().find(|(of, name, _)| *of == layer && *name == path) {
                    Some((.., of)) => path = of.clone(),
                    None => break,
                }
            }
            path
        };
        if !known.is_empty() {
            let links = survey.paths.iter().filter(|(_, seen)| matches!(seen.what, What::Link(_)));
            let links = links.filter_map(|(path, _)| leads(path).map(|(layer, real)| (path, layer, real)));
            let hard = hard.iter().map(|(layer, path, of)| (path, *layer, of.clone()));
            for (name, layer, of) in links.chain(hard) {
                let of = first(layer, &of);
                for (_, _, secret) in
                    known.iter().filter(|(in_layer, path, _)| *in_layer == layer && *path == of)
                {
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
