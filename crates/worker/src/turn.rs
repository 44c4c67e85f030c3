//! One turn: the model is asked, its calls are made, until it calls nothing more.
//!
//! **Guarantees**: after an end in the middle a turn goes on where it was. A call that would do something twice is not made again: the
//! model is told that nobody knows. What the provider does wrong ends the turn with an error that says it.

use std::time::Duration;

use pinfold_queue::Content;

use crate::agent::Agent;
use crate::agent::message;
use crate::client;
use crate::client::Enough;
use crate::client::Failed;
use crate::client::Meanwhile;
use crate::conversation::Brought;
use crate::conversation::Call;
use crate::conversation::Entry;
use crate::conversation::Outcome;
use crate::exit::Exit;
use crate::http;
use crate::provider::Ask;
use crate::provider::Said;
use crate::provider::Stop;
use crate::pulse::Pulse;
use crate::pulse::Woken;
use crate::state::Next;
use crate::state::Step;
use crate::tools::Again;
use crate::tools::Done;
use crate::tools::Tools;

/// Failures in a row after which the provider is given up.
pub(crate) const FAILURES: u32 = 5;
/// The first wait before another attempt, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Agent<'_> {
    /// Works on the turn until it is finished or waits for an answer.
    pub(crate) fn work(&mut self) -> Result<(), Exit> {
        while let Some(turn) = &self.desk.state.turn {
            if turn.waits_for().is_some() {
                return Ok(());
            }
            match turn.step {
                Step::Model => self.model()?,
                Step::Tools { .. } => self.call()?,
            }
        }
        Ok(())
    }

    /// Asks the model.
    fn model(&mut self) -> Result<(), Exit> {
        let said = match self.asked()? {
            Ok(said) => said,
            Err(Failed::Stopped) => return Err(Exit::Stopped),
            Err(failed) => {
                let retried = failed.may_pass().then(|| self.failures.saturating_sub(1));
                self.fail(&failed.code(), &failed.to_string(), retried)?;
                if failed.may_pass() && self.failures >= FAILURES {
                    return Err(Exit::Provider(format!("{FAILURES} failures in a row, the last: {failed}")));
                }
                return Ok(());
            }
        };
        self.failures = 0;
        let rounds = self.args.max_rounds;
        let Some(turn) = &mut self.desk.state.turn else { return Ok(()) };
        turn.usage += said.usage;
        let usage = turn.usage;
        let over = turn.rounds >= rounds && !said.calls.is_empty();
        let calls = if over { Vec::new() } else { said.calls };
        let note = match &said.stop {
            Stop::Refused(word) => {
                let why = format!("the model or its provider refused: {word}");
                return self.fail("refused", &why, None);
            }
            _ if over => format!("[stopped after {rounds} rounds of tools]"),
            Stop::Length if calls.is_empty() => "[cut off at the limit of tokens]".into(),
            _ if said.text.trim().is_empty() && calls.is_empty() => "[the model said nothing]".into(),
            _ => String::new(),
        };
        let text = match (said.text.is_empty(), note.is_empty()) {
            (_, true) => said.text,
            (true, false) => note,
            (false, false) => format!("{}\n{note}", said.text),
        };
        let done = calls.is_empty();
        turn.entries.push(Entry::Model { text: text.clone(), calls });
        if done {
            return self.reply(&text, usage);
        }
        if turn.is_large() {
            return self.fail(
                "too-long",
                "the conversation of this task exceeds what the worker keeps",
                None,
            );
        }
        turn.step = Step::Tools { results: Vec::new(), call: Next::New };
        // From here on the calls are as good as made: the model is not asked again for this round.
        self.desk.keep(self.pulse)
    }

    /// Asks the provider, and again where that may help. Answers that are held are told on the way.
    fn asked(&mut self) -> Result<Result<Said, Failed>, Exit> {
        let entries: Vec<&Entry> = {
            let state = &self.desk.state;
            state.history.0.iter().chain(state.turn.iter().flat_map(|turn| &turn.entries)).collect()
        };
        let tools = self.tools.told();
        let provider = self.args.provider;
        let ask = Ask {
            model: &self.args.model,
            system: &self.system,
            entries: &entries,
            tools: &tools,
            max_tokens: self.args.max_tokens,
        };
        let body = provider.body(&ask).to_string();
        let request = http::request(
            provider.host(),
            &provider.path(&self.args.model),
            provider.fields(),
            body.as_bytes(),
        );
        drop(body);
        let socket = format!("{}/model/{}.sock", self.args.run, self.args.route);
        loop {
            let until = self.desk.held_until();
            let (desk, mut kept) = (&mut self.desk, Ok(()));
            let mut keep = |pulse: &mut Pulse| {
                kept = desk.release(pulse);
                if kept.is_ok() { Enough::No } else { Enough::Yes }
            };
            let meanwhile = until.map(|at| Meanwhile { at, then: &mut keep });
            let said = client::ask(self.pulse, &socket, &request, meanwhile, provider.reader());
            kept?;
            let failed = match said {
                Ok(said) => return Ok(Ok(said)),
                Err(failed) => failed,
            };
            if !failed.may_pass() {
                return Ok(Err(failed));
            }
            self.failures += 1;
            if self.failures >= FAILURES {
                return Ok(Err(failed));
            }
            self.desk.release(self.pulse)?;
            let wait = (WAITS.0 * 2_u32.saturating_pow(self.failures - 1)).min(WAITS.1);
            let wait = wait.max(Duration::from_secs(failed.after().unwrap_or(0))).min(WAITS.1);
            if self.pulse.pause(wait) == Woken::Stop {
                return Ok(Err(Failed::Stopped));
            }
        }
    }

    /// Makes the next call of this round, or ends the round.
    fn call(&mut self) -> Result<(), Exit> {
        let Some(turn) = &mut self.desk.state.turn else { return Ok(()) };
        let Step::Tools { results, call: next } = &mut turn.step else { return Ok(()) };
        let Some(Entry::Model { calls, .. }) = turn.entries.last() else {
            return Err(Exit::Bug("calls without a call".into()));
        };
        let Some(call) = calls.get(results.len()).cloned() else {
            let results = std::mem::take(results);
            turn.entries.push(Entry::Results(results));
            turn.rounds += 1;
            turn.step = Step::Model;
            if turn.is_large() {
                return self.fail(
                    "too-long",
                    "the conversation of this task exceeds what the worker keeps",
                    None,
                );
            }
            return self.desk.keep(self.pulse);
        };
        if *next == Next::Begun {
            *next = Next::New;
            let text = "the worker was started again during this call; look whether it was done".to_owned();
            results.push(brought(&call, text, Outcome::Failed));
            return Ok(());
        }
        if Tools::again(&call) == Again::Twice {
            *next = Next::Begun;
            self.desk.keep(self.pulse)?;
        }
        let done = self.tools.call(&call, self.pulse);
        let Some(turn) = &mut self.desk.state.turn else { return Ok(()) };
        let id = turn.derived("call");
        let task = turn.answering;
        let Step::Tools { results, call: next } = &mut turn.step else { return Ok(()) };
        let begun = std::mem::replace(next, Next::New) == Next::Begun;
        match done {
            Done::Stopped => {
                *next = Next::Begun;
                return Err(Exit::Stopped);
            }
            Done::Text(text) => results.push(brought(&call, text, Outcome::Done)),
            Done::Failed(text) => results.push(brought(&call, text, Outcome::Failed)),
            Done::Send(content, text) => {
                results.push(brought(&call, text, Outcome::Done));
                self.desk.put(&message(id, content).replying(task))?;
                return self.desk.keep(self.pulse);
            }
            Done::Ask(ask) => {
                *next = Next::Asked(id);
                self.desk.put(&message(id, Content::Ask(ask)).replying(task))?;
                return self.desk.keep(self.pulse);
            }
        }
        if begun { self.desk.keep(self.pulse) } else { Ok(()) }
    }
}

fn brought(call: &Call, text: String, outcome: Outcome) -> Brought {
    Brought { id: call.id.clone(), name: call.name.clone(), text, outcome }
}
