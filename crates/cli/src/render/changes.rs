//! Versions that a lock has now instead of others.

use pinfold_base::Shown;
use pinfold_base::report::Change;

use super::page::Page;
use super::table::Align;
use super::table::Table;

/// Each with what it was and what it is.
pub(crate) fn table(changes: &[Change]) -> Page {
    let mut page = Page::default();
    page.table_within(&rows(changes), super::columns(rustix::stdio::stderr()));
    page
}

/// The same as a table.
pub(crate) fn rows(changes: &[Change]) -> Table {
    let mut table = Table::new(&[("COMPONENT", Align::Left), ("FROM", Align::Left), ("TO", Align::Left)]);
    for change in changes {
        let side = |version: Option<&String>| version.map_or("-".into(), Shown::from);
        table.row([(&change.component).into(), side(change.from.as_ref()), side(change.to.as_ref())]);
    }
    table
}
