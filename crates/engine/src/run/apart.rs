//! pinfold's own folders, which no sandbox may write to: images, other sandboxes, the user's word and the rules for trust are there.
//!
//! ```text
//!   DATA, CACHE, CONFIG, what links in them lead to    no writable mount holds one, or lies in one
//!   public keys, and answers of Nix, that CONFIG names  the same
//!   DATA/sandboxes, the key that signs                 no mount at all: homes with logins, and logs
//! ```
//!
//! **Guarantees**: the workspace, the repository beyond it, what a manifest mounts and what the user mounts are judged alike, by
//! their real paths and by what they are (a bind mount of the host is the same directory under another name).
//! **Leaves**: in mirror mode, what lies in the home that is handed over.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::MountSource;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use super::error::RunError;
use super::request::View;
use crate::context::Context;
use crate::settings::Holds;
use crate::settings::Named;
use crate::settings::SettingsError;

/// Where sandboxes are, in the data folder.
const SANDBOXES: &str = "sandboxes";

/// Why a sandbox may not have something.
const OURS: &str = "pinfold's own folders are there (see `PINFOLD_HOME`)";
const LOGINS: &str =
    "the homes of other sandboxes, with their logins, are there (in the data folder, see `PINFOLD_HOME`)";
const TRUST: &str =
    "your configuration is there, which says whose images are trusted, or a key that it names";
const ANSWER: &str = "the file is there that your configuration takes names of packages from";
const KEY: &str = "the key is there that your configuration signs images with";

/// Device and inode.
type Identity = (u64, u64);

/// What is kept apart from sandboxes.
pub(super) struct Apart {
    folders: Vec<Folder>,
}

/// One of pinfold's own.
struct Folder {
    place: Place,
    /// Why, to people.
    what: &'static str,
    /// Whether it may not be read either.
    secret: bool,
}

/// A directory by its real path, with what it and those above it are.
struct Place {
    path: PathBuf,
    own: Option<Identity>,
    above: Vec<Identity>,
}

impl Place {
    fn of(path: &Path) -> Self {
        let path = real(path);
        let above = path.ancestors().skip(1).filter_map(identity).collect();
        Self { own: identity(&path), above, path }
    }

    fn of_opened(opened: &Opened) -> Self {
        let above = opened.path.ancestors().skip(1).filter_map(identity).collect();
        Self { path: opened.path.clone(), own: opened.own, above }
    }

    /// Whether one of the two holds the other.
    fn meets(&self, other: &Self) -> bool {
        let holds = |outer: &Self, inner: &Self| {
            inner.path.starts_with(&outer.path)
                || outer.own.is_some_and(|own| inner.own == Some(own) || inner.above.contains(&own))
        };
        holds(self, other) || holds(other, self)
    }
}

