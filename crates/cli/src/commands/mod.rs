//! One file per verb: its arguments (the doc comments are the help), and a `run` that calls the engine and renders.

pub(crate) mod build;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod fetch;
pub(crate) mod gc;
pub(crate) mod images;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod kube;
pub(crate) mod load;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod pack;
pub(crate) mod pod;
pub(crate) mod policy;
pub(crate) mod proxy;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod recv;
pub(crate) mod report;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod sbom;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod tag;
pub(crate) mod unpack;
pub(crate) mod vendor;
pub(crate) mod verify;

use std::path::Path;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_engine::consent;
use pinfold_engine::consent::Agreed;
use pinfold_engine::context::Context;
use pinfold_engine::context::Environment;
use pinfold_engine::project::Project;
use pinfold_engine::project::manifest;
use pinfold_engine::ship::find::Finding;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;

use crate::args;
use crate::args::Args;
use crate::args::Command;
use crate::args::Global;
use crate::render::diagnostic::Failure;
use crate::render::progress;

/// What a verb gives back: an exit code, or an error to print.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// Runs the verb that was asked for.
pub(crate) fn run(args: Args) -> Outcome {
    let global = args.global;
    match args.command {
        Command::Init(args) => init::run(&args, global),
        Command::Lock(args) => lock::run(&args, global),
        Command::Fetch(args) => fetch::run(&args, global),
        Command::Vendor(args) => vendor::run(&args, global),
        Command::Build(args) => build::run(&args, global),
        Command::Images(args) => images::run(&args, global),
        Command::Tag(args) => tag::run(&args, global),
        Command::Rmi(args) => rmi::run(&args, global),
        Command::Push(args) => push::run(&args, global),
        Command::Pull(args) => pull::run(&args, global),
        Command::Copy(args) => copy::run(&args, global),
        Command::Load(args) => load::run(&args, global),
        Command::Login(args) => login::login(&args, global),
        Command::Logout(args) => login::logout(&args, global),
        Command::Inspect(args) => inspect::run(&args, global),
        Command::Diff(args) => diff::run(&args, global),
        Command::Explain(args) => explain::run(&args, global),
        Command::Report(args) => report::run(&args, global),
        Command::Verify(args) => verify::run(&args, global),
        Command::Sbom(args) => sbom::run(&args, global),
        Command::Unpack(args) => unpack::run(&args, global),
        Command::Pack(args) => pack::run(&args, global),
        Command::Run(args) => run::run(&args, global),
        Command::Open(args) => run::open(&args, global),
        Command::Ps(args) => session::ps(&args, global),
        Command::Attach(args) => session::attach(&args, global),
        Command::Logs(args) => session::logs(&args, global),
        Command::Stop(args) => session::stop(&args, global),
        Command::Rm(args) => session::rm(&args, global),
        Command::Send(args) => send::run(&args, global),
        Command::Recv(args) => recv::run(&args, global),
        Command::Queue(args) => queue::run(&args, global),
        Command::Service(args) => service::run(&args, global),
        Command::Kube(args) => kube::run(&args, global),
        Command::Proxy(args) => proxy::run(&args, global),
        Command::Key(args) => key::run(&args, global),
        Command::Policy(args) => policy::run(&args, global),
        Command::Gc(args) => gc::run(&args, global),
        Command::Doctor(args) => doctor::run(&args, global),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Pod(args) => pod::run(&args, global),
        Command::Man(args) => man::run(&args),
        Command::Portable(args) => crate::portable::run(&args),
    }
}

/// The engine's context for this invocation.
fn context(global: Global, downloads: args::Downloads) -> Result<Context, Failure> {
    let network = if downloads.offline {
        pinfold_engine::context::Network::Offline
    } else {
        pinfold_engine::context::Network::Online
    };
    let environment = std::env::vars_os().collect::<Environment>().with_account();
    Ok(Context::new(environment, network, progress::reporter(global.quiet, global.json))?)
}

/// The project that the arguments mean, in the current directory; refused until the user has agreed to what it asks for.
fn agreed(context: &Context, args: &args::Project) -> Result<Agreed<Project>, Failure> {
    Ok(consent::agree(context, project(context, args)?)?)
}

/// The project that the arguments mean, seen from the current directory. One that is found above is told.
fn project(context: &Context, args: &args::Project) -> Result<Project, Failure> {
    let (here, home) = (Path::new("."), context.environment.home());
    let project = match (&args.file, &args.preset) {
        (Some(file), _) => Project::from_file(file)?,
        (None, Some(preset)) => {
            let preset = (preset.as_str(), args.suite.as_deref());
            return Ok(Project::of_preset(context.home.data(), here, home, preset, &args.agents)?);
        }
        (None, None) => Project::found(here, home)?,
    };
    if let (None, Some(named)) = (&args.file, &project.file)
        && named.file != here.join(manifest::FILE_NAME)
    {
        context.reporter.note(&format!("using `{}`", named.file.display()));
    }
    Ok(if args.agents.is_empty() { project } else { project.with_agents(&args.agents)? })
}

/// The image that text means, let in by the user's rules.
fn image(context: &Context, text: &str, finding: Finding) -> Result<Admitted<ImageSource>, Failure> {
    Ok(pinfold_engine::ship::find::find(context, text, finding)?)
}

/// The platform of an image that is looked at: the one that is wanted, this machine's, else the first that it has.
fn one_platform(source: &ImageSource, wanted: Option<Platform>) -> Result<Platform, Failure> {
    if let Some(platform) = wanted {
        // The error for a platform that it does not have names those that it has.
        source.image(platform)?;
        return Ok(platform);
    }
    let platforms = source.platforms()?;
    let host = Platform::host().filter(|host| platforms.contains_key(host));
    host.or(platforms.into_keys().next()).ok_or_else(|| {
        Failure::usage(
            "the image has no platform that pinfold knows",
            "`pinfold inspect` says what it is made of",
        )
    })
}

/// The image that text means, to be looked at only.
fn looked_at(context: &Context, text: &str) -> Result<ImageSource, Failure> {
    Ok(pinfold_engine::ship::find::look(context, text)?)
}
