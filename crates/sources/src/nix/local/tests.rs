//! Local stores, made of the fixture's paths by the writer of databases.

use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use pinfold_archive::nar::EntryKind;
use pinfold_archive::nar::Limits as NarLimits;
use pinfold_archive::nar::Reader;
use pinfold_base::Diagnose as _;

use super::*;
use crate::nix::closure::Closure;
use crate::nix::closure::Limits;
use crate::nix::database;
use crate::nix::narinfo::Voucher;
use crate::nix::testing;
use crate::nix::testing::caches;
use crate::nix::testing::root;

/// A store with the fixture's database.
fn store() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join(FOLDER);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("schema"), SCHEMA_VERSION).unwrap();
    fs::write(folder.join("db.sqlite"), database::write(&testing::locked().paths).unwrap()).unwrap();
    scratch
}

fn open(store: &tempfile::TempDir) -> Result<LocalStore, LocalError> {
    LocalStore::open(store.path(), &std::env::temp_dir())
}

#[test]
fn a_local_store_says_what_the_cache_does() {
    let scratch = store();
    let local = open(&scratch).unwrap();
    let from_cache = caches(&[&format!("file://{}", pinfold_testkit::nix::cache().display())]);
    for attribute in ["env", "text", "source", "file"] {
        let closure = Closure::of(&[root(attribute)], &local, &Limits::default()).unwrap();
        let other = Closure::of(&[root(attribute)], &from_cache, &Limits::default()).unwrap();
        assert!(closure.paths().keys().eq(other.paths().keys()));
        for (path, verified) in closure.paths() {
            let known = other.paths()[path].info().clone();
            assert_eq!(*verified.info(), PathInfo { deriver: None, signatures: Vec::new(), ..known });
            assert_eq!((verified.voucher(), verified.file()), (&Voucher::LocalStore, None));
        }
    }
    let list = scratch.path().join("list");
    fs::write(&list, pinfold_testkit::nix::told()).unwrap();
    let listed = LocalStore::listed(scratch.path(), &list).unwrap();
    for path in &testing::locked().paths {
        let (one, other) = (listed.info(&path.path).unwrap(), local.info(&path.path).unwrap());
        assert_eq!(one.unwrap().info(), other.unwrap().info());
    }
    let unknown = StorePath::of_base_name("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-no").unwrap();
    assert!(matches!(local.ask(std::slice::from_ref(&unknown))[0], Answer::HasNot));
    assert!(matches!(listed.ask(&[unknown])[0], Answer::HasNot));
}

#[test]
fn what_is_in_the_log_is_known_and_nothing_is_written() {
    let scratch = store();
    let file = scratch.path().join(FOLDER).join("db.sqlite");
    let writer = Connection::open(&file).unwrap();
    writer.execute_batch("pragma journal_mode = wal; pragma wal_autocheckpoint = 0;").unwrap();
    let extra = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-extra";
    let insert = "insert into ValidPaths (path, hash, registrationTime, narSize) values (?1, ?2, 7, 120)";
    writer.execute(insert, [extra, &pinfold_base::Digest::sha256(b"").to_string()]).unwrap();
    let before = fs::read(&file).unwrap();
    let local = open(&scratch).unwrap();
    let verified = local.info(&StorePath::parse(extra).unwrap()).unwrap().unwrap();
    assert!(verified.info().signatures.is_empty(), "built here");
    assert_eq!(fs::read(&file).unwrap(), before);
    let names = fs::read_dir(scratch.path().join(FOLDER)).unwrap();
    assert_eq!(names.count(), 4, "schema, database, and the writer's log and index");
}

#[test]
fn each_store_that_cannot_be_read_is_told_with_what_to_do() {
    let nothing = tempfile::tempdir().unwrap();
    let error = open(&nothing).unwrap_err();
    assert!(matches!(error, LocalError::NoStore { .. }));
    assert!(error.hint().unwrap().contains("`nix/store` in it"));
    for version in ["9", "11", "", "ca-10"] {
        let scratch = store();
        fs::write(scratch.path().join(FOLDER).join("schema"), version).unwrap();
        let error = open(&scratch).unwrap_err();
        assert!(matches!(error, LocalError::Schema { .. }), "{version}: {error}");
        assert!(error.hint().unwrap().contains("nix copy --to"));
    }
    for list in [None, Some("[]]"), Some("{}")] {
        let file = nothing.path().join("list");
        if let Some(text) = list {
            fs::write(&file, text).unwrap();
        }
        let error = LocalStore::listed(Path::new("/"), &file).unwrap_err();
        assert!(matches!(error, LocalError::List { .. }));
        assert!(error.hint().unwrap().contains("`.attrs.json`"));
    }
    let scratch = store();
    fs::write(scratch.path().join(FOLDER).join("db.sqlite"), b"no database").unwrap();
    let read = open(&scratch).and_then(|local| local.info(&root("hello")));
    assert!(matches!(read, Err(LocalError::Sqlite { .. })));
}

