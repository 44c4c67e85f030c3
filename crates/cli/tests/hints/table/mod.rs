//! A row for each hint of the code base.

mod base;
mod below;
mod build;
mod cli;
mod cri;
mod engine;
mod judging;
mod kube;
mod pod;
mod portable;
mod project;
mod proxy;
mod registry;
mod run;
mod ship;
mod sources;
mod worker;

use crate::case::Trial;

/// How a hint is held to.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    /// Inputs that lead to it, and what is done then.
    Tried(&'static [Trial]),
    /// A test that does what it says: its file below `crates`, and its name.
    Elsewhere(&'static str, &'static str),
    /// Why nobody can try it here.
    Untried(&'static str),
}

/// A hint as it stands in the source.
pub(crate) struct Row {
    pub(crate) file: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) held: Held,
}

const fn row(file: &'static str, hint: &'static str, held: Held) -> Row {
    Row { file, hint, held }
}

/// All of them.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    [
        base::ROWS,
        build::ROWS,
        below::ROWS,
        cli::ROWS,
        cri::ROWS,
        engine::ROWS,
        judging::ROWS,
        kube::ROWS,
        pod::ROWS,
        portable::ROWS,
        project::ROWS,
        proxy::ROWS,
        registry::ROWS,
        run::ROWS,
        ship::ROWS,
        sources::ROWS,
        worker::ROWS,
    ]
    .into_iter()
    .flatten()
}
