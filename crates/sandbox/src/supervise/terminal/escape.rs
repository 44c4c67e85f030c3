//! What a program inside may write to the user's terminal: text, and the control sequences that draw.
//!
//! ```text
//!   passed      text (UTF-8); BEL BS HT LF VT FF CR SO SI; ESC 7 8 = > D E H M c, character sets
//!               CSI: cursor, erase, scroll, colours, margins, listed modes, cursor shape, kitty and xterm keyboards
//!               OSC: 0 1 2 title, 4 10 11 12 17 19 and their resets, 8 link, 9;4 progress
//!   passed live questions that a program needs and a number or a colour answers: DA, DSR 5 and 6, DECRQM, XTVERSION,
//!               size, kitty keyboard, OSC 4 and 10 to 19; not passed when old output is shown again
//!   dropped     everything else, among it: OSC 52 (clipboard), 7, 50, 777, 1337; title reports (CSI 21 t) and moving or
//!               resizing the window; DCS (DECRQSS, XTGETTCAP, tmux's passthrough, sixel), APC (kitty graphics read files
//!               of the host), PM, SOS; ENQ; media copy; screen checksums; eight-bit controls, also as UTF-8
//! ```
//!
//! **Guarantees**: the output depends on the input, not on how it was cut up; what is passed on is whole (never half a
//! sequence or character) and passes again unchanged; at most [`HELD_MAX`] bytes are kept. A sequence that is not on the
//! list is dropped to its end, so its text does not appear either. No I/O.
//!
//! Sequences are told apart as in ECMA-48 and the parser of DEC's terminals (vt100.net/emu/dec_ansi_parser), but a control
//! character inside a sequence ends it: that is the one point where terminals differ, and no program does it.

use std::collections::BTreeSet;

use crate::plan::guards::Guard;

/// Bytes of one sequence; a longer one is dropped. Links may be long (RFC 7230, 3.1.1 speaks of 8,000).
pub const HELD_MAX: usize = 8 << 10;

/// Largest number in a CSI sequence: repeating a character a billion times keeps a terminal busy.
const NUMBER_MAX: u32 = 65_535;

/// What is shown for bytes that are no UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Private modes (CSI ? n h) that a program may change: of keys, screen, mouse, focus, paste, frames, colour reports.
const MODES: [u32; 36] = [
    1, 3, 4, 5, 6, 7, 8, 9, 12, 25, 45, 47, 66, 69, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015,
    1016, 1034, 1035, 1036, 1039, 1045, 1047, 1048, 1049, 2004, 2026, 2027, 2031,
];

/// Those that a terminal has on at first.
const USUALLY_ON: [u32; 3] = [7, 8, 25];

/// Whether the program is there to read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// Output of now: its harmless questions are passed on.
    Live,
    /// Output of before, shown again: an answer would be typed into whatever runs now.
    Replay,
}

/// Where in a sequence the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ground,
    /// In a character of so many bytes.
    Character(usize),
    Escape,
    EscapeIntermediate,
    Control,
    /// In the text of an OSC, or of a string that is dropped whatever it says.
    Text(Text),
    /// The same after an ESC that may begin the terminator.
    TextEscape(Text),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Command,
    Dropped,
}

/// A filter for one stream of output.
#[derive(Clone, Debug)]
pub struct Filter {
    showing: Showing,
    guard: Guard,
    state: State,
    held: Vec<u8>,
    changed: Changed,
}

/// What the program has changed that outlives it.
#[derive(Clone, Debug, Default)]
struct Changed {
    on: BTreeSet<u32>,
    off: BTreeSet<u32>,
    keyboards: u32,
    style: Vec<u8>,
    margins: Vec<u8>,
    other_keys: Vec<u8>,
}

/// What one sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It draws, or sets how keys are sent.
    Draws,
    /// It asks, and the answer is harmless.
    Asks,
    /// Anything else.
    Other,
}

impl Filter {
    /// A filter at the beginning of a stream.
    pub fn new(showing: Showing) -> Self {
        Self::guarded(showing, Guard::Up)
    }

