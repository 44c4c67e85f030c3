//! From the text of a script to its syntax (POSIX.1-2024, XCU 2.3 to 2.10, as dash 0.5.12 reads it).
//!
//! Words are read into their pieces here, substitutions included, so that nothing is parsed twice and each command knows its
//! line. Why this is not a crate: the one that was tried (`brush-parser` 0.4) ends the process on 2,000 nested `if`s, makes two
//! blanks in `"${x:-a  b}"` one, and stops at a `case` inside `$(…)`.
//!
//! **Guarantees**: reading never recurses deeper than [`MAX_DEPTH`], and takes time in proportion to the text; bytes are kept as
//! they are, whatever their encoding.
//!
//! **Refuses**: text longer than [`MAX_TEXT`], NUL bytes, quotes and here-documents that do not end, and what is no POSIX shell:
//! arrays, `[[`, `((`, `<<<`, `<(`, `&>`, `function`, `select`.

mod parser;
mod word;

pub(super) use self::parser::is_reserved;
pub(super) use self::word::is_name;

use std::cell::OnceCell;
use std::rc::Rc;

/// Longest script or piece of script, in bytes. The longest in Debian 12 has 90 KiB.
pub(super) const MAX_TEXT: usize = 256 << 10;
/// Most lines of a script.
const MAX_LINES: usize = 20_000;
/// Deepest nesting of commands, quotes, and substitutions in one text.
const MAX_DEPTH: usize = 250;

/// Text that cannot be read as a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// The line, from 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) what: String,
}

/// Commands one after the other.
pub(super) type List = Rc<[AndOr]>;

/// Pipelines with `&&` and `||` between them.
#[derive(Clone, Debug)]
pub(super) struct AndOr {
    pub(super) first: Pipeline,
    pub(super) rest: Vec<(Connector, Pipeline)>,
    /// The line of an `&` at its end.
    pub(super) background: Option<usize>,
}

/// What stands between two pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connector {
    And,
    Or,
}

/// Commands with `|` between them.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) negated: bool,
    pub(super) commands: Vec<Command>,
}

/// A command.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Simple(Simple),
    Compound(Rc<Compound>),
    Function { name: String, body: Rc<Compound> },
}

/// Words, assignments before them, redirections anywhere.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    pub(super) line: usize,
    pub(super) assignments: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
}

/// A compound command and its redirections.
#[derive(Clone, Debug)]
pub(super) struct Compound {
    pub(super) line: usize,
    pub(super) kind: CompoundKind,
    pub(super) redirects: Vec<Redirect>,
}

/// The compound commands.
#[derive(Clone, Debug)]
pub(super) enum CompoundKind {
    Group(List),
    Subshell(List),
    /// Conditions with what they guard, and what is done else.
    If(Vec<(List, List)>, Option<List>),
    While(List, List),
    Until(List, List),
    /// The words are those of `$@` where none are written.
    For(String, Option<Vec<Word>>, List),
    Case(Word, Vec<(Vec<Word>, List)>),
}

/// A redirection.
#[derive(Clone, Debug)]
pub(super) struct Redirect {
    pub(super) descriptor: Option<u32>,
    pub(super) kind: RedirectKind,
    /// A file name or a descriptor; the text of a here-document, which is read after its line.
    pub(super) target: Rc<OnceCell<Word>>,
}

/// The redirections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedirectKind {
    /// `<`
    Read,
    /// `>`
    Write,
    /// `>|`
    Clobber,
    /// `>>`
    Append,
    /// `<>`
    ReadAndWrite,
    /// `<&`
    DuplicateInput,
    /// `>&`
    DuplicateOutput,
    /// `<<`
    Document,
}

/// A word in its pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Word(pub(super) Vec<Piece>);

/// A piece of a word.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// As it stands, outside quotes.
    Text(Vec<u8>),
    /// In single quotes or behind a backslash.
    Quoted(Vec<u8>),
    /// In double quotes; [`Piece::Text`] in it is quoted too.
    Double(Vec<Piece>),
    /// `~` or `~USER` where it is expanded.
    Tilde(String),
    /// `$NAME`, `${NAME}`, `${NAME:-WORD}` …
    Parameter(Rc<Parameter>),
    /// `$(…)` or backquotes.
    Substitution(List),
    /// `$((…))`
    Arithmetic(Vec<Piece>),
}

/// An expansion of a parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: Name,
    pub(super) operator: Operator,
    /// What stands behind the operator.
    pub(super) operand: Word,
}

/// Which parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Variable(String),
    Positional(usize),
    /// `@`
    At,
    /// `*`
    Star,
    /// `#`
    Count,
    /// `?`
    Status,
    /// `-`
    Flags,
    /// `$`
    Process,
    /// `!`
    Background,
    /// `0`
    Zero,
}

/// What is done with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    /// Nothing: its value.
    Value,
    /// `${#NAME}`
    Length,
    /// `-`
    Default(Counts),
    /// `=`
    Assign(Counts),
    /// `?`
    Required(Counts),
    /// `+`
    Alternative(Counts),
    /// `%`
    SmallestSuffix,
    /// `%%`
    LargestSuffix,
    /// `#`
    SmallestPrefix,
    /// `##`
    LargestPrefix,
}

/// Which values count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// Every value that is set.
    Set,
    /// With a colon: every value that is not empty.
    NotEmpty,
}

/// Reads a script whose first line is line `base + 1`. For bash, what it and dash read otherwise
/// is refused. With what was read comes how many bytes of memory that takes, about.
pub(super) fn program(text: &[u8], base: usize, bash: bool) -> Result<(List, usize), SyntaxError> {
    let refuse = |what: &str| SyntaxError { line: base + 1, what: what.into() };
    if text.len() > MAX_TEXT {
        return Err(refuse("it is longer than 256 KiB"));
    }
    if text.contains(&0) {
        return Err(refuse("it holds a NUL byte: it is no text"));
    }
    if memchr::memchr_iter(b'\n', text).count() > MAX_LINES {
        return Err(refuse("it has more than 20,000 lines"));
    }
    parser::Parser::new(text, base, bash).program()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_nests_without_end_is_refused() {
        for text in ["if true; then ", "{ ", "$(", "(", "${x:-", "\"$(", "$((1+", "case x in x) ", "f() { "] {
            let refused =
                super::super::on_a_deep_stack(|| program(text.repeat(20_000).as_bytes(), 0, false).is_err());
            assert!(refused.unwrap(), "{text}");
        }
        assert!(program(&vec![b'x'; MAX_TEXT + 1], 0, false).unwrap_err().what.contains("longer"));
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line, what) in [
            ("true\nif true; then\n", 3, "missing"),
            ("a=1\n\nb='x\n", 3, "quote"),
            ("x=(a b)\n", 1, "POSIX"),
            ("[[ a = b ]]\n", 1, "POSIX"),
            ("cat <<<x\n", 1, "POSIX"),
            ("true\ncat <<E\nx\n", 2, "`E`"),
            ("case x in\na) true\n", 3, "`esac`"),
            ("true )\n", 1, "`)`"),
            ("for 1 in a; do :; done\n", 1, "name"),
            ("done\n", 1, "`done`"),
            ("a && \n", 2, "command"),
        ] {
            let error = program(text.as_bytes(), 0, false).unwrap_err();
            assert!(error.line == line && error.what.contains(what), "{text:?}: {error:?}");
        }
    }
}
