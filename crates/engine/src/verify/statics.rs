//! Checks that look, and execute nothing: every platform of an image, each layer read once.

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::text;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::contents::Detail;
use pinfold_image::inspect;
use pinfold_image::model::Descriptor;
use pinfold_image::model::Raw;
use pinfold_image::survey::Before;
use pinfold_image::survey::Looking;
use pinfold_image::survey::Programs;
use pinfold_image::survey::Sum;
use pinfold_image::survey::Survey;
use pinfold_image::survey::Watch;
use pinfold_image::verify::Level;
use pinfold_image::verify::Verification;
use pinfold_image::verify::documents as read_documents;
use pinfold_image::verify::survey;

use super::accounts;
use super::agents;
use super::authorities;
use super::cache::Kept;
use super::checks::CHECKS;
use super::checks::CLOSURE_LINKS;
use super::checks::Check;
use super::checks::HARDENING_CAPABILITIES;
use super::checks::HARDENING_READ_ONLY;
use super::checks::HARDENING_SET_ID;
use super::checks::HARDENING_WRITABLE;
use super::checks::OCI_BLOBS;
use super::checks::OCI_DOCUMENTS;
use super::checks::OCI_LAYERS;
use super::checks::SECRETS_ARCHIVES;
use super::checks::SECRETS_CONFIG;
use super::checks::SECRETS_FILES;
use super::checks::SIZE_BUDGET;
use super::checks::SIZE_CHANGE;
use super::closure;
use super::documents;
use super::hardening;
use super::origin;
use super::own;
use super::report::Finding;
use super::report::NOT_READ;
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

    /// Whether a platform is looked at.
    fn wants_platform(&self, platform: Platform) -> bool {
        self.platforms.is_empty() || self.platforms.contains(&platform)
    }

    /// The first check or group that was named and that nothing of a report answers.
    pub fn unanswered(&self, report: &Report) -> Option<&str> {
        let answered = |name: &&String| {
            let alone = Self { only: vec![(*name).clone()], ..Self::default() };
            report.outcomes.iter().any(|outcome| alone.wants(&outcome.check))
        };
        self.only.iter().find(|name| !answered(name)).map(String::as_str)
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

/// Checks an image by looking. An error means that looking was not possible, or that it has not what was asked for; what is wrong with
/// the image is in the report.
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
        let platforms = platforms.filter(|platform| wanted.wants_platform(*platform));
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
    /// The platforms that its index promises.
    promised: BTreeMap<Platform, Descriptor>,
    /// What is wrong with its documents.
    found: Verification,
    /// The platforms that are wanted and can be read.
    images: Vec<(Platform, Image)>,
    origins: Origins,
    /// The lock that it was built of, where it is here: what scripts made is in its ledger.
    lock: Option<Lock>,
    kept: Kept,
}

impl<'a> Asked<'a> {
    fn of(context: &'a Context, source: &'a ImageSource, wanted: &'a Wanted) -> Result<Self, ImageError> {
        let (found, mut images) = read_documents(source)?;
        // What cannot be listed is among the findings.
        let mut promised = source.platforms().unwrap_or_default();
        for platform in &wanted.platforms {
            let is_listed = !promised.is_empty() || found.findings.is_empty();
            if is_listed && !promised.contains_key(platform) {
                // The error that says which there are.
                source.image(*platform)?;
            }
        }
        promised.retain(|platform, _| wanted.wants_platform(*platform));
        images.retain(|(platform, _)| wanted.wants_platform(*platform));
        let origins = Origins::noted(context, source)?;
        // What cannot be read is not known.
        let lock = describe::lock::find(context, source, None).ok().flatten();
        // Where documents cannot be read, what can be is not what was meant.
        let kept = if images.len() == promised.len() && found.holds(Level::Blob) {
            Kept::of(context, source, &images, (&origins, lock.as_ref()), wanted)?
        } else {
            Kept::none()
        };
        Ok(Self { context, source, wanted, promised, found, images, origins, lock, kept })
    }

