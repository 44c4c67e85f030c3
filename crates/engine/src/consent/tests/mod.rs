//! What is asked for, in words.

use std::collections::BTreeMap;

mod fields;
mod lock;

use super::*;
use crate::project::recipe::Recipe;
use crate::sources::testing::World;

/// What a project asks for before it is built and run.
fn told(project: &Project) -> Vec<String> {
    let wishes = Wishes {
        declared: project.manifest.run.clone(),
        recipes: project.recipes.clone(),
        keys: BTreeMap::new(),
    };
    asks(&Environment::default(), Some(project), &wishes).iter().map(Ask::to_string).collect()
}

#[test]
fn a_link_out_of_the_project_is_asked_for() {
    let world = World::new();
    world.write("own", "x");
    fs_err::write(world.dir.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink("../secret", world.folder().join("innocent")).unwrap();
    let project = world.project(
        "name = 'x'\n[[file]]\npath = '/a'\nsource = 'innocent'\n[[file]]\npath = '/b'\nsource = 'own'\n",
    );
    let secret = fs_err::canonicalize(world.dir.path()).unwrap().join("secret");
    assert_eq!(
        told(&project),
        [format!("put `{}` into the image as `/a` (owner \"root\")", secret.display())]
    );
}

#[test]
fn what_this_machine_would_fetch_is_asked_for() {
    let world = World::new();
    world.write(".npmrc", "registry=https://elsewhere.example/${SECRET}/\n");
    let project = world.project(
        "name = 'x'\nplatforms = ['linux/amd64']\n[[binary]]\nname = 'k'\nversion = '1'\nmembers = { '.' = '/k' }\n\
         url = { 'linux/amd64' = 'file:///home/me/.ssh/key-{version}' }\n",
    );
    let found = told(&project);
    let key = "have this machine fetch from `file:///home/me/.ssh/key-1` (a program; a file of this machine)";
    assert!(found.contains(&key.to_owned()), "{found:?}");
    let registry = "have this machine fetch from `https://elsewhere.example/${SECRET}/` (npm packages; the project's `.npmrc`), \
                    and send your variable `SECRET` there";
    assert!(found.contains(&registry.to_owned()), "{found:?}");
}

#[test]
fn every_wish_of_a_manifest_is_asked_for_in_words() {
    let world = World::new();
    let recipe = "name = 'mine'\ntitle = 'Mine'\ncommand = 'mine'\n[npm]\npackage = 'mine'\nversion = '1'\n[run]\nhosts = ['recipe.example']\n\
                  [[run.route]]\nupstream = 'https://keys.example'\nheader = 'bearer'\npaths = ['/v1']\nkey = ['MY_KEY']\nbase = ['MY_BASE']\n\
                  append-headers = { beta = 'yes' }\n";
    world.write("mine.toml", recipe);
    for (text, expected) in [
        ("[run]\nnetwork = 'host'", vec!["use the host's network"]),
        (
            "[run]\nallow = ['example.org', 'tcp:Example.COM:22']",
            vec!["reach `example.org`", "reach `tcp:Example.COM:22`"],
        ),
        ("[run]\nmounts = ['/srv:/data:rw']", vec!["mount `/srv:/data:rw`"]),
        ("[run]\npass-env = ['TOKEN']", vec!["pass in the variable `TOKEN`"]),
        ("[run]\npids = 1000000", vec!["have 1000000 processes at once"]),
        ("[run]\nnix-store = 'shared'", vec!["write to a Nix store that all sandboxes of the image share"]),
        (
            "[run.credentials]\nclaude-code = 'file:~/.key'",
            vec!["take the key of claude-code from `file:~/.key`"],
        ),
        (
            "[[file]]\npath = '/p'\nsource = '/etc/hostname'",
            vec!["put `/etc/hostname` into the image as `/p` (owner \"root\")"],
        ),
        (
            "[npm]\nregistry = 'https://r.example'",
            vec!["have this machine fetch from `https://r.example` (npm packages)"],
        ),
        (
            "[debian]\nsuite = 'sid'\nmirror = 'https://d.example'\nsecurity-mirror = 'https://s.example'\ncheck-valid-until = false",
            vec![
                "have this machine fetch from `https://d.example` (Debian packages)",
                "have this machine fetch from `https://s.example` (Debian security updates)",
                "take the metadata of Debian archives after its `Valid-Until`",
            ],
        ),
        // What narrows, and what only this project's own files say, is free.
        ("[run]\nnetwork = 'none'\nmemory = '1g'\ncpus = '1'\npids = 5", vec![]),
        ("[run]\nnetwork = 'proxy'", vec![]),
        ("[run]\nnix-store = 'private'", vec![]),
        ("[run]\nnix-store = 'read-only'", vec![]),
        ("agents = ['claude-code']", vec![]),
    ] {
        assert_eq!(told(&world.project(&format!("name = 'x'\n{text}\n"))), expected, "{text}");
    }
    // A recipe that is not built in may send keys, and reach hosts.
    let recipes = vec![Recipe::load("./mine.toml", &world.folder()).unwrap()];
    let found: Vec<String> = asks(&Environment::default(), None, &Wishes { recipes, ..Wishes::default() })
        .iter()
        .map(Ask::to_string)
        .collect();
    let [host, route] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(host, "reach `recipe.example`");
    let route = route.split_once("; SHA-256 ").unwrap().0;
    assert_eq!(
        route,
        "send the key in MY_KEY to https://keys.example, or to MY_BASE (recipe mine): header \"bearer\", paths [\"/v1\"], \
         request {\"methods\":[\"GET\",\"HEAD\",\"POST\"],\"headers\":[],\"query\":[],\"escapes\":[],\"types\":[\"application/json\"]}, \
         append-headers {\"beta\":\"yes\"}"
    );
}

#[test]
fn a_wish_cannot_hide_another() {
    let shown = Ask::Reach("a\u{1b}[1A\u{1b}[2K\n\u{202e}b".into()).to_string();
    assert_eq!(shown, "reach `a\\x1b[1A\\x1b[2K\\n\\u{202e}b`");
}

/// What is fetched from where the machine fetches anyway needs no word, however the project spells it.
#[test]
fn the_machines_own_registries_and_mirrors_are_not_asked_about() {
    let world = World::new();
    let me = world.dir.path().join("me");
    fs_err::create_dir(&me).unwrap();
    fs_err::write(me.join(".npmrc"), "registry=https://npm.example/r/\n@s:registry=https://scope.example\n")
        .unwrap();
    let environment = Environment::from([
        ("HOME", me.as_os_str()),
        ("PINFOLD_DEBIAN_MIRROR", "https://deb.example/debian".as_ref()),
        ("PINFOLD_DEBIAN_SECURITY_MIRROR", "http://deb.example:8080/security/".as_ref()),
    ]);
    let count = |environment: &Environment, npmrc: &str, manifest: &str| {
        world.write(".npmrc", npmrc);
        let project = world.project(&format!("name = 'x'\n{manifest}\n"));
        asks(environment, Some(&project), &Wishes::default()).len()
    };
    let debian = |key: &str, address: &str| {
        format!("[debian]\nsuites = ['sample', 'sample-security']\n{key} = '{address}'")
    };
    for (address, asked) in [
        ("https://npm.example/r/", 0),
        ("https://npm.example/r", 0),
        ("HTTPS://NPM.Example:443/r", 0),
        ("https://npm.example/R/", 1),
        ("https://npm.example/", 1),
        ("https://npm.example/r/more/", 1),
        ("https://npm.example:444/r/", 1),
        ("http://npm.example/r/", 1),
        ("https://npm.example.other.example/r/", 1),
        ("https://other.example/r/", 1),
        ("https://scope.example/", 1),
        ("https://u:p@npm.example/r/", 1),
        ("https://npm.example/r/?x=1", 1),
    ] {
        assert_eq!(count(&environment, "", &format!("[npm]\nregistry = '{address}'")), asked, "{address}");
        assert_eq!(count(&environment, &format!("registry={address}\n"), ""), asked, "{address}");
        assert_eq!(count(&environment, &format!("@t:registry={address}\n"), ""), asked, "{address}");
    }
    for (npmrc, asked) in [
        ("@s:registry=https://SCOPE.example:443/", 0),
        // Packages of the machine's own scope from the registry of all: another place for them.
        ("@s:registry=https://npm.example/r/", 1),
        ("registry=https://npm.example/${HOME}", 1),
        ("//npm.example/r/:_authToken=x", 1),
        ("//npm.example/r/:registry=https://npm.example/r/", 1),
    ] {
        assert_eq!(count(&environment, npmrc, ""), asked, "{npmrc}");
    }
    for (key, address, asked) in [
        ("mirror", "https://deb.example/debian/", 0),
        ("mirror", "https://DEB.example:443/debian", 0),
        ("mirror", "https://deb.example/debian-security", 1),
        ("mirror", "https://other.example/debian", 1),
        ("mirror", "http://deb.example:8080/security", 1),
        ("mirror", "https://u:p@deb.example/debian", 1),
        ("security-mirror", "http://deb.example:8080/security", 0),
        ("security-mirror", "https://deb.example/debian", 1),
        ("snapshot", "https://deb.example/debian", 1),
    ] {
        assert_eq!(count(&environment, "", &debian(key, address)), asked, "{key} {address}");
    }
    // What lies in the project is no machine's, by whatever name it is reached.
    world.write("machine", "registry=https://own.example/\n");
    let link = world.dir.path().join("link");
    std::os::unix::fs::symlink(world.folder().join("machine"), &link).unwrap();
    let said = "registry=https://own.example/\n";
    for file in [world.folder().join("machine"), link] {
        let environment = Environment::from([("npm_config_userconfig", file.as_os_str())]);
        assert_eq!(count(&environment, said, ""), 1, "{}", file.display());
    }
    assert_eq!(count(&Environment::from([("HOME", world.folder().as_os_str())]), said, ""), 1);
    assert_eq!(count(&Environment::from([("npm_config_registry", "https://own.example")]), said, ""), 0);
}
