//! What stays as it is in a workspace, through the program: an image of busybox, and git with the host's own.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::path::PathBuf;
use std::process::Command;

use pinfold_testkit::machine::Machine;

/// Runs a script of the shell on the workspace: whether it ended well, and what was said on stderr.
fn run(machine: &Machine, args: &[&str], script: &str) -> (bool, String) {
    let output = machine.script(&[&["run"], args].concat(), script).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

fn there(machine: &Machine) -> Vec<String> {
    let entries = fs_err::read_dir(machine.path("w")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn repository(machine: &Machine) {
    for name in ["hooks", "objects", "refs"] {
        fs_err::create_dir_all(machine.path("w/.git").join(name)).unwrap();
    }
    fs_err::write(machine.path("w/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs_err::write(machine.path("w/.git/config"), "[core]\n\tbare = false\n").unwrap();
}

#[test]
fn what_the_host_runs_is_neither_changed_nor_made() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let before = there(&machine);
    for script in [
        "echo x > .git/hooks/pre-commit",
        "echo x >> .git/config",
        "busybox rm -r .git/hooks",
        "busybox mv .git .other",
        "echo /elsewhere > .git/commondir",
        "echo x > .envrc",
        "busybox mkdir -p .vscode && echo x > .vscode/tasks.json",
        "busybox mkdir -p .claude && echo x > .claude/settings.json",
        "echo x > .mcp.json",
        "echo x > commondir",
        "busybox mkdir refs/heads",
    ] {
        let (ended_well, text) = run(&machine, &[], script);
        assert!(!ended_well, "{script} worked: {text}");
        assert!(!text.contains("changed while"), "{text}");
        assert_eq!(there(&machine), before, "{script}");
    }
    assert_eq!(fs_err::read_to_string(machine.path("w/.git/config")).unwrap(), "[core]\n\tbare = false\n");
    // Everything else is the agent's to change; what people run without looking is told.
    let (ended_well, text) =
        run(&machine, &[], "echo x > main.c && echo y > .git/index && busybox rm .git/index");
    assert!(ended_well && text.is_empty(), "{text}");
    let (ended_well, text) =
        run(&machine, &[], "echo x > Makefile && echo x > AGENTS.md && echo x > pinfold.toml");
    let told: Vec<PathBuf> =
        text.lines().filter_map(|line| line.strip_prefix("  ")).map(PathBuf::from).collect();
    let expected = ["AGENTS.md", "Makefile", "pinfold.toml"].map(|name| machine.path("w").join(name));
    assert!(ended_well && text.starts_with("changed too, and run or read here"), "{text}");
    assert_eq!(told, expected);
}

#[test]
fn what_is_left_out_may_be_made_and_is_told() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let script = "busybox mkdir -p .vscode deep/.git/hooks deep/.git/objects deep/.git/refs && echo x > .vscode/tasks.json \
                  && echo x > deep/.git/HEAD && echo x > deep/.git/config";
    let (ended_well, text) = run(&machine, &["--unprotect", ".vscode"], script);
    assert!(ended_well, "{text}");
    assert!(text.contains("changed while the sandbox ran"), "{text}");
    let named: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let path = |name: &str| machine.path("w").join(name).display().to_string();
    assert_eq!(named, [path(".vscode/tasks.json"), path("deep/.git/config")]);
    let (_, text) = run(&machine, &["--json", "--unprotect", ".vscode"], "echo y > .vscode/tasks.json");
    let event = text.lines().find(|line| line.contains("\"changed\"")).unwrap();
    assert!(event.contains(".vscode/tasks.json"), "{event}");
    let (_, text) = run(&machine, &["--unprotect", "vscode"], "true");
    assert!(text.contains("`vscode` is not protected") && text.contains("`.vscode`"), "{text}");
}

#[test]
fn without_a_repository_it_is_said_that_none_can_be_made() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let script = "busybox mkdir .git || busybox mkdir -p objects refs/heads && echo x > HEAD";
    let (ended_well, text) = run(&machine, &[], script);
    assert!(!ended_well && text.contains("--unprotect .git"), "{text}");
    assert!(!machine.path("w/.git").exists() && !machine.path("w/refs").exists());
    let (ended_well, text) = run(&machine, &["--unprotect", ".git"], "busybox mkdir .git");
    assert!(ended_well && !text.contains("no git repository"), "{text}");
}

#[test]
fn a_manifest_adds_freely_and_leaves_out_with_the_users_word() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    fs_err::write(machine.path("w/run.sh"), "x").unwrap();
    let manifest = machine.path("project/pinfold.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, format!("{text}[run]\nprotect = ['run.sh']\n")).unwrap();
    let (ended_well, text_of_run) = run(&machine, &[], "echo y > run.sh");
    assert!(!ended_well, "{text_of_run}");
    fs_err::write(&manifest, format!("{text}[run]\nunprotect = ['.envrc']\n")).unwrap();
    let (ended_well, asked) = run(&machine, &[], "echo y > .envrc");
    assert!(!ended_well && asked.contains("change `.envrc`"), "{asked}");
    let shown = machine.pinfold(&["policy", "show"]).output().unwrap();
    let shown = String::from_utf8(shown.stderr).unwrap();
    let digest = shown.split_once("--digest ").unwrap().1.split('`').next().unwrap();
    assert!(machine.pinfold(&["policy", "accept", "--digest", digest]).status().unwrap().success());
    let (ended_well, told) = run(&machine, &[], "echo y > .envrc");
    assert!(ended_well && told.contains(".envrc"), "{told}");
}

/// An agent on the host starts what its settings name. What a build makes is told when it changed.
#[test]
fn programs_that_settings_name_stay_as_they_are_or_are_told() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let settings = "{\"mcpServers\": {\"a\": {\"command\": \"./tools/run.sh\"}, \"b\": {\"command\": \"node\", \"args\": [\"dist/b.js\"]}}}";
    fs_err::write(machine.path("w/.mcp.json"), settings).unwrap();
    fs_err::create_dir(machine.path("w/tools")).unwrap();
    let program = machine.path("w/tools/run.sh");
    fs_err::write(&program, "true\n").unwrap();
    for script in ["echo x >> tools/run.sh", "busybox rm tools/run.sh", "busybox mv tools away"] {
        let (ended_well, text) = run(&machine, &[], script);
        assert!(
            !ended_well && text.contains("`tools/run.sh` is run by who reads `.mcp.json`"),
            "{script}: {text}"
        );
        assert_eq!(fs_err::read_to_string(&program).unwrap(), "true\n", "{script}");
    }
    // Control, by the name that the note says; and what is built is the agent's to make, and told.
    let script = "echo x >> tools/run.sh && busybox mkdir dist && echo x > dist/b.js && echo x > dist/c.js";
    let (ended_well, text) = run(&machine, &["--unprotect", "tools/run.sh"], script);
    let told: Vec<PathBuf> =
        text.lines().filter_map(|line| line.strip_prefix("  ")).map(PathBuf::from).collect();
    assert!(ended_well && text.contains("changed while the sandbox ran"), "{text}");
    assert_eq!(told, [machine.path("w/dist/b.js"), program]);
}

/// A mount holds a name: what else a hook is called in the workspace is kept with it, and said.
#[test]
fn a_hook_stays_as_it_is_by_each_of_its_names() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    fs_err::create_dir(machine.path("w/tools")).unwrap();
    let (hook, other) = (machine.path("w/.git/hooks/post-commit"), machine.path("w/tools/pc"));
    fs_err::write(&hook, "true\n").unwrap();
    fs_err::hard_link(&hook, &other).unwrap();
    for script in
        ["echo x >> tools/pc", "busybox rm tools/pc", "busybox mv tools away", "busybox ln tools/pc more"]
    {
        let (ended_well, text) = run(&machine, &[], script);
        assert!(!ended_well && text.contains("tools/pc` is another name (a hard link)"), "{script}: {text}");
        assert_eq!(fs_err::read_to_string(&hook).unwrap(), "true\n", "{script}");
    }
    // Control: without the protection it is the hook that is written to.
    let (ended_well, text) = run(&machine, &["--unprotect", ".git/hooks"], "echo x >> tools/pc");
    assert!(ended_well && text.contains(".git/hooks/post-commit"), "{text}");
    assert_eq!(fs_err::read_to_string(&hook).unwrap(), "true\nx\n");
}

