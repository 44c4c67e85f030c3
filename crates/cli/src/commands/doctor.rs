//! `pinfold doctor`: what this machine offers.

use std::process::ExitCode;

use pinfold_engine::keep::doctor;
use pinfold_engine::keep::doctor::Grade;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;

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
        let mut text = String::new();
        for finding in &findings {
            let mark = match finding.grade {
                Grade::Good => "ok  ",
                Grade::Note => "note",
                Grade::Bad => "bad ",
            };
            text.push_str(&format!("{mark}  {:<22} {}\n", finding.what, finding.found));
            if let Some(fix) = &finding.fix {
                text.push_str(&format!("      {:<22} → {fix}\n", ""));
            }
        }
        render::out(&text);
    }
    Ok(if bad { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
