//! What the providers answer, as they document it: a tool call that runs a command, then the end of the turn.
//!
//! | path | format |
//! |---|---|
//! | `…/messages` | Anthropic Messages: server-sent events where `stream` is true, else one object |
//! | `…/messages/count_tokens` | its counting |
//! | `…/responses` | OpenAI Responses, server-sent events |
//! | `…:streamGenerateContent` | Gemini, server-sent events |
//! | `…:generateContent` | Gemini, one object: the answer to a router that asks how hard a task is |
//!
//! Pure: a request goes in, an answer comes out. Whether a command was run already is read off the conversation, which agents
//! send whole each time.

use serde_json::Value;
use serde_json::json;

use super::Task;
use super::http::Request;

const DONE: &str = "the work is done";

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Status line's rest.
    pub(super) status: &'static str,
    /// Media type.
    pub(super) kind: &'static str,
    /// The body.
    pub(super) body: String,
    /// Whether it asks for the command.
    pub(super) asks: bool,
    /// Whether the request brought what the command prints.
    pub(super) proved: bool,
}

/// Answers a request.
pub(super) fn answer(request: &Request, task: Task) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let text = if path.ends_with("/messages") {
        if body["stream"].as_bool() == Some(true) {
            anthropic(&body, task)
        } else {
            plain(&anthropic_object())
        }
    } else if path.ends_with("/count_tokens") {
        plain(&json!({ "input_tokens": 1 }))
    } else if path.ends_with("/responses") {
        openai(&body, task)
    } else if path.contains(":streamGenerateContent") {
        gemini(&body, task)
    } else if path.contains(":generateContent") {
        plain(&gemini_object(&json!({ "text": r#"{"complexity_reasoning":"x","complexity_score":1}"# })))
    } else if request.method == "GET" || request.method == "HEAD" {
        plain(&json!({ "data": [], "models": [] }))
    } else {
        plain(&json!({}))
    };
    Answer { proved: has(&body, task.proof), ..text }
}

/// Whether a text somewhere in it has `part`.
fn has(value: &Value, part: &str) -> bool {
    match value {
        Value::String(text) => text.contains(part),
        Value::Array(items) => items.iter().any(|item| has(item, part)),
        Value::Object(fields) => fields.values().any(|field| has(field, part)),
        _ => false,
    }
}

fn plain(value: &Value) -> Answer {
    Answer { status: "200 OK", kind: "application/json", body: value.to_string(), asks: false, proved: false }
}

/// Server-sent events; each names its type where the format does.
fn events(events: &[Value], asks: bool) -> Answer {
    let mut body = String::new();
    for event in events {
        if let Some(name) = event["type"].as_str() {
            body.push_str(&format!("event: {name}\n"));
        }
        body.push_str(&format!("data: {event}\n\n"));
    }
    Answer { status: "200 OK", kind: "text/event-stream", body, asks, proved: false }
}

fn each<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn anthropic_object() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": null,
        "content": [{ "type": "text", "text": "ok" }], "usage": { "input_tokens": 1, "output_tokens": 1 }
    })
}

fn anthropic(body: &Value, task: Task) -> Answer {
    let answered = each(body, "messages")
        .flat_map(|message| each(message, "content"))
        .any(|part| part["type"] == "tool_result");
    let shell = each(body, "tools")
        .filter_map(|tool| tool["name"].as_str())
        .find(|name| name.eq_ignore_ascii_case("bash"))
        .filter(|_| !answered);
    let (block, delta) = match shell {
        Some(name) => {
            let arguments = json!({ "command": task.command, "description": "work" }).to_string();
            (
                json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} }),
                json!({ "type": "input_json_delta", "partial_json": arguments }),
            )
        }
        None => (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": DONE })),
    };
    let stop = if shell.is_some() { "tool_use" } else { "end_turn" };
    let start = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"].as_str().unwrap_or("m"), "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 1, "output_tokens": 1 }
    });
    let stopped = json!({ "stop_reason": stop, "stop_sequence": null });
    events(
        &[
            json!({ "type": "message_start", "message": start }),
            json!({ "type": "content_block_start", "index": 0, "content_block": block }),
            json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": stopped, "usage": { "output_tokens": 1 } }),
            json!({ "type": "message_stop" }),
        ],
        shell.is_some(),
    )
}

/// How deep tools lie in namespaces of tools, at most.
const DEPTH: usize = 4;

/// Names of the tools that are offered, those in namespaces among them.
fn names<'a>(tools: &'a Value, depth: usize, found: &mut Vec<&'a str>) {
    for tool in tools.as_array().into_iter().flatten() {
        found.extend(tool["name"].as_str());
        if depth < DEPTH {
            names(&tool["tools"], depth + 1, found);
        }
    }
}

/// The tools that run a command, the one that is wanted first.
const SHELLS: [&str; 5] = ["exec", "exec_command", "shell_command", "shell", "bash"];

fn openai(body: &Value, task: Task) -> Answer {
    let items: Vec<&Value> = each(body, "input").collect();
    let is_output = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"));
    let answered = items.iter().any(is_output);
    let mut offered = Vec::new();
    names(&body["tools"], 0, &mut offered);
    for item in &items {
        names(&item["tools"], 0, &mut offered);
    }
    let shell = SHELLS.into_iter().find(|shell| offered.contains(shell)).filter(|_| !answered);
    let command = task.command;
    let call = |arguments: Value| {
        json!({
            "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": shell, "status": "completed",
            "arguments": arguments.to_string()
        })
    };
    let item = match shell {
        // Its code mode: the tool takes JavaScript, which calls the others.
        Some("exec") => json!({
            "type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "exec", "status": "completed",
            "input": format!("text(JSON.stringify(await tools.exec_command({})))", json!({ "cmd": command }))
        }),
        Some("exec_command") => call(json!({ "cmd": command })),
        Some("shell_command") => call(json!({ "command": command })),
        Some("shell") => call(json!({ "command": ["bash", "-lc", command] })),
        Some(_) => call(json!({ "command": command, "description": "work" })),
        None => json!({
            "type": "message", "id": "item_1", "role": "assistant", "status": "completed",
            "content": [{ "type": "output_text", "text": DONE, "annotations": [] }]
        }),
    };
    let usage = json!({
        "input_tokens": 1, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 1,
        "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 2
    });
    events(
        &[
            json!({ "type": "response.created", "response": { "id": "resp_1" } }),
            json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
            json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
            json!({ "type": "response.completed", "response": {
                "id": "resp_1", "object": "response", "status": "completed", "output": [item], "usage": usage
            } }),
        ],
        shell.is_some(),
    )
}

fn gemini_object(part: &Value) -> Value {
    json!({
        "candidates": [{ "content": { "role": "model", "parts": [part] }, "finishReason": "STOP", "index": 0 }],
        "usageMetadata": { "promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2 }, "modelVersion": "m"
    })
}

fn gemini(body: &Value, task: Task) -> Answer {
    const SHELL: &str = "run_shell_command";
    let answered = each(body, "contents")
        .flat_map(|content| each(content, "parts"))
        .any(|part| !part["functionResponse"].is_null());
    let offered = each(body, "tools")
        .flat_map(|tool| each(tool, "functionDeclarations"))
        .any(|tool| tool["name"] == SHELL);
    let asks = offered && !answered;
    let part = if asks {
        json!({ "functionCall": { "name": SHELL, "args": { "command": task.command, "description": "work" } } })
    } else {
        json!({ "text": DONE })
    };
    events(&[gemini_object(&part)], asks)
}