    /// The same as the plan's guard says.
    pub(crate) fn guarded(showing: Showing, guard: Guard) -> Self {
        Self { showing, guard, state: State::Ground, held: Vec::new(), changed: Changed::default() }
    }

    /// From here on the program is there to read answers.
    pub fn live(&mut self) {
        if self.showing == Showing::Replay {
            self.showing = Showing::Live;
        }
    }

    /// What of `bytes` is to be shown, with what was held back of earlier ones.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        if !self.guard.holds() {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.take(*byte, &mut out);
        }
        out
    }

    /// Sequences that undo the modes the program has left on: alternate screen, mouse, pasting, keyboard, colours.
    pub fn restore(&self) -> Vec<u8> {
        let changed = &self.changed;
        let mut text = String::new();
        if changed.keyboards > 0 {
            text.push_str(&format!("\x1b[<{}u", changed.keyboards));
        }
        if !matches!(changed.other_keys.as_slice(), b"" | b"4" | b"4;0") {
            text.push_str("\x1b[>4m");
        }
        if !matches!(changed.margins.as_slice(), b"" | b";") {
            text.push_str("\x1b7\x1b[r\x1b8");
        }
        if !matches!(changed.style.as_slice(), b"" | b"0") {
            text.push_str("\x1b[0m");
        }
        for mode in &changed.off {
            text.push_str(&format!("\x1b[?{mode}h"));
        }
        // In rising order, so that the alternate screen (1049) is left before pasting only.
        for mode in &changed.on {
            text.push_str(&format!("\x1b[?{mode}l"));
        }
        text.into_bytes()
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Ground => self.ground(byte, out),
            State::Character(length) => self.character(length, byte, out),
            State::Escape => self.escape(byte, out),
            State::EscapeIntermediate => match byte {
                0x20..=0x2f => self.hold(byte),
                0x30..=0x7e => {
                    self.hold(byte);
                    self.end(escape_kind(&self.held), out);
                }
                _ => self.again(byte, out),
            },
            State::Control => match byte {
                0x20..=0x3f => self.hold(byte),
                0x40..=0x7e => {
                    self.hold(byte);
                    let kind = control_kind(&self.held);
                    if kind == Kind::Draws {
                        self.changed.note(&self.held);
                    }
                    self.end(kind, out);
                }
                _ => self.again(byte, out),
            },
            State::Text(text) => match (byte, text) {
                (0x07, Text::Command) => {
                    self.hold(byte);
                    self.end(command_kind(&self.held), out);
                }
                (0x18 | 0x1a, _) => self.again(byte, out),
                (0x1b, _) => self.state = State::TextEscape(text),
                (_, Text::Command) => self.hold(byte),
                (_, Text::Dropped) => {}
            },
            State::TextEscape(text) => match (byte, text) {
                (b'\\', Text::Command) => {
                    self.hold(0x1b);
                    self.hold(byte);
                    self.end(command_kind(&self.held), out);
                }
                (b'\\', Text::Dropped) => self.end(Kind::Other, out),
                // Another sequence has begun; the text ended without its terminator.
                _ => {
                    self.begin(State::Escape, 0x1b);
                    self.take(byte, out);
                }
            },
        }
    }

    fn ground(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            0x1b => self.begin(State::Escape, byte),
            0x07..=0x0f | 0x20..=0x7e => out.push(byte),
            0x00..=0x1f | 0x7f => {}
            0xc2..=0xdf => self.begin(State::Character(2), byte),
            0xe0..=0xef => self.begin(State::Character(3), byte),
            0xf0..=0xf4 => self.begin(State::Character(4), byte),
            _ => out.extend_from_slice(REPLACEMENT),
        }
    }

    fn character(&mut self, length: usize, byte: u8, out: &mut Vec<u8>) {
        if !(0x80..=0xbf).contains(&byte) {
            out.extend_from_slice(REPLACEMENT);
            return self.again(byte, out);
        }
        self.hold(byte);
        if self.held.len() < length {
            return;
        }
        match std::str::from_utf8(&self.held).ok().and_then(|text| text.chars().next()) {
            // The eight-bit controls, which terminals obey in this form too.
            Some('\u{80}'..='\u{9f}') => {}
            Some(_) => out.extend_from_slice(&self.held),
            None => out.extend_from_slice(REPLACEMENT),
        }
        self.reset();
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b'[' => self.begin_more(State::Control, byte),
            b']' => self.begin_more(State::Text(Text::Command), byte),
            // `k` is the window's name in screen and tmux.
            b'P' | b'X' | b'^' | b'_' | b'k' => self.begin_more(State::Text(Text::Dropped), byte),
            0x20..=0x2f => self.begin_more(State::EscapeIntermediate, byte),
            0x30..=0x7e => {
                self.hold(byte);
                self.end(escape_kind(&self.held), out);
            }
            _ => self.again(byte, out),
        }
    }

    fn begin(&mut self, state: State, byte: u8) {
        self.state = state;
        self.held.clear();
        self.held.push(byte);
    }

    fn begin_more(&mut self, state: State, byte: u8) {
        self.state = state;
        self.hold(byte);
    }

    /// Keeps a byte; one too many shows in the length.
    fn hold(&mut self, byte: u8) {
        if self.held.len() <= HELD_MAX {
            self.held.push(byte);
        }
    }

    /// The sequence is whole.
    fn end(&mut self, kind: Kind, out: &mut Vec<u8>) {
        let fits = self.held.len() <= HELD_MAX;
        if fits && (kind == Kind::Draws || (kind == Kind::Asks && self.showing == Showing::Live)) {
            out.extend_from_slice(&self.held);
        }
        self.reset();
    }

    /// The sequence is broken off, and `byte` is looked at as the first after it.
    fn again(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.reset();
        self.ground(byte, out);
    }

    fn reset(&mut self) {
        self.state = State::Ground;
        self.held.clear();
    }
}

