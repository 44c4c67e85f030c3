//! `pinfold doctor`: what this machine offers.

use std::process::ExitCode;

use pinfold_base::shown;
use pinfold_engine::keep::doctor;
use pinfold_engine::keep::doctor::Grade;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Check this machine: folders, certificates, and what sandboxes need of the kernel
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    downloads: args::Downloads,
}

pub(crate) fn run(args: &DoctorArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let findings = doctor::examine(&context);
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
            page.line(shown!("{mark}  {:<22} {}", finding.what, finding.found));
            if let Some(fix) = &finding.fix {
                page.line(shown!("      {:<22} → {fix}", ""));
            }
        }
        render::out(&page);
    }
    Ok(if bad { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
