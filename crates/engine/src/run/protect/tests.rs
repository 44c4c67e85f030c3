//! Workspaces as git, editors and agents leave them, and what of them is protected.

use std::os::unix::fs::symlink;

use super::*;

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
        Protection::of(&self.base.join(workspace), &self.environment(), wanted)
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
    let plain = ["w/.git/commondir", "w/.git/config", "w/.git/hooks", "w/HEAD"];
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
        (&[("w/.git/config", "[alias]\nx = !sh not/there\n[user]\nname = w\n"), ("w/w", "")], &[]),
        (&[("w/.git/config", "[extensions]\nworktreeConfig = true\n")], &["w/.git/config.worktree"]),
        (&[("w/.git/config.worktree", "")], &["w/.git/config.worktree"]),
        (&[("w/.git/worktrees/other/commondir", "../..\n")], &["w/.git/worktrees/other/commondir"]),
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
        "linked/HEAD",
        "w/.git/commondir",
        "w/.git/config",
        "w/.git/hooks",
        "w/.git/worktrees/linked/commondir",
    ];
    assert_eq!(work.beyond_names("linked"), expected);
}

#[test]
fn without_a_repository_none_can_be_made() {
    let work = Work::new(&[("w/", "")]);
    let all = work.of("w", &Wanted::default()).unwrap();
    assert!(all.without_repository);
    assert_eq!(work.beyond_names("w"), ["w/.git", "w/HEAD"]);
    let git = "git".parse::<WorkspacePath>().unwrap();
    assert!(matches!(
        work.of("w", &Wanted { said: vec![&git], ..Wanted::default() }),
        Err(RunError::Unprotected { .. })
    ));
    let git = ".git/".parse::<WorkspacePath>().unwrap();
    let all = work.of("w", &Wanted { said: vec![&git], ..Wanted::default() }).unwrap();
    assert!(!all.without_repository);
    assert!(all.paths.values().all(|(name, _)| !name.starts_with(".git")), "{all:?}");
}

#[test]
fn names_are_left_out_by_what_they_lie_in_and_added_by_manifests() {
    let work = Work::new(&REPOSITORY);
    let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
    let (hooks, editor, more) = (path(".git/hooks"), path(".vscode"), path("tools/run.sh"));
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

#[test]
fn a_file_stands_in_only_where_its_agent_runs() {
    let recipe = Recipe::load("opencode", Path::new(".")).unwrap();
    let find = |recipes: &[Recipe]| {
        names(recipes).into_iter().rfind(|name| name.path == "opencode.json").unwrap().missing
    };
    assert_eq!((find(&[]), find(&[recipe])), (StandIn::Directory, StandIn::File));
}

#[test]
fn of_a_further_directory_what_is_there_is_kept() {
    let work = Work::new(&repository(&[("other/.vscode/tasks.json", ""), ("data/", "")]));
    let mut all = Protection::default();
    for directory in ["w", "other", "data"] {
        all.also(&work.base.join(directory), &work.environment(), &Wanted::default()).unwrap();
    }
    let found: Vec<_> =
        all.paths.keys().map(|path| path.strip_prefix(&work.base).unwrap().display().to_string()).collect();
    assert_eq!(found, ["other/.vscode", "w/.git/commondir", "w/.git/config", "w/.git/hooks"]);
}

#[test]
fn a_second_name_of_a_protected_file_is_told() {
    let work = Work::new(&repository(&[("w/.envrc", "x")]));
    fs::hard_link(work.base.join("w/.envrc"), work.base.join("w/other")).unwrap();
    let all = work.of("w", &Wanted::default()).unwrap();
    assert_eq!(all.hard_linked(), [work.base.join("w/.envrc")]);
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