impl Changed {
    /// Notes what a sequence that is passed on leaves changed.
    fn note(&mut self, sequence: &[u8]) {
        let body = &sequence[2..sequence.len() - 1];
        match (body.first(), sequence[sequence.len() - 1]) {
            (Some(b'?'), end @ (b'h' | b'l')) => {
                for mode in numbers(&body[1..]).into_iter().flatten() {
                    let (set, other) = match end {
                        b'h' => (&mut self.on, &mut self.off),
                        _ => (&mut self.off, &mut self.on),
                    };
                    other.remove(&mode);
                    if USUALLY_ON.contains(&mode) != (end == b'h') {
                        set.insert(mode);
                    }
                }
            }
            (Some(b'>'), b'u') => self.keyboards = self.keyboards.saturating_add(1),
            (Some(b'<'), b'u') => {
                let count = numbers(&body[1..]).and_then(|all| all.first().copied()).unwrap_or(1).max(1);
                self.keyboards = self.keyboards.saturating_sub(count);
            }
            (Some(b'>'), b'm') => body[1..].clone_into(&mut self.other_keys),
            (first, b'm') if first.is_none_or(u8::is_ascii_digit) => {
                body.clone_into(&mut self.style);
            }
            (first, b'r') if first.is_none_or(|byte| byte.is_ascii_digit() || *byte == b';') => {
                body.clone_into(&mut self.margins);
            }
            _ => {}
        }
    }
}

/// ESC and one or two bytes.
fn escape_kind(sequence: &[u8]) -> Kind {
    let draws = match sequence[1..] {
        [byte] => b"78=>DEHMc".contains(&byte),
        [b'(' | b')' | b'*' | b'+', set] => set.is_ascii_alphanumeric() || b"<=>".contains(&set),
        [b'#', b'3'..=b'6' | b'8'] | [b'%', b'G'] => true,
        _ => false,
    };
    if draws { Kind::Draws } else { Kind::Other }
}

