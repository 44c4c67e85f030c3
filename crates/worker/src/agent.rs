//! The loop: takes messages in the order of their sequence, and answers each task once.
//!
//! ```text
//!   task ─► turn: model ─► tools ─► model ─► … ─► reply (or error), which acknowledges the task
//!                            └ ask_user: the turn waits for an `answer`; other tasks wait for the turn
//!   /help /status /reset, probe: at once          ack: what the host has is removed
//! ```
//!
//! **Guarantees**: an id that was acted on is not acted on again; a task has one reply or one error; what cannot be read is named in an
//! error and never ends the loop, unless the key has opened nothing yet (then it is likely another one, exit 65).

use std::collections::BTreeMap;
use std::time::Instant;

use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::message::Failure;
use pinfold_queue::message::Reply;
use pinfold_queue::message::Usage;

use crate::args::Args;
use crate::conversation::Brought;
use crate::conversation::History;
use crate::conversation::Outcome;
use crate::conversation::shortened;
use crate::desk::Desk;
use crate::desk::Incoming;
use crate::exit::Exit;
use crate::probes;
use crate::pulse::Pulse;
use crate::state::Next;
use crate::state::Step;
use crate::state::Turn;
use crate::tools::Files;
use crate::tools::Tools;

/// Bytes of a reply.
pub(crate) const REPLY: usize = 128 << 10;
/// Unreadable messages in a row, while the key has opened nothing, after which it is no key for them.
const UNREADABLE: u32 = 3;
/// Bytes of a persona.
const PERSONA: usize = 64 << 10;

/// How far a file of the host's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nothing more to do.
    Done,
    /// A task that waits for the turn to end.
    Waits,
}

/// The worker once it has its key and its queues.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    pub(crate) args: &'a Args,
    pub(crate) desk: Desk,
    pub(crate) pulse: &'a mut Pulse,
    pub(crate) tools: Tools,
    pub(crate) system: String,
    /// Failures of the provider in a row.
    pub(crate) failures: u32,
    known: BTreeMap<u64, Known>,
    unreadable: u32,
    begun: Instant,
}

impl<'a> Agent<'a> {
    /// An agent at its desk.
    pub(crate) fn new(args: &'a Args, desk: Desk, pulse: &'a mut Pulse) -> Result<Self, Exit> {
        let persona = args.persona.as_deref().map(persona).transpose()?;
        let files = Files::open(&args.workspace, &args.memory, &args.shared);
        Ok(Self {
            args,
            desk,
            pulse,
            tools: Tools::new(files, args.exec),
            system: system(persona.as_deref()),
            failures: 0,
            known: BTreeMap::new(),
            unreadable: 0,
            begun: Instant::now(),
        })
    }

    /// Works until something ends it.
    pub(crate) fn run(&mut self) -> Exit {
        loop {
            if let Err(exit) = self.round() {
                // What was answered is told before it ends, where the disk lets it.
                let released = self.desk.release(self.pulse);
                if let (true, Err(damaged @ Exit::Damaged(_))) = (exit == Exit::Stopped, released) {
                    return damaged;
                }
                return exit;
            }
        }
    }

    /// Everything that is there now, then a rest where that was nothing.
    fn round(&mut self) -> Result<(), Exit> {
        if self.pulse.is_stopping() {
            return Err(Exit::Stopped);
        }
        self.pulse.beat();
        // What an end in the middle has left.
        self.work()?;
        let listing = self.desk.incoming(self.pulse)?;
        self.known.retain(|seq, _| listing.messages.binary_search(seq).is_ok());
        let mut worked = false;
        for seq in listing.messages {
            let busy = self.desk.state.turn.is_some();
            match self.known.get(&seq) {
                Some(Known::Done) => continue,
                Some(Known::Waits) if busy => continue,
                _ => {}
            }
            if self.desk.is_full() && !busy {
                break;
            }
            if self.pulse.is_stopping() {
                return Err(Exit::Stopped);
            }
            worked |= self.take(seq)?;
            self.desk.clear(self.pulse)?;
            if busy && self.desk.state.turn.is_none() {
                // Tasks that waited come before those that are new.
                break;
            }
        }
        self.desk.release(self.pulse)?;
        if worked {
            self.desk.hurry();
            return Ok(());
        }
        self.desk.rest(self.pulse)
    }

