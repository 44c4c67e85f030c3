//! Workspaces as git, editors and agents leave them, and what of them is protected.

use std::os::unix::fs::symlink;

use super::known::NAMES;
use super::*;

mod said;
mod ways;

/// A workspace with files (a directory where the name ends in `/`).
struct Work {
    _dir: tempfile::TempDir,
    base: PathBuf,
}

impl Work {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for (name, text) in files {
            let path = base.join(name);
            fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
            if !name.ends_with('/') {
                fs::write(path, text.replace("BASE", base.to_str().unwrap())).unwrap();
            }
        }
        Self { _dir: dir, base }
    }

    fn environment(&self) -> Environment {
        let home = self.base.join("home").display().to_string();
        [("HOME", home.as_str())].into_iter().collect()
    }

    fn of(&self, workspace: &str, wanted: &Wanted<'_>) -> Result<Protection, RunError> {
        Protection::of(&self.base.join(workspace), &[], &self.environment(), wanted)
    }

    /// What is protected beyond the names at the top of a workspace.
    fn beyond_names(&self, workspace: &str) -> Vec<String> {
        let usual: Vec<String> =
            names(&[]).into_iter().map(|name| format!("{workspace}/{}", name.path)).collect();
        let all = self.of(workspace, &Wanted::default()).unwrap();
        let relative = |path: &PathBuf| path.strip_prefix(&self.base).unwrap().display().to_string();
        all.paths.keys().map(relative).filter(|path| !usual.contains(path)).collect()
    }
}

const REPOSITORY: [(&str, &str); 4] = [
    ("w/.git/HEAD", "ref: refs/heads/main\n"),
    ("w/.git/config", "[core]\n"),
    ("w/.git/objects/", ""),
    ("w/.git/refs/", ""),
];

