//! Names from a file, and from the Nix of this machine where it has one, with the fixture's flake.
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]
#![expect(clippy::disallowed_methods, reason = "the documented command is run as people run it")]

use std::path::Path;

use pinfold_base::Diagnose as _;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_testkit::nix;
use serde_json::Value;
use serde_json::json;

use super::super::section::RootPaths;
use super::*;
use crate::context::Context;
use crate::context::Environment;
use crate::sources::Source as _;
use crate::sources::Trust;
use crate::sources::Upgrade;
use crate::sources::nix::Nix as NixSource;
use crate::sources::testing::World;
use crate::sources::testing::lock;
use crate::sources::testing::told;

fn manifest(roots: &str, rest: &str, cache: &str) -> String {
    let key = nix::public_key();
    format!(
        "name = 'x'\nplatforms = ['linux/amd64']\n[nix]\nroots = [{roots}]\n{rest}\ncaches = [{{ url = '{cache}', keys = ['{}'] }}]\n",
        key.trim()
    )
}

/// What Nix 2.8 says of some names of the fixture's flake, under another name for it.
fn answer() -> Value {
    let path = |name: &str| nix::root(name).path;
    let dev = path("dev");
    let out =
        nix::root("dev").references.iter().find(|path| path.ends_with("tiny-multi-1.0")).unwrap().clone();
    json!({ "pkgs": { "revision": "0123abcd", "systems": { "x86_64-linux": {
        "hello": { "outputs": { "out": path("hello") }, "default": ["out"] },
        "multi": { "outputs": { "out": out, "dev": dev }, "default": ["out"] },
        "both": { "outputs": { "out": out, "dev": dev }, "default": ["out", "dev"] },
        "nested.greet": { "outputs": { "out": path("greet") }, "default": ["out"] },
        "unfree": { "refused": "unfree" },
        "broken": { "refused": "failed" },
        "text": { "refused": "other" },
        "nothing": { "refused": "missing" },
    } } } })
}

/// Roots of a lock as `NAME ATTRIBUTE OUTPUT PATH`.
fn told_roots(roots: &[LockedRoot]) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let line = |root: &LockedRoot| {
        format!("{} {} {} {}", text(&root.name), text(&root.attribute), text(&root.output), root.path.name())
    };
    roots.iter().map(line).collect()
}

#[test]
fn a_file_says_what_names_are() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    let file = "resolution = 'nix.json'";
    world.write("nix.json", &answer().to_string());
    let hello = nix::root("text").path;
    let roots =
        format!("'pkgs#both', 'pkgs#multi^dev', {{ package = 'pkgs#hello', name = 'hi' }}, '{hello}'");
    let project = world.project(&manifest(&roots, file, &server.url("")));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let locked = &first.nix[&Platform::ALL[0]];
    assert_eq!(
        told_roots(&locked.roots),
        [
            "- pkgs#both out tiny-multi-1.0",
            "- pkgs#both dev tiny-multi-1.0-dev",
            "- pkgs#multi^dev dev tiny-multi-1.0-dev",
            "hi pkgs#hello out tiny-hello-1.0",
            "- - - tiny-text",
        ]
    );
    assert_eq!(locked.roots[0].revision.as_deref(), Some("0123abcd"));
    assert_eq!(locked.roots[0].system, "x86_64-linux");
    assert_eq!(
        titles(&locked.roots).keys().copied().collect::<Vec<_>>(),
        ["hi", "tiny-multi-1.0", "tiny-multi-1.0-dev", "tiny-text"]
    );
    assert!(crate::sources::nix::Nix.names(&project).contains(&"multi".to_owned()));

    // Another answer is another request, and what it says counts.
    let asked = server.requests().len();
    assert_eq!(lock(&context, &project, &Upgrade::Nothing).unwrap(), first);
    assert_eq!(server.requests().len(), asked);
    let mut other = answer();
    other["pkgs"]["systems"]["x86_64-linux"]["hello"] =
        other["pkgs"]["systems"]["x86_64-linux"]["nested.greet"].clone();
    world.write("nix.json", &other.to_string());
    let moved = lock(&context, &project, &Upgrade::Nothing).unwrap();
    assert_eq!(moved.nix[&Platform::ALL[0]].roots[3].path.name(), "tiny-greet-1.0");
}