    /// Deals with one file; whether there was something to do.
    fn take(&mut self, seq: u64) -> Result<bool, Exit> {
        let taken = match self.desk.read(seq, self.pulse)? {
            Incoming::Gone => return Ok(false),
            Incoming::Unreadable(why) => {
                if self.known.insert(seq, Known::Done).is_none() && !self.desk.covers(seq) {
                    self.unreadable(seq, &why)?;
                }
                return Ok(true);
            }
            Incoming::Message(message) => message,
        };
        self.unreadable = 0;
        self.desk.settle(&taken.acks);
        let id = taken.id;
        if matches!(taken.content, Content::Ack) {
            self.known.insert(seq, Known::Done);
            return Ok(true);
        }
        if let Some(turn) = &mut self.desk.state.turn
            && (turn.id == id || turn.acks.contains(&seq))
        {
            // The task that is being worked on, sent once more or read after an end in the middle.
            if !turn.acks.contains(&seq) {
                turn.acks.push(seq);
            }
            self.known.insert(seq, Known::Done);
            return Ok(true);
        }
        if self.desk.state.has_seen(id) {
            self.known.insert(seq, Known::Done);
            if !self.desk.covers(seq) {
                let ack = message(MessageId::derived(&format!("ack {id} {seq}")), Content::Ack);
                self.desk.put(&ack.acknowledging(vec![seq]))?;
                self.desk.hold(self.pulse)?;
            }
            return Ok(true);
        }
        match taken.content {
            Content::Task(task) if task.text.trim_start().starts_with('/') => {
                self.known.insert(seq, Known::Done);
                let text = self.command(task.text.trim())?;
                self.answer(id, seq, Content::Reply(Reply { text, usage: None }))?;
            }
            Content::Task(_) if self.desk.state.turn.is_some() => {
                self.known.insert(seq, Known::Waits);
                return Ok(false);
            }
            Content::Task(task) => {
                self.known.insert(seq, Known::Done);
                self.desk.state.turn = Some(Turn::new(id, seq, &task.text));
                self.work()?;
            }
            Content::Answer(answer) => {
                self.known.insert(seq, Known::Done);
                self.answered(id, seq, taken.in_reply_to, &answer.text)?;
            }
            Content::Probe(probe) => {
                self.known.insert(seq, Known::Done);
                let result = probes::run(&probe.list, self.args, self.pulse);
                self.answer(id, seq, Content::ProbeResult(result))?;
            }
            other => {
                self.known.insert(seq, Known::Done);
                let failure = Failure {
                    code: "unexpected".into(),
                    message: format!("message {seq}: a worker is sent no `{}`", other.kind()),
                    retried: None,
                };
                self.answer(id, seq, Content::Error(failure))?;
            }
        }
        Ok(true)
    }

    /// Names a file that is no message, and acknowledges it: the host keeps what could not be read.
    fn unreadable(&mut self, seq: u64, why: &str) -> Result<(), Exit> {
        let failure = Failure {
            code: "unreadable".into(),
            message: shortened(&format!("message {seq}: {why}"), 2000),
            retried: None,
        };
        let error = message(MessageId::random().map_err(bug)?, Content::Error(failure));
        self.desk.put(&error.acknowledging(vec![seq]))?;
        self.desk.keep(self.pulse)?;
        self.unreadable += 1;
        if self.unreadable >= UNREADABLE && !self.desk.has_proved_its_key() {
            return Err(Exit::Damaged(format!(
                "none of {UNREADABLE} messages can be read with this key: {why}"
            )));
        }
        Ok(())
    }

    /// Answers a message at once, and notes that it was acted on.
    fn answer(&mut self, id: MessageId, seq: u64, content: Content) -> Result<(), Exit> {
        let said = message(MessageId::derived(&format!("reply {id}")), content);
        self.desk.state.saw(id);
        self.desk.put(&said.replying(id).acknowledging(vec![seq]))?;
        self.desk.hold(self.pulse)
    }

    /// The answer to a question goes to the turn that asked it.
    fn answered(&mut self, id: MessageId, seq: u64, to: Option<MessageId>, text: &str) -> Result<(), Exit> {
        if let Some(turn) = &mut self.desk.state.turn
            && turn.waits_for().is_some()
            && turn.waits_for() == to
            && let Step::Tools { results, call } = &mut turn.step
            && let Some(crate::conversation::Entry::Model { calls, .. }) = turn.entries.last()
            && let Some(asked) = calls.get(results.len())
        {
            results.push(Brought {
                id: asked.id.clone(),
                name: asked.name.clone(),
                text: shortened(text, crate::tools::RESULT),
                outcome: Outcome::Done,
            });
            *call = Next::New;
            turn.acks.push(seq);
            turn.answering = id;
            self.desk.state.saw(id);
            self.desk.keep(self.pulse)?;
            return self.work();
        }
        let failure = Failure {
            code: "no-question".into(),
            message: "nothing waits for this answer".into(),
            retried: None,
        };
        self.answer(id, seq, Content::Error(failure))
    }

