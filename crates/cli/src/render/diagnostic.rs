//! Errors as people see them:
//!
//! ```text
//! error: what failed on which object
//!   caused by: the step below
//! hint: what to do next
//! ```

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use pinfold_base::Diagnose;
use pinfold_base::Kind;

/// An error ready to be printed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Decides the exit code.
    pub(crate) kind: Kind,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A mistake on the command line that clap cannot see.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into(), causes: Vec::new(), hint: Some(hint.into()) }
    }
}

impl<E: Diagnose> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut causes = pinfold_base::error::causes(&error);
        let message = causes.remove(0);
        Self { kind: error.kind(), message, causes, hint: error.hint() }
    }
}

/// Text from outside may hold control characters that would move the cursor or change colours.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The three parts, with colours on request.
fn render(failure: &Failure, colours: Colours) -> String {
    let (red, cyan, off) = match colours {
        Colours::On => ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m"),
        Colours::Off => ("", "", ""),
    };
    let mut text = format!("{red}error{off}: {}\n", plain(&failure.message));
    for cause in &failure.causes {
        let _ = writeln!(text, "  caused by: {}", plain(cause));
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(text, "{cyan}hint{off}: {}", plain(hint));
    }
    if failure.kind == Kind::Internal {
        let _ = writeln!(
            text,
            "{cyan}hint{off}: this is a bug in pinfold; please report it with the message above"
        );
    }
    text
}

#[derive(Clone, Copy)]
enum Colours {
    On,
    Off,
}

/// Prints to stderr, coloured on a terminal unless `NO_COLOR` is set.
pub(crate) fn print(failure: &Failure) {
    let wanted =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = render(failure, if wanted { Colours::On } else { Colours::Off });
    super::note(text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_three_parts_and_no_control_characters() {
        let failure = Failure {
            kind: Kind::Network,
            message: "cannot fetch `x\x1b[2J`".into(),
            causes: vec!["connection refused".into()],
            hint: Some("check the network".into()),
        };
        insta::assert_snapshot!(render(&failure, Colours::Off), @"
        error: cannot fetch `x�[2J`
          caused by: connection refused
        hint: check the network
        ");
    }

    #[test]
    fn a_bug_of_ours_asks_for_a_report_beside_its_hint() {
        let failure = Failure {
            kind: Kind::Internal,
            message: "x".into(),
            causes: Vec::new(),
            hint: Some("try again".into()),
        };
        let text = render(&failure, Colours::Off);
        assert!(text.contains("hint: try again\n") && text.contains("this is a bug in pinfold"), "{text}");
        let plain = Failure { kind: Kind::Usage, ..failure };
        assert!(!render(&plain, Colours::Off).contains("bug"));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let failure = Failure::usage("x", "y");
        assert!(render(&failure, Colours::On).contains("\x1b[1;31merror\x1b[0m: x"));
        assert!(!render(&failure, Colours::Off).contains('\x1b'));
    }

    /// The chain of an error of the machine: what we were doing, then what the system says, with the path.
    #[test]
    fn causes_follow_in_order_and_repeat_nothing() {
        let error = pinfold_base::store::StoreError::Io(fs_err::read("/nowhere/at/all").unwrap_err());
        let failure = Failure::from(error);
        assert!(failure.message.contains("/nowhere/at/all"), "{}", failure.message);
        assert_eq!(failure.causes.iter().filter(|cause| **cause == failure.message).count(), 0);
        assert_eq!(failure.kind, Kind::System);
    }
}
