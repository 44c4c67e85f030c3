use std::time::Duration;
use std::time::SystemTime;

use super::*;
use crate::project::lock::diff::Change;
use crate::project::lock::v1::LockedLayer;
use crate::sources::agent::LockedAgent;
use crate::sources::testing;

#[test]
fn what_killed_processes_left_is_removed_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    for (name, age) in [(".pinfold.lock-old", 7200), (".pinfold.lock-young", 60), ("other", 7200)] {
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.file().set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    sweep(dir.path());
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".pinfold.lock-young", "other"]);
}

/// SHA-256 of nothing (FIPS 180-4 test vectors), as the lock writes it.
const NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A lock with something of everything, written by hand from the drawing in `v1`.
fn written() -> String {
    format!(
        r#"# Written by `pinfold lock`. Commit it beside pinfold.toml; do not edit it by hand.
version = 1
compat = 6
epoch = 1700000000
layers = [
  {{ name = "system", components = ["debian/apt", "generated/base"] }},
  {{ name = "claude-code", components = ["agent/claude-code"] }},
]

[encoders]
gzip = "gzip-6"

[request]
agents = "0123456789abcdef"

[debian]
suites = [
  {{ name = "bookworm", codename = "bookworm", archive = "debian", inrelease = "{NOTHING}", date = 1700000000 }},
]

[debian.packages]
"linux/amd64" = [
  {{ name = "apt", version = "2.6.1", arch = "amd64", source = "apt", sha256 = "{NOTHING}", size = 7, path = "pool/a.deb", suite = "bookworm", manual = false }},
]

[[agents]]
name = "claude-code"
version = "2.0.1"

[agents.packages]
"linux/amd64" = {{ name = "claude", version = "2.0.1", integrity = "{NOTHING}", path = "claude/-/claude-2.0.1.tgz", published = 1699000000 }}

[npm]
"linux/amd64" = [
  {{ dir = "node_modules/typescript", package = {{ name = "typescript", version = "5.4.0", integrity = "{NOTHING}", path = "t.tgz" }}, bins = {{ tsc = "bin/tsc" }}, requested = true }},
]

[binaries]
"linux/arm64" = [
  {{ name = "rg", version = "14", url = "https://example.org/rg.tar.gz", sha256 = "{NOTHING}", size = 9, format = "auto" }},
]
"#
    )
}

/// The form of before, in which a recipe with all its platforms was one line: it says the same.
#[test]
fn one_package_is_one_line() {
    let mut lock = read();
    let entry = |package: &str, what: &[&str]| {
        format!(
            "{{ package = {package:?}, script = \"postinst\", sha256 = \"{NOTHING}\", class = \"nothing\", what = {what:?} }}"
        )
    };
    let ledger = [entry("base-files", &["directory /a 0755", "link /b -> c"]), entry("apt", &["nothing"])];
    #[derive(serde::Deserialize)]
    struct Ledger {
        ledger: BTreeMap<Platform, Vec<pinfold_sources::debian::place::LedgerEntry>>,
    }
    let text = format!("[ledger]\n\"linux/amd64\" = [{}]", ledger.join(", "));
    lock.ledger = toml::from_str::<Ledger>(&text).unwrap().ledger;
    let arm: Platform = "linux/arm64".parse().unwrap();
    let first = lock.agents[0].packages.values().next().unwrap().clone();
    lock.agents[0].packages.insert(arm, first);
    let text = lock.render();
    assert_eq!(parse(&text).unwrap(), lock);
    let of = |from: &str, lines: usize| -> Vec<&str> {
        text.lines().skip_while(|line| *line != from).take(lines).collect()
    };
    assert_eq!(
        of("layers = [", 9),
        [
            "layers = [",
            "  { name = \"system\", components = [",
            "    \"debian/apt\",",
            "    \"generated/base\",",
            "  ] },",
            "  { name = \"claude-code\", components = [\"agent/claude-code\"] },",
            "]",
            "",
            "[encoders]",
        ]
    );
    let agents = of("[[agents]]", 7);
    assert_eq!(agents[..4], ["[[agents]]", "name = \"claude-code\"", "version = \"2.0.1\"", ""]);
    assert_eq!(agents[4], "[agents.packages]");
    assert!(agents[5].starts_with("\"linux/amd64\" = { name = \"claude\", "), "{text}");
    assert!(agents[6].starts_with("\"linux/arm64\" = { name = \"claude\", "), "{text}");
    for line in ["    \"directory /a 0755\",", "    \"link /b -> c\","] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
    // A lock as it was written before.
    let packages = agents[5..].iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let before = text.replace(
        &agents.join("\n"),
        &format!("[[agents]]\nname = \"claude-code\"\nversion = \"2.0.1\"\npackages = {{ {packages} }}"),
    );
    assert_ne!(before, text);
    assert_eq!(parse(&before).unwrap(), lock);
}

