//! Checks that look, and execute nothing: every platform of an image, each layer read once.

use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::text;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::contents::Detail;
use pinfold_image::inspect;
use pinfold_image::model::Raw;
use pinfold_image::survey::Before;
use pinfold_image::survey::Looking;
use pinfold_image::survey::Programs;
use pinfold_image::survey::Sum;
use pinfold_image::survey::Watch;
use pinfold_image::verify::Verification;
use pinfold_image::verify::documents as read_documents;
use pinfold_image::verify::survey;

use super::accounts;
use super::agents;
use super::authorities;
use super::cache::Kept;
use super::checks::CHECKS;
use super::checks::Check;
use super::checks::HARDENING_READ_ONLY;
use super::checks::OCI_BLOBS;
use super::checks::OCI_DOCUMENTS;
use super::checks::OCI_LAYERS;
use super::checks::OCI_TAR;
use super::checks::SECRETS_ARCHIVES;
use super::checks::SECRETS_FILES;
use super::closure;
use super::documents;
use super::hardening;
use super::origin;
use super::own;
use super::report::Outcome;
use super::report::Report;
use super::report::Verdict;
use super::secrets;
use super::size;
use super::subject;
use super::subject::Subject;
use crate::context::Context;
use crate::describe;
use crate::describe::Description;
use crate::describe::Origins;
use crate::describe::explain::effects::Makers;
use crate::describe::side;
use crate::describe::side::Side;
use crate::project::lock::Lock;

/// What is said of a layer that was not read to its end.
const NOT_READ: &str = "holds more than could be read";

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
            check == name
                || check.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['.', ':']))
        };
        self.only.is_empty() || self.only.iter().any(within)
    }
}

/// A check or a group of checks, as people name it.
pub fn only(name: &str) -> Result<String, String> {
    let known = |check: &&Check| check.id == name || check.group() == name;
    if name == own::GROUP || CHECKS.iter().any(|check| known(&check)) {
        return Ok(name.to_owned());
    }
    let mut groups: Vec<&str> = CHECKS.iter().map(|check| check.group()).collect();
    groups.dedup();
    groups.push(own::GROUP);
    let all = groups.iter().copied().chain(CHECKS.iter().map(|check| check.id));
    let near = text::nearest(name, all).map(|near| format!(", but `{near}`")).unwrap_or_default();
    Err(format!("no check has this name{near}; groups: {}", groups.join(", ")))
}

/// Checks an image by looking. An error means that looking was not possible; what is wrong with the image is in the report.
pub fn statics(context: &Context, source: &ImageSource, wanted: &Wanted) -> Result<Report, ImageError> {
    let asked = Asked::of(context, source, wanted)?;
    let report = match asked.kept.recall() {
        Some(report) => report,
        None => asked.look(Detail::Plain)?.0,
    };
    Ok(asked.wanted(report))
}

/// The same, and all platforms as a page tells them; every layer is read once. `lock` is the image's, where it is known.
pub fn with_sides(
    context: &Context,
    source: &ImageSource,
    wanted: &Wanted,
    lock: Option<&Lock>,
) -> Result<(Report, Vec<Side>), ImageError> {
    let asked = Asked::of(context, source, wanted)?;
    let (report, descriptions) = match asked.kept.recall() {
        Some(report) => (report, Vec::new()),
        None => asked.look(Detail::Close)?,
    };
    let is_damage =
        |outcome: &Outcome| outcome.verdict == Verdict::Failed && outcome.check.starts_with("oci.");
    let sides = if descriptions.is_empty() || report.outcomes.iter().any(is_damage) {
        // What is damaged is an error there.
        let platforms = source.platforms()?.into_keys();
        let platforms =
            platforms.filter(|platform| wanted.platforms.is_empty() || wanted.platforms.contains(platform));
        let read = platforms.map(|platform| {
            let origins = side::origins(context, source, lock, platform);
            Side::read(context, source, platform, &origins, Detail::Close)
        });
        read.collect::<Result<_, _>>()?
    } else {
        let each = asked.images.iter().zip(descriptions);
        let side = |((platform, image), description): (&(Platform, Image), Description)| {
            let of = (*platform, image);
            let description = match lock {
                None => description,
                Some(lock) => {
                    let origins = Origins::of_lock(lock, *platform);
                    describe::described(source.name(), of, description.contents, &origins)
                }
            };
            Side::of(inspect::platform(*platform, image), description)
        };
        each.map(side).collect()
    };
    Ok((asked.wanted(report), sides))
}

/// What is to be checked, and against what.
struct Asked<'a> {
    context: &'a Context,
    source: &'a ImageSource,
    wanted: &'a Wanted,
    /// What is wrong with its documents.
    found: Verification,
    images: Vec<(Platform, Image)>,
    origins: Origins,
    kept: Kept,
}

impl<'a> Asked<'a> {
    fn of(context: &'a Context, source: &'a ImageSource, wanted: &'a Wanted) -> Result<Self, ImageError> {
        let (found, mut images) = read_documents(source)?;
        if !wanted.platforms.is_empty() {
            for platform in &wanted.platforms {
                if !images.iter().any(|(has, _)| has == platform) && found.findings.is_empty() {
                    // The error that says which there are.
                    source.image(*platform)?;
                }
            }
            images.retain(|(platform, _)| wanted.platforms.contains(platform));
        }
        let origins = Origins::noted(context, &source.root().digest)?;
        let kept = Kept::of(context, source, &images, &origins, wanted)?;
        Ok(Self { context, source, wanted, found, images, origins, kept })
    }

