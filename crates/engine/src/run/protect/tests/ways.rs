//! What stays in its place on the way to what is protected.

use std::os::unix::fs::symlink;

use super::*;

/// The kernel goes through what a path leaves again (path_resolution(7)): with another directory in its place the same words lead
/// elsewhere.
#[test]
fn each_directory_that_a_way_leaves_again_is_held() {
    let base = repository(&[("w/a/b/", ""), ("w/c/d/post-commit", ""), ("w/t/x", ""), ("w/tools/run", "")]);
    let config = "w/.git/config";
    for (files, links, held, kept) in [
        (&[][..], &[][..], &[][..], &[][..]),
        (&[(config, "[core]\nhooksPath = a/b/../../c/d\n")], &[], &["w/a", "w/a/b"], &["w/c/d"]),
        (&[(config, "[alias]\nzz = !./a/../t/x\n")], &[], &["w/a"], &["w/t/x"]),
        (&[(config, "[core]\nhooksPath = missing/../hk\n")], &[], &["w/missing"], &["w/hk"]),
        (&[(config, "[core]\nfsmonitor = missing/../t/x\n")], &[], &["w/missing"], &["w/t/x"]),
        // What lies outside cannot be changed, the way there can.
        (&[(config, "[core]\nhooksPath = a/../../outside\n")], &[], &["w/a"], &[]),
        (&[(config, "[alias]\nzz = !a/../../outside/x\n"), ("outside/x", "")], &[], &["w/a"], &[]),
        (&[(config, "[include]\npath = ../a/../more\n")], &[], &["w/.git", "w/a"], &["w/more"]),
        // What links lead through.
        (&[], &[("../../a/../t/x", "w/.git/hooks/post-commit")], &["w/.git", "w/a"], &["w/t/x"]),
        // Where a repository and its checkouts are.
        (
            &[("w/sub/.git", "gitdir: ../a/../.git/modules/sub\n"), ("w/.git/modules/sub/config", "")],
            &[],
            &["w/a", "w/sub"],
            &["w/sub/.git"],
        ),
        (
            &[
                ("w/.git/worktrees/t/commondir", "../../../a/../.git\n"),
                ("w/.git/worktrees/t/gitdir", "BASE/w/a/../1/2/3/4/5/t/.git\n"),
                ("w/1/2/3/4/5/t/.git", "gitdir: BASE/w/.git/worktrees/t\n"),
            ],
            &[],
            &["w/a"],
            &["w/1/2/3/4/5/t/.git", "w/.git/worktrees/t/gitdir"],
        ),
        (
            &[
                (config, "[submodule \"sub\"]\n"),
                ("w/.git/modules/sub/config", "[core]\nworktree = ../../../a/../sub\n"),
                ("w/sub/.git", "gitdir: ../.git/modules/sub\n"),
            ],
            &[],
            &["w/.git", "w/.git/modules", "w/.git/modules/sub", "w/a", "w/sub"],
            &["w/sub/.git"],
        ),
        // What settings name.
        (
            &[(".mcp.json", r#"{"mcpServers": {"a": {"command": "a/../tools/run"}}}"#)],
            &[],
            &["w/a"],
            &["w/tools/run"],
        ),
    ] {
        let files = files.iter().map(|(name, text)| match *name {
            ".mcp.json" => ("w/.mcp.json", *text),
            name => (name, *text),
        });
        let work = Work::new(&base.iter().copied().chain(files).collect::<Vec<_>>());
        for (target, link) in links {
            fs::create_dir_all(work.base.join(link).parent().unwrap()).unwrap();
            symlink(target, work.base.join(link)).unwrap();
        }
        let all = work.of("w", &Wanted::default()).unwrap();
        let relative = |path: &PathBuf| path.strip_prefix(&work.base).unwrap().to_str().unwrap().to_owned();
        let mut found: Vec<_> = all.held.iter().map(relative).collect();
        // `.git` is left by what is counted from it, and held by what is kept in it.
        let expects = |name: &str| held.contains(&name);
        found.retain(|name| !name.starts_with("w/.git") || expects(name));
        assert_eq!(found, held, "{:?}", all.paths.keys());
        contain(&all.paths.keys().map(relative).collect::<Vec<_>>(), kept);
    }
}

/// They are held for what is named through them, and left out with it.
#[test]
fn what_is_held_is_left_out_by_the_name_of_what_it_leads_to() {
    let work = Work::new(&repository(&[
        ("w/.git/config", "[core]\nhooksPath = a/../hk\n[alias]\nzz = !a/../../outside/x\n"),
        ("w/a/", ""),
        ("outside/x", ""),
    ]));
    let outside = work.base.join("outside/x").display().to_string();
    for (said, held) in
        [(&[][..], true), (&["hk"], true), (&[outside.as_str()], true), (&["hk", outside.as_str()], false)]
    {
        let said: Vec<ProtectedName> = said.iter().map(|said| said.parse().unwrap()).collect();
        let all = work.of("w", &Wanted { said: said.iter().collect(), ..Wanted::default() }).unwrap();
        assert_eq!(all.held.contains(&work.base.join("w/a")), held, "{said:?}");
    }
}

/// However deep a checkout lies, and whatever an agent writes into the file that says where.
#[test]
fn a_checkout_that_lies_deep_is_known_from_its_repository_which_keeps_knowing_it() {
    let work = Work::new(&[]);
    let Some(()) = made(&work, "w") else { return };
    let at = work.base.join("w");
    git(&at, &["config", "core.hooksPath", "myhooks"]).unwrap();
    git(&at, &["worktree", "add", "-q", "x/b/c/d/e/f/wt"]).unwrap();
    contain(
        &work.beyond_names("w"),
        &["w/x/b/c/d/e/f/wt/.git", "w/x/b/c/d/e/f/wt/myhooks", "w/.git/worktrees/wt/gitdir"],
    );
    // One that is gone keeps nothing from being made.
    fs::remove_file(at.join(".git/worktrees/wt/gitdir")).unwrap();
    assert!(!work.beyond_names("w").iter().any(|path| path.ends_with("/gitdir")));
}
