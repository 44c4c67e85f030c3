//! `pinfold queue`: what waits between the host and a sealed worker.

use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::time::rfc3339;
use pinfold_base::units;
use pinfold_engine::worker::Healing;
use pinfold_engine::worker::Queue;
use pinfold_engine::worker::Sent;
use pinfold_engine::worker::Where;
use serde_json::json;

use super::Outcome;
use super::session::age;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;

/// Show and mend what waits between the host and a sealed worker
#[derive(Debug, clap::Args)]
pub(crate) struct QueueArgs {
    /// Name of the sandbox, as `pinfold ps` shows it
    #[arg(add = complete::sandboxes())]
    name: String,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List messages, dead letters and schedules (what is done where nothing is said)
    Ls,
    /// Print a message, which stays
    Show(PlaceArgs),
    /// Send again what the worker could not do, or let in what can be read by now
    Requeue(PlaceArgs),
    /// Take out a message, unread
    Drop(PlaceArgs),
    /// Remove dead letters
    Prune(PruneArgs),
    /// Change the key, while the sandbox does not run
    Rekey,
    /// Put a state of the worker's aside that cannot be opened, so that it starts again without
    Heal(HealArgs),
}

#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// The message, as the list shows it: in/3, out/4, dead/1
    #[arg(value_name = "SEQ")]
    place: Where,
}

#[derive(Debug, clap::Args)]
struct PruneArgs {
    /// Only those that are older: 30s, 10m, 12h, 7d
    #[arg(long, value_name = "AGE", value_parser = duration, default_value = "7d")]
    older: Duration,
}

#[derive(Debug, clap::Args)]
struct HealArgs {
    /// Also one that can be opened
    #[arg(long)]
    force: bool,
}

/// Reads a time with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let wrong = "it is a number with a unit: 30s, 10m, 12h, 7d";
    let unit = text.chars().last().ok_or(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

pub(crate) fn run(args: &QueueArgs, global: Global) -> Outcome {
    let sandboxes = super::session::sandboxes(global)?;
    let queue = Queue::of(&sandboxes, &args.name)?;
    let (value, line) = match args.verb.as_ref().unwrap_or(&Verb::Ls) {
        Verb::Ls => return list(&queue, global),
        Verb::Show(at) => return show(&queue, at.place, global),
        Verb::Requeue(at) => match queue.requeue(at.place)? {
            Some(Sent::New { id, seq }) => {
                (json!({ "id": id, "seq": seq }), shown!("sent again as in/{seq}, {id}"))
            }
            Some(Sent::Before { id }) => (json!({ "id": id }), shown!("it was sent again before, as {id}")),
            None => (json!({ "back": at.place.to_string() }), "it can be received now".into()),
        },
        Verb::Drop(at) => {
            queue.drop_message(at.place)?;
            (json!({ "dropped": at.place.to_string() }), shown!("dropped {}", at.place))
        }
        Verb::Prune(args) => {
            let count = queue.prune(args.older)?;
            (json!({ "pruned": count }), shown!("removed {count} dead letters"))
        }
        Verb::Rekey => {
            let rekeyed = queue.rekey(&sandboxes)?;
            let line =
                shown!("{} messages and {} dead letters have a new key", rekeyed.messages, rekeyed.letters);
            (json!(rekeyed), line)
        }
        Verb::Heal(heal) => {
            let healed = queue.heal(if heal.force { Healing::Any } else { Healing::Damaged })?;
            let why = healed.reason.as_ref().map(|reason| shown!(": {reason}")).unwrap_or_default();
            let line = shown!(
                "the worker's state is dead/{} now{why}; lost with it: the conversation, and which messages were acted on. \
                 {} messages wait, and a task that was begun is done again. The worker goes on at its next start",
                healed.letter,
                healed.waiting
            );
            (json!(healed), line)
        }
    };
    if global.json {
        render::json(&value);
    } else if !global.quiet {
        render::out(&Page::from(line));
    }
    Ok(ExitCode::SUCCESS)
}

fn list(queue: &Queue, global: Global) -> Outcome {
    let listed = queue.list()?;
    if global.json {
        render::json(&listed);
        return Ok(ExitCode::SUCCESS);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let since = |seconds: u64| Shown::from(age(now.saturating_sub(seconds)));
    let mut page = Page::default();
    let mut table = Table::new(&[
        ("SEQ", Align::Left),
        ("AGE", Align::Right),
        ("SIZE", Align::Right),
        ("KIND", Align::Left),
        ("ID", Align::Left),
    ])
    .whole_at_the_end();
    for one in listed.inward.iter().chain(&listed.outward) {
        table.row([
            shown!("{}/{}", one.shelf, one.seq),
            one.created.map(|created| since(created / 1000)).unwrap_or_default(),
            units::bytes(one.size as u64).into(),
            (&one.kind).into(),
            one.id.as_deref().unwrap_or("-").into(),
        ]);
    }
    if table.is_empty() {
        page.line("no messages wait");
    } else {
        page.table(&table);
    }
    if !listed.dead.is_empty() {
        let mut table = Table::new(&[
            ("DEAD", Align::Left),
            ("AGE", Align::Right),
            ("FROM", Align::Left),
            ("REASON", Align::Left),
        ])
        .whole_at_the_end();
        for letter in &listed.dead {
            table.row([
                shown!("dead/{}", letter.number),
                since(letter.at),
                shown!("{}/{}", letter.from, letter.name),
                (&letter.reason).into(),
            ]);
        }
        page.blank();
        page.table(&table);
    }
    if !listed.schedules.is_empty() {
        let mut table = Table::new(&[
            ("SCHEDULE", Align::Left),
            ("NEXT", Align::Left),
            ("EVERY", Align::Right),
            ("TASK", Align::Left),
        ]);
        for one in &listed.schedules {
            table.row([
                (&one.name).into(),
                rfc3339(one.next).into(),
                one.every.map(age).unwrap_or_default().into(),
                (&one.text).into(),
            ]);
        }
        page.blank();
        page.table(&table);
    }
    if listed.strange > 0 {
        page.blank();
        page.line(shown!(
            "{} other files lie among the worker's messages, and there is no room for more dead letters",
            listed.strange
        ));
    }
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

fn show(queue: &Queue, place: Where, global: Global) -> Outcome {
    let (letter, message) = queue.show(place)?;
    if global.json {
        render::json(&json!({ "letter": letter, "message": message }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::default();
    if let Some(letter) = &letter {
        page.line(shown!("{}/{}: {}", letter.from, letter.name, letter.reason));
    }
    if let Some(message) = &message {
        page.line(shown!("{} {}", message.kind, message.id));
        super::send::words(&mut page, message);
    }
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("0s", 0), ("30s", 30), ("10m", 600), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "-1d", "7x", "7é", "99999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
