//! `pinfold run` and `pinfold open`: an agent, or any command, in a sandbox.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::SystemTime;

use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_engine::project::manifest::run::AllowRule;
use pinfold_engine::project::manifest::run::Bind;
use pinfold_engine::project::manifest::run::FormError;
use pinfold_engine::project::manifest::run::NixStore;
use pinfold_engine::project::manifest::run::Processes;
use pinfold_engine::project::manifest::run::Processors;
use pinfold_engine::project::manifest::run::ProtectedName;
use pinfold_engine::project::manifest::run::Size;
use pinfold_engine::project::manifest::run::WorkspacePath;
use pinfold_engine::run;
use pinfold_engine::run::Basis;
use pinfold_engine::run::InContainerd;
use pinfold_engine::run::Reach;
use pinfold_engine::run::Request;
use pinfold_engine::run::Session;
use pinfold_engine::run::Stay;
use pinfold_engine::run::View;
use pinfold_engine::ship::find::Pull;
use pinfold_image::Location;
use pinfold_sandbox::Account;
use pinfold_sandbox::Exit;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::Step;
use pinfold_sandbox::StepError;
use pinfold_sandbox::terminal;
use rustix::io::Errno;
use rustix::termios::isatty;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::changed;
use crate::render::diagnostic::Failure;
use crate::render::refused;

/// Which image, and what it may reach.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Bounds {
    /// Use this manifest's image instead of that of `pinfold.toml` in the current directory or above
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["preset", "image"])]
    pub(crate) file: Option<std::path::PathBuf>,
    /// Use a built-in manifest's image: iteron, solo, sealed, sealed-debian, proxy or nix
    #[arg(long, value_name = "NAME", conflicts_with = "image", add = complete::presets())]
    pub(crate) preset: Option<String>,
    /// Use this image: NAME[:TAG] or NAME@DIGEST in the local store or, with its registry, there; oci:DIR[:TAG], oci-archive:FILE,
    /// docker-archive:FILE or docker://HOST/REPOSITORY[:TAG]
    #[arg(long, value_name = "REF", add = complete::images())]
    pub(crate) image: Option<OsString>,
    /// Which platform of the image; this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
    /// none, proxy (only hosts of the agent and of --allow) or host; proxy unless the project says otherwise
    #[arg(long, value_enum, help_heading = "Network and keys")]
    pub(crate) network: Option<Net>,
    /// Let the proxy pass this host: `host`, `*.host` or `host:port` (may be repeated)
    #[arg(long, value_name = "HOST", help_heading = "Network and keys", value_parser = args::hinted::<AllowRule>)]
    pub(crate) allow: Vec<AllowRule>,
    /// Where the key comes from, instead of the agent's own variable such as ANTHROPIC_API_KEY: env:NAME, file:PATH (mode 0600), json:PATH#/POINTER or command:PROGRAM; with PROVIDER= before
    /// it for agents that know several, or VARIABLE= for a key as that variable holds one. It stays outside (may be repeated)
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
    #[arg(add = complete::agents())]
    pub(crate) agent: Option<String>,
    /// Further arguments for the agent; without an agent, the command to run (the image's own when there is none)
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    #[command(flatten)]
    pub(crate) locking: args::Locking,
    #[command(flatten)]
    pub(crate) pulling: args::Pulling,
    /// The directory to work on, seen inside at the same path or at TARGET: the project's, or the current one, unless said
    #[arg(long, short, value_name = "DIR[:TARGET]", help_heading = "Files")]
    pub(crate) workspace: Option<String>,
    /// isolated (the workspace and what is named), or mirror (your whole home, for work that you trust)
    #[arg(long, value_enum, default_value = "isolated", help_heading = "Files")]
    pub(crate) mode: Seen,
    /// Mount SOURCE[:TARGET][:ro|rw], read-only unless said (may be repeated)
    #[arg(long, short = 'v', value_name = "MOUNT", help_heading = "Files")]
    pub(crate) volume: Vec<Bind>,
    /// Keep PATH of the workspace as it is too, beside what this machine runs by itself: hooks and configuration of git, of
    /// editors and of agents (may be repeated)
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    pub(crate) protect: Vec<WorkspacePath>,
    /// Let the sandbox change and make NAME, such as `.vscode` or `.git/hooks`, which this machine may run by itself (may be
    /// repeated)
    #[arg(long, value_name = "NAME", help_heading = "Files")]
    pub(crate) unprotect: Vec<ProtectedName>,
    /// Pass this environment variable in, or set NAME=VALUE; visible inside, so for keys use --key (may be repeated)
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Whether /nix can be written to: private (kept with the sandbox; so unless said, where the image has Nix), shared (by all
    /// sandboxes of the image) or read-only
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Files")]
    pub(crate) nix_store: Option<Store>,
    /// Memory of the whole sandbox, such as 4g
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) memory: Option<Size>,
    /// Processors, such as 1.5
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) cpus: Option<Processors>,
    /// Processes and threads
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    pub(crate) pids_limit: Option<Processes>,
    /// As root, go on with root's id outside where a file system cannot show files with another
    #[arg(long, help_heading = "Limits")]
    pub(crate) allow_root_id: bool,
    /// What runs the sandbox; runc and runsc must be installed, containerd must run
    #[arg(long, value_enum, default_value = "builtin")]
    runtime: RuntimeArg,
    /// With `--runtime containerd`, its socket: CONTAINER_RUNTIME_ENDPOINT, or /run/containerd/containerd.sock, unless said
    #[arg(long, value_name = "PATH")]
    cri_socket: Option<String>,
}

