//! A small lexer for the shell text that debhelper puts into scripts: simple commands, their words and here-documents.
//!
//! It does not evaluate anything. Keywords (`if`, `then`, `done` …), grouping and the operators between commands are taken
//! off, so that what is left is the list of commands a reader must know to say what the text can do.
//!
//! **Refuses**: what could hide a command: substitutions other than `$(command -v NAME)`, redirections to anything but
//! `/dev/null` or another descriptor, quotes and here-documents that do not end.

/// A simple command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// The line it begins on, from 1.
    pub(super) line: usize,
    /// Its words, quotes removed.
    pub(super) words: Vec<String>,
    /// Lines of a here-document that is fed to it or to the group it closes.
    pub(super) heredoc: Option<Vec<String>>,
}

/// Text that this lexer does not understand, by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotUnderstood {
    /// The line, from 1.
    pub(super) line: usize,
}

const KEYWORDS: [&str; 10] = ["if", "then", "else", "elif", "fi", "while", "do", "done", "!", "{"];

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    commands: Vec<Command>,
    words: Vec<String>,
    began: usize,
    /// Delimiters of here-documents that begin at the next line.
    pending: Vec<String>,
}

/// Splits `text` into simple commands.
pub(super) fn commands(text: &str) -> Result<Vec<Command>, NotUnderstood> {
    let mut lexer = Lexer {
        text: text.as_bytes(),
        at: 0,
        line: 1,
        commands: Vec::new(),
        words: Vec::new(),
        began: 1,
        pending: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.commands)
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn refuse<T>(&self) -> Result<T, NotUnderstood> {
        Err(NotUnderstood { line: self.line })
    }

    fn run(&mut self) -> Result<(), NotUnderstood> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.end_command();
                    self.line += 1;
                    self.heredocs()?;
                }
                b'\\' if self.text.get(self.at + 1) == Some(&b'\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                b';' | b'&' | b'|' | b'(' | b')' => {
                    self.at += 1;
                    self.end_command();
                }
                b'<' | b'>' => self.redirection()?,
                _ => self.word()?,
            }
        }
        self.end_command();
        if self.pending.is_empty() { Ok(()) } else { self.refuse() }
    }

    fn end_command(&mut self) {
        if !self.words.is_empty() {
            let words = std::mem::take(&mut self.words);
            self.commands.push(Command { line: self.began, words, heredoc: None });
        }
    }

    /// `>/dev/null`, `2>&1`, `<< DELIMITER`.
    fn redirection(&mut self) -> Result<(), NotUnderstood> {
        // A digit directly before is the descriptor, read as a word.
        if self.words.last().is_some_and(|word| matches!(word.as_str(), "1" | "2"))
            && self.at > 0
            && self.text[self.at - 1].is_ascii_digit()
        {
            self.words.pop();
        }
        let rest = &self.text[self.at..];
        if rest.starts_with(b"<<") {
            self.at += 2;
            while self.peek() == Some(b' ') {
                self.at += 1;
            }
            let start = self.at;
            while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                self.at += 1;
            }
            if start == self.at {
                return self.refuse();
            }
            self.pending.push(String::from_utf8_lossy(&self.text[start..self.at]).into_owned());
            return Ok(());
        }
        for harmless in [&b">/dev/null"[..], b"> /dev/null", b">&1", b">&2"] {
            if rest.starts_with(harmless)
                && rest.get(harmless.len()).is_none_or(|byte| b" \t\n;|&)".contains(byte))
            {
                self.at += harmless.len();
                return Ok(());
            }
        }
        self.refuse()
    }

    fn heredocs(&mut self) -> Result<(), NotUnderstood> {
        for delimiter in std::mem::take(&mut self.pending) {
            let mut lines = Vec::new();
            loop {
                let rest = &self.text[self.at..];
                if rest.is_empty() {
                    return self.refuse();
                }
                let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let line = String::from_utf8_lossy(&rest[..length]).into_owned();
                self.at = (self.at + length + 1).min(self.text.len());
                self.line += 1;
                if line == delimiter {
                    break;
                }
                lines.push(line);
            }
            // It belongs to the group that was just closed; the group's last command stands for it.
            match self.commands.last_mut() {
                Some(command) => command.heredoc = Some(lines),
                None => return self.refuse(),
            }
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), NotUnderstood> {
        let began = self.line;
        let mut word = Vec::new();
        let mut quoted = false;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                b'\'' => {
                    quoted = true;
                    self.at += 1;
                    let rest = &self.text[self.at..];
                    let Some(length) = memchr::memchr(b'\'', rest) else { return self.refuse() };
                    self.line += memchr::memchr_iter(b'\n', &rest[..length]).count();
                    word.extend_from_slice(&rest[..length]);
                    self.at += length + 1;
                }
                b'"' => {
                    quoted = true;
                    self.at += 1;
                    self.double_quoted(&mut word)?;
                }
                b'$' | b'`' => self.expansion(&mut word)?,
                b'\\' => match self.text.get(self.at + 1) {
                    Some(b'\n') => {
                        self.at += 2;
                        self.line += 1;
                    }
                    Some(&byte) => {
                        word.push(byte);
                        self.at += 2;
                    }
                    None => return self.refuse(),
                },
                _ => {
                    word.push(byte);
                    self.at += 1;
                }
            }
        }
        let word = String::from_utf8_lossy(&word).into_owned();
        // A keyword, or the `}` of a group, opens the place for a command.
        if self.words.is_empty() && !quoted && (KEYWORDS.contains(&word.as_str()) || word == "}") {
            return Ok(());
        }
        if self.words.is_empty() {
            self.began = began;
        }
        self.words.push(word);
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Vec<u8>) -> Result<(), NotUnderstood> {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'$' | b'`' => self.expansion(word)?,
                b'\\' => match self.text.get(self.at + 1) {
                    Some(&byte) if b"\\\"$`".contains(&byte) => {
                        word.push(byte);
                        self.at += 2;
                    }
                    _ => return self.refuse(),
                },
                _ => {
                    self.line += usize::from(byte == b'\n');
                    word.push(byte);
                    self.at += 1;
                }
            }
        }
        self.refuse()
    }

    /// Parameters are kept as they are written; of command substitutions only `command -v NAME` passes.
    fn expansion(&mut self, word: &mut Vec<u8>) -> Result<(), NotUnderstood> {
        let rest = &self.text[self.at..];
        let (open, close): (&[u8], u8) = if rest.starts_with(b"`") {
            (b"`", b'`')
        } else if rest.starts_with(b"$(") {
            (b"$(", b')')
        } else if rest.starts_with(b"${") {
            (b"${", b'}')
        } else {
            word.push(b'$');
            self.at += 1;
            return Ok(());
        };
        let inner = &rest[open.len()..];
        let Some(length) = memchr::memchr(close, inner) else { return self.refuse() };
        let inner = &inner[..length];
        if open == b"${" {
            // A parameter that expands to a command would still have to stand where a command is expected.
            if inner.iter().any(|byte| b"`(\n".contains(byte)) {
                return self.refuse();
            }
        } else {
            let name = inner.strip_prefix(b"command -v ").unwrap_or_default();
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+/".contains(byte);
            if name.is_empty() || !name.iter().all(plain) {
                return self.refuse();
            }
        }
        let length = open.len() + length + 1;
        word.extend_from_slice(&rest[..length]);
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        commands(text).unwrap().into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn keywords_operators_and_harmless_redirections_are_taken_off() {
        assert_eq!(
            words(
                "if [ \"$1\" = configure ] || [ -x \"$(command -v x-y)\" ]; then\n\tfoo 'a b' \\\n  c >/dev/null 2>&1 || true\nfi\n"
            ),
            [
                vec!["[", "$1", "=", "configure", "]"],
                vec!["[", "-x", "$(command -v x-y)", "]"],
                vec!["foo", "a b", "c"],
                vec!["true"],
            ]
        );
        assert_eq!(
            words("x 1.2\\~ \"${A:+--root=\\\"$A\\\"}\" # y\n"),
            [["x", "1.2~", "${A:+--root=\\\"$A\\\"}"]]
        );
    }

    #[test]
    fn here_documents_go_to_the_group_before() {
        let found =
            commands("(\n  while read line; do\n mkdir x\n done\n) << DATA\n/a b\n\nDATA\nnext\n").unwrap();
        assert_eq!(found.iter().map(|c| c.line).collect::<Vec<_>>(), [2, 3, 9]);
        assert_eq!(found[1].heredoc, Some(vec!["/a b".to_owned(), String::new()]));
        assert_eq!(found[2].words, ["next"]);
    }

    #[test]
    fn what_could_hide_a_command_is_refused() {
        for text in [
            "a $(rm -rf /)",
            "a `rm -rf /`",
            "a \"$(command -v x; rm y)\"",
            "a ${x:-`rm y`}",
            "a ${x:-$(rm y)}",
            "a > /etc/passwd",
            "a >> /dev/null",
            "a >/dev/nullx",
            "a < /etc/shadow",
            "a 'open",
            "a \"open",
            "a \\",
            "a << EOF\nb\n",
            "<< EOF\nEOF\n",
        ] {
            assert!(commands(text).is_err(), "{text}");
        }
        assert_eq!(commands("a\nb $(c)\n"), Err(NotUnderstood { line: 2 }));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[ -~\n\t]{0,200}") {
            let _ = commands(&text);
        }
    }
}
