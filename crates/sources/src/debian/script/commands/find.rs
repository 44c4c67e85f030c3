//! find: which files there are, and a command for each.

use std::rc::Rc;

use pinfold_base::ImagePath;

use super::Word;
use super::files::last_component;
use super::regex::Dialect;
use super::regex::Expression;
use super::regex::Letters;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Pattern;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;
use crate::debian::script::world::Stat;

/// What an expression of find asks or does.
#[derive(Debug)]
enum Primary {
    Kind(Kind),
    Name(Pattern),
    Path(Pattern),
    /// The whole of what is shown.
    Regex(Box<Expression>),
    Empty,
    Mode {
        all: bool,
        any: bool,
        mode: u32,
    },
    User(u32),
    Group(u32),
    NoUser,
    NoGroup,
    /// The name, whatever its case.
    AnyCase(Pattern),
    /// Blocks of this size: more, fewer or as many as that.
    Size(std::cmp::Ordering, u64, u64),
    Quit,
    Print,
    PrintNul,
    Format(Vec<u8>),
    Delete,
    Prune,
    Execute {
        words: Vec<Word>,
        together: bool,
    },
    /// The same in the directory of each file.
    ExecuteThere(Vec<Word>),
    Always(bool),
    Not(Box<Primary>),
    And(Vec<Primary>),
    Or(Vec<Primary>),
}

impl Primary {
    /// Whether it prints or does something, so that nothing is printed by default.
    fn acts(&self) -> bool {
        match self {
            Self::Quit
            | Self::Print
            | Self::PrintNul
            | Self::Format(_)
            | Self::Delete
            | Self::ExecuteThere(_)
            | Self::Execute { .. } => true,
            Self::Not(inner) => inner.acts(),
            Self::And(all) | Self::Or(all) => all.iter().any(Self::acts),
            _ => false,
        }
    }
}

struct Reader<'r> {
    words: &'r [Word],
    at: usize,
    least: usize,
    most: usize,
    depth_first: bool,
    follows: Follows,
    /// What `-regex` behind it is written in.
    written: Written,
}

/// `-regextype`: what an expression is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// As Emacs has it, which is find's own: `+` and `?` are special, groups and alternatives have backslashes.
    Emacs,
    Other(Dialect),
}

