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
}
