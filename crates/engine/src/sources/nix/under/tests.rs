//! Images of store paths on others of the same kind, with the binary cache of `testkit`.

use pinfold_base::Diagnose as _;
use pinfold_base::Platform;
use pinfold_base::report::Silent;
use pinfold_image::export;
use pinfold_image::export::Selection;
use pinfold_image::verify;
use pinfold_testkit::nix;

use super::*;
use crate::build;
use crate::build::LockUse;
use crate::build::place;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::lines;
use crate::sources::testing::lock;
use crate::sources::testing::told;

fn manifest(name: &str, uid: u32, roots: &[&str], cache: &str, more: &str) -> String {
    let key = nix::public_key();
    let roots: Vec<String> = roots.iter().map(|name| format!("'{}'", nix::root(name).path)).collect();
    format!(
        "name = '{name}'\nplatforms = ['linux/amd64']\n[user]\nname = 'u{uid}'\nuid = {uid}\ngid = {uid}\nhome = '/home/u'\n\
         [nix]\nroots = [{}]\ncaches = [{{ url = '{cache}', keys = ['{}'] }}]\n{more}",
        roots.join(", "),
        key.trim()
    )
}

/// The image of a manifest's text, written to `NAME` beside it.
fn written(world: &World, name: &str, text: &str) -> pinfold_base::Digest {
    let context = world.context(name, crate::context::Network::Online);
    let project = world.project(text);
    let lock = lock(&context, &project, &Upgrade::Nothing).unwrap();
    lock.save(&project.lock_file).unwrap();
    let options = build::Options::new(LockUse::Locked);
    let outcome = build::build(&context, &agreed(&context, &project), &options).unwrap();
    let mut location: pinfold_image::Location = "oci:x".parse().unwrap();
    location.path = world.folder().join(name);
    export::export(&outcome.source, Selection::All, &location, None, &Silent).unwrap();
    assert_eq!(verify::verify(&outcome.source, &Silent).unwrap().findings, []);
    fs_err::remove_file(&project.lock_file).unwrap();
    outcome.built.index
}

#[test]
fn an_image_of_store_paths_stands_on_another() {
    let (world, server) = (World::new(), nix::serve());
    let lower = manifest(
        "lower",
        1001,
        &["hello", "greet"],
        &server.url(""),
        "conf = { max-jobs = '1', cores = '1' }\n[[link]]\npath = '/nix/var/nix/gcroots/image/tiny-text'\ntarget = '/nix/store/none'\n",
    );
    written(&world, "lower", &lower);
    let upper = manifest("upper", 1000, &["hello", "text"], &server.url(""), "conf = { cores = '2' }\n");
    let upper = upper.replace("[user]", "[base]\nimage = 'oci:lower'\n[user]").replace("/home/u", "/home/v");
    let digest = written(&world, "upper", &upper);
    assert_eq!(written(&world, "again", &upper), digest, "another machine makes the same");

    let context = world.context("upper", crate::context::Network::Online);
    let project = world.project(&upper);
    let locked = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let placed = place::place(&context, &project, &locked, Platform::ALL[0]).unwrap();
    let tree = &placed.tree;
    let path = |text: &str| ImagePath::new(text).unwrap();
    let [hello, greet, text] = ["hello", "greet", "text"].map(|name| nix::root(name).path);
    // A store path that both have is the base's; one database has all.
    let owner = |at: &str| tree.get(&path(at.trim_start_matches('/'))).unwrap().owner.as_str().to_owned();
    assert_eq!(owner(&hello), "base/lower");
    assert_eq!(owner(&text), "nix/tiny-text");
    let database = tree.content(&path("nix/var/nix/db/db.sqlite")).unwrap();
    let registered = database::read(context.decoded.read(database, 1 << 20).unwrap()).unwrap();
    let registered: Vec<String> = registered.iter().map(|path| path.path.name().to_owned()).collect();
    assert_eq!(
        registered,
        ["tiny-source", "tiny-lib-1.0", "tiny-text", "tiny-odd-1.0", "tiny-greet-1.0", "tiny-hello-1.0"]
    );
    assert_eq!(
        lines(&context, tree, "/nix/profile/"),
        [
            "/nix/profile/bin 0755 generated/nix directory".to_owned(),
            format!("/nix/profile/bin/greet 0777 generated/nix -> {greet}/bin/greet"),
            format!("/nix/profile/bin/hello 0777 generated/nix -> {hello}/bin/hello"),
            format!("/nix/profile/share 0777 generated/nix -> {greet}/share"),
        ]
    );
    assert_eq!(
        lines(&context, tree, "/etc/nix/nix.conf"),
        [format!(
            "/etc/nix/nix.conf 0644 generated/nix {:?}",
            "build-users-group =\ncores = 2\nexperimental-features = nix-command flakes\nmax-jobs = 1\nsandbox = false\n"
        )]
    );
    // A title that leads elsewhere in the base stays; the own one has the store path's name.
    let base_name = text.trim_start_matches("/nix/store/");
    assert_eq!(
        lines(&context, tree, "/nix/var/nix/gcroots/image/"),
        [
            format!("/nix/var/nix/gcroots/image/{base_name} 0777 generated/nix -> {text}"),
            format!("/nix/var/nix/gcroots/image/tiny-greet-1.0 0777 base/lower -> {greet}"),
            format!("/nix/var/nix/gcroots/image/tiny-hello-1.0 0777 generated/nix -> {hello}"),
            "/nix/var/nix/gcroots/image/tiny-text 0777 base/lower -> /nix/store/none".to_owned(),
        ]
    );
    // Nix works as the user of this image.
    let of_another = tree.iter().filter(|(at, node)| {
        let state =
            at.starts_with(&path("nix/var")) || **at == path("nix/store") || **at == path("nix/store/.links");
        state && (node.meta.uid, node.meta.gid) != (1000, 1000)
    });
    assert_eq!(of_another.map(|(at, _)| at.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(tree.get(&path(hello.trim_start_matches('/'))).unwrap().meta.uid, 0);
}

#[test]
fn a_store_path_of_the_base_with_other_content_is_refused() {
    let (world, server) = (World::new(), nix::serve());
    let hello = nix::root("hello").path;
    let more = format!("[[file]]\npath = '{hello}/share'\ncontent = 'more'\n");
    written(&world, "lower", &manifest("lower", 1000, &["hello"], &server.url(""), &more));
    let upper = manifest("upper", 1000, &["greet"], &server.url(""), "");
    let upper = upper.replace("[user]", "[base]\nimage = 'oci:lower'\n[user]");
    let context = world.context("upper", crate::context::Network::Online);
    let error = lock(&context, &world.project(&upper), &Upgrade::Nothing).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(error.hint().unwrap().contains("build the base again"));
    let said = told(&error);
    assert!(said.contains(&format!("`{hello}` of the base `oci:lower` is not what is locked")), "{said}");
}
