//! Nix inside: whether what an image has in `/nix` can be written to in a sandbox, and where what is written goes.
//!
//! An image that has Nix and a store gets a store of the sandbox's own unless something else is said, kept and removed as the
//! sandbox's home is: Nix can do next to nothing without. A store without Nix stays as it is: then its programs are all that anybody
//! wants of it. A shared one is a copy for all sandboxes of one image and user, in `DATA/nix/HEX` (the manifest's SHA-256).
//!
//! **Guarantees**: the image stays as it is, and what is written over one image is never seen in another. Nothing of it is run by the
//! host. **Refuses** a store where the image has none.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::Kept;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::MountSource;
use pinfold_sandbox::spec::Sockets;
use pinfold_sandbox::spec::Written;

use super::error::RunError;
use crate::project::manifest::run::NixStore;

/// Where Nix has everything.
const NIX: &str = "/nix";
/// What is there where there is a store.
const DATABASE: &str = "nix/var/nix/db/db.sqlite";
/// Programs by which Nix is known.
const PROGRAMS: [&str; 2] = ["nix", "nix-store"];

/// Where shared stores are, by the digest of the image's manifest.
pub(crate) fn shared(data: &Path) -> PathBuf {
    data.join("nix")
}

/// The mount of `/nix` in a sandbox that has its other mounts already; `None` where it stays as the image has it.
pub(super) fn store(said: Option<NixStore>, spec: &Spec, data: &Path) -> Result<Option<Mount>, RunError> {
    let has_store = is_plain(&spec.rootfs, Path::new(DATABASE));
    let has_other =
        spec.mounts.iter().map(|mount| mount.target.as_path()).chain([spec.home.target.as_path()]);
    let is_taken =
        has_other.into_iter().any(|target| target.starts_with(NIX) || Path::new(NIX).starts_with(target));
    let kept = match said {
        Some(NixStore::ReadOnly) => return Ok(None),
        None if !has_store || is_taken || !has_nix(spec) => return Ok(None),
        Some(_) if !has_store => return Err(RunError::NoNixStore),
        None | Some(NixStore::Private) => Kept::Sandbox,
        Some(NixStore::Shared) => Kept::Shared(shared(data).join(image(spec))),
    };
    let written = Written {
        image: image(spec),
        // The database, and what Nix makes beside it.
        whole: vec!["var".into()],
        alone: vec!["store".into()],
        kept,
    };
    Ok(Some(Mount {
        source: MountSource::Image(written),
        // Nobody outside listens there.
        sockets: Sockets::Allow,
        ..Mount::writable(Path::new(NIX), Path::new(NIX))
    }))
}

/// The name of the unpacked root, which is the digest of its manifest.
fn image(spec: &Spec) -> String {
    spec.rootfs.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a program of Nix is on `PATH`.
fn has_nix(spec: &Spec) -> bool {
    let path = spec.env.get("PATH").map_or("", String::as_str);
    path.split(':').map(Path::new).filter(|folder| folder.is_absolute()).any(|folder| {
        let folder = folder.strip_prefix("/").unwrap_or(folder);
        PROGRAMS.iter().any(|program| is_plain(&spec.rootfs, &folder.join(program)))
    })
}

/// Whether there is something at `path` of a root, without a link or `..` on the way.
fn is_plain(root: &Path, path: &Path) -> bool {
    let Some(parent) = path.parent() else { return false };
    let mut place = root.to_owned();
    for component in parent.components() {
        let Component::Normal(name) = component else { return false };
        place.push(name);
        if !fs::symlink_metadata(&place).is_ok_and(|data| data.is_dir()) {
            return false;
        }
    }
    fs::symlink_metadata(root.join(path)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233";

    fn spec(files: &[&str]) -> (tempfile::TempDir, Spec) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(HEX);
        fs::create_dir(&root).unwrap();
        for file in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        let mut spec = Spec::new("one", root, vec!["x".into()]);
        spec.env.insert("PATH".into(), "/nix/profile/bin:/usr/bin".into());
        (dir, spec)
    }

    #[test]
    fn a_store_can_be_written_to_where_the_image_has_nix() {
        use NixStore::Private;
        use NixStore::ReadOnly;
        use NixStore::Shared;
        let sandbox = Some(Kept::Sandbox);
        let everybodys = Some(Kept::Shared(PathBuf::from("/data/nix").join(HEX)));
        let debians: &[&str] = &[DATABASE, "usr/bin/nix-store"];
        let own: &[&str] = &[DATABASE, "nix/profile/bin/nix"];
        for (files, said, expected) in [
            (debians, None, sandbox.clone()),
            (own, None, sandbox.clone()),
            // Programs from a store, and no Nix.
            (&[DATABASE][..], None, None),
            (&[DATABASE], Some(Private), sandbox),
            // Nix, and no store.
            (&["usr/bin/nix"], None, None),
            (own, Some(ReadOnly), None),
            (own, Some(Shared), everybodys),
        ] {
            let (_dir, spec) = spec(files);
            let mount = store(said, &spec, Path::new("/data")).unwrap();
            let kept = mount.map(|mount| match mount.source {
                MountSource::Image(written) => {
                    assert_eq!(written.image, HEX);
                    written.kept
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(kept, expected, "{files:?} {said:?}");
        }
        let (_dir, without) = spec(&["usr/bin/nix"]);
        for said in [Private, Shared] {
            let error = store(Some(said), &without, Path::new("/data")).unwrap_err();
            assert!(matches!(error, RunError::NoNixStore), "{error}");
        }
    }

    /// The user's own mount there is what is meant.
    #[test]
    fn another_mount_there_goes_before() {
        for target in ["/nix", "/nix/store"] {
            let (_dir, mut spec) = spec(&[DATABASE, "usr/bin/nix"]);
            spec.mounts.push(Mount::read_only("/somewhere", target));
            assert_eq!(store(None, &spec, Path::new("/data")).unwrap(), None, "{target}");
        }
    }

    #[test]
    fn links_of_the_image_are_not_followed() {
        let (dir, spec) = spec(&[DATABASE]);
        fs::create_dir(dir.path().join("host")).unwrap();
        fs::write(dir.path().join("host/nix"), "").unwrap();
        fs::create_dir(spec.rootfs.join("usr")).unwrap();
        fs::os::unix::fs::symlink(dir.path().join("host"), spec.rootfs.join("usr/bin")).unwrap();
        assert_eq!(store(None, &spec, Path::new("/data")).unwrap(), None);
    }
}
