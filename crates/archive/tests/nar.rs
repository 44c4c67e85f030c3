//! NARs that Nix made are what the reader says, and NARs that the writer makes are what Nix says: those of a binary cache that is kept
//! in `testkit`, and, where Nix is installed, those of trees made by hand.
#![expect(clippy::disallowed_methods, reason = "a foreign program is the point of this test")]
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use pinfold_archive::Contents as _;
use pinfold_archive::codec;
use pinfold_archive::codec::Compression;
use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::decoded::Whole;
use pinfold_archive::nar::EntryKind;
use pinfold_archive::nar::Limits;
use pinfold_archive::nar::Permission;
use pinfold_archive::nar::Reader;
use pinfold_archive::nar::Writer;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Store;
use pinfold_base::digest::HashingReader;
use pinfold_base::digest::HashingWriter;
use pinfold_testkit::nix;

/// What a path is, as text.
type Tree = BTreeMap<String, String>;

/// What a NAR holds, its digest and size, and the NAR that the writer makes of it.
fn read(bytes: &[u8]) -> (Tree, Digest, u64, Vec<u8>) {
    let stream = HashingReader::new(Algorithm::Sha256, bytes);
    let mut reader = Reader::new(BufReader::new(stream), Limits::ACCEPTED).unwrap();
    let mut writer = Writer::new(Vec::new());
    let mut tree = Tree::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let what = match entry.kind {
            EntryKind::Directory => {
                writer.directory(&entry.path).unwrap();
                "directory".to_owned()
            }
            EntryKind::Symlink(target) => {
                writer.symlink(&entry.path, &target).unwrap();
                link(&target)
            }
            EntryKind::File { permission, size, .. } => {
                let mut content = Vec::new();
                reader.read_to_end(&mut content).unwrap();
                writer.file(&entry.path, permission, size, &mut &content[..]).unwrap();
                file(permission, &content)
            }
        };
        tree.insert(entry.path.as_bytes().escape_ascii().to_string(), what);
    }
    let (_, digest, size) = reader.into_inner().into_inner().finish();
    (tree, digest, size, writer.finish().unwrap())
}

fn link(target: &[u8]) -> String {
    format!("-> {}", target.escape_ascii())
}

fn file(permission: Permission, content: &[u8]) -> String {
    format!("{permission:?}, {} bytes, {}", content.len(), Digest::sha256(content))
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    codec::decoder(Compression::detect(bytes), bytes).unwrap().read_to_end(&mut decoded).unwrap();
    decoded
}

#[test]
fn every_nar_of_the_cache_is_what_its_narinfo_says() {
    for path in nix::closure() {
        let bytes = decoded(&path.nar());
        let (_, digest, size, again) = read(&bytes);
        assert_eq!((&digest, size), (&path.nar_hash, path.nar_size), "{}", path.path);
        assert!(again == bytes, "{} is written otherwise", path.path);
        let says = |line: String| path.narinfo().lines().any(|other| other == line);
        assert!(says(format!("NarHash: sha256:{}", nix::base32(digest.bytes()))));
        assert!(says(format!("NarSize: {size}")));
    }
}

/// What the builder of the fixture made, as its script says.
#[test]
fn the_odd_store_paths_are_read_as_they_were_made() {
    let tree = |attribute: &str| read(&decoded(&nix::root(attribute).nar())).0;
    let odd = tree("odd");
    let plain = |content: &[u8]| file(Permission::Plain, content);
    let n = "n".repeat(64).repeat(3);
    let deep = format!("deep/{}/file", [&"d".repeat(64)[..]; 4].join("/"));
    for (path, what) in [
        ("", "directory".to_owned()),
        ("empty-dir", "directory".to_owned()),
        ("empty-file", plain(b"")),
        ("lib/libodd.so", link(b"libodd.so.1")),
        ("lib/dangling", link(b"/does/not/exist")),
        ("lib/self", link(b".")),
        ("lib/executable", file(Permission::Executable, b"#!/bin/sh\n")),
        ("lib/empty-executable", file(Permission::Executable, b"")),
        ("names/README", plain(b"README")),
        ("names/readme", plain(b"readme")),
        ("names/-dash", plain(b"-dash")),
        ("names/tab\\there", plain(b"tab")),
        ("names/new\\nline", plain(b"newline")),
        ("len/7", plain(&[b'x'; 7])),
        ("len/512", plain(&[b'x'; 512])),
        (&deep, plain(b"deep")),
        (&n, plain(b"long")),
        ("long-link", link(n.as_bytes())),
    ] {
        assert_eq!(odd.get(path), Some(&what), "{path}");
    }
    // By the script: fifteen and the two with a tab and a line feed; twelve.
    assert_eq!(odd.keys().filter(|path| path.starts_with("names/")).count(), 17);
    assert_eq!(odd.keys().filter(|path| path.starts_with("len/")).count(), 12);
    for attribute in ["file", "exec", "link", "text"] {
        assert_eq!(tree(attribute).keys().collect::<Vec<_>>(), [""], "{attribute}");
    }
    assert!(tree("exec")[""].starts_with("Executable"));
    assert!(tree("link")[""].starts_with("-> /nix/store/"));
}

