//! The command line, typed. The doc comments are the help texts.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;
use pinfold_base::Diagnose;
use pinfold_base::Platform;
use pinfold_engine::build::LockUse;
use pinfold_engine::ship::find::Finding;
use pinfold_engine::ship::find::Pull;

use crate::commands;
use crate::complete;
use crate::render::diagnostic::Stdout;

/// Turn a short manifest into a pinned, reproducible, two-architecture OCI image of coding agents, and run agents in it, isolated.
///
/// No daemon, no root, no emulation, and nothing from the image runs to build it.
#[derive(Debug, Parser)]
#[command(
    name = "pinfold",
    version,
    max_term_width = 100,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed check or machine trouble, 2 usage or manifest, 3 network, \
                        4 integrity, 5 refused by policy or kernel, 70 bug; `run`: the program's, 125 to 127 for its own.\n\
                        First steps: `pinfold doctor`, then `pinfold run claude-code` in a project."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every verb.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct Global {
    /// Print one machine-readable result on stdout and events on stderr
    #[arg(long, global = true, help_heading = "General")]
    pub(crate) json: bool,
    /// Print errors and results only
    #[arg(long, short, global = true, help_heading = "General")]
    pub(crate) quiet: bool,
    /// Say more about what is done; may be repeated
    #[arg(long, global = true, help_heading = "General", action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The verbs, in the order of the pipeline.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArgs),
    Lock(commands::lock::LockArgs),
    Fetch(commands::fetch::FetchArgs),
    Vendor(commands::vendor::VendorArgs),
    Build(commands::build::BuildArgs),
    Images(commands::images::ImagesArgs),
    Tag(commands::tag::TagArgs),
    Rmi(commands::rmi::RmiArgs),
    Push(commands::push::PushArgs),
    Pull(commands::pull::PullArgs),
    Copy(commands::copy::CopyArgs),
    Load(commands::load::LoadArgs),
    Login(commands::login::LoginArgs),
    Logout(commands::login::LogoutArgs),
    Inspect(commands::inspect::InspectArgs),
    Diff(commands::diff::DiffArgs),
    Explain(commands::explain::ExplainArgs),
    Report(commands::report::ReportArgs),
    Verify(commands::verify::VerifyArgs),
    Sbom(commands::sbom::SbomArgs),
    Unpack(commands::unpack::UnpackArgs),
    Pack(commands::pack::PackArgs),
    Run(commands::run::RunArgs),
    Open(commands::run::OpenArgs),
    Ps(commands::session::PsArgs),
    Attach(commands::session::AttachArgs),
    Logs(commands::session::LogsArgs),
    Stop(commands::session::StopArgs),
    Rm(commands::session::RmArgs),
    Send(commands::send::SendArgs),
    Recv(commands::recv::RecvArgs),
    Queue(commands::queue::QueueArgs),
    Service(commands::service::ServiceArgs),
    Kube(commands::kube::KubeArgs),
    Proxy(commands::proxy::ProxyArgs),
    Key(commands::key::KeyArgs),
    Policy(commands::policy::PolicyArgs),
    Gc(commands::gc::GcArgs),
    Doctor(commands::doctor::DoctorArgs),
    Schema(commands::schema::SchemaArgs),
    Completions(commands::completions::CompletionsArgs),
    #[command(hide = true)]
    Pod(commands::pod::PodArgs),
    #[command(hide = true)]
    Man(commands::man::ManArgs),
    #[command(hide = true)]
    Portable(crate::portable::PortableArgs),
}

/// Reads a value; where it cannot be read, what could be written instead is told with it.
pub(crate) fn hinted<T: FromStr<Err: Diagnose>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })
}

/// Reads the name of a directory of kept inputs; a mistyped one would leave the machine's mirrors in its place.
pub(crate) fn vendored(text: &str) -> Result<PathBuf, String> {
    match PathBuf::from(text) {
        folder if folder.is_dir() => Ok(folder),
        _ => Err("there is no such directory; `pinfold vendor DIR` makes one and fills it".into()),
    }
}

impl Command {
    /// Whose stdout is.
    pub(crate) fn stdout(&self) -> Stdout {
        match self {
            Self::Pod(args) if args.is_theirs() => Stdout::Theirs,
            Self::Run(_) | Self::Attach(_) | Self::Logs(_) | Self::Portable(_) => Stdout::Theirs,
            // Lines of its journal stand there.
            Self::Proxy(args) if !args.check => Stdout::Theirs,
            _ => Stdout::Ours,
        }
    }

