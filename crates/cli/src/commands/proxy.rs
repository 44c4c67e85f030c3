//! `pinfold proxy`: the way out of many sandboxes, as a service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_engine::proxy;
use pinfold_engine::proxy::Checked;
use pinfold_engine::proxy::ListenAt;
use pinfold_engine::proxy::Service;
use pinfold_engine::proxy::Told;
use pinfold_sandbox::Endings;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

use super::Outcome;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;

/// Serve the way out of many sandboxes: one port with TLS, each sandbox by its token
///
/// What each may reach, and with whose keys, is what its policy in the configuration says. Certificate, identities, keys and
/// policies that change are in force within seconds; what cannot be used changes nothing. SIGTERM lets connections end
/// (`drain`). Decisions are lines of JSON on stdout unless `journal` names a file.
#[derive(Debug, clap::Args)]
pub(crate) struct ProxyArgs {
    /// The configuration, `proxy.toml`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Listen there instead of where the configuration says: ADDRESS:PORT, or unix:PATH for one sandbox
    #[arg(long, value_name = "WHERE")]
    listen: Option<ListenAt>,
    /// Read all files, say what they mean, and serve nothing
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &ProxyArgs, global: Global) -> Outcome {
    if args.check {
        let checked = proxy::check(&args.config, args.listen.as_ref())?;
        if global.json {
            render::json(&checked);
        } else {
            render::out(&page(&checked));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let endings = Endings::catch().map_err(std::io::Error::from)?;
    let service = Service::start(&args.config, args.listen.clone())?;
    service.run(|wait| ended(&endings, wait), |told| tell(told, global))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether this process is asked to end, now or within a time.
fn ended(endings: &Endings, wait: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    // Interrupted by the very signal, or over: what has come says it.
    let _ = rustix::event::poll(&mut [PollFd::new(endings, PollFlags::IN)], Some(&timeout));
    endings.next().is_some()
}

fn page(checked: &Checked) -> Page {
    let mut page = Page::default();
    let mut row = |what: &str, text: Shown| page.wrapped(shown!("{what:<12} "), text);
    row("listen", shown!("{}", checked.listen));
    let health = checked.health.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
    row("health", shown!("{health}"));
    let journal = if checked.journal == "-" { "standard output" } else { &checked.journal };
    row("journal", shown!("{journal}"));
    let proxy::CheckedConnections { all, per_sandbox, open_files } = &checked.connections;
    let room = if open_files < all {
        format!("; the limit of open files here leaves room for {open_files}")
    } else {
        String::new()
    };
    row("connections", shown!("{all}, of one sandbox {per_sandbox}{room}"));
    row("identities", shown!("{}, {} of them bound to an address", checked.identities, checked.bound));
    for policy in &checked.policies {
        let identities = counted(policy.identities, "identity", "identities");
        let rules = counted(policy.rules, "rule", "rules");
        row("policy", shown!("{}: {identities}, {rules}", policy.name));
        for proxy::CheckedRoute { name, upstream } in &policy.routes {
            row("", shown!("route {name} to {upstream}"));
        }
    }
    page
}

/// `1 rule`, `2 rules`.
fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn tell(told: &Told, global: Global) {
    if global.json {
        if let Ok(value) = serde_json::to_value(told) {
            render::event(&value);
        }
        return;
    }
    let line = match told {
        Told::NotReloaded { error, hint } => {
            let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            shown!("changed files cannot be used, so what was read before stays in force: {error}{hint}")
        }
        _ if global.quiet => return,
        Told::Serving { listen, health, identities, policies, connections } => {
            let health = health.map(|at| format!(", health at {at}")).unwrap_or_default();
            shown!(
                "serving at {listen}{health}: {}, {}, room for {}",
                counted(*identities, "identity", "identities"),
                counted(*policies, "policy", "policies"),
                counted(*connections, "connection", "connections")
            )
        }
        Told::Reloaded { identities, policies } => {
            let identities = counted(*identities, "identity", "identities");
            shown!("changed files are in force: {identities}, {}", counted(*policies, "policy", "policies"))
        }
        Told::NextStart { key } => shown!("`{key}` has changed, and counts from the next start"),
        Told::Draining { connections, seconds } => {
            shown!("taking no more connections; {connections} may go on for {seconds} s")
        }
        Told::Ended { cut: 1 } => shown!("ended; 1 connection was cut"),
        Told::Ended { cut } => shown!("ended; {cut} connections were cut"),
    };
    render::note(line);
}
