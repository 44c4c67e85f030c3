//! Completion as a shell does it: the script that is printed, in bash, with a home that has an image and a sandbox.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "these tests run programs, and may fail")]

use std::path::Path;
use std::process::Command;

/// What bash offers for words of which the last is begun.
fn offered(dir: &Path, words: &str) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_pinfold"));
    let script = format!(
        "source <(pinfold completions bash)\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\nCOMP_TYPE=9\n\
         last=\"${{COMP_WORDS[COMP_CWORD]}}\"\n_clap_complete_pinfold pinfold \"$last\" ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .current_dir(dir)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()))
        .env("HOME", dir)
        .env("PINFOLD_HOME", dir.join("home"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn bash_is_offered_agents_presets_images_and_sandboxes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(offered(dir.path(), "pinfold run cl"), ["claude-code"]);
    assert_eq!(offered(dir.path(), "pinfold lock --preset s"), ["solo", "sealed", "sealed-debian"]);
    assert_eq!(offered(dir.path(), "pinfold inspect x"), Vec::<String>::new(), "there is none");
    assert!(!dir.path().join("home").exists(), "looking makes nothing");

    let project = dir.path().join("project");
    fs_err::create_dir(&project).unwrap();
    fs_err::write(project.join("pinfold.toml"), "name = 'files'\n[[file]]\npath = '/x'\ncontent = 'x'\n")
        .unwrap();
    let built = Command::new(env!("CARGO_BIN_EXE_pinfold"))
        .args(["build", "--offline"])
        .current_dir(&project)
        .env_clear()
        .env("PINFOLD_HOME", dir.path().join("home"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    fs_err::create_dir_all(dir.path().join("home/data/sandboxes/mine")).unwrap();
    for (words, expected) in [
        ("pinfold inspect f", "files"),
        ("pinfold rmi fi", "files"),
        ("pinfold run --image f", "files"),
        ("pinfold stop mi", "mine"),
        ("pinfold logs m", "mine"),
        ("pinfold buil", "build"),
        ("pinfold build --vend", "--vendor"),
    ] {
        assert_eq!(offered(dir.path(), words), [expected], "{words}");
    }
}
