//! Program text among the words of a command.
//!
//! ```text
//!   sh -c TEXT           a simple command of plain words: judged as one     getkey --json, exec /own/getkey
//!                        anything else                                      /w/k?/x, cd /w;./x, "a"b, X=… ─► refused
//!   perl -e, awk TEXT    other languages                                    ─► refused
//! ```
//!
//! What a shell or another language makes of a text is not read here: a pattern, a variable, two halves of a name or a change
//! of directory reach what no word names. So such a text is no part of a key's command; a script of the user's own may have it.
//!
//! **Guarantees**: whichever program the words are for, once a word is the name of an interpreter, its options that take a
//! text are known until its script has come. **Leaves**: languages of programs that are not in [`LANGUAGES`].

use std::path::Path;

/// A program that understands text in its words.
#[derive(Debug)]
struct Language {
    names: &'static [&'static str],
    /// Letters of options that take a text; they may stand together with others (`-ec`).
    letters: &'static str,
    /// Letters of options that take something else: the rest of the word is that.
    values: &'static str,
    /// Words that do by themselves, or before a `=`; after a `*` what does anywhere in a word, in any case.
    words: &'static [&'static str],
    operand: Operand,
}

/// What a word is that is no option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    /// A script: what follows is for it.
    Script,
    /// A text, unless an option has named a script.
    Text,
    /// Something else; another program may follow.
    Any,
}

/// Languages whose texts are commands of a shell come first: those alone are looked into.
const SHELLS: usize = 2;
static LANGUAGES: [Language; 19] = [
    language(
        &[
            "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "lksh", "oksh", "rbash", "rksh", "csh",
            "tcsh", "yash", "posh", "osh", "ysh", "hush",
        ],
        ["c", ""],
        &["--command"],
        Operand::Script,
    ),
    language(
        &["flock", "su", "runuser", "script", "sg"],
        ["c", ""],
        &["--command", "--session-command"],
        Operand::Any,
    ),
    language(
        &["fish", "nu", "elvish", "pwsh", "xonsh"],
        ["cCeE", ""],
        &["--command", "--commands", "--init-command", "--execute"],
        Operand::Script,
    ),
    language(&["python", "pypy", "expect", "jython"], ["c", "WXQm"], &[], Operand::Script),
    language(&["perl", "raku"], ["eEMmd", "I"], &[], Operand::Script),
    language(&["ruby", "jruby", "irb"], ["er", "ICW"], &[], Operand::Script),
    language(
        &["node", "nodejs", "bun", "deno", "tsx", "ts-node", "qjs"],
        ["epr", "C"],
        &["--eval", "--print", "--require", "--import", "--loader", "--preload", "eval", "exec"],
        Operand::Script,
    ),
    language(
        &["lua", "luajit", "dc", "scala", "groovy", "racket", "Rscript", "R"],
        ["e", "l"],
        &["--eval"],
        Operand::Script,
    ),
    language(
        &["php"],
        ["rBREd", "cf"],
        &["--run", "--process-begin", "--process-code", "--define"],
        Operand::Script,
    ),
    language(&["guile", "clojure", "clj", "bb"], ["ce", "L"], &["--eval"], Operand::Script),
    language(
        &["julia", "elixir", "iex", "erl", "octave", "ghc", "runghc", "sbcl", "emacs"],
        ["eEL", ""],
        &["--eval", "--execute", "--print", "--load"],
        Operand::Script,
    ),
    language(&["awk", "gawk", "mawk", "nawk", "original-awk"], ["e", "vFfE"], &["--source"], Operand::Text),
    language(&["vi", "vim", "nvim", "view", "ex", "gdb", "lldb"], ["cSeo", ""], &["--cmd"], Operand::Any),
    language(&["git"], ["c", "C"], &["--config-env", "--exec-path"], Operand::Any),
    language(&["make", "gmake"], ["E", "CfI"], &["--eval"], Operand::Any),
    language(&["ssh", "scp", "sftp"], ["S", "oFil"], &["*command=", "*command "], Operand::Any),
    language(&["find", "fd", "fdfind", "parallel"], ["", ""], &["-execdir", "-okdir", "*{}"], Operand::Any),
    language(&["tar", "bsdtar"], ["IF", "fC"], &["--to-command", "--checkpoint-action"], Operand::Any),
    // Its assignments are judged as words; where it goes to, and what it splits, are not.
    language(&["env"], ["CS", "u"], &["--chdir", "--split-string"], Operand::Any),
];

