//! The whole way of a file, manifest to verified image, against an archive in this process. No network but loopback, no clock
//! that matters, no root.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::num::NonZeroUsize;
use std::path::Path;

use pinfold_base::Diagnose;
use pinfold_base::Digest;
use pinfold_base::Home;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::report::Silent;
use pinfold_engine::build;
use pinfold_engine::build::BuildError;
use pinfold_engine::build::Built;
use pinfold_engine::build::LockUse;
use pinfold_engine::build::contract;
use pinfold_engine::build::contract::Contract;
use pinfold_engine::build::fetch;
use pinfold_engine::build::resolve;
use pinfold_engine::build::resolve::ResolveError;
use pinfold_engine::build::resolve::Upgrade;
use pinfold_engine::consent;
use pinfold_engine::consent::Agreed;
use pinfold_engine::context::Context;
use pinfold_engine::context::Network;
use pinfold_engine::describe::Origins;
use pinfold_engine::describe::describe;
use pinfold_engine::describe::sbom;
use pinfold_engine::project::Project;
use pinfold_engine::project::lock::Lock;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::contents;
use pinfold_image::trust::made;
use pinfold_image::unpack;
use pinfold_image::verify;
use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::debian::DATE;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::sample;

/// An archive and a machine that trusts its key.
struct World {
    dir: tempfile::TempDir,
    key: TestKey,
    archive: Archive,
}

impl World {
    fn new() -> Self {
        let key = TestKey::new(&Shape::default());
        let archive = Archive::start(debian::publish(&sample::suites(), &key));
        Self { dir: tempfile::tempdir().unwrap(), key, archive }
    }

    /// A project in a directory of its own.
    fn project(&self, name: &str, manifest: &str) -> Project {
        let folder = self.dir.path().join(name);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("key.asc"), self.key.armoured()).unwrap();
        fs_err::write(folder.join("pinfold.toml"), manifest).unwrap();
        Project::discover(&folder).unwrap()
    }

    fn sample(&self) -> Project {
        self.project("project", &sample::manifest(&self.archive.url))
    }

    fn context(&self, home: &str, network: Network) -> Context {
        Context::at(Home::under(&self.dir.path().join(home)), network, Box::new(Silent)).unwrap()
    }

    fn online(&self, home: &str) -> Context {
        self.context(home, Network::Online)
    }

    fn publish(&self, suites: &[debian::Suite]) {
        *self.archive.files() = debian::publish(suites, &self.key);
    }

    fn asked(&self) -> usize {
        self.archive.server.requests().len()
    }
}

/// The project as the next verb reads it, and the user's word for all that it asks for.
fn agreed(context: &Context, project: &Project) -> Agreed<Project> {
    let file = &project.file.as_ref().unwrap().file;
    consent::accept(context, Project::from_file(file).unwrap()).unwrap()
}

fn lock(context: &Context, project: &Project) -> Result<Lock, ResolveError> {
    resolve::lock(context, &agreed(context, project), &Upgrade::Nothing).map(|outcome| outcome.lock)
}

fn build(context: &Context, project: &Project) -> Result<Built, BuildError> {
    let options = build::Options::new(LockUse::Locked);
    build::build(context, &agreed(context, project), &options).map(|outcome| outcome.built)
}

fn source(context: &Context) -> ImageSource {
    let store = ImageStore::open(context.home.data()).unwrap();
    ImageSource::from_store(&store, &"sample:latest".parse().unwrap()).unwrap()
}

/// Kind and text of an error with its causes.
fn told(error: &impl Diagnose) -> (Kind, String) {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text.push_str(&format!(": {cause}"));
        at = cause.source();
    }
    (error.kind(), text)
}

