//! What could not be read proves nothing, and what was asked for is answered.

use pinfold_archive::Metadata;
use pinfold_base::Platform;
use pinfold_image::ImageSource;

use super::failed;
use super::image::Sample;
use super::report;
use crate::context::Network;
use crate::sources::testing::World;
use crate::verify::report::Report;
use crate::verify::report::Verdict;
use crate::verify::statics::Wanted;
use crate::verify::statics::doubted;
use crate::verify::statics::statics;

/// `check verdict`, on which platform.
fn told(report: &Report) -> Vec<String> {
    let one = |outcome: &crate::verify::report::Outcome| {
        let platform = outcome.platform.map_or_else(|| "all".to_owned(), |platform| platform.to_string());
        format!("{platform} {} {}", outcome.check, outcome.verdict)
    };
    report.outcomes.iter().map(one).collect()
}

#[test]
fn what_could_not_be_read_is_no_proof_for_any_check() {
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let only = |names: &[&str]| Wanted {
        only: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Wanted::default()
    };
    let of = |source: &ImageSource, names: &[&str]| told(&statics(&context, source, &only(names)).unwrap());
    // No platform that is known here.
    assert_eq!(
        of(&Sample::good().of_another_machine(), &["secrets", "hardening.set-id"]),
        [
            "all oci.documents FAILED",
            "all hardening.set-id not run",
            "all secrets.files not run",
            "all secrets.archives not run",
            "all secrets.config not run"
        ]
    );
    // One of two platforms that cannot be read.
    assert_eq!(
        of(&Sample::good().indexed(true), &["secrets.config"]),
        [
            "all oci.documents FAILED",
            "linux/amd64 secrets.config passed",
            "linux/arm64 oci.blobs FAILED",
            "linux/arm64 secrets.config not run"
        ]
    );
    assert_eq!(
        of(&Sample::good().indexed(false), &["secrets.config"]),
        ["linux/amd64 secrets.config passed", "linux/arm64 secrets.config passed"]
    );
    // Layers that end early: what came before the end is no proof, and the documents still are.
    let mut cut = Sample::good();
    cut.cut = 1700;
    assert_eq!(
        of(&cut.source(), &["hardening.set-id", "size"]),
        [
            "linux/amd64 oci.tar FAILED",
            "linux/amd64 hardening.set-id not run",
            "linux/amd64 size.budget passed"
        ]
    );
    assert_eq!(of(&cut.source(), &["size"]), ["linux/amd64 size.budget passed"]);
    let whole = statics(&context, &cut.source(), &Wanted::default()).unwrap();
    let passed: Vec<&str> = whole
        .outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Passed)
        .map(|outcome| outcome.check.as_str())
        .collect();
    let documents =
        ["oci.documents", "oci.blobs", "oci.layers", "oci.documents", "secrets.config", "size.budget"];
    assert_eq!(passed, documents);
}

#[test]
fn who_asks_for_a_platform_or_a_check_gets_an_answer() {
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let arm64 = Wanted { platforms: vec![Platform::ALL[1]], ..Wanted::default() };
    assert!(statics(&context, &Sample::good().source(), &arm64).is_err());
    assert!(statics(&context, &Sample::good().of_another_machine(), &arm64).unwrap().failed());
    let asked = |names: &[&str]| {
        let only = names.iter().map(|name| (*name).to_owned()).collect();
        let wanted = Wanted { only, ..Wanted::default() };
        let report = statics(&context, &Sample::good().source(), &wanted).unwrap();
        wanted.unanswered(&report).map(str::to_owned)
    };
    assert_eq!(asked(&["size", "hardening.set-id"]), None);
    assert_eq!(asked(&["size", "run.version"]), Some("run.version".into()));
    assert_eq!(asked(&["test"]), Some("test".into()));
}

#[test]
fn a_verdict_is_recalled_of_the_same_question_about_the_same_bytes_alone() {
    let world = World::new();
    let context = world.context("home", Network::Offline);
    let kept = || {
        let all = fs_err::read_dir(context.home.cache().join(crate::context::METADATA));
        all.map_or(0, |all| {
            all.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("verdict-"))
                .count()
        })
    };
    let amd64 = Wanted { platforms: vec![Platform::ALL[0]], ..Wanted::default() };
    let all = Wanted::default();
    let of = |missing, wanted: &Wanted| statics(&context, &Sample::good().indexed(missing), wanted).unwrap();
    let whole = of(false, &all);
    assert!(!whole.failed() && kept() == 1);
    assert_eq!(of(false, &all), whole);
    assert!(!of(false, &amd64).failed() && kept() == 2);
    // The second platform's manifest is lost: neither verdict is an answer now, and what is found is not kept.
    assert!(of(true, &all).failed());
    assert!(of(true, &amd64).failed());
    assert_eq!(kept(), 2);
    // And back.
    assert!(!of(false, &amd64).failed());
    assert_eq!(of(false, &all), whole);
}

/// Accounts through links, as Nix makes them: no false alarm, and the home is known.
#[test]
fn accounts_are_found_through_links() {
    let root = || Metadata::root(0o644, 7);
    let mut sample = Sample::good();
    for name in ["passwd", "group"] {
        let text = sample.text(&format!("etc/{name}"));
        sample.remove(&format!("etc/{name}"));
        sample.file(&format!("nix/store/x-nss/etc/{name}"), root(), &text);
        sample.link(&format!("etc/{name}"), &format!("/nix/store/x-nss/etc/{name}"));
    }
    let report = report(&sample);
    assert_eq!(failed(&report), []);
    let told = told(&report);
    assert!(told.contains(&"linux/amd64 agents.autonomy passed".to_owned()), "{told:#?}");
}

