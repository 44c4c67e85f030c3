//! Where a path leads inside of an image: links are followed as Linux follows them (path_resolution(7)) with the image as its root.
//!
//! **Guarantees**: a way never leaves the image, and ends: after [`LINKS_MAX`] links, or [`PARTS_MAX`] parts with those of the links.
//! A directory that no layer has an entry of, as some tools write layers, is one where something stands below it.

use std::fmt;
use std::ops::Bound;

use pinfold_base::ImagePath;

use super::Seen;
use super::Survey;
use super::What;

/// Links that are followed at most (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;
/// Parts of a path that are followed at most, links' targets included.
const PARTS_MAX: usize = 4096;

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// There is nothing at this path, to which it leads.
    Missing(ImagePath),
    /// It leads through this path, which is no directory.
    NotDirectory(ImagePath),
    /// Its links lead to each other, or are too many.
    Loop,
    /// It leads to what is too long for a path.
    Impossible,
}

impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(at) => write!(f, "`{at}` is not in the image"),
            Self::NotDirectory(at) => write!(f, "`{at}` is no directory"),
            Self::Loop => write!(f, "its links lead in a circle"),
            Self::Impossible => write!(f, "it is too long for a path"),
        }
    }
}

/// Whether the last part of a path is followed where it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Follow,
    Keep,
}

/// The way of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way<'a> {
    /// Links on it and what they say, in their order.
    pub links: Vec<(ImagePath, &'a [u8])>,
    /// Where it ends: what is there, or would have to be; the last link where they lead in a circle.
    pub end: ImagePath,
    /// Why nothing is there.
    pub nowhere: Option<Nowhere>,
}

impl Survey {
    /// The way of an absolute path, all links followed.
    pub fn way(&self, path: &[u8]) -> Way<'_> {
        self.walk(path, Last::Follow)
    }

    /// The path of what an absolute path leads to, all links followed. The root leads to the root.
    pub fn real(&self, path: &[u8]) -> Result<ImagePath, Nowhere> {
        self.way(path).end()
    }

    /// The same with the links to its directory followed, and its last part left as it is, whether or not it is there.
    pub fn in_real_directory(&self, path: &[u8]) -> Result<ImagePath, Nowhere> {
        self.walk(path, Last::Keep).end()
    }

    /// What an absolute path leads to, where it has an entry.
    pub fn find(&self, path: &[u8]) -> Result<(ImagePath, &Seen), Nowhere> {
        let real = self.real(path)?;
        match self.paths.get(&real) {
            Some(seen) => Ok((real, seen)),
            None => Err(Nowhere::Missing(real)),
        }
    }

    fn walk(&self, path: &[u8], last: Last) -> Way<'_> {
        let mut left = parts(path);
        let mut way = Way { links: Vec::new(), end: ImagePath::root(), nowhere: None };
        let mut steps = 0;
        while let Some(part) = left.pop() {
            steps += 1;
            if steps > PARTS_MAX {
                return way.circle();
            }
            if part == b".." {
                way.end = way.end.parent().unwrap_or_default();
                continue;
            }
            let Ok(here) = way.end.join(&part) else {
                return Way { nowhere: Some(Nowhere::Impossible), ..way };
            };
            if last == Last::Keep && left.is_empty() {
                return Way { end: here, ..way };
            }
            match self.paths.get(&here).map(|seen| &seen.what) {
                Some(What::Link(target)) => {
                    if way.links.len() == LINKS_MAX {
                        return way.circle();
                    }
                    way.links.push((here, target));
                    if target.starts_with(b"/") {
                        way.end = ImagePath::root();
                    }
                    left.extend(parts(target));
                }
                Some(What::Directory) => way.end = here,
                Some(_) if left.is_empty() => way.end = here,
                Some(_) => return way.stop(here.clone(), Nowhere::NotDirectory(here), &left),
                None if self.has_below(&here) => way.end = here,
                None => return way.stop(here.clone(), Nowhere::Missing(here), &left),
            }
        }
        way
    }

    /// Whether something stands below a path, so that whoever unpacks makes it where no layer has an entry of it.
    pub fn has_below(&self, directory: &ImagePath) -> bool {
        let start = [directory.as_bytes(), b"/"].concat();
        let mut below = self.paths.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
        below.next().is_some_and(|(path, _)| path.as_bytes().starts_with(&start))
    }
}

impl Way<'_> {
    fn end(self) -> Result<ImagePath, Nowhere> {
        self.nowhere.map_or(Ok(self.end), Err)
    }

    fn circle(self) -> Self {
        let end = self.links.last().map_or(self.end, |(link, _)| link.clone());
        Self { end, nowhere: Some(Nowhere::Loop), ..self }
    }

    /// Ends it at `here`, with what of the path stands behind that.
    fn stop(self, here: ImagePath, nowhere: Nowhere, left: &[Vec<u8>]) -> Self {
        let rest = left.iter().rev().try_fold(here.clone(), |at, part| match &part[..] {
            b".." => Some(at.parent().unwrap_or_default()),
            part => at.join(part).ok(),
        });
        Self { end: rest.unwrap_or(here), nowhere: Some(nowhere), ..self }
    }
}