#[test]
fn a_database_that_is_written_to_is_not_taken() {
    let scratch = store();
    let folder = scratch.path().join(FOLDER);
    let to = tempfile::tempdir().unwrap();
    std::thread::sleep(2 * STILL);
    assert!(copied(&folder, to.path(), &mut || ()).unwrap(), "the control");
    let changes: [&dyn Fn(); 3] = [
        &|| fs::write(folder.join("db.sqlite"), b"other").unwrap(),
        &|| fs::write(folder.join("db.sqlite-wal"), b"a log").unwrap(),
        &|| fs::remove_file(folder.join("db.sqlite-wal")).unwrap(),
    ];
    for change in changes {
        let mut changed = false;
        let still = copied(&folder, to.path(), &mut || {
            change();
            changed = true;
        });
        assert!(!still.unwrap() && changed, "while it was copied");
        std::thread::sleep(2 * STILL);
    }
    // Somebody who never stops.
    let scratch = store();
    let file = scratch.path().join(FOLDER).join("db.sqlite-wal");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::write(&file, b"x").unwrap();
            }
        });
        let opened = open(&scratch);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let error = opened.expect_err("it is never still");
        assert!(matches!(error, LocalError::Busy { .. }), "{error}");
        assert!(error.hint().unwrap().contains("wait"));
    });
}

#[test]
fn each_odd_row_is_refused_for_its_own_reason() {
    for (change, said) in [
        ("update ValidPaths set hash = 'sha1:x'", "no SHA-256"),
        ("update ValidPaths set narSize = null", "size"),
        ("update ValidPaths set narSize = -1", "size"),
        ("update ValidPaths set deriver = '/etc/passwd'", "not a store path"),
        ("update ValidPaths set sigs = 'x'", "not a signature"),
        ("update ValidPaths set ca = 'fixed:r:' || hash where path like '%odd%'", "content address"),
        (
            "update ValidPaths set path = '/gnu' || path where path not like '%odd%'; insert into Refs select a.id, b.id from ValidPaths a, ValidPaths b where a.path like '/nix%' and b.path like '/gnu%lib%'",
            "not a store path",
        ),
    ] {
        let scratch = store();
        let file = scratch.path().join(FOLDER).join("db.sqlite");
        assert!(open(&scratch).unwrap().info(&root("odd")).is_ok(), "the control");
        Connection::open(&file).unwrap().execute_batch(change).unwrap();
        let error = open(&scratch).unwrap().info(&root("odd")).expect_err(change);
        assert!(error.to_string().contains(said), "{change}: {error}");
    }
}

/// Unpacks the fixture's paths, as a store has them.
fn unpacked(store: &Path) {
    for known in pinfold_testkit::nix::closure() {
        let at = store.join("nix/store").join(StorePath::parse(&known.path).unwrap().base_name());
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let nar = known.nar();
        let nar = pinfold_archive::codec::decoder(pinfold_archive::codec::Compression::Xz, &nar[..]).unwrap();
        let mut reader = Reader::new(std::io::BufReader::new(nar), NarLimits::ACCEPTED).unwrap();
        while let Some(entry) = reader.next_entry().unwrap() {
            let file = if entry.path.is_root() {
                at.clone()
            } else {
                at.join(std::ffi::OsStr::from_bytes(entry.path.as_bytes()))
            };
            match &entry.kind {
                EntryKind::Directory => fs::create_dir(&file).unwrap(),
                EntryKind::Symlink(target) => {
                    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &file).unwrap();
                }
                EntryKind::File { .. } => {
                    let mut bytes = Vec::new();
                    reader.read_to_end(&mut bytes).unwrap();
                    fs::write(&file, bytes).unwrap();
                    let mode = entry.kind.mode() | 0o200;
                    fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
    }
}

#[test]
fn what_is_dumped_is_the_nar_that_was_locked_or_nothing() {
    let scratch = store();
    unpacked(scratch.path());
    let local = open(&scratch).unwrap();
    let all = testing::locked().paths;
    for locked in &all {
        let mut nar = Vec::new();
        local.dump(locked, &mut nar).unwrap();
        assert_eq!(pinfold_base::Digest::sha256(&nar), locked.nar, "{}", locked.path);
    }
    // Changed by somebody; the control stands above.
    let hello = all.iter().find(|locked| locked.path == root("hello")).unwrap();
    let program = local.place(&hello.path).join("bin/hello");
    let bytes = fs::read(&program).unwrap();
    for change in [vec![0; bytes.len()], [&bytes[..], b"x"].concat()] {
        fs::write(&program, change).unwrap();
        let error = local.dump(hello, std::io::sink()).unwrap_err();
        assert!(matches!(error, NixError::Local(LocalError::Changed { .. })), "{error}");
        assert!(error.hint().unwrap().contains("--repair"));
    }
    fs::write(&program, &bytes).unwrap();
    local.dump(hello, std::io::sink()).unwrap();
    fs::remove_file(&program).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&program).unwrap();
    let error = local.dump(hello, std::io::sink()).unwrap_err();
    assert!(matches!(error, NixError::Local(LocalError::Dump { .. })), "{error}");
}
