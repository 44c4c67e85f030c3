//! Gemini's streamGenerateContent (API reference, "GenerateContentResponse"). Calls come whole; their ids are ours where it has none.

use serde_json::Value;
use serde_json::json;

use super::Ask;
use super::Ended;
use super::Reader;
use super::SIGNATURE;
use super::Stop;
use super::Wrong;
use super::each;
use super::tokens;
use crate::conversation::Entry;
use crate::conversation::Outcome;

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let contents: Vec<Value> = ask
        .entries
        .iter()
        .map(|entry| match entry {
            Entry::User(text) => json!({ "role": "user", "parts": [{ "text": text }] }),
            Entry::Model { text, calls } => {
                let mut parts = Vec::new();
                if !text.is_empty() || calls.is_empty() {
                    parts.push(json!({ "text": text }));
                }
                for call in calls {
                    let args = if call.arguments.is_object() { call.arguments.clone() } else { json!({}) };
                    let mut part = json!({ "functionCall": { "name": call.name, "args": args } });
                    if let Some(signature) = &call.signature {
                        part["thoughtSignature"] = signature.as_str().into();
                    }
                    parts.push(part);
                }
                json!({ "role": "model", "parts": parts })
            }
            Entry::Results(results) => {
                let parts: Vec<Value> = results
                    .iter()
                    .map(|result| {
                        let word = if result.outcome == Outcome::Done { "output" } else { "error" };
                        json!({ "functionResponse": { "name": result.name, "response": { word: result.text } } })
                    })
                    .collect();
                json!({ "role": "user", "parts": parts })
            }
        })
        .collect();
    let declarations: Vec<Value> = ask
        .tools
        .iter()
        .map(|tool| json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters }))
        .collect();
    let mut body = json!({
        "systemInstruction": { "parts": [{ "text": ask.system }] }, "contents": contents,
        "tools": [{ "functionDeclarations": declarations }]
    });
    if let Some(tokens) = ask.max_tokens {
        body["generationConfig"] = json!({ "maxOutputTokens": tokens });
    }
    body
}

pub(super) fn event(reader: &mut Reader, event: &Value) -> Result<(), Wrong> {
    if event["error"].is_object() {
        return Err(super::error(&event["error"]));
    }
    let usage = &event["usageMetadata"];
    if usage.is_object() {
        reader.said.usage.input = tokens(&usage["promptTokenCount"]);
        reader.said.usage.output =
            tokens(&usage["candidatesTokenCount"]) + tokens(&usage["thoughtsTokenCount"]);
    }
    if let Some(reason) = event["promptFeedback"]["blockReason"].as_str() {
        reader.said.stop = Stop::Refused(crate::conversation::shortened(reason, 100));
        reader.ended = Ended::Reason;
    }
    let Some(candidate) = event["candidates"].get(0) else { return Ok(()) };
    for part in each(&candidate["content"], "parts") {
        let call = &part["functionCall"];
        if call.is_object() {
            let index = reader.parts.len() as u64;
            reader.named(index, &call["id"], &call["name"])?;
            let arguments = if call["args"].is_object() { call["args"].to_string() } else { String::new() };
            reader.arguments(index, &arguments)?;
            if let Some(signature) = part["thoughtSignature"].as_str() {
                if signature.len() > SIGNATURE {
                    return Err(Wrong::Large);
                }
                reader.part(index)?.signature = Some(signature.to_owned());
            }
        } else if part["thought"].as_bool() != Some(true) {
            reader.text(&part["text"])?;
        }
    }
    if let Some(reason) = candidate["finishReason"].as_str() {
        reader.ended = Ended::Reason;
        match reason {
            "STOP" => {}
            "MAX_TOKENS" => reader.said.stop = Stop::Length,
            _ => reader.said.stop = Stop::Refused(crate::conversation::shortened(reason, 100)),
        }
    }
    Ok(())
}
