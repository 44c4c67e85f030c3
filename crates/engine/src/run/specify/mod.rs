//! From a request and what its image says to the sandbox's specification.
//!
//! [`ask`] resolves what can be known without building anything and stops where the user has not agreed; [`prepare`] goes on to
//! the image; [`Asked::specify`] puts everything together and starts nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Platform;
use pinfold_base::text::word;
use pinfold_cri::Client;
use pinfold_cri::SOCKET_VARIABLE;
use pinfold_cri::Socket;
use pinfold_network::Credential;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::HomeDirectory;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::MountSource;
use pinfold_sandbox::spec::Need;
use pinfold_sandbox::spec::Sockets;

use super::apart::Apart;
use super::choice::Choice;
use super::choice::ImageOf;
use super::error::RunError;
use super::given;
use super::image;
use super::image::Ready;
use super::named;
use super::nix;
use super::protect;
use super::protect::Protection;
use super::request::Basis;
use super::request::Request;
use super::request::View;
use super::sealed;
use super::settings;
use super::terminal;
use super::volumes;
use super::workspace;
use super::workspace::Workspace;
use crate::build::HOSTNAME;
use crate::context::Context;
use crate::context::Environment;
use crate::portable;
use crate::project::manifest::Run;
use crate::project::manifest::run::Processes;
use crate::project::manifest::run::Processors;
use crate::project::manifest::run::Size;
use crate::project::manifest::run::Variable;
use crate::project::recipe::Recipe;

/// Protected files with other names that are told one by one.
const HARD_LINKS_SHOWN: usize = 5;
/// Programs that settings name, likewise.
const CALLED_SHOWN: usize = 5;

/// What is asked for, resolved as far as it can be without building anything.
pub(super) struct Asked<'a> {
    pub(super) platform: Platform,
    pub(super) declared: Run,
    pub(super) agent: Option<Recipe>,
    /// Where its keys are, by agent or `AGENT/PROVIDER`.
    pub(super) keys: BTreeMap<String, Credential>,
    /// The agents of the image, and what they need.
    pub(super) recipes: Vec<Recipe>,
    pub(super) request: &'a Request,
}

/// Words of an image's configuration.
pub(super) fn os(words: Vec<String>) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
}

/// The caller's umask. umask(2) tells it only by setting another one, which every thread would have for that moment.
fn umask() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let octal = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(octal.trim(), 8).ok()
}

/// Platform of the image that a request means.
pub(super) fn platform(request: &Request) -> Result<Platform, RunError> {
    request.platform.or_else(Platform::host).ok_or(RunError::Platform)
}

/// Resolves a request. Refuses what the project or image wants beyond the defaults until the user has agreed.
pub(super) fn ask<'a>(
    context: &Context,
    choice: Choice,
    request: &'a Request,
) -> Result<(Asked<'a>, ImageOf), RunError> {
    let platform = platform(request)?;
    let mut wanted = choice.wanted(context, request)?;
    let requested = wanted.requested(context, request)?;
    let chosen = wanted.agree(context)?;
    if chosen.wishes.declared.sealed {
        sealed::refuse_more(&chosen.wishes.declared, request)?;
    }
    let agent = match request.agent() {
        None => None,
        Some(name) if chosen.wishes.declared.sealed => Some(sealed::agent(&chosen.wishes.recipes, name)?),
        Some(name) => Some(chosen.agent(name)?),
    };
    let declared = chosen.wishes.declared.clone();
    let mut keys = chosen.wishes.keys.clone();
    keys.extend(requested);
    let recipes = chosen.wishes.recipes.clone();
    Ok((Asked { platform, declared, agent, keys, recipes, request }, chosen.image))
}

/// Builds, unpacks, and says what the sandbox is to be. `name` names it, given the workspace.
pub(super) fn prepare(
    context: &Context,
    request: &Request,
    name: impl FnOnce(&Path) -> String,
) -> Result<Spec, RunError> {
    let choice = Choice::find(context, request)?;
    let mut workspace = Workspace::of(context, request)?;
    let (asked, image) = ask(context, choice, request)?;
    if asked.declared.sealed {
        workspace = sealed::workspace(workspace, request);
    }
    // Before the build, which may take long.
    let variables = asked.variables(&context.environment)?;
    asked.probe_keys(context)?;
    let runtime = match &request.containerd {
        Some(asked) => {
            let environment = context.environment.filled(SOCKET_VARIABLE);
            let socket = Socket::find(asked.socket.as_deref(), environment).map_err(SandboxError::from)?;
            Client::connect(&socket).map_err(SandboxError::from)?;
            Some(socket)
        }
        None => None,
    };
    // Where the home inside is shows in the image; what is named lies on the host.
    asked.mounts(context, &workspace, Path::new("/home"))?;
    let ready = image::ready(context, &image, asked.platform, request.lock, runtime.as_ref())?;
    let spec = asked.specify(context, name(&workspace.source), &workspace, variables, ready)?;
    given::keep(context, &spec)?;
    Ok(spec)
}