fn repository(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    REPOSITORY.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_repository_keeps_what_git_obeys() {
    let plain = ["w/.git/commondir", "w/.git/config", "w/.git/hooks", "w/commondir", "w/refs"];
    let with = |more: &[&str]| {
        let mut all: Vec<String> = plain.iter().chain(more).map(|path| (*path).to_owned()).collect();
        all.sort_by(|a, b| Path::new(a).cmp(Path::new(b)));
        all
    };
    for (files, more) in [
        (&[][..], &[][..]),
        (&[("w/.git/config", "[core]\nhooksPath = .githooks\n")], &["w/.githooks"]),
        // What calls the scripts is made by husky, the scripts are beside it.
        (&[("w/.git/config", "[core]\nhooksPath = .husky/_\n")], &["w/.husky"]),
        (&[("w/.git/config", "[core]\nhooksPath = ../outside\n")], &[]),
        (&[("home/.gitconfig", "[core]\nhooksPath = hooks\n")], &["w/hooks"]),
        (
            &[
                ("w/.git/config", "[include]\npath = ../shared\n"),
                ("w/shared", "[core]\nhooksPath=deep/er\n"),
            ],
            &["w/shared", "w/deep/er"],
        ),
        (&[("w/.git/config", "[includeIf \"gitdir:x\"]\npath = ../missing\n")], &["w/missing"]),
        (
            &[("w/.git/config", "[core]\nfsmonitor = ./tools/watch -x\n"), ("w/tools/watch", "")],
            &["w/tools/watch"],
        ),
        // What is not there an agent could make; `a/b` and `x/y` are no paths as far as anybody can tell.
        (&[("w/.git/config", "[core]\nfsmonitor = ./tools/watch -x a/b\n")], &["w/tools/watch"]),
        (
            &[("w/.git/config", "[alias]\nx = !sh not/there | sed x/y\n[user]\nname = w\n"), ("w/w", "")],
            &["w/not/there"],
        ),
        (&[("w/.git/config", "[extensions]\nworktreeConfig = true\n")], &["w/.git/config.worktree"]),
        (&[("w/.git/config.worktree", "")], &["w/.git/config.worktree"]),
        (&[("w/.git/worktrees/other/commondir", "../..\n")], &["w/.git/worktrees/other/commondir"]),
        (
            &[
                ("w/.git/worktrees/other/commondir", "../..\n"),
                ("w/.git/worktrees/other/gitdir", "/gone/.git\n"),
            ],
            &["w/.git/worktrees/other/commondir", "w/.git/worktrees/other/gitdir"],
        ),
    ] {
        let work = Work::new(&repository(files));
        assert_eq!(work.beyond_names("w"), with(more), "{files:?}");
    }
}

#[test]
fn submodules_that_the_configuration_knows_are_repositories_too() {
    let files = repository(&[
        ("w/.git/config", "[submodule \"deep/sub\"]\nurl = x\n[submodule \"../../out\"]\nurl = y\n"),
        ("w/.git/modules/deep/sub/config", "[core]\nworktree = ../../../../sub\n"),
        ("w/.git/modules/decoy/config", ""),
        ("w/sub/.git", "gitdir: ../.git/modules/deep/sub\n"),
    ]);
    let found = Work::new(&files).beyond_names("w");
    for path in ["w/.git/modules/deep/sub/config", "w/.git/modules/deep/sub/hooks", "w/sub/.git"] {
        assert!(found.iter().any(|found| found == path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("decoy") || path.contains("out")), "{found:?}");
}

#[test]
fn a_linked_worktree_keeps_the_repository_it_belongs_to() {
    let work = Work::new(&repository(&[
        ("w/.git/worktrees/linked/commondir", "../..\n"),
        ("w/.git/worktrees/linked/gitdir", "BASE/linked/.git\n"),
        ("linked/.git", "gitdir: BASE/w/.git/worktrees/linked\n"),
    ]));
    let expected = [
        "linked/.git",
        "linked/commondir",
        "linked/refs",
        "w/.git/commondir",
        "w/.git/config",
        "w/.git/hooks",
        "w/.git/worktrees/linked/commondir",
        "w/.git/worktrees/linked/gitdir",
    ];
    assert_eq!(work.beyond_names("linked"), expected);
}

#[test]
fn without_a_repository_none_can_be_made() {
    let work = Work::new(&[("w/", "")]);
    let all = work.of("w", &Wanted::default()).unwrap();
    assert!(all.without_repository);
    assert_eq!(work.beyond_names("w"), ["w/.git", "w/commondir", "w/refs"]);
    let git = "git".parse::<ProtectedName>().unwrap();
    assert!(matches!(
        work.of("w", &Wanted { said: vec![&git], ..Wanted::default() }),
        Err(RunError::Unprotected { .. })
    ));
    let git = ".git/".parse::<ProtectedName>().unwrap();
    let all = work.of("w", &Wanted { said: vec![&git], ..Wanted::default() }).unwrap();
    assert!(!all.without_repository);
    assert!(all.paths.values().all(|(name, _)| !name.starts_with(".git")), "{all:?}");
}

#[test]
fn names_are_left_out_by_what_they_lie_in_and_added_by_manifests() {
    let work = Work::new(&REPOSITORY);
    let path = |text: &str| text.parse::<ProtectedName>().unwrap();
    let (hooks, editor) = (path(".git/hooks"), path(".vscode"));
    let more = "tools/run.sh".parse::<WorkspacePath>().unwrap();
    let all = work
        .of(
            "w",
            &Wanted { said: vec![&hooks], declared: vec![&editor], more: vec![&more], ..Wanted::default() },
        )
        .unwrap();
    let names = all.names();
    for (name, there) in [
        (".git/hooks", false),
        (".vscode", false),
        ("tools/run.sh", true),
        (".git/config", true),
        (".claude", true),
        (".codex", true),
        (".gemini", true),
        (".opencode", true),
        ("opencode.json", true),
        (".mcp.json", true),
        (".envrc", true),
        (".idea", true),
    ] {
        assert_eq!(names.iter().any(|known| known == name), there, "{name} in {names:?}");
    }
    // What a project leaves out of what is not there is no mistake; what the user says may be one.
    let other = path("no-such-name");
    work.of("w", &Wanted { declared: vec![&other], ..Wanted::default() }).unwrap();
    assert!(work.of("w", &Wanted { said: vec![&other], ..Wanted::default() }).is_err());
}

/// What the list shows is taken, and of what lies in it, or has another name there, it is said which name is.
#[test]
fn a_part_of_what_is_protected_is_told_by_the_name_that_is_taken() {
    let work = Work::new(&repository(&[
        ("shared/.vscode/tasks.json", ""),
        ("w/.git/config", "[include]\npath = BASE/shared/git\n"),
        ("shared/git", ""),
    ]));
    let further = [work.base.join("shared")];
    let of = |directory: &str, said: &str, declared: &[&ProtectedName]| {
        let said: Vec<ProtectedName> = Some(said)
            .filter(|said| !said.is_empty())
            .map(|said| said.parse().unwrap())
            .into_iter()
            .collect();
        let wanted = Wanted { said: said.iter().collect(), declared: declared.to_vec(), ..Wanted::default() };
        Protection::of(&work.base.join(directory), &further, &work.environment(), &wanted)
    };
    let names = of("w", "", &[]).unwrap().names();
    assert!(names.iter().any(|name| name.starts_with('/')), "{names:?}");
    for name in &names {
        let left = of("w", name, &[]).unwrap_or_else(|error| panic!("{name}: {error}")).names();
        assert!(!left.contains(name), "{name} in {left:?}");
    }
    for (directory, said, by) in [
        ("w", ".claude/settings.json", ".claude"),
        ("w", ".git/hooks/pre-commit", ".git/hooks"),
        ("w", ".vscode/tasks.json", ".vscode"),
        ("w", "commondir", ".git/HEAD"),
        ("w", "refs", ".git/HEAD"),
        // There is no repository.
        ("shared", ".git/hooks", ".git"),
    ] {
        match of(directory, said, &[]) {
            Err(RunError::PartOf { by: found, .. }) => assert_eq!(found, by, "{said}"),
            other => panic!("{said}: {other:?}"),
        }
        of(directory, by, &[]).unwrap();
    }
    let (part, whole, later) = (".claude/settings.json", ".vscode", ".git/hooks");
    let declared = [part, whole, later, "no-such-name"].map(|name| name.parse::<ProtectedName>().unwrap());
    for directory in ["w", "shared"] {
        let all = of(directory, "", &declared.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(all.parts, [(part.to_owned(), ".claude".to_owned())], "{directory}");
    }
}

/// Git would see a file outside and inside, and of a device inside it says that it cannot be added.
#[test]
fn a_missing_file_is_watched_where_its_agent_runs_and_has_a_stand_in_where_the_user_says_so() {
    let recipe = Recipe::load("opencode", Path::new(".")).unwrap();
    let said = "opencode.json".parse::<WorkspacePath>().unwrap();
    let other = "tools/run.sh".parse::<WorkspacePath>().unwrap();
    let work = Work::new(&REPOSITORY);
    let watched = || StandIn::Watched("OpenCode".into());
    for (inside, more, path, expected) in [
        (false, &[][..], "opencode.json", StandIn::Directory),
        (true, &[], "opencode.json", watched()),
        (true, &[], "opencode.jsonc", watched()),
        (true, &[], ".opencode", StandIn::Directory),
        (true, &[&said, &other], "opencode.json", StandIn::File),
        (true, &[&said, &other], "opencode.jsonc", watched()),
        (true, &[&said, &other], "tools/run.sh", StandIn::Directory),
        (false, &[&said], "opencode.json", StandIn::Directory),
    ] {
        let recipes = if inside { std::slice::from_ref(&recipe) } else { &[] };
        let wanted = Wanted { recipes, more: more.to_vec(), ..Wanted::default() };
        let found = work.of("w", &wanted).unwrap().paths();
        let found = found.into_iter().find(|found| found.path == work.base.join("w").join(path));
        assert_eq!(found.map(|found| found.missing), Some(expected), "{inside} {more:?} {path}");
    }
}

#[test]
fn of_a_further_directory_what_is_there_is_kept() {
    let work = Work::new(&repository(&[("other/.vscode/tasks.json", ""), ("data/", ""), ("empty/", "")]));
    let further = ["w", "other", "data"].map(|directory| work.base.join(directory));
    let usual = work.of("empty", &Wanted::default()).unwrap().paths;
    let mut all =
        Protection::of(&work.base.join("empty"), &further, &work.environment(), &Wanted::default()).unwrap();
    all.paths.retain(|path, _| !usual.contains_key(path));
    let found: Vec<_> =
        all.paths.keys().map(|path| path.strip_prefix(&work.base).unwrap().display().to_string()).collect();
    assert_eq!(found, ["other/.vscode", "w/.git/commondir", "w/.git/config", "w/.git/hooks"]);
}

/// An agent starts on the host what its settings name. What a build makes could not be built if it were kept.
#[test]
fn what_settings_of_agents_have_run_is_kept_where_it_is() {
    let servers = r#"{"mcpServers": {
        "script": {"command": "./tools/run.sh"}, "given": {"command": "node", "args": ["server.js", "README.md"]},
        "built": {"command": "node", "args": ["dist/index.js"]}, "others": {"command": "node_modules/.bin/x"},
        "missing": {"command": "./tools/missing"}, "link": {"command": "./by/run.sh"}, "outside": {"command": "../outside"},
        "installed": {"command": "npx", "args": ["-y", "x"]}}}"#;
    let work = Work::new(&repository(&[
        ("w/tools/run.sh", ""),
        ("w/server.js", ""),
        ("w/README.md", ""),
        ("w/npx", ""),
        ("w/dist/index.js", ""),
        ("w/node_modules/.bin/x", ""),
        ("w/real/run.sh", ""),
        ("outside", ""),
        (
            "w/.claude/settings.json",
            r#"{"hooks": {"Stop": [{"command": "$CLAUDE_PROJECT_DIR/.claude/stop.sh; sh other.sh"}]}}"#,
        ),
        ("w/.claude/stop.sh", ""),
        ("w/other.sh", ""),
    ]));
    symlink("real", work.base.join("w/by")).unwrap();
    let before = work.beyond_names("w");
    fs::write(work.base.join("w/.mcp.json"), servers).unwrap();
    let mut found = work.beyond_names("w");
    found.retain(|path| !before.contains(path));
    assert_eq!(found, ["w/real/run.sh", "w/server.js", "w/tools/run.sh"]);
    contain(&before, &["w/other.sh"]);
    let of = |said: &[&str]| {
        let said: Vec<ProtectedName> = said.iter().map(|said| said.parse().unwrap()).collect();
        work.of("w", &Wanted { said: said.iter().collect(), ..Wanted::default() }).unwrap()
    };
    let path = |name: &str| work.base.join("w").join(name);
    let all = of(&[]);
    assert_eq!(all.called[&path("server.js")], ".mcp.json");
    assert_eq!(all.called[&path("other.sh")], ".claude/settings.json");
    // Left out by themselves, or with the file that names them.
    let all = of(&["server.js"]);
    assert!(!all.paths.contains_key(&path("server.js")) && all.paths.contains_key(&path("tools/run.sh")));
    assert!(!all.called.contains_key(&path("server.js")));
    let all = of(&[".mcp.json"]);
    assert!(!all.paths.contains_key(&path("tools/run.sh")) && all.paths.contains_key(&path("other.sh")));
    // At the end all of it is looked at, and what leads there.
    let called = called(&path("")).paths.into_iter().collect::<Vec<_>>();
    for name in ["dist/index.js", "tools/missing", "by", "real/run.sh", "server.js", "other.sh"] {
        assert!(called.contains(&path(name)), "{name} in {called:?}");
    }
    assert!(!called.contains(&path("npx/-y")), "{called:?}");
}

/// By its other name a file can be written to as well. One that lies where no sandbox writes is nobody's business.
#[test]
fn each_other_name_of_a_protected_file_is_protected_where_a_sandbox_writes() {
    let work = Work::new(&repository(&[
        ("w/.envrc", "x"),
        ("w/.git/hooks/pre-push", ""),
        ("w/tools/deep/er/", ""),
        ("w/tools/same", ""),
        ("other/", ""),
        ("outside/", ""),
    ]));
    let path = |name: &str| work.base.join(name);
    let of = |wanted: &Wanted<'_>| {
        let further = [path("other")];
        Protection::of(&path("w"), &further, &work.environment(), wanted).unwrap()
    };
    let before = of(&Wanted::default());
    assert!(before.second_names.is_empty());
    for (file, other) in [
        ("w/.envrc", "w/tools/deep/er/one"),
        ("w/.git/hooks/pre-push", "w/.git/hooks/same"),
        ("w/.envrc", "outside/two"),
        ("w/.git/hooks/pre-push", "other/three"),
        ("w/.git/hooks/pre-push", "w/tools/four"),
        // Control: a file with two names that nobody protects.
        ("w/tools/same", "w/tools/again"),
    ] {
        fs::hard_link(path(file), path(other)).unwrap();
    }
    let all = of(&Wanted::default());
    let expected = [
        ("other/three", "w/.git/hooks/pre-push"),
        ("w/tools/deep/er/one", "w/.envrc"),
        ("w/tools/four", "w/.git/hooks/pre-push"),
    ];
    let named = expected.map(|(other, of)| (path(other), path(of)));
    assert_eq!(all.second_names, named.clone().into());
    let added: Vec<PathBuf> = all.paths.into_keys().filter(|path| !before.paths.contains_key(path)).collect();
    assert_eq!(added, named.map(|(other, _)| other));
    // They are left out with the file, by its name.
    let (hooks, envrc) = (".git/hooks".parse().unwrap(), ".envrc".parse().unwrap());
    let all = of(&Wanted { said: vec![&hooks, &envrc], ..Wanted::default() });
    assert!(all.second_names.is_empty() && !all.paths.contains_key(&path("w/tools/four")), "{all:?}");
}

