//! A text of headings, lines and tables, for a terminal or as Markdown (GitHub Flavored Markdown, "tables").
//!
//! **Guarantees**: what comes from outside stands in code spans in Markdown, where nothing of it means anything: no mention, link or HTML.

use pinfold_base::Shown;

use super::page::Page;
use super::table::Table;

/// A part of a text.
#[derive(Debug)]
enum Block {
    /// A heading of a section.
    Heading(Shown),
    /// A sentence of ours; a word or two from outside in it.
    Line(&'static str, Vec<Shown>),
    /// A table.
    Table(Table),
}

/// A text.
#[derive(Debug, Default)]
pub(crate) struct Document {
    blocks: Vec<Block>,
}

impl Document {
    /// Adds a heading.
    pub(crate) fn heading(&mut self, heading: impl Into<Shown>) {
        self.blocks.push(Block::Heading(heading.into()));
    }

    /// Adds a sentence; each `{}` in it is replaced by a word from outside.
    pub(crate) fn line(&mut self, line: &'static str, words: impl IntoIterator<Item = Shown>) {
        self.blocks.push(Block::Line(line, words.into_iter().collect()));
    }

    /// Adds a table, unless it is empty.
    pub(crate) fn table(&mut self, table: Table) {
        if !table.is_empty() {
            self.blocks.push(Block::Table(table));
        }
    }

    /// For a terminal.
    pub(crate) fn page(&self) -> Page {
        let mut page = Page::default();
        for (number, block) in self.blocks.iter().enumerate() {
            match block {
                Block::Heading(heading) => {
                    if number > 0 {
                        page.blank();
                    }
                    page.line(heading.clone());
                }
                Block::Line(line, words) => page.line(filled(line, words, ToString::to_string)),
                Block::Table(table) => page.table(table),
            }
        }
        page
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> Page {
        let mut page = Page::default();
        for (number, block) in self.blocks.iter().enumerate() {
            if number > 0 {
                page.blank();
            }
            match block {
                Block::Heading(heading) => page.line(format!("### {}", prose(heading))),
                Block::Line(line, words) => page.line(filled(line, words, code)),
                Block::Table(table) => {
                    for line in &table.markdown() {
                        page.line(line);
                    }
                }
            }
        }
        page
    }
}

fn filled(line: &str, words: &[Shown], write: impl Fn(&Shown) -> String) -> String {
    let mut words = words.iter();
    let mut parts = line.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(&words.next().map(&write).unwrap_or_default());
        text.push_str(part);
    }
    text
}

/// A code span (CommonMark 0.31.2, 6.1): its fence is longer than any in it.
pub(super) fn code(word: &Shown) -> String {
    let text = word.as_str();
    if text.trim().is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{text}{blank}{fence}")
}

/// Text outside of code, in which nothing means anything (CommonMark 0.31.2, 2.4).
fn prose(text: &Shown) -> String {
    let mut escaped = String::new();
    for c in text.as_str().chars() {
        if c.is_ascii_punctuation() && !",.:()/-".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::table::Align;

    #[test]
    fn what_comes_from_outside_means_nothing_in_markdown() {
        let mut document = Document::default();
        document.heading("a *b* <c>");
        document.line("from {} to {}.", ["`x`".into(), "@org/team".into()]);
        let mut table = Table::new(&[("NAME", Align::Left), ("SIZE", Align::Right)]);
        table.row(["a|b`` [l](u)".into(), "1".into()]);
        table.row(["".into(), "-2".into()]);
        document.table(table);
        document.table(Table::new(&[("NAME", Align::Left)]));
        insta::assert_snapshot!(document.markdown().as_str(), @r"
        ### a \*b\* \<c\>

        from `` `x` `` to `@org/team`.

        | NAME | SIZE |
        | --- | ---: |
        | ```a\|b`` [l](u)``` | 1 |
        |  | -2 |
        ");
        insta::assert_snapshot!(document.page().as_str(), @"
        a *b* <c>
        from `x` to @org/team.
        NAME          SIZE
        a|b`` [l](u)     1
                        -2
        ");
    }
}
