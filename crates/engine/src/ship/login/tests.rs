use std::os::unix::fs::PermissionsExt as _;

use pinfold_base::Home;
use pinfold_base::report::Silent;

use super::*;
use crate::context::Network;

/// A context with these variables, whose home is a folder.
fn context(home: &Path, variables: &[(&str, &str)]) -> Context {
    let own = [("HOME".to_owned(), home.display().to_string())];
    let given = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment: Environment = own
        .into_iter()
        .chain(given)
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    let mut context =
        Context::at(Home::under(&home.join("pinfold")), Network::Offline, Box::new(Silent)).unwrap();
    context.environment = environment;
    context
}

fn user(context: &Context) -> Result<String, RegistryError> {
    UserKeyring::of(context).find("r.example", "team/app").map(|found| match found {
        Credentials::Anonymous => "nobody".into(),
        Credentials::Password { user, password } => format!("{user}:{}", password.expose()),
        Credentials::Identity(token) => format!("identity {}", token.expose()),
        Credentials::Token(token) => format!("token {}", token.expose()),
    })
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn files_are_looked_at_in_the_order_of_containers_tools() {
    let environment: Environment = [("HOME", "/home/u")]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .into_iter()
        .collect();
    let shown: Vec<String> =
        paths(&environment, 1000).iter().map(|file| file.path.display().to_string()).collect();
    assert_eq!(
        shown,
        [
            "/run/containers/1000/auth.json",
            "/home/u/.config/containers/auth.json",
            "/home/u/.docker/config.json",
            "/home/u/.dockercfg"
        ]
    );
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let runtime = home.join("run");
    let variables = [("XDG_RUNTIME_DIR", runtime.to_str().unwrap())];
    assert_eq!(user(&context(home, &variables)).unwrap(), "nobody");
    // `printf 'a:1' | base64`, and so on; each goes before those that were written before.
    put(&home.join(".dockercfg"), r#"{"r.example":{"auth":"YToxCg=="}}"#.replace("Cg==", "").as_str());
    for (path, auth, expected) in [
        (".docker/config.json", "YToy", "a:2"),
        (".config/containers/auth.json", "YToz", "a:3"),
        ("run/containers/auth.json", "YTo0", "a:4"),
    ] {
        put(&home.join(path), &format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#));
        assert_eq!(user(&context(home, &variables)).unwrap(), expected);
    }
    // One that has no login for the repository is passed over, and so is an empty one.
    put(&home.join("run/containers/auth.json"), r#"{"auths":{"other.example":{"auth":"YTo0"}}}"#);
    assert_eq!(user(&context(home, &variables)).unwrap(), "a:3");
    put(&home.join("run/containers/auth.json"), "\n");
    assert_eq!(user(&context(home, &variables)).unwrap(), "a:3");
    // The one that is named is the only one.
    put(&home.join("mine.json"), "{}");
    let mine = home.join("mine.json").display().to_string();
    assert_eq!(user(&context(home, &[("REGISTRY_AUTH_FILE", &mine)])).unwrap(), "nobody");
}

#[test]
fn a_file_that_is_none_is_an_error_and_not_a_stranger() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("mine.json");
    fs::write(&mine, r#"{"auths":{"r.example":{"auth":"c2VjcmV0"}}}"#).unwrap();
    let context = context(dir.path(), &[("REGISTRY_AUTH_FILE", mine.to_str().unwrap())]);
    let error = user(&context).unwrap_err().to_string();
    assert!(error.contains("mine.json") && !error.contains("c2VjcmV0"), "{error}");
}

#[test]
fn helpers_are_asked_for_what_they_keep() {
    let dir = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(dir.path()).unwrap();
    let programs = home.join("bin");
    let helper = programs.join("docker-credential-keep");
    let script = |body: &str| {
        put(&helper, &format!("#!/bin/sh\nread -r server\n{body}\n"));
        fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let context = context(&home, &[("PATH", &path), ("XDG_RUNTIME_DIR", "/nonexistent")]);
    put(&home.join(".docker/config.json"), r#"{"credsStore":"keep","auths":{"r.example":{"auth":"YToy"}}}"#);
    for (body, expected) in [
        (r#"echo "{\"ServerURL\":\"$server\",\"Username\":\"$1\",\"Secret\":\"$server\"}""#, "get:r.example"),
        (r#"echo '{"Username":"<token>","Secret":"t"}'"#, "identity t"),
        // It has none: what is written counts.
        ("echo 'credentials not found in native keychain'; exit 1", "a:2"),
    ] {
        script(body);
        assert_eq!(user(&context).unwrap(), expected, "{body}");
    }
    for (body, words) in [("echo secret; echo secret >&2; exit 3", "it failed"), ("echo secret", "no login")]
    {
        script(body);
        let error = user(&context).unwrap_err().to_string();
        assert!(error.contains("docker-credential-keep") && error.contains(words), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    // One that says something and does not end.
    script("exec >&-; exec sleep 600");
    let around = context.surroundings(Path::new("/"), "nothing");
    let began = std::time::Instant::now();
    let error = helper::ask(
        "keep",
        "r.example",
        &around,
        &UserKeyring::of(&context).variables,
        std::time::Duration::from_millis(300),
    );
    assert_eq!(error.unwrap_err(), "it did not end within 0 seconds");
    assert!(began.elapsed() < std::time::Duration::from_secs(60));
    // A name that is more than a program's, and a program that is not there.
    for name in ["../keep", "none"] {
        put(&home.join(".docker/config.json"), &format!(r#"{{"credsStore":"{name}"}}"#));
        assert!(user(&context).is_err(), "{name}");
    }
}

/// The current directory of a test is its crate's.
#[test]
fn a_helper_that_lies_in_the_project_is_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let here = fs::canonicalize(".").unwrap();
    let programs = tempfile::tempdir_in(&here).unwrap();
    let helper = programs.path().join("docker-credential-keep");
    put(&helper, "#!/bin/sh\necho '{\"Username\":\"a\",\"Secret\":\"2\"}'\n");
    fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    put(&dir.path().join(".docker/config.json"), r#"{"credsStore":"keep"}"#);
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let error =
        user(&context(dir.path(), &[("PATH", &path), ("XDG_RUNTIME_DIR", "/nonexistent")])).unwrap_err();
    assert!(error.to_string().contains("docker-credential-keep"), "{error}");
    // The control: the same one elsewhere.
    let elsewhere = dir.path().join("bin/docker-credential-keep");
    fs::create_dir(dir.path().join("bin")).unwrap();
    fs::copy(&helper, &elsewhere).unwrap();
    let path = format!("{}:/usr/bin:/bin", elsewhere.parent().unwrap().display());
    let found = user(&context(dir.path(), &[("PATH", &path), ("XDG_RUNTIME_DIR", "/nonexistent")]));
    assert_eq!(found.unwrap(), "a:2");
}
