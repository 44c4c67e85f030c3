//! What people read: `ls`, `date`, `fold`. The time is the image's: no clock is asked.

use std::rc::Rc;

use super::Command;
use super::Word;
use super::files;
use super::options;
use super::options::Given;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use super::text;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;
use crate::debian::version;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "date" => date,
        "fold" => fold,
        "ls" => ls,
        _ => return None,
    })
}

/// A moment in UTC.
struct Moment {
    seconds: u64,
    year: u64,
    month: usize,
    day: u64,
    of_year: u64,
    weekday: usize,
}

impl Moment {
    /// From seconds since 1970, by the rules of the Gregorian calendar.
    fn new(seconds: u64) -> Self {
        let mut left = seconds / 86_400;
        let weekday = ((left + 4) % 7) as usize;
        let leap =
            |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        // 400 years have as many days everywhere.
        let mut year = 1970 + left / 146_097 * 400;
        left %= 146_097;
        while left >= 365 + u64::from(leap(year)) {
            left -= 365 + u64::from(leap(year));
            year += 1;
        }
        let of_year = left + 1;
        let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while left >= lengths[month] {
            left -= lengths[month];
            month += 1;
        }
        Self { seconds, year, month, day: left + 1, of_year, weekday }
    }

    fn formatted(&self, format: &str) -> Option<String> {
        let mut out = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            let mut directive = letters.next()?;
            // `%-d` without the zero, as GNU's date has it.
            let bare = directive == '-';
            if bare {
                directive = letters.next()?;
            }
            let (hour, minute, second) =
                (self.seconds / 3_600 % 24, self.seconds / 60 % 60, self.seconds % 60);
            let part = match directive {
                '%' => "%".to_owned(),
                'n' => "\n".to_owned(),
                't' => "\t".to_owned(),
                's' => self.seconds.to_string(),
                'Y' => self.year.to_string(),
                'y' => format!("{:02}", self.year % 100),
                'C' => format!("{:02}", self.year / 100),
                'm' => format!("{:02}", self.month + 1),
                'd' => format!("{:02}", self.day),
                'e' => format!("{:2}", self.day),
                'j' => format!("{:03}", self.of_year),
                'H' => format!("{hour:02}"),
                'I' => format!("{:02}", (hour + 11) % 12 + 1),
                'M' => format!("{minute:02}"),
                'S' => format!("{second:02}"),
                'N' => "000000000".to_owned(),
                'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
                'b' | 'h' => MONTHS[self.month][..3].to_owned(),
                'B' => MONTHS[self.month].to_owned(),
                'a' => DAYS[self.weekday][..3].to_owned(),
                'A' => DAYS[self.weekday].to_owned(),
                'w' => self.weekday.to_string(),
                'u' => if self.weekday == 0 { 7 } else { self.weekday }.to_string(),
                'Z' => "UTC".to_owned(),
                'z' => "+0000".to_owned(),
                'F' => self.formatted("%Y-%m-%d")?,
                'T' => self.formatted("%H:%M:%S")?,
                'R' => self.formatted("%H:%M")?,
                'D' => self.formatted("%m/%d/%y")?,
                'c' => self.formatted("%a %b %e %H:%M:%S %Y")?,
                _ => return None,
            };
            out.push_str(if bare { part.trim_start_matches(['0', ' ']) } else { &part });
        }
        Some(out)
    }
}

/// `date [-u] [-R] [-d @SECONDS] [-r FILE] [+FORMAT]`
fn date(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('u', "utc"),
        flag('u', "universal"),
        flag('R', "rfc-email"),
        flag('R', "rfc-2822"),
        valued('d', "date"),
        valued('r', "reference"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let seconds = match (given.value('d').cloned(), given.value('r').cloned()) {
        (Some(text), _) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            // What `date` itself has said before is understood again.
            let now = shell.world().epoch;
            let said = Moment::new(now).formatted("%a %b %e %H:%M:%S %Z %Y");
            let seconds = if text == "now" || said.as_ref() == Some(&text) {
                Some(now)
            } else {
                text.strip_prefix('@').and_then(|text| text.parse().ok())
            };
            seconds.ok_or_else(|| shell.fault(words, "this date is not understood"))?
        }
        (None, Some(path)) => match shell.world().stat(&cwd, &path, Last::Followed) {
            Ok(stat) => stat.meta.mtime,
            Err(errno) => return shell.failed(words, &path, errno),
        },
        (None, None) => shell.world().epoch,
    };
    let format = match &given.operands[..] {
        [] if given.has('R') => "%a, %d %b %Y %H:%M:%S %z".to_owned(),
        [] => "%a %b %e %H:%M:%S %Z %Y".to_owned(),
        [format] if format.starts_with(b"+") => String::from_utf8_lossy(&format[1..]).into_owned(),
        _ => return Err(shell.fault(words, "the clock is not set")),
    };
    match Moment::new(seconds).formatted(&format) {
        Some(said) => {
            shell.say(format!("{said}\n").as_bytes())?;
            Ok(0)
        }
        None => Err(shell.fault(words, "this format of date is not known")),
    }
}

