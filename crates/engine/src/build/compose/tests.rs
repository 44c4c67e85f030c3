use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::build::layers::Records;
use crate::project::lock::v1::LockedLayer;
use crate::sources::agent::LockedAgent;
use crate::sources::testing::World;

fn file(tree: &mut Tree, path: &str, owner: &str, text: &str) {
    let node = Node::file(&owner.into(), Metadata::root(0o644, 0), Content::inline(text.as_bytes()));
    tree.insert(ImagePath::new(path).unwrap(), node);
}

/// The configuration of a manifest's text, as the OCI image specification (config.md) has it.
fn configuration(manifest: &str, lock: &Lock, tree: &Tree) -> Value {
    let world = World::new();
    let project = world.project(manifest);
    let runtime = runtime(&world.online(), &project, lock, (Platform::ALL[0], &tree.clone().into())).unwrap();
    let platform = "linux/arm64".parse().unwrap();
    let layer = LayerBlob {
        diff_id: Digest::sha256(b"tar"),
        digest: Digest::sha256(b"gzip"),
        size: 4,
        uncompressed: 3,
        encoding: LayerEncoding::Gzip,
        encoder: "gzip-6".into(),
        reused: 0,
        components: Vec::new(),
        created_by: "a test".into(),
    };
    let image = pinfold_image::compose::image(platform, &runtime, &[layer], &BTreeMap::new(), 0).unwrap();
    serde_json::from_slice(image.config.bytes()).unwrap()
}

#[test]
fn the_configuration_is_what_the_specification_calls_it() {
    let text = "name = 'x'\n[user]\nname = 'u'\nuid = 1000\ngid = 1001\nhome = '/home/u'\n\
                [image]\nentrypoint = ['/usr/bin/tini', '--']\ncmd = ['bash', '-l']\nworkdir = '/work'\nvolumes = ['/cache']\n\
                [image.env]\nB = '2'\nA = '1'\n[image.labels]\n'org.example' = 'yes'\n";
    assert_eq!(
        configuration(text, &Lock::default(), &Tree::new()),
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "config": {
                "User": "1000:1001",
                "Entrypoint": ["/usr/bin/tini", "--"],
                "Cmd": ["bash", "-l"],
                "WorkingDir": "/work",
                "Volumes": { "/cache": {} },
                "Env": ["PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", "A=1", "B=2"],
                "Labels": { "org.example": "yes" },
            },
            "rootfs": { "type": "layers", "diff_ids": [Digest::sha256(b"tar").to_string()] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "a test" }],
        })
    );
}

#[test]
fn the_manifests_environment_lies_over_the_recipes_and_path_comes_first() {
    let env =
        |manifest: &str| configuration(manifest, &Lock::default(), &Tree::new())["config"]["Env"].clone();
    let plain = env("name = 'x'\nagents = ['claude-code']\n");
    assert!(plain.as_array().unwrap().contains(&json!("DISABLE_UPDATES=1")), "{plain}");
    let over = env(
        "name = 'x'\nagents = ['claude-code']\n[image.env]\nDISABLE_UPDATES = '0'\nPATH = '/bin'\nAAA = ''\n",
    );
    let over: Vec<&str> = over.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(over[..2], ["PATH=/bin", "AAA="]);
    assert!(over.contains(&"DISABLE_UPDATES=0") && !over.contains(&"DISABLE_UPDATES=1"));
    assert!(over[1..].is_sorted(), "{over:?}");
}

#[test]
fn labels_say_which_agents_and_which_system_unless_the_manifest_says_otherwise() {
    let agent = LockedAgent { name: "a".into(), version: "1.2".into(), packages: BTreeMap::new() };
    let lock = Lock { agents: vec![agent], ..Lock::default() };
    let mut tree = Tree::new();
    // os-release(5): values may be quoted, comments and other keys stand between.
    file(
        &mut tree,
        "etc/os-release",
        "debian/base-files",
        "# x\nNAME=\"A\"\nID=sample\nVERSION_ID=\"12\"\nodd\n",
    );
    tree.complete(&Component::from("debian/base-files"), 0).unwrap();
    let labels = |manifest: &str| configuration(manifest, &lock, &tree)["config"]["Labels"].clone();
    assert_eq!(
        labels("name = 'x'\n"),
        json!({ "dev.pinfold.agent.a": "1.2", "dev.pinfold.os.id": "sample", "dev.pinfold.os.version-id": "12" })
    );
    let own = labels("name = 'x'\n[image.labels]\n'dev.pinfold.os.id' = 'mine'\n");
    assert_eq!(own["dev.pinfold.os.id"], "mine");
}

