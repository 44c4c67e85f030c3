//! `pinfold completions`: scripts for the shell.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::Outcome;
use crate::render;

/// Print a completion script: pinfold completions bash > ~/.local/share/bash-completion/completions/pinfold
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "all verbs have one signature")]
pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::args::Args::command(), "pinfold", &mut script);
    render::out(&String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}