/// Who writes to pinfold's own folders gives the user's word, and changes images and other sandboxes.
#[test]
fn no_mount_has_the_folders_that_keep_the_users_word() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    for name in ["moved", "beside"] {
        fs_err::create_dir(machine.path(name)).unwrap();
    }
    std::os::unix::fs::symlink(machine.path("moved"), machine.path("home/data/consent")).unwrap();
    std::os::unix::fs::symlink(machine.path("home"), machine.path("link")).unwrap();
    fs_err::create_dir_all(machine.path("home/data/sandboxes")).unwrap();
    let forge = "busybox mkdir -p /up/data/consent; echo {} > /up/data/consent/x; echo {} > /up/forged";
    let manifest = machine.path("project/pinfold.toml");
    let plain = fs_err::read_to_string(&manifest).unwrap();
    // By the user, and by the project that the user agreed to.
    for declared in [false, true] {
        let run = |mount: &str| {
            let mount = format!("{}:/up:rw", machine.path(mount).display());
            if !declared {
                return run(&machine, &["-v", &mount], forge);
            }
            fs_err::write(&manifest, format!("{plain}[run]\nmounts = ['{mount}']\n")).unwrap();
            let shown = machine.pinfold(&["policy", "show", "--json"]).output().unwrap();
            let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
            let digest = shown["digest"].as_str().unwrap();
            assert!(machine.pinfold(&["policy", "accept", "--digest", digest]).status().unwrap().success());
            run(&machine, &[], forge)
        };
        // The user's home, pinfold's, parts of it, a link to it, and where a part of it has gone.
        for mount in
            ["", "home", "home/data", "home/data/consent", "home/data/images", "home/cache", "link", "moved"]
        {
            let (ended_well, text) = run(mount);
            assert!(
                !ended_well && text.contains("cannot be mounted: pinfold's own folders"),
                "{mount}: {text}"
            );
        }
        // Control: what is beside them is the agent's to write.
        let (ended_well, text) = run("beside");
        assert!(ended_well, "{text}");
        assert!(machine.path("beside/forged").exists() && machine.path("beside/data/consent/x").exists());
        fs_err::write(&manifest, &plain).unwrap();
    }
    // Other sandboxes' homes hold their logins: not even to be read.
    for (mount, allowed) in [("home", false), ("home/data/sandboxes", false), ("home/data/images", true)] {
        let mount = format!("{}:/up", machine.path(mount).display());
        let (ended_well, text) = run(&machine, &["-v", &mount], "test -d /up");
        assert_eq!(ended_well, allowed, "{mount}: {text}");
        assert_eq!(text.contains("homes of other sandboxes"), !allowed, "{mount}: {text}");
    }
    // Nor has the repository that a linked worktree brings along.
    for (common, allowed) in [("home", false), ("beside", true)] {
        for name in ["objects", "refs", "worktrees/x"] {
            fs_err::create_dir_all(machine.path(common).join(name)).unwrap();
        }
        let own = machine.path(common).join("worktrees/x");
        let dot = machine.path("w/.git");
        for (path, text) in [
            (machine.path(common).join("HEAD"), "ref: refs/heads/main\n".to_owned()),
            (own.join("HEAD"), "ref: refs/heads/x\n".to_owned()),
            (own.join("commondir"), "../..\n".to_owned()),
            (own.join("gitdir"), format!("{}\n", dot.display())),
            (dot, format!("gitdir: {}\n", own.display())),
        ] {
            fs_err::write(path, text).unwrap();
        }
        let inside = machine.path(common).join("forged-here");
        let (ended_well, text) = run(&machine, &[], &format!("echo x > {}", inside.display()));
        assert_eq!((ended_well, inside.exists()), (allowed, allowed), "{common}: {text}");
        assert_eq!(text.contains("cannot be mounted: pinfold's own folders"), !allowed, "{common}: {text}");
    }
}

