//! A stand-in for the model's socket of a sealed sandbox: it answers at once, as each provider streams, what the last words of the
//! user ask for.
//!
//! | the user's last words | the answer |
//! |---|---|
//! | `call TOOL {JSON}` | a call of this tool; once its result is there, `brought: ` and the result |
//! | `status N [SECONDS]` | this status, with `Retry-After` |
//! | `once N …` | this status the first time, then what follows |
//! | `cut`, `junk`, `error`, `hang` | half a stream, no HTTP, an error among the events, nothing |
//! | else | `echo: ` and the words |

use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

/// A running stand-in. Its thread ends with the process.
#[derive(Clone, Debug, Default)]
pub struct Model {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    heads: Vec<String>,
    bodies: Vec<Value>,
    refused: BTreeSet<String>,
}

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests that are kept.
const KEPT: usize = 200;

impl Model {
    /// Listens on a path with nothing at it.
    pub fn start(socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        Self::answering(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        })
    }

    /// Listens on a port of this machine's loopback that the kernel chooses.
    pub fn on_loopback() -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let model = Self::answering(move || {
            let (stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        })?;
        Ok((model, address))
    }

    /// Serves each of these connections in a thread of its own, until there are no more.
    fn answering<S: Read + Write + Send + 'static>(
        mut next: impl FnMut() -> io::Result<S> + Send + 'static,
    ) -> io::Result<Self> {
        let model = Self::default();
        let own = model.clone();
        thread::Builder::new().name("model".into()).spawn(move || {
            while let Ok(stream) = next() {
                let own = own.clone();
                // A client that is killed is nobody's error.
                let _ = thread::Builder::new().spawn(move || own.serve(stream));
            }
        })?;
        Ok(model)
    }

    /// Heads of the first requests.
    pub fn heads(&self) -> Vec<String> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).heads.clone()
    }

    /// Bodies of the first requests.
    pub fn bodies(&self) -> Vec<Value> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).bodies.clone()
    }

    fn serve(&self, mut stream: impl Read + Write) -> io::Result<()> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
        let (head, length) = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
                if bytes.len() >= end + 4 + length {
                    bytes.drain(..end + 4);
                    break (head, length);
                }
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        };
        let body: Value = serde_json::from_slice(&bytes[..length]).unwrap_or(Value::Null);
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let said = said(&path, &body);
        let first = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.heads.len() < KEPT {
                shared.heads.push(head);
                shared.bodies.push(body);
            }
            shared.refused.insert(said.words.clone())
        };
        let mut words = said.words.as_str();
        if let Some(rest) = words.strip_prefix("once ") {
            let (status, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if first {
                return refuse(&mut stream, status, "0");
            }
            words = after;
        }
        if let Some(rest) = words.strip_prefix("status ") {
            let (status, after) = rest.split_once(' ').unwrap_or((rest, "0"));
            return refuse(&mut stream, status, after);
        }
        match words {
            "junk" => return stream.write_all(b"SSH-2.0-nothing\r\n\r\n"),
            "hang" => {
                thread::sleep(Duration::from_secs(600));
                return Ok(());
            }
            _ => {}
        }
        let turn = if words == "error" {
            Turn::Error
        } else if let Some(brought) = &said.brought {
            Turn::Text(format!("brought: {brought}"))
        } else if let Some(rest) = words.strip_prefix("call ") {
            let (tool, arguments) = rest.split_once(' ').unwrap_or((rest, "{}"));
            Turn::Call(tool.to_owned(), arguments.to_owned())
        } else {
            Turn::Text(format!("echo: {words}"))
        };
        let mut text = streamed(&path, &turn);
        if words == "cut" {
            let mut half = text.len() / 2;
            while !text.is_char_boundary(half) {
                half -= 1;
            }
            text.truncate(half);
        }
        let mut answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        for piece in text.as_bytes().chunks(700) {
            answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            answer.extend_from_slice(piece);
            answer.extend_from_slice(b"\r\n");
        }
        if words != "cut" {
            answer.extend_from_slice(b"0\r\n\r\n");
        }
        stream.write_all(&answer)
    }
}

fn refuse(stream: &mut impl Write, status: &str, after: &str) -> io::Result<()> {
    let body = json!({ "error": { "type": "test_error", "message": format!("as asked for: {status}") } })
        .to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nRetry-After: {after}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())
}

/// What a request says last.
struct Said {
    words: String,
    brought: Option<String>,
}

enum Turn {
    Text(String),
    Call(String, String),
    Error,
}

