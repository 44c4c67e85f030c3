//! Why packages cannot be placed.

use std::fmt;
use std::io;

use pinfold_archive::tree::ConflictError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::image_path::PathError;
use pinfold_base::shown;

use crate::accounts::AccountError;
use crate::accounts::existing::ExistingError;
use crate::debian::present::PresentError;
use crate::debian::stanza::StanzaError;

/// An install script whose effect is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScript {
    /// The package.
    pub package: String,
    /// `preinst`, `config` or `postinst`.
    pub script: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The command with its words evaluated, shortened; empty where there is none.
    pub text: String,
    /// What is asked of it that cannot be done.
    pub what: String,
}

impl UnknownScript {
    /// Where and why, without whose.
    pub(super) fn why(&self) -> String {
        let Self { line, text, what, .. } = self;
        if text.is_empty() {
            format!("line {line}: {what}")
        } else {
            format!("line {line}: `{text}`: {what}")
        }
    }
}

impl fmt::Display for UnknownScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, script, line, text, what } = self;
        write!(f, "package `{package}`: {script} line {line} is not understood: ")?;
        if text.is_empty() { f.write_str(what) } else { write!(f, "`{text}`: {what}") }
    }
}

/// What the install scripts of an image may use together, each a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// Work.
    Steps,
    /// What they leave.
    Bytes,
}

impl Exhausted {
    fn word(self) -> &'static str {
        match self {
            Self::Steps => "do more",
            Self::Bytes => "keep more",
        }
    }
}

fn scripts(all: &[UnknownScript]) -> String {
    match all {
        [one] => one.to_string(),
        all => format!("{} install scripts are not understood", all.len()),
    }
}

/// Why packages cannot be placed: which step failed on which object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// What the image below has.
    #[error(transparent)]
    Present(#[from] PresentError),
    /// Its accounts.
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// Bytes of a package could not be read.
    #[error("package `{package}`: `{member}` cannot be read")]
    Read {
        /// The package.
        package: String,
        /// The member of its archive, or a path of the tree.
        member: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A package without a control file, or with one that is not.
    #[error("package `{package}`: its control file cannot be used")]
    Control {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: StanzaError,
    },
    /// The archive holds another package than the lock says.
    #[error("package `{package}` {version}: the archive holds `{found}`")]
    NotTheLocked {
        /// What the lock says.
        package: String,
        /// Its version.
        version: String,
        /// What the control file says.
        found: String,
    },
    /// A control file that has what dpkg alone writes.
    #[error("package `{package}`: its control file has the field `{field}`, which dpkg refuses in a package")]
    OwnField {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// The control file has other relations than the index by which the package was chosen.
    #[error(
        "package `{package}` {version}: `{field}` is {found} in its control file, and {indexed} in the signed index"
    )]
    Relations {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// The field.
        field: &'static str,
        /// What the control file says.
        found: String,
        /// What the index says.
        indexed: String,
    },
    /// A field of a control file that cannot be read.
    #[error("package `{package}`: `{field}` of its control file cannot be used: {why}")]
    BadRelation {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Something that a package needs is not there.
    #[error(
        "package `{package}`: `{field}` of its control file is `{relation}`, which no package of the image is"
    )]
    Unmet {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// What it needs.
        relation: String,
    },
    /// Something that a package excludes is there.
    #[error(
        "package `{package}`: `{field}` of its control file is `{relation}`, and `{other}` {version} is in the image"
    )]
    Excluded {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// What it excludes.
        relation: String,
        /// Which package that is.
        other: String,
        /// Its version.
        version: String,
    },
    /// A package that is given twice.
    #[error("package `{0}` is there twice")]
    Twice(String),
    /// A line of a package's own data that cannot be used.
    #[error("package `{package}`: `{member}` line {line}: {what}")]
    Line {
        /// The package.
        package: String,
        /// The file.
        member: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Install scripts whose effect is not known: all of them, since each needs an answer.
    #[error("{}", scripts(.0))]
    UnknownScripts(Vec<UnknownScript>),
    /// All scripts of the image together use too much.
    #[error(
        "package `{package}`: with its {script} the install scripts of the image {} than they may together; those of `{most}` \
         use most", .what.word()
    )]
    Budget {
        /// The package at which it became too much.
        package: String,
        /// Its script.
        script: &'static str,
        /// Of what it is too much.
        what: Exhausted,
        /// The package whose scripts have used most.
        most: String,
    },
    /// A name that is no path.
    #[error("package `{package}`: a path cannot be used")]
    Path {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: PathError,
    },
    /// A package has a file where it, or a script before it, has a directory.
    #[error("package `{package}`: `{path}` is a file in it where a directory is, or the other way round")]
    TwoKinds {
        /// The package.
        package: String,
        /// The path.
        path: ImagePath,
    },
    /// Two packages ship one path and neither replaces the other.
    #[error(
        "packages `{first}` and `{second}` both ship `{path}`, and neither declares to replace the other"
    )]
    Overwrite {
        /// The path.
        path: ImagePath,
        /// Who had it.
        first: String,
        /// Who wants it too.
        second: String,
    },
    /// A hard link without the file that it names.
    #[error("package `{package}`: `{path}` is a hard link to `{target}`, which is no file of the package")]
    DanglingHardlink {
        /// The package.
        package: String,
        /// The link.
        path: ImagePath,
        /// What it names.
        target: ImagePath,
    },
    /// A certificate that is none.
    #[error("certificate `{name}`: {what}")]
    Certificate {
        /// Its file name.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A path whose parent is no directory.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
    /// Users or groups that cannot be.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Questions of debconf that are not.
    #[error("package `{package}`: its debconf templates cannot be used")]
    Templates {
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: StanzaError,
    },
    /// No chosen package has a question that the manifest answers.
    #[error("no package of the image asks `{question}`, which `[debian.debconf]` answers")]
    Question {
        /// Its name.
        question: String,
        /// The name that is nearest to it.
        near: Option<String>,
    },
    /// An answer of the manifest that its question cannot have.
    #[error("`{answer}` is no answer to `{question}`, which `[debian.debconf]` answers")]
    DebconfAnswer {
        /// The question's name.
        question: String,
        /// The answer, shortened.
        answer: String,
        /// What is expected.
        expected: String,
    },
    /// Each time that the image is begun anew without what failed, something else fails.
    #[error("the triggers of install scripts do not come to an end")]
    Unsettled,
    /// The ld.so.cache could not be made.
    #[error("the cache of the dynamic loader cannot be made: {0}")]
    LoaderCache(String),
}

