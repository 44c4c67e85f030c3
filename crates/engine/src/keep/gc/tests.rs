//! A cache with something in every folder, and what each scope leaves of it. Paths are written out: they are what users have
//! on their disks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Digest;
use pinfold_base::Home;
use pinfold_base::report::Silent;
use pinfold_sandbox::Spec;
use rustix::fs::FlockOperation;

use super::*;
use crate::context::Network;

const DAY: Duration = Duration::from_secs(86_400);

struct Disk {
    dir: tempfile::TempDir,
    context: Context,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::at(Home::under(dir.path()), Network::Offline, Box::new(Silent)).unwrap();
        Self { dir, context }
    }

    fn write(&self, name: &str, age: Duration) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "0123456789").unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.file().set_modified(SystemTime::now() - age).unwrap();
    }

    /// What is there of `names`.
    fn left<'a>(&self, names: &[&'a str]) -> BTreeSet<&'a str> {
        names.iter().copied().filter(|name| self.dir.path().join(name).exists()).collect()
    }

    /// Files and bytes by kind; kinds of nothing are left out.
    fn gc(&self, scope: Scope, pass: Pass) -> BTreeMap<String, (usize, u64)> {
        let report = gc(&self.context, scope, pass).unwrap();
        let some = report.parts.into_iter().filter(|part| part.files > 0);
        some.map(|part| (part.what, (part.files, part.bytes))).collect()
    }
}

const NOTHING: Scope = Scope { layers: false, downloads: false };

#[test]
fn each_scope_removes_its_folders_and_no_other() {
    let kinds = [
        ("cache/tmp/old", "abandoned downloads"),
        ("cache/partial/old", "partial downloads"),
        ("cache/layers/blobs/aa", "composed layers"),
        ("cache/layers/aa.json", "layer records"),
        ("cache/decoded/sha256-aa", "decoded archives"),
        ("cache/builds/aa.json", "build records"),
        ("data/locks/aa.json", "build records"),
        ("cache/blobs/sha256/aa", "downloads"),
        ("cache/blobs/sha512/aa", "downloads"),
        ("cache/metadata/packages-aa", "archive indexes"),
    ];
    let names = kinds.map(|(name, _)| name);
    let (always, layers, downloads) = (&kinds[..2], &kinds[2..7], &kinds[7..]);
    for (scope, removed) in [
        (NOTHING, vec![always]),
        (Scope { layers: true, ..NOTHING }, vec![always, layers]),
        (Scope { downloads: true, ..NOTHING }, vec![always, downloads]),
        (Scope { layers: true, downloads: true }, vec![always, layers, downloads]),
    ] {
        let disk = Disk::new();
        for name in names {
            disk.write(name, DAY);
        }
        let removed = removed.concat();
        let mut expected = BTreeMap::new();
        for (_, what) in &removed {
            let (files, bytes) = expected.entry((*what).to_owned()).or_insert((0, 0));
            (*files, *bytes) = (*files + 1, *bytes + 10);
        }
        assert_eq!(disk.gc(scope, Pass::Look), expected, "{scope:?}");
        assert_eq!(disk.left(&names).len(), names.len(), "looking removes nothing");
        assert_eq!(disk.gc(scope, Pass::Remove), expected, "{scope:?}");
        let gone: BTreeSet<&str> = removed.iter().map(|(name, _)| *name).collect();
        let kept: BTreeSet<&str> = names.into_iter().filter(|name| !gone.contains(name)).collect();
        assert_eq!(disk.left(&names), kept, "{scope:?}");
        assert_eq!(disk.gc(scope, Pass::Remove), BTreeMap::new(), "a second time there is nothing");
    }
}

#[test]
fn a_download_under_way_stays() {
    let disk = Disk::new();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let names = ["cache/tmp/now", "cache/partial/now", "cache/tmp/abandoned", "cache/partial/abandoned"];
    for (name, age) in names.iter().zip([59, 59, 61, 61]) {
        disk.write(name, minutes(age));
    }
    disk.gc(NOTHING, Pass::Remove);
    assert_eq!(disk.left(&names), BTreeSet::from(["cache/partial/now", "cache/tmp/now"]));
}

#[test]
fn a_root_that_a_running_sandbox_stands_on_stays() {
    let disk = Disk::new();
    let root = |content: &str| {
        let digest = Digest::sha256(content.as_bytes());
        disk.write(&format!("data/rootfs/{}/etc/passwd", digest.hex()), DAY);
        disk.dir.path().join("data/rootfs").join(digest.hex())
    };
    let (used, ended, unused) = (root("used"), root("ended"), root("unused"));
    // A sandbox runs while its supervisor holds the lock.
    let lock = |name: &str, rootfs: &Path| {
        let folder = disk.dir.path().join("data/sandboxes").join(name);
        fs::create_dir_all(&folder).unwrap();
        let spec = Spec::new(name, rootfs, vec!["true".into()]);
        fs::write(folder.join("spec.json"), serde_json::to_string(&spec).unwrap()).unwrap();
        fs::File::create(folder.join("lock")).unwrap()
    };
    let running = lock("running", &used);
    rustix::fs::flock(&running, FlockOperation::NonBlockingLockExclusive).unwrap();
    let _ = lock("ended", &ended);

    let found = disk.gc(NOTHING, Pass::Look);
    assert_eq!(found["root file systems of no image"].0, 2, "{found:?}");
    assert!(used.is_dir() && ended.is_dir() && unused.is_dir(), "looking removes nothing");
    disk.gc(NOTHING, Pass::Remove);
    assert!(used.is_dir() && !ended.exists() && !unused.exists());

    drop(running);
    disk.gc(NOTHING, Pass::Remove);
    assert!(!used.exists(), "the negative control: it ran no more");
}
