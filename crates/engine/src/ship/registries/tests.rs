use base64::Engine as _;

use super::*;

/// A machine with these files, by path below its folders.
fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Registries, RegistriesError>) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let at = |name: &str| dir.path().join(name);
    let named = at("named.conf");
    let read = Registries::read(
        named.exists().then_some(named.as_path()),
        Some(&at("own")),
        &at("machine"),
        &at("docker"),
    );
    (dir, read)
}

fn of(text: &str) -> Registries {
    machine(&[("own/registries.conf", text)]).1.unwrap()
}

fn remote(text: &str) -> Remote {
    Remote::of(&text.parse().unwrap()).unwrap()
}

/// Places as `[http:]HOST/REPOSITORY`.
fn told(places: &[Place]) -> Vec<String> {
    let scheme = |line| match line {
        Line::Usual => "",
        Line::Plain => "http:",
        Line::Tls => "https:",
    };
    places
        .iter()
        .map(|Place { remote, line }| format!("{}{}/{}", scheme(*line), remote.host, remote.repository))
        .collect()
}

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// The cases are those of containers-registries.conf(5), "Remapping and mirroring registries".
#[test]
fn an_image_is_where_the_nearest_entry_says() {
    let registries = of(r#"
        [[registry]]
        prefix = "r.example"
        location = "far.example"
        insecure = true
        [[registry]]
        prefix = "r.example/team"
        location = "near.example/other"
        [[registry]]
        prefix = "r.example/team/one"
        [[registry]]
        prefix = "*.wide.example"
        insecure = true
        [[registry]]
        location = "narrow.wide.example:5000"
        [[registry]]
        location = "alone.example/bar"
        [[registry]]
        location = "localhost:5000"
        insecure = false
    "#);
    for (name, place) in [
        ("other.example/x", "other.example/x"),
        ("r.example/x/y", "http:far.example/x/y"),
        ("R.example/x", "http:far.example/x"),
        // Part of a name is no prefix of it.
        ("r.example/teams/x", "http:far.example/teams/x"),
        ("r.example:5000/x", "r.example:5000/x"),
        ("r.example/team/x", "near.example/other/x"),
        ("r.example/team", "near.example/other"),
        ("r.example/team/one", "r.example/team/one"),
        ("a.wide.example/x", "http:a.wide.example/x"),
        ("a.b.wide.example:5000/x", "http:a.b.wide.example:5000/x"),
        ("wide.example/x", "wide.example/x"),
        ("notwide.example/x", "notwide.example/x"),
        ("narrow.wide.example:5000/x", "narrow.wide.example:5000/x"),
        ("alone.example/bar/x", "alone.example/bar/x"),
        ("localhost:5000/x", "https:localhost:5000/x"),
        ("localhost:5001/x", "localhost:5001/x"),
    ] {
        assert_eq!(told(&[registries.writing(&remote(name)).unwrap()]), [place], "{name}");
        assert_eq!(told(&registries.reading(&remote(name)).unwrap()), [place], "{name}");
    }
}

#[test]
fn mirrors_are_read_from_first_and_never_written_to() {
    let registries = of(r#"
        [[registry]]
        prefix = "r.example/team"
        location = "own.example/moved"
        [[registry.mirror]]
        location = "one.example/copy"
        insecure = true
        [[registry.mirror]]
        location = "two.example"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "three.example"
        pull-from-mirror = "tag-only"
        [[registry]]
        prefix = "by-digest.example"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "one.example"
    "#);
    let reading = |name: &str| told(&registries.reading(&remote(name)).unwrap());
    let own = "own.example/moved/x";
    assert_eq!(reading("r.example/team/x:1"), ["http:one.example/copy/x", "three.example/x", own]);
    let by_digest = format!("r.example/team/x@{DIGEST}");
    assert_eq!(reading(&by_digest), ["http:one.example/copy/x", "two.example/x", own]);
    assert_eq!(told(&[registries.writing(&remote("r.example/team/x")).unwrap()]), [own]);
    assert_eq!(reading("by-digest.example/x"), ["by-digest.example/x"]);
    let by_digest = format!("by-digest.example/x@{DIGEST}");
    assert_eq!(reading(&by_digest), ["one.example/x", "by-digest.example/x"]);
    assert_eq!(registries.reading(&remote(&by_digest)).unwrap()[0].remote.which, remote(&by_digest).which);
}

#[test]
fn what_is_blocked_is_neither_read_nor_written() {
    let registries = of("[[registry]]\nprefix = 'r.example/bad'\nblocked = true\n");
    for error in [
        registries.reading(&remote("r.example/bad/x")).unwrap_err(),
        registries.writing(&remote("r.example/bad")).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains("`r.example/bad`"), "{error}");
    }
    assert!(registries.reading(&remote("r.example/badly")).is_ok());
}

#[test]
fn a_short_name_means_one_image_or_none() {
    let short = |text: &str, name: &str| of(text).qualified(&name.parse().unwrap());
    let one = "unqualified-search-registries = ['r.example']\n";
    let two = "unqualified-search-registries = ['r.example', 's.example:5000']\n";
    let aliases =
        format!("{two}[aliases]\n'node' = 'a.example/library/node'\n'gone' = ''\n'odd' = 'other'\n");
    for (text, name, whole) in [
        (one, "node", "r.example/node:latest"),
        (one, "team/node:22", "r.example/team/node:22"),
        (one, "s.example/node:22", "s.example/node:22"),
        (aliases.as_str(), "node:22", "a.example/library/node:22"),
        (&aliases, "localhost/node", "localhost/node:latest"),
    ] {
        assert_eq!(short(text, name).unwrap().to_string(), whole, "{name}");
    }
    let by_digest = format!("node@{DIGEST}");
    assert_eq!(short(one, &by_digest).unwrap().to_string(), format!("r.example/{by_digest}"));
    for (text, name, hint) in [
        ("", "node", "`registry.example/team/name:tag`"),
        (two, "node", "`r.example/node:latest` or `s.example:5000/node:latest`"),
        (&aliases, "team/node", "or `s.example:5000/team/node:latest`"),
        (&aliases, "gone", "`s.example:5000/gone:latest`"),
        (&aliases, "odd", "`registry.example/team/name:tag`"),
    ] {
        let error = short(text, name).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint().unwrap().contains(hint), "{name}: {:?}", error.hint());
    }
}

