//! Checks that run an image: in a sandbox as a user's would be, with nothing of the host in it.
//!
//! ```text
//!   image ─► run::alone (unpacked once, memory to write to, a home that goes) ─► inside (a program, what it printed)
//!                provider (a stand-in for the agents' providers) ◄─ sockets ─┘       └► basic  agents  trust: the verdicts
//! ```
//!
//! What a program must print is judged by functions from text to finding; what runs it is elsewhere. Where an image does not have
//! the program that a check asks, the check was not run, and its evidence says so.
//!
//! **Guarantees**: no network but the stand-in's ports on the sandbox's loopback; each program has a time and a size of output that it
//! does not exceed; a sandbox that does not start is one failure. **Leaves** platforms whose programs this machine cannot run.

mod agents;
mod basic;
mod foreign;
mod inside;
mod provider;
mod trust;

use pinfold_base::Platform;
use pinfold_base::error::one_line;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_sandbox::Runtime;

use self::agents::Agents;
pub(super) use self::foreign::runs_here;
pub(super) use self::inside::Inside;
pub(super) use self::inside::SHORT;
pub(super) use self::inside::Said;
pub(super) use self::inside::Why;
use super::checks;
use super::checks::Check;
use super::report::Finding;
use super::report::Outcome;
use crate::context::Context;
use crate::project::recipe::Recipe;
use crate::run::alone;

/// All of them, in the order in which they are shown.
pub const RUN: [Check; 12] = [
    checks::RUN_START,
    checks::RUN_VERSION,
    checks::RUN_USER,
    checks::RUN_INIT,
    checks::RUN_TOOLS,
    checks::RUN_READ_ONLY,
    checks::RUN_TMP,
    checks::RUN_SET_ID,
    checks::RUN_PATH,
    checks::RUN_CONFIG,
    checks::RUN_TOOL_CALL,
    checks::RUN_CA,
];

/// Whether a file of the image has a set-id bit: the roots of runs are unpacked without them, so only an image that has none is
/// searched as it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetIdBits {
    /// No entry of the image has one.
    None,
    /// Some have, or nobody has looked.
    Possible,
}

/// How an image is run.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What runs it.
    pub runtime: Runtime,
    /// Recipes of the project that the image was built of; those of an image are the built-in ones that its labels name.
    pub recipes: &'a [Recipe],
    /// What is known of set-id bits.
    pub set_id: SetIdBits,
    /// Which checks are made. That the sandbox starts is seen in any case.
    pub wants: &'a dyn Fn(Check) -> bool,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

/// How the reason begins of what this machine cannot run.
pub const NOT_HERE: &str = "not run on this machine";

/// Runs the image of one platform, and judges what it does.
pub fn run(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
    options: &Options<'_>,
) -> Vec<Outcome> {
    outcomes(context, source, platform, options).into_iter().map(|outcome| outcome.on(platform)).collect()
}

