use pinfold_network::wire::head::RequestTarget;
use pinfold_network::wire::head::parse_request;

use super::*;

fn root() -> Folder {
    Folder::open(Path::new("/")).unwrap()
}

#[test]
fn every_built_in_recipe_reads_and_brings_its_command() {
    for (name, text) in BUILT_IN {
        let recipe = Recipe::parse(text, Path::new(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(recipe.name, *name);
        if recipe.kind == RecipeKind::Model {
            assert_eq!((&recipe.origin, recipe.run.route.is_empty()), (&Origin::Nothing, false), "{name}");
            continue;
        }
        let command = format!("/usr/local/bin/{}", recipe.command);
        let places = recipe.place.iter().map(|place| place.to.to_string());
        let mut paths = places.chain(recipe.link.iter().map(|link| link.path.to_string()));
        assert!(paths.any(|path| path == command), "{name} brings no {command}");
    }
}

#[test]
fn json_in_recipes_is_json_and_toml_is_toml() {
    for (name, text) in BUILT_IN {
        for file in Recipe::parse(text, Path::new(name)).unwrap().home {
            match file.path.rsplit('.').next() {
                Some("json") => drop(serde_json::from_str::<serde_json::Value>(&file.content).unwrap()),
                Some("toml") => drop(toml::from_str::<toml::Table>(&file.content).unwrap()),
                _ => {}
            }
        }
    }
}

#[test]
fn node_comes_only_with_gemini_and_first() {
    let manifest = |agents: &str| {
        Manifest::parse(&format!("name = 'x'\nagents = [{agents}]"), Path::new("m"), Path::new("/")).unwrap()
    };
    let names = |agents| {
        recipes(&manifest(agents), &root(), NamedBy::Project)
            .unwrap()
            .into_iter()
            .map(|r| r.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("'claude-code', 'codex-cli', 'opencode'"), ["claude-code", "codex-cli", "opencode"]);
    assert_eq!(names("'gemini-cli', 'claude-code'"), ["node", "gemini-cli", "claude-code"]);
    let versioned = manifest("{ name = 'opencode', version = '1.18.18' }");
    let recipes = recipes(&versioned, &root(), NamedBy::Project).unwrap();
    let Origin::Npm(npm) = &recipes[0].origin else { panic!("{recipes:?}") };
    assert_eq!(npm.version, "1.18.18");
}

#[test]
fn a_recipe_cannot_write_outside_the_home() {
    let text = BUILT_IN[0].1.replace(".claude.json", "../.claude.json");
    assert!(Recipe::parse(&text, Path::new("x")).is_err());
    assert!(matches!(Recipe::load("nope", Path::new("/")), Err(RecipeError::Unknown(_))));
}

/// What the agents really send is what their routes pass on, but for what the route writes itself and the dummy keys.
#[test]
fn recorded_requests_of_the_agents_pass_their_routes() {
    const DROPPED: [&str; 8] = [
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "host",
        "sec-fetch-mode",
        "x-api-key",
        "x-goog-api-key",
    ];
    let mut count = 0;
    for recorded in include_str!("recorded.txt").split("\n[").skip(1) {
        let (names, text) = recorded.split_once("]\n").unwrap();
        let (agent, provider) = names.split_once('/').unwrap();
        let agent = Recipe::load(agent, Path::new("/")).unwrap();
        let (head, _) =
            parse_request(format!("{}\r\n\r\n", text.trim_end().replace('\n', "\r\n")).as_bytes())
                .unwrap()
                .unwrap();
        let RequestTarget::Origin(target) = &head.target else { panic!("{text}") };
        let routes: Vec<_> =
            agent.run.route.iter().filter(|route| agent.route_name(route) == provider).collect();
        assert!(!routes.is_empty());
        for route in routes {
            assert_eq!(route.request.judge(&head, target, &route.paths), Ok(()), "{text}");
            for field in &head.fields {
                let dropped = DROPPED.contains(&&*field.name.to_ascii_lowercase());
                assert_eq!(route.request.passes(field, &head.fields), !dropped, "{names}: {}", field.name);
            }
        }
        count += 1;
    }
    assert_eq!(count, 9);
}

/// A recipe with nothing but what every recipe needs.
const LEAST: &str = "name = 'a'\ntitle = 'A'\ncommand = 'a'\n";
const NPM: &str = "[npm]\npackage = 'a'\nversion = '1'\n";

fn written(folder: &Path, name: &str, more: &str) {
    let text = format!("name = '{name}'\ntitle = 'T'\ncommand = '{name}'\n{more}\n{NPM}");
    fs::write(folder.join(format!("{name}.toml")), text).unwrap();
}

#[test]
fn the_least_recipe_is_an_agent_from_npm() {
    let recipe = Recipe::parse(&format!("{LEAST}{NPM}"), Path::new("a.toml")).unwrap();
    assert_eq!(recipe.kind, RecipeKind::Agent);
    assert!(matches!(&recipe.origin, Origin::Npm(npm) if npm.package == "a" && npm.version == "1"));
    assert!(!recipe.is_built_in());
    assert_eq!(recipe.component().as_str(), "agent/a");
}

#[test]
fn what_is_wrong_with_a_recipe_is_said_with_its_place_or_its_key() {
    for (text, expected) in [
        (LEAST.to_owned(), "where the program comes from is said once: by a table `[npm]`, or by `nix`"),
        (format!("{LEAST}{NPM}mirror = 'x'\n"), "unknown field `mirror`"),
        (format!("colour = 1\n{LEAST}{NPM}"), "recipe.toml:1:1"),
        (
            format!("kind = 'service'\n{LEAST}{NPM}"),
            "unknown variant `service`, expected one of `agent`, `runtime`, `model`",
        ),
        (format!("{LEAST}[npm]\npackage = 'a'\n"), "missing field `version`"),
        (format!("{LEAST}{NPM}dependencies = 'install'\n"), "unknown variant `install`"),
        (LEAST.replace("name = 'a'", "name = '../a'") + NPM, "recipe and command names are letters"),
        (LEAST.replace("command = 'a'", "command = '-rf'") + NPM, "recipe and command names are letters"),
        (LEAST.replace("command = 'a'", "command = ''") + NPM, "recipe and command names are letters"),
        (format!("{LEAST}{NPM}[[place]]\nfrom = 'x'\nto = 'bin/x'\n"), "is not absolute"),
        (format!("{LEAST}{NPM}[[place]]\nfrom = 'x'\nto = '/bin/../x'\n"), "`..`"),
        (format!("{LEAST}{NPM}[[place]]\nfrom = 'x'\nto = '/x'\nmode = '8'\n"), "octal"),
        (format!("{LEAST}{NPM}[[home]]\npath = '/etc/passwd'\ncontent = ''\n"), "below the home directory"),
        (format!("{LEAST}{NPM}[[home]]\npath = 'a//b'\ncontent = ''\n"), "below the home directory"),
        (format!("{LEAST}{NPM}[[home]]\npath = './b'\ncontent = ''\n"), "below the home directory"),
        (format!("{LEAST}{NPM}[[run.file]]\npath = 'a/../../b'\n"), "below the home directory"),
        (
            format!("{LEAST}{NPM}[[run.route]]\nupstream = 'x'\nheader = 'cookie'\npaths = []\nkey = []\n"),
            "unknown variant `cookie`",
        ),
        (
            format!("{LEAST}{NPM}platforms.'linux/riscv64' = {{ package = 'a', version = '1' }}"),
            "linux/riscv64",
        ),
        ("\u{0}".to_owned(), "recipe.toml:1:"),
    ] {
        let error = Recipe::parse(&text, Path::new("recipe.toml")).expect_err(&text);
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(expected), "{text}\ngave {error}");
    }
}

#[test]
fn recipes_that_need_each_other_in_a_circle_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), "a", "recipes = ['./b.toml']");
    written(dir.path(), "b", "recipes = ['./a.toml']");
    written(dir.path(), "c", "recipes = ['./d.toml']");
    written(dir.path(), "d", "");
    let of = |agents: &str| {
        let text = format!("name = 'x'\nagents = [{agents}]");
        let folder = Folder::open(dir.path()).unwrap();
        recipes(&Manifest::parse(&text, Path::new("m"), dir.path()).unwrap(), &folder, NamedBy::Project)
    };
    assert_eq!(of("'./a.toml'").unwrap_err().to_string(), "the recipe `a` needs itself");
    // Needed twice is no circle, and is placed once.
    let names: Vec<_> = of("'./c.toml', './d.toml'").unwrap().into_iter().map(|recipe| recipe.name).collect();
    assert_eq!(names, ["d", "c"]);
    let error = of("'./gone.toml'").unwrap_err();
    assert_eq!(error.to_string(), "cannot read the recipe of agent `./gone.toml`");
}

