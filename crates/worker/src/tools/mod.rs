//! What the model may do, and what each tool is told to it as.
//!
//! ```text
//!   read_file  write_file  edit_file  list_dir      files: three roots, by descriptors
//!   send_message  ask_user  schedule  unschedule    messages: the host does them
//!   exec                                            programs of the sandbox, only where it is enabled
//! ```
//!
//! **Guarantees**: a path leads nowhere but below the three roots; what a tool brings is at most [`RESULT`] bytes; a call that is no
//! call is answered, never an end. **Refuses** writing to what is shared.

mod exec;
mod files;
mod messages;

use serde_json::Value;
use serde_json::json;

pub(crate) use self::files::Files;
use crate::args::Exec;
use crate::conversation::Call;
use crate::conversation::shortened;
use crate::provider::Tool;
use crate::pulse::Pulse;

/// Bytes of what a tool brings.
pub(crate) const RESULT: usize = 64 << 10;

/// What a call comes to.
#[derive(Debug)]
pub(crate) enum Done {
    /// It is done; what it says.
    Text(String),
    /// It is not done; why.
    Failed(String),
    /// A message to the host does it; what the model is told.
    Send(pinfold_queue::Content, String),
    /// It is done once the user has answered this.
    Ask(pinfold_queue::message::Ask),
    /// The worker is to stop, and the call with it.
    Stopped,
}

/// Whether a call may be made a second time where nobody knows whether the first was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// The outcome is the same.
    Same,
    /// It may do something twice.
    Twice,
}

/// The tools of a sandbox.
#[derive(Debug)]
pub(crate) struct Tools {
    files: Files,
    exec: Exec,
}

impl Tools {
    /// Those that work on these files.
    pub(crate) fn new(files: Files, exec: Exec) -> Self {
        Self { files, exec }
    }

    /// What the model is told.
    pub(crate) fn told(&self) -> Vec<Tool> {
        let path = || json!({ "type": "string", "description": "Relative to /workspace, or absolute below /workspace, /memory or /shared" });
        let object = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required });
        let text = |description: &str| json!({ "type": "string", "description": description });
        let number = |description: &str| json!({ "type": "integer", "description": description });
        let mut tools = vec![
            Tool {
                name: "read_file",
                description: "Read a text file, at most 64 KiB at once",
                parameters: object(
                    json!({ "path": path(), "offset": number("First byte to read, 0 where it is left out") }),
                    &["path"],
                ),
            },
            Tool {
                name: "write_file",
                description: "Write a whole file; directories on the way to it are made",
                parameters: object(
                    json!({ "path": path(), "content": text("All of the file") }),
                    &["path", "content"],
                ),
            },
            Tool {
                name: "edit_file",
                description: "Replace a part of a text file that is in it exactly once",
                parameters: object(
                    json!({ "path": path(), "old": text("The part as it is"), "new": text("What takes its place") }),
                    &["path", "old", "new"],
                ),
            },
            Tool {
                name: "list_dir",
                description: "List a directory: kind, bytes and name of each entry",
                parameters: object(json!({ "path": path() }), &["path"]),
            },
            Tool {
                name: "send_message",
                description: "Tell the user something before the work is done",
                parameters: object(json!({ "text": text("What to tell") }), &["text"]),
            },
            Tool {
                name: "ask_user",
                description: "Ask the user, and wait for the answer",
                parameters: object(
                    json!({
                        "question": text("The question"),
                        "choices": { "type": "array", "items": { "type": "string" }, "description": "Answers to choose from" }
                    }),
                    &["question"],
                ),
            },
            Tool {
                name: "schedule",
                description: "Be given a task later: once after some seconds, or every so many seconds",
                parameters: object(
                    json!({
                        "name": text("A name for it; the same name replaces it"), "text": text("The task"),
                        "after_seconds": number("Once, so many seconds from now"),
                        "every_seconds": number("Again and again, so many seconds apart")
                    }),
                    &["name", "text"],
                ),
            },
            Tool {
                name: "unschedule",
                description: "Give up what was scheduled",
                parameters: object(json!({ "name": text("Its name") }), &["name"]),
            },
        ];
        if self.exec == Exec::Enabled {
            tools.push(Tool {
                name: "exec",
                description: "Run a program of the sandbox, without a shell; what it prints comes back",
                parameters: object(
                    json!({
                        "command": { "type": "array", "items": { "type": "string" }, "description": "The program and its arguments" },
                        "timeout_seconds": number("At most so long, 60 where it is left out")
                    }),
                    &["command"],
                ),
            });
        }
        tools
    }

    /// Whether a call may be made again after an end in its middle.
    pub(crate) fn again(call: &Call) -> Again {
        if matches!(call.name.as_str(), "edit_file" | "exec") { Again::Twice } else { Again::Same }
    }

    /// Makes a call.
    pub(crate) fn call(&self, call: &Call, pulse: &mut Pulse) -> Done {
        if !call.arguments.is_object() {
            return Done::Failed("the arguments are no JSON object".into());
        }
        let done = match call.name.as_str() {
            "read_file" => self.files.read(&call.arguments),
            "write_file" => self.files.write(&call.arguments),
            "edit_file" => self.files.edit(&call.arguments),
            "list_dir" => self.files.list(&call.arguments),
            "send_message" => messages::send(&call.arguments),
            "ask_user" => messages::ask(&call.arguments),
            "schedule" => messages::schedule(&call.arguments, Pulse::now()),
            "unschedule" => messages::unschedule(&call.arguments),
            "exec" if self.exec == Exec::Enabled => {
                return exec::call(&call.arguments, self.files.workspace(), pulse);
            }
            other => Err(format!("there is no tool `{}`", shortened(other, 100).escape_debug())),
        };
        match done {
            Ok(Done::Text(text)) => Done::Text(shortened(&text, RESULT)),
            Ok(done) => done,
            Err(why) => Done::Failed(shortened(&why, 1000)),
        }
    }
}

/// A text among the arguments.
fn text<'a>(arguments: &'a Value, name: &str) -> Result<&'a str, String> {
    arguments[name].as_str().ok_or_else(|| format!("`{name}` is no text"))
}

/// A number among the arguments that may be left out.
fn number(arguments: &Value, name: &str) -> Result<Option<u64>, String> {
    match &arguments[name] {
        Value::Null => Ok(None),
        value => value.as_u64().map(Some).ok_or_else(|| format!("`{name}` is no number from 0 on")),
    }
}

#[cfg(test)]
mod tests;
