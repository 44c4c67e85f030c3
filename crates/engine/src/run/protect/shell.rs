//! Words of commands, as far as they say which files are run: lines for a shell (XCU 2.2 and 2.3), lists of arguments, scripts.
//!
//! ```text
//!   sh tools/x.sh            what an interpreter is given       cd conf && ./z       conf/./z: counted from there
//!   env -i X=1 tools/x       what is started by another         bash -c 'tools/x'    a line in a word
//!   "$PWD/x", ~/x            the directory, the home            PATH_add bin         a directory of programs
//! ```
//!
//! **Guarantees**: a parser of text and nothing else, bounded in depth; what it does not understand it passes over. A word too
//! many does no harm here, so both sides of a condition are read and every file that a line could name is a word of it.
//! **Leaves** what only a shell knows: variables other than `PWD` and `HOME`, patterns, what a substitution prints (but for
//! `pwd` and the top of a repository).

/// Stands for the directory that a command belongs to (a workspace, a checkout); no text that anybody writes has it.
pub(in crate::run) const PLACE: &str = "\u{1}";
/// Stands for what cannot be known.
const UNKNOWN: char = '\u{2}';
/// Stands for the directory that a command is in.
const HERE: char = '\u{3}';

/// How deep lines may be in words of lines.
const DEPTH_MAX: usize = 4;

/// Put in the place of what prints a directory, before anything is read.
const PRINTED: [(&str, &str); 4] = [
    ("$(git rev-parse --show-toplevel)", PLACE),
    ("`git rev-parse --show-toplevel`", PLACE),
    ("$(pwd)", "$PWD"),
    ("`pwd`", "$PWD"),
];

/// Programs that execute a file which they are given, and what they take for it when it has another name or is a directory.
const INTERPRETERS: [(&str, Given); 22] = [
    (".", Given::File),
    ("bash", Given::File),
    ("bun", Given::Node),
    ("dash", Given::File),
    ("deno", Given::File),
    ("fish", Given::File),
    ("ksh", Given::File),
    ("lua", Given::File),
    ("node", Given::Node),
    ("nodejs", Given::Node),
    ("nodemon", Given::Node),
    ("perl", Given::File),
    ("php", Given::File),
    ("python", Given::Python),
    ("ruby", Given::File),
    ("sh", Given::File),
    ("source", Given::File),
    ("source_env", Given::File),
    ("source_env_if_exists", Given::File),
    ("ts-node", Given::Node),
    ("tsx", Given::Node),
    ("zsh", Given::File),
];
/// Programs that start the one which they are given.
const STARTERS: [&str; 15] = [
    "builtin", "command", "doas", "env", "eval", "exec", "ionice", "nice", "nohup", "setsid", "stdbuf",
    "sudo", "time", "timeout", "xargs",
];
/// Programs that do so after another word.
const RUNNERS: [&str; 11] =
    ["bun", "conda", "deno", "hatch", "mise", "pdm", "pipenv", "pipx", "poetry", "rye", "uv"];
/// The same with names of packages and scripts, which may have a slash in them and are no paths.
const PACKAGES: [&str; 6] = ["bunx", "npm", "npx", "pnpm", "uvx", "yarn"];
/// The words.
const RUN: [&str; 4] = ["dlx", "exec", "run", "x"];
/// Words of a shell before which or after which a command begins.
const RESERVED: [&str; 11] = ["!", "do", "elif", "else", "fi", "done", "if", "then", "until", "while", "{"];
/// What direnv's library has for a directory of programs, and whether another word comes before it (direnv-stdlib(1)).
const FOLDERS: [(&str, bool); 2] = [("PATH_add", false), ("path_add", true)];
/// Endings of what an interpreter runs, so that a word after others is known as one.
const SCRIPTS: [&str; 13] =
    ["bash", "cjs", "cts", "js", "jsx", "mjs", "mts", "pl", "py", "rb", "sh", "ts", "tsx"];

/// Who is given a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Given {
    /// Nobody.
    #[default]
    Not,
    /// Who takes it as it is.
    File,
    /// Node.js and its like.
    Node,
    /// Python.
    Python,
}

/// A word of a command that may be a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Counted from where the command is, or from [`PLACE`] where it says so.
    pub(super) text: String,
    /// Whether it is what is run: the command itself, what an interpreter is given, what begins as paths do.
    pub(super) is_run: bool,
    /// Whether it is a path even though nothing is there.
    pub(super) is_path: bool,
    /// The interpreter that is given it, with or without a slash.
    pub(super) given: Given,
    /// Whether it is a directory of which every file is a command from then on.
    pub(super) folder: bool,
}

