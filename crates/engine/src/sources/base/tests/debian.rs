//! Debian packages on a base: what is there is not added again, what is added is resolved against it, and the databases are one.

use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive as Served;
use pinfold_testkit::debian::Deb;
use pinfold_testkit::debian::Suite;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;

use super::*;

const STATUS: &str = "Package: libgreet\nStatus: install ok installed\nPriority: optional\nMaintainer: x\nArchitecture: amd64\n\
                      Multi-Arch: same\nVersion: 1\nDescription: there\n more of it\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 9\n\n\
                      Package: watcher\nStatus: install ok installed\nMaintainer: x\nArchitecture: all\nVersion: 1\nDescription: w\n\n";
const POSTINST: &str =
    "#!/bin/sh\nset -e\nif [ \"$1\" = triggered ]; then echo \"$2\" >> /var/lib/woken; fi\n";

fn base() -> RawTar {
    let tar =
        RawTar::new().dir("etc/").file("etc/passwd", PASSWD).file("etc/group", "root:x:0:\nnode:x:1000:\n");
    let tar = tar
        .file("etc/os-release", "ID=debian\nVERSION_CODENAME=sample\n")
        .dir("usr/")
        .dir("usr/bin/")
        .dir("usr/lib/");
    let tar =
        tar.symlink("bin", "usr/bin").symlink("lib", "usr/lib").symlink("sbin", "usr/sbin").dir("usr/sbin/");
    let tar = tar.dir("var/").dir("var/lib/").dir("var/lib/dpkg/").file("var/lib/dpkg/status", STATUS);
    let tar = tar
        .dir("var/lib/dpkg/alternatives/")
        .file("var/lib/dpkg/alternatives/greeter", "auto\n/usr/bin/greeter\n\n/usr/bin/old-greet\n5\n\n");
    let tar = tar.symlink("usr/bin/greeter", "/etc/alternatives/greeter").file("usr/bin/old-greet", "old");
    let tar = tar.dir("etc/alternatives/").symlink("etc/alternatives/greeter", "/usr/bin/old-greet");
    let tar = tar
        .dir("var/lib/dpkg/info/")
        .file("var/lib/dpkg/info/libgreet:amd64.list", "/.\n/usr\n/usr/lib\n/usr/lib/libgreet.so\n");
    let tar = tar
        .file("var/lib/dpkg/info/watcher.list", "/.\n/usr/share\n")
        .file("var/lib/dpkg/info/watcher.postinst", POSTINST);
    let tar = tar.file("var/lib/dpkg/info/watcher.triggers", "interest-noawait /usr/share/greet\n");
    tar.dir("var/lib/dpkg/triggers/")
        .file("var/lib/dpkg/triggers/File", "/usr/share/greet watcher/noawait\n")
        .file("usr/lib/libgreet.so", "lib")
}

struct Scene {
    world: World,
    registry: Registry,
    archive: Served,
}

fn scene() -> Scene {
    let registry = Registry::start(Quirks::default());
    let tar = base().end();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
        "rootfs": { "type": "layers", "diff_ids": [Digest::sha256(&tar).to_string()] },
        "history": [{ "created_by": "ADD rootfs" }],
    });
    let config = serde_json::to_vec(&config).unwrap();
    let described = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::sha256(bytes), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": described(media::OCI_CONFIG, &config),
        "layers": [described(media::OCI_LAYER, &tar)],
    });
    registry.with(|kept| {
        kept.put_blob("team/node", &tar);
        kept.put_blob("team/node", &config);
        kept.put_manifest(
            "team/node",
            Some("22"),
            media::OCI_MANIFEST,
            &serde_json::to_vec(&manifest).unwrap(),
        );
    });
    let key = TestKey::new(&Shape::default());
    let script =
        "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/greeter greeter /usr/bin/greet 10\n";
    let greet = Deb::new("greet", "1", "amd64").field("Depends", "libgreet (>= 1), helper");
    let greet = greet
        .file("usr/bin/greet", 0o755, b"greet")
        .file("usr/share/greet/data", 0o644, b"d")
        .script("postinst", script);
    let suite = Suite::new("sample")
        .deb(greet)
        .deb(Deb::new("helper", "1", "amd64").file("usr/bin/helper", 0o755, b"helper"))
        .deb(Deb::new("libgreet", "2", "amd64").file("usr/lib/libgreet.so", 0o644, b"two"))
        .deb(Deb::new("modern", "1", "amd64").field("Depends", "libgreet (>= 2)"))
        .deb(Deb::new("rival", "1", "amd64").field("Conflicts", "libgreet"));
    let other = Suite::new("other").deb(Deb::new("greet", "9", "amd64"));
    let archive = Served::start(debian::publish(&[suite, other], &key));
    let world = World::new();
    world.write("key.asc", &key.armoured());
    Scene { world, registry, archive }
}