/// The user's own git, with the machine's libraries mounted: work goes on, and the configuration stays.
#[test]
fn git_works_on() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(machine.path("w")).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q", "-b", "main"]) {
        println!("skip: git is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return;
    }
    assert!(git(&["config", "user.name", "n"]) && git(&["config", "user.email", "e@example"]));
    let mounts: Vec<String> = ["/usr", "/lib", "/lib64"]
        .iter()
        .filter_map(|path| Some(format!("{}:{path}", fs_err::canonicalize(path).ok()?.display())))
        .collect();
    let mounts: Vec<&str> = mounts.iter().flat_map(|mount| ["-v", mount.as_str()]).collect();
    let inside = |script: &str| {
        let path = "PATH=/usr/local/bin:/usr/bin:/bin";
        run(&machine, &[&mounts[..], &["-e", path]].concat(), &format!("set -e; {script}"))
    };
    let work = "echo one > file; git add -A; git commit -qm one; git checkout -qb topic; echo two >> file; git commit -qam two; \
                git checkout -q main; echo more > other; git add -A; git commit -qm three; git checkout -q topic; \
                git rebase -q main; echo x >> file; git stash -q; git stash pop -q; git checkout -q file; \
                git worktree add -q tree -b tree; git -C tree commit -q --allow-empty -m four; git branch -d tree 2>/dev/null || true; \
                git tag v1; git gc -q; git fsck; test -z \"$(git status --porcelain | grep -v tree)\"";
    let (ended_well, text) = inside(work);
    assert!(ended_well, "{text}");
    assert!(git(&["log", "-1", "topic"]) && git(&["status"]));
    for (script, why) in [
        ("git config a.b c", "could not"),
        ("git remote add origin https://git.example/x", "could not"),
        ("git init -q .vscode", "Read-only file system"),
    ] {
        let (ended_well, text) = inside(script);
        assert!(!ended_well && text.contains(why), "{script}: {text}");
    }
}

