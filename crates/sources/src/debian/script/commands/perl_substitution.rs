//! Perl where a script uses it as `sed`, `perl -pi -e 's/…/…/' FILE…`, or asks for the version of a module. Nothing else in Perl is
//! evaluated.
//!
//! **Guarantees**: only expressions that mean the same to both are taken: of each match Perl's first is POSIX's longest, and no
//! match reaches over the end of a line. **Refuses** the rest: variables, alternatives, groups that repeat, what looks ahead.

use super::Word;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// Stands between the parts of a substitution for `sed`; no script has it.
const DELIMITER: u8 = 1;

/// Runs perl.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    // Whether Perl can be started is all that a script may ask.
    if words.len() == 3 && &*words[1] == b"-e" && words[2].is_empty() {
        return Ok(0);
    }
    if let Some(module) = asked_version(words) {
        return match version_of(shell, &module) {
            Some(version) => shell.say(&version).map(|()| 0),
            None => shell.cannot_be_run(words, "the version of this module is not known"),
        };
    }
    match as_sed(words) {
        Some(words) => super::sed::run(shell, &words).map(|_| 0),
        None => shell.cannot_be_run(words, "a program in Perl is not evaluated"),
    }
}

/// The module in `perl -MNAME -e 'print("$NAME::VERSION");'`.
fn asked_version(words: &[Word]) -> Option<String> {
    let [_, module, switch, program] = words else { return None };
    let name = std::str::from_utf8(module.strip_prefix(b"-M")?).ok()?;
    let fits = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if &**switch != b"-e" || !name.split("::").all(fits) {
        return None;
    }
    let program = std::str::from_utf8(program).ok()?.trim();
    let printed = program.strip_suffix(';').unwrap_or(program).strip_prefix("print")?.trim();
    let printed = printed.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(printed).trim();
    let printed = printed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(printed);
    (printed == format!("${name}::VERSION")).then(|| name.to_owned())
}

/// The version that a module of Debian's says of itself, in one line and as a text.
fn version_of(shell: &mut Shell<'_, '_>, module: &str) -> Option<Vec<u8>> {
    let path = format!("/usr/share/perl5/{}.pm", module.replace("::", "/"));
    let text = shell.world().read(b"/", path.as_bytes()).ok()?;
    let text = String::from_utf8_lossy(&text);
    let own = format!("${module}::VERSION");
    let mut said = text.lines().filter_map(|line| {
        let line = line.strip_prefix("our ").unwrap_or(line);
        let value = line.strip_prefix(&own).or_else(|| line.strip_prefix("$VERSION"))?.trim_start();
        let value = value.strip_prefix('=')?.trim_start();
        let (quote, rest) = (value.chars().next()?, value.get(1..)?);
        let (version, rest) = rest.split_once(quote).filter(|_| matches!(quote, '"' | '\''))?;
        let plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        (plain && rest.trim_start().starts_with(';')).then(|| version.to_owned())
    });
    let version = said.next()?;
    said.next().is_none().then(|| version.into_bytes())
}

/// The words of `sed` for `perl -p [-i[SUFFIX]] -e PROGRAM FILE…`.
fn as_sed(words: &[Word]) -> Option<Vec<Word>> {
    let (mut prints, mut in_place, mut program) = (false, None, Vec::new());
    let mut rest = words[1..].iter();
    let mut files: Vec<Word> = Vec::new();
    while let Some(word) = rest.next() {
        let Some(mut letters) = word.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else {
            files.push(word.clone());
            files.extend(rest.cloned());
            break;
        };
        while let Some((letter, more)) = letters.split_first() {
            letters = more;
            match letter {
                b'p' => prints = true,
                b'i' => in_place = Some(std::mem::take(&mut letters)),
                b'e' if letters.is_empty() => {
                    program.extend(rest.next()?.iter());
                    program.push(b';');
                }
                _ => return None,
            }
        }
    }
    if !prints || program.is_empty() || files.is_empty() {
        return None;
    }
    let mut out: Vec<Word> = vec![Word::from(&b"sed"[..]), Word::from(&b"-E"[..])];
    if let Some(suffix) = in_place {
        out.push([b"-i", suffix].concat().into());
    }
    let mut rest = &program[..];
    loop {
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => break,
            Some((b';', more)) => rest = more,
            Some((b's', more)) => {
                let (substitution, more) = substitution(more)?;
                out.extend([Word::from(&b"-e"[..]), substitution.into()]);
                rest = more;
            }
            Some(_) => return None,
        }
    }
    out.push(Word::from(&b"--"[..]));
    out.extend(files);
    Some(out)
}

/// `/PATTERN/REPLACEMENT/FLAGS` for `sed -E`, and what stands behind it.
fn substitution(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (&delimiter, text) = text.split_first()?;
    if !delimiter.is_ascii_punctuation() || b"{([<'\\".contains(&delimiter) || text.contains(&DELIMITER) {
        return None;
    }
    let (pattern, text) = part(text, delimiter)?;
    let (replacement, text) = part(text, delimiter)?;
    let length = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (flags, rest) = text.split_at(length);
    if flags.iter().any(|flag| !b"gi".contains(flag)) || !rest.trim_ascii_start().starts_with(b";") {
        return None;
    }
    let (pattern, replacement) = (expression(&pattern)?, replaced(&replacement, &pattern)?);
    let mark = [DELIMITER];
    Some(([b"s", &mark[..], &pattern, &mark, &replacement, &mark, flags].concat(), rest))
}

