//! Store paths from roots to an image, with the binary cache of `testkit`.

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_archive::Contents as _;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::report::Silent;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::trust::made;
use pinfold_image::unpack;
use pinfold_image::verify;
use pinfold_sources::nix::database;
use pinfold_testkit::nix;

use super::*;
use crate::build;
use crate::build::LockUse;
use crate::build::place;
use crate::context::Context;
use crate::context::Network;
use crate::describe::Origins;
use crate::describe::describe;
use crate::project::manifest::Manifest;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::layers;
use crate::sources::testing::lock;
use crate::sources::testing::told;

const USER: &str = "[user]\nname = 'u'\nuid = 1000\ngid = 1000\nhome = '/home/u'\n";

/// Files of a cache by their paths below it.
type Files = BTreeMap<String, Vec<u8>>;

fn field<'a>(narinfo: &'a str, name: &str) -> &'a str {
    narinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

fn roots(attributes: &[&str]) -> String {
    attributes.iter().map(|name| format!("'{}'", nix::root(name).path)).collect::<Vec<_>>().join(", ")
}

fn manifest(attributes: &[&str], cache: &str, key: &str) -> String {
    format!(
        "name = 'x'\nplatforms = ['linux/amd64']\n{USER}[nix]\nroots = [{}]\ncaches = [{{ url = '{cache}', keys = ['{}'] }}]\n",
        roots(attributes),
        key.trim(),
    )
}

const ALL: [&str; 11] =
    ["hello", "odd", "lib", "greet", "dev", "file", "exec", "link", "text", "source", "env"];

fn built(context: &Context, project: &Project) -> build::Built {
    let options = build::Options::new(LockUse::Locked);
    build::build(context, &agreed(context, project), &options).unwrap().built
}

fn source(context: &Context) -> ImageSource {
    let store = ImageStore::open(context.home.data()).unwrap();
    ImageSource::from_store(&store, &"x:latest".parse().unwrap()).unwrap()
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn text(context: &Context, tree: &Tree, at: &str) -> String {
    String::from_utf8(context.decoded.read(tree.content(&path(at)).unwrap(), 1 << 20).unwrap()).unwrap()
}

fn link(tree: &Tree, at: &str) -> String {
    match &tree.get(&path(at)).unwrap_or_else(|| panic!("{at}")).kind {
        NodeKind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
        kind => panic!("{at}: {kind:?}"),
    }
}

fn unpacked(context: &Context, target: &Path) {
    let image = source(context).image(Platform::ALL[0]).unwrap();
    unpack::unpack(&made(source(context)), &image, target, &unpack::Options::default(), &Silent).unwrap();
}

#[test]
fn store_paths_become_a_verified_image() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    let project = world.project(&manifest(&ALL, &server.url(""), &nix::public_key()));
    let lock = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let locked = &lock.nix[&Platform::ALL[0]];
    let paths: Vec<String> = locked.paths.iter().map(|path| path.path.to_string()).collect();
    let registered: Vec<String> = nix::closure().into_iter().map(|path| path.path).collect();
    assert_eq!(paths, registered);
    assert_eq!(locked.roots.len(), ALL.len());
    assert_eq!(Lock::load(&project.lock_file).unwrap().as_ref(), Some(&lock), "what is written is read");

    let placed = place::place(&context, &project, &lock, Platform::ALL[0]).unwrap();
    let tree = &placed.tree;
    for (at, node) in tree.iter() {
        let inside = at.strip_prefix(&path("nix/store")).is_some_and(|rest| rest.len() > 6)
            && !at.to_string().contains(".links");
        if inside {
            assert_eq!((node.meta.uid, node.meta.gid, node.meta.mtime), (0, 0, 1), "{at}");
            let mode = match &node.kind {
                NodeKind::Directory => 0o555,
                NodeKind::Symlink(_) => 0o777,
                _ => node.meta.mode,
            };
            assert!(node.meta.mode == mode && [0o444, 0o555, 0o777].contains(&mode), "{at} {mode:o}");
        }
    }
    for writable in ["nix/store", "nix/store/.links", "nix/var", "nix/var/nix/db", "nix/var/nix/db/db.sqlite"]
    {
        assert_eq!(tree.get(&path(writable)).unwrap().meta.uid, 1000, "{writable}");
    }
    assert_eq!(tree.get(&path("nix")).unwrap().meta.uid, 0);
    let database = context.decoded.read(tree.content(&path("nix/var/nix/db/db.sqlite")).unwrap(), 1 << 20);
    assert_eq!(database.unwrap(), database::write(&locked.paths).unwrap());
    assert_eq!(text(&context, tree, "nix/var/nix/db/schema"), "10");
    assert_eq!(link(tree, "nix/var/nix/gcroots/image/tiny-hello-1.0"), nix::root("hello").path);
    assert_eq!(
        text(&context, tree, "etc/nix/nix.conf"),
        "build-users-group =\nexperimental-features = nix-command flakes\nsandbox = false\n"
    );

    let told = text(&context, tree, "usr/share/pinfold/image.json");
    assert!(told.contains("\"/nix/profile/bin/hello\"") && told.contains("\"nix/tiny-hello\""), "{told}");

    built(&context, &project);
    let checked = verify::verify(&source(&context), &Silent).unwrap();
    assert!(checked.findings.is_empty(), "{:?}", checked.findings);
    let described = describe(&context, &source(&context), Platform::ALL[0], &Origins::default()).unwrap();
    let hello = format!("{}/bin/hello", nix::root("hello").path);
    let package = described.package_of(&path(&hello)).unwrap();
    assert_eq!(
        (package.purl.as_str(), package.component.as_deref()),
        ("pkg:generic/nix/tiny-hello@1.0", Some("nix/tiny-hello"))
    );
    assert_eq!(described.component_of(&path("nix/var/nix/db/schema")), Some("generated/nix"));
    assert_eq!(described.component_of(&path("nix/profile/bin")), Some("generated/nix"));
    // Components are packages; what they build on is lower than what was asked for.
    let layers = layers(&lock);
    assert!(layers.last().unwrap().contains("generated/nix"), "{layers:?}");
    assert!(!layers.iter().any(|layer| layer.contains("nix/") && layer.contains("generated/")), "{layers:?}");
}

