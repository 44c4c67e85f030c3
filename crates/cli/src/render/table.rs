//! Tables in columns, two blanks apart, as `podman images` prints them.
//!
//! **Guarantees**: a row is one line and a cell stays in its column, whatever the name in it is made of.

use pinfold_base::Shown;

/// The most columns of a cell: a digest in full and some more.
const CELL_MAX: usize = 100;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a heading line.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Shown>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are blank.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Shown>) {
        self.rows.push(cells.into_iter().map(|cell| cell.within(CELL_MAX)).collect());
    }

    /// The heading and the rows.
    pub(crate) fn lines(&self) -> Vec<Shown> {
        let heading: Vec<Shown> = self.columns.iter().map(|(name, _)| Shown::new(name)).collect();
        let all = || std::iter::once(&heading).chain(&self.rows);
        let width = |index: usize| {
            all().filter_map(|row| row.get(index)).map(Shown::columns).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut lines = Vec::new();
        for row in all() {
            let mut line = String::new();
            for (index, ((_, align), width)) in self.columns.iter().zip(&widths).enumerate() {
                let cell = row.get(index).map_or("", Shown::as_str);
                let blanks = " ".repeat(width - row.get(index).map_or(0, Shown::columns));
                if index > 0 {
                    line.push_str("  ");
                }
                match align {
                    Align::Left => line.extend([cell, &blanks]),
                    Align::Right => line.extend([&blanks, cell]),
                }
            }
            lines.push(Shown::new(line.trim_end()));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table) -> String {
        table.lines().iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row(["iteron-sandbox:latest".into(), "1.0 KiB".into()]);
        table.row(["x".into(), "17.3 MiB".into()]);
        insta::assert_snapshot!(text(&table), @"
        NAME                       SIZE
        iteron-sandbox:latest   1.0 KiB
        x                      17.3 MiB
        ");
    }

    #[test]
    fn missing_cells_are_blank_and_no_line_ends_in_blanks() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Right), ("C", Align::Left)]);
        table.row(["only".into()]);
        table.row(["é".into(), "1".into(), "x".into()]);
        assert_eq!(text(&table), "A     B  C\nonly\né     1  x\n");
    }

    #[test]
    fn a_table_without_rows_is_its_heading() {
        assert_eq!(text(&Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right)])), "NAME  SIZE\n");
    }

    #[test]
    fn wide_and_combining_characters_and_escapes_keep_the_columns() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right), ("END", Align::Left)]);
        table.row(["日本".into(), "1".into(), "|".into()]);
        table.row(["e\u{301}".into(), "22".into(), "|".into()]);
        table.row(["\n".into(), "日".into(), "|".into()]);
        assert_eq!(text(&table), "NAME  SIZE  END\n日本     1  |\ne\u{301}       22  |\n\\n      日  |\n");
    }

    #[test]
    fn a_long_name_gives_way_in_its_middle() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row(["\u{1b}".repeat(10_000).into(), "1".into()]);
        let line = &table.lines()[1];
        assert_eq!(line.columns(), CELL_MAX + 2 + 4, "{line}");
        assert!(line.as_str().contains('…'));
    }
}