/// How much network.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Net {
    None,
    Proxy,
    Host,
}

/// Whether `/nix` can be written to.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Store {
    Private,
    Shared,
    ReadOnly,
}

/// What of the host's files is seen.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Seen {
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
    /// A pod of a Kubernetes node's runtime, asked through CRI
    Containerd,
}

impl RuntimeArg {
    pub(crate) fn meant(self) -> Runtime {
        match self {
            Self::Builtin => Runtime::Builtin,
            Self::Runc => Runtime::Oci(OciRuntime::Runc),
            Self::Runsc => Runtime::Oci(OciRuntime::Runsc),
            Self::Containerd => Runtime::Containerd,
        }
    }
}

/// Run an agent, or a command after `--`, in a sandbox on the current directory
///
/// The exit code is the program's own, 128 and the signal's number when a signal ended it; 125 when pinfold itself fails (an
/// `error:` on stderr tells why), 126 when the program cannot be executed, 127 when it is not there.
///
/// The program's input is pinfold's own: what comes through a pipe is taken to its end, whether the program reads it or not (of
/// a file, what it did not take is left). In a loop that reads its list from a pipe, add `</dev/null`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    what: What,
    /// Name the sandbox and keep its home after the run
    #[arg(long)]
    name: Option<String>,
    /// Keep the home for the next run of the agent on this workspace
    #[arg(long, conflicts_with = "name")]
    keep_home: bool,
    /// Start it and return: `pinfold attach` connects, `pinfold stop` ends it. A sealed one, which `pinfold send` talks to, is
    /// started again when its program ends as it may
    #[arg(long, short, conflicts_with = "keep_home")]
    detach: bool,
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

impl OpenArgs {
    /// What is run, and on what.
    pub(crate) fn what(&self) -> &What {
        &self.what
    }
}

impl RunArgs {
    /// What is run, and on what.
    pub(crate) fn what(&self) -> &What {
        &self.what
    }
}

/// The values of a flag that may hold secrets: clap would repeat what cannot be read.
pub(super) fn parsed<T: FromStr<Err = FormError>>(
    flag: &'static str,
    texts: &[String],
) -> Result<Vec<T>, FormError> {
    texts.iter().map(|text| text.parse().map_err(|error: FormError| error.of(flag))).collect()
}