#[test]
fn generated_files_that_the_lock_has_not_seen_go_to_the_last_layer() {
    let layer = |name: &str, components: &[&str]| LockedLayer {
        name: name.into(),
        components: components.iter().map(|&name| name.into()).collect(),
    };
    let mut tree = Tree::new();
    file(&mut tree, "a", "debian/a", "");
    file(&mut tree, "b", "generated/files", "");
    let assigned = |layers: Vec<LockedLayer>| {
        let lock = Lock { layers, ..Lock::default() };
        assignment(&lock, &tree)
            .layers
            .into_iter()
            .map(|plan| (plan.name, plan.components))
            .collect::<Vec<_>>()
    };
    let of = |name: &str, components: &[&str]| {
        (name.to_owned(), components.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    };
    for (locked, expected) in [
        (
            vec![layer("s", &["debian/a"])],
            vec![of("s", &["debian/a"]), of("generated", &["generated/files"])],
        ),
        (
            vec![layer("s", &["debian/a"]), layer("generated", &["generated/etc"])],
            vec![of("s", &["debian/a"]), of("generated", &["generated/etc", "generated/files"])],
        ),
        (vec![layer("s", &["debian/a", "generated/files"])], vec![of("s", &["debian/a", "generated/files"])]),
    ] {
        assert_eq!(assigned(locked), expected);
    }
}

#[test]
fn an_image_over_its_budget_or_with_a_deletion_in_it_is_refused() {
    let world = World::new();
    let context = world.online();
    let store = ImageStore::open(context.home.data()).unwrap();
    let mut lock = Lock { layers: Vec::new(), ..Lock::default() };
    lock.layers = vec![LockedLayer { name: "l".into(), components: vec!["debian/a".into()] }];
    let compose = |manifest: &str, tree: &Tree| {
        let project = world.project(manifest);
        let writing =
            Writing { encoding: encoding(Compression::Gzip, Reuse::Never), records: Records::Believed };
        platform(&context, &store, &project, &lock, &writing, Platform::ALL[0], &tree.clone().into())
            .map(|(_, built)| built)
    };
    let mut tree = Tree::new();
    file(&mut tree, "a", "debian/a", "text");
    tree.complete(&Component::from("debian/a"), 0).unwrap();
    let size = compose("name = 'x'\n", &tree).unwrap().size();
    compose(&format!("name = 'x'\n[policy]\nsize-budget = '{size}B'\n"), &tree).unwrap();
    let error =
        compose(&format!("name = 'x'\n[policy]\nsize-budget = '{}B'\n", size - 3), &tree).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("linux/amd64 is 3 B over the budget of"), "{error}");
    let lines: Vec<String> = error.lines().iter().map(ToString::to_string).collect();
    assert!(lines.len() == 2 && lines[1].ends_with("B  debian/a"), "{lines:?}");
    file(&mut tree, "x/.wh.y", "debian/a", "");
    let error = compose("name = 'x'\n", &tree).unwrap_err();
    assert_eq!(error.to_string(), "`/x/.wh.y` begins with `.wh.`, which means a deletion inside a layer");
}

#[test]
fn components_are_listed_largest_first() {
    let mut tree = Tree::new();
    for (path, owner, text) in
        [("a", "debian/b", "12"), ("b", "debian/a", "12"), ("c", "npm/c", "123"), ("d", "debian/b", "")]
    {
        file(&mut tree, path, owner, text);
    }
    let sizes: Vec<String> =
        component_sizes(&tree).into_iter().map(|(name, size)| format!("{name} {size}")).collect();
    assert_eq!(sizes, ["npm/c 3", "debian/a 2", "debian/b 2"]);
}

#[test]
fn the_title_is_the_images_name_unless_it_is_annotated() {
    let world = World::new();
    // https://specs.opencontainers.org/image-spec/annotations/
    let title =
        |text: &str| annotations(&world.project(text).manifest)["org.opencontainers.image.title"].clone();
    assert_eq!(title("name = 'x'\n"), "x");
    assert_eq!(title("name = 'x'\n[image.annotations]\n'org.opencontainers.image.title' = 'Y'\n"), "Y");
}
