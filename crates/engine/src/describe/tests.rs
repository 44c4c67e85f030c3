use std::sync::Arc;

use pinfold_base::Arch;
use pinfold_base::Platform;
use pinfold_image::contents::Found;
use pinfold_image::model::RuntimeSection;
use pinfold_image::survey::Facts;
use pinfold_image::survey::Summed;

use super::*;

const AMD64: Platform = Platform { arch: Arch::Amd64 };

pub(super) const STATUS: &str = "\
Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <glibc@example.org>
Architecture: amd64
Multi-Arch: same
Source: glibc (2.36-9)
Version: 2.36-9+b1
Provides: libc-any
Description: GNU C Library
 Longer.

Package: curl
Status: install ok installed
Architecture: amd64
Version: 1:7.88.1-10
Pre-Depends: missing | libc6 (>= 2.34)
Depends: libc-any, curl-doc

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: curl-doc
Status: install ok half-configured
Architecture: all
Source: curl
Version: 1:7.88.1-10
";

const LIST: &str = "/usr/bin/curl\n/usr/share/doc/curl/copyright\n";
const COPYRIGHT: &str =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: curl\n";

/// Files of layers: a text that begins with `->` is a link.
pub(super) fn contents(files: &[(usize, &str, &str)]) -> Contents {
    let mut contents = Contents::default();
    for (layer, path, text) in files {
        let path = ImagePath::new(path).unwrap();
        let what = match text.strip_prefix("->") {
            Some(target) => What::Link(target.as_bytes().into()),
            None => What::File(Arc::new(Facts {
                sum: Some(Summed::Sha256(Digest::sha256(text.as_bytes()))),
                ..Facts::default()
            })),
        };
        if matches!(what, What::File(_)) && is_read(&path) {
            contents.kept.insert(path.clone(), text.as_bytes().to_vec());
        }
        let size = if matches!(what, What::File(_)) { text.len() as u64 } else { 0 };
        contents.paths.insert(path, Found { layer: *layer, what, mode: 0o644, uid: 0, gid: 0, size });
    }
    contents
}

/// What documents say of an image with these components in its layers.
pub(super) fn summary(layers: &[&[&str]]) -> PlatformSummary {
    let layer = |(number, components): (usize, &&[&str])| LayerSummary {
        digest: Digest::sha256(format!("blob {number}").as_bytes()),
        diff_id: diff_id(number),
        encoding: "tar",
        size: 1,
        uncompressed: None,
        reused: 0,
        encoder: None,
        components: components.iter().map(|name| (*name).to_owned()).collect(),
        created_by: String::new(),
    };
    PlatformSummary {
        platform: AMD64,
        manifest: Digest::sha256(b"manifest"),
        config: Digest::sha256(b"config"),
        created: None,
        size: 1,
        uncompressed: None,
        layers: layers.iter().enumerate().map(layer).collect(),
        runtime: RuntimeSection::default(),
    }
}

fn diff_id(number: usize) -> Digest {
    Digest::sha256(format!("layer {number}").as_bytes())
}

pub(super) fn described(files: &[(usize, &str, &str)], layers: &[&[&str]], origins: &Origins) -> Description {
    let summary = summary(layers);
    Described::of(contents(files), &summary, None, origins).done("image", &summary)
}

fn purls(of: &Description) -> Vec<&str> {
    of.packages.iter().map(|package| package.purl.as_str()).collect()
}

fn owner<'a>(of: &'a Description, path: &str) -> Option<&'a str> {
    of.package_of(&ImagePath::new(path).unwrap()).map(|package| package.name.as_str())
}

fn component<'a>(of: &'a Description, path: &str) -> Option<&'a str> {
    of.component_of(&ImagePath::new(path).unwrap())
}

