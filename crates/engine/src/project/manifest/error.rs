//! What can be wrong with a manifest or a recipe.

use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::error::Diagnosis;
use pinfold_base::shown;
use pinfold_base::text::nearest;

use super::credentials::Nobody;
use crate::syntax::Position;
use crate::syntax::near;

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
        if may_show_a_key(&position, source) {
            // Nor the message: that of a wrong type repeats the value.
            let message = "`run.credentials` is not understood: expected `AGENT = \"SOURCE\"`, where SOURCE is `env:NAME`, \
                           `file:PATH`, `json:PATH#POINTER` or `command:PROGRAM ARGUMENT…`";
            return Self::Syntax { message: message.into(), position: without_value(position), near: None };
        }
        let near = near(error.message());
        Self::Syntax { message: error.message().trim_end().replace('\n', ", "), position, near }
    }

    /// A value that cannot be.
    pub fn value(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Value { key: key.into(), message: message.into() }
    }
}

/// Whether the line is part of `run.credentials`, where somebody may have put a key itself.
fn may_show_a_key(position: &Position, source: &str) -> bool {
    let named = |line: &str| line.contains("credentials");
    let before = source.lines().take(position.line);
    let table = before.map(str::trim_start).filter(|line| line.starts_with('[')).last();
    named(&position.text) || table.is_some_and(named)
}

/// The same line, its key only.
fn without_value(position: Position) -> Position {
    let key = position.text.split('=').next().unwrap_or_default().trim_end();
    let text = format!("{key} = …");
    Position { column: key.chars().count() + 4, width: 1, text, ..position }
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
