//! `pinfold sbom`: the bill of materials of an image.

use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::describe;
use pinfold_engine::describe::sbom;
use pinfold_engine::describe::sbom::Format;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;

/// Write the bill of materials of an image: packages with licences, package URLs, layers and what each depends on
#[derive(Debug, clap::Args)]
pub(crate) struct SbomArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or
    /// docker://HOST/REPOSITORY[:TAG], where it is read and nothing is kept
    #[arg(add = complete::images())]
    image: String,
    #[command(flatten)]
    downloads: args::Downloads,
    /// The form: SPDX 2.3 or CycloneDX 1.6, both as JSON
    #[arg(long, value_enum, value_name = "FORM", default_value = "spdx")]
    format: Form,
    /// Of this platform; this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Write it to this file instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Form {
    Spdx,
    Cyclonedx,
}

pub(crate) fn run(args: &SbomArgs, global: Global) -> Outcome {
    let output = args.output.as_deref().filter(|file| *file != Path::new("-"));
    if let Some(file) = output {
        describe::folder(file)?;
    }
    let context = super::context(global, args.downloads)?;
    let source = super::looked_at(&context, &args.image)?;
    let platform = super::one_platform(&source, args.platform)?;
    let format = match args.format {
        Form::Spdx => Format::Spdx,
        Form::Cyclonedx => Format::CycloneDx,
    };
    let bill = sbom::of(&context, &source, platform, format);
    context.tell_damage();
    let bill = bill?;
    let Some(file) = output else {
        render::json_lines(&bill.bytes);
        return Ok(ExitCode::SUCCESS);
    };
    bill.save(file)?;
    if global.json {
        render::json(&serde_json::json!({ "file": file, "platform": platform, "packages": bill.packages }));
    } else if !global.quiet {
        render::note(shown!("wrote `{}`: {} packages of {platform}", file.display(), bill.packages));
    }
    Ok(ExitCode::SUCCESS)
}
