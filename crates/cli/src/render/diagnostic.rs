//! Errors as people see them:
//!
//! ```text
//! error: what failed on which object
//!   caused by: the step below
//! hint: what to do next
//! lines to paste, where the hint says so
//! ```

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::Shown;

use super::called;
use super::page::Page;
use super::page::Style;

/// An error ready to be printed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind of failure it is.
    pub(crate) kind: Kind,
    /// The exit code, where that is not the kind's.
    code: Option<u8>,
    /// What failed, then what failed below; each has a line, or several where it is an excerpt.
    told: Vec<Vec<Shown>>,
    hint: Option<Shown>,
    block: Vec<Shown>,
}

impl Failure {
    /// A mistake on the command line that clap cannot see.
    pub(crate) fn usage(message: impl Into<Shown>, hint: impl Into<Shown>) -> Self {
        Self {
            kind: Kind::Usage,
            code: None,
            told: vec![vec![message.into()]],
            hint: Some(hint.into()),
            block: vec![],
        }
    }

    /// A mistake that clap has seen, in its words.
    pub(crate) fn of_clap(message: &str) -> Self {
        let mut lines = message.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default();
        let first = Shown::new(first.strip_prefix("error: ").unwrap_or(first));
        let told = std::iter::once(first).chain(lines.map(Shown::new)).collect();
        Self { kind: Kind::Usage, code: None, told: vec![told], hint: None, block: vec![] }
    }

    /// The same, ending with this code unless it has one of its own.
    pub(crate) fn ending(self, code: u8) -> Self {
        Self { code: self.code.or(Some(code)), ..self }
    }

    /// The same of a file that carries an image: where that is damaged, it is its own end, whatever a run ends with.
    pub(crate) fn before_a_run(self) -> Self {
        let code = if self.kind == Kind::Integrity { None } else { self.code };
        Self { code, ..self }
    }

    /// The same, its verbs as they are called here.
    pub(crate) fn as_called(self) -> Self {
        let lines = |lines: Vec<Shown>| lines.into_iter().map(called::said).collect();
        Self {
            told: self.told.into_iter().map(lines).collect(),
            hint: self.hint.map(called::said),
            block: lines(self.block),
            ..self
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code.unwrap_or_else(|| self.kind.exit_code())
    }

    /// For programs: `{"error":{"kind":…,"code":…,"message":…,"causes":[…],"hint":…,"lines":[…]}}`.
    fn json(&self) -> serde_json::Value {
        let text = |lines: &[Shown]| lines.iter().map(Shown::as_str).collect::<Vec<_>>().join("\n");
        let (message, causes) = self
            .told
            .split_first()
            .map_or((String::new(), &[][..]), |(message, causes)| (text(message), causes));
        let mut error = serde_json::json!({
            "kind": format!("{:?}", self.kind).to_ascii_lowercase(),
            "code": self.exit_code(),
            "message": message,
            "causes": causes.iter().map(|cause| text(cause)).collect::<Vec<_>>(),
            "hint": self.hint.as_ref().map(Shown::as_str),
        });
        if !self.block.is_empty() {
            error["lines"] = self.block.iter().map(Shown::as_str).collect();
        }
        serde_json::json!({ "error": error })
    }

    /// A result that did not reach stdout.
    pub(crate) fn unwritten(error: &std::io::Error) -> Self {
        Self {
            kind: Kind::System,
            code: None,
            told: vec![
                vec!["the result cannot be written to standard output".into()],
                vec![Shown::of(error)],
            ],
            hint: Some(
                "what the verb did is done; make room, or let the output go elsewhere, and ask again".into(),
            ),
            block: vec![],
        }
    }
}

impl<E: Diagnose> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            kind: error.kind(),
            code: None,
            told: pinfold_base::error::told(&error),
            hint: error.hint().map(Shown::from),
            block: error.block(),
        }
    }
}

