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
    asks(Some(project), &wishes).iter().map(Ask::to_string).collect()
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
        "name = 'x'\n[[binary]]\nname = 'k'\nversion = '1'\nmembers = { '.' = '/k' }\n\
         url = { 'linux/amd64' = 'file:///home/me/.ssh/key-{version}' }\n",
    );
    let found = told(&project);
    let key = "fetch from `file:///home/me/.ssh/key-1` on this machine (a program; a file of this machine)";
    assert!(found.contains(&key.to_owned()), "{found:?}");
    let registry = "fetch from `https://elsewhere.example/${SECRET}/` on this machine (npm packages; the project's `.npmrc`), \
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
        ("[run.credentials]\nmine = 'file:~/.key'", vec!["take the key of mine from `file:~/.key`"]),
        (
            "[[file]]\npath = '/p'\nsource = '/etc/hostname'",
            vec!["put `/etc/hostname` into the image as `/p` (owner \"root\")"],
        ),
        (
            "[npm]\nregistry = 'https://r.example'",
            vec!["fetch from `https://r.example` on this machine (npm packages)"],
        ),
        (
            "[debian]\nsuite = 'sid'\nmirror = 'https://d.example'\nsecurity-mirror = 'https://s.example'\ncheck-valid-until = false",
            vec![
                "fetch from `https://d.example` on this machine (Debian packages)",
                "fetch from `https://s.example` on this machine (Debian security updates)",
                "take the metadata of Debian archives after its `Valid-Until`",
            ],
        ),
        // What narrows, and what only this project's own files say, is free.
        ("[run]\nnetwork = 'none'\nmemory = '1g'\ncpus = '1'\npids = 5", vec![]),
        ("[run]\nnetwork = 'proxy'", vec![]),
        ("agents = ['claude-code']", vec![]),
    ] {
        assert_eq!(told(&world.project(&format!("name = 'x'\n{text}\n"))), expected, "{text}");
    }
    // A recipe that is not built in may send keys, and reach hosts.
    let recipes = vec![Recipe::load("./mine.toml", &world.folder()).unwrap()];
    let found: Vec<String> =
        asks(None, &Wishes { recipes, ..Wishes::default() }).iter().map(Ask::to_string).collect();
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