#[test]
fn packages_of_debian_are_those_of_dpkg() {
    let found = described(
        &[
            (0, "etc/os-release", "->../usr/lib/os-release"),
            (0, "usr/lib/os-release", "PRETTY_NAME=\"Debian 12\"\nID=debian\nVERSION_ID=\"12\"\n"),
            (0, "var/lib/dpkg/status", STATUS),
            (0, "var/lib/dpkg/info/libc6:amd64.list", "/.\n/lib\n/lib/x86_64-linux-gnu/libc.so.6\n"),
            (0, "usr/lib/x86_64-linux-gnu/libc.so.6", "four"),
            (1, "var/lib/dpkg/info/curl.list", LIST),
            (1, "usr/bin/curl", "a program"),
            (1, "usr/share/doc/curl/copyright", COPYRIGHT),
            (1, "usr/share/doc/curl-doc", "->curl"),
            (1, "home/me/.bashrc", "mine"),
        ],
        &[&["debian/glibc", "debian/base-files"], &["debian/curl", "generated/files"]],
        &Origins::default(),
    );
    assert_eq!(
        purls(&found),
        [
            "pkg:deb/debian/curl-doc@1:7.88.1-10?arch=all&distro=debian-12",
            "pkg:deb/debian/curl@1:7.88.1-10?arch=amd64&distro=debian-12",
            "pkg:deb/debian/libc6@2.36-9%2Bb1?arch=amd64&distro=debian-12",
        ]
    );
    let [doc, curl, libc] = &found.packages[..] else { unreachable!() };
    assert_eq!(curl.license.as_ref().unwrap().expression, "curl");
    assert_eq!(doc.license, curl.license, "its directory of documentation is a link");
    assert_eq!(libc.license, None);
    assert_eq!(curl.depends.iter().collect::<Vec<_>>(), [&doc.purl, &libc.purl]);
    assert_eq!(
        (curl.files, curl.size),
        (3, (9 + COPYRIGHT.len() + LIST.len()) as u64),
        "its list is its own, too"
    );
    assert_eq!(libc.source, Some(("glibc".into(), "2.36-9".into())));
    assert_eq!(libc.supplier.as_deref(), Some("GNU Libc Maintainers <glibc@example.org>"));
    assert_eq!(libc.summary.as_deref(), Some("GNU C Library"));
    assert_eq!((libc.layers.clone(), curl.layers.clone()), (vec![diff_id(0)], vec![diff_id(1)]));
    assert_eq!(
        (libc.component.as_deref(), doc.component.as_deref()),
        (Some("debian/glibc"), Some("debian/curl"))
    );
    assert_eq!(owner(&found, "usr/lib/x86_64-linux-gnu/libc.so.6"), Some("libc6"), "merged /usr");
    assert_eq!(component(&found, "usr/lib/x86_64-linux-gnu/libc.so.6"), Some("debian/glibc"));
    assert_eq!(owner(&found, "home/me/.bashrc"), None);
    assert_eq!(component(&found, "home/me/.bashrc"), Some("generated/files"));
    assert_eq!(found.package(&curl.purl), Some(curl));
    assert!(found.notes.is_empty());
}

#[test]
fn images_without_dpkg_have_a_file_for_each_package() {
    let found = described(
        &[
            (0, "var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n"),
            (
                0,
                "var/lib/dpkg/status.d/tzdata.md5sums",
                "0123456789abcdef0123456789abcdef  usr/share/zoneinfo/UTC\n",
            ),
            (0, "usr/share/zoneinfo/UTC", "TZif"),
        ],
        &[&[]],
        &Origins::default(),
    );
    assert_eq!(purls(&found), ["pkg:deb/debian/tzdata@2024a-0?arch=all"]);
    assert_eq!(owner(&found, "usr/share/zoneinfo/UTC"), Some("tzdata"));
}