/// Words of a line that a shell, or something like it, is given in the directory `cwd`.
pub(super) fn line(cwd: &str, line: &str) -> Vec<Word> {
    let mut reader = Reader { cwd: cwd.to_owned(), words: Vec::new(), depth: 0 };
    reader.line(line);
    reader.words
}

/// Words of a command whose words are known.
pub(super) fn arguments(cwd: &str, arguments: &[String]) -> Vec<Word> {
    let mut reader = Reader { cwd: cwd.to_owned(), words: Vec::new(), depth: 0 };
    reader.command(arguments);
    reader.words
}

/// Words that are divided by blanks, with quotes taken away.
pub(super) fn quoted(text: &str) -> Vec<String> {
    commands(text).into_iter().flatten().collect()
}

struct Reader {
    /// Where the command is by now.
    cwd: String,
    words: Vec<Word>,
    depth: usize,
}

/// What the next word of a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A command.
    First,
    /// What is given to an interpreter.
    Given(Given),
    /// What a runner is given: a file, a command, or its word for that.
    Run(Given),
    /// The same of who knows packages.
    Package,
    /// A directory to go to.
    Directory,
    /// A directory of programs, after so many other words.
    Folder(usize),
    /// Anything.
    Argument,
}

impl Reader {
    fn line(&mut self, text: &str) {
        if self.depth == DEPTH_MAX {
            return;
        }
        self.depth += 1;
        let text =
            PRINTED.into_iter().fold(text.to_owned(), |text, (printed, place)| text.replace(printed, place));
        for command in commands(&text) {
            self.command(&command);
        }
        self.depth -= 1;
    }

    fn command(&mut self, words: &[String]) {
        let mut next = Next::First;
        // The interpreter of the command, once there is one.
        let mut interpreter = Given::Not;
        for text in words {
            // A line in a word, as `sh -c` has it.
            if is_line(text) {
                let cwd = self.cwd.clone();
                self.line(text);
                self.cwd = cwd;
            }
            if let Some((name, value)) = text.split_once('=') {
                // A variable's value, or an option's; each of those that a colon divides, too.
                let plain = name.chars().all(|c| c.is_alphanumeric() || "_-+".contains(c));
                if plain && !name.is_empty() {
                    let folders = name.trim_end_matches('+') == "PATH";
                    for value in value.split(':') {
                        self.word(value, folders, Given::Not, folders);
                    }
                    continue;
                }
            }
            if text.starts_with('-') && text.len() > 1 {
                // Most options that take a word take one that does no harm here either.
                self.word(
                    text.trim_start_matches(|c: char| c == '-' || c.is_ascii_alphabetic()),
                    false,
                    Given::Not,
                    false,
                );
                continue;
            }
            let script = text.rsplit_once('.').is_some_and(|(_, ending)| SCRIPTS.contains(&ending));
            match next {
                Next::First if RESERVED.contains(&text.as_str()) => {}
                Next::First => {
                    self.word(text, true, Given::Not, false);
                    (next, interpreter) = after(text);
                }
                // A number is what `timeout` and `nice` are given.
                Next::Run(_)
                    if RUN.contains(&text.as_str()) || text.starts_with(|c: char| c.is_ascii_digit()) => {}
                Next::Run(_) | Next::Package => {
                    let given = if let Next::Run(given) = next { given } else { Given::Not };
                    self.word(text, next != Next::Package, given, false);
                    let started = after(text);
                    interpreter = if started.1 == Given::Not { given } else { started.1 };
                    next = started.0;
                }
                Next::Given(given) => {
                    self.word(text, true, given, false);
                    next = Next::Argument;
                }
                Next::Directory => {
                    self.cwd = join(&self.cwd, &self.expanded(text));
                    next = Next::Argument;
                }
                Next::Folder(before) => {
                    if before == 0 {
                        self.word(text, true, Given::Not, true);
                    }
                    next = Next::Folder(before.saturating_sub(1));
                }
                Next::Argument => {
                    let given = if script { interpreter } else { Given::Not };
                    self.word(text, false, given, false);
                }
            }
        }
    }

    /// Keeps a word that may be a file.
    fn word(&mut self, text: &str, may_be_path: bool, given: Given, folder: bool) {
        let text = self.expanded(text);
        if text.strip_prefix(PLACE).is_some_and(|rest| !rest.starts_with('/')) {
            // The directory itself, or what only looks like a path in it (`$PWD:/w`).
            return;
        }
        let begins = ["/", "./", "../", "~", PLACE].iter().any(|start| text.starts_with(start));
        let is_run = begins || given != Given::Not || folder || (may_be_path && text.contains('/'));
        // Whether a file has such a name, or it is a line, is known only where there is one.
        let is_path = begins || folder || (is_run && text.contains('/'));
        let is_path = is_path && !is_line(&text);
        let text = join(&self.cwd, &text);
        if !text.is_empty() && !text.contains([UNKNOWN, '\0']) {
            self.words.push(Word { text, is_run, is_path, given, folder });
        }
    }