/// The numbers of a parameter string; an empty one is 0. `None` when it has anything else, or one is too large.
fn numbers(text: &[u8]) -> Option<Vec<u32>> {
    text.split(|byte| matches!(byte, b';' | b':'))
        .map(|number| {
            number.iter().try_fold(0_u32, |value, digit| {
                let value = value * 10 + u32::from(digit.is_ascii_digit().then_some(*digit)? - b'0');
                (value <= NUMBER_MAX).then_some(value)
            })
        })
        .collect()
}

/// CSI: ESC `[`, at most one of `<=>?`, numbers, at most one intermediate, a final byte.
fn control_kind(sequence: &[u8]) -> Kind {
    let (last, body) = (sequence[sequence.len() - 1], &sequence[2..sequence.len() - 1]);
    let (prefix, body) = match body.first() {
        Some(byte @ b'<'..=b'?') => (*byte, &body[1..]),
        _ => (0, body),
    };
    let (between, body) = match body.last() {
        Some(byte @ 0x20..=0x2f) => (*byte, &body[..body.len() - 1]),
        _ => (0, body),
    };
    let Some(numbers) = numbers(body) else { return Kind::Other };
    let all = |listed: &[u32]| numbers.iter().all(|number| listed.contains(number));
    let (draws, asks) = match (prefix, between, last) {
        (
            0,
            0,
            b'@'..=b'M'
            | b'P'
            | b'S'
            | b'X'
            | b'Z'
            | b'`'
            | b'a'
            | b'b'
            | b'd'..=b'g'
            | b'm'
            | b'r'
            | b's'
            | b'u',
        )
        | (b'?', 0, b'J' | b'K')
        | (b'<' | b'=' | b'>', 0, b'u')
        | (b'>', 0, b'm' | b'n')
        | (0, b'!', b'p')
        | (0, b' ', b'q') => (true, false),
        // With more numbers it tracks the mouse and waits.
        (0, 0, b'T') => (numbers.len() == 1, false),
        (0, 0, b'h' | b'l') => (all(&[4, 20]), false),
        (b'?', 0, b'h' | b'l' | b's' | b'r') => (all(&MODES), false),
        (0, 0, b't') => (matches!(numbers[0], 22 | 23), matches!(numbers[..], [14 | 16 | 18])),
        (0, 0, b'n') => (false, matches!(numbers[..], [5 | 6])),
        (b'?', 0, b'n') => (false, matches!(numbers[..], [6 | 996])),
        (0 | b'>', 0, b'c') | (b'>', 0, b'q') => (false, matches!(numbers[..], [0])),
        (0 | b'?', b'$', b'p') => (false, numbers.len() == 1),
        (b'?', 0, b'u' | b'm') => (false, true),
        _ => (false, false),
    };
    match (draws, asks) {
        (true, _) => Kind::Draws,
        (_, true) => Kind::Asks,
        _ => Kind::Other,
    }
}

