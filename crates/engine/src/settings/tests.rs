use std::os::unix::fs::PermissionsExt as _;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_image::sign::PROVENANCE;
use pinfold_image::sign::SIGNATURE;
use pinfold_image::sign::SecretKey;
use pinfold_image::sign::Signer as _;
use pinfold_network::OwnError;

use super::*;

fn public() -> String {
    SecretKey::generate().unwrap().public().to_pem()
}

/// A configuration folder with the key `team.pub` and this file.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { dir };
        fs::write(place.path("team.pub"), public()).unwrap();
        place.mode("team.pub", 0o644);
        fs::write(place.path(FILE_NAME), text).unwrap();
        place.mode(FILE_NAME, 0o644);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read(&self) -> Result<Settings, SettingsError> {
        Settings::read(self.dir.path(), Some(Path::new("/home/me")))
    }
}

/// What is said of a file.
fn told(error: &SettingsError) -> String {
    error.lines().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn rules_and_signers_are_what_was_written() {
    let inline = public();
    let place = Place::new(&format!(
        "[[trust]]\nimages = 'Registry.example:443/team/*'\nkeys = ['team.pub', '''\n{inline}''']\n\
         require = ['signature', 'provenance', 'https://spdx.dev/Document']\n\
         [[trust]]\nimages = '*'\nkeys = ['team.pub']\n\
         [sign]\nkey = '~/team.pem'\nformat = 'both'\n"
    ));
    let settings = place.read().unwrap();
    let rule = settings.trust.of(Some(&"registry.example/team/tool".parse().unwrap())).unwrap();
    assert_eq!(rule.images().to_string(), "registry.example/team/*");
    assert_eq!(rule.keys().len(), 2);
    assert_eq!(rule.require().count(), 3);
    assert!(
        [SIGNATURE, PROVENANCE, "https://spdx.dev/Document"]
            .iter()
            .all(|uri| rule.require().any(|one| one == *uri))
    );
    let all = settings.trust.of(Some(&"other.example/x".parse().unwrap())).unwrap();
    assert_eq!(all.require().collect::<Vec<_>>(), [SIGNATURE]);
    assert_eq!(settings.sign.with, Some(SignWith::Key("/home/me/team.pem".into())));
    assert_eq!(settings.sign.format, Format::Both);
    let holds: Vec<Holds> = settings.files.iter().map(|named| named.holds).collect();
    assert_eq!(holds, [Holds::PublicKey, Holds::PublicKey, Holds::PrivateKey]);

    let place = Place::new("[sign]\ncommand = ['kms', 'sign']\npublic = 'team.pub'\n");
    let settings = place.read().unwrap();
    assert!(
        matches!(&settings.sign.with, Some(SignWith::Command { words, .. }) if words == &["kms", "sign"])
    );
    assert_eq!(settings.sign.format, Format::Bundle);
    assert_eq!(settings.files, [Named { path: place.path("team.pub"), holds: Holds::PublicKey }]);

    let place = Place::new("[nix]\nresolution = 'nix.json'\n");
    let settings = place.read().unwrap();
    assert_eq!(settings.resolution, Some(place.path("nix.json")));
    assert_eq!(settings.files, [Named { path: place.path("nix.json"), holds: Holds::Answer }]);
}

#[test]
fn only_where_there_is_no_file_are_there_no_rules() {
    let dir = tempfile::tempdir().unwrap();
    let none = Settings::read(&dir.path().join("nowhere"), None).unwrap();
    assert!(none.trust.of(Some(&"registry.example/x".parse().unwrap())).is_none());
    assert!(Settings::read(dir.path(), None).is_ok());
    let file = dir.path().join(FILE_NAME);
    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    assert!(matches!(Settings::read(dir.path(), None), Err(SettingsError::File(OwnError::Read { .. }))));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(Settings::read(dir.path(), None), Err(SettingsError::File(OwnError::Read { .. }))));
    let place = Place::new("");
    assert!(
        place.read().unwrap().trust.of(Some(&"registry.example/x".parse().unwrap())).is_none(),
        "an empty one has no rules"
    );
    fs::write(place.path(FILE_NAME), vec![b'#'; (MAX + 1) as usize]).unwrap();
    assert!(place.read().unwrap_err().lines()[0].to_string().contains("cannot read"));
}