impl Bounds {
    /// How the network may be used to get the image.
    pub(crate) fn downloads(&self) -> args::Downloads {
        args::Downloads { offline: self.offline }
    }

    /// The part of a request that it says.
    pub(crate) fn request(&self, agent: Option<&str>) -> Result<Request, FormError> {
        Ok(Request {
            basis: match (&self.file, &self.image, &self.preset) {
                (Some(file), _, _) => Basis::Manifest(file.clone()),
                (None, Some(image), _) => match (image.to_str(), Location::of_appimage(image)) {
                    (None, Some(place)) => Basis::At(place),
                    _ => Basis::Image(image.to_string_lossy().into_owned()),
                },
                (None, None, Some(preset)) => Basis::Preset(preset.clone()),
                (None, None, None) => Basis::Here,
            },
            agent: agent.map(str::to_owned),
            platform: self.platform,
            network: self.network.map(|net| match net {
                Net::None => Reach::None,
                Net::Proxy => Reach::Proxy,
                Net::Host => Reach::Host,
            }),
            allow: self.allow.clone(),
            // Whoever only asks what would be gets nothing for it.
            pull: Pull::Never,
            // Not read by clap, which repeats what it cannot read.
            keys: parsed("--key", &self.key)?,
            ..Request::default()
        })
    }
}

impl What {
    /// The directory that is worked on, where the home is not handed over with it.
    pub(crate) fn isolated_workspace(&self) -> Option<PathBuf> {
        let path = run::workspace_directory(self.workspace.as_deref().unwrap_or_default());
        matches!(self.mode, Seen::Isolated).then(|| path.to_owned())
    }

    /// How the network may be used to get the image.
    fn downloads(&self) -> args::Downloads {
        self.locking.downloads(self.bounds.downloads())
    }

    fn request(&self, name: Option<&String>) -> Result<Request, FormError> {
        Ok(Request {
            command: self.command.clone(),
            workspace: self.workspace.clone().unwrap_or_default(),
            name: name.cloned(),
            view: match self.mode {
                Seen::Isolated => View::Isolated,
                Seen::Mirror => View::Mirror,
            },
            mounts: self.volume.clone(),
            protect: self.protect.clone(),
            unprotect: self.unprotect.clone(),
            env: parsed("--env", &self.env)?,
            memory: self.memory,
            cpus: self.cpus,
            pids: self.pids_limit,
            nix_store: self.nix_store.map(|store| match store {
                Store::Private => NixStore::Private,
                Store::Shared => NixStore::Shared,
                Store::ReadOnly => NixStore::ReadOnly,
            }),
            containerd: (self.runtime.meant() == Runtime::Containerd)
                .then(|| InContainerd { socket: self.cri_socket.clone() }),
            allow_root_id: self.allow_root_id,
            lock: self.locking.meant(),
            pull: self.pulling.meant(),
            ..self.bounds.request(self.agent.as_deref())?
        })
    }
}

/// The exit code of `run` when it is pinfold that fails, as podman and docker have it.
pub(crate) const OWN: u8 = 125;

/// The exit code of `run` for a sandbox that did not come to an end.
fn own_code(error: &SandboxError) -> u8 {
    const MISSING: [Errno; 2] = [Errno::NOENT, Errno::NOTDIR];
    const NO_PROGRAM: [Errno; 6] =
        [Errno::ACCESS, Errno::PERM, Errno::NOEXEC, Errno::ISDIR, Errno::LOOP, Errno::TXTBSY];
    match error {
        SandboxError::Start(StepError { step: Step::Execute, errno, .. }) => {
            let is = |known: &[Errno]| known.iter().any(|known| known.raw_os_error() == *errno);
            if is(&MISSING) {
                127
            } else if is(&NO_PROGRAM) {
                126
            } else {
                OWN
            }
        }
        // The program ran.
        SandboxError::Unwritten { .. } => 1,
        _ => OWN,
    }
}