const fn language(
    names: &'static [&'static str],
    [letters, values]: [&'static str; 2],
    words: &'static [&'static str],
    operand: Operand,
) -> Language {
    Language { names, letters, values, words, operand }
}

impl Language {
    /// The one that a program of this name understands. A version after the name does not count.
    fn of(name: &str) -> Option<&'static Self> {
        let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
        LANGUAGES.iter().find(|language| language.names.iter().any(|known| *known == name || *known == bare))
    }

    fn is_shell(&self) -> bool {
        LANGUAGES[..SHELLS].iter().any(|shell| shell.names == self.names)
    }

    /// Whether a word brings a text, or says that one follows.
    fn brings(&self, word: &str) -> Option<Brings> {
        for known in self.words {
            if let Some(part) = known.strip_prefix('*') {
                if word.to_ascii_lowercase().contains(part) {
                    return Some(Brings::Text);
                }
            } else if let Some(rest) = word.strip_prefix(known) {
                match rest {
                    "" => return Some(Brings::Next),
                    _ if rest.starts_with('=') => return Some(Brings::Text),
                    _ => {}
                }
            }
        }
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
        let decides = |c: char| self.letters.contains(c) || self.values.contains(c);
        let at =
            letters.find(decides).filter(|at| letters[*at..].starts_with(|c| self.letters.contains(c)))?;
        // A shell's own `-c` takes nothing: others may follow it.
        let is_last = at + 1 == letters.len() || self.operand == Operand::Script;
        Some(if is_last { Brings::Next } else { Brings::Text })
    }
}

/// Where a text is that a word brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brings {
    /// In the word itself.
    Text,
    /// In the next one that is no option.
    Next,
}

/// What is known of the words so far.
#[derive(Debug, Default)]
pub(super) struct Texts {
    language: Option<&'static Language>,
    /// The word before was an option: this one may be its value.
    after_option: bool,
    /// A shell was told that its text follows.
    expected: bool,
}

/// What a word is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// No text.
    Word,
    /// A simple command: its words.
    Command(Vec<String>),
    /// Text of this program that is not read.
    Text(&'static str),
}

impl Texts {
    /// For the words of a program, by its name and its real path.
    pub(super) fn of(name: &Path, real: &Path) -> Self {
        let language = [name, real].iter().find_map(|path| Language::of(path.file_name()?.to_str()?));
        Self { language, ..Self::default() }
    }

    /// Looks at the next word; `real` is the file that it names, if it names one.
    pub(super) fn see(&mut self, word: &str, real: Option<&Path>) -> Seen {
        let is_option = word.len() > 1 && word.starts_with(['-', '+']);
        let after_option = std::mem::replace(&mut self.after_option, is_option && word != "--");
        if let Some(language) = self.language {
            let text = Seen::Text(language.names[0]);
            if self.expected && !is_option {
                return plain(word).map_or(text, Seen::Command);
            }
            // Editors take commands so.
            let is_command = word.starts_with('+') && language.names.contains(&"vim");
            if is_command {
                return text;
            }
            if let Some(brings) = language.brings(word) {
                self.expected = language.is_shell() && brings == Brings::Next;
                return if self.expected { Seen::Word } else { text };
            }
            match language.operand {
                Operand::Any => {}
                Operand::Text if is_option => {
                    if ["-f", "-E", "--file", "--exec"].iter().any(|script| word.starts_with(script)) {
                        self.language = None;
                    }
                    // Only these two have a value that is a word of its own.
                    self.after_option = matches!(word, "-v" | "-F");
                    return Seen::Word;
                }
                Operand::Text if after_option => return Seen::Word,
                Operand::Text => return text,
                Operand::Script => {
                    if !is_option && !after_option {
                        self.language = None;
                    }
                    return Seen::Word;
                }
            }
        }
        let mut names = [Some(Path::new(word)), real].into_iter().flatten();
        if let Some(next) = names.find_map(|path| Language::of(path.file_name()?.to_str()?)) {
            *self = Self { language: Some(next), ..Self::default() };
        }
        Seen::Word
    }
}

