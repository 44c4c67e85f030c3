//! `pinfold`: the command line. Thin: each verb is one file under [`commands`], which calls one function of the engine and
//! renders its result.
//!
//! stdout carries results (a table, or one JSON value with `--json`), stderr carries progress, notes and errors.
//! Exit codes: 0 done, 1 failed check or a problem of the machine, 2 usage or manifest, 3 network, 4 integrity, 5 refused by
//! policy or kernel, 70 bug. `run` ends with its program's code; with 125 when pinfold itself fails, 126 when the program cannot be
//! executed and 127 when it is not there.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod complete;
mod portable;
mod render;

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use clap::Parser as _;
use pinfold_engine::worker;

use crate::render::diagnostic::Failure;
use crate::render::diagnostic::Stdout;

fn main() -> ExitCode {
    // A copy of this program that was started for a sandbox never comes back from here.
    pinfold_sandbox::dispatch(Some(|folder, name, stop| worker::attend(folder, name, stop.as_fd())));
    if let Some(outcome) = portable::carried() {
        return match outcome {
            Ok(code) => ended(code),
            Err(failure) => failed(&failure, None),
        };
    }
    complete::answer();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return mistaken(&error),
    };
    render::log::install(args.global.verbose);
    if let Some(words) = args.command.interrupted() {
        pinfold_sandbox::say_when_interrupted(words, render::UNDER_BARS);
    }
    let (json, stdout) = (args.global.json, args.command.stdout());
    match commands::run(args) {
        Ok(code) => ended(code),
        Err(failure) => failed(&failure, json.then_some(stdout)),
    }
}

/// What clap says: help, the version, or a mistake.
fn mistaken(error: &clap::Error) -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).take_while(|word| word != "--").collect();
    let (json, verb) = (
        words.iter().any(|word| word == "--json"),
        words.iter().find(|word| !word.as_encoded_bytes().starts_with(b"-")),
    );
    let is_run = verb.is_some_and(|verb| verb == "run");
    if json && error.use_stderr() {
        let failure = Failure::of_clap(&render::of_clap(error, std::env::args_os()));
        let stdout = if is_run { Stdout::Theirs } else { Stdout::Ours };
        return failed(&if is_run { failure.ending(commands::run::OWN) } else { failure }, Some(stdout));
    }
    render::usage(error, std::env::args_os());
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    ended(ExitCode::from(if is_run && code != 0 { commands::run::OWN } else { code }))
}

/// A verb that did what it should has failed all the same when nobody could be given its result. There is no stdout to tell it on.
fn ended(code: ExitCode) -> ExitCode {
    render::lost().map_or(code, |failure| failed(&failure, None))
}

fn failed(failure: &Failure, json: Option<Stdout>) -> ExitCode {
    match json {
        Some(stdout) => render::diagnostic::print_json(failure, stdout),
        None => render::diagnostic::print(failure),
    }
    ExitCode::from(failure.exit_code())
}
