//! The lock as builds use it: brought up to date with the manifest, kept while nothing moved, asked about with few words, and never
//! moved to other bytes of the same version.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use pinfold_base::Diagnose;
use pinfold_base::Home;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::report::Change;
use pinfold_base::report::Stage;
use pinfold_engine::build;
use pinfold_engine::build::BuildError;
use pinfold_engine::build::LockUse;
use pinfold_engine::build::fetch;
use pinfold_engine::build::resolve;
use pinfold_engine::build::resolve::ResolveError;
use pinfold_engine::build::resolve::Upgrade;
use pinfold_engine::consent;
use pinfold_engine::consent::Agreed;
use pinfold_engine::context::Context;
use pinfold_engine::context::Network;
use pinfold_engine::project::Project;
use pinfold_engine::project::lock::LockError;
use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::debian::Deb;
use pinfold_testkit::debian::Suite;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::sample;

/// What was told, as lines.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn say(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// What was told since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Reporter for Told {
    fn begin(&self, _: Stage, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {}
    fn end(&self, _: &str) {}
    fn changes(&self, changes: &[Change]) {
        for Change { component, from, to } in changes {
            let side = |version: &Option<String>| version.clone().unwrap_or("-".into());
            self.say(format!("{component}: {} -> {}", side(from), side(to)));
        }
    }
    fn note(&self, text: &str) {
        self.say(text.into());
    }
    fn warn(&self, text: &str) {
        self.say(format!("warning: {text}"));
    }
}

/// The sample project, its archive and a machine.
struct World {
    dir: tempfile::TempDir,
    key: TestKey,
    archive: Archive,
    told: Told,
}

impl World {
    fn new() -> Self {
        let key = TestKey::new(&Shape::default());
        let archive = Archive::start(debian::publish(&sample::suites(), &key));
        let world = Self { dir: tempfile::tempdir().unwrap(), key, archive, told: Told::default() };
        fs_err::write(world.dir.path().join("key.asc"), world.key.armoured()).unwrap();
        world.write(&sample::manifest(&world.archive.url));
        world
    }

    fn write(&self, manifest: &str) {
        fs_err::write(self.dir.path().join("pinfold.toml"), manifest).unwrap();
    }

