//! The many ways in which settings, git's configuration and the environment say what is run.

use super::*;

/// The kinds of `what_settings_of_agents_have_run_is_kept_where_it_is`, said in other ways.
#[test]
fn what_settings_have_run_is_kept_however_they_say_it() {
    let files = [
        ("w/scripts/s3", ""),
        ("w/scripts/s4", ""),
        ("w/my tools/run", ""),
        ("w/server/index.js", ""),
        ("w/server/other.js", ""),
        ("w/c2.js", ""),
        ("w/bin/git", ""),
        ("w/README.md", ""),
        ("w/.venv/bin/python", ""),
        ("w/env/bin/python", ""),
    ];
    let argv = |command: &str, args: &[&str]| {
        serde_json::json!({"a": {"command": command, "args": args}}).to_string()
    };
    for (by, text, kept) in [
        (".mcp.json", argv("uv", &["run", "scripts/s4"]), &["w/scripts/s4"][..]),
        (".mcp.json", argv("bash", &["-c", "cd scripts && ./s3"]), &["w/scripts/s3"]),
        (".mcp.json", argv("my tools/run", &["README.md"]), &["w/my tools/run"]),
        (".mcp.json", argv("node", &["server"]), &["w/server/index.js"]),
        (".mcp.json", argv("node", &["./c2", "README.md"]), &["w/c2.js"]),
        (".mcp.json", argv("~/../w/scripts/s4", &[]), &["w/scripts/s4"]),
        (
            ".vscode/tasks.json",
            r#"{"tasks": [{"command": "${workspaceFolder}/scripts/s3", "runOptions": {"runOn": "folderOpen"}}]}"#.into(),
            &["w/scripts/s3"],
        ),
        (".vscode/tasks.json", r#"{"tasks": [{"command": "${workspaceFolder}/scripts/s3"}]}"#.into(), &[]),
        (
            ".vscode/settings.json",
            r#"{"python.defaultInterpreterPath": "${workspaceFolder}/env/bin/python"}"#.into(),
            &["w/env/bin/python"],
        ),
        // What others fill is told at the end.
        (
            ".vscode/settings.json",
            r#"{"python.defaultInterpreterPath": "${workspaceFolder}/.venv/bin/python"}"#.into(),
            &[],
        ),
        (".envrc", "PATH_add bin\nPATH_add dist\nPATH_add .\nsource_env scripts/s3\n".into(), &["w/bin", "w/scripts/s3"]),
    ] {
        let work = Work::new(&repository(&files));
        fs::create_dir_all(work.base.join("home")).unwrap();
        fs::create_dir_all(work.base.join("w/dist")).unwrap();
        let before = work.beyond_names("w");
        let file = work.base.join("w").join(by);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, &text).unwrap();
        let mut found = work.beyond_names("w");
        found.retain(|path| !before.contains(path));
        assert_eq!(found, kept, "{text}");
    }
}

/// Whoever starts it at the next prompt or start must be able to rely on the whole of what it says.
#[test]
fn settings_that_are_not_read_to_their_end_are_told() {
    let work = Work::new(&repository(&[]));
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(5 << 20));
    fs::write(work.base.join("w/.mcp.json"), long).unwrap();
    fs::write(work.base.join("w/.git/config"), "#".repeat(2 << 20)).unwrap();
    let all = work.of("w", &Wanted::default()).unwrap();
    for name in [".mcp.json", ".git/config"] {
        assert!(
            all.incomplete.contains_key(&work.base.join("w").join(name)),
            "{name} in {:?}",
            all.incomplete
        );
    }
    assert_eq!(called(&work.base.join("w")).incomplete.len(), 1);
}