#[test]
fn a_broken_database_is_noted_and_the_rest_told() {
    let broken = format!("{}\nno field\n", STATUS.split("\n\n").next().unwrap_or_default().to_owned() + "\n");
    let found = described(
        &[(0, "var/lib/dpkg/status", &broken), (0, "app/package.json", r#"{"name":"a","version":"1"}"#)],
        &[&[]],
        &Origins::default(),
    );
    assert_eq!(purls(&found), ["pkg:deb/debian/libc6@2.36-9%2Bb1?arch=amd64", "pkg:npm/a@1"]);
    assert!(found.notes[0].starts_with("`/var/lib/dpkg/status` is no database"), "{:?}", found.notes);
}

#[test]
fn npm_packages_are_every_named_package_json() {
    let modules = "usr/local/lib/node_modules";
    let at = |path: &str| format!("{modules}/{path}");
    let files = [
        (
            at("@s/a/package.json"),
            r#"{"name":"@s/a","version":"1.0.0+x","license":"MIT","author":{"name":"A","email":"a@example.org"},"dependencies":{"b":"*","c":"*","none":"*"}}"#,
        ),
        (at("@s/a/index.js"), "12345"),
        (at("@s/a/dist/package.json"), r#"{"type":"module"}"#),
        (at("@s/a/dist/x.js"), "1"),
        (
            at("@s/a/node_modules/b/package.json"),
            "\u{feff}{\"name\":\"b\",\"version\":\"2.0.0\",\"licenses\":[{\"type\":\"MIT\"},{\"type\":\"ISC\"}]}",
        ),
        (at("@s/a/node_modules/b/b.js"), "1"),
        (at("b/package.json"), r#"{"name":"b","version":"1.0.0"}"#),
        (at("c/package.json"), r#"{"name":"c","version":"3.0.0","dependencies":{"b":"*"}}"#),
        ("opt/copy/package.json".to_owned(), r#"{"name":"c","version":"3.0.0"}"#),
        ("opt/broken/package.json".to_owned(), "{"),
        ("opt/odd/package.json".to_owned(), r#"{"name":["x"],"version":"1"}"#),
        ("package.json".to_owned(), r#"{"name":"root","version":"1"}"#),
        ("srv/file".to_owned(), "1"),
    ];
    let files: Vec<(usize, &str, &str)> =
        files.iter().map(|(path, text)| (0, path.as_str(), *text)).collect();
    let found = described(&files, &[&["npm/@s/a", "npm/b", "npm/c"]], &Origins::default());
    assert_eq!(
        purls(&found),
        [
            "pkg:npm/%40s/a@1.0.0%2Bx",
            "pkg:npm/b@1.0.0",
            "pkg:npm/b@2.0.0",
            "pkg:npm/c@3.0.0",
            "pkg:npm/root@1"
        ]
    );
    let [a, _, inner, c, _] = &found.packages[..] else { unreachable!() };
    assert_eq!(a.depends.iter().collect::<Vec<_>>(), ["pkg:npm/b@2.0.0", "pkg:npm/c@3.0.0"], "the nearest");
    assert_eq!(c.depends.iter().collect::<Vec<_>>(), ["pkg:npm/b@1.0.0"]);
    assert_eq!(inner.license.as_ref().unwrap().expression, "ISC OR MIT");
    assert_eq!(a.supplier.as_deref(), Some("A <a@example.org>"));
    assert_eq!(c.told_by, ["/opt/copy/package.json", "/usr/local/lib/node_modules/c/package.json"]);
    assert_eq!(owner(&found, &at("@s/a/dist/x.js")), Some("@s/a"));
    assert_eq!(component(&found, &at("@s/a/dist/x.js")), Some("npm/@s/a"));
    let bundled = described(&files, &[&["npm/@s/a", "npm/c"]], &Origins::default());
    assert_eq!(
        component(&bundled, &at("@s/a/node_modules/b/b.js")),
        Some("npm/@s/a"),
        "it brought that along"
    );
    assert_eq!(owner(&found, &at("@s/a/node_modules/b/b.js")), Some("b"));
    assert_eq!(owner(&found, "srv/file"), None, "the root is no package's directory");
}

#[test]
fn what_dpkg_has_is_dpkgs_alone() {
    let found = described(
        &[
            (0, "var/lib/dpkg/status", "Package: python3-six\nVersion: 1.16.0-4\nArchitecture: all\n"),
            (
                0,
                "var/lib/dpkg/info/python3-six.list",
                "/usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO\n/usr/share/nodejs/x/package.json\n",
            ),
            (0, "usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO", "Name: six\nVersion: 1.16.0\n"),
            (0, "usr/share/nodejs/x/package.json", r#"{"name":"x","version":"1"}"#),
        ],
        &[&[]],
        &Origins::default(),
    );
    assert_eq!(purls(&found), ["pkg:deb/debian/python3-six@1.16.0-4?arch=all"]);
}

#[test]
fn python_distributions_have_what_their_records_say() {
    let site = "usr/lib/python3/site-packages";
    let at = |path: &str| format!("{site}/{path}");
    let files = [
        (
            at("Foo_bar-1.0.dist-info/METADATA"),
            "Metadata-Version: 2.1\nName: Foo_bar\nVersion: 1.0\nLicense-Expression: Apache-2.0 OR MIT\nLicense: no\nRequires-Dist: the.lib >= 2 ; python_version > '3'\nRequires-Dist: other ; extra == 'x'\n\nName: body\n",
        ),
        (
            at("Foo_bar-1.0.dist-info/RECORD"),
            "foo/__init__.py,sha256=x,1\n\"foo/a,b.py\",,\n../../../bin/foo,,\n",
        ),
        (at("foo/a,b.py"), "1"),
        ("usr/bin/foo".to_owned(), "1"),
        (at("the_lib-2.egg-info"), "Name: the-lib\nVersion: 2\nLicense: UNKNOWN\n"),
        (at("other-1.egg-info/PKG-INFO"), "Name: other\nVersion: 1\n"),
    ];
    let files: Vec<(usize, &str, &str)> =
        files.iter().map(|(path, text)| (0, path.as_str(), *text)).collect();
    let found = described(&files, &[&[]], &Origins::default());
    assert_eq!(purls(&found), ["pkg:pypi/foo-bar@1.0", "pkg:pypi/other@1", "pkg:pypi/the-lib@2"]);
    let foo = &found.packages[0];
    assert_eq!(foo.license.as_ref().unwrap().expression, "Apache-2.0 OR MIT");
    assert_eq!(foo.depends.iter().collect::<Vec<_>>(), ["pkg:pypi/the-lib@2"]);
    assert_eq!(found.packages[2].license, None);
    assert_eq!(
        (owner(&found, &at("foo/a,b.py")), owner(&found, "usr/bin/foo")),
        (Some("Foo_bar"), Some("Foo_bar"))
    );
}

/// Agents of which the recipe places a program and its `package.json`.
#[test]
fn a_program_beside_its_package_is_the_packages() {
    let package = |name: &str| format!(r#"{{"name":"{name}","version":"1.0.0"}}"#);
    let (one, other) = (package("@x/one-linux-x64"), package("other-linux-x64"));
    let files = [
        (0, "usr/local/lib/node_modules/@x/one-linux-x64/package.json", one.as_str()),
        (0, "usr/local/bin/one", "program"),
        (1, "usr/local/lib/node_modules/other-linux-x64/package.json", other.as_str()),
        (1, "usr/local/bin/other", "program"),
        (1, "usr/local/bin/third", "program"),
        (1, "usr/share/pinfold/image.json", CONTRACT),
    ];
    const CONTRACT: &str = r#"{"version":1,"name":"x","platform":"linux/amd64",
        "sandbox":{"hosts":[],"credentials":[],"writable":[],"kernel":{"capabilities":[],"devices":[],"executable":[]}},
        "tools":[{"name":"other","version":"1.0.0","path":"/usr/local/bin/other","component":"agent/other","purl":"pkg:npm/other-linux-x64@1.0.0"},
                 {"name":"third","version":"3","path":"/usr/local/bin/third","component":"agent/third"}]}"#;
    let layers: &[&[&str]] = &[&["agent/one"], &["agent/other", "agent/third", "generated/contract"]];
    let found = described(&files, layers, &Origins::default());
    assert_eq!(
        purls(&found),
        ["pkg:generic/agent/third@3", "pkg:npm/%40x/one-linux-x64@1.0.0", "pkg:npm/other-linux-x64@1.0.0"]
    );
    assert_eq!(owner(&found, "usr/local/bin/one"), Some("@x/one-linux-x64"));
    assert_eq!(component(&found, "usr/local/bin/one"), Some("agent/one"));
    assert_eq!(owner(&found, "usr/local/bin/other"), Some("other-linux-x64"));
    assert_eq!(component(&found, "usr/local/bin/other"), Some("agent/other"));
    assert_eq!(owner(&found, "usr/local/bin/third"), Some("third"));
    assert_eq!(owner(&found, "usr/share/pinfold/image.json"), None);
    let [third, one, other] = &found.packages[..] else { unreachable!() };
    assert_eq!(
        (one.component.as_deref(), other.component.as_deref()),
        (Some("agent/one"), Some("agent/other"))
    );
    assert_eq!((third.layers.clone(), third.files), (vec![diff_id(1)], 1));
    // Without the contract nothing says which of two it is.
    let silent = described(&files[..5], layers, &Origins::default());
    assert_ne!(component(&silent, "usr/local/bin/other"), Some("agent/other"));
}

#[test]
fn archives_are_joined_by_package_url() {
    let predicate = serde_json::json!({ "buildDefinition": { "resolvedDependencies": [
        { "uri": "pkg:npm/a@1", "digest": { "sha512": "ab".repeat(64) }, "annotations": { "component": "agent/a", "path": "a/-/a-1.tgz" } },
        { "uri": "pkg:deb/debian/tzdata@2024a-0?arch=all", "digest": { "sha256": "cd".repeat(32) } },
        { "uri": "pkg:generic/binary/rg@14", "digest": { "sha256": "ef".repeat(32) }, "annotations": { "component": "binary/rg", "path": "https://example.org/rg" } },
        { "uri": "pkg:npm/short@1", "digest": { "sha512": "ab" } }, { "uri": 1 }, [],
    ] } });
    let origins = Origins::of_provenance(&predicate);
    assert!(!origins.is_empty() && Origins::of_provenance(&serde_json::Value::Null).is_empty());
    let found = described(
        &[
            (0, "etc/os-release", "ID=debian\nVERSION_ID=12\n"),
            (0, "var/lib/dpkg/status", "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n"),
            (1, "usr/local/lib/node_modules/a/package.json", r#"{"name":"a","version":"1"}"#),
            (1, "usr/local/bin/rg", "program"),
            (2, "usr/local/bin/rg", "program"),
        ],
        &[&["debian/tzdata"], &["agent/a", "agent/b"], &["binary/rg"]],
        &origins,
    );
    let told = found.packages.iter().map(|package| {
        let download = package.download.as_ref();
        let path = download.and_then(|download| download.path.as_deref()).unwrap_or("-");
        format!("{} {} {path}", package.purl, package.component.as_deref().unwrap_or("-"))
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "pkg:deb/debian/tzdata@2024a-0?arch=all&distro=debian-12 debian/tzdata -",
            "pkg:generic/agent/b agent/b -",
            "pkg:generic/binary/rg@14 binary/rg https://example.org/rg",
            "pkg:npm/a@1 agent/a a/-/a-1.tgz",
        ]
    );
    assert_eq!(found.packages[0].download.as_ref().unwrap().digest.hex(), "cd".repeat(32));
    assert_eq!(found.packages[2].version.as_deref(), Some("14"));
    assert_eq!(owner(&found, "usr/local/bin/rg"), Some("rg"));
}

#[test]
fn archives_of_one_name_are_each_platforms_own() {
    let one = |purl: &str, of: &str, platforms: &[&str]| serde_json::json!({ "uri": purl, "digest": { "sha256": of.repeat(32) }, "annotations": { "platforms": platforms } });
    let origins = Origins::of_provenance(&serde_json::json!({ "buildDefinition": { "resolvedDependencies": [
        one("pkg:generic/nix/bash@5.2", "aa", &["linux/amd64"]),
        one("pkg:generic/nix/bash@5.2", "bb", &["linux/arm64"]),
        one("pkg:generic/nix/cpuid@1", "cc", &["linux/amd64"]),
        one("pkg:generic/nix/cacert@1", "dd", &[]),
    ] } }));
    let on = |platform| {
        let own = origins.on(platform);
        own.iter()
            .map(|(purl, origin)| format!("{purl} {}", &origin.download.digest.hex()[..2]))
            .collect::<Vec<_>>()
    };
    let [amd64, arm64] = Platform::ALL.map(on);
    assert_eq!(
        amd64,
        ["pkg:generic/nix/bash@5.2 aa", "pkg:generic/nix/cacert@1 dd", "pkg:generic/nix/cpuid@1 cc"]
    );
    assert_eq!(arm64, ["pkg:generic/nix/bash@5.2 bb", "pkg:generic/nix/cacert@1 dd"]);
}

#[test]
fn the_image_below_is_a_package() {
    let summary = summary(&[&["base/node"], &["debian/curl"]]);
    let base = Below {
        name: "registry.example/team/node:22".into(),
        digest: Some(format!("sha256:{}", "ab".repeat(32))),
    };
    let found = Described::of(
        contents(&[(0, "usr/local/bin/node", "program"), (1, "x", "1")]),
        &summary,
        Some(base),
        &Origins::default(),
    );
    let found = found.done("image", &summary);
    assert_eq!(purls(&found), [format!("pkg:oci/node@sha256%3A{}", "ab".repeat(32))]);
    assert_eq!(owner(&found, "usr/local/bin/node"), Some("registry.example/team/node:22"));
    assert_eq!(found.packages[0].kind, PackageKind::Base);
    assert_eq!(owner(&found, "x"), None);
}

#[test]
fn links_in_a_circle_lead_nowhere() {
    let circle = contents(&[(0, "etc/os-release", "->os-release")]);
    assert_eq!(os(&circle), None);
}

/// An image with one package of each kind.
fn sample() -> Description {
    let mut summary = summary(&[
        &["base/node"],
        &["debian/glibc", "debian/curl"],
        &["agent/a", "generated/files"],
        &["binary/rg"],
    ]);
    summary.created = Some("2026-11-29T13:15:00Z".into());
    let origins = Origins::of_provenance(&serde_json::json!({ "buildDefinition": { "resolvedDependencies": [
        { "uri": "pkg:npm/a@1", "digest": { "sha512": "ab".repeat(64) }, "annotations": { "component": "agent/a", "path": "a/-/a-1.tgz" } },
        { "uri": "pkg:generic/binary/rg@14", "digest": { "sha256": "ef".repeat(32) } },
    ] } }));
    let below = Below {
        name: "registry.example/node:22".into(),
        digest: Some(format!("sha256:{}", "ab".repeat(32))),
    };
    let files = [
        (0, "usr/local/bin/node", "program"),
        (1, "etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME='Debian 12'\n"),
        (1, "var/lib/dpkg/status", STATUS),
        (1, "var/lib/dpkg/info/curl.list", LIST),
        (1, "usr/share/doc/curl/copyright", COPYRIGHT),
        (
            1,
            "usr/lib/python3/six-1.dist-info/METADATA",
            "Name: six\nVersion: 1\nLicense: MIT OR ISC\nAuthor: A (of B)\n",
        ),
        (
            2,
            "usr/local/lib/node_modules/a/package.json",
            "{\"name\":\"a\",\"version\":\"1\",\"license\":\"SEE LICENSE IN README.md\",\"description\":\"An agent\u{202e}\"}",
        ),
        (3, "usr/local/bin/rg", "program"),
    ];
    let found = Described::of(contents(&files), &summary, Some(below), &origins);
    let identity = sbom::identity(&summary.manifest, &origins);
    Description { title: Some("sample".into()), identity, ..found.done("asked for", &summary) }
}

#[test]
fn documents_of_the_sample() {
    for format in [sbom::Format::Spdx, sbom::Format::CycloneDx] {
        let bill = sbom::write(&sample(), format).unwrap();
        assert_eq!(bill.packages, 7);
        let text = String::from_utf8(bill.bytes).unwrap();
        assert!(!text.contains("asked for") && !text.contains('\u{202e}'));
        let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let text = text.replace(&sample().identity.hex(), "IDENTITY");
        let is_plain = |line: &&str| !line.contains("\"serialNumber\"");
        let text: Vec<&str> = text.lines().filter(is_plain).collect();
        insta::assert_snapshot!(format!("{format:?}"), text.join("\n"));
    }
}

#[test]
fn what_decides_about_a_document_is_in_its_name() {
    let one = Digest::sha256(b"one");
    let none = Origins::default();
    let some = Origins::of_provenance(&serde_json::json!({ "buildDefinition": { "resolvedDependencies": [
        { "uri": "pkg:npm/a@1", "digest": { "sha256": "ab".repeat(32) } },
    ] } }));
    let names = [
        sbom::identity(&one, &none),
        sbom::identity(&one, &some),
        sbom::identity(&Digest::sha256(b"other"), &none),
    ];
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 3);
}