fn parse(text: &str) -> Result<Lock, LockError> {
    Lock::parse(text, Path::new("pinfold.lock"))
}

fn read() -> Lock {
    parse(&written()).unwrap()
}

#[test]
fn a_lock_is_read_and_every_archive_is_in_its_one_list() {
    let lock = read();
    let listed = |platform: &str| -> Vec<String> {
        let shown = |archive: &Archive<'_>| {
            format!(
                "{} {}: {} {:?} {:?}",
                archive.component, archive.version, archive.what, archive.size, archive.format
            )
        };
        lock.archives(platform.parse().unwrap()).iter().map(shown).collect()
    };
    assert_eq!(
        listed("linux/amd64"),
        [
            "debian/apt 2.6.1: apt 2.6.1 (amd64) Some(7) Deb",
            "agent/claude-code 2.0.1: claude@2.0.1 None Tar",
            "npm/typescript 5.4.0: typescript@5.4.0 None Tar",
        ]
    );
    assert_eq!(listed("linux/arm64"), ["binary/rg 14: rg 14 (linux/arm64) Some(9) Tar"]);
    let addresses = lock.archives("linux/arm64".parse().unwrap());
    assert_eq!(addresses[0].origin.address(), Some("https://example.org/rg.tar.gz"));
    let addresses = lock.archives("linux/amd64".parse().unwrap());
    assert!(addresses.iter().all(|archive| archive.origin.address().is_none()), "all else is below a mirror");
}

#[test]
fn a_lock_that_is_written_is_read_back_as_it_was() {
    let lock = read();
    let text = lock.render();
    assert_eq!(parse(&text).unwrap(), lock);
    assert_eq!(parse(&text).unwrap().render(), text);
    // One package a line, so that a changed version is a changed line.
    let lines = |lock: &Lock| lock.render().lines().map(str::to_owned).collect::<Vec<_>>();
    let mut other = lock.clone();
    "2.6.2".clone_into(&mut other.debian.as_mut().unwrap().packages.values_mut().next().unwrap()[0].version);
    let (before, after) = (lines(&lock), lines(&other));
    assert_eq!(before.len(), after.len());
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
    assert_ne!(lock.digest(), other.digest());
}

#[test]
fn a_section_that_has_nothing_is_not_written() {
    let text = Lock { version: 1, compat: COMPAT, ..Lock::default() }.render();
    let keys = ["version = 1", "compat = 8", "epoch = 0", "[encoders]", "[request]"];
    let written: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(written, keys);
}