    /// A word with the directory that the command is in.
    fn expanded(&self, text: &str) -> String {
        let cwd = if self.cwd.is_empty() { PLACE } else { &self.cwd };
        text.replace(HERE, cwd)
    }
}

/// Whether a word can be a line of its own.
fn is_line(word: &str) -> bool {
    word.contains(|c: char| c.is_whitespace() || ";&|()".contains(c))
}

/// What comes after a command, and which interpreter it is.
fn after(command: &str) -> (Next, Given) {
    let name = command.rsplit('/').next().unwrap_or(command);
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let plain = if plain.is_empty() { name } else { plain };
    let given =
        INTERPRETERS.iter().find(|(known, _)| *known == plain).map_or(Given::Not, |(_, given)| *given);
    let next = if let Some((_, before)) = FOLDERS.iter().find(|(known, _)| *known == name) {
        Next::Folder(usize::from(*before))
    } else if matches!(name, "cd" | "pushd") {
        Next::Directory
    } else if PACKAGES.contains(&name) {
        Next::Package
    } else if STARTERS.contains(&name) {
        Next::Run(Given::Not)
    } else if RUNNERS.contains(&name) {
        // What is started is a file of the directory where there is one.
        Next::Run(if given == Given::Not { Given::File } else { given })
    } else if given != Given::Not {
        Next::Given(given)
    } else {
        Next::Argument
    };
    (next, given)
}

/// A path counted from another one, as it is spelled.
fn join(cwd: &str, path: &str) -> String {
    if cwd.is_empty() || path.is_empty() || ["/", "~", PLACE].iter().any(|start| path.starts_with(start)) {
        return path.to_owned();
    }
    format!("{cwd}/{path}")
}

/// The simple commands of a line, each with its words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    // The word that is being read, once it has begun.
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if !quoted => {
                let word = word.get_or_insert_default();
                word.extend(chars.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(c) => {
                    let word = word.get_or_insert_default();
                    if quoted && !matches!(c, '$' | '`' | '"' | '\\') {
                        word.push('\\');
                    }
                    word.push(c);
                }
            },
            '$' if matches!(chars.peek(), Some('(')) => {
                if quoted {
                    word.get_or_insert_default().push(UNKNOWN);
                }
            }
            '$' => word.get_or_insert_default().push_str(&variable(&mut chars)),
            '*' | '?' | '[' if !quoted => word.get_or_insert_default().push(UNKNOWN),
            '#' if !quoted && word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            // What is substituted is a command of its own, in quotes too, and so is what comes after it.
            '\n' | ';' | '&' | '|' if !quoted => end(&mut found, &mut words, &mut word),
            '`' | '(' | ')' if !quoted || c == '`' => end(&mut found, &mut words, &mut word),
            '<' | '>' if !quoted => words.extend(word.take()),
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    end(&mut found, &mut words, &mut word);
    found
}

fn end(found: &mut Vec<Vec<String>>, words: &mut Vec<String>, word: &mut Option<String>) {
    words.extend(word.take());
    if !words.is_empty() {
        found.push(std::mem::take(words));
    }
}

