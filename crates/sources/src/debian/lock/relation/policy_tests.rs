//! Odd but lawful relations and unlawful ones: Debian Policy 7.1, deb-control(5), and dpkg-architecture(1) for the words
//! between brackets.

use super::*;

#[test]
fn wildcards_are_those_of_dpkg_architecture() {
    // `dpkg-architecture -a ARCH -i WORD`, dpkg 1.21.22.
    for (word, amd64, arm64) in [
        ("any", true, true),
        ("any-any", true, true),
        ("any-any-any-any", true, true),
        ("linux-any", true, true),
        ("gnu-any-any", true, true),
        ("gnu-linux-any", true, true),
        ("amd64", true, false),
        ("any-amd64", true, false),
        ("linux-amd64", true, false),
        ("arm64", false, true),
        ("any-arm64", false, true),
        ("i386", false, false),
        ("linux-i386", false, false),
        ("kfreebsd-any", false, false),
        ("musl-any-any", false, false),
        ("musl-linux-amd64", false, false),
        ("all", false, false),
    ] {
        for (arch, expected) in [("amd64", amd64), ("arm64", arm64)] {
            let (is, is_not) = (format!("xx [{word}]"), format!("xx [!{word}]"));
            assert_eq!(relation(&is).unwrap().applies_to(arch), expected, "{is} {arch}");
            assert_eq!(relation(&is_not).unwrap().applies_to(arch), !expected, "{is_not} {arch}");
        }
    }
    for (list, amd64) in [
        ("xx [i386 amd64]", true),
        ("xx [ amd64 ]", true),
        ("xx [i386\tarm64]", false),
        ("xx [!i386 !armhf]", true),
        ("xx [!i386 !amd64]", false),
        ("xx [AMD64]", false),
        ("xx []", false),
        // Build profiles never hold for a package that is built.
        ("xx <cross>", false),
        ("xx <!cross>", false),
        ("xx [amd64] <!nocheck>", false),
        ("xx [amd64] <a> <b>", false),
    ] {
        assert_eq!(relation(list).unwrap().applies_to("amd64"), amd64, "{list}");
    }
}

#[test]
fn what_is_read_is_exactly_what_is_written() {
    for (text, shown) in [
        ("libc6", "libc6"),
        ("  libc6\t", "libc6"),
        ("libc6(>=2.34)", "libc6 (>= 2.34)"),
        ("libc6 ( >= 2.34 )", "libc6 (>= 2.34)"),
        ("libc6\n (>= 2.34)", "libc6 (>= 2.34)"),
        ("g++:any (<< 4:13)", "g++:any (<< 4:13)"),
        ("python3:any", "python3:any"),
        ("libx:amd64 (= 1.0-1+b1)", "libx:amd64 (= 1.0-1+b1)"),
        ("0ad", "0ad"),
        ("libSOCKS-perl", "libSOCKS-perl"),
        ("xx (> 1)", "xx (>= 1)"),
        ("xx (< 1)", "xx (<= 1)"),
    ] {
        assert_eq!(relation(text).unwrap().to_string(), shown, "{text:?}");
    }
    let groups = groups("a1|b1 ,, c1 | d1(>> 1)|e1 ,\n\tf1,").unwrap();
    let shape: Vec<Vec<&str>> =
        groups.iter().map(|group| group.iter().map(|relation| relation.name).collect()).collect();
    assert_eq!(shape, [vec!["a1", "b1"], vec!["c1", "d1", "e1"], vec!["f1"]]);
}

#[test]
fn half_a_relation_is_none() {
    for text in [
        "",
        "-",
        "-x1",
        ".x1",
        "+x1",
        "x1 y1",
        "x1 (>= 1) y1",
        "x1 (>= 1) (<= 2)",
        "x1 [a] [b]",
        "x1 (",
        "x1 )",
        "x1 ()",
        "x1 (>=)",
        "x1 (1)",
        "x1 (== 1)",
        "x1 (~ 1)",
        "x1 (>= 1 2)",
        "x1 (>= ${Version})",
        "x1 (>= 1) junk",
        "x1 <",
        "x1 [",
        "x1]",
        "x1:",
        "x1::any",
        "x1:any:native",
        "x1:a_b",
        "x1/y",
        "x1%",
        "x\u{e9}",
        "x1\0",
        "${shlibs:Depends}",
    ] {
        assert!(relation(text).is_err(), "{text:?}");
        assert!(groups(&format!("aa, {text} | bb")).is_err(), "{text:?}");
    }
    // Alternatives have no place where all must be avoided (Policy 7.4).
    assert!(list("a1, b1 | c1").is_err() && list("a1, b1 (= 1)").is_ok());
    let names = |count: usize| "a1,".repeat(count);
    assert!(groups(&names(MAX_GROUPS)).is_ok() && groups(&names(MAX_GROUPS + 1)).is_err());
    let long = "x".repeat(1 << 16) + "!";
    assert!(relation(&long).unwrap_err().to_string().len() < 300);
}