/// What is read to find names must not be led elsewhere by what an agent has made before.
#[test]
fn hostile_repositories_are_survived() {
    let work = Work::new(&repository(&[
        (
            "w/.git/config",
            "[include]\npath = config\n[include]\npath = ../loop\n[core]\nworktree = /\nhooksPath = .\n",
        ),
        ("w/loop", "[include]\npath = loop\n[core]\nhooksPath = \"\"\n"),
    ]));
    symlink("../..", work.base.join("w/.git/worktrees")).unwrap();
    let found = work.beyond_names("w");
    assert!(found.contains(&"w/loop".to_owned()) && !found.contains(&"w".to_owned()), "{found:?}");
}

/// Real git, with nothing of this machine's configuration. `None` where there is none.
#[expect(clippy::disallowed_methods, reason = "a test makes repositories with git, not with what it tests")]
fn git(at: &Path, args: &[&str]) -> Option<()> {
    let mut command = std::process::Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@a.example", "-c", "protocol.file.allow=always"]);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH")?)
        .env("HOME", at)
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.args(args).current_dir(at).output().ok()?;
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// A repository made by git, with one commit.
fn made(work: &Work, name: &str) -> Option<()> {
    let at = work.base.join(name);
    fs::create_dir_all(&at).unwrap();
    git(&at, &["init", "-q"])?;
    git(&at, &["commit", "-q", "--allow-empty", "-m", "x"])
}

