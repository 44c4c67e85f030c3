//! `pinfold recv`: what a sealed worker says.

use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::shown;
use pinfold_base::text::word;
use pinfold_engine::worker::Delivery;
use pinfold_engine::worker::Letter;
use pinfold_engine::worker::Queue;
use pinfold_engine::worker::Taking;
use pinfold_queue::Content;

use super::Outcome;
use super::session::age;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::page::Page;

/// Print what a sealed worker has sent, and let go of it; exits with 1 where there is nothing
#[derive(Debug, clap::Args)]
pub(crate) struct RecvArgs {
    /// Name of the sandbox, as `pinfold ps` shows it
    #[arg(add = complete::sandboxes())]
    name: String,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Leave it in the queue
    #[arg(long, conflicts_with = "follow")]
    peek: bool,
}

pub(crate) fn run(args: &RecvArgs, global: Global) -> Outcome {
    let queue = Queue::of(&super::session::sandboxes(global)?, &args.name)?;
    let taking = if args.peek { Taking::Peek } else { Taking::Take };
    if !args.follow {
        let (count, letters) = queue.receive(taking, |said| tell(said, &args.name, global))?;
        warn(&letters, &args.name);
        if count == 0 && letters.is_empty() && !global.quiet {
            render::note("nothing to receive");
        }
        return Ok(ExitCode::from(code(count, &letters)));
    }
    let mut wait = queue.watch()?;
    loop {
        let mut is_read = true;
        let (_, letters) = queue.receive(taking, |said| {
            is_read = tell(said, &args.name, global);
            is_read
        })?;
        warn(&letters, &args.name);
        if !is_read {
            return Ok(ExitCode::SUCCESS);
        }
        wait(Duration::from_secs(2));
    }
}

/// A tag that does not match is worse than a file that is refused, and both than nothing.
fn code(count: usize, letters: &[Letter]) -> u8 {
    match letters.iter().map(Letter::is_damaged).max() {
        Some(true) => 4,
        Some(false) => 5,
        None => u8::from(count == 0),
    }
}

/// Prints a message, and says whether that got there.
fn tell(said: &Delivery, name: &str, global: Global) -> bool {
    if global.json {
        return serde_json::to_string(said).is_ok_and(|text| render::json_reached(&(text + "\n")));
    }
    let mut page = Page::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let to = said.in_reply_to.as_ref().map(|id| format!(" to {id}")).unwrap_or_default();
    page.line(shown!("{}{to}, {} ago:", said.kind, age(now.saturating_sub(said.created / 1000))));
    super::send::words(&mut page, said);
    if let Content::Ask(_) = said.message.content {
        page.line(shown!("answer with `pinfold send {} --answer {} TEXT`", word(name), said.id));
    }
    page.blank();
    render::reached(page.as_str())
}

fn warn(letters: &[Letter], name: &str) {
    for letter in letters {
        render::note(shown!(
            "warning: `{}/{}` was put aside as dead/{}: {}; `pinfold queue {}` shows it",
            letter.from,
            letter.name,
            letter.number,
            letter.reason,
            word(name)
        ));
    }
}
