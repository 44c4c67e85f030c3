//! `pinfold send`: a task for a sealed worker.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text::word;
use pinfold_engine::worker::Delivery;
use pinfold_engine::worker::Queue;
use pinfold_engine::worker::Sent;
use pinfold_engine::worker::Waited;
use pinfold_engine::worker::WorkerError;
use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::format::BODY_MAX;
use pinfold_queue::message::Text;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Status;
use rustix::termios::isatty;

use super::Outcome;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Send a task to a sealed worker, encrypted; it waits in the queue while the worker does not run
#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// Name of the sandbox, as `pinfold ps` shows it
    #[arg(add = complete::sandboxes())]
    name: String,
    /// What to do; `-`, or nothing, reads it from standard input
    text: Option<String>,
    /// Send it once under this id of 32 hex digits, however often it is said
    #[arg(long, value_name = "ID")]
    id: Option<MessageId>,
    /// It answers the question of this id
    #[arg(long, value_name = "ID")]
    answer: Option<MessageId>,
    /// Wait for the reply and print it; at most so many seconds (600)
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "600")]
    wait: Option<u64>,
}

pub(crate) fn run(args: &SendArgs, global: Global) -> Outcome {
    let sandboxes = super::session::sandboxes(global)?;
    let queue = Queue::of(&sandboxes, &args.name)?;
    let text = Text { text: text(args)? };
    if text.text.trim().is_empty() {
        return Err(nothing("there is nothing to send: the text is empty"));
    }
    let content = match args.answer {
        Some(_) => Content::Answer(text),
        None => Content::Task(text),
    };
    let new = Message::new(content).map_err(|error| Failure::from(std::io::Error::other(error)))?;
    let message = Message { id: args.id.unwrap_or(new.id), in_reply_to: args.answer, ..new };
    let sent = queue.send(&message)?;
    if let Some(seconds) = args.wait {
        if sent == (Sent::Before { id: message.id }) && queue.is_over(message.id)? {
            return Err(WorkerError::Answered(message.id).into());
        }
        return wait(&sandboxes, &queue, args, message.id, seconds, global);
    }
    if global.json {
        render::json(&match sent {
            Sent::New { id, seq } => serde_json::json!({ "id": id, "seq": seq, "sent": true }),
            Sent::Before { id } => serde_json::json!({ "id": id, "sent": false }),
        });
    } else {
        render::out(&Page::from(shown!("{}", sent.id())));
        if matches!(sent, Sent::Before { .. }) && !global.quiet {
            render::note("it was sent before; nothing was done");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(why: &'static str) -> Failure {
    Failure::usage(why, "write it behind the name, or `-` to type it and end with Ctrl-D")
}

/// What is to be sent.
fn text(args: &SendArgs) -> Result<String, Failure> {
    if let Some(text) = args.text.as_deref().filter(|text| *text != "-") {
        return Ok(text.to_owned());
    }
    if args.text.is_none() && isatty(rustix::stdio::stdin()) {
        return Err(nothing("there is nothing to send"));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(BODY_MAX as u64 + 1).read_to_end(&mut bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage("what is to be sent is no UTF-8", "convert it with `iconv -t UTF-8`"))
}

fn wait(
    sandboxes: &Sandboxes,
    queue: &Queue,
    args: &SendArgs,
    id: MessageId,
    seconds: u64,
    global: Global,
) -> Outcome {
    let lives = || sandboxes.status(&args.name).is_ok_and(Status::is_live);
    let mut failed = None;
    queue.wait(id, Duration::from_secs(seconds), lives, |waited| match waited {
        Waited::Meanwhile(said) => {
            if global.json {
                let value = serde_json::to_value(&said);
                value.iter().for_each(render::event);
                return value.is_ok();
            }
            let mut page = Page::default();
            words(&mut page, &said);
            render::tell(&page);
            true
        }
        Waited::End(said) => {
            if let Content::Error(error) = &said.message.content {
                failed =
                    Some(WorkerError::Provider { code: error.code.clone(), message: error.message.clone() });
                return true;
            }
            let told = tell(&said, global);
            if let (Content::Ask(_), false) = (&said.message.content, global.quiet) {
                render::note(shown!(
                    "answer with `pinfold send {} --answer {} --wait TEXT`",
                    word(&args.name),
                    said.id
                ));
            }
            told
        }
    })?;
    failed.map_or(Ok(ExitCode::SUCCESS), |error| Err(error.into()))
}

/// Prints what was said, and says whether that got there.
fn tell(said: &Delivery, global: Global) -> bool {
    if global.json {
        return serde_json::to_string_pretty(said).is_ok_and(|text| render::json_reached(&(text + "\n")));
    }
    let mut page = Page::default();
    words(&mut page, said);
    render::reached(page.as_str())
}

/// The words of a message.
pub(super) fn words(page: &mut Page, said: &Delivery) {
    match &said.message.content {
        Content::Reply(reply) => page.lines(&reply.text),
        Content::Task(text) | Content::Answer(text) | Content::Message(text) => page.lines(&text.text),
        Content::Ask(ask) => {
            page.lines(&ask.question);
            for choice in &ask.choices {
                page.line(shown!("  - {choice}"));
            }
        }
        Content::Error(error) => page.line(shown!("{}: {}", error.code, error.message)),
        Content::Schedule(_)
        | Content::Unschedule(_)
        | Content::Probe(_)
        | Content::ProbeResult(_)
        | Content::Ack => page.line(Shown::of(&said.content)),
    }
}
