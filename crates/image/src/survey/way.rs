//! Where a path leads inside of an image: links are followed as Linux follows them (path_resolution(7)) with the image as its root.
//!
//! **Guarantees**: a way never leaves the image, and ends: after [`LINKS_MAX`] links, or [`PARTS_MAX`] parts with those of the links.
//! Many ways have as many parts as their [`Budget`], so that links that lead through each other cost no more than others.
//! A directory that no layer has an entry of, as some tools write layers, is one where something stands below it.

use std::cell::Cell;
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
    /// It leads through this directory, which who follows may not search.
    Closed(ImagePath),
    /// Its links lead to each other, or are too many.
    Loop,
    /// It leads to what is too long for a path.
    Impossible,
    /// The budget is spent: it was not followed.
    Spent,
}

impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(at) => write!(f, "`{at}` is not in the image"),
            Self::NotDirectory(at) => write!(f, "`{at}` is no directory"),
            Self::Closed(at) => write!(f, "the directory `{at}` is closed to the image's user"),
            Self::Loop => write!(f, "its links lead in a circle"),
            Self::Impossible => write!(f, "it is too long for a path"),
            Self::Spent => write!(f, "its links were not followed: there are too many before it"),
        }
    }
}

/// Who opens files: root unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The user's number.
    pub uid: u32,
    /// The numbers of all of its groups.
    pub gids: Vec<u32>,
}

/// What is done with a file or directory (access(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its content is read.
    Read = 4,
    /// It is written to.
    Write = 2,
    /// It is started, or searched.
    Execute = 1,
}

impl Who {
    /// Whether the permission bits allow it.
    pub fn may(&self, access: Access, seen: &Seen) -> bool {
        let bit = access as u32;
        match self.uid {
            0 if access == Access::Execute && seen.what != What::Directory => seen.mode & 0o111 != 0,
            0 => true,
            uid if uid == seen.uid => seen.mode >> 6 & bit != 0,
            _ if self.gids.contains(&seen.gid) => seen.mode >> 3 & bit != 0,
            _ => seen.mode & bit != 0,
        }
    }
}

/// Parts of paths that may still be followed by all who share it.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// One of so many parts.
    pub fn new(parts: usize) -> Self {
        Self(Cell::new(parts))
    }

    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes one part; none is left afterwards where it gives `false`.
    fn take(&self) -> bool {
        self.0.set(self.0.get().saturating_sub(1));
        !self.is_spent()
    }
}

/// Follows paths of an image for somebody.
#[derive(Clone, Copy, Debug)]
pub struct Follow<'a> {
    /// The image's paths.
    pub survey: &'a Survey,
    /// Who follows; where it is nobody, permissions do not count.
    pub who: Option<&'a Who>,
    /// How far.
    pub budget: Option<&'a Budget>,
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
        self.follow().walk(path, Last::Follow)
    }

    /// [`Follow::real`], permissions aside.
    pub fn real(&self, path: &[u8]) -> Result<ImagePath, Nowhere> {
        self.follow().real(path)
    }

    /// The same with the links to its directory followed, and its last part left as it is, whether or not it is there.
    pub fn in_real_directory(&self, path: &[u8]) -> Result<ImagePath, Nowhere> {
        self.follow().walk(path, Last::Keep).end()
    }

    /// [`Follow::find`], permissions aside.
    pub fn find(&self, path: &[u8]) -> Result<(&ImagePath, &Seen), Nowhere> {
        self.follow().find(path)
    }

    fn follow(&self) -> Follow<'_> {
        Follow { survey: self, who: None, budget: None }
    }

    /// What stands below a directory, in order of bytes; the directory needs no entry of its own, since whoever unpacks makes it.
    pub fn below(&self, directory: &ImagePath) -> impl Iterator<Item = (&ImagePath, &Seen)> + use<'_> {
        let mut start = directory.as_bytes().to_vec();
        if !directory.is_root() {
            start.push(b'/');
        }
        // By bytes, `d-other` stands between `d` and `d/x`.
        let from = self.paths.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
        from.take_while(move |(path, _)| path.as_bytes().starts_with(&start))
    }

    /// What stands in a directory itself.
    pub fn children(&self, directory: &ImagePath) -> impl Iterator<Item = (&ImagePath, &Seen)> + use<'_> {
        let start = if directory.is_root() { 0 } else { directory.as_bytes().len() + 1 };
        self.below(directory).filter(move |(path, _)| !path.as_bytes()[start..].contains(&b'/'))
    }
}

