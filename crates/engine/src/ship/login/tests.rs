use std::os::unix::fs::PermissionsExt as _;

use pinfold_base::Diagnose as _;
use pinfold_base::Home;
use pinfold_base::http::Secret;
use pinfold_base::report::Silent;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::registry::Asks;
use pinfold_testkit::registry::Bearer;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry as TestRegistry;
use pinfold_testkit::registry::USER;

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
            "/run/user/1000/containers/auth.json",
            "/tmp/podman-run-1000/containers/auth.json",
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
fn places_that_are_not_for_this_user_to_look_into_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let me = rustix::process::getuid();
    let place = |path: PathBuf| AuthPath { path, form: Form::Today };
    let (open, shut) = (dir.path().join("open/auth.json"), dir.path().join("shut/sub/auth.json"));
    put(&open, "{}");
    put(&shut, "{}");
    let other = place("/usr/auth.json".into());
    let all = vec![place(open.clone()), place(shut.clone()), other.clone()];
    assert_eq!(usable(all.clone()), all, "nothing is in the way yet");
    // A folder below `/tmp` that others may write to: anybody may have put a login there.
    let folder = shut.parent().unwrap().parent().unwrap().to_owned();
    let loose = tempfile::Builder::new().prefix("pinfold-loose").tempdir_in("/tmp").unwrap();
    let here = place(loose.path().join("containers/auth.json"));
    assert_eq!(usable(vec![here.clone(), other.clone()]).len(), 2);
    fs::set_permissions(loose.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(usable(vec![here, other.clone()]), [other]);
    // Nobody but root looks into a folder of mode 0.
    if !me.is_root() {
        fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(usable(all.clone()).len(), 2);
        assert_eq!(usable(vec![place(shut)]).len(), 1, "the only one was said");
        fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
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
    let variables = UserKeyring::of(&context).variables;
    let timeout = std::time::Duration::from_millis(300);
    let helper = Helper { name: "keep", around: &around, variables: &variables, timeout };
    let error = helper.get("r.example");
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

fn registry(text: &str) -> Registry {
    text.parse().unwrap()
}

#[test]
fn a_login_is_for_a_registry_or_a_part_of_one() {
    for (text, key) in [
        ("r.example", "r.example"),
        ("R.example:5000", "r.example:5000"),
        ("r.example/team/app", "r.example/team/app"),
        ("https://r.example/", "r.example"),
        ("localhost", "localhost"),
    ] {
        assert_eq!(registry(text).to_string(), key);
    }
    for text in [
        "",
        "team",
        "http://r.example",
        "r.example/Team",
        "me@r.example",
        "r.example:x",
        "r.example/a:1",
        "a b",
    ] {
        assert!(text.parse::<Registry>().is_err(), "{text}");
    }
}

#[test]
fn a_login_is_kept_once_the_registry_has_taken_it_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(dir.path()).unwrap();
    let config = home.join(".config");
    let runtime = home.join("run");
    let variables =
        [("XDG_RUNTIME_DIR", runtime.to_str().unwrap()), ("XDG_CONFIG_HOME", config.to_str().unwrap())];
    let mut context = Context::new(
        [("HOME", home.as_os_str())]
            .into_iter()
            .chain(variables.map(|(name, value)| (name, value.as_ref())))
            .collect(),
        Network::Online,
        Box::new(Silent),
    )
    .unwrap();
    // The machine's own configuration of registries is nobody's here.
    put(&home.join("none.conf"), "");
    let none = home.join("none.conf");
    context.environment = context
        .environment
        .all()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain([("CONTAINERS_REGISTRIES_CONF".into(), none.into())])
        .collect();
    let Some(debians) = DockerRegistry::start(Auth::Htpasswd) else { return };
    let tokens =
        Quirks { asks: Asks::Bearer(Bearer { anonymous: false, ..Bearer::default() }), ..Quirks::default() };
    let tokens = TestRegistry::start(tokens);
    let file = runtime.join("containers/auth.json");
    for host in [debians.host(), tokens.host()] {
        let wrong = log_in(&context, &registry(&host), USER.0, &Secret::new("s3cret-wrong")).unwrap_err();
        assert_eq!(wrong.kind(), pinfold_base::Kind::Refused, "{wrong}");
        assert!(!format!("{wrong} {wrong:?}").contains("s3cret"), "{wrong}");
        assert!(!fs::read_to_string(&file).unwrap_or_default().contains(&host), "nothing is kept");
        let done = log_in(&context, &registry(&host), USER.0, &Secret::new(USER.1)).unwrap();
        assert_eq!(done.place, file.display().to_string());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let found = UserKeyring::of(&context).find(&host, "team/app").unwrap();
        assert_eq!(found, Credentials::Password { user: USER.0.into(), password: Secret::new(USER.1) });
    }
    // What else is in the file stays, a link stays one, and a part of a registry has a login of its own.
    let real = home.join("real.json");
    put(
        &real,
        &format!(
            r#"{{"HttpHeaders":{{"a":"b"}},"auths":{{"other.example":{{"auth":"YToy"}},"{}":{{}}}}}}"#,
            debians.host()
        ),
    );
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&real, &file).unwrap();
    let part = registry(&format!("{}/team", debians.host()));
    log_in(&context, &part, USER.0, &Secret::new(USER.1)).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&real).unwrap()).unwrap();
    assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    assert_eq!(
        (&kept["HttpHeaders"]["a"], &kept["auths"]["other.example"]["auth"]),
        (&"b".into(), &"YToy".into())
    );
    assert_eq!(kept["auths"][part.to_string()]["auth"], "bWU6czNjcmV0LXBhc3N3b3Jk");
    assert_eq!(log_out(&context, &part).unwrap().len(), 1);
    assert_eq!(log_out(&context, &part).unwrap(), []);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&real).unwrap()).unwrap();
    assert!(kept["auths"][part.to_string()].is_null() && kept["auths"]["other.example"].is_object());
    // Many at once, each of another part: none takes another's away.
    let parts: Vec<Registry> = (0..8).map(|n| registry(&format!("{}/team{n}", debians.host()))).collect();
    std::thread::scope(|scope| {
        for part in &parts {
            scope.spawn(|| log_in(&context, part, USER.0, &Secret::new(USER.1)).unwrap());
        }
    });
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&real).unwrap()).unwrap();
    assert!(parts.iter().all(|part| kept["auths"][part.to_string()].is_object()), "{kept}");
    // What is no such file is not written over.
    fs::write(&real, "secret").unwrap();
    assert!(log_in(&context, &part, USER.0, &Secret::new(USER.1)).is_err());
    assert_eq!(fs::read_to_string(&real).unwrap(), "secret");
}