impl Asked<'_> {
    /// The sandbox, with the home kept.
    fn specify(
        &self,
        context: &Context,
        name: String,
        workspace: &Workspace,
        variables: BTreeMap<String, String>,
        ready: Ready,
    ) -> Result<Spec, RunError> {
        let args = match self.args() {
            _ if self.declared.sealed => {
                sealed::arguments(ready.command, &name, self.agent.as_ref(), &self.request.command)
            }
            args if args.is_empty() => os(ready.command),
            args => args,
        };
        if args.is_empty() {
            return Err(RunError::Nothing);
        }
        let mut spec = Spec::new(name, &ready.root, args);
        spec.node = ready.node;
        spec.env = ready.env;
        spec.env.insert("HOME".into(), ready.home.display().to_string());
        if !self.declared.sealed {
            terminal::describe(&context.environment, &mut spec.env, &ready.root);
        }
        spec.env.extend(variables);
        spec.user = ready.user;
        spec.home = HomeDirectory { target: ready.home.clone(), keep: Keep::Home };
        let within =
            self.request.within.as_deref().and_then(|real| real.strip_prefix(&workspace.source).ok());
        spec.cwd = within.map_or_else(|| workspace.target.clone(), |within| workspace.target.join(within));
        spec.limits = self.limits();
        if spec.limits.memory.is_some() || spec.limits.cpu_milli.is_some() {
            // No limit of single processes stands for these.
            spec.policy.cgroup = Need::Required;
        }
        if self.request.allow_root_id {
            spec.policy.stand_in = Need::IfAvailable;
        }
        spec.hostname = HOSTNAME.into();
        spec.umask = umask().unwrap_or(spec.umask);
        spec.labels = BTreeMap::from([
            ("image".into(), ready.reference),
            ("workspace".into(), workspace.source.display().to_string()),
        ]);
        if let Some(agent) = &self.agent {
            spec.labels.insert("agent".into(), agent.name.clone());
        }
        // Mirror mode's home is the caller's own, and stays as it is.
        if self.request.view == View::Isolated {
            spec.home_edits = settings::added(&self.recipes, &ready.root, &ready.home);
        }
        let (of_workspace, named) = self.mounts(context, workspace, &ready.home)?;
        spec.mounts = of_workspace;
        if self.request.view == View::Mirror {
            mirror(context, &mut spec)?;
        }
        let protection = self.protect(context, workspace, &named)?;
        spec.protect = protection.paths();
        spec.hold = protection.held.into_iter().collect();
        spec.stood = protection.stood;
        spec.mounts.extend(named);
        let volumes = volumes::of(&ready.volumes, &spec);
        volumes.notes.iter().for_each(|note| context.reporter.note(note));
        spec.mounts.extend(volumes.mounts);
        let said = self.request.nix_store.or(self.declared.nix_store);
        spec.mounts.extend(nix::store(said, &spec, context.home.data())?);
        self.network(context, &mut spec)?;
        if self.declared.sealed {
            sealed::seal(context, &mut spec)?;
        }
        Ok(spec)
    }

    /// The workspace's mounts, and those that were named. None has what is kept apart.
    /// `inside` is the sandbox's home.
    fn mounts(
        &self,
        context: &Context,
        workspace: &Workspace,
        inside: &Path,
    ) -> Result<(Vec<Mount>, Vec<Mount>), RunError> {
        let apart = Apart::of(context, self.request.view)?;
        let declared = self.declared.mounts.iter().map(|mount| &mount.value);
        let home = context.environment.home();
        let given = || given::all(context);
        let named = declared.chain(&self.request.mounts).map(|bind| {
            let in_no_home = || RunError::NoHomeFor(bind.source.clone());
            let bind = bind.whole(home, inside).ok_or_else(in_no_home)?;
            let real = named::real(&bind.source, Some(&workspace.source), home, &given)?;
            apart.judge(Mount { source: MountSource::Host(real), ..workspace::mount(&bind) })
        });
        let of_workspace =
            if self.declared.sealed { vec![sealed::mount(workspace)] } else { workspace.mounts() };
        Ok((
            of_workspace.into_iter().map(|mount| apart.judge(mount)).collect::<Result<_, _>>()?,
            named.collect::<Result<_, _>>()?,
        ))
    }

    /// What stays as it is in all that may be written to, `named` mounts among it. Where the whole home may be, nothing does.
    fn protect(
        &self,
        context: &Context,
        workspace: &Workspace,
        named: &[Mount],
    ) -> Result<Protection, RunError> {
        if self.request.view == View::Mirror {
            return Ok(Protection::default());
        }
        let (declared, request) = (&self.declared, self.request);
        let carrier = match &request.basis {
            Basis::Image(image) => portable::in_workspace(image, &workspace.source),
            _ => Vec::new(),
        };
        let wanted = protect::Wanted {
            recipes: &self.recipes,
            more: declared.protect.iter().chain(&request.protect).chain(&carrier).collect(),
            declared: declared.unprotect.iter().collect(),
            said: request.unprotect.iter().collect(),
        };
        let environment = &context.environment;
        let source = |mount: &Mount| match &mount.source {
            MountSource::Host(path) if mount.access == Access::ReadWrite && path.is_dir() => {
                Some(path.clone())
            }
            _ => None,
        };
        let further: Vec<PathBuf> = named.iter().filter_map(source).collect();
        let protection = Protection::of(&workspace.source, &further, environment, &wanted)?;
        if protection.without_repository {
            let place = workspace.source.display();
            context.reporter.note(&format!(
                "`{place}` is no git repository, and none can be made there from inside; `--unprotect .git` lets an agent do it"
            ));
        }
        for (other, path) in protection.second_names.iter().take(HARD_LINKS_SHOWN) {
            let (other, path) = (other.display(), path.display());
            context.reporter.note(&format!(
                "`{other}` is another name (a hard link) of `{path}`, which is protected, and stays as it is too"
            ));
        }
        if let Some(more) =
            protection.second_names.len().checked_sub(HARD_LINKS_SHOWN).filter(|more| *more > 0)
        {
            context.reporter.note(&format!("{more} more names of protected files stay as they are"));
        }
        for (path, by) in protection.called.iter().take(CALLED_SHOWN) {
            let name = path.strip_prefix(&workspace.source).unwrap_or(path);
            context.reporter.note(&format!(
                "`{}` is run by who reads `{by}`, and stays as it is; `--unprotect {}` lets an agent change it",
                name.display(),
                word(name)
            ));
        }
        if let Some(more) = protection.called.len().checked_sub(CALLED_SHOWN).filter(|more| *more > 0) {
            context.reporter.note(&format!("{more} more programs that settings name stay as they are"));
        }
        for (path, reason) in &protection.incomplete {
            let path = path.display();
            context.reporter.note(&format!(
                "`{path}` was not looked at to its end for what this machine runs by itself, because {reason}: what comes after may be unprotected"
            ));
        }
        for (name, by) in &protection.parts {
            context.reporter.warn(&format!(
                "`run.unprotect` names `{name}`, which stays protected as a part of `{by}`: write `{by}` there to let sandboxes change it"
            ));
        }
        Ok(protection)
    }

    /// The program and its arguments; empty when that is left to the image. An agent alone works without asking.
    pub(super) fn args(&self) -> Vec<OsString> {
        let command = &self.request.command;
        match &self.agent {
            Some(agent) => {
                let own = std::iter::once(&agent.command).chain(&agent.run.autonomous);
                own.map(OsString::from).chain(command.iter().cloned()).collect()
            }
            None => command.clone(),
        }
    }

    pub(super) fn limits(&self) -> spec::Limits {
        let (request, declared) = (self.request, &self.declared);
        let memory = request.memory.or(declared.memory.as_ref().map(|size| size.value));
        let cpus = request.cpus.or(declared.cpus.as_ref().map(|cpus| cpus.value));
        let usual = spec::Limits::default();
        spec::Limits {
            memory: memory.map(|Size(bytes)| bytes),
            cpu_milli: cpus.map(|Processors(milli)| milli),
            processes: request.pids.or(declared.pids).map(|Processes(count)| count).or(usual.processes),
            ..usual
        }
    }

    /// Those of the caller's that are passed in, and those that are set.
    fn variables(&self, environment: &Environment) -> Result<BTreeMap<String, String>, RunError> {
        let mut variables = BTreeMap::new();
        for Variable { name, value } in self.declared.pass_env.iter().chain(&self.request.env) {
            let value = value.as_deref().or_else(|| environment.text(name));
            let value = value.ok_or_else(|| RunError::Variable(name.clone()))?;
            variables.insert(name.clone(), value.to_owned());
        }
        Ok(variables)
    }
}

/// Shows the caller's whole home, and says so.
fn mirror(context: &Context, spec: &mut Spec) -> Result<(), RunError> {
    let home = context.environment.home().ok_or(RunError::NoHome)?;
    context.reporter.warn(&format!(
        "mirror mode: everything below `{}` can be read and changed inside, keys and login files among it, and Unix sockets \
         there can be connected to; only the network and the kernel are still guarded",
        home.display()
    ));
    spec.mounts.retain(|mount| !mount.target.starts_with(home));
    spec.mounts.push(Mount { sockets: Sockets::Allow, ..Mount::writable(home, home) });
    spec.env.insert("HOME".into(), home.display().to_string());
    if spec.home.target == home {
        // The image's user has the caller's own home path: the sandbox's home steps aside.
        spec.home.target = "/home/.pinfold".into();
    }
    spec.labels.insert("mode".into(), "mirror".into());
    Ok(())
}

#[cfg(test)]
mod tests;