/// Reads the conversation of any of the four.
fn said(path: &str, body: &Value) -> Said {
    let gemini = path.contains(":streamGenerateContent");
    let field = match path {
        "/v1/responses" => "input",
        _ if gemini => "contents",
        _ => "messages",
    };
    let (mut words, mut brought) = (String::new(), None);
    for entry in body[field].as_array().into_iter().flatten() {
        let parts = if gemini { &entry["parts"] } else { &entry["content"] };
        let text = parts.as_str().or_else(|| parts[0]["text"].as_str());
        let result = entry["output"]
            .as_str()
            .or_else(|| if entry["role"] == "tool" { entry["content"].as_str() } else { None })
            .or_else(|| parts[0]["content"].as_str())
            .or_else(|| parts[0]["functionResponse"]["response"]["output"].as_str())
            .or_else(|| parts[0]["functionResponse"]["response"]["error"].as_str());
        if let Some(result) = result {
            brought = Some(result.to_owned());
        } else if entry["role"] == "user"
            && let Some(text) = text
        {
            text.clone_into(&mut words);
            brought = None;
        }
    }
    Said { words, brought }
}

fn events(events: &[Value]) -> String {
    let mut text = String::new();
    for event in events {
        if let Some(name) = event["type"].as_str() {
            text.push_str(&format!("event: {name}\n"));
        }
        text.push_str(&format!("data: {event}\n\n"));
    }
    text
}

/// In two pieces, as streams cut texts anywhere.
fn halves(text: &str) -> [&str; 2] {
    let mut half = text.len() / 2;
    while !text.is_char_boundary(half) {
        half -= 1;
    }
    [&text[..half], &text[half..]]
}

fn streamed(path: &str, turn: &Turn) -> String {
    let error = json!({ "type": "overloaded_error", "code": 503, "message": "as asked for" });
    match path {
        "/v1/messages" => {
            let start = json!({ "type": "message_start", "message": { "usage": { "input_tokens": 3, "output_tokens": 1 } } });
            let (block, deltas) = match turn {
                Turn::Error => return events(&[start, json!({ "type": "error", "error": error })]),
                Turn::Text(text) => (
                    json!({ "type": "text", "text": "" }),
                    halves(text).map(|text| json!({ "type": "text_delta", "text": text })),
                ),
                Turn::Call(name, arguments) => (
                    json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} }),
                    halves(arguments).map(|text| json!({ "type": "input_json_delta", "partial_json": text })),
                ),
            };
            let mut all = vec![start, json!({ "type": "ping" })];
            all.push(json!({ "type": "content_block_start", "index": 0, "content_block": block }));
            all.extend(
                deltas.map(|delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta })),
            );
            let stop = if matches!(turn, Turn::Call(..)) { "tool_use" } else { "end_turn" };
            all.push(json!({ "type": "content_block_stop", "index": 0 }));
            all.push(json!({ "type": "message_delta", "delta": { "stop_reason": stop }, "usage": { "output_tokens": 4 } }));
            all.push(json!({ "type": "message_stop" }));
            events(&all)
        }
        "/v1/responses" => {
            let item = match turn {
                Turn::Error => {
                    return events(&[json!({ "type": "response.failed", "response": { "error": error } })]);
                }
                Turn::Text(text) => {
                    json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] })
                }
                Turn::Call(name, arguments) => json!({
                    "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments
                }),
            };
            let usage = json!({ "input_tokens": 3, "output_tokens": 4 });
            events(&[
                json!({ "type": "response.created", "response": {} }),
                json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
                json!({ "type": "response.completed", "response": { "usage": usage } }),
            ])
        }
        "/v1/chat/completions" => {
            let choice = |delta: Value, reason: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
            let mut all = vec![choice(json!({ "role": "assistant", "content": "" }), Value::Null)];
            let reason = match turn {
                Turn::Error => return events(&[json!({ "error": error })]),
                Turn::Text(text) => {
                    all.extend(halves(text).map(|text| choice(json!({ "content": text }), Value::Null)));
                    "stop"
                }
                Turn::Call(name, arguments) => {
                    let begin = json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": "" } });
                    all.push(choice(json!({ "tool_calls": [begin] }), Value::Null));
                    all.extend(halves(arguments).map(|text| {
                        choice(
                            json!({ "tool_calls": [{ "index": 0, "function": { "arguments": text } }] }),
                            Value::Null,
                        )
                    }));
                    "tool_calls"
                }
            };
            all.push(choice(json!({}), reason.into()));
            all.push(json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 4 } }));
            format!("{}data: [DONE]\n\n", events(&all))
        }
        _ => {
            let parts: Vec<Value> = match turn {
                Turn::Error => return events(&[json!({ "error": error })]),
                Turn::Text(text) => halves(text).map(|text| json!({ "text": text })).to_vec(),
                Turn::Call(name, arguments) => {
                    let arguments: Value = serde_json::from_str(arguments).unwrap_or(Value::Null);
                    vec![
                        json!({ "text": "I think", "thought": true }),
                        json!({ "functionCall": { "name": name, "args": arguments }, "thoughtSignature": "c2lnbmVk" }),
                    ]
                }
            };
            let mut all: Vec<Value> = parts
                .into_iter()
                .map(|part| json!({ "candidates": [{ "content": { "role": "model", "parts": [part] } }] }))
                .collect();
            all.push(json!({
                "candidates": [{ "content": { "parts": [] }, "finishReason": "STOP" }],
                "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 4 }
            }));
            events(&all)
        }
    }
}
