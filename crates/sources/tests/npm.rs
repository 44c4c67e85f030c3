//! npm against a registry in this process; trees against npm's own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;

use base64::Engine as _;
use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Store;
use pinfold_base::http::Client;
use pinfold_base::http::HttpError;
use pinfold_base::http::Options;
use pinfold_base::http::SafeUrl;
use pinfold_base::report::Silent;
use pinfold_base::store::Expected;
use pinfold_sources::npm::AgeRule;
use pinfold_sources::npm::Config;
use pinfold_sources::npm::InstallScripts;
use pinfold_sources::npm::LockedNpm;
use pinfold_sources::npm::MissingTime;
use pinfold_sources::npm::NpmError;
use pinfold_sources::npm::PackageTemplate;
use pinfold_sources::npm::PlatformPackage;
use pinfold_sources::npm::Registry;
use pinfold_sources::npm::Request;
use pinfold_sources::npm::ResolvedPackage;
use pinfold_sources::npm::ResolvedTree;
use pinfold_sources::npm::config::Layers;
use pinfold_sources::npm::platform::resolve_platform_package;
use pinfold_sources::npm::tree::Kept;
use pinfold_sources::npm::tree::TreeRequest;
use pinfold_sources::npm::tree::resolve_tree;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;
use pinfold_testkit::npm::Running;
use serde_json::Value;
use serde_json::json;

/// date -u -d 2026-11-21 +%s
const NOW: u64 = 1_795_219_200;

const AGE: AgeRule = AgeRule { min_age: AgeRule::DEFAULT_MIN_AGE, now: NOW, missing: MissingTime::Refuse };

fn client() -> Client {
    Client::with(Options { retries: 0, ..Options::default() })
}

fn registry(url: &str) -> Registry {
    Registry::new(Config::single(SafeUrl::parse(url).unwrap()), client())
}

fn wrapped(spec: &str) -> PlatformPackage {
    let template = |platform: Platform| {
        let name = format!("tool-linux-{}", platform.arch.npm());
        (platform, PackageTemplate { name, version: "{version}".into() })
    };
    PlatformPackage {
        title: "tool".into(),
        versions_from: Some("tool".into()),
        spec: spec.into(),
        packages: Platform::ALL.map(template).into(),
        scripts: InstallScripts::Refuse,
    }
}

fn tool(version: &str, arches: &[&str]) -> Vec<Package> {
    let mut packages = vec![Package::new("tool", version)];
    for arch in arches {
        let package = Package::new(&format!("tool-linux-{arch}"), version);
        packages.push(package.field("os", json!(["linux"])).field("cpu", json!([arch])));
    }
    packages
}

fn serve(packages: impl IntoIterator<Item = Package>) -> Running {
    packages.into_iter().fold(NpmRegistry::new(), NpmRegistry::package).start()
}

fn resolve(running: &Running, package: &PlatformPackage) -> Result<ResolvedPackage, NpmError> {
    resolve_platform_package(&registry(&running.url), package, &Platform::ALL, &AGE, None)
}

#[test]
fn the_newest_version_that_every_platform_has() {
    let running =
        serve([tool("1.0.0", &["x64", "arm64"]), tool("1.1.0", &["x64"]), tool("1.2.0", &["x64"])].concat());
    let found = resolve(&running, &wrapped("latest")).unwrap();
    assert_eq!(found.version, "1.0.0");
    assert_eq!(
        found.notes,
        ["`tool` 1.2.0 does not exist as `tool-linux-arm64` for linux/arm64; taking 1.0.0"]
    );
    let arm = &found.packages[&Platform::ALL[1]];
    assert_eq!(
        (arm.id().as_str(), arm.path.as_str()),
        ("tool-linux-arm64@1.0.0", "tool-linux-arm64/-/tool-linux-arm64-1.0.0.tgz")
    );
    // For the platform that has it alone, there is nothing to pass over.
    let registry = registry(&running.url);
    let alone =
        resolve_platform_package(&registry, &wrapped("latest"), &Platform::ALL[..1], &AGE, None).unwrap();
    assert_eq!((alone.version.as_str(), alone.notes.len()), ("1.2.0", 0));
    let error = resolve(&running, &wrapped("1.2.0")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no version of `tool` fits `1.2.0`: 1.2.0 does not exist as `tool-linux-arm64` for linux/arm64"
    );
}