/// Listed from the cache's own files, as a source does it.
#[test]
fn the_cache_is_decoded_by_range() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let archives = DecodedStore::new(&store);
    for path in nix::closure() {
        let digest = store.put("nar", &path.nar()).unwrap();
        let listing = archives.decode(&digest, Format::Nar).unwrap();
        assert_eq!(listing.whole, Some(Whole { digest: path.nar_hash.clone(), size: path.nar_size }));
        // The seekable form is the NAR.
        let form = fs_err::read(archives.path(&digest, "")).unwrap();
        assert_eq!(Digest::sha256(&form), path.nar_hash);
        let tree: Tree = listing
            .data
            .iter()
            .map(|member| {
                let (mode, what) = match &member.kind {
                    MemberKind::Directory => (0o555, "directory".to_owned()),
                    MemberKind::Symlink(target) => (0o777, link(target)),
                    MemberKind::File { content } => {
                        let bytes = archives.read(content, 1 << 30).unwrap();
                        let permission = Permission::of(member.meta.mode);
                        (permission.mode(), file(permission, &bytes))
                    }
                    MemberKind::Hardlink(_) => panic!("a NAR has no hard links"),
                };
                let meta = &member.meta;
                assert_eq!((meta.mode, meta.uid, meta.gid, meta.mtime), (mode, 0, 0, 1));
                (member.path.as_bytes().escape_ascii().to_string(), what)
            })
            .collect();
        assert_eq!(tree, read(&form).0);
        // The index alone says the same.
        assert_eq!(DecodedStore::new(&store).decode(&digest, Format::Nar).unwrap(), listing);
        assert!(archives.check(&digest).unwrap());
    }
}

/// Whether Nix is here; says so where it is not.
fn nix_is_missing() -> bool {
    let found =
        Command::new("nix-store").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skip: nix-bin is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
    }
    !found
}

