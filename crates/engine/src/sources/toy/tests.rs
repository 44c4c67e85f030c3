//! A source goes through every verb of the pipeline, and no verb names it.

use std::sync::Arc;
use std::sync::Mutex;

use pinfold_base::Diagnose as _;
use pinfold_base::Kind;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

use super::*;
use crate::build;
use crate::build::BuildError;
use crate::build::LockUse;
use crate::build::fetch;
use crate::build::place;
use crate::consent;
use crate::context::Network;
use crate::project::lock::diff;
use crate::project::lock::held;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::layers;
use crate::sources::testing::lines;
use crate::sources::testing::lock;
use crate::sources::testing::project;
use crate::sources::testing::told;

/// A shop that sells every toy in one version.
fn shop(version: &str) -> (Server, Arc<Mutex<String>>) {
    let version = Arc::new(Mutex::new(version.to_owned()));
    let sold = version.clone();
    let server = Server::start(move |request| match request.path.as_str() {
        "/bear" | "/ball" => {
            Response::ok(format!("{} {}\n", request.path.trim_start_matches('/'), sold.lock().unwrap()))
        }
        _ => Response::status(404),
    });
    (server, version)
}

fn manifest(server: &Server, names: &str) -> String {
    format!("name = 'x'\n[toy]\nshop = '{}'\nnames = [{names}]\n", server.url(""))
}

fn options() -> build::Options {
    build::Options::new(LockUse::Locked)
}

#[test]
fn a_new_source_is_locked_fetched_vendored_placed_and_built() {
    let (world, (server, version)) = (World::new(), shop("1"));
    let context = world.online();
    let project = world.project(&manifest(&server, "'bear', 'ball'"));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    assert_eq!(first.epoch, 7, "its dates count");
    let text = first.render();
    assert!(text.contains("[toy.bear]\nversion = \"bear 1\"\n"), "{text}");
    assert_eq!(Lock::parse(&text, Path::new("l")).unwrap(), first);
    assert!(
        layers(&first).contains(&"toy/ball".to_owned()) && layers(&first).contains(&"toy/bear".to_owned()),
        "{:?}",
        layers(&first)
    );

    // Fetched on another machine, from the shop; then built without a network; then from vendored inputs.
    let asked = server.requests().len();
    let other = world.context("other", Network::Online);
    let fetched =
        fetch::fetch(&other, &agreed(&other, &project), &first, &project.manifest.platforms).unwrap();
    assert_eq!((fetched.total, fetched.fetched, fetched.bytes), (2, 2, 14));
    assert_eq!(server.requests().len(), asked + 2);
    let offline = world.context("other", Network::Offline);
    let built = build::build(&offline, &agreed(&offline, &project), &options()).unwrap().built;
    let kept = world.dir.path().join("kept");
    fetch::vendor(&other, &agreed(&other, &project), &first, &kept).unwrap();
    let mut third = world.context("third", Network::Offline);
    third.vendor = vec![kept];
    assert_eq!(build::build(&third, &agreed(&third, &project), &options()).unwrap().built.index, built.index);

    let tree = place::place(&third, &project, &first, Platform::ALL[0]).unwrap().tree;
    assert_eq!(
        lines(&third, &tree, "/toys"),
        [
            "/toys 0755 generated/base directory",
            "/toys/ball 0644 toy/ball \"ball 1\\n\"",
            "/toys/bear 0644 toy/bear \"bear 1\\n\"",
        ]
    );

    // What is locked stays until it is asked to move, by name or all.
    *version.lock().unwrap() = "2".into();
    let versions = |lock: &Lock| diff::versions(lock).into_values().collect::<Vec<_>>();
    assert_eq!(versions(&lock(&context, &project, &Upgrade::Nothing).unwrap()), ["ball 1", "bear 1"]);
    let second = lock(&context, &project, &Upgrade::Only(vec!["bear".into()])).unwrap();
    assert_eq!(versions(&second), ["ball 1", "bear 2"]);
    let changes = diff::changes(Some(&first), &second);
    assert_eq!(
        changes,
        [diff::Change {
            component: "toy/bear".into(),
            from: Some("bear 1".into()),
            to: Some("bear 2".into())
        }]
    );
}

