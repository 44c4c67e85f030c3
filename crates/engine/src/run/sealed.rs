//! Sealed sandboxes: a worker that has its queues, its key, its workspace and the sockets of its model, and nothing else.
//!
//! ```text
//!   DATA/sandboxes/NAME/queue/in    ──► /queue/in, read-only      what it is asked
//!                            /out   ──► /queue/out, no programs   what it answers
//!                            /key   ──► the supervisor, which hands it over at each start
//!   workspace                       ──► /workspace, no programs
//! ```
//!
//! **Guarantees**: the queues' folders and the key are there before the first start ([`worker::prepare`]), and stay as they are at
//! each further one. **Refuses** every other way out, and agents that are no models: what says `sealed` can want no more than that.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Life;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::plan::check_name;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::Exec;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Seal;

use super::choice;
use super::error::RunError;
use super::request::Request;
use super::request::View;
use super::workspace;
use super::workspace::Workspace;
use crate::context::Context;
use crate::project::manifest::Run;
use crate::project::manifest::run::Reach;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;
use crate::worker;

/// How long a worker is watched that was just started, and how often it is looked at.
const BEGUN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// Where the workspace is, unless said.
const WORKSPACE: &str = "/workspace";

/// The built-in model of this name, or one of the user's own.
pub(super) fn model(name: &str) -> Option<Recipe> {
    Recipe::load(name, Path::new(".")).ok().filter(|recipe| recipe.kind == RecipeKind::Model)
}

/// Refuses ways out beside the sockets of the model, and views that hand over more than the workspace.
pub(super) fn refuse_more(declared: &Run, request: &Request) -> Result<(), RunError> {
    let is_way = |reach: Option<Reach>| reach.is_some_and(|reach| reach != Reach::None);
    let refused = [
        (is_way(request.network), "--network"),
        (!request.allow.is_empty(), "--allow"),
        (request.view == View::Mirror, "--mode mirror"),
        (is_way(declared.network), "run.network"),
        (!declared.allow.is_empty(), "run.allow"),
    ];
    match refused.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => Err(RunError::Sealed(what)),
        None => Ok(()),
    }
}

/// The model that a request names for a sealed image.
pub(super) fn agent(recipes: &[Recipe], name: &str) -> Result<Recipe, RunError> {
    let found = choice::agent(recipes, name).filter(|recipe| recipe.kind == RecipeKind::Model);
    found.cloned().ok_or_else(|| RunError::NoModel(name.to_owned()))
}

/// What the worker is started with: the image's own command, its name, the model's flags but for those that were said, and what
/// was said. Without a model, and for another program, what was said alone.
pub(super) fn arguments(
    image: Vec<String>,
    name: &str,
    model: Option<&Recipe>,
    said: &[std::ffi::OsString],
) -> Vec<std::ffi::OsString> {
    let Some(model) = model else {
        return if said.is_empty() { super::specify::os(image) } else { said.to_vec() };
    };
    let is_said = |flag: &str| {
        said.iter().filter_map(|word| word.to_str()).any(|word| word.split('=').next() == Some(flag))
    };
    let mut words = image;
    words.extend(["--id".to_owned(), name.to_owned()]);
    words.extend(model.run.worker.chunks(2).filter(|pair| !is_said(&pair[0])).flatten().cloned());
    super::specify::os(words).into_iter().chain(said.iter().cloned()).collect()
}

/// The same workspace at the place that workers look for it.
pub(super) fn workspace(workspace: Workspace, request: &Request) -> Workspace {
    match workspace::split(&request.workspace) {
        (_, Some(_)) => workspace,
        (_, None) => Workspace { target: WORKSPACE.into(), ..workspace },
    }
}

/// Its mount: nothing of a repository beyond it, and no programs.
pub(super) fn mount(workspace: &Workspace) -> Mount {
    Mount { exec: Exec::Denied, ..Mount::writable(&workspace.source, &workspace.target) }
}

/// Gives the specification its queues and its key.
pub(super) fn seal(context: &Context, spec: &mut Spec) -> Result<(), RunError> {
    check_name(&spec.name).map_err(SandboxError::from)?;
    let folder = worker::prepare(&context.sandboxes().directory().join(&spec.name), &spec.name)?;
    let shown = |name: &str| (folder.join(name), Path::new("/queue").join(name));
    let ((source, target), (out, written)) = (shown("in"), shown("out"));
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::read_only(source, target) });
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::writable(out, written) });
    spec.seal = Some(Seal { key: folder.join("key") });
    Ok(())
}

