//! One image that passes, and for each check one that fails for exactly that reason.

mod image;
mod names;
mod unread;

use fs_err as fs;
use pinfold_archive::Metadata;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::contents::Detail;

use self::image::Sample;
use super::report::Report;
use super::report::Verdict;
use super::statics::Wanted;
use super::statics::statics;
use super::statics::with_sides;
use crate::context::Network;
use crate::describe::Origins;
use crate::describe::side::Side;
use crate::project::lock::COMPAT;
use crate::project::lock::FILE_NAME;
use crate::project::lock::Lock;
use crate::sources::testing::World;

fn report(sample: &Sample) -> Report {
    let world = World::new();
    statics(&world.context("home", Network::Offline), &sample.source(), &Wanted::default()).unwrap()
}

/// The checks that failed, with the first thing that each found.
fn failed(report: &Report) -> Vec<(&str, String)> {
    let failed = report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed);
    let first = |outcome: &super::report::Outcome| {
        outcome
            .findings
            .first()
            .map(|finding| format!("{}: {}", finding.at, finding.problem))
            .unwrap_or_default()
    };
    failed.map(|outcome| (outcome.check.as_str(), first(outcome))).collect()
}

#[test]
fn a_good_image_passes_and_every_check_has_looked() {
    let report = report(&Sample::good());
    assert_eq!(failed(&report), []);
    let not_run: Vec<&str> = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::NotRun)
        .map(|outcome| outcome.check.as_str())
        .collect();
    // What only a build on this machine could tell.
    assert_eq!(not_run, ["origin.lock"]);
}

/// What an image of nothing but store paths has instead of Debian's files.
#[test]
fn a_bundle_in_the_store_of_nix_is_read_through_its_link() {
    let put = |text: &str| {
        let mut sample = Sample::good();
        let [bundle, store] = [
            "etc/ssl/certs/ca-certificates.crt",
            "nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-nss-cacert-3.1/etc/ssl/certs/ca-bundle.crt",
        ];
        sample.remove(bundle);
        sample.link(bundle, &format!("/{store}"));
        sample.file(store, Metadata::root(0o444, 1), text);
        report(&sample)
    };
    let authorities = |report: &Report| {
        let wrong: Vec<String> = failed(report)
            .into_iter()
            .filter(|(check, _)| *check == "closure.authorities")
            .map(|(_, first)| first)
            .collect();
        wrong
    };
    assert_eq!(authorities(&put(&[1, 2, 3].map(image::certificate).concat())), [""; 0]);
    assert_eq!(
        authorities(&put("")),
        ["/etc/ssl/certs/ca-certificates.crt: it holds no certificate in PEM form"]
    );
}

/// What is done to a good image.
type Break = Box<dyn Fn(&mut Sample)>;

fn file(path: &'static str, meta: Metadata, text: &'static str) -> Break {
    Box::new(move |sample| sample.file(path, meta.clone(), text))
}

fn dir(path: &'static str, meta: Metadata) -> Break {
    Box::new(move |sample| sample.dir(path, meta.clone()))
}

/// Another word in a text of its own.
fn word(path: &'static str, from: &'static str, to: &'static str) -> Break {
    Box::new(move |sample| {
        let text = sample.text(path).replace(from, to);
        sample.file(path, own(0o644), &text);
    })
}

fn root(mode: u32) -> Metadata {
    Metadata::root(mode, 7)
}

fn own(mode: u32) -> Metadata {
    root(mode).owned_by(1000, 1000)
}