#[test]
fn a_lock_that_is_not_ours_is_refused_and_says_where() {
    let good = written();
    for (text, expected) in [
        (String::new(), "missing field `version`"),
        ("version = 1\n".to_owned(), "missing field `compat`"),
        (
            good.replace("version = 1\n", "version = 2\nnews = true\n"),
            "it has format 2, this version reads 1",
        ),
        (good.replace("compat = 6", "compat = 99"), "it has compat level 99"),
        (good.replace("compat = 6", "compat = 0"), "it has compat level 0"),
        (good.replace("compat = 6", "compat = '4'"), "invalid type"),
        (good.replace("epoch = 1700000000", "epoch = -1"), "line 4: invalid value"),
        (good.replace("epoch = ", "epoch = 1\nepoch = "), "duplicate key"),
        (format!("{good}[pypi]\n"), "unknown field `pypi`"),
        (good.replace("manual = false", "manual = false, held = true"), "unknown field `held`"),
        (good.replace("requested = true", "wanted = true"), "unknown field `wanted`"),
        (good.replace("format = \"auto\"", "format = \"exe\""), "unknown variant `exe`"),
        (good.replace("\"linux/arm64\"", "\"linux/riscv64\""), "linux/riscv64"),
        (good.replace(NOTHING, "md5:d41d8cd98f00b204e9800998ecf8427e"), "is not a digest"),
        (good.replace(NOTHING, "sha256:e3b0"), "line "),
        (good.replace("size = 7", "size = 18446744073709551616"), "pinfold.lock"),
        (good.replace("date = 1700000000", "date = {}"), "invalid type: map"),
        (good.replace('[', "[[[[[["), "pinfold.lock"),
        ("\u{0}\u{1}".to_owned(), "pinfold.lock"),
        ("a = [".repeat(10_000), "pinfold.lock"),
    ] {
        let error = parse(&text).expect_err(expected);
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint().unwrap().contains("pinfold lock"));
        assert!(error.to_string().contains(expected), "expected {expected:?}, got {error}");
    }
}

#[test]
fn a_lock_that_is_no_text_or_too_large_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    assert_eq!(Lock::load(&file).unwrap(), None, "there is none");
    fs::write(&file, [0xff, 0xfe]).unwrap();
    assert_eq!(Lock::load(&file).unwrap_err().kind(), Kind::System);
    fs::File::create(&file).unwrap().set_len(MAX_SIZE + 1).unwrap();
    assert!(Lock::load(&file).unwrap_err().to_string().contains("larger than 64 MiB"));
}