#[test]
fn a_package_for_another_cpu_does_not_count() {
    let mut packages = tool("1.0.0", &["x64"]);
    packages.push(Package::new("tool-linux-arm64", "1.0.0").field("cpu", json!(["x64"])));
    assert!(matches!(resolve(&serve(packages), &wrapped("1")), Err(NpmError::NoVersion { .. })));
}

#[test]
fn fresh_releases_are_held_back() {
    let fresh = tool("2.0.0", &["x64", "arm64"])
        .into_iter()
        .map(|package| package.published(Some("2026-11-20T00:00:00Z")));
    let running = serve(tool("1.0.0", &["x64", "arm64"]).into_iter().chain(fresh));
    let found = resolve(&running, &wrapped("latest")).unwrap();
    assert_eq!(found.version, "1.0.0");
    assert_eq!(found.notes, ["`tool` 2.0.0 is 24 hours old and must be at least 3 days; taking 1.0.0"]);
    let none = AgeRule { min_age: 0, ..AGE };
    let registry = registry(&running.url);
    let found = resolve_platform_package(&registry, &wrapped("latest"), &Platform::ALL, &none, None).unwrap();
    assert_eq!(found.version, "2.0.0");
    assert!(resolve(&running, &wrapped("^2")).unwrap_err().hint().unwrap().contains("min-age"));
}

#[test]
fn a_missing_time_is_a_matter_of_policy() {
    let untimed = tool("1.0.0", &["x64", "arm64"]).into_iter().map(|package| package.published(None));
    let running = serve(untimed);
    let error = resolve(&running, &wrapped("latest")).unwrap_err().to_string();
    assert!(error.contains("does not say when 1.0.0 was published"), "{error}");
    let accepting = AgeRule { missing: MissingTime::Accept, ..AGE };
    let found = resolve_platform_package(
        &self::registry(&running.url),
        &wrapped("1"),
        &Platform::ALL,
        &accepting,
        None,
    )
    .unwrap();
    assert!(found.notes.iter().any(|note| note.contains("does not say when")), "{:?}", found.notes);
}

#[test]
fn what_is_locked_stays_while_it_fits() {
    let running = serve(
        [
            tool("1.0.0", &["x64", "arm64"]),
            tool("1.1.0", &["x64", "arm64"]),
            tool("2.0.0", &["x64", "arm64"]),
        ]
        .concat(),
    );
    let registry = registry(&running.url);
    let kept = |spec: &str, kept: &str| {
        resolve_platform_package(&registry, &wrapped(spec), &Platform::ALL, &AGE, Some(kept)).unwrap().version
    };
    assert_eq!(kept("latest", "1.0.0"), "1.0.0");
    assert_eq!(kept("^1", "1.0.0"), "1.0.0");
    assert_eq!(kept("^1.1", "1.0.0"), "1.1.0");
    assert_eq!(kept("latest", "1.5.0"), "2.0.0");
}

#[test]
fn prereleases_and_newer_versions_than_the_tag_are_not_latest() {
    let running = [
        tool("1.0.0", &["x64", "arm64"]),
        tool("1.1.0-rc.1", &["x64", "arm64"]),
        tool("1.2.0", &["x64", "arm64"]),
    ]
    .concat()
    .into_iter()
    .fold(NpmRegistry::new(), NpmRegistry::package)
    .tag("tool", "latest", "1.1.0")
    .tag("tool", "next", "1.1.0-rc.1")
    .start();
    assert_eq!(resolve(&running, &wrapped("latest")).unwrap().version, "1.0.0");
    assert_eq!(resolve(&running, &wrapped("next")).unwrap().version, "1.1.0-rc.1");
    let error = resolve(&running, &wrapped("beta")).unwrap_err().to_string();
    assert!(error.ends_with("there is no tag `beta`, only latest, next"), "{error}");
}

