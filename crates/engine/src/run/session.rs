//! Sandboxes that have a name: which one is meant, whose it is, and whether it is started or there already.
//!
//! **Guarantees**: a name that was made up here never leads into another project's session; a home that nobody can name goes
//! with its run. **Refuses** to start what runs already.

use std::path::Path;

use fs_err as fs;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Restart;

use super::error::RunError;
use super::request::Request;
use super::request::Stay;
use super::specify;
use super::terminal;
use super::workspace;
use crate::context::Context;

/// What becomes of a session that is opened.
#[derive(Debug)]
pub enum Session {
    /// It runs already, under this name.
    Running(String),
    /// It is to be started.
    New(Box<Spec>),
}

/// A sandbox for one run. Without a name its home goes with it.
pub fn foreground(context: &Context, request: &Request) -> Result<Spec, RunError> {
    let request = &request.seen_from_here(context, super::request::For::Start)?;
    if let Some(name) = &request.name
        && context.sandboxes().status(name).is_ok_and(Status::is_live)
    {
        return Err(SandboxError::InUse(name.clone()).into());
    }
    let mut spec = specify::prepare(context, request, |workspace| match (&request.name, request.stay) {
        (Some(name), _) => name.clone(),
        (None, Stay::Run) => format!("{}-{}", request.session_name(workspace), std::process::id()),
        (None, Stay::Project) => free(&request.project_name(workspace), |name| {
            context.sandboxes().status(name).is_ok_and(Status::is_live)
        }),
    })?;
    spec.home.keep = keep(request);
    Ok(spec)
}

/// Homes of one agent on one workspace, at most: who works there with more at once has the last one refused.
const HOMES: usize = 16;

/// The first of a project's names that nothing runs under: `NAME`, `NAME-2`, `NAME-3` …
fn free(name: &str, runs: impl Fn(&str) -> bool) -> String {
    let further = (2..=HOMES).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(further);
    // Of the last one the start itself says that it is in use.
    names.find(|name| !runs(name)).unwrap_or_else(|| format!("{name}-{HOMES}"))
}

/// Nobody can name what has no name of its own.
fn keep(request: &Request) -> Keep {
    if request.name.is_some() || request.stay == Stay::Project { Keep::Home } else { Keep::Run }
}

/// A lasting session: the one that is there, or a new one.
pub fn open(context: &Context, request: &Request) -> Result<Session, RunError> {
    let request = &request.seen_from_here(context, super::request::For::Start)?;
    let directory = fs::canonicalize(workspace::split(&request.workspace).0).unwrap_or_default();
    let name = match request.said_name() {
        Some(name) => name.to_owned(),
        None => request.session_name(&directory),
    };
    let sandboxes = context.sandboxes();
    let known = Known {
        workspace: sandboxes.spec(&name).ok().and_then(|spec| spec.labels.get("workspace").cloned()),
        running: sandboxes.status(&name).is_ok_and(Status::is_live),
    };
    known.belongs(&name, request.said_name().is_some(), &directory)?;
    if known.running {
        return Ok(Session::Running(name));
    }
    let mut spec = specify::prepare(context, request, |_| name)?;
    spec.home.keep = Keep::Home;
    if spec.seal.is_none() {
        terminal::in_tmux(&mut spec);
    }
    Ok(Session::New(Box::new(spec)))
}

/// A sandbox that goes on by itself, without anybody attached. A sealed one is started again when its program ends as it may.
pub fn detached(context: &Context, request: &Request) -> Result<Session, RunError> {
    let session = open(context, request)?;
    Ok(match session {
        Session::New(mut spec) if spec.seal.is_some() => {
            spec.restart = Restart::OnFailure;
            Session::New(spec)
        }
        session => session,
    })
}

/// What is known of a sandbox that has the name.
struct Known {
    workspace: Option<String>,
    running: bool,
}

impl Known {
    /// A name that was made up must not lead into another project; one that was said may, while that session runs.
    fn belongs(&self, name: &str, said: bool, directory: &Path) -> Result<(), RunError> {
        match &self.workspace {
            Some(workspace) if (!self.running || !said) && Path::new(workspace) != directory => {
                Err(RunError::OtherWorkspace { name: name.to_owned(), workspace: workspace.clone() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_its_workspace() {
        const HERE: &str = "/w/here";
        for (workspace, running, said, allowed) in [
            (None, false, false, true),
            (None, false, true, true),
            (Some(HERE), false, false, true),
            (Some(HERE), true, false, true),
            (Some(HERE), true, true, true),
            // Another project's: only by its own name, and only to attach to it.
            (Some("/w/there"), true, true, true),
            (Some("/w/there"), true, false, false),
            (Some("/w/there"), false, true, false),
            (Some("/w/there"), false, false, false),
        ] {
            let known = Known { workspace: workspace.map(str::to_owned), running };
            let answer = known.belongs("a@b", said, Path::new(HERE));
            assert_eq!(answer.is_ok(), allowed, "{workspace:?} running {running} said {said}");
            if let Err(error) = answer {
                assert_eq!(error.to_string(), "the session `a@b` belongs to the workspace `/w/there`");
            }
        }
    }

    #[test]
    fn a_home_without_a_name_goes_with_the_run() {
        assert_eq!(keep(&Request::default()), Keep::Run);
        assert_eq!(keep(&Request { name: Some("mine".into()), ..Request::default() }), Keep::Home);
        assert_eq!(keep(&Request { stay: Stay::Project, ..Request::default() }), Keep::Home);
    }

    #[test]
    fn a_project_has_a_name_for_each_that_runs_at_once() {
        let names = |running: &[&str]| free("a@b", |name| running.contains(&name));
        assert_eq!(names(&[]), "a@b");
        assert_eq!(names(&["a@b"]), "a@b-2");
        // The first that ended is taken again.
        assert_eq!(names(&["a@b-2"]), "a@b");
        assert_eq!(free("a@b", |_| true), "a@b-16");
    }
}