/// `ls [-1dAalnLv] [PATH…]`, one name a line as in a pipe.
fn ls(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('1', ""),
        flag('d', "directory"),
        flag('A', "almost-all"),
        flag('a', "all"),
        flag('L', "dereference"),
        flag('l', ""),
        flag('n', "numeric-uid-gid"),
        flag('h', "human-readable"),
        flag('r', "reverse"),
        // All times are the image's.
        flag('t', ""),
        // Names in the order of versions.
        flag('v', ""),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('h') {
        return Err(shell.fault(words, "sizes are not shortened"));
    }
    let cwd = shell.cwd().to_vec();
    let dot: [Word; 1] = [Rc::from(&b"."[..])];
    let paths = if given.operands.is_empty() { &dot[..] } else { &given.operands[..] };
    let mut status = 0;
    // What is no directory comes first, together; then each directory with what lies in it, behind its name where there is more.
    let (mut lines, mut directories): (Lines, Vec<(Vec<u8>, Lines)>) = (Vec::new(), Vec::new());
    for path in paths {
        let long = given.has('l') || given.has('n');
        let last =
            if long && !given.has('L') && !path.ends_with(b"/") { Last::Itself } else { Last::Followed };
        let found = shell.world().stat(&cwd, path, last).or_else(|errno| match last {
            Last::Followed => shell.world().stat(&cwd, path, Last::Itself).map_err(|_| errno),
            Last::Itself => Err(errno),
        });
        match found {
            Ok(stat) if stat.kind == Kind::Directory && !given.has('d') => {
                let mut names =
                    shell.world().list(&stat.path).map_err(|errno| shell.fault(words, errno.to_string()))?;
                names.retain(|name| given.has('A') || given.has('a') || !name.starts_with(b"."));
                if given.has('a') {
                    names.extend([b".".to_vec(), b"..".to_vec()]);
                }
                let place = |name: &Vec<u8>| [path, &b"/"[..], name].concat();
                let within = names.into_iter().map(|name| (name.clone(), place(&name))).collect();
                directories.push((path.to_vec(), within));
            }
            Ok(_) => lines.push((path.to_vec(), path.to_vec())),
            Err(errno) => status = shell.failed(words, path, errno)?.max(2),
        }
    }
    let compare = |left: &[u8], right: &[u8]| {
        let order = if given.has('v') { version::compare(left, right) } else { left.cmp(right) };
        if given.has('r') { order.reverse() } else { order }
    };
    lines.sort_by(|left, right| compare(&left.0, &right.0));
    directories.sort_by(|left, right| compare(&left.0, &right.0));
    let mut separated = lines.is_empty();
    list(shell, &given, lines)?;
    for (directory, mut within) in directories {
        if paths.len() > 1 {
            let before: &[u8] = if separated { b"" } else { b"\n" };
            shell.say(&[before, &directory[..], b":\n"].concat())?;
        }
        separated = false;
        within.sort_by(|left, right| compare(&left.0, &right.0));
        list(shell, &given, within)?;
    }
    Ok(status)
}

/// Names as they are shown, and where they lie.
type Lines = Vec<(Vec<u8>, Vec<u8>)>;

fn list(shell: &mut Shell<'_, '_>, given: &Given, lines: Lines) -> Result<(), Flow> {
    let cwd = shell.cwd().to_vec();
    for (name, place) in lines {
        if given.has('l') || given.has('n') {
            let owner = if given.has('n') { "%u %g" } else { "%U %G" };
            let format = format!("%A %h {owner} %s @%Y");
            let call: [Word; 4] = [
                Rc::from(&b"stat"[..]),
                Rc::from(&b"--printf"[..]),
                Rc::from(format.as_bytes()),
                place.clone().into(),
            ];
            let line = files::stat_text(shell, &call)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let (before, seconds) = line.rsplit_once('@').unwrap_or((&line, "0"));
            let time = Moment::new(seconds.parse().unwrap_or(0)).formatted("%b %e  %Y").unwrap_or_default();
            shell.say(format!("{before}{time} ").as_bytes())?;
            let target = shell.world().locate(&cwd, &place, Last::Itself).ok();
            let target =
                target.and_then(|path| match shell.world().tree.get(&path).map(|node| node.kind.clone()) {
                    Some(pinfold_archive::NodeKind::Symlink(target)) => Some(target),
                    _ => None,
                });
            if let Some(target) = target {
                shell.say(&[&name[..], b" -> ", &target[..], b"\n"].concat())?;
                continue;
            }
        }
        shell.say(&[&name[..], b"\n"].concat())?;
    }
    Ok(())
}

/// `fold [-s] [-w COLUMNS]`
fn fold(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('s', "spaces"), flag('b', "bytes"), valued('w', "width")];
    let given = options::read(shell, words, KNOWN)?;
    let width = match given.value('w') {
        Some(text) => String::from_utf8_lossy(text).parse().unwrap_or(0),
        None => 80_usize,
    };
    if width == 0 {
        return Err(shell.fault(words, "a width is a number"));
    }
    let mut status = 0;
    let bytes = text::input(shell, words, &given.operands, &mut status)?;
    if !given.has('b') && bytes.iter().any(|byte| matches!(byte, b'\t' | 8 | b'\r')) {
        return Err(shell.fault(words, "tabs are not folded"));
    }
    shell.spend_bytes(2 * bytes.len())?;
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / width);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (mut text, end) = match line.strip_suffix(b"\n") {
            Some(text) => (text, &b"\n"[..]),
            None => (line, &b""[..]),
        };
        while text.len() > width {
            let blank = text[..width].iter().rposition(|byte| *byte == b' ').filter(|_| given.has('s'));
            let at = blank.map_or(width, |at| at + 1);
            out.extend_from_slice(&text[..at]);
            out.push(b'\n');
            text = &text[at..];
        }
        out.extend_from_slice(text);
        out.extend_from_slice(end);
    }
    shell.say(&out)?;
    Ok(status)
}