    /// Makes all checks, and keeps what came of them.
    fn look(&self, detail: Detail) -> Result<(Report, Vec<Description>), ImageError> {
        let platforms: Vec<Platform> = self.images.iter().map(|(platform, _)| *platform).collect();
        // What cannot be read is not known.
        let lock = describe::lock::find(self.context, self.source, None).ok().flatten();
        let mut outcomes = vec![documents::whole(&self.found, &platforms)];
        let mut descriptions = Vec::new();
        for (platform, image) in &self.images {
            let (of_platform, description) = self.one((*platform, image), lock.as_ref(), detail)?;
            outcomes.extend(of_platform.into_iter().map(|outcome| outcome.on(*platform)));
            // Each holds all paths of a platform.
            if detail == Detail::Close {
                descriptions.push(description);
            }
        }
        let digest = self.source.root().digest.clone();
        let report = Report { image: self.source.name().to_owned(), digest, outcomes };
        self.kept.remember(self.context, &report);
        Ok((report, descriptions))
    }

    /// One platform.
    fn one(
        &self,
        (platform, image): (Platform, &Image),
        lock: Option<&Lock>,
        detail: Detail,
    ) -> Result<(Vec<Outcome>, Description), ImageError> {
        let Self { context, source, wanted, origins, .. } = self;
        let mut found = Verification::default();
        let md5 = origin::sum(image);
        let both = |layer: usize, path: &ImagePath| Some(md5(layer, path).map_or(Sum::Sha256, |_| Sum::Both));
        let sum: &dyn Fn(usize, &ImagePath) -> Option<Sum> = match detail {
            Detail::Plain => &md5,
            Detail::Close => &both,
        };
        let before = match detail {
            Detail::Plain => Before::Forgotten,
            Detail::Close => Before::Kept,
        };
        let scanner = secrets::Scanner::new();
        let mut files = secrets::Files::new(&scanner, context.home.cache());
        let watch = Some(&mut files as &mut dyn Watch);
        let mut looking =
            Looking { sum, programs: Programs::Read, before, watch, ..Looking::keeping(&subject::is_kept) };
        let survey = survey(source, (platform, image), &mut looking, &mut found, &*context.reporter)?;
        let description = describe::described(source.name(), (platform, image), survey, origins);
        let budget = wanted.budget.unwrap_or(crate::ship::budget::DEFAULT);
        let made = lock.and_then(|lock| lock.ledger.get(&platform)).map(|ledger| Makers::of(ledger));
        let known = (origins, made.unwrap_or_default());
        let subject = Subject::new((platform, image), &description, known, budget);
        let mut outcomes = documents::platform(&found, image, subject.survey.paths.len());
        let given = closure::Given { platform, survey: subject.survey, runtime: &subject.runtime };
        outcomes.extend(closure::check(&given));
        outcomes.push(accounts::check(&subject));
        outcomes.push(authorities::check(&subject));
        outcomes.extend(hardening::check(&subject));
        outcomes.extend(files.outcomes());
        outcomes.push(secrets::config(&scanner, image, source.index()?.as_ref().map(Raw::value)));
        outcomes.extend(agents::check(&subject));
        outcomes.push(size::check(&subject));
        outcomes.push(origin::base(&subject));
        outcomes.push(origin::components(&subject));
        outcomes.push(origin::dpkg(&subject));
        outcomes.push(origin::lock(&subject));
        if let Some(first) = subject.survey.partial.first() {
            for outcome in &mut outcomes {
                partial(outcome, *first);
            }
        }
        Ok((outcomes, description))
    }

    /// The outcomes that are asked for, and what kept them from being looked at.
    fn wanted(&self, report: Report) -> Report {
        let unread: Vec<Option<Platform>> = report
            .outcomes
            .iter()
            .filter(|outcome| outcome.verdict == Verdict::NotRun && outcome.evidence.contains(NOT_READ))
            .map(|outcome| outcome.platform)
            .collect();
        let stops = |outcome: &Outcome| {
            let check = outcome.check.as_str();
            outcome.verdict == Verdict::Failed
                && ([OCI_BLOBS.id, OCI_LAYERS.id].contains(&check)
                    || check == OCI_DOCUMENTS.id && outcome.platform.is_none()
                    || check == OCI_TAR.id && unread.contains(&outcome.platform))
        };
        let outcomes =
            report.outcomes.into_iter().filter(|outcome| self.wanted.wants(&outcome.check) || stops(outcome));
        Report { outcomes: outcomes.collect(), ..report }
    }
}

/// A check of files has not looked where a layer holds more than was seen: nothing passes then, and what misses something may only not
/// have seen it. What was found is still found.
fn partial(outcome: &mut Outcome, layer: usize) {
    let of = |group: &str| outcome.check.split('.').next() == Some(group);
    let of_secrets = [SECRETS_FILES.id, SECRETS_ARCHIVES.id].contains(&outcome.check.as_str());
    let finds = of("hardening") || of_secrets;
    let misses = of("closure") || of("agents") || of("origin") || outcome.check == HARDENING_READ_ONLY.id;
    if misses || finds && outcome.verdict == Verdict::Passed {
        let reason = format!(
            "layer {} {NOT_READ} (the checks of `oci` say why); of what was seen: {}",
            layer + 1,
            outcome.evidence
        );
        *outcome = Outcome {
            findings: Vec::new(),
            more: 0,
            verdict: Verdict::NotRun,
            evidence: reason,
            ..outcome.clone()
        };
    }
}