#[test]
fn what_others_can_write_decides_nothing() {
    let text = "[[trust]]\nimages = '*'\nkeys = ['team.pub']\n";
    let place = Place::new(text);
    assert!(place.read().is_ok(), "the control");
    for (name, mode) in [(FILE_NAME, 0o664), (FILE_NAME, 0o646), ("team.pub", 0o666), (".", 0o777)] {
        let before = fs::metadata(place.path(name)).unwrap().permissions();
        place.mode(name, mode);
        let error = place.read().unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{name}: {error}");
        assert!(error.hint().unwrap().starts_with("`chmod go-w "), "{error}");
        fs::set_permissions(place.path(name), before).unwrap();
        assert!(place.read().is_ok(), "{name}");
    }
    // A link is followed, and judged where it leads.
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("rules"), text).unwrap();
    fs::remove_file(place.path(FILE_NAME)).unwrap();
    std::os::unix::fs::symlink(other.path().join("rules"), place.path(FILE_NAME)).unwrap();
    assert!(place.read().is_ok(), "the control");
    fs::set_permissions(other.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(place.read().unwrap_err().kind(), Kind::Refused);
}

#[test]
fn what_cannot_be_is_shown_where_it_stands() {
    let rule = |rest: &str| format!("[[trust]]\nimages = 'registry.example/*'\n{rest}\n");
    for (text, said, place) in [
        ("trusted = 1", "unknown field `trusted`", "1:1"),
        ("[[trust]]\nimages = '*'\nkey = ['team.pub']", "unknown field `key`", "3:1"),
        ("[[trust]]\nimages = '*'", "missing field `keys`", "1:1"),
        ("[trust]\nimages = '*'", "expected a sequence", "1:1"),
        ("[[trust]]\nimages = 'team/*'\nkeys = ['team.pub']", "names no registry", "2:10"),
        ("[[trust]]\nimages = 'registry.example/te*'\nkeys = ['team.pub']", "whole parts", "2:10"),
        (&rule("keys = []"), "nobody's signature would count", "3:8"),
        (&rule("keys = ['config.toml']"), "that is no public key", "3:9"),
        (&rule("keys = ['-----BEGIN PUBLIC KEY-----']"), "its PEM is broken", "3:9"),
        (&rule("keys = ['']"), "names no file", "3:9"),
        (&rule("keys = ['team.pub']\nrequire = []"), "demands nothing", "4:11"),
        (&rule("keys = ['team.pub']\nrequire = ['signatur']"), "nor the URI of a predicate", "4:12"),
        (
            "[[trust]]\nimages = 'a.example/*'\nkeys = ['team.pub']\n[[trust]]\nimages = 'A.example:443/*'\nkeys = ['team.pub']",
            "two rules for `a.example/*`",
            "5:10",
        ),
        ("[sign]\nformat = 'x'", "unknown variant `x`", "2:10"),
        ("[sign]\nkey = 'a'\ncommand = ['b']", "not both", "3:11"),
        ("[sign]\ncommand = ['b']", "`public` is needed", "2:11"),
        ("[sign]\ncommand = []\npublic = 'team.pub'", "no program", "2:11"),
        ("[sign]\npublic = 'team.pub'", "there is none", "2:10"),
        ("[sign]\nkey = 'a", "invalid literal string", "2:9"),
    ] {
        let found = Place::new(text);
        let error = found.read().unwrap_err();
        let told = told(&error);
        assert!(told.contains(said), "{text}\n{told}");
        assert!(told.contains(&format!("config.toml:{place}\n")), "{text}\n{told}");
        assert!(told.ends_with('^'), "{told}");
        assert_eq!(error.kind(), Kind::Usage);
    }
    let near = Place::new("[sgin]\nkey = 'a'").read().unwrap_err();
    assert_eq!(near.hint().unwrap(), "write `sign` instead of `sgin`");
    let missing = Place::new(&rule("keys = ['other.pub']")).read().unwrap_err();
    assert!(told(&missing).contains("other.pub"), "{missing}");
    let bytes = Place::new("");
    fs::write(bytes.path(FILE_NAME), b"# \xff").unwrap();
    assert!(told(&bytes.read().unwrap_err()).contains("not UTF-8"));
}

#[test]
fn a_private_key_in_the_file_is_refused_without_being_shown() {
    let pem = SecretKey::generate().unwrap().to_pem().unwrap();
    let secret = pem.expose().lines().nth(1).unwrap().to_owned();
    for text in [
        format!("[sign]\nkey = '''\n{}'''\n", pem.expose()),
        format!("[[trust]]\nimages = '*'\nkeys = '''{}'''\n", pem.expose()),
        format!("[sign]\nkey = \"{}\"\n", pem.expose().replace('\n', "\\n")),
    ] {
        let error = Place::new(&text).read().unwrap_err();
        let told = told(&error);
        assert!(matches!(error, SettingsError::PrivateKey { .. }), "{told}");
        assert!(!told.contains(&secret[..8]) && !format!("{error:?}").contains(&secret[..8]), "{told}");
        assert!(error.hint().unwrap().contains("key = \"FILE\""));
    }
}
