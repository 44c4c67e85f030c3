//! Where pinfold keeps things on this machine.
//!
//! ```text
//! cache/                      $XDG_CACHE_HOME/pinfold     can be fetched or composed again
//!   blobs/ALG/HEX             downloads, named by digest           (base::store)
//!   decoded/                  archives in their seekable form      (archive::decoded)
//!   metadata/                 verified indexes of archives         (sources)
//!   layers/                   composed layers and their records    (engine::build::layers)
//!   tmp/                      files being written
//! data/                       $XDG_DATA_HOME/pinfold
//!   images/                   OCI layout of built and pulled images (image::store)
//!   rootfs/ sandboxes/        unpacked images, sandboxes           (engine::run)
//! config/                     $XDG_CONFIG_HOME/pinfold
//!   config.toml               what the user configured             (engine::settings)
//! ```
//!
//! `PINFOLD_HOME=DIR` puts all under one folder: `DIR/cache`, `DIR/data` and `DIR/config`. What lies in the data folder decides what runs and
//! what was agreed to: it is the user's alone, whatever the umask.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;

/// The folders, not yet created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    cache: PathBuf,
    data: PathBuf,
    config: Option<PathBuf>,
}

impl Home {
    /// The folders that the environment asks for; `None` when neither `PINFOLD_HOME`, the XDG variables nor `HOME` say.
    /// `lookup` is `std::env::var_os` in the program. Relative XDG values are ignored, as their specification demands.
    pub fn from_env(lookup: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<Self> {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(home) = set("PINFOLD_HOME") {
            return Some(Self::under(&std::path::absolute(home).ok()?));
        }
        let xdg = |name: &str, fallback: &str| {
            set(name)
                .filter(|path| path.is_absolute())
                .or_else(|| set("HOME").map(|home| home.join(fallback)))
                .map(|path| path.join("pinfold"))
        };
        Some(Self {
            cache: xdg("XDG_CACHE_HOME", ".cache")?,
            data: xdg("XDG_DATA_HOME", ".local/share")?,
            config: xdg("XDG_CONFIG_HOME", ".config"),
        })
    }

    /// All folders under `dir`.
    pub fn under(dir: &Path) -> Self {
        Self { cache: dir.join("cache"), data: dir.join("data"), config: Some(dir.join("config")) }
    }

    /// What can be fetched or composed again.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// What the user made: images, root file systems, sandboxes.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What the user wrote for pinfold; `None` where nothing says where that is.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

/// Makes a folder that only the user can enter, or the one that is there the user's alone. Another's is left as it is.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::metadata(folder)?;
    if found.mode() & 0o077 != 0 && found.uid() == rustix::process::geteuid().as_raw() {
        fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_folder_is_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o777;
        private_folder(&dir.path().join("a/b")).unwrap();
        assert_eq!((mode("a"), mode("a/b")), (0o700, 0o700));
        fs::set_permissions(dir.path().join("a/b"), std::fs::Permissions::from_mode(0o777)).unwrap();
        private_folder(&dir.path().join("a/b")).unwrap();
        assert_eq!(mode("a/b"), 0o700);
    }

    fn home(vars: &[(&str, &str)]) -> Option<Home> {
        Home::from_env(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(home(&[("PINFOLD_HOME", "/p"), ("HOME", "/h")]), Some(Home::under(Path::new("/p"))));
        let xdg = home(&[("XDG_CACHE_HOME", "/c"), ("XDG_DATA_HOME", "relative"), ("HOME", "/h")]).unwrap();
        assert_eq!(xdg.cache(), Path::new("/c/pinfold"));
        assert_eq!(xdg.data(), Path::new("/h/.local/share/pinfold"));
        assert_eq!(xdg.config(), Some(Path::new("/h/.config/pinfold")));
        assert_eq!(home(&[]), None);
    }
}
