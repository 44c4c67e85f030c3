//! OpenAI Responses, streamed (API reference, "Streaming events"). Nothing is stored there: each request brings the conversation.

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
    let mut input = Vec::new();
    for entry in ask.entries {
        match entry {
            Entry::User(text) => input.push(json!({ "role": "user", "content": text })),
            Entry::Model { text, calls } => {
                if !text.is_empty() {
                    input.push(json!({ "role": "assistant", "content": text }));
                }
                for call in calls {
                    let arguments = call.arguments.to_string();
                    input.push(json!({
                        "type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments
                    }));
                }
            }
            Entry::Results(results) => input.extend(results.iter().map(
                |result| json!({ "type": "function_call_output", "call_id": result.id, "output": result.text }),
            )),
        }
    }
    let tools: Vec<Value> = ask
        .tools
        .iter()
        .map(|tool| {
            json!({
                "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters,
                "strict": false
            })
        })
        .collect();
    let mut body = json!({
        "model": ask.model, "instructions": ask.system, "input": input, "tools": tools, "stream": true, "store": false
    });
    if let Some(tokens) = ask.max_tokens {
        body["max_output_tokens"] = tokens.into();
    }
    body
}

pub(super) fn event(reader: &mut Reader, event: &Value) -> Result<(), Wrong> {
    match event["type"].as_str().ok_or(Wrong::Event)? {
        // Whole items; the pieces before them say the same.
        "response.output_item.done" => {
            let item = &event["item"];
            match item["type"].as_str() {
                Some("message") => {
                    for part in each(item, "content") {
                        reader.text(&part["text"])?;
                        if let Some(refusal) = part["refusal"].as_str() {
                            reader.said.stop = Stop::Refused(crate::conversation::shortened(refusal, 500));
                        }
                    }
                }
                Some("function_call") => {
                    let index = reader.parts.len() as u64;
                    reader.named(index, &item["call_id"], &item["name"])?;
                    reader.arguments(index, item["arguments"].as_str().unwrap_or_default())?;
                }
                _ => {}
            }
        }
        kind @ ("response.completed" | "response.incomplete") => {
            let response = &event["response"];
            reader.said.usage.input = tokens(&response["usage"]["input_tokens"]);
            reader.said.usage.output = tokens(&response["usage"]["output_tokens"]);
            if kind == "response.incomplete" {
                reader.said.stop = match response["incomplete_details"]["reason"].as_str() {
                    Some("content_filter") => Stop::Refused("content_filter".into()),
                    _ => Stop::Length,
                };
            }
            reader.ended = Ended::All;
        }
        "response.failed" => return Err(super::error(&event["response"]["error"])),
        "error" => {
            return Err(super::error(if event["error"].is_object() { &event["error"] } else { event }));
        }
        _ => {}
    }
    Ok(())
}
