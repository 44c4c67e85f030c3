//! Maintainer scripts, evaluated: POSIX shell as dash has it, over a world that is a value.
//!
//! ```text
//! text ─► syntax ─► shell ──► commands ─► world      tree, accounts, alternatives, diversions, debconf, packages
//!                    │ expansion, control flow, redirections   └► what was done, for the ledger
//! ```
//!
//! Nothing runs: no process is started, no file of the host is read, no clock is asked. A command is a function of this
//! program, or a shell script that lies in the tree; anything else stops the evaluation with an error that names it. What is
//! not wanted in a shared image (byte code, starting services, random keys) is not done, and said so.
//!
//! **Guarantees**: equal scripts over equal worlds give equal worlds. Time and memory are bounded by [`world::Fuel`], whatever the
//! script does. When an evaluation fails the caller drops the world: there is no half-done result.
//!
//! **Refuses**: unknown commands and unknown options of known commands, files outside the tree (`/proc`, `/sys`, devices other
//! than `/dev/null`), everything of bash that dash has not.

mod commands;
mod shell;
mod syntax;
#[cfg(test)]
mod tests;
pub(in crate::debian) mod world;

use pinfold_archive::Tree;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Arch;

use self::shell::Shell;
use self::world::Fuel;
use self::world::World;
use crate::accounts::Accounts;

/// A script and how it is called.
#[derive(Clone, Copy, Debug)]
pub(in crate::debian) struct Script<'a> {
    /// The package whose script it is.
    pub(in crate::debian) package: &'a str,
    /// `preinst`, `postinst`.
    pub(in crate::debian) name: &'a str,
    /// Its text.
    pub(in crate::debian) text: &'a [u8],
    /// Its arguments: `configure`, and an empty version.
    pub(in crate::debian) args: &'a [&'a str],
    /// Its environment, as dpkg sets it.
    pub(in crate::debian) environment: &'a [(&'a str, &'a str)],
}

/// What came of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debian) struct Outcome {
    /// Its exit status; 0 is the only good one for dpkg.
    pub(in crate::debian) status: i32,
    /// The line of the last command, from 1.
    pub(in crate::debian) line: usize,
    /// What failed last, with its words evaluated; empty where all is good.
    pub(in crate::debian) command: String,
    /// What it wrote to descriptor 1.
    pub(in crate::debian) output: Vec<u8>,
    /// What it wrote to descriptor 2.
    pub(in crate::debian) errors: Vec<u8>,
}

/// Where and why an evaluation stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debian) struct Fault {
    /// The line of the script, from 1; 0 where it is not known.
    pub(in crate::debian) line: usize,
    /// The command with its words evaluated; empty where there is none.
    pub(in crate::debian) command: String,
    /// What was asked of it that cannot be done.
    pub(in crate::debian) what: String,
}

/// How much stack the evaluation may use; nesting is bounded so that it is enough.
const STACK: usize = 256 << 20;

/// Evaluates a script over the world.
pub(in crate::debian) fn evaluate(script: &Script<'_>, world: &mut World<'_>) -> Result<Outcome, Fault> {
    Shell::new(script, world).run(script.text)
}

/// What a script of a package has, in the units of [`try_out`].
pub const FUEL: u64 = world::FUEL;

/// Evaluates any text as a script over any tree, with this much fuel: what tries to break the evaluator begins here. The exit
/// status, or the reason why there is none; what was done by then stays in the tree.
pub fn try_out(text: &[u8], tree: &mut Tree, fuel: u64) -> Result<i32, String> {
    let taken = std::mem::replace(tree, Tree::new());
    let (left, result) = on_a_deep_stack(|| {
        let mut world = World::new(taken, Accounts::minimal(), Arch::Amd64, 0, &InlineOnly);
        world.fuel = Fuel::of(fuel);
        let args = &["configure", ""];
        let script = Script { package: "package", name: "postinst", text, args, environment: &[] };
        let result = evaluate(&script, &mut world);
        world.settle();
        (world.tree, result)
    })
    .map_err(|error| error.to_string())?;
    *tree = left;
    result.map(|outcome| outcome.status).map_err(|fault| fault.what)
}

/// Runs `work` on a thread whose stack is deep enough for [`evaluate`]. Only what is used of it becomes memory.
pub(in crate::debian) fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("scripts".into()).stack_size(STACK);
        let handle = thread.spawn_scoped(scope, work)?;
        handle.join().map_err(|_| std::io::Error::other("the evaluation of scripts has panicked"))
    })
}