impl Apart {
    /// Those of `context`.
    pub(super) fn of(context: &Context, view: View) -> Result<Self, SettingsError> {
        let (data, cache, config) = (context.home.data(), context.home.cache(), context.config_folder());
        let sandboxes = Place::of(&data.join(SANDBOXES));
        let mut folders = vec![Folder { place: sandboxes, what: LOGINS, secret: true }];
        for Named { path, holds } in &context.settings()?.files {
            let (what, secret) = match holds {
                Holds::PublicKey => (TRUST, false),
                Holds::PrivateKey => (KEY, true),
                Holds::Answer => (ANSWER, false),
            };
            folders.push(Folder { place: Place::of(path), what, secret });
        }
        for (folder, what) in
            [(data, OURS), (cache, OURS)].into_iter().chain(config.as_deref().map(|config| (config, TRUST)))
        {
            let place = Place::of(folder);
            let real = place.path.clone();
            folders.push(Folder { place, what, secret: false });
            // What was moved to another disk, and what another name of a part could be.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let place = match entry.file_type() {
                    Ok(kind) if kind.is_symlink() => Place::of(&path),
                    Ok(kind) if kind.is_dir() => {
                        Place { own: identity(&path), above: Vec::new(), path: real.join(entry.file_name()) }
                    }
                    _ => continue,
                };
                folders.push(Folder { place, what, secret: false });
            }
        }
        if view == View::Mirror
            && let Some(home) = context.environment.home()
        {
            let home = real(home);
            folders.retain(|folder| !folder.place.path.starts_with(&home));
        }
        Ok(Self { folders })
    }

    /// Why a sandbox may not have `path`, if it may not.
    pub(super) fn reason(&self, path: &Path, access: Access) -> Option<&'static str> {
        self.reason_for(&Place::of(path), access)
    }

    fn reason_for(&self, place: &Place, access: Access) -> Option<&'static str> {
        let met = self.folders.iter().filter(|folder| folder.place.meets(place));
        // That something may not be read is told to those who want to read it.
        match access {
            Access::ReadWrite => met.min_by_key(|folder| folder.secret).map(|folder| folder.what),
            Access::ReadOnly => met.filter(|folder| folder.secret).map(|folder| folder.what).next(),
        }
    }

    /// A mount by the real path that was judged; what is no path of the host is nobody's.
    pub(super) fn judge(&self, mount: Mount) -> Result<Mount, RunError> {
        let MountSource::Host(path) = &mount.source else { return Ok(mount) };
        // Once: what is judged is what is mounted, and whoever mounts it follows no link and looks whether it still is that.
        let opened = Opened::at(&real(path));
        if let Some(reason) = self.reason_for(&Place::of_opened(&opened), mount.access) {
            return Err(RunError::Mount { path: path.clone(), reason });
        }
        Ok(Mount { source: MountSource::Host(opened.path), judged: opened.own, ..mount })
    }
}

/// What stood at a path, and where that is, whatever has been exchanged on the way meanwhile: the kernel says it of the descriptor.
struct Opened {
    path: PathBuf,
    own: Option<Identity>,
}

impl Opened {
    fn at(path: &Path) -> Self {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).ok();
        let found = opened.and_then(|opened| {
            let stat = rustix::fs::fstat(&opened).ok()?;
            let path = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
            Some(Self { path, own: Some((stat.st_dev, stat.st_ino)) })
        });
        found.unwrap_or_else(|| Self { path: path.to_owned(), own: None })
    }
}

fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

/// The real path; of what is not there yet, that of what is above it.
fn real(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    let Some((above, real)) = found else { return path.to_owned() };
    match path.strip_prefix(above) {
        Ok(rest) if rest != Path::new("") => real.join(rest),
        _ => real,
    }
}

#[cfg(test)]
mod tests {
    use pinfold_base::Home;
    use pinfold_base::report::Silent;
    use pinfold_image::sign::Signer as _;

    use super::*;
    use crate::context;