/// An expression as Emacs has it, in the basic syntax.
fn basic_of_emacs(pattern: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (mut out, mut rest) = (Vec::new(), pattern);
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' | b'?' => out.extend([b'\\', byte]),
            b'\\' => match rest.split_first() {
                Some((b'+' | b'?', behind)) => {
                    out.push(rest[0]);
                    rest = behind;
                }
                Some((b'{' | b'}', _)) => return Err("braces have no meaning in this type of `find -regex`"),
                Some((other, behind)) => {
                    out.extend([b'\\', *other]);
                    rest = behind;
                }
                None => return Err("an expression of `find -regex` ends in a backslash"),
            },
            b'[' => {
                // A bracket expression ends at the first `]` that is not its first character.
                let skip = usize::from(rest.first() == Some(&b'^'));
                let from = (skip + 1).min(rest.len());
                let Some(end) = memchr::memchr(b']', &rest[from..]) else {
                    return Err("a bracket of `find -regex` is not closed");
                };
                if rest[..from + end].contains(&b'[') {
                    return Err("classes in brackets are not known in this type of `find -regex`");
                }
                out.push(b'[');
                out.extend_from_slice(&rest[..=from + end]);
                rest = &rest[from + end + 1..];
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Which links are what they lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    None,
    /// Those on the command line.
    Roots,
    All,
}

/// Runs find.
pub(super) fn find(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut reader = Reader {
        words,
        at: 1,
        least: 0,
        most: usize::MAX,
        depth_first: false,
        follows: Follows::None,
        written: Written::Emacs,
    };
    while let Some(word) = words.get(reader.at) {
        match &**word {
            b"-L" => reader.follows = Follows::All,
            b"-H" => reader.follows = Follows::Roots,
            b"-P" => reader.follows = Follows::None,
            _ => break,
        }
        reader.at += 1;
    }
    let start = reader.at;
    while words
        .get(reader.at)
        .is_some_and(|word| !word.starts_with(b"-") && !matches!(&**word, b"(" | b"!" | b")"))
    {
        reader.at += 1;
    }
    let mut roots = words[start..reader.at].to_vec();
    if roots.is_empty() {
        roots.push(Rc::from(&b"."[..]));
    }
    let expression = if reader.at < words.len() { reader.either(shell, 0)? } else { Primary::Always(true) };
    if reader.at < words.len() {
        return Err(shell.fault(words, "this expression of `find` is not understood"));
    }
    let expression =
        if expression.acts() { expression } else { Primary::And(vec![expression, Primary::Print]) };
    let cwd = shell.cwd().to_vec();
    let (mut status, mut together) = (0, Vec::new());
    'roots: for root in roots {
        let last = if reader.follows == Follows::None { Last::Itself } else { Last::Followed };
        let stat = shell.world().stat(&cwd, &root, last);
        // A link that leads nowhere is itself.
        let stat = stat.or_else(|errno| shell.world().stat(&cwd, &root, Last::Itself).map_err(|_| errno));
        let stat = match stat {
            Ok(stat) => stat,
            Err(errno) => {
                status = shell.failed(words, &root, errno)?;
                continue;
            }
        };
        // In the order of their names, so that the result is one; a directory comes last where that is asked.
        let mut paths: Vec<ImagePath> =
            shell.world().tree.below(&stat.path).map(|(path, _)| path.clone()).collect();
        if paths.is_empty() {
            paths.push(stat.path.clone());
        }
        shell.spend(500 * paths.len() as u64)?;
        if reader.depth_first {
            paths.reverse();
        }
        let mut pruned: Vec<ImagePath> = Vec::new();
        for path in paths {
            shell.spend(20 * pruned.len() as u64)?;
            if pruned.iter().any(|pruned| path.starts_with(pruned)) {
                continue;
            }
            let below = path.strip_prefix(&stat.path).unwrap_or_default().to_vec();
            let depth = if below.is_empty() { 0 } else { 1 + memchr::memchr_iter(b'/', &below).count() };
            if depth < reader.least
                || depth > reader.most
                || !path.is_root() && !shell.world().tree.contains(&path)
            {
                continue;
            }
            let shown = if below.is_empty() {
                root.to_vec()
            } else {
                [root.strip_suffix(b"/").unwrap_or(&root), b"/", &below].concat()
            };
            let mut found =
                Found { path, shown, below, prune: false, quit: false, failed: false, stat: None };
            let is_root = found.below.is_empty();
            found.stat = looked_at(shell, words, &found.path, is_root, reader.follows)?;
            holds(shell, words, &expression, &mut found, &mut together)?;
            if found.failed {
                status = 1;
            }
            if found.quit {
                break 'roots;
            }
            if found.prune && !reader.depth_first {
                pruned.push(found.path);
            }
        }
    }
    for (command, paths) in together {
        let all: Vec<Word> = [command, paths].concat();
        if shell.start(&all)? != 0 {
            status = 1;
        }
    }
    Ok(status)
}

struct Found {
    path: ImagePath,
    shown: Vec<u8>,
    /// Without the starting point.
    below: Vec<u8>,
    prune: bool,
    /// Nothing more is looked at.
    quit: bool,
    /// What it is: looked at once, as find does.
    stat: Option<Stat>,
    /// Something could not be done.
    failed: bool,
}

/// What a path is to find.
fn looked_at(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    path: &ImagePath,
    is_root: bool,
    follows: Follows,
) -> Result<Option<Stat>, Flow> {
    let path = [b"/", path.as_bytes()].concat();
    let stat = shell.world().stat(b"/", &path, Last::Itself).ok();
    // With `-L` a link is what it leads to; one that leads nowhere is itself. A root was followed before.
    if follows != Follows::All || is_root || stat.as_ref().is_none_or(|stat| stat.kind != Kind::Link) {
        return Ok(stat);
    }
    let stat = shell.world().stat(b"/", &path, Last::Followed).ok().or(stat);
    if stat.as_ref().is_some_and(|stat| stat.kind == Kind::Directory) {
        return Err(shell.fault(words, "a link to a directory is not followed by `find`"));
    }
    Ok(stat)
}

/// The last component of what is shown, without slashes behind it.
fn base(found: &Found) -> &[u8] {
    match last_component(&found.shown) {
        b"" => b"/",
        name => name,
    }
}

/// Commands of `-exec … +` with their words, to be run at the end.
type Together = Vec<(Vec<Word>, Vec<Word>)>;

