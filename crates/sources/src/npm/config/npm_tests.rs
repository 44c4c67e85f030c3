//! What npm itself makes of the same files and addresses. Recorded with node on the copies that npm 11 brings along: `ini` for
//! files, `@npmcli/config/lib/env-replace` for variables, `npm-registry-fetch/lib/auth` for who gets which credentials.

use super::*;

fn env(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
    vars.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn user(text: &str) -> Config {
    let layers =
        Layers { manifest: Some("https://other/".into()), user: Some(text.into()), ..Layers::default() };
    Config::new(&layers).unwrap()
}

/// The `Authorization` header for an address, as npm and we would send it.
fn sent(config: &Config, address: &str) -> Option<String> {
    config.auth_for(&SafeUrl::parse(address).unwrap()).header().map(|header| header.expose().to_owned())
}

#[test]
fn values_are_read_as_npms_own_ini_reads_them() {
    for (line, expected) in [
        ("//h/:_authToken=plain", "plain"),
        ("  //h/:_authToken = plain  ", "plain"),
        ("//h/:_authToken=\"q u o\"", "q u o"),
        ("//h/:_authToken='single'", "single"),
        ("//h/:_authToken=a;b", "a"),
        ("//h/:_authToken=a#b", "a"),
        ("//h/:_authToken=a ; comment", "a"),
        ("//h/:_authToken=a # comment", "a"),
        ("//h/:_authToken=a\\;b", "a;b"),
        ("//h/:_authToken=a\\#b", "a#b"),
        ("//h/:_authToken=a\\\\b", "a\\b"),
        ("//h/:_authToken=a\\nb", "a\\nb"),
        ("//h/:_authToken=a\\", "a\\"),
        ("//h/:_authToken=a=b==", "a=b=="),
        ("\"//h/:_authToken\"=quoted", "quoted"),
        ("//h/:_authToken=\"a#b\"", "a#b"),
        ("//h/:_authToken=\"a;b\"", "a;b"),
        ("//h/:_authToken=\"a", "\"a"),
        ("//h/:_authToken=${T}x", "tokx"),
        ("//h/:_authToken=\"${T}\"", "tok"),
        ("//h/:_authToken=${NOPE}", "${NOPE}"),
        ("//h/:_authToken=a${NOPE?}b", "ab"),
        ("//h/:_authToken=\\${T}", "${T}"),
        ("//h/:_authToken=first\n//h/:_authToken=second", "second"),
        ("//${H}/:_authToken=keyed", "keyed"),
    ] {
        let layers = Layers {
            manifest: Some("https://other/".into()),
            user: Some(line.into()),
            env: env(&[("T", "tok"), ("H", "h")]),
            ..Layers::default()
        };
        let found = sent(&Config::new(&layers).unwrap(), "https://h/p");
        assert_eq!(found.as_deref(), Some(format!("Bearer {expected}").as_str()), "{line}");
    }
    // No value at all is no token; npm makes `true` of the first, which no server takes.
    for line in ["//h/:_authToken", "//h/:_authToken=", "; //h/:_authToken=x", "# //h/:_authToken=x", "=x"] {
        assert_eq!(sent(&user(line), "https://h/p"), None, "{line}");
    }
}

#[test]
fn credentials_go_where_npm_sends_them() {
    let config = user(
        "//npm.corp/private/:_authToken=deep\n\
         //npm.corp/:_authToken=top\n\
         //npm.corp/private/team/:_auth=bWU6cHc=\n\
         //slash.corp/p:_authToken=noslash\n\
         //port.corp:8443/:_authToken=port\n\
         //both.corp/:_auth=YTpi\n\
         //both.corp/:_authToken=tok\n\
         //pw.corp/:username=me\n\
         //pw.corp/:_password=cGFzcw==\n\
         //half.corp/:username=me\n\
         //odd.corp/:_auth=!!!\n",
    );
    for (address, expected) in [
        ("https://npm.corp/x", Some("Bearer top")),
        ("https://npm.corp/private/x", Some("Bearer deep")),
        ("https://npm.corp/private/@s%2fp", Some("Bearer deep")),
        ("https://npm.corp/private", Some("Bearer top")),
        ("https://npm.corp/privateer/x", Some("Bearer top")),
        ("https://npm.corp/private/team/x", Some("Basic bWU6cHc=")),
        ("https://npm.corp/private/team2/x", Some("Bearer deep")),
        ("https://npm.corp:444/x", None),
        ("http://npm.corp/x", Some("Bearer top")),
        ("https://slash.corp/p/x", Some("Bearer noslash")),
        ("https://slash.corp/p2/x", None),
        ("https://slash.corp/x", None),
        ("https://port.corp:8443/x", Some("Bearer port")),
        ("https://port.corp/x", None),
        ("https://both.corp/x", Some("Bearer tok")),
        ("https://pw.corp/a/b/x", Some("Basic bWU6cGFzcw==")),
        ("https://half.corp/x", None),
        ("https://sub.npm.corp/x", None),
        ("https://corp/x", None),
        ("https://NPM.corp/x", Some("Bearer top")),
        // Paths have upper and lower case.
        ("https://npm.corp/PRIVATE/x", Some("Bearer top")),
        ("https://npm.corp//private/x", Some("Bearer top")),
        // Not npm's, which would send what is no base64 as it is.
        ("https://odd.corp/x", None),
    ] {
        assert_eq!(sent(&config, address).as_deref(), expected, "{address}");
    }
}

#[test]
fn each_key_is_looked_for_by_itself_in_npms_order() {
    // Environment, project, user, machine: npm-config(7), "The four relevant files" and "Environment Variables".
    let layers = Layers {
        manifest: None,
        env: env(&[("npm_config_@e:registry", "https://e.env/"), ("npm_config_//h/:_authToken", "env")]),
        project: Some("registry=https://project/\n@p:registry=https://p.project/\n//h/:_authToken=project".into()),
        user: Some("registry=https://user/\n@p:registry=https://p.user/\n@u:registry=https://u.user/\n//i/:_authToken=user".into()),
        global: Some("registry=https://machine/\n@u:registry=https://u.machine/\n@g:registry=https://g.machine/\n//i/:_authToken=machine\n//j/:_authToken=machine".into()),
        asked: Some("https://asked/".into()),
    };
    let config = Config::new(&layers).unwrap();
    for (package, host) in [
        ("x", "project"),
        ("@e/x", "e.env"),
        ("@p/x", "p.project"),
        ("@u/x", "u.user"),
        ("@g/x", "g.machine"),
        ("@none/x", "project"),
        // A scope is a whole name, and only a name with a slash has one.
        ("@pp/x", "project"),
        ("@p", "project"),
        ("p/x", "project"),
    ] {
        assert_eq!(config.registry_for(package).host(), host, "{package}");
    }
    for (address, token) in [("https://h/", "env"), ("https://i/", "user"), ("https://j/", "machine")] {
        assert_eq!(sent(&config, address).unwrap(), format!("Bearer {token}"));
    }
}

#[test]
fn variables_of_the_environment_are_npms_in_either_case_and_not_empty() {
    for (name, value, host) in [
        ("npm_config_registry", "https://env/", "env"),
        ("NPM_CONFIG_REGISTRY", "https://env/", "env"),
        ("Npm_Config_Registry", "https://env/", "env"),
        ("npm_config_registry", "", "user"),
        ("npm_registry", "https://env/", "user"),
        ("xnpm_config_registry", "https://env/", "user"),
        ("registry", "https://env/", "user"),
    ] {
        let layers = Layers {
            user: Some("registry=https://user/".into()),
            env: env(&[(name, value)]),
            ..Layers::default()
        };
        assert_eq!(Config::new(&layers).unwrap().registry_for("x").host(), host, "{name}={value}");
    }
}

#[test]
fn credentials_without_a_host_are_noted_once_each_and_never_shown() {
    let config = user("_auth=s3cret\n_authToken=s3cret\n_password=s3cret\nusername=s3cret\nemail=x@y\n");
    assert_eq!(config.notes().len(), 4);
    for key in ["_auth", "_authToken", "_password", "username"] {
        let note = format!("`{key}` of the user's `.npmrc` names no host");
        assert!(config.notes().iter().any(|found| found.starts_with(&note)), "{note}: {:?}", config.notes());
    }
    assert!(!format!("{config:?}").contains("s3cret"));
    assert_eq!(sent(&config, "https://other/x"), None);
}

#[test]
fn an_address_that_is_none_is_told_without_its_password() {
    for text in
        ["https://me:s3cret@", "https://me:s3cret@h:x/", "https://me:s3cret?x@h/", "h/npm", "git://h/"]
    {
        let layers = Layers { user: Some(format!("registry=\"{text}\"")), ..Layers::default() };
        let error = Config::new(&layers).unwrap_err();
        assert!(matches!(&error, ConfigError::Url { key, .. } if key == "registry"), "{error:?}");
        let all = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
        assert!(!all.contains("s3cret"), "{all}");
    }
}

/// What npm itself says where nothing is configured. The names of no registry stand in this code, so npm is asked.
#[test]
#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "npm is the judge")]
fn the_registry_that_npm_has_built_in_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing");
    let mut npm = std::process::Command::new("npm");
    npm.args(["config", "get", "registry"]).current_dir(dir.path()).env_clear();
    npm.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", dir.path());
    npm.env("npm_config_userconfig", &nothing).env("npm_config_globalconfig", nothing.with_extension("too"));
    let Ok(output) = npm.output() else {
        assert!(std::env::var_os("CI").is_none(), "npm is needed");
        eprintln!("skip: npm is missing");
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let said = said.trim();
    let is = |text: &str| is_built_in(&SafeUrl::parse(text).unwrap());
    let bare = said.trim_end_matches('/');
    for same in [said.to_owned(), bare.to_owned(), bare.to_uppercase(), format!("{bare}:443/")] {
        assert!(is(&same), "npm says `{same}`");
    }
    for other in [
        format!("{bare}.example/"),
        format!("{bare}/x"),
        format!("{bare}//"),
        format!("{bare}:444/"),
        format!("{bare}/?x"),
        bare.replace("https://", "http://"),
        bare.replace("https://", "https://me:secret@"),
        "https://registry.example/".to_owned(),
    ] {
        assert!(!is(&other), "`{other}` is another");
    }
}
