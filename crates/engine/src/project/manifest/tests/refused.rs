//! Manifests that are refused, and the whole message that the user sees.

use super::*;

/// The message of a manifest named `x`.
fn refused(text: &str) -> String {
    message(&format!("name = 'x'\n{text}\n"))
}

#[test]
fn what_cannot_be_names_its_key_and_what_was_expected() {
    let user = |line: &str| {
        let usual = ["name = 'a'", "uid = 1", "gid = 1", "home = '/h'"];
        let key = line.split(' ').next().unwrap();
        let rest = usual.iter().filter(|usual| !usual.starts_with(key)).copied().collect::<Vec<_>>();
        format!("[user]\n{}\n{line}", rest.join("\n"))
    };
    for (text, expected) in [
        (
            "platforms = []".to_owned(),
            "manifest key `platforms`: the list is empty: name at least one platform",
        ),
        ("[debian]".into(), "manifest key `debian.suite`: it is missing: write `suite = \"bookworm\"`"),
        (
            "[debian]\nsuites = []".into(),
            "manifest key `debian.suite`: it is missing: write `suite = \"bookworm\"`",
        ),
        (
            "[debian]\nsuite = 'bookworm-backports'".into(),
            "manifest key `debian.suite`: `bookworm-backports` stands beside a release: write `suite = \"bookworm\"` and \
             `backports = true`",
        ),
        (
            "[debian]\nsuite = 'trixie-security'".into(),
            "manifest key `debian.suite`: `trixie-security` stands beside a release: write `suite = \"trixie\"`, which brings \
             `trixie-security` along",
        ),
        (
            "[debian]\nsuite = 'trixie-proposed-updates'".into(),
            "manifest key `debian.suite`: `trixie-proposed-updates` stands beside a release: write `suites = [\"trixie\", \
             \"trixie-updates\", \"trixie-security\", \"trixie-proposed-updates\"]`",
        ),
        ("[debian]\nsuite = 'a b'".into(), "manifest key `debian.suite`: `a b` is no suite name"),
        ("[debian]\nsuites = ['a/../b']".into(), "manifest key `debian.suite`: `a/../b` is no suite name"),
        (
            "[debian]\nsuite = 'sid'\npackages = ['g']".into(),
            "manifest key `debian.packages`: `g` is no package name: expected `name`, `name=version` or `name/suite`",
        ),
        (
            "[debian]\nsuite = 'sid'\npackages = ['-git']".into(),
            "manifest key `debian.packages`: `-git` is no package name: expected `name`, `name=version` or `name/suite`",
        ),
        ("[npm]\npackages = ['a b']".into(), "manifest key `npm.packages`: `a b@latest` is no package"),
        ("[npm]\npackages = ['a@']".into(), "manifest key `npm.packages`: `a@` is no package"),
        (user("name = 'Me'"), "manifest key `user.name`: `Me` is no login name"),
        (user("name = '9me'"), "manifest key `user.name`: `9me` is no login name"),
        (user("uid = 0"), "manifest key `user.uid`: 0 is not between 1 and 65533"),
        (user("gid = 65534"), "manifest key `user.gid`: 65534 is not between 1 and 65533"),
        (user("home = '/'"), "manifest key `user.home`: it may not be `/` or hold `:`"),
        (user("home = '/a:b'"), "manifest key `user.home`: it may not be `/` or hold `:`"),
        (user("shell = 'sh'"), "manifest key `user.shell`: `sh` is not an absolute path"),
        (
            "[[file]]\npath = '/a'\nsource = 'a'\ncontent = 'b'".into(),
            "manifest key `file `/a``: exactly one of `source`, `source-platform` and `content` is needed",
        ),
        (
            "[[dir]]\npath = '/a'\nowner = 'user'".into(),
            "manifest key `user`: `owner = \"user\"` is used, but there is no `[user]`",
        ),
        ("[image.env]\n'A=B' = ''".into(), "manifest key `image.env`: `A=B` is no variable name"),
        ("[layers]\nmax = 1".into(), "manifest key `layers.max`: 1 is not between 2 and 100"),
        ("[layers]\nmax = 101".into(), "manifest key `layers.max`: 101 is not between 2 and 100"),
        (
            "[policy]\nsize-budget = '0'".into(),
            "manifest key `policy.size-budget`: `0` is no size such as \"700MiB\"",
        ),
        (
            "[scripts]\nfoo = 'skip: '".into(),
            "manifest key `scripts.foo`: `skip: ` is not understood: write \"skip: \" and the reason",
        ),
    ] {
        assert_eq!(refused(&text), expected, "{text}");
    }
}

