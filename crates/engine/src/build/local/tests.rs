use std::path::Path;

use super::*;

fn project(directory: &Path, text: &str) -> Project {
    fs_err::write(directory.join("pinfold.toml"), text).unwrap();
    Project::discover(directory).unwrap()
}

const USER: &str =
    "name = 'x'\nagents = ['claude-code']\n[user]\nname = 'u'\nuid = 1000\ngid = 1000\nhome = '/home/u'\n";

fn line(tree: &Tree, path: &str) -> String {
    let node = tree.get(&ImagePath::new(path).unwrap()).unwrap_or_else(|| panic!("no {path} in {tree:?}"));
    format!("{:04o} {}:{} {}", node.meta.mode, node.meta.uid, node.meta.gid, node.kind.word())
}

#[test]
fn homes_belong_to_their_user_all_the_way_down() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let project = project(
        dir.path(),
        &format!(
            "{USER}[[dir]]\npath = '/home/u/.local/bin'\nowner = 'user'\n[[dir]]\npath = '/queue'\nmode = '1777'\n"
        ),
    );
    let tree = tree(&project, Platform::ALL[0], 7, &store).unwrap();
    assert_eq!(line(&tree, "/home/u/.local"), "0755 1000:1000 directory");
    assert_eq!(line(&tree, "/home/u/.local/bin"), "0755 1000:1000 directory");
    assert_eq!(line(&tree, "/home/u/.claude"), "0755 1000:1000 directory");
    assert_eq!(line(&tree, "/home/u/.claude/settings.json"), "0644 1000:1000 file");
    assert_eq!(line(&tree, "/queue"), "1777 0:0 directory");
}

#[test]
fn sources_are_read_per_platform_and_large_ones_through_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    fs_err::write(dir.path().join("small"), b"small").unwrap();
    fs_err::write(dir.path().join("large"), vec![7; 300 << 10]).unwrap();
    let project = project(
        dir.path(),
        "name = 'x'\n[[file]]\npath = '/a'\n[file.source-platform]\n'linux/amd64' = 'small'\n'linux/arm64' = 'large'\n",
    );
    let content = |platform| {
        let tree = tree(&project, platform, 0, &store).unwrap();
        tree.content(&ImagePath::new("a").unwrap()).cloned().unwrap()
    };
    assert_eq!(content(Platform::ALL[0]), Content::inline(*b"small"));
    let Content::Range { archive, size, .. } = content(Platform::ALL[1]) else { panic!("inline") };
    assert_eq!(size, 300 << 10);
    assert!(store.contains(&archive));
}

#[test]
fn missing_sources_name_path_and_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let project = project(dir.path(), "name = 'x'\n[[file]]\npath = '/a'\nsource = 'nope'\n");
    let error = tree(&project, Platform::ALL[0], 0, &store).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the source of `/a`");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("nope"));
}

#[test]
fn the_manifests_own_file_wins_over_a_recipes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let text = format!(
        "{USER}[[file]]\npath = '/home/u/.claude/settings.json'\ncontent = 'mine'\nowner = 'user'\nmode = '0600'\n"
    );
    let project = project(dir.path(), &text);
    let tree = tree(&project, Platform::ALL[0], 7, &store).unwrap();
    assert_eq!(line(&tree, "/home/u/.claude/settings.json"), "0600 1000:1000 file");
    let path = ImagePath::new("home/u/.claude/settings.json").unwrap();
    assert_eq!(tree.get(&path).unwrap().kind, pinfold_archive::NodeKind::File(Content::inline(*b"mine")));
    assert_eq!(tree.get(&path).unwrap().owner.as_str(), "generated/files");
    // Its neighbour is the recipe's.
    let other = ImagePath::new("home/u/.claude.json").unwrap();
    assert_eq!(tree.get(&other).unwrap().owner.as_str(), "generated/agent-config");
}

