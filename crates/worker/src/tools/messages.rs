//! Tools that the host does, told to it by messages. Pure.

use pinfold_queue::Content;
use pinfold_queue::message::Ask;
use pinfold_queue::message::Schedule;
use pinfold_queue::message::Text;
use pinfold_queue::message::Unschedule;
use serde_json::Value;

use super::Done;
use super::number;
use super::text;

/// Bytes of a message, a question or a task.
const TEXT: usize = 64 << 10;
/// Bytes of a name or a choice.
const NAME: usize = 200;
/// Choices.
const CHOICES: usize = 20;
/// Seconds between two tasks, at least.
const EVERY: u64 = 60;
/// Seconds until a task, at most: ten years.
const AFTER: u64 = 10 * 366 * 86_400;

fn bounded(arguments: &Value, name: &str, bytes: usize) -> Result<String, String> {
    let text = text(arguments, name)?;
    if text.trim().is_empty() {
        return Err(format!("`{name}` is empty"));
    }
    if text.len() > bytes {
        return Err(format!("`{name}` has more than {bytes} bytes"));
    }
    Ok(text.to_owned())
}

pub(super) fn send(arguments: &Value) -> Result<Done, String> {
    let text = bounded(arguments, "text", TEXT)?;
    Ok(Done::Send(Content::Message(Text { text }), "it is sent".into()))
}

pub(super) fn ask(arguments: &Value) -> Result<Done, String> {
    let question = bounded(arguments, "question", TEXT)?;
    let mut choices = Vec::new();
    if !arguments["choices"].is_null() {
        for choice in arguments["choices"].as_array().ok_or("`choices` is no list")? {
            let choice = choice.as_str().filter(|choice| !choice.is_empty() && choice.len() <= NAME);
            choices.push(choice.ok_or("`choices` are short texts")?.to_owned());
        }
        if choices.len() > CHOICES {
            return Err(format!("there are more than {CHOICES} choices"));
        }
    }
    Ok(Done::Ask(Ask { question, choices }))
}

/// `now`: seconds since the epoch.
pub(super) fn schedule(arguments: &Value, now: u64) -> Result<Done, String> {
    let (name, text) = (bounded(arguments, "name", NAME)?, bounded(arguments, "text", TEXT)?);
    let after = number(arguments, "after_seconds")?.filter(|seconds| *seconds > 0);
    let every = number(arguments, "every_seconds")?.filter(|seconds| *seconds > 0);
    let (at, every, said) = match (after, every) {
        (Some(after), None) if after <= AFTER => {
            (Some(now.saturating_add(after)), None, format!("it comes in {after} seconds"))
        }
        (None, Some(every)) if (EVERY..=AFTER).contains(&every) => {
            (None, Some(every), format!("it comes every {every} seconds"))
        }
        (None, Some(_)) => return Err(format!("`every_seconds` is from {EVERY} to {AFTER}")),
        (Some(_), None) => return Err(format!("`after_seconds` is at most {AFTER}")),
        _ => return Err("either `after_seconds` or `every_seconds` is needed".into()),
    };
    Ok(Done::Send(Content::Schedule(Schedule { name, text, at, every }), said))
}

pub(super) fn unschedule(arguments: &Value) -> Result<Done, String> {
    let name = bounded(arguments, "name", NAME)?;
    Ok(Done::Send(Content::Unschedule(Unschedule { name }), "it is given up, if it was there".into()))
}
