//! What a sealed file says: a JSON object of at most 1 MiB.
//!
//! ```text
//!   {"id": 32 hex digits, "kind": …, "in-reply-to"?: id, "acks"?: [seq…], "content": {…}}
//! ```
//!
//! | kind | content | says |
//! |---|---|---|
//! | to the worker | | |
//! | `task` | `text` | do this |
//! | `answer` | `text` | the answer to the `ask` that it is in reply to |
//! | `probe` | `list` | look at your sandbox |
//! | `ack` | | these files from the worker were dealt with |
//! | from it | | |
//! | `reply` | `text`, `usage`? {`input`, `output`} | the one answer to a task |
//! | `message` | `text` | said while it works |
//! | `ask` | `question`, `choices`? | wants an answer |
//! | `schedule` | `name`, `text`, `at` or `every` | the host is to send this task at that time |
//! | `unschedule` | `name` | no longer |
//! | `error` | `code`, `message`, `retried`? | the provider failed; takes the place of a reply |
//! | `probe-result` | anything | what was seen |
//! | `ack` | | these files of the host were dealt with |
//!
//! **Refuses** kinds and fields that there are none of, and a kind that the other side sends.

use std::fmt;
use std::str::FromStr;

use ring::rand::SecureRandom as _;
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;
use serde_json::Value;

use crate::format::BODY_MAX;
use crate::format::Direction;
use crate::format::FormatError;

/// Most sequences that one message acknowledges.
pub const ACKS_MAX: usize = 1024;

/// 128 bits that the sender chose; a task is done once for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// A new one, of the kernel's randomness.
    pub fn random() -> Result<Self, FormatError> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| FormatError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// One that follows from text, the same each time: the first half of its SHA-256.
    pub fn derived(text: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        Self(bytes)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 32 digits of `0-9a-f`")]
pub struct NotAnId;

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let text: &[u8; 32] = text.as_bytes().try_into().map_err(|_| NotAnId)?;
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0]).ok_or(NotAnId)? << 4 | digit(pair[1]).ok_or(NotAnId)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Which it is; the same when it is sent again.
    pub id: MessageId,
    /// The message that it answers.
    pub in_reply_to: Option<MessageId>,
    /// Files of the other side that were dealt with, at most [`ACKS_MAX`].
    pub acks: Vec<u64>,
    /// What it says.
    pub content: Content,
}

/// What a message says, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Do this.
    Task(Text),
    /// The answer to an [`Ask`].
    Answer(Text),
    /// Look at your sandbox.
    Probe(Probe),
    /// Files were dealt with, and there is nothing else to say.
    Ack,
    /// The answer to a task.
    Reply(Reply),
    /// Said while it works.
    Message(Text),
    /// Wants an answer.
    Ask(Ask),
    /// A task for later.
    Schedule(Schedule),
    /// No longer that task.
    Unschedule(Unschedule),
    /// What a provider did not do.
    Error(Failure),
    /// What a probe saw.
    ProbeResult(Value),
}

/// Plain text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The text.
    pub text: String,
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Understood by the worker.
    pub list: Value,
}

/// The answer to a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// What the agent says.
    pub text: String,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Tokens, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
}

/// A question to whoever sent the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The question.
    pub question: String,
    /// Answers to choose from; none where any will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// A task for later, by the host's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// A later one of the same name takes its place.
    pub name: String,
    /// What the task will say.
    pub text: String,
    /// Once, so many seconds after the epoch. Either this or `every` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Again and again, so many seconds apart, first after the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
}

/// Which task for later is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unschedule {
    /// Its name.
    pub name: String,
}

/// Why there is no reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// In a word: a status such as `401`, or `unreachable`, `unreadable`, …
    pub code: String,
    /// In words.
    pub message: String,
    /// How often it was tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<u32>,
}

/// A message as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Raw {
    id: MessageId,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    acks: Vec<u64>,
    #[serde(default)]
    content: Value,
}

/// Why a body is no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// No such JSON.
    #[error("its body is no message: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no such kind in this direction.
    #[error("`{kind}` is no kind of message {direction}")]
    Kind {
        /// The word, shortened.
        kind: String,
        /// The direction of the file.
        direction: Direction,
    },
    /// More than one message may have.
    #[error("a message has at most {max} {what}, this one {count}")]
    TooMuch {
        /// What of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// Two times or none.
    #[error("a schedule has either `at` or `every`")]
    Time,
}

