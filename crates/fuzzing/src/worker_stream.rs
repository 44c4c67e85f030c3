//! What the worker of a sealed sandbox reads of a model: HTTP, server-sent events, each provider's answers.

use pinfold_worker::http::Answer;
use pinfold_worker::http::BODY;
use pinfold_worker::provider::CALLS;
use pinfold_worker::provider::Provider;
use pinfold_worker::provider::TEXT;
use pinfold_worker::sse::Stream;

const PROVIDERS: [Provider; 4] =
    [Provider::Anthropic, Provider::OpenAi, Provider::OpenAiChat, Provider::Gemini];

/// Any bytes as an answer: whole and in pieces it says the same, and it stays within its bounds.
pub fn worker_stream(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (provider, size) = (PROVIDERS[usize::from(first % 4)], usize::from(first / 4) + 1);
    let whole = read(provider, bytes, bytes.len().max(1));
    assert_eq!(format!("{:?}", read(provider, bytes, size)), format!("{whole:?}"), "in pieces of {size}");
    if let Ok(Some(said)) = whole {
        assert!(said.text.len() <= TEXT && said.calls.len() <= CALLS);
        assert!(said.calls.iter().all(|call| !call.name.is_empty() && !call.id.is_empty()));
    }
    let _ = pinfold_worker::provider::refusal(bytes);
}

/// What an answer says; nothing where it is not one, or no complete one.
fn read(
    provider: Provider,
    bytes: &[u8],
    size: usize,
) -> Result<Option<pinfold_worker::provider::Said>, &'static str> {
    let (mut answer, mut body) = (Answer::default(), Vec::new());
    for piece in bytes.chunks(size) {
        answer.take(piece, &mut body).map_err(|_| "http")?;
    }
    assert!(body.len() as u64 <= BODY);
    let (mut stream, mut events, mut reader) = (Stream::default(), Vec::new(), provider.reader());
    for piece in body.chunks(size) {
        stream.take(piece, &mut events).map_err(|_| "events")?;
        for event in events.drain(..) {
            reader.take(&event).map_err(|_| "provider")?;
        }
    }
    Ok(reader.end().ok())
}
