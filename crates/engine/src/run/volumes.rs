//! Volumes of an image (image-spec config.md, `Volumes`): directories that its programs write to.
//!
//! They are empty directories in memory, gone with the run, and count into the sandbox's memory; the root around them stays
//! read-only.
//!
//! **Leaves alone** a volume that a sandbox has otherwise (`/tmp`, `/run`, home, workspace, mounts and what is below them), one among
//! programs and settings (`/usr`, `/etc`), and what is no directory; says so of one with files of the image in it, which would be hidden. What an image says is not an order:
//! at most [`MOUNTED`] are mounted, and no link in the image is followed.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::MountSource;

/// Volumes at most.
const MOUNTED: usize = 32;
/// What a sandbox has anyway, with all that is below.
const GIVEN: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];

/// What no volume changes: programs and settings.
const SYSTEM: [&str; 9] = ["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr"];
/// Longest name in a directory.
const NAME_MAX: usize = 255;

/// What is mounted for an image's volumes, and what is to be said about the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Volumes {
    pub(super) mounts: Vec<Mount>,
    pub(super) notes: Vec<String>,
}

/// `said` by an image, in a sandbox that has its other mounts already.
pub(super) fn of(said: &[String], spec: &Spec) -> Volumes {
    let mut volumes = Volumes::default();
    let taken = spec.mounts.iter().map(|mount| mount.target.as_path()).chain([spec.home.target.as_path()]);
    let taken: Vec<&Path> = taken.chain(GIVEN.map(Path::new)).collect();
    for volume in said {
        // Without doubled and closing slashes.
        let path: PathBuf = Path::new(volume).components().collect();
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let short = path.components().all(|part| part.as_os_str().len() <= NAME_MAX);
        // The way to programs and settings stays the image's.
        let system = SYSTEM.iter().any(|system| path.starts_with(system));
        let twice = volumes.mounts.iter().any(|mount| mount.target == path);
        // Above one of them it would hide the way to what is mounted there.
        let apart = taken.iter().all(|taken| !path.starts_with(taken) && !taken.starts_with(&path));
        if !plain || !short || !path.is_absolute() || !apart || system || twice {
            continue;
        }
        if volumes.mounts.len() == MOUNTED {
            volumes.notes.push(format!("of the image's volumes the first {MOUNTED} are there"));
            break;
        }
        match stands(&spec.rootfs, &path) {
            Standing::Free => volumes.mounts.push(Mount {
                source: MountSource::Memory(spec.tmp_bytes),
                ..Mount::writable(Path::new("/"), &path)
            }),
            Standing::Filled => volumes.notes.push(format!(
                "the volume `{}` has files of the image in it and stays read-only",
                path.display().to_string().escape_debug()
            )),
            Standing::Other => {}
        }
    }
    volumes
}

/// What an image has at the path of a volume.
enum Standing {
    /// Nothing, or an empty directory.
    Free,
    /// A directory with something in it.
    Filled,
    /// A link on the way, or no directory.
    Other,
}

fn stands(root: &Path, path: &Path) -> Standing {
    let mut place = root.to_owned();
    for component in path.components().skip(1) {
        place.push(component);
        match fs::symlink_metadata(&place) {
            Ok(data) if data.is_dir() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Standing::Free,
            Ok(_) | Err(_) => return Standing::Other,
        }
    }
    match fs::read_dir(&place).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Standing::Free,
        Ok(false) => Standing::Filled,
        Err(_) => Standing::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_writable_memory_where_the_image_has_nothing_and_the_sandbox_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for folder in ["var/lib/free", "var/lib/filled", "data", "outside"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("var/lib/filled/file"), "").unwrap();
        fs::write(root.join("data/file"), "").unwrap();
        fs::os::unix::fs::symlink("/outside", root.join("data/link")).unwrap();
        let mut spec = Spec::new("one", &root, vec!["x".into()]);
        spec.home.target = "/home/me".into();
        spec.mounts = vec![Mount::writable(dir.path(), "/work/project")];
        for (volume, mounted, noted) in [
            ("/var/lib/free", true, false),
            ("/var/lib/free/deeper", true, false),
            ("/var/lib/filled", false, true),
            ("/data/file", false, false),
            ("/data/link", false, false),
            ("/data/link/below", false, false),
            ("/var//lib/../lib/free", false, false),
            ("/usr/local/bin", false, false),
            ("/etc/x", false, false),
            ("/lib64/x", false, false),
            ("/tmp", false, false),
            ("/run/x", false, false),
            ("/proc/x", false, false),
            ("/", false, false),
            ("/home", false, false),
            ("/home/me/.cache", false, false),
            ("/work", false, false),
            ("/work/project/.git", false, false),
            ("/work/other", true, false),
            ("/var/../etc", false, false),
            ("relative", false, false),
        ] {
            let volumes = of(&[volume.to_owned()], &spec);
            let targets: Vec<PathBuf> = volumes.mounts.into_iter().map(|mount| mount.target).collect();
            assert_eq!(
                targets,
                mounted.then(|| PathBuf::from(volume)).into_iter().collect::<Vec<_>>(),
                "{volume}"
            );
            assert_eq!(!volumes.notes.is_empty(), noted, "{volume}");
        }
        let long = format!("/var/{}/x", "n".repeat(300));
        assert_eq!(of(&[long], &spec).mounts, []);
        // However it is spelled, it is one.
        let spelled = ["/data-2".to_owned(), "/data-2/".to_owned(), "//data-2".to_owned()];
        assert_eq!(of(&spelled, &spec).mounts.len(), 1);
        let many: Vec<String> = (0..100).map(|number| format!("/var/{number}")).collect();
        assert_eq!(of(&many, &spec).mounts.len(), MOUNTED);
        // One within another is a mount of its own.
        let nested = ["/var/lib/free".to_owned(), "/var/lib/free/deeper".to_owned()];
        assert_eq!(of(&nested, &spec).mounts.len(), 2);
    }
}
