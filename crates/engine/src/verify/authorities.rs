//! Whether programs find the authorities that they may trust: the bundle is there, and holds every one that the image was given.
//!
//! ```text
//! /usr/local/share/ca-certificates/…/NAME.crt    the owner's, all of them
//! /usr/share/ca-certificates/…/NAME.crt          packages', those that /etc/ca-certificates.conf chooses
//!    └► update-ca-certificates(8) ─► /etc/ssl/certs/ca-certificates.crt    what programs read
//! ```
//!
//! Certificates are compared by their DER. Whether they are still valid is a question of the day, and none of the image.

use std::collections::BTreeSet;

use pinfold_base::ImagePath;
use pinfold_image::survey::Seen;
use pinfold_image::survey::What;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::checks::CLOSURE_AUTHORITIES;
use super::report::Finding;
use super::report::Outcome;
use super::subject::Subject;
use crate::sources::counted;

/// Where programs look, of several distributions: those of Debian and Alpine first.
const BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-bundle.crt",
];
/// Where packages of Nix have a bundle, which the names above are links to.
const STORE: (&str, &str) = ("/nix/store/", "/etc/ssl/certs/ca-bundle.crt");
/// The owner's authorities.
const LOCAL: &str = "/usr/local/share/ca-certificates/";
/// Packages' authorities.
const SHARE: &str = "/usr/share/ca-certificates/";
/// Which of the packages' are chosen.
const CHOSEN: &str = "/etc/ca-certificates.conf";
/// Variables that name a bundle.
const VARIABLES: [&str; 6] = [
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
];
/// The package that a recipe names where its agent reads the bundle.
const PACKAGE: &str = "ca-certificates";

/// Whether the content of a file is wanted.
pub(super) fn is_read(path: &str) -> bool {
    let is_given = path.starts_with(LOCAL) || path.starts_with(SHARE);
    let in_store = path.starts_with(STORE.0) && path.ends_with(STORE.1);
    path == CHOSEN || BUNDLES.contains(&path) || in_store || is_given && path.as_bytes().ends_with(b".crt")
}

/// The bundle, what was given, and what the environment names.
pub(super) fn check(subject: &Subject<'_>) -> Outcome {
    let mut found = Vec::new();
    let given = given(subject);
    let (named, wrong) = named(subject);
    let agents: Vec<&str> = subject
        .agents
        .iter()
        .filter(|agent| agent.recipe.iter().any(|recipe| recipe.debian.iter().any(|name| name == PACKAGE)))
        .map(|agent| agent.name.as_str())
        .collect();
    let bundle = BUNDLES.into_iter().find_map(|name| Some((name, content(subject, name)?)));
    let Some((name, text)) = bundle else {
        if given.is_empty() && agents.is_empty() && named == 0 {
            let reason = "the image brings no authorities, and names no agent that needs them";
            return Outcome::not_run(CLOSURE_AUTHORITIES, reason);
        }
        if !given.is_empty() || !agents.is_empty() {
            let reads = match agents[..] {
                [] => format!("{} of authorities are to be in it", counted(given.len(), "file")),
                _ => format!("{} cannot connect to anything without it", agents.join(", ")),
            };
            found.push(Finding { at: BUNDLES[0].into(), problem: format!("the bundle is missing: {reads}") });
        }
        return Outcome::looked(
            CLOSURE_AUTHORITIES,
            "no bundle of authorities",
            found.into_iter().chain(wrong),
        );
    };
    if let Some(Err(why)) = subject.read(name) {
        found.push(Finding { at: name.into(), problem: why });
    }
    let bundle: BTreeSet<Vec<u8>> = certificates(text).collect();
    if bundle.is_empty() {
        found.push(Finding { at: name.into(), problem: "it holds no certificate in PEM form".into() });
    }
    let mut own = 0;
    for (path, text) in given {
        own += usize::from(path.to_string().starts_with(LOCAL));
        let mut all = certificates(text).peekable();
        if all.peek().is_none() {
            found.push(subject.finding(path, "it holds no certificate in PEM form, so nobody trusts it"));
        } else if !all.all(|one| bundle.contains(&one)) {
            let problem = format!("it is not in `{name}`, so programs do not trust it");
            found.push(subject.finding(path, problem));
        }
    }
    let mut evidence = format!("{} in {name}", counted(bundle.len(), "certificate"));
    if own > 0 {
        evidence.push_str(&format!("; {} of the owner", counted(own, "file")));
    }
    if named > 0 {
        evidence.push_str(&format!("; {} to a bundle", counted(named, "variable")));
    }
    Outcome::looked(CLOSURE_AUTHORITIES, evidence, found.into_iter().chain(wrong))
}

/// Files that update-ca-certificates(8) puts into the bundle, with their content.
fn given<'a>(subject: &Subject<'a>) -> Vec<(&'a ImagePath, &'a [u8])> {
    let chosen = subject.text(CHOSEN).unwrap_or_default();
    let chosen: BTreeSet<&str> = chosen.lines().map(str::trim).collect();
    let is_given = |path: &ImagePath| {
        let path = path.to_string();
        path.as_bytes().ends_with(b".crt")
            && (path.starts_with(LOCAL) || path.strip_prefix(SHARE).is_some_and(|name| chosen.contains(name)))
    };
    let kept = subject.survey.kept.iter().filter(|(path, _)| is_given(path));
    kept.map(|(path, bytes)| (path, bytes.as_slice())).collect()
}

/// How many variables name a bundle, and which lead to none; what lies where something comes when the image runs is not judged.
fn named(subject: &Subject<'_>) -> (usize, Vec<Finding>) {
    let env = subject.env();
    let mut found = Vec::new();
    let mut named = 0;
    for variable in VARIABLES {
        let Some(value) = env.get(variable).filter(|value| !value.is_empty()) else { continue };
        named += 1;
        let problem = match subject.survey.find(value.as_bytes()) {
            Err(_) if subject.is_writable_at_run(value) => continue,
            Err(nowhere) => nowhere.to_string(),
            Ok((real, Seen { what: What::File(_), .. })) => match subject.survey.kept.get(real) {
                Some(text) if certificates(text).next().is_none() => {
                    format!("`{real}` holds no certificate in PEM form")
                }
                _ => continue,
            },
            Ok((real, _)) => format!("`{real}` is no file"),
        };
        found.push(Finding { at: format!("Env {variable}"), problem });
    }
    (named, found)
}

/// What a path leads to, where it is a file whose content was kept.
fn content<'a>(subject: &Subject<'a>, path: &str) -> Option<&'a [u8]> {
    let (real, _) = subject.survey.find(path.as_bytes()).ok()?;
    subject.survey.kept.get(real).map(Vec::as_slice)
}

/// The certificates of a text, in DER.
fn certificates(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    CertificateDer::pem_slice_iter(text).flatten().map(|one| one.as_ref().to_vec())
}