/// Git takes what stands for a home, and a shell the rest.
#[test]
fn what_git_runs_is_kept_however_its_configuration_says_it() {
    for (value, kept) in [
        ("alias.x=!cd conf && ./z", &["w/conf/z"][..]),
        ("alias.x=!\"$PWD/conf/y\"", &["w/conf/y"]),
        ("alias.x=!\"$(git rev-parse --show-toplevel)\"/conf/y", &["w/conf/y"]),
        ("alias.x=!bash -c 'cd conf && ./z'", &["w/conf/z"]),
        ("filter.x.clean=node tools/clean", &["w/tools/clean"]),
        ("filter.x.clean=node ./tools/c2", &["w/tools/c2", "w/tools/c2.js"]),
        ("filter.x.clean=node main", &["w/main"]),
        ("filter.x.clean=node .", &["w/index.js"]),
        ("core.hooksPath=~/../w/hk", &["w/hk"]),
        ("core.fsmonitor=~/../w/conf/y", &["w/conf/y"]),
    ] {
        let work = Work::new(&[
            ("home/", ""),
            ("w/conf/y", ""),
            ("w/conf/z", ""),
            ("w/tools/clean/index.js", ""),
            ("w/tools/c2.js", ""),
            ("w/index.js", ""),
            ("w/main/package.json", r#"{"main": "../conf/y"}"#),
        ]);
        let Some(()) = made(&work, "w") else { return };
        let before = work.beyond_names("w");
        let (name, value) = value.split_once('=').unwrap();
        git(&work.base.join("w"), &["config", name, value]).unwrap();
        let mut found = work.beyond_names("w");
        found.retain(|path| !before.contains(path));
        contain(&found, kept);
        assert!(!found.iter().any(|path| path.contains('~')), "{found:?}");
    }
}

#[test]
fn the_home_of_an_account_that_is_not_known_is_told() {
    let work = Work::new(&repository(&[("w/.git/config", "[core]\nhooksPath = ~no-such-account/hk\n")]));
    let all = work.of("w", &Wanted::default()).unwrap();
    assert!(!all.paths.keys().any(|path| path.to_str().unwrap().contains('~')));
    assert!(all.incomplete.values().any(|reason| reason.contains("no-such-account")), "{:?}", all.incomplete);
    // One that is known is followed, wherever it lies.
    let work = Work::new(&repository(&[("w/.git/config", "[core]\nhooksPath = ~root/hk\n")]));
    let all = work.of("w", &Wanted::default()).unwrap();
    assert!(!all.paths.keys().any(|path| path.to_str().unwrap().contains('~')) && all.incomplete.is_empty());
}

/// Git obeys the caller's variables as it does files.
#[test]
fn what_the_callers_environment_says_to_git_is_kept() {
    let files = repository(&[
        ("w/gc", "[core]\nhooksPath = from-gc\n"),
        ("w/conf/ssh", ""),
        ("other.git/HEAD", ""),
        ("w/own.git/config", "[core]\nhooksPath = from-own\n"),
    ]);
    for (variables, kept) in [
        (&[("GIT_CONFIG_GLOBAL", "BASE/w/gc")][..], &["w/gc", "w/from-gc"][..]),
        (&[("GIT_CONFIG_SYSTEM", "gc")], &["w/gc", "w/from-gc"]),
        (&[("GIT_CONFIG_GLOBAL", "missing")], &["w/missing"]),
        (
            &[
                ("GIT_CONFIG_COUNT", "1"),
                ("GIT_CONFIG_KEY_0", "core.hooksPath"),
                ("GIT_CONFIG_VALUE_0", "hk"),
            ],
            &["w/hk"],
        ),
        (&[("GIT_CONFIG_PARAMETERS", "'core.hookspath'='hk'")], &["w/hk"]),
        (&[("GIT_SSH_COMMAND", "conf/ssh -x")], &["w/conf/ssh"]),
        (&[("GIT_EXTERNAL_DIFF", "./conf/diff")], &["w/conf/diff"]),
        (&[("GIT_EXEC_PATH", "BASE/w/exec")], &["w/exec"]),
        (&[("GIT_DIR", "own.git")], &["w/own.git/config", "w/from-own"]),
        (&[("GIT_DIR", "a/../missing.git")], &["w/missing.git"]),
    ] {
        let work = Work::new(&files);
        let before = work.beyond_names("w");
        let home = ("HOME".to_owned(), work.base.join("home").display().to_string());
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace("BASE", work.base.to_str().unwrap())));
        let environment: Environment = variables.chain([home]).collect();
        let all = Protection::of(&work.base.join("w"), &[], &environment, &Wanted::default()).unwrap();
        let relative = |path: &PathBuf| path.strip_prefix(&work.base).unwrap().display().to_string();
        let found: Vec<String> =
            all.paths.keys().map(relative).filter(|path| !before.contains(path)).collect();
        contain(&found, kept);
    }
}

/// A word that is no path must not get a stand-in, which people would see.
#[test]
fn what_ordinary_configurations_say_has_nothing_stand_in_for_it() {
    for (name, value) in [
        ("alias.x", "!docker run -v \"$PWD\":/w -w \"$PWD\" image/name sh"),
        ("alias.x", "!echo \"$PWD\" $HOME ~ $1 \"$@\" HEAD~1 ~2 stash@{1}"),
        ("alias.x", "!f() { git log --format='%h/%s' \"${1:-origin/main}\" | grep -v 'a/b' ; }; f"),
        ("alias.x", "!git rebase -i $(git merge-base origin/main HEAD) && git push origin HEAD:refs/heads/x"),
        ("filter.x.clean", "npx @scope/tool --stdin %f"),
        ("filter.lfs.process", "git-lfs filter-process"),
        ("core.editor", "code --wait --new-window"),
        ("core.pager", "less -R | cat"),
        ("diff.x.textconv", "pandoc --to=plain/text"),
        ("mergetool.x.cmd", "\"$(dirname \"$0\")/../x\" \"$LOCAL\" \"$REMOTE\""),
        ("credential.helper", "cache --timeout=3600"),
    ] {
        let work = Work::new(&[("home/", ""), ("w/src/main.c", "")]);
        let Some(()) = made(&work, "w") else { return };
        let before = work.beyond_names("w");
        git(&work.base.join("w"), &["config", name, value]).unwrap();
        assert_eq!(work.beyond_names("w"), before, "{value}");
        let all = work.of("w", &Wanted::default()).unwrap();
        assert!(all.held.is_empty() && all.incomplete.is_empty(), "{value}: {:?}", all.incomplete);
    }
}