impl Diagnose for PlaceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Account(error) => return Diagnosis::Inner(error),
            Self::Present(error) => return Diagnosis::Inner(error),
            Self::Existing(error) => return Diagnosis::Inner(error),
            Self::Read { .. } => Kind::System,
            Self::UnknownScripts(_) | Self::Budget { .. } | Self::Unsettled => Kind::Refused,
            Self::Certificate { .. } | Self::Question { .. } | Self::DebconfAnswer { .. } => Kind::Usage,
            _ => Kind::Integrity,
        })
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::UnknownScripts(all) if all.len() > 1 => {
                std::iter::once(shown!("{self}:")).chain(all.iter().map(|one| shown!("  {one}"))).collect()
            }
            _ => match self.inner() {
                Some(inner) if inner.to_string() == self.to_string() => inner.lines(),
                _ => vec![Shown::of(self)],
            },
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::UnknownScripts(_) => Some(
                "read what is told; if the image can do without it, declare what it would have made as [[file]], [[dir]] or \
                 [[link]], and add to the manifest, with your reason (one `[scripts]` is enough):"
                    .into(),
            ),
            Self::Budget { most, .. } => Some(format!(
                "leave `{most}` out, or skip its scripts: add to the manifest, with your reason (one `[scripts]` is enough):"
            )),
            Self::Overwrite { first, second, .. } => {
                Some(format!("leave out `{first}` or `{second}`: dpkg would not install both"))
            }
            Self::OwnField { .. }
            | Self::BadRelation { .. }
            | Self::Relations { .. }
            | Self::TwoKinds { .. } => Some(
                "whoever publishes the archive has made it or its index wrongly: ask there, or take another version".into(),
            ),
            Self::Unmet { .. } | Self::Excluded { .. } => {
                Some("`pinfold lock` chooses anew, and says where a package is not what its archive's index said".into())
            }
            Self::Read { .. } => Some("fetch the packages again".into()),
            Self::Question { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::Question { near: None, .. } => {
                Some("leave it out, or add the package that asks it to `packages`".into())
            }
            Self::DebconfAnswer { expected, .. } => Some(expected.clone()),
            Self::Certificate { .. } => {
                Some("give one certificate per file, in PEM form, with a name that ends in `.crt`".into())
            }
            _ => None,
        }
    }

    fn own_block(&self) -> Vec<Shown> {
        match self {
            Self::Budget { most, .. } => crate::skipping(std::iter::once(most.as_str())),
            Self::UnknownScripts(all) => crate::skipping(all.iter().map(|script| script.package.as_str())),
            _ => Vec::new(),
        }
    }
}