impl Scene {
    fn project(&self, suite: &str, packages: &str) -> Project {
        self.world.project(&format!(
            "name = 'x'\nplatforms = ['linux/amd64']\n[base]\nimage = '{}/team/node:22'\n{USER}[debian]\nsuites = ['{suite}']\n\
             packages = [{packages}]\nmirror = '{}'\nkeyring = 'key.asc'\n",
            self.registry.host(),
            self.archive.url,
        ))
    }
}

#[test]
fn packages_of_the_base_satisfy_those_that_are_added_and_stay_as_they_are() {
    let scene = scene();
    let context = scene.world.online();
    let project = scene.project("sample", "'greet', 'libgreet'");
    let locked = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let platform = Platform::ALL[0];
    let names: Vec<&str> =
        locked.debian.as_ref().unwrap().packages[&platform].iter().map(|deb| deb.name.as_str()).collect();
    assert_eq!(names, ["greet", "helper"], "no base of Debian, and nothing twice");
    let outcome = build::build(&context, &agreed(&context, &project), &options()).unwrap();
    let (image, _) = image(&outcome.source, "linux/amd64");
    let read = contents::read(&outcome.source, &image, &|_| true, &Silent).unwrap();
    let path = |name: &str| ImagePath::new(name).unwrap();
    let text = |name: &str| String::from_utf8_lossy(&read.kept[&path(name)]).into_owned();
    let status = text("var/lib/dpkg/status");
    let there: Vec<&str> = status.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    assert_eq!(there, ["greet", "helper", "libgreet", "watcher"]);
    assert!(status.contains("Version: 1\nDescription: there\n more of it\n\nPackage: watcher\n"), "{status}");
    assert_eq!(text("var/lib/dpkg/info/greet.list").lines().last(), Some("/usr/share/greet/data"));
    assert_eq!(read.paths[&path("var/lib/dpkg/info/watcher.list")].layer, 0);
    // A package of the base is woken by files that come, and update-alternatives knows what was chosen before.
    assert_eq!(text("var/lib/woken"), "/usr/share/greet\n");
    assert_eq!(text("var/lib/dpkg/triggers/File"), "/usr/share/greet watcher/noawait\n");
    let contents::What::Link(target) = &read.paths[&path("etc/alternatives/greeter")].what else { panic!() };
    assert_eq!(&target[..], b"/usr/bin/greet");
    assert!(text("var/lib/dpkg/alternatives/greeter").contains("/usr/bin/old-greet\n5\n"));
    assert_eq!(text("usr/lib/libgreet.so"), "lib");
    assert_eq!(text("etc/passwd").lines().last(), Some("iteron:x:1000:1000::/home/iteron:/bin/sh"));
    assert!(text("var/lib/apt/extended_states").contains("Package: helper\n"));
    assert_eq!(pinfold_image::verify::verify(&outcome.source, &Silent).unwrap().findings, []);
}

#[test]
fn what_would_change_a_package_of_the_base_is_refused_and_so_is_another_release() {
    let scene = scene();
    let context = scene.world.online();
    let refused = |suite: &str, packages: &str| {
        let error = lock(&context, &scene.project(suite, packages), &Upgrade::Nothing).unwrap_err();
        assert_eq!(error.kind(), pinfold_base::Kind::Usage);
        let hint = BuildError::from(error);
        format!("{} / {}", told(&hint), hint.hint().unwrap_or_default())
    };
    let error = refused("sample", "'modern'");
    assert!(error.contains("libgreet (>= 2)"), "{error}");
    let error = refused("sample", "'rival'");
    assert!(error.contains("Conflicts"), "{error}");
    let error = refused("sample", "'libgreet=2'");
    assert!(error.contains("the base has `libgreet` 1, and 2 is asked for"), "{error}");
    let error = refused("other", "'greet'");
    assert!(error.contains("`sample`") && error.contains("suite = \"sample\""), "{error}");
}
