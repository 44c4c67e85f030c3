//! Where a file that carries an image keeps what it unpacks: in the first place that will do.
//!
//! | | where |
//! |---|---|
//! | `PINFOLD_HOME` | there, or nowhere: the user said so |
//! | `FILE.home`, if there | `FILE.home/pinfold`, beside FILE (AppImageSpec, "Portable directory") |
//! | as pinfold does | `$XDG_DATA_HOME/pinfold`, else `~/.local/share/pinfold` |
//! | the cache | `$XDG_CACHE_HOME/pinfold/portable`, else `~/.cache/pinfold/portable` |
//! | FILE's directory | `FILE.pinfold`, beside FILE |
//!
//! **Guarantees**: the place is the user's own, or its nearest directory that is there is theirs or root's: nobody else can put
//! something there first. **Refuses** places that others can write to, from which nothing is executed (`noexec`), without room.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Home;
use pinfold_base::Kind;
use pinfold_base::units;
use rustix::fs::Access;
use rustix::fs::StatVfsMountFlags;

use crate::context::Environment;

/// The variable that says where pinfold's folders are.
const HOME: &str = "PINFOLD_HOME";
/// Room for homes, records and the program beside a root.
const BESIDE: u64 = 64 << 20;

/// A place that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What `PINFOLD_HOME` is to be; as it is where nothing is said.
    pub home: Option<PathBuf>,
    /// pinfold's folders there.
    pub folders: Home,
}

/// None will do.
#[derive(Debug, thiserror::Error)]
#[error("there is no place for the sandbox's files: {}", listed(.tried))]
pub struct PlaceError {
    /// Which were tried, and why each will not do.
    pub tried: Vec<(PathBuf, String)>,
}

impl Diagnose for PlaceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Refused)
    }

    fn own_hint(&self) -> Option<String> {
        Some(
            "set `PINFOLD_HOME` to a directory of yours with room, from which programs may be executed"
                .into(),
        )
    }
}

fn listed(tried: &[(PathBuf, String)]) -> String {
    let each = tried.iter().map(|(path, why)| format!("`{}` {why}", path.display()));
    each.collect::<Vec<_>>().join("; ")
}

/// Where `file`, which unpacks to about `unpacked` bytes below the folder that `root` gives, may keep that. A root that is there
/// needs no room.
pub fn place(
    environment: &Environment,
    file: &Path,
    unpacked: u64,
    root: impl Fn(&Home) -> PathBuf,
) -> Result<Place, PlaceError> {
    let mut tried = Vec::new();
    let mut look = |home: Option<PathBuf>, folders: Home| {
        let needed = if root(&folders).is_dir() { 0 } else { unpacked.saturating_add(BESIDE) };
        match suitable(folders.data(), needed) {
            Ok(()) => Some(Place { home, folders }),
            Err(why) => {
                tried.push((folders.data().to_owned(), why));
                None
            }
        }
    };
    let lookup = |name: &str| environment.raw(name).map(OsString::from);
    let own = Home::from_env(lookup);
    if environment.raw(HOME).is_some_and(|home| !home.is_empty()) {
        let found = own.and_then(|folders| look(None, folders));
        return found.ok_or(PlaceError { tried });
    }
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let portable = beside(".home");
    let at = |path: PathBuf| (Some(path.clone()), Home::under(&path));
    let mut places = Vec::new();
    if portable.is_dir() {
        places.push(at(portable.join("pinfold")));
    }
    if let Some(folders) = own {
        let cache = folders.cache().join("portable");
        places.extend([(None, folders), at(cache)]);
    }
    places.push(at(beside(".pinfold")));
    let found = places.into_iter().find_map(|(home, folders)| look(home, folders));
    found.ok_or(PlaceError { tried })
}

