//! OpenAI Chat Completions, streamed, as others speak it too: the last event `[DONE]` may be missing.

use serde_json::Value;
use serde_json::json;

use super::Ask;
use super::Ended;
use super::Reader;
use super::Stop;
use super::Wrong;
use super::each;
use super::tokens;
use crate::conversation::Entry;

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let mut messages = vec![json!({ "role": "system", "content": ask.system })];
    for entry in ask.entries {
        match entry {
            Entry::User(text) => messages.push(json!({ "role": "user", "content": text })),
            Entry::Model { text, calls } => {
                let mut message = json!({ "role": "assistant", "content": text });
                if !calls.is_empty() {
                    let calls: Vec<Value> = calls
                        .iter()
                        .map(|call| {
                            let function =
                                json!({ "name": call.name, "arguments": call.arguments.to_string() });
                            json!({ "id": call.id, "type": "function", "function": function })
                        })
                        .collect();
                    message["tool_calls"] = calls.into();
                }
                messages.push(message);
            }
            Entry::Results(results) => {
                for result in results {
                    messages
                        .push(json!({ "role": "tool", "tool_call_id": result.id, "content": result.text }));
                }
            }
        }
    }
    let tools: Vec<Value> = ask
        .tools
        .iter()
        .map(|tool| {
            let function =
                json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
            json!({ "type": "function", "function": function })
        })
        .collect();
    let mut body = json!({
        "model": ask.model, "messages": messages, "tools": tools, "stream": true,
        "stream_options": { "include_usage": true }
    });
    if let Some(tokens) = ask.max_tokens {
        body["max_completion_tokens"] = tokens.into();
    }
    body
}

pub(super) fn event(reader: &mut Reader, event: &Value) -> Result<(), Wrong> {
    if event["error"].is_object() {
        return Err(super::error(&event["error"]));
    }
    if event["usage"].is_object() {
        reader.said.usage.input = tokens(&event["usage"]["prompt_tokens"]);
        reader.said.usage.output = tokens(&event["usage"]["completion_tokens"]);
    }
    let Some(choice) = event["choices"].get(0) else { return Ok(()) };
    let delta = &choice["delta"];
    reader.text(&delta["content"])?;
    for call in each(delta, "tool_calls") {
        let index = call["index"].as_u64().unwrap_or(0);
        let function = &call["function"];
        reader.named(index, &call["id"], &function["name"])?;
        reader.arguments(index, function["arguments"].as_str().unwrap_or_default())?;
    }
    if let Some(reason) = choice["finish_reason"].as_str() {
        reader.ended = Ended::Reason;
        match reason {
            "length" => reader.said.stop = Stop::Length,
            "content_filter" => reader.said.stop = Stop::Refused(reason.into()),
            _ => {}
        }
    }
    Ok(())
}
