//! `/etc/shells` and its state, as update-shells and add-shell of debianutils make them.
//!
//! The list is that of debianutils, then the shells that packages declare in `/usr/share/debianutils/shells.d`, each with
//! its place in the merged /usr. Bootstrap tools configure Essential packages first, so theirs come before what scripts add,
//! and the others after; the image has the same order.

use super::PlaceError;
use super::image::Image;
use super::image::known;

const PACKAGE: &str = "debianutils";

/// Writes both files. `first` says which of the declarations (by file name) come first; `added` are the shells of scripts.
pub(super) fn write(
    image: &mut Image<'_>,
    first: &dyn Fn(&[u8]) -> bool,
    added: &[String],
) -> Result<(), PlaceError> {
    let Some(template) = image.read(PACKAGE, &known("usr/share/debianutils/shells"))? else { return Ok(()) };
    let directory = known("usr/share/debianutils/shells.d");
    let (early, late): (Vec<_>, Vec<_>) =
        image.files_in(&directory).into_iter().partition(|path| first(path.name()));
    let mut state = with_places(&template);
    let mut etc: Vec<String> = lines(&template);
    let mut add = |shells: &[String]| {
        // What is added in one run is not looked at again, so a shell that is declared under both its names comes twice.
        let there = etc.clone();
        etc.extend(shells.iter().filter(|shell| !there.contains(shell)).cloned());
    };
    add(&state);
    for path in early {
        let shells = with_places(&image.read(PACKAGE, &path)?.unwrap_or_default());
        add(&shells);
        state.extend(shells);
    }
    for shell in added {
        add(&with_places(shell.as_bytes()));
    }
    let mut last = Vec::new();
    for path in late {
        last.extend(with_places(&image.read(PACKAGE, &path)?.unwrap_or_default()));
    }
    add(&last);
    state.extend(last);
    image.put("base", &known("etc/shells"), text(&etc));
    image.put("base", &known("var/lib/shells.state"), text(&state));
    Ok(())
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(ToOwned::to_owned).collect()
}

/// The shells of a list, each followed by its place in the merged /usr.
fn with_places(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines(bytes) {
        let shell = line.split('#').next().unwrap_or_default();
        if !shell.starts_with('/') {
            continue;
        }
        found.push(shell.to_owned());
        if ["/bin/", "/sbin/"].iter().any(|directory| shell.starts_with(directory)) {
            found.push(format!("/usr{shell}"));
        }
    }
    found
}

fn text(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Tree;
    use pinfold_archive::tree::InlineOnly;

    use super::*;
    use crate::accounts::Accounts;

    // Both files are those of an image made by mmdebstrap with bash, dash, tmux and zsh, "zsh twice" included.
    #[test]
    fn order_of_a_bootstrapped_image() {
        let mut image =
            Image { tree: Tree::new(), accounts: Accounts::minimal(), epoch: 7, contents: &InlineOnly };
        let directory = "usr/share/debianutils/shells";
        image.put("x", &known(directory), "# /etc/shells: valid login shells\n/bin/sh\n");
        image.put("x", &known(&format!("{directory}.d/bash")), "/bin/bash\n/bin/rbash\n");
        image.put("x", &known(&format!("{directory}.d/dash")), "/bin/dash\n");
        image.put("x", &known(&format!("{directory}.d/zsh")), "/bin/zsh\n/usr/bin/zsh\n");
        write(&mut image, &|name| name != b"zsh", &["/usr/bin/tmux".into()]).unwrap();
        let read = |path: &str| String::from_utf8(image.read("", &known(path)).unwrap().unwrap()).unwrap();
        let early = "/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/rbash\n/usr/bin/rbash\n/bin/dash\n/usr/bin/dash\n";
        let late = "/bin/zsh\n/usr/bin/zsh\n/usr/bin/zsh\n";
        assert_eq!(
            read("etc/shells"),
            format!("# /etc/shells: valid login shells\n{early}/usr/bin/tmux\n{late}")
        );
        assert_eq!(read("var/lib/shells.state"), format!("{early}{late}"));
    }

    #[test]
    fn without_debianutils_there_is_nothing() {
        let mut image =
            Image { tree: Tree::new(), accounts: Accounts::minimal(), epoch: 7, contents: &InlineOnly };
        write(&mut image, &|_| true, &["/usr/bin/tmux".into()]).unwrap();
        assert!(image.tree.is_empty());
    }
}
