//! `test` and `[`: file, string and number conditions (XCU test; more than four arguments as dash reads them).

use std::rc::Rc;

use super::super::world::Kind;
use super::super::world::Last;
use super::super::world::Stat;
use super::Flow;
use super::Shell;
use super::Status;

type Word = Rc<[u8]>;

/// `test EXPRESSION` or `[ EXPRESSION ]`.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut arguments = &words[1..];
    if &*words[0] == b"[" {
        match arguments.split_last() {
            Some((last, rest)) if &**last == b"]" => arguments = rest,
            _ => {
                shell.say_error(b"[: missing ]\n")?;
                return Ok(2);
            }
        }
    }
    let mut parser = Parser { shell, words, arguments, at: 0 };
    let value = match arguments.len() {
        0 => Some(false),
        // With three and four arguments the operator decides, whatever the operands look like.
        3 if is_binary(&arguments[1]) => Some(parser.binary(&arguments[0], &arguments[1], &arguments[2])?),
        4 if &*arguments[0] == b"!" && is_binary(&arguments[2]) => {
            Some(!parser.binary(&arguments[1], &arguments[2], &arguments[3])?)
        }
        1 => Some(!arguments[0].is_empty()),
        _ => {
            let value = parser.either()?;
            (parser.at == arguments.len()).then_some(value).flatten()
        }
    };
    if let Some(value) = value {
        Ok(i32::from(!value))
    } else {
        shell.say_error(b"test: unexpected operator\n")?;
        Ok(2)
    }
}

fn is_binary(word: &[u8]) -> bool {
    matches!(
        word,
        b"=" | b"=="
            | b"!="
            | b"<"
            | b">"
            | b"-eq"
            | b"-ne"
            | b"-gt"
            | b"-ge"
            | b"-lt"
            | b"-le"
            | b"-nt"
            | b"-ot"
            | b"-ef"
            | b"-a"
            | b"-o"
    )
}

fn is_unary(word: &[u8]) -> bool {
    matches!(
        word,
        [
            b'-',
            b'n' | b'z'
                | b'b'
                | b'c'
                | b'd'
                | b'e'
                | b'f'
                | b'g'
                | b'h'
                | b'k'
                | b'L'
                | b'p'
                | b'r'
                | b'S'
                | b's'
                | b't'
                | b'u'
                | b'w'
                | b'x'
                | b'O'
                | b'G'
        ]
    )
}

struct Parser<'p, 's, 'w> {
    shell: &'p mut Shell<'s, 'w>,
    words: &'p [Word],
    arguments: &'p [Word],
    at: usize,
}

