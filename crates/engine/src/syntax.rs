//! Where in a TOML file something is wrong, as a compiler shows it, and which word was meant.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text::nearest;

/// A position in a TOML file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text.
    pub text: String,
    /// How many characters are meant.
    pub width: usize,
}

impl Position {
    /// The position of byte range `span` in `source`.
    pub fn of(file: &Path, source: &str, span: std::ops::Range<usize>) -> Self {
        let start = floor_char(source, span.start);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = source[line_start..].lines().next().unwrap_or_default();
        let end = floor_char(source, span.end.max(start)).min(line_start + text.len());
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            text: text.chars().take(160).collect(),
            width: source.get(start..end).map_or(1, |meant| meant.chars().count().clamp(1, 80)),
        }
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl Position {
    /// The place, the line and what is meant in it, as a compiler shows them.
    pub fn lines(&self) -> [Shown; 4] {
        let gutter = self.line.to_string().len();
        let start: String = self.text.chars().take(self.column - 1).collect();
        let meant: String = self.text.chars().skip(self.column - 1).take(self.width).collect();
        let marks = "^".repeat(Shown::from(meant).columns().max(1));
        [
            shown!("{}:{}:{}", self.file.display(), self.line, self.column),
            shown!("{:gutter$} |", ""),
            shown!("{} | {}", self.line, self.text),
            shown!("{:gutter$} | {:indent$}{marks}", "", "", indent = Shown::from(start).columns()),
        ]
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().map(|line| line.to_string()).join("\n"))
    }
}

/// Of a message about a word that is not known, that word and the known one that it is most like.
pub(crate) fn near(message: &str) -> Option<(String, String)> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    // What is known stands between backticks, and the word itself may hold any.
    let (word, known) = rest.rsplit_once(", expected ")?;
    let word = word.strip_prefix('`')?.strip_suffix('`')?;
    let near = nearest(word, known.split('`').skip(1).step_by(2))?;
    Some((word.to_owned(), near.to_owned()))
}