#[test]
fn a_manifest_becomes_a_verified_image() {
    let world = World::new();
    let (context, project) = (world.online("home"), world.sample());
    let lock = lock(&context, &project).unwrap();
    let debian = lock.debian.as_ref().unwrap();
    for platform in Platform::ALL {
        let packages: Vec<String> = debian.packages[&platform]
            .iter()
            .map(|deb| format!("{}={} {} of {}", deb.name, deb.version, deb.arch, deb.suite))
            .collect();
        let arch = platform.arch.debian();
        assert_eq!(
            packages,
            [
                format!("base-files=12 {arch} of sample"),
                format!("base-passwd=3.6 {arch} of sample"),
                format!("greet=1.0-2 {arch} of sample"),
                "greet-data=3 all of sample".into(),
                format!("libgreet=1.0-1+deb1 {arch} of sample-security"),
                "usr-is-merged=1 all of sample".into(),
            ]
        );
        let ledger: Vec<_> =
            lock.ledger[&platform].iter().map(|entry| (&*entry.package, &*entry.what)).collect();
        // The directory is dpkg's, which this image does not have.
        let done = [
            "alternative welcome -> /bin/greet (10)".to_owned(),
            "directory /etc/alternatives 0755".to_owned(),
        ];
        assert_eq!(ledger, [("greet", &done[..])]);
    }
    assert_eq!(lock.epoch, DATE + 60, "the newest metadata");
    assert_eq!(Lock::load(&project.lock_file).unwrap().as_ref(), Some(&lock), "what is written is read");

    let built = build(&context, &project).unwrap();
    let checked = verify::verify(&source(&context), &Silent).unwrap();
    assert!(checked.findings.is_empty(), "{:?}", checked.findings);
    assert_eq!(checked.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!(source(&context).root().digest, built.index);

    // What is in it, read back by unpacking.
    let rootfs = world.dir.path().join("rootfs");
    let image = source(&context).image(Platform::ALL[1]).unwrap();
    unpack::unpack(&made(source(&context)), &image, &rootfs, &unpack::Options::default(), &Silent).unwrap();
    let read = |path: &str| fs_err::read_to_string(rootfs.join(path)).unwrap();
    assert_eq!(read("usr/bin/greet"), "a program for arm64\n");
    assert_eq!(read("usr/lib/arm64/libgreet.so.1"), "1.0-1+deb1 arm64\n");
    assert_eq!(fs_err::read_link(rootfs.join("etc/alternatives/welcome")).unwrap(), Path::new("/bin/greet"));
    assert!(read("etc/passwd").contains("u:*:1000:1000::/home/u:/bin/sh"));
    assert!(read("var/lib/dpkg/status").contains("Package: libgreet\nStatus: install ok installed\n"));
    assert!(!rootfs.join("usr/share/man/man7/greet.7.gz").exists(), "slim");
}

#[test]
fn the_same_lock_gives_the_same_bytes() {
    let world = World::new();
    let project = world.sample();
    let mut one = world.online("one");
    one.threads = NonZeroUsize::MIN;
    lock(&one, &project).unwrap();
    let expected = build(&one, &project).unwrap();

    // Other home and directory, more threads, another umask, offline from vendored inputs.
    let vendored = world.dir.path().join("vendored");
    let locked = Lock::load(&project.lock_file).unwrap().unwrap();
    fetch::vendor(&one, &agreed(&one, &project), &locked, &vendored).unwrap();
    let elsewhere = world.project("else/where", &sample::manifest("http://127.0.0.1:9/nobody"));
    fs_err::copy(&project.lock_file, &elsewhere.lock_file).unwrap();
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut many = world.context("many", Network::Offline);
    many.threads = NonZeroUsize::new(5).unwrap();
    many.vendor = vec![vendored];
    let asked = world.asked();
    let again = build(&many, &elsewhere);
    rustix::process::umask(mask);
    assert_eq!(again.unwrap().index, expected.index);

    // Other buffers below: no decoded form is left, then no layer is.
    for gone in ["decoded", "layers", "builds"] {
        pinfold_base::directory::remove(&many.home.cache().join(gone)).unwrap();
        let again = build(&world.context("many", Network::Offline), &elsewhere).unwrap();
        assert_eq!(again.index, expected.index, "without {gone}");
    }
    assert_eq!(world.asked(), asked, "nobody was asked");

    // It can fail: another file, another image.
    let text = fs_err::read_to_string(elsewhere.manifest.directory.join("pinfold.toml")).unwrap();
    let other = world.project("else/where", &text.replace("\"hello\"", "\"Hello\""));
    assert_ne!(build(&world.context("many", Network::Offline), &other).unwrap().index, expected.index);
}

#[test]
fn what_is_fetched_needs_no_mirror() {
    let world = World::new();
    let project = world.sample();
    let context = world.online("home");
    let locked = lock(&context, &project).unwrap();
    let fetched =
        fetch::fetch(&context, &agreed(&context, &project), &locked, &project.manifest.platforms).unwrap();
    assert_eq!((fetched.total, fetched.fetched), (10, 0), "locking has fetched everything");
    world.archive.files().clear();
    let asked = world.asked();
    build(&world.context("home", Network::Offline), &project).unwrap();
    assert_eq!(world.asked(), asked);
    // Locking needs what archives said; on a machine that has not asked it is refused, and says so.
    assert_eq!(lock(&world.context("home", Network::Offline), &project).unwrap(), locked);
    let error = lock(&world.context("other", Network::Offline), &project).unwrap_err();
    let (kind, text) = told(&error);
    assert!(kind == Kind::Network && text.contains("the network is switched off"), "{text}");
}

#[test]
fn packages_that_are_gone_come_from_the_vendor_folder() {
    let world = World::new();
    let project = world.sample();
    let context = world.online("home");
    let locked = lock(&context, &project).unwrap();
    let expected = build(&context, &project).unwrap().index;
    let vendored = world.dir.path().join("vendored");
    fetch::vendor(&context, &agreed(&context, &project), &locked, &vendored).unwrap();
    world.archive.files().retain(|path, _| !path.contains("libgreet_"));

    let (kind, text) = told(&build(&world.online("other"), &project).unwrap_err());
    assert!(kind == Kind::Network && text.contains("libgreet 1.0-1+deb1"), "{text}");
    let hint = build(&world.online("other"), &project).unwrap_err().hint().unwrap();
    for way in ["pinfold lock", "--vendor", "debian.snapshot"] {
        assert!(hint.contains(way), "{hint}");
    }

    // A damaged copy is passed over for the mirror, and refused where there is none.
    let deb = &locked.debian.as_ref().unwrap().packages[&Platform::ALL[0]];
    let greet = deb.iter().find(|deb| deb.name == "greet").unwrap();
    let copy = vendored.join("sha256").join(greet.sha256.hex());
    let good = fs_err::read(&copy).unwrap();
    fs_err::write(&copy, [&good[..good.len() - 1], b"!"].concat()).unwrap();
    let mut other = world.online("other");
    other.vendor = vec![vendored.clone()];
    assert_eq!(build(&other, &project).unwrap().index, expected);
    let mut third = world.context("third", Network::Offline);
    third.vendor = vec![vendored];
    let (kind, text) = told(&build(&third, &project).unwrap_err());
    assert!(text.contains("greet 1.0-2"), "{kind:?} {text}");
    assert!(!third.store.contains(&greet.sha256));
}

#[test]
fn altered_packages_are_refused() {
    let world = World::new();
    let project = world.sample();
    let path = "pool/main/greet_1.0-2_arm64.deb";
    let good = world.archive.files()[path].clone();
    let mut altered = good.clone();
    altered[good.len() / 2] ^= 1;
    for (bad, what) in [(altered, "digest"), (good[..good.len() - 1].to_vec(), "bytes")] {
        world.archive.files().insert(path.into(), bad);
        let context = world.online("home");
        let (kind, text) = told(&lock(&context, &project).unwrap_err());
        assert_eq!(kind, Kind::Integrity, "{text}");
        assert!(text.contains("greet 1.0-2 (arm64)") && text.contains(what), "{text}");
        assert!(!project.lock_file.exists(), "nothing is written");
    }
    world.archive.files().insert(path.into(), good);
    lock(&world.online("home"), &project).unwrap();
}

#[test]
fn metadata_that_nobody_vouches_for_is_refused() {
    let world = World::new();
    let project = world.sample();
    let refused = |project: &Project, words: &[&str]| {
        let (kind, text) = told(&lock(&world.online("home"), project).unwrap_err());
        assert_eq!(kind, Kind::Integrity, "{text}");
        for word in words {
            assert!(text.contains(word), "{text}");
        }
        assert!(!project.lock_file.exists());
    };
    // A word of the signed text is changed.
    let path = "dists/sample/InRelease";
    let good = world.archive.files()[path].clone();
    let text = String::from_utf8(good.clone()).unwrap();
    world.archive.files().insert(path.into(), text.replace("Origin: Test", "Origin: Tost").into_bytes());
    refused(&project, &["`sample`", "signed"]);
    world.archive.files().insert(path.into(), good);

    // An index is not the one that was signed.
    let index =
        |files: &debian::Files| files.keys().find(|path| path.contains("binary-arm64")).unwrap().clone();
    let path = index(&world.archive.files());
    let good = world.archive.files().insert(path.clone(), b"no index".to_vec()).unwrap();
    refused(&project, &["binary-arm64"]);
    world.archive.files().insert(path, good);

    // Another key signs; the machine's own is trusted only for what it signed.
    let stranger = TestKey::new(&Shape { seed: 2, ..Shape::default() });
    *world.archive.files() = debian::publish(&sample::suites(), &stranger);
    refused(&project, &["`sample`", "signed"]);

    // Past its time; taken when the manifest says so.
    let stale = |suite: debian::Suite| suite.valid_until(DATE + 86_400);
    world.publish(&sample::suites().into_iter().map(stale).collect::<Vec<_>>());
    refused(&project, &["was valid until"]);
    let text = sample::manifest(&world.archive.url).replace("[user]", "check-valid-until = false\n[user]");
    lock(&world.online("home"), &world.project("old", &text)).unwrap();

    world.publish(&sample::suites());
    lock(&world.online("home"), &project).unwrap();
}

#[test]
fn a_mirror_that_goes_back_in_time_is_refused() {
    let world = World::new();
    let project = world.sample();
    let context = world.online("home");
    lock(&context, &project).unwrap();
    let kept = fs_err::read(&project.lock_file).unwrap();
    let mut suites = sample::suites();
    suites[1] = suites[1].clone().date(DATE - 60);
    world.publish(&suites);
    let (kind, text) =
        told(&resolve::lock(&context, &agreed(&context, &project), &Upgrade::All).unwrap_err());
    assert!(
        kind == Kind::Integrity && text.contains("the archive went back in time: `sample-security`"),
        "{text}"
    );
    assert_eq!(fs_err::read(&project.lock_file).unwrap(), kept);
    // What is locked still builds.
    build(&world.context("home", Network::Offline), &project).unwrap();
}

#[test]
fn a_vendors_archive_gives_its_packages_under_its_own_key_until_the_manifest_says_otherwise() {
    let world = World::new();
    let key = TestKey::new(&Shape { seed: 7, ..Shape::default() });
    let greet = |arch: &str| debian::Deb::new("greet", "2.0-1", arch).file("usr/bin/greet", 0o755, b"vended");
    let suite = debian::Suite::new("vended").deb(greet("amd64")).deb(greet("arm64"));
    let vendor = Archive::start(debian::publish(&[suite], &key));
    let manifest = |keys: &str, priority: i16| {
        let own = sample::manifest(&world.archive.url);
        let uri = &vendor.url;
        let archive = format!("uri = '{uri}'\nsuite = 'vended'\nkeyring = '{keys}'\npriority = {priority}");
        world.project("vended", &format!("{own}\n[[debian.archive]]\n{archive}\n"))
    };
    let context = world.online("vended-home");
    // Debian's key does not sign for it.
    let (kind, text) = told(&lock(&context, &manifest("key.asc", 990)).unwrap_err());
    assert!(kind == Kind::Integrity && text.contains("keys that are not trusted"), "{text}");
    fs_err::write(world.dir.path().join("vended/vendor.asc"), key.armoured()).unwrap();
    let project = manifest("vendor.asc", 990);
    let locked = lock(&context, &project).unwrap();
    for platform in Platform::ALL {
        let debian = locked.debian.as_ref().unwrap();
        let greet = debian.packages[&platform].iter().find(|deb| deb.name == "greet").unwrap();
        let place = vendor.url.strip_prefix("http://").unwrap();
        assert_eq!((greet.version.as_str(), greet.archive.as_deref()), ("2.0-1", Some(place)));
    }
    build(&context, &project).unwrap();
    let from_vendor = |path: &str| vendor.server.requests().iter().any(|request| request.path.contains(path));
    assert!(from_vendor("/pool/main/greet_2.0-1_amd64.deb") && !from_vendor("base-files"));
    // Another priority, and other keys, are another request.
    fs_err::write(world.dir.path().join("vended/other.asc"), world.key.armoured() + &key.armoured()).unwrap();
    for (keys, priority) in [("vendor.asc", 100), ("other.asc", 990)] {
        let (kind, text) = told(&build(&context, &manifest(keys, priority)).unwrap_err());
        assert_eq!(kind, Kind::Usage);
        assert!(text.contains("the lock is stale: `debian.archive` changed"), "{text}");
    }
    build(&context, &manifest("vendor.asc", 990)).unwrap();
}

#[test]
fn a_script_that_nobody_understands_stops_the_lock_until_it_is_answered() {
    let world = World::new();
    let text = sample::manifest(&world.archive.url).replace("[\"greet\"]", "[\"greet\", \"odd\"]");
    let project = world.project("odd", &text);
    let (kind, told) = told(&lock(&world.online("home"), &project).unwrap_err());
    assert_eq!(
        told,
        "package `odd`: postinst line 3 is not understood: `rm --odd /dev/odd`: the option `--odd` is not known"
    );
    assert_eq!(kind, Kind::Refused);
    let project = world.project("odd", &format!("{text}[scripts]\nodd = \"skip: no devices here\"\n"));
    let locked = lock(&world.online("home"), &project).unwrap();
    let entry = locked.ledger[&Platform::ALL[0]].iter().find(|entry| entry.package == "odd").unwrap();
    assert_eq!(entry.what, ["no devices here"]);
    build(&world.online("home"), &project).unwrap();
}

#[test]
fn all_scripts_that_nobody_understands_are_told_at_once_and_their_lines_answer_them() {
    let world = World::new();
    let packages = "[\"greet\", \"odd\", \"libodd++1.0\"]";
    let text = sample::manifest(&world.archive.url).replace("[\"greet\"]", packages);
    let error = lock(&world.online("home"), &world.project("odd", &text)).unwrap_err();
    let lines: Vec<String> =
        pinfold_base::error::told(&error).concat().iter().map(ToString::to_string).collect();
    for line in [
        "2 install scripts are not understood:",
        "  package `odd`: postinst line 3 is not understood: `rm --odd /dev/odd`: the option `--odd` is not known",
        "  package `libodd++1.0`: postinst line 2 is not understood: `cp --odd a b`: the option `--odd` is not known",
    ] {
        assert!(lines.iter().any(|found| found == line), "`{line}` in {lines:?}");
    }
    assert!(error.hint().unwrap().contains("add to the manifest"));
    let block: Vec<String> = error.block().iter().map(ToString::to_string).collect();
    lock(&world.online("home"), &world.project("odd", &format!("{text}{}\n", block.join("\n")))).unwrap();
}

#[test]
fn an_image_tells_what_it_has_to_those_inside_and_to_those_who_read_its_packages() {
    let world = World::new();
    let (context, project) = (world.online("home"), world.sample());
    let lock = lock(&context, &project).unwrap();
    build(&context, &project).unwrap();
    let source = source(&context);
    let origins = Origins::noted(&context, &source).unwrap();
    for platform in Platform::ALL {
        let image = source.image(platform).unwrap();
        let is_it = |path: &ImagePath| path.to_string() == contract::PATH;
        let kept = contents::read(&source, &image, &is_it, &Silent).unwrap().kept;
        let bytes = kept.values().next().unwrap();
        let annotations = &image.manifest.value().annotations;
        assert_eq!(annotations["dev.pinfold.contract"], Digest::sha256(bytes).to_string());
        let found: Contract = serde_json::from_slice(bytes).unwrap();
        let user = found.sandbox.user.unwrap();
        assert_eq!((user.name.as_str(), user.uid, user.home.as_str()), ("u", 1000, "/home/u"));
        assert_eq!(found.sandbox.writable, ["/home/u", "/tmp"]);
        let told: Vec<String> = found
            .tools
            .iter()
            .map(|tool| format!("{} {} {} {:?}", tool.name, tool.version, tool.path, tool.commands))
            .collect();
        assert_eq!(told, ["greet 1.0-2 /usr/bin/greet [\"hello\"]"]);
        // The lock is what the packages of the image are held against.
        let described = describe(&context, &source, platform, &origins).unwrap();
        let packages: Vec<String> = described
            .packages
            .iter()
            .map(|one| {
                let download = one.download.as_ref().unwrap();
                let path = download.path.as_deref().unwrap();
                format!("{}={} {path} {}", one.name, one.version.as_deref().unwrap(), download.digest)
            })
            .collect();
        let locked = &lock.debian.as_ref().unwrap().packages[&platform];
        let locked: Vec<String> = locked
            .iter()
            .map(|deb| format!("{}={} {} {}", deb.name, deb.version, deb.path, deb.sha256))
            .collect();
        // By package URL `greet-data` stands before `greet`, in the lock behind it.
        let sorted = |all: Vec<String>| all.into_iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!((packages.len(), sorted(packages)), (locked.len(), sorted(locked)));
        let greet = described.package_of(&ImagePath::new("usr/bin/greet").unwrap()).unwrap();
        assert_eq!((greet.name.as_str(), greet.component.as_deref()), ("greet", Some("debian/greet")));
        assert_eq!(greet.depends.len(), 2);
        let component = |path: &str| described.component_of(&ImagePath::new(path).unwrap());
        assert_eq!(component("etc/motd"), Some("generated/files"));
        assert_eq!(component(contract::PATH), Some("generated/contract"));
        let [spdx, again] =
            [(); 2].map(|()| sbom::of(&context, &source, platform, sbom::Format::Spdx).unwrap());
        assert_eq!(spdx, again);
    }
}

#[test]
fn a_file_of_the_users_at_the_place_of_the_contract_stays() {
    let world = World::new();
    let own = "[[file]]\npath = \"/usr/share/pinfold/image.json\"\ncontent = \"mine\"\n";
    let project = world.project("own", &format!("{}{own}", sample::manifest(&world.archive.url)));
    let context = world.online("home");
    lock(&context, &project).unwrap();
    build(&context, &project).unwrap();
    let image = source(&context).image(Platform::ALL[0]).unwrap();
    assert_eq!(image.manifest.value().annotations.get("dev.pinfold.contract"), None);
}