/// The names that stand between backticks in the hint.
fn commands(text: &str) -> Vec<String> {
    let hint = text.split_once("hint: ").unwrap_or_else(|| panic!("a hint: {text}")).1;
    hint.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Ordinary projects have such links, and an agent can call a directory as it likes.
#[test]
fn a_link_that_is_refused_is_done_away_with_as_the_hint_says() {
    use std::os::unix::fs::symlink;
    let shell = |machine: &Machine, line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(machine.path("w")).env("HOME", machine.path("me"));
        assert!(shell.status().unwrap().success(), "{line}");
    };
    let git = Command::new("git").arg("--version").output().is_ok_and(|output| output.status.success());
    // Git is told of the directory itself; a command in the configuration of the program itself.
    for (link, leads, text) in [
        (".git/hooks", "../githooks", ""),
        ("run/hooks", "../githooks", "[core]\n\thooksPath = run/hooks\n"),
        ("node_modules/.bin/lint", "../lint/lint.js", "[alias]\n\tlint = !node_modules/.bin/lint\n"),
    ] {
        let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
        repository(&machine);
        let work = machine.path("w");
        for name in ["githooks/post-commit", "node_modules/lint/lint.js"] {
            fs_err::create_dir_all(work.join(name).parent().unwrap()).unwrap();
            fs_err::write(work.join(name), "true\n").unwrap();
        }
        let _ = fs_err::remove_dir(work.join(link));
        fs_err::create_dir_all(work.join(link).parent().unwrap()).unwrap();
        symlink(leads, work.join(link)).unwrap();
        let config = work.join(".git/config");
        let before = fs_err::read_to_string(&config).unwrap() + text;
        fs_err::write(&config, &before).unwrap();
        let (ended_well, told) = run(&machine, &[], "true");
        assert!(!ended_well && told.contains("is a symbolic link"), "{link}: {told}");
        let all = commands(&told);
        let word = all.last().unwrap().strip_prefix("--unprotect ").unwrap();
        let (ended_well, told) = run(&machine, &["--unprotect", word], "true");
        assert!(ended_well, "{link}, `--unprotect {word}`: {told}");
        if link == ".git/hooks" {
            if !git {
                println!("skip: git is not installed");
                assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
                continue;
            }
            shell(&machine, &all[0]);
        } else {
            assert!(work.join(link).ends_with(link) && all[1] == work.join(link).display().to_string());
            fs_err::write(&config, before.replace(link, &all[0])).unwrap();
        }
        let target = fs_err::canonicalize(work.join(link).parent().unwrap().join(leads)).unwrap();
        let inside = if target.is_dir() { target.join("post-commit") } else { target };
        let script = format!("echo x >> {}", inside.display());
        let (ended_well, told) = run(&machine, &[], &script);
        assert!(!ended_well && !told.contains("symbolic link"), "{link}: {told}");
        assert_eq!(fs_err::read_to_string(&inside).unwrap(), "true\n", "{link}");
    }
}