/// A file of the user's stands for the Nix of this machine: it answers every project, and moves nothing that is locked.
#[test]
fn a_file_of_the_user_says_what_names_are() {
    let (world, server) = (World::new(), nix::serve());
    let folder = world.dir.path().join("home/config");
    fs_err::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        fs_err::write(folder.join(name), text).unwrap();
        fs_err::set_permissions(folder.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .unwrap();
    };
    write("config.toml", "[nix]\nresolution = 'nix.json'\n");
    write("nix.json", &answer().to_string());
    let project = world.project(&manifest("'pkgs#hello'", "", &server.url("")));
    let first = lock(&world.online(), &project, &Upgrade::Nothing).unwrap();
    assert_eq!(told_roots(&first.nix[&Platform::ALL[0]].roots), ["- pkgs#hello out tiny-hello-1.0"]);

    let mut other = answer();
    let names = &mut other["pkgs"]["systems"]["x86_64-linux"];
    names["hello"] = names["nested.greet"].clone();
    write("nix.json", &other.to_string());
    let roots = |upgrade| {
        let project = world.project(&manifest("'pkgs#hello'", "", &server.url("")));
        told_roots(&lock(&world.online(), &project, &upgrade).unwrap().nix[&Platform::ALL[0]].roots)
    };
    assert_eq!(roots(Upgrade::Nothing), ["- pkgs#hello out tiny-hello-1.0"]);
    assert_eq!(roots(Upgrade::All), ["- pkgs#hello out tiny-greet-1.0"]);
    write("nix.json", &answer().to_string());
    let as_written = Upgrade::Only(vec!["pkgs#hello".to_owned()]);
    assert_eq!(roots(as_written), ["- pkgs#hello out tiny-hello-1.0"]);

    write("nix.json", "{}");
    let project = world.project(&manifest("'pkgs#multi'", "", &server.url("")));
    let error = lock(&world.online(), &project, &Upgrade::Nothing).unwrap_err();
    assert!(told(&error).contains("config/nix.json` has nothing for `pkgs#multi`"), "{}", told(&error));
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("name one of this project in `resolution`"), "{hint}");
    // What others can write to decides nothing.
    fs_err::set_permissions(folder.join("nix.json"), std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .unwrap();
    let error = lock(&world.online(), &project, &Upgrade::Nothing).unwrap_err();
    assert!(told(&error).contains("can be written"), "{}", told(&error));
}