    /// The manifest with a change.
    fn edit(&self, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.dir.path().join("pinfold.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(&text.replace(from, to));
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.path().join("pinfold.lock")
    }

    fn lock_text(&self) -> String {
        fs_err::read_to_string(self.lock_file()).unwrap()
    }

    fn publish(&self, change: impl FnOnce(Suite) -> Suite) {
        let mut suites = sample::suites();
        let first = suites.remove(0);
        suites.insert(0, change(first));
        *self.archive.files() = debian::publish(&suites, &self.key);
    }

    /// Another process each time, on the machine of that name.
    fn context(&self, machine: &str, network: Network) -> Context {
        let home = Home::under(&self.dir.path().join(machine));
        Context::at(home, network, Box::new(self.told.clone())).unwrap()
    }

    fn project(&self, context: &Context) -> Agreed<Project> {
        consent::accept(context, Project::discover(self.dir.path()).unwrap()).unwrap()
    }

    fn lock(&self, network: Network, upgrade: &Upgrade) -> Result<resolve::Outcome, ResolveError> {
        let context = self.context("home", network);
        resolve::lock(&context, &self.project(&context), upgrade)
    }

    fn build(&self, lock: LockUse) -> Result<build::Outcome, BuildError> {
        let context = self.context("home", Network::Online);
        build::build(&context, &self.project(&context), &build::Options::new(lock))
    }

    /// Paths that were asked for since `before` requests.
    fn asked(&self, before: usize) -> Vec<String> {
        let requests = self.archive.server.requests();
        let mut paths: Vec<String> = requests[before..].iter().map(|request| request.path.clone()).collect();
        paths.sort();
        paths
    }
}

fn only(name: &str) -> Upgrade {
    Upgrade::Only(vec![name.into()])
}

fn more(suite: Suite) -> Suite {
    suite.deb(Deb::new("more", "5", "all")).deb(Deb::new("greet-data", "4", "all"))
}

#[test]
fn a_changed_manifest_is_locked_again_keeping_what_is_allowed() {
    let world = World::new();
    assert!(world.build(LockUse::Update).unwrap().locked);
    let file = world.lock_file();
    let wrote = format!("`{}` written: 6 Debian packages", file.display());
    assert_eq!(world.told.take(), [wrote]);
    assert!(!world.build(LockUse::Update).unwrap().locked);
    world.publish(more);
    world.edit("[\"greet\"]", "[\"greet\", \"more\"]");

    // Only where it may be.
    let before = world.lock_text();
    let refused = world.build(LockUse::Locked).unwrap_err();
    assert_eq!(refused.kind(), Kind::Usage);
    let BuildError::Lock(LockError::Stale { moved }) = &refused else { panic!("{refused:?}") };
    assert_eq!(moved, &["debian"]);
    assert_eq!(world.lock_text(), before);
    world.told.take();

    let outcome = world.build(LockUse::Update).unwrap();
    assert!(outcome.locked && !outcome.unchanged);
    assert_eq!(
        world.told.take(),
        [
            format!("`debian` changed since `{}` was written: locking again", file.display()),
            "debian/more: - -> 5".into(),
            format!("`{}` written: 7 Debian packages", file.display()),
        ],
        "greet-data stays at 3"
    );
    assert!(world.build(LockUse::Locked).unwrap().unchanged, "and the next one starts from it");

    // `fetch` does the same, of what a build would do.
    world.edit("[\"greet\", \"more\"]", "[\"greet\"]");
    let context = world.context("home", Network::Online);
    let project = world.project(&context);
    let settled = build::settle(&context, &project, LockUse::Update).unwrap();
    assert!(settled.is_made());
    fetch::fetch(&context, &project, settled.lock().unwrap(), &project.manifest.platforms).unwrap();
    assert!(world.told.take().contains(&"debian/more: 5 -> -".to_owned()));
    assert!(!world.build(LockUse::Update).unwrap().locked);
}

#[test]
fn a_lock_that_is_missing_is_not_made_where_it_may_not_be() {
    let world = World::new();
    let refused = world.build(LockUse::Locked).unwrap_err();
    assert!(matches!(refused, BuildError::Lock(LockError::Missing { .. })), "{refused:?}");
    assert!(!world.lock_file().exists());
}

#[test]
fn an_unchanged_lock_asks_only_whether_the_suites_have_changed() {
    let world = World::new();
    assert!(world.lock(Network::Online, &Upgrade::Nothing).unwrap().written);
    let text = world.lock_text();
    let before = world.asked(0).len();
    let again = world.lock(Network::Online, &Upgrade::Nothing).unwrap();
    assert!(!again.written && !again.differs);
    let suites = ["/debian/dists/sample-security/InRelease", "/debian/dists/sample/InRelease"];
    assert_eq!(world.asked(before), suites);

    // Without a network, from what was asked before; not on a machine that has asked nobody.
    world.archive.files().clear();
    assert!(!world.lock(Network::Offline, &Upgrade::Nothing).unwrap().written);
    assert!(!world.lock(Network::Offline, &Upgrade::All).unwrap().written);
    assert_eq!(world.lock_text(), text);
    let other = world.context("other", Network::Offline);
    let error = resolve::lock(&other, &world.project(&other), &Upgrade::Nothing).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
}

#[test]
fn a_run_locks_for_all_platforms_and_fetches_and_builds_its_own() {
    let world = World::new();
    let whole = {
        world.lock(Network::Online, &Upgrade::Nothing).unwrap();
        world.lock_text()
    };
    assert!(whole.contains("[ledger]"), "the sample has an install script");
    let run = |machine: &str, platform: Platform| {
        let before = world.asked(0).len();
        let context = world.context(machine, Network::Online);
        let options = build::Options {
            platforms: vec![platform],
            name: build::Naming::Unnamed,
            ..build::Options::new(LockUse::Update)
        };
        let outcome = build::build(&context, &world.project(&context), &options).unwrap();
        assert_eq!(outcome.images.keys().copied().collect::<Vec<_>>(), [platform]);
        let debs: Vec<String> =
            world.asked(before).into_iter().filter(|path| path.contains(".deb")).collect();
        for other in Platform::ALL {
            let named = debs.iter().any(|path| path.ends_with(&format!("_{}.deb", other.arch.debian())));
            assert_eq!(named, other == platform, "{other}: {debs:?}");
        }
        (outcome, world.lock_text())
    };
    let [one, two] = Platform::ALL;
    // Whoever runs first writes the same lock: for all platforms, without what only placing tells.
    let mut locks = Vec::new();
    for platform in [one, two] {
        fs_err::remove_file(world.lock_file()).unwrap();
        locks.push(run(&format!("of {platform}"), platform).1);
    }
    assert_eq!(locks[0], locks[1]);
    assert_eq!(whole.split_once("[ledger]").unwrap().0.trim_end(), locks[0].trim_end());

    // The machine that ran `one` makes the other platform when both are wanted, and completes the lock.
    let context = world.context(&format!("of {one}"), Network::Online);
    let before = world.asked(0).len();
    let locked =
        build::build(&context, &world.project(&context), &build::Options::new(LockUse::Locked)).unwrap();
    assert!(!locked.unchanged && locked.images.len() == 2);
    assert!(world.asked(before).iter().any(|path| path.ends_with(&format!("_{}.deb", two.arch.debian()))));
    assert_eq!(world.lock_text(), locks[0], "with `--locked` nothing is written");
    assert!(
        !resolve::check(&context, &world.project(&context)).unwrap().differs,
        "it is up to date all the same"
    );
    pinfold_base::directory::remove(&context.home.cache().join(build::RECORDS)).unwrap();
    let built =
        build::build(&context, &world.project(&context), &build::Options::new(LockUse::Update)).unwrap();
    assert_eq!(built.built.index, locked.built.index);
    assert_eq!(world.lock_text(), whole);
    assert!(
        build::build(&context, &world.project(&context), &build::Options::new(LockUse::Update))
            .unwrap()
            .unchanged
    );

    // A run that locks again leaves the ledger while the packages are the same.
    let ledger = |text: &str| text.split_once("[ledger]").map(|(_, ledger)| ledger.to_owned());
    let again = || {
        let options = build::Options { platforms: vec![one], ..build::Options::new(LockUse::Update) };
        assert!(build::build(&context, &world.project(&context), &options).unwrap().locked);
        ledger(&world.lock_text())
    };
    world.edit("[user]", "[layers]\nmax = 20\n[user]");
    assert_eq!(again(), ledger(&whole));
    world.publish(more);
    world.edit("[\"greet\"]", "[\"greet\", \"more\"]");
    assert_eq!(again(), None);
}

#[test]
fn the_page_of_a_captive_portal_is_no_answer_of_an_archive() {
    let world = World::new();
    world.lock(Network::Online, &Upgrade::Nothing).unwrap();
    let served = world.archive.files().clone();
    for page in world.archive.files().values_mut() {
        *page = b"<html>pay first".to_vec();
    }
    assert_eq!(world.lock(Network::Online, &Upgrade::Nothing).unwrap_err().kind(), Kind::Integrity);
    // Neither is the page kept, nor what is right lost.
    assert!(!world.lock(Network::Offline, &Upgrade::Nothing).unwrap().differs);
    *world.archive.files() = served;
    assert!(!world.lock(Network::Online, &Upgrade::Nothing).unwrap().differs);
}

#[test]
fn without_a_network_a_changed_manifest_is_locked_from_what_is_known() {
    let world = World::new();
    world.publish(more);
    world.edit("[\"greet\"]", "[\"greet\", \"more\"]");
    world.build(LockUse::Update).unwrap();
    world.archive.files().clear();
    world.edit("[\"greet\", \"more\"]", "[\"greet\"]");
    let context = world.context("home", Network::Offline);
    let outcome =
        build::build(&context, &world.project(&context), &build::Options::new(LockUse::Update)).unwrap();
    assert!(outcome.locked);
}

#[test]
fn a_lock_that_somebody_has_edited_is_not_believed_to_be_unchanged() {
    let world = World::new();
    world.lock(Network::Online, &Upgrade::Nothing).unwrap();
    let text = world.lock_text();
    // The digest of one package, in the place of another's.
    let digest = |name: &str| {
        let line = text.lines().find(|line| line.contains(&format!("name = \"{name}\""))).unwrap();
        let start = line.find("sha256:").unwrap();
        line[start..start + 71].to_owned()
    };
    let edited = text.replace(&digest("greet-data"), &digest("usr-is-merged"));
    assert_ne!(edited, text);
    fs_err::write(world.lock_file(), edited).unwrap();
    let error = world.lock(Network::Online, &Upgrade::Nothing).unwrap_err();
    assert!(matches!(error, ResolveError::Replaced(_)), "{error:?}");
}

#[test]
fn the_same_version_with_other_bytes_is_an_error_that_names_both() {
    let world = World::new();
    let rebuilt = |suite: Suite| suite.deb(Deb::new("more", "5", "all").file("more", 0o644, b"rebuilt"));
    world.publish(|suite| suite.deb(Deb::new("more", "5", "all")));
    world.edit("[\"greet\"]", "[\"greet\", \"more\"]");
    world.lock(Network::Online, &Upgrade::Nothing).unwrap();
    let (text, digest) = (world.lock_text(), |deb: Deb| pinfold_base::Digest::sha256(&deb.bytes()));
    let (old, new) = (
        digest(Deb::new("more", "5", "all")),
        digest(Deb::new("more", "5", "all").file("more", 0o644, b"rebuilt")),
    );
    world.publish(rebuilt);
    for upgrade in [Upgrade::Nothing, only("greet")] {
        let error = world.lock(Network::Online, &upgrade).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity);
        let lines: Vec<String> = error.lines().iter().map(ToString::to_string).collect();
        assert_eq!(lines[1], format!("  more 5 (all): {old} was locked, {new} is there now"));
        assert_eq!(lines.len(), 2, "each once: {lines:?}");
        assert!(error.hint().unwrap().contains("`pinfold lock --upgrade debian/more`"));
        assert_eq!(world.lock_text(), text);
    }
    // A build locks again by the same rule.
    world.edit("[\"greet\", \"more\"]", "[\"more\", \"greet\"]");
    assert_eq!(world.build(LockUse::Update).unwrap_err().kind(), Kind::Integrity);
    let outcome = world.lock(Network::Online, &only("debian/more")).unwrap();
    let shown = |digest: &pinfold_base::Digest| Some(format!("5 (sha256:{})", digest.short()));
    assert_eq!(
        outcome.changes,
        [Change { component: "debian/more".into(), from: shown(&old), to: shown(&new) }]
    );
    assert!(world.build(LockUse::Locked).is_ok());
}