fn contain(found: &[String], expected: &[&str]) {
    for path in expected {
        assert!(found.iter().any(|found| found == path), "{path} in {found:?}");
    }
}

/// What `is_git_directory` asks for is never all free, and `HEAD` is free where another part can be kept.
#[test]
fn of_what_makes_a_workspace_a_repository_one_part_cannot_be_made() {
    for (files, kept) in [
        (&[("w/", "")][..], "w/refs"),
        (&[("w/refs/x", "")], "w/objects"),
        (&[("w/refs/x", ""), ("w/objects/x", "")], "w/HEAD"),
        // All of it, but no repository: the name of a branch is missing.
        (&[("w/refs/x", ""), ("w/objects/x", ""), ("w/HEAD", "x")], "w/HEAD"),
    ] {
        let found = Work::new(files).beyond_names("w");
        contain(&found, &["w/commondir", kept]);
        assert_eq!(found.contains(&"w/HEAD".to_owned()), kept == "w/HEAD", "{found:?}");
    }
}

#[test]
fn what_links_in_protected_directories_lead_to_is_protected_to_the_end() {
    let work = Work::new(&repository(&[
        ("w/.git/hooks/x.sample", ""),
        ("w/tools/pc", ""),
        ("w/tools/more/", ""),
        ("w/shared/s.json", ""),
        ("w/.claude/own", ""),
        ("outside", ""),
    ]));
    let before = work.beyond_names("w");
    for (target, link) in [
        ("../../tools/pc", "w/.git/hooks/post-commit"),
        ("../../tools/gone", "w/.git/hooks/pre-commit"),
        ("../shared", "w/.claude/commands"),
        // One directory leads to the next.
        ("../tools/more", "w/shared/next"),
        ("own", "w/.claude/other"),
        ("../../outside", "w/.claude/outside"),
    ] {
        symlink(target, work.base.join(link)).unwrap();
    }
    let mut found = work.beyond_names("w");
    found.retain(|path| !before.contains(path));
    assert_eq!(found, ["w/shared", "w/tools/gone", "w/tools/more", "w/tools/pc"]);
    // They are left out by the name of what leads there.
    let path = |text: &str| text.parse::<ProtectedName>().unwrap();
    let (hooks, claude) = (path(".git/hooks"), path(".claude/commands"));
    let all = work.of("w", &Wanted { said: vec![&hooks, &claude], ..Wanted::default() }).unwrap();
    assert!(all.paths.keys().all(|path| !path.starts_with(work.base.join("w/tools/pc"))), "{all:?}");
    // A link on the way that could be exchanged is given to the sandbox, which refuses it; one that is kept is not.
    symlink("tools", work.base.join("w/by")).unwrap();
    symlink("../../by/pc", work.base.join("w/.git/hooks/pre-push")).unwrap();
    symlink("../../.claude/commands/s.json", work.base.join("w/.git/hooks/update")).unwrap();
    let found = work.beyond_names("w");
    assert!(found.contains(&"w/by".to_owned()), "{found:?}");
    assert!(!found.iter().any(|path| path.starts_with("w/.claude")), "{found:?}");
}