    /// The directory that an agent is to work on, apart from all that is not named.
    pub(crate) fn isolated_workspace(&self) -> Option<PathBuf> {
        match self {
            Self::Run(args) => args.what().isolated_workspace(),
            Self::Open(args) => args.what().isolated_workspace(),
            _ => None,
        }
    }

    /// What is true when its work is interrupted; nothing where Ctrl-C is the way to end it.
    pub(crate) fn interrupted(&self) -> Option<&'static str> {
        Some(match self {
            Self::Lock(_)
            | Self::Fetch(_)
            | Self::Vendor(_)
            | Self::Build(_)
            | Self::Pull(_)
            | Self::Load(_)
            | Self::Run(_)
            | Self::Pack(_)
            | Self::Portable(_)
            | Self::Open(_) => {
                "interrupted: nothing half done counts, and what was fetched is kept for the next time\n"
            }
            Self::Push(_) | Self::Copy(_) => {
                "interrupted: nothing has a name that is not whole; what a registry or the store has whole is not sent again\n"
            }
            Self::Unpack(_) => "interrupted: what was unpacked is not whole\n",
            Self::Gc(_) | Self::Rm(_) | Self::Rmi(_) => "interrupted: say it again for what is left\n",
            _ => return None,
        })
    }
}

/// Which project a verb works on.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Project {
    /// Use this manifest instead of `pinfold.toml` in the current directory or above
    #[arg(long, short, value_name = "FILE", conflicts_with = "preset")]
    pub(crate) file: Option<PathBuf>,
    /// Use a built-in manifest: iteron, solo, sealed, sealed-debian, proxy or nix
    #[arg(long, value_name = "NAME", add = complete::presets())]
    pub(crate) preset: Option<String>,
    /// Build the preset on this suite of Debian instead of its own, such as trixie
    #[arg(long, value_name = "SUITE", requires = "preset")]
    pub(crate) suite: Option<String>,
    /// Put these agents in the image instead of the manifest's (may be repeated)
    #[arg(long = "agent", value_name = "NAME", add = complete::agents())]
    pub(crate) agents: Vec<String>,
}

/// Whether anything is downloaded.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub(crate) struct Downloads {
    /// Use no network: everything must have been fetched or vendored
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Whether a registry is asked for an image.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub(crate) struct Pulling {
    /// Ask the registry of an image that is named with it: when the store does not have it, always, or never
    #[arg(long, value_enum, value_name = "WHEN", default_value = "missing")]
    pull: When,
}

/// When a registry is asked.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum When {
    #[default]
    Missing,
    Always,
    Never,
}

impl Pulling {
    /// What the engine may do.
    pub(crate) fn meant(self) -> Pull {
        match self.pull {
            When::Missing => Pull::Missing,
            When::Always => Pull::Always,
            When::Never => Pull::Never,
        }
    }

    /// The same for an image of a platform.
    pub(crate) fn finding(self, platform: Option<Platform>) -> Finding {
        Finding { pull: self.meant(), platforms: platform.into() }
    }
}

/// What may be done about the lock.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub(crate) struct Locking {
    /// Fail where the lock is missing or the manifest has changed, instead of writing it
    #[arg(long)]
    pub(crate) locked: bool,
    /// The same, and use no network (--locked --offline)
    #[arg(long)]
    pub(crate) frozen: bool,
}

impl Locking {
    /// What the engine may do.
    pub(crate) fn meant(self) -> LockUse {
        if self.locked || self.frozen { LockUse::Locked } else { LockUse::Update }
    }

    /// How the network may be used.
    pub(crate) fn downloads(self, downloads: Downloads) -> Downloads {
        Downloads { offline: downloads.offline || self.frozen }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// clap's own look at the definition: names used twice, flags that exclude themselves, positions with gaps.
    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn general_options_stand_before_and_after_the_verb() {
        for words in [["pinfold", "--json", "ps"], ["pinfold", "ps", "--json"]] {
            assert!(Args::try_parse_from(words).unwrap().global.json, "{words:?}");
        }
        let more = Args::try_parse_from(["pinfold", "ps", "--verbose", "--verbose"]).unwrap();
        assert_eq!(more.global.verbose, 2);
    }

    /// What follows `--` is the program's, even where it looks like an option of ours.
    #[test]
    fn options_of_the_program_are_left_to_it() {
        let args = Args::try_parse_from(["pinfold", "run", "--", "tool", "--json", "-q"]).unwrap();
        assert!(!args.global.json && !args.global.quiet);
    }
}
