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

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use clap::Parser as _;
use pinfold_engine::worker;

use crate::portable::Said;
use crate::render::diagnostic::Failure;
use crate::render::diagnostic::Stdout;

fn main() -> ExitCode {
    // A copy of this program that was started for a sandbox never comes back from here.
    pinfold_sandbox::dispatch(Some(|folder, name, stop| worker::attend(folder, name, stop.as_fd())));
    match portable::carried() {
        None => {
            complete::answer();
            go(Words::read(std::env::args_os().collect(), By::Shell))
        }
        Some(Ok(Said::Words(words))) => go(*words),
        Some(Ok(Said::Done(code))) => ended(code),
        Some(Err(failure)) => failed(failure, None),
    }
}

/// What pinfold is told, the name that it was called by first.
#[derive(Debug)]
struct Words {
    said: Vec<OsString>,
    /// As they were read.
    args: Result<args::Args, clap::Error>,
    by: By,
}

/// Who tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Whoever typed the words.
    Shell,
    /// A file that carries an image, and has made them of others; it has ends of its own for what goes wrong before anything runs.
    File,
}

impl Words {
    fn read(words: Vec<OsString>, by: By) -> Self {
        Self { args: args::Args::try_parse_from(&words), said: words, by }
    }

    /// Words for pinfold behind those that a file is called by.
    fn of_shell(called: &OsStr, words: Vec<OsString>) -> Self {
        Self::of(called, words, By::Shell)
    }

    /// What a file of this name makes of its words.
    fn of_file(called: &OsStr, words: Vec<OsString>) -> Self {
        Self::of(called, words, By::File)
    }

    fn of(called: &OsStr, words: Vec<OsString>, by: By) -> Self {
        let mut name = called.to_owned();
        name.push(" --pinfold");
        Self::read(std::iter::once(name).chain(words).collect(), by)
    }
}

/// Does what the words say.
fn go(Words { said, args, by }: Words) -> ExitCode {
    let args = match args {
        Ok(args) => args,
        Err(error) => return mistaken(&error, &said, by),
    };
    render::log::install(args.global.verbose);
    if let Some(words) = args.command.interrupted() {
        pinfold_sandbox::say_when_interrupted(words, render::UNDER_BARS);
    }
    let (json, stdout) = (args.global.json, args.command.stdout());
    match commands::run(args) {
        Ok(code) => ended(code),
        Err(failure) => {
            let failure = if by == By::File { failure.before_a_run() } else { failure };
            failed(failure, json.then_some(stdout))
        }
    }
}

/// What clap says: help, the version, or a mistake.
fn mistaken(error: &clap::Error, words: &[OsString], by: By) -> ExitCode {
    let before: Vec<_> = words.iter().skip(1).take_while(|word| *word != "--").collect();
    let (json, verb) = (
        before.iter().any(|word| *word == "--json"),
        before.iter().find(|word| !word.as_encoded_bytes().starts_with(b"-")),
    );
    let is_run = by == By::Shell && verb.is_some_and(|verb| *verb == "run");
    if json && error.use_stderr() {
        let failure = Failure::of_clap(&render::of_clap(error, words.iter().cloned()));
        let stdout = if is_run { Stdout::Theirs } else { Stdout::Ours };
        return failed(if is_run { failure.ending(commands::run::OWN) } else { failure }, Some(stdout));
    }
    render::usage(error, words.iter().cloned());
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    ended(ExitCode::from(if is_run && code != 0 { commands::run::OWN } else { code }))
}

/// A verb that did what it should has failed all the same when nobody could be given its result. There is no stdout to tell it on.
fn ended(code: ExitCode) -> ExitCode {
    render::lost().map_or(code, |failure| failed(failure, None))
}

fn failed(failure: Failure, json: Option<Stdout>) -> ExitCode {
    let failure = failure.as_called();
    match json {
        Some(stdout) => render::diagnostic::print_json(&failure, stdout),
        None => render::diagnostic::print(&failure),
    }
    ExitCode::from(failure.exit_code())
}
