//! awk, as POSIX describes it and mawk, Debian's, has it: patterns and actions over records and fields (XCU awk).
//!
//! ```text
//! text ─► lexer ─► syntax, expression ─► machine ─┬► input      files and variables of the command line, records
//!                                                 ├► function   of texts and numbers    output: files and pipes
//!                                                 └► value      numbers and texts, formats
//! ```
//!
//! Commands in pipes and `system` are run by the shell that runs awk. A file that is written is there when it is closed or awk
//! ends. **Guarantees**: every statement and expression takes a step of the budget, what nests is counted, no text is longer
//! than 4 MiB. **Refuses** what asks for chance and clocks (`rand`, `srand`, `systime`), and what gawk alone has.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "awk's numbers are floating-point ones, and what is counted here is small"
)]

mod expression;
mod function;
mod input;
mod lexer;
mod machine;
mod output;
mod syntax;
mod value;

use self::input::Input;
use self::machine::Jump;
use self::machine::Machine;
use self::value::Value;
use super::Word;
use super::options;
use super::options::Known;
use super::options::valued;
use super::text;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// Runs awk.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[valued('F', "field-separator"), valued('v', "assign"), valued('f', "file")];
    let given = options::read_leading(shell, words, KNOWN)?;
    let mut operands = given.operands.clone();
    let (mut text, mut status) = (Vec::new(), 0);
    for (_, path) in given.options.iter().filter(|(letter, _)| *letter == 'f') {
        match text::bytes_of(shell, words, path, &mut status)? {
            Some(bytes) => text.extend([&bytes[..], b"\n"].concat()),
            None => return Ok(2),
        }
    }
    if !given.has('f') {
        if operands.is_empty() {
            return Err(shell.fault(words, "`awk` needs a program"));
        }
        text = operands.remove(0).to_vec();
    }
    let program = syntax::program(&text).map_err(|what| shell.fault(words, what))?;
    shell.spend(program.made)?;
    let count = operands.len();
    let arguments: Vec<Word> = std::iter::once(words[0].clone()).chain(operands.iter().cloned()).collect();
    let mut machine = Machine::new(shell, words, program, Input::new(operands));
    machine.number_of("ARGC", count as f64 + 1.0);
    let arguments = arguments.into_iter().enumerate();
    machine.fill("ARGV", arguments.map(|(at, word)| (at.to_string().into_bytes(), Value::Input(word))));
    for (letter, value) in &given.options {
        let set = match (letter, assignment(value)) {
            ('F', _) => machine.assign("FS", if &**value == b"t" { b"\t" } else { value }),
            ('v', Some((name, value))) => machine.assign(&name, value),
            ('v', None) => Err(machine.fault("`-v` wants `NAME=VALUE`")),
            _ => Ok(()),
        };
        if let Err(Jump::Flow(flow)) = set {
            return Err(flow);
        }
    }
    machine.run()
}

/// `NAME=VALUE` among the operands.
fn assignment(word: &[u8]) -> Option<(String, &[u8])> {
    let at = memchr::memchr(b'=', word)?;
    let name = &word[..at];
    let first = name.first()?;
    let is_name = (first.is_ascii_alphabetic() || *first == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_name.then(|| (String::from_utf8_lossy(name).into_owned(), &word[at + 1..]))
}
