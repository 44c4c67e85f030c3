//! What was said between the user, the model and the tools, in no provider's own shape; kept in the worker's state.
//!
//! **Guarantees**: a conversation begins with what a user said; each call is followed by its result before anything else is
//! said; [`History::bound`] takes whole turns away, so both still hold.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The provider's own id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is called with; the text of a call that was no JSON.
    pub arguments: Value,
    /// What the provider wants back with the call (Gemini's `thoughtSignature`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not done, or not completely: the text says why.
    Failed,
}

/// What a call brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// See [`Call::id`].
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it says.
    pub text: String,
    /// How it came out.
    pub outcome: Outcome,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The user's words.
    User(String),
    /// The model's words and calls.
    Model {
        /// Its words.
        text: String,
        /// Its calls.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        calls: Vec<Call>,
    },
    /// What the calls of the entry before brought.
    Results(Vec<Brought>),
}

/// Turns that are kept.
const TURNS: usize = 40;

/// The turns before this one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History(pub Vec<Entry>);

impl History {
    /// Adds a turn, which begins with the user's words, and forgets the oldest ones until the rest has at most [`TURNS`] turns and
    /// about `bytes`.
    pub fn add(&mut self, turn: Vec<Entry>, bytes: usize) {
        self.0.extend(turn);
        self.bound(bytes);
    }

    /// See [`History::add`].
    pub fn bound(&mut self, bytes: usize) {
        let begins: Vec<usize> =
            (0..self.0.len()).filter(|index| matches!(self.0[*index], Entry::User(_))).collect();
        let mut total: usize = self.0.iter().map(size).sum();
        let mut from = 0;
        for (count, begin) in begins.iter().enumerate() {
            total -= self.0[from..*begin].iter().map(size).sum::<usize>();
            from = *begin;
            if begins.len() - count <= TURNS && total <= bytes {
                self.0.drain(..from);
                return;
            }
        }
        // Not even the last turn fits.
        self.0.clear();
    }
}

/// How many bytes an entry takes in the state.
pub fn size(entry: &Entry) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    if serde_json::to_writer(&mut count, entry).is_err() {
        return usize::MAX;
    }
    count.0
}

/// The first `bytes` of a text, whole characters, with a word about what was left out.
pub fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n[{} more bytes are left out]", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(text: &str) -> Vec<Entry> {
        let call = Call { id: "1".into(), name: "t".into(), arguments: Value::Null, signature: None };
        let result = Brought { id: "1".into(), name: "t".into(), text: text.into(), outcome: Outcome::Done };
        vec![
            Entry::User(text.into()),
            Entry::Model { text: String::new(), calls: vec![call] },
            Entry::Results(vec![result]),
            Entry::Model { text: "done".into(), calls: vec![] },
        ]
    }

    #[test]
    fn whole_turns_are_forgotten_the_oldest_first() {
        let mut history = History::default();
        for number in 0..100 {
            history.add(turn(&number.to_string()), usize::MAX);
            assert!(matches!(history.0[0], Entry::User(_)));
        }
        assert_eq!(history.0.len(), 4 * TURNS);
        assert_eq!(history.0[0], Entry::User("60".into()));
        let size: usize = turn("99").iter().map(size).sum();
        history.bound(3 * size);
        assert_eq!(history.0, [turn("97"), turn("98"), turn("99")].concat());
        history.bound(size - 1);
        assert_eq!(history.0, []);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("aéé", 4), "aé\n[2 more bytes are left out]");
    }
}
