use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use pinfold_base::report::Silent;

use super::root::Resolver;
use super::root::Root;
use super::*;
use crate::LayerEncoding;
use crate::judges::hostile_layers;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::trust::made;
use pinfold_testkit::raw_tar::RawTar;
use pinfold_testkit::raw_tar::header;

fn source_of(tars: &[Vec<u8>], encoding: LayerEncoding) -> (Admitted<ImageSource>, Image) {
    let mut memory = Memory::default();
    let composed = memory.image(AMD64, tars, encoding);
    let source = made(ImageSource::new("memory", composed.manifest.descriptor(), Box::new(memory)));
    let image = source.image(AMD64).unwrap();
    (source, image)
}

/// A folder with something to be harmed beside the target.
struct Yard {
    dir: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/canary"), "alive").unwrap();
        Self { dir }
    }

    fn target(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    /// Everything in the yard but the target, with contents and modes.
    fn outside(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut found = listing(self.dir.path());
        found.retain(|path, _| !path.starts_with("target"));
        found
    }

    fn unpack(&self, tars: &[Vec<u8>], options: &Options) -> Result<Report, UnpackError> {
        let (source, image) = source_of(tars, LayerEncoding::Tar);
        unpack(&source, &image, &self.target(), options, &Silent)
    }

    fn unpack_walking(&self, tars: &[Vec<u8>], options: &Options) -> Result<Report, UnpackError> {
        let (source, image) = source_of(tars, LayerEncoding::Tar);
        fs::create_dir_all(self.target()).unwrap();
        let root = Root::with_resolver(&self.target(), Resolver::Walk).unwrap();
        let report = layers(&source, &image, root, options, &Silent)?;
        check_rootfs(&self.target(), &options.mount_targets)?;
        Ok(report)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.target().join(path)).unwrap()
    }
}

/// Paths below `dir` with mode and content, or the target of a link.
fn listing(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                pending.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), (metadata.mode() & 0o7777, content));
        }
    }
    found
}

fn names(dir: &Path) -> Vec<String> {
    listing(dir).into_keys().map(|path| path.to_str().unwrap().to_owned()).collect()
}

fn tar() -> RawTar {
    RawTar::new()
}

/// What only whoever sees lower layers, limits and mounts can refuse: name, layers, words of the refusal.
fn attacks(outside: &str) -> Vec<(&'static str, Vec<Vec<u8>>, &'static str)> {
    vec![
        (
            "whiteout behind a lower link",
            vec![tar().symlink("evil", outside).end(), tar().file("evil/.wh.canary", "").end()],
            "behind a symbolic link",
        ),
        (
            "opaque behind a lower link",
            vec![tar().symlink("evil", outside).end(), tar().file("evil/.wh..wh..opq", "").end()],
            "behind a symbolic link",
        ),
        (
            "hard link through a lower link",
            vec![tar().symlink("evil", outside).end(), tar().hardlink("h", "evil/canary").end()],
            "does not exist",
        ),
        (
            "below a dangling link",
            vec![tar().symlink("l", "nowhere").end(), tar().file("l/x", "").end()],
            "nowhere",
        ),
        (
            "below a circle of links",
            vec![tar().symlink("a", "b").symlink("b", "a").end(), tar().file("a/x", "").end()],
            "circle",
        ),
        (
            "size that is not there",
            vec![header(b'0', b"big", b"", 0o644, 1 << 30).to_vec()],
            "ends inside a file",
        ),
        ("size beyond the limit", vec![header(b'0', b"big", b"", 0o644, 7 << 30).to_vec()], "limit"),
        ("/dev as a link", vec![tar().symlink("dev", outside).end()], "symbolic link"),
        ("/proc as a link", vec![tar().symlink("proc", outside).end()], "symbolic link"),
        ("/sys as a link", vec![tar().symlink("sys", outside).end()], "symbolic link"),
        ("/tmp as a link", vec![tar().symlink("tmp", outside).end()], "symbolic link"),
        ("/etc as a link", vec![tar().symlink("etc", "usr/etc").end()], "symbolic link"),
        ("/dev/shm as a link", vec![tar().dir("dev").symlink("dev/shm", "/tmp").end()], "symbolic link"),
        ("home as a link", vec![tar().dir("home").symlink("home/agent", outside).end()], "symbolic link"),
        ("/proc as a file", vec![tar().file("proc", "").end()], "no directory"),
    ]
}

fn strict() -> Options {
    Options {
        mount_targets: vec![ImagePath::new("home/agent").unwrap(), ImagePath::new("workspace").unwrap()],
        limits: Limits { entries: 1_000, bytes: 6 << 30 },
        ..Options::default()
    }
}

