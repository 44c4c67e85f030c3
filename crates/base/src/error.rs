//! What every error of pinfold can say about itself: which kind it is (and so the exit code) and what to do next.
//!
//! Each room has one `thiserror` enum whose variants say which step failed on which object. The enum implements
//! [`Diagnose`]; the command line prints `error:`, the chain of causes, then `hint:`.

use std::error::Error;
use std::io;

use crate::text::Shown;

/// The kind of a failure; [`Kind::exit_code`] is what the shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A check was made and did not hold (`lock --check`, `verify`, `diff`).
    Failed,
    /// The command line or the manifest is wrong.
    Usage,
    /// A server could not be reached or did not answer as it should.
    Network,
    /// Bytes are not what a digest, a signature or a format promised.
    Integrity,
    /// A policy or the kernel said no.
    Refused,
    /// The machine: a full disk, a missing right, a file in the way.
    System,
    /// A bug of ours.
    Internal,
}

impl Kind {
    /// The documented exit codes: 1 failed check (and anything about the machine), 2 usage, 3 network, 4 integrity,
    /// 5 refused, 70 bug (`EX_SOFTWARE` of sysexits.h).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::System => 1,
            Self::Usage => 2,
            Self::Network => 3,
            Self::Integrity => 4,
            Self::Refused => 5,
            Self::Internal => 70,
        }
    }
}

/// What an error says of itself.
#[derive(Debug)]
pub enum Diagnosis<'a> {
    /// It is a failure of its own, of this kind.
    Own(Kind),
    /// It only passes on what failed below: kind and hint are that error's.
    Inner(&'a dyn Diagnose),
}

/// An error that knows its [`Kind`] and, where the user can mend it, how.
///
/// An enum says once, for every variant, whether it speaks for itself or for what it wraps ([`Diagnose::diagnosis`]), and adds
/// hints where it knows better ([`Diagnose::own_hint`]). Callers ask for [`Diagnose::kind`] and [`Diagnose::hint`].
pub trait Diagnose: Error {
    /// Its own kind, or the error it passes on.
    fn diagnosis(&self) -> Diagnosis<'_>;

    /// One or more next steps, in words a user can follow; goes before the hint of the error below. No secrets, no trailing
    /// period.
    fn own_hint(&self) -> Option<String> {
        None
    }

    /// Lines to paste as they are, below the hint, which then says where: `add to the manifest:`. A file is shown as it is to be
    /// written, with its tables, keys by [`toml_key`](crate::text::toml_key). Only an error with an own hint has such lines.
    fn own_block(&self) -> Vec<Shown> {
        Vec::new()
    }

    /// What it says of itself. That is one line whatever stands in it; an error of several (with an excerpt of a file) says which
    /// they are.
    fn lines(&self) -> Vec<Shown> {
        match self.inner() {
            Some(inner) if inner.to_string() == self.to_string() => inner.lines(),
            _ => vec![Shown::of(self)],
        }
    }

    /// The error that this one only passes on.
    fn inner(&self) -> Option<&dyn Diagnose> {
        match self.diagnosis() {
            Diagnosis::Own(_) => None,
            Diagnosis::Inner(inner) => Some(inner),
        }
    }

    /// The kind of this failure.
    fn kind(&self) -> Kind {
        match self.diagnosis() {
            Diagnosis::Own(kind) => kind,
            Diagnosis::Inner(inner) => inner.kind(),
        }
    }

    /// What to do next.
    fn hint(&self) -> Option<String> {
        self.own_hint().or_else(|| self.inner().and_then(Diagnose::hint))
    }

    /// The lines that belong to the hint.
    fn block(&self) -> Vec<Shown> {
        match self.own_hint() {
            Some(_) => self.own_block(),
            None => self.inner().map(Diagnose::block).unwrap_or_default(),
        }
    }
}

/// A failure of the machine: a full disk, a missing right, a file in the way.
impl Diagnose for io::Error {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::System)
    }

    fn own_hint(&self) -> Option<String> {
        match io::Error::kind(self) {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "the disk is full: make room there; of what pinfold keeps `pinfold gc` says what can be freed, and `PINFOLD_HOME` can name a larger disk for it"
                    .into(),
            ),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Some("name a place that you may read and write; for pinfold's own files, set `PINFOLD_HOME` to one".into())
            }
            _ => None,
        }
    }
}