/// Files in a tar, below a directory.
fn tarred(context: &Context, files: &Files) -> Vec<u8> {
    let owner = Component::from("x");
    let mut tree = Tree::new();
    for (name, bytes) in files {
        let content = pinfold_archive::Content::inline(bytes.clone());
        let node = pinfold_archive::Node::file(&owner, pinfold_archive::Metadata::root(0o644, 1), content);
        tree.add(path(&format!("cache/{name}")), node).unwrap();
    }
    tree.complete(&owner, 1).unwrap();
    let mut tar = Vec::new();
    pinfold_archive::tar::write::write(&tree, &context.decoded, &mut tar).unwrap();
    tar
}

#[test]
fn an_image_is_the_same_from_a_server_a_directory_and_a_store_and_offline() {
    let (world, server) = (World::new(), nix::serve());
    let attributes = ["env", "greet", "text", "odd"];
    let context = world.online();
    let first = world.project(&manifest(&attributes, &server.url(""), &nix::public_key()));
    let whole = lock(&context, &first, &Upgrade::Nothing).unwrap();
    let expected = built(&context, &first).index;
    let rootfs = world.dir.path().join("rootfs");
    unpacked(&context, &rootfs);

    // What is kept is enough.
    let asked = server.requests().len();
    let offline = world.context("home", Network::Offline);
    assert_eq!(lock(&offline, &first, &Upgrade::Nothing).unwrap(), whole);
    pinfold_base::directory::remove(&offline.home.data().join("images")).unwrap();
    pinfold_base::directory::remove(&offline.home.cache().join("decoded")).unwrap();
    pinfold_base::directory::remove(&offline.home.cache().join("layers")).unwrap();
    assert_eq!(built(&offline, &first).index, expected);
    assert_eq!(server.requests().len(), asked);

    // Another machine each; the lock is made anew. The list is what a build of Nix is told of its inputs.
    let directory = nix::cache().display().to_string();
    let store = format!("{}/nix/store", rootfs.display());
    let tar = world.dir.path().join("cache.tar");
    fs_err::write(&tar, tarred(&context, &nix::files())).unwrap();
    let tar = tar.display().to_string();
    let told = world.dir.path().join("attrs.json");
    fs_err::write(&told, nix::told()).unwrap();
    let listed = format!("local?root={}&list={}", rootfs.display(), told.display());
    for (home, place) in [("directory", directory), ("tar", tar), ("store", store), ("listed", listed)] {
        let context = world.context(home, Network::Online);
        let project = world.project(&manifest(&attributes, &place, &nix::public_key()));
        fs_err::remove_file(&project.lock_file).unwrap();
        let again = lock(&context, &project, &Upgrade::Nothing).unwrap();
        assert_eq!(again.layers, whole.layers, "{place}");
        assert_eq!(built(&context, &project).index, expected, "{place}");
    }
}