#[test]
fn the_repository_around_a_workspace_is_obeyed_in_it() {
    let work = Work::new(&[("r/front/src/", ""), ("r/back/", "")]);
    let Some(()) = made(&work, "r") else { return };
    let before = work.beyond_names("r/front");
    for (value, kept) in [("front/.husky", "r/front/.husky"), ("front/.husky/_", "r/front/.husky")] {
        git(&work.base.join("r"), &["config", "core.hooksPath", value]).unwrap();
        contain(&work.beyond_names("r/front"), &[kept]);
        assert!(!before.iter().any(|path| path == kept));
        assert!(!work.beyond_names("r/back").iter().any(|path| path.contains("husky")));
    }
}

#[test]
fn linked_worktrees_and_submodules_count_paths_from_their_own_checkout() {
    let work = Work::new(&[]);
    let Some(()) = made(&work, "up") else { return };
    made(&work, "w").unwrap();
    let at = work.base.join("w");
    git(&at, &["submodule", "--quiet", "add", "../up", "sub"]).unwrap();
    git(&at, &["commit", "-q", "-m", "s"]).unwrap();
    git(&at.join("sub"), &["config", "core.hooksPath", ".own"]).unwrap();
    git(&at, &["worktree", "add", "-q", "wt/f"]).unwrap();
    git(&at, &["config", "core.hooksPath", ".husky"]).unwrap();
    git(&at.join("wt/f"), &["submodule", "--quiet", "update", "--init"]).unwrap();
    contain(
        &work.beyond_names("w"),
        &[
            "w/.husky",
            "w/wt/f/.husky",
            "w/wt/f/.git",
            "w/sub/.own",
            "w/sub/.git",
            "w/.git/modules/sub/config",
            "w/.git/modules/sub/hooks",
            "w/.git/worktrees/f/modules/sub/config",
            "w/.git/worktrees/f/modules/sub/hooks",
            "w/wt/f/sub/.git",
        ],
    );
    // One that no section names any more.
    git(&at, &["config", "--remove-section", "submodule.sub"]).unwrap();
    fs::remove_file(at.join(".gitmodules")).unwrap();
    contain(&work.beyond_names("w"), &["w/.git/modules/sub/config", "w/.git/modules/sub/hooks"]);
}

