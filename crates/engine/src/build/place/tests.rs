use std::path::Path;

use pinfold_base::ImagePath;

use super::*;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::lines;
use crate::sources::testing::lock;

/// A program `NAME` that is placed at `to`; its file lies beside the project.
fn binary(world: &World, name: &str, to: &str) -> String {
    world.write(name, &format!("I am {name}\n"));
    let address = format!("file://{}", world.folder().join(name).display());
    format!(
        "[[binary]]\nname = '{name}'\nversion = '1'\nurl = {{ 'linux/amd64' = '{address}' }}\nmembers = {{ '.' = '{to}' }}\n"
    )
}

/// The tree of a manifest's text, below `/t`.
fn placed(world: &World, manifest: &str) -> Result<Vec<String>, String> {
    let context = world.online();
    let project = world.project(&format!("name = 'x'\nplatforms = ['linux/amd64']\n{manifest}"));
    let platform = "linux/amd64".parse().unwrap();
    let lock = lock(&context, &project, &Upgrade::All).map_err(|error| error.to_string())?;
    let placed = place(&context, &project, &lock, platform).map_err(|error| error.to_string())?;
    Ok(lines(&context, &placed.tree, "/t"))
}

#[test]
fn who_wins_where_two_want_one_path() {
    type Expected = Result<&'static [&'static str], &'static str>;
    let world = World::new();
    let a = binary(&world, "a", "/t/p");
    let table: [(&str, String, Expected); 15] = [
        (
            "one alone",
            a.clone(),
            Ok(&["/t 0755 generated/base directory", "/t/p 0755 binary/a \"I am a\\n\""]),
        ),
        (
            "two programs",
            a.clone() + &binary(&world, "b", "/t/p"),
            Err("`/t/p` is claimed by two components: file of `binary/a` and file of `binary/b`"),
        ),
        (
            "the user's file and a program's",
            format!("{a}[[file]]\npath = '/t/p'\ncontent = 'x'\n"),
            Err("`/t/p` is claimed by two components: file of `binary/a` and file of `generated/files`"),
        ),
        (
            "the user's link and a program's file",
            format!("{a}[[link]]\npath = '/t/p'\ntarget = 'x'\n"),
            Err(
                "`/t/p` is claimed by two components: file of `binary/a` and symbolic link of `generated/files`",
            ),
        ),
        (
            "the user's directory and a program's file",
            format!("{a}[[dir]]\npath = '/t/p'\n"),
            Err("`/t/p` is claimed by two components: file of `binary/a` and directory of `generated/files`"),
        ),
        (
            "the user's directory and the one that is needed",
            format!("{a}[[dir]]\npath = '/t'\nmode = '0711'\n"),
            Ok(&["/t 0711 generated/files directory", "/t/p 0755 binary/a \"I am a\\n\""]),
        ),
        (
            "the user's directory and the system's",
            "[[dir]]\npath = '/tmp'\nmode = '0700'\n".into(),
            Ok(&["/tmp 0700 generated/files directory"]),
        ),
        (
            "a file where a directory is needed",
            format!("{a}[[file]]\npath = '/t'\ncontent = 'x'\n"),
            Err("`/t` is claimed by two components: directory of `binary/a` and file of `generated/files`"),
        ),
        (
            "the user's file instead of a program's",
            format!("{a}[[file]]\npath = '/t/p'\ncontent = 'x'\nreplace = true\n"),
            Ok(&["/t 0755 generated/base directory", "/t/p 0644 generated/files \"x\""]),
        ),
        (
            "the user's file where something is generated, of the system",
            "[[file]]\npath = '/etc/passwd'\ncontent = 'x'\n[[file]]\npath = '/tm/x'\ncontent = ''\n".into(),
            Ok(&[
                "/tm 0755 generated/base directory",
                "/tm/x 0644 generated/files \"\"",
                "/tmp 1777 generated/etc directory",
            ]),
        ),
        (
            "a program through the user's own link, which comes later",
            format!("{a}[[link]]\npath = '/t'\ntarget = 'x'\n"),
            Err(
                "`/t` is claimed by two components: directory of `binary/a` and symbolic link of `generated/files`",
            ),
        ),
        (
            "a file through the user's own link",
            "[[link]]\npath = '/t'\ntarget = 'tt'\n[[file]]\npath = '/t/x'\ncontent = 'x'\n".into(),
            Ok(&[
                "/t 0777 generated/files -> tt",
                "/tt 0755 generated/base directory",
                "/tt/x 0644 generated/files \"x\"",
            ]),
        ),
        (
            "set-id bits that nothing keeps",
            "[[file]]\npath = '/t'\ncontent = ''\nmode = '6755'\n".into(),
            Err("`/t` is asked for with set-id bits, and the policy takes them off"),
        ),
        (
            "set-id bits, wanted",
            "[[file]]\npath = '/t'\ncontent = ''\nmode = '6755'\n[policy]\nset-id = 'keep'\n".into(),
            Ok(&["/t 6755 generated/files \"\"", "/tmp 1777 generated/etc directory"]),
        ),
        (
            "set-id bits of one path, named through a link",
            "[[link]]\npath = '/t'\ntarget = 'tt'\n[[file]]\npath = '/t/x'\ncontent = ''\nmode = '4755'\n\
             [policy]\nset-id = { keep = ['/t/x'] }\n"
                .into(),
            Ok(&[
                "/t 0777 generated/files -> tt",
                "/tmp 1777 generated/etc directory",
                "/tt 0755 generated/base directory",
                "/tt/x 4755 generated/files \"\"",
            ]),
        ),
    ];
    for (what, manifest, expected) in table {
        let found = placed(&world, &manifest);
        let found = found.map(|lines| {
            let system = what.contains("system") || what.contains("set-id");
            lines.into_iter().filter(|line| system || !line.starts_with("/tmp")).collect::<Vec<_>>()
        });
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{what}"),
            (Err(found), Err(expected)) => assert_eq!(found, expected, "{what}"),
            (found, expected) => panic!("{what}: {found:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn an_image_without_debian_has_accounts_a_home_and_a_place_for_temporary_files() {
    let world = World::new();
    let context = world.online();
    let project =
        world.project("name = 'x'\n[user]\nname = 'me'\nuid = 1000\ngid = 1001\nhome = '/home/me'\n");
    let lock = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let tree = place(&context, &project, &lock, Platform::ALL[0]).unwrap().tree;
    // passwd(5), group(5) and shadow(5); ids of root and nobody are Debian's (base-passwd).
    let etc = lines(&context, &tree, "/etc/passwd");
    assert_eq!(etc.len(), 1);
    for line in ["root:x:0:0:root:/root:", "nobody:x:65534:65534:nobody:/nonexistent:", "me:x:1000:1001:"] {
        assert!(etc[0].contains(line), "{etc:?}");
    }
    let shadow = tree.get(&ImagePath::new("etc/shadow").unwrap()).unwrap();
    assert_eq!((shadow.meta.mode, shadow.meta.gid), (0o640, 42));
    // hosts(5): addresses, then names.
    let hosts = lines(&context, &tree, "/etc/hosts").join(" ");
    assert!(["127.0.0.1 localhost", "::1 localhost"].iter().all(|line| hosts.contains(line)), "{hosts}");
    let home = tree.get(&ImagePath::new("home/me").unwrap()).unwrap();
    assert_eq!((home.meta.mode, home.meta.uid, home.meta.gid), (0o755, 1000, 1001));
    let temporary = tree.get(&ImagePath::new("tmp").unwrap()).unwrap();
    assert_eq!(temporary.meta.mode, 0o1777);
    assert!(tree.iter().filter(|(_, node)| node.is_directory()).all(|(_, node)| node.meta.mtime == STILL));
}

/// dash is the judge of what the file says.
#[test]
#[expect(clippy::disallowed_methods, reason = "asks the shell")]
fn login_shells_keep_the_images_path() {
    let world = World::new();
    let context = world.online();
    let profile = "[[dir]]\npath = '/etc/profile.d'\n";
    let odd = "/opt/it's $HOME/bin:/bin";
    for (manifest, expected) in [
        (
            format!("name = 'x'\n{profile}"),
            Some("/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"),
        ),
        (format!("name = 'x'\n[image.env]\nPATH = \"{}\"\n{profile}", odd.replace('$', "\\\\$")), Some(odd)),
        ("name = 'x'\n".to_owned(), None),
    ] {
        let project = world.project(&manifest);
        let lock = lock(&context, &project, &Upgrade::Nothing).unwrap();
        let tree = place(&context, &project, &lock, Platform::ALL[0]).unwrap().tree;
        let file = tree.get(&ImagePath::new("etc/profile.d/pinfold.sh").unwrap());
        let Some(expected) = expected else {
            assert!(file.is_none());
            continue;
        };
        let Some(NodeKind::File(Content::Inline(script))) = file.map(|node| &node.kind) else {
            panic!("{file:?}")
        };
        let script = String::from_utf8_lossy(script);
        let shell = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("{script}\nprintf %s \"$PATH\"")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), expected, "{script}");
    }
}