#[test]
fn a_helper_keeps_what_its_file_gives_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(dir.path()).unwrap();
    let helper = home.join("bin/docker-credential-keep");
    let kept = home.join("kept");
    put(
        &helper,
        &format!(
            "#!/bin/sh\ncase $1 in\nstore) cat >{0} ;;\nget) cat {0} 2>/dev/null || {{ echo credentials not found; exit 1; }} ;;\nerase) rm {0} ;;\nesac\n",
            kept.display()
        ),
    );
    fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let registry = TestRegistry::start(Quirks { asks: Asks::Basic, ..Quirks::default() });
    let host = registry.host();
    let file = home.join("auth.json");
    put(&file, &format!(r#"{{"credHelpers":{{"{host}":"keep"}}}}"#));
    put(&home.join("none.conf"), "");
    let path = format!("{}:/usr/bin:/bin", helper.parent().unwrap().display());
    let variables = [
        ("HOME", home.display().to_string()),
        ("PATH", path),
        ("REGISTRY_AUTH_FILE", file.display().to_string()),
        ("CONTAINERS_REGISTRIES_CONF", home.join("none.conf").display().to_string()),
    ];
    let context = Context::new(variables.into_iter().collect(), Network::Online, Box::new(Silent)).unwrap();
    let done = log_in(&context, &self::registry(&host), USER.0, &Secret::new(USER.1)).unwrap();
    assert_eq!(done.place, "docker-credential-keep");
    // It knows whole registries only: a part's login would be found by nobody.
    let part = self::registry(&format!("{host}/team"));
    let refused = log_in(&context, &part, USER.0, &Secret::new(USER.1)).unwrap_err().to_string();
    assert!(
        refused.contains("docker-credential-keep") && refused.contains(&format!("log in to `{host}`")),
        "{refused}"
    );
    let login: serde_json::Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(login, serde_json::json!({ "ServerURL": host, "Username": USER.0, "Secret": USER.1 }));
    assert!(!fs::read_to_string(&file).unwrap().contains("auth\""));
    let found = UserKeyring::of(&context).find(&host, "x").unwrap();
    assert_eq!(found, Credentials::Password { user: USER.0.into(), password: Secret::new(USER.1) });
    assert_eq!(log_out(&context, &self::registry(&host)).unwrap()[0].place, "docker-credential-keep");
    assert!(!kept.exists());
    assert_eq!(log_out(&context, &self::registry(&host)).unwrap(), []);
}
