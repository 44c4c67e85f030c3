use fs_err as fs;

use super::*;

const RECIPE: &str =
    "name = 'mine'\ntitle = 'Mine'\ncommand = 'mine'\n[npm]\npackage = 'mine'\nversion = '1'\n";

fn folder(manifest: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.toml"), RECIPE).unwrap();
    fs::write(dir.path().join("pinfold.toml"), manifest).unwrap();
    dir
}

fn names(project: &Project) -> Vec<&str> {
    project.recipes.iter().map(|recipe| recipe.name.as_str()).collect()
}

#[test]
fn a_recipe_that_changes_later_changes_nothing_of_the_project() {
    let dir = folder("name = 'x'\nagents = ['./mine.toml']\n");
    let project = Project::discover(dir.path()).unwrap();
    let was = project.recipes.clone();
    fs::write(dir.path().join("mine.toml"), RECIPE.replace("'1'", "'2'")).unwrap();
    assert_eq!(project.recipes, was);
    // It can fail: a second reading differs.
    assert_ne!(Project::discover(dir.path()).unwrap().recipes, was);
}

#[test]
fn a_project_whose_recipe_cannot_be_read_is_no_project() {
    let dir = folder("name = 'x'\nagents = ['./other.toml']\n");
    let error = Project::discover(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the recipe of agent `./other.toml`");
    assert_eq!(error.kind(), pinfold_base::Kind::Usage);
    fs::remove_file(dir.path().join("pinfold.toml")).unwrap();
    let error = Project::discover(dir.path()).unwrap_err();
    assert!(error.hint().unwrap().contains("pinfold init"), "{error}");
}

#[test]
fn each_manifest_of_a_directory_has_its_own_lock() {
    let dir = folder("name = 'x'\n");
    fs::write(dir.path().join("other.toml"), "name = 'y'\n").unwrap();
    let lock = |name: &str| Project::from_file(&dir.path().join(name)).unwrap().lock_file;
    assert_eq!(lock("pinfold.toml"), dir.path().join("pinfold.lock"));
    assert_eq!(lock("other.toml"), dir.path().join("other.lock"));
}

#[test]
fn agents_on_the_command_line_go_with_a_preset_only() {
    let dir = tempfile::tempdir().unwrap();
    let solo = || Project::from_preset(dir.path(), "solo", None).unwrap();
    let agents = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let project = solo().with_agents(&agents(&["gemini-cli"])).unwrap();
    assert_eq!(
        (project.manifest.name.as_str(), names(&project)),
        ("solo-gemini-cli", vec!["node", "gemini-cli"])
    );
    assert_eq!(project.preset.unwrap().agents, ["gemini-cli"]);
    assert_eq!(solo().with_agents(&[]).unwrap().recipes, solo().recipes, "nothing asked, nothing changed");
    let unknown = solo().with_agents(&agents(&["nobody"])).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no agent `nobody`");

    let dir = folder("name = 'x'\n");
    let error = Project::discover(dir.path()).unwrap().with_agents(&agents(&["opencode"])).unwrap_err();
    assert!(error.to_string().contains("edit the key `agents`"), "{error}");
}

#[test]
fn a_recipe_of_ones_own_has_another_lock_than_the_built_in_one_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir(dir.path().join("sub")).unwrap();
    for name in ["claude-code.toml", "other.toml"] {
        fs_err::write(dir.path().join(name), "").unwrap();
    }
    std::os::unix::fs::symlink("../claude-code.toml", dir.path().join("sub/link.toml")).unwrap();
    let folder = |agent: &str, directory: &str| {
        kept_apart("solo", None, &[agent.to_owned()], &dir.path().join(directory)).unwrap().0
    };
    assert_eq!(folder("claude-code", ""), "solo-claude-code");
    let own = folder("./claude-code.toml", "");
    assert_ne!(own, "solo-claude-code");
    assert_ne!(folder("./other.toml", ""), own);
    // However it is spelt, and from wherever.
    for (agent, directory) in
        [("../claude-code.toml", "sub"), ("./sub/../claude-code.toml", ""), ("./link.toml", "sub")]
    {
        assert_eq!(folder(agent, directory), own, "{agent}");
    }
}

#[test]
fn a_suite_named_with_a_preset_is_remembered_by_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let project = Project::from_preset(dir.path(), "solo", Some("trixie")).unwrap();
    assert_eq!(project.manifest.sources.debian.as_ref().unwrap().suites[0], "trixie");
    assert_eq!(project.preset.unwrap().suite.as_deref(), Some("trixie"));
    let text = "version = 1\ncompat = 1\nepoch = 0\n[preset]\nname = 'solo'\nsuite = 'trixie'\n[encoders]\n[request]\n";
    fs::write(dir.path().join("pinfold.lock"), text).unwrap();
    let found = Project::discover(dir.path()).unwrap();
    assert_eq!(found.manifest.sources.debian.unwrap().suites[0], "trixie");
    // Kept apart from that of the preset's own suite.
    let apart = |suite| kept_apart("solo", suite, &[], dir.path()).unwrap().0;
    assert_ne!(apart(None), apart(Some("trixie")));
}

#[test]
fn a_preset_never_has_the_lock_of_a_project() {
    let dir = tempfile::tempdir().unwrap();
    let (data, project) = (dir.path().join("data"), dir.path().join("project"));
    fs_err::create_dir_all(project.join("sub")).unwrap();
    fs_err::set_permissions(&project, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let lock = |directory: &Path, name: &str, agents: &[&str]| {
        let agents: Vec<String> = agents.iter().map(|&agent| agent.to_owned()).collect();
        Project::of_preset(&data, directory, None, (name, None), &agents).unwrap().lock_file
    };
    // Where there is no project the preset is what the directory means.
    assert_eq!(lock(&project, "sealed", &[]), project.join("pinfold.lock"));
    fs_err::write(project.join("pinfold.toml"), "name = 'x'\n").unwrap();
    let below = |name: &str| data.join("projects").join(name).join("pinfold.lock");
    for directory in [project.clone(), project.join("sub")] {
        assert_eq!(lock(&directory, "sealed", &[]), below("sealed"));
        // As `run` has it.
        assert_eq!(lock(&directory, "solo", &["codex-cli"]), below("solo-codex-cli"));
        assert_eq!(lock(&directory, "iteron", &["node", "opencode"]), below("iteron-node-opencode"));
    }
    // The lock of a manifest that is gone is nobody's to overwrite; that of a preset is.
    fs_err::remove_file(project.join("pinfold.toml")).unwrap();
    let text = "version = 1\ncompat = 1\nepoch = 0\n[encoders]\n[request]\n";
    fs_err::write(project.join("pinfold.lock"), text).unwrap();
    assert_eq!(lock(&project, "sealed", &[]), below("sealed"));
    let text = text.replace("[encoders]", "[preset]\nname = 'solo'\n[encoders]");
    fs_err::write(project.join("pinfold.lock"), text).unwrap();
    assert_eq!(lock(&project, "sealed", &[]), project.join("pinfold.lock"));
}

#[test]
fn examples_are_projects() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut read = 0;
    for example in fs_err::read_dir(examples).unwrap() {
        let project = Project::discover(&example.unwrap().path()).unwrap();
        for file in &project.manifest.files {
            let source = project.inputs.source(file, pinfold_base::Platform::ALL[0]);
            assert!(source.is_none_or(|source| source.is_ok()), "{}", file.path);
        }
        read += 1;
    }
    assert_eq!(read, 1);
}
