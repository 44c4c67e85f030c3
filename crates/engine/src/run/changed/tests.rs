//! What a sandbox may leave behind, and what is told of it.

use fs_err as fs;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Protected;

use std::time::Duration;

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
            .map(|name| Protected::new(base.join(".git").join(name), StandIn::Directory))
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
    let before = since - Duration::from_secs(1);
    assert_eq!(changed(&spec(), before - Duration::from_secs(1), Some(before)), Changed::default());
    // What was changed last, just before the end was noted, is the sandbox's.
    let last = found.changed.iter().map(|path| fs::metadata(path).unwrap().modified().unwrap()).max();
    assert_eq!(changed(&spec(), since, last).changed.len(), found.changed.len());
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
        .map(|name| Protected::new(base.join("own/.git").join(name), StandIn::Directory))
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
        .map(|name| Protected::new(base.join(name), StandIn::Watched(format!("who reads {name}"))))
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
    fs::write(base.join(".envrc"), "PATH_add bin\nPATH_add node_modules/.bin\n").unwrap();
    let since = later();
    for name in ["dist/index.js", "dist/other.js", "real/b", "bin/git", "bin/lib/x", "node_modules/.bin/ls"] {
        write(&base, name);
    }
    std::os::unix::fs::symlink("real", base.join("by")).unwrap();
    let expected = ["by", "bin/git", "dist/index.js", "real/b", "node_modules/.bin/ls"];
    let expected = expected.map(|name| base.join(name));
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

/// A workspace that a sandbox may write to, with what the search before its start would have kept.
fn seen_before(base: &Path) -> Spec {
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(base, "/w")];
    spec.stood = protect::stood_below(base);
    spec
}

fn used(spec: &Spec, since: SystemTime, base: &Path) -> Vec<String> {
    let found = changed(spec, since, None);
    let all = found.changed.iter().chain(&found.used);
    let mut names: Vec<String> =
        all.map(|path| path.strip_prefix(base).unwrap().display().to_string()).collect();
    names.sort();
    names
}

/// Made in one run where nobody looks or under a name that is nobody's, and put in its place by the next one.
#[test]
fn what_people_run_is_told_wherever_its_directory_comes_from() {
    let before = [
        "docs/z/config.toml",
        "docs/cp/copilot-instructions.md",
        "docs/m/extensions.xml",
        "node_modules/y/Makefile",
        "node_modules/y/sub/deep/package.json",
        "node_modules/t/.vscode/tasks.json",
        ".git/info/q/.envrc",
        "app/package.json",
        "app/sub/Makefile",
    ];
    type Step = fn(&Path);
    let cases: [(Step, &[&str]); 9] = [
        (|base| fs::rename(base.join("docs/z"), base.join(".cargo")).unwrap(), &[".cargo/config.toml"]),
        (
            |base| fs::rename(base.join("docs/cp"), base.join(".github")).unwrap(),
            &[".github/copilot-instructions.md"],
        ),
        (
            |base| fs::rename(base.join("docs/m"), base.join("app/.mvn")).unwrap(),
            &["app/.mvn/extensions.xml"],
        ),
        (
            |base| fs::rename(base.join("node_modules/y"), base.join("tools")).unwrap(),
            &["tools/Makefile", "tools/sub/deep/package.json"],
        ),
        // What is done in it afterwards makes its times those of a directory that was worked in.
        (
            |base| {
                fs::rename(base.join("node_modules/y"), base.join("app/y")).unwrap();
                fs::write(base.join("app/y/new"), "").unwrap();
                fs::write(base.join("app/y/sub/new"), "").unwrap();
            },
            &["app/y/Makefile", "app/y/sub/deep/package.json"],
        ),
        (
            |base| fs::rename(base.join("node_modules"), base.join("lib")).unwrap(),
            &["lib/t/.vscode/tasks.json", "lib/y/Makefile", "lib/y/sub/deep/package.json"],
        ),
        (|base| fs::rename(base.join(".git/info/q"), base.join("app/q")).unwrap(), &["app/q/.envrc"]),
        // In the place of another directory.
        (
            |base| {
                fs::rename(base.join("app"), base.join("venv")).unwrap();
                fs::rename(base.join("node_modules/y"), base.join("app")).unwrap();
            },
            &["app/Makefile", "app/sub/deep/package.json"],
        ),
        // Ordinary work beside what is there tells nothing of it.
        (
            |base| {
                write(base, "app/index.js");
                write(base, "app/sub/main.c");
                fs::create_dir(base.join("app/new")).unwrap();
                fs::remove_file(base.join("docs/z/config.toml")).unwrap();
            },
            &[],
        ),
    ];
    for (number, (step, expected)) in cases.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for name in before {
            write(&base, name);
        }
        let spec = seen_before(&base);
        let since = later();
        assert_eq!(used(&spec, since, &base), [""; 0]);
        step(&base);
        assert_eq!(used(&spec, since, &base), expected, "{number}");
    }
}