/// OSC: ESC `]`, a number, text, BEL or ESC `\`.
fn command_kind(sequence: &[u8]) -> Kind {
    let end = if sequence.ends_with(b"\x07") { 1 } else { 2 };
    let Some(Ok(text)) = sequence.get(2..sequence.len() - end).map(std::str::from_utf8) else {
        return Kind::Other;
    };
    if text.chars().any(char::is_control) {
        return Kind::Other;
    }
    let (number, rest) = text.split_once(';').unwrap_or((text, ""));
    match number {
        "4" | "10" | "11" | "12" | "17" | "19" if rest.contains('?') => Kind::Asks,
        "9" if !rest.starts_with("4;") => Kind::Other,
        "0" | "1" | "2" | "8" | "9" | "4" | "10" | "11" | "12" | "17" | "19" | "104" | "110" | "111"
        | "112" | "117" | "119" => Kind::Draws,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn live(bytes: &[u8]) -> String {
        String::from_utf8(Filter::new(Showing::Live).pass(bytes)).unwrap()
    }

    #[test]
    fn what_draws_passes_unchanged() {
        for text in [
            "plain\r\n\ttext \u{e9}\u{4e2d}\u{1f600}\x08\x07",
            "\x1b[1;31mred\x1b[0m\x1b[38:2::1:2:3m\x1b[4:3m",
            "\x1b[2J\x1b[H\x1b[10;20H\x1b[K\x1b[3A\x1b[?25l\x1b[?1049h\x1b[?1000;1006h\x1b[?2004h\x1b[?2026h",
            "\x1b7\x1b8\x1b=\x1b>\x1bM\x1b(0lqk\x1b(B\x1b#8\x1bc\x1b[!p\x1b[2 q\x1b[1;24r",
            "\x1b]0;title\x07\x1b]2;title\x1b\\\x1b]8;id=1;https://example.org/a?b\x1b\\link\x1b]8;;\x1b\\",
            "\x1b]10;#ffffff\x07\x1b]111\x07\x1b]9;4;1;50\x07\x1b[>1u\x1b[<u\x1b[>4;2m\x1b[22;0t\x1b[23;0t",
        ] {
            assert_eq!(live(text.as_bytes()), text);
        }
    }

    #[test]
    fn questions_pass_only_live() {
        for text in [
            "\x1b[c",
            "\x1b[0c",
            "\x1b[>c",
            "\x1b[5n",
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[?996n",
            "\x1b[?2026$p",
            "\x1b[?u",
            "\x1b[>q",
            "\x1b[>0q",
            "\x1b[14t",
            "\x1b[18t",
            "\x1b]10;?\x07",
            "\x1b]11;?\x1b\\",
            "\x1b]4;1;?\x07",
        ] {
            assert_eq!(live(text.as_bytes()), text);
            assert_eq!(Filter::new(Showing::Replay).pass(text.as_bytes()), b"", "{text:?}");
        }
    }

    #[test]
    fn what_acts_is_dropped_to_its_end() {
        for text in [
            // Clipboard, directory, font, notifications, iTerm2's and kitty's own.
            "\x1b]52;c;Y2FuYXJ5\x07",
            "\x1b]52;c;?\x1b\\",
            "\x1b]7;file:///etc\x07",
            "\x1b]50;fixed\x07",
            "\x1b]777;notify;a;b\x07",
            "\x1b]9;hello\x07",
            "\x1b]1337;File=name=a:AAAA\x07",
            "\x1b]99;;a\x1b\\",
            "\x1b]3;P=1\x07",
            "\x1b]5522;type=read\x1b\\",
            "\x1b]0052;c;YQ==\x07",
            "\x1b]2;a\nb\x07",
            // Title reports, other window operations, title modes.
            "\x1b[21t",
            "\x1b[20t",
            "\x1b[21;0t",
            "\x1b[11t",
            "\x1b[3;1;1t",
            "\x1b[8;1;1t",
            "\x1b[>2t",
            // DECRQSS, XTGETTCAP, sixel, tmux's passthrough, user keys.
            "\x1bP$qm\x1b\\",
            "\x1bP+q544e\x1b\\",
            "\x1bPq#0;2;0;0;0~\x1b\\",
            "\x1bPtmux;\x1b\x1b]52;c;YQ==\x07\x1b\\",
            "\x1bP0;1|17/6c73\x1b\\",
            // Kitty's graphics, PM, SOS, screen's window name.
            "\x1b_Ga=T,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
            "\x1b^a\x1b\\",
            "\x1bXa\x1b\\",
            "\x1bkname\x1b\\",
            // Printing, checksums of the screen, copied rectangles, conformance, keyboard locks, logging, long repeats.
            "\x1b[5i",
            "\x1b[?5i",
            "\x1b[1;1;1;1;1;1*y",
            "\x1b[1$v",
            "\x1b[62\"p",
            "\x1b[2h",
            "\x1b[?46h",
            "\x1b[?25;46h",
            "\x1b[99999999b",
            "\x1b[1;2;3;4;5T",
            "\x1b[?15n",
            "\x1b[x",
            "\x1b[2q",
            // Answers to ENQ, other character sets, eight-bit controls.
            "\x05",
            "\x1bZ",
            "\x1b%@",
            "\x1b F",
            "\x1bn",
            "\x00\x7f\x11\x13",
            "\u{9b}",
            "\u{9d}",
            "\u{90}",
        ] {
            let bytes = [b"<", text.as_bytes(), b">"].concat();
            assert_eq!(live(&bytes), "<>", "{text:?}");
        }
    }

    #[test]
    fn raw_eight_bit_controls_become_a_sign() {
        assert_eq!(live(b"\x9d52;c;YQ==\x07"), "\u{fffd}52;c;YQ==\x07");
        assert_eq!(live(b"caf\xe9!\xc3"), "caf\u{fffd}!");
        assert_eq!(live(b"\xed\xa0\x80\xf4\x90\x80\x80"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_sequence_broken_off_shows_nothing_of_itself() {
        // A new ESC begins anew; CAN ends; text without end is never shown.
        assert_eq!(live(b"\x1b]52;c;\x1b[1mA"), "\x1b[1mA");
        assert_eq!(live(b"\x1b]52;c;YQ\x18A"), "A");
        assert_eq!(live(b"\x1b[12\nA"), "\nA");
        assert_eq!(live(b"\x1b\x1b]52;c;YQ\x1b\x1b\\A"), "A");
        assert_eq!(live(b"\x1b]0;never ended"), "");
        let long = [&b"\x1b]8;;"[..], &vec![b'a'; HELD_MAX], b"\x07A"].concat();
        assert_eq!(live(&long), "A");
    }

    #[test]
    fn what_was_left_on_is_undone() {
        let mut filter = Filter::new(Showing::Live);
        filter.pass(b"\x1b[?1049h\x1b[?1000h\x1b[?25l\x1b[>1u\x1b[31m\x1b[2;5r");
        assert_eq!(filter.restore(), b"\x1b[<1u\x1b7\x1b[r\x1b8\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?1049l");
        filter.pass(b"\x1b[?1049l\x1b[?1000l\x1b[?25h\x1b[<u\x1b[m\x1b[r");
        assert_eq!(filter.restore(), b"");
    }

    /// Bytes among which sequences are likely.
    fn noise() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..4),
            "\\PC{0,3}".prop_map(String::into_bytes),
            prop_oneof![
                Just("\x1b["),
                Just("\x1b]"),
                Just("\x1bP"),
                Just("\x1b\\"),
                Just("\x07"),
                Just("\x1b"),
                Just("52;c;"),
                Just("0;t"),
                Just("?1049h"),
                Just("6n"),
                Just("21t"),
                Just("31m"),
                Just("$q"),
            ]
            .prop_map(|text: &str| text.as_bytes().to_vec()),
        ];
        proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn cutting_up_changes_nothing(bytes in noise(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let whole = Filter::new(Showing::Live).pass(&bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut filter = Filter::new(Showing::Live);
            let parts: Vec<u8> = cuts.windows(2).flat_map(|pair| filter.pass(&bytes[pair[0]..pair[1]])).collect();
            prop_assert_eq!(parts, whole);
        }

        #[test]
        fn what_passed_passes_again(bytes in noise()) {
            let once = Filter::new(Showing::Live).pass(&bytes);
            prop_assert!(std::str::from_utf8(&once).is_ok());
            prop_assert_eq!(Filter::new(Showing::Live).pass(&once), once);
        }

        /// Looked at with other eyes: after ESC `]` stands a listed number, after ESC none of `P_^X`.
        #[test]
        fn nothing_of_the_dropped_kinds_is_left(bytes in noise()) {
            let out = Filter::new(Showing::Live).pass(&bytes);
            for (index, _) in out.iter().enumerate().filter(|(_, byte)| **byte == 0x1b) {
                let rest = &out[index + 1..];
                prop_assert!(rest.first().is_some_and(|byte| !b"P_^Xk\x1b".contains(byte)));
                prop_assert!(!rest.starts_with(b"]52") && !rest.starts_with(b"[21t"));
            }
        }

        #[test]
        fn text_passes(text in "[^\\pC]{0,40}") {
            prop_assert_eq!(live(text.as_bytes()), text);
        }
    }
}
