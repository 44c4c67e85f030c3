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
//! **Guarantees**: the place is the user's own, and all directories that lead there are theirs or root's, and written to by nobody else
//! (or sticky): nobody else can put something there first, or in its place later. **Refuses** places that others can write to, from which
//! nothing is executed (`noexec`), without room, and those that meet what the agent works on. Nothing is written before one is found.

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
use pinfold_image::portable::Portable;
use rustix::fs::Access;
use rustix::fs::StatVfsMountFlags;

use super::program;
use crate::context::Environment;

/// Who is who, and in which groups.
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// The variable that says where pinfold's folders are.
const HOME: &str = "PINFOLD_HOME";
/// Room for homes and records beside what is unpacked.
const BESIDE: u64 = 16 << 20;

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
            "set `PINFOLD_HOME` to a directory of yours with room, from which programs may be executed, and which no agent works on"
                .into(),
        )
    }
}

fn listed(tried: &[(PathBuf, String)]) -> String {
    let each = tried.iter().map(|(path, why)| format!("`{}` {why}", path.display()));
    each.collect::<Vec<_>>().join("; ")
}

/// Bytes that a file will write below these folders: nothing of what is there already.
pub fn needed(portable: &Portable, folders: &Home) -> u64 {
    let root = folders.data().join("rootfs").join(portable.index().image.digest.hex());
    let missing = |path: &Path, size: u64| if path.exists() { 0 } else { size };
    let program = missing(&program::path(portable, folders), portable.program_size());
    match missing(&root, portable.index().unpacked).saturating_add(program) {
        0 => 0,
        bytes => bytes.saturating_add(BESIDE),
    }
}

