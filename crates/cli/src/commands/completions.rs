//! `pinfold completions`: scripts for the shell.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::Outcome;
use crate::render;
use crate::render::page::Page;

/// Print a completion script: pinfold completions bash > ~/.local/share/bash-completion/completions/pinfold
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "all verbs have one signature")]
pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut page = Page::default();
    page.lines(&script(args.shell));
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::args::Args::command(), "pinfold", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_script_has_nothing_that_a_page_would_escape() {
        for shell in clap_complete::Shell::value_variants() {
            let mut page = Page::default();
            let script = script(*shell);
            page.lines(&script);
            assert_eq!(page.as_str().trim_end(), script.trim_end(), "{shell}");
        }
    }
}
