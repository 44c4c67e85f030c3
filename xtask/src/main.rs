//! Project chores: `cargo xtask test` runs everything CI runs; `cargo xtask bench` measures.
#![forbid(unsafe_code)]

mod arrows;
mod bench;
mod cross;
mod debian;
mod fuzz;
mod heads;
mod isolation;
mod kube_schema;
mod npm;
mod schema;
mod test;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// Chores of the pinfold repository.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check that rooms use each other only downwards
    Arrows,
    /// Check the generated schemas against the types (`--write` to update them)
    Schema {
        /// Write instead of checking
        #[arg(long)]
        write: bool,
    },
    /// Measure builds and sandboxes beside their floor and other programs
    Bench(bench::BenchArgs),
    /// Lock each of the Debian packages that people ask for, and print how many can be
    Debian(debian::DebianArgs),
    /// Fuzz the parsers of what comes from outside, one target after the other
    Fuzz(fuzz::FuzzArgs),
    /// Build the program for both platforms, to be put before images by `pinfold pack --head`
    Heads(heads::HeadsArgs),
    /// Try the list of attacks in started sandboxes (`--write` to update the table in `docs/isolation.md`)
    Isolation(isolation::IsolationArgs),
    /// Write the table of Kubernetes' kinds and fields, from published schemas
    KubeSchema(kube_schema::KubeSchemaArgs),
    /// Compare what is placed of npm packages with what npm installs
    Npm(npm::NpmArgs),
    /// Take part in a measurement
    #[command(hide = true, subcommand)]
    Role(bench::run::Role),
    /// Run all tests: format, lints, arrows, unit and integration tests, and the real end-to-end run
    Test(test::TestArgs),
    /// Build the worker of sealed images for both platforms, static and the same bytes in any directory
    Worker(worker::WorkerArgs),
}

fn main() -> ExitCode {
    // A copy of this program that was started for a sandbox never comes back from here.
    pinfold_sandbox::dispatch(None);
    let outcome = match Args::parse().chore {
        Chore::Arrows => arrows::check(),
        Chore::Schema { write } => {
            schema::check(if write { schema::Mode::Write } else { schema::Mode::Check })
        }
        Chore::Bench(args) => bench::run(&args),
        Chore::Debian(args) => debian::run(&args),
        Chore::Fuzz(args) => fuzz::run(&args),
        Chore::Heads(args) => heads::run(&args),
        Chore::Isolation(args) => isolation::run(&args),
        Chore::KubeSchema(args) => kube_schema::run(&args),
        Chore::Npm(args) => npm::run(&args),
        Chore::Role(role) => bench::run::play(&role),
        Chore::Test(args) => test::run(&args),
        Chore::Worker(args) => worker::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&format!("xtask: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr.
#[expect(clippy::disallowed_methods, reason = "this is where chores print")]
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The root of the repository.
pub(crate) fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
