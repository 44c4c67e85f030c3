//! Where a mount's source really is, and the links that lead there.
//!
//! A sandbox can put links into the directories it may write to. One that the user's path passes through could lead the next
//! mount anywhere on the host (CVE-2026-39861), so the planner asks which links were followed. The real path is from the
//! same walk, and is opened later without following any link: swapping a directory for a link in between is an error.

use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use crate::plan::MountKind;
use crate::plan::PlannedMount;
use crate::plan::refusal::Refusal;
use crate::spec::Access;

/// Links followed before a path is given up (the kernel's number, path_resolution(7)).
const LINKS_MAX: usize = 40;

/// A path without links, and where the links stood that were followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) real: PathBuf,
    pub(crate) links: Vec<PathBuf>,
}

/// Resolves an absolute path that exists.
pub(crate) fn resolve(path: &Path) -> io::Result<Resolved> {
    let mut real = PathBuf::from("/");
    let mut links = Vec::new();
    let mut pending: Vec<PathBuf> = reversed(path);
    while let Some(name) = pending.pop() {
        if name.as_os_str() == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        if !fs_err::symlink_metadata(&next)?.is_symlink() {
            real = next;
            continue;
        }
        let target = fs_err::read_link(&next)?;
        links.push(next);
        if links.len() > LINKS_MAX {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        pending.extend(reversed(&target));
    }
    Ok(Resolved { real, links })
}

/// A source as it was named, and a link it leads through.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) path: PathBuf,
    pub(crate) link: PathBuf,
}

/// Refuses sources that lead through a link in a directory of the host that the sandbox may write to.
pub(crate) fn refuse_links(links: &[Linked], mounts: &[PlannedMount]) -> Result<(), Refusal> {
    let written = |link: &Path| {
        mounts.iter().any(|mount| match &mount.kind {
            MountKind::Host(source) => mount.access == Access::ReadWrite && link.starts_with(source),
            _ => false,
        })
    };
    match links.iter().find(|linked| written(&linked.link)) {
        Some(Linked { path, link }) => {
            Err(Refusal::LinkInWorkspace { path: path.clone(), link: link.clone() })
        }
        None => Ok(()),
    }
}

/// The names of a path, last first.
fn reversed(path: &Path) -> Vec<PathBuf> {
    let kept = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(kept).map(|component| PathBuf::from(component.as_os_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs_err::canonicalize(dir.path()).unwrap();
        fs_err::create_dir_all(base.join("a/b")).unwrap();
        symlink("../a", base.join("a/up")).unwrap();
        symlink(base.join("a/up/b"), base.join("link")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let plain = resolve(&base.join("a/b")).unwrap();
        assert_eq!(plain, Resolved { real: base.join("a/b"), links: Vec::new() });
        let found = resolve(&base.join("link")).unwrap();
        assert_eq!(
            found,
            Resolved { real: base.join("a/b"), links: vec![base.join("link"), base.join("a/up")] }
        );
        assert_eq!(found.real, fs_err::canonicalize(base.join("link")).unwrap());
        assert_eq!(resolve(&base.join("loop")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(resolve(&base.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