#[test]
fn a_program_that_was_replaced_is_pinned_again_when_that_is_asked_for() {
    let sold = Arc::new(Mutex::new("one"));
    let served = sold.clone();
    let server = Server::start(move |request| Response::ranged(request, served.lock().unwrap().as_bytes()));
    let world = World::new();
    let manifest = |more: &str| {
        format!(
            "name = 'x'\nplatforms = ['linux/amd64']\n[[binary]]\nname = 'tool'\nversion = '1'\n{more}\
             url = {{ 'linux/amd64' = '{}' }}\nmembers = {{ '.' = '/bin/tool' }}\n",
            server.url("/tool")
        )
    };
    world.write(&manifest(""));
    world.lock(Network::Online, &Upgrade::Nothing).unwrap();
    for now in ["two", "another size"] {
        *sold.lock().unwrap() = now;
        // What is here stays; a machine without it is told what to do.
        assert!(!world.lock(Network::Online, &Upgrade::Nothing).unwrap().differs);
        let other = world.context(now, Network::Online);
        let error = build::build(&other, &world.project(&other), &build::Options::new(LockUse::Update));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error:?}");
        assert!(error.hint().unwrap().contains("`pinfold lock --upgrade binary/tool`"), "{error:?}");
        let outcome = world.lock(Network::Online, &only("binary/tool")).unwrap();
        let [change] = outcome.changes.as_slice() else { panic!("{:?}", outcome.changes) };
        let digest = pinfold_base::Digest::sha256(now.as_bytes());
        assert_eq!(change.to, Some(format!("1 (sha256:{})", digest.short())));
        assert!(world.build(LockUse::Locked).is_ok());
    }
    // A digest that the manifest names is the user's word.
    *sold.lock().unwrap() = "three";
    let digest = pinfold_base::Digest::sha256(b"three");
    world.write(&manifest(&format!("sha256 = {{ 'linux/amd64' = '{}' }}\n", digest.hex())));
    assert!(world.build(LockUse::Update).unwrap().locked);
}

#[test]
fn what_nobody_knows_cannot_be_moved() {
    let world = World::new();
    world.edit("[\"greet\"]", "[\"greet\", \"odd\"]");
    world.edit("[user]", "[scripts]\nodd = 'skip: no devices'\n[user]");
    for (name, hint) in [
        ("gret", "did you mean `greet`?"),
        ("libgreat", "`--upgrade` without a name moves everything"),
        ("debian/nothing", "`--upgrade` without a name moves everything"),
    ] {
        let before = world.asked(0).len();
        let error = world.lock(Network::Online, &only(name)).unwrap_err();
        assert_eq!(error.to_string(), format!("nothing that is locked or asked for is called `{name}`"));
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        assert_eq!(world.asked(before).len(), 0, "nobody was asked");
    }
    // What is asked for, and what came with it.
    world.lock(Network::Online, &only("odd")).unwrap();
    world.lock(Network::Online, &only("libgreet")).unwrap();
    world.lock(Network::Online, &only("debian/greet")).unwrap();
    let hint = world.lock(Network::Online, &only("libgreat")).unwrap_err().hint().unwrap();
    assert_eq!(hint, "did you mean `libgreet`?");
}
