//! `pinfold doctor`: what this machine offers.

use std::path::Path;
use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_engine::consent;
use pinfold_engine::keep::doctor;
use pinfold_engine::keep::doctor::Grade;
use pinfold_engine::project::Project;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Check this machine: disk, clock, network, mirrors, keys, and what sandboxes need of the kernel
///
/// The servers are those of the project here, or of the preset `solo`. Ends with 1 when something that is needed is bad.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    downloads: args::Downloads,
}

pub(crate) fn run(args: &DoctorArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let (here, home) = (Path::new("."), context.environment.home());
    // A project that the user has not agreed to is not obeyed, also not about servers.
    let project = Project::found(here, home).ok().and_then(|project| consent::agree(&context, project).ok());
    let project = project.or_else(|| {
        let preset = Project::from_preset(context.home.data(), "solo", None).ok()?;
        consent::agree(&context, preset).ok()
    });
    let findings = doctor::examine(&context, project.as_ref());
    let bad = findings.iter().any(|finding| finding.grade == Grade::Bad);
    if global.json {
        render::json(&findings);
    } else {
        let mut page = Page::default();
        for finding in &findings {
            let mark = match finding.grade {
                Grade::Good => "ok  ",
                Grade::Note => "note",
                Grade::Bad => "bad ",
            };
            page.wrapped(shown!("{mark}  {:<22} ", finding.what), &finding.found);
            if let Some(fix) = &finding.fix {
                page.wrapped(shown!("      {:<22} → ", ""), fix);
            }
        }
        render::out(&page);
    }
    Ok(if bad { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
