use std::path::Path;

use pinfold_base::Diagnose as _;
use pinfold_base::Kind;

use super::*;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text, Path::new("pinfold.toml"), Path::new("/project"))
}

fn message(text: &str) -> String {
    let error = parse(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    error.to_string()
}

#[test]
fn the_presets_mean_what_the_design_says() {
    let iteron = Manifest::preset("iteron", Path::new("/")).unwrap();
    assert_eq!(iteron.name, "iteron-sandbox");
    assert_eq!(iteron.platforms, Platform::ALL);
    let debian = iteron.debian.unwrap();
    assert_eq!(debian.suites, ["bookworm", "bookworm-updates", "bookworm-security"]);
    assert!(debian.slim && !debian.recommends);
    assert_eq!(iteron.user.unwrap().uid, 1000);
    let sealed = Manifest::preset("sealed", Path::new("/")).unwrap();
    assert_eq!(sealed.debian.unwrap().base, Base::Essential);
    assert_eq!(sealed.user.unwrap().uid, 65532);
    Manifest::preset("solo", Path::new("/")).unwrap();
}

#[test]
fn a_manifest_overrides_its_preset() {
    let manifest = parse(
        "preset = 'iteron'\nname = 'mine'\nagents = ['claude-code']\n[image.env]\nLANG = 'de_DE.UTF-8'\n\
         [[file]]\npath = '/home/iteron/.tmux.conf'\ncontent = 'x'\n[debian]\nslim = false\n",
    )
    .unwrap();
    assert_eq!(manifest.name, "mine");
    assert_eq!(manifest.agents.len(), 1);
    assert_eq!(manifest.image.env["LANG"], "de_DE.UTF-8");
    assert_eq!(manifest.image.env["NO_BROWSER"], "true", "tables merge");
    assert_eq!(manifest.files.len(), 1, "an entry for the same path replaces");
    let debian = manifest.debian.unwrap();
    assert!(!debian.slim);
    assert!(debian.packages.contains(&"tini".to_owned()), "untouched keys stay");
}

#[test]
fn unknown_keys_show_their_place() {
    insta::assert_snapshot!(message("name = 'x'\n[debian]\nsuite = 'bookworm'\npakages = ['git']\n"), @"
    unknown field `pakages`, expected one of `suite`, `suites`, `components`, `base`, `packages`, `recommends`, `slim`, `mirror`, `security-mirror`, `snapshot`, `keyring`, `check-valid-until`
      --> pinfold.toml:4:1
      |
    4 | pakages = ['git']
      | ^^^^^^^
    ");
}

#[test]
fn wrong_types_show_their_place() {
    insta::assert_snapshot!(message("name = 'x'\nplatforms = ['linux/riscv64']\n"), @"
    platform `linux/riscv64` is not known: expected `linux/amd64` or `linux/arm64`
      --> pinfold.toml:2:13
      |
    2 | platforms = ['linux/riscv64']
      |             ^^^^^^^^^^^^^^^^^
    ");
    assert!(
        message("name = 'x'\n[user]\nname = 'a'\nuid = 'b'\ngid = 1\nhome = '/h'").contains("invalid type")
    );
    assert!(message("name = 'x'\n[[dir]]\npath = 'relative'").contains("is not absolute"));
    assert!(message("name = 'x'\n[[dir]]\npath = '/a/../b'").contains("`..`"));
    assert!(message("name = 'x'\n[[dir]]\npath = '/a'\nmode = '999'").contains("octal"));
    assert!(message("name = 'x'\n[policy]\nmin-age = '3 days'").contains("span of time"));
}

#[test]
fn impossible_values_name_their_key() {
    for (text, expected) in [
        ("", "`name`"),
        ("name = 'Not Good'", "`name`"),
        ("name = 'x'\nplatforms = []", "`platforms`"),
        ("name = 'x'\n[debian]\npackages = ['git']", "`debian.suite`"),
        ("name = 'x'\n[debian]\nsuite = '../x'", "`debian.suite`"),
        ("name = 'x'\n[debian]\nsuite = 'sid'\npackages = ['GIT']", "`debian.packages`"),
        ("name = 'x'\n[user]\nname = 'a'\nuid = 0\ngid = 1\nhome = '/h'", "`user.uid`"),
        ("name = 'x'\n[user]\nname = 'a:b'\nuid = 1\ngid = 1\nhome = '/h'", "`user.name`"),
        ("name = 'x'\n[[file]]\npath = '/a'", "`file `/a``"),
        ("name = 'x'\n[[file]]\npath = '/a'\ncontent = ''\nowner = 'user'", "`user`"),
        ("name = 'x'\n[layers]\nmax = 1000", "`layers.max`"),
        ("name = 'x'\n[policy]\nsize-budget = 'big'", "`policy.size-budget`"),
        ("name = 'x'\n[scripts]\nfoo = 'skip'", "`scripts.foo`"),
    ] {
        let message = message(text);
        assert!(message.contains(expected), "{text:?} gave {message:?}");
    }
}

#[test]
fn unknown_presets_list_the_known_ones() {
    let error = parse("preset = 'nope'").unwrap_err();
    assert!(error.hint().unwrap().contains("`iteron`"));
}

#[test]
fn sizes() {
    assert_eq!(file::parse_size("700MiB"), Some(700 << 20));
    assert_eq!(file::parse_size("1.5GB"), Some(1_500_000_000));
    assert_eq!(file::parse_size("-1"), None);
    assert_eq!(file::parse_size("5 apples"), None);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}