#[test]
fn store_layers_do_not_depend_on_the_user() {
    let (world, server) = (World::new(), nix::serve());
    let text = manifest(&["hello", "greet"], &server.url(""), &nix::public_key());
    let digests = |home: &str, text: &str| {
        let (context, project) = (world.online(), world.project(text));
        lock(&context, &project, &Upgrade::Nothing).unwrap();
        let built = built(&context, &project);
        assert!(!home.is_empty());
        built.platforms[0]
            .layers
            .iter()
            .map(|layer| (layer.name.clone(), layer.layer.digest.clone()))
            .collect::<Vec<_>>()
    };
    let one = digests("one", &text);
    let other = digests(
        "other",
        &text.replace("'u'", "'me'").replace("= 1000", "= 1234").replace("home/u", "home/me"),
    );
    let root = digests("root", &text.replace(USER, ""));
    let stores = |layers: &[(String, Digest)]| layers[..layers.len() - 1].to_vec();
    assert!(one.len() > 1, "{one:?}");
    assert_eq!((stores(&one), stores(&one)), (stores(&other), stores(&root)));
    assert_ne!(one.last(), other.last());
}

#[test]
fn roots_are_one_environment_and_conflicts_are_named() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    // Both have `bin/hello`: the environment has the other's.
    let text = manifest(&["hello", "greet", "env"], &server.url(""), &nix::public_key());
    let project = world.project(&text);
    let lock = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let placed = place::place(&context, &project, &lock, Platform::ALL[0]).unwrap();
    let store = |attribute: &str| nix::root(attribute).path;
    let hello = link(&placed.tree, "nix/profile/bin/hello");
    assert_eq!(hello, format!("{}/bin/hello", store("hello")));
    assert_eq!(link(&placed.tree, "nix/profile/bin/greet"), format!("{}/bin/greet", store("greet")));
    assert!(
        placed.notes.iter().all(|note| !note.contains("bin/hello")),
        "it is the same: {:?}",
        placed.notes
    );
    assert!(placed.tree.get(&path("bin/sh")).is_none(), "no root has one");
    let env = crate::project::manifest::environment::environment(
        &BTreeMap::new(),
        &[],
        &crate::project::manifest::environment::Under::Nothing,
        &crate::sources::folders(&project.manifest.sources),
    );
    assert!(env.unwrap()["PATH"].starts_with("/nix/profile/bin:/usr/local/bin:"));
}