/// Text up to the delimiter; one behind a backslash stands for itself.
fn part(text: &[u8], delimiter: u8) -> Option<(Vec<u8>, &[u8])> {
    let (mut part, mut rest) = (Vec::new(), text);
    loop {
        match rest {
            [byte, more @ ..] if *byte == delimiter => return Some((part, more)),
            [b'\\', byte, more @ ..] => {
                // A delimiter that means something in an expression keeps its backslash.
                let plain = *byte == delimiter && !b".*+?^$|)]}".contains(byte);
                part.extend_from_slice(if plain { &rest[1..2] } else { &rest[..2] });
                rest = more;
            }
            [byte, more @ ..] => {
                part.push(*byte);
                rest = more;
            }
            [] => return None,
        }
    }
}

/// An expression of Perl as one of POSIX, where both find the same.
fn expression(text: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), text);
    // Whether the last part that must be there is behind all that could be the end of a line.
    let mut within_the_line = true;
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        let mut may_end_a_line = false;
        match byte {
            b'\\' => {
                let (&escaped, more) = rest.split_first()?;
                rest = more;
                match escaped {
                    b's' | b'W' => {
                        may_end_a_line = true;
                        out.extend([b'\\', escaped]);
                    }
                    b'S' | b'w' => out.extend([b'\\', escaped]),
                    b'd' => out.extend(b"[0-9]"),
                    b't' => out.push(b'\t'),
                    b'b' => {
                        out.extend(b"\\b");
                        continue;
                    }
                    other if other.is_ascii_alphanumeric() || !other.is_ascii_graphic() => return None,
                    other if b".[]*+?(){}|^$\\".contains(&other) => out.extend([b'\\', other]),
                    other => out.push(other),
                }
            }
            b'[' => {
                let end = class_end(rest)?;
                let class = &rest[..end];
                may_end_a_line = class.starts_with(b"^");
                rest = &rest[end..];
                out.push(b'[');
                out.extend(class);
            }
            b'(' if rest.starts_with(b"?") => return None,
            // What repeats a group, or one of several, may find a shorter match first.
            b')' if rest.first().is_some_and(|next| b"*+?{".contains(next)) => return None,
            b'^' | b'(' | b')' => {
                out.push(byte);
                continue;
            }
            b'$' if rest.is_empty() || rest.starts_with(b")") => {
                out.push(byte);
                continue;
            }
            b'$' | b'|' | b'{' | b'}' | b'*' | b'+' | b'?' | b'\n' => return None,
            b'@' if rest.first().is_some_and(|next| next.is_ascii_alphabetic() || *next == b'_') => {
                return None;
            }
            plain => out.push(plain),
        }
        let optional = matches!(rest.first(), Some(b'*' | b'?')) || rest.starts_with(b"{0");
        match rest.split_first() {
            Some((b'{', more)) => {
                let end = memchr::memchr(b'}', more)?;
                if !more[..end].iter().all(|byte| byte.is_ascii_digit() || *byte == b',')
                    || !more.first()?.is_ascii_digit()
                {
                    return None;
                }
                out.push(b'{');
                out.extend(&more[..=end]);
                rest = &more[end + 1..];
            }
            Some((&quantifier @ (b'*' | b'+' | b'?'), more)) => {
                out.push(quantifier);
                rest = more;
            }
            _ => {}
        }
        if rest.first().is_some_and(|next| b"*+?".contains(next)) {
            return None;
        }
        within_the_line = if may_end_a_line { false } else { within_the_line || !optional };
    }
    within_the_line.then_some(out)
}

/// Where the class whose `[` was read ends, behind its `]`. Nothing where it has escapes.
fn class_end(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.starts_with(b"^"));
    at += usize::from(text.get(at) == Some(&b']'));
    loop {
        match text.get(at..)? {
            [b'\\' | b'\n' | b'$' | b'@', ..] | [] => return None,
            [b'[', b':', more @ ..] => at += 4 + memchr::memmem::find(more, b":]")?,
            [b']', ..] => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// What Perl puts in the place of a match, as `sed` writes it. A group that the pattern has not is refused.
fn replaced(text: &[u8], pattern: &[u8]) -> Option<Vec<u8>> {
    let groups = memchr::memchr_iter(b'(', pattern).count();
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        match byte {
            b'$' | b'\\' if rest.first().is_some_and(|next| (b'1'..=b'9').contains(next)) => {
                if rest.get(1).is_some_and(u8::is_ascii_digit) || usize::from(rest[0] - b'0') > groups {
                    return None;
                }
                out.extend([b'\\', rest[0]]);
                rest = &rest[1..];
            }
            b'$' | b'\n' => return None,
            b'@' if rest.first().is_some_and(|next| next.is_ascii_alphabetic() || *next == b'_') => {
                return None;
            }
            b'\\' => {
                let (&escaped, more) = rest.split_first()?;
                rest = more;
                match escaped {
                    b'n' => out.extend(b"\\n"),
                    b't' => out.push(b'\t'),
                    other if other.is_ascii_alphanumeric() || !other.is_ascii_graphic() => return None,
                    other if b"\\&".contains(&other) => out.extend([b'\\', other]),
                    other => out.push(other),
                }
            }
            b'&' => out.extend(b"\\&"),
            plain => out.push(plain),
        }
    }
    Some(out)
}