/// What stands for a variable whose `$` was read.
fn variable(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let braces = chars.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| if braces { *c != '}' } else { c.is_alphanumeric() || *c == '_' }) {
        name.push(c);
    }
    if braces {
        chars.next();
    } else if name.is_empty() {
        // `$1` was a name; `$@` and its like are not.
        if chars.next_if(|c| "@*#?-$!".contains(*c)).is_none() {
            return "$".to_owned();
        }
    }
    match name.as_str() {
        "PWD" => HERE.to_string(),
        "HOME" => "~".to_owned(),
        _ => UNKNOWN.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that are paths or are given, as `text`, `text <` where an interpreter is given them, `text *` where all in it counts.
    fn told(words: &[Word]) -> Vec<String> {
        let mark = |word: &Word| match (word.folder, word.given) {
            (true, _) => " *",
            (_, Given::Not) => "",
            _ => " <",
        };
        let counts =
            words.iter().filter(|word| word.is_path || (word.given != Given::Not && !is_line(&word.text)));
        counts.map(|word| format!("{}{}", word.text.replace(PLACE, "@"), mark(word))).collect()
    }

    /// Expected is what a shell runs for these lines.
    #[test]
    fn what_a_line_runs_is_found_in_each_way_of_saying_it() {
        for (text, expected) in [
            ("./watch --fast", &["./watch"][..]),
            ("sh tools/x.sh", &["tools/x.sh <"]),
            ("FOO=./y tools/x 2>./log", &["./y", "tools/x", "./log"]),
            ("cd conf && ./z", &["conf/./z"]),
            ("cd a; cd b; ../z", &["a/b/../z"]),
            ("cd \"$PWD/a\" && node b", &["@/a/b <"]),
            ("\"$PWD/conf/y\"", &["@/conf/y"]),
            ("${PWD}/conf/y", &["@/conf/y"]),
            ("\"$(git rev-parse --show-toplevel)/conf/y\"", &["@/conf/y"]),
            ("`pwd`/y", &["@/y"]),
            ("$HOME/y ~/z ~me/z", &["~/y", "~/z", "~me/z"]),
            ("\"$x/y\" $1/z */a ./[ab]", &[]),
            ("x=$(./a | ./b); \"./c\" `./d`", &["./a", "./b", "./c", "./d"]),
            ("if test -x ./a; then ./b; else tools/c; fi", &["./a", "./b", "tools/c"]),
            ("! tools/a && { tools/b; } # ./no", &["tools/a", "tools/b"]),
            ("a/b c/d", &["a/b"]),
            ("node --require ./hook server.js data", &["./hook <", "server.js <"]),
            ("python3.12 -u srv", &["srv <"]),
            ("python3 -W ignore x.py", &["ignore <", "x.py <"]),
            ("env -i X=1 tools/x", &["tools/x"]),
            ("timeout 5s tools/x", &["tools/x"]),
            ("uv run --frozen scripts/s4", &["scripts/s4 <"]),
            ("uv run python srv.py", &["python <", "srv.py <"]),
            ("npx -y tsx src/a", &["src/a <"]),
            ("deno run -A srv", &["srv <"]),
            ("npx @scope/tool && npm run lint/fix && npx ./mine", &["./mine"]),
            ("docker run -v \"$PWD\":/w -w \"$PWD\" x/y sh; echo $PWD $PWD.old", &[]),
            ("sh -c 'cd scripts && ./s3'", &["scripts/./s3"]),
            ("eval \"tools/x y\" && z/a", &["tools/x", "z/a"]),
            ("PATH_add bin\npath_add PYTHONPATH lib\nsource_env ../up", &["bin *", "lib *", "../up <"]),
            ("export PATH=$PWD/bin:./sbin:$PATH", &["@/bin *", "./sbin *"]),
        ] {
            assert_eq!(told(&line("", text)), expected, "{text}");
        }
    }

    #[test]
    fn arguments_are_words_whatever_is_in_them() {
        for (arguments_of, expected) in [
            (&["tools/run", "a/b"][..], &["tools/run"][..]),
            (&["bash", "-c", "cd scripts && ./s3"], &["scripts/./s3"]),
            (&["uv", "run", "scripts/s4"], &["scripts/s4 <"]),
            (&["node", "~/x", "README.md"], &["~/x <"]),
        ] {
            let arguments_of: Vec<String> = arguments_of.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(told(&arguments("", &arguments_of)), expected, "{arguments_of:?}");
        }
        assert_eq!(told(&arguments("sub", &["./run".into()])), ["sub/./run"]);
    }

    /// It may be a line as well: where there is no such file nothing can be said.
    #[test]
    fn a_word_with_blanks_is_run_where_it_is_a_file() {
        for words in
            [line("", "'my tools/x' a"), line("", "my\\ tools/x a"), arguments("", &["my tools/x".into()])]
        {
            let word = words.iter().find(|word| word.text == "my tools/x").unwrap();
            assert!(word.is_run && !word.is_path, "{words:?}");
        }
    }

    #[test]
    fn lines_in_lines_have_an_end() {
        for (depth, found) in [(2, true), (6, false)] {
            let deep = (0..depth).fold("./x y".to_owned(), |line, _| format!("sh -c {line:?}"));
            assert_eq!(line("", &deep).iter().any(|word| word.text == "./x"), found, "{deep}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_survived(text: String) {
            line("", &text);
            line("a", &format!("sh -c \"{text}' $({text}\\"));
        }

        /// A word that is quoted is one word, and the same.
        #[test]
        fn a_quoted_word_is_itself(text in "[^'\\x00-\\x03=]{1,20}") {
            let found = commands(&format!("'{text}'"));
            proptest::prop_assert_eq!(found, vec![vec![text]]);
        }
    }
}