    /// Makes all checks, and keeps what came of them.
    fn look(&self, detail: Detail) -> Result<(Report, Vec<Description>), ImageError> {
        let platforms: Vec<Platform> = self.images.iter().map(|(platform, _)| *platform).collect();
        let mut outcomes = vec![documents::whole(&self.found, &platforms)];
        if self.promised.is_empty() {
            outcomes.extend(nothing_read(&format!("{NOT_READ}: it has no platform that pinfold knows")));
        }
        let mut descriptions = Vec::new();
        for platform in self.promised.keys() {
            let Some((_, image)) = self.images.iter().find(|(has, _)| has == platform) else {
                let reason = format!("{NOT_READ}: its documents cannot be");
                let unread = documents::unread(&self.found, *platform);
                let unread = unread.into_iter().chain(nothing_read(&reason));
                outcomes.extend(unread.map(|outcome| outcome.on(*platform)));
                continue;
            };
            let (of_platform, description) = self.one((*platform, image), detail)?;
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
        let scanner = secrets::Scanner::new();
        let mut files = secrets::Files::new(&scanner, context.home.cache());
        let watch = Some(&mut files as &mut dyn Watch);
        let mut looking = Looking {
            sum,
            programs: Programs::Read,
            before: Before::Kept,
            watch,
            ..Looking::keeping(&subject::is_kept)
        };
        let mut survey = survey(source, (platform, image), &mut looking, &mut found, &*context.reporter)?;
        follow_links(context, source, (platform, image), &mut survey)?;
        let description = describe::described(source.name(), (platform, image), survey, origins);
        let budget = wanted.budget.unwrap_or(crate::ship::budget::DEFAULT);
        let made =
            self.lock.as_ref().and_then(|lock| lock.ledger.get(&platform)).map(|ledger| Makers::of(ledger));
        let known = (origins, made.unwrap_or_default());
        let subject = Subject::new((platform, image), &description, known, budget);
        let mut outcomes = documents::platform(&found, image, subject.survey.paths.len());
        let given =
            closure::Given { platform, survey: subject.survey, runtime: &subject.runtime, who: &subject.who };
        outcomes.extend(closure::check(&given));
        outcomes.push(accounts::check(&subject));
        outcomes.push(authorities::check(&subject));
        outcomes.extend(hardening::check(&subject));
        outcomes.extend(files.outcomes().into_iter().map(|outcome| with_components(outcome, &subject)));
        outcomes.push(secrets::config(&scanner, image, source.index()?.as_ref().map(Raw::value)));
        outcomes.extend(agents::check(&subject));
        outcomes.push(size::check(&subject));
        outcomes.push(origin::base(&subject));
        outcomes.push(origin::components(&subject));
        outcomes.push(origin::dpkg(&subject));
        outcomes.push(origin::lock(&subject));
        let outcomes = outcomes.into_iter().map(|outcome| hidden(doubted(outcome, subject.survey))).collect();
        Ok((outcomes, description))
    }

    /// The outcomes that are asked for, and what kept them from being looked at.
    fn wanted(&self, report: Report) -> Report {
        let unread: Vec<Option<Platform>> = report
            .outcomes
            .iter()
            .filter(|outcome| self.wanted.wants(&outcome.check) && outcome.is_unread())
            .map(|outcome| outcome.platform)
            .collect();
        let stops = |outcome: &Outcome| {
            let check = outcome.check.as_str();
            outcome.verdict == Verdict::Failed
                && ([OCI_BLOBS.id, OCI_LAYERS.id].contains(&check)
                    || check == OCI_DOCUMENTS.id && outcome.platform.is_none()
                    || check.starts_with("oci.") && unread.contains(&outcome.platform))
        };
        let outcomes =
            report.outcomes.into_iter().filter(|outcome| self.wanted.wants(&outcome.check) || stops(outcome));
        Report { outcomes: outcomes.collect(), ..report }
    }
}

/// The checks of files, none of which could look.
fn nothing_read(reason: &str) -> impl Iterator<Item = Outcome> + '_ {
    let looks = |check: &&Check| {
        !["file", "oci", "run", "rebuild"].contains(&check.group()) && check.id != SIZE_CHANGE.id
    };
    CHECKS.iter().filter(looks).map(move |check| Outcome::not_run(*check, reason))
}