/// Configurations of the other agents, each with what takes its autonomy back.
#[test]
fn every_way_to_ask_is_seen() {
    let root = || Metadata::root(0o644, 7);
    let own = |mode| Metadata::root(mode, 7).owned_by(1000, 1000);
    let of = |agent: &str, breaks: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::good();
        let recipe = crate::project::recipe::Recipe::built_in(agent).unwrap();
        sample.label(&format!("dev.pinfold.agent.{agent}"), "1.0.0");
        for file in &recipe.home {
            let directory = file.path.rsplit_once('/').unwrap().0;
            let mut at = "home/me".to_owned();
            for part in directory.split('/') {
                at = format!("{at}/{part}");
                sample.dir(&at, own(0o755));
            }
            sample.file(&format!("home/me/{}", file.path), own(0o644), &file.content);
        }
        breaks(&mut sample);
        let report = report(&sample);
        failed(&report)
            .into_iter()
            .filter(|(check, _)| *check == "agents.autonomy")
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
    };
    for agent in ["codex-cli", "gemini-cli"] {
        assert_eq!(of(agent, &|_| {}), Vec::<String>::new(), "{agent}");
    }
    let profile = of("codex-cli", &|sample| {
        let file = "home/me/.codex/config.toml";
        let text = sample.text(file);
        let text = format!("profile = \"x\"\n{text}\n[profiles.x]\napproval_policy = \"untrusted\"\n");
        sample.file(file, own(0o644), &text);
    });
    assert!(profile.len() == 1 && profile[0].contains("profiles.x.approval_policy"), "{profile:?}");
    let modes = of("codex-cli", &|sample| {
        let text = "allowed_sandbox_modes = [\"read-only\"]\nallowed_approval_policies = [\"on-request\", \"never\"]\n";
        sample.file("etc/codex/requirements.toml", root(), text);
    });
    assert!(modes.len() == 1 && modes[0].contains("allowed_sandbox_modes"), "{modes:?}");
    for (priority, asks) in [(999, 1), (998, 0)] {
        let rules = of("gemini-cli", &|sample| {
            let file = "home/me/.gemini/policies/own.toml";
            let text = format!("[[rule]]\ntoolName = \"*\"\ndecision = \"deny\"\npriority = {priority}\n");
            sample.file(file, own(0o644), &text);
        });
        assert_eq!(rules.len(), asks, "{rules:?}");
    }
}

/// A configuration that only root can read configures nobody else.
#[test]
fn what_the_images_user_may_not_read_does_not_count() {
    const SETTINGS: &str = "home/me/.claude/settings.json";
    let mut sample = Sample::good();
    let text = sample.text(SETTINGS);
    sample.file(SETTINGS, Metadata::root(0o600, 7), &text);
    let report = report(&sample);
    let found = failed(&report);
    let config = found.iter().find(|(check, _)| *check == "agents.config").unwrap();
    assert!(config.1.ends_with("belongs to 0:0 with the mode 0600"), "{found:#?}");
    assert!(found.iter().any(|(check, _)| *check == "agents.autonomy"), "{found:#?}");
}

/// What agents read beside the files that are judged may take their autonomy back: then nothing is said of it.
#[test]
fn files_that_are_not_judged_are_no_proof() {
    let verdict = |path: &str, text: &str| {
        let mut sample = Sample::good();
        sample.file(path, Metadata::root(0o644, 7).owned_by(1000, 1000), text);
        let report = report(&sample);
        let of = report.outcomes.iter().find(|outcome| outcome.check == "agents.autonomy").unwrap();
        (of.verdict, of.evidence.clone())
    };
    let (verdict_of, evidence) = verdict("home/me/.claude/settings.local.json", "{}");
    assert_eq!(verdict_of, Verdict::NotRun);
    assert!(evidence.contains("/home/me/.claude/settings.local.json"), "{evidence}");
    assert_eq!(verdict("home/me/.claude/other.json", "{}").0, Verdict::Passed);
}

/// A key that is the name of a file, or a link's target, is in no line of any check.
#[test]
fn no_check_prints_a_secret() {
    let token = super::image::token();
    let mut sample = Sample::good();
    sample.unexplained(&format!("srv/{token}"));
    sample.link("srv/link", &format!("/srv/none/{token}"));
    let report = report(&sample);
    let told = serde_json::to_string(&report).unwrap();
    assert!(failed(&report).iter().any(|(check, _)| *check == "origin.components"), "{told}");
    assert!(failed(&report).iter().any(|(check, _)| *check == "closure.links"), "{told}");
    assert!(!told.contains(&token), "{told}");
}

/// What had no room is told, and proves nothing.
#[test]
fn what_was_not_kept_proves_nothing() {
    let outcome = crate::verify::report::Outcome::looked(crate::verify::checks::ORIGIN_DPKG, "1 file", []);
    let survey = pinfold_image::survey::Survey {
        left_out: [pinfold_base::ImagePath::new("a").unwrap()].into(),
        ..pinfold_image::survey::Survey::default()
    };
    let told = doubted(outcome.clone(), &survey);
    assert_eq!(told.verdict, Verdict::NotRun);
    let report =
        Report { image: String::new(), digest: pinfold_base::Digest::sha256(b""), outcomes: vec![told] };
    assert!(report.failed());
    assert_eq!(doubted(outcome.clone(), &pinfold_image::survey::Survey::default()), outcome);
}