#[test]
fn platforms_as_versions_of_one_package() {
    // As Codex is published.
    let packages = ["1.0.0", "1.0.0-linux-x64", "1.0.0-linux-arm64", "1.1.0", "1.1.0-linux-x64"];
    let running = packages
        .iter()
        .fold(NpmRegistry::new(), |registry, version| registry.package(Package::new("@o/codex", version)))
        .tag("@o/codex", "latest", "1.1.0")
        .start();
    let template = |platform: Platform| {
        let version = format!("{{version}}-linux-{}", platform.arch.npm());
        (platform, PackageTemplate { name: "@o/codex".into(), version })
    };
    let package = PlatformPackage {
        versions_from: Some("@o/codex".into()),
        packages: Platform::ALL.map(template).into(),
        ..wrapped("latest")
    };
    let found = resolve(&running, &package).unwrap();
    let ids: Vec<_> = found.packages.values().map(LockedNpm::id).collect();
    assert_eq!(
        (found.version.as_str(), ids),
        ("1.0.0", vec!["@o/codex@1.0.0-linux-x64".into(), "@o/codex@1.0.0-linux-arm64".into()])
    );
    assert_eq!(found.packages[&Platform::ALL[0]].path, "@o/codex/-/codex-1.0.0-linux-x64.tgz");
}

#[test]
fn install_scripts_need_an_answer() {
    let packages = tool("1.0.0", &["x64", "arm64"]);
    let running = serve(
        packages.into_iter().map(|package| package.field("scripts", json!({ "postinstall": "node x.js" }))),
    );
    let error = resolve(&running, &wrapped("latest")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`tool-linux-x64` 1.0.0 wants to run a script when it is installed: `postinstall` = `node x.js`"
    );
    assert_eq!(error.kind(), Kind::Refused);
    let answered = PlatformPackage {
        scripts: InstallScripts::Answered { reason: "copies".into() },
        ..wrapped("latest")
    };
    assert!(resolve(&running, &answered).is_ok());
}

#[test]
fn a_package_without_a_trustworthy_hash_is_refused() {
    for integrity in ["", "sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "sha512-AAAA", "nonsense"] {
        let packages =
            tool("1.0.0", &["x64", "arm64"]).into_iter().map(|package| package.integrity(integrity));
        let error = resolve(&serve(packages), &wrapped("latest")).unwrap_err();
        assert!(matches!(error, NpmError::NoIntegrity { .. }), "{error}");
        assert_eq!(error.kind(), Kind::Integrity);
    }
}

fn fetch(registry: &Registry, package: &LockedNpm, store: &Store) -> Result<(), HttpError> {
    let expected = Expected { digest: package.integrity.clone(), size: package.size };
    client().download([registry.source(package).unwrap()], &expected, &package.id(), store, &Silent)
}

#[test]
fn a_tampered_tarball_never_reaches_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let good = Package::new("tool", "1.0.0").file("a.js", 0o644, b"1");
    let package = PlatformPackage { packages: BTreeMap::new(), ..wrapped("latest") };
    let running = serve([good.clone().tampered()]);
    let locked = resolve(&running, &package).unwrap().packages[&Platform::ALL[0]].clone();
    let error = fetch(&registry(&running.url), &locked, &store).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(!store.contains(&locked.integrity));
    // The same lock with an honest mirror.
    let mirror = serve([good.clone()]);
    fetch(&registry(&mirror.url), &locked, &store).unwrap();
    assert_eq!(fs_err::read(store.path(&locked.integrity)).unwrap(), good.tarball());
}

#[test]
fn tarballs_of_another_host_are_asked_of_the_registry() {
    let packages =
        tool("1.0.0", &["x64", "arm64"]).into_iter().fold(NpmRegistry::new(), NpmRegistry::package);
    let running = packages.clone().tarballs_at("https://upstream.invalid/some/where/").start();
    let locked = resolve(&running, &wrapped("latest")).unwrap().packages[&Platform::ALL[0]].clone();
    assert_eq!(locked.path, "tool-linux-x64/-/tool-linux-x64-1.0.0.tgz");
    let dir = tempfile::tempdir().unwrap();
    fetch(&registry(&running.url), &locked, &Store::open(dir.path()).unwrap()).unwrap();
    // An address that follows no convention is no path.
    let odd = Server::start(|_| {
        Response::ok(
            json!({ "dist-tags": { "latest": "1.0.0" }, "time": { "1.0.0": "2020-01-01T00:00:00Z" },
                "versions": { "1.0.0": { "dist": { "tarball": "https://cdn.invalid/abc.tgz",
                "integrity": "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=" } } } })
            .to_string(),
        )
    });
    let package = PlatformPackage { packages: BTreeMap::new(), ..wrapped("latest") };
    let result = resolve_platform_package(&registry(&odd.url("/")), &package, &Platform::ALL, &AGE, None);
    assert!(matches!(result, Err(NpmError::Tarball { .. })), "{result:?}");
}

