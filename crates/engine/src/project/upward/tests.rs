use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Directories, and files where the name has a point in it.
    fn new(entries: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        for entry in entries {
            let path = dir.path().join(entry);
            let is_file = path.extension().is_some();
            fs::create_dir_all(if is_file { path.parent().unwrap() } else { &path }).unwrap();
            if is_file {
                fs::write(&path, "").unwrap();
            }
        }
        Self { dir }
    }

    /// What is found from `start`, relative to it.
    fn found(&self, start: &str) -> Option<String> {
        let start = self.dir.path().join(start);
        let home = self.dir.path().join("home");
        let found = find(&start, Some(&home)).unwrap()?;
        Some(found.strip_prefix(&start).unwrap().display().to_string())
    }

    fn mode(&self, entry: &str, mode: u32) {
        fs::set_permissions(self.dir.path().join(entry), Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn a_manifest_is_found_up_to_the_edge_of_its_repository_and_not_in_the_home() {
    let place = Place::new(&[
        "home/pinfold.toml",
        "home/plain/deep",
        "home/repo/.git",
        "home/repo/py/sub",
        "home/repo/inner/.git",
        "home/repo/inner/deep",
        "home/repo/pinfold.toml",
        "home/repo/own/pinfold.toml",
        "home/repo/preset/pinfold.lock",
        "srv/work/pinfold.toml",
        "srv/work/a/b",
        "pinfold.toml",
    ]);
    for (start, expected) in [
        ("home/repo", Some("")),
        ("home/repo/py", Some("..")),
        ("home/repo/py/sub", Some("../..")),
        ("home/repo/own", Some("")),
        ("home/repo/inner/deep", None),
        ("home/repo/preset", None),
        ("home/plain/deep", None),
        ("home", Some("")),
        ("srv/work/a/b", Some("../..")),
        ("srv", Some("..")),
    ] {
        assert_eq!(place.found(start).as_deref(), expected, "{start}");
    }
    assert_eq!(find(&place.dir.path().join("nowhere"), None).unwrap(), None);
}

#[test]
fn a_manifest_above_that_another_user_can_write_is_refused_by_name() {
    let place = Place::new(&["shared/pinfold.toml", "shared/mine"]);
    let refused = || find(&place.dir.path().join("shared/mine"), None).map_err(|error| error.to_string());
    assert!(refused().unwrap().is_some(), "it can be found");
    for (entry, mode) in
        [("shared", 0o1777), ("shared", 0o777), ("shared", 0o757), ("shared/pinfold.toml", 0o646)]
    {
        place.mode(entry, mode);
        let error = refused().unwrap_err();
        assert!(
            error.contains("../pinfold.toml` is the manifest above") && error.contains("can write"),
            "{error}"
        );
        // In its own directory it is what somebody chose to stand in.
        assert!(find(&place.dir.path().join("shared"), None).unwrap().is_some());
        place.mode(entry, 0o755);
    }
    assert!(refused().unwrap().is_some());
    // Another's file, and another's link to a file of one's own. Only root can make these.
    if rustix::process::geteuid().is_root() {
        let file = place.dir.path().join("shared/pinfold.toml");
        for link in [false, true] {
            if link {
                fs::rename(&file, place.dir.path().join("real.toml")).unwrap();
                std::os::unix::fs::symlink("../real.toml", &file).unwrap();
            }
            assert!(refused().unwrap().is_some());
            std::os::unix::fs::lchown(&file, Some(4711), Some(4711)).unwrap();
            assert!(refused().unwrap_err().contains("belongs to another user"));
            std::os::unix::fs::lchown(&file, Some(0), Some(0)).unwrap();
        }
        std::os::unix::fs::lchown(place.dir.path().join("shared"), Some(4711), None).unwrap();
        assert!(refused().unwrap_err().contains("belongs to another user"));
    }
}