#[test]
fn every_attack_is_refused_and_touches_nothing() {
    for walking in [false, true] {
        let yard = Yard::new();
        let outside = yard.dir.path().join("outside");
        let before = yard.outside();
        let outside = outside.to_str().unwrap();
        for (name, tars, words) in hostile_layers(outside).into_iter().chain(attacks(outside)) {
            let result =
                if walking { yard.unpack_walking(&tars, &strict()) } else { yard.unpack(&tars, &strict()) };
            let error = result.expect_err(name);
            assert!(error.to_string().contains(words), "{name}: {error}");
            assert_eq!(yard.outside(), before, "{name} left or changed something outside");
            if walking {
                directory::remove(&yard.target()).unwrap();
            } else {
                assert!(!yard.target().exists(), "{name} left a target");
            }
        }
    }
}

/// Negative control for the table: the same shapes without the attack are unpacked.
#[test]
fn what_the_attacks_imitate_is_accepted() {
    for walking in [false, true] {
        let yard = Yard::new();
        let tars = vec![
            tar()
                .dir("./")
                .dir("usr/lib")
                .symlink("lib", "usr/lib")
                .symlink("run", "/var/run")
                .dir("var/run")
                .symlink("var/absolute", "/usr")
                .file("usr/lib/a", "1")
                .hardlink("usr/lib/b", "./usr/lib/a")
                .dir("dev")
                .dir("home/agent")
                .end(),
            // A later layer may go through links of an earlier one: they are followed inside the root.
            tar()
                .file("lib/c", "2")
                .file("run/pid", "3")
                .file("var/absolute/d", "4")
                .hardlink("e", "lib/a")
                .end(),
        ];
        let result =
            if walking { yard.unpack_walking(&tars, &strict()) } else { yard.unpack(&tars, &strict()) };
        result.unwrap();
        assert_eq!((yard.read("usr/lib/b"), yard.read("usr/lib/c")), ("1".into(), "2".into()));
        assert_eq!((yard.read("var/run/pid"), yard.read("usr/d")), ("3".into(), "4".into()));
        let inode = |path: &str| fs::metadata(yard.target().join(path)).unwrap().ino();
        assert_eq!(inode("usr/lib/a"), inode("usr/lib/b"));
        assert_eq!(inode("usr/lib/a"), inode("e"));
    }
}

#[test]
fn links_that_lead_out_are_followed_inside() {
    for walking in [false, true] {
        let yard = Yard::new();
        let outside = yard.dir.path().join("outside");
        let before = yard.outside();
        let tars = vec![
            tar()
                .symlink("up", "../../../../../../../../outside")
                .dir("outside")
                .symlink("abs", "/outside")
                .end(),
            tar().file("up/canary", "inside").file("abs/other", "inside").end(),
        ];
        let result =
            if walking { yard.unpack_walking(&tars, &strict()) } else { yard.unpack(&tars, &strict()) };
        result.unwrap();
        assert_eq!(yard.read("outside/canary"), "inside");
        assert_eq!(yard.read("outside/other"), "inside");
        assert_eq!(yard.outside(), before);
        assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "alive");
    }
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let yard = Yard::new();
    let lower = tar()
        .file("a", "1")
        .file("d/old", "1")
        .file("d/sub/x", "1")
        .file("e/old", "1")
        .file("f", "1")
        .file("g/h/i", "1")
        .end();
    let upper = tar()
        .file(".wh.a", "")
        .file("d/new", "2")
        .file("d/.wh..wh..opq", "")
        .file("d/sub/y", "2")
        .file("e/.wh.old", "")
        .file("e/.wh.never-there", "")
        .file("f", "2")
        .file(".wh.f", "")
        .file(".wh.g", "")
        .file("no/such/.wh.dir", "")
        .end();
    yard.unpack(&[lower, upper], &Options::default()).unwrap();
    assert_eq!(names(&yard.target()), ["d", "d/new", "d/sub", "d/sub/y", "e", "f"]);
    assert_eq!(yard.read("f"), "2");
}

#[test]
fn kinds_replace_each_other() {
    let yard = Yard::new();
    let lower = tar().file("file", "1").file("dir/x", "1").symlink("link", "dir").file("both/x", "1").end();
    let upper = tar().dir("file").file("dir", "2").dir("link").file("link/y", "2").dir("both").end();
    yard.unpack(&[lower, upper], &Options::default()).unwrap();
    // A real directory over a link destroys the link (rules_oci#857), over a directory it keeps what is inside.
    assert_eq!(names(&yard.target()), ["both", "both/x", "dir", "file", "link", "link/y"]);
    assert_eq!(yard.read("dir"), "2");
}