#[test]
fn repositories_below_and_bare_ones_are_kept() {
    let work = Work::new(&[("w/a/b/node_modules/c/", "")]);
    let Some(()) = made(&work, "w") else { return };
    made(&work, "w/a/nested").unwrap();
    git(&work.base.join("w/a/nested"), &["config", "core.hooksPath", "../run"]).unwrap();
    git(&work.base, &["init", "-q", "--bare", "w/b.git"]).unwrap();
    git(&work.base, &["init", "-q", "--bare", "bare"]).unwrap();
    let found = work.beyond_names("w");
    contain(
        &found,
        &["w/a/nested/.git/config", "w/a/nested/.git/hooks", "w/a/run", "w/b.git/config", "w/b.git/hooks"],
    );
    let all = work.of("bare", &Wanted::default()).unwrap();
    assert!(!all.without_repository);
    contain(&work.beyond_names("bare"), &["bare/HEAD", "bare/config", "bare/hooks", "bare/commondir"]);
    // They are left out by where they lie.
    let name = "a/nested".parse::<ProtectedName>().unwrap();
    let all = work.of("w", &Wanted { said: vec![&name], ..Wanted::default() }).unwrap();
    assert!(all.paths.keys().all(|path| !path.starts_with(work.base.join("w/a/nested"))));
}

