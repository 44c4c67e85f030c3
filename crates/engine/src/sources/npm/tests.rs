//! `[npm]` and recipes against a registry in this process.

use pinfold_base::Kind;
use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;
use pinfold_testkit::npm::Running;
use serde_json::json as value;

use super::asked::ask_npm;
use super::*;
use crate::build::fetch;
use crate::build::place;
use crate::context::Context;
use crate::context::Network;
use crate::project::lock::diff;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::lines;
use crate::sources::testing::lock;
use crate::sources::testing::told;

fn registry() -> Running {
    let tool = |version| {
        Package::new("tool", version)
            .field("bin", value!({ "tool": "cli.js", "tool-debug": "debug.js" }))
            .field("dependencies", value!({ "lib": "^2" }))
            .file("cli.js", 0o644, version.as_bytes())
            .file("debug.js", 0o644, b"")
    };
    NpmRegistry::new()
        .package(tool("1.0.0"))
        .package(tool("1.1.0"))
        .package(
            Package::new("lib", "2.0.0").field("bin", value!({ "lib": "lib.js" })).file("lib.js", 0o644, b""),
        )
        .package(Package::new("young", "1.0.0").published(Some("2026-01-01T00:00:00.000Z")))
        .package(Package::new("undated", "1.0.0").published(None))
        .package(Package::new("script", "1.0.0").field("scripts", value!({ "postinstall": "node x.js" })))
        .package(Package::new("unsigned", "1.0.0").integrity(""))
        .package(Package::new("tampered", "1.0.0").tampered())
        .package(Package::new("liar", "1.0.0").says(r#"{"name":"evil","version":"6.6.6"}"#))
        .package(Package::new("needs-liar", "1.0.0").field("dependencies", value!({ "liar": "1" })))
        .package(Package::new("mine", "1.0.0").file("dist/x64/mine", 0o644, b"one").file(
            "dist/x64/notes",
            0o644,
            b"",
        ))
        .package(Package::new("mine", "2.0.0").file("dist/x64/mine", 0o644, b"two").file(
            "dist/x64/notes",
            0o644,
            b"",
        ))
        .start()
}

fn manifest(registry: &Running, more: &str) -> String {
    format!("name = 'x'\nplatforms = ['linux/amd64']\n{more}\n[npm]\nregistry = '{}'\n", registry.url)
}

fn versions(lock: &Lock) -> Vec<String> {
    diff::versions(lock).into_iter().map(|(component, version)| format!("{component} {version}")).collect()
}

#[test]
fn packages_come_with_what_they_need_and_only_those_asked_for_are_on_the_path() {
    let (world, registry) = (World::new(), registry());
    let context = world.online();
    let text = manifest(&registry, "") + "packages = ['tool@^1']\n";
    let project = world.project(&text);
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    assert_eq!(versions(&first), ["npm/lib 2.0.0", "npm/tool 1.1.0"]);
    // 2020-01-01T00:00:00Z, when the registry says they were published.
    assert_eq!(first.epoch, 1_577_836_800);
    let tree = place::place(&context, &project, &first, Platform::ALL[0]).unwrap().tree;
    let modules = lines(&context, &tree, "/usr/local/lib/node_modules");
    for expected in [
        "/usr/local/lib/node_modules/tool/cli.js 0755 npm/tool",
        "/usr/local/lib/node_modules/tool/node_modules/lib/lib.js 0755 npm/lib",
        "/usr/local/lib/node_modules/tool/node_modules/.bin/lib 0777 npm/lib -> ../lib/lib.js",
    ] {
        assert!(modules.iter().any(|line| line.starts_with(expected)), "{expected}: {modules:#?}");
    }
    let commands = |project: &Project| {
        let tree = place::place(&context, project, &first, Platform::ALL[0]).unwrap().tree;
        let all = lines(&context, &tree, "/usr/local/bin/");
        all.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(commands(&project), ["/usr/local/bin/tool", "/usr/local/bin/tool-debug"]);
    let chosen = manifest(&registry, "") + "[npm.package]\ntool = { version = '^1', bin = ['tool'] }\n";
    assert_eq!(commands(&world.project(&chosen)), ["/usr/local/bin/tool"]);
}

#[test]
fn what_is_locked_stays_until_it_may_move() {
    let (world, registry) = (World::new(), registry());
    let context = world.online();
    let of = |spec: &str, upgrade: &Upgrade| {
        let text = manifest(&registry, "") + &format!("packages = ['tool@{spec}']\n");
        versions(&lock(&context, &world.project(&text), upgrade).unwrap())[1].clone()
    };
    assert_eq!(of("1.0.0", &Upgrade::Nothing), "npm/tool 1.0.0");
    assert_eq!(of("^1", &Upgrade::Nothing), "npm/tool 1.0.0", "it is still allowed");
    assert_eq!(of("^1", &Upgrade::Only(vec!["lib".into()])), "npm/tool 1.0.0");
    assert_eq!(of("^1", &Upgrade::Only(vec!["tool".into()])), "npm/tool 1.1.0");
    assert_eq!(of("1.0.0", &Upgrade::Nothing), "npm/tool 1.0.0", "what is no longer allowed moves");
    assert_eq!(of("^1", &Upgrade::All), "npm/tool 1.1.0");
}

#[test]
fn what_cannot_be_locked_says_why() {
    let (world, registry) = (World::new(), registry());
    for (more, kind, expected) in [
        ("packages = ['nobody']", Kind::Usage, "cannot lock `npm packages`: the registry"),
        ("packages = ['tool@^9']", Kind::Usage, "no version of `tool` fits `^9`"),
        ("packages = ['young']\n[policy]\nmin-age = '5200w'", Kind::Usage, "no version of `young` fits"),
        ("packages = ['script']", Kind::Refused, "`script` 1.0.0 wants to run a script"),
        ("packages = ['unsigned']", Kind::Integrity, "`unsigned` 1.0.0 has no sha256 or sha512 integrity"),
        ("packages = ['tampered']", Kind::Integrity, "cannot fetch `tampered@1.0.0`"),
        ("packages = ['liar']", Kind::Integrity, "`liar@1.0.0` says that it is `evil@6.6.6`"),
        ("packages = ['needs-liar']", Kind::Integrity, "`liar@1.0.0` says that it is `evil@6.6.6`"),
        ("packages = ['x@npm:liar@1']", Kind::Integrity, "`liar@1.0.0` says that it is `evil@6.6.6`"),
        ("packages = ['https://elsewhere.example/x.tgz']", Kind::Usage, "cannot lock `npm packages`"),
    ] {
        let project = world.project(&(manifest(&registry, "") + more));
        let error = lock(&world.online(), &project, &Upgrade::Nothing).expect_err(more);
        assert!(told(&error).contains(expected), "{more} gave {}", told(&error));
        assert_eq!(error.kind(), kind, "{more}: {}", told(&error));
        assert!(!project.lock_file.exists(), "nothing is written");
    }
    let answered = "packages = ['script']\n[scripts]\nscript = 'skip: it only says hello'\n";
    lock(&world.online(), &world.project(&(manifest(&registry, "") + answered)), &Upgrade::Nothing).unwrap();
}

/// A recipe of the user's own.
const RECIPE: &str = "name = 'mine'\ntitle = 'Mine'\ncommand = 'mine'\n[npm]\npackage = 'mine'\nversion = 'latest'\n\
                      [[place]]\nfrom = 'dist/{npm-arch}'\nto = '/opt/mine'\ndrop = ['notes']\n\
                      [[link]]\npath = '/usr/local/bin/mine'\ntarget = '/opt/mine/mine'\n";

#[test]
fn a_recipe_of_ones_own_is_locked_and_placed_as_it_says() {
    let (world, registry) = (World::new(), registry());
    let context = world.online();
    world.write("mine.toml", RECIPE);
    let project = world.project(&manifest(&registry, "agents = ['./mine.toml']"));
    let locked = lock(&context, &project, &Upgrade::Nothing).unwrap();
    assert_eq!(versions(&locked), ["agent/mine 2.0.0"]);
    let tree = place::place(&context, &project, &locked, Platform::ALL[0]).unwrap().tree;
    assert_eq!(
        [lines(&context, &tree, "/opt/mine/"), lines(&context, &tree, "/usr/local/bin/")].concat(),
        ["/opt/mine/mine 0644 agent/mine \"two\"", "/usr/local/bin/mine 0777 agent/mine -> /opt/mine/mine"]
    );
    let versioned =
        world.project(&manifest(&registry, "agents = [{ name = './mine.toml', version = '1.0.0' }]"));
    assert_eq!(versions(&lock(&context, &versioned, &Upgrade::Nothing).unwrap()), ["agent/mine 1.0.0"]);

    // The layout of a package is the publisher's to change: then the recipe says so.
    world.write("mine.toml", &RECIPE.replace("dist/", "build/").replace("drop = ['notes']\n", ""));
    let moved = world.project(&manifest(&registry, "agents = ['./mine.toml']"));
    let error = lock(&context, &moved, &Upgrade::All).unwrap_err();
    assert_eq!(error.to_string(), "`mine@2.0.0` has no `/build/x64`");
    assert!(error.hint().unwrap().contains("correct `from` in the recipe"));
}

#[test]
fn tarballs_are_fetched_from_the_registry_that_is_configured_now() {
    let (world, first, second) = (World::new(), registry(), registry());
    let text = |registry: &Running| manifest(registry, "") + "packages = ['lib']\n";
    let locked = lock(&world.online(), &world.project(&text(&first)), &Upgrade::Nothing).unwrap();
    assert!(!locked.render().contains("127.0.0.1"), "the lock holds no addresses");
    let project = world.project(&text(&second));
    let gist = project.inputs.gist().unwrap().unwrap();
    assert!(crate::build::settle::wanting(&project, gist).is_none(), "another registry is no other request");
    let other = world.context("other", Network::Online);
    fetch::fetch(&other, &agreed(&other, &project), &locked, &project.manifest.platforms).unwrap();
    let asked: Vec<String> = second.server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/npm/lib/-/lib-2.0.0.tgz"]);
}

#[test]
fn what_a_project_says_about_registries_needs_the_users_word() {
    let world = World::new();
    let trusts = |text: &str| Npm.trusts(&world.project(text), &Environment::default());
    assert_eq!(trusts("name = 'x'\n"), []);
    assert_eq!(
        trusts("name = 'x'\n[npm]\nregistry = 'https://r.example/'\n"),
        [Trust::address("npm packages", "https://r.example/")]
    );
    world.write(".npmrc", "save-exact=true\n# registry=https://comment.example/\n");
    assert_eq!(trusts("name = 'x'\n"), [], "what says nothing about registries is nobody's concern");
    world.write(
        ".npmrc",
        "registry = https://r.example/${A}/${B?}\n@s:registry=x\n//r.example/:_authToken=${A}\n${C}=y\n",
    );
    let setting = |key: &str, value: &str, variables: &[&str]| {
        let variables = variables.iter().map(|&name| name.into()).collect();
        Trust::Npmrc(Setting { key: key.into(), value: value.into(), variables })
    };
    assert_eq!(
        trusts("name = 'x'\n"),
        [
            setting("registry", "https://r.example/${A}/${B?}", &["A", "B"]),
            setting("@s:registry", "x", &[]),
            setting("//r.example/:_authToken", "${A}", &["A"]),
            setting("${C}", "y", &["C"]),
        ]
    );
}

#[test]
fn an_npm_that_an_agent_can_write_is_not_asked() {
    let world = World::new();
    let script = |mark: &str| {
        let mark = world.dir.path().join(mark);
        format!("#!/bin/sh\necho x > {}\necho http://r.example/\n", mark.display())
    };
    let own = world.dir.path().join("own");
    let agents = world.folder().join("node_modules/.bin");
    for (folder, mark) in [(&own, "own-ran"), (&agents, "agent-ran")] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("npm"), script(mark)).unwrap();
        fs::set_permissions(folder.join("npm"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let project = world.project("name = 'x'\n");
    let ran = |mark: &str| world.dir.path().join(mark).exists();
    let mut context = world.online();
    for (path, expected) in [
        (format!("{}", agents.display()), None),
        ("./node_modules/.bin:node_modules/.bin:".to_owned(), None),
        // Control: the next folder has one that only the user can write.
        (format!("{}:{}", agents.display(), own.display()), Some("http://r.example/")),
    ] {
        context.environment = [("PATH", path.as_str())].into();
        assert_eq!(ask_npm(&context, &project).as_deref(), expected, "{path}");
        assert!(!ran("agent-ran"), "{path}");
    }
    assert!(ran("own-ran"));
}

#[test]
fn npms_word_is_remembered_only_while_nothing_that_it_comes_of_has_changed() {
    let world = World::new();
    let folder = world.dir.path().join("own");
    fs::create_dir_all(&folder).unwrap();
    let count = world.dir.path().join("count");
    let write = |word: &str| {
        let npm = folder.join("npm");
        // A new file each time, as an installer makes one.
        let _ = fs::remove_file(&npm);
        fs::write(&npm, format!("#!/bin/sh\necho x >> {}\necho {word}\n", count.display())).unwrap();
        fs::set_permissions(&npm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("http://r.example/");
    let runs = || fs::read_to_string(&count).map_or(0, |text| text.lines().count());
    let project = world.project("name = 'x'\n");
    let mut context = world.online();
    let path = format!("{}:/bin", folder.display());
    let home = world.dir.path().display().to_string();
    let variables = [("PATH", path.as_str()), ("HOME", home.as_str())];
    context.environment = variables.into();
    let asked = |context: &Context, remembered: bool, expected: &str| {
        let before = runs();
        assert_eq!(asked::registry(context, &project, remembered).as_deref(), Some(expected));
        runs() - before
    };
    assert_eq!(asked(&context, true, "http://r.example/"), 1, "nothing is remembered yet");
    assert_eq!(asked(&context, true, "http://r.example/"), 0);
    assert_eq!(asked(&context, false, "http://r.example/"), 1, "a new lock asks");
    fs::write(world.dir.path().join(".npmrc"), "fund=false\n").unwrap();
    assert_eq!(asked(&context, true, "http://r.example/"), 1, "a file of configuration");
    context.environment = [variables[0], variables[1], ("npm_config_x", "y")].into();
    assert_eq!(asked(&context, true, "http://r.example/"), 1, "a variable");
    write("http://other.example/");
    assert_eq!(asked(&context, true, "http://other.example/"), 1, "another npm");
    assert_eq!(asked(&context, true, "http://other.example/"), 0);
}

#[test]
fn a_version_without_a_date_is_too_young_unless_the_policy_says_otherwise() {
    let (world, registry) = (World::new(), registry());
    let context = world.online();
    let asked = |policy: &str| {
        let text = manifest(&registry, "") + "packages = ['undated']\n[policy]\n" + policy;
        let project = world.project(&text);
        let found = crate::build::resolve::lock(&context, &agreed(&context, &project), &Upgrade::Nothing);
        found.map(|outcome| outcome.notes).map_err(|error| told(&error))
    };
    for policy in ["", "min-age = '30d'\n", "missing-time = 'refuse'\n"] {
        let error = asked(policy).unwrap_err();
        assert!(error.contains("does not say when 1.0.0 was published"), "{policy}: {error}");
    }
    let notes = asked("min-age = '30d'\nmissing-time = 'accept'\n").unwrap();
    assert!(notes.iter().any(|note| note.contains("does not say when")), "{notes:?}");
    // No age is asked for.
    asked("min-age = '0'\n").unwrap();
}

#[test]
fn what_the_hint_says_to_add_for_a_script_can_be_pasted() {
    let (world, registry) = (World::new(), registry());
    let context = world.online();
    let text = manifest(&registry, "") + "packages = ['script']\n";
    let error = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap_err();
    assert!(error.hint().unwrap().contains("add to the manifest"));
    let block: Vec<String> = error.block().iter().map(ToString::to_string).collect();
    lock(&context, &world.project(&format!("{text}{}\n", block.join("\n"))), &Upgrade::Nothing).unwrap();
}

#[test]
fn a_published_shrinkwrap_is_followed() {
    let lib = |version: &str| Package::new("lib", version).file("lib.js", 0o644, version.as_bytes());
    let file = br#"{"lockfileVersion":3,"packages":{"node_modules/lib":{"version":"1.0.0","bin":{"lib":"lib.js"}}}}"#;
    let shrunk = |name: &str, flag: bool| {
        Package::new(name, "1.0.0")
            .field("dependencies", value!({ "lib": "^1" }))
            .field("_hasShrinkwrap", value!(flag))
            .file("npm-shrinkwrap.json", 0o644, file)
    };
    let registry = NpmRegistry::new()
        .package(lib("1.0.0"))
        .package(lib("1.1.0"))
        .package(shrunk("shrunk", true))
        // npm looks for the file where the registry says that there is one.
        .package(shrunk("unsaid", false))
        .start();
    let (world, platform) = (World::new(), Platform::ALL[0]);
    let context = world.online();
    for (name, expected) in [
        (
            "shrunk",
            &[
                "node_modules/.bin/lib 0777 npm/lib -> ../lib/lib.js",
                "node_modules/lib/lib.js 0755 npm/lib \"1.0.0\"",
            ][..],
        ),
        ("unsaid", &["node_modules/lib/lib.js 0644 npm/lib \"1.1.0\""]),
    ] {
        let project = world.project(&(manifest(&registry, "") + &format!("packages = ['{name}']\n")));
        let locked = lock(&context, &project, &Upgrade::All).unwrap();
        let tree = place::place(&context, &project, &locked, platform).unwrap().tree;
        let below = lines(&context, &tree, &format!("/usr/local/lib/node_modules/{name}/node_modules/"));
        let found: Vec<&str> = below
            .iter()
            .filter(|line| !line.contains(" directory") && !line.contains("package.json"))
            .map(|line| &line[format!("/usr/local/lib/node_modules/{name}/").len()..])
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
