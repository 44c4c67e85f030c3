//! What the image room says of blobs, layers, documents and tars, as outcomes.

use pinfold_base::Platform;
use pinfold_base::units::bytes;
use pinfold_image::Image;
use pinfold_image::verify::Level;
use pinfold_image::verify::Verification;

use super::checks::Check;
use super::checks::OCI_BLOBS;
use super::checks::OCI_DOCUMENTS;
use super::checks::OCI_LAYERS;
use super::checks::OCI_TAR;
use super::report::Finding;
use super::report::NOT_READ;
use super::report::Outcome;

/// Manifests that were not looked at and are named.
const NAMED: usize = 5;
/// The checks and the levels that they tell of.
const LEVELS: [(Check, Level); 4] = [
    (OCI_BLOBS, Level::Blob),
    (OCI_LAYERS, Level::DiffId),
    (OCI_DOCUMENTS, Level::Structure),
    (OCI_TAR, Level::Tar),
];

/// What was found wrong with the documents, before any platform is looked at.
pub(super) fn whole(found: &Verification, platforms: &[Platform]) -> Outcome {
    let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
    let evidence = if names.is_empty() {
        "no platform that can be read".to_owned()
    } else {
        format!("an image for {}", names.join(" and "))
    };
    let evidence = format!("{evidence}{}", beside(&found.beside));
    Outcome::looked(OCI_DOCUMENTS, evidence, findings(found, |_| true))
}

/// What was found wrong with one platform's layers, and that its documents were read.
pub(super) fn platform(found: &Verification, image: &Image, paths: usize) -> Vec<Outcome> {
    let size = image.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.descriptor.size));
    let evidence = |check: Check| match check {
        OCI_BLOBS => format!("{} layers, {}", image.layers.len(), bytes(size)),
        OCI_LAYERS => format!("{} diff_ids", image.layers.len()),
        OCI_TAR => format!("{paths} paths"),
        _ => format!("manifest {}", image.manifest.digest().short()),
    };
    let outcome = |(check, level): (Check, Level)| {
        Outcome::looked(check, evidence(check), findings(found, |of| of == level))
    };
    LEVELS.into_iter().map(outcome).collect()
}

/// The manifests that were not looked at.
fn beside(names: &[String]) -> String {
    let (some, more) = names.split_at(names.len().min(NAMED));
    let more = if more.is_empty() { String::new() } else { format!(", and {} others", more.len()) };
    match names.len() {
        0 => String::new(),
        1 => format!("; 1 more manifest was not looked at: {}", names[0]),
        count => format!("; {count} more manifests were not looked at: {}{more}", some.join(", ")),
    }
}

/// What was found wrong with a platform whose documents cannot be read.
pub(super) fn unread(found: &Verification, platform: Platform) -> Vec<Outcome> {
    let object = platform.to_string();
    let outcome = |(check, level): (Check, Level)| {
        let problems =
            found.findings.iter().filter(|finding| finding.object == object && finding.level == level);
        let problems: Vec<Finding> = problems.map(told).collect();
        if problems.is_empty() {
            Outcome::not_run(check, NOT_READ)
        } else {
            Outcome::looked(check, "it cannot be read", problems)
        }
    };
    LEVELS.into_iter().map(outcome).collect()
}

fn findings(found: &Verification, of: impl Fn(Level) -> bool) -> impl Iterator<Item = Finding> {
    found.findings.iter().filter(move |finding| of(finding.level)).map(told)
}

fn told(finding: &pinfold_image::verify::Finding) -> Finding {
    Finding { at: finding.object.clone(), problem: finding.problem.clone() }
}