impl Content {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::Answer(_) => "answer",
            Self::Probe(_) => "probe",
            Self::Ack => "ack",
            Self::Reply(_) => "reply",
            Self::Message(_) => "message",
            Self::Ask(_) => "ask",
            Self::Schedule(_) => "schedule",
            Self::Unschedule(_) => "unschedule",
            Self::Error(_) => "error",
            Self::ProbeResult(_) => "probe-result",
        }
    }

    /// What it says, as JSON has it.
    pub fn to_value(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Task(text) | Self::Answer(text) | Self::Message(text) => serde_json::to_value(text),
            Self::Probe(probe) => serde_json::to_value(probe),
            Self::Ack => Ok(Value::Object(serde_json::Map::new())),
            Self::Reply(reply) => serde_json::to_value(reply),
            Self::Ask(ask) => serde_json::to_value(ask),
            Self::Schedule(schedule) => serde_json::to_value(schedule),
            Self::Unschedule(unschedule) => serde_json::to_value(unschedule),
            Self::Error(failure) => serde_json::to_value(failure),
            Self::ProbeResult(result) => Ok(result.clone()),
        }
    }

    fn of(direction: Direction, kind: &str, content: Value) -> Result<Self, MessageError> {
        use Direction::FromWorker;
        use Direction::ToWorker;
        use serde_json::from_value;
        Ok(match (direction, kind) {
            (ToWorker, "task") => Self::Task(from_value(content)?),
            (ToWorker, "answer") => Self::Answer(from_value(content)?),
            (ToWorker, "probe") => Self::Probe(from_value(content)?),
            (ToWorker | FromWorker, "ack") => Self::Ack,
            (FromWorker, "reply") => Self::Reply(from_value(content)?),
            (FromWorker, "message") => Self::Message(from_value(content)?),
            (FromWorker, "ask") => Self::Ask(from_value(content)?),
            (FromWorker, "schedule") => {
                let schedule: Schedule = from_value(content)?;
                if schedule.at.is_some() == schedule.every.is_some() {
                    return Err(MessageError::Time);
                }
                Self::Schedule(schedule)
            }
            (FromWorker, "unschedule") => Self::Unschedule(from_value(content)?),
            (FromWorker, "error") => Self::Error(from_value(content)?),
            (FromWorker, "probe-result") => Self::ProbeResult(content),
            _ => return Err(MessageError::Kind { kind: kind.chars().take(40).collect(), direction }),
        })
    }
}

impl Message {
    /// One with a new id that says this and acknowledges nothing.
    pub fn new(content: Content) -> Result<Self, FormatError> {
        Ok(Self { id: MessageId::random()?, in_reply_to: None, acks: Vec::new(), content })
    }

    /// The same, in reply to another.
    #[must_use]
    pub fn replying(self, to: MessageId) -> Self {
        Self { in_reply_to: Some(to), ..self }
    }

    /// The same, acknowledging these files of the other side.
    #[must_use]
    pub fn acknowledging(self, acks: Vec<u64>) -> Self {
        Self { acks, ..self }
    }

    /// Its body.
    pub fn to_body(&self) -> Result<Vec<u8>, MessageError> {
        check("acknowledged files", self.acks.len(), ACKS_MAX)?;
        let raw = Raw {
            id: self.id,
            kind: self.content.kind().to_owned(),
            in_reply_to: self.in_reply_to,
            acks: self.acks.clone(),
            content: self.content.to_value()?,
        };
        let body = serde_json::to_vec(&raw)?;
        check("bytes", body.len(), BODY_MAX)?;
        Ok(body)
    }

    /// The message of a body that was sealed in this direction.
    pub fn parse(direction: Direction, body: &[u8]) -> Result<Self, MessageError> {
        check("bytes", body.len(), BODY_MAX)?;
        let raw: Raw = serde_json::from_slice(body)?;
        check("acknowledged files", raw.acks.len(), ACKS_MAX)?;
        let content = Content::of(direction, &raw.kind, raw.content)?;
        Ok(Self { id: raw.id, in_reply_to: raw.in_reply_to, acks: raw.acks, content })
    }
}

