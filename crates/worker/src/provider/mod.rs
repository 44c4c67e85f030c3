//! Shapes of requests and streamed answers, one file a provider. Pure: conversations go in, bytes come out, and the other way round.
//!
//! | provider | request | file |
//! |---|---|---|
//! | `anthropic` | `POST /v1/messages`, version 2023-06-01 | [`anthropic`] |
//! | `openai` | `POST /v1/responses` | [`responses`] |
//! | `openai-chat` | `POST /v1/chat/completions` | [`chat`] |
//! | `gemini` | `POST /v1beta/models/MODEL:streamGenerateContent?alt=sse` | [`gemini`] |
//!
//! No key is sent: the host's route adds it. **Refuses** answers of more than [`TEXT`] bytes of text, [`ARGUMENTS`] of arguments or
//! [`CALLS`] calls, calls of tools without a name, and streams that end before the provider said that the answer does.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use std::fmt;

use serde_json::Value;

use crate::conversation::Call;
use crate::conversation::Entry;
use crate::sse::Event;

/// Bytes of text of one answer.
pub const TEXT: usize = 256 << 10;
/// Bytes of all arguments of one answer.
pub const ARGUMENTS: usize = 256 << 10;
/// Calls of one answer.
pub const CALLS: usize = 32;
/// Bytes of a name or an id.
const NAME: usize = 256;
/// Bytes of what a provider wants back with a call.
const SIGNATURE: usize = 64 << 10;
/// Bytes of a provider's message that are passed on.
const MESSAGE: usize = 2000;

/// A tool as models are told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The system prompt.
    pub system: &'a str,
    /// What was said so far.
    pub entries: &'a [&'a Entry],
    /// The tools.
    pub tools: &'a [Tool],
    /// Tokens of the answer at most, where that is said.
    pub max_tokens: Option<u32>,
}

/// Tokens that were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Of the request.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
    }
}

/// Why an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It is complete, or waits for the tools.
    #[default]
    End,
    /// At the limit of tokens.
    Length,
    /// The provider or the model refused; its word for it.
    Refused(String),
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Its text.
    pub text: String,
    /// Its calls.
    pub calls: Vec<Call>,
    /// Why it ended.
    pub stop: Stop,
    /// What it took.
    pub usage: Usage,
}

/// Why a stream is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The provider says so: its word for the kind of error, and its message.
    Provider {
        /// As `overloaded_error`.
        kind: String,
        /// The message.
        message: String,
    },
    /// An event is not what the provider documents.
    Event,
    /// Text, arguments or calls exceed their limit.
    Large,
    /// It ended before its end.
    Cut,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider { kind, message } => write!(f, "the provider says {kind}: {message}"),
            Self::Event => f.write_str("the provider's answer has an event that is none of its kind"),
            Self::Large => f.write_str("the provider's answer exceeds a limit"),
            Self::Cut => f.write_str("the provider's answer was cut off"),
        }
    }
}

/// The providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    OpenAi,
    /// OpenAI Chat Completions, which many others speak.
    OpenAiChat,
    /// Gemini.
    Gemini,
}

impl Provider {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "anthropic" => Self::Anthropic,
            "openai" => Self::OpenAi,
            "openai-chat" => Self::OpenAiChat,
            "gemini" => Self::Gemini,
            _ => return None,
        })
    }

    /// The host that the provider's own clients name.
    pub fn host(self) -> &'static str {
        match self {
            Self::Anthropic => "api.anthropic.com",
            Self::OpenAi | Self::OpenAiChat => "api.openai.com",
            Self::Gemini => "generativelanguage.googleapis.com",
        }
    }

    /// Path and query of a request.
    pub fn path(self, model: &str) -> String {
        match self {
            Self::Anthropic => "/v1/messages".into(),
            Self::OpenAi => "/v1/responses".into(),
            Self::OpenAiChat => "/v1/chat/completions".into(),
            Self::Gemini => format!("/v1beta/models/{}:streamGenerateContent?alt=sse", encoded(model)),
        }
    }

    /// Fields of the head beside those that each request has.
    pub fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Anthropic => &[("anthropic-version", "2023-06-01")],
            _ => &[],
        }
    }

    /// The body of a request.
    pub fn body(self, ask: &Ask<'_>) -> Value {
        match self {
            Self::Anthropic => anthropic::body(ask),
            Self::OpenAi => responses::body(ask),
            Self::OpenAiChat => chat::body(ask),
            Self::Gemini => gemini::body(ask),
        }
    }

    /// A reader of its answers.
    pub fn reader(self) -> Reader {
        Reader { provider: self, said: Said::default(), parts: Vec::new(), size: 0, ended: Ended::Not }
    }
}