#[test]
fn what_cannot_be_trusted_or_had_is_refused_and_nothing_is_left() {
    let world = World::new();
    let context = world.online();
    let other = "other-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let fail = |files: Files, key: &str, attributes: &[&str]| {
        let server = nix::serve_files(files);
        let project = world.project(&manifest(attributes, &server.url(""), key));
        let error = lock(&context, &project, &Upgrade::Nothing).unwrap_err();
        assert!(!project.lock_file.exists());
        (error.kind(), told(&error))
    };
    let (kind, text) = fail(nix::files(), other, &["hello"]);
    assert_eq!(kind, Kind::Integrity, "{text}");
    assert!(text.contains("fixture-1") && text.contains("tiny-hello-1.0"), "{text}");

    // The chain that leads to what is missing.
    let mut without = nix::files();
    without.remove(&format!("{}.narinfo", nix::root("lib").hash())).unwrap();
    let needing = ["greet", "hello", "env", "dev"];
    let needs = |name: &&&str| nix::root(name).references.contains(&nix::root("lib").path);
    let by = needing.iter().find(needs).unwrap();
    let (kind, text) = fail(without, &nix::public_key(), &[by]);
    assert_eq!(kind, Kind::Network, "{text}");
    assert!(text.contains("tiny-lib") && text.contains("needed by"), "{text}");

    // A NAR that is another's: the file is what the narinfo says, which nobody signed.
    let mut lying = nix::files();
    let (hello, lib) = (nix::root("hello"), nix::root("lib"));
    let narinfo = ["URL", "FileHash", "FileSize"].into_iter().fold(hello.narinfo(), |text, name| {
        let line = |narinfo: &str| format!("{name}: {}\n", field(narinfo, name));
        text.replace(&line(&hello.narinfo()), &line(&lib.narinfo()))
    });
    lying.insert(format!("{}.narinfo", hello.hash()), narinfo.into_bytes());
    let (kind, text) = fail(lying, &nix::public_key(), &["hello"]);
    assert_eq!(kind, Kind::Integrity, "{text}");
    assert!(text.contains("is not what was signed"), "{text}");
    let decoded = fs_err::read_dir(context.home.cache().join("decoded")).into_iter().flatten().flatten();
    let left: Vec<_> = decoded.map(|entry| entry.file_name()).collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().contains(&Digest::sha256(&lib.nar()).hex())),
        "{left:?}"
    );

    // The control, and a program of another platform.
    let server = nix::serve();
    let text = manifest(&["hello"], &server.url(""), &nix::public_key());
    lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap();
    let error =
        lock(&context, &world.project(&text.replace("amd64", "arm64")), &Upgrade::Nothing).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let text = told(&error);
    assert!(text.contains("tiny-hello-1.0/bin/hello` is no program for linux/arm64"), "{text}");
    assert!(text.contains("62, not 183"), "{text}");
}

#[test]
fn what_is_locked_stays_and_upgrade_asks_again() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    let text = manifest(&["hello"], &server.url(""), &nix::public_key());
    let first = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap();
    let asked = server.requests().len();
    assert_eq!(lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap(), first);
    assert_eq!(server.requests().len(), asked);
    let name = Upgrade::Only(vec!["tiny-hello".into()]);
    assert_eq!(lock(&context, &world.project(&text), &name).unwrap(), first);
    assert!(server.requests().len() > asked);
    // Another root more.
    let more = manifest(&["hello", "text"], &server.url(""), &nix::public_key());
    let more = lock(&context, &world.project(&more), &Upgrade::Nothing).unwrap();
    assert!(more.nix[&Platform::ALL[0]].paths.len() > first.nix[&Platform::ALL[0]].paths.len());
}