/// What is to be pasted is one word of the shell, whatever an agent calls a directory.
#[test]
fn a_name_to_leave_out_is_safe_to_paste() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let work = machine.path("w");
    let repository = work.join("deep/$(touch pwned)/.git");
    for name in ["hooks", "objects", "refs"] {
        fs_err::create_dir_all(repository.join(name)).unwrap();
    }
    fs_err::write(repository.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::os::unix::fs::symlink("/etc", repository.join("config")).unwrap();
    let (ended_well, told) = run(&machine, &[], "true");
    assert!(!ended_well, "{told}");
    let all = commands(&told);
    let mut shell = Command::new("sh");
    let line = format!("set -- {} && printf %s \"$2\"", all.last().unwrap());
    let output = shell.args(["-c", &line]).current_dir(&work).output().unwrap();
    let name = String::from_utf8(output.stdout).unwrap();
    assert_eq!(name, "deep/$(touch pwned)/.git/config");
    assert!(!work.join("pwned").exists());
    let (ended_well, told) = run(&machine, &["--unprotect", &name], "true");
    assert!(ended_well, "{told}");
}

fn told(text: &str, machine: &Machine) -> Vec<String> {
    let work = machine.path("w");
    let lines = text.lines().filter_map(|line| line.strip_prefix("  "));
    let mut names: Vec<String> = lines
        .map(|path| std::path::Path::new(path).strip_prefix(&work).unwrap().display().to_string())
        .collect();
    names.sort();
    names
}

/// Of tools that are rarer than an empty directory in everybody's way would be.
#[test]
fn what_is_obeyed_stays_as_it_is_where_it_is_there_and_is_told_where_it_is_new() {
    let names = [
        ".Rprofile",
        ".amazonq/mcp.json",
        ".config/mise/config.toml",
        ".dir-locals.el",
        ".gdbinit",
        ".ghci",
        ".helix/languages.toml",
        ".jj/repo/config.toml",
        ".latexmkrc",
        ".lvimrc",
        ".mise/config.toml",
        ".nvimrc",
        ".theia/tasks.json",
        "mise.local.toml",
    ];
    let asked = [".bazelrc", ".cargo/config", ".yarnrc", "flake.nix"];
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let all: Vec<&str> = names.into_iter().chain(asked).collect();
    let write = |text: &str| {
        let each = all
            .iter()
            .map(|name| format!("busybox mkdir -p $(busybox dirname {name}); echo {text} > {name}"));
        each.collect::<Vec<_>>().join("; ")
    };
    let (ended_well, text) = run(&machine, &[], &write("one"));
    assert!(ended_well, "{text}");
    let mut expected: Vec<String> = all.iter().map(|name| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(told(&text, &machine), expected);
    // The next one finds them there.
    let (_, text) = run(&machine, &[], &write("two"));
    assert_eq!(told(text.split_once("changed too").unwrap().1, &machine), asked);
    for name in names {
        assert_eq!(fs_err::read_to_string(machine.path("w").join(name)).unwrap(), "one\n", "{name}");
    }
    // Of Mercurial's, what is missing cannot be made where its repository is; and the control.
    fs_err::create_dir(machine.path("w/.hg")).unwrap();
    for (flags, made) in [(&[][..], false), (&["--unprotect", ".hg/hgrc"], true)] {
        let (ended_well, _) = run(&machine, flags, "echo x > .hg/hgrc");
        assert_eq!((ended_well, machine.path("w/.hg/hgrc").exists()), (made, made));
    }
}

/// Made where nobody looks or under another name, and put in its place by the next run.
#[test]
fn what_comes_to_its_place_by_a_rename_or_a_link_is_told() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let first = "busybox mkdir -p docs/z node_modules/y && echo x > docs/z/config.toml && echo x > node_modules/y/Makefile";
    let (ended_well, text) = run(&machine, &[], first);
    assert!(ended_well && text.is_empty(), "{text}");
    let second = "busybox mv docs/z .cargo && busybox mv node_modules/y tools && echo x > tools/new && busybox ln -s .cargo cfg \
                  && busybox mkdir mine && echo x > mine/config.toml && busybox mkdir app && busybox ln -s ../mine app/.cargo";
    let (ended_well, text) = run(&machine, &[], second);
    assert!(ended_well, "{text}");
    assert_eq!(told(&text, &machine), [".cargo/config.toml", "app/.cargo/config.toml", "tools/Makefile"]);
    // Work beside them tells nothing of them. (What was changed up to a hundredth of a second before a run is told after it.)
    std::thread::sleep(std::time::Duration::from_millis(50));
    let (ended_well, text) =
        run(&machine, &[], "echo x > tools/more && echo x > .cargo/notes && echo x > app/x");
    assert!(ended_well && text.is_empty(), "{text}");
}

