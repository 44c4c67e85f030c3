//! One pass over the bytes of a file for all literals at once; what is near a hit decides.
//!
//! ```text
//! ……|────────── chunk ──────────|────── next ──────|……
//!         hits whose surroundings are in the chunk: at once
//!                        |─ tail ─|  the last BEFORE + AHEAD bytes wait for what follows
//! ```

use aho_corasick::AhoCorasick;
use aho_corasick::packed;
use pinfold_base::ImagePath;

use super::Secret;
use super::keys;
use super::keys::Container;
use super::logins;
use super::tokens::Place;
use super::tokens::RULES;

/// Bytes before a literal that a rule may look at.
pub(super) const BEFORE: usize = 160;
/// Bytes from a literal on that a rule may look at: a key of RSA of 4096 bits has 3,272.
pub(super) const AHEAD: usize = 4096;
const AROUND: usize = BEFORE + AHEAD;
/// Most secrets told of one file.
const FOUND_MAX: usize = 100;

/// Whether a file begins as text in UTF-16: with its byte order, or with letters of which every other byte is none.
fn is_wide(head: &[u8]) -> bool {
    let head = &head[..head.len().min(keys::HEAD) / 2 * 2];
    let every = |first: usize| head.iter().skip(first).step_by(2);
    let letters = |first: usize, other: usize| {
        every(first).all(|byte| matches!(byte, b'\t'..=0x7e)) && every(other).all(|byte| *byte == 0)
    };
    head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        || head.len() >= 32 && (letters(0, 1) || letters(1, 0))
}

/// Looks for all rules at once. Made once, used for all files.
#[derive(Debug)]
pub struct Scanner {
    finder: Finder,
}

/// The literals' searcher: with vector instructions where the processor has them.
#[derive(Debug)]
enum Finder {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
    /// Neither could be made: the rules are few, so this does not happen.
    Slow,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// Compiles the rules.
    pub fn new() -> Self {
        let literals = || RULES.iter().map(|rule| rule.literal);
        let finder = match packed::Searcher::new(literals()) {
            Some(searcher) => Finder::Packed(searcher),
            None => AhoCorasick::new(literals()).map_or(Finder::Slow, Finder::Automaton),
        };
        Self { finder }
    }

    /// To go over files, one after the other.
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            scanner: self,
            seen: 0,
            tail: Vec::new(),
            tail_at: 0,
            undecided: 0,
            name: None,
            whole: Vec::new(),
            keeps: false,
            found: Vec::new(),
        }
    }

    /// The secrets of a text that is whole.
    pub fn text(&self, text: &[u8]) -> Vec<Secret> {
        let mut found = Vec::new();
        self.look(text, 0..text.len(), 0, &mut found);
        found
    }

    /// Looks for literals that begin in `range` of `text`, whose first byte is the one at `offset` of its file.
    fn look(&self, text: &[u8], range: std::ops::Range<usize>, offset: u64, found: &mut Vec<Secret>) {
        let mut at = range.start;
        while at < range.end && found.len() < FOUND_MAX {
            let Some((start, rule)) = self.find(text, at) else { return };
            if start >= range.end {
                return;
            }
            let rule = &RULES[rule];
            let before = &text[start.saturating_sub(BEFORE)..start];
            let from = &text[start..text.len().min(start + AHEAD)];
            if (rule.confirm)(&Place { before, from, goes_on: from.len() == AHEAD }) {
                found.push(Secret { offset: offset + start as u64, what: rule.what });
            }
            at = start + 1;
        }
    }

    /// The first literal from `at` on: where it begins, and its rule.
    fn find(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let found = match &self.finder {
            Finder::Packed(searcher) => {
                searcher.find_in(text, aho_corasick::Span { start: at, end: text.len() })
            }
            Finder::Automaton(automaton) => automaton.find(aho_corasick::Input::new(text).range(at..)),
            Finder::Slow => {
                let text = &text[at..];
                let place = |rule: &super::tokens::Rule| memchr::memmem::find(text, rule.literal.as_bytes());
                let first =
                    RULES.iter().enumerate().filter_map(|(index, rule)| Some((at + place(rule)?, index)));
                return first.min();
            }
        };
        found.map(|found| (found.start(), found.pattern().as_usize()))
    }
}

