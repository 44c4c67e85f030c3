//! What is done around process 1: a home that is filled, the program that is brought along, a token that is handed over.
//!
//! **Guarantees**: each is whole or not there. A token is written once, and nothing that is no token ever; no error shows it.

use std::io;
use std::io::Read;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use pinfold_base::directory;
use pinfold_base::directory::Likeness;
use pinfold_network::Token;
use rustix::fs::CWD;
use rustix::fs::RenameFlags;

use super::error::PodError;
use super::run::read;

/// Bytes of what is handed over for a token.
const MAX_TOKEN: u64 = 1024;
/// Bytes of a file that is laid over a home: a ConfigMap has no larger ones.
const MAX_LAID: usize = 1 << 20;
/// Files that are laid over a home, and how deep.
const MAX_FILES: usize = 1000;
const MAX_DEPTH: usize = 16;
/// What a file system of its own has in it.
const OF_VOLUMES: &str = "lost+found";

/// Writes the token that `input` has to where the task of `config` looks for it.
pub fn hand_over(config: &Path, input: impl Read) -> Result<(), PodError> {
    let path = read(config)?.proxy.token;
    let failed = |source| PodError::Write { path: path.clone(), source };
    let mut text = Vec::new();
    input.take(MAX_TOKEN).read_to_end(&mut text).map_err(failed)?;
    let token = Token::parse(&text).map_err(|source| PodError::Token { path: "stdin".into(), source });
    text.fill(0);
    std::hint::black_box(&text);
    let token = token?;
    let part = path.with_extension("part");
    let written = || -> io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(token.reveal().as_bytes())?;
        file.sync_all()?;
        Ok(rustix::fs::renameat_with(CWD, &part, CWD, &path, RenameFlags::NOREPLACE)?)
    };
    written().map_err(|source| {
        let _ = fs::remove_file(&part);
        failed(source)
    })
}

/// Copies the running program into a directory.
pub fn place(directory: &Path) -> Result<(), PodError> {
    let (to, part) = (directory.join("pinfold"), directory.join(".pinfold.part"));
    let written = || -> io::Result<()> {
        let mut program = fs::File::open("/proc/self/exe")?;
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&part)?;
        io::copy(&mut program, &mut file)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
        file.sync_all()?;
        drop(file);
        fs::rename(&part, &to)
    };
    written().map_err(|source| PodError::Write { path: to.clone(), source })
}

/// Fills the directory `to` with what is in `from`, and lays the files of each of `layers` over it. What an interrupted try has left goes
/// before.
pub fn seed(from: &Path, to: &Path, layers: &[impl AsRef<Path>]) -> Result<(), PodError> {
    let seeded = || -> io::Result<()> {
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if entry.file_name() != OF_VOLUMES {
                directory::remove(&entry.path())?;
            }
        }
        match fs::symlink_metadata(from) {
            Ok(data) if data.is_dir() => directory::copy(from, to, Likeness::Changeable)?,
            Ok(_) => return Err(io::Error::other(format!("`{}` is no directory", from.display()))),
            // An image may have no home.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut left = MAX_FILES;
        layers.iter().try_for_each(|layer| lay(layer.as_ref(), to, MAX_DEPTH, &mut left))
    };
    seeded().map_err(|source| PodError::Write { path: to.to_owned(), source })
}