/// The registry is asked at its own address, whatever its answers say; what has no place there is refused.
#[test]
fn an_address_in_a_packument_is_never_asked() {
    let inner = Server::start(|_| Response::ok("inside"));
    for (tarball, path) in [
        ("http://127.0.0.1:PORT/npm/p/-/p-1.0.0.tgz", Some("p/-/p-1.0.0.tgz")),
        ("http://169.254.169.254/p/-/p-1.0.0.tgz", Some("p/-/p-1.0.0.tgz")),
        ("http://127.0.0.1:PORT/internal/api", None),
        ("http://127.0.0.1:PORT/p/-/../../internal/api", None),
        ("http://127.0.0.1:PORT/p/-/%2e%2e/%2e%2e/api", None),
        ("file:///p/-/p-1.0.0.tgz", None),
        ("file:///etc/passwd", None),
        ("ftp://127.0.0.1/p/-/p-1.0.0.tgz", None),
        ("git+ssh://git@h.example/p/-/p-1.0.0.tgz", None),
        ("p/-/p-1.0.0.tgz", None),
        ("", None),
    ] {
        let tarball = tarball.replace("PORT", &inner.port().to_string());
        let said = json!({ "dist-tags": { "latest": "1.0.0" }, "time": { "1.0.0": "2020-01-01T00:00:00Z" },
            "versions": { "1.0.0": { "dist": { "tarball": tarball,
            "integrity": "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=" } } } });
        let server = Server::start(move |_| Response::ok(said.to_string()));
        let registry = registry(&server.url("/npm/"));
        let locked =
            tree(&registry, &[("p", "1")]).map(|tree| tree.placements[&Platform::ALL[0]][0].package.clone());
        match (locked, path) {
            (Ok(locked), Some(path)) => {
                assert_eq!(locked.path, path, "{tarball}");
                let source = registry.source(&locked).unwrap();
                assert_eq!(source.url.to_string(), server.url(&format!("/npm/{path}")), "{tarball}");
            }
            (Err(NpmError::Tarball { .. }), None) => {}
            (other, _) => panic!("{tarball}: {other:?}"),
        }
        assert_eq!(inner.connections(), 0, "{tarball}");
    }
}

#[test]
fn tokens_go_to_their_registry_only() {
    let private =
        NpmRegistry::new().package(Package::new("@corp/x", "1.0.0")).token("@corp/", "s3cret").start();
    let public = serve([Package::new("y", "1.0.0").field("dependencies", json!({ "@corp/x": "1" }))]);
    let host = private.url.trim_start_matches("http:").to_owned();
    let config = |rc: String| {
        let layers = Layers { manifest: Some(public.url.clone()), user: Some(rc), ..Layers::default() };
        Registry::new(Config::new(&layers).unwrap(), client())
    };
    let with = config(format!("@corp:registry={}\n{host}:_authToken=s3cret", private.url));
    let found = tree(&with, &[("y", "1")]).unwrap();
    assert_eq!(
        placed(&found, Platform::ALL[0]),
        ["node_modules/y 1.0.0", "node_modules/y/node_modules/@corp/x 1.0.0"]
    );
    assert_eq!(private.server.requests()[0].header("authorization"), Some("Bearer s3cret"));
    assert!(public.server.requests().iter().all(|request| request.header("authorization").is_none()));
    let locked = found.placements[&Platform::ALL[0]][1].package.clone();
    assert!(matches!(with.source(&locked).unwrap().auth, pinfold_base::http::Auth::Bearer(_)));
    let without = config(format!("@corp:registry={}", private.url));
    let error = tree(&without, &[("y", "1")]).unwrap_err();
    assert!(matches!(error, NpmError::Http { .. }), "{error}");
    assert!(error.hint().unwrap().contains("credentials"));
}