#[test]
fn a_lock_that_lacks_what_is_asked_for_says_so() {
    let world = World::new();
    let context = world.online();
    let text = |more: &str| format!("name = 'x'\nplatforms = ['linux/amd64']\n{more}");
    let empty = lock(&context, &world.project(&text("")), &Upgrade::Nothing).unwrap();
    let project = world.project(&text(&binary(&world, "a", "/t")));
    let error = place(&context, &project, &empty, Platform::ALL[0]).unwrap_err();
    assert_eq!(error.to_string(), "the lock has nothing for `binary/a` on linux/amd64");
    assert!(error.hint().unwrap().contains("pinfold lock"));
    let project = world.project("name = 'x'\nagents = ['opencode']\n");
    let error = place(&context, &project, &empty, Platform::ALL[0]).unwrap_err();
    assert_eq!(error.to_string(), "the lock has nothing for `opencode` on linux/amd64");
}

#[test]
fn an_archive_that_is_none_is_named() {
    let world = World::new();
    world.write("a.tar.gz", "not gzip");
    let text = binary(&world, "a", "/t").replace("/a'", "/a.tar.gz'");
    world.write("a.tar.gz", "not gzip");
    let error = placed(&world, &text).unwrap_err();
    assert_eq!(error, "cannot decode `a 1 (linux/amd64)`");
    assert!(Path::new(&world.folder()).join("pinfold.lock").metadata().is_err(), "nothing is locked");
}