/// Whether a folder can be made or is there, and will do; why not otherwise.
fn suitable(folder: &Path, needed: u64) -> Result<(), String> {
    let of = |error: io::Error| format!("cannot be looked at ({error})");
    let mut there = folder;
    let found = loop {
        match fs::metadata(there) {
            Ok(found) => break found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err("cannot be reached".into());
            }
            Err(error) => return Err(of(error)),
        }
        there = there.parent().ok_or("has no directory above it")?;
    };
    if !found.is_dir() {
        return Err(format!("would be in `{}`, which is no directory", there.display()));
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user && (there == folder || found.uid() != 0) {
        return Err(format!("is another user's (`{}`)", there.display()));
    }
    if found.mode() & 0o022 != 0 && (there == folder || found.mode() & 0o1000 == 0) {
        return Err(format!("can be written to by other users (`{}`)", there.display()));
    }
    if rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Err("cannot be written to".into());
    }
    let system = rustix::fs::statvfs(there).map_err(|error| of(error.into()))?;
    if system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err("is read-only".into());
    }
    if system.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err("is mounted so that nothing there can be executed (noexec)".into());
    }
    let room = system.f_bavail.saturating_mul(system.f_frsize);
    if room < needed {
        return Err(format!("has room for {} of {}", units::bytes(room), units::bytes(needed)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn placed(environment: &Environment, file: &Path, unpacked: u64) -> Result<Place, PlaceError> {
        place(environment, file, unpacked, |folders| folders.data().join("rootfs/x"))
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_place_that_will_do_is_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let (home, file) = (at("me"), at("a b.AppImage"));
        fs::create_dir(&home).unwrap();
        let environment = Environment::from([("HOME", home.as_os_str())]);
        let found = placed(&environment, &file, 1).unwrap();
        assert_eq!((found.home, found.folders.data()), (None, &*home.join(".local/share/pinfold")));
        // A directory beside the file says that all is kept there.
        fs::create_dir(at("a b.AppImage.home")).unwrap();
        assert_eq!(placed(&environment, &file, 1).unwrap().home, Some(at("a b.AppImage.home/pinfold")));
        // What the user says counts before all of it, or nothing does.
        let said = Environment::from([("HOME", home.as_os_str()), ("PINFOLD_HOME", at("said").as_os_str())]);
        assert_eq!(placed(&said, &file, 1).unwrap().folders.data(), at("said/data"));
        fs::create_dir(at("said")).unwrap();
        mode(&at("said"), 0o777);
        let error = placed(&said, &file, 1).unwrap_err();
        assert_eq!(error.tried.len(), 1);
        assert!(error.to_string().contains("other users"), "{error}");
    }

    #[test]
    fn what_others_could_have_made_is_passed_by() {
        let scratch = tempfile::tempdir().unwrap();
        let (home, file) = (scratch.path().join("me"), scratch.path().join("f"));
        let data = home.join(".local/share/pinfold/data");
        fs::create_dir_all(home.join(".local/share/pinfold")).unwrap();
        let environment = Environment::from([("HOME", home.as_os_str())]);
        assert_eq!(placed(&environment, &file, 1).unwrap().home, None, "the control");
        mode(data.parent().unwrap(), 0o777);
        assert_eq!(placed(&environment, &file, 1).unwrap().home, Some(home.join(".cache/pinfold/portable")));
        // A sticky directory will do: what is there is whose it is.
        mode(data.parent().unwrap(), 0o755);
        mode(&home, 0o1777);
        assert_eq!(placed(&environment, &file, 1).unwrap().home, None);
    }

    #[test]
    fn without_room_every_place_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let environment = Environment::from([("HOME", scratch.path().as_os_str())]);
        let file = scratch.path().join("f");
        let error = placed(&environment, &file, u64::MAX).unwrap_err();
        let said = error.to_string();
        for place in [".local/share/pinfold", ".cache/pinfold/portable", "f.pinfold"] {
            assert!(said.contains(place) && said.contains("has room for"), "{said}");
        }
        // Unless it is unpacked already.
        let root = scratch.path().join(".local/share/pinfold/rootfs/x");
        fs::create_dir_all(&root).unwrap();
        assert!(placed(&environment, &file, u64::MAX).is_ok());
    }
}