fn holds(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    primary: &Primary,
    found: &mut Found,
    together: &mut Together,
) -> Result<bool, Flow> {
    shell.spend(200)?;
    let stat = found.stat.clone();
    Ok(match primary {
        Primary::Kind(kind) => stat.is_some_and(|stat| stat.kind == *kind),
        Primary::Name(pattern) => shell.matches(pattern, base(found))?,
        Primary::Path(pattern) => shell.matches(pattern, &found.shown)?,
        Primary::Regex(expression) => {
            shell.spend(expression.price(found.shown.len()))?;
            expression.is_match(&found.shown)
        }
        Primary::Empty => stat.is_some_and(|stat| match stat.kind {
            Kind::File => stat.size == 0,
            Kind::Directory => shell.world().tree.below(&found.path).all(|(path, _)| *path == found.path),
            _ => false,
        }),
        Primary::Mode { all, any, mode } => stat.is_some_and(|stat| match (all, any) {
            (true, _) => stat.meta.mode & mode == *mode,
            (_, true) => *mode == 0 || stat.meta.mode & mode != 0,
            _ => stat.meta.mode == *mode,
        }),
        Primary::User(uid) => stat.is_some_and(|stat| stat.meta.uid == *uid),
        Primary::Group(gid) => stat.is_some_and(|stat| stat.meta.gid == *gid),
        Primary::NoUser => stat.is_some_and(|stat| shell.world().accounts.user_name(stat.meta.uid).is_none()),
        Primary::NoGroup => {
            stat.is_some_and(|stat| shell.world().accounts.group_name(stat.meta.gid).is_none())
        }
        Primary::AnyCase(pattern) => {
            let name = base(found).to_ascii_lowercase();
            shell.matches(pattern, &name)?
        }
        Primary::Size(order, block, count) => {
            stat.is_some_and(|stat| stat.size.div_ceil(*block).cmp(count) == *order)
        }
        Primary::Quit => {
            found.quit = true;
            true
        }
        Primary::Print => {
            let line = [&found.shown[..], b"\n"].concat();
            shell.say(&line)?;
            true
        }
        Primary::PrintNul => {
            let line = [&found.shown[..], b"\0"].concat();
            shell.say(&line)?;
            true
        }
        Primary::Format(format) => {
            let line = formatted(format, found, stat.as_ref()).map_err(|what| shell.fault(words, what))?;
            shell.say(&line)?;
            true
        }
        Primary::Delete => match shell.world().remove(&found.path) {
            Ok(()) => true,
            Err(errno) => {
                let shown = found.shown.clone();
                shell.failed(words, &shown, errno)?;
                found.failed = true;
                false
            }
        },
        Primary::Prune => {
            found.prune = true;
            true
        }
        Primary::Execute { words: command, together: true } => {
            let path: Word = Rc::from(&found.shown[..]);
            match together.iter_mut().find(|(known, _)| known == command) {
                Some((_, paths)) => paths.push(path),
                None => together.push((command.clone(), vec![path])),
            }
            true
        }
        Primary::Execute { words: command, together: false } => {
            let command: Vec<Word> = command.iter().map(|word| put(word, b"{}", &found.shown)).collect();
            shell.start(&command)? == 0
        }
        Primary::ExecuteThere(command) => {
            // find(1): the directory of a starting point is that of its name, and `{}` has `./` in front.
            let name = [b"./", base(found)].concat();
            let command: Vec<Word> = command.iter().map(|word| put(word, b"{}", &name)).collect();
            let there = [b"/", found.path.parent().unwrap_or_default().as_bytes()].concat();
            shell.start_in(there, &command)? == 0
        }
        Primary::Always(value) => *value,
        Primary::Not(inner) => !holds(shell, words, inner, found, together)?,
        Primary::And(all) => {
            for one in all {
                if !holds(shell, words, one, found, together)? {
                    return Ok(false);
                }
            }
            true
        }
        Primary::Or(all) => {
            for one in all {
                if holds(shell, words, one, found, together)? {
                    return Ok(true);
                }
            }
            false
        }
    })
}