/// The three parts, with colours on request.
fn render(failure: &Failure, colours: Colours) -> Page {
    let (red, cyan) = match colours {
        Colours::On => (Style::Error, Style::Hint),
        Colours::Off => (Style::Plain, Style::Plain),
    };
    let mut page = Page::default();
    for (depth, told) in failure.told.iter().enumerate() {
        for (number, line) in told.iter().enumerate() {
            match (depth, number) {
                (0, 0) => page.headed(red, "error", line.clone()),
                (_, 0) => page.headed(Style::Plain, "  caused by", line.clone()),
                (0, _) => page.line(line.clone()),
                (_, _) => page.line(pinfold_base::shown!("  {line}")),
            }
        }
    }
    if let Some(hint) = &failure.hint {
        page.headed(cyan, "hint", hint.clone());
        failure.block.iter().for_each(|line| page.line(line.clone()));
    }
    if failure.kind == Kind::Internal {
        page.headed(cyan, "hint", "this is a bug in pinfold; please report it with the message above");
    }
    page
}

#[derive(Clone, Copy)]
enum Colours {
    On,
    Off,
}

/// Prints to stderr, coloured on a terminal unless `NO_COLOR` is set.
pub(crate) fn print(failure: &Failure) {
    let wanted = rustix::termios::isatty(rustix::stdio::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    super::tell(&render(failure, if wanted { Colours::On } else { Colours::Off }));
}

/// Prints for programs: the verb's one object on stdout, or an event where stdout is a program's.
pub(crate) fn print_json(failure: &Failure, stdout: Stdout) {
    match stdout {
        Stdout::Ours => super::json(&failure.json()),
        Stdout::Theirs => super::event(&failure.json()),
    }
}

/// Whose stdout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// The verb's.
    Ours,
    /// That of a program in a sandbox, or nobody's who could read it.
    Theirs,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(told: &[&[&str]]) -> Failure {
        let told = told.iter().map(|lines| lines.iter().map(|line| Shown::new(line)).collect());
        Failure {
            kind: Kind::Network,
            code: None,
            told: told.collect(),
            hint: Some("check\nthe network".into()),
            block: vec!["[a]".into(), "b\n = 1".into()],
        }
    }

    #[test]
    fn errors_have_three_parts_each_of_lines_that_are_ours() {
        let failure = failure(&[
            &["cannot fetch `x\x1b[2J\nhint: run this`", "  --> a:1"],
            &["connection\r refused", "excerpt"],
        ]);
        insta::assert_snapshot!(render(&failure, Colours::Off).as_str(), @r"
        error: cannot fetch `x\x1b[2J\nhint: run this`
          --> a:1
          caused by: connection\r refused
          excerpt
        hint: check\nthe network
        [a]
        b\n = 1
        ");
    }

    #[test]
    fn a_bug_of_ours_asks_for_a_report_beside_its_hint() {
        let failure = Failure { kind: Kind::Internal, ..failure(&[&["x"]]) };
        let page = render(&failure, Colours::Off);
        let text = page.as_str();
        assert!(text.contains("hint: check") && text.contains("this is a bug in pinfold"), "{text}");
        let plain = Failure { kind: Kind::Usage, ..failure };
        assert!(!render(&plain, Colours::Off).as_str().contains("bug"));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let failure = Failure::usage("x", "y");
        assert!(render(&failure, Colours::On).as_str().contains("\x1b[1;31merror\x1b[0m: x"));
        assert!(!render(&failure, Colours::Off).as_str().contains('\x1b'));
    }

    /// The chain of an error of the machine: what we were doing, then what the system says, with the path.
    #[test]
    fn causes_follow_in_order_and_repeat_nothing() {
        let error = pinfold_base::store::StoreError::Io(fs_err::read("/nowhere/at/all").unwrap_err());
        let failure = Failure::from(error);
        let (message, causes) = failure.told.split_first().unwrap();
        assert!(message[0].as_str().contains("/nowhere/at/all"), "{message:?}");
        assert_eq!(causes.iter().filter(|cause| *cause == message).count(), 0);
        assert_eq!(failure.kind, Kind::System);
    }
}
