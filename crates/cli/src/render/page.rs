//! Lines for a person. A [`Page`] is made of escaped text and of the few styles below, so nothing else can be printed.

use std::fmt::Write as _;

use pinfold_base::Shown;

use super::table::Table;

/// How a word is set apart on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As everything else.
    Plain,
    /// Bold and red.
    Error,
    /// Bold and cyan.
    Hint,
}

impl Style {
    /// The word between what sets it apart.
    fn set(self, word: &'static str) -> String {
        let code = match self {
            Self::Plain => return word.to_owned(),
            Self::Error => "1;31",
            Self::Hint => "1;36",
        };
        format!("\x1b[{code}m{word}\x1b[0m")
    }
}

/// Lines, each ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl Into<Shown>) {
        let _ = writeln!(self.text, "{}", line.into());
    }

    /// Adds a line that begins with a word of ours: `error: …`.
    pub(crate) fn headed(&mut self, style: Style, word: &'static str, line: impl Into<Shown>) {
        let _ = writeln!(self.text, "{}: {}", style.set(word), line.into());
    }

    /// Adds an empty line.
    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: &Table) {
        for line in table.lines() {
            self.line(line);
        }
    }

    /// Adds a text of ours that has lines: a script, a manual page.
    pub(crate) fn lines(&mut self, text: &str) {
        for line in text.lines() {
            self.line(line);
        }
    }

    /// What is printed.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<&Table> for Page {
    fn from(table: &Table) -> Self {
        let mut page = Self::default();
        page.table(table);
        page
    }
}

impl<L: Into<Shown>> From<L> for Page {
    fn from(line: L) -> Self {
        let mut page = Self::default();
        page.line(line);
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_make_a_line_or_a_style() {
        let mut page = Page::default();
        page.headed(Style::Error, "error", "cannot read `x\nhint: do this\x1b[0m`");
        page.line("a\u{202e}b");
        page.blank();
        page.lines("one\ntwo\x07\n");
        assert_eq!(
            page.as_str(),
            "\x1b[1;31merror\x1b[0m: cannot read `x\\nhint: do this\\x1b[0m`\na\\u{202e}b\n\none\ntwo\\x07\n"
        );
    }
}