fn check(what: &'static str, count: usize, max: usize) -> Result<(), MessageError> {
    if count > max { Err(MessageError::TooMuch { what, count, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(direction: Direction, text: &str) -> Result<Message, MessageError> {
        Message::parse(direction, text.as_bytes())
    }

    const ID: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn a_message_is_what_the_page_says() {
        let text = format!(
            r#"{{"id":"{ID}","kind":"reply","in-reply-to":"{ID}","acks":[3,4],"content":{{"text":"done","usage":{{"input":5,"output":6}}}}}}"#
        );
        let message = parse(Direction::FromWorker, &text).unwrap();
        assert_eq!(message.acks, [3, 4]);
        assert_eq!(message.id.to_string(), ID);
        let Content::Reply(reply) = &message.content else { panic!("{message:?}") };
        assert_eq!((reply.text.as_str(), reply.usage), ("done", Some(Usage { input: 5, output: 6 })));
        assert_eq!(message.to_body().unwrap(), text.as_bytes());
    }

    #[test]
    fn what_is_optional_may_be_left_out_and_is() {
        let text = format!(r#"{{"id":"{ID}","kind":"task","content":{{"text":"x"}}}}"#);
        let message = parse(Direction::ToWorker, &text).unwrap();
        assert_eq!((message.in_reply_to, message.acks.len()), (None, 0));
        assert_eq!(message.to_body().unwrap(), text.as_bytes());
    }

    #[test]
    fn every_kind_comes_back_as_it_was() {
        let text = |text: &str| Text { text: text.into() };
        let to = [
            Content::Task(text("a")),
            Content::Answer(text("b")),
            Content::Probe(Probe { list: serde_json::json!(["x"]) }),
            Content::Ack,
        ];
        let from = [
            Content::Reply(Reply { text: "c".into(), usage: None }),
            Content::Message(text("d")),
            Content::Ask(Ask { question: "e".into(), choices: vec!["f".into()] }),
            Content::Schedule(Schedule { name: "g".into(), text: "h".into(), at: None, every: Some(60) }),
            Content::Unschedule(Unschedule { name: "g".into() }),
            Content::Error(Failure { code: "401".into(), message: "i".into(), retried: Some(2) }),
            Content::ProbeResult(serde_json::json!({ "nics": ["lo"] })),
            Content::Ack,
        ];
        let cases = to.into_iter().map(|content| (Direction::ToWorker, Direction::FromWorker, content));
        let from = from.into_iter().map(|content| (Direction::FromWorker, Direction::ToWorker, content));
        for (direction, other, content) in cases.chain(from) {
            let message = Message::new(content).unwrap();
            let body = message.to_body().unwrap();
            assert_eq!(Message::parse(direction, &body).unwrap(), message);
            if message.content != Content::Ack {
                assert!(
                    matches!(Message::parse(other, &body), Err(MessageError::Kind { .. })),
                    "{message:?}"
                );
            }
            assert!(matches!(Message::parse(Direction::State, &body), Err(MessageError::Kind { .. })));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"id":"00","kind":"task","content":{"text":"x"}}"#,
            r#"{"id":"00112233445566778899AABBCCDDEEFF","kind":"task","content":{"text":"x"}}"#,
            r#"{"id":"00112233445566778899aabbccddeeff","kind":"task","content":{"text":1}}"#,
            r#"{"id":"00112233445566778899aabbccddeeff","kind":"task","content":{"text":"x","more":1}}"#,
            r#"{"id":"00112233445566778899aabbccddeeff","kind":"task","content":{"text":"x"},"more":1}"#,
            r#"{"id":"00112233445566778899aabbccddeeff","kind":"task","acks":[-1],"content":{"text":"x"}}"#,
            r#"{"id":"00112233445566778899aabbccddeeff","kind":"task"}"#,
            r#"{"id":"00112233445566778899aabbccddeeff","kind":"task","content":{"text":"x"}} "x""#,
        ] {
            assert!(parse(Direction::ToWorker, text).is_err(), "{text}");
        }
        for time in [r#""at":1,"every":1"#, r#""at":null"#] {
            let text =
                format!(r#"{{"id":"{ID}","kind":"schedule","content":{{"name":"n","text":"x",{time}}}}}"#);
            assert!(matches!(parse(Direction::FromWorker, &text), Err(MessageError::Time)), "{text}");
        }
        assert!(parse(Direction::ToWorker, &"[".repeat(BODY_MAX)).is_err(), "deep, and no crash");
    }

    #[test]
    fn limits_hold_for_both_sides() {
        let task = |length: usize| Message::new(Content::Task(Text { text: "x".repeat(length) })).unwrap();
        let around = task(0).to_body().unwrap().len();
        assert_eq!(task(BODY_MAX - around).to_body().unwrap().len(), BODY_MAX);
        assert!(matches!(task(BODY_MAX - around + 1).to_body(), Err(MessageError::TooMuch { .. })));
        let acks: Vec<u64> = (0..=ACKS_MAX as u64).collect();
        let ack = Message::new(Content::Ack).unwrap();
        assert!(ack.clone().acknowledging(acks[1..].to_vec()).to_body().is_ok());
        assert!(ack.acknowledging(acks.clone()).to_body().is_err());
        let text = format!(r#"{{"id":"{ID}","kind":"ack","acks":{acks:?}}}"#);
        assert!(matches!(parse(Direction::FromWorker, &text), Err(MessageError::TooMuch { .. })));
    }

    #[test]
    fn a_derived_id_is_the_beginning_of_a_digest() {
        // Expected: `printf abc | sha256sum`.
        assert_eq!(MessageId::derived("abc").to_string(), "ba7816bf8f01cfea414140de5dae2223");
    }
}
