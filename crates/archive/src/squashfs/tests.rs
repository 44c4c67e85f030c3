//! Judged by `unsquashfs`, where it is installed, and by a few numbers of the format.
#![expect(clippy::disallowed_methods, reason = "unsquashfs is asked what it sees")]

use std::process::Command;

use fs_err as fs;
use pinfold_base::ImagePath;

use super::*;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn file(size: u64, mode: u16) -> Entry {
    Entry::File { size, mode }
}

/// Bytes that differ from file to file and from block to block.
fn bytes(path: &ImagePath, size: u64) -> Vec<u8> {
    let seed = path.as_bytes().iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
    (0..size).map(|at| (at.wrapping_mul(seed) >> 7).to_le_bytes()[0]).collect()
}

fn written(plan: &Plan) -> Vec<u8> {
    let mut out = Vec::new();
    let length = plan
        .write(&mut out, |path| Ok(io::Cursor::new(bytes(path, plan.place(path).unwrap().size))))
        .unwrap();
    assert_eq!((length, plan.length().unwrap()), (out.len() as u64, out.len() as u64));
    out
}

/// A file of each size that counts, links, a directory that is long, and names that are odd.
fn plan() -> Plan {
    let mut plan = Plan::new();
    plan.add(&path("AppRun"), file(3, 0o755)).unwrap();
    for size in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20] {
        plan.add(&path(&format!("oci/blobs/sha256/{size:064}")), file(size, 0o444)).unwrap();
    }
    for number in 0..3000 {
        let name = format!("many/{number}-{}", "x".repeat(number % 200));
        plan.add(&path(&name), file(number as u64 % 3, 0o600)).unwrap();
    }
    for name in ["odd/with blank", "odd/new\nline", "odd/ü", "odd/-dash"] {
        plan.add(&path(name), file(2, 0o644)).unwrap();
    }
    plan.add(&path(&format!("odd/{}", "n".repeat(255))), file(1, 0o644)).unwrap();
    plan.add(&path("link"), Entry::Symlink { target: b"oci/blobs".as_slice().into() }).unwrap();
    plan.add(&path("far"), Entry::Symlink { target: vec![b't'; MAX_TARGET].into() }).unwrap();
    plan
}

#[test]
fn a_file_lies_at_its_place_and_equal_plans_are_equal() {
    let plan = plan();
    let out = written(&plan);
    assert_eq!((out.len() % 4096, &out[..4]), (0, &b"hsqs"[..]));
    for (path, place) in &plan.files {
        let at = usize::try_from(place.offset).unwrap();
        assert_eq!(out[at..][..usize::try_from(place.size).unwrap()], bytes(path, place.size), "{path}");
    }
    assert_eq!(written(&self::plan()), out);
    let mut other = self::plan();
    other.add(&path("more"), file(0, 0o644)).unwrap();
    assert_ne!(written(&other), out);
}

/// Lists and unpacks with the tool of the format's authors.
#[test]
fn unsquashfs_sees_what_was_planned() {
    let plan = plan();
    let scratch = tempfile::tempdir().unwrap();
    let (image, root) = (scratch.path().join("image"), scratch.path().join("root"));
    fs::write(&image, written(&plan)).unwrap();
    let Ok(output) = Command::new("unsquashfs").arg("-no-progress").arg("-d").arg(&root).arg(&image).output()
    else {
        // Shown by the end-to-end test, which installs it.
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (path, place) in &plan.files {
        let at = root.join(std::ffi::OsStr::new(std::str::from_utf8(path.as_bytes()).unwrap()));
        assert_eq!(fs::read(&at).unwrap(), bytes(path, place.size), "{path}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&at).unwrap().permissions());
        let Some(Placed::File { mode: wanted, .. }) = find(&plan.root, path) else { panic!("{path}") };
        assert_eq!(mode & 0o7777, u32::from(*wanted), "{path}");
    }
    assert_eq!(fs::read_link(root.join("link")).unwrap().to_str(), Some("oci/blobs"));
    assert_eq!(fs::read_link(root.join("far")).unwrap().as_os_str().len(), MAX_TARGET);
    assert_eq!(fs::read_dir(root.join("many")).unwrap().count(), 3000);
    // The control: it looks.
    let mut torn = written(&plan);
    torn.truncate(torn.len() - 8192);
    fs::write(&image, torn).unwrap();
    let output = Command::new("unsquashfs").arg("-lls").arg(&image).output().unwrap();
    assert!(!output.status.success());
}

fn find<'a>(names: &'a Names, path: &ImagePath) -> Option<&'a Placed> {
    let mut components = path.components();
    let last = components.next_back()?;
    let mut names = names;
    for name in components {
        let Some(Placed::Directory(inside)) = names.get(name) else { return None };
        names = inside;
    }
    names.get(last)
}

/// Places beyond 4 GiB are in the long form of an inode; the bytes themselves are not needed to see that.
#[test]
fn what_is_large_is_told_in_eight_bytes() {
    let mut plan = Plan::new();
    plan.add(&path("large"), file(5 << 30, 0o644)).unwrap();
    plan.add(&path("behind"), file(1, 0o644)).unwrap();
    assert_eq!(plan.place(&path("behind")).unwrap().offset, SUPERBLOCK + (5 << 30));
    let tables = Tables::of(&plan.root, SUPERBLOCK + (5 << 30) + 1).unwrap();
    // The inodes are in the order of names, behind the two bytes of their metadata block.
    let inodes = &tables.behind[2..];
    assert_eq!(inodes[..2], 9_u16.to_le_bytes());
    assert_eq!(inodes[16..24], (SUPERBLOCK + (5 << 30)).to_le_bytes());
    assert_eq!(inodes[24..32], 1_u64.to_le_bytes());
}

#[test]
fn what_cannot_be_in_one_is_refused() {
    let refused = |name: &str, entry| {
        let mut plan = plan();
        let error = plan.add(&path(name), entry).unwrap_err();
        assert!(matches!(&error, SquashfsError::Entry { .. }), "{error}");
    };
    refused("AppRun", file(1, 0o644));
    refused("AppRun/below", file(1, 0o644));
    refused("oci", file(1, 0o644));
    refused("new", file(1, 0o4755));
    refused("new", Entry::Symlink { target: Box::default() });
    refused("new", Entry::Symlink { target: vec![b't'; MAX_TARGET + 1].into() });
    let mut plan = Plan::new();
    plan.add(&path("file"), file(3, 0o644)).unwrap();
    for wrong in [&b"12"[..], b"1234"] {
        let error = plan.write(io::sink(), |_| Ok(wrong)).unwrap_err();
        assert!(matches!(error, SquashfsError::Entry { .. }), "{error}");
    }
    assert!(plan.write(io::sink(), |_| Ok(&b"123"[..])).is_ok());
}
