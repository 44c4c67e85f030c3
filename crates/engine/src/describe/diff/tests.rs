use std::path::Path;

use pinfold_base::Arch;
use pinfold_sources::debian::place::ScriptClass;

use super::files::Aspect;
use super::files::bits;
use super::files::counted;
use super::files::files;
use super::image::Paths;
use super::image::PlatformDifference;
use super::image::sides;
use super::lock::locks;
use super::*;
use crate::describe::Origins;
use crate::describe::side::File;
use crate::describe::side::Side;
use crate::describe::tests::STATUS;
use crate::describe::tests::described;
use crate::describe::tests::summary;
use crate::project::lock::Lock;
use crate::run::LABEL;

const AMD64: Platform = Platform { arch: Arch::Amd64 };
const ARM64: Platform = Platform { arch: Arch::Arm64 };

fn file(path: &str, mode: &str, text: &str) -> File {
    File {
        path: path.into(),
        mode: mode.into(),
        uid: 0,
        gid: 0,
        size: text.len() as u64,
        target: mode.starts_with('l').then(|| text.to_owned()),
        digest: mode.starts_with('-').then(|| Digest::sha256(text.as_bytes())),
        capabilities: None,
        component: Some("debian/x".into()),
        layer: 1,
    }
}

#[test]
fn each_way_to_differ_is_named_and_nothing_else() {
    let base = file("/a", "-rw-r--r--", "one");
    let cases: [(File, &[Aspect]); 10] = [
        (base.clone(), &[]),
        (File { layer: 3, component: None, ..base.clone() }, &[]),
        (file("/a", "-rw-r--r--", "two"), &[Aspect::Content]),
        (file("/a", "-rwxr-xr-x", "one"), &[Aspect::Mode]),
        (File { uid: 7, ..base.clone() }, &[Aspect::Owner]),
        (File { gid: 7, mode: "-rwxr-xr-x".into(), ..base.clone() }, &[Aspect::Mode, Aspect::Owner]),
        (File { capabilities: Some("0x01".into()), ..base.clone() }, &[Aspect::Capabilities]),
        (File { uid: 7, ..file("/a", "lrwxrwxrwx", "one") }, &[Aspect::Type, Aspect::Owner]),
        (file("/a", "lrwxrwxrwx", "one"), &[Aspect::Type]),
        (file("/a", "drwxr-xr-x", ""), &[Aspect::Type]),
    ];
    for (other, expected) in cases {
        let found = files(std::slice::from_ref(&base), std::slice::from_ref(&other));
        let aspects: Vec<Aspect> = found.iter().flat_map(|change| change.differs.clone()).collect();
        assert_eq!((aspects.as_slice(), found.is_empty()), (expected, expected.is_empty()), "{other:?}");
    }
    let links = |mode, target| files(&[file("/l", "lrwxrwxrwx", "x")], &[file("/l", mode, target)]);
    assert_eq!(links("lrwxr-xr-x", "x"), [], "the bits of a link mean nothing");
    assert_eq!(links("lrwxrwxrwx", "y")[0].differs, [Aspect::Target]);
}

/// The numbers are those that `stat -c %a` of GNU coreutils 9.1 prints after `chmod`.
#[test]
fn what_gives_rights_is_told_with_what_it_was_and_is() {
    let base = file("/a", "-rw-r--r--", "one");
    let with = |mode: &str| file("/a", mode, "one");
    let raw = File { capabilities: Some("0x0100000200200000".into()), ..base.clone() };
    let cases: [(Option<File>, Option<File>, &str, bool); 14] = [
        (Some(base.clone()), Some(with("-rwsr-xr-x")), "mode 0644 → 4755", true),
        (Some(with("-rwxr-Sr-x")), Some(with("-rwxr--r-x")), "mode 2745 → 0745", true),
        (Some(with("-rwsr-xr-x")), Some(with("-rwsr-xr--")), "mode 4755 → 4754", false),
        (Some(base.clone()), Some(with("-rwxr-xr-x")), "mode 0644 → 0755", false),
        (Some(with("drwxrwxrwt")), Some(with("drwxrwxrwx")), "mode 1777 → 0777", false),
        (Some(base.clone()), Some(with("-rw-r----T")), "mode 0644 → 1640", false),
        (Some(base.clone()), Some(File { uid: 7, ..base.clone() }), "owner 0:0 → 7:0", true),
        (Some(base.clone()), Some(raw.clone()), "capabilities none → 0x0100000200200000", true),
        (Some(with("lrwsrwxrwx")), Some(with("-rwsr-xr-x")), "type lrwsrwxrwx → -rwsr-xr-x", true),
        (Some(base.clone()), Some(file("/a", "-rw-r--r--", "two")), "content", false),
        (None, Some(with("-rwSr--r--")), "added with mode 4644", true),
        (None, Some(File { uid: 7, ..base.clone() }), "added", false),
        (Some(raw), None, "removed, capabilities 0x0100000200200000", true),
        (Some(with("lrwsrwxrwx")), None, "removed", false),
    ];
    for (from, to, told, of_rights) in cases {
        let found = files(from.as_slice(), to.as_slice());
        assert_eq!((found[0].told().as_str(), found[0].is_of_rights()), (told, of_rights));
    }
    assert_eq!(bits(&with("-rwsrwsrwt")), 0o7777);
}