#[test]
fn a_manifest_is_read_strictly_and_places_and_keys_need_the_users_word() {
    let meaning = |nix: &str| {
        Manifest::parse(&format!("name = 'x'\n[nix]\n{nix}"), Path::new("m"), Path::new("/"))
            .map_err(|error| error.to_string())
    };
    let hello = nix::root("hello").path;
    let lib = nix::root("lib").path;
    assert!(
        meaning(&format!(
            "roots = ['{hello}', {{ name = 'l', 'linux/amd64' = '{lib}', 'linux/arm64' = '{hello}' }}]"
        ))
        .is_ok()
    );
    for (text, expected) in [
        ("colour = 'red'".to_owned(), "unknown field `colour`"),
        (
            format!("roots = [{{ path = '{hello}', 'linux/amd64' = '{lib}' }}]"),
            "has a store path for each platform",
        ),
        (format!("roots = [{{ 'linux/amd64' = '{hello}' }}]"), "has no store path for linux/arm64"),
        (format!("roots = [{{ path = '{hello}', name = '../a' }}]"), "`../a` is no name"),
        (format!("roots = ['{hello}', '{hello}']"), "two roots are called `tiny-hello-1.0`"),
        (format!("roots = ['{hello}/bin']"), "is not a store path"),
        ("roots = ['nixpkgs#rip grep']".to_owned(), "is not the name of a package in a flake"),
        (format!("roots = [{{ package = 'nixpkgs#a', path = '{hello}' }}]"), "{ package = \"nixpkgs#…\" }"),
        (
            "roots = [{ package = 'nixpkgs#a', name = 'l' }, { package = 'nixpkgs#b', name = 'l' }]"
                .to_owned(),
            "two roots are called `l`",
        ),
        ("profile = 'rusty'".to_owned(), "did you mean `rust`?"),
        ("profile = './mine.toml'".to_owned(), "no project that it is read from"),
        ("caches = ['./cache']".to_owned(), "is not a place that has store paths"),
        ("caches = [{ url = 'https://c.example', keys = ['k'] }]".to_owned(), "expected `NAME:BASE64`"),
        (format!("roots = ['{hello}']\nconf = {{ a = \"b\\nc\" }}"), "is no setting"),
    ] {
        let error = meaning(&text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let key = nix::public_key().trim().to_owned();
    let text = format!(
        "name = 'x'\n[nix]\nroots = ['{hello}']\ncaches = [{{ url = 'https://c.example', keys = ['{key}'] }}, '/srv/cache', '/nix/store', 'local?list=/srv/list']\n"
    );
    let world = World::new();
    let wanted = world.project(&text);
    let configured = tempfile::tempdir().unwrap();
    let environment = |conf: &str| {
        fs_err::write(configured.path().join("nix.conf"), conf).unwrap();
        let folder = configured.path().display().to_string();
        Environment::from([("NIX_CONF_DIR", folder.clone()), ("HOME", folder)])
    };
    let asks = |conf: &str| {
        let asks = Nix.trusts(&wanted, &environment(conf)).into_iter();
        asks.map(|trust| match trust {
            Trust::Address { address, .. } => address,
            Trust::StoreKey(key) => key,
            other => panic!("{other:?}"),
        })
        .collect::<Vec<_>>()
    };
    let machine = format!("substituters = https://c.example/\ntrusted-public-keys = {key}\n");
    let rest = ["file:///srv/cache", "file:///nix/store", "file:///nix/store, by the list /srv/list"];
    assert_eq!(asks(""), ["https://c.example/", rest[0], rest[1], rest[2], &key]);
    assert_eq!(asks(&machine), rest);
    assert_eq!(crate::sources::volatility(&wanted, "nix/tiny-hello"), Volatility::Weekly);
    assert_eq!(crate::sources::volatility(&wanted, "nix/tiny-lib"), Volatility::Stable);
}

/// The controls are the same keys, which prove the build that is there, and more of them.
#[test]
fn with_other_trusted_keys_an_unchanged_build_is_checked_again() {
    let (world, server) = (World::new(), nix::serve());
    let configured = tempfile::tempdir().unwrap();
    let folder = configured.path().display().to_string();
    let mut context = world.online();
    context.environment = Environment::from([("NIX_CONF_DIR", folder.clone()), ("HOME", folder)]);
    let key = nix::public_key().trim().to_owned();
    let other = "other-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let trust = |keys: &str| {
        let text = format!("trusted-public-keys = {keys}\n");
        fs_err::write(configured.path().join("nix.conf"), text).unwrap();
    };
    let text = manifest(&["hello"], &server.url(""), &key).replace(&format!(", keys = ['{key}']"), "");
    trust(&key);
    let project = world.project(&text);
    lock(&context, &project, &Upgrade::Nothing).unwrap();
    let attempt = || {
        let options = build::Options::new(LockUse::Locked);
        build::build(&context, &agreed(&context, &project), &options)
    };
    let first = attempt().unwrap();
    assert!(!first.unchanged && attempt().unwrap().unchanged);
    trust(other);
    let error = attempt().unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity, "{}", told(&error));
    trust(&format!("{other} {key}"));
    let more = attempt().unwrap();
    assert!(!more.unchanged);
    assert_eq!(more.built.index, first.built.index);
    trust(&key);
    assert!(attempt().unwrap().unchanged);
}

