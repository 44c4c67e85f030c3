//! What a terminal showed, as lines of text: the log of a session for reading.
//!
//! ```text
//!   log ─► Filter ─► Screen ─► lines that left it at the top, screens that were left or cleared, and what stands on it last
//! ```
//!
//! Terminal emulators keep what scrolls off the whole screen of their first buffer. The sessions here run in a multiplexer, which
//! draws on the other one and scrolls all but its last line: nothing would be kept of it. So whatever leaves at the top of any
//! region that begins there is a line of the log.
//!
//! **Guarantees**: no control sequence and no control character is in a line. Any bytes give an answer, and at most
//! [`LINES_MAX`] lines. A line that was longer than the screen is one line again. **Refuses** to be exact where the screen had
//! another size in between, and cannot know what a multiplexer has left out in a burst.

use std::collections::VecDeque;

use pinfold_base::Shown;

use super::escape::Filter;
use super::escape::Showing;

/// Lines that are kept, the last ones.
const LINES_MAX: usize = 200_000;
const ROWS_MAX: u16 = 500;
const COLUMNS_MAX: u16 = 1000;

/// Columns of a tabulator.
const TABULATOR: usize = 8;

/// What stands in the place of line-drawing characters, from `j` on (VT100, special graphics).
const DRAWN: [char; 16] = ['┘', '┐', '┌', '└', '┼', '⎺', '⎻', '─', '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤'];

/// The lines of a log that was made on a screen of this size.
pub fn lines(log: &[u8], rows: u16, columns: u16) -> Vec<String> {
    let mut screen = Screen::new(rows, columns);
    screen.take(&Filter::new(Showing::Replay).pass(log));
    screen.finish()
}

/// One line of the screen. The second half of a wide character is `None`.
#[derive(Clone, Debug)]
struct Row {
    cells: Vec<Option<String>>,
    /// Whether the line goes on in the next one.
    goes_on: bool,
}

impl Row {
    fn blank(columns: usize) -> Self {
        Self { cells: vec![Some(String::new()); columns], goes_on: false }
    }

    fn text(&self) -> String {
        let blank = |cell: &String| if cell.is_empty() { " ".to_owned() } else { cell.clone() };
        let text: String = self.cells.iter().flatten().map(blank).collect();
        if self.goes_on { text } else { text.trim_end().to_owned() }
    }
}

#[derive(Debug)]
struct Screen {
    rows: Vec<Row>,
    columns: usize,
    row: usize,
    column: usize,
    /// The next character goes to the next line.
    full: bool,
    saved: (usize, usize),
    top: usize,
    /// The last line of the region that scrolls.
    bottom: usize,
    wraps: bool,
    /// Whether each of the two character sets draws lines, and which one is in use.
    drawing: [bool; 2],
    set: usize,
    last: char,
    told: VecDeque<String>,
    /// Whether the last line told goes on.
    open: bool,
}

impl Screen {
    fn new(rows: u16, columns: u16) -> Self {
        let (rows, columns) = (rows.clamp(1, ROWS_MAX).into(), columns.clamp(2, COLUMNS_MAX).into());
        Self {
            rows: vec![Row::blank(columns); rows],
            columns,
            row: 0,
            column: 0,
            full: false,
            saved: (0, 0),
            top: 0,
            bottom: rows - 1,
            wraps: true,
            drawing: [false; 2],
            set: 0,
            last: ' ',
            told: VecDeque::new(),
            open: false,
        }
    }