pub(crate) fn run(args: &RunArgs, global: Global) -> Outcome {
    let outcome = if args.detach { detached(args, global) } else { in_foreground(args, global) };
    outcome.map_err(|failure| failure.ending(OWN))
}

/// Starts it without anybody attached.
fn detached(args: &RunArgs, global: Global) -> Outcome {
    let request = args.what.request(args.name.as_ref())?;
    let context = super::context(global, args.what.downloads())?;
    let spec = match run::detached(&context, &request)? {
        Session::Running(name) => return Err(SandboxError::InUse(name).into()),
        Session::New(spec) => spec,
    };
    let sandboxes = context.sandboxes();
    let (rows, columns) = terminal::size(rustix::stdio::stdout());
    sandboxes.open(&spec, args.what.runtime.meant(), rows, columns)?;
    if spec.seal.is_some() {
        run::begun(&sandboxes, &spec.name)?;
    }
    if global.json {
        render::json(&serde_json::json!({ "name": spec.name, "status": "running" }));
    } else if !global.quiet {
        let name = text::word(&spec.name);
        render::note(match spec.seal {
            Some(_) => {
                shown!("{name} runs; `pinfold send {name}` gives it work, `pinfold stop {name}` ends it")
            }
            None => shown!("{name} runs; `pinfold attach {name}` connects, `pinfold stop {name}` ends it"),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn in_foreground(args: &RunArgs, global: Global) -> Outcome {
    let mut request = args.what.request(args.name.as_ref())?;
    request.stay = if args.keep_home { Stay::Project } else { Stay::Run };
    let context = super::context(global, args.what.downloads())?;
    let spec = run::foreground(&context, &request)?;
    let both = isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout());
    let stdio = if both {
        let (rows, columns) = terminal::size(rustix::stdio::stdout());
        Stdio::Terminal { rows, columns }
    } else {
        Stdio::Inherit
    };
    let sandboxes = context.sandboxes();
    let begun = SystemTime::now();
    let Account { ended, refused, started } =
        sandboxes.run_and_account(&spec, args.what.runtime.meant(), stdio);
    if started {
        // Whatever the error: it ran.
        changed::tell(&run::changed(&spec, begun, None), global);
        refused::tell(&refused, global);
        changed::tell_standing(&sandboxes, &spec.name, global);
    }
    match ended {
        Ok(exit) => Ok(code(exit)),
        Err(error) => {
            let code = own_code(&error);
            Err(Failure::from(error).ending(code))
        }
    }
}

pub(crate) fn open(args: &OpenArgs, global: Global) -> Outcome {
    let request = args.what.request(args.name.as_ref())?;
    let context = super::context(global, args.what.downloads())?;
    let sandboxes = context.sandboxes();
    let attach = !args.detach && isatty(rustix::stdio::stdin());
    let say = |line: Shown| {
        if !global.quiet {
            render::note(line);
        }
    };
    let name = match run::open(&context, &request)? {
        Session::Running(name) if !attach => return Err(SandboxError::InUse(name).into()),
        Session::Running(name) => {
            say(shown!("{name} runs already; Ctrl-\\ detaches"));
            name
        }
        Session::New(spec) => {
            let (rows, columns) = terminal::size(rustix::stdio::stdout());
            sandboxes.open(&spec, args.what.runtime.meant(), rows, columns)?;
            if !attach && global.json {
                render::json(&serde_json::json!({ "name": spec.name, "status": "running" }));
                return Ok(ExitCode::SUCCESS);
            }
            if !attach {
                let name = text::word(&spec.name);
                say(shown!("{name} runs; `pinfold attach {name}` connects, `pinfold stop {name}` ends it"));
                return Ok(ExitCode::SUCCESS);
            }
            spec.name
        }
    };
    super::session::connect(&sandboxes, &name, global)
}

/// As a shell says it.
pub(super) fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit.code())
}

#[cfg(test)]
mod tests;