#[test]
fn modes_times_and_links_are_kept() {
    let yard = Yard::new();
    let tars = vec![
        tar()
            .raw(b'5', b"closed", b"", 0o500, b"")
            .raw(b'0', b"closed/run", b"", 0o755, b"#!")
            .pax(&[("mtime", "1600000000.5")])
            .raw(b'0', b"closed/secret", b"", 0o400, b"s")
            .raw(b'5', b"sticky", b"", 0o1777, b"")
            .symlink("l", "closed/run")
            .end(),
        tar().file("closed/later", "2").end(),
    ];
    yard.unpack(&tars, &Options::default()).unwrap();
    let metadata = |path: &str| fs::symlink_metadata(yard.target().join(path)).unwrap();
    assert_eq!(metadata("closed").mode() & 0o7777, 0o500);
    assert_eq!(metadata("closed/run").mode() & 0o7777, 0o755);
    assert_eq!(metadata("sticky").mode() & 0o7777, 0o1777);
    assert_eq!(
        (metadata("closed/secret").mtime(), metadata("closed/secret").mtime_nsec()),
        (1_600_000_000, 500_000_000)
    );
    // Writing into a directory later does not change the time its layer gave it.
    assert_eq!(metadata("closed").mtime(), 1_700_000_000);
    assert_eq!(metadata("l").mtime(), 1_700_000_000);
    fs::set_permissions(yard.target().join("closed"), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn set_id_bits_follow_the_policy() {
    let tars = vec![tar().raw(b'0', b"su", b"", 0o4755, b"x").raw(b'5', b"mail", b"", 0o2775, b"").end()];
    for (set_id, mode) in [(SetId::Strip, 0o755), (SetId::Keep, 0o4755)] {
        let yard = Yard::new();
        let report = yard.unpack(&tars, &Options { set_id, ..Options::default() }).unwrap();
        assert_eq!(fs::metadata(yard.target().join("su")).unwrap().mode() & 0o7777, mode);
        assert_eq!(report.set_id_stripped, u64::from(set_id == SetId::Strip));
        assert_eq!(fs::metadata(yard.target().join("mail")).unwrap().mode() & 0o7000, 0);
    }
    let yard = Yard::new();
    let error = yard.unpack(&tars, &Options { set_id: SetId::Refuse, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("set-user-id"), "{error}");
}

#[test]
fn an_ordinary_user_owns_everything() {
    let tars =
        vec![tar().pax(&[("uid", "33"), ("gid", "33")]).file("a", "1").dir("d").symlink("l", "a").end()];
    let yard = Yard::new();
    let report = yard.unpack(&tars, &Options { ids: Ids::ToSelf, ..Options::default() }).unwrap();
    assert_eq!(report.owners_mapped, 3);
    assert_eq!(fs::metadata(yard.target().join("a")).unwrap().uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn too_many_entries_are_refused() {
    let many = |count: usize| {
        let mut builder = tar();
        for number in 0..count {
            builder = builder.dir(&format!("d{number}"));
        }
        vec![builder.end()]
    };
    let options = Options { limits: Limits { entries: 50, ..Limits::default() }, ..Options::default() };
    assert_eq!(Yard::new().unpack(&many(50), &options).unwrap().entries, 50);
    let error = Yard::new().unpack(&many(51), &options).unwrap_err();
    assert!(error.to_string().contains("limit of 50 entries"), "{error}");
    assert_eq!(Limits::default().entries, 999_999, "10^6 entries are refused");
}

#[test]
fn an_exchanged_layer_is_refused() {
    let good = tar().file("a", "1").end();
    for encoding in [LayerEncoding::Tar, LayerEncoding::Gzip, LayerEncoding::Zstd] {
        let mut memory = Memory::default();
        let composed = memory.image(AMD64, std::slice::from_ref(&good), encoding);
        let layer = composed.manifest.value().layers[0].clone();
        let unpack_with = |memory: &Memory| {
            let yard = Yard::new();
            let source =
                made(ImageSource::new("memory", composed.manifest.descriptor(), Box::new(memory.clone())));
            let image = source.image(AMD64).unwrap();
            let result = unpack(&source, &image, &yard.target(), &Options::default(), &Silent);
            assert_eq!(yard.target().exists(), result.is_ok());
            result
        };
        // Negative control.
        unpack_with(&memory).unwrap();
        let original = memory.0[&layer.digest].clone();
        for at in [0, 100, original.len() / 2, original.len() - 1] {
            let mut bytes = original.clone();
            bytes[at] ^= 1;
            memory.0.insert(layer.digest.clone(), bytes);
            let error = unpack_with(&memory).unwrap_err();
            assert_eq!(error.kind(), Kind::Integrity, "{error}");
        }
        memory.0.insert(layer.digest.clone(), original[..original.len() - 1].to_vec());
        assert_eq!(unpack_with(&memory).unwrap_err().kind(), Kind::Integrity);
        memory.0.remove(&layer.digest);
        assert!(matches!(
            unpack_with(&memory).unwrap_err(),
            UnpackError::Layer { cause: Cause::Blob(ImageError::MissingBlob { .. }), .. }
        ));
    }
}

#[test]
fn a_layer_under_a_foreign_diff_id_is_refused() {
    let mut memory = Memory::default();
    let mut layer = memory.layer(&tar().file("a", "1").end(), LayerEncoding::Gzip);
    layer.diff_id = Digest::sha256(b"something else");
    let composed =
        crate::compose::image(AMD64, &crate::RuntimeConfig::default(), &[layer], &BTreeMap::new(), 0)
            .unwrap();
    memory.document(&composed.config);
    memory.document(&composed.manifest);
    let source = made(ImageSource::new("memory", composed.manifest.descriptor(), Box::new(memory)));
    let image = source.image(AMD64).unwrap();
    let yard = Yard::new();
    let error = unpack(&source, &image, &yard.target(), &Options::default(), &Silent).unwrap_err();
    assert!(matches!(error, UnpackError::Layer { number: 1, cause: Cause::DiffId { .. } }), "{error}");
    assert!(!yard.target().exists());
}

#[test]
fn something_in_the_way_is_left_alone() {
    let yard = Yard::new();
    fs::create_dir(yard.target()).unwrap();
    let tars = vec![tar().file("a", "1").end()];
    fs::write(yard.target().join("mine"), "").unwrap();
    assert!(matches!(yard.unpack(&tars, &Options::default()), Err(UnpackError::Exists(_))));
    assert_eq!(names(&yard.target()), ["mine"]);
    fs::remove_file(yard.target().join("mine")).unwrap();
    yard.unpack(&tars, &Options::default()).unwrap();
    assert_eq!(names(&yard.target()), ["a"]);
}

#[test]
fn roots_are_unpacked_once_by_several_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (source, image) = source_of(&[tar().file("a", &"x".repeat(2 << 20)).end()], LayerEncoding::Gzip);
    let store = RootfsStore::open(dir.path(), Options::default()).unwrap();
    // What a crashed process leaves is no root, and is told.
    let crashed = dir.path().join("rootfs/tmp/.pinfold-crashed");
    fs::create_dir_all(crashed.join("half")).unwrap();
    assert!(store.list().unwrap().is_empty());
    let inodes: Vec<u64> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| store.get(&source, &image, &Silent).unwrap());
        let threads: Vec<_> = (0..4).map(|_| start()).collect();
        let paths = threads.into_iter().map(|thread| thread.join().unwrap().path.join("a"));
        paths.map(|path| fs::metadata(path).unwrap().ino()).collect()
    });
    assert!(inodes.iter().all(|inode| *inode == inodes[0]), "{inodes:?}");
    assert_eq!(store.abandoned(Duration::ZERO).unwrap(), std::slice::from_ref(&crashed));
    assert!(store.abandoned(Duration::from_secs(60)).unwrap().is_empty(), "it may be under way");
    directory::remove(&crashed).unwrap();
    assert_eq!(store.list().unwrap().len(), 1);
    // One that is about to be used stays.
    let held = store.get(&source, &image, &Silent).unwrap();
    assert!(!held.made && !store.remove(image.manifest.digest()).unwrap());
    assert!(held.path.join("a").exists());
    drop(held);
    let in_use = |path: &std::path::Path| path.join("a").exists();
    assert!(!store.remove_unless(image.manifest.digest(), in_use).unwrap(), "asked while it is there");
    assert!(store.remove(image.manifest.digest()).unwrap());
    assert!(store.list().unwrap().is_empty());
    assert!(store.get(&source, &image, &Silent).unwrap().made);
    assert!(store.remove(image.manifest.digest()).unwrap());
    assert_eq!(fs::read_dir(dir.path().join("rootfs/tmp")).unwrap().count(), 0);
}

#[test]
fn a_map_of_one_id_leaves_nobody_to_give_files_to() {
    // As the kernel writes them: the first namespace, `unshare --map-root-user`, one of podman's, one of two ids.
    let podman = "         0       1000          1\n         1     100000      65536\n";
    let two = "         0       1000          1\n         1     100000          1\n";
    for (map, one) in [
        ("         0          0 4294967295\n", false),
        ("         0       1000          1\n", true),
        (podman, false),
        (two, false),
        ("", false),
        ("x", false),
    ] {
        assert_eq!(is_of_one(map), one, "{map}");
    }
}