    /// Takes what a filter has passed: whole characters and whole sequences.
    fn take(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' => self.escape(&mut rest),
                '\x08' => self.go(self.row, self.column.saturating_sub(1)),
                '\t' => self.go(self.row, (self.column / TABULATOR + 1) * TABULATOR),
                '\n' | '\x0b' | '\x0c' => self.index(),
                '\r' => self.go(self.row, 0),
                '\x0e' => self.set = 1,
                '\x0f' => self.set = 0,
                c if c.is_control() => {}
                c => self.put(c),
            }
        }
    }

    fn escape(&mut self, rest: &mut std::str::Chars<'_>) {
        match rest.next() {
            Some('[') => {
                let mut words = String::new();
                for c in rest.by_ref() {
                    if ('@'..='~').contains(&c) {
                        return self.control(&words, c);
                    }
                    words.push(c);
                }
            }
            Some(']') => {
                // Ended by BEL, or by ESC and a backslash, of which the latter is taken off here.
                let end = rest.by_ref().find(|c| ['\x07', '\x1b'].contains(c));
                if end == Some('\x1b') {
                    rest.next();
                }
            }
            Some(set @ ('(' | ')')) => {
                let draws = rest.next() == Some('0');
                self.drawing[usize::from(set == ')')] = draws;
            }
            Some(' '..='/') => {
                let _ = rest.next();
            }
            Some('7') => self.saved = (self.row, self.column),
            Some('8') => self.go(self.saved.0, self.saved.1),
            Some('D') => self.index(),
            Some('E') => {
                self.index();
                self.go(self.row, 0);
            }
            Some('M') if self.row == self.top => self.scroll_down(self.top, 1),
            Some('M') => self.go(self.row.saturating_sub(1), self.column),
            Some('c') => {
                self.leave();
                let told = std::mem::take(&mut self.told);
                let size = (u16::try_from(self.rows.len()), u16::try_from(self.columns));
                *self = Self::new(size.0.unwrap_or(ROWS_MAX), size.1.unwrap_or(COLUMNS_MAX));
                self.told = told;
            }
            _ => {}
        }
    }

    fn control(&mut self, words: &str, last: char) {
        if let Some(modes) = words.strip_prefix('?') {
            if ['h', 'l'].contains(&last) {
                for mode in modes.split(';') {
                    self.mode(mode, last == 'h');
                }
            }
            return;
        }
        let Ok(numbers) = words.split([';', ':']).map(number).collect::<Result<Vec<_>, _>>() else { return };
        let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let count = at(0).max(1);
        match last {
            'A' => self.go(self.row.saturating_sub(count), self.column),
            'B' | 'e' => self.go(self.row + count, self.column),
            'C' | 'a' => self.go(self.row, self.column + count),
            'D' => self.go(self.row, self.column.saturating_sub(count)),
            'E' => self.go(self.row + count, 0),
            'F' => self.go(self.row.saturating_sub(count), 0),
            'G' | '`' => self.go(self.row, count - 1),
            'd' => self.go(count - 1, self.column),
            'H' | 'f' => self.go(count - 1, at(1).max(1) - 1),
            'J' => self.erase(at(0)),
            'K' => {
                let range = match at(0) {
                    0 => self.column..self.columns,
                    1 => 0..self.column + 1,
                    _ => 0..self.columns,
                };
                self.blank(range);
            }
            'X' => self.blank(self.column..(self.column + count).min(self.columns)),
            'P' | '@' => self.shift(count, last == '@'),
            'L' if self.in_region() => self.scroll_down(self.row, count),
            'M' if self.in_region() => self.scroll_up(self.row, count, false),
            'S' => self.scroll_up(self.top, count, true),
            'T' => self.scroll_down(self.top, count),
            'r' => {
                let (top, bottom) = (at(0).max(1) - 1, at(1).wrapping_sub(1).min(self.rows.len() - 1));
                if top < bottom {
                    (self.top, self.bottom) = (top, bottom);
                    self.go(0, 0);
                }
            }
            's' => self.saved = (self.row, self.column),
            'u' => self.go(self.saved.0, self.saved.1),
            'b' => {
                for _ in 0..count.min(self.columns) {
                    self.put(self.last);
                }
            }
            _ => {}
        }
    }

    fn mode(&mut self, mode: &str, on: bool) {
        match mode {
            "7" => self.wraps = on,
            // What stood there is told, and the other screen begins empty.
            "47" | "1047" | "1049" => {
                self.leave();
                (self.top, self.bottom) = (0, self.rows.len() - 1);
                self.go(0, 0);
            }
            _ => {}
        }
    }

    fn in_region(&self) -> bool {
        (self.top..=self.bottom).contains(&self.row)
    }

    fn go(&mut self, row: usize, column: usize) {
        self.row = row.min(self.rows.len() - 1);
        self.column = column.min(self.columns - 1);
        self.full = false;
    }

    fn index(&mut self) {
        if self.row == self.bottom {
            self.scroll_up(self.top, 1, true);
        } else {
            self.row = (self.row + 1).min(self.rows.len() - 1);
        }
        self.full = false;
    }

    fn put(&mut self, c: char) {
        let drawn = || DRAWN.get(usize::try_from(u32::from(c).checked_sub(u32::from('j'))?).ok()?).copied();
        let c = if self.drawing[self.set] { drawn().unwrap_or(c) } else { c };
        // After another character: a mark alone is not shown as one.
        let width =
            if c.is_ascii() { 1 } else { Shown::new(&format!("a{c}")).columns().saturating_sub(1).min(2) };
        if width == 0 {
            let before = self.column.saturating_sub(usize::from(!self.full));
            if let Some(Some(cell)) = self.rows[self.row].cells.get_mut(before) {
                // Marks may pile up without an end.
                if cell.len() < 32 {
                    cell.push(c);
                }
            }
            return;
        }
        if self.wraps && (self.full || self.column + width > self.columns) {
            self.rows[self.row].goes_on = true;
            self.index();
            self.column = 0;
        }
        self.last = c;
        let column = self.column.min(self.columns - width);
        let cells = &mut self.rows[self.row].cells;
        if column > 0 && cells[column].is_none() {
            cells[column - 1] = Some(String::new());
        }
        cells[column] = Some(c.to_string());
        if width == 2 {
            cells[column + 1] = None;
        }
        // The other half of what was wide is a blank.
        if let Some(after @ None) = cells.get_mut(column + width) {
            *after = Some(String::new());
        }
        self.full = column + width == self.columns;
        self.column = (column + width).min(self.columns - 1);
    }

    fn blank(&mut self, range: std::ops::Range<usize>) {
        let row = &mut self.rows[self.row];
        row.goes_on &= range.end < self.columns;
        row.cells[range].fill(Some(String::new()));
        self.full = false;
    }

    /// Takes characters out at the cursor, or makes room there.
    fn shift(&mut self, count: usize, room: bool) {
        let cells = &mut self.rows[self.row].cells[self.column..];
        let count = count.min(cells.len());
        let length = cells.len();
        if room {
            cells.rotate_right(count);
            cells[..count].fill(Some(String::new()));
        } else {
            cells.rotate_left(count);
            cells[length - count..].fill(Some(String::new()));
        }
        self.full = false;
    }

    fn erase(&mut self, what: usize) {
        if what >= 2 {
            self.leave();
            return;
        }
        let blank = Row::blank(self.columns);
        if what == 0 {
            self.rows[self.row + 1..].fill(blank);
            self.blank(self.column..self.columns);
        } else {
            self.rows[..self.row].fill(blank);
            self.blank(0..self.column + 1);
        }
    }

    /// Moves lines from `from` to the end of the region up. What leaves the screen is told.
    fn scroll_up(&mut self, from: usize, count: usize, leaves: bool) {
        let count = count.min(self.bottom + 1 - from);
        // A multiplexer clears its part of the screen by scrolling all of it away but the first line, which it erases.
        let cleared = leaves && from <= 1 && count > 1 && from + count == self.bottom + 1;
        let first = if cleared { 0 } else { from };
        for index in first..from + count {
            let gone = std::mem::replace(&mut self.rows[index], Row::blank(self.columns));
            if leaves && first == 0 && (count == 1 || !gone.text().is_empty()) {
                self.tell(&gone);
            }
        }
        self.rows[from..=self.bottom].rotate_left(count);
    }

    fn scroll_down(&mut self, from: usize, count: usize) {
        let count = count.min(self.bottom + 1 - from);
        self.rows[from..=self.bottom].rotate_right(count);
        self.rows[from..from + count].fill(Row::blank(self.columns));
    }

    fn tell(&mut self, row: &Row) {
        let text = row.text();
        match self.told.back_mut().filter(|_| self.open) {
            Some(last) => last.push_str(&text),
            None => self.told.push_back(text),
        }
        self.open = row.goes_on;
        if self.told.len() > LINES_MAX {
            self.told.pop_front();
        }
    }

    /// Tells what stands there, but for blank lines at the end, and leaves it empty.
    fn leave(&mut self) {
        let blank = vec![Row::blank(self.columns); self.rows.len()];
        let rows = std::mem::replace(&mut self.rows, blank);
        let end = rows.iter().rposition(|row| !row.text().trim().is_empty()).map_or(0, |last| last + 1);
        for row in &rows[..end] {
            self.tell(row);
        }
        self.open = false;
        self.full = false;
    }

    fn finish(mut self) -> Vec<String> {
        self.leave();
        self.told.into()
    }
}