/// What `error` says, and what each error below it says, outermost first. What one has said already, whole or at its end
/// (`cannot read x: no such file`), is not told again below it.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut told = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        let is_said = told.iter().any(|told| {
            told.strip_suffix(&text).is_some_and(|before| before.is_empty() || before.ends_with(": "))
        });
        if !is_said && !text.is_empty() {
            told.push(text);
        }
        next = cause.source();
    }
    told
}

/// What [`causes`] gives, as lines for a person.
pub fn told(error: &dyn Diagnose) -> Vec<Vec<Shown>> {
    let lines = |text: String| {
        let mut next = Some(error);
        while let Some(known) = next {
            if known.to_string() == text {
                return known.lines();
            }
            next = known.inner();
        }
        vec![Shown::from(text)]
    };
    causes(error).into_iter().map(lines).collect()
}

/// An error with its causes on one line, for places that have no more room (a log, a status line).
pub fn one_line(error: &dyn Error) -> String {
    causes(error).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the disk is full")]
    struct Disk;

    impl Diagnose for Disk {
        fn diagnosis(&self) -> Diagnosis<'_> {
            Diagnosis::Own(Kind::System)
        }

        fn own_hint(&self) -> Option<String> {
            Some("make room".into())
        }
    }

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error(transparent)]
        Passed(#[from] Disk),
        #[error("cannot write `x`")]
        Step(#[source] Disk),
        #[error(transparent)]
        Excerpt(#[from] Excerpt),
        #[error("`x` is not there")]
        Missing,
    }

    /// Of several lines, one of which somebody else wrote.
    #[derive(Debug, thiserror::Error)]
    #[error("wrong:\n{0}")]
    struct Excerpt(&'static str);

    impl Diagnose for Excerpt {
        fn diagnosis(&self) -> Diagnosis<'_> {
            Diagnosis::Own(Kind::Usage)
        }

        fn lines(&self) -> Vec<Shown> {
            vec!["wrong:".into(), self.0.into()]
        }
    }

    impl Diagnose for Outer {
        fn diagnosis(&self) -> Diagnosis<'_> {
            match self {
                Self::Passed(disk) | Self::Step(disk) => Diagnosis::Inner(disk),
                Self::Excerpt(excerpt) => Diagnosis::Inner(excerpt),
                Self::Missing => Diagnosis::Own(Kind::Usage),
            }
        }

        fn own_hint(&self) -> Option<String> {
            matches!(self, Self::Step(_)).then(|| "free the disk of `x`".into())
        }
    }

    #[test]
    fn kind_and_hint_are_those_of_the_error_below_unless_the_outer_one_knows_better() {
        let of = |error: Outer| (error.kind(), error.hint());
        assert_eq!(of(Outer::Passed(Disk)), (Kind::System, Some("make room".into())));
        assert_eq!(of(Outer::Step(Disk)), (Kind::System, Some("free the disk of `x`".into())));
        assert_eq!(of(Outer::Missing), (Kind::Usage, None));
    }

    #[test]
    fn an_error_is_one_line_unless_it_says_which_they_are() {
        let lines = |error: &dyn Diagnose| -> Vec<Vec<String>> {
            told(error).iter().map(|lines| lines.iter().map(Shown::to_string).collect()).collect()
        };
        let foreign = io::Error::other("x\nhint: do this");
        assert_eq!(lines(&foreign), [["x\\nhint: do this"]]);
        assert_eq!(
            lines(&Outer::Excerpt(Excerpt("a\nb"))),
            [["wrong:", "a\\nb"]],
            "as it passes through others"
        );
        assert_eq!(lines(&Outer::Step(Disk)), [["cannot write `x`"], ["the disk is full"]]);
    }

    #[test]
    fn what_a_wrapper_repeats_is_told_once() {
        assert_eq!(causes(&Outer::Passed(Disk)), ["the disk is full"]);
        assert_eq!(one_line(&Outer::Step(Disk)), "cannot write `x`: the disk is full");
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `x`: {0}")]
        struct Within(#[source] Disk);
        assert_eq!(causes(&Within(Disk)), ["cannot read `x`: the disk is full"], "at its end");
        #[derive(Debug, thiserror::Error)]
        #[error("the lock")]
        struct Around(#[source] Within);
        assert_eq!(causes(&Around(Within(Disk))), ["the lock", "cannot read `x`: the disk is full"]);
        #[derive(Debug, thiserror::Error)]
        #[error("nobody said that the disk is full")]
        struct Other(#[source] Disk);
        assert_eq!(causes(&Other(Disk)).len(), 2, "other words that end so");
    }
}
