use std::path::Path;

use pinfold_base::Diagnose as _;
use pinfold_base::Kind;

use pinfold_network::CredentialError;
use pinfold_network::Surroundings;
use pinfold_sandbox::spec::Access;

use super::run::Bind;
use super::run::HostFile;
use super::run::KeySource;
use super::run::Processes;
use super::run::Processors;
use super::run::Reach;
use super::run::Size;
use super::run::Variable;
use super::*;

mod meaning;
mod refused;

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
    let iteron = Manifest::preset("iteron", None, Path::new("/")).unwrap();
    assert_eq!(iteron.name, "iteron-sandbox");
    assert_eq!(iteron.platforms, Platform::ALL);
    let debian = iteron.sources.debian.unwrap();
    assert_eq!(debian.suites, ["bookworm", "bookworm-updates", "bookworm-security"]);
    assert!(debian.slim && !debian.recommends);
    assert_eq!(iteron.user.unwrap().uid, 1000);
    let sealed = Manifest::preset("sealed", None, Path::new("/")).unwrap();
    assert!(sealed.sources.debian.is_none() && sealed.sources.agents.is_empty());
    assert_eq!(
        sealed.sources.build.iter().map(crate::sources::build::Build::name).collect::<Vec<_>>(),
        ["sandbox"]
    );
    let debian = Manifest::preset("sealed-debian", None, Path::new("/")).unwrap();
    for sealed in [&sealed, &debian] {
        let user = sealed.user.as_ref().unwrap();
        assert_eq!(
            (user.uid, user.gid, sealed.image.entrypoint.as_deref()),
            (65532, 65532, Some(&["/sandbox".to_owned()][..]))
        );
        for place in ["/queue", "/run/ironclaw", "/workspace", "/memory", "/shared"] {
            let made = |dir: &Dir| dir.path.to_string().starts_with(place);
            assert!(sealed.dirs.iter().any(made) || user.home.to_string() == place, "{place}");
        }
    }
    assert_eq!(debian.sources.debian.unwrap().base, crate::sources::debian::Base::Essential);
    Manifest::preset("solo", None, Path::new("/")).unwrap();
}

#[test]
fn a_manifest_overrides_its_preset() {
    let manifest = parse(
        "preset = 'iteron'\nname = 'mine'\nagents = ['claude-code']\n[image.env]\nLANG = 'de_DE.UTF-8'\n\
         [[file]]\npath = '/home/iteron/.tmux.conf'\ncontent = 'x'\n[debian]\nslim = false\n",
    )
    .unwrap();
    assert_eq!(manifest.name, "mine");
    assert_eq!(manifest.sources.agents.len(), 1);
    assert_eq!(manifest.image.env["LANG"], "de_DE.UTF-8");
    assert_eq!(manifest.image.env["NO_BROWSER"], "true", "tables merge");
    assert_eq!(manifest.files.len(), 1, "an entry for the same path replaces");
    let debian = manifest.sources.debian.unwrap();
    assert!(!debian.slim);
    assert!(debian.packages.contains(&"tini".to_owned()), "untouched keys stay");
}