/// `-printf`: `%f %p %P %h %m`, and escapes.
fn formatted(format: &[u8], found: &Found, stat: Option<&Stat>) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    let mut rest = format.iter();
    while let Some(&byte) = rest.next() {
        match (byte, byte == b'%' || byte == b'\\') {
            (_, false) => out.push(byte),
            (b'\\', _) => match rest.next() {
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b'0') => out.push(0),
                Some(b'\\') => out.push(b'\\'),
                _ => return Err("this escape of `find -printf` is not known"),
            },
            _ => {
                let slash = found.shown.iter().rposition(|byte| *byte == b'/');
                match rest.next() {
                    Some(b'%') => out.push(b'%'),
                    Some(b'p') => out.extend_from_slice(&found.shown),
                    Some(b'P') => out.extend_from_slice(&found.below),
                    Some(b'f') => out.extend_from_slice(&found.shown[slash.map_or(0, |at| at + 1)..]),
                    Some(b'h') => out.extend_from_slice(slash.map_or(&b"."[..], |at| &found.shown[..at])),
                    Some(b'm') => out.extend(format!("{:o}", stat.map_or(0, |stat| stat.meta.mode)).bytes()),
                    _ => return Err("this directive of `find -printf` is not known"),
                }
            }
        }
    }
    Ok(out)
}