impl<'a> Follow<'a> {
    /// The path of what an absolute path leads to, all links followed. The root leads to the root.
    pub fn real(&self, path: &[u8]) -> Result<ImagePath, Nowhere> {
        self.walk(path, Last::Follow).end()
    }

    /// What an absolute path leads to, where it has an entry.
    pub fn find(&self, path: &[u8]) -> Result<(&'a ImagePath, &'a Seen), Nowhere> {
        let real = self.real(path)?;
        self.survey.paths.get_key_value(&real).ok_or(Nowhere::Missing(real))
    }

    /// Whether who follows may not search a directory.
    fn is_closed(&self, directory: &Seen) -> bool {
        self.who.is_some_and(|who| !who.may(Access::Execute, directory))
    }

    fn walk(&self, path: &[u8], last: Last) -> Way<'a> {
        let mut left = parts(path);
        let mut way = Way { links: Vec::new(), end: ImagePath::root(), nowhere: None };
        let mut steps = 0;
        if !left.is_empty() && self.survey.root.as_ref().is_some_and(|root| self.is_closed(root)) {
            return Way { nowhere: Some(Nowhere::Closed(ImagePath::root())), ..way };
        }
        while let Some(part) = left.pop() {
            steps += 1;
            if steps > PARTS_MAX {
                return way.circle();
            }
            if !self.budget.is_none_or(Budget::take) {
                return Way { nowhere: Some(Nowhere::Spent), ..way };
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
            let seen = self.survey.paths.get(&here);
            match seen.map(|seen| &seen.what) {
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
                Some(What::Directory)
                    if !left.is_empty() && seen.is_some_and(|seen| self.is_closed(seen)) =>
                {
                    return way.stop(here.clone(), Nowhere::Closed(here), &left);
                }
                Some(What::Directory) => way.end = here,
                Some(_) if left.is_empty() => way.end = here,
                Some(_) => return way.stop(here.clone(), Nowhere::NotDirectory(here), &left),
                None if self.survey.below(&here).next().is_some() => way.end = here,
                None => return way.stop(here.clone(), Nowhere::Missing(here), &left),
            }
        }
        way
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

    #[test]
    fn a_budget_ends_what_many_links_cost() {
        let long = link(&"bin/../".repeat(500));
        let image = survey(&[("bin", What::Directory), ("long", long)]);
        let budget = Budget::new(2500);
        let follow = Follow { survey: &image, who: None, budget: Some(&budget) };
        assert!(follow.real(b"/long").is_ok() && follow.real(b"/long").is_ok());
        assert_eq!(follow.real(b"/long"), Err(Nowhere::Spent));
        assert!(budget.is_spent());
    }

    #[test]
    fn directories_are_closed_to_whom_their_bits_do_not_allow() {
        let mut image = survey(&[("home", What::Directory), ("home/x", file())]);
        let with = |image: &Survey, uid| {
            let who = Who { uid, gids: vec![1000] };
            Follow { survey: image, who: Some(&who), budget: None }
                .real(b"/home/x")
                .map(|real| real.to_string())
        };
        assert_eq!(with(&image, 1000), Ok("/home/x".into()));
        let home = ImagePath::new("home").unwrap();
        image.paths.get_mut(&home).unwrap().mode = 0o700;
        assert_eq!(with(&image, 1000), Err(Nowhere::Closed(home)));
        assert_eq!(with(&image, 0), Ok("/home/x".into()));
        image.root = Some(Seen { layer: 0, what: What::Directory, mode: 0o711, uid: 1, gid: 1, size: 0 });
        assert!(with(&image, 0).is_ok());
        image.root.as_mut().unwrap().mode = 0o710;
        assert_eq!(with(&image, 1000), Err(Nowhere::Closed(ImagePath::root())));
    }
}
