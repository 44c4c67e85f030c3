//! An agent whose program is in the store, with the binary cache of `testkit`.

use pinfold_base::Diagnose as _;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_testkit::nix;

use super::*;
use crate::build;
use crate::build::LockUse;
use crate::build::place;
use crate::project::Project;
use crate::sources::Upgrade;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::lines;
use crate::sources::testing::lock;
use crate::sources::testing::told;

/// What an agent called `greeter` is, but for where its program comes from.
const RECIPE: &str = "name = 'greeter'\ntitle = 'Greeter'\ncommand = 'hello'\nrecipes = ['node']\ndebian = ['git']\n\
    home = [{ path = '.greeter', content = 'loud' }]\n[env]\nGREETER = 'on'\n";
const NPM: &str = "[npm]\npackage = 'greeter'\nversion = '1'\n";

fn manifest(agent: &str, rest: &str, cache: &str) -> String {
    let key = nix::public_key();
    format!(
        "name = 'x'\nplatforms = ['linux/amd64']\nagents = [{agent}]\n[user]\nname = 'u'\nuid = 1000\ngid = 1000\n\
         home = '/home/u'\n[nix]\n{rest}\ncaches = [{{ url = '{cache}', keys = ['{}'] }}]\n",
        key.trim()
    )
}

fn from(root: &str) -> String {
    format!("{{ name = './greeter.toml', nix = '{}' }}", nix::root(root).path)
}

#[test]
fn a_program_of_the_store_is_an_agent_like_any_other() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    world.write("greeter.toml", &format!("{RECIPE}{NPM}"));
    let project = world.project(&manifest(&from("hello"), "", &server.url("")));
    // What it runs on comes with it.
    assert_eq!(project.recipes.len(), 1);
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    assert!(first.agents.is_empty() && first.npm.is_empty());
    let [root] = &first.nix[&Platform::ALL[0]].roots[..] else { panic!("{first:?}") };
    assert_eq!((root.name.as_deref(), root.agent.as_deref()), (Some("greeter"), Some("greeter")));
    assert_eq!(versions(&project, &first, Platform::ALL[0]), [("greeter", "1.0".to_owned())].into());

    let placed = place::place(&context, &project, &first, Platform::ALL[0]).unwrap();
    let hello = nix::root("hello").path;
    assert_eq!(
        lines(&context, &placed.tree, "/usr/local/bin/"),
        [format!("/usr/local/bin/hello 0777 agent/greeter -> {hello}/bin/hello")]
    );
    assert_eq!(lines(&context, &placed.tree, "/home/u/.greeter").len(), 1);
    assert_eq!(
        lines(&context, &placed.tree, "/nix/var/nix/gcroots/image/"),
        [format!("/nix/var/nix/gcroots/image/greeter 0777 generated/nix -> {hello}")]
    );
    // Nothing else of it is on PATH.
    assert!(!placed.tree.contains(&ImagePath::new("nix/profile/bin").unwrap()));

    build::build(&context, &agreed(&context, &project), &build::Options::new(LockUse::Locked)).unwrap();
    let store = ImageStore::open(context.home.data()).unwrap();
    let image = ImageSource::from_store(&store, &"x:latest".parse().unwrap()).unwrap();
    let image = image.image(Platform::ALL[0]).unwrap();
    let config = image.config.value().config.clone().unwrap();
    assert_eq!(config.labels["dev.pinfold.agent.greeter"], "1.0");
    assert!(
        config.env.contains(&"GREETER=on".to_owned()) && !config.env[0].contains("/nix/"),
        "{:?}",
        config.env
    );
    let told = placed.tree.content(&ImagePath::new("usr/share/pinfold/image.json").unwrap()).unwrap();
    let told = pinfold_archive::Contents::read(&context.decoded, told, 1 << 20).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("/usr/local/bin/hello") && told.contains("agent/greeter"), "{told}");

    // The same in the recipe itself; and a root of one's own beside it has its commands.
    let recipe = RECIPE.replace("recipes = ['node']\n", "");
    world.write("greeter.toml", &format!("nix = '{hello}'\n{recipe}"));
    let roots = format!("roots = ['{}']", nix::root("greet").path);
    let project = world.project(&manifest("'./greeter.toml'", &roots, &server.url("")));
    let second = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let placed = place::place(&context, &project, &second, Platform::ALL[0]).unwrap();
    assert_eq!(lines(&context, &placed.tree, "/usr/local/bin/").len(), 1);
    assert_eq!(
        lines(&context, &placed.tree, "/nix/profile/bin"),
        [format!("/nix/profile/bin 0777 generated/nix -> {}/bin", nix::root("greet").path)]
    );
}

