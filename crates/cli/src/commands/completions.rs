//! `pinfold completions`: scripts for the shell. They ask the program itself for what fits ([`crate::complete`]).

use std::process::ExitCode;

use clap_complete::env::Shells;

use super::Outcome;
use crate::complete;
use crate::render;
use crate::render::page::Page;

/// Print a completion script: pinfold completions bash > ~/.local/share/bash-completion/completions/pinfold
///
/// It knows agents, presets, images and sandboxes: it asks the program each time. For zsh put it in a folder of `fpath` as
/// `_pinfold`, for fish in `~/.config/fish/completions/pinfold.fish`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut page = Page::default();
    page.lines(&script(args.shell).map_err(pinfold_base::store::StoreError::Io)?);
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

fn script(shell: clap_complete::Shell) -> std::io::Result<String> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    if let Some(completer) = shells.completer(&shell.to_string()) {
        completer.write_registration(complete::VARIABLE, "pinfold", "pinfold", "pinfold", &mut script)?;
    }
    Ok(String::from_utf8_lossy(&script).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_script_has_nothing_that_a_page_would_escape() {
        // But for the separator of bash, which its script writes as an escape itself.
        for shell in clap_complete::Shell::value_variants() {
            let mut page = Page::default();
            let script = script(*shell).unwrap();
            page.lines(&script);
            assert!(script.contains("PINFOLD_COMPLETE"), "{shell}");
            assert_eq!(page.as_str().trim_end(), script.trim_end(), "{shell}");
        }
    }
}
