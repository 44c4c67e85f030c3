//! `pinfold run` and `pinfold open`: an agent, or any command, in a sandbox.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_engine::run;
use pinfold_engine::run::Reach;
use pinfold_engine::run::Request;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::Keep;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::diagnostic::Failure;

/// What is run, and what it may reach.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The agent: claude-code, codex-cli, gemini-cli, opencode, or one of your own recipes
    pub(crate) agent: Option<String>,
    /// A command to run instead of the agent, or further arguments for it (they begin with `-`)
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// The directory to work on, mounted at the same path
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) workspace: PathBuf,
    /// none, proxy (only hosts of the agent and of --allow) or host
    #[arg(long, value_enum)]
    pub(crate) network: Option<Net>,
    /// Let the proxy pass this host: `host`, `*.host` or `host:port` (may be repeated)
    #[arg(long, value_name = "HOST")]
    pub(crate) allow: Vec<String>,
    /// Mount SOURCE[:TARGET][:ro|rw], read-only unless said (may be repeated)
    #[arg(long, short = 'v', value_name = "MOUNT")]
    pub(crate) volume: Vec<String>,
    /// Pass this environment variable in (may be repeated)
    #[arg(long, short, value_name = "NAME")]
    pub(crate) env: Vec<String>,
    #[command(flatten)]
    pub(crate) reach: args::Reach,
}

/// How much network.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Net {
    None,
    Proxy,
    Host,
}

/// Run an agent, or a command after `--`, in a sandbox on the current directory
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    what: What,
    /// Name the sandbox and keep its home after the run
    #[arg(long)]
    name: Option<String>,
}

/// Start a lasting session, AGENT or AGENT@NAME, and attach to it; Ctrl-\ detaches
#[derive(Debug, clap::Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    what: What,
    /// Start it without attaching
    #[arg(long, short)]
    detach: bool,
}

fn spec(what: &What, name: Option<String>, keep: Keep, global: Global) -> Result<Spec, Failure> {
    let context = super::context(global, what.reach)?;
    let directory = PathBuf::from(".");
    let agent = what.agent.as_deref().map(|agent| agent.split_once('@').map_or(agent, |(agent, _)| agent));
    let project = run::project(&context, &directory, agent)?;
    let request = Request {
        agent: agent.map(str::to_owned),
        command: what.command.clone(),
        workspace: what.workspace.clone(),
        name,
        network: what.network.map(|net| match net {
            Net::None => Reach::None,
            Net::Proxy => Reach::Proxy,
            Net::Host => Reach::Host,
        }),
        allow: what.allow.clone(),
        mounts: what.volume.clone(),
        pass_env: what.env.clone(),
    };
    let mut spec = run::prepare(&context, &project, &request)?;
    spec.home.keep = keep;
    Ok(spec)
}

pub(crate) fn run(args: &RunArgs, global: Global) -> Outcome {
    let spec = spec(&args.what, args.name.clone(), Keep::Home, global)?;
    let context = super::context(global, args.what.reach)?;
    let sandboxes = run::sandboxes(&context);
    let both = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let stdio = if both {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
        Stdio::Terminal {
            rows: size.map_or(24, |size| size.ws_row),
            columns: size.map_or(80, |size| size.ws_col),
        }
    } else {
        Stdio::Inherit
    };
    let result = sandboxes.run(&spec, stdio);
    if args.name.is_none() {
        // Nobody can name it: its home goes with the run.
        let _ = sandboxes.remove(&spec.name);
    }
    Ok(code(result?))
}

fn code(exit: Exit) -> ExitCode {
    match exit {
        Exit::Code(code) => ExitCode::from(code),
        // As a shell says it.
        Exit::Signal(signal) => ExitCode::from(128_u8.saturating_add(signal)),
    }
}

pub(crate) fn open(args: &OpenArgs, global: Global) -> Outcome {
    let agent = args.what.agent.clone().unwrap_or_else(|| "run".into());
    let workspace = std::path::absolute(&args.what.workspace).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name = if agent.contains('@') {
        agent
    } else {
        let here: String = workspace
            .file_name()
            .map(|name| name.to_string_lossy().chars().map(fits).collect())
            .unwrap_or_default();
        format!("{agent}@{here}")
    };
    let mut spec = spec(&args.what, Some(name.clone()), Keep::Home, global)?;
    // tmux inside: several windows, and a scroll-back that outlives the terminal.
    let inside = ["tmux", "new-session", "-A", "-s", &name.replace(['.', ':'], "-")];
    spec.args = inside.into_iter().map(str::to_owned).chain(std::mem::take(&mut spec.args)).collect();
    let context = super::context(global, args.what.reach)?;
    let sandboxes = run::sandboxes(&context);
    sandboxes.open(&spec, 40, 120)?;
    if args.detach || !std::io::stdin().is_terminal() {
        if !global.quiet {
            render::note(&format!(
                "{name} runs; `pinfold attach {name}` connects, `pinfold stop {name}` ends it"
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    super::session::connect(&sandboxes, &name)
}