#[test]
fn an_unknown_agent_is_told_which_there_are_and_a_runtime_is_not_one() {
    for (name, like) in [("cloud-code", "claude-code"), ("gemini", "gemini-cli"), ("opencoed", "opencode")] {
        let error = Recipe::load(name, Path::new("/")).unwrap_err();
        assert_eq!(error.hint().unwrap(), format!("did you mean `{like}`?"));
    }
    let error = Recipe::load("aider", Path::new("/")).unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("`claude-code`") && hint.contains("./my-agent.toml"), "{hint}");
    assert!(!hint.contains("`node`"), "{hint}");
    assert_eq!(Recipe::load("node", Path::new("/")).unwrap().kind, RecipeKind::Runtime);
}

#[test]
fn members_are_named_as_each_platform_has_them() {
    // The triples are those of the Rust and clang projects, the short names npm's `process.arch`.
    for (platform, expected) in [
        ("linux/amd64", "x86_64-unknown-linux-musl/x64"),
        ("linux/arm64", "aarch64-unknown-linux-musl/arm64"),
    ] {
        let platform = platform.parse().unwrap();
        assert_eq!(Recipe::member("{musl-triple}/{npm-arch}", platform), expected);
    }
}

#[test]
fn a_copy_of_a_built_in_recipe_that_talks_elsewhere_is_not_built_in() {
    let (name, text) = BUILT_IN[0];
    assert!(Recipe::parse(text, Path::new(name)).unwrap().is_built_in());
    for (own, other) in [
        ("https://api.anthropic.com", "https://elsewhere.example"),
        // Another program that is given the same route.
        ("package = \"@anthropic-ai/claude-code\"", "package = \"another\""),
    ] {
        let changed = text.replace(own, other);
        assert_ne!(changed, text);
        assert!(!Recipe::parse(&changed, Path::new(name)).unwrap().is_built_in(), "{other}");
    }
}
