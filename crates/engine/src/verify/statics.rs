//! Checks that look, and execute nothing: every platform of an image, each layer read once.

use pinfold_base::Platform;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::survey::Looking;
use pinfold_image::survey::Programs;
use pinfold_image::survey::Watch;
use pinfold_image::verify::Verification;
use pinfold_image::verify::documents as read_documents;
use pinfold_image::verify::survey;

use super::accounts;
use super::agents;
use super::checks::CHECKS;
use super::checks::Check;
use super::checks::SECRETS_FILES;
use super::closure;
use super::documents;
use super::hardening;
use super::origin;
use super::report::Outcome;
use super::report::Report;
use super::secrets;
use super::size;
use super::subject;
use super::subject::Subject;
use crate::context::Context;
use crate::describe;
use crate::describe::Origins;

/// What an image is checked against.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The platforms; all that the image has where none is named.
    pub platforms: Vec<Platform>,
    /// What each may weigh, in bytes; 700 MiB unless said.
    pub budget: Option<u64>,
    /// The checks or groups of checks that are made; all where none is named.
    pub only: Vec<String>,
}

impl Wanted {
    /// Whether a check is made.
    pub fn wants(&self, check: &str) -> bool {
        let within = |name: &String| {
            check == name || check.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        self.only.is_empty() || self.only.iter().any(within)
    }
}

/// A check or a group of checks, as people name it.
pub fn only(name: &str) -> Result<String, String> {
    let known = |check: &&Check| check.id == name || check.group() == name;
    if CHECKS.iter().any(|check| known(&check)) {
        return Ok(name.to_owned());
    }
    let mut groups: Vec<&str> = CHECKS.iter().map(|check| check.group()).collect();
    groups.dedup();
    Err(format!("no check has this name; groups: {}", groups.join(", ")))
}

/// Checks an image by looking. An error means that looking was not possible; what is wrong with the image is in the report.
pub fn statics(context: &Context, source: &ImageSource, wanted: &Wanted) -> Result<Report, ImageError> {
    let (mut found, mut images) = read_documents(source)?;
    if !wanted.platforms.is_empty() {
        for platform in &wanted.platforms {
            if !images.iter().any(|(has, _)| has == platform) && found.findings.is_empty() {
                // The error that says which there are.
                source.image(*platform)?;
            }
        }
        images.retain(|(platform, _)| wanted.platforms.contains(platform));
    }
    let platforms: Vec<Platform> = images.iter().map(|(platform, _)| *platform).collect();
    let mut outcomes = vec![documents::whole(&found, &platforms)];
    let whole = std::mem::take(&mut found.findings);
    for (platform, image) in &images {
        let mut of = Verification::default();
        let outcomes_of = one(context, source, (*platform, image), wanted, &mut of)?;
        outcomes.extend(outcomes_of.into_iter().map(|outcome| outcome.on(*platform)));
    }
    found.findings = whole;
    outcomes.retain(|outcome| wanted.wants(&outcome.check));
    Ok(Report { image: source.name().to_owned(), digest: source.root().digest.clone(), outcomes })
}

/// One platform.
fn one(
    context: &Context,
    source: &ImageSource,
    (platform, image): (Platform, &Image),
    wanted: &Wanted,
    found: &mut Verification,
) -> Result<Vec<Outcome>, ImageError> {
    let sum = origin::sum(image);
    let scanner = secrets::Scanner::new();
    let mut files = secrets::Files::new(&scanner);
    let watch = wanted.wants(SECRETS_FILES.id).then_some(&mut files as &mut dyn Watch);
    let mut looking = Looking { keep: &subject::is_kept, sum: &sum, programs: Programs::Read, watch };
    let survey = survey(source, (platform, image), &mut looking, found, &*context.reporter)?;
    let origins = Origins::noted(context, &source.root().digest)?;
    let description = describe::described(source.name(), (platform, image), survey, &origins);
    let budget = wanted.budget.unwrap_or(crate::ship::budget::DEFAULT);
    let subject = Subject::new((platform, image), &description, &origins, budget);
    let mut outcomes = documents::platform(found, image, subject.survey.paths.len());
    let given = closure::Given { platform, survey: subject.survey, runtime: &subject.runtime };
    outcomes.extend(closure::check(&given));
    outcomes.push(accounts::check(&subject));
    outcomes.extend(hardening::check(&subject));
    outcomes.push(files.outcome());
    outcomes.push(secrets::config(&scanner, image));
    outcomes.extend(agents::check(&subject));
    outcomes.push(size::check(&subject));
    outcomes.push(origin::base(&subject));
    outcomes.push(origin::components(&subject));
    outcomes.push(origin::dpkg(&subject));
    outcomes.push(origin::lock(&subject));
    Ok(outcomes)
}