#[test]
fn what_is_missing_is_named_with_who_needs_it() {
    let running = serve([
        Package::new("a", "1.0.0").field("dependencies", json!({ "b": "1" })),
        Package::new("b", "1.0.0").field("dependencies", json!({ "c": "2" })),
    ]);
    let error = tree(&registry(&running.url), &[("a", "*")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the registry `{}` has no package `c` (needed by a@1.0.0 > b@1.0.0)", running.url)
    );
    let error = tree(&registry(&running.url), &[("a", "2")]).unwrap_err();
    assert_eq!(error.to_string(), "no version of `a` fits `2`: the newest there is 1.0.0");
    for (name, spec) in [("a", "file:../x"), ("..", "1"), ("a", "git+ssh://h/x")] {
        assert_eq!(tree(&registry(&running.url), &[(name, spec)]).unwrap_err().kind(), Kind::Usage);
    }
}

#[test]
fn answers_that_are_no_packuments() {
    for body in ["", "[]", "<html>", "{\"versions\":{\"1.0.0\":", "{\"name\":\"other\"}"] {
        let server = Server::start(move |_| Response::ok(body));
        let error = tree(&registry(&server.url("/")), &[("a", "*")]).unwrap_err();
        assert!(matches!(error, NpmError::Packument { .. }), "{body}: {error}");
    }
}

fn tree(registry: &Registry, requests: &[(&str, &str)]) -> Result<ResolvedTree, NpmError> {
    tree_with(registry, requests, &BTreeMap::new(), &Kept::nothing(), AGE)
}

fn tree_with(
    registry: &Registry,
    requests: &[(&str, &str)],
    answers: &BTreeMap<String, String>,
    keep: &Kept,
    age: AgeRule,
) -> Result<ResolvedTree, NpmError> {
    let requests: Vec<_> = requests
        .iter()
        .map(|(name, spec)| Request {
            name: (*name).into(),
            spec: (*spec).into(),
            scripts: InstallScripts::Refuse,
        })
        .collect();
    resolve_tree(
        registry,
        &TreeRequest { requests: &requests, platforms: &Platform::ALL, age, answers, keep },
        |_| Ok(None),
    )
}

fn placed(tree: &ResolvedTree, platform: Platform) -> Vec<String> {
    tree.placements[&platform]
        .iter()
        .map(|placement| format!("{} {}", placement.dir, placement.package.version))
        .collect()
}

#[test]
fn optional_packages_follow_the_platform_and_bundles_stay_closed() {
    let native = |arch: &str| {
        Package::new(&format!("n-{arch}"), "1.0.0")
            .field("cpu", json!([arch]))
            .field("dependencies", json!({ format!("only-{arch}"): "1" }))
    };
    let running = serve([
        Package::new("a", "1.0.0")
            .field("optionalDependencies", json!({ "n-x64": "1", "n-arm64": "1", "gone": "1" }))
            .field("dependencies", json!({ "bundled": "1", "b": "1" }))
            .field("bundleDependencies", json!(["bundled"]))
            .field("bin", json!({ "a": "./cli.js" })),
        Package::new("b", "1.0.0").field("dependencies", json!({ "a": "1" })),
        native("x64"),
        native("arm64"),
        Package::new("only-x64", "1.0.0"),
        Package::new("only-arm64", "1.0.0"),
    ]);
    let found = tree(&registry(&running.url), &[("a", "1")]).unwrap();
    let dirs = |names: [&str; 3]| {
        let below = names.map(|name| format!("node_modules/a/node_modules/{name} 1.0.0"));
        [vec!["node_modules/a 1.0.0".to_owned()], below.to_vec()].concat()
    };
    assert_eq!(placed(&found, Platform::ALL[0]), dirs(["b", "n-x64", "only-x64"]));
    assert_eq!(placed(&found, Platform::ALL[1]), dirs(["b", "n-arm64", "only-arm64"]));
    let a = &found.placements[&Platform::ALL[0]][0];
    assert!(a.requested && a.bins["a"] == "cli.js" && !found.placements[&Platform::ALL[0]][1].requested);
    assert!(found.notes[0].contains("`gone`"), "{:?}", found.notes);
    // Needed without a choice, it is an error.
    let error = tree(&registry(&running.url), &[("n-x64", "1")]).unwrap_err().to_string();
    assert!(error.contains("not made for that platform"), "{error}");
}

#[test]
fn scripts_deep_in_the_tree_need_answers_too() {
    let running = serve([
        Package::new("a", "1.0.0").field("dependencies", json!({ "b": "1" })),
        Package::new("b", "1.0.0").field("scripts", json!({ "install": "make" })),
    ]);
    let registry = registry(&running.url);
    let error = tree(&registry, &[("a", "1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`b` 1.0.0 wants to run a script when it is installed: `install` = `make` (needed by a@1.0.0)"
    );
    let answers = BTreeMap::from([("b".to_owned(), "the prebuilt file is there".to_owned())]);
    let found = tree_with(&registry, &[("a", "1")], &answers, &Kept::nothing(), AGE).unwrap();
    assert_eq!(
        (found.scripts[0].script.as_str(), found.scripts[0].reason.as_str()),
        ("install", "the prebuilt file is there")
    );
}

#[test]
fn all_scripts_that_need_answers_are_told_at_once_with_lines_to_paste() {
    let script = |name: &str| Package::new(name, "1.0.0").field("scripts", json!({ "install": "make" }));
    let running = serve([
        Package::new("a", "1.0.0").field("dependencies", json!({ "@s/b": "1", "c.js": "1", "d": "1" })),
        script("@s/b"),
        script("c.js"),
        script("d"),
        script("e"),
    ]);
    let registry = registry(&running.url);
    let answers = BTreeMap::from([("d".to_owned(), "prebuilt".to_owned())]);
    let error = tree_with(&registry, &[("a", "1"), ("e", "1")], &answers, &Kept::nothing(), AGE).unwrap_err();
    let lines: Vec<String> = error.lines().iter().map(ToString::to_string).collect();
    let wants = "wants to run a script when it is installed: `install` = `make`";
    assert_eq!(
        lines,
        [
            "3 packages want to run a script when they are installed:".to_owned(),
            format!("  `@s/b` 1.0.0 {wants} (needed by a@1.0.0)"),
            format!("  `c.js` 1.0.0 {wants} (needed by a@1.0.0)"),
            format!("  `e` 1.0.0 {wants}"),
        ]
    );
    let block: Vec<String> = error.block().iter().map(ToString::to_string).collect();
    assert_eq!(
        block,
        ["[scripts]", "\"@s/b\" = \"skip: REASON\"", "\"c.js\" = \"skip: REASON\"", "e = \"skip: REASON\""]
    );
}

#[test]
fn peers_that_do_not_fit_are_told() {
    let running = serve([
        Package::new("plugin", "1.0.0").field("peerDependencies", json!({ "host": "1" })),
        Package::new("host", "1.0.0"),
        Package::new("host", "2.0.0"),
        Package::new("torn", "1.0.0").field("peerDependencies", json!({ "host": "2", "plugin": "1" })),
    ]);
    let registry = registry(&running.url);
    // A package that is asked for has its own, whatever else is asked for (`npm install --global`).
    let own = ["node_modules/plugin 1.0.0", "node_modules/plugin/node_modules/host 1.0.0"];
    let found = tree(&registry, &[("plugin", "1")]).unwrap();
    assert_eq!(placed(&found, Platform::ALL[0]), own);
    let found = tree(&registry, &[("host", "2"), ("plugin", "1")]).unwrap();
    assert_eq!(placed(&found, Platform::ALL[0])[1..], own);
    // Two of its own peers can still contradict each other.
    let error = tree(&registry, &[("torn", "1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`plugin@1.0.0` needs `host` 1 beside it, but host@2.0.0 stands there (needed by torn@1.0.0)"
    );
}

#[test]
fn locked_versions_stay_in_trees() {
    let running = serve([
        Package::new("a", "1.0.0").field("dependencies", json!({ "b": "^1" })),
        Package::new("b", "1.0.0"),
        Package::new("b", "1.1.0"),
    ]);
    let registry = registry(&running.url);
    let old = tree(&registry, &[("b", "1.0.0")]).unwrap().placements.remove(&Platform::ALL[0]).unwrap();
    let kept = Kept::new(old.iter().map(|placement| &placement.package));
    let with = tree_with(&registry, &[("a", "1")], &BTreeMap::new(), &kept, AGE).unwrap();
    assert_eq!(placed(&with, Platform::ALL[0])[1], "node_modules/a/node_modules/b 1.0.0");
    let without = tree(&registry, &[("a", "1")]).unwrap();
    assert_eq!(placed(&without, Platform::ALL[0])[1], "node_modules/a/node_modules/b 1.1.0");
}

/// What the resolver of npm 11.19.1 (`@npmcli/arborist` with `global`, `before` and the strategy `shallow`, as `npm install
/// --global` calls it, on node 20) placed for these requests, and the packuments it saw, cut down to the versions it took and their
/// neighbours.
#[test]
fn trees_are_those_of_npm() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/npm-trees.json")).unwrap();
    let base = Arc::new(OnceLock::<String>::new());
    let (packuments, own) = (fixture["packuments"].clone(), base.clone());
    let server = Server::start(move |request| {
        let name = request.path[1..].replace("%2f", "/");
        let Some(mut packument) = packuments.get(&name).cloned() else { return Response::status(404) };
        for (version, release) in packument["versions"].as_object_mut().unwrap() {
            let sha = Digest::sha256(format!("{name}@{version}").as_bytes());
            let sri = base64::engine::general_purpose::STANDARD.encode(sha.bytes());
            let tarball = format!("{}{name}/-/x-{version}.tgz", own.get().unwrap());
            release["dist"] = json!({ "integrity": format!("sha256-{sri}"), "tarball": tarball });
        }
        Response::ok(packument.to_string())
    });
    base.set(server.url("/")).unwrap();
    let registry = registry(&server.url("/"));
    // date -u -d 2026-11-15 +%s, the fixture's `before`
    let any_age = AgeRule { min_age: 0, now: 1_794_700_800, missing: MissingTime::Accept };
    let mut compared = 0;
    for recorded in fixture["trees"].as_array().unwrap() {
        let texts: Vec<&str> =
            recorded["requests"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
        let requests: Vec<_> = texts
            .iter()
            .map(|text| {
                let at = text.char_indices().skip(1).find(|(_, c)| *c == '@').unwrap().0;
                (&text[..at], &text[at + 1..])
            })
            .collect();
        let mut reversed = requests.clone();
        reversed.reverse();
        let found = tree_with(&registry, &requests, &BTreeMap::new(), &Kept::nothing(), any_age).unwrap();
        assert_eq!(
            found,
            tree_with(&registry, &reversed, &BTreeMap::new(), &Kept::nothing(), any_age).unwrap()
        );
        // npm's lock lists packages of all platforms; ours are those of Linux on both processors.
        let ours: BTreeMap<String, String> = found
            .placements
            .values()
            .flatten()
            .map(|placement| (placement.dir.clone(), placement.package.id()))
            .collect();
        for (dir, id) in recorded["placed"].as_object().unwrap() {
            let id = id.as_str().unwrap();
            match ours.get(dir) {
                Some(own) => assert_eq!(own, id, "{texts:?} {dir}"),
                None => assert!(is_for_elsewhere(&fixture, recorded, dir), "{texts:?}: npm has {dir} {id}"),
            }
        }
        for (dir, id) in &ours {
            assert_eq!(
                recorded["placed"].get(dir).and_then(Value::as_str),
                Some(id.as_str()),
                "{texts:?}: {dir}"
            );
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

/// Whether a package of npm's lock is for no Linux with glibc on our processors, or only needed by one that is.
fn is_for_elsewhere(fixture: &Value, recorded: &Value, dir: &str) -> bool {
    let meta = |dir: &str| {
        let (name, version) = recorded["placed"][dir].as_str().unwrap().rsplit_once('@').unwrap();
        fixture["packuments"][name]["versions"][version].clone()
    };
    let lacks = |list: &Value, names: &[&str]| {
        list.as_array().is_some_and(|list| {
            !list.is_empty() && !list.iter().any(|entry| names.contains(&entry.as_str().unwrap()))
        })
    };
    let elsewhere = |dir: &str| {
        let release = meta(dir);
        lacks(&release["os"], &["linux"])
            || lacks(&release["cpu"], &["x64", "arm64"])
            || lacks(&release["libc"], &["glibc"])
    };
    let name = dir.rsplit("node_modules/").next().unwrap();
    let mut users = recorded["placed"].as_object().unwrap().keys().filter(|user| {
        let release = meta(user);
        ["dependencies", "optionalDependencies", "peerDependencies"]
            .iter()
            .any(|kind| release[kind].get(name).is_some())
    });
    elsewhere(dir) || users.all(|user| is_for_elsewhere(fixture, recorded, user))
}
