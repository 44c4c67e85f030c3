//! `pinfold run` and `pinfold open`: an agent, or any command, in a sandbox.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_engine::context::Context;
use pinfold_engine::project::Project;
use pinfold_engine::project::manifest::run::AllowRule;
use pinfold_engine::project::manifest::run::Bind;
use pinfold_engine::project::manifest::run::FormError;
use pinfold_engine::project::manifest::run::Processes;
use pinfold_engine::project::manifest::run::Processors;
use pinfold_engine::project::manifest::run::Size;
use pinfold_engine::run;
use pinfold_engine::run::Choice;
use pinfold_engine::run::Mode;
use pinfold_engine::run::Reach;
use pinfold_engine::run::Request;
use pinfold_sandbox::Exit;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::terminal;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::diagnostic::Failure;

/// Which image, and what it may reach.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Policy {
    /// Use this manifest's image instead of `pinfold.toml`'s in the current directory
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["preset", "image"])]
    pub(crate) file: Option<std::path::PathBuf>,
    /// Use a built-in manifest's image: iteron, solo or sealed
    #[arg(long, value_name = "NAME", conflicts_with = "image")]
    pub(crate) preset: Option<String>,
    /// Use this image: NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE
    #[arg(long, value_name = "REF")]
    pub(crate) image: Option<String>,
    /// Which platform of the image; this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// none, proxy (only hosts of the agent and of --allow) or host; proxy unless the project says otherwise
    #[arg(long, value_enum, help_heading = "Network and keys")]
    pub(crate) network: Option<Net>,
    /// Let the proxy pass this host: `host`, `*.host` or `host:port` (may be repeated)
    #[arg(long, value_name = "HOST", help_heading = "Network and keys")]
    pub(crate) allow: Vec<AllowRule>,
    /// Where the key comes from, instead of the agent's own variable such as ANTHROPIC_API_KEY: env:NAME, file:PATH (mode 0600), json:PATH#/POINTER or command:PROGRAM; with PROVIDER= before
    /// it for agents that know several. It stays outside (may be repeated)
    #[arg(long, value_name = "SOURCE", help_heading = "Network and keys")]
    pub(crate) key: Vec<String>,
    /// Download nothing for the image; what the sandbox may reach is --network
    #[arg(long)]
    pub(crate) offline: bool,
}

/// What is run, and on what.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The agent: claude-code, codex-cli, gemini-cli, opencode, or one of your own recipes
    pub(crate) agent: Option<String>,
    /// Further arguments for the agent; without an agent, the command to run (the image's own when there is none)
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) policy: Policy,
    /// The directory to work on, seen inside at the same path or at TARGET
    #[arg(long, short, value_name = "DIR[:TARGET]", default_value = ".", help_heading = "Files")]
    pub(crate) workspace: String,
    /// isolated (the workspace and what is named), or mirror (your whole home, for work that you trust)
    #[arg(long, value_enum, default_value = "isolated", help_heading = "Files")]
    pub(crate) mode: ModeArg,
    /// Mount SOURCE[:TARGET][:ro|rw], read-only unless said (may be repeated)
    #[arg(long, short = 'v', value_name = "MOUNT", help_heading = "Files")]
    pub(crate) volume: Vec<Bind>,
    /// Pass this environment variable in, or set NAME=VALUE; visible inside, so for keys use --key (may be repeated)
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Memory of the whole sandbox, such as 4g
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) memory: Option<Size>,
    /// Processors, such as 1.5
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) cpus: Option<Processors>,
    /// Processes and threads
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) pids_limit: Option<Processes>,
    /// What runs the sandbox; runc and runsc must be installed
    #[arg(long, value_enum, default_value = "builtin")]
    runtime: RuntimeArg,
}

/// How much network.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Net {
    None,
    Proxy,
    Host,
}

/// What of the host's files is seen.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ModeArg {
    Isolated,
    Mirror,
}

/// What runs the sandbox.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum RuntimeArg {
    /// pinfold itself
    Builtin,
    /// The reference OCI runtime
    Runc,
    /// gVisor
    Runsc,
}

impl RuntimeArg {
    fn meant(self) -> Runtime {
        match self {
            Self::Builtin => Runtime::Builtin,
            Self::Runc => Runtime::Oci(OciRuntime::Runc),
            Self::Runsc => Runtime::Oci(OciRuntime::Runsc),
        }
    }
}

/// Run an agent, or a command after `--`, in a sandbox on the current directory
///
/// The exit code is the program's own, 128 and the signal's number when a signal ended it. What pinfold itself refuses is told
/// by an `error:` on stderr.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    what: What,
    /// Name the sandbox and keep its home after the run
    #[arg(long)]
    name: Option<String>,
}

/// Start a lasting session, AGENT or AGENT@NAME, and attach to it; Ctrl-\ detaches
///
/// Where a session of that name runs already, it is attached to.
#[derive(Debug, clap::Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    what: What,
    /// Name the session; AGENT@NAME says the same for an agent
    #[arg(long)]
    name: Option<String>,
    /// Start it without attaching
    #[arg(long, short)]
    detach: bool,
}

impl Policy {
    /// How the network may be used to get the image.
    pub(crate) fn reach(&self) -> args::Reach {
        args::Reach { offline: self.offline }
    }

    /// The image that is meant. `agent` is that of preset `solo`.
    pub(crate) fn choice(&self, context: &Context, agent: Option<&str>) -> Result<Choice, Failure> {
        Ok(match (&self.file, &self.image) {
            (Some(file), _) => Choice::Project(Box::new(Project::from_file(file)?)),
            (None, Some(image)) => Choice::Image(super::image(context, image)?),
            (None, None) => Choice::Project(Box::new(run::project(
                context,
                Path::new("."),
                self.preset.as_deref(),
                agent,
            )?)),
        })
    }