/// Looks whether a worker that was started has begun: it says so itself (`out/alive`), or has not ended within a second.
pub fn begun(sandboxes: &Sandboxes, name: &str) -> Result<(), RunError> {
    let alive = sandboxes.directory().join(name).join("queue/out/alive");
    let (since, _) = sandboxes.span(name)?;
    let until = Instant::now() + BEGUN;
    while Instant::now() < until {
        let one = sandboxes.summary(name)?;
        let said = |last: Option<Life>| last.map(|last| last.said).unwrap_or_default();
        match (one.status, one.last) {
            (Status::Ended(exit), last) => {
                return Err(RunError::EndedAtOnce { name: name.to_owned(), exit, said: said(last) });
            }
            (Status::Restarting, Some(last)) => {
                let exit = last.exit.unwrap_or(Exit::Code(0));
                return Err(RunError::EndedAtOnce { name: name.to_owned(), exit, said: said(Some(last)) });
            }
            _ => {}
        }
        // Written to by the worker: only its time counts, and only that it is later.
        if fs::symlink_metadata(&alive).and_then(|data| data.modified()).is_ok_and(|time| time >= since) {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The routes of a sealed sandbox.
pub(super) fn network(routes: Vec<spec::CredentialRoute>) -> spec::Network {
    if routes.is_empty() {
        return spec::Network::None;
    }
    let without_ports = routes.into_iter().map(|mut route| {
        route.route.listen_port = 0;
        route
    });
    spec::Network::Routes(without_ports.collect())
}

#[cfg(test)]
mod tests {
    use pinfold_base::Diagnose as _;
    use pinfold_base::Kind;

    use super::*;

    #[test]
    fn the_worker_gets_the_models_flags_but_for_those_that_were_said() {
        let words = |model: Option<&Recipe>, said: &[&str]| {
            let said: Vec<_> = said.iter().map(Into::into).collect();
            arguments(vec!["/sandbox".into()], "w", model, &said)
        };
        let model = Recipe::built_in("claude-code-model").unwrap();
        let all = words(Some(&model), &[]);
        assert_eq!(all[..5], ["/sandbox", "--id", "w", "--provider", "anthropic"]);
        assert_eq!(all.iter().filter(|word| *word == "--model").count(), 1);
        for said in [&["--model", "other"][..], &["--model=other"]] {
            let all = words(Some(&model), said);
            assert!(all.ends_with(&said.iter().map(Into::into).collect::<Vec<std::ffi::OsString>>()));
            assert!(!all.iter().any(|word| word == "claude-sonnet-4-5"), "{all:?}");
        }
        assert_eq!(words(None, &[]), ["/sandbox"]);
        assert_eq!(words(None, &["/other", "-x"]), ["/other", "-x"]);
    }

    #[test]
    fn whatever_leads_out_is_refused() {
        let none = Request { network: Some(Reach::None), ..Request::default() };
        assert!(refuse_more(&Run::default(), &none).is_ok());
        let refused = |declared: Run, request: Request| match refuse_more(&declared, &request) {
            Err(RunError::Sealed(what)) => what,
            other => panic!("{other:?}"),
        };
        for (request, what) in [
            (Request { network: Some(Reach::Host), ..Request::default() }, "--network"),
            (Request { network: Some(Reach::Proxy), ..Request::default() }, "--network"),
            (Request { allow: vec!["a.example".parse().unwrap()], ..Request::default() }, "--allow"),
            (Request { view: View::Mirror, ..Request::default() }, "--mode mirror"),
        ] {
            assert_eq!(refused(Run::default(), request), what);
        }
        let declared = Run { network: Some(Reach::Host), ..Run::default() };
        assert_eq!(refused(declared, Request::default()), "run.network");
        let declared = Run { allow: vec!["a.example".parse().unwrap()], ..Run::default() };
        assert_eq!(refused(declared, Request::default()), "run.allow");
        for (what, hint) in [("run.allow", "take `run.allow` out"), ("--allow", "leave `--allow` out")] {
            let error = RunError::Sealed(what);
            assert_eq!(error.kind(), Kind::Refused);
            assert!(error.hint().unwrap().starts_with(hint), "{error}");
        }
    }

    #[test]
    fn a_worker_that_ended_at_once_is_told_with_what_it_said() {
        let error = |said: &str| RunError::EndedAtOnce {
            name: "w".into(),
            exit: Exit::Code(77),
            said: said.to_owned(),
        };
        assert_eq!(error("").to_string(), "`w` ended at once, with code 77");
        assert_eq!(error("no key\u{1b}[2J").to_string(), "`w` ended at once, with code 77: no key\\x1b[2J");
        assert_eq!(error("").hint().unwrap(), "`pinfold logs w` shows all that it said");
    }

    #[test]
    fn a_worker_without_a_key_is_told_where_one_is_looked_for() {
        let keys = ["A_KEY", "B_TOKEN"].map(str::to_owned).to_vec();
        let error = RunError::NoKey { title: "Claude".into(), keys };
        assert!(error.to_string().starts_with("there is no key for Claude"));
        assert_eq!(error.hint().unwrap(), "set A_KEY or B_TOKEN, or name its place with `--key file:PATH`");
    }

    #[test]
    fn models_are_no_agents() {
        let models: Vec<_> = Recipe::models().collect();
        assert_eq!(models, ["claude-code-model", "codex-cli-model", "gemini-cli-model"]);
        assert!(Recipe::agents().all(|agent| !models.contains(&agent)));
        let recipes = ["claude-code", "codex-cli-model"].map(|name| Recipe::built_in(name).unwrap());
        assert!(matches!(agent(&recipes, "claude-code"), Err(RunError::NoModel(_))));
        assert_eq!(agent(&recipes, "codex-cli-model").unwrap().name, "codex-cli-model");
        let hint = |error: RunError| error.hint().unwrap();
        assert!(hint(RunError::NoModel("claude-code".into())).starts_with("say `claude-code-model`"));
        let all = "name one of `claude-code-model`, `codex-cli-model`, `gemini-cli-model`, or";
        assert!(hint(RunError::NoModel("opencode".into())).starts_with(all));
        let elsewhere =
            RunError::NoAgent { image: "i".into(), agent: "codex-cli-model".into(), known: Vec::new() };
        assert!(hint(elsewhere).contains("--preset sealed"));
        for model in models {
            let recipe = Recipe::built_in(model).unwrap();
            let route = recipe.run.worker.chunks(2).find(|pair| pair[0] == "--route").unwrap();
            assert_eq!(recipe.route_names(), [&*route[1]], "the flag names the socket");
        }
    }
}
