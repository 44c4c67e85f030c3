//! Where a sandbox may write, and what a path really leads to.
//!
//! **Guarantees**: paths are compared as real paths, whichever links they are spelled through, with every place that a sandbox
//! may write to. Links are followed one name at a time, and each that was passed is told, as is each directory that `..` leaves:
//! whoever may write beside it can exchange it. **Refuses** nothing: a chain of links that has no end is told as missing.

use std::ffi::OsString;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;

/// Links of one path that are followed, as in the kernel.
const LINKS_MAX: usize = 40;

/// Real directories that a sandbox may write to.
#[derive(Debug)]
pub(super) struct Places(Vec<PathBuf>);

impl Places {
    pub(super) fn new(roots: Vec<PathBuf>) -> Self {
        Self(roots)
    }

    /// Each of them.
    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.0
    }

    /// Whether a real path lies in one of them.
    pub(super) fn hold(&self, path: &Path) -> bool {
        self.0.iter().any(|root| path != root && path.starts_with(root))
    }

    /// Whether a real path is one of them, or has one in it: too much to be kept as a whole.
    pub(super) fn lie_in(&self, path: &Path) -> bool {
        self.0.iter().any(|root| root.starts_with(path))
    }
}

/// What a path leads to, and on which way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::run) struct Traced {
    pub(in crate::run) real: PathBuf,
    /// Links on the way, by their own real paths.
    pub(in crate::run) links: Vec<PathBuf>,
    /// What is left again by `..`, likewise: the kernel goes through each (path_resolution(7)), so that another one in its
    /// place leads elsewhere. One that is missing is among them.
    pub(super) left: Vec<PathBuf>,
    pub(in crate::run) missing: bool,
}

/// Follows `path`, counted from `base` (a real path).
pub(in crate::run) fn trace(base: &Path, path: &Path) -> Traced {
    let mut traced = Traced { real: base.to_owned(), ..Traced::default() };
    let mut pending = Vec::new();
    push(&mut pending, path);
    // How many of the last names are not there. Above them the way goes on as if they were: somebody may make them.
    let mut absent = 0_usize;
    while let Some(part) = pending.pop() {
        match part.to_str() {
            Some("/") => (traced.real, absent) = (PathBuf::from("/"), 0),
            Some("..") => {
                if traced.real.parent().is_some() {
                    traced.left.push(traced.real.clone());
                }
                traced.real.pop();
                absent = absent.saturating_sub(1);
            }
            _ => {
                traced.real.push(part);
                let data = if absent == 0 { fs::symlink_metadata(&traced.real).ok() } else { None };
                let followed = match &data {
                    Some(data) if data.is_symlink() => {
                        traced.links.push(traced.real.clone());
                        if traced.links.len() <= LINKS_MAX { fs::read_link(&traced.real).ok() } else { None }
                    }
                    Some(_) => continue,
                    None => None,
                };
                if let Some(target) = followed {
                    traced.real.pop();
                    push(&mut pending, &target);
                } else {
                    (absent, traced.missing) = (absent + 1, true);
                }
            }
        }
    }
    traced
}

/// Names of a path, the first one last.
fn push(pending: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().rev().filter(|part| *part != Component::CurDir);
    pending.extend(parts.map(|part| part.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_followed_name_by_name_and_what_can_be_exchanged_on_the_way_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("a/b")).unwrap();
        fs::write(base.join("a/b/f"), "").unwrap();
        for (target, link) in [("a/b", "l"), ("../l/f", "a/m"), ("loop", "loop"), ("gone/x", "dangling")] {
            symlink(target, base.join(link)).unwrap();
        }
        symlink(base.join("a"), base.join("absolute")).unwrap();
        for (path, real, links, left, missing) in [
            ("./a/../a/b/f", "a/b/f", &[][..], &["a"][..], false),
            ("l/f", "a/b/f", &["l"], &[], false),
            // `..` after a link is above what the link leads to.
            ("l/../m", "a/b/f", &["l", "a/m", "l"], &["a/b", "a"], false),
            ("a/b/../../absolute/b", "a/b", &["absolute"], &["a/b", "a"], false),
            ("absolute/b", "a/b", &["absolute"], &[], false),
            ("dangling/y/../z", "gone/x/z", &["dangling"], &["gone/x/y"], true),
            ("not/there", "not/there", &[], &[], true),
            // What comes after is looked at again.
            ("not/there/../../l/f", "a/b/f", &["l"], &["not/there", "not"], true),
        ] {
            let traced = trace(&base, Path::new(path));
            let [links, left] = [links, left].map(|paths| paths.iter().map(|path| base.join(path)).collect());
            assert_eq!(traced, Traced { real: base.join(real), links, left, missing }, "{path}");
            // The kernel's answer.
            assert_eq!(fs::canonicalize(base.join(path)).ok(), (!missing).then_some(traced.real), "{path}");
        }
        assert!(trace(&base, Path::new("loop")).missing);
    }
}
