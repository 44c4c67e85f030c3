//! Streams as the providers document them, whole and cut anywhere; shapes of requests.

use serde_json::json;

use super::*;
use crate::conversation::Brought;
use crate::conversation::Outcome;
use crate::sse::Stream;

const ALL: [Provider; 4] = [Provider::Anthropic, Provider::OpenAi, Provider::OpenAiChat, Provider::Gemini];

/// One answer of each: words, then a call. From the providers' own pages on streaming, shortened.
fn documented(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => {
            r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":472,"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay, "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"let's check"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01","name":"read_file","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\": \"a"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#
        }
        Provider::OpenAi => {
            r#"event: response.created
data: {"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Okay, let's check"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Okay, let's check","annotations":[]}]}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":1,"delta":"{\"path\":"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"toolu_01","name":"read_file","arguments":"{\"path\":\"a\"}"}}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_1","status":"completed","usage":{"input_tokens":472,"output_tokens":89,"total_tokens":561}}}

"#
        }
        Provider::OpenAiChat => {
            r#"data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"content":"Okay, "},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"content":"let's check"},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"toolu_01","type":"function","function":{"name":"read_file","arguments":""}}]},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"path\":"}}]},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"a\"}"}}]},"finish_reason":null}]}

data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"id":"c","choices":[],"usage":{"prompt_tokens":472,"completion_tokens":89,"total_tokens":561}}

data: [DONE]

"#
        }
        Provider::Gemini => {
            r#"data: {"candidates": [{"content": {"parts": [{"text": "**Thinking**","thought": true}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 472,"totalTokenCount": 500,"thoughtsTokenCount": 9}}

data: {"candidates": [{"content": {"parts": [{"text": "Okay, "},{"text": "let's check"}],"role": "model"},"index": 0}]}

data: {"candidates": [{"content": {"parts": [{"functionCall": {"id": "toolu_01", "name": "read_file","args": {"path": "a"}},"thoughtSignature": "c2ln"}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 472,"candidatesTokenCount": 80,"thoughtsTokenCount": 9}}

"#
        }
    }
}

fn read(provider: Provider, bytes: &[u8], size: usize) -> Result<Said, Wrong> {
    let (mut stream, mut events, mut reader) = (Stream::default(), Vec::new(), provider.reader());
    for piece in bytes.chunks(size) {
        stream.take(piece, &mut events).map_err(|_| Wrong::Large)?;
        for event in events.drain(..) {
            reader.take(&event)?;
        }
    }
    reader.end()
}

#[test]
fn documented_streams_are_read_in_pieces_of_any_size() {
    for provider in ALL {
        let text = documented(provider);
        for size in [1, 2, 3, 7, 64, 100_000] {
            let said = read(provider, text.as_bytes(), size).unwrap();
            assert_eq!(said.text, "Okay, let's check", "{provider:?}");
            let [call] = said.calls.as_slice() else { panic!("{said:?}") };
            assert_eq!((call.id.as_str(), call.name.as_str()), ("toolu_01", "read_file"));
            assert_eq!(call.arguments, json!({ "path": "a" }));
            assert_eq!(call.signature.is_some(), provider == Provider::Gemini);
            assert_eq!(
                (said.usage, said.stop),
                (Usage { input: 472, output: 89 }, Stop::End),
                "{provider:?}"
            );
        }
    }
}

#[test]
fn a_stream_that_ends_early_is_no_answer() {
    for provider in ALL {
        let text = documented(provider);
        let end = match provider {
            // Reasons end an answer here, figures may be missing.
            Provider::OpenAiChat => text.find("finish_reason\":\"tool_calls").unwrap(),
            Provider::Gemini => text.find("\"STOP\"").unwrap(),
            _ => text.trim_end().rfind("data: ").unwrap(),
        };
        for cut in (0..end).step_by(13) {
            assert_eq!(read(provider, &text.as_bytes()[..cut], 50), Err(Wrong::Cut), "{provider:?} at {cut}");
        }
    }
}

#[test]
fn errors_among_the_events_are_told() {
    let wrong =
        |kind: &str, message: &str| Err(Wrong::Provider { kind: kind.into(), message: message.into() });
    for (provider, data, wanted) in [
        (
            Provider::Anthropic,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            wrong("overloaded_error", "Overloaded"),
        ),
        (
            Provider::OpenAi,
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}"#,
            wrong("server_error", "x"),
        ),
        (Provider::OpenAi, r#"{"type":"error","code":"rate_limit","message":"y"}"#, wrong("error", "y")),
        (
            Provider::OpenAiChat,
            r#"{"error":{"type":"server_error","message":"z"}}"#,
            wrong("server_error", "z"),
        ),
        (
            Provider::Gemini,
            r#"{"error":{"code":503,"status":"UNAVAILABLE","message":"w"}}"#,
            wrong("UNAVAILABLE", "w"),
        ),
    ] {
        assert_eq!(read(provider, format!("data: {data}\n\n").as_bytes(), 9), wanted);
    }
    for provider in ALL {
        for junk in ["nonsense", "[]", "{\"type\":", "7"] {
            assert_eq!(read(provider, format!("data: {junk}\n\n").as_bytes(), 9), Err(Wrong::Event));
        }
    }
}

#[test]
fn answers_over_a_limit_are_refused() {
    let mut many = String::new();
    for index in 0..=CALLS {
        let block = json!({ "type": "tool_use", "id": "i", "name": "n" });
        let event = json!({ "type": "content_block_start", "index": index, "content_block": block });
        many.push_str(&format!("data: {event}\n\n"));
    }
    assert_eq!(read(Provider::Anthropic, many.as_bytes(), 1000), Err(Wrong::Large));
    let long =
        format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": "a".repeat(TEXT + 1) } }] }));
    assert_eq!(read(Provider::OpenAiChat, long.as_bytes(), 10_000), Err(Wrong::Large));
}

/// What a conversation becomes: each call keeps its id, each result names its call, and nothing is empty where that is refused.
#[test]
fn requests_have_the_shapes_that_are_documented() {
    let call = |id: &str| Call {
        id: id.into(),
        name: "read_file".into(),
        arguments: json!({ "path": "a" }),
        signature: Some("c2ln".into()),
    };
    let result =
        Brought { id: "1".into(), name: "read_file".into(), text: "no".into(), outcome: Outcome::Failed };
    let entries = [
        Entry::User("do".into()),
        Entry::Model { text: String::new(), calls: vec![call("1")] },
        Entry::Results(vec![result]),
        Entry::Model { text: "done".into(), calls: vec![] },
        Entry::User("more".into()),
    ];
    let entries: Vec<&Entry> = entries.iter().collect();
    let tools = [Tool { name: "read_file", description: "reads", parameters: json!({ "type": "object" }) }];
    let ask = Ask { model: "m", system: "be", entries: &entries, tools: &tools, max_tokens: Some(9) };

    let body = Provider::Anthropic.body(&ask);
    assert_eq!(
        body["messages"],
        json!([
            { "role": "user", "content": "do" },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "1", "name": "read_file", "input": { "path": "a" } }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "content": "no", "is_error": true }] },
            { "role": "assistant", "content": [{ "type": "text", "text": "done" }] },
            { "role": "user", "content": "more" }
        ])
    );
    assert_eq!(
        (&body["max_tokens"], &body["stream"], &body["system"]),
        (&json!(9), &json!(true), &json!("be"))
    );

    let body = Provider::OpenAi.body(&ask);
    assert_eq!(
        body["input"],
        json!([
            { "role": "user", "content": "do" },
            { "type": "function_call", "call_id": "1", "name": "read_file", "arguments": "{\"path\":\"a\"}" },
            { "type": "function_call_output", "call_id": "1", "output": "no" },
            { "role": "assistant", "content": "done" },
            { "role": "user", "content": "more" }
        ])
    );
    assert_eq!((&body["store"], &body["max_output_tokens"]), (&json!(false), &json!(9)));

    let body = Provider::OpenAiChat.body(&ask);
    assert_eq!(body["messages"][0], json!({ "role": "system", "content": "be" }));
    assert_eq!(body["messages"][2]["tool_calls"][0]["function"]["arguments"], "{\"path\":\"a\"}");
    assert_eq!(body["messages"][3], json!({ "role": "tool", "tool_call_id": "1", "content": "no" }));

    let body = Provider::Gemini.body(&ask);
    assert_eq!(
        body["contents"][1],
        json!({ "role": "model", "parts": [{ "functionCall": { "name": "read_file", "args": { "path": "a" } }, "thoughtSignature": "c2ln" }] })
    );
    assert_eq!(
        body["contents"][2],
        json!({ "role": "user", "parts": [{ "functionResponse": { "name": "read_file", "response": { "error": "no" } } }] })
    );
    assert_eq!(Provider::Gemini.path("a/b?c"), "/v1beta/models/a%2Fb%3Fc:streamGenerateContent?alt=sse");
}

#[test]
fn the_body_of_a_refusal_says_why() {
    assert_eq!(
        refusal(br#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#),
        "authentication_error: invalid x-api-key"
    );
    assert_eq!(
        refusal(br#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"bad"}}]"#),
        "INVALID_ARGUMENT: bad"
    );
    assert_eq!(refusal(b"<html>no</html>"), "<html>no</html>");
}
