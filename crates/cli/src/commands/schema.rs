//! `pinfold schema`: the JSON schemas of what is written by hand, and of a pod's task.

use std::process::ExitCode;

use pinfold_engine::project::manifest::ManifestFile;
use pinfold_engine::project::recipe::RecipeFile;
use pinfold_engine::proxy::ProxyFile;
use pinfold_sandbox::pod::PodTask;

use super::Outcome;
use crate::render;

/// Print the JSON schema of pinfold.toml (or of a recipe, of proxy.toml or of pod.json), for editors
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
    Proxy,
    Pod,
}

#[expect(clippy::unnecessary_wraps, reason = "all verbs have one signature")]
pub(crate) fn run(args: &SchemaArgs) -> Outcome {
    render::json(&match args.of {
        Of::Manifest => pinfold_engine::schema_of::<ManifestFile>(),
        Of::Recipe => pinfold_engine::schema_of::<RecipeFile>(),
        Of::Proxy => pinfold_engine::schema_of::<ProxyFile>(),
        Of::Pod => pinfold_engine::schema_of::<PodTask>(),
    });
    Ok(ExitCode::SUCCESS)
}
