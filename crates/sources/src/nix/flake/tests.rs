use super::*;

fn package(text: &str) -> Package {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn packages_are_named_as_nix_names_them() {
    for (text, flake, name, outputs) in [
        ("nixpkgs#ripgrep", "nixpkgs", "ripgrep", Outputs::Default),
        (
            "nixpkgs/nixos-24.05#python3Packages.six^*",
            "nixpkgs/nixos-24.05",
            "python3Packages.six",
            Outputs::All,
        ),
        (
            "github:owner/name?ref=main#a_b^bin,dev",
            "github:owner/name?ref=main",
            "a_b",
            Outputs::Named(BTreeSet::from(["bin".into(), "dev".into()])),
        ),
        ("./tools#x86", "./tools", "x86", Outputs::Default),
    ] {
        let read = package(text);
        assert_eq!((read.flake.as_str(), &*read.name, &read.outputs), (flake, name, &outputs), "{text}");
        assert_eq!(read.to_string(), text);
    }
    assert_eq!(package("path:/srv/flake#a").flake, Flake::Directory("/srv/flake".into()));
    assert_eq!(package("flake:nixpkgs#a").flake, Flake::Registered("nixpkgs".into()));
    for (text, expected) in [
        ("ripgrep", "expected `nixpkgs#NAME`"),
        ("nixpkgs#", "words of letters"),
        ("nixpkgs#a..b", "words of letters"),
        ("nixpkgs#a\" + abort \"", "words of letters"),
        ("nixpkgs#a^", "`^*` for all"),
        ("nixpkgs#a^out,", "`^*` for all"),
        ("git+file:///srv/x#a", "begins with github:"),
        ("hg+file:///srv/x#a", "begins with github:"),
        ("git+https://#a", "begins with github:"),
        ("nix pkgs#a", "the flake has letters"),
        ("./x?dir=y#a", "a directory has no `?`"),
        ("${x}#a", "the flake has letters"),
    ] {
        let error = text.parse::<Package>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(format!("nixpkgs#{}", "a".repeat(600)).parse::<Package>().is_err());
}

#[test]
fn an_answer_is_read_strictly_and_for_what_was_asked() {
    let path = "/nix/store/s3zc23mfbdjaczxaagdzk9g112hazri7-tiny-hello-1.0";
    let text = format!(
        r#"{{"nixpkgs":{{"revision":"abc","systems":{{"x86_64-linux":{{
            "hello":{{"outputs":{{"out":"{path}"}},"default":["out"]}},"obsidian":{{"refused":"unfree"}}}}}}}}}}"#
    );
    let read = Resolution::parse(text.as_bytes()).unwrap();
    let Said::Found(found, revision) = read.of(&package("nixpkgs#hello"), "x86_64-linux") else { panic!() };
    assert_eq!((found.outputs["out"].0.to_string().as_str(), revision), (path, Some("abc")));
    assert_eq!(read.of(&package("nixpkgs#obsidian"), "x86_64-linux"), Said::Refused(Refused::Unfree));
    assert_eq!(read.of(&package("nixpkgs#hello"), "aarch64-linux"), Said::Nothing(vec!["x86_64-linux"]));
    assert_eq!(read.of(&package("other#hello"), "x86_64-linux"), Said::Nothing(vec![]));
    for (from, to) in [
        ("\"revision\":\"abc\"", "\"revision\":\"abc\",\"x\":1"),
        ("\"default\":[\"out\"]", "\"default\":[\"out\"],\"x\":1"),
        ("unfree", "unknown"),
        ("/nix/store/s3zc", "/gnu/store/s3zc"),
        ("/nix/store/s3zc", "../s3zc"),
        (path, &format!("{path}/bin")),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(Resolution::parse(text.replace(from, to).as_bytes()).is_err(), "{from} → {to}");
    }
    let long = vec![b' '; usize::try_from(MAX_ANSWER).unwrap() + 1];
    assert!(matches!(Resolution::parse(&long), Err(AnswerError::TooLong)));
    let deep = "[".repeat(100_000);
    assert!(Resolution::parse(deep.as_bytes()).is_err());
}

#[test]
fn strings_of_the_language_stay_strings() {
    assert_eq!(quoted("a\"b\\c${d}\n"), r#""a\"b\\c\${d}\n""#);
    let text = expression(
        &Flake::Registered("nixpkgs".into()),
        "github:o/n?narHash=sha256-x=",
        &["x86_64-linux".into()],
        &BTreeSet::from(["a", "b.c"]),
    );
    assert!(
        text.ends_with(r#") "nixpkgs" (builtins.getFlake "github:o/n?narHash=sha256-x=") [ "x86_64-linux" ] [ "a" "b.c" ]"#),
        "{text}"
    );
}
