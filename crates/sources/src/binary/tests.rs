//! Trees are written out by hand from the documented rules.

use pinfold_archive::decoded;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

use super::*;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn entry(name: &str, mode: u32, kind: MemberKind) -> decoded::Member {
    decoded::Member {
        path: path(name),
        raw_name: name.as_bytes().into(),
        kind,
        meta: Metadata::root(mode, 9),
        uname: b"".as_slice().into(),
        gname: b"".as_slice().into(),
    }
}

fn file(name: &str, mode: u32) -> decoded::Member {
    entry(name, mode, MemberKind::File { content: Content::inline(name.as_bytes()) })
}

fn member(from: &str, to: &str) -> Member {
    Member { from: path(from), to: path(to), mode: None }
}

fn lines(data: Vec<decoded::Member>, members: &[Member]) -> Result<Vec<String>, BinaryError> {
    let listing = Listing { data, ..Listing::default() };
    let tree = place("tool", &listing, members, &Component::new("binary", "tool"), 7)?;
    assert!(tree.iter().all(|(_, node)| node.meta.mtime == 7));
    Ok(format!("{tree:?}").lines().map(str::to_owned).collect())
}

#[test]
fn formats_are_told_from_names() {
    for (url, format) in [
        ("https://h/tool-1.0.tar.gz", Format::Tar),
        ("https://h/tool.TGZ", Format::Tar),
        ("https://h/tool.tar.zst?x=.zip", Format::Tar),
        ("https://h/tool.zip", Format::Zip),
        ("https://h/tool.tar.bz2", Format::Tar),
        ("https://h/tool.tbz", Format::Tar),
        ("https://h/tool.gz", Format::Auto),
        ("https://h/download?file=latest", Format::Auto),
        ("https://h/x.zip/tool", Format::Auto),
    ] {
        assert_eq!(BinaryFormat::Auto.decode(url), format, "{url}");
    }
    assert_eq!(BinaryFormat::Zip.decode("https://h/download"), Format::Zip);
}

/// The policy decides about what a file may do; other attributes are its packager's.
#[test]
fn capabilities_are_taken_over_and_other_attributes_are_not() {
    let mut capable = file("t", 0o755);
    let attributes = [(b"security.capability".to_vec(), vec![1]), (b"user.note".to_vec(), vec![2])];
    capable.meta.xattrs.extend(attributes);
    let listing = Listing { data: vec![capable], ..Listing::default() };
    let owner = Component::new("binary", "tool");
    let tree = place("tool", &listing, &[member("t", "t")], &owner, 7).unwrap();
    let found = &tree.get(&path("t")).unwrap().meta.xattrs;
    assert_eq!(found.keys().collect::<Vec<_>>(), [b"security.capability"]);
}

#[test]
fn members_are_placed() {
    let data = || {
        vec![
            entry("t-1/lib", 0o700, MemberKind::Directory),
            file("t-1/tool", 0o4755),
            file("t-1/lib/a", 0o600),
            entry("t-1/lib/b", 0o644, MemberKind::Hardlink(path("t-1/lib/a"))),
            entry("t-1/lib/c", 0o644, MemberKind::Hardlink(path("t-1/tool"))),
            entry("t-1/lib/d", 0o777, MemberKind::Symlink(b"a".as_slice().into())),
        ]
    };
    assert_eq!(
        lines(data(), &[member("t-1/tool", "usr/local/bin/tool"), member("t-1/lib", "usr/lib/tool")])
            .unwrap(),
        [
            "0755 0:0 /usr/lib/tool [binary/tool] dir",
            "0644 0:0 /usr/lib/tool/a [binary/tool] inline 9 bytes",
            "0644 0:0 /usr/lib/tool/b [binary/tool] = /usr/lib/tool/a",
            "0644 0:0 /usr/lib/tool/c [binary/tool] inline 8 bytes",
            "0777 0:0 /usr/lib/tool/d [binary/tool] -> a",
            "4755 0:0 /usr/local/bin/tool [binary/tool] inline 8 bytes",
        ]
    );
    let error = lines(data(), &[member("t-2/tool", "x")]).unwrap_err();
    assert_eq!(error.to_string(), "the archive of the binary `tool` has no `/t-2/tool`");
    assert_eq!(error.hint().unwrap(), "did you mean `t-1/tool`?");
    let two = [member("t-1/tool", "x"), member("t-1/lib/a", "x")];
    assert!(matches!(lines(data(), &two), Err(BinaryError::Conflict(_))));
    let white = [member("t-1/tool", "usr/.wh.x")];
    assert!(matches!(lines(data(), &white), Err(BinaryError::Whiteout { .. })));
}

