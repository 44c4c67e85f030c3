//! The file or directory that an image is read from, where it lies in what an agent works on: whoever starts it there the next time
//! shall find what was packed.
//!
//! **Guarantees**: what is given is below the workspace, by its real path. **Refuses** nothing: a name that is no text is not protected.

use std::path::Path;

use fs_err as fs;
use pinfold_image::Location;
use pinfold_image::location::LocationKind;
use pinfold_image::portable::FOLDER;

use crate::project::manifest::run::WorkspacePath;

/// What of a workspace (a real path) an image of this name is read from. Nothing where that is no such file, lies elsewhere, or has a
/// name that is no text.
pub(crate) fn in_workspace(image: &str, workspace: &Path) -> Vec<WorkspacePath> {
    let Ok(Location { kind: LocationKind::AppImage, path, .. }) = image.parse() else { return Vec::new() };
    let Ok(real) = fs::canonicalize(path) else { return Vec::new() };
    let Some(inner) = real.strip_prefix(workspace).ok().and_then(Path::to_str) else { return Vec::new() };
    let paths = if inner.is_empty() { FOLDER.to_vec() } else { vec![inner] };
    paths.into_iter().filter_map(|path| path.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_an_agent_in_its_workspace_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(scratch.path()).unwrap();
        fs::create_dir_all(base.join("work/box")).unwrap();
        fs::write(base.join("work/a:b.AppImage"), "").unwrap();
        let kept = |image: &str, workspace: &str| {
            let image = format!("appimage:{}/{image}", base.display());
            let paths = in_workspace(&image, &base.join(workspace));
            paths.iter().map(|path| path.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kept("work/box", "work"), ["box"]);
        assert_eq!(kept("work/box", "work/box"), FOLDER);
        assert_eq!(kept("work/a:b.AppImage", "work"), ["a:b.AppImage"]);
        assert_eq!(kept("work/a:b.AppImage", "work/box"), [""; 0]);
        assert_eq!(kept("work/nothing", "work"), [""; 0]);
        assert!(in_workspace("box", &base).is_empty());
    }
}
