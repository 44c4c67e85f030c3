//! Anthropic Messages, streamed (platform docs, "Streaming messages").

use serde_json::Value;
use serde_json::json;

use super::Ask;
use super::Ended;
use super::Reader;
use super::Stop;
use super::Wrong;
use super::tokens;
use crate::conversation::Entry;
use crate::conversation::Outcome;

/// Tokens of an answer where nothing is said: the field is required.
const MAX_TOKENS: u32 = 16_000;

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let messages: Vec<Value> = ask
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::User(text) => json!({ "role": "user", "content": text }),
            Entry::Model { text, calls } => {
                let mut parts = Vec::new();
                // Empty text is refused.
                if !text.trim().is_empty() {
                    parts.push(json!({ "type": "text", "text": text }));
                }
                for call in calls {
                    let input = if call.arguments.is_object() { call.arguments.clone() } else { json!({}) };
                    parts.push(
                        json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }),
                    );
                }
                if parts.is_empty() {
                    parts.push(json!({ "type": "text", "text": "(nothing)" }));
                }
                json!({ "role": "assistant", "content": parts })
            }
            Entry::Results(results) => {
                let parts: Vec<Value> = results
                    .iter()
                    .map(|result| {
                        json!({
                            "type": "tool_result", "tool_use_id": result.id, "content": result.text,
                            "is_error": result.outcome == Outcome::Failed
                        })
                    })
                    .collect();
                json!({ "role": "user", "content": parts })
            }
        })
        .collect();
    let tools: Vec<Value> = ask
        .tools
        .iter()
        .map(|tool| json!({ "name": tool.name, "description": tool.description, "input_schema": tool.parameters }))
        .collect();
    json!({
        "model": ask.model, "max_tokens": ask.max_tokens.unwrap_or(MAX_TOKENS), "system": ask.system, "messages": messages,
        "tools": tools, "stream": true
    })
}

pub(super) fn event(reader: &mut Reader, event: &Value) -> Result<(), Wrong> {
    let index = event["index"].as_u64().unwrap_or(0);
    match event["type"].as_str().ok_or(Wrong::Event)? {
        "message_start" => {
            let usage = &event["message"]["usage"];
            let cached = ["cache_read_input_tokens", "cache_creation_input_tokens"];
            reader.said.usage.input = tokens(&usage["input_tokens"])
                + cached.iter().map(|field| tokens(&usage[*field])).sum::<u64>();
        }
        "content_block_start" => {
            let block = &event["content_block"];
            match block["type"].as_str() {
                Some("text") => reader.text(&block["text"])?,
                Some("tool_use") => reader.named(index, &block["id"], &block["name"])?,
                _ => {}
            }
        }
        "content_block_delta" => {
            let delta = &event["delta"];
            match delta["type"].as_str() {
                Some("text_delta") => reader.text(&delta["text"])?,
                Some("input_json_delta") => {
                    reader.arguments(index, delta["partial_json"].as_str().unwrap_or_default())?;
                }
                _ => {}
            }
        }
        "message_delta" => {
            reader.said.usage.output = tokens(&event["usage"]["output_tokens"]);
            match event["delta"]["stop_reason"].as_str() {
                Some("max_tokens" | "model_context_window_exceeded") => reader.said.stop = Stop::Length,
                Some("refusal") => reader.said.stop = Stop::Refused("refusal".into()),
                _ => {}
            }
        }
        "message_stop" => reader.ended = Ended::All,
        "error" => return Err(super::error(&event["error"])),
        // `ping`, `content_block_stop` and what is new.
        _ => {}
    }
    Ok(())
}