/// A name as part of a path (RFC 3986, unreserved).
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Whether the provider said that its answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Not,
    /// The reason is known; figures may follow.
    Reason,
    /// Nothing follows.
    All,
}

/// A call that comes in pieces.
#[derive(Clone, Debug, Default)]
struct Part {
    /// The provider's number for it.
    index: u64,
    id: String,
    name: String,
    arguments: String,
    signature: Option<String>,
}

/// Reads the events of one answer.
#[derive(Clone, Debug)]
pub struct Reader {
    provider: Provider,
    said: Said,
    parts: Vec<Part>,
    /// Bytes of all arguments.
    size: usize,
    ended: Ended,
}

impl Reader {
    /// Takes one event.
    pub fn take(&mut self, event: &Event) -> Result<(), Wrong> {
        if self.ended == Ended::All {
            return Ok(());
        }
        if event.data.trim() == "[DONE]" {
            self.ended = Ended::All;
            return Ok(());
        }
        let value: Value = serde_json::from_str(&event.data).map_err(|_| Wrong::Event)?;
        if !value.is_object() {
            return Err(Wrong::Event);
        }
        match self.provider {
            Provider::Anthropic => anthropic::event(self, &value),
            Provider::OpenAi => responses::event(self, &value),
            Provider::OpenAiChat => chat::event(self, &value),
            Provider::Gemini => gemini::event(self, &value),
        }
    }

    /// Whether nothing more is awaited.
    pub fn is_done(&self) -> bool {
        self.ended == Ended::All
    }

    /// The stream has ended: the answer, if it has, too.
    pub fn end(mut self) -> Result<Said, Wrong> {
        if self.ended == Ended::Not {
            return Err(Wrong::Cut);
        }
        for part in self.parts {
            let arguments = part.arguments.trim();
            let arguments = if arguments.is_empty() {
                Value::Object(serde_json::Map::new())
            } else {
                serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(part.arguments.clone()))
            };
            if part.name.is_empty() {
                return Err(Wrong::Event);
            }
            let id = if part.id.is_empty() { format!("call_{}", part.index) } else { part.id };
            self.said.calls.push(Call { id, name: part.name, arguments, signature: part.signature });
        }
        Ok(self.said)
    }

    /// Adds to the text.
    fn text(&mut self, value: &Value) -> Result<(), Wrong> {
        let text = value.as_str().unwrap_or_default();
        if self.said.text.len() + text.len() > TEXT {
            return Err(Wrong::Large);
        }
        self.said.text.push_str(text);
        Ok(())
    }

    /// The call of a number, which is begun where it is new.
    fn part(&mut self, index: u64) -> Result<&mut Part, Wrong> {
        let at = match self.parts.iter().position(|part| part.index == index) {
            Some(at) => at,
            None if self.parts.len() >= CALLS => return Err(Wrong::Large),
            None => {
                self.parts.push(Part { index, ..Part::default() });
                self.parts.len() - 1
            }
        };
        self.parts.get_mut(at).ok_or(Wrong::Event)
    }

    /// Sets id and name of a call where they are said.
    fn named(&mut self, index: u64, id: &Value, name: &Value) -> Result<(), Wrong> {
        let part = self.part(index)?;
        for (field, value) in [(&mut part.id, id), (&mut part.name, name)] {
            let text = value.as_str().unwrap_or_default();
            if text.len() > NAME {
                return Err(Wrong::Large);
            }
            if field.is_empty() {
                text.clone_into(field);
            }
        }
        Ok(())
    }

    /// Adds to the arguments of a call.
    fn arguments(&mut self, index: u64, text: &str) -> Result<(), Wrong> {
        self.size += text.len();
        if self.size > ARGUMENTS {
            return Err(Wrong::Large);
        }
        self.part(index)?.arguments.push_str(text);
        Ok(())
    }
}

/// What a provider's error says.
fn error(value: &Value) -> Wrong {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let kind = ["type", "status", "code"].into_iter().find_map(|field| text(&value[field]));
    let message = text(&value["message"]).unwrap_or_default();
    Wrong::Provider {
        kind: crate::conversation::shortened(&kind.unwrap_or_else(|| "an error".into()), NAME),
        message: crate::conversation::shortened(&message, MESSAGE),
    }
}

/// What the body of an answer that is an error says: all four send `{"error": {…}}`, Gemini also an array of that.
pub fn refusal(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return crate::conversation::shortened(String::from_utf8_lossy(body).trim(), MESSAGE);
    };
    let value = value.get(0).unwrap_or(&value);
    match error(&value["error"]) {
        Wrong::Provider { kind, message } if !message.is_empty() => format!("{kind}: {message}"),
        _ => crate::conversation::shortened(&value.to_string(), MESSAGE),
    }
}

/// A number of tokens.
fn tokens(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The items of an array.
fn each<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests;
