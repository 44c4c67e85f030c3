//! The database, held to what Nix wrote of the same paths; and read by Nix, where it is installed.
#![expect(clippy::disallowed_methods, reason = "Nix is asked what it thinks of the database")]

use std::process::Command;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_testkit::nix;

use super::*;
use crate::nix::testing;
use crate::nix::testing::root;

#[test]
fn the_same_paths_give_the_same_bytes_in_whatever_order() {
    let locked = testing::locked();
    let bytes = write(&locked.paths).unwrap();
    assert_eq!(write(locked.paths.iter().rev()).unwrap(), bytes);
    assert_eq!(&bytes[..16], b"SQLite format 3\0");
    assert_eq!(bytes[18..20], [1, 1], "no write-ahead log");
    assert_eq!((bytes[16..18].to_vec(), bytes.len() % 4096), (vec![0x10, 0], 0), "pages of 4096 bytes");
    // Another SQLite writes other bytes: images that Nix is in would be others, by the same lock (`compat`).
    assert_eq!(
        Digest::sha256(&bytes).hex(),
        "96864c157375dbe180e0fdedaf5ce6020cf1b7ff6a3ad421f1280544c09c012d",
        "of {} bytes",
        bytes.len()
    );
}

#[test]
fn what_is_not_in_the_image_cannot_be_referred_to() {
    let locked = testing::locked();
    let without = locked.paths.iter().filter(|path| path.path != root("odd"));
    let error = write(without).unwrap_err();
    assert!(matches!(&error, DatabaseError::Reference { path, reference }
        if *path == root("lib") && *reference == root("odd")));
    let twice = locked.paths.iter().chain(&locked.paths[..1]);
    assert!(matches!(write(twice), Err(DatabaseError::Twice(_))));
}

#[test]
fn every_path_is_registered_as_the_fixtures_database_has_it() {
    let connection = Connection::open_in_memory().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("db.sqlite");
    fs::write(&file, write(&testing::locked().paths).unwrap()).unwrap();
    connection.execute("attach ?1 as own", [file.to_str().unwrap()]).unwrap();
    let row = |path: &str| {
        let text = "select hash, narSize, deriver, sigs, ca, registrationTime, ultimate from own.ValidPaths where path = ?1";
        connection
            .query_row(text, [path], |row| {
                assert_eq!((row.get::<_, i64>(5)?, row.get::<_, Option<i64>>(6)?), (1, None));
                // Who made it and who signed it is the place's, not the path's.
                assert_eq!(
                    (row.get::<_, Option<String>>(2)?, row.get::<_, Option<String>>(3)?),
                    (None, None)
                );
                Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, Option<String>>(4)?))
            })
            .unwrap()
    };
    for known in nix::closure() {
        let (hash, size, ca) = row(&known.path);
        assert_eq!(hash, known.nar_hash.to_string());
        assert_eq!(u64::from(size), known.nar_size);
        let says = ca.as_ref().map(|ca| known.narinfo().contains(&format!("\nCA: {ca}\n")));
        assert_eq!(says.unwrap_or(false), known.narinfo().contains("\nCA: "));
        let mut statement = connection
            .prepare(
                "select r.path from own.Refs join own.ValidPaths p on p.id = referrer
                 join own.ValidPaths r on r.id = reference where p.path = ?1 order by r.path",
            )
            .unwrap();
        let references = statement.query_map([&known.path], |row| row.get(0)).unwrap();
        let references: Vec<String> = references.map(Result::unwrap).collect();
        let mut expected = known.references.clone();
        expected.sort();
        assert_eq!(references, expected);
    }
}

/// `nix-store` on the store in `root`; none where Nix is not installed.
fn nix_store(root: &std::path::Path, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("nix-store")
        .args(["--store", &format!("local?root={}", root.display())])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH")?)
        .env("HOME", root)
        .env("NIX_CONF_DIR", root)
        .env("NIX_CONFIG", "build-users-group =")
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Nix reads what is written: it knows every path and its references, and misses nothing.
#[test]
fn nix_takes_the_database_as_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join(FOLDER);
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(scratch.path().join("nix/store/.links")).unwrap();
    fs::write(folder.join("schema"), SCHEMA_VERSION).unwrap();
    fs::write(folder.join("db.sqlite"), write(&testing::locked().paths).unwrap()).unwrap();
    let Some((good, dump)) = nix_store(scratch.path(), &["--dump-db"]) else { return };
    assert!(good, "{dump}");
    let registration = fs::read_to_string(nix::folder().join("registration")).unwrap();
    let records = |text: &str| {
        let mut lines = text.lines();
        let mut records = Vec::new();
        while let Some(path) = lines.next() {
            let mut record: Vec<String> =
                std::iter::once(path).chain(lines.by_ref().take(4)).map(str::to_owned).collect();
            record[3].clear();
            let count: usize = record[4].parse().unwrap();
            let mut references: Vec<_> = lines.by_ref().take(count).map(str::to_owned).collect();
            references.sort();
            record.append(&mut references);
            records.push(record);
        }
        records.sort();
        records
    };
    assert_eq!(records(&dump), records(&registration));
    let (good, said) = nix_store(scratch.path(), &["-qR", &root("env").to_string()]).unwrap();
    assert!(good && said.lines().count() == 6, "{said}");
    let (good, _) =
        nix_store(scratch.path(), &["-qR", "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-no"]).unwrap();
    assert!(!good, "the control");
}

