//! Settings of agents for homes that are older than the image: what the image's files have and a home's lack is added at each start.
//!
//! A home is filled from the image once. An image of later, or of another agent, would find in it neither its own settings nor the file
//! that ends the first questions, and a program in the image that joined them would need one of its own for JSON.
//!
//! **Guarantees**: only files that a recipe has in the home, as the image has them: its owner may have changed them there.
//! **Leaves alone**: what a home says itself, and the caller's own home.

use std::path::Path;

use pinfold_sandbox::spec::Change;
use pinfold_sandbox::spec::HomeEdit;

use crate::project::folder::Folder;
use crate::project::recipe::Recipe;

/// The largest of the image's files that is taken.
const SIZE_MAX: u64 = 1 << 20;

/// What is added to the home at `inside`, in an image at `root`.
pub(super) fn added(recipes: &[Recipe], root: &Path, inside: &Path) -> Vec<HomeEdit> {
    let Ok(image) = Folder::open(root) else { return Vec::new() };
    let inside = inside.strip_prefix("/").unwrap_or(inside);
    let text = |path: &str| {
        let opened = image.find(&inside.join(path)).ok()??;
        // A link of the image may lead to the host's files.
        let bytes = opened.outside().is_none().then(|| opened.bytes(SIZE_MAX).ok())??;
        String::from_utf8(bytes).ok()
    };
    let files = recipes.iter().flat_map(|recipe| &recipe.home);
    let edit = |path: &String| {
        let change = Change::Missing(text(path)?);
        Some(HomeEdit { path: path.into(), change, is_there: true })
    };
    files.filter_map(|file| edit(&file.path)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_of_recipes_are_taken_as_the_image_has_them_and_no_link_out_of_it_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (image, host) = (dir.path().join("image"), dir.path().join("host"));
        for (root, text) in [(&image, "image"), (&host, "host")] {
            fs_err::create_dir_all(root.join("home/u/.claude")).unwrap();
            fs_err::write(root.join("home/u/.claude/settings.json"), text).unwrap();
            fs_err::write(root.join("home/u/.other"), text).unwrap();
        }
        let recipes = [Recipe::built_in("claude-code").unwrap()];
        let taken = |home: &str| {
            let edits = added(&recipes, &image, Path::new(home));
            let line =
                |edit: &HomeEdit| format!("{} {:?} {}", edit.path.display(), edit.change, edit.is_there);
            edits.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(taken("/home/u"), [".claude/settings.json Missing(\"image\") true"]);
        symlink(host.join("home"), image.join("away")).unwrap();
        symlink(host.join("home/u/.other"), image.join("home/u/.claude.json")).unwrap();
        assert_eq!(taken("/home/u").len(), 1);
        for none in ["/away/u", "/nowhere", "/"] {
            assert_eq!(taken(none), Vec::<String>::new(), "{none}");
        }
    }
}
