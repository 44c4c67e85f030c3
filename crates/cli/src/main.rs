//! `pinfold`: the command line. Thin: each verb is one file under [`commands`], which calls one function of the engine and
//! renders its result.
//!
//! stdout carries results (a table, or one JSON value with `--json`), stderr carries progress, notes and errors.
//! Exit codes: 0 done, 1 failed check or a problem of the machine, 2 usage or manifest, 3 network, 4 integrity, 5 refused by
//! policy or kernel, 70 bug.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod render;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // A copy of this program that was started for a sandbox never comes back from here.
    pinfold_sandbox::dispatch();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            render::usage(&error, std::env::args_os());
            return ended(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    render::log::install(args.global.verbose);
    match commands::run(args) {
        Ok(code) => ended(code),
        Err(failure) => failed(&failure),
    }
}

/// A verb that did what it should has failed all the same when nobody could be given its result.
fn ended(code: ExitCode) -> ExitCode {
    render::lost().map_or(code, |failure| failed(&failure))
}

fn failed(failure: &render::diagnostic::Failure) -> ExitCode {
    render::diagnostic::print(failure);
    ExitCode::from(failure.kind.exit_code())
}
