//! `pinfold schema`: the JSON schema of manifests and recipes.

use std::process::ExitCode;

use pinfold_engine::project::manifest::ManifestFile;
use pinfold_engine::project::recipe::RecipeFile;

use super::Outcome;
use crate::render;

/// Print the JSON schema of pinfold.toml (or of a recipe), for editors
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// What to describe
    #[arg(value_enum, default_value = "manifest")]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    Manifest,
    Recipe,
}

#[expect(clippy::unnecessary_wraps, reason = "all verbs have one signature")]
pub(crate) fn run(args: &SchemaArgs) -> Outcome {
    render::json(&match args.of {
        Of::Manifest => pinfold_engine::schema_of::<ManifestFile>(),
        Of::Recipe => pinfold_engine::schema_of::<RecipeFile>(),
    });
    Ok(ExitCode::SUCCESS)
}