#[test]
fn each_fault_is_found_by_its_own_check_alone() {
    const SETTINGS: &str = "home/me/.claude/settings.json";
    const MANAGED: &str = "etc/claude-code/managed-settings.json";
    let mut capable = root(0o755);
    capable.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2]);
    let packed = || pinfold_testkit::tar::gzip(format!("token = {}\n", image::token()).as_bytes());
    let leaked: Break =
        Box::new(|sample| sample.file("etc/app.conf", root(0o644), &format!("token = {}\n", image::token())));
    let cases: Vec<(&str, &str, Break)> = vec![
        ("hardening.set-id", "/usr/bin/su: its mode is 4755", file("usr/bin/su", root(0o4755), "x")),
        ("hardening.set-id", "/var/mail: its mode is 2775", dir("var/mail", root(0o2775))),
        ("hardening.writable", "/usr/bin/open: its mode is 0757", file("usr/bin/open", root(0o757), "x")),
        ("hardening.writable", "/var/tmp: its mode is 0777", dir("var/tmp", root(0o777))),
        ("hardening.owners", "/usr/bin/mine: it belongs to 1000", file("usr/bin/mine", own(0o755), "x")),
        (
            "hardening.capabilities",
            "/usr/bin/ping: it brings capabilities",
            file("usr/bin/ping", capable, "x"),
        ),
        (
            "hardening.machine",
            "/etc/machine-id: an id",
            file("etc/machine-id", root(0o444), "0123456789abcdef0123456789abcdef\n"),
        ),
        (
            "hardening.machine",
            "/etc/ssh/ssh_host_rsa_key: a host key",
            file("etc/ssh/ssh_host_rsa_key", root(0o600), "x"),
        ),
        (
            "hardening.machine",
            "/etc/resolv.conf: the resolver",
            file("etc/resolv.conf", root(0o644), "nameserver 192.0.2.1\n"),
        ),
        (
            "hardening.read-only",
            "/home/me/.claude: claude-code writes there",
            dir("home/me/.claude", root(0o755)),
        ),
        (
            "hardening.read-only",
            "/tmp: its user may not write there: its mode is 0755",
            dir("tmp", root(0o755)),
        ),
        (
            "closure.authorities",
            "/etc/ssl/certs/ca-certificates.crt: the image's user may not read it",
            Box::new(|sample| {
                let bundle = sample.text("etc/ssl/certs/ca-certificates.crt");
                sample.file("etc/ssl/certs/ca-certificates.crt", root(0o600), &bundle);
            }),
        ),
        ("closure.user", "config.User: `stranger` is no account", Box::new(|sample| sample.user("stranger"))),
        (
            "closure.authorities",
            "/etc/ssl/certs/ca-certificates.crt: the bundle is missing: claude-code cannot connect",
            Box::new(|sample| sample.remove("etc/ssl/certs/ca-certificates.crt")),
        ),
        (
            "closure.authorities",
            "/etc/ssl/certs/ca-certificates.crt: it holds no certificate",
            Box::new(move |sample| sample.file("etc/ssl/certs/ca-certificates.crt", root(0o644), "")),
        ),
        (
            "closure.authorities",
            "/usr/local/share/ca-certificates/team/own.crt: it is not in",
            Box::new(move |sample| {
                let bundle = [1, 2].map(image::certificate).concat();
                sample.file("etc/ssl/certs/ca-certificates.crt", root(0o644), &bundle);
            }),
        ),
        (
            "closure.authorities",
            "/usr/share/ca-certificates/mozilla/b.crt: it is not in",
            Box::new(move |sample| {
                sample.file("etc/ca-certificates.conf", root(0o644), "mozilla/b.crt\n");
            }),
        ),
        (
            "closure.authorities",
            "/usr/local/share/ca-certificates/der.crt: it holds no certificate in PEM form",
            Box::new(move |sample| {
                sample.file("usr/local/share/ca-certificates/der.crt", root(0o644), "0\u{3}");
            }),
        ),
        (
            "closure.authorities",
            "Env SSL_CERT_FILE: `/etc/ssl/cert.pem` is not in the image",
            Box::new(|sample| sample.env("SSL_CERT_FILE", "/etc/ssl/cert.pem")),
        ),
        ("closure.links", "/usr/bin/broken", Box::new(|sample| sample.link("usr/bin/broken", "nowhere"))),
        ("closure.scripts", "/usr/bin/tool", file("usr/bin/tool", root(0o755), "#!/usr/bin/python3\n")),
        (
            "closure.programs",
            "/usr/bin/cut: it is no program",
            file("usr/bin/cut", root(0o755), "\x7fELF\x02\x01\x01 and is cut off in its header"),
        ),
        ("agents.present", "claude: claude-code: ", Box::new(|sample| sample.remove("usr/local/bin/claude"))),
        (
            "agents.config",
            "/home/me/.claude/settings.json: disableAutoMode: it is `\"other\"`, expected `\"disable\"`",
            word(SETTINGS, "\"disable\"", "\"other\""),
        ),
        (
            "agents.autonomy",
            "/home/me/.claude/settings.json: permissions.defaultMode",
            word(SETTINGS, "bypassPermissions", "default"),
        ),
        (
            "agents.autonomy",
            "/etc/claude-code/managed-settings.json",
            file(MANAGED, root(0o644), r#"{"permissions":{"defaultMode":"plan"}}"#),
        ),
        ("origin.components", "/opt/unexplained", Box::new(|sample| sample.unexplained("opt/unexplained"))),
        (
            "origin.dpkg",
            "/usr/share/tool/data: its MD5 is",
            file("usr/share/tool/data", root(0o644), "changed"),
        ),
        (
            "origin.dpkg",
            "/usr/share/tool/data: it is missing",
            Box::new(|sample| sample.remove("usr/share/tool/data")),
        ),
        (
            "origin.base",
            "label dev.pinfold.os.version-id",
            Box::new(|sample| sample.label("dev.pinfold.os.version-id", "13")),
        ),
        ("secrets.files", "/etc/app.conf", leaked),
        (
            "secrets.archives",
            "/srv/backup.gz!backup: a key of Anthropic at byte 8, in layer",
            Box::new(move |sample| sample.bytes("srv/backup.gz", root(0o644), &packed())),
        ),
        ("secrets.config", "DEPLOY", Box::new(|sample| sample.env("DEPLOY", &image::token()))),
    ];
    for (check, expected, breaks) in cases.into_iter().chain(hidden()) {
        let mut sample = Sample::good();
        breaks(&mut sample);
        let report = report(&sample);
        let failed = failed(&report);
        let checks: Vec<&str> = failed.iter().map(|(check, _)| *check).collect();
        // A wrong mode of bypass is a wrong configuration as well.
        let is_mode = expected.ends_with(".claude/settings.json: permissions.defaultMode");
        let other = if is_mode { &["agents.config"][..] } else { &[] };
        let expected_checks: Vec<&str> = other.iter().copied().chain([check]).collect();
        assert_eq!(checks, expected_checks, "{expected}: {failed:#?}");
        assert!(
            failed
                .iter()
                .any(|(of, text)| *of == check && text.contains(expected) && !text.contains(&image::token())),
            "{expected}: {failed:#?}"
        );
    }
}