/// What an outcome is worth where not all was seen: nothing passes then, and what misses something may only not have seen it. What was
/// found is still found.
pub(super) fn doubted(outcome: Outcome, survey: &Survey) -> Outcome {
    let of = |group: &str| outcome.check.split('.').next() == Some(group);
    if of("oci") || [SECRETS_CONFIG.id, SIZE_BUDGET.id].contains(&outcome.check.as_str()) {
        return outcome;
    }
    let of_secrets = [SECRETS_FILES.id, SECRETS_ARCHIVES.id].contains(&outcome.check.as_str());
    let finds = of("hardening") && outcome.check != HARDENING_READ_ONLY.id || of_secrets;
    let reason = match survey.partial.first() {
        Some(first) if !(finds && outcome.verdict == Verdict::Failed) => {
            format!("layer {} holds more than could be read (the checks of `oci` say why)", first + 1)
        }
        None if !survey.left_out.is_empty()
            && reads_content(&outcome.check)
            && outcome.verdict != Verdict::Failed =>
        {
            format!("{} files that it reads are too large to be kept", survey.left_out.len())
        }
        _ => return outcome,
    };
    Outcome {
        verdict: Verdict::NotRun,
        evidence: format!("{NOT_READ}: {reason}; of what was seen: {}", outcome.evidence),
        findings: Vec::new(),
        more: 0,
        ..outcome
    }
}

/// An outcome without secrets: names of paths and values of keys are among what is told.
fn hidden(mut outcome: Outcome) -> Outcome {
    outcome.evidence = secrets::hidden::names(&outcome.evidence);
    for Finding { at, problem } in &mut outcome.findings {
        *at = secrets::hidden::names(at);
        *problem = secrets::hidden::names(problem);
    }
    outcome
}

/// An outcome whose findings name the components that brought the files, where a file is still what it was found in.
fn with_components(mut outcome: Outcome, subject: &Subject<'_>) -> Outcome {
    for finding in &mut outcome.findings {
        let path = finding.at.strip_prefix('/').and_then(|at| ImagePath::new(at).ok());
        if let Some(owner) = path.as_ref().and_then(|path| subject.owner(path)) {
            finding.problem.push_str(&format!(" ({owner})"));
        }
    }
    outcome
}

/// Whether a check stands on the content of files that were kept, and not on what every path tells of itself.
fn reads_content(check: &str) -> bool {
    const BY_PATH: [Check; 6] = [
        CLOSURE_LINKS,
        HARDENING_SET_ID,
        HARDENING_WRITABLE,
        HARDENING_CAPABILITIES,
        SECRETS_FILES,
        SECRETS_ARCHIVES,
    ];
    BY_PATH.iter().all(|by_path| by_path.id != check)
}

/// Keeps files that links lead to from where checks read: those of the accounts first, which say where the home is.
fn follow_links(
    context: &Context,
    source: &ImageSource,
    (platform, image): (Platform, &Image),
    all: &mut Survey,
) -> Result<(), ImageError> {
    let runtime = image.config.value().config.clone().unwrap_or_default();
    for _ in 0..2 {
        let wanted = subject::linked(all, &runtime);
        if wanted.is_empty() {
            break;
        }
        // What is wrong with the layers was told by the pass before.
        let mut told = Verification::default();
        let keep = |path: &ImagePath| wanted.contains(path);
        let mut looking = Looking::keeping(&keep);
        let again = survey(source, (platform, image), &mut looking, &mut told, &*context.reporter)?;
        all.left_out.extend(again.left_out);
        all.kept.extend(again.kept);
    }
    Ok(())
}