/// A parameter; none is 0.
fn number(word: &str) -> Result<usize, std::num::ParseIntError> {
    if word.is_empty() { Ok(0) } else { word.parse::<u16>().map(usize::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By ECMA-48 and xterm's ctlseqs, on a screen of 4 lines and 10 columns.
    #[test]
    fn what_was_drawn_is_text() {
        for (log, expected) in [
            ("one\r\ntwo\r\n", &["one", "two"][..]),
            ("1\r\n2\r\n3\r\n4\r\n5\r\n6", &["1", "2", "3", "4", "5", "6"]),
            // Longer than a line, and as long.
            ("0123456789abc\r\nx", &["0123456789abc", "x"]),
            ("0123456789\r\nx", &["0123456789", "x"]),
            ("1\r\n2\r\n3\r\n0123456789abcdefghijklm", &["1", "2", "3", "0123456789abcdefghijklm"]),
            // Colours, titles, links and questions leave nothing.
            ("\x1b[1;31mred\x1b[0m\x1b]0;title\x07\x1b[6n\x1b]52;c;YQ==\x07!", &["red!"]),
            ("10%\r20%\r100%\r\n", &["100%"]),
            ("abc\x08\x08X\r\n", &["aXc"]),
            // tmux 3.5 at `clear`, with its status line below.
            ("1\r\n2\r\n3\x1b[1;3r\x1b[1;1H\x1b[2;3r\x1b[2S\x1b[1;1H\x1b[K\x1b[1;4rx", &["1", "2", "3", "x"]),
            ("a\tb", &["a       b"]),
            ("long line\r\x1b[Kx", &["x"]),
            ("abcdef\r\x1b[2P", &["cdef"]),
            ("abc\r\x1b[2@x", &["x abc"]),
            ("abc\x1b[2D\x1b[X", &["a c"]),
            // A frame that is drawn again in its place.
            ("one\r\ntwo\r\n\x1b[2A\x1b[Jthree\r\n", &["three"]),
            ("\x1b[2;3Hx\x1b[1;1Hy", &["y", "  x"]),
            ("a\x1b[3b", &["aaaa"]),
            // What was cleared was there before.
            ("before\x1b[H\x1b[2Jafter", &["before", "after"]),
            ("a\r\nb\r\nc\x1b[2;1H\x1b[L1", &["a", "1", "b", "c"]),
            ("a\r\nb\r\nc\x1b[1;1H\x1b[M", &["b", "c"]),
            ("b\r\nc\x1b[1;1H\x1bMa", &["a", "b", "c"]),
            // A multiplexer: the other screen, of which all but the last line scrolls.
            (
                "shell\r\n\x1b[?1049h\x1b[H\x1b[2J\x1b[4;1Hstatus\x1b[1;3r\x1b[1;1H1\r\n2\r\n3\r\n4\r\n5\x1b[r\x1b[?1049l[exited]\r\n",
                &["shell", "1", "2", "3", "4", "5", "status", "[exited]"],
            ),
            ("\x1b[1;3r\x1b[1;1H1\r\n2\r\n3\x1b[2S4", &["1", "2", "3", "", " 4"]),
            ("\x1b(0lqk\x1b(B q", &["┌─┐ q"]),
            ("日本語日本語", &["日本語日本語"]),
            ("日本\r\x1b[Cx", &[" x本"]),
            ("e\u{301}x", &["e\u{301}x"]),
            ("\u{9b}x\x00\x7f", &["x"]),
            ("a\x1bcb", &["a", "b"]),
            ("", &[]),
        ] {
            let found = lines(log.as_bytes(), 4, 10);
            assert_eq!(found, expected, "{log:?}");
            assert!(found.iter().all(|line| !line.chars().any(char::is_control)), "{log:?}");
        }
    }

    /// What tmux 3 wrote to a terminal of 24 lines while a program said 60 lines and ended.
    #[test]
    fn nothing_that_scrolled_in_a_multiplexer_is_missing() {
        let found = lines(include_bytes!("recorded-tmux.log"), 24, 80);
        let said = (1..=60).map(|number| format!("line {number}")).chain(["café end".into(), String::new()]);
        let (program, after) = found.split_at(62);
        assert_eq!(program, said.collect::<Vec<_>>());
        assert!(after[0].starts_with("[x] 0:sh*") && after[1..] == ["[exited]"], "{after:?}");
    }

    #[test]
    fn any_bytes_on_any_screen_give_an_answer() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[2]
        };
        let signs =
            b"\x1b\x1b\x1b[[[]();;?0123456789ABCDEFGHJKLMPSTX@rhlsubcde\r\n\t\x08 \xe6\x97\xa5\xcc\x81ab";
        for (rows, columns, length) in
            [(0, 0, 9000), (1, 1, 9000), (1, 2, 9000), (2, 1, 9000), (3, 7, 9000), (u16::MAX, u16::MAX, 300)]
        {
            let log: Vec<u8> = (0..length).map(|_| signs[usize::from(next()) % signs.len()]).collect();
            lines(&log, rows, columns);
        }
        // Much for few bytes.
        let log = b"\x1b[65535S\x1b[65535L\x1b[65535b".repeat(300);
        assert!(lines(&log, 24, 80).len() <= LINES_MAX);
    }
}
