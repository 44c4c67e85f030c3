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
            _ => return shell.error("[: missing ]\n"),
        }
    }
    // With three and four arguments the operator decides, whatever the operands look like.
    let mut negated = false;
    while let (3 | 4, Some(first), Some(last)) = (arguments.len(), arguments.first(), arguments.last()) {
        if arguments.len() == 3 && is_binary(&arguments[1]) {
            break;
        }
        if &**first == b"(" && &**last == b")" {
            arguments = &arguments[1..arguments.len() - 1];
            break;
        }
        if &**first != b"!" {
            break;
        }
        negated = !negated;
        arguments = &arguments[1..];
    }
    if arguments.is_empty() {
        return Ok(i32::from(!negated));
    }
    let operator = arguments.len() == 3 && is_binary(&arguments[1]);
    let mut reader = Reader { shell, words, arguments, at: 0 };
    let first = if operator { Token::Operand } else { reader.token(0) };
    let value = reader.either(first)?;
    // What dash does not look at behind a whole expression, it does not mind.
    if reader.arguments.get(reader.at + 1).is_some() {
        return reader.wrong("unexpected operator");
    }
    Ok(i32::from(value == negated))
}

fn is_binary(word: &[u8]) -> bool {
    matches!(
        word,
        b"=" | b"!="
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
    )
}

fn is_unary(word: &[u8]) -> bool {
    matches!(word, [b'-', letter] if b"nzbcdefghkLprSstuwxOG".contains(letter))
}

/// What a word is where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Operand,
    Not,
    And,
    Or,
    Open,
    Close,
    Unary,
    Binary,
}

/// An expression as dash 0.5.12 reads it: there is no other order for what POSIX leaves open.
struct Reader<'p, 's, 'w> {
    shell: &'p mut Shell<'s, 'w>,
    words: &'p [Word],
    arguments: &'p [Word],
    /// The word that was looked at last.
    at: usize,
}

impl Reader<'_, '_, '_> {
    fn wrong<T>(&mut self, what: &str) -> Result<T, Flow> {
        self.shell.error(format!("test: {what}\n"))
    }

    fn token(&self, at: usize) -> Token {
        let Some(word) = self.arguments.get(at) else { return Token::End };
        match &**word {
            b"!" => Token::Not,
            b"-a" => Token::And,
            b"-o" => Token::Or,
            b"(" if self.arguments.len() > at + 1 => Token::Open,
            b")" => Token::Close,
            word if is_binary(word) => Token::Binary,
            word if is_unary(word) => match (self.arguments.get(at + 1), self.arguments.get(at + 2)) {
                (None, _) => Token::Operand,
                (Some(next), Some(_)) if is_binary(next) => Token::Operand,
                _ => Token::Unary,
            },
            _ => Token::Operand,
        }
    }

    fn either(&mut self, mut first: Token) -> Result<bool, Flow> {
        let mut value = false;
        loop {
            value |= self.both(first)?;
            if self.token(self.at + 1) != Token::Or {
                return Ok(value);
            }
            self.at += 2;
            first = self.token(self.at);
        }
    }

    fn both(&mut self, mut first: Token) -> Result<bool, Flow> {
        let mut value = true;
        loop {
            value &= self.not(first)?;
            if self.token(self.at + 1) != Token::And {
                return Ok(value);
            }
            self.at += 2;
            first = self.token(self.at);
        }
    }

    fn not(&mut self, mut first: Token) -> Result<bool, Flow> {
        let mut negated = false;
        while first == Token::Not {
            self.shell.spend(100)?;
            first = self.token(self.at + 1);
            if first != Token::End {
                self.at += 1;
            }
            negated = !negated;
        }
        Ok(self.primary(first)? != negated)
    }

    fn primary(&mut self, first: Token) -> Result<bool, Flow> {
        self.shell.spend(100)?;
        let word = self.arguments.get(self.at).cloned().unwrap_or_default();
        match first {
            Token::End => Ok(false),
            Token::Open => {
                self.at += 1;
                let inner = self.token(self.at);
                if inner == Token::Close {
                    return Ok(false);
                }
                self.shell.deeper()?;
                let value = self.either(inner);
                self.shell.shallower();
                let value = value?;
                self.at += 1;
                if self.token(self.at) == Token::Close {
                    Ok(value)
                } else {
                    self.wrong("closing paren expected")
                }
            }
            Token::Unary => {
                self.at += 1;
                match self.arguments.get(self.at).cloned() {
                    Some(operand) => self.unary(&word, &operand),
                    None => self.wrong("argument expected"),
                }
            }
            _ if self.token(self.at + 1) == Token::Binary => {
                let operator = self.arguments[self.at + 1].clone();
                self.at += 2;
                match self.arguments.get(self.at).cloned() {
                    Some(right) => self.binary(&word, &operator, &right),
                    None => self.wrong("argument expected"),
                }
            }
            _ => Ok(!word.is_empty()),
        }
    }

    fn binary(&mut self, left: &[u8], operator: &[u8], right: &[u8]) -> Result<bool, Flow> {
        Ok(match operator {
            b"=" => left == right,
            b"!=" => left != right,
            b"<" => left < right,
            b">" => left > right,
            b"-nt" | b"-ot" | b"-ef" => {
                let (left, right) = (self.stat(left, Last::Followed)?, self.stat(right, Last::Followed)?);
                match (operator, left, right) {
                    (b"-ef", Some(left), Some(right)) => left.path == right.path,
                    (b"-nt", Some(left), Some(right)) => left.meta.mtime > right.meta.mtime,
                    (b"-ot", Some(left), Some(right)) => left.meta.mtime < right.meta.mtime,
                    // Of one that is not there dash 0.5.12 knows nothing.
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
        match text.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\u{b}').parse() {
            Ok(number) => Ok(number),
            Err(_) => self.wrong(&format!("Illegal number: {}", text.escape_debug())),
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
        match self.shell.world.stat(&cwd, path, last) {
            Ok(stat) => Ok(Some(stat)),
            Err(errno) if errno.is_told() => Ok(None),
            Err(errno) => Err(self.shell.fault(self.words, errno.to_string())),
        }
    }
}
