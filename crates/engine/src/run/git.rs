//! Git repositories whose files are not all below the workspace: linked worktrees and submodules (gitrepository-layout(5)).
//!
//! In both, `.git` is a file that names the repository's own directory elsewhere. That directory is mounted too, or no git
//! command would work inside, but only when it points back at this workspace: the file can have been written by an agent,
//! the directory it names cannot (unless the agent has it already).
//!
//! **Guarantees**: no git program is run, nothing is written; a `.git` that names anything else gives no mount.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;

/// Longest of git's own small files that is read.
const FILE_MAX: u64 = 64 << 10;

/// Directories beyond `workspace` (a real path) that git needs to work in it.
pub(super) fn beyond(workspace: &Path) -> Vec<PathBuf> {
    let Some(directory) = named(&workspace.join(".git"), "gitdir: ", workspace) else { return Vec::new() };
    let common = linked_worktree(workspace, &directory).or_else(|| submodule(workspace, &directory));
    common.filter(|path| !path.starts_with(workspace)).into_iter().collect()
}

/// What a `.git` that is a file names as the repository's own directory, as it is spelled.
pub(super) fn said_by(dot: &Path) -> Option<PathBuf> {
    said(dot, "gitdir: ", dot.parent()?)
}

/// The repository that `directory` says that it shares with others, likewise.
pub(super) fn common(directory: &Path) -> Option<PathBuf> {
    said(&directory.join("commondir"), "", directory)
}

/// The `.git` of the checkout that a linked worktree's own directory names, likewise.
pub(super) fn checked_out(directory: &Path) -> Option<PathBuf> {
    said(&directory.join("gitdir"), "", directory)
}

/// The repository that `directory` is a linked worktree of, if its back pointer leads to `workspace`.
fn linked_worktree(workspace: &Path, directory: &Path) -> Option<PathBuf> {
    let common = named(&directory.join("commondir"), "", directory)?;
    let back = named(&directory.join("gitdir"), "", directory)?;
    let sits = directory.parent() == Some(&common.join("worktrees"));
    (sits && back == workspace.join(".git") && is_repository(&common)).then_some(common)
}

/// `directory` itself, if it is the repository of a submodule checked out at `workspace`.
fn submodule(workspace: &Path, directory: &Path) -> Option<PathBuf> {
    let text = small(&directory.join("config"))?;
    let mut in_core = false;
    let tree = text.lines().map(str::trim).find_map(|line| {
        if let Some(section) = line.strip_prefix('[') {
            in_core = section.trim_end_matches(']').trim().eq_ignore_ascii_case("core");
            return None;
        }
        let (key, value) = line.split_once('=')?;
        (in_core && key.trim().eq_ignore_ascii_case("worktree")).then(|| value.trim().to_owned())
    })?;
    let back = fs::canonicalize(directory.join(tree)).ok()?;
    let below_modules = directory.components().any(|part| part.as_os_str() == "modules");
    (back == workspace && below_modules && is_repository(directory)).then(|| directory.to_owned())
}

/// The real path that a one-line file names, counted from `from`.
fn named(file: &Path, prefix: &str, from: &Path) -> Option<PathBuf> {
    fs::canonicalize(said(file, prefix, from)?).ok()
}

/// The same as it is spelled.
fn said(file: &Path, prefix: &str, from: &Path) -> Option<PathBuf> {
    let text = small(file)?;
    let path = text.strip_prefix(prefix)?.trim_end_matches(['\r', '\n']);
    (!path.is_empty() && !path.contains('\0')).then(|| from.join(path))
}

/// A small regular file's text; a link is not followed. What was looked at is what is read: an agent may be at work.
fn small(file: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::open(file, flags, Mode::empty()).ok()?;
    let opened = fs::File::from_parts(fd.into(), file);
    let data = opened.metadata().ok()?;
    let mut text = String::new();
    let fits = data.is_file() && data.len() <= FILE_MAX;
    fits.then(|| opened.take(FILE_MAX).read_to_string(&mut text).ok())??;
    Some(text)
}

/// Whether `below`, counted from the directory `at`, has what git takes a directory for a repository by (gitrepository-layout(5)),
/// of whatever kind: what could be one is looked after as one.
pub(super) fn could_be_repository(at: impl AsFd, below: &Path) -> bool {
    let there = |name| rustix::fs::statat(&at, below.join(name), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    ["HEAD", "objects", "refs"].into_iter().all(there)
}

/// Whether it certainly is one: only such a directory is mounted.
fn is_repository(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(path: &Path) {
        fs::create_dir_all(path.join("objects")).unwrap();
        fs::create_dir_all(path.join("refs")).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    /// What `git worktree add ../linked` makes.
    fn worktree(root: &Path) -> PathBuf {
        let (main, linked) = (root.join("main/.git"), root.join("linked"));
        repository(&main);
        let inner = main.join("worktrees/linked");
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir_all(&linked).unwrap();
        fs::write(linked.join(".git"), format!("gitdir: {}\n", inner.display())).unwrap();
        fs::write(inner.join("gitdir"), format!("{}\n", linked.join(".git").display())).unwrap();
        fs::write(inner.join("commondir"), "../..\n").unwrap();
        linked
    }

    #[test]
    fn a_linked_worktree_brings_its_repository() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let linked = worktree(&root);
        assert_eq!(beyond(&linked), [root.join("main/.git")]);
        assert!(beyond(&root.join("main")).is_empty());
    }

    #[test]
    fn a_pointer_that_is_not_returned_brings_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let linked = worktree(&root);
        let thief = root.join("thief");
        fs::create_dir(&thief).unwrap();
        fs::copy(linked.join(".git"), thief.join(".git")).unwrap();
        assert!(beyond(&thief).is_empty(), "the back pointer leads to another workspace");
        fs::write(thief.join(".git"), format!("gitdir: {}\n", root.join("main").display())).unwrap();
        assert!(beyond(&thief).is_empty(), "not a repository");
        fs::remove_file(thief.join(".git")).unwrap();
        std::os::unix::fs::symlink(linked.join(".git"), thief.join(".git")).unwrap();
        assert!(beyond(&thief).is_empty(), "a link is not followed");
    }

    #[test]
    fn a_submodule_brings_its_own_directory_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let (outer, inner) = (root.join("super/.git"), root.join("super/.git/modules/sub"));
        repository(&outer);
        repository(&inner);
        let sub = root.join("super/sub");
        fs::create_dir_all(&sub).unwrap();
        fs::write(sub.join(".git"), "gitdir: ../.git/modules/sub\n").unwrap();
        fs::write(inner.join("config"), "[core]\n\tbare = false\n\tworktree = ../../../sub\n").unwrap();
        assert_eq!(beyond(&sub), std::slice::from_ref(&inner));
        assert!(beyond(&root.join("super")).is_empty());
        fs::write(inner.join("config"), "[core]\n\tworktree = ../../../other\n").unwrap();
        assert!(beyond(&sub).is_empty());
    }
}