#[test]
fn the_command_for_another_machine_asks_for_every_name_and_system() {
    let text = "name = 'x'\nplatforms = ['linux/amd64', 'linux/arm64']\n[nix]\nroots = ['nixpkgs#hello', 'other#a.b', 'nixpkgs#it^dev']\n";
    let world = World::new();
    let printed = command(&world.project(text)).unwrap();
    assert_eq!(printed.lines().count(), 1);
    for part in [
        "\"nixpkgs\" (builtins.getFlake \"nixpkgs\") [ \"x86_64-linux\" \"aarch64-linux\" ] [ \"hello\" \"it\" ] // (called:",
        "\"other\" (builtins.getFlake \"other\") [ \"x86_64-linux\" \"aarch64-linux\" ] [ \"a.b\" ]' > nix.json",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let none = world.project("name = 'x'\nplatforms = ['linux/amd64']\n");
    assert!(command(&none).unwrap_err().to_string().contains("nothing that Nix is asked"));
}

#[test]
fn what_a_file_does_not_say_is_refused() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    let fail = |roots: &str, platform: &str, file: &str| {
        world.write("nix.json", file);
        let text =
            manifest(roots, "resolution = 'nix.json'", &server.url("")).replace("linux/amd64", platform);
        let error = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        (told(&error), error.hint().unwrap_or_default())
    };
    let said = answer().to_string();
    for (roots, platform, expected, hint) in [
        (
            "'pkgs#hello'",
            "linux/arm64",
            "the resolution file `nix.json` has nothing for `pkgs#hello` on aarch64-linux; it has it for x86_64-linux",
            "with all names and systems",
        ),
        ("'nixpkgs#hello'", "linux/amd64", "has nothing for `nixpkgs#hello`", "with all names"),
        ("'pkgs#unfree'", "linux/amd64", "`pkgs#unfree` is unfree", "Unfree packages"),
        ("'pkgs#broken'", "linux/amd64", "refuses to evaluate `pkgs#broken`", "says why"),
        ("'pkgs#text'", "linux/amd64", "`pkgs#text` is no package", ""),
        ("'pkgs#nothing'", "linux/amd64", "has no package `nothing` for x86_64-linux", "another name"),
        ("'pkgs#multi^man'", "linux/amd64", "has no output `man`; it has `dev`, `out`", ""),
    ] {
        let (error, told) = fail(roots, platform, &said);
        assert!(error.contains(expected) && told.contains(hint), "{roots}: {error}; {told}");
    }
    let (error, hint) = fail("'pkgs#hello'", "linux/amd64", "{\"pkgs\": 1}");
    assert!(error.contains("it is not what Nix answers") && hint.contains("make the file again"), "{error}");
    fs_err::remove_file(world.folder().join("nix.json")).unwrap();
    let text = manifest("'pkgs#hello'", "resolution = 'nix.json'", &server.url(""));
    let error = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap_err();
    assert!(told(&error).contains("cannot read the resolution file `nix.json`"), "{}", told(&error));
    // Without a file and without Nix, both ways are told.
    let text = manifest("'pkgs#hello'", "", &server.url(""));
    let error = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap_err();
    let hint = error.hint().unwrap_or_default();
    assert!(told(&error).contains("there is no `nix` on PATH"), "{}", told(&error));
    let config = world.dir.path().join("home/config/config.toml").display().to_string();
    assert!(hint.contains(&config), "{hint}");
    assert!(hint.contains("install Nix") && hint.contains("`resolution`"), "{}; {hint}", told(&error));
}

#[test]
fn flakes_but_those_of_the_machine_need_the_users_word() {
    let world = World::new();
    let trusts = |roots: &str, rest: &str| {
        let text = format!("name = 'x'\nplatforms = ['linux/amd64']\n[nix]\nroots = [{roots}]\n{rest}\n");
        NixSource.trusts(&world.project(&text), &Environment::default())
    };
    let roots = "'nixpkgs#a', './tools#b', 'github:owner/name#c', './tools#d'";
    assert_eq!(trusts(roots, ""), [Trust::Flake("./tools".into()), Trust::Flake("github:owner/name".into())]);
    world.write("nix.json", "{}");
    assert_eq!(trusts(roots, "resolution = 'nix.json'"), []);
}

