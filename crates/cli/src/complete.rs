//! What the shell offers where a name is wanted: agents, presets, and the images and sandboxes that are there now.
//!
//! **Guarantees**: nothing is made, changed or removed, and nobody is asked; what cannot be read is not offered.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::ArgValueCandidates;
use clap_complete::engine::CompletionCandidate;
use pinfold_base::Home;
use pinfold_base::report::Silent;
use pinfold_engine::context::Context;
use pinfold_engine::context::Network;
use pinfold_engine::keep::images::Listed;
use pinfold_engine::keep::images::NO_NAME;
use pinfold_engine::keep::images::Which;
use pinfold_engine::keep::images::list;
use pinfold_engine::project::manifest::preset::Preset;
use pinfold_engine::project::recipe::Recipe;

use crate::args::Args;

/// With this variable set to a shell's name the program answers that shell, and does nothing else.
pub(crate) const VARIABLE: &str = "PINFOLD_COMPLETE";

/// Answers a shell, if one asks; then the program has ended.
pub(crate) fn answer() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(Args::command).var(VARIABLE).complete();
    }
}

/// The built-in agents.
pub(crate) fn agents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let agent = |recipe: &'static Recipe| {
            CompletionCandidate::new(&recipe.name).help(Some(recipe.title.clone().into()))
        };
        Recipe::built_in_agents().map(agent).collect()
    })
}

/// The built-in manifests.
pub(crate) fn presets() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let preset = |preset: &Preset| CompletionCandidate::new(preset.name).help(Some(preset.about.into()));
        Preset::ALL.iter().map(preset).collect()
    })
}

/// The images of the local store.
pub(crate) fn images() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let found = || {
            let home = home()?;
            home.data().join("images").is_dir().then_some(())?;
            let context = Context::at(home, Network::Offline, Box::new(Silent)).ok()?;
            let images = list(&context, Which::Named).ok()?;
            // `:` ends a word in bash, so the tag that goes without saying does.
            let name = |image: Listed| match image.tag.as_str() {
                "latest" => image.repository,
                // By its digest alone.
                NO_NAME => format!("{}@{}", image.repository, image.digest),
                tag => format!("{}:{tag}", image.repository),
            };
            let names = images.into_iter().map(name);
            Some(names.map(CompletionCandidate::new).collect())
        };
        found().unwrap_or_default()
    })
}

/// The sandboxes that are there, whatever their state.
pub(crate) fn sandboxes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let folder: Option<PathBuf> = home().map(|home| home.data().join("sandboxes"));
        let entries = folder.and_then(|folder| fs_err::read_dir(folder).ok()).into_iter().flatten();
        let names = entries.flatten().filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
        let names = names.filter(|name| !name.as_encoded_bytes().starts_with(b"."));
        names.map(CompletionCandidate::new).collect()
    })
}

fn home() -> Option<Home> {
    Home::from_env(|name| std::env::var_os(name))
}