    /// A word that is for the worker and not for the model.
    fn command(&mut self, text: &str) -> Result<String, Exit> {
        let word = text.split_whitespace().next().unwrap_or_default();
        Ok(match word {
            "/help" => "/help  these words\n/status  what the worker does and knows\n/reset  forget the conversation, and give up \
                        the task that waits for an answer\nEverything else goes to the model.\n"
                .into(),
            "/status" => {
                let state = &self.desk.state;
                let doing = match &state.turn {
                    Some(turn) if turn.waits_for().is_some() => "waits for an answer",
                    Some(_) => "works on a task",
                    None => "waits for a task",
                };
                format!(
                    "{doing}\nmodel {} by route {}\nup {} s, {} turns finished, {} entries of conversation\ntokens: {} in, {} out\n",
                    self.args.model,
                    self.args.route,
                    self.begun.elapsed().as_secs(),
                    state.turns,
                    state.history.0.len(),
                    state.usage.input,
                    state.usage.output
                )
            }
            "/reset" => {
                if self.desk.state.turn.is_some() {
                    self.fail("reset", "the task was given up by /reset", None)?;
                }
                self.desk.state.history = History::default();
                "the conversation is forgotten\n".into()
            }
            other => format!("there is no `{}`: see /help\n", shortened(other, 100).escape_debug()),
        })
    }

    /// Ends the turn with a reply.
    pub(crate) fn reply(&mut self, text: &str, usage: crate::provider::Usage) -> Result<(), Exit> {
        let usage = Usage { input: usage.input, output: usage.output };
        let mut size = REPLY;
        loop {
            let content = Content::Reply(Reply { text: shortened(text, size), usage: Some(usage) });
            let said = message(MessageId::derived("size"), content);
            // Each character may take six bytes in JSON.
            if said.to_body().is_ok() || size < 1024 {
                return self.finish(said.content);
            }
            size /= 2;
        }
    }

    /// Ends the turn with an error.
    pub(crate) fn fail(&mut self, code: &str, why: &str, retried: Option<u32>) -> Result<(), Exit> {
        self.finish(Content::Error(Failure {
            code: shortened(code, 100),
            message: shortened(why, 4000),
            retried,
        }))
    }

    fn finish(&mut self, content: Content) -> Result<(), Exit> {
        let Some(turn) = self.desk.state.turn.take() else { return Ok(()) };
        let state = &mut self.desk.state;
        state.saw(turn.id);
        state.turns += 1;
        state.usage += turn.usage;
        if let Content::Reply(_) = content {
            state.history.add(turn.entries, crate::state::HISTORY);
        }
        let mut acks = turn.acks;
        acks.truncate(pinfold_queue::message::ACKS_MAX);
        let said = message(MessageId::derived(&format!("reply {}", turn.id)), content);
        self.desk.put(&said.replying(turn.answering).acknowledging(acks))?;
        self.desk.hold(self.pulse)
    }
}

/// A message of this id, which an end in the middle does not change.
pub(crate) fn message(id: MessageId, content: Content) -> Message {
    Message { id, in_reply_to: None, acks: Vec::new(), content }
}

fn bug(error: impl std::fmt::Display) -> Exit {
    Exit::Bug(error.to_string())
}

/// The words of a persona.
fn persona(path: &str) -> Result<String, Exit> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::NONBLOCK;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .and_then(|fd| crate::beneath::read(&fd, 0, PERSONA))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| Exit::Usage(format!("`--persona {}`: {error}", path.escape_debug())))
}

/// The system prompt.
fn system(persona: Option<&str>) -> String {
    let mut text = String::from(
        "You are an agent in a sealed sandbox: there is no network and no shell. You work on files with your tools: /workspace is the \
         user's project, /memory is yours and stays, /shared is read-only. Each of your answers that calls no tool is sent to the user \
         as the reply to the task. Answer in plain text.",
    );
    if let Some(persona) = persona {
        text.push_str("\n\n");
        text.push_str(persona.trim());
    }
    text
}