/// Who stops a session is told what changed, and who removes it then is not told again.
#[test]
fn what_changed_is_told_once() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let begin = |name: &str| {
        let ready = machine.path("w").join(format!("{name}.ready"));
        // Of an earlier session of the name.
        let _ = fs_err::remove_file(&ready);
        let script = format!("echo x > Makefile; echo x > {name}.ready; exec busybox sleep 1000");
        let opened = machine.script(&["open", "-d", "--name", name], &script).output().unwrap();
        assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
        let begun = std::time::Instant::now();
        while !ready.exists() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it did not start");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    let say = |words: &[&str]| {
        let output = machine.pinfold(words).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{words:?}: {text}");
        text
    };
    begin("one");
    assert!(say(&["stop", "one"]).contains("Makefile"));
    assert!(!say(&["rm", "one"]).contains("Makefile"));
    // Control: nobody was told.
    begin("two");
    assert!(say(&["rm", "--force", "two"]).contains("Makefile"));
    // A session that is begun again forgets that it was told.
    begin("three");
    say(&["stop", "three"]);
    begin("three");
    assert!(say(&["rm", "--force", "three"]).contains("Makefile"));
}

/// Nothing of ours stays in a directory that was closed from inside, and it stays closed.
#[test]
fn a_workspace_that_is_closed_from_inside_keeps_nothing_of_ours() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    repository(&machine);
    let before = there(&machine);
    let (ended_well, text) = run(&machine, &[], "busybox chmod 555 .");
    assert!(ended_well && text.is_empty(), "{text}");
    let mode = fs_err::metadata(machine.path("w")).unwrap().permissions().mode() & 0o7777;
    assert_eq!((there(&machine), mode), (before, 0o555));
    let listed = machine.pinfold(&["ps", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap().trim(), "[]");
    fs_err::set_permissions(machine.path("w"), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// An agent may leave a link where a verb writes; `init` also meets one that leads to nothing yet.
#[test]
fn what_a_verb_writes_into_a_project_goes_through_no_link() {
    use std::os::unix::fs::symlink;
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (inside, outside) = (machine.path("w"), machine.path("me"));
    symlink("../me/new.toml", inside.join("pinfold.toml")).unwrap();
    let written = machine.pinfold(&["init", inside.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(written.stderr).unwrap();
    assert!(!written.status.success() && text.contains("exists already"), "{text}");
    fs_err::remove_file(inside.join("pinfold.toml")).unwrap();
    assert!(machine.pinfold(&["init", inside.to_str().unwrap()]).status().unwrap().success());
    for (link, leads) in [("inputs", "../me/vendored"), ("kept", "../me")] {
        symlink(leads, machine.path("project").join(link)).unwrap();
        let vendored = machine.pinfold(&["vendor", "--offline", link]).output().unwrap();
        let text = String::from_utf8(vendored.stderr).unwrap();
        assert!(!vendored.status.success() && text.contains("is a link, and lies in"), "{link}: {text}");
    }
    assert!(machine.pinfold(&["vendor", "--offline", "own"]).status().unwrap().success());
    assert_eq!(fs_err::read_dir(outside).unwrap().count(), 0);
}