/// The control is what is in layers that are new.
#[test]
fn of_paths_whose_layers_stay_nothing_is_read() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    // A root with a program, and some that share a layer.
    let alone = "[layers]\nalone = ['nix/tiny-exec', 'nix/tiny-hello']\n";
    let build = |attributes: &[&str]| {
        let text = manifest(attributes, &server.url(""), &nix::public_key());
        let project = world.project(&(text + alone));
        let lock = lock(&context, &project, &Upgrade::Nothing).unwrap();
        (lock, built(&context, &project))
    };
    let (_, before) = build(&["hello", "odd", "lib", "exec"]);
    let digests = |built: &build::Built| -> Vec<Digest> {
        built.platforms[0].layers.iter().map(|layer| layer.layer.digest.clone()).collect()
    };
    for archive in context.decoded.all().unwrap() {
        context.decoded.evict(&archive).unwrap();
    }
    let (lock, after) = build(&["hello", "lib", "exec", "dev"]);
    let (mut stay, mut new) = (Vec::new(), Vec::new());
    for layer in &after.platforms[0].layers {
        let planned = lock.layers.iter().find(|planned| planned.name == layer.name).unwrap();
        let within = |path: &&LockedPath| planned.components.contains(&component(&path.path));
        let archives = lock.nix[&Platform::ALL[0]].paths.iter().filter(within).map(|path| &path.file);
        let stays = digests(&before).contains(&layer.layer.digest);
        (if stays { &mut stay } else { &mut new }).extend(archives);
    }
    assert!(stay.len() > 1 && !new.is_empty(), "{:?}", lock.layers);
    let is_read = |archive: &&&Digest| context.decoded.path(archive, "").exists();
    let counted = [new.iter().filter(is_read).count(), stay.iter().filter(is_read).count()];
    assert_eq!(counted, [new.len(), 0], "{:?}", lock.layers);
}

/// Each platform has paths of its own; what only one has is built without it being run, and all of it is one index.
#[test]
fn both_platforms_are_one_image_from_each_place_and_by_each_number_of_threads() {
    let (world, server) = (World::new(), nix::serve());
    let path = |attribute: &str| nix::root(attribute).path;
    let text = |cache: &str| {
        format!(
            "name = 'x'\nplatforms = ['linux/amd64', 'linux/arm64']\n{USER}[nix]\n\
             roots = ['{}', '{}', {{ name = 'main', 'linux/amd64' = '{}', 'linux/arm64' = '{}' }}]\n\
             caches = [{{ url = '{cache}', keys = ['{}'] }}]\n",
            path("text"),
            path("odd"),
            path("env"),
            path("lib"),
            nix::public_key().trim(),
        )
    };
    let context = world.online();
    let first = world.project(&text(&server.url("")));
    let whole = lock(&context, &first, &Upgrade::Nothing).unwrap();
    let has = |platform: Platform, attribute: &str| {
        whole.nix[&platform].paths.iter().any(|locked| locked.path.to_string() == path(attribute))
    };
    let [amd64, arm64] = Platform::ALL;
    assert_eq!([has(amd64, "env"), has(arm64, "env")], [true, false]);
    assert_eq!([has(amd64, "lib"), has(arm64, "lib")], [true, true]);
    let expected = built(&context, &first);
    let [one, other] = &expected.platforms[..] else { panic!("two platforms") };
    let digests = |built: &build::compose::BuiltPlatform| -> Vec<Digest> {
        built.layers.iter().map(|layer| layer.layer.digest.clone()).collect()
    };
    let shared = digests(one).iter().filter(|digest| digests(other).contains(digest)).count();
    assert!(shared > 0, "what both have is in layers of both");
    let rootfs = world.dir.path().join("rootfs");
    unpacked(&context, &rootfs);
    let told = world.dir.path().join("attrs.json");
    fs_err::write(&told, nix::told()).unwrap();
    let places = [
        ("directory", nix::cache().display().to_string(), 1),
        ("store", format!("{}/nix/store", rootfs.display()), 3),
        ("listed", format!("local?root={}&list={}", rootfs.display(), told.display()), 8),
    ];
    for (home, place, threads) in places {
        let mut context = world.context(home, Network::Online);
        context.threads = std::num::NonZeroUsize::new(threads).unwrap();
        let project = world.project(&text(&place));
        fs_err::remove_file(&project.lock_file).unwrap();
        lock(&context, &project, &Upgrade::Nothing).unwrap();
        assert_eq!(built(&context, &project).index, expected.index, "{place}, {threads} threads");
    }
}