#[test]
fn a_member_that_is_not_there_is_told_with_those_that_are() {
    let data =
        || vec![file("tool-1.2/bin/tool", 0o755), file("tool-1.2/doc/tool", 0o644), file("LICENSE", 0o644)];
    for (from, hint) in [
        ("tool-1.3/bin/tool", "did you mean `tool-1.2/bin/tool`?"),
        ("LICENCE", "did you mean `LICENSE`?"),
        ("tool", "name in `members` what it has, such as `tool-1.2/bin/tool`, `tool-1.2/doc/tool`"),
        ("x", "name in `members` what it has, such as `tool-1.2/bin/tool`, `tool-1.2/doc/tool`, `LICENSE`"),
    ] {
        let error = lines(data(), &[member(from, "to")]).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some(hint), "{from}");
    }
    // What is meant is there.
    lines(data(), &[member("tool-1.2/bin/tool", "to")]).unwrap();
    let nothing = lines(Vec::new(), &[member("x", "to")]).unwrap_err();
    assert_eq!(nothing.hint().unwrap(), "it has no file at all: check the address");
}

#[test]
fn what_is_a_directory_and_something_else_is_refused_where_it_is_asked_for() {
    let listing = Listing {
        data: vec![entry("x", 0o755, MemberKind::Directory), file("x/y", 0o644), file("z", 0o644)],
        shadowed: vec![Shadowed { path: path("x"), loss: Loss::Directory }],
        ..Listing::default()
    };
    let owner = Component::new("binary", "tool");
    let place = |from| place("tool", &listing, &[member(from, "to")], &owner, 7);
    assert!(place("z").is_ok() && place("x/y").is_ok());
    for from in ["x", ""] {
        assert_eq!(
            place(from).unwrap_err().to_string(),
            "`/x` of the binary `tool` is a directory and something else"
        );
    }
}

#[test]
fn a_program_that_is_no_archive_becomes_executable() {
    let raw = || vec![file("", 0o644)];
    assert_eq!(
        lines(raw(), &[member("", "bin/t")]).unwrap(),
        ["0755 0:0 /bin/t [binary/tool] inline 0 bytes"]
    );
    let with_mode = Member { mode: Some(0o500), ..member("", "bin/t") };
    assert_eq!(lines(raw(), &[with_mode]).unwrap(), ["0500 0:0 /bin/t [binary/tool] inline 0 bytes"]);
}

#[test]
fn the_first_lock_writes_the_digest_down_and_later_ones_check_it() {
    let server = Server::start(|request| {
        Response::ranged(request, if request.path == "/v2" { b"evil" } else { b"tool" })
    });
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let platform = Platform::ALL[0];
    let request = |path: &str, sha256: &[&Digest]| BinaryRequest {
        name: "tool".into(),
        version: "1".into(),
        urls: BTreeMap::from([(platform, server.url(path))]),
        sha256: sha256.iter().map(|digest| (platform, (*digest).clone())).collect(),
        format: BinaryFormat::Auto,
        members: Vec::new(),
    };
    let lock = |request: &BinaryRequest, previous: Option<&LockedBinary>| {
        super::lock(&Client::new().unwrap(), &store, request, platform, previous, &Silent)
    };
    let locked = lock(&request("/v1", &[]), None).unwrap();
    assert_eq!((&locked.sha256, locked.size), (&Digest::sha256(b"tool"), 4));
    assert!(store.contains(&locked.sha256));
    // The lock is kept without asking.
    let asked = server.requests().len();
    assert_eq!(lock(&request("/v1", &[]), Some(&locked)).unwrap(), locked);
    assert_eq!(server.requests().len(), asked);
    // A digest in the manifest is what counts.
    let error = lock(&request("/v2", &[&locked.sha256, &locked.sha256]), None);
    assert!(error.is_ok(), "the store has it already");
    let other = Digest::sha256(b"other");
    let error = lock(&request("/v2", &[&other]), Some(&locked)).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    let arm = super::lock(&Client::offline(), &store, &request("/v1", &[]), Platform::ALL[1], None, &Silent)
        .unwrap_err();
    assert_eq!(arm.to_string(), "the binary `tool` has no address for linux/arm64");
    let url = server.url("/v1").replace("http://", "http://me:s3cret@");
    let secret = BinaryRequest { urls: BTreeMap::from([(platform, url)]), ..request("/v1", &[]) };
    assert!(matches!(lock(&secret, None), Err(BinaryError::Credentials { .. })));
}
