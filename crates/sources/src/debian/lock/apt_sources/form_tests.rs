//! The forms of sources.list(5) and apt_auth.conf(5), usual and odd. Which texts are sources, with which addresses, suites and
//! components, is what `apt-get indextargets` of apt 2.6.2 lists for them.

use super::*;

/// `URI SUITES COMPONENTS` of each source.
fn shown(sources: Result<Vec<AptSource>, String>) -> Result<Vec<String>, String> {
    let words = |words: &[String]| words.join(",");
    let one = |source: &AptSource| {
        [words(&source.uris), words(&source.suites), words(&source.components)]
            .join(" ")
            .trim_end()
            .to_owned()
    };
    sources.map(|sources| sources.iter().map(one).collect())
}

#[test]
fn one_line_sources_are_read_whatever_their_blanks_and_options() {
    for (line, expected) in [
        ("deb http://h/debian bookworm main", Some("http://h/debian bookworm main")),
        ("deb\thttp://h/debian  bookworm\tmain   contrib", Some("http://h/debian bookworm main,contrib")),
        ("  deb http://h/debian bookworm main  ", Some("http://h/debian bookworm main")),
        ("deb http://h/debian bookworm main # mine", Some("http://h/debian bookworm main")),
        ("deb http://h/debian bookworm main #contrib", Some("http://h/debian bookworm main")),
        ("deb [arch=amd64] http://h/debian bookworm main", Some("http://h/debian bookworm main")),
        ("deb [ arch=amd64,arm64 lang=en ] http://h/d b main", Some("http://h/d b main")),
        ("deb [arch+=i386] http://h/d b main", Some("http://h/d b main")),
        ("deb http://h/d bookworm/updates main", Some("http://h/d bookworm/updates main")),
        ("deb http://me:pw@h/d b main", Some("http://me:pw@h/d b main")),
        ("deb http://h/d ./", Some("http://h/d ./")),
        ("deb http://h/d sub/dir/", Some("http://h/d sub/dir/")),
        ("deb-src http://h/d b main", None),
        ("debian http://h/d b main", None),
        ("#deb http://h/d b main", None),
        ("", None),
        ("rpm http://h/d b main", None),
    ] {
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(shown(parse_one_line(line)).unwrap(), expected, "{line}");
    }
    for (text, reason) in [
        ("deb http://h/d", "line 1: expected `deb URI SUITE COMPONENT`"),
        ("\n# c\ndeb [arch=amd64 http://h/d b main", "line 3: `[` is not closed"),
        ("deb ", ""),
    ] {
        match shown(parse_one_line(text)) {
            Err(error) => assert_eq!(error, reason),
            Ok(found) => assert_eq!((found, reason), (Vec::new(), "")),
        }
    }
}

#[test]
fn deb822_sources_are_read_with_every_field_in_any_case_and_order() {
    for (text, expected) in [
        ("Types: deb\nURIs: http://h/d\nSuites: b\nComponents: main\n", Some("http://h/d b main")),
        ("components: main\nSUITES: b\nuris: http://h/d\ntypes: deb\n", Some("http://h/d b main")),
        (
            "Types: deb-src deb\nURIs: http://h/d http://i/d\nSuites: b b-updates\nComponents: main non-free\n",
            Some("http://h/d,http://i/d b,b-updates main,non-free"),
        ),
        (
            "Types: deb\nURIs:\n http://h/d\n# not this: http://x/\n http://i/d\nSuites: b\nComponents: main\n",
            Some("http://h/d,http://i/d b main"),
        ),
        ("Types: deb\nURIs: http://h/d\nSuites: b ./\nComponents: main\n", Some("http://h/d b,./ main")),
        (
            "Enabled: yes\nTypes: deb\nURIs: http://h/d\nSuites: b\nComponents: main\n",
            Some("http://h/d b main"),
        ),
        (
            "Enabled: true\nTypes: deb\nURIs: http://h/d\nSuites: b\nComponents: main\n",
            Some("http://h/d b main"),
        ),
        ("Enabled: no\nTypes: deb\nURIs: http://h/d\nSuites: b\nComponents: main\n", None),
        ("Enabled: FALSE\nTypes: deb\nURIs: http://h/d\nSuites: b\nComponents: main\n", None),
        ("Types: deb\nURIs: http://h/d\nSuites: b\nComponents: main\nenabled: off\n", None),
        ("Types: deb-src\nURIs: http://h/d\nSuites: b\nComponents: main\n", None),
        ("URIs: http://h/d\nSuites: b\nComponents: main\n", None),
        ("# all of it\n# is a comment\n", None),
    ] {
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(shown(parse_deb822(text)).unwrap(), expected, "{text}");
    }
    for broken in ["Types: deb\nURIs\n", "Types: deb\nTypes: deb\n", " Types: deb\n"] {
        assert!(parse_deb822(broken).is_err(), "{broken}");
    }
}