/// The order is that of containers-registries.conf(5) and registries.conf.d(5).
#[test]
fn files_are_laid_over_each_other() {
    let entry = |location: &str| format!("[[registry]]\nprefix = 'r.example'\nlocation = '{location}'\n");
    let at = |files: &[(&str, &str)]| {
        let (_dir, read) = machine(files);
        told(&[read.unwrap().writing(&remote("r.example/x")).unwrap()]).remove(0)
    };
    let all = ["1.example", "2.example", "3.example", "4.example", "5.example"].map(entry);
    let files = [
        ("machine/registries.conf", all[0].as_str()),
        ("own/registries.conf", &all[1]),
        ("machine/registries.conf.d/9.conf", &all[2]),
        ("own/registries.conf.d/1.conf", &all[3]),
        ("own/registries.conf.d/2.conf", &all[4]),
        ("own/registries.conf.d/3.txt", "no toml"),
    ];
    for (count, expected) in [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5"), (6, "5")] {
        assert_eq!(at(&files[..count]), format!("{expected}.example/x"), "{count}");
    }
    let named = [files[0], files[1], ("named.conf", "")];
    assert_eq!(at(&named), "r.example/x", "a file that is named is read instead of both");
    let lists = [
        (
            "own/registries.conf",
            "unqualified-search-registries = ['a.example']\n[aliases]\na = 'x.example/a'\n",
        ),
        ("own/registries.conf.d/1.conf", "[aliases]\nb = 'x.example/b'\n"),
    ];
    let (_dir, read) = machine(&lists);
    let read = read.unwrap();
    for (name, whole) in
        [("a", "x.example/a:latest"), ("b", "x.example/b:latest"), ("c", "a.example/c:latest")]
    {
        assert_eq!(read.qualified(&name.parse().unwrap()).unwrap().to_string(), whole);
    }
}

#[test]
fn a_file_that_is_none_is_an_error_that_names_it() {
    for text in [
        "no toml",
        "[[registry]]\ninsecure = true\n",
        "[[registry]]\nprefix = 'https://r.example'\n",
        "[[registry]]\nprefix = 'r.example/Team'\n",
        "[[registry]]\nlocation = 'r.example/'\n",
        "[[registry]]\nlocation = 'r.example/x:1'\n",
        "[[registry]]\nprefix = '*.r.example/team'\n",
        "[[registry]]\nprefix = '*.r.example'\nlocation = 's.example'\n",
        "[[registry]]\nprefix = 'r.example'\n[[registry.mirror]]\ninsecure = true\n",
        "[[registry]]\nprefix = 'r.example'\n[[registry.mirror]]\nlocation = 'a b'\n",
        "[registries.search]\nregistries = ['r.example']\n",
    ] {
        let (_dir, read) = machine(&[("own/registries.conf", text)]);
        let error = read.unwrap_err();
        assert!(error.to_string().contains("own/registries.conf"), "{text}: {error}");
        assert_eq!(error.kind(), Kind::Usage, "{text}");
    }
    // Keys of other readers are no matter.
    let known = "short-name-mode = 'enforcing'\ncredential-helpers = ['containers-auth.json']\n";
    assert!(machine(&[("own/registries.conf", known)]).1.is_ok());
}

#[test]
fn a_registrys_own_authorities_are_read_for_it_alone() {
    let pem = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let der = base64::engine::general_purpose::STANDARD.encode(made.cert.der());
        format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")
    };
    let (one, two) = (pem("one"), pem("two"));
    let both = format!("{one}{two}");
    let (_dir, read) = machine(&[
        ("machine/certs.d/r.example:5000/ca.crt", both.as_str()),
        ("machine/certs.d/r.example:5000/client.cert", "not read"),
        ("docker/certs.d/r.example:5000/ca.crt", &one),
        ("docker/certs.d/s.example/ca.crt", &one),
        ("own/certs.d/bad.example/ca.crt", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
        ("outside.crt", &one),
    ]);
    let read = read.unwrap();
    for (host, count) in [
        ("r.example:5000", 2),
        ("r.example", 0),
        ("s.example", 1),
        ("..", 0),
        ("../..", 0),
        ("r.example:5000/../s.example", 0),
    ] {
        assert_eq!(read.authorities(host).unwrap().len(), count, "{host}");
    }
    assert!(read.authorities("bad.example").unwrap_err().to_string().contains("bad.example/ca.crt"));
}