impl Parser<'_, '_, '_> {
    fn peek(&self, ahead: usize) -> Option<&Word> {
        self.arguments.get(self.at + ahead)
    }

    fn take(&mut self, word: &[u8]) -> bool {
        let met = self.peek(0).is_some_and(|next| &**next == word);
        self.at += usize::from(met);
        met
    }

    /// `A -o B`
    fn either(&mut self) -> Result<Option<bool>, Flow> {
        let Some(mut value) = self.both()? else { return Ok(None) };
        while self.take(b"-o") {
            let Some(other) = self.both()? else { return Ok(None) };
            value |= other;
        }
        Ok(Some(value))
    }

    /// `A -a B`
    fn both(&mut self) -> Result<Option<bool>, Flow> {
        let Some(mut value) = self.negated()? else { return Ok(None) };
        while self.take(b"-a") {
            let Some(other) = self.negated()? else { return Ok(None) };
            value &= other;
        }
        Ok(Some(value))
    }

    fn negated(&mut self) -> Result<Option<bool>, Flow> {
        self.shell.spend(100)?;
        let mut odd = false;
        // `! = x` compares.
        while self.peek(0).is_some_and(|word| &**word == b"!")
            && !(self.peek(1).is_some_and(|word| is_binary(word)) && self.peek(2).is_some())
        {
            self.at += 1;
            odd = !odd;
        }
        Ok(self.primary()?.map(|value| value != odd))
    }

    fn primary(&mut self) -> Result<Option<bool>, Flow> {
        let Some(first) = self.peek(0).cloned() else { return Ok(None) };
        if let (Some(operator), Some(second)) = (self.peek(1).cloned(), self.peek(2).cloned())
            && is_binary(&operator)
            && !matches!(&*operator, b"-a" | b"-o")
        {
            self.at += 3;
            return self.binary(&first, &operator, &second).map(Some);
        }
        if &*first == b"(" && self.peek(1).is_some() {
            self.at += 1;
            let before = self.at;
            let value = if self.arguments.len() - before > 1_000 { None } else { self.either()? };
            return Ok(if self.take(b")") { value } else { None });
        }
        if is_unary(&first)
            && let Some(operand) = self.peek(1).cloned()
        {
            self.at += 2;
            return self.unary(&first, &operand).map(Some);
        }
        self.at += 1;
        Ok(Some(!first.is_empty()))
    }

    fn binary(&mut self, left: &[u8], operator: &[u8], right: &[u8]) -> Result<bool, Flow> {
        Ok(match operator {
            b"=" | b"==" => left == right,
            b"!=" => left != right,
            b"<" => left < right,
            b">" => left > right,
            b"-a" => !left.is_empty() && !right.is_empty(),
            b"-o" => !left.is_empty() || !right.is_empty(),
            b"-nt" | b"-ot" | b"-ef" => {
                let (left, right) = (self.stat(left, Last::Followed)?, self.stat(right, Last::Followed)?);
                match (operator, left, right) {
                    (b"-ef", Some(left), Some(right)) => left.path == right.path,
                    (b"-nt", Some(left), Some(right)) => left.meta.mtime > right.meta.mtime,
                    (b"-ot", Some(left), Some(right)) => left.meta.mtime < right.meta.mtime,
                    (b"-nt", Some(_), None) | (b"-ot", None, Some(_)) => true,
                    _ => false,
                }
            }
            _ => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                match operator {
                    b"-eq" => left == right,
                    b"-ne" => left != right,
                    b"-gt" => left > right,
                    b"-ge" => left >= right,
                    b"-lt" => left < right,
                    _ => left <= right,
                }
            }
        })
    }

    fn number(&mut self, word: &[u8]) -> Result<i64, Flow> {
        let text = String::from_utf8_lossy(word);
        if let Ok(number) = text.trim().parse() {
            Ok(number)
        } else {
            let said = format!("test: Illegal number: {}\n", text.escape_debug());
            self.shell.say_error(said.as_bytes())?;
            // dash ends the command with 2; a status that is no condition.
            Err(Flow::Exit(2))
        }
    }

    fn unary(&mut self, operator: &[u8], operand: &[u8]) -> Result<bool, Flow> {
        match operator {
            b"-n" => return Ok(!operand.is_empty()),
            b"-z" => return Ok(operand.is_empty()),
            // Nothing here is a terminal.
            b"-t" => return Ok(false),
            _ => {}
        }
        let last = if matches!(operator, b"-h" | b"-L") { Last::Itself } else { Last::Followed };
        let Some(stat) = self.stat(operand, last)? else { return Ok(false) };
        Ok(match operator {
            // Scripts run as root, which may read and write everything.
            b"-e" | b"-r" | b"-w" => true,
            b"-f" => stat.kind == Kind::File,
            b"-d" => stat.kind == Kind::Directory,
            b"-h" | b"-L" => stat.kind == Kind::Link,
            b"-s" => stat.kind == Kind::Directory || stat.size > 0,
            b"-x" => stat.kind == Kind::Directory || stat.meta.mode & 0o111 != 0,
            b"-u" => stat.meta.mode & 0o4000 != 0,
            b"-g" => stat.meta.mode & 0o2000 != 0,
            b"-k" => stat.meta.mode & 0o1000 != 0,
            b"-O" => stat.meta.uid == self.shell.uid(),
            b"-G" => {
                let uid = self.shell.uid();
                let accounts = &self.shell.world().accounts;
                let group = accounts.user_name(uid).and_then(|user| accounts.gid_of_user(user));
                stat.meta.gid == group.unwrap_or(0)
            }
            b"-c" => stat.kind == Kind::Null,
            // There are no devices, sockets and FIFOs.
            _ => false,
        })
    }

    fn stat(&mut self, path: &[u8], last: Last) -> Result<Option<Stat>, Flow> {
        let cwd = self.shell.cwd().to_vec();
        match self.shell.world().stat(&cwd, path, last) {
            Ok(stat) => Ok(Some(stat)),
            Err(errno) if errno.is_told() => Ok(None),
            Err(errno) => Err(self.shell.fault(self.words, errno.to_string())),
        }
    }
}
