//! `pinfold man`: the manual page, for packagers.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::Outcome;
use crate::render;
use crate::render::page::Page;

/// Print the manual page in roff: pinfold man > pinfold.1
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The page of one verb instead of the whole program's
    verb: Option<String>,
}

pub(crate) fn run(args: &ManArgs) -> Outcome {
    let mut command = crate::args::Args::command();
    command.build();
    if let Some(verb) = &args.verb {
        let found = command.find_subcommand(verb).cloned();
        command = found.ok_or_else(|| {
            render::diagnostic::Failure::usage(
                format!("there is no verb `{verb}`"),
                "`pinfold --help` lists them",
            )
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(pinfold_base::store::StoreError::Io)?;
    let mut lines = Page::default();
    lines.lines(&String::from_utf8_lossy(&page));
    render::out(&lines);
    Ok(ExitCode::SUCCESS)
}