#[test]
fn a_new_source_makes_a_lock_stale_under_its_own_key() {
    let (world, (server, _)) = (World::new(), shop("1"));
    let project = world.project(&manifest(&server, "'bear'"));
    lock(&world.online(), &project, &Upgrade::Nothing).unwrap();
    let wanting = |text: &str| {
        let project = world.project(text);
        build::settle::wanting(&project, project.inputs.gist().unwrap().unwrap())
    };
    let moved = |text: &str| match wanting(text) {
        Some(LockError::Stale { moved }) => moved,
        other => panic!("{other:?}"),
    };
    assert_eq!(moved(&manifest(&server, "'ball'")), ["toy"]);
    assert_eq!(moved("name = 'x'\n"), ["toy"], "asked for no more");
    // Another shop is no other request.
    assert!(wanting("name = 'x'\n[toy]\nshop = 'x'\nnames = ['bear']\n").is_none());
}

#[test]
fn a_new_source_is_typed_strictly_and_its_addresses_need_the_users_word() {
    let message = |text: &str| {
        crate::project::manifest::Manifest::parse(text, Path::new("m"), Path::new("/"))
            .unwrap_err()
            .to_string()
    };
    assert!(message("name = 'x'\n[toy]\ncolour = 'red'\n").contains("unknown field `colour`"));
    assert!(message("name = 'x'\n[toy]\ncolour = 'red'\n").contains("m:3:1"));
    assert!(message("name = 'x'\n[toy]\nnames = ['a/b']\n").contains("`toy.names`"));
    let project = project("name = 'x'\n[toy]\nshop = 'http://shop.example'\n");
    assert_eq!(
        Toys.trusts(&project, &Environment::default()),
        [Trust::address("toys", "http://shop.example")]
    );
    assert_eq!(crate::sources::volatility(&project, "toy/bear"), Volatility::Volatile);
}

#[test]
fn what_a_new_source_says_when_it_fails_comes_out_as_it_is() {
    let (world, (server, _)) = (World::new(), shop("1"));
    let error =
        lock(&world.online(), &world.project(&manifest(&server, "'doll'")), &Upgrade::Nothing).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(told(&error).contains("404"), "{}", told(&error));
    // Two sources that claim one path.
    let text = manifest(&server, "'bear'")
        + &format!(
            "[[binary]]\nname = 'b'\nversion = '1'\nplatforms = ['linux/amd64']\nurl = {{ 'linux/amd64' = '{}' }}\nmembers = {{ '.' = '/toys/bear' }}\n",
            server.url("/ball")
        );
    let project = world.project(&text);
    let error = BuildError::from(lock(&world.online(), &project, &Upgrade::Nothing).unwrap_err());
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(
        error.to_string(),
        "`/toys/bear` is claimed by two components: file of `binary/b` and file of `toy/bear`"
    );
    assert!(error.hint().unwrap().contains("leave one of the two"));
}

#[test]
fn what_was_kept_of_a_lock_never_stands_for_another_lock_manifest_or_image() {
    let (world, (server, version)) = (World::new(), shop("1"));
    let context = world.online();
    let text = manifest(&server, "'bear'");
    lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap();
    let build = |text: &str| {
        // The user's word, then a second reading of the project, which finds what was kept.
        agreed(&context, &world.project(text));
        let project = consent::agree(&context, world.project(text)).unwrap();
        build::build(&context, &project, &options())
    };
    let kept = || fs_err::read_dir(context.home.data().join(held::RECORDS)).into_iter().flatten().count();
    assert_eq!(kept(), 0);
    let first = build(&text).unwrap();
    assert_eq!((first.unchanged, kept()), (false, 1));
    assert!(build(&text).unwrap().unchanged, "it can fail");

    // A manifest that asks for something else, and one that only says more.
    let stale = build(&manifest(&server, "'ball'")).unwrap_err();
    assert!(matches!(stale, BuildError::Lock(LockError::Stale { .. })), "{stale:?}");
    let more = build(&format!("{text}[image]\nenv = {{ A = '1' }}\n")).unwrap();
    assert!(!more.unchanged);
    assert_ne!(more.built.index, first.built.index);

    // Another lock.
    *version.lock().unwrap() = "2".into();
    lock(&context, &world.project(&text), &Upgrade::All).unwrap();
    let second = build(&text).unwrap();
    assert_eq!((second.unchanged, kept()), (false, 2));
    assert_ne!(second.built.index, first.built.index);

    // An image that is gone.
    assert!(build(&text).unwrap().unchanged);
    fs_err::rename(context.home.data().join("images"), world.dir.path().join("gone")).unwrap();
    let third = build(&text).unwrap();
    assert_eq!((third.unchanged, &third.built.index), (false, &second.built.index));
}
