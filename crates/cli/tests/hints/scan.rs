//! The hints of the sources: every text in a function that gives hints.
//!
//! A text counts that has a blank in it and is not what something is compared with. Tests are passed over.

use std::path::Path;
use std::path::PathBuf;

/// Functions whose texts are hints.
const GIVING: [&str; 3] = ["own_hint", "hint", "fix"];
/// What a text is compared with is none.
const COMPARING: [&str; 5] = ["contains", "ends_with", "join", "starts_with", "strip_prefix"];

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// A hint with its file, counted from `crates`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hint {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// All hints of the code base.
pub(crate) fn all() -> Vec<Hint> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for room in fs_err::read_dir(&crates).unwrap().flatten() {
        let sources = room.path().join("src");
        if sources.is_dir() {
            below(&sources, &mut files);
        }
    }
    let mut all = Vec::new();
    for path in files {
        let source = fs_err::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&crates).unwrap().display().to_string();
        all.extend(of(&source).into_iter().map(|text| Hint { file: file.clone(), text }));
    }
    all.sort();
    all.dedup();
    all
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let tests = name.ends_with("tests.rs") || ["tests", "testing.rs", "toy"].contains(&name.as_str());
        if path.is_dir() && !tests {
            below(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") && !tests {
            files.push(path);
        }
    }
}

/// The hints of one source.
pub(crate) fn of(source: &str) -> Vec<String> {
    let tests = source.match_indices("#[cfg(test)]\n").find(|(at, attribute)| {
        let rest = &source[at + attribute.len()..];
        rest.lines().next().is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    });
    let tokens = tokens(&source[..tests.map_or(source.len(), |(at, _)| at)]);
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let mut hints = Vec::new();
    for at in 0..tokens.len() {
        if word(at) == "fn" && GIVING.contains(&word(at + 1)) {
            let Some(begin) = (at..tokens.len())
                .find(|&at| matches!(tokens[at], Token::Sign('{' | ';')))
                .filter(|&at| tokens[at] == Token::Sign('{'))
            else {
                continue;
            };
            let end = closing(&tokens, begin);
            for (at, token) in tokens.iter().enumerate().take(end).skip(begin) {
                if let Token::Text(text) = token
                    && !COMPARING.contains(&word(at.saturating_sub(2)))
                    && text.trim().contains(' ')
                {
                    hints.push(text.clone());
                }
            }
        } else if word(at) == "Failure" && word(at + 3) == "usage" {
            let end = closing(&tokens, at + 4);
            let last = tokens[at..end].iter().rev().find_map(|token| match token {
                Token::Text(text) => Some(text.clone()),
                _ => None,
            });
            hints.extend(last);
        }
    }
    hints
}

/// Where the bracket at `begin` is closed.
fn closing(tokens: &[Token], begin: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(begin) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut index = 0;
    while index < chars.len() {
        let c = chars[index];
        if c == '/' && at(index + 1) == '/' {
            while index < chars.len() && chars[index] != '\n' {
                index += 1;
            }
        } else if c == '"' {
            let (text, next) = text(&chars, index + 1);
            tokens.push(Token::Text(text));
            index = next;
        } else if c == 'r'
            && (at(index + 1) == '"' || (at(index + 1) == '#' && matches!(at(index + 2), '"' | '#')))
        {
            let hashes = chars[index + 1..].iter().take_while(|c| **c == '#').count();
            let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            let begin = index + 2 + hashes;
            let rest: String = chars[begin..].iter().collect();
            let text = &rest[..rest.find(&end).unwrap_or(rest.len())];
            tokens.push(Token::Text(text.to_owned()));
            index = begin + text.chars().count() + end.chars().count();
        } else if c == '\'' {
            // A character, or a lifetime.
            let length = if at(index + 1) == '\\' {
                2 + chars[index + 2..].iter().skip(1).position(|c| *c == '\'').map_or(0, |at| at + 2)
            } else if at(index + 2) == '\'' {
                3
            } else {
                1
            };
            index += length;
        } else if c.is_alphanumeric() || c == '_' {
            let word: String =
                chars[index..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            index += word.chars().count();
            tokens.push(Token::Word(word));
        } else {
            if !c.is_whitespace() {
                tokens.push(Token::Sign(c));
            }
            index += 1;
        }
    }
    tokens
}

/// A text up to its closing quote, as the compiler reads it, and where it goes on.
fn text(chars: &[char], mut index: usize) -> (String, usize) {
    let mut text = String::new();
    while let Some(&c) = chars.get(index) {
        index += 1;
        match c {
            '"' => break,
            '\\' => {
                let escaped = chars.get(index).copied().unwrap_or_default();
                index += 1;
                match escaped {
                    '\n' => {
                        while chars.get(index).is_some_and(|c| c.is_whitespace()) {
                            index += 1;
                        }
                    }
                    'n' => text.push('\n'),
                    other => text.push(other),
                }
            }
            c => text.push(c),
        }
    }
    (text, index)
}

#[test]
fn texts_of_functions_that_give_hints_are_found_and_no_others() {
    let source = r##"
        // fn own_hint() { "in a comment" }
        fn other() -> &'static str { "not a hint" }
        impl Diagnose for E {
            fn own_hint(&self) -> Option<String> {
                match self {
                    Self::A { problem, .. } if problem.starts_with("may be") => Some("say \"a b\" \
                        now".into()),
                    Self::B(c) if *c == '"' || *c == '\'' => Some(format!("set `{name}` to {}", "x y".len())),
                    Self::C => Some(r#"a "raw" text"#.into()),
                    _ => Some("word".into()),
                }
            }
        }
        fn run<'a>(x: &'a str) { Failure::usage(shown!("what is wrong"), "do this instead") }
        trait Diagnose { fn hint(&self) -> Option<String>; }
        #[cfg(test)]
        mod tests {
            fn own_hint() { "in a test" }
        }
    "##;
    let source = source.replace("        #[cfg(test)]\n        mod", "#[cfg(test)]\nmod");
    assert_eq!(
        of(&source),
        ["say \"a b\" now", "set `{name}` to {}", "x y", "a \"raw\" text", "do this instead"]
    );
}
