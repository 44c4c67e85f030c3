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
            if (rule.confirm)(&Place { before, from }) {
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
    /// The file's path, where its name is that of a login; then all of it is kept, to [`logins::SIZE_MAX`].
    name: Option<ImagePath>,
    whole: Vec<u8>,
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
    }

    /// Its next bytes.
    pub fn feed(&mut self, chunk: &[u8]) {
        if self.name.is_some() && self.whole.len() <= logins::SIZE_MAX {
            self.whole.extend_from_slice(&chunk[..chunk.len().min(logins::SIZE_MAX + 1 - self.whole.len())]);
        }
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
        if let Some(path) = self.name.take()
            && self.whole.len() <= logins::SIZE_MAX
        {
            found.extend(logins::find(self.scanner, &path, &self.whole));
        }
        found.sort();
        found.dedup_by_key(|secret| secret.offset);
        found
    }
}