/// `nix-store` in a state of its own: it neither needs nor touches the machine's store.
fn nix_store(home: &Path, arguments: &[&OsStr], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("nix-store")
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("NIX_REMOTE", home.join("store"))
        .env("NIX_CONF_DIR", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may stop reading.
    let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

/// A tree of every kind below `root`.
fn made(root: &Path) {
    let file = |name: &[u8], mode: u32, content: &[u8]| {
        let path = root.join(OsStr::from_bytes(name));
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file(b"a/c", 0o644, b"in a");
    file(b"a-b", 0o755, b"beside a");
    file(b"a.b", 0o600, b"");
    file(b"a0", 0o100, b"the owner's bit is the one");
    file(b"a1", 0o655, b"not that of others");
    file(b"README", 0o444, &[7; 4097]);
    file(b"readme", 0o444, b"another");
    file(b"x~nix~case~hack~1", 0o444, b"a name");
    file(b"bytes-\xff\xfe", 0o644, b"no UTF-8");
    file(b"with space\nand line", 0o644, b"odd");
    for length in 0..17 {
        file(format!("len/{length}").as_bytes(), 0o644, &vec![b'x'; length]);
    }
    fs_err::create_dir_all(root.join("empty/inside")).unwrap();
    symlink("a/c", root.join("link")).unwrap();
    symlink("../nowhere", root.join("a/up")).unwrap();
    symlink("t".repeat(300), root.join("long")).unwrap();
    // Two names of one file are two files.
    fs_err::hard_link(root.join("a/c"), root.join("hard")).unwrap();
}

/// The NAR of what is in a file system.
fn dump(root: &Path) -> (Vec<u8>, Digest, u64) {
    fn walk(root: &Path, at: &ImagePath, writer: &mut Writer<impl Write>) {
        let path = root.join(OsStr::from_bytes(at.as_bytes()));
        let path = if at.is_root() { root.to_owned() } else { path };
        let meta = fs_err::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            writer.directory(at).unwrap();
            let mut names: Vec<_> =
                fs_err::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            for name in names {
                walk(root, &at.join(name.as_bytes()).unwrap(), writer);
            }
        } else if meta.is_symlink() {
            writer.symlink(at, fs_err::read_link(&path).unwrap().as_os_str().as_bytes()).unwrap();
        } else {
            let permission = Permission::of(meta.permissions().mode());
            writer.file(at, permission, meta.len(), &mut fs_err::File::open(&path).unwrap()).unwrap();
        }
    }
    let mut writer = Writer::new(HashingWriter::new(Algorithm::Sha256, Vec::new()));
    walk(root, &ImagePath::root(), &mut writer);
    writer.finish().unwrap().finish()
}

#[test]
fn nix_writes_and_reads_the_same() {
    if nix_is_missing() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("tree");
    fs_err::create_dir(&root).unwrap();
    made(&root);
    for part in ["", "a-b", "a.b", "link", "empty", "len/8"] {
        let path = if part.is_empty() { root.clone() } else { root.join(part) };
        let theirs = nix_store(home.path(), &["--dump".as_ref(), path.as_os_str()], b"").unwrap();
        let (ours, digest, size) = dump(&path);
        assert!(ours == theirs, "`{part}` is dumped otherwise");
        assert_eq!((&digest, size), (&Digest::sha256(&theirs), theirs.len() as u64));
        let (_, read_digest, _, again) = read(&theirs);
        assert!(read_digest == digest && again == theirs);
        // And back: what Nix restores of ours is the tree.
        let back = home.path().join("back");
        nix_store(home.path(), &["--restore".as_ref(), back.as_os_str()], &ours).unwrap();
        assert!(dump(&back).0 == ours, "`{part}` is restored otherwise");
        let meta = fs_err::symlink_metadata(&back).unwrap();
        if meta.is_dir() {
            pinfold_base::directory::remove(&back).unwrap();
        } else {
            fs_err::remove_file(&back).unwrap();
        }
    }
    // The control: another byte is another NAR.
    let before = dump(&root).1;
    fs_err::write(root.join("a/c"), b"in A").unwrap();
    assert!(dump(&root).1 != before);
}

/// Store paths from the cache, restored by Nix, have the modes that the listing gives.
#[test]
fn nix_restores_what_the_reader_lists() {
    if nix_is_missing() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for attribute in ["odd", "exec", "link", "file"] {
        let bytes = decoded(&nix::root(attribute).nar());
        let back = home.path().join(attribute);
        nix_store(home.path(), &["--restore".as_ref(), back.as_os_str()], &bytes).unwrap();
        assert!(dump(&back).0 == bytes, "{attribute}");
    }
    // What is refused here is refused by Nix, or restored as something whose NAR is another.
    let good = decoded(&nix::root("file").nar());
    for (what, bytes) in [
        ("a byte too few", good[..good.len() - 1].to_vec()),
        ("padding", {
            let mut bytes = good.clone();
            *bytes.last_mut().unwrap() = 1;
            bytes
        }),
        ("magic", [b"x", &good[..]].concat()),
    ] {
        let back = home.path().join("back");
        assert!(nix_store(home.path(), &["--restore".as_ref(), back.as_os_str()], &bytes).is_err(), "{what}");
        let read = Reader::new(&bytes[..], Limits::ACCEPTED).and_then(|mut reader| {
            while reader.next_entry()?.is_some() {}
            Ok(())
        });
        assert!(read.is_err(), "{what}");
        let _ = fs_err::remove_file(back);
    }
}