#[test]
fn paths_are_compared_with_all_that_can_be_written_to_whatever_they_are_spelled_through() {
    let work = Work::new(&[("home/", "")]);
    let Some(()) = made(&work, "w") else { return };
    let at = work.base.join("w");
    symlink(&work.base, work.base.join("by")).unwrap();
    let through = |name: &str| work.base.join("by").join(name).display().to_string();
    git(&at, &["config", "core.hooksPath", &through("w/run")]).unwrap();
    contain(&work.beyond_names("w"), &["w/run"]);
    // Of a linked worktree, also what lies in the repository that is mounted with it.
    git(&at, &["config", "core.hooksPath", &through("w/.git/run")]).unwrap();
    git(&at, &["config", "include.path", "extra"]).unwrap();
    git(&at, &["worktree", "add", "-q", "../linked"]).unwrap();
    contain(&work.beyond_names("linked"), &["w/.git/run", "w/.git/extra"]);
    // And what the user's own configuration includes, or is.
    fs::write(work.base.join("home/.gitconfig"), format!("[include]\npath = {}\n", through("w/more")))
        .unwrap();
    contain(&work.beyond_names("w"), &["w/more"]);
    fs::remove_file(work.base.join("home/.gitconfig")).unwrap();
    symlink("../w/gitconfig", work.base.join("home/.gitconfig")).unwrap();
    contain(&work.beyond_names("w"), &["w/gitconfig"]);
}