    /// The part of a request that it says.
    pub(crate) fn request(&self, agent: Option<&str>) -> Result<Request, FormError> {
        Ok(Request {
            agent: agent.map(str::to_owned),
            platform: self.platform,
            network: self.network.map(|net| match net {
                Net::None => Reach::None,
                Net::Proxy => Reach::Proxy,
                Net::Host => Reach::Host,
            }),
            allow: self.allow.clone(),
            // Not read by clap, which repeats what it cannot read.
            keys: self.key.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
            ..Request::default()
        })
    }
}

impl What {
    /// The agent without the session's name.
    fn agent(&self) -> Option<&str> {
        self.agent.as_deref().map(|agent| agent.split_once('@').map_or(agent, |(agent, _)| agent))
    }

    fn spec(&self, context: &Context, name: Option<String>) -> Result<Spec, Failure> {
        let choice = self.policy.choice(context, self.agent())?;
        let request = Request {
            command: self.command.clone(),
            workspace: self.workspace.clone(),
            name,
            mode: match self.mode {
                ModeArg::Isolated => Mode::Isolated,
                ModeArg::Mirror => Mode::Mirror,
            },
            mounts: self.volume.clone(),
            env: self.env.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
            memory: self.memory,
            cpus: self.cpus,
            pids: self.pids_limit,
            ..self.policy.request(self.agent())?
        };
        Ok(run::prepare(context, &choice, &request)?)
    }
}

pub(crate) fn run(args: &RunArgs, global: Global) -> Outcome {
    let context = super::context(global, args.what.policy.reach())?;
    let sandboxes = run::sandboxes(&context);
    if let Some(name) = &args.name
        && matches!(sandboxes.status(name), Ok(Status::Running))
    {
        return Err(SandboxError::InUse(name.clone()).into());
    }
    let mut spec = args.what.spec(&context, args.name.clone())?;
    if args.name.is_none() {
        // Nobody can name it: its home goes with the run.
        spec.home.keep = Keep::Run;
    }
    let both = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let stdio = if both {
        let (rows, columns) = terminal::size(rustix::stdio::stdout());
        Stdio::Terminal { rows, columns }
    } else {
        Stdio::Inherit
    };
    let exit = sandboxes.run(&spec, args.what.runtime.meant(), stdio)?;
    Ok(code(exit))
}

/// As a shell says it.
pub(super) fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit.code())
}

pub(crate) fn open(args: &OpenArgs, global: Global) -> Outcome {
    let context = super::context(global, args.what.policy.reach())?;
    let sandboxes = run::sandboxes(&context);
    let place = args.what.workspace.split(":/").next().unwrap_or(".");
    let place = fs_err::canonicalize(place).unwrap_or_default();
    let said = args.name.is_some() || args.what.agent.as_ref().is_some_and(|agent| agent.contains('@'));
    let name = match (&args.name, &args.what.agent) {
        (Some(name), _) => name.clone(),
        (None, Some(agent)) if agent.contains('@') => agent.clone(),
        (None, agent) => {
            let agent = agent.as_deref().map_or("run", |agent| agent.trim_end_matches(".toml"));
            format!("{}@{}", run::short_name(Path::new(agent)), run::short_name(&place))
        }
    };
    let before = sandboxes.spec(&name).ok().and_then(|spec| spec.labels.get("workspace").cloned());
    let running = matches!(sandboxes.status(&name), Ok(Status::Running));
    // A name that was made up here must not lead into another project; one that was said may.
    if let Some(before) = before.filter(|before| (!running || !said) && Path::new(before) != place) {
        return Err(Failure::usage(
            format!("the session `{name}` belongs to the workspace `{before}`"),
            "choose another name, AGENT@NAME, or remove that session with `pinfold rm`",
        ));
    }
    let attach = !args.detach && std::io::stdin().is_terminal();
    if running {
        if !attach {
            return Err(SandboxError::InUse(name).into());
        }
        if !global.quiet {
            render::note(&format!("{name} runs already; Ctrl-\\ detaches"));
        }
        return super::session::connect(&sandboxes, &name);
    }
    let mut spec = args.what.spec(&context, Some(name.clone()))?;
    in_tmux(&mut spec, &name);
    let (rows, columns) = terminal::size(rustix::stdio::stdout());
    sandboxes.open(&spec, args.what.runtime.meant(), rows, columns)?;
    if attach {
        return super::session::connect(&sandboxes, &name);
    }
    if !global.quiet {
        render::note(&format!(
            "{name} runs; `pinfold attach {name}` connects, `pinfold stop {name}` ends it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the program into tmux, where the image has it: several windows, and a scroll-back that outlives the terminal. The
/// server is inside, and so is all that `run-shell` does.
fn in_tmux(spec: &mut Spec, name: &str) {
    if fs_err::symlink_metadata(spec.rootfs.join("usr/bin/tmux")).is_err() {
        return;
    }
    let session = name.replace(['.', ':'], "-");
    // An argument that ends in `;` ends a command of tmux's (tmux(1), "Command parsing and execution").
    let program = std::mem::take(&mut spec.args).into_iter().map(|arg| match arg.strip_suffix(';') {
        Some(start) => format!("{start}\\;"),
        None => arg,
    });
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    spec.args = words("tmux new-session -A -s");
    spec.args.push(session);
    spec.args.extend(program);
    // Detaching tmux's own client would end the session: that key says what to press instead.
    for key in ["d", "D"] {
        spec.args.extend(words(&format!("; bind-key {key} display-message")));
        spec.args.push("Ctrl-\\ detaches".into());
    }
}