/// A link gives what it leads to another name, and what leads to that may be a link or a directory that came there.
#[test]
fn what_a_link_gives_a_name_to_is_told() {
    use std::os::unix::fs::symlink;
    type Step = fn(&Path);
    let before = ["cfg/config.toml", "node_modules/y/Makefile", "out/x", "mine/agents/a.md"];
    let cases: [(Step, Step, &[&str]); 9] = [
        (|_| (), |base| symlink("cfg", base.join(".cargo")).unwrap(), &[".cargo/config.toml"]),
        (|_| (), |base| symlink("node_modules/y", base.join("tools")).unwrap(), &["tools/Makefile"]),
        (|_| (), |base| symlink("mine", base.join(".github")).unwrap(), &[".github/agents"]),
        (|_| (), |base| symlink("node_modules/y/Makefile", base.join("Makefile")).unwrap(), &["Makefile"]),
        // Where it leads out of what the sandbox writes to, or to nothing yet, the link itself is what is told.
        (|_| (), |base| symlink("/", base.join(".cargo")).unwrap(), &[".cargo"]),
        (|_| (), |base| symlink("gone", base.join(".cargo")).unwrap(), &[".cargo"]),
        // The link is older than the run.
        (
            |base| symlink("cfg", base.join(".cargo")).unwrap(),
            |base| write(base, "cfg/config.toml"),
            &[".cargo/config.toml"],
        ),
        (
            |base| {
                symlink("a", base.join(".cargo")).unwrap();
                symlink("out", base.join("a")).unwrap();
            },
            |base| {
                fs::remove_file(base.join("a")).unwrap();
                symlink("cfg", base.join("a")).unwrap();
            },
            &[".cargo/config.toml"],
        ),
        (
            |base| symlink("b", base.join(".cargo")).unwrap(),
            |base| fs::rename(base.join("cfg"), base.join("b")).unwrap(),
            &[".cargo/config.toml"],
        ),
    ];
    for (number, (earlier, step, expected)) in cases.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for name in before {
            write(&base, name);
        }
        earlier(&base);
        let spec = seen_before(&base);
        let since = later();
        assert_eq!(used(&spec, since, &base), [""; 0], "{number}");
        step(&base);
        assert_eq!(used(&spec, since, &base), expected, "{number}");
    }
}

/// Of every name, whatever is done about it, at the top and deeper.
#[test]
fn each_name_of_the_table_is_told_when_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(&base, "/w")];
    let since = later();
    let (mut obeyed, mut used) = (Vec::new(), Vec::new());
    for (number, (name, care, _)) in protect::NAMES.iter().enumerate() {
        let path = if name.ends_with('/') { format!("{number}/{name}x") } else { format!("{number}/{name}") };
        write(&base, &path);
        let list = if *care == protect::Care::Used { &mut used } else { &mut obeyed };
        list.push(base.join(path));
    }
    let mut found = changed(&spec, since, None);
    for list in [&mut obeyed, &mut used, &mut found.changed, &mut found.used] {
        list.sort();
    }
    assert_eq!(found.changed, obeyed);
    assert_eq!(found.used, used);
}

/// Another sandbox on the same directory keeps names from being made for the time of its run.
#[test]
fn what_only_stands_in_for_something_is_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(dir.path()).unwrap();
    let mut spec = Spec::new("a", "/r", vec!["true".into()]);
    spec.mounts = vec![Mount::writable(&base, "/w")];
    let names = ["directory.json", "file.json", "mine.json"];
    spec.protect =
        names.map(|name| Protected::new(base.join(name), StandIn::Watched("who reads it".into()))).into();
    let since = later();
    let mark = UNIX_EPOCH + Duration::from_secs(0x7069_6e66);
    let marked = |name: &str| fs::File::open(base.join(name)).unwrap().file().set_modified(mark).unwrap();
    for name in ["directory.json", ".vscode"] {
        fs::create_dir(base.join(name)).unwrap();
        marked(name);
    }
    for (name, text) in [("file.json", ""), (".envrc", ""), ("mine.json", "x"), (".exrc", "x")] {
        fs::write(base.join(name), text).unwrap();
        marked(name);
    }
    let found = changed(&spec, since, None);
    let made: Vec<_> = found.made.into_iter().map(|made| made.path).collect();
    assert_eq!(made, [base.join("mine.json")]);
    assert_eq!(found.changed, [base.join(".exrc")]);
}
