//! What can be wrong with a manifest or a recipe.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::error::Diagnosis;
use pinfold_base::shown;
use pinfold_base::text::nearest;

use super::credentials::Nobody;

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

impl Position {
    /// Whether the line is part of `run.credentials`, where somebody may have put a key itself.
    fn may_show_a_key(&self, source: &str) -> bool {
        let named = |line: &str| line.contains("credentials");
        let before = source.lines().take(self.line);
        let table = before.map(str::trim_start).filter(|line| line.starts_with('[')).last();
        named(&self.text) || table.is_some_and(named)
    }

    /// The same line, its key only.
    fn without_value(self) -> Self {
        let key = self.text.split('=').next().unwrap_or_default().trim_end();
        let text = format!("{key} = …");
        Self { column: key.chars().count() + 4, width: 1, text, ..self }
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

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, an unknown key, or a value of the wrong type or form.
    #[error("{message}\n  --> {position}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
        /// The word that was most likely meant, after the one that was written.
        near: Option<(String, String)>,
    },
    /// A value that cannot be, found after presets were applied.
    #[error("manifest key `{key}`: {message}")]
    Value {
        /// The key, dotted.
        key: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// `[run.credentials]` names keys of nobody's.
    #[error("manifest key `run.credentials`: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Credentials(Vec<Nobody>),
    /// No such preset.
    #[error("there is no preset `{name}`")]
    UnknownPreset {
        /// The name asked for.
        name: String,
    },
    /// The file could not be read.
    #[error("cannot read the manifest")]
    Read(#[source] std::io::Error),
    /// There is no manifest, and the lock that could say which preset is meant is not readable.
    #[error(transparent)]
    Lock(Box<crate::project::lock::LockError>),
    /// The manifest that was named is not there.
    #[error("there is no manifest `{}`", .file.display())]
    NoFile {
        /// As it was named.
        file: PathBuf,
    },
    /// There is no manifest here.
    #[error("there is no `pinfold.toml` in `{}`", .directory.display())]
    Missing {
        /// Where it was looked for.
        directory: PathBuf,
    },
}

impl ManifestError {
    /// From an error of the TOML reader, with its place in `source`.
    pub fn from_toml(error: &toml::de::Error, file: &Path, source: &str) -> Self {
        let position = Position::of(file, source, error.span().unwrap_or(0..0));
        if position.may_show_a_key(source) {
            // Nor the message: that of a wrong type repeats the value.
            let message = "`run.credentials` is not understood: expected `AGENT = \"SOURCE\"`, where SOURCE is `env:NAME`, \
                           `file:PATH`, `json:PATH#POINTER` or `command:PROGRAM ARGUMENT…`";
            return Self::Syntax { message: message.into(), position: position.without_value(), near: None };
        }
        let near = near(error.message());
        Self::Syntax { message: error.message().trim_end().replace('\n', ", "), position, near }
    }

    /// A value that cannot be.
    pub fn value(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Value { key: key.into(), message: message.into() }
    }
}

/// Of a message about a word that is not known, that word and the known one that it is most like.
fn near(message: &str) -> Option<(String, String)> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    // What is known stands between backticks, and the word itself may hold any.
    let (word, known) = rest.rsplit_once(", expected ")?;
    let word = word.strip_prefix('`')?.strip_suffix('`')?;
    let near = nearest(word, known.split('`').skip(1).step_by(2))?;
    Some((word.to_owned(), near.to_owned()))
}

impl Diagnose for ManifestError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Read(_) => Diagnosis::Own(Kind::System),
            Self::Lock(error) => Diagnosis::Inner(&**error),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::Syntax { message, position, .. } => {
                let [place, excerpt @ ..] = position.lines();
                [message.into(), shown!("  --> {place}")].into_iter().chain(excerpt).collect()
            }
            Self::Lock(error) => error.lines(),
            _ => vec![Shown::of(self)],
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoFile { .. } => {
                Some("`--file` names a manifest as seen from here; `pinfold init` writes one".into())
            }
            Self::Syntax { near, .. } => {
                near.as_ref().map(|(word, near)| format!("write `{near}` instead of `{word}`"))
            }
            Self::UnknownPreset { name } => {
                let known = || super::Preset::ALL.iter().map(|preset| preset.name);
                if let Some(near) = nearest(name, known()) {
                    return Some(format!("did you mean `{near}`?"));
                }
                let known: Vec<String> = known().map(|name| format!("`{name}`")).collect();
                Some(format!("the presets are {}", known.join(", ")))
            }
            Self::Credentials(nobody) => {
                let mut hints: Vec<String> = nobody.iter().map(Nobody::hint).collect();
                hints.dedup();
                Some(hints.join("; "))
            }
            Self::Missing { .. } => {
                Some("`pinfold init` writes one; `pinfold build --preset iteron` needs none".into())
            }
            _ => None,
        }
    }
}
