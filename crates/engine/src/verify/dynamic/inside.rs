//! Programs of an image, run one by one, and what they printed.

use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pinfold_base::Platform;
use pinfold_base::error::one_line;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_sandbox::Bounds;
use pinfold_sandbox::Ended;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Step;
use pinfold_sandbox::StepError;
use rustix::io::Errno;

use super::provider::Authority;
use super::provider::Provider;
use crate::context::Context;
use crate::run::alone;
use crate::run::alone::Alone;

/// Bytes that are kept of what a program prints.
const OUTPUT: usize = 1 << 20;
/// Letters of a line that is shown as evidence.
const LINE: usize = 160;
/// For what answers at once on an idle machine.
pub(in crate::verify) const SHORT: Duration = Duration::from_secs(60);
/// For an agent's turn.
pub(super) const LONG: Duration = Duration::from_secs(180);

/// What runs the programs of one image.
pub(in crate::verify) struct Inside {
    pub(super) alone: Alone,
    sandboxes: Sandboxes,
    runtime: Runtime,
    /// Ours alone; it goes with this. On the file system of the roots: what is mounted from here can be shown with other ids.
    folder: tempfile::TempDir,
    authority: OnceLock<Result<Arc<Authority>, String>>,
    count: AtomicU32,
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::verify) struct Said {
    /// How it ended.
    pub(in crate::verify) ended: Ended,
    /// Its standard output.
    pub(in crate::verify) output: String,
    /// Its standard error.
    pub(in crate::verify) errors: String,
}

/// Why a program did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::verify) enum Why {
    /// The image does not have it.
    Missing(String),
    /// The image has it, and it cannot be executed.
    Unusable(String),
    /// The sandbox did not start.
    Sandbox(String),
}

impl Why {
    pub(in crate::verify) fn text(self) -> String {
        match self {
            Self::Missing(program) => format!("the image has no `{program}`"),
            Self::Unusable(problem) | Self::Sandbox(problem) => problem,
        }
    }
}

impl Said {
    /// Whether it ended by itself with code 0.
    pub(in crate::verify) fn succeeded(&self) -> bool {
        self.ended == Ended::Exit(Exit::Code(0))
    }

    /// How it ended, in words.
    pub(in crate::verify) fn how(&self) -> String {
        match self.ended {
            Ended::Exit(exit) => format!("ended with {exit}"),
            Ended::Late => "did not end in time".into(),
            Ended::Enough => "was ended".into(),
        }
    }

    /// The first line that says something, on whichever stream.
    pub(super) fn line(&self) -> String {
        first_line(&self.output).or_else(|| first_line(&self.errors)).unwrap_or_else(|| "nothing".into())
    }

    /// The last line that says something, errors first.
    pub(super) fn last(&self) -> String {
        last_line(&self.errors).or_else(|| last_line(&self.output)).unwrap_or_else(|| "nothing".into())
    }
}

fn short(line: &str) -> String {
    let line = line.trim();
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

pub(super) fn first_line(text: &str) -> Option<String> {
    text.lines().map(short).find(|line| !line.is_empty())
}

fn last_line(text: &str) -> Option<String> {
    text.lines().rev().map(short).find(|line| !line.is_empty())
}

impl Inside {
    /// Unpacks an image; the error says why it cannot be run.
    pub(in crate::verify) fn new(
        context: &Context,
        source: &Admitted<ImageSource>,
        platform: Platform,
        runtime: Runtime,
    ) -> Result<Self, String> {
        let alone = alone::alone(context, source, platform).map_err(|error| one_line(&error))?;
        let alone = if runtime == Runtime::Builtin { alone } else { alone.at_home() };
        let folder = tempfile::Builder::new().prefix("verify-").tempdir_in(context.home.data());
        let folder = folder.map_err(|error| format!("no folder can be made: {error}"))?;
        Ok(Self {
            alone,
            sandboxes: context.sandboxes(),
            runtime,
            folder,
            authority: OnceLock::new(),
            count: AtomicU32::new(0),
        })
    }

    /// A sandbox of the image, without any network.
    pub(in crate::verify) fn spec(&self) -> &Spec {
        &self.alone.spec
    }

    /// A folder of the host that goes with this.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn number(&self) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// The authority of all stand-ins.
    pub(super) fn authority(&self) -> Result<Arc<Authority>, String> {
        self.authority.get_or_init(|| Authority::new().map(Arc::new)).clone()
    }

    /// A stand-in for providers, for one sandbox.
    pub(super) fn provider(&self) -> Result<Provider, String> {
        let socket = self.folder().join(format!("p{}", self.number()));
        Provider::start(&socket, self.authority()?)
            .map_err(|error| format!("no provider can be had: {error}"))
    }

    /// Runs `args` as `spec` says.
    pub(in crate::verify) fn run_as(&self, spec: &Spec, args: &[&str], time: Duration) -> Result<Said, Why> {
        self.follow(spec, args, time, None, &|| false)
    }

    /// The same with a stand-in at its ports, until it ends or `enough` holds.
    pub(super) fn follow(
        &self,
        spec: &Spec,
        args: &[&str],
        time: Duration,
        provider: Option<&Provider>,
        enough: &dyn Fn() -> bool,
    ) -> Result<Said, Why> {
        let mut spec = spec.clone();
        spec.name = format!("verify-{}-{}", std::process::id(), self.number());
        spec.args = args.iter().map(Into::into).collect();
        let bounds = Bounds { time, output: OUTPUT, egress: provider.map(Provider::socket), enough };
        let program = args.first().copied().unwrap_or_default();
        match self.sandboxes.capture(&spec, self.runtime, &bounds) {
            Ok(captured) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let said = Said {
                    ended: captured.ended,
                    output: text(&captured.output),
                    errors: text(&captured.errors),
                };
                // Process 1 of another runtime says by its code what it could not execute.
                match (self.runtime, said.ended) {
                    (Runtime::Oci(_), Ended::Exit(Exit::Code(127))) if said.output.is_empty() => {
                        Err(Why::Missing(program.to_owned()))
                    }
                    _ => Ok(said),
                }
            }
            Err(SandboxError::Start(StepError { step: Step::Execute, errno, .. })) => {
                let missing = [Errno::NOENT, Errno::NOTDIR].iter().any(|known| known.raw_os_error() == errno);
                if missing {
                    Err(Why::Missing(program.to_owned()))
                } else {
                    let why = std::io::Error::from_raw_os_error(errno);
                    Err(Why::Unusable(format!("`{program}` cannot be executed: {why}")))
                }
            }
            Err(error) => Err(Why::Sandbox(one_line(&error))),
        }
    }

    /// Runs the first of several commands that the image has, without any network.
    pub(super) fn first(&self, commands: &[&[&str]]) -> Result<Said, Why> {
        let mut why = Why::Missing(String::new());
        for command in commands {
            match self.run_as(&self.alone.spec, command, SHORT) {
                Err(Why::Missing(_)) => {
                    why = Why::Missing(commands[0].first().copied().unwrap_or_default().to_owned());
                }
                other => return other,
            }
        }
        Err(why)
    }

    /// The same for a script of a shell.
    pub(super) fn script(&self, script: &str) -> Result<Said, Why> {
        self.first(&[&["sh", "-c", script], &["/bin/busybox", "sh", "-c", script]])
    }
}