#[test]
fn saving_what_is_there_already_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    let lock = read();
    assert_eq!(lock.save(&file).unwrap(), Saved::Written);
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(lock.save(&file).unwrap(), Saved::Unchanged);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    assert_eq!(Lock { epoch: 1, ..lock }.save(&file).unwrap(), Saved::Written);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn two_locks_differ_in_the_components_whose_versions_moved() {
    let change = |component: &str, from: Option<&str>, to: Option<&str>| Change {
        component: component.into(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
    };
    type Edit = fn(&mut Lock);
    let table: [(&str, Edit, Vec<Change>); 9] = [
        ("nothing", |_| {}, vec![]),
        ("times and layers", |lock| (lock.epoch, lock.layers) = (1, Vec::new()), vec![]),
        (
            "a package moves",
            |lock| {
                "2.6.2".clone_into(
                    &mut lock.debian.as_mut().unwrap().packages.values_mut().next().unwrap()[0].version,
                );
            },
            vec![change("debian/apt", Some("2.6.1"), Some("2.6.2"))],
        ),
        ("Debian leaves", |lock| lock.debian = None, vec![change("debian/apt", Some("2.6.1"), None)]),
        (
            "an agent moves",
            |lock| "2.1.0".clone_into(&mut lock.agents[0].version),
            vec![change("agent/claude-code", Some("2.0.1"), Some("2.1.0"))],
        ),
        (
            "an agent gives way to another",
            |lock| "other".clone_into(&mut lock.agents[0].name),
            vec![
                change("agent/claude-code", Some("2.0.1"), None),
                change("agent/other", None, Some("2.0.1")),
            ],
        ),
        (
            "a platform has another version",
            |lock| {
                let mut other = lock.npm.values().next().unwrap().clone();
                "5.5.0".clone_into(&mut other[0].package.version);
                lock.npm.insert("linux/arm64".parse().unwrap(), other);
            },
            vec![change("npm/typescript", Some("5.4.0"), Some("5.4.0, 5.5.0"))],
        ),
        (
            "one program twice is one",
            |lock| {
                let same = lock.binaries.values().next().unwrap().clone();
                lock.binaries.insert("linux/amd64".parse().unwrap(), same);
            },
            vec![],
        ),
        (
            "an address moves, its version does not",
            |lock| {
                lock.binaries.values_mut().next().unwrap()[0].url = "https://elsewhere.example/".into();
            },
            vec![],
        ),
    ];
    for (what, edit, expected) in table {
        let mut new = read();
        edit(&mut new);
        assert_eq!(diff::changes(Some(&read()), &new), expected, "{what}");
    }
    let all: Vec<String> = diff::changes(None, &read()).into_iter().map(|change| change.component).collect();
    assert_eq!(all, ["agent/claude-code", "binary/rg", "debian/apt", "npm/typescript"], "everything is new");
}

/// A manifest that asks for something of everything.
const BASE: &str = "name = 'x'\nagents = ['claude-code']\n[debian]\nsuite = 'bookworm'\npackages = ['git', 'jq']\n\
                    [npm]\npackages = ['typescript@5']\n[scripts]\nfoo = 'skip: no need'\n\
                    [[binary]]\nname = 'rg'\nversion = '14'\nurl = { 'linux/amd64' = 'https://a.example/rg', 'linux/arm64' = 'https://a.example/rg' }\nmembers = { '.' = '/rg' }\n";

#[test]
fn a_changed_manifest_names_the_keys_that_make_the_lock_stale() {
    let with = |from: &str, to: &str| {
        assert!(BASE.contains(from), "{from}");
        BASE.replace(from, to)
    };
    let base = request::parts(&testing::project(BASE));
    assert_eq!(
        base.keys().collect::<Vec<_>>(),
        ["agents", "binary", "debian", "layers", "npm", "platforms", "policy.min-age", "scripts"]
    );
    for (text, expected) in [
        (BASE.to_owned(), &[][..]),
        (format!("# a comment\r\n{BASE}"), &[]),
        (with("name = 'x'", "name = 'y'"), &[]),
        (
            format!(
                "{BASE}[image.env]\nA = 'b'\n[[file]]\npath = '/a'\ncontent = ''\n[run]\nnetwork = 'none'\n"
            ),
            &[],
        ),
        (format!("{BASE}[user]\nname = 'u'\nuid = 1\ngid = 1\nhome = '/u'\n"), &[]),
        (with("suite = 'bookworm'", "suite = 'bookworm'\nslim = false\nmirror = 'https://m.example'"), &[]),
        (
            with(
                "packages = ['typescript@5']",
                "packages = ['typescript@5']\nregistry = 'https://n.example'",
            ),
            &[],
        ),
        (with("name = 'x'", "name = 'x'\nplatforms = ['linux/amd64']"), &["platforms"]),
        (with("['git', 'jq']", "['jq', 'git']"), &["debian"]),
        (with("'bookworm'", "'trixie'"), &["debian"]),
        (with("suite = 'bookworm'", "suite = 'bookworm'\nrecommends = true"), &["debian"]),
        (with("suite = 'bookworm'", "suite = 'bookworm'\nbase = 'none'"), &["debian"]),
        (with("'claude-code'", "'claude-code', 'opencode'"), &["agents"]),
        (with("'claude-code'", "{ name = 'claude-code', version = '2' }"), &["agents"]),
        (with("typescript@5", "typescript@6"), &["npm"]),
        (with("packages = ['typescript@5']", "packages = []"), &["npm"]),
        (with("no need", "other words"), &["scripts"]),
        (with("[scripts]\nfoo = 'skip: no need'\n", ""), &["scripts"]),
        (with("foo = 'skip: no need'", "foo.postinst = { skip = 'no need' }"), &["scripts"]),
        (
            with("suite = 'bookworm'", "suite = 'bookworm'\ndebconf = { 'tzdata/Zones/Europe' = 'Berlin' }"),
            &["debian.debconf"],
        ),
        (with("https://a", "https://b"), &["binary"]),
        (with("'/rg'", "'/usr/bin/rg'"), &["binary"]),
        (format!("{BASE}[layers]\nmax = 3\n"), &["layers"]),
        (format!("{BASE}[policy]\nmin-age = '0'\nset-id = 'keep'\n"), &["policy.min-age"]),
        (with("'claude-code'", ""), &["agents"]),
        ("name = 'x'".to_owned(), &["agents", "binary", "debian", "npm", "scripts"]),
    ] {
        let asked = request::parts(&testing::project(&text));
        assert_eq!(request::moved(&asked, &base), expected, "{text}");
    }
}

#[test]
fn the_request_of_a_recipe_is_what_it_is_fetched_by() {
    let world = testing::World::new();
    let recipe = "name = 'mine'\ntitle = 'Mine'\ncommand = 'mine'\n[npm]\npackage = 'mine'\nversion = '1'\n";
    let of = |text: &str| {
        world.write("mine.toml", text);
        request::parts(&world.project("name = 'x'\nagents = ['./mine.toml']\n"))
    };
    let base = of(recipe);
    assert_eq!(
        of(&format!("{recipe}[env]\nA = 'b'\n[run]\nhosts = ['h']\n")),
        base,
        "how it is run is no matter"
    );
    assert_eq!(of(&recipe.replace("title", "kind = 'runtime'\ntitle")), base);
    assert_ne!(of(&recipe.replace("'1'", "'2'")), base);
    assert_ne!(of(&format!("debian = ['git']\n{recipe}")), base);
}

#[test]
fn the_digest_of_a_part_is_that_of_its_json() {
    // The JSON is what serde_json 1 writes of the values, and the digests are sha256sum's.
    let parts = request::parts(&testing::project(
        "name = 'x'\nplatforms = ['linux/amd64']\n[debian]\nsuite = 'sid'\npackages = ['jq']\n[npm]\npackages = ['a@1']\n",
    ));
    for (key, json) in [
        ("agents", "[]"),
        ("platforms", r#"["linux/amd64"]"#),
        ("debian", r#"[["sid"],["main"],"minbase",["jq"],false]"#),
        ("npm", r#"{"packages":{"a":{"version":"1"}}}"#),
        ("layers", r#"{"max":60,"alone":[]}"#),
    ] {
        assert_eq!(parts[key], pinfold_base::Digest::sha256(json.as_bytes()).hex()[..16], "{key}");
    }
    assert_eq!(parts["agents"], "4f53cda18c2baa0c", "printf [] | sha256sum");
}

#[test]
fn what_is_wrong_with_a_lock_is_said_with_what_to_do() {
    let encoders = |id: &str| BTreeMap::from([("gzip".to_owned(), id.to_owned())]);
    for (error, text, hint) in [
        (
            LockError::Stale { moved: vec!["npm".into(), "debian".into()] },
            "the lock is stale: `npm`, `debian` changed since it was written",
            "brings it up to date",
        ),
        (
            LockError::Encoder { locked: encoders("gzip-5"), ours: encoders("gzip-6") },
            "the lock was made for other layer encoders: `gzip-5`, this version has `gzip-6`",
            "takes the new encoder on",
        ),
        (
            LockError::Encoder { locked: BTreeMap::new(), ours: encoders("gzip-6") },
            "the lock was made for other layer encoders: `none`, this version has `gzip-6`",
            "their content stays",
        ),
        (
            LockError::Missing { file: "a/b".into() },
            "there is no lock at `a/b`",
            "commit it beside the manifest",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint().unwrap().contains(hint), "{text}");
    }
}

/// Agents and layers are named in the file as they are in the model.
#[test]
fn the_model_of_a_written_lock_is_what_its_text_says() {
    let lock = read();
    assert_eq!(
        lock.layers[1],
        LockedLayer { name: "claude-code".into(), components: vec!["agent/claude-code".into()] }
    );
    let LockedAgent { name, version, packages } = &lock.agents[0];
    assert_eq!((name.as_str(), version.as_str(), packages.len()), ("claude-code", "2.0.1", 1));
    assert!(lock.npm.values().next().unwrap()[0].requested);
}