    #[test]
    fn what_holds_pinfolds_folders_or_lies_in_one_is_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let path = |name: &str| base.join(name);
        for name in ["me/p/data/sandboxes", "me/p/data/images/blobs", "me/p/cache", "me/work", "disk/consent"]
        {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("me/p/data/images/index.json"), "{}").unwrap();
        std::os::unix::fs::symlink(path("disk/consent"), path("me/p/data/consent")).unwrap();
        std::os::unix::fs::symlink(path("me"), path("link")).unwrap();
        let home = Home::under(&path("link/p"));
        let mut context = Context::at(home, context::Network::Offline, Box::new(Silent)).unwrap();
        context.environment = [("HOME", path("me").to_str().unwrap())].into_iter().collect();
        let apart = Apart::of(&context, View::Isolated).unwrap();
        let mirror = Apart::of(&context, View::Mirror).unwrap();
        for (name, written, read, in_mirror) in [
            ("", false, false, false),
            ("me", false, false, true),
            ("link", false, false, true),
            ("me/p", false, false, true),
            ("me/p/data", false, false, true),
            ("me/p/data/sandboxes/x", false, false, true),
            ("me/p/data/images/blobs", false, true, true),
            ("me/p/data/images/index.json", false, true, true),
            ("me/p/cache", false, true, true),
            ("disk", false, true, false),
            ("disk/consent/x", false, true, false),
            ("me/work", true, true, true),
            ("me/p/data-2", true, true, true),
            ("other", true, true, true),
        ] {
            let may = |apart: &Apart, access| apart.reason(&path(name), access).is_none();
            let found = (may(&apart, Access::ReadWrite), may(&apart, Access::ReadOnly));
            assert_eq!(found, (written, read), "{name}");
            assert_eq!(may(&mirror, Access::ReadWrite), in_mirror, "{name}");
        }
    }

    #[test]
    fn what_decides_about_trust_is_no_sandboxs_and_the_key_that_signs_is_in_none() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let path = |name: &str| base.join(name);
        for name in ["home/config", "keys", "secret", "work", "dotfiles"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(
            path("keys/team.pub"),
            pinfold_image::sign::SecretKey::generate().unwrap().public().to_pem(),
        )
        .unwrap();
        let text = format!(
            "[[trust]]\nimages = '*'\nkeys = ['{0}/keys/team.pub']\n[sign]\nkey = '{0}/secret/key.pem'\n",
            base.display()
        );
        fs::write(path("dotfiles/pinfold.toml"), text).unwrap();
        std::os::unix::fs::symlink(path("dotfiles/pinfold.toml"), path("home/config/config.toml")).unwrap();
        let context =
            Context::at(Home::under(&path("home")), context::Network::Offline, Box::new(Silent)).unwrap();
        let apart = Apart::of(&context, View::Isolated).unwrap();
        for (name, written, read) in [
            ("home/config", false, true),
            ("keys", false, true),
            ("dotfiles", false, true),
            ("secret", false, false),
            ("secret/key.pem", false, false),
            ("work", true, true),
        ] {
            let may = |access| apart.reason(&path(name), access).is_none();
            assert_eq!((may(Access::ReadWrite), may(Access::ReadOnly)), (written, read), "{name}");
        }
        // One that cannot be used is no empty one.
        fs::write(path("dotfiles/pinfold.toml"), "[[trust]]").unwrap();
        let context =
            Context::at(Home::under(&path("home")), context::Network::Offline, Box::new(Silent)).unwrap();
        assert!(Apart::of(&context, View::Isolated).is_err());
    }

    /// A link that was put there after the path was found to have none: what is told is what was opened, not what was meant.
    #[test]
    fn what_is_judged_is_what_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("data/deep/deeper")).unwrap();
        std::os::unix::fs::symlink("data/deep", base.join("good")).unwrap();
        let opened = Opened::at(&base.join("good/deeper"));
        assert_eq!(opened.path, base.join("data/deep/deeper"));
        assert_eq!(opened.own, identity(&base.join("data/deep/deeper")));
        let home = Home::under(&base);
        let context = Context::at(home, context::Network::Offline, Box::new(Silent)).unwrap();
        let apart = Apart::of(&context, View::Isolated).unwrap();
        assert!(apart.reason_for(&Place::of_opened(&opened), Access::ReadWrite).is_some());
        // What is not there is nothing else either.
        assert!(Opened::at(&base.join("none")).own.is_none());
    }

    #[test]
    fn another_name_of_a_directory_is_the_same_place() {
        let dir = tempfile::tempdir().unwrap();
        let known = Place::of(dir.path());
        // As where the host has a bind mount.
        let alias = Place { path: "/elsewhere".into(), own: known.own, above: Vec::new() };
        let below = Place { path: "/elsewhere/x".into(), own: None, above: known.own.into_iter().collect() };
        let other = Place { path: "/elsewhere".into(), own: identity(Path::new("/")), above: Vec::new() };
        assert!(known.meets(&alias) && alias.meets(&known) && known.meets(&below));
        assert!(!Place { above: Vec::new(), ..known }.meets(&other));
    }
}
