//! Tables in columns, two blanks apart, as `podman images` prints them.
//!
//! **Guarantees**: a row is one line and a cell stays in its column, whatever the name in it is made of. On a terminal that is too
//! narrow, columns that can be spared are left out, then names give way in their middle, until a row fits.

use pinfold_base::Shown;

use super::document::code;

/// The most columns of a cell: a digest in full and some more.
const CELL_MAX: usize = 100;
/// The fewest columns that a name is left on a narrow terminal, if its heading is no wider.
const NAME_MIN: usize = 7;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a heading line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Shown>>,
    spare: &'static [&'static str],
    /// Whether the last column is shown to its end, however long it is.
    whole: bool,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), spare: &[], whole: false }
    }

    /// Columns that are left out where they do not fit, the first first.
    pub(crate) fn sparing(self, spare: &'static [&'static str]) -> Self {
        Self { spare, ..self }
    }

    /// The last column is never cut: it holds what somebody copies.
    pub(crate) fn whole_at_the_end(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Adds a row; missing cells are blank.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Shown>) {
        let last = self.columns.len() - 1;
        let cut = |(index, cell): (usize, Shown)| {
            if self.whole && index == last { cell } else { cell.within(CELL_MAX) }
        };
        self.rows.push(cells.into_iter().enumerate().map(cut).collect());
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The same as Markdown: words in code spans, numbers as they are.
    pub(crate) fn markdown(&self) -> Vec<String> {
        let line = |cells: &mut dyn Iterator<Item = String>| {
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = |align| if align == Align::Left { "---" } else { "---:" }.to_owned();
        let mut lines = vec![
            line(&mut self.columns.iter().map(|(name, _)| (*name).to_owned())),
            line(&mut self.columns.iter().map(|(_, align)| rule(*align))),
        ];
        for row in &self.rows {
            let cell = |(index, (_, align)): (usize, &(&str, Align))| {
                let cell = row.get(index).cloned().unwrap_or_default();
                let text = if *align == Align::Left { code(&cell) } else { cell.to_string() };
                text.replace('|', "\\|")
            };
            lines.push(line(&mut self.columns.iter().enumerate().map(cell)));
        }
        lines
    }

    /// The heading and the rows, for a terminal of so many columns; as they are where there is none.
    pub(crate) fn lines(&self, columns: Option<usize>) -> Vec<Shown> {
        let heading: Vec<Shown> = self.columns.iter().map(|(name, _)| Shown::new(name)).collect();
        let all = || std::iter::once(&heading).chain(&self.rows);
        let width = |index: usize| {
            all().filter_map(|row| row.get(index)).map(Shown::columns).max().unwrap_or_default()
        };
        let mut shown: Vec<(usize, usize)> =
            (0..self.columns.len()).map(|index| (index, width(index))).collect();
        if let Some(columns) = columns {
            self.fit(&mut shown, columns);
        }
        let mut lines = Vec::new();
        for row in all() {
            let mut line = String::new();
            for (at, &(index, width)) in shown.iter().enumerate() {
                let cell = row.get(index).cloned().unwrap_or_default().within(width);
                let blanks = " ".repeat(width.saturating_sub(cell.columns()));
                if at > 0 {
                    line.push_str("  ");
                }
                match self.columns[index].1 {
                    Align::Left => line.extend([cell.as_str(), &blanks]),
                    Align::Right => line.extend([&blanks, cell.as_str()]),
                }
            }
            lines.push(Shown::new(line.trim_end()));
        }
        lines
    }

    /// Leaves out and narrows what is shown (columns by their number, and their widths) until a row fits.
    fn fit(&self, shown: &mut Vec<(usize, usize)>, columns: usize) {
        let needed = |shown: &[(usize, usize)]| {
            shown.iter().map(|(_, width)| width + 2).sum::<usize>().saturating_sub(2)
        };
        for spare in self.spare {
            if needed(shown) <= columns {
                return;
            }
            shown.retain(|(index, _)| self.columns[*index].0 != *spare);
        }
        while needed(shown) > columns {
            let least = |index: usize| NAME_MIN.max(self.columns[index].0.len());
            let last = self.columns.len() - 1;
            let names = shown.iter_mut().filter(|(index, width)| {
                let cut = !(self.whole && *index == last);
                cut && self.columns[*index].1 == Align::Left && *width > least(*index)
            });
            let Some((_, widest)) = names.max_by_key(|(_, width)| *width) else { return };
            *widest -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(table: &Table) -> String {
        table.lines(None).iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    #[test]
    fn what_is_copied_is_never_cut() {
        let path = format!("/{}/end", "x".repeat(300));
        let mut table = Table::new(&[("COMPONENT", Align::Left), ("PATH", Align::Left)]).whole_at_the_end();
        table.row(["a-component-with-a-name".into(), Shown::new(&path)]);
        for columns in [None, Some(60)] {
            assert!(table.lines(columns)[1].as_str().ends_with(&path), "{columns:?}");
        }
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
    fn a_narrow_terminal_loses_columns_and_then_the_middles_of_names() {
        let columns = [
            ("REPOSITORY", Align::Left),
            ("DIGEST", Align::Left),
            ("PLATFORMS", Align::Left),
            ("CREATED", Align::Left),
            ("SIZE", Align::Right),
        ];
        let mut table = Table::new(&columns).sparing(&["CREATED", "PLATFORMS"]);
        table.row([
            "an-image-with-a-long-name".into(),
            "f293b111aaaa".into(),
            "linux/amd64, linux/arm64".into(),
            "2026-11-28".into(),
            "165.9 MiB".into(),
        ]);
        table.row([
            "x".into(),
            "d75136b7bbbb".into(),
            "linux/amd64".into(),
            "2026-11-28".into(),
            "1.0 KiB".into(),
        ]);
        let at = |width| {
            table.lines(Some(width)).iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>()
        };
        insta::assert_snapshot!([120, 80, 60, 40].map(at).join("\n"), @"
        REPOSITORY                 DIGEST        PLATFORMS                 CREATED          SIZE
        an-image-with-a-long-name  f293b111aaaa  linux/amd64, linux/arm64  2026-11-28  165.9 MiB
        x                          d75136b7bbbb  linux/amd64               2026-11-28    1.0 KiB

        REPOSITORY                 DIGEST        PLATFORMS                      SIZE
        an-image-with-a-long-name  f293b111aaaa  linux/amd64, linux/arm64  165.9 MiB
        x                          d75136b7bbbb  linux/amd64                 1.0 KiB

        REPOSITORY                 DIGEST             SIZE
        an-image-with-a-long-name  f293b111aaaa  165.9 MiB
        x                          d75136b7bbbb    1.0 KiB

        REPOSITORY       DIGEST             SIZE
        an-imag…ng-name  f293b111aaaa  165.9 MiB
        x                d75136b7bbbb    1.0 KiB
        ");
        for width in 30..130 {
            assert!(table.lines(Some(width)).iter().all(|line| line.columns() <= width), "{width}");
        }
    }

    #[test]
    fn a_long_name_gives_way_in_its_middle() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row(["\u{1b}".repeat(10_000).into(), "1".into()]);
        let line = &table.lines(None)[1];
        assert_eq!(line.columns(), CELL_MAX + 2 + 4, "{line}");
        assert!(line.as_str().contains('…'));
    }
}