/// Goes over files.
#[derive(Debug)]
pub struct Scan<'a> {
    scanner: &'a Scanner,
    /// Bytes of the file so far.
    seen: u64,
    /// The last of them, and where they begin.
    tail: Vec<u8>,
    tail_at: u64,
    /// From which byte of the tail on literals were not looked for yet.
    undecided: usize,
    /// The file's path, where its name is that of a login.
    name: Option<ImagePath>,
    /// Its first bytes, as many as tell what it is; all of it, to [`logins::SIZE_MAX`], where it is kept.
    whole: Vec<u8>,
    keeps: bool,
    found: Vec<Secret>,
}

impl Scan<'_> {
    /// A file begins.
    pub fn begin(&mut self, path: &ImagePath) {
        (self.seen, self.tail_at, self.undecided) = (0, 0, 0);
        self.tail.clear();
        self.whole.clear();
        self.found.clear();
        self.name = logins::is_login(path).then(|| path.clone());
        self.keeps = self.name.is_some();
    }

    /// Its next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.keep(chunk);
        let seen = self.seen;
        self.seen += chunk.len() as u64;
        if chunk.len() < 2 * AROUND {
            self.tail.extend_from_slice(chunk);
            self.look_at_tail(self.tail.len().saturating_sub(AHEAD));
            // Moved seldom, so that many small chunks do not cost more than few large ones.
            let unneeded = self.undecided.saturating_sub(BEFORE);
            if unneeded > 4 * AHEAD {
                self.tail.drain(..unneeded);
                self.tail_at += unneeded as u64;
                self.undecided -= unneeded;
            }
            return;
        }
        // What waits is decided with the start of the chunk, whose own first bytes want to see what stands before them.
        let mut from = 0;
        if !self.tail.is_empty() {
            let waiting = self.tail.len();
            self.tail.extend_from_slice(&chunk[..AROUND]);
            self.look_at_tail(waiting + BEFORE);
            from = BEFORE;
        }
        self.scanner.look(chunk, from..chunk.len() - AHEAD, seen, &mut self.found);
        let kept = chunk.len() - AROUND;
        self.tail.clear();
        self.tail.extend_from_slice(&chunk[kept..]);
        (self.tail_at, self.undecided) = (seen + kept as u64, BEFORE);
    }

    /// Keeps what of a chunk is looked at when the file has ended.
    fn keep(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        if self.whole.len() < keys::HEAD {
            let (head, other) = chunk.split_at(chunk.len().min(keys::HEAD - self.whole.len()));
            self.whole.extend_from_slice(head);
            self.keeps |=
                self.whole.len() == keys::HEAD && (keys::is_pkcs12(&self.whole) || is_wide(&self.whole));
            rest = other;
        }
        if self.keeps && self.whole.len() < logins::SIZE_MAX {
            self.whole.extend_from_slice(&rest[..rest.len().min(logins::SIZE_MAX - self.whole.len())]);
        }
    }

    /// Looks for literals up to the byte `decided` of the tail.
    fn look_at_tail(&mut self, decided: usize) {
        if decided > self.undecided {
            self.scanner.look(&self.tail, self.undecided..decided, self.tail_at, &mut self.found);
            self.undecided = decided;
        }
    }

    /// It has ended: what was found, in order.
    pub fn end(&mut self) -> Vec<Secret> {
        self.look_at_tail(self.tail.len());
        let mut found = std::mem::take(&mut self.found);
        match keys::container(&self.whole[..self.whole.len().min(keys::HEAD)], self.seen) {
            Some(Container::Key) => found.push(Secret { offset: 0, what: "a private key" }),
            Some(Container::Pkcs12) if keys::has_key(&self.whole) => {
                found.push(Secret { offset: 0, what: "a private key" });
            }
            _ => {}
        }
        if is_wide(&self.whole) {
            // From its first letter on, whichever byte of two that is.
            let first =
                self.whole.iter().take(4).position(|byte| matches!(byte, 1..=0x7f)).unwrap_or_default();
            let text: Vec<u8> = self.whole.iter().skip(first).step_by(2).copied().collect();
            let at = |offset: u64| first as u64 + 2 * offset;
            let of_text = self.scanner.text(&text).into_iter();
            found.extend(of_text.map(|secret| Secret { offset: at(secret.offset), ..secret }));
        }
        if let Some(path) = self.name.take() {
            found.extend(logins::find(self.scanner, &path, &self.whole));
            if self.seen > logins::SIZE_MAX as u64 {
                found.push(Secret { offset: logins::SIZE_MAX as u64, what: logins::TOO_LARGE });
            }
        }
        found.sort();
        found.dedup_by_key(|secret| secret.offset);
        found
    }
}