#[test]
fn unknown_keys_show_their_place() {
    insta::assert_snapshot!(message("name = 'x'\n[debian]\nsuite = 'bookworm'\npakages = ['git']\n"), @"
    unknown field `pakages`, expected one of `suite`, `suites`, `backports`, `components`, `base`, `packages`, `add`, `remove`, `recommends`, `slim`, `mirror`, `security-mirror`, `snapshot`, `keyring`, `check-valid-until`, `debconf`, `archive`
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

/// What a manifest whose `[run]` is `run` is refused with.
fn run_refused(run: &str) -> String {
    message(&format!("name = 'x'\n[run]\n{run}\n"))
}

#[test]
fn a_wrong_run_value_shows_its_line_and_what_was_expected() {
    insta::assert_snapshot!(run_refused("network = 'hots'"), @"
    network `hots` is not understood: expected `none`, `proxy` or `host`
      --> pinfold.toml:3:11
      |
    3 | network = 'hots'
      |           ^^^^^^
    ");
    insta::assert_snapshot!(run_refused("allow = ['example.org', 'https://example.org']"), @"
    `https://example.org` is not a rule of the allow-list: a rule is a host, not a URL; write `host`, `*.host`, `host:port` or `tcp:host:port`
      --> pinfold.toml:3:9
      |
    3 | allow = ['example.org', 'https://example.org']
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(run_refused("pids = 0"), @"
    number of processes `0` is not understood: expected at least 1, less than 4 billion
      --> pinfold.toml:3:8
      |
    3 | pids = 0
      |        ^
    ");
    for (run, expected) in [
        ("netwrok = 'none'", "unknown field `netwrok`"),
        ("network = 1", "expected a string"),
        ("network = 'None'", "expected `none`, `proxy` or `host`"),
        ("allow = 'example.org'", "expected a sequence"),
        ("allow = ['*']", "`*` may only stand for the first labels"),
        ("allow = ['*.com']", "too wide"),
        ("allow = ['tcp:example.org']", "must name its port"),
        ("allow = ['exa mple.org']", "is not a rule of the allow-list"),
        ("allow = ['example.org:0']", "is not a rule of the allow-list"),
        ("mounts = ['relative']", "mount `relative` is not understood: expected SOURCE[:TARGET][:ro|rw]"),
        ("mounts = ['/a:b']", "with absolute paths, or such below `~/`"),
        ("mounts = ['/a:/b:/c']", "with absolute paths, or such below `~/`"),
        ("mounts = ['/a:/b:wr']", "with absolute paths, or such below `~/`"),
        ("pass-env = ['']", "expected NAME, or NAME=VALUE"),
        ("pass-env = ['=x']", "expected NAME, or NAME=VALUE"),
        ("memory = 'much'", "size `much` is not understood: expected one such as `4GiB`"),
        ("memory = '0'", "expected one such as `4GiB`"),
        ("memory = 4", "expected a string"),
        ("cpus = '-1'", "expected one such as `1.5`"),
        ("cpus = 'NaN'", "expected one such as `1.5`"),
        ("cpus = '0.001'", "at least 0.01"),
        ("cpus = 'inf'", "expected one such as `1.5`"),
        ("pids = -1", "at least 1"),
        ("pids = 4294967296", "less than 4 billion"),
    ] {
        let message = run_refused(run);
        assert!(message.contains(expected), "{run:?} gave {message:?}");
        assert!(message.contains("pinfold.toml:3:"), "{run:?} gave {message:?}");
    }
}

#[test]
fn what_run_says_is_known_as_numbers_and_paths() {
    let manifest = parse(
        "name = 'x'\n[run]\nnetwork = 'none'\nallow = ['Example.ORG:8443']\nmounts = ['/data', '/a:/b:rw']\n\
         pass-env = ['LANG', 'A=b=c']\nmemory = '1.5GB'\ncpus = '2.5'\npids = 7\n[run.credentials]\nmy-agent = 'env:KEY'\n",
    )
    .unwrap();
    let run = manifest.run;
    assert_eq!(run.network, Some(Reach::None));
    assert_eq!(
        (run.allow[0].text(), run.allow[0].value.to_string()),
        ("Example.ORG:8443", "example.org:8443".into())
    );
    let bind =
        |source: &str, target: &str, access| Bind { source: source.into(), target: target.into(), access };
    assert_eq!(run.mounts[0].value, bind("/data", "/data", Access::ReadOnly));
    assert_eq!(run.mounts[1].value, bind("/a", "/b", Access::ReadWrite));
    let variable =
        |name: &str, value: Option<&str>| Variable { name: name.into(), value: value.map(str::to_owned) };
    assert_eq!(run.pass_env, [variable("LANG", None), variable("A", Some("b=c"))]);
    assert_eq!(run.memory.unwrap().value, Size(1_500_000_000));
    assert_eq!(run.cpus.unwrap().value, Processors(2500));
    assert_eq!(run.pids, Some(Processes(7)));
    assert_eq!(run.credentials["my-agent"].value, KeySource::Env("KEY".into()));
}

#[test]
fn a_key_written_into_the_manifest_is_refused_and_not_repeated() {
    insta::assert_snapshot!(run_refused("[run.credentials]\nclaude-code = 'sk-canary'"), @"
    `run.credentials` is not understood: expected `AGENT = \"SOURCE\"`, where SOURCE is `env:NAME`, `file:PATH`, `json:PATH#POINTER` or `command:PROGRAM ARGUMENT…`
      --> pinfold.toml:4:15
      |
    4 | claude-code = …
      |               ^
    ");
    for run in [
        "credentials = 'sk-canary'",
        "credentials = { claude-code = 'sk-canary' }",
        "credentials.claude-code = 'vault:sk-canary'",
        "[run.credentials]\nclaude-code = sk-canary",
        "[run.credentials]\nclaude-code = 'sk-canary",
        "[run.credentials]\nclaude-code = ['sk-canary']",
        "[run.credentials]\nclaude-code = 'file:sk-canary'",
        "[run.credentials]\nclaude-code = 'env:'",
        "[run.credentials]\nclaude-code = 'command: '",
        "[run.credentials]\nclaude-code = 'json:/sk-canary'",
    ] {
        let message = run_refused(run);
        assert!(
            message.contains("expected") && message.contains("pinfold.toml:"),
            "{run:?} gave {message:?}"
        );
        assert!(!message.contains("canary"), "{run:?} gave {message:?}");
    }
    // A mistake elsewhere is shown as ever: the negative control.
    assert!(message("name = 'canary").contains("canary"));
}

#[test]
fn a_key_comes_from_a_variable_a_file_or_a_program() {
    let (at, in_home) = (|path: &str| HostFile::At(path.into()), |path: &str| HostFile::InHome(path.into()));
    for (text, expected) in [
        ("env:KEY", KeySource::Env("KEY".into())),
        ("file:/k", KeySource::File(at("/k"))),
        ("file:~/.k", KeySource::File(in_home(".k"))),
        ("json:/a/b.json#/c/d", KeySource::Json { file: at("/a/b.json"), pointer: "/c/d".into() }),
        ("command:pass  show key", KeySource::Command(vec!["pass".into(), "show".into(), "key".into()])),
    ] {
        assert_eq!(text.parse::<KeySource>().unwrap(), expected, "{text}");
    }
    let nowhere = Surroundings::default();
    let found = "file:~/k".parse::<KeySource>().unwrap().find(&nowhere);
    assert!(matches!(found, Err(CredentialError::NoHome)), "{found:?}");
}

#[test]
fn a_key_has_an_agent() {
    for name in ["''", "' '", "'a/'", "'/b'", "'a//b'"] {
        let error = parse(&format!("name = 'x'\n[run.credentials]\n{name} = 'env:KEY'\n")).unwrap_err();
        assert!(
            error.to_string().starts_with("manifest key `run.credentials`: a name is empty"),
            "{name}: {error}"
        );
    }
    parse("name = 'x'\n[run.credentials]\na = 'env:KEY'\n'a/b' = 'env:KEY'\n").unwrap();
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
    assert_eq!((file::parse_size("500"), file::parse_budget("500")), (Some(500), None));
    assert_eq!(file::parse_budget("500B"), Some(500));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}
