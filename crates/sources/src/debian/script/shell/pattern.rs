//! Shell patterns over bytes: `*`, `?`, `[…]`, with quoted bytes standing for themselves (POSIX.1-2024, XCU 2.14).

use super::super::world::Fuel;

/// Longest name of a class of characters.
const MAX_CLASS: usize = 6;
/// What a step of a match takes, in units of fuel.
const STEP: u64 = 5;

/// A pattern, ready to be matched.
#[derive(Clone, Debug)]
pub(in crate::debian::script) struct Pattern(Vec<Item>);

#[derive(Clone, Debug)]
enum Item {
    Byte(u8),
    Any,
    Many,
    Set { negated: bool, members: Vec<Member> },
}

#[derive(Clone, Debug)]
enum Member {
    Range(u8, u8),
    Class(Class),
}

type Class = fn(&u8) -> bool;

/// A byte of a word that is expanded, and whether it was quoted.
pub(super) type Marked = (u8, bool);

/// The classes of characters, by name, in the C locale.
pub(in crate::debian::script) const CLASSES: [(&[u8], Class); 12] = [
    (b"alpha", u8::is_ascii_alphabetic),
    (b"digit", u8::is_ascii_digit),
    (b"alnum", u8::is_ascii_alphanumeric),
    (b"upper", u8::is_ascii_uppercase),
    (b"lower", u8::is_ascii_lowercase),
    (b"space", |byte| byte.is_ascii_whitespace() || *byte == 0x0b),
    (b"blank", |byte| matches!(byte, b' ' | b'\t')),
    (b"punct", u8::is_ascii_punctuation),
    (b"print", |byte| byte.is_ascii_graphic() || *byte == b' '),
    (b"graph", u8::is_ascii_graphic),
    (b"cntrl", u8::is_ascii_control),
    (b"xdigit", u8::is_ascii_hexdigit),
];

impl Pattern {
    /// A pattern whose quoted bytes are marked.
    pub(super) fn new(marked: &[Marked]) -> Self {
        let mut items = Vec::new();
        let mut at = 0;
        // Behind the last bracket that could close one, none opens a set.
        let closing = marked.iter().rposition(|mark| *mark == (b']', false)).unwrap_or(0);
        while let Some(&(byte, quoted)) = marked.get(at) {
            at += 1;
            items.push(match byte {
                _ if quoted => Item::Byte(byte),
                b'*' => {
                    // Several in a row are one, so that matching stays quick.
                    if matches!(items.last(), Some(Item::Many)) {
                        continue;
                    }
                    Item::Many
                }
                b'?' => Item::Any,
                b'\\' => match marked.get(at) {
                    Some(&(escaped, _)) => {
                        at += 1;
                        Item::Byte(escaped)
                    }
                    None => Item::Byte(byte),
                },
                b'[' if at > closing => Item::Byte(byte),
                b'[' => match set(&marked[at..]) {
                    Some((item, length)) => {
                        at += length;
                        item
                    }
                    None => Item::Byte(byte),
                },
                _ => Item::Byte(byte),
            });
        }
        Self(items)
    }

    /// A pattern from text without quotes: arguments of `find -name`, `case` of another program.
    pub(in crate::debian::script) fn of_text(text: &[u8]) -> Self {
        Self::new(&text.iter().map(|&byte| (byte, false)).collect::<Vec<_>>())
    }

