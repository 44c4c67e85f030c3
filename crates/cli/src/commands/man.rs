//! `pinfold man`: the manual page, for packagers.

use std::process::ExitCode;

use clap::Command;
use clap::CommandFactory as _;

use super::Outcome;
use crate::render;
use crate::render::page::Page;

/// What clap does not know.
const PAGES: &str = include_str!("man/pages.roff");
const EXAMPLES: &str = include_str!("man/examples.roff");
const SEE: &str = ".SH \"SEE ALSO\"\n.BR pinfold (1),\nfor exit status, environment, files and examples.\n";

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
    let mut lines = Page::default();
    lines.lines(&page(&command, args.verb.as_deref()).map_err(pinfold_base::store::StoreError::Io)?);
    render::out(&lines);
    Ok(ExitCode::SUCCESS)
}

/// The page of the program, or of a verb, which leaves to the program's what is the same for all of them.
fn page(command: &Command, verb: Option<&str>) -> std::io::Result<String> {
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if verb.is_some() {
        page.extend_from_slice(SEE.as_bytes());
    } else {
        man.render_subcommands_section(&mut page)?;
        page.extend_from_slice(PAGES.as_bytes());
        page.extend_from_slice(EXAMPLES.as_bytes());
    }
    man.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn of(verb: Option<&str>) -> String {
        let mut command = crate::args::Args::command();
        command.build();
        let command = verb.map_or(command.clone(), |verb| command.find_subcommand(verb).unwrap().clone());
        page(&command, verb).unwrap()
    }

    #[test]
    fn the_page_has_the_sections_that_people_look_for() {
        let page = of(None);
        let sections: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .map(|name| name.trim_matches('"'))
            .collect();
        assert_eq!(
            sections,
            [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "GENERAL",
                "SUBCOMMANDS",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
                "EXAMPLES",
                "VERSION"
            ]
        );
        assert!(of(Some("run")).contains(".SH \"SEE ALSO\"\n"));
    }

    /// Every example is one that the command line understands.
    #[test]
    fn the_examples_are_understood() {
        let mut seen = 0;
        for line in EXAMPLES.lines().filter(|line| line.starts_with("pinfold ")) {
            let line = line.replace("\\-", "-");
            let read = crate::args::Args::try_parse_from(line.split_whitespace());
            // A folder of kept inputs is looked for.
            assert!(read.is_ok() || line.contains("--vendor inputs"), "{line}: {}", read.unwrap_err());
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
    }
}