/// The words of a simple command that means the same to every shell.
fn plain(text: &str) -> Option<Vec<String>> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+ \t".contains(c);
    let words = text.chars().all(is_plain).then(|| text.split([' ', '\t']).filter(|word| !word.is_empty()));
    words.map(|words| words.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(line: &[&str]) -> Option<Seen> {
        let mut texts = Texts::of(Path::new(line[0]), Path::new(line[0]));
        line[1..].iter().map(|word| texts.see(word, None)).find(|seen| *seen != Seen::Word)
    }

    #[test]
    fn a_text_is_known_wherever_its_interpreter_stands() {
        for line in [
            &["sh", "-c", "/w/k?/k0.sh"][..],
            &["sh", "-ec", "/w/k[1]/k0.sh"],
            &["bash", "--rcfile", "/own/rc", "-c", "/w/$X"],
            &["bash", "-o", "pipefail", "-c", "-x", "/w/*"],
            &["sh", "-c", "/w/{a,b}"],
            &["sh", "-c", "`x`"],
            &["sh", "-c", "cd;w/x"],
            &["sh", "-c", "'/home/me/'w/x"],
            &["sh", "-c", "/home/me/\\w/x"],
            &["sh", "-c", "~root/x"],
            &["sh", "-c", "PATH=w"],
            &["sh", "-c", "x|sh"],
            &["sh", "-c", "cd /home\n./w"],
            &["zsh", "-c", "/w/k<1-3>/x"],
            &["zsh", "-c", "/w/(a|b)"],
            &["timeout", "9", "sh", "-c", "$X"],
            &["timeout", "9", "/bin/bash5.2", "-c", "$X"],
            &["busybox", "sh", "-c", "$X"],
            &["flock", "/lock", "-c", "$X"],
            &["flock", "/lock", "sh", "-c", "$X"],
            &["find", "/own", "-exec", "sh", "-c", "$X", ";"],
            &["find", "/home", "-exec", "{}", ";"],
            &["find", "/home", "-execdir", "x", ";"],
            &["timeout", "9", "env", "-C", "/home", "x"],
            &["fish", "-c", "x"],
            &["perl", "-e", "system(1)"],
            &["perl", "-we", "system(1)"],
            &["perl", "-Mx;system(1)"],
            &["python3.11", "-Ic", "import os"],
            &["node", "--eval=1"],
            &["node", "-p", "1"],
            &["deno", "eval", "1"],
            &["ruby", "-e", "1"],
            &["lua5.4", "-e", "1"],
            &["php", "-r", "1"],
            &["awk", "BEGIN{system(1)}"],
            &["gawk", "-v", "a=1", "BEGIN{}"],
            &["git", "-c", "alias.x=!y", "x"],
            &["vim", "-c", "!x"],
            &["vim", "-es", "+!x"],
            &["su", "-c/w/k?/x"],
            &["ssh", "-o", "ProxyCommand=x", "host"],
            &["ssh", "-oproxycommand=x", "host"],
        ] {
            assert!(matches!(see(line), Some(Seen::Text(_))), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_left_alone() {
        for line in [
            &["sh", "/own/x", "-c", "$X"][..],
            &["sh", "-u", "/own/x"],
            &["sh", "-eu", "--", "/own/x", "-c", "?"],
            &["python3", "/own/x.py", "-c", "conf"],
            &["perl", "/own/x.pl", "-e", "production"],
            &["awk", "-f", "/own/x.awk", "/own/data"],
            &["awk", "-v", "a=1", "-f/own/x.awk", "{}"],
            &["pass", "show", "a/b"],
            &["op", "read", "op://vault/item?attribute=otp"],
            &["jq", "-r", ".a[0].b"],
            &["getkey", "-c", "$X"],
            &["git", "credential", "fill"],
            &["ssh", "-oBatchMode=yes", "host", "pass"],
            &["python3", "-Wignore::ecE", "/own/x.py"],
            &["perl", "-I/home/me/lib", "/own/x.pl"],
            &["timeout", "9", "sh", "/own/x", "-c", "*"],
        ] {
            assert_eq!(see(line), None, "{line:?}");
        }
        let command = |words: &[&str]| Some(Seen::Command(words.iter().map(|&word| word.into()).collect()));
        assert_eq!(see(&["sh", "-c", "exec getkey --json"]), command(&["exec", "getkey", "--json"]));
        assert_eq!(see(&["flock", "/lock", "-c", "/own/getkey"]), command(&["/own/getkey"]));
    }
}
