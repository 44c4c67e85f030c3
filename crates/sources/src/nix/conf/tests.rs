//! `nix.conf`. Expected values were asked of `nix show-config` (2.8) with the same texts.

use proptest::prelude::*;

use super::*;

fn none(path: &Path) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
}

fn read(text: &str) -> Result<Conf, ConfError> {
    let mut conf = Conf::default();
    conf.read(text, Path::new("/etc/nix/nix.conf"), &mut none)?;
    Ok(conf)
}

fn words(list: &List) -> String {
    list.values().map(|value| value.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn settings_are_replaced_and_appended_to_as_nix_does() {
    for (text, substituters, default) in [
        ("extra-substituters = x:a\nsubstituters = x:b\nextra-substituters = x:c", "x:b x:c", false),
        ("substituters = a b\nextra-substituters = b d d\n", "a b b d d", false),
        ("extra-substituters = q", "q", true),
        ("substituters =", "", false),
        ("# substituters = a", "", true),
        ("substituters = a # b\n\t substituters  =\tb\r\n", "b", false),
        ("binary-caches = a\nextra-binary-caches = b", "a b", false),
        ("substituters-of-mine = a", "", true),
        ("", "", true),
    ] {
        let conf = read(text).unwrap();
        assert_eq!(words(&conf.substituters), substituters, "{text}");
        assert_eq!(conf.substituters.names_default(), default, "{text}");
    }
    let conf =
        read("trusted-public-keys = k:1\nextra-trusted-public-keys = l:2\ntrusted-substituters = t").unwrap();
    assert_eq!(words(&conf.trusted_public_keys), "k:1 l:2");
    assert_eq!(words(&conf.trusted_substituters), "t");
    assert_eq!(conf.trusted_substituters.values().next().unwrap().from, "/etc/nix/nix.conf");
}

#[test]
fn what_nix_calls_an_illegal_line_is_one() {
    use pinfold_base::Diagnose as _;
    let lines = [
        "substituters=a",
        "substituters",
        "include",
        "= a",
        "include = a",
        "include a b",
        "!include",
        "x y z",
    ];
    for line in lines {
        let error = read(&format!("\n{line}\n")).expect_err(line);
        let ConfError::Line { line: 2, .. } = &error else { panic!("{line}: {error}") };
        assert!(error.hint().unwrap().contains("NAME = VALUE"));
    }
    assert!(read("\nsubstituters = a\n").is_ok(), "the control");
}

#[test]
fn included_files_are_read_where_they_are_named() {
    let mut include = |path: &Path| match path.to_str().unwrap() {
        "/etc/nix/more.conf" => Ok("substituters = more\ninclude sub/deep.conf".to_owned()),
        "/etc/nix/sub/deep.conf" => Ok("extra-substituters = deep\n!include gone.conf".to_owned()),
        "/etc/nix/round.conf" => Ok("include round.conf".to_owned()),
        _ => none(path),
    };
    let mut conf = Conf::default();
    let file = Path::new("/etc/nix/nix.conf");
    let text = "substituters = a\ninclude more.conf\nextra-substituters = b\n!include /no/such";
    conf.read(text, file, &mut include).unwrap();
    assert_eq!(words(&conf.substituters), "more deep b");
    assert!(matches!(conf.read("include round.conf", file, &mut include), Err(ConfError::TooMany { .. })));
    use pinfold_base::Diagnose as _;
    let error = conf.read("include gone.conf", file, &mut include).unwrap_err();
    assert!(matches!(&error, ConfError::Include { .. }));
    // As the hint says.
    assert!(error.hint().unwrap().contains("`!include`"));
    assert!(conf.read("!include gone.conf", file, &mut include).is_ok());
    let mut closed = |_: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    assert!(conf.read("!include gone.conf", file, &mut closed).is_err(), "it is there");
}

#[test]
fn files_are_those_that_nix_reads_later_ones_counting_more() {
    let of = |env: &[(&str, &str)]| {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        files(&env).iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
    };
    let usual = ["/etc/nix/nix.conf", "/etc/xdg/nix/nix.conf", "/home/u/.config/nix/nix.conf"];
    assert_eq!(of(&[("HOME", "/home/u")]), usual);
    assert_eq!(of(&[]), usual[..2]);
    assert_eq!(
        of(&[("NIX_CONF_DIR", "/c"), ("NIX_USER_CONF_FILES", "/a:/b"), ("HOME", "/home/u")]),
        ["/c/nix.conf", "/b", "/a"]
    );
    assert_eq!(
        of(&[("XDG_CONFIG_HOME", "/x"), ("XDG_CONFIG_DIRS", "/1:/2"), ("HOME", "/home/u")]),
        ["/etc/nix/nix.conf", "/2/nix/nix.conf", "/1/nix/nix.conf", "/x/nix/nix.conf"]
    );
}

#[test]
fn defaults_are_what_nix_says_of_itself() {
    let shown = r#"{"substituters": {"aliases": [], "defaultValue": ["https://cache.example/"], "value": []},
        "trusted-public-keys": {"defaultValue": ["k:1"], "value": ["k:1"]}, "cores": {"defaultValue": 0}}"#;
    let conf = read("extra-substituters = q\ntrusted-public-keys = l:2").unwrap();
    let conf = conf.with_defaults_of(shown).unwrap();
    assert_eq!(words(&conf.substituters), "https://cache.example/ q");
    assert_eq!(words(&conf.trusted_public_keys), "l:2", "what was replaced stays so");
    assert!(!conf.substituters.names_default());
    assert!(Conf::default().with_defaults_of("no json").is_err());
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text: String, lines in "((extra-)?substituters = ?|include |!include |#|=|[ab ]|\n){0,40}") {
        let mut again = |_: &Path| Ok("include x\nextra-substituters = a".to_owned());
        for text in [text, lines] {
            let _ = Conf::default().read(&text, Path::new("x"), &mut again);
        }
    }
}
