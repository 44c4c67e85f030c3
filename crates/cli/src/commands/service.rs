//! `pinfold service`: a named sandbox that the user's systemd keeps running.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_engine::project::recipe::Recipe;
use pinfold_engine::service;
use pinfold_engine::service::Service;
use pinfold_engine::service::ServiceError;
use serde_json::json;

use super::Outcome;
use super::run::RunArgs;
use crate::args;
use crate::args::Args;
use crate::args::Command;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Keep a named sandbox running as a unit of your systemd
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Write the unit `pinfold-NAME.service`, and start it now and at each login
    ///
    /// It runs `pinfold run --name NAME WORDS` in this directory; systemd starts it again when it fails. A service has nothing of
    /// your environment: its key is said as `--key file:PATH` or `--key command:PROGRAM`. `loginctl enable-linger` keeps it
    /// running while you are logged out.
    Install(InstallArgs),
    /// End it and remove the unit; the sandbox and its queues stay
    Uninstall(NameArgs),
    /// Print the unit as it was installed
    Show(NameArgs),
}

#[derive(Debug, clap::Args)]
struct InstallArgs {
    /// Name of the sandbox
    #[arg(add = complete::sandboxes())]
    name: String,
    /// Write the unit to stdout, and nothing else
    #[arg(long)]
    print: bool,
    /// What `pinfold run` is told: `--preset sealed --key file:PATH claude-code-model`
    #[arg(last = true, required = true, value_name = "WORDS")]
    words: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
struct NameArgs {
    /// Name of the sandbox
    #[arg(add = complete::sandboxes())]
    name: String,
}

pub(crate) fn run(args: &ServiceArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    match &args.verb {
        Verb::Install(args) => {
            let mut words: Vec<OsString> =
                ["pinfold", "run", "--name", &args.name].map(OsString::from).into();
            words.extend(args.words.iter().cloned());
            let detached = args.words.iter().take_while(|word| *word != "--");
            if detached.into_iter().any(|word| word == "--detach" || word == "-d") {
                let message = "a service stays in the foreground, where systemd watches it";
                return Err(Failure::usage(message, "leave `--detach` out"));
            }
            let read = Args::try_parse_from(words.iter().cloned());
            let read = read.map_err(|error| Failure::of_clap(&render::of_clap(&error, words.into_iter())))?;
            if let Command::Run(run) = &read.command {
                refuse_of_caller(&context, run)?;
            }
            let service = Service {
                name: args.name.clone(),
                program: pinfold_sandbox::own_path()?,
                words: args.words.clone(),
                directory: std::env::current_dir()?,
            };
            if args.print {
                let mut page = Page::default();
                page.lines(&service.unit(&context)?);
                render::out(&page);
                return Ok(ExitCode::SUCCESS);
            }
            told("written", &service::install(&context, &service)?, global);
        }
        Verb::Uninstall(args) => told("removed", &service::uninstall(&context, &args.name)?, global),
        Verb::Show(args) => {
            let mut page = Page::default();
            page.lines(&service::installed(&context, &args.name)?);
            render::out(&page);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(what: &str, file: &Path, global: Global) {
    if global.json {
        render::json(&json!({ "unit": file, "done": what }));
    } else {
        render::note(shown!("`{}` {what}", file.display()));
    }
}

/// Refuses what a run would take from the caller's environment.
fn refuse_of_caller(context: &pinfold_engine::context::Context, run: &RunArgs) -> Result<(), Failure> {
    let what = run.what();
    let source = |said: &str| {
        let source = said.rsplit_once('=').map_or(said, |(_, source)| source);
        source.strip_prefix("env:").map(str::to_owned)
    };
    let refused = |what: String| Err(Failure::from(ServiceError::Caller(what)));
    if let Some(name) = what.bounds.key.iter().find_map(|key| source(key)) {
        return refused(format!("the key in `{}`", text::word(&name)));
    }
    if let Some(name) = what.env.iter().find(|pair| !pair.contains('=')) {
        return refused(format!("the variable `{}`", text::word(name)));
    }
    let Some(agent) = what.agent.as_deref().filter(|_| what.bounds.key.is_empty()) else { return Ok(()) };
    // Whose key is said by the project is the project's; else it would be the variable of the agent.
    let of_project = || -> Result<Vec<String>, Failure> {
        let project = args::Project {
            file: what.bounds.file.clone(),
            preset: what.bounds.preset.clone(),
            suite: None,
            agents: Vec::new(),
        };
        let project = super::project(context, &project)?;
        Ok(project.manifest.run.credentials.values().map(|key| key.text().to_owned()).collect())
    };
    let said =
        if what.bounds.image.is_some() || what.bounds.preset.is_some() { Vec::new() } else { of_project()? };
    if let Some(name) = said.iter().find_map(|key| source(key)) {
        return refused(format!("the key in `{}`", text::word(&name)));
    }
    let routes = Recipe::load(agent, Path::new(".")).map(|recipe| recipe.run.route).unwrap_or_default();
    match routes.first().and_then(|route| route.key.first()).filter(|_| said.is_empty()) {
        Some(name) => refused(format!("the key in `{name}`")),
        None => Ok(()),
    }
}