#[test]
fn paths_are_counted_by_component() {
    let other = |name: &str| File { component: None, ..file(name, "-rw-r--r--", "x") };
    let from = [file("/a", "-rw-r--r--", "1"), file("/b", "-rw-r--r--", "1"), other("/c")];
    let to = [file("/a", "-rw-r--r--", "2"), file("/d", "-rw-r--r--", "1"), file("/e", "-rw-r--r--", "1")];
    let changes = files(&from, &to);
    let told: Vec<_> =
        counted(&changes).into_iter().map(|of| (of.component, of.added, of.removed, of.changed)).collect();
    assert_eq!(told, [(None, 0, 1, 0), (Some("debian/x".into()), 2, 1, 1)]);
    let back = files(&to, &from);
    let swapped = |change: &files::FileChange| (change.path.clone(), change.to.clone(), change.from.clone());
    assert_eq!(
        back.iter().map(swapped).collect::<Vec<_>>(),
        changes.iter().map(|one| (one.path.clone(), one.from.clone(), one.to.clone())).collect::<Vec<_>>()
    );
}

/// An image with one Debian layer and one of ours.
fn side(status: &str, text: &str, label: &str) -> Side {
    let mut summary = summary(&[&["debian/curl"], &["generated/files"]]);
    summary.layers[0].created_by = "pinfold: debian/curl".into();
    summary.layers[1].created_by = "pinfold: generated".into();
    summary.layers[1].digest = Digest::sha256(text.as_bytes());
    summary.layers[1].size = text.len() as u64;
    summary.runtime.labels.insert(LABEL.into(), label.into());
    summary.runtime.env = vec!["PATH=/bin".into(), format!("TEXT={text}")];
    let files = [
        (0, "var/lib/dpkg/status", status),
        (0, "var/lib/dpkg/info/curl.list", "/usr/bin/curl\n"),
        (0, "usr/bin/curl", "a program"),
        (1, "text", text),
    ];
    let description = described(&files, &[&["debian/curl"], &["generated/files"]], &Origins::default());
    Side::of(summary, description)
}

/// Two secrets differ, which is told, and neither is.
#[test]
fn secrets_that_differ_are_not_told() {
    let secret = |last: char| format!("postgres://me:s3cr3tW0rd{last}@db.example/x");
    let (before, after) = (side(STATUS, &secret('1'), "{}"), side(STATUS, &secret('2'), "{}"));
    let found = sides(&before, &after, Paths::Counted);
    let hidden = Some("<an address with a password>".to_owned());
    assert_eq!(found.configuration.len(), 1);
    assert_eq!(found.configuration[0].key, "env TEXT");
    assert_eq!(found.configuration[0].values, Pair { from: hidden.clone(), to: hidden });
    assert!(!serde_json::to_string(&found).unwrap().contains("s3cr3t"));
}

