//! A base goes the whole way: locked, fetched, placed, composed, and read back by the readers of images.

mod debian;

use std::collections::BTreeSet;
use std::io::Write as _;

use pinfold_base::Diagnose as _;
use pinfold_base::report::Silent;
use pinfold_image::ImageSource;
use pinfold_image::contents;
use pinfold_image::export;
use pinfold_image::export::Selection;
use pinfold_image::model::media;
use pinfold_testkit::raw_tar::RawTar;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::build;
use crate::build::BuildError;
use crate::build::LockUse;
use crate::build::fetch;
use crate::build::place;
use crate::build::resolve::ResolveError;
use crate::consent;
use crate::context::Network;
use crate::project::lock::diff;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::lock;
use crate::sources::testing::told;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // A stored block a time: every gzip reader takes it (RFC 1951 3.2.4), and it is none of our encoders.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut parts = bytes.chunks(60_000).peekable();
    while let Some(part) = parts.next() {
        let length = part.len() as u16;
        out.push(u8::from(parts.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.write_all(part).unwrap();
    }
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

/// The layers of a base for one platform.
fn layers(arch: &str) -> Vec<Vec<u8>> {
    let owned = |tar: RawTar, name: &str, kind: u8, content: &str| {
        // Who owns it is in the header: fields 108 and 116 of ustar.
        let mut block =
            pinfold_testkit::raw_tar::header(kind, name.as_bytes(), b"", 0o755, content.len() as u64);
        block[108..116].copy_from_slice(b"0001750\0");
        block[116..124].copy_from_slice(b"0001750\0");
        pinfold_testkit::raw_tar::seal(&mut block);
        tar.block(&block).data(content.as_bytes())
    };
    let first =
        RawTar::new().dir("etc/").file("etc/passwd", PASSWD).file("etc/group", "root:x:0:\nnode:x:1000:\n");
    let first = first.file("etc/arch", arch).dir("usr/").dir("usr/bin/");
    let first = first.raw(b'0', b"usr/bin/su", b"", 0o4755, b"su").file("usr/bin/old", "old");
    let first = first.symlink("bin", "usr/bin").dir("home/");
    let first = owned(first, "home/node/", b'5', "");
    let first = owned(first, "home/node/.bashrc", b'0', "# rc\n");
    let second = RawTar::new().dir("usr/").dir("usr/bin/").file("usr/bin/.wh.old", "").dir("opt/");
    let second = second.file("opt/a", "a").file("opt/b", "b");
    vec![first.end(), second.end()]
}

fn config(arch: &str, diff_ids: &[Digest]) -> Vec<u8> {
    let ids: Vec<String> = diff_ids.iter().map(ToString::to_string).collect();
    let text = json!({
        "architecture": arch, "os": "linux", "variant": if arch == "arm64" { Some("v8") } else { None },
        "created": "2026-01-02T03:04:05Z",
        "config": {
            "User": "node", "Env": ["PATH=/base/bin:/usr/bin", "NODE_VERSION=22.1.0", "LANG=C"],
            "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["node"], "WorkingDir": "/opt",
            "Labels": { "a": "base", "b": "base" }, "Volumes": { "/data": {} }, "ExposedPorts": { "80/tcp": {} },
            "StopSignal": "SIGQUIT", "OnBuild": ["RUN true"],
            "Healthcheck": { "Test": ["CMD", "true"] },
        },
        "rootfs": { "type": "layers", "diff_ids": ids },
        "history": [
            { "created": "2026-01-02T03:04:05Z", "created_by": "ADD rootfs" },
            { "created": "2026-01-02T03:04:05Z", "created_by": "ENV NODE_VERSION", "empty_layer": true },
            { "created": "2026-01-02T03:04:05Z", "created_by": "COPY opt" },
        ],
    });
    serde_json::to_vec(&text).unwrap()
}

/// A registry with `team/node:22`, in Docker's media types; the platforms given.
fn registry(arches: &[&str], change: impl Fn(&mut Value)) -> Registry {
    let registry = Registry::start(Quirks::default());
    put(&registry, arches, change);
    registry
}

fn put(registry: &Registry, arches: &[&str], change: impl Fn(&mut Value)) {
    registry.with(|kept| {
        let mut manifests = Vec::new();
        for arch in arches {
            let tars = layers(arch);
            let ids: Vec<Digest> = tars.iter().map(|tar| Digest::sha256(tar)).collect();
            let blobs: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
            let config = config(arch, &ids);
            let described = |kind: &str, bytes: &[u8]| {
                json!({ "mediaType": kind, "digest": Digest::sha256(bytes), "size": bytes.len() })
            };
            let layers: Vec<Value> =
                blobs.iter().map(|blob| described(media::DOCKER_LAYER_GZIP, blob)).collect();
            let mut manifest = json!({
                "schemaVersion": 2, "mediaType": media::DOCKER_MANIFEST,
                "config": described(media::DOCKER_CONFIG, &config), "layers": layers,
            });
            change(&mut manifest);
            for bytes in blobs.iter().chain([&config]) {
                kept.put_blob("team/node", bytes);
            }
            let bytes = serde_json::to_vec(&manifest).unwrap();
            kept.put_manifest("team/node", None, media::DOCKER_MANIFEST, &bytes);
            let mut entry = described(media::DOCKER_MANIFEST, &bytes);
            entry["platform"] = json!({ "os": "linux", "architecture": arch });
            manifests.push(entry);
        }
        let list = json!({ "schemaVersion": 2, "mediaType": media::DOCKER_LIST, "manifests": manifests });
        kept.put_manifest("team/node", Some("22"), media::DOCKER_LIST, &serde_json::to_vec(&list).unwrap());
    });
}

fn manifest(registry: &Registry, more: &str) -> String {
    format!("name = 'x'\n[base]\nimage = '{}/team/node:22'\n{more}", registry.host())
}

fn options() -> build::Options {
    build::Options::new(LockUse::Locked)
}

/// The image of one platform, its configuration as JSON.
fn image(source: &ImageSource, platform: &str) -> (pinfold_image::Image, Value) {
    let image = source.image(platform.parse().unwrap()).unwrap();
    let config = serde_json::from_slice(image.config.bytes()).unwrap();
    (image, config)
}

const BOTH: [&str; 2] = ["amd64", "arm64"];
const USER: &str = "[user]\nname = 'iteron'\nuid = 1000\ngid = 1000\nhome = '/home/iteron'\n";

#[test]
fn layers_come_through_byte_for_byte_and_what_changes_is_in_one_of_ours() {
    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let more = format!(
        "{USER}[image]\nentrypoint = ['/bin/su']\n[image.env]\nLANG = 'C.UTF-8'\nPATH = '/mine:$PATH'\n[image.labels]\n\
         a = 'own'\n[[file]]\npath = '/bin/tool'\ncontent = 'tool'\nmode = '0755'\n[[dir]]\npath = '/opt'\nreplace = true\n"
    );
    let context = world.online();
    let project = world.project(&manifest(&registry, &more));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let text = first.render();
    assert!(!text.contains(&registry.host()), "the lock holds no address: {text}");
    assert!(text.contains("[base]\nname = \"node\"\n"), "{text}");
    assert_eq!(Lock::parse(&text, std::path::Path::new("l")).unwrap(), first);
    let outcome = build::build(&context, &agreed(&context, &project), &options()).unwrap();
    for arch in BOTH {
        let (image, config) = image(&outcome.source, &format!("linux/{arch}"));
        let tars = layers(arch);
        for (layer, tar) in image.layers.iter().zip(&tars) {
            assert_eq!(layer.descriptor.digest, Digest::sha256(&gzip(tar)));
            assert_eq!(
                (&layer.diff_id, layer.descriptor.media_type.as_str()),
                (&Digest::sha256(tar), media::OCI_LAYER_GZIP)
            );
        }
        // One layer for what is other than in the base, one for what is generated.
        assert_eq!(image.layers.len(), 4);
        let annotations = &image.manifest.value().annotations;
        assert_eq!(
            annotations["org.opencontainers.image.base.name"],
            format!("{}/team/node:22", registry.host())
        );
        assert_eq!(
            annotations["org.opencontainers.image.base.digest"],
            first.base.as_ref().unwrap().platforms[&format!("linux/{arch}").parse().unwrap()]
                .manifest
                .digest
                .to_string()
        );
        let run = &config["config"];
        assert_eq!(
            (&run["Entrypoint"], &run["Cmd"], &run["User"], &run["WorkingDir"]),
            (&json!(["/bin/su"]), &Value::Null, &json!("1000:1000"), &json!("/opt"))
        );
        assert_eq!(
            run["Env"],
            json!(["PATH=/mine:/base/bin:/usr/bin", "NODE_VERSION=22.1.0", "LANG=C.UTF-8"])
        );
        assert_eq!((&run["Labels"]["a"], &run["Labels"]["b"]), (&json!("own"), &json!("base")));
        assert_eq!(
            (&run["Volumes"], &run["ExposedPorts"]),
            (&json!({ "/data": {} }), &json!({ "80/tcp": {} }))
        );
        assert_eq!((&run["StopSignal"], &run["OnBuild"]), (&json!("SIGQUIT"), &Value::Null));
        assert!(run["Healthcheck"].is_object());
        assert_eq!(config["history"][1]["empty_layer"], json!(true));
        assert_eq!(config["history"].as_array().unwrap().len(), 5);

        let read = contents::read(&outcome.source, &image, &|_| true, &Silent).unwrap();
        let path = |name: &str| ImagePath::new(name).unwrap();
        let text = |name: &str| String::from_utf8_lossy(&read.kept[&path(name)]).into_owned();
        assert_eq!(text("etc/arch"), arch);
        assert_eq!(
            text("etc/passwd"),
            PASSWD.replace(
                "node:x:1000:1000::/home/node:/bin/bash",
                "iteron:x:1000:1000::/home/iteron:/bin/sh"
            )
        );
        assert_eq!(text("etc/group"), "root:x:0:\niteron:x:1000:\n");
        assert_eq!((text("home/iteron/.bashrc").as_str(), text("usr/bin/tool").as_str()), ("# rc\n", "tool"));
        assert!(!read.paths.contains_key(&path("home/node")) && !read.paths.contains_key(&path("opt/a")));
        assert_eq!(read.paths[&path("opt")].layer, 2, "it is said again for the whiteouts in it");
        assert_eq!((read.paths[&path("usr/bin/su")].mode, read.paths[&path("usr/bin/su")].layer), (0o755, 2));
        assert_eq!(read.paths[&path("etc/arch")].layer, 0, "what is as in the base is in none of ours");
        // What is read is what was placed.
        let placed =
            place::place(&context, &project, &first, format!("linux/{arch}").parse().unwrap()).unwrap();
        let placed: BTreeSet<&ImagePath> =
            placed.tree.iter().map(|(path, _)| path).filter(|path| !path.is_root()).collect();
        assert_eq!(read.paths.keys().collect::<BTreeSet<_>>(), placed);
    }
    let report = pinfold_image::verify::verify(&outcome.source, &Silent).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn without_a_word_of_the_manifest_the_base_says_how_it_is_run() {
    let (world, registry) = (World::new(), registry(&["amd64"], |_| ()));
    let more = "[[file]]\npath = '/usr/bin/docker-entrypoint.sh'\ncontent = 'x'\nmode = '0755'\n[policy]\nset-id = 'keep'\n";
    let text = format!("platforms = ['linux/amd64']\n{}", manifest(&registry, more));
    let context = world.online();
    let project = world.project(&text);
    lock(&context, &project, &Upgrade::Nothing).unwrap();
    let outcome = build::build(&context, &agreed(&context, &project), &options()).unwrap();
    let (image, config) = image(&outcome.source, "linux/amd64");
    let run = &config["config"];
    assert_eq!((&run["Entrypoint"], &run["Cmd"]), (&json!(["docker-entrypoint.sh"]), &json!(["node"])));
    assert_eq!((&run["User"], &run["WorkingDir"]), (&json!("node"), &json!("/opt")));
    // The manifest's file, and the files of a sandbox (`/etc/hosts`): nothing of the base changes.
    assert_eq!(image.layers.len(), 3);
    let paths: Vec<String> = {
        let read = contents::read(&outcome.source, &image, &|_| false, &Silent).unwrap();
        let ours = read
            .paths
            .iter()
            .filter(|(_, found)| found.layer == 2 && found.what != contents::What::Directory);
        ours.map(|(path, _)| path.to_string()).collect()
    };
    assert_eq!(paths, ["/etc/hosts", "/usr/bin/docker-entrypoint.sh", "/usr/share/pinfold/image.json"]);
}

#[test]
fn what_is_locked_is_fetched_once_vendored_and_built_without_a_network() {
    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let context = world.online();
    let project = world.project(&manifest(&registry, ""));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let asked = registry.asked().len();
    let built = build::build(&context, &agreed(&context, &project), &options()).unwrap().built;
    assert_eq!(registry.asked().len(), asked, "all of it is in the store");
    // Another machine fetches by digest, never by tag, and then needs nothing.
    let other = world.context("other", Network::Online);
    fetch::fetch(&other, &agreed(&other, &project), &first, &project.manifest.platforms).unwrap();
    let more: Vec<String> = registry.asked().split_off(asked);
    let by_digest = |line: &String| line.starts_with("GET /v2/team/node/") && line.contains("/sha256:");
    assert!(more.iter().all(|line| by_digest(line) || line == "GET /v2/"), "{more:?}");
    let offline = world.context("other", Network::Offline);
    assert_eq!(
        build::build(&offline, &agreed(&offline, &project), &options()).unwrap().built.index,
        built.index
    );
    let kept = world.dir.path().join("kept");
    fetch::vendor(&other, &agreed(&other, &project), &first, &kept).unwrap();
    let mut third = world.context("third", Network::Offline);
    let error = build::build(&third, &agreed(&third, &project), &options()).unwrap_err();
    assert_eq!(error.kind(), pinfold_base::Kind::Network);
    assert!(error.hint().unwrap().contains("--vendor"), "{error:?}");
    third.vendor = vec![kept];
    assert_eq!(build::build(&third, &agreed(&third, &project), &options()).unwrap().built.index, built.index);
}

#[test]
fn a_tag_that_moves_is_followed_when_it_is_said() {
    let (world, registry) = (World::new(), registry(&["amd64", "arm64"], |_| ()));
    let context = world.online();
    let project = world.project(&manifest(&registry, ""));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    put(&registry, &BOTH, |manifest| manifest["annotations"] = json!({ "new": "yes" }));
    let same = lock(&context, &project, &Upgrade::Nothing).unwrap();
    assert_eq!(same, first);
    let moved = lock(&context, &project, &Upgrade::Only(vec!["node".into()])).unwrap();
    assert_ne!(moved.base, first.base);
    let changes = diff::changes(Some(&first), &moved);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].component, "base/node");
}

#[test]
fn bases_that_are_not_what_they_promise_are_refused() {
    let refused = |change: &dyn Fn(&mut Value), arches: &[&str]| {
        let (world, registry) = (World::new(), registry(arches, change));
        let context = world.online();
        told(&lock(&context, &world.project(&manifest(&registry, "")), &Upgrade::Nothing).unwrap_err())
    };
    let error = refused(&|_| (), &["amd64"]);
    assert!(error.contains("has no linux/arm64; it has linux/amd64"), "{error}");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let error = refused(&|manifest| manifest["layers"][1]["mediaType"] = json!(foreign), &BOTH);
    assert!(error.contains(foreign), "{error}");
    let error = refused(
        &|manifest| {
            manifest["layers"].as_array_mut().unwrap().pop();
        },
        &BOTH,
    );
    assert!(error.contains("1 layers and its configuration 2"), "{error}");
    // The second layer is another whole one, so that only its diff_id is wrong.
    let error = refused(&|manifest| manifest["layers"][1] = manifest["layers"][0].clone(), &BOTH);
    assert!(
        error.contains("layer 2 of the base node") && error.contains("its configuration promises"),
        "{error}"
    );
    let error = refused(&|manifest| manifest["layers"][0]["size"] = json!(3), &BOTH);
    assert!(error.contains("bytes come instead of 3"), "{error}");
    let error = refused(&|manifest| manifest["schemaVersion"] = json!(1), &BOTH);
    assert!(error.contains("schema"), "{error}");
}

#[test]
fn two_that_claim_one_path_of_the_base_are_told() {
    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let project = world.project(&manifest(&registry, "[[file]]\npath = '/opt/a'\ncontent = 'mine'\n"));
    let error = lock(&world.online(), &project, &Upgrade::Nothing).unwrap_err();
    assert!(told(&error).contains("`/opt/a`") && told(&error).contains("base/node"), "{}", told(&error));
    assert!(BuildError::from(error).hint().unwrap().contains("replace = true"));
}

#[test]
fn a_base_may_be_a_layout_or_an_archive_and_another_image_of_ours() {
    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let context = world.online();
    let project = world.project(&manifest(&registry, "[[file]]\npath = '/opt/c'\ncontent = 'c'\n"));
    lock(&context, &project, &Upgrade::Nothing).unwrap();
    let below = build::build(&context, &agreed(&context, &project), &options()).unwrap();
    let folder = world.folder();
    for (place, platforms) in [
        ("oci:layout:1", "'linux/amd64', 'linux/arm64'"),
        ("oci-archive:image.tar", "'linux/amd64', 'linux/arm64'"),
        ("docker-archive:docker.tar", "'linux/amd64'"),
    ] {
        let mut location: pinfold_image::Location = place.parse().unwrap();
        location.path = folder.join(location.path);
        let one = || Selection::One("linux/amd64".parse().unwrap());
        let selection = if platforms.contains("arm64") { Selection::All } else { one() };
        if place.starts_with("docker") {
            location.tag = Some("team/x:1".into());
        }
        export::export(&below.source, selection, &location, None, &Silent).unwrap();
        let text = format!(
            "name = 'y'\nplatforms = [{platforms}]\n[base]\nimage = '{place}'\n[[file]]\npath = '/opt/d'\ncontent = 'd'\n"
        );
        let machine = world.context(&place.replace(':', "-"), Network::Offline);
        let project = world.project(&text);
        lock(&machine, &project, &Upgrade::Nothing).unwrap();
        let outcome = build::build(&machine, &agreed(&machine, &project), &options()).unwrap();
        let (image, _) = image(&outcome.source, "linux/amd64");
        let read = contents::read(&outcome.source, &image, &|_| true, &Silent).unwrap();
        for (name, text) in [("opt/a", "a"), ("opt/c", "c"), ("opt/d", "d")] {
            assert_eq!(read.kept[&ImagePath::new(name).unwrap()], text.as_bytes(), "{place}");
        }
        assert_eq!(pinfold_image::verify::verify(&outcome.source, &Silent).unwrap().findings, []);
    }
}

#[test]
fn a_base_needs_the_users_word_and_its_name_is_looked_at() {
    let world = World::new();
    let project = world.project("name = 'x'\n[base]\nimage = 'registry.example/team/node:22'\n");
    assert_eq!(
        BaseImage.trusts(&project, &Environment::default()),
        [Trust::Base("registry.example/team/node:22".into())]
    );
    assert!(consent::agree(&world.online(), project).is_err());
    let message = |image: &str| {
        let text = format!("name = 'x'\n[base]\nimage = '{image}'\n");
        let directory = std::path::Path::new("/");
        crate::project::manifest::Manifest::parse(&text, std::path::Path::new("m"), directory)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert!(message("oci:").unwrap_err().contains("path is missing"));
    assert!(message("registry.example/Team").is_err());
    for image in [
        "registry.example/node@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "oci:d",
        "node:22",
    ] {
        assert_eq!(message(image), Ok(()));
    }
}

#[test]
fn an_error_of_locking_names_the_image() {
    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let text = manifest(&registry, "").replace(":22'", ":23'");
    let error = lock(&world.online(), &world.project(&text), &Upgrade::Nothing).unwrap_err();
    assert!(matches!(error, ResolveError::Source(_)));
    assert!(
        told(&error).contains("there is no image") && told(&error).contains("team/node:23"),
        "{}",
        told(&error)
    );
    let offline = world.context("off", Network::Offline);
    let error = lock(&offline, &world.project(&manifest(&registry, "")), &Upgrade::Nothing).unwrap_err();
    assert_eq!(error.kind(), pinfold_base::Kind::Network);
}

#[test]
fn a_base_is_let_in_by_the_users_rules_before_anything_of_it_is_unpacked() {
    use pinfold_image::sign::Bundle;
    use pinfold_image::sign::SecretKey;
    use pinfold_image::sign::Signer as _;
    use pinfold_image::sign::Statement;

    use crate::ship::proofs::Kept;

    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let (first, project) = (world.online(), world.project(&manifest(&registry, "")));
    let locked = lock(&first, &project, &Upgrade::Nothing).unwrap();
    locked.save(&project.lock_file).unwrap();
    let project = world.project(&manifest(&registry, ""));
    build::build(&first, &agreed(&first, &project), &options()).unwrap();
    assert!(build::build(&first, &agreed(&first, &project), &options()).unwrap().unchanged);
    let key = SecretKey::generate().unwrap();
    let folder = world.dir.path().join("home/config");
    fs_err::create_dir_all(&folder).unwrap();
    let rules = format!("[[trust]]\nimages = '*'\nkeys = ['''{}''']\n", key.public().to_pem());
    fs_err::write(folder.join("config.toml"), rules).unwrap();
    // Neither a lock that was there before, nor what was built of it, nor a new one gets round it.
    let ruled = world.context("home", Network::Offline);
    let error = build::build(&ruled, &agreed(&ruled, &project), &options()).unwrap_err();
    assert_eq!(error.kind(), pinfold_base::Kind::Refused);
    assert!(told(&error).contains("is refused by the rule for `*`"), "{}", told(&error));
    let ruled = world.online();
    let error = lock(&ruled, &project, &Upgrade::All).unwrap_err();
    assert!(told(&error).contains("is refused by the rule for `*`"), "{}", told(&error));
    // The proof of another image is none; that of the index is.
    let root = &locked.base.as_ref().unwrap().root.digest;
    for (of, fits) in [(Digest::sha256(b"other"), false), (root.clone(), true)] {
        let bundle = Bundle::make(&Statement::signature(of), &key).unwrap();
        Kept::of(&ruled).keep(root, &[bundle.to_bytes().to_vec()]).unwrap();
        let ruled = world.context("home", Network::Offline);
        assert_eq!(build::build(&ruled, &agreed(&ruled, &project), &options()).is_ok(), fits);
    }
    // What was let in is the index, and the lock may not put other parts in.
    let mut other = locked;
    for image in other.base.as_mut().unwrap().platforms.values_mut() {
        image.layers.pop();
    }
    other.save(&project.lock_file).unwrap();
    let ruled = world.context("home", Network::Offline);
    let project = world.project(&manifest(&registry, ""));
    let error = build::build(&ruled, &agreed(&ruled, &project), &options()).unwrap_err();
    assert!(told(&error).contains("other parts of the base"), "{}", told(&error));
}

/// A context whose machine says so of registries.
fn told_of_registries(world: &World, text: &str) -> crate::context::Context {
    let file = world.dir.path().join("registries.conf");
    fs_err::write(&file, text).unwrap();
    let mut context = world.online();
    let variable = ("CONTAINERS_REGISTRIES_CONF".into(), file.into_os_string());
    context.environment = std::iter::once::<(std::ffi::OsString, std::ffi::OsString)>(variable).collect();
    context
}

#[test]
fn a_name_without_a_registry_means_what_the_machine_says() {
    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let project = world.project("name = 'x'\n[base]\nimage = 'team/node:22'\n");
    let nobody = told_of_registries(&world, "");
    let error = lock(&nobody, &project, &Upgrade::Nothing).unwrap_err();
    assert!(told(&error).contains("`team/node:22` names no registry"), "{}", told(&error));
    for text in [
        format!("[aliases]\n\"team/node\" = '{}/team/node'\n", registry.host()),
        format!("unqualified-search-registries = ['{}']\n", registry.host()),
    ] {
        let context = told_of_registries(&world, &text);
        let locked = lock(&context, &project, &Upgrade::All).unwrap();
        assert_eq!(locked.base.as_ref().unwrap().name, "node");
        locked.save(&project.lock_file).unwrap();
        let project = world.project("name = 'x'\n[base]\nimage = 'team/node:22'\n");
        build::build(&context, &agreed(&context, &project), &options()).unwrap();
    }
}

#[test]
fn a_mirror_of_a_base_need_not_have_what_is_attached_to_it() {
    use pinfold_image::registry::Remote;
    use pinfold_image::registry::attach;
    use pinfold_image::sign::Bundle;
    use pinfold_image::sign::MEDIA_TYPE;
    use pinfold_image::sign::SecretKey;
    use pinfold_image::sign::Signer as _;
    use pinfold_image::sign::Statement;

    use crate::ship::connect;

    let (world, own, mirror) = (World::new(), registry(&BOTH, |_| ()), registry(&BOTH, |_| ()));
    let text = format!(
        "[[registry]]\nprefix = '{0}'\n[[registry.mirror]]\nlocation = '{1}'\n",
        own.host(),
        mirror.host()
    );
    let project = world.project(&manifest(&own, ""));
    let key = SecretKey::generate().unwrap();
    let folder = world.dir.path().join("home/config");
    fs_err::create_dir_all(&folder).unwrap();
    let rules = format!("[[trust]]\nimages = '*'\nkeys = ['''{}''']\n", key.public().to_pem());
    fs_err::write(folder.join("config.toml"), rules).unwrap();
    let ruled = told_of_registries(&world, &text);
    // Nobody has a signature of it yet.
    let error = lock(&ruled, &project, &Upgrade::Nothing).unwrap_err();
    assert!(told(&error).contains("is refused by the rule for `*`"), "{}", told(&error));
    let remote = Remote::of(&format!("{}/team/node:22", own.host()).parse().unwrap()).unwrap();
    let client = connect::writing(&ruled, &remote).unwrap();
    let root = client.head_manifest(&remote.which).unwrap().unwrap();
    let bundle = Bundle::make(&Statement::signature(root.digest.clone()), &key).unwrap();
    let artifact = attach::Artifact {
        artifact_type: MEDIA_TYPE.into(),
        media_type: MEDIA_TYPE.into(),
        bytes: bundle.to_bytes().to_vec(),
        annotations: BTreeMap::new(),
    };
    attach::attach(&client, &root, &artifact).unwrap();
    let locked = lock(&ruled, &project, &Upgrade::Nothing).unwrap();
    assert!(locked.base.is_some());
    let asked = mirror.requests();
    assert!(asked.iter().any(|request| request.path.contains("/manifests/22")), "the mirror was asked first");
}

#[test]
fn a_push_to_the_registry_of_the_base_mounts_its_layers() {
    use crate::ship::push;

    let (world, registry) = (World::new(), registry(&BOTH, |_| ()));
    let context = world.online();
    let project = world.project(&manifest(&registry, ""));
    lock(&context, &project, &Upgrade::Nothing).unwrap();
    let outcome = build::build(&context, &agreed(&context, &project), &options()).unwrap();
    let source = outcome.source;
    let destination =
        push::Destination::of(format!("{}/team/mine:1", registry.host()).parse().unwrap()).unwrap();
    push::push(&context, &source, &destination, &push::Options::default()).unwrap();
    let asked: Vec<String> =
        registry.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect();
    for tar in layers("amd64") {
        let digest = Digest::sha256(&gzip(&tar));
        let mount = |line: &&String| line.contains("from=team%2Fnode") || line.contains("from=team/node");
        let hex = digest.hex();
        assert!(
            asked.iter().filter(mount).any(|line| line.starts_with("POST") && line.contains(&hex)),
            "{asked:?}"
        );
        assert!(
            !asked.iter().any(|line| line.starts_with("PUT") && line.contains(&hex)),
            "no byte of it is sent"
        );
    }
}