#[test]
fn what_is_written_wrongly_is_shown_in_its_line() {
    for (text, line, expected) in [
        ("platforms = 'linux/amd64'", 2, "expected a sequence"),
        ("[debain]", 2, "unknown field `debain`"),
        ("[debian]\nbase = 'tiny'", 3, "expected one of `minbase`, `essential`, `none`"),
        ("[debian]\nslim = 'yes'", 3, "expected a boolean"),
        ("[[file]]\npath = 'a'\ncontent = ''", 3, "path `a` is not absolute: it must begin with `/`"),
        ("[[file]]\npath = '/a'\nmode = '0888'", 4, "mode `0888` is not an octal number such as \"0755\""),
        ("[[file]]\npath = '/a'\nmode = '55'", 4, "mode `55` is not an octal number such as \"0755\""),
        ("[[file]]\npath = '/a'\nowner = 'me'", 4, "owner `me` is none of `root`, `user` and `UID:GID`"),
        ("[[link]]\npath = '/a'", 2, "missing field `target`"),
        ("[image]\ncompression = 'xz'", 3, "expected `gzip` or `zstd`"),
        (
            "[policy]\nmin-age = '3m'",
            3,
            "age `3m` is no span of time such as \"12h\", \"3d\", \"2w\" or \"0\"",
        ),
        (
            "[policy]\nset-id = 'drop'",
            3,
            "expected `\"strip\"`, `\"keep\"` or `{ keep = [\"/usr/bin/sudo\"] }`",
        ),
        ("[policy]\nset-id = true", 3, "expected `\"strip\"`, `\"keep\"` or `{ keep"),
        ("[policy]\nset-id = { keep = ['bin/su'] }", 3, "path `bin/su` is not absolute"),
        ("[policy]\nset-id = { kept = ['/bin/su'] }", 3, "unknown field `kept`"),
        ("[policy]\nmissing-time = 'ask'", 3, "expected `refuse` or `accept`"),
        ("[user]\nname = 'a'\nuid = -1", 4, "expected u32"),
        ("name = 'y'", 2, "duplicate key"),
        ("image = [", 2, "unclosed array"),
    ] {
        let message = refused(text);
        assert!(message.contains(expected), "{text:?} gave {message:?}");
        assert!(message.contains(&format!("--> pinfold.toml:{line}:")), "{text:?} gave {message:?}");
    }
}

#[test]
fn names_of_images_are_what_registries_take() {
    for name in ["x", "a.b", "team/image", "a-b_c", "0"] {
        parse(&format!("name = '{name}'")).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for name in ["", "X", "a b", "-a", "a/", "/a", "a//b", "a:b", "ä"] {
        let message = message(&format!("name = '{name}'"));
        assert!(message.contains("is no image name: lower-case letters, digits and"), "{name}: {message}");
    }
}

#[test]
fn the_shown_line_is_bounded_and_the_mark_stands_under_what_is_meant() {
    let long = "é".repeat(300);
    let message = message(&format!("name = 'x'\nplatforms = ['{long}']"));
    let shown = message.lines().find(|line| line.starts_with("2 | ")).unwrap();
    assert_eq!(shown.chars().count(), 4 + 160);
    insta::assert_snapshot!(refused("[[dir]]\npath = '/ä'\nmode = '9'"), @r#"
    mode `9` is not an octal number such as "0755"
      --> pinfold.toml:4:8
      |
    4 | mode = '9'
      |        ^^^
    "#);
    let whole = "x".repeat((1 << 20) + 1);
    assert_eq!(parse(&whole).unwrap_err().to_string(), "manifest key `(file)`: it is larger than 1 MiB");
}
