//! Following symbolic links inside an image.

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_image::contents::Found;
use pinfold_image::contents::What;

/// Links that are followed at most, as by Linux (`MAXSYMLINKS`).
const MAX: usize = 40;

/// The way of a path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Links on it and what they say, in their order.
    pub links: Vec<(ImagePath, Box<[u8]>)>,
    /// Where it ends; the last link where they lead in a circle.
    pub end: ImagePath,
}

/// Follows every link of a path, the last one too.
pub(super) fn walk(paths: &BTreeMap<ImagePath, Found>, path: &ImagePath) -> Walk {
    let mut walk = Walk { links: Vec::new(), end: path.clone() };
    while let Some((link, target, rest)) = first(paths, &walk.end) {
        let to = link.link_target(&target).map(|to| if rest.is_empty() { Ok(to) } else { to.join(&rest) });
        walk.links.push((link.clone(), target));
        match to {
            Some(Ok(to)) if walk.links.len() < MAX => walk.end = to,
            _ => {
                walk.end = link;
                break;
            }
        }
    }
    walk
}

/// The first link of a path, what it says, and what of the path stands behind it.
fn first(paths: &BTreeMap<ImagePath, Found>, path: &ImagePath) -> Option<(ImagePath, Box<[u8]>, Vec<u8>)> {
    let mut at = ImagePath::root();
    for name in path.components() {
        at = at.join(name).ok()?;
        if let Some(Found { what: What::Link(target), .. }) = paths.get(&at) {
            let rest = path.strip_prefix(&at)?.to_vec();
            return Some((at, target.clone(), rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(links: &[(&str, &str)]) -> BTreeMap<ImagePath, Found> {
        let found = |target: &str| Found {
            layer: 0,
            what: What::Link(target.as_bytes().into()),
            mode: 0o777,
            uid: 0,
            gid: 0,
            size: 0,
        };
        links.iter().map(|(path, target)| (ImagePath::new(path).unwrap(), found(target))).collect()
    }

    fn told(links: &[(&str, &str)], path: &str) -> (String, Vec<String>) {
        let walk = walk(&paths(links), &ImagePath::new(path).unwrap());
        (walk.end.to_string(), walk.links.iter().map(|(link, _)| link.to_string()).collect())
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
    }

    #[test]
    fn a_circle_ends() {
        let (end, links) = told(&[("a", "b"), ("b", "a")], "a/x");
        assert_eq!((end.as_str(), links.len()), ("/b", MAX));
        assert_eq!(told(&[("a", "a/a/a")], "a").0, "/a");
    }
}