#[test]
fn who_may_sign_is_read_from_both_forms_alike() {
    const PRINT: &str = "4D64FEC119C2029067D6E791F8D2585B8783D481";
    let one_line = |option: &str| {
        let line = format!("deb [{option}] http://h/d b main");
        parse_one_line(&line).unwrap().remove(0)
    };
    let deb822 = |value: &str| {
        let text = format!("Types: deb\nURIs: http://h/d\nSuites: b\nComponents: main\nSigned-By: {value}\n");
        parse_deb822(&text).unwrap().remove(0)
    };
    let exact = format!("{PRINT}!");
    for (value, files, fingerprints) in [
        ("/k/a.gpg".to_owned(), &["/k/a.gpg"][..], &[][..]),
        ("/k/a.gpg,/k/b.asc".into(), &["/k/a.gpg", "/k/b.asc"], &[]),
        (PRINT.into(), &[], &[PRINT]),
        (exact.clone(), &[], &[exact.as_str()]),
        (format!("/k/a.gpg,{PRINT}"), &["/k/a.gpg"], &[PRINT]),
        // A short number says too little of a key, a relative path nothing at all.
        ("8783D481".into(), &[], &[]),
        ("keys/a.gpg".into(), &[], &[]),
    ] {
        for signed_by in [one_line(&format!("signed-by={value}")).signed_by, deb822(&value).signed_by] {
            assert_eq!(signed_by.files, files.iter().map(PathBuf::from).collect::<Vec<_>>(), "{value}");
            assert_eq!(signed_by.fingerprints, fingerprints, "{value}");
            assert_eq!(signed_by.inline, None);
        }
    }
    let inline =
        deb822("\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----")
            .signed_by;
    assert_eq!(
        String::from_utf8(inline.inline.unwrap()).unwrap(),
        "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----"
    );
    assert!(inline.files.is_empty() && inline.fingerprints.is_empty());
    // `trusted=yes` would switch signatures off: nothing here does.
    assert!(one_line("trusted=yes").signed_by.is_empty());
    for (option, freshness) in [
        ("check-valid-until=no", Freshness::Unchecked),
        ("Check-Valid-Until=false", Freshness::Unchecked),
        ("check-valid-until=yes", Freshness::Checked),
        ("check-valid-until", Freshness::Checked),
        ("check-date=no", Freshness::Checked),
    ] {
        assert_eq!(one_line(option).freshness, freshness, "{option}");
    }
}

#[test]
fn a_login_is_sent_where_it_was_written_for_and_nowhere_else() {
    let login = |text: &str, url: &str| {
        let header = auth_for(&parse_auth(text), &url.parse().unwrap()).header();
        header.map(|header| header.expose().to_owned())
    };
    // `printf a:b | base64`
    const AB: Option<&str> = Some("Basic YTpi");
    for (text, url, expected) in [
        ("machine h login a password b", "https://h/x", AB),
        ("machine h\nlogin a\npassword b\n", "https://h/x", AB),
        ("machine h password b login a", "https://h/x", AB),
        ("# machine h login x password y\nmachine h login a password b", "https://h/", AB),
        ("machine H.Example login a password b", "https://h.example/", AB),
        ("machine h login a password b", "https://h:8443/x", AB),
        ("machine h:8443 login a password b", "https://h:8443/x", AB),
        ("machine h:8443 login a password b", "https://h/x", None),
        ("machine h:443 login a password b", "https://h/x", AB),
        ("machine h/p login a password b", "https://h/p", AB),
        ("machine h/p login a password b", "https://h/p/x", AB),
        ("machine h/p/ login a password b", "https://h/p/x", AB),
        ("machine h/p login a password b", "https://h/px", None),
        ("machine h/p login a password b", "https://h/", None),
        ("machine h/p login a password b", "https://h/P/x", None),
        ("machine h login a password b", "http://h/x", None),
        ("machine http://h login a password b", "http://h/x", AB),
        ("machine http://h login a password b", "https://h/x", None),
        ("machine https://h/p login a password b", "https://h/p/x", AB),
        ("machine h login a password b", "https://sub.h/x", None),
        ("machine sub.h login a password b", "https://h/x", None),
        ("machine h password b", "https://h/x", None),
        ("login a password b", "https://h/x", None),
        ("machine i login c password d machine h login a password b", "https://h/x", AB),
        ("machine h/p login c password d machine h login a password b", "https://h/x", AB),
        ("machine", "https://h/x", None),
        ("machine h login", "https://h/x", None),
    ] {
        assert_eq!(login(text, url).as_deref(), expected, "{text} {url}");
    }
    assert!(!format!("{:?}", parse_auth("machine h login a password s3cret")).contains("s3cret"));
}
