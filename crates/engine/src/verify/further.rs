//! What is added to a report beyond looking: what the image does when it is run, and its owner's tests.

use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;

use super::Wanted;
use super::checks;
use super::dynamic;
use super::dynamic::SetIdBits;
use super::own;
use super::own::Commands;
use super::report::Finding;
use super::report::Outcome;
use super::report::Report;
use super::report::Verdict;
use crate::context::Context;
use crate::project::manifest::Test;
use crate::project::recipe::Recipe;

/// What is asked beyond looking.
#[derive(Clone, Copy, Debug)]
pub struct Further<'a> {
    /// Whether the image is run, and in what.
    pub commands: Commands,
    /// Recipes of the project that it was built of.
    pub recipes: &'a [Recipe],
    /// Its owner's tests.
    pub tests: &'a [Test],
}

/// Adds the outcomes to `report`, which is of the same image. What was to be run and cannot be on this machine has failed.
pub fn further(
    context: &Context,
    source: &Admitted<ImageSource>,
    wanted: &Wanted,
    asked: &Further<'_>,
    report: &mut Report,
) -> Result<(), ImageError> {
    let has = source.platforms()?.into_keys();
    let platforms = has.filter(|has| wanted.platforms.is_empty() || wanted.platforms.contains(has));
    let mut found = Vec::new();
    for platform in platforms.collect::<Vec<_>>() {
        if let Commands::Run(runtime) = asked.commands {
            let recipes = asked.recipes;
            let options = dynamic::Options {
                runtime,
                recipes,
                set_id: set_id(report, platform),
                wants: &|check| wanted.wants(check.id),
            };
            found.extend(dynamic::run(context, source, platform, &options));
        }
        if wanted.wants(own::GROUP) {
            found.extend(own::run(context, source, platform, asked.commands, asked.tests));
        }
    }
    if let Commands::Run(_) = asked.commands {
        found.iter_mut().for_each(demanded);
    }
    // All platforms of a check stand together, those of a test too.
    let place = |outcome: &Outcome| {
        let of_list = checks::CHECKS.iter().position(|check| check.id == outcome.check);
        let of_tests = || asked.tests.iter().position(|test| own::id(test) == outcome.check);
        of_list.unwrap_or_else(|| checks::CHECKS.len() + of_tests().unwrap_or_default())
    };
    found.sort_by_key(place);
    report.outcomes.extend(found);
    Ok(())
}

/// What the report knows of set-id bits.
fn set_id(report: &Report, platform: Platform) -> SetIdBits {
    let none = report.outcomes.iter().any(|outcome| {
        outcome.check == checks::HARDENING_SET_ID.id
            && outcome.platform == Some(platform)
            && outcome.verdict == Verdict::Passed
    });
    if none { SetIdBits::None } else { SetIdBits::Possible }
}

/// Who asked for a run is not content with none.
fn demanded(outcome: &mut Outcome) {
    if outcome.verdict == Verdict::NotRun && outcome.evidence.starts_with(dynamic::NOT_HERE) {
        outcome.verdict = Verdict::Failed;
        let problem =
            "`--platform` leaves the others out; or let binfmt_misc run them (Debian: qemu-user-static)";
        outcome.findings = vec![Finding { at: "this machine".into(), problem: problem.into() }];
    }
}