#[test]
fn images_differ_in_what_was_changed() {
    let before = side(STATUS, "one", r#"{"network":"proxy","pids":100}"#);
    let same = sides(&before, &before, Paths::Listed);
    let PlatformDifference { packages, configuration, contract, files, sizes, .. } = &same;
    assert!(packages.is_empty() && configuration.is_empty() && contract.is_empty());
    assert!(files.components.is_empty() && files.paths.is_empty());
    assert!(sizes.components.is_empty() && sizes.layers.is_empty());

    let status = STATUS.replace("1:7.88.1-10\nPre-Depends", "1:7.88.1-11\nPre-Depends");
    let after = side(&status, "three", r#"{"network":"none","pids":100}"#);
    let found = sides(&before, &after, Paths::Listed);
    let package = &found.packages[..];
    assert_eq!(package.len(), 1, "{package:?}");
    assert_eq!(
        (package[0].component.as_str(), package[0].from.as_deref(), package[0].to.as_deref()),
        ("debian/curl", Some("1:7.88.1-10"), Some("1:7.88.1-11"))
    );
    let told = |settings: &[Setting]| -> Vec<String> {
        let each =
            settings.iter().map(|one| (&one.key, one.values.from.as_deref(), one.values.to.as_deref()));
        each.map(|(key, from, to)| format!("{key} {from:?} {to:?}")).collect()
    };
    assert_eq!(told(&found.configuration), [r#"env TEXT Some("one") Some("three")"#]);
    assert_eq!(told(&found.contract), [r#"network Some("\"proxy\"") Some("\"none\"")"#]);
    let paths: Vec<&str> = found.files.paths.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/text", "/var/lib/dpkg/status"]);
    assert_eq!(found.files.paths[0].component.as_deref(), Some("generated/files"));
    let layers: Vec<&str> = found.sizes.layers.iter().map(|layer| layer.created_by.as_str()).collect();
    assert_eq!(layers, ["pinfold: generated"]);
    let weights: Vec<_> =
        found.sizes.components.iter().map(|one| (one.component.as_str(), one.unpacked.clone())).collect();
    assert_eq!(weights, [("generated/files", Pair { from: Some(3), to: Some(5) })]);
}

fn entry(package: &str, what: &[&str]) -> LedgerEntry {
    let text = serde_json::json!({
        "package": package, "script": "postinst", "sha256": Digest::sha256(package.as_bytes()), "class": ScriptClass::Evaluated, "what": what,
    });
    serde_json::from_value(text).unwrap()
}

#[test]
fn effects_of_scripts_are_compared_line_by_line() {
    let from = [entry("a", &["link /x -> y", "mode /z 0755"]), entry("b", &["same"])];
    let to = [entry("a", &["mode /z 0755", "owner /z 1:1"]), entry("b", &["same"]), entry("c", &["new"])];
    let found = scripts(Some(&from), Some(&to));
    let told: Vec<_> = found
        .iter()
        .map(|one| {
            (one.package.as_str(), one.no_longer.join(";"), one.now.join(";"), one.sha256.from.is_some())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("a", "link /x -> y".into(), "owner /z 1:1".into(), true),
            ("c", String::new(), "new".into(), false)
        ]
    );
    assert!(scripts(Some(&from), Some(&from)).is_empty());
    assert!(scripts(None, Some(&to)).is_empty(), "a run's lock has no ledger, which is no difference");
}

const NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn lock(version: &str, epoch: u64, arm64: &str) -> Lock {
    let deb = |version: &str, arch: &str| {
        format!(
            r#"{{ name = "apt", version = "{version}", arch = "{arch}", source = "apt", sha256 = "{NOTHING}", size = 7, path = "pool/a.deb", suite = "bookworm", manual = false }}"#
        )
    };
    let text = format!(
        r#"version = 1
compat = 6
epoch = {epoch}
layers = [{{ name = "system", components = ["debian/apt"] }}]
[encoders]
gzip = "gzip-6"
[request]
agents = "0123456789abcdef"
[debian]
suites = [{{ name = "bookworm", codename = "bookworm", archive = "debian", inrelease = "{NOTHING}", date = 1700000000 }}]
[debian.packages]
"linux/amd64" = [{}]
"linux/arm64" = [{}]
"#,
        deb(version, "amd64"),
        deb(arm64, "arm64")
    );
    Lock::parse(&text, Path::new("pinfold.lock")).unwrap()
}

#[test]
fn what_locks_have_in_common_is_told_once() {
    let old = lock("1", 1_700_000_000, "1");
    assert!(locks(&old, &old.clone(), None).is_empty());
    let found = locks(&old, &lock("2", 1_700_000_000, "2"), None);
    assert_eq!(found.platforms.len(), 1);
    assert_eq!(found.platforms[0].platforms, [AMD64, ARM64]);
    assert_eq!(found.platforms[0].of.packages[0].to.as_deref(), Some("2"));
    let found = locks(&old, &lock("2", 1_700_000_001, "3"), None);
    let each: Vec<_> = found.platforms.iter().map(|one| one.platforms.clone()).collect();
    assert_eq!(each, [[AMD64], [ARM64]], "other versions are told apart");
    assert_eq!(found.rules[0].key, "epoch");
    let alone = locks(&old, &lock("1", 1_700_000_000, "3"), Some(AMD64));
    assert!(alone.is_empty(), "what was not asked about is no difference: {alone:?}");
    // A platform that is gone is one line, and not one for each of its packages.
    let mut amd64 = lock("2", 1_700_000_000, "2");
    amd64.debian.as_mut().unwrap().packages.remove(&ARM64);
    let found = locks(&old, &amd64, None);
    assert_eq!((&found.removed[..], &found.added[..]), (&[ARM64][..], &[][..]));
    assert_eq!(found.platforms.len(), 1);
    assert_eq!(found.platforms[0].platforms, [AMD64]);
    assert_eq!(locks(&amd64, &old, None).added, [ARM64]);
    // What has no words is a difference all the same.
    let mut manual = old.clone();
    manual.debian.as_mut().unwrap().packages.get_mut(&AMD64).unwrap()[0].manual = true;
    let found = locks(&old, &manual, None);
    assert!(found.further && !found.is_empty());
}