    /// Whether there is anything but plain bytes.
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|item| matches!(item, Item::Byte(_)))
    }

    /// Whether the first item is a plain dot: only then a name that begins with one is met by a glob.
    pub(super) fn begins_with_dot(&self) -> bool {
        matches!(self.0.first(), Some(Item::Byte(b'.')))
    }

    /// Whether it matches all of `text`. At most `text × pattern` steps: only the last `*` is tried again. What the steps take
    /// is charged; without fuel nothing matches.
    pub(in crate::debian::script) fn matches(&self, text: &[u8], fuel: &Fuel) -> bool {
        let (mut item, mut at) = (0, 0);
        let mut again: Option<(usize, usize)> = None;
        let mut steps = 0;
        loop {
            steps += STEP;
            if steps > 1 << 20 && fuel.spend(std::mem::take(&mut steps)).is_err() {
                return false;
            }
            match self.0.get(item) {
                Some(Item::Many) => {
                    again = Some((item + 1, at));
                    item += 1;
                    continue;
                }
                Some(one) if text.get(at).is_some_and(|byte| one.takes(*byte)) => {
                    steps += one.cost();
                    item += 1;
                    at += 1;
                    continue;
                }
                None if at == text.len() => return fuel.spend(steps).is_ok(),
                Some(one) => steps += one.cost(),
                None => {}
            }
            match again {
                Some((after, from)) if from < text.len() => {
                    again = Some((after, from + 1));
                    (item, at) = (after, from + 1);
                }
                _ => {
                    let _ = fuel.spend(steps);
                    return false;
                }
            }
        }
    }

    /// The length of the prefix of `text` that is removed by `#` or `##`.
    pub(super) fn prefix(&self, text: &[u8], extent: Extent, fuel: &Fuel) -> Option<usize> {
        let mut lengths = 0..=text.len();
        let matches = |length: &usize| fuel.has_run_out() || self.matches(&text[..*length], fuel);
        match extent {
            Extent::Smallest => lengths.find(matches),
            Extent::Largest => lengths.rev().find(matches),
        }
    }

    /// Where the suffix of `text` begins that is removed by `%` or `%%`.
    pub(super) fn suffix(&self, text: &[u8], extent: Extent, fuel: &Fuel) -> Option<usize> {
        let mut starts = 0..=text.len();
        let matches = |start: &usize| fuel.has_run_out() || self.matches(&text[*start..], fuel);
        match extent {
            Extent::Smallest => starts.rev().find(matches),
            Extent::Largest => starts.find(matches),
        }
    }
}

/// How much of a text a pattern takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// As little as it can.
    Smallest,
    /// As much as it can.
    Largest,
}

impl Item {
    /// What a look at it takes beside a step.
    fn cost(&self) -> u64 {
        match self {
            Self::Set { members, .. } => members.len() as u64,
            _ => 0,
        }
    }

    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(wanted) => byte == *wanted,
            Self::Any => true,
            Self::Many => false,
            Self::Set { negated, members } => {
                let found = members.iter().any(|member| match member {
                    Member::Range(low, high) => (*low..=*high).contains(&byte),
                    Member::Class(class) => class(&byte),
                });
                found != *negated
            }
        }
    }
}

/// A bracket expression after its `[`, and how many bytes it has; nothing where it does not end.
fn set(marked: &[Marked]) -> Option<(Item, usize)> {
    let mut at = 0;
    let negated = matches!(marked.first(), Some((b'!' | b'^', false)));
    at += usize::from(negated);
    let mut members = Vec::new();
    let first = at;
    loop {
        let (byte, quoted) = *marked.get(at)?;
        if byte == b']' && !quoted && at > first {
            return Some((Item::Set { negated, members }, at + 1));
        }
        if byte == b'[' && !quoted && marked.get(at + 1) == Some(&(b':', false)) {
            let rest: Vec<u8> = marked[at + 2..].iter().take(MAX_CLASS + 2).map(|(byte, _)| *byte).collect();
            // A class that is not known is no class, as in dash.
            if let Some(end) = rest.windows(2).position(|pair| pair == b":]")
                && let Some(class) = CLASSES.iter().find(|(name, _)| *name == &rest[..end])
            {
                members.push(Member::Class(class.1));
                at += 2 + end + 2;
                continue;
            }
        }
        let mut low = byte;
        if byte == b'\\' && !quoted && marked.get(at + 1).is_some() {
            at += 1;
            low = marked[at].0;
        }
        let ranged = marked.get(at + 1) == Some(&(b'-', false));
        match (ranged, marked.get(at + 2)) {
            (true, Some(&(high, quoted))) if high != b']' || quoted => {
                members.push(Member::Range(low, high));
                at += 3;
            }
            _ => {
                members.push(Member::Range(low, low));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each line was asked of dash: `case TEXT in PATTERN) echo yes;; esac`.
    #[test]
    fn patterns_match_as_case_does() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[", "[", true),
            ("[a", "[a", true),
            ("[[:digit:]]*", "1x", true),
            ("[[:digit:]]*", "x1", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[a-]", "-", true),
        ] {
            assert_eq!(
                Pattern::of_text(pattern.as_bytes()).matches(text.as_bytes(), &Fuel::default()),
                matches,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_take_long() {
        assert!(!Pattern::of_text(b"*a*a*a*a*a*a*a*a*a*a*b").matches(&vec![b'a'; 20_000], &Fuel::default()));
    }
}