/// The parts of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').rev();
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn survey(entries: &[(&str, What)]) -> Survey {
        let seen = |what: &What| Seen { layer: 0, what: what.clone(), mode: 0o755, uid: 0, gid: 0, size: 0 };
        let paths = entries.iter().map(|(path, what)| (ImagePath::new(path).unwrap(), seen(what))).collect();
        Survey { paths, ..Survey::default() }
    }

    fn link(target: &str) -> What {
        What::Link(target.as_bytes().into())
    }

    fn file() -> What {
        What::File(Arc::default())
    }

    fn missing(path: &str) -> Nowhere {
        Nowhere::Missing(ImagePath::new(path).unwrap())
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let image = survey(&[
            ("bin", link("usr/bin")),
            ("usr", What::Directory),
            ("usr/bin", What::Directory),
            ("usr/bin/sh", link("/bin/dash")),
            ("usr/bin/dash", file()),
            ("usr/bin/out", link("../../../../bin/dash")),
            ("usr/bin/dir", link("..")),
            ("usr/bin/root", link("/")),
            ("loop", link("loop")),
            ("a", link("b")),
            ("b", link("/a/x")),
            ("dangling", link("/usr/bin/none")),
        ]);
        let of = |path: &str| image.real(path.as_bytes()).map(|real| real.to_string());
        for path in [
            "/bin/sh",
            "usr/bin/sh",
            "/usr/bin/out",
            "//bin/./../bin/sh",
            "/bin/root/bin/sh",
            "/bin/dir/bin/dash",
        ] {
            assert_eq!(of(path), Ok("/usr/bin/dash".into()), "{path}");
        }
        assert_eq!(of("/loop"), Err(Nowhere::Loop));
        assert_eq!(of("/a"), Err(Nowhere::Loop));
        assert_eq!(of("/dangling"), Err(missing("usr/bin/none")));
        assert_eq!(of("/bin/sh/x"), Err(Nowhere::NotDirectory(ImagePath::new("usr/bin/dash").unwrap())));
        assert_eq!(of("/../.."), Ok(ImagePath::root().to_string()));
        assert_eq!(of(&format!("/bin/{}", "x".repeat(300))), Err(Nowhere::Impossible));
        assert_eq!(of(&"bin/../".repeat(2100)), Err(Nowhere::Loop));
        let kept = image.in_real_directory(b"/bin/sh").unwrap();
        assert_eq!(kept.to_string(), "/usr/bin/sh");
        assert_eq!(image.find(b"/").unwrap_err(), Nowhere::Missing(ImagePath::root()));
    }

    fn told(links: &[(&str, &str)], path: &str) -> (String, Vec<String>) {
        let links: Vec<(&str, What)> = links.iter().map(|(path, target)| (*path, link(target))).collect();
        let image = survey(&links);
        let way = image.way(path.as_bytes());
        (way.end.to_string(), way.links.iter().map(|(link, _)| link.to_string()).collect())
    }

    /// As `realpath` of GNU coreutils 9.1 in a chroot of such links.
    #[test]
    fn links_lead_where_the_kernel_would_go() {
        let links = [
            ("bin", "usr/bin"),
            ("usr/bin/sh", "dash"),
            ("etc/alt", "/usr/bin/../bin/sh"),
            ("up", "../../usr"),
        ];
        let all = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        assert_eq!(told(&links, "bin/sh"), ("/usr/bin/dash".into(), all(&["/bin", "/usr/bin/sh"])));
        assert_eq!(told(&links, "etc/alt"), ("/usr/bin/dash".into(), all(&["/etc/alt", "/usr/bin/sh"])));
        assert_eq!(told(&links, "up/lib"), ("/usr/lib".into(), all(&["/up"])));
        assert_eq!(told(&links, "usr/bin/dash"), ("/usr/bin/dash".into(), vec![]));
        // What would have to be there, where a part of the way is missing.
        assert_eq!(told(&links, "none/a/../b").0, "/none/b");
    }

    #[test]
    fn a_circle_ends() {
        let (end, links) = told(&[("a", "b"), ("b", "a")], "a/x");
        assert_eq!((end.as_str(), links.len()), ("/b", LINKS_MAX));
        assert_eq!(told(&[("a", "a/a/a")], "a").0, "/a");
    }

    #[test]
    fn directories_without_an_entry_are_directories() {
        let image = survey(&[("usr/lib/x", file()), ("usr-lib", file())]);
        let of = |path: &str| image.real(path.as_bytes()).map(|real| real.to_string());
        assert_eq!(of("/usr/../usr/lib/x"), Ok("/usr/lib/x".into()));
        assert_eq!(of("/us/lib"), Err(missing("us")));
    }
}
