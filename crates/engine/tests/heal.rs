//! What happens to the disk after a download or a build: every file of the cache damaged in turn, and the image that comes out.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and remove what they made"
)]

use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Digest;
use pinfold_base::Home;
use pinfold_base::report::Silent;
use pinfold_engine::build;
use pinfold_engine::build::LockUse;
use pinfold_engine::build::fetch;
use pinfold_engine::build::resolve::Upgrade;
use pinfold_engine::consent;
use pinfold_engine::consent::Agreed;
use pinfold_engine::context::Context;
use pinfold_engine::context::Network;
use pinfold_engine::project::Project;
use pinfold_engine::project::lock::Lock;
use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::sample;

/// The sample project, its archive and one home.
struct World {
    dir: tempfile::TempDir,
    _archive: Archive,
}

impl World {
    fn new() -> Self {
        let key = TestKey::new(&Shape::default());
        let archive = Archive::start(debian::publish(&sample::suites(), &key));
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("key.asc"), key.armoured()).unwrap();
        fs_err::write(dir.path().join("pinfold.toml"), sample::manifest(&archive.url)).unwrap();
        Self { dir, _archive: archive }
    }

    /// Another process each time.
    fn context(&self, network: Network) -> Context {
        let home = Home::under(&self.dir.path().join("home"));
        Context::at(home, network, Box::new(Silent)).unwrap()
    }

    fn project(&self, context: &Context) -> Agreed<Project> {
        consent::accept(context, Project::discover(self.dir.path()).unwrap()).unwrap()
    }

    fn build(&self, context: &Context) -> Result<Digest, build::BuildError> {
        let options = build::Options::new(LockUse::Update);
        build::build(context, &self.project(context), &options).map(|outcome| outcome.built.index)
    }

    /// Every file below some folders of the cache.
    fn files(&self, folders: &[&str]) -> Vec<PathBuf> {
        let cache = self.context(Network::Offline).home.cache().to_owned();
        let entries = folders.iter().flat_map(|folder| fs_err::read_dir(cache.join(folder)).unwrap());
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.is_file());
        files.sort();
        files
    }

    /// Layers and records go: the next build reads what it is made of.
    fn forget_layers(&self) {
        let context = self.context(Network::Offline);
        for folder in ["layers", "builds"] {
            fs_err::remove_dir_all(context.home.cache().join(folder)).unwrap();
        }
        fs_err::remove_dir_all(context.home.data().join("images")).unwrap();
    }
}

/// What harms a file, and how.
type Harm = (&'static str, fn(&Path));

/// One bit of the middle, the end, everything, and the file itself.
const HARM: [Harm; 4] = [
    ("a bit", |path| {
        let mut bytes = fs_err::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        replace(path, &bytes);
    }),
    ("the end", |path| {
        let bytes = fs_err::read(path).unwrap();
        replace(path, &bytes[..bytes.len() - 1]);
    }),
    ("all", |path| replace(path, b"")),
    ("the file", |path| fs_err::remove_file(path).unwrap()),
];

/// In place, as a disk would: what shares the file by a hard link changes too.
fn replace(path: &Path, bytes: &[u8]) {
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn every_file_that_layers_are_made_of_is_made_again_when_it_is_damaged() {
    let world = World::new();
    let expected = world.build(&world.context(Network::Online)).unwrap();
    for file in world.files(&["blobs/sha256", "decoded"]) {
        for (what, harm) in HARM {
            let right = fs_err::read(&file).unwrap();
            world.forget_layers();
            harm(&file);
            let built = world.build(&world.context(Network::Online));
            assert_eq!(built.unwrap(), expected, "{what} of {}", file.display());
            // What no layer read (padding, a download whose decoded form is enough) may stay as it is.
            fs_err::write(&file, right).unwrap();
        }
    }
}

#[test]
fn a_damaged_download_is_fetched_again_and_offline_named() {
    let world = World::new();
    let expected = world.build(&world.context(Network::Online)).unwrap();
    for file in world.files(&["blobs/sha256"]) {
        // Nothing decoded: it is read.
        world.forget_layers();
        fs_err::remove_dir_all(world.context(Network::Offline).home.cache().join("decoded")).unwrap();
        let right = fs_err::read(&file).unwrap();
        HARM[0].1(&file);
        let error = world.build(&world.context(Network::Offline)).unwrap_err();
        assert!(format!("{error:?}").contains("Offline"), "{error:?}");
        assert!(!file.exists(), "it was set aside");
        assert_eq!(world.build(&world.context(Network::Online)).unwrap(), expected);
        assert_eq!(fs_err::read(&file).unwrap(), right);
    }
}

#[test]
fn what_archives_said_is_asked_for_again_when_it_is_damaged() {
    let world = World::new();
    world.build(&world.context(Network::Online)).unwrap();
    let lock = world.dir.path().join("pinfold.lock");
    let expected = fs_err::read(&lock).unwrap();
    let mut folders = vec![world.context(Network::Offline).home.cache().join("metadata")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(!files.is_empty());
    for file in files {
        for (what, harm) in HARM {
            let right = fs_err::read(&file).unwrap();
            if right.is_empty() {
                continue;
            }
            harm(&file);
            let context = world.context(Network::Online);
            // All of it: nothing may stand for what was read before.
            let locked = build::resolve::lock(&context, &world.project(&context), &Upgrade::All);
            assert!(locked.is_ok(), "{what} of {}: {:?}", file.display(), locked.unwrap_err());
            assert_eq!(fs_err::read(&lock).unwrap(), expected, "{what} of {}", file.display());
            fs_err::write(&file, right).unwrap();
        }
    }
}

#[test]
fn fetch_looks_at_sizes_and_vendor_at_every_byte() {
    let world = World::new();
    world.build(&world.context(Network::Online)).unwrap();
    let lock = Lock::load(&world.dir.path().join("pinfold.lock")).unwrap().unwrap();
    for (at, file) in world.files(&["blobs/sha256"]).iter().enumerate() {
        let right = fs_err::read(file).unwrap();
        HARM[1].1(file);
        let context = world.context(Network::Online);
        let project = world.project(&context);
        let fetched = fetch::fetch(&context, &project, &lock, &project.manifest.platforms).unwrap();
        assert_eq!((fetched.fetched, fs_err::read(file).unwrap()), (1, right.clone()));
        HARM[0].1(file);
        let folder = world.dir.path().join(format!("vendored-{at}"));
        let context = world.context(Network::Online);
        fetch::vendor(&context, &world.project(&context), &lock, &folder).unwrap();
        assert_eq!(fs_err::read(file).unwrap(), right);
        let copy = folder.join("sha256").join(file.file_name().unwrap());
        assert_eq!(fs_err::read(copy).unwrap(), right);
    }
}
