//! `pinfold pod`: inside of a pod. Process 1, a session with its program, and what stands around it.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_sandbox::pod;
use pinfold_sandbox::pod::PodReport;
use pinfold_sandbox::pod::PodVerdict;
use pinfold_sandbox::session::Detached;
use pinfold_sandbox::terminal::escape::Filter;
use pinfold_sandbox::terminal::escape::Showing;

use super::Outcome;
use crate::args::Global;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Be process 1 of a pod on Kubernetes, or look at one from inside
#[derive(Debug, clap::Args)]
pub(crate) struct PodArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Prove that nothing but the proxy is reached, start the program behind its walls, and end as it does
    ///
    /// Exit codes: the program's; 78 where it was not started, with the reason on stderr and in the pod's status; 126 where it cannot be
    /// executed; 143 where the pod was asked to end before.
    Run(FileArgs),
    /// Connect this terminal with the program's (`kubectl exec -it POD -- … pod attach`); Ctrl-\ detaches
    Attach,
    /// Measure from inside what stands around the program; fails where something does not stand as it should
    Verify(FileArgs),
    /// Take this sandbox's token from stdin, when it is claimed; `pinfold kube --claim` does so
    Token(FileArgs),
    /// Fill the directory TO with what is in FROM, and lay the files of each LAYER over it
    Seed(SeedArgs),
    /// Copy this program into a directory
    Place(PlaceArgs),
}

#[derive(Debug, clap::Args)]
struct SeedArgs {
    /// The image's home
    from: PathBuf,
    /// The volume that takes its place
    to: PathBuf,
    /// Mounted ConfigMaps
    #[arg(value_name = "LAYER")]
    layers: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// The volume
    directory: PathBuf,
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// What process 1 is to do
    #[arg(long, value_name = "FILE", default_value = pod::task::POD_FILE)]
    config: PathBuf,
}

/// Columns of a verdict.
const VERDICT: usize = 4;

impl PodArgs {
    /// Whether stdout is the program's.
    pub(crate) fn is_theirs(&self) -> bool {
        matches!(self.verb, Verb::Run(_) | Verb::Attach)
    }
}

pub(crate) fn run(args: &PodArgs, global: Global) -> Outcome {
    match &args.verb {
        Verb::Run(args) => match pod::run(&args.config, &std::collections::BTreeSet::new()) {
            Ok(code) => Ok(ExitCode::from(code)),
            Err(error) => {
                pod::tell_end(&error);
                Err(Failure::from(error).ending(pod::REFUSED))
            }
        },
        Verb::Attach => attach(),
        Verb::Token(args) => {
            pod::hand_over(&args.config, std::io::stdin().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Seed(args) => {
            pod::seed(&args.from, &args.to, &args.layers)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Place(args) => {
            pod::place(&args.directory)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Verify(args) => {
            let report = pod::verify(&args.config);
            if global.json {
                render::json(&report);
            } else {
                render::out(&page(&report, global.quiet));
            }
            Ok(ExitCode::from(u8::from(report.failed())))
        }
    }
}

fn attach() -> Outcome {
    let shown = Filter::new(Showing::Replay);
    Ok(match pod::attach(rustix::stdio::stdin(), rustix::stdio::stdout(), shown)? {
        Detached::ByUser => {
            render::note("detached; the program runs on");
            ExitCode::SUCCESS
        }
        Detached::Ended(exit) => super::run::code(exit),
        Detached::Lost => {
            render::note("the session was killed");
            ExitCode::from(1)
        }
    })
}

fn page(report: &PodReport, is_quiet: bool) -> Page {
    let mut page = Page::default();
    let shown: Vec<_> =
        report.rows.iter().filter(|row| !is_quiet || row.verdict == PodVerdict::Fail).collect();
    let width = shown.iter().map(|row| Shown::new(&row.name).columns()).max().unwrap_or_default();
    for row in shown {
        let name = Shown::new(&row.name);
        let heading = shown!("{:VERDICT$}  {:width$}  ", row.verdict.word(), name.as_str());
        page.wrapped(heading, Shown::new(&row.seen));
    }
    page
}