impl Reader<'_> {
    fn unknown<T>(&self, shell: &Shell<'_, '_>) -> Result<T, Flow> {
        Err(shell.fault(self.words, "this expression of `find` is not understood"))
    }

    fn either(&mut self, shell: &mut Shell<'_, '_>, depth: usize) -> Result<Primary, Flow> {
        if depth > 50 {
            return self.unknown(shell);
        }
        let mut all = vec![self.both(shell, depth)?];
        while self.words.get(self.at).is_some_and(|word| matches!(&**word, b"-o" | b"-or")) {
            self.at += 1;
            all.push(self.both(shell, depth)?);
        }
        Ok(Primary::Or(all))
    }

    fn both(&mut self, shell: &mut Shell<'_, '_>, depth: usize) -> Result<Primary, Flow> {
        let mut all = Vec::new();
        loop {
            match self.words.get(self.at).map(|word| &**word) {
                None | Some(b"-o" | b"-or" | b")") => return Ok(Primary::And(all)),
                Some(b"-a" | b"-and") => self.at += 1,
                Some(_) => all.push(self.primary(shell, depth)?),
            }
        }
    }

    fn value(&mut self, shell: &Shell<'_, '_>) -> Result<Word, Flow> {
        self.at += 1;
        match self.words.get(self.at - 1) {
            Some(word) => Ok(word.clone()),
            None => self.unknown(shell),
        }
    }

    fn number(&mut self, shell: &Shell<'_, '_>) -> Result<usize, Flow> {
        let word = self.value(shell)?;
        match String::from_utf8_lossy(&word).parse() {
            Ok(number) => Ok(number),
            Err(_) => self.unknown(shell),
        }
    }

    fn primary(&mut self, shell: &mut Shell<'_, '_>, depth: usize) -> Result<Primary, Flow> {
        if depth > 50 {
            return self.unknown(shell);
        }
        let word = self.value(shell)?;
        Ok(match &*word {
            b"!" | b"-not" => Primary::Not(Box::new(self.primary(shell, depth + 1)?)),
            b"(" => {
                let inner = self.either(shell, depth + 1)?;
                if &*self.value(shell)? != b")" {
                    return self.unknown(shell);
                }
                inner
            }
            b"-type" => match &*self.value(shell)? {
                b"f" => Primary::Kind(Kind::File),
                b"d" => Primary::Kind(Kind::Directory),
                b"l" => Primary::Kind(Kind::Link),
                // There are no devices, sockets and FIFOs.
                b"b" | b"c" | b"p" | b"s" => Primary::Always(false),
                _ => return self.unknown(shell),
            },
            b"-name" => Primary::Name(Pattern::of_text(&self.value(shell)?)),
            b"-path" | b"-wholename" => Primary::Path(Pattern::of_text(&self.value(shell)?)),
            b"-regextype" => {
                self.written = match &*self.value(shell)? {
                    b"emacs" | b"findutils-default" => Written::Emacs,
                    b"posix-basic" | b"ed" | b"sed" | b"grep" => Written::Other(Dialect::Basic),
                    b"posix-extended" | b"posix-egrep" | b"egrep" => Written::Other(Dialect::Extended),
                    _ => return self.unknown(shell),
                };
                Primary::Always(true)
            }
            b"-regex" | b"-iregex" => {
                let pattern = self.value(shell)?;
                let letters = if &*word == b"-regex" { Letters::Exact } else { Letters::AnyCase };
                let expression = match self.written {
                    Written::Other(dialect) => Expression::of_whole(&pattern, dialect, letters),
                    Written::Emacs => basic_of_emacs(&pattern)
                        .map_err(str::to_owned)
                        .and_then(|basic| Expression::of_whole(&basic, Dialect::Basic, letters)),
                };
                let expression = expression.map_err(|what| shell.fault(self.words, what))?;
                shell.spend(expression.made())?;
                Primary::Regex(Box::new(expression))
            }
            b"-empty" => Primary::Empty,
            b"-perm" => {
                let text = self.value(shell)?;
                let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"/")).unwrap_or(&text);
                let mode = u32::from_str_radix(&String::from_utf8_lossy(digits), 8);
                match mode {
                    Ok(mode) => {
                        Primary::Mode { all: text.starts_with(b"-"), any: text.starts_with(b"/"), mode }
                    }
                    Err(_) => return self.unknown(shell),
                }
            }
            b"-iname" => Primary::AnyCase(Pattern::of_text(&self.value(shell)?.to_ascii_lowercase())),
            b"-nouser" => Primary::NoUser,
            b"-nogroup" => Primary::NoGroup,
            b"-quit" => Primary::Quit,
            b"-uid" => Primary::User(u32::try_from(self.number(shell)?).unwrap_or(u32::MAX)),
            b"-gid" => Primary::Group(u32::try_from(self.number(shell)?).unwrap_or(u32::MAX)),
            b"-size" => {
                let text = self.value(shell)?;
                let (order, rest) = match text.split_first() {
                    Some((b'+', rest)) => (std::cmp::Ordering::Greater, rest),
                    Some((b'-', rest)) => (std::cmp::Ordering::Less, rest),
                    _ => (std::cmp::Ordering::Equal, &text[..]),
                };
                let (digits, block) = match rest.split_last() {
                    Some((b'c', digits)) => (digits, 1),
                    Some((b'k', digits)) => (digits, 1 << 10),
                    Some((b'M', digits)) => (digits, 1 << 20),
                    Some((b'b', digits)) => (digits, 512),
                    _ => (rest, 512),
                };
                match std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
                    Some(count) => Primary::Size(order, block, count),
                    None => return self.unknown(shell),
                }
            }
            b"-user" | b"-group" => {
                let name = String::from_utf8_lossy(&self.value(shell)?).into_owned();
                let accounts = &shell.world().accounts;
                let id = if &*word == b"-user" { accounts.uid(&name) } else { accounts.gid(&name) };
                match id.or_else(|| name.parse().ok()) {
                    Some(id) if &*word == b"-user" => Primary::User(id),
                    Some(id) => Primary::Group(id),
                    None => {
                        return Err(
                            shell.fault(self.words, format!("`{}` is no user or group", name.escape_debug()))
                        );
                    }
                }
            }
            b"-maxdepth" => {
                self.most = self.number(shell)?;
                Primary::Always(true)
            }
            b"-mindepth" => {
                self.least = self.number(shell)?;
                Primary::Always(true)
            }
            b"-depth" => {
                self.depth_first = true;
                Primary::Always(true)
            }
            b"-xdev" | b"-mount" | b"-noleaf" | b"-ignore_readdir_race" | b"-true" => Primary::Always(true),
            b"-follow" => {
                self.follows = Follows::All;
                Primary::Always(true)
            }
            b"-false" => Primary::Always(false),
            b"-print" => Primary::Print,
            b"-print0" => Primary::PrintNul,
            b"-printf" => Primary::Format(self.value(shell)?.to_vec()),
            b"-delete" => {
                self.depth_first = true;
                Primary::Delete
            }
            b"-prune" => Primary::Prune,
            b"-exec" | b"-execdir" => {
                let mut command = Vec::new();
                loop {
                    let end = self.value(shell)?;
                    let together =
                        &*end == b"+" && command.last().is_some_and(|last: &Word| &**last == b"{}");
                    if together {
                        command.pop();
                    }
                    if together || &*end == b";" {
                        break match (&*word, together) {
                            (b"-exec", _) => Primary::Execute { words: command, together },
                            (_, false) => Primary::ExecuteThere(command),
                            (_, true) => return self.unknown(shell),
                        };
                    }
                    command.push(end);
                }
            }
            _ => return self.unknown(shell),
        })
    }
}

/// A word with every mark in it replaced.
pub(super) fn put(word: &[u8], mark: &[u8], value: &[u8]) -> Word {
    let (mut rest, mut out) = (word, Vec::new());
    while let Some(at) = rest.windows(mark.len().max(1)).position(|part| part == mark) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(value);
        rest = &rest[at + mark.len()..];
    }
    out.extend_from_slice(rest);
    out.into()
}