/// A machine with Nix; `None` where this one has none.
fn with_nix(world: &World) -> Option<Context> {
    let path = std::env::var("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("nix").exists()) {
        println!("skip: nix-bin is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return None;
    }
    let mut context = world.online();
    let home = world.dir.path().join("nix-home").display().to_string();
    let store = format!("local?root={}", world.dir.path().join("nix-store").display());
    context.environment = Environment::from([
        ("PATH", path),
        ("HOME", home.clone()),
        ("NIX_REMOTE", store),
        ("NIX_CONF_DIR", home.clone()),
        ("NIX_USER_CONF_FILES", home),
    ]);
    Some(context)
}

fn copied(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copied(&entry.path(), &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs_err::read_link(entry.path()).unwrap(), to).unwrap();
        } else {
            fs_err::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn the_nix_of_this_machine_says_what_names_are() {
    let (world, server) = (World::new(), nix::serve());
    let Some(context) = with_nix(&world) else { return };
    copied(&nix::flake(), &world.folder().join("tools"));
    let roots = "'./tools#hello', { package = './tools#both', name = 'm' }, './tools#nested.greet', './tools#multi^dev'";
    let project = world.project(&manifest(roots, "", &server.url("")));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let of = |lock: &crate::project::lock::Lock| told_roots(&lock.nix[&Platform::ALL[0]].roots);
    assert_eq!(
        of(&first),
        [
            "- ./tools#hello out tiny-hello-1.0",
            "m ./tools#both out tiny-multi-1.0",
            "m-dev ./tools#both dev tiny-multi-1.0-dev",
            "- ./tools#nested.greet out tiny-greet-1.0",
            "- ./tools#multi^dev dev tiny-multi-1.0-dev",
        ]
    );
    assert_eq!(first.nix[&Platform::ALL[0]].roots[0].path.to_string(), nix::root("hello").path);
    assert!(!world.folder().join("tools/flake.lock").exists(), "nothing is written into the project");

    // A name that is locked stays what it was, another is asked for; an upgrade moves it.
    let flake = world.folder().join("tools/flake.nix");
    let text = fs_err::read_to_string(&flake).unwrap();
    fs_err::write(&flake, text.replace("nested.greet = all.greet", "nested.greet = all.env")).unwrap();
    let more = world.project(&manifest(&format!("{roots}, './tools#odd'"), "", &server.url("")));
    let second = lock(&context, &more, &Upgrade::Nothing).unwrap();
    assert_eq!(of(&second)[..5], of(&first)[..]);
    assert_eq!(of(&second)[5], "- ./tools#odd out tiny-odd-1.0");
    let third = lock(&context, &more, &Upgrade::Only(vec!["greet".into()])).unwrap();
    assert_eq!(of(&third)[3], "- ./tools#nested.greet out tiny-env");

    for (roots, expected) in [
        ("'./tools#unfree'", "`./tools#unfree` is unfree"),
        ("'./tools#broken'", "refuses to evaluate `./tools#broken`"),
        ("'./tools#nothing'", "has no package `nothing` for x86_64-linux"),
        ("'./none#hello'", "none"),
    ] {
        let text = manifest(roots, "", &server.url(""));
        let error = lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap_err();
        assert!(told(&error).contains(expected), "{roots}: {}", told(&error));
    }
}

#[test]
fn names_that_were_locked_at_other_revisions_are_told_and_one_package_may_be_two_roots() {
    let (world, server) = (World::new(), nix::serve());
    let context = world.online();
    let answered = |revision: &str| {
        let mut said = answer();
        said["pkgs"]["revision"] = revision.into();
        said
    };
    world.write("nix.json", &answered("0123456789abcdef").to_string());
    let twice = "{ package = 'pkgs#hello', name = 'a' }, { package = 'pkgs#hello', name = 'b' }";
    let resolution = "resolution = 'nix.json'";
    let project = world.project(&manifest(twice, resolution, &server.url("")));
    let first = lock(&context, &project, &Upgrade::Nothing).unwrap();
    let locked = &first.nix[&Platform::ALL[0]];
    assert_eq!(
        told_roots(&locked.roots),
        ["a pkgs#hello out tiny-hello-1.0", "b pkgs#hello out tiny-hello-1.0"]
    );
    for (package, roots) in [("pkgs#hello", 1), ("pkgs#multi", 0)] {
        let wanted = Root { name: None, agent: None, paths: RootPaths::Package(package.parse().unwrap()) };
        assert_eq!(known(&locked.roots, &wanted).count(), roots, "{package}");
    }

    assert_eq!(apart([locked]), Vec::<String>::new());
    let mut other = locked.clone();
    for (root, name) in other.roots.iter_mut().zip(["pkgs#x", "more#x"]) {
        root.attribute = Some(name.to_owned());
        root.revision = Some("fedc\u{1b}[31m".to_owned());
    }
    let [note] = &apart([locked, &other])[..] else { panic!() };
    assert_eq!(
        note,
        "names of `pkgs` are locked at several of its revisions, which may be two versions of what they share: `hello` at \
         0123456789ab; `x` at fedc\\x1b[31m; `pinfold lock --upgrade` brings them together"
    );
}

/// A flake that an agent writes reads nothing of the machine and starts nothing.
#[test]
fn a_flake_of_the_project_is_evaluated_and_no_more() {
    let (world, server) = (World::new(), nix::serve());
    let Some(context) = with_nix(&world) else { return };
    let secret = world.dir.path().join("secret");
    fs_err::write(&secret, "secret").unwrap();
    let hello = "(derivation { name = \"a\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; })";
    for (body, expected) in [
        (format!("builtins.seq (builtins.readFile {}) {hello}", secret.display()), "forbidden in pure eval"),
        (format!("builtins.seq (builtins.readFile {hello}) {hello}"), "allow-import-from-derivation"),
        ("throw (\"HOME is \" + builtins.getEnv \"HOME\")".to_owned(), "HOME is"),
    ] {
        let text = format!("{{ outputs = _: {{ packages.x86_64-linux.x = {body}; }}; }}");
        world.write("tools/flake.nix", &text);
        let text = manifest("'./tools#x'", "", &server.url(""));
        let error = told(&lock(&context, &world.project(&text), &Upgrade::Nothing).unwrap_err());
        assert!(error.contains(expected) && !error.contains("nix-home"), "{body}: {error}");
    }
}

/// The command that `docs/nix.md` shows.
fn documented() -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/nix.md");
    let docs = fs_err::read_to_string(docs).unwrap();
    let lines = docs.lines().skip_while(|line| !line.starts_with("    nix --extra-experimental-features"));
    let mut command = String::new();
    for line in lines {
        command += line.strip_prefix("    ").unwrap_or(line);
        command.push('\n');
        if line.ends_with("> nix.json") {
            break;
        }
    }
    command
}

#[test]
fn the_documented_command_evaluates_what_is_evaluated_here() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let systems = Platform::ALL.map(locked::system);
    let nixpkgs = Flake::Registered("nixpkgs".into());
    let expression = flake::expression(&nixpkgs, "nixpkgs", &systems, &BTreeSet::from(["ripgrep", "hello"]));
    let documented = words(&documented()).replace("[ \"ripgrep\" \"hello\" ]", "[ \"hello\" \"ripgrep\" ]");
    assert!(documented.contains(&words(&expression)), "{documented}\n{expression}");
}

