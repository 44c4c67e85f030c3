//! Real paths of what a user or a manifest names, where no agent can have led them elsewhere.
//!
//! ```text
//!   /w/project/out ── a link that an agent put there ──► refused, with what it leads to
//!   ~/work         ── the user's own, to another disk ──► /disk/work
//! ```
//!
//! **Guarantees**: the path that is given back has no link in it as far as was seen; whoever opens it without following links
//! opens what was judged. **Refuses** a link that lies in the workspace, in what a sandbox was given to write to (the last
//! places, [`super::given`]), in a directory with a manifest, or in a repository: agents work there, and the name that the user knows may lead anywhere by now.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;

use super::error::RunError;
use super::protect::trace;
use crate::project::manifest;

/// The real path of `path`, or where it would be. `given` is what sandboxes of this and of former runs may write to, asked for
/// only where there is a link; `home` is nobody's project.
pub(crate) fn real(
    path: &Path,
    workspace: Option<&Path>,
    home: Option<&Path>,
    given: &dyn Fn() -> Vec<PathBuf>,
) -> Result<PathBuf, RunError> {
    let found = trace(Path::new("/"), &std::path::absolute(path)?);
    let given = if found.links.is_empty() { Vec::new() } else { given() };
    for link in found.links {
        let place = link.parent().and_then(|directory| loose(directory, workspace, &given, home));
        if let Some(place) = place {
            return Err(RunError::LooseLink { link, place, leads: found.real });
        }
    }
    Ok(found.real)
}

/// The place that agents write to in which `directory` lies, a real path.
fn loose(
    directory: &Path,
    workspace: Option<&Path>,
    given: &[PathBuf],
    home: Option<&Path>,
) -> Option<PathBuf> {
    // Whatever it is: the home too, where that is handed over.
    if let Some(workspace) = workspace.filter(|workspace| directory.starts_with(workspace)) {
        return Some(workspace.to_owned());
    }
    let home = home.map(|home| fs::canonicalize(home).unwrap_or_else(|_| home.to_owned()));
    directory
        .ancestors()
        .filter(|place| !home.as_ref().is_some_and(|home| home.starts_with(place)))
        .find(|place| {
            let project = || [manifest::FILE_NAME, ".git"].iter().any(|name| place.join(name).exists());
            given.iter().any(|given| given == place) || project()
        })
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_counts_unless_an_agent_can_have_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let path = |name: &str| base.join(name);
        for name in ["me/secret/deep", "me/w/sub", "me/p", "me/r/.git", "disk/work/x"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("me/p/pinfold.toml"), "").unwrap();
        // The user's own, relative and absolute; the home is a repository too, as some keep it.
        fs::create_dir(path("me/.git")).unwrap();
        symlink("../disk/work", path("me/work")).unwrap();
        symlink(path("disk"), path("me/disk")).unwrap();
        // What agents made, and the user's link to it.
        for folder in ["w", "p", "r"] {
            symlink("../secret", path(&format!("me/{folder}/out"))).unwrap();
        }
        symlink("w/out", path("me/mine")).unwrap();
        let given = || vec![path("me/w")];
        let real = |name: &str| super::real(&path(name), None, Some(&path("me")), &given);
        for (name, expected) in [
            ("me/work", "disk/work"),
            ("me/disk/work/x", "disk/work/x"),
            ("me/work/../work/x", "disk/work/x"),
            ("me/w/sub", "me/w/sub"),
            ("me/p", "me/p"),
        ] {
            assert_eq!(real(name).unwrap(), path(expected), "{name}");
        }
        for (name, place) in [
            ("me/w/out", "me/w"),
            ("me/w/out/deep", "me/w"),
            ("me/p/out", "me/p"),
            ("me/r/out", "me/r"),
            ("me/mine", "me/w"),
        ] {
            match real(name) {
                Err(RunError::LooseLink { place: found, leads, .. }) => {
                    assert_eq!(found, path(place), "{name}");
                    // What the hint says can be named.
                    assert_eq!(super::real(&leads, None, Some(&path("me")), &given).unwrap(), leads);
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        // Whoever needs it to be there sees that it is not.
        assert_eq!(real("me/absent").unwrap(), path("me/absent"));
        // Control: where no sandbox was, and without a mark of a project, the same link is the user's own.
        assert_eq!(
            super::real(&path("me/w/out"), None, Some(&path("me")), &Vec::new).unwrap(),
            path("me/secret")
        );
        // A sandbox that once had the home, or what is above it, does not make all of the user's links one of its.
        let all = || vec![base.clone(), path("me")];
        assert_eq!(super::real(&path("me/work"), None, Some(&path("me")), &all).unwrap(), path("disk/work"));
        // The sandbox of this run does: it may write there now.
        for workspace in ["me", "me/w"] {
            let link = if workspace == "me" { "me/work" } else { "me/w/out" };
            let found = super::real(&path(link), Some(&path(workspace)), Some(&path("me")), &Vec::new);
            assert!(matches!(found, Err(RunError::LooseLink { .. })), "{workspace}: {found:?}");
        }
    }
}
