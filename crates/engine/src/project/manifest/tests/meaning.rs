//! What manifests mean: defaults, presets laid under, and the forms that a value can be written in.

use pinfold_sources::debian::lock::Freshness;

use super::*;
use crate::project::manifest::environment::Under;
use crate::sources::debian::Base;
use crate::sources::debian::DebianMirrors;
use crate::sources::npm::NpmRequest;

/// The meaning of a manifest named `x`.
fn meaning(text: &str) -> Manifest {
    parse(&format!("name = 'x'\n{text}")).unwrap()
}

#[test]
fn a_name_alone_is_an_empty_image_for_both_platforms() {
    let manifest = meaning("");
    assert_eq!(manifest.name, "x");
    assert_eq!(manifest.platforms, ["linux/amd64", "linux/arm64"].map(|name| name.parse().unwrap()));
    let sources = &manifest.sources;
    assert!(sources.debian.is_none() && sources.agents.is_empty() && sources.npm == NpmRequest::default());
    assert!(manifest.files.is_empty() && manifest.dirs.is_empty() && manifest.links.is_empty());
    assert!(manifest.user.is_none() && manifest.scripts.is_empty());
    assert_eq!((&manifest.image, manifest.compression), (&Image::default(), Compression::Gzip));
    assert_eq!(manifest.layers, Layers { max: 60, alone: vec![] });
    let policy = Policy {
        min_age: Age(259_200),
        size_budget: None,
        set_id: SetId::Strip,
        missing_time: MissingTime::Refuse,
    };
    assert_eq!((manifest.policy, manifest.run), (policy, Run::default()));
    assert_eq!(manifest.directory, Path::new("/project"));
}

#[test]
fn platforms_are_sorted_and_named_once() {
    let of = |list: &str| -> Vec<String> {
        meaning(&format!("platforms = {list}")).platforms.iter().map(Platform::to_string).collect()
    };
    assert_eq!(of("['linux/arm64', 'linux/amd64', 'linux/arm64']"), ["linux/amd64", "linux/arm64"]);
    assert_eq!(of("['linux/arm64']"), ["linux/arm64"]);
}

#[test]
fn a_suite_brings_its_updates_and_an_unstable_one_has_none() {
    for (text, expected) in [
        ("suite = 'trixie'", &["trixie", "trixie-updates", "trixie-security"][..]),
        ("suite = 'sid'", &["sid"]),
        ("suite = 'unstable'", &["unstable"]),
        ("suites = ['a', 'b/c']", &["a", "b/c"]),
        ("suites = []\nsuite = 'sid'", &["sid"]),
    ] {
        let debian = meaning(&format!("[debian]\n{text}")).sources.debian.unwrap();
        assert_eq!(debian.suites, expected, "{text}");
        assert_eq!(debian.components, ["main"]);
        assert_eq!((debian.base, debian.recommends, debian.slim), (Base::Minbase, false, true));
    }
}

#[test]
fn mirrors_and_a_keyring_are_beside_the_request() {
    let text = "[debian]\nsuite = 'sid'\nmirror = 'https://d.example'\nsecurity-mirror = 'https://s.example'\n\
                snapshot = 'https://n.example/{archive}/{timestamp}'\nkeyring = 'keys/own.asc'\ncheck-valid-until = false\n\
                [npm]\nregistry = 'https://r.example'\n";
    let sources = meaning(text).sources;
    let expected = DebianMirrors {
        archive: Some("https://d.example".into()),
        security: Some("https://s.example".into()),
        snapshot: Some("https://n.example/{archive}/{timestamp}".into()),
        keyring: Some("keys/own.asc".into()),
        freshness: Freshness::Unchecked,
    };
    assert_eq!(sources.debian.unwrap().mirrors, expected);
    assert_eq!(sources.npm.registry.as_deref(), Some("https://r.example"));
    let checked = meaning("[debian]\nsuite = 'sid'\ncheck-valid-until = true");
    assert_eq!(checked.sources.debian.unwrap().mirrors.freshness, Freshness::default());
}

