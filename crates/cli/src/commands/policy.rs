//! `pinfold policy`: what a project asks for, and what a sandbox would be allowed, without running anything.

use std::process::ExitCode;

use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::shown;
use pinfold_engine::consent::Told;
use pinfold_engine::run;

use super::Outcome;
use super::run::Bounds;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Ask what a sandbox may reach, or agree to what a project asks for
#[derive(Debug, clap::Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Check(CheckArgs),
    Show(ShowArgs),
    Accept(AcceptArgs),
}

/// Say whether a URL could be reached: exit code 0 if it could, 1 if not
#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// `http://` or `https://` URL, `host:port`, or a host (port 443)
    url: String,
    /// The agent whose hosts count
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    #[command(flatten)]
    bounds: Bounds,
}

/// List what the project or image asks for beyond what every sandbox has
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The agent, as `run` is given it, or the agents, as `build` is
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<String>,
    #[command(flatten)]
    bounds: Bounds,
}

/// Agree to what the project or image asks for; kept outside of the project
#[derive(Debug, clap::Args)]
struct AcceptArgs {
    /// The agent, as `run` is given it, or the agents, as `build` is
    #[arg(long = "agent", value_name = "NAME")]
    agents: Vec<String>,
    /// Agree to what has this digest, as `policy show` and refusals print it, and to nothing else; needed where nobody can be asked on a terminal
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    #[command(flatten)]
    bounds: Bounds,
}

pub(crate) fn run(args: &PolicyArgs, global: Global) -> Outcome {
    match &args.verb {
        Verb::Check(args) => check(args, global),
        Verb::Show(args) => show(args, global),
        Verb::Accept(args) => accept(args, global),
    }
}

fn check(args: &CheckArgs, global: Global) -> Outcome {
    let context = super::context(global, args.bounds.downloads())?;
    let decision = run::check(&context, &args.bounds.request(args.agent.as_deref())?, &args.url)?;
    if global.json {
        render::json(&decision);
    } else {
        let word = if decision.allowed { "allowed" } else { "refused" };
        render::out(&Page::from(shown!("{word}: {}", decision.reason)));
    }
    Ok(ExitCode::from(u8::from(!decision.allowed)))
}

/// `run` is given one.
fn first(agents: &[String]) -> Option<&str> {
    agents.first().map(String::as_str)
}

fn show(args: &ShowArgs, global: Global) -> Outcome {
    let context = super::context(global, args.bounds.downloads())?;
    let reading = run::asks(&context, &args.bounds.request(first(&args.agents))?, &args.agents)?;
    let (told, digest) = (reading.told(&context), reading.digest());
    print(&told, &digest, global);
    if !global.quiet {
        render::note(if told.is_empty() {
            shown!("nothing beyond what every sandbox has")
        } else if told.iter().all(|told| told.agreed) {
            shown!("all of it is agreed to (`--digest {digest}`)")
        } else {
            shown!("`pinfold policy accept` with the same words and `--digest {digest}` agrees to it")
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn accept(args: &AcceptArgs, global: Global) -> Outcome {
    let context = super::context(global, args.bounds.downloads())?;
    let reading = run::asks(&context, &args.bounds.request(first(&args.agents))?, &args.agents)?;
    if args.digest.is_none() && !global.json && render::can_ask() && reading.is_open(&context) {
        let digest = reading.digest();
        print(&reading.told(&context), &digest, global);
        // What is kept is the reading that was printed, whatever lies there by now.
        if !render::asked("agree to all of this? [y/N] ") {
            render::note("nothing was agreed to");
            return Ok(ExitCode::from(Kind::Refused.exit_code()));
        }
        reading.accept(&context, Some(&digest))?;
        if !global.quiet {
            render::note("agreed");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let asks = reading.accept(&context, args.digest.as_ref())?;
    let agreed: Vec<Told> = asks.into_iter().map(|ask| Told { ask, agreed: true, before: None }).collect();
    print(&agreed, args.digest.as_ref().unwrap_or(&reading.digest()), global);
    if !global.quiet {
        render::note(if agreed.is_empty() { "nothing was asked for" } else { "agreed" });
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for each: whether it is agreed to, what it is, and what was agreed to before it changed.
fn print(asks: &[Told], digest: &Digest, global: Global) {
    if global.json {
        let shown = |Told { ask, agreed, before }: &Told| {
            serde_json::json!({
                "digest": ask.digest(),
                "text": ask.to_string(),
                "verbs": ask.verbs(),
                "agreed": agreed,
                "before": before,
                "ask": ask,
            })
        };
        let open = asks.iter().any(|told| !told.agreed);
        let asks: Vec<_> = asks.iter().map(shown).collect();
        render::json(&serde_json::json!({ "digest": digest, "open": open, "asks": asks }));
    } else {
        let mut page = Page::default();
        for told in asks {
            page.line(shown!("{} {told}", if told.agreed { "agreed:" } else { "open:  " }));
        }
        render::out(&page);
    }
}