#[test]
fn each_variable_that_git_executes_is_known() {
    for variable in [
        "pager.log",
        "interactive.diffFilter",
        "core.alternateRefsCommand",
        "gc.recentObjectsHook",
        "remote.o.uploadpack",
        "remote.o.receivepack",
        "sendemail.toCmd",
        "init.templateDir",
        "core.fsmonitor",
        "diff.x.textconv",
        "core.hooksPath",
    ] {
        let work = Work::new(&[("home/", "")]);
        let Some(()) = made(&work, "w") else { return };
        assert!(!work.beyond_names("w").contains(&"w/t/run".to_owned()));
        git(&work.base.join("w"), &["config", variable, "./t/run"]).unwrap();
        contain(&work.beyond_names("w"), &["w/t/run"]);
    }
}

#[test]
fn hooks_at_the_top_are_kept_by_their_names() {
    let work = Work::new(&repository(&[("w/.git/config", "[core]\nhooksPath = .\n")]));
    let found = work.beyond_names("w");
    contain(&found, &["w/post-commit", "w/pre-push"]);
    assert!(!found.contains(&"w".to_owned()));
}

#[test]
fn what_asks_while_it_is_new_is_kept_where_it_is() {
    let files = [("w/mise.toml", ""), ("w/.github/workflows/ci.yml", ""), ("w/x.code-workspace", "")];
    let found = Work::new(&files).beyond_names("w");
    contain(&found, &["w/mise.toml", "w/.github/hooks", "w/x.code-workspace"]);
    let found = Work::new(&[("w/", "")]).beyond_names("w");
    assert_eq!(found, ["w/.git", "w/commondir", "w/refs"]);
}

/// Each name of the table by what is to be done about it, there and missing, with its directory and without.
#[test]
fn each_name_of_the_table_is_kept_as_it_says() {
    let kept = |files: &[(&str, &str)], path: &str| {
        let work = Work::new(files);
        let found = work.of("w", &Wanted::default()).unwrap().paths();
        found.into_iter().find(|one| one.path == work.base.join("w").join(path)).map(|one| one.missing)
    };
    for (name, care, _) in NAMES.iter().filter(|(name, ..)| !name.starts_with(".git/")) {
        let (there, around) = (format!("w/{name}"), format!("w/{name}/.."));
        let around = Path::new(&around).parent().and_then(Path::parent).unwrap().display().to_string() + "/";
        let [there, beside, missing] = [[(there.as_str(), "x")], [(around.as_str(), "")], [("w/", "")]];
        let beside = name.contains('/').then(|| kept(&beside, name)).flatten();
        let found = (kept(&there, name).is_some(), beside, kept(&missing, name));
        let (directory, file) = (Some(StandIn::Directory), Some(StandIn::File));
        let expected = match care {
            Care::Always => (true, name.contains('/').then_some(StandIn::Directory), directory),
            Care::Beside => (true, directory, None),
            Care::BesideFile => (true, file, None),
            Care::Present => (true, None, None),
            Care::Told | Care::Used => (false, None, None),
        };
        assert_eq!(found, expected, "{name}");
    }
}

/// To refuse such a link would stop ordinary projects: what it leads to is kept, and another link is told as a new name is.
#[test]
fn through_a_link_what_it_leads_to_is_kept() {
    let work =
        Work::new(&[("w/editor/languages.toml", ""), ("w/scripts/hooks/run", ""), ("w/.github/x", "")]);
    symlink("editor", work.base.join("w/.helix")).unwrap();
    symlink("../scripts/hooks", work.base.join("w/.github/hooks")).unwrap();
    symlink("gone", work.base.join("w/.exrc")).unwrap();
    symlink("/etc/hostname", work.base.join("w/.gdbinit")).unwrap();
    assert_eq!(work.beyond_names("w"), ["w/.git", "w/commondir", "w/editor", "w/refs", "w/scripts/hooks"]);
}
