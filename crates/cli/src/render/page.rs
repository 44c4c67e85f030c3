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

    /// Adds a line that gives way in its middle where the terminal is too narrow for it: a digest.
    pub(crate) fn fitted(&mut self, line: impl Into<Shown>) {
        let line = line.into();
        let columns = super::columns(rustix::stdio::stdout());
        self.line(columns.map_or(line.clone(), |columns| line.within(columns)));
    }

    /// Adds a text behind a heading; on a terminal in as many lines as it takes, each below the first's begin.
    pub(crate) fn wrapped(&mut self, heading: impl Into<Shown>, text: impl Into<Shown>) {
        self.wrapped_within(&heading.into(), &text.into(), super::columns(rustix::stdio::stdout()));
    }

    fn wrapped_within(&mut self, heading: &Shown, text: &Shown, columns: Option<usize>) {
        let indent = heading.columns();
        let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(indent).max(16));
        let mut line = heading.to_string();
        let mut used = 0;
        for word in text.as_str().split(' ') {
            let width = Shown::new(word).columns();
            if used > 0 && used + 1 + width > room {
                self.line(line.trim_end());
                line = " ".repeat(indent);
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += width;
        }
        self.line(line);
    }

    /// Adds an empty line.
    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Adds a table, as wide as stdout is.
    pub(crate) fn table(&mut self, table: &Table) {
        self.table_within(table, super::columns(rustix::stdio::stdout()));
    }

    /// Adds a table of at most so many columns.
    pub(crate) fn table_within(&mut self, table: &Table, columns: Option<usize>) {
        for line in table.lines(columns) {
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
    fn a_text_is_wrapped_at_words_below_its_begin() {
        let mut page = Page::default();
        let (heading, text) = ("ok    names  ".into(), "all the servers' names have an address".into());
        page.wrapped_within(&heading, &text, Some(36));
        page.wrapped_within(&heading, &text, None);
        page.wrapped_within(&heading, &"".into(), Some(36));
        assert_eq!(
            page.as_str(),
            "ok    names  all the servers' names\n             have an address\n\
             ok    names  all the servers' names have an address\nok    names  \n"
        );
    }

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