fn outcomes(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
    options: &Options<'_>,
) -> Vec<Outcome> {
    let wanted = || RUN.into_iter().filter(move |check| (options.wants)(*check));
    // One reason for all of them.
    let none = |reason: &str| wanted().map(|check| Outcome::not_run(check, reason)).collect::<Vec<_>>();
    if wanted().next().is_none() {
        return Vec::new();
    }
    if let Err(why) = foreign::runs_here(platform) {
        return none(&format!("{NOT_HERE}: {why}"));
    }
    let failed = |problem: String| {
        let found = Finding { at: "the sandbox".into(), problem };
        let start = Outcome::looked(checks::RUN_START, "it did not start", [found]);
        let others = none("the sandbox did not start").into_iter();
        std::iter::once(start).chain(others.filter(|outcome| outcome.check != checks::RUN_START.id)).collect()
    };
    let running = |check: Check| {
        let item = format!("{} on {platform}", check.id);
        Running::begin(&*context.reporter, Stage::Try, item, None)
    };
    let starting = running(checks::RUN_START);
    let inside = match Inside::new(context, source, platform, options.runtime) {
        Ok(inside) => inside,
        Err(problem) => return failed(problem),
    };
    let agents = Agents::of(&inside.alone.labels, options.recipes);
    let start = match basic::start(&inside, &agents) {
        Ok(outcome) => outcome,
        Err(problem) => return failed(problem),
    };
    drop(starting);
    let set_id = || {
        let kept = (options.set_id == SetIdBits::Possible).then(|| {
            let root = inside.folder().join("rootfs");
            let made = alone::with_set_id(context, source, platform, &root).map(|()| root);
            made.map_err(|error| one_line(&error))
        });
        basic::set_id(&inside, kept)
    };
    wanted()
        .map(|check| (check, running(check)))
        .map(|(check, _running)| match check {
            checks::RUN_START => start.clone(),
            checks::RUN_VERSION => agents.version(&inside),
            checks::RUN_USER => basic::user(&inside),
            checks::RUN_INIT => basic::init(&inside),
            checks::RUN_TOOLS => basic::tools(&inside),
            checks::RUN_READ_ONLY => basic::read_only(&inside),
            checks::RUN_TMP => basic::tmp(&inside),
            checks::RUN_SET_ID => set_id(),
            checks::RUN_PATH => basic::path(&inside),
            checks::RUN_CONFIG => agents.config(&inside),
            checks::RUN_TOOL_CALL => agents.tool_call(&inside),
            checks::RUN_CA => trust::authority(&inside, &agents),
            other => Outcome::not_run(other, "it is no check that runs an image"),
        })
        .collect()
}

/// The verdict of a check that asks several things: it looked where one of them could be asked.
#[derive(Debug, Default)]
struct Tally {
    evidence: Vec<String>,
    findings: Vec<Finding>,
    looked: bool,
    /// Something that the check promises was left out.
    left_out: bool,
}

impl Tally {
    /// It was asked and holds.
    fn holds(&mut self, evidence: impl Into<String>) {
        self.looked = true;
        self.evidence.push(evidence.into());
    }

    /// It was asked and does not hold.
    fn fails(&mut self, at: &str, problem: impl Into<String>) {
        self.looked = true;
        self.findings.push(Finding { at: at.to_owned(), problem: problem.into() });
    }

    /// It is none of this image's.
    fn absent(&mut self, reason: impl Into<String>) {
        self.evidence.push(reason.into());
    }

    /// It is this image's, and could not be asked: the whole check was not run, unless it fails anyway.
    fn left_out(&mut self, reason: impl Into<String>) {
        self.left_out = true;
        self.evidence.push(reason.into());
    }

    fn outcome(self, check: Check, nothing: &str) -> Outcome {
        let evidence = self.evidence.join("; ");
        if self.findings.is_empty() && (self.left_out || !self.looked) {
            return Outcome::not_run(check, if evidence.is_empty() { nothing.to_owned() } else { evidence });
        }
        let evidence = if evidence.is_empty() { "none holds".to_owned() } else { evidence };
        Outcome::looked(check, evidence, self.findings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::report::Verdict;

    #[test]
    fn the_checks_are_those_of_the_list() {
        let listed: Vec<Check> =
            checks::CHECKS.iter().copied().filter(|check| check.group() == "run").collect();
        assert_eq!(listed, RUN);
    }

    #[test]
    fn nothing_passes_without_having_been_looked_at() {
        let verdict = |fill: &dyn Fn(&mut Tally)| {
            let mut tally = Tally::default();
            fill(&mut tally);
            tally.outcome(checks::RUN_TOOLS, "nothing").verdict
        };
        assert_eq!(verdict(&|_| {}), Verdict::NotRun);
        assert_eq!(verdict(&|tally| tally.absent("no tmux")), Verdict::NotRun);
        assert_eq!(verdict(&|tally| tally.holds("yes")), Verdict::Passed);
        let half = |tally: &mut Tally| {
            tally.holds("yes");
            tally.left_out("a recipe of somebody's");
        };
        assert_eq!(verdict(&half), Verdict::NotRun);
        assert_eq!(
            verdict(&|tally| {
                half(tally);
                tally.fails("x", "y");
            }),
            Verdict::Failed
        );
    }
}