#[test]
fn owners_and_modes_are_those_that_are_written() {
    for (entry, path, expected) in [
        ("[[file]]\npath = '/a'\ncontent = ''\n", "/a", "0644 0:0 file"),
        ("[[file]]\npath = '/a'\ncontent = ''\nmode = '0400'\nowner = '7:8'\n", "/a", "0400 7:8 file"),
        ("[[file]]\npath = '/a'\ncontent = ''\nowner = 'user'\n", "/a", "0644 1000:1000 file"),
        ("[[dir]]\npath = '/a/b'\n", "/a/b", "0755 0:0 directory"),
        ("[[dir]]\npath = '/a'\nowner = 'user'\nmode = '1770'\n", "/a", "1770 1000:1000 directory"),
        ("[[link]]\npath = '/a'\ntarget = '../b'\n", "/a", "0777 0:0 symbolic link"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let text =
            format!("name = 'x'\n[user]\nname = 'u'\nuid = 1000\ngid = 1000\nhome = '/home/u'\n{entry}");
        let tree = tree(&project(dir.path(), &text), Platform::ALL[0], 0, &store).unwrap();
        assert_eq!(line(&tree, path), expected, "{entry}");
    }
}

#[test]
fn a_directory_is_taken_with_all_that_is_in_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let skel = dir.path().join("skel");
    fs_err::create_dir_all(skel.join("sub/empty")).unwrap();
    fs_err::write(dir.path().join("secret"), "secret").unwrap();
    for (name, mode) in [("plain", 0o600), ("sub/run", 0o700), ("sub/odd name\n", 0o666), ("mine", 0o640)] {
        fs_err::write(skel.join(name), name).unwrap();
        fs_err::set_permissions(skel.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    fs_err::write(skel.join("large"), vec![7; 300 << 10]).unwrap();
    std::os::unix::fs::symlink("../secret", skel.join("out")).unwrap();
    std::os::unix::fs::symlink("..", skel.join("sub/up")).unwrap();
    let text = format!(
        "{USER}[[file]]\npath = '/home/u/skel'\nsource = 'skel'\nowner = 'user'\n\
         [[file]]\npath = '/home/u/skel/mine'\ncontent = 'other'\nmode = '0400'\n"
    );
    let made = tree(&project(dir.path(), &text), Platform::ALL[0], 7, &store).unwrap();
    let at = ImagePath::new("home/u/skel").unwrap();
    let lines: Vec<String> = made
        .below(&at)
        .map(|(path, node)| {
            let what = match &node.kind {
                pinfold_archive::NodeKind::Symlink(target) => String::from_utf8(target.to_vec()).unwrap(),
                kind => kind.word().to_owned(),
            };
            let meta = &node.meta;
            format!("{} {:04o} {}:{} {what}", path, meta.mode, meta.uid, meta.gid)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "/home/u/skel 0755 1000:1000 directory",
            "/home/u/skel/large 0644 1000:1000 file",
            "/home/u/skel/mine 0400 0:0 file",
            "/home/u/skel/out 0777 1000:1000 ../secret",
            "/home/u/skel/plain 0644 1000:1000 file",
            "/home/u/skel/sub 0755 1000:1000 directory",
            "/home/u/skel/sub/empty 0755 1000:1000 directory",
            "/home/u/skel/sub/odd name\\n 0644 1000:1000 file",
            "/home/u/skel/sub/run 0755 1000:1000 file",
            "/home/u/skel/sub/up 0777 1000:1000 ..",
        ]
    );
    let content = |name: &str| match &made.get(&at.join(name).unwrap()).unwrap().kind {
        pinfold_archive::NodeKind::File(content) => content.clone(),
        kind => panic!("{name} is {kind:?}"),
    };
    assert_eq!(content("plain"), Content::inline(*b"plain"));
    assert_eq!(content("mine"), Content::inline(*b"other"), "an entry for something in it wins");
    assert!(matches!(content("large"), Content::Range { size, .. } if size == 300 << 10));

    // With `replace` each of its files takes a place, and directories keep what else is in them.
    let text = "name = 'x'\n[[file]]\npath = '/etc'\nsource = 'skel'\nreplace = true\n";
    let paths = replacing(&project(dir.path(), text), Platform::ALL[0]);
    assert!(
        paths.contains(&ImagePath::new("etc/sub/run").unwrap())
            && paths.contains(&ImagePath::new("etc/out").unwrap())
    );
    assert!(
        !paths.contains(&ImagePath::new("etc").unwrap())
            && !paths.contains(&ImagePath::new("etc/sub").unwrap())
    );
}

#[test]
fn what_cannot_be_a_source_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    fs_err::create_dir(dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
    for (entry, expected, hint) in [
        ("[[file]]\npath = '/a'\nsource = 'socket'\n", "is not a regular file", None),
        ("[[file]]\npath = '/a'\nsource = 'folder'\nmode = '0600'\n", "`mode` of `/a` is for one file", None),
        (
            "[[file]]\npath = '/a'\nsource = 'folder'\n[[file]]\npath = '/a'\ncontent = ''\n",
            "two entries of the manifest are for `/a`",
            Some("leave one"),
        ),
        (
            "[[file]]\npath = '/a'\nsource = 'dangling'\n",
            "cannot read the source of `/a`",
            Some("folder of the manifest"),
        ),
        (
            "[[file]]\npath = '/a'\nsource-platform = { 'linux/arm64' = 'folder' }\n",
            "`/a` has no source for linux/amd64",
            Some("add `source-platform = { \"linux/amd64\""),
        ),
        (
            "[[file]]\npath = '/a'\ncontent = 'x'\n[[dir]]\npath = '/a'\n",
            "two entries of the manifest are for `/a`",
            Some("leave one"),
        ),
        (
            "[[link]]\npath = '/a'\ntarget = 'b'\n[[file]]\npath = '/a'\ncontent = 'x'\n",
            "two entries of the manifest are for `/a`",
            Some("leave one"),
        ),
    ] {
        let project = project(dir.path(), &format!("name = 'x'\n{entry}"));
        let error = tree(&project, "linux/amd64".parse().unwrap(), 0, &store).expect_err(entry);
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(expected), "{entry} gave {error}");
        if let Some(expected) = hint {
            assert!(error.hint().unwrap().contains(expected), "{entry}");
        }
    }
}