#[test]
fn npm_packages_have_a_range_after_the_last_at_sign() {
    let npm = meaning(
        "[npm]\npackages = ['plain', 'ranged@^1.2', '@scope/name', '@scope/ranged@2']\n[npm.package]\nshort = '3.x'\n\
         long = { version = '4', bin = ['l'], scripts = 'downloads only' }\nplain = '5'\n",
    )
    .sources
    .npm;
    let found: Vec<(&str, &str)> =
        npm.packages.iter().map(|(name, package)| (name.as_str(), package.version.as_str())).collect();
    assert_eq!(
        found,
        [
            ("@scope/name", "latest"),
            ("@scope/ranged", "2"),
            ("long", "4"),
            ("plain", "5"),
            ("ranged", "^1.2"),
            ("short", "3.x"),
        ]
    );
    let long = &npm.packages["long"];
    assert_eq!(
        (long.bin.as_deref(), long.scripts.as_deref()),
        (Some(&["l".to_owned()][..]), Some("downloads only"))
    );
}

#[test]
fn an_agent_is_a_name_a_path_or_either_with_a_version() {
    let agents =
        meaning("agents = ['claude-code', './mine.toml', { name = 'codex-cli', version = '~0.50' }]")
            .sources
            .agents;
    let found: Vec<_> = agents.iter().map(|agent| (agent.name(), agent.version())).collect();
    assert_eq!(found, [("claude-code", None), ("./mine.toml", None), ("codex-cli", Some("~0.50"))]);
}