#[test]
fn the_file_of_the_documented_command_is_an_answer() {
    let (world, server) = (World::new(), nix::serve());
    let Some(context) = with_nix(&world) else { return };
    let project = world.folder();
    fs_err::create_dir_all(&project).unwrap();
    let flake = fs_err::canonicalize(nix::flake()).unwrap();
    let command = documented()
        .replace(
            "(builtins.getFlake \"nixpkgs\")",
            &format!("(builtins.getFlake \"path:{}\")", flake.display()),
        )
        .replace("\"ripgrep\" \"hello\"", "\"both\" \"hello\"");
    let output = std::process::Command::new("bash")
        .args(["-euc", &command])
        .current_dir(&project)
        .env_clear()
        .envs(context.environment.all())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = manifest("'nixpkgs#both', 'nixpkgs#hello'", "resolution = 'nix.json'", &server.url(""));
    let locked = lock(&world.online(), &world.project(&text), &Upgrade::Nothing).unwrap();
    assert_eq!(
        told_roots(&locked.nix[&Platform::ALL[0]].roots),
        [
            "- nixpkgs#both out tiny-multi-1.0",
            "- nixpkgs#both dev tiny-multi-1.0-dev",
            "- nixpkgs#hello out tiny-hello-1.0",
        ]
    );
    // The other system's answer is there, and is refused by what it is: no cache has it.
    let arm = world.project(&text.replace("amd64", "arm64").replace("'nixpkgs#both', ", ""));
    let error = told(&lock(&world.online(), &arm, &Upgrade::Nothing).unwrap_err());
    assert!(error.contains("tiny-hello-1.0") && error.contains("no place has"), "{error}");
}