/// Where `file`, which will write about as many bytes below some folders as `needed` says, may keep them. What an agent works on, where
/// that is known, is no place: it could change what is kept.
pub fn place(
    environment: &Environment,
    file: &Path,
    workspace: Option<&Path>,
    needed: impl Fn(&Home) -> u64,
) -> Result<Place, PlaceError> {
    let mut tried = Vec::new();
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // One that holds the whole home is refused for that, by who runs the agent.
    let is_worked_on =
        |workspace: &PathBuf| !environment.home().is_some_and(|home| real(home).starts_with(workspace));
    let workspace = workspace.map(real).filter(is_worked_on);
    let suitable = |folders: &Home| {
        apart(folders.data(), workspace.as_deref())?;
        suitable(folders.data(), needed(folders))
    };
    let mut look = |home: Option<PathBuf>, folders: Home| match suitable(&folders) {
        Ok(()) => Some(Place { home, folders }),
        Err(why) => {
            tried.push((folders.data().to_owned(), why));
            None
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

/// Whether a folder, which need not be there yet, lies outside of a workspace (a real path), and the workspace outside of it.
fn apart(folder: &Path, workspace: Option<&Path>) -> Result<(), String> {
    let Some(workspace) = workspace else { return Ok(()) };
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(folder);
    // What is not there yet lies where the rest does.
    let real = fs::canonicalize(there).unwrap_or_else(|_| there.to_owned());
    if real.starts_with(workspace) || there == folder && workspace.starts_with(&real) {
        return Err(format!("meets `{}`, which the agent works on and could change", workspace.display()));
    }
    Ok(())
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
    // By both names: whoever can change one that leads there, or a link in it, decides where it leads.
    let real = fs::canonicalize(there).map_err(of)?;
    let named = std::path::absolute(there).map_err(of)?;
    for above in real.ancestors().chain(named.ancestors()) {
        let data = fs::metadata(above).map_err(of)?;
        others(above, &data, there == folder && above == real)?;
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

/// Refuses a directory in which other users could put something else in place of what is below it: one that is theirs, or that they
/// can write to. Where what is there is whose it is (`/tmp`, with the sticky bit) they cannot; in the place itself they could put more.
fn others(directory: &Path, data: &std::fs::Metadata, is_place: bool) -> Result<(), String> {
    let shown = directory.display();
    let user = rustix::process::geteuid().as_raw();
    let nobody = || {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        nobody_is_root(&read("/proc/self/uid_map"), &read("/proc/sys/kernel/overflowuid"))
    };
    if data.uid() != user && (is_place || (data.uid() != 0 && nobody() != Some(data.uid()))) {
        return Err(format!("is another user's (`{shown}`)"));
    }
    // Many systems give each user a group of their own, and files that this group may write to.
    let shared = if is_own_group(data.gid(), user) { 0o002 } else { 0o022 };
    if data.mode() & shared != 0 && (is_place || data.mode() & 0o1000 == 0) {
        return Err(format!("can be written to by other users (`{shown}`)"));
    }
    Ok(())
}

/// The id that root's files have where a user namespace does not map root, as in most containers without root (user_namespaces(7),
/// "Unmapped user and group IDs"); none where every id has its own. Others that are not mapped look the same: they could only be who
/// made the directory that holds the user's own.
fn nobody_is_root(map: &str, overflow: &str) -> Option<u32> {
    let every = |line: &str| line.split_whitespace().eq(["0", "0", "4294967295"]);
    if map.lines().any(every) { None } else { overflow.trim().parse().ok() }
}

/// Whether a group is the one of a user that nobody else is in, as far as passwd(5) and group(5) say. Root's is not asked about.
fn is_own_group(group: u32, user: u32) -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    user != 0
        && group == rustix::process::getegid().as_raw()
        && alone_in(group, user, &read(PASSWD), &read(GROUP))
}

/// Whether a user, and nobody else, has this group in the text of a passwd(5), and its line in that of a group(5) names nobody else.
fn alone_in(group: u32, user: u32, passwd: &str, groups: &str) -> bool {
    let number = |text: Option<&&str>| text.and_then(|text| text.parse::<u32>().ok());
    let mut name = None;
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if number(fields.get(3)) != Some(group) {
            continue;
        }
        if number(fields.get(2)) != Some(user) {
            return false;
        }
        name = fields.first().copied();
    }
    let lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut of_group = lines.filter(|fields| number(fields.get(2)) == Some(group));
    let members = |fields: &Vec<&str>| fields.get(3).copied().unwrap_or_default().to_owned();
    match (name, of_group.next(), of_group.next()) {
        (Some(name), Some(line), None) => {
            members(&line).split(',').all(|member| member.is_empty() || member == name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn placed(environment: &Environment, file: &Path, unpacked: u64) -> Result<Place, PlaceError> {
        place(
            environment,
            file,
            None,
            |folders| if folders.data().join("rootfs/x").is_dir() { 0 } else { unpacked },
        )
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
    fn nobody_else_can_rename_what_is_above_a_place() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir_all(at("open/mine/deep")).unwrap();
        std::os::unix::fs::symlink(at("open/mine"), at("link")).unwrap();
        fs::create_dir(at("mine")).unwrap();
        std::os::unix::fs::symlink(at("mine"), at("open/link")).unwrap();
        let tried = |place: &str| {
            let home = at(place);
            let said = Environment::from([("PINFOLD_HOME", home.as_os_str())]);
            placed(&said, &at("f"), 1).map(drop).map_err(|error| error.to_string())
        };
        for place in ["open/mine/deep/x", "link/deep/x", "open/link/x"] {
            assert_eq!(tried(place), Ok(()), "{place}: the control");
            mode(&at("open"), 0o777);
            assert!(tried(place).unwrap_err().contains("other users"), "{place}");
            mode(&at("open"), 0o1777);
            assert_eq!(tried(place), Ok(()), "{place}");
            mode(&at("open"), 0o755);
        }
    }

    #[test]
    fn root_is_nobody_where_it_is_not_mapped() {
        // As the kernel writes them: the first namespace, one of `unshare --map-current-user`, one of podman's.
        assert_eq!(nobody_is_root("         0          0 4294967295\n", "65534\n"), None);
        assert_eq!(nobody_is_root("      1001       1001          1\n", "65534\n"), Some(65534));
        let podman = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(nobody_is_root(podman, "65534\n"), Some(65534));
        assert_eq!(nobody_is_root("", ""), None);
    }

    #[test]
    fn a_group_of_ones_own_has_nobody_else() {
        let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nyou:x:1001:100::/:\n";
        let groups = "root:x:0:\nme:x:1000:\nusers:x:100:me\n";
        assert!(alone_in(1000, 1000, passwd, groups));
        assert!(alone_in(1000, 1000, passwd, "me:x:1000:me\n"));
        for (group, user, more, groups) in [
            (1000, 1001, "", groups),
            (100, 1001, "", groups),
            (1000, 1000, "", "me:x:1000:you\n"),
            (1000, 1000, "", "me:x:1000:\nus:x:1000:you\n"),
            (1000, 1000, "", ""),
            (1000, 1000, "you:x:1001:1000::/:\n", groups),
        ] {
            assert!(
                !alone_in(group, user, &format!("{passwd}{more}"), groups),
                "{group} {user} {more} {groups}"
            );
        }
    }

    #[test]
    fn what_the_agent_works_on_is_no_place() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for folder in ["me/w/deep", "me/.local/share/pinfold/w", "kept"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        std::os::unix::fs::symlink(at("me/w"), at("link")).unwrap();
        let said = |home: &str, workspace: Option<&str>| {
            let said = Environment::from([("PINFOLD_HOME", at(home).as_os_str())]);
            place(&said, &at("f"), workspace.map(at).as_deref(), |_| 1).map_err(|error| error.to_string())
        };
        for (home, workspace) in [
            ("me/w", "me/w"),
            ("me/w/new", "me/w"),
            ("link/x", "me/w"),
            ("me/w/x", "link"),
            ("me/w/deep", "me"),
        ] {
            let refused = said(home, Some(workspace)).unwrap_err();
            assert!(refused.contains("the agent works on"), "{home} {workspace}: {refused}");
            assert!(said(home, None).is_ok() && said(home, Some("kept")).is_ok(), "{home}: the control");
        }
        assert!(!at("me/w/new").exists(), "nothing is written");
        // That of a whole home is not looked at here.
        let with_home = [("HOME", at("me")), ("PINFOLD_HOME", at("me/x"))];
        let with_home =
            Environment::from(with_home.each_ref().map(|(name, value)| (*name, value.as_os_str())));
        assert!(place(&with_home, &at("f"), Some(&at("me")), |_| 1).is_ok());
        // Others that will do are taken instead.
        let environment = Environment::from([("HOME", at("me").as_os_str())]);
        let found = |workspace: &str| place(&environment, &at("f"), Some(&at(workspace)), |_| 1).unwrap();
        assert_eq!(found("me/w").home, None);
        assert_eq!(found("me/.local/share/pinfold/w").home, Some(at("me/.cache/pinfold/portable")));
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