/// With the paths beside it, unpacked by Nix: it finds nothing wrong, and what is wrong it finds.
#[test]
fn nix_verifies_the_contents_by_the_database() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join(FOLDER);
    let store = scratch.path().join("nix/store");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(store.join(".links")).unwrap();
    fs::write(folder.join("schema"), SCHEMA_VERSION).unwrap();
    fs::write(folder.join("db.sqlite"), write(&testing::locked().paths).unwrap()).unwrap();
    for locked in &testing::locked().paths {
        let known = nix::closure().into_iter().find(|known| known.path == locked.path.to_string()).unwrap();
        let file = known.nar();
        let mut nar = pinfold_archive::codec::decoder(locked.compression.codec(), &file[..]).unwrap();
        let child = Command::new("nix-store")
            .arg("--restore")
            .arg(store.join(locked.path.base_name()))
            .stdin(std::process::Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { return };
        std::io::copy(&mut nar, &mut child.stdin.take().unwrap()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let verify = || nix_store(scratch.path(), &["--verify", "--check-contents"]).unwrap();
    let (good, said) = verify();
    assert!(good && !said.contains("modified") && !said.contains("error"), "{said}");
    let hello = store.join(root("hello").base_name()).join("bin/hello");
    fs::set_permissions(&hello, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (good, said) = verify();
    assert!(!good && said.contains("was modified"), "the control: {said}");
}

#[test]
fn what_another_image_registers_is_read_and_what_is_no_store_is_refused() {
    let locked = testing::locked();
    let bytes = write(&locked.paths).unwrap();
    let told = |path: &LockedPath| {
        let LockedPath { path, nar, nar_size, references, ca, .. } = path.clone();
        (path, nar, nar_size, references, ca)
    };
    let read_back = read(bytes.clone()).unwrap();
    assert_eq!(
        read_back.iter().map(told).collect::<Vec<_>>(),
        locked.paths.iter().map(told).collect::<Vec<_>>()
    );
    assert_eq!(write(&read_back).unwrap(), bytes);
    // As Nix leaves it once it was used.
    let mut used = bytes.clone();
    used[18..20].copy_from_slice(&[2, 2]);
    assert_eq!(read(used).unwrap(), read_back);
    let with = |statement: &str| {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.deserialize_read_exact("main", &bytes[..], bytes.len(), false).unwrap();
        connection.execute_batch("pragma foreign_keys = off").unwrap();
        connection.execute_batch(statement).unwrap();
        read(connection.serialize("main").unwrap().to_vec())
    };
    assert!(with("update ValidPaths set registrationTime = 7").is_ok());
    // What Nix says of a path's maker and signers, which our own database does not.
    assert!(read_back.iter().all(|path| path.deriver.is_none() && path.signatures.is_empty()));
    let made = locked.paths.iter().find(|path| path.deriver.is_some()).unwrap();
    let signatures: Vec<String> = made.signatures.iter().map(ToString::to_string).collect();
    let signed = with(&format!(
        "update ValidPaths set deriver = '{}', sigs = '{}' where path = '{}'",
        made.deriver.as_ref().unwrap(),
        signatures.join(" "),
        made.path
    ));
    let signed = signed.unwrap().into_iter().find(|path| path.path == made.path).unwrap();
    assert_eq!((signed.deriver, signed.signatures), (made.deriver.clone(), made.signatures.clone()));
    for statement in [
        "update ValidPaths set path = '/nix/store/../x' where id = 1",
        "update ValidPaths set hash = 'md5:00' where id = 1",
        "update ValidPaths set narSize = -1 where id = 1",
        "update ValidPaths set sigs = 'x' where id = 1",
        "insert into Refs values (1, 99)",
        "drop table Refs; create view Refs as with recursive n(i) as (select 1 union all select i + 1 from n) select i, i from n",
    ] {
        assert!(matches!(with(statement), Err(DatabaseError::Foreign(_))), "{statement}");
    }
    for bytes in [Vec::new(), vec![0; 100], bytes[..5000].to_vec(), b"SQLite format 3\0".to_vec()] {
        assert!(read(bytes).is_err());
    }
}