/// Faults behind links, groups, lists, variables and other files than the first that comes to mind.
fn hidden() -> Vec<(&'static str, &'static str, Break)> {
    const SETTINGS: &str = "home/me/.claude/settings.json";
    const MANAGED: &str = "etc/claude-code/managed-settings.json";
    const MANAGED_PART: &str = "etc/claude-code/managed-settings.d/10.json";
    // `setfacl -m u:1000:rwx`, as getfattr -e hex shows it.
    let list = [
        &[2, 0, 0, 0][..],
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[2, 0, 7, 0, 232, 3, 0, 0],
        &[4, 0, 5, 0, 255, 255, 255, 255],
        &[16, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 5, 0, 255, 255, 255, 255],
    ];
    let mut listed = root(0o755);
    listed.xattrs.insert(b"system.posix_acl_access".to_vec(), list.concat());
    vec![
        (
            "hardening.machine",
            "/etc/machine-id: an id",
            Box::new(|sample| {
                sample.file("etc/id", root(0o444), "0123456789abcdef0123456789abcdef\n");
                sample.link("etc/machine-id", "id");
            }),
        ),
        (
            "hardening.machine",
            "/etc/ssh/ssh_host_rsa_key: a host key",
            Box::new(|sample| {
                sample.file("opt/ssh/ssh_host_rsa_key", root(0o600), "x");
                sample.link("etc/ssh", "../opt/ssh");
            }),
        ),
        (
            "hardening.machine",
            "/etc/hosts: it names the machine at 172.17.0.2",
            file("etc/hosts", root(0o644), "127.0.0.1 localhost\n172.17.0.2 box.example\n"),
        ),
        (
            "hardening.owners",
            "/usr/bin/mine: it belongs to 1000",
            Box::new(|sample| {
                sample.volume("/");
                sample.volume("//");
                sample.file("usr/bin/mine", own(0o755), "x");
            }),
        ),
        (
            "hardening.owners",
            "/usr/lib/shared: its mode is 0775, and 1000 is in its group 1000",
            dir("usr/lib/shared", root(0o775).owned_by(0, 1000)),
        ),
        (
            "hardening.owners",
            "/usr/bin/list: its access control list lets 1000 write",
            file("usr/bin/list", listed, "x"),
        ),
        (
            "closure.commands",
            "Cmd: `/usr/local/bin/text` does not start: `/usr/local/bin/text` is neither a program nor a script",
            Box::new(|sample| {
                sample.file("usr/local/bin/text", root(0o755), "hello\n");
                sample.command("/usr/local/bin/text");
            }),
        ),
        (
            "closure.commands",
            "so that 1000 may not start it",
            Box::new(|sample| {
                sample.file("usr/local/bin/roots", root(0o700), "#!/usr/local/bin/sh\n");
                sample.command("roots");
            }),
        ),
        (
            "agents.present",
            "label dev.pinfold.agent.claude-code: it says 9.9.9, and the image has 2.1.0",
            Box::new(|sample| {
                sample.agent_package("2.1.0");
                sample.label("dev.pinfold.agent.claude-code", "9.9.9");
            }),
        ),
        (
            "agents.config",
            "variable CLAUDE_CONFIG_DIR",
            Box::new(|sample| sample.env("CLAUDE_CONFIG_DIR", "/opt/claude")),
        ),
        ("agents.config", "variable HOME", Box::new(|sample| sample.env("HOME", "/opt/home"))),
        (
            "agents.autonomy",
            "/home/me/.claude/settings.json: permissions.deny",
            word(SETTINGS, "\"defaultMode\"", "\"deny\": [\"Bash\"], \"defaultMode\""),
        ),
        (
            "agents.autonomy",
            "/etc/claude-code/managed-settings.json: permissions.defaultMode",
            Box::new(|sample| {
                sample.file("opt/managed.json", root(0o644), r#"{"permissions":{"defaultMode":"plan"}}"#);
                sample.link(MANAGED, "/opt/managed.json");
            }),
        ),
        (
            "agents.autonomy",
            "/etc/claude-code/managed-settings.d/10.json: permissions.ask",
            file(MANAGED_PART, root(0o644), r#"{"permissions":{"ask":["Bash"]}}"#),
        ),
        (
            "origin.dpkg",
            "/usr/share/tool/data: its MD5 is",
            Box::new(|sample| {
                sample.file("usr/share/tool/data", root(0o644), "changed");
                let line = "8d777f385d3dfec8815d20f7496026dc *usr/share/tool/data\n";
                sample.file("var/lib/dpkg/info/tool.md5sums", root(0o644), line);
            }),
        ),
        (
            "origin.dpkg",
            "/usr/share/tool/data: it stands where a file of the package was",
            Box::new(|sample| {
                sample.file("usr/share/tool/data", root(0o644), "mine");
                sample.put("debian/tool", "usr/share/tool/data.d", root(0o644), b"data");
                let text = "/usr/share/tool/data\n/usr/share/tool/data.d\n:\n";
                sample.file("var/lib/dpkg/diversions", root(0o644), text);
            }),
        ),
        (
            "origin.components",
            "/usr/share/tool/data: layer",
            Box::new(|sample| sample.put("debian/zz", "usr/share/tool/data", root(0o644), b"data")),
        ),
    ]
}

/// A name that a script puts together stands in no script; the ledger of the image's lock has it.
#[test]
fn what_the_ledger_says_was_made_is_explained() {
    const MADE: &str = "etc/apt/apt.conf.d/02autoremove-tool";
    let mut sample = Sample::good();
    sample.unexplained(MADE);
    // In a store, so that verdicts are recalled: of another lock they are no answer.
    let (world, source) = (World::new(), sample.indexed(false));
    let context = world.context("home", Network::Offline);
    let wanted = Wanted { only: vec!["origin.components".into()], ..Wanted::default() };
    let failed_with = |lock: Option<&str>| {
        let lock = lock.map(|line| {
            let entry = serde_json::json!({
                "package": "tool", "script": "postinst", "sha256": Digest::sha256(b"script"), "class": "evaluated", "what": [line],
            });
            let entries = vec![serde_json::from_value(entry).unwrap()];
            let ledger = Platform::ALL.map(|platform| (platform, entries.clone())).into();
            Lock { version: 1, compat: COMPAT, ledger, ..Lock::default() }
        });
        let data = context.home.data();
        if let Some(lock) = lock {
            let noted = data.join("provenance");
            fs::create_dir_all(&noted).unwrap();
            fs::create_dir_all(data.join("projects/x")).unwrap();
            let predicate = serde_json::json!({
                "buildDefinition": { "internalParameters": { "lock": lock.digest() } },
            });
            let file = noted.join(format!("{}.json", source.root().digest.hex()));
            fs::write(file, predicate.to_string()).unwrap();
            lock.save(&data.join("projects/x").join(FILE_NAME)).unwrap();
        }
        !failed(&statics(&context, &source, &wanted).unwrap()).is_empty()
    };
    assert!(failed_with(None));
    assert!(failed_with(Some("content of /etc/apt/apt.conf.d/02autoremove-other")));
    assert!(!failed_with(Some(&format!("content of /{MADE}"))));
    assert!(failed_with(Some(&format!("not done: content of /{MADE}"))));
}

#[test]
fn what_lies_about_itself_has_a_verdict() {
    let mut sample = Sample::good();
    sample.damaged = true;
    let report = report(&sample);
    let failed = failed(&report);
    assert!(failed.iter().any(|(check, _)| *check == "oci.blobs"), "{failed:#?}");
    // Nothing of the layers was read, so nothing about their files holds.
    for check in ["closure.libraries", "hardening.set-id", "secrets.files", "agents.present", "origin.dpkg"] {
        let of = report.outcomes.iter().find(|outcome| outcome.check == check).unwrap();
        assert_eq!(of.verdict, Verdict::NotRun, "{check}");
        assert!(of.evidence.contains("layer 1 holds more than could be read"), "{}", of.evidence);
    }
    // Whatever alone was asked for, what kept it from being looked at is told.
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let wanted = Wanted { only: vec!["secrets".into()], ..Wanted::default() };
    let report = statics(&context, &sample.source(), &wanted).unwrap();
    assert!(failed_of(&report).contains(&"oci.blobs"), "{report:#?}");
    let good = statics(&context, &Sample::good().source(), &wanted).unwrap();
    assert!(good.outcomes.iter().all(|outcome| outcome.check.starts_with("secrets.")), "{good:#?}");
}

fn failed_of(report: &Report) -> Vec<&str> {
    failed(report).into_iter().map(|(check, _)| check).collect()
}

#[test]
fn a_report_and_what_its_page_tells_are_of_one_pass() {
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let (sample, wanted) = (Sample::good(), Wanted::default());
    let source = sample.source();
    let (report, sides) = with_sides(&context, &source, &wanted, None).unwrap();
    let image = source.image(Platform::ALL[0]).unwrap();
    let opened = sample.opened.lock().unwrap().clone();
    assert!(image.layers.iter().all(|layer| opened[&layer.descriptor.digest] == 1), "{opened:?}");
    // Each by itself is the same.
    assert_eq!(report, statics(&context, &source, &wanted).unwrap());
    let origins = Origins::default();
    let alone = Side::read(&context, &source, Platform::ALL[0], &origins, Detail::Close).unwrap();
    assert_eq!((&sides[0].files, &sides[0].components), (&alone.files, &alone.components));
    assert!(alone.files.iter().any(|file| file.digest.is_some()));
    // What is damaged has no page.
    let mut damaged = Sample::good();
    damaged.damaged = true;
    assert!(with_sides(&context, &damaged.source(), &wanted, None).is_err());
}

#[test]
fn one_check_alone_can_be_asked_for() {
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let wanted = Wanted { only: vec!["hardening.set-id".into()], ..Wanted::default() };
    let report = statics(&context, &Sample::good().source(), &wanted).unwrap();
    assert_eq!(report.outcomes.len(), 1);
    for (name, known) in [("oci", true), ("hardening.set-id", true), ("hardening.set", false), ("", false)] {
        assert_eq!(super::only(name).is_ok(), known, "{name}");
    }
    assert!(super::only("hardning").unwrap_err().contains("but `hardening`; groups: "));
    assert!(super::only("xyzzy").unwrap_err().starts_with("no check has this name; "));
}

#[test]
fn what_weighs_too_much_is_told_with_what_weighs_most() {
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let of = |budget| {
        let wanted = Wanted { budget: Some(budget), only: vec!["size".into()], ..Wanted::default() };
        statics(&context, &Sample::good().source(), &wanted).unwrap()
    };
    let size: u64 = Sample::good()
        .source()
        .image(pinfold_base::Platform::ALL[0])
        .unwrap()
        .layers
        .iter()
        .map(|layer| layer.descriptor.size)
        .sum();
    assert_eq!(failed(&of(size)), []);
    // Tables of others have their own limits.
    assert_eq!([of(size), of(size - 1)].map(|report| report.outcomes[0].bytes), [Some(size); 2]);
    let over = of(size - 1);
    let [(check, first)] = &failed(&over)[..] else { panic!("{over:#?}") };
    assert_eq!(*check, "size.budget");
    assert!(first.contains("generated/files") && first.ends_with('B'), "{first}");
    let outcome = over.outcomes.iter().find(|one| one.check == "size.budget").unwrap();
    assert!(outcome.evidence.starts_with("1 B over the budget of "), "{}", outcome.evidence);
    assert!(outcome.findings.len() <= 10, "{outcome:#?}");
}
