//! What a sandbox may leave behind, and what is told of it.

use fs_err as fs;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Protected;

use super::*;

fn later() -> SystemTime {
    std::thread::sleep(Duration::from_millis(40));
    SystemTime::now()
}

fn write(base: &Path, name: &str) {
    let path = base.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
}

fn repository(base: &Path, name: &str) {
    for directory in ["objects", "refs", "hooks"] {
        fs::create_dir_all(base.join(name).join(directory)).unwrap();
    }
    write(base, &format!("{name}/HEAD"));
}

#[test]
fn what_the_host_runs_is_found_at_any_depth_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let spec = || {
        let mut spec = Spec::new("a", "/r", vec!["true".into()]);
        spec.mounts = vec![Mount::writable(&base, "/w"), Mount::writable(base.join("deep"), "/d")];
        // As a run has it: work in a repository that is protected tells nothing of its configuration.
        spec.protect = ["config", "hooks"]
            .map(|name| pinfold_sandbox::spec::Protected {
                path: base.join(".git").join(name),
                missing: pinfold_sandbox::spec::StandIn::Directory,
            })
            .into();
        spec
    };
    let before = [".idea/old.xml", "deep/.envrc", ".git/config"];
    repository(&base, ".git");
    for name in before {
        write(&base, name);
    }
    let since = later();
    let expected = [
        ".env",
        ".envrc",
        "x.code-workspace",
        ".vscode/tasks.json",
        "lefthook.yml",
        "deep/.envrc",
        "deep/sub/.git",
        "bare.git/config",
        "bare.git/hooks/post-checkout",
        "deep/nested/.git/config",
        "deep/er/.claude/settings.json",
        ".git/rebase-merge/git-rebase-todo",
        ".git/modules/sub/hooks/pre-commit",
    ];
    for name in ["bare.git", "deep/nested/.git", ".git/modules/sub"] {
        repository(&base, name);
    }
    for name in expected {
        write(&base, name);
    }
    for ordinary in [
        "Makefile.bak",
        "src/config",
        "src/main.c",
        "node_modules/x/package.json",
        "vendor/AGENTS.md/x",
        ".git/objects/aa/bb",
        ".git/index",
        ".git/hooks/x.sample",
        "hooks/x",
    ] {
        write(&base, ordinary);
    }
    // What `docs/isolation.md` says of what people run.
    let used = [
        "AGENTS.md",
        "Makefile",
        "package.json",
        "pinfold.toml",
        "deep/AGENTS.md",
        "deep/er/.cargo/config.toml",
    ];
    for name in used {
        write(&base, name);
    }
    let found = changed(&spec(), since, None);
    assert_eq!(found.used, used.map(|name| base.join(name)));
    let mut names: Vec<_> =
        found.changed.iter().map(|path| path.strip_prefix(&base).unwrap().to_str().unwrap()).collect();
    assert!(names.first().is_some_and(|first| !first.contains('/')), "the nearest first: {names:?}");
    names.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(found.incomplete, []);
    // What was changed after the sandbox had ended is the user's own.
    assert_eq!(changed(&spec(), since, Some(since)), Changed::default());
    assert_eq!(changed(&spec(), later(), None), Changed::default());
}

/// Made in one run under a name that is nobody's, and put in its place by the next: the files are older than that one.
#[test]
fn what_a_renamed_or_completed_directory_holds_is_told_however_old_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(&base, "/w")];
    repository(&base, "own/.git");
    for name in [
        "docs/x/HEAD",
        "docs/x/config",
        "docs/x/objects/a",
        "docs/y/settings.json",
        "docs/z/hooks/run.json",
        "docs/h/post-commit",
        "docs/still/notes.json",
        "own/.git/config",
    ] {
        write(&base, name);
    }
    let since = later();
    assert_eq!(changed(&spec, since, None), Changed::default());
    fs::create_dir_all(base.join("docs/x/refs")).unwrap();
    for directory in ["sub", "lib", "deep"] {
        fs::create_dir_all(base.join(directory)).unwrap();
    }
    fs::remove_dir(base.join("own/.git/hooks")).unwrap();
    for (from, to) in [
        ("docs/x", "sub/.git"),
        ("sub", "lib/sub"),
        ("docs/y", "deep/.claude"),
        ("docs/z", "deep/.kiro"),
        ("docs/h", "own/.git/hooks"),
        ("docs/still", "deep/still"),
    ] {
        fs::rename(base.join(from), base.join(to)).unwrap();
    }
    let names = |spec: &Spec| {
        let found = changed(spec, since, None).changed;
        let mut names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(&base).unwrap().display().to_string()).collect();
        names.sort_unstable();
        names
    };
    let moved = [
        "deep/.claude/settings.json",
        "deep/.kiro/hooks/run.json",
        "lib/sub/.git/config",
        "own/.git/config",
        "own/.git/hooks/post-commit",
    ];
    assert_eq!(names(&spec), moved);
    // Of a repository that was protected, work in it tells nothing.
    spec.protect = ["config", "hooks"]
        .map(|name| pinfold_sandbox::spec::Protected {
            path: base.join("own/.git").join(name),
            missing: pinfold_sandbox::spec::StandIn::Directory,
        })
        .into();
    assert_eq!(names(&spec), moved[..3]);
}

/// Of a project's own recipe too, whose names are known here by the specification alone.
#[test]
fn a_watched_file_that_was_made_is_told_apart_with_who_obeys_it() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(&base, "/w")];
    let names = ["opencode.json", "mine.json", "link.json", "old.json", "unmade.json"];
    spec.protect = names
        .map(|name| Protected {
            path: base.join(name),
            missing: StandIn::Watched(format!("who reads {name}")),
        })
        .into();
    write(&base, "old.json");
    let since = later();
    for name in ["opencode.json", "mine.json", ".envrc"] {
        write(&base, name);
    }
    std::os::unix::fs::symlink("elsewhere", base.join("link.json")).unwrap();
    let found = changed(&spec, since, None);
    let made = |name: &str| Made { path: base.join(name), obeyed_by: format!("who reads {name}") };
    assert_eq!(found.made, ["link.json", "mine.json", "opencode.json"].map(made));
    assert_eq!(found.changed, [base.join(".envrc")]);
    assert_eq!(changed(&spec, later(), None), Changed::default());
}

#[test]
fn what_settings_name_is_told_also_when_it_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let text = r#"{"mcpServers": {"a": {"command": "node", "args": ["dist/index.js"]}, "b": {"command": "./by/b"}}}"#;
    fs::write(base.join(".mcp.json"), text).unwrap();
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(&base, "/w")];
    let since = later();
    for name in ["dist/index.js", "dist/other.js", "real/b"] {
        write(&base, name);
    }
    std::os::unix::fs::symlink("real", base.join("by")).unwrap();
    let expected = ["by", "dist/index.js", "real/b"].map(|name| base.join(name));
    assert_eq!(changed(&spec, since, None).changed, expected);
}

/// The time of last change can be set by whoever wrote the file; the time of the entry cannot.
#[test]
fn a_time_set_back_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let since = later();
    let path = dir.path().join(".envrc");
    fs::write(&path, "x").unwrap();
    let old = fs::File::options().write(true).open(&path).unwrap();
    old.set_modified(UNIX_EPOCH).unwrap();
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(dir.path(), "/w")];
    assert_eq!(changed(&spec, since, None).changed, [path]);
}