#[test]
fn small_values_are_read_in_all_their_forms() {
    for (text, seconds) in [("0", 0), ("12h", 43_200), ("3d", 259_200), ("2w", 1_209_600)] {
        assert_eq!(meaning(&format!("[policy]\nmin-age = '{text}'")).policy.min_age, Age(seconds), "{text}");
    }
    for (text, owner) in [("root", Owner::Root), ("0:0", Owner::Ids(0, 0)), ("33:44", Owner::Ids(33, 44))] {
        let dir = meaning(&format!("[[dir]]\npath = '/a'\nowner = '{text}'")).dirs.remove(0);
        assert_eq!(dir.owner, owner, "{text}");
    }
    for (text, mode) in [("755", 0o755), ("0644", 0o644), ("4755", 0o4755), ("000", 0)] {
        let dir = meaning(&format!("[[dir]]\npath = '/a'\nmode = '{text}'")).dirs.remove(0);
        assert_eq!(dir.mode, Some(Mode(mode)), "{text}");
    }
    for (text, bytes) in [("4096", 4096), ("1k", 1024), ("1kB", 1000), ("2M", 2 << 20), ("1.5GiB", 3 << 29)] {
        let budget = meaning(&format!("[policy]\nsize-budget = '{text}'")).policy.size_budget;
        assert_eq!(budget, Some(bytes), "{text}");
    }
    let manifest = meaning("[scripts]\nfoo = 'skip:  it only prints '\n");
    assert_eq!(manifest.scripts["foo"], Skipped::All("it only prints".into()));
    let each = meaning(
        "[scripts]\nfoo.postinst = { skip = 'no' }\nfoo.config = 'skip: none'\n\"a.b\" = 'skip: x'\n",
    );
    let some =
        [("config", "none"), ("postinst", "no")].map(|(script, why)| (script.to_owned(), why.to_owned()));
    assert_eq!(each.scripts["foo"], Skipped::Some(BTreeMap::from(some)));
    assert_eq!(each.scripts["a.b"], Skipped::All("x".into()));
    for (typed, expected) in [
        (
            "foo.postint = { skip = 'no' }",
            "`scripts.foo.postint`: `postint` is no install script: did you mean `postinst`?",
        ),
        (
            "php8.2-cli = 'skip: x'",
            "`scripts.php8.2-cli`: `2-cli` is no install script: a package's name with a dot stands in quotes: \"php8.2-cli\"",
        ),
        (
            "foo.triggers = { skip = 'x' }",
            "`scripts.foo.triggers`: `triggers` is no install script: expected one of `preinst`, `config`, `postinst`",
        ),
        ("foo.postinst = { skip = ' ' }", "`scripts.foo.postinst`: write the reason behind `skip`"),
        (
            "foo.postinst = 'no'",
            "`scripts.foo.postinst`: `no` is not understood: write \"skip: \" and the reason",
        ),
    ] {
        let error = parse(&format!("name = 'x'\n[scripts]\n{typed}\n"))
            .unwrap_err()
            .to_string()
            .replace("`\"", "\"")
            .replace("\"`", "\"");
        assert_eq!(error, format!("manifest key {expected}"));
    }
    // Deeper still, where a script of such a package is meant.
    for typed in ["php8.2-cli.config = 'skip: x'", "php8.2-cli.postinst = { skip = 'x' }"] {
        let error = parse(&format!("name = 'x'\n[scripts]\n{typed}\n")).unwrap_err().to_string();
        assert!(
            error.contains("a package's name with a dot stands in quotes, as in `\"libssl1.1\".postinst`"),
            "{error}"
        );
        assert!(error.contains("pinfold.toml:3:"), "{error}");
    }
    for (typed, expected) in [
        ("foo.postinst = { skip = 'x', reason = 'y' }", "unknown field `reason`, expected `skip`"),
        ("foo.postinst = { skip = 1 }", "`skip` is the reason, in quotes"),
        ("foo.postinst = {}", "missing field `skip`"),
    ] {
        let error = parse(&format!("name = 'x'\n[scripts]\n{typed}\n")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn over_a_preset_tables_merge_values_replace_and_entries_add_up() {
    let base = "name = 'base'\n[debian]\nsuite = 'sid'\npackages = ['git']\n[image]\nworkdir = '/w'\n[image.env]\nA = '1'\nB = '1'\n\
                [[file]]\npath = '/a'\ncontent = 'base'\n[[link]]\npath = '/l'\ntarget = 'base'\n[scripts]\none = 'skip: base'\n\
                [layers]\nmax = 10\nalone = ['debian/perl']\n[policy]\nmin-age = '1d'\nset-id = 'keep'\n";
    let over = "[debian]\npackages = ['jq']\n[image.env]\nB = '2'\nC = '2'\n[[file]]\npath = '/a'\ncontent = 'over'\n\
                [[file]]\npath = '/b'\ncontent = 'over'\n[scripts]\ntwo = 'skip: over'\n[layers]\nmax = 20\n[policy]\nmin-age = '2d'\n";
    let read = |text: &str| ManifestFile::parse(text, Path::new("pinfold.toml")).unwrap();
    let both = read(base).overlaid_by(read(over)).meaning(Path::new("/")).unwrap();
    let debian = both.sources.debian.unwrap();
    assert_eq!((debian.suites, debian.packages), (vec!["sid".to_owned()], vec!["jq".to_owned()]));
    let pairs = [("A", "1"), ("B", "2"), ("C", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(both.image.env, BTreeMap::from(pairs));
    assert_eq!(both.image.workdir.unwrap().to_string(), "/w");
    let files: Vec<_> =
        both.files.iter().map(|file| (file.path.to_string(), file.content.as_deref().unwrap())).collect();
    assert_eq!(files, [("/a".to_owned(), "over"), ("/b".to_owned(), "over")]);
    assert_eq!(both.links.len(), 1);
    assert_eq!(both.scripts.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(both.layers, Layers { max: 20, alone: vec!["debian/perl".into()] });
    assert_eq!((both.policy.min_age, both.policy.set_id), (Age(172_800), SetId::Keep));
    // Exact suites of one's own leave nothing of the preset's.
    let exact =
        read(base).overlaid_by(read("[debian]\nsuites = ['mine']\n")).meaning(Path::new("/")).unwrap();
    assert_eq!(exact.sources.debian.unwrap().suites, ["mine"]);
    // Nor does a suite leave a preset's exact ones.
    let named =
        read("name = 'base'\n[debian]\nsuites = ['a']\n").overlaid_by(read("[debian]\nsuite = 'sid'\n"));
    assert_eq!(named.meaning(Path::new("/")).unwrap().sources.debian.unwrap().suites, ["sid"]);
}

#[test]
fn the_manifest_that_init_writes_has_the_name_and_means_the_preset() {
    for preset in Preset::ALL {
        let text = preset.manifest_text(Some("mine"), None);
        assert_eq!(text.matches("name = \"mine\"").count(), 1, "{text}");
        let written = parse(&text).unwrap();
        let own = Manifest::preset(preset.name, None, Path::new("/project")).unwrap();
        assert_eq!(written, Manifest { name: "mine".into(), ..own }, "{}", preset.name);
        assert_eq!(preset.manifest_text(None, None), preset.text);
        if matches!(preset.name, "nix" | "sealed") {
            // It has no Debian whose suite could be another.
            assert!(parse(preset.text).unwrap().sources.debian.is_none());
            continue;
        }
        let text = preset.manifest_text(None, Some("trixie"));
        let trixie = Manifest::preset(preset.name, Some("trixie"), Path::new("/project")).unwrap();
        assert_eq!(parse(&text).unwrap(), trixie, "{}", preset.name);
        let suites = trixie.sources.debian.unwrap().suites;
        assert_eq!(suites, ["trixie", "trixie-updates", "trixie-security"]);
        assert!(!text.contains("bookworm"), "{text}");
    }
    let error = Manifest::preset("solo", Some("../x"), Path::new("/project")).unwrap_err();
    assert_eq!(error.to_string(), "manifest key `debian.suite`: `../x` is no suite name");
}

#[test]
fn a_suite_brings_the_suites_that_stand_beside_it() {
    let suites = |debian: &str| meaning(&format!("[debian]\n{debian}\n")).sources.debian.unwrap().suites;
    for (debian, expected) in [
        ("suite = 'trixie'", "trixie trixie-updates trixie-security"),
        ("suite = 'trixie'\nbackports = true", "trixie trixie-updates trixie-security trixie-backports"),
        ("suite = 'testing'", "testing testing-updates testing-security"),
        ("suite = 'sid'", "sid"),
        ("suite = 'unstable'", "unstable"),
        ("suite = 'experimental'", "sid experimental"),
    ] {
        assert_eq!(suites(debian).join(" "), expected, "{debian}");
    }
    for (debian, expected) in [
        ("suite = 'sid'\nbackports = true", "`sid` has no backports: leave the key out"),
        ("suite = 'forky'\nbackports = true", "`forky` has no backports: leave the key out"),
        (
            "suites = ['a']\nbackports = true",
            "it goes with `suite`: name the suite of backports among `suites`",
        ),
    ] {
        let error = parse(&format!("name = 'x'\n[debian]\n{debian}\n")).unwrap_err().to_string();
        assert_eq!(error, format!("manifest key `debian.backports`: {expected}"));
    }
}

#[test]
fn set_id_bits_are_kept_everywhere_nowhere_or_at_paths() {
    let path = |text: &str| AbsolutePath(pinfold_base::ImagePath::new(text).unwrap());
    for (text, expected) in [
        ("", SetId::Strip),
        ("set-id = 'strip'", SetId::Strip),
        ("set-id = 'keep'", SetId::Keep),
        ("set-id = { keep = [] }", SetId::Only([].into())),
        (
            "set-id = { keep = ['/usr/bin/sudo', '/bin/su'] }",
            SetId::Only([path("/bin/su"), path("/usr/bin/sudo")].into()),
        ),
        ("[policy.set-id]\nkeep = ['/bin/su']", SetId::Only([path("/bin/su")].into())),
    ] {
        assert_eq!(meaning(&format!("[policy]\n{text}")).policy.set_id, expected, "{text}");
    }
}

/// What the reader of TOML makes of a key that a hint tells.
#[test]
fn a_key_that_is_told_is_read_as_itself() {
    for key in ["libglib2.0-0", "g++", "@scope/name", "a\"b\\", "", "a\n\u{202e}\u{e0041}\u{301}b", "plain"] {
        let written = pinfold_base::text::toml_key(key);
        let read: toml::Table = toml::from_str(&format!("{written} = 1")).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), [key]);
    }
}

/// What is written out in full on the right is what the left means.
#[test]
fn packages_are_added_to_a_preset_and_removed_from_it() {
    let base = "name = 'x'\n[debian]\nsuite = 'sid'\npackages = ['tini', 'git', 'curl']\n";
    let read = |text: &str| ManifestFile::parse(text, Path::new("pinfold.toml")).unwrap();
    for (over, expected) in [
        ("add = ['make']", &["tini", "git", "curl", "make"][..]),
        ("add = ['make', 'jq']\nremove = ['curl']", &["tini", "git", "make", "jq"]),
        ("add = ['git=1:2.39.5']", &["tini", "curl", "git=1:2.39.5"]),
        ("remove = ['git', 'curl']", &["tini"]),
        ("remove = ['git']\nadd = ['git=1']", &["tini", "curl", "git=1"]),
        ("packages = ['jq']\nadd = ['make']", &["jq", "make"]),
        ("add = []", &["tini", "git", "curl"]),
    ] {
        let both = read(base).overlaid_by(read(&format!("[debian]\n{over}\n")));
        let debian = both.meaning(Path::new("/")).unwrap().sources.debian.unwrap();
        assert_eq!(debian.packages, expected, "{over}");
    }
    let alone = meaning("[debian]\nsuite = 'sid'\npackages = ['jq']\nadd = ['make']\n");
    assert_eq!(alone.sources.debian.unwrap().packages, ["jq", "make"]);
    let both = read(base).overlaid_by(read("[debian]\nremove = ['gti']\n"));
    assert_eq!(
        both.meaning(Path::new("/")).unwrap_err().to_string(),
        "manifest key `debian.remove`: `gti` is not among the packages of the preset; did you mean `git`?"
    );
}

#[test]
fn an_entry_replaces_what_the_preset_has_at_its_path_whatever_it_is() {
    let base = "name = 'x'\n[[dir]]\npath = '/queue'\n[[file]]\npath = '/f'\ncontent = 'base'\n\
                [[link]]\npath = '/l'\ntarget = 'base'\n[[dir]]\npath = '/kept'\n";
    let over = "[[link]]\npath = '/queue'\ntarget = '/kept'\n[[dir]]\npath = '/f'\n\
                [[file]]\npath = '/l'\ncontent = 'over'\n";
    let read = |text: &str| ManifestFile::parse(text, Path::new("pinfold.toml")).unwrap();
    let both = read(base).overlaid_by(read(over)).meaning(Path::new("/project")).unwrap();
    let whole = parse(
        "name = 'x'\n[[dir]]\npath = '/kept'\n[[dir]]\npath = '/f'\n[[link]]\npath = '/queue'\n\
         target = '/kept'\n[[file]]\npath = '/l'\ncontent = 'over'\n",
    );
    assert_eq!(both, whole.unwrap());
}

/// Right sides as podman 4.3.1 makes them of `ENV PATH=/a:/b A=1` and a second `ENV`; but it takes `$1` as empty.
#[test]
fn a_value_of_the_environment_says_what_a_variable_was_before() {
    let base = "name = 'x'\n[image.env]\nPATH = '/a:/b'\nA = '1'\n";
    let read = |text: &str| ManifestFile::parse(text, Path::new("pinfold.toml")).unwrap();
    for (value, expected) in [
        ("$PATH:/opt/bin", "/a:/b:/opt/bin"),
        ("${PATH}:q", "/a:/b:q"),
        ("$A$A", "11"),
        ("x${A}2", "x12"),
        (r"\$PATH", "$PATH"),
        (r"\${A}$A", "${A}1"),
        ("cost 5$", "cost 5$"),
        ("$ $1", "$ $1"),
        ("plain", "plain"),
    ] {
        let both = read(base).overlaid_by(read(&format!("[image.env]\nPATH = '{value}'\nA = '2'\n")));
        let own = both.meaning(Path::new("/")).unwrap().image.env;
        let env = environment::environment(&own, &[], &Under::Nothing, &[]).unwrap();
        assert_eq!((env["PATH"].as_str(), env["A"].as_str()), (expected, "2"), "{value}");
    }
    let env = environment::environment(
        &meaning("[image.env]\nPATH = '/x:$PATH'\n").image.env,
        &[],
        &Under::Nothing,
        &[],
    )
    .unwrap();
    assert_eq!(env["PATH"], "/x:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin");
    let nope = environment::environment(
        &meaning("[image.env]\nB = 'a${NOPE}'\n").image.env,
        &[],
        &Under::Nothing,
        &[],
    );
    let nope = nope.unwrap_err().to_string();
    assert_eq!(
        nope,
        r"manifest key `image.env.B`: `${NOPE}` names no variable of the image; known here are `PATH`; for the text itself write `'\${NOPE}'` in single quotes"
    );
    let escaped = meaning("[image.env]\nB = '\\${NOPE}'\n").image.env;
    assert_eq!(environment::environment(&escaped, &[], &Under::Nothing, &[]).unwrap()["B"], "${NOPE}");
}

#[test]
fn a_program_has_an_address_for_each_platform_that_it_is_for() {
    let (amd64, arm64) = ("'linux/amd64' = 'https://b.example/a'", "'linux/arm64' = 'https://b.example/b'");
    let binary = |urls: &str, rest: &str| {
        format!(
            "name = 'x'\n[[binary]]\nname = 'rep'\nversion = '1'\nurl = {{ {urls} }}\nmembers = {{ '.' = '/rep' }}\n{rest}\n"
        )
    };
    let both = format!("{amd64}, {arm64}");
    for text in [
        binary(&both, ""),
        binary(amd64, "platforms = ['linux/amd64']"),
        binary(&both, "platforms = ['linux/arm64']"),
        format!("platforms = ['linux/amd64']\n{}", binary(&both, "")),
        format!("platforms = ['linux/amd64']\n{}", binary(amd64, "")),
    ] {
        parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    let missing = "manifest key `binary `rep``: it has no address for linux/arm64: add `url.\"linux/arm64\" = \"https://…\"` \
                   to its entry, or `platforms = [\"linux/amd64\"]` if it is for no other";
    assert_eq!(parse(&binary(amd64, "")).unwrap_err().to_string(), missing);
    let narrow = format!("platforms = ['linux/arm64']\n{}", binary(amd64, ""));
    assert!(parse(&narrow).unwrap_err().to_string().contains("no address for linux/arm64"));
    let other = format!("platforms = ['linux/arm64']\n{}", binary(amd64, "platforms = ['linux/amd64']"));
    assert!(parse(&other).unwrap_err().to_string().contains("its `platforms` name none of the image's"));
}

#[test]
fn both_a_suite_and_exact_suites_are_refused_for_one_would_silently_lose_its_security_suite() {
    let error =
        parse("name = 'x'\n[debian]\nsuite = 'trixie'\nsuites = ['trixie']\n").unwrap_err().to_string();
    assert!(error.contains("`debian.suites`: `suite` is there too"), "{error}");
}

#[test]
fn a_further_archive_is_called_by_its_place_and_taken_as_apt_takes_a_source() {
    let archive = |keys: &str| {
        let text = format!("[debian]\nsuite = 'sid'\n[[debian.archive]]\n{keys}\n");
        meaning(&text).sources.debian.unwrap().archives.remove(0)
    };
    for (keys, name, suite, components, priority) in [
        (
            "uri = 'https://apt.example/node/'\nsuite = 'nodistro'",
            "apt.example/node",
            "nodistro",
            "main",
            None,
        ),
        (
            "uri = 'http://apt.example:8080'\nsuite = 'a/b'\ncomponents = ['x', 'y/z']\npriority = -1",
            "apt.example:8080/",
            "a/b",
            "x y/z",
            Some(-1),
        ),
        ("uri = 'file:/srv/flat'\nsuite = './'\npriority = 1001", "/srv/flat", "./", "", Some(1001)),
        ("uri = 'https://debian'\nsuite = '/'", "debian/", "/", "", None),
        ("uri = 'https://apt.example'\nsuite = 'sub/dir/'", "apt.example/", "sub/dir/", "", None),
        ("uri = 'nodesource'\nsuite = 'nodistro'", "nodesource", "nodistro", "main", None),
        ("uri = 'debian'\nsuite = 'sid-extra'", "debian", "sid-extra", "main", None),
    ] {
        let archive = archive(keys);
        assert_eq!((archive.name.as_str(), archive.suite.as_str()), (name, suite), "{keys}");
        assert_eq!(
            (archive.components.join(" ").as_str(), archive.priority),
            (components, priority),
            "{keys}"
        );
    }
}

#[test]
fn a_further_archive_that_apt_would_not_have_is_refused() {
    for (keys, key, message) in [
        ("uri = 'ftp://a.example'\nsuite = 's'", ".uri", "expected `https`, `http` or `file`"),
        ("uri = 'https://u:p@a.example'\nsuite = 's'", ".uri", "write the login to apt's `auth.conf`"),
        ("uri = 'https://a.example/?token=x'\nsuite = 's'", ".uri", "write the login to apt's `auth.conf`"),
        ("uri = 'no name'\nsuite = 's'", ".uri", "neither an address nor a name"),
        ("uri = 'https://a.example'\nsuite = ''", ".suite", "`` is no suite name"),
        ("uri = 'https://a.example'\nsuite = '../x'", ".suite", "`../x` is no suite name"),
        ("uri = 'https://a.example'\nsuite = 'x/../../'", ".suite", "`x/../../` is no suite name"),
        (
            "uri = 'https://a.example'\nsuite = './'\ncomponents = ['main']",
            ".components",
            "is a flat archive",
        ),
        (
            "uri = 'https://a.example'\nsuite = 's'\ncomponents = ['../x']",
            ".components",
            "`../x` is no component",
        ),
        ("uri = 'https://a.example'\nsuite = 's'\npriority = 0", ".priority", "-32768 to 32767, but 0"),
        ("uri = 'https://a.example'\nsuite = 's'\npriority = 40000", ".priority", "-32768 to 32767, but 0"),
        ("uri = 'debian'\nsuite = 'sid'", "", "`sid` of `debian` is there already"),
        (
            "uri = 'https://a.example'\nsuite = 's'\n[[debian.archive]]\nuri = 'http://a.example/'\nsuite = 's'",
            "",
            "`s` of `a.example/` is there already",
        ),
    ] {
        let text = format!("name = 'x'\n[debian]\nsuite = 'sid'\n[[debian.archive]]\n{keys}\n");
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.contains(&format!("`debian.archive{key}`")) && error.contains(message),
            "{keys}: {error}"
        );
    }
}
