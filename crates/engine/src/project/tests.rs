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
    let solo = || Project::from_preset(dir.path(), "solo").unwrap();
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