#[test]
fn an_agent_is_asked_for_by_name_and_moves_by_its_own() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    world.write("greeter.toml", &format!("{RECIPE}{NPM}"));
    let answer = |root: &str| {
        let outputs = serde_json::json!({ "outputs": { "out": nix::root(root).path }, "default": ["out"] });
        let names = serde_json::json!({ "greeter": outputs });
        serde_json::json!({ "pkgs": { "revision": "0123", "systems": { "x86_64-linux": names } } })
            .to_string()
    };
    world.write("nix.json", &answer("hello"));
    let agent = "{ name = './greeter.toml', nix = 'pkgs#greeter' }";
    // The same package as a root of one's own is another root.
    let rest = "roots = ['pkgs#greeter']\nresolution = 'nix.json'";
    let text = manifest(agent, rest, &server.url(""));
    let first = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap();
    let told_roots = |lock: &Lock| -> Vec<String> {
        let line = |root: &LockedRoot| format!("{:?} {:?} {}", root.name, root.agent, root.path.name());
        lock.nix[&Platform::ALL[0]].roots.iter().map(line).collect()
    };
    let both = [
        "None None tiny-hello-1.0".to_owned(),
        "Some(\"greeter\") Some(\"greeter\") tiny-hello-1.0".to_owned(),
    ];
    assert_eq!(told_roots(&first), both);
    let only = |name: &str| Upgrade::Only(vec![name.to_owned()]);
    let project = world.project(&text);
    assert_eq!(only("hello").among(&project, Some(&first)).unwrap(), only("agent/greeter"));
    assert_eq!(told_roots(&lock(&context, &project, &only("agent/greeter")).unwrap()), both);
}

#[test]
fn what_is_no_agent_is_refused() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    let refused = |recipe: &str, agent: &str, rest: &str| {
        world.write("greeter.toml", recipe);
        world.write("pinfold.toml", &manifest(agent, rest, &server.url("")));
        let error = match Project::discover(&world.folder()) {
            Ok(project) => {
                let error = lock(&context, &project, &Upgrade::Nothing).unwrap_err();
                assert_eq!(error.kind(), Kind::Usage);
                format!("{} | {}", told(&error), error.hint().unwrap_or_default())
            }
            Err(error) => told(&error),
        };
        error.lines().last().unwrap_or_default().to_owned() + &error
    };
    let whole = format!("{RECIPE}{NPM}");
    let hello = nix::root("hello").path;
    for (recipe, agent, rest, expected) in [
        (
            &whole,
            &from("lib"),
            "",
            "`greeter` has no program `bin/hello` among the store paths that it is taken from (`/nix/store/",
        ),
        (&whole, &from("text"), "", "name the package that has it in `nix`"),
        (
            &whole,
            &format!("{{ name = './greeter.toml', nix = '{hello}', version = '1' }}"),
            "",
            "beside `name` stands either `version`, or `nix`",
        ),
        (&whole, &"{ name = './greeter.toml' }".to_owned(), "", "beside `name` stands either"),
        (
            &whole,
            &format!("{{ name = './greeter.toml', nix = {{ \"linux/arm64\" = '{hello}' }} }}"),
            "",
            "has no store path for linux/amd64",
        ),
        (&whole, &"{ name = './greeter.toml', nix = 'hello' }".to_owned(), "", "agents"),
        (&RECIPE.to_owned(), &from("hello"), "", "where the program comes from is said once"),
        (&format!("nix = '{hello}'\n{whole}"), &"'./greeter.toml'".to_owned(), "", "is said once"),
        (
            &format!("nix = '{hello}'\n{RECIPE}"),
            &"{ name = './greeter.toml', version = '2' }".to_owned(),
            "",
            "a version `2` of a store path cannot be chosen",
        ),
        (&whole, &from("hello"), "resolution = 'nix.json'", "it is for roots that are names of packages"),
    ] {
        let said = refused(recipe, agent, rest);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
