//! `pinfold verify --run --sealed NAME`: the walls of a sealed sandbox that runs.

use std::process::ExitCode;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_engine::context::Context;
use pinfold_engine::verify::sealed;
use pinfold_engine::verify::sealed::Standing;

use super::super::Outcome;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Columns of a verdict.
const VERDICT: usize = 4;

pub(super) fn run(context: &Context, name: &str, global: Global) -> Outcome {
    let standings = sealed::sealed(context, name)?;
    if global.json {
        render::json(&standings);
    } else {
        let mut page = Page::default();
        let shown = standings
            .rows
            .iter()
            .filter(|row| !global.quiet || row.verdict == Standing::Fail)
            .collect::<Vec<_>>();
        let width = shown.iter().map(|row| Shown::new(&row.name).columns()).max().unwrap_or_default();
        for row in &shown {
            let heading =
                shown!("{:VERDICT$}  {:width$}  ", row.verdict.word(), Shown::new(&row.name).as_str());
            page.wrapped(heading, Shown::new(&row.seen));
        }
        if !global.quiet {
            page.blank();
        }
        let count = |verdict| standings.rows.iter().filter(|row| row.verdict == verdict).count();
        page.line(shown!(
            "{}: {} hold, {} do not, {} could not be tried",
            standings.sandbox,
            count(Standing::Pass),
            count(Standing::Fail),
            count(Standing::Gap)
        ));
        render::out(&page);
    }
    Ok(ExitCode::from(u8::from(standings.failed())))
}
