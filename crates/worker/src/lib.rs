//! The worker of a sealed sandbox: takes tasks from a queue of sealed files, asks a model over one Unix socket, works on files.
//!
//! ```text
//!   key ─► desk (in/, out/, state) ─► agent ─► turn ─► client ─► /run/pinfold/model/ROUTE.sock
//!                                       │        └─► tools: files by descriptors, messages, exec
//!                                       └─► probes: what of its sandbox holds
//!   http  sse  provider  conversation  args  state: what is read and said, no I/O
//! ```
//!
//! **Guarantees**: one thread, no environment, nothing written but below the roots of the tools and `out/`; whatever ends it, no task is
//! lost and none is answered twice. **Refuses** to start without its key.
#![forbid(unsafe_code)]

mod agent;
mod args;
mod beneath;
mod client;
pub mod conversation;
mod desk;
mod exit;
pub mod http;
mod key;
mod probes;
pub mod provider;
mod pulse;
pub mod sse;
mod state;
mod tools;
mod turn;

pub use args::HELP;
pub use exit::Exit;

use crate::agent::Agent;
use crate::desk::Desk;
use crate::pulse::Pulse;

/// What `--version` prints.
pub const VERSION: &str = concat!("sandbox ", env!("CARGO_PKG_VERSION"), "\n");

/// Runs the worker with these arguments; how it ended.
pub fn run(words: &[String]) -> Exit {
    let args = match args::parse(words) {
        Ok(args) => args,
        Err(why) => return Exit::Usage(why),
    };
    // The key before anything else is opened.
    let key = match key::take(&args.key) {
        Ok(key) => key,
        Err(why) => return Exit::NoKey(format!("{}: {why}", args.key)),
    };
    let mut pulse = match Pulse::new() {
        Ok(pulse) => pulse,
        Err(error) => return Exit::Bug(error.to_string()),
    };
    let desk = match Desk::open(&args.queue, &args.id, key, &mut pulse) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match Agent::new(&args, desk, &mut pulse) {
        Ok(mut agent) => agent.run(),
        Err(exit) => exit,
    }
}