/// Lays the files of a mounted ConfigMap over a directory. It has links of its own, whose names begin with two dots.
fn lay(layer: &Path, to: &Path, depth: usize, left: &mut usize) -> io::Result<()> {
    for entry in fs::read_dir(layer)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"..") {
            continue;
        }
        *left =
            left.checked_sub(1).ok_or_else(|| io::Error::other("there are too many files to lay over it"))?;
        let (from, to) = (entry.path(), to.join(&name));
        if fs::metadata(&from)?.is_dir() {
            if depth == 0 {
                return Err(io::Error::other("it is too deep"));
            }
            if !fs::symlink_metadata(&to).is_ok_and(|data| data.is_dir()) {
                fs::create_dir(&to)?;
            }
            lay(&from, &to, depth - 1, left)?;
            continue;
        }
        let text = super::read_bounded(&from, MAX_LAID)?;
        let mode = fs::symlink_metadata(&to).map_or(0o644, |data| data.permissions().mode() & 0o777);
        let part = to.with_file_name(".pinfold.part");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&text)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode | 0o600))?;
        drop(file);
        // In the place of a link, not through it.
        fs::rename(&part, &to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_home_is_filled_and_changed_files_are_laid_over_it() {
        let dir = tempfile::tempdir().unwrap();
        let (image, home, layer) =
            (dir.path().join("image"), dir.path().join("home"), dir.path().join("layer"));
        fs::create_dir_all(image.join(".codex")).unwrap();
        fs::write(image.join(".codex/config.toml"), "old").unwrap();
        fs::set_permissions(image.join(".codex/config.toml"), std::fs::Permissions::from_mode(0o600))
            .unwrap();
        symlink("/etc/passwd", image.join(".link")).unwrap();
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("left"), "of an interrupted try").unwrap();
        // As a kubelet mounts it.
        fs::create_dir_all(layer.join("..2030/.codex")).unwrap();
        fs::write(layer.join("..2030/.codex/config.toml"), "new").unwrap();
        fs::write(layer.join("..2030/.link"), "text").unwrap();
        symlink("..2030", layer.join("..data")).unwrap();
        symlink("..data/.codex", layer.join(".codex")).unwrap();
        symlink("..data/.link", layer.join(".link")).unwrap();
        for _ in 0..2 {
            seed(&image, &home, &[&layer]).unwrap();
            assert_eq!(fs::read_to_string(home.join(".codex/config.toml")).unwrap(), "new");
            let mode = fs::metadata(home.join(".codex/config.toml")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(fs::symlink_metadata(home.join(".link")).unwrap().is_file());
            let mut names: Vec<_> =
                fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, [".codex", ".link"]);
        }
        seed(&dir.path().join("nowhere"), &home, &[] as &[&Path]).unwrap();
        assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
        assert!(seed(&layer.join("..2030/.link"), &home, &[] as &[&Path]).is_err());
    }

    #[test]
    fn the_program_is_placed_whole() {
        let dir = tempfile::tempdir().unwrap();
        place(dir.path()).unwrap();
        place(dir.path()).unwrap();
        let placed = dir.path().join("pinfold");
        assert_eq!(fs::read(&placed).unwrap(), fs::read("/proc/self/exe").unwrap());
        assert_eq!(fs::metadata(&placed).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(place(&dir.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_token_is_handed_over_once() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token/token");
        fs::create_dir(dir.path().join("token")).unwrap();
        let config = dir.path().join("pod.json");
        let task = serde_json::json!({
            "version": 1,
            "proxy": { "addresses": ["10.96.0.80:8443"], "name": "pinfold-proxy", "ca": "/etc/pinfold/pod/ca.pem",
                "token": token, "token_wait_seconds": 5 },
            "listens": [ {"route": 0, "at": {"port": 3128}} ],
            "probes": { "connect": ["1.1.1.1:443"], "patience_seconds": 60 },
            "workspace": "/workspace", "writable": [], "program": ["true"], "terminal": false,
        });
        fs::write(&config, task.to_string()).unwrap();
        for text in ["", "canary", &"c".repeat(2000)] {
            let error = hand_over(&config, text.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("canary") && !token.exists(), "{error}");
        }
        let text = format!("{}\n", "0f".repeat(32));
        hand_over(&config, text.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&token).unwrap(), text);
        assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
        // Nobody takes another's place.
        assert!(hand_over(&config, format!("{}\n", "1e".repeat(32)).as_bytes()).is_err());
        assert_eq!(fs::read_to_string(&token).unwrap(), text);
        assert_eq!(fs::read_dir(dir.path().join("token")).unwrap().count(), 1);
    }
}
