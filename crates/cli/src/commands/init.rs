//! `pinfold init`: writes a commented manifest.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use fs_err as fs;
use pinfold_base::shown;
use pinfold_engine::project::manifest;
use pinfold_engine::project::manifest::Manifest;
use pinfold_engine::project::manifest::ManifestError;
use pinfold_engine::project::manifest::Preset;

use super::Outcome;
use crate::args::Global;
use crate::render;
use crate::render::diagnostic::Failure;

/// Write a commented pinfold.toml
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Start from this built-in manifest: iteron, solo, sealed, sealed-debian, proxy or nix
    #[arg(long, value_name = "NAME", default_value = "solo")]
    preset: String,
    /// The suite of Debian to write in, such as trixie; the preset's unless said
    #[arg(long, value_name = "SUITE")]
    suite: Option<String>,
    /// Name of the image; the directory's name unless said
    #[arg(long)]
    name: Option<String>,
    /// Where to write it
    #[arg(default_value = ".")]
    directory: PathBuf,
}

pub(crate) fn run(args: &InitArgs, global: Global) -> Outcome {
    let preset = Preset::find(&args.preset)
        .ok_or_else(|| ManifestError::UnknownPreset { name: args.preset.clone() })?;
    args.name.as_deref().map(manifest::file::check_name).transpose()?;
    Manifest::preset(preset.name, args.suite.as_deref(), &args.directory)?;
    let path = args.directory.join(manifest::FILE_NAME);
    fs::create_dir_all(&args.directory).map_err(ManifestError::Read)?;
    // Made anew or not at all: what is there may be a link that an agent left, also to what is not there yet.
    let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::usage(
                shown!("`{}` exists already", path.display()),
                "remove it first, or name another directory",
            ));
        }
        result => result.map_err(ManifestError::Read)?,
    };
    file.write_all(preset.manifest_text(args.name.as_deref(), args.suite.as_deref()).as_bytes())
        .map_err(ManifestError::Read)?;
    if global.json {
        render::json(&serde_json::json!({ "manifest": path.display().to_string(), "preset": preset.name }));
    } else if !global.quiet {
        render::note(shown!("wrote `{}` ({})", path.display(), preset.about));
        render::note("next: `pinfold build`");
    }
    Ok(ExitCode::SUCCESS)
}
