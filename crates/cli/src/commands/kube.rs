//! `pinfold kube`: a sandbox for a cluster.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Duration;

use pinfold_base::shown;
use pinfold_base::text::word;
use pinfold_engine::context::Context;
use pinfold_engine::kube;
use pinfold_engine::kube::Export;
use pinfold_engine::kube::Exported;
use pinfold_engine::kube::Form;
use pinfold_engine::kube::FormWish;
use pinfold_engine::kube::Isolated;
use pinfold_engine::kube::Isolation;
use pinfold_engine::kube::KeyOf;
use pinfold_engine::kube::Nodes;
use pinfold_engine::kube::PROGRAM;
use pinfold_engine::kube::Part;
use pinfold_engine::kube::Program;
use pinfold_engine::kube::Users;
use pinfold_engine::kube::Wish;
use pinfold_engine::kube::WorkspaceWish;
use pinfold_engine::kube::check;
use pinfold_engine::kube::check::Asked;
use pinfold_engine::kube::check::Minor;
use pinfold_engine::project::manifest::run::Processors;
use pinfold_engine::project::manifest::run::Size;
use pinfold_engine::run::Key;
use pinfold_engine::run::Request;
use pinfold_engine::ship::find::Pull;
use pinfold_engine::ship::push::Destination;
use pinfold_image::place::remote;
use serde_json::json;

use super::Outcome;
use super::run::Bounds;
use super::run::parsed;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Write an agent's sandbox as Kubernetes objects: a Sandbox of agent-sandbox, a warm pool, a pod or a job, with the proxy that has
/// the keys
///
/// Equal images and arguments give equal files. No key of this machine is in them: `--secrets` makes what is secret, for a pipe into
/// kubectl. The image must be in a registry, and is named by its digest.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
#[command(group = clap::ArgGroup::new("form").multiple(false))]
// What is asked of an export or of other objects is decided there: an option that would change it belongs to `-o`.
#[command(group = clap::ArgGroup::new("exported").multiple(true).args(EXPORTED).conflicts_with_all(["check", "secrets", "verify", "claim"]))]
#[command(group = clap::ArgGroup::new("keys").args(["key"]).conflicts_with_all(["check", "verify", "claim"]))]
#[command(group = clap::ArgGroup::new("nodes").args(["gke"]).conflicts_with_all(["secrets", "verify", "claim"]))]
#[command(override_usage = "pinfold kube [OPTIONS] [AGENT[@NAME]] -o DIR [-- COMMAND…]\n       \
                            pinfold kube --secrets DIR [--key NAME=SOURCE]… | kubectl apply --server-side --field-manager=pinfold-NAME -f -\n       \
                            pinfold kube --check DIR…\n       \
                            pinfold kube --verify DIR\n       \
                            pinfold kube --claim NAME DIR")]
pub(crate) struct KubeArgs {
    /// The agent, and after `@` what its objects are called besides
    #[arg(add = complete::agents(), conflicts_with_all = ["check", "secrets", "verify", "claim"])]
    agent: Option<String>,
    /// Further arguments for the agent, or the command without one; in a job `{task}` stands for a task's text
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
    /// Write the objects into this directory, in the place of an earlier export, or all of them to stdout (`-`)
    #[arg(long, short, value_name = "DIR", group = "what")]
    output: Option<PathBuf>,
    /// Judge objects of these files and directories (`-`: stdin) without a cluster: by the schemas of Kubernetes and agent-sandbox, Pod
    /// Security restricted, agent-sandbox's example policy, and for keys, digests and times
    #[arg(long, value_name = "PATH", num_args = 1.., group = "what", help_heading = "Judging")]
    check: Vec<PathBuf>,
    /// With --check: this version of Kubernetes, or the first and last of several (1.34-1.37 unless said)
    #[arg(long, value_name = "VERSION[-VERSION]", requires = "check", conflicts_with_all = NO_CHECK, value_parser = versions, help_heading = "Judging")]
    kubernetes: Option<(Minor, Minor)>,
    /// With --check: ask this file's ValidatingAdmissionPolicy too (may be repeated)
    #[arg(long, value_name = "FILE", requires = "check", conflicts_with_all = NO_CHECK, help_heading = "Judging")]
    policy: Vec<PathBuf>,
    /// Write what is secret of an export to stdout: certificates, token, and keys as this machine has them
    #[arg(long, value_name = "DIR", group = "what", help_heading = "A cluster that is there")]
    secrets: Option<PathBuf>,
    /// With --secrets: only this part, and the others stay as they are (may be repeated)
    #[arg(
        long,
        value_enum,
        value_name = "PART",
        requires = "secrets",
        conflicts_with_all = ["output", "check", "verify", "claim"],
        help_heading = "A cluster that is there"
    )]
    only: Vec<PartArg>,
    /// Ask each pod of an export, by kubectl, whether the proxy is its only way out
    #[arg(long, value_name = "DIR", group = "what", help_heading = "A cluster that is there")]
    verify: Option<PathBuf>,
    /// Hand over its token, by kubectl, to the sandbox that a claim of an export's pool has
    #[arg(long, num_args = 2, value_names = ["NAME", "DIR"], group = "what", help_heading = "A cluster that is there")]
    claim: Option<Vec<PathBuf>>,
    /// A Sandbox of agent-sandbox (0.5.2 or later), unless another form is said
    #[arg(long, group = "form", help_heading = "Form")]
    sandbox: bool,
    /// A warm pool of this many sandboxes, with a quota and an example of a claim
    #[arg(long, value_name = "NUMBER", group = "form", help_heading = "Form")]
    pool: Option<u32>,
    /// A pod alone
    #[arg(long, group = "form", help_heading = "Form")]
    pod: bool,
    /// An indexed job with one pod for each task of this file: one a line, or in a `.jsonl` one text or {"task": "…"} a line
    #[arg(long, value_name = "FILE", group = "form", help_heading = "Form")]
    job: Option<PathBuf>,
    /// Pods of the pool's namespace at most; twice as many as wait unless said
    #[arg(long, value_name = "NUMBER", requires = "pool", conflicts_with_all = ["sandbox", "pod", "job"], help_heading = "Form")]
    max: Option<u32>,
    /// Tasks of the job at once
    #[arg(long, value_name = "NUMBER", requires = "job", conflicts_with_all = ["sandbox", "pod", "pool"], default_value = "10", help_heading = "Form")]
    parallelism: u32,
    /// What its objects are called; AGENT-NAME unless said
    #[arg(long, help_heading = "Form")]
    name: Option<String>,
    /// The namespace, for this export alone; that of its proxy has `-proxy` after it
    #[arg(long, value_name = "NAME", default_value = "pinfold", help_heading = "Form")]
    namespace: String,
    /// How long it may be there: 30m, 8h, 7d
    #[arg(long, value_name = "TIME", value_parser = super::queue::duration, default_value = "8h", help_heading = "Form")]
    lifetime: Duration,
    /// Until when a sandbox or claim may be there, such as 2026-12-31T18:00:00Z; --lifetime from now unless said
    #[arg(long, value_name = "TIME", conflicts_with_all = ["lifetime", "pod", "job"], help_heading = "Form")]
    until: Option<String>,
    /// Push the image to this place first, with all of its platforms
    #[arg(long, value_name = "HOST/REPOSITORY[:TAG]", help_heading = "Images")]
    push: Option<String>,
    /// The proxy's image in a registry: what `pinfold push --preset proxy` made
    #[arg(long, value_name = "REF", help_heading = "Images")]
    proxy_image: Option<String>,
    /// Where process 1 comes from: the image, a copy out of the proxy's image, or that mounted as a volume (Kubernetes 1.35)
    #[arg(long, value_enum, default_value = "image", help_heading = "Images")]
    program: ProgramArg,
    /// A Secret with the login for the registry, in both namespaces (may be repeated)
    #[arg(long, value_name = "NAME", help_heading = "Images")]
    pull_secret: Vec<String>,
    /// The proxy's address: a free one of those that the cluster's Services have
    #[arg(long, value_name = "IP", help_heading = "Proxy")]
    proxy_address: Option<IpAddr>,
    /// How many proxies
    #[arg(long, value_name = "NUMBER", default_value = "2", help_heading = "Proxy")]
    replicas: u32,
    /// A further address that pods must not reach, such as one of your own network (may be repeated)
    #[arg(long, value_name = "IP:PORT", help_heading = "Proxy")]
    probe: Vec<SocketAddr>,
    /// An address that may be open all the same, such as a node's that its pods always reach (may be repeated)
    #[arg(long, value_name = "IP:PORT", help_heading = "Proxy")]
    accept: Vec<SocketAddr>,
    /// What runs the pods, such as gvisor
    #[arg(long, value_name = "NAME", help_heading = "Isolation")]
    runtime_class: Option<String>,
    /// Give each pod users of its own (needs containerd 2.0 and Linux 6.3 on the nodes)
    #[arg(long, help_heading = "Isolation")]
    user_namespace: bool,
    /// For GKE Sandbox: its nodes, their taint, and the class gvisor
    #[arg(long, help_heading = "Isolation")]
    gke: bool,
    /// empty or empty:SIZE, pvc:SIZE (it stays), or git:URL (cloned through the proxy)
    #[arg(long, value_name = "CONTENT", value_parser = workspace, default_value = "empty", help_heading = "Files")]
    workspace: WorkspaceWish,
    /// Set NAME=VALUE, readable in the objects: for keys use --secrets (may be repeated)
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Memory at most, such as 4g
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    memory: Option<Size>,
    /// Processors at most, such as 1.5
    #[arg(long, value_name = "NUMBER", help_heading = "Limits")]
    cpus: Option<Processors>,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    locking: args::Locking,
}

/// What `--check` alone is asked with goes with none of these: where one is there, clap does not ask for `--check` itself.
const NO_CHECK: [&str; 4] = ["output", "secrets", "verify", "claim"];

/// What an export alone is asked with.
const EXPORTED: [&str; 33] = [
    "command",
    "sandbox",
    "pool",
    "pod",
    "job",
    "max",
    "parallelism",
    "name",
    "namespace",
    "lifetime",
    "until",
    "push",
    "proxy_image",
    "program",
    "pull_secret",
    "proxy_address",
    "replicas",
    "probe",
    "accept",
    "runtime_class",
    "user_namespace",
    "workspace",
    "env",
    "memory",
    "cpus",
    "file",
    "preset",
    "image",
    "platform",
    "network",
    "allow",
    "locked",
    "frozen",
];

/// A part of what is secret.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PartArg {
    /// The authority, and the proxy's certificate of it: pods read it when they start
    Certificate,
    /// The sandbox's token, and what the proxy knows of it
    Token,
    /// The providers' keys
    Keys,
}

/// Where process 1 comes from.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProgramArg {
    Image,
    Copy,
    Volume,
}

/// Reads one version, or the first and last of several.
fn versions(text: &str) -> Result<(Minor, Minor), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (Minor, Minor) = (first.parse()?, last.parse()?);
    if first > last {
        return Err(format!("{first} is later than {last}"));
    }
    Ok((first, last))
}

/// Reads what is in a workspace.
fn workspace(text: &str) -> Result<WorkspaceWish, String> {
    let size = |text: &str| Size::from_str(text).map(|Size(bytes)| bytes).map_err(|error| error.to_string());
    match text.split_once(':') {
        None if text == "empty" => Ok(WorkspaceWish::Empty(None)),
        Some(("empty", text)) => Ok(WorkspaceWish::Empty(Some(size(text)?))),
        Some(("pvc", text)) => Ok(WorkspaceWish::Claim(size(text)?)),
        Some(("git", url)) => Ok(WorkspaceWish::Git(url.to_owned())),
        _ => Err("it is `empty`, `empty:SIZE`, `pvc:SIZE` or `git:URL`".into()),
    }
}

impl KubeArgs {
    fn wish(&self) -> Result<Wish, Failure> {
        let request = Request {
            command: self.command.clone(),
            env: parsed("--env", &self.env)?,
            memory: self.memory,
            cpus: self.cpus,
            lock: self.locking.meant(),
            pull: Pull::Missing,
            ..self.bounds.request(self.agent.as_deref())?
        };
        let destination =
            self.push.as_deref().map(|text| -> Result<_, Failure> { Ok(Destination::of(remote(text)?)?) });
        Ok(Wish {
            request,
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            form: match (self.pool, self.pod, &self.job) {
                (Some(warm), ..) => FormWish::Pool { warm, most: self.max },
                (None, true, _) => FormWish::Pod,
                (None, false, Some(tasks)) => {
                    FormWish::Job { tasks: tasks.clone(), parallelism: self.parallelism }
                }
                (None, false, None) => FormWish::Sandbox,
            },
            push: destination.transpose()?,
            proxy_image: self.proxy_image.clone(),
            proxy_address: self.proxy_address,
            replicas: self.replicas,
            isolation: Isolation {
                runtime_class: self.runtime_class.clone(),
                users: if self.user_namespace { Users::Own } else { Users::Cluster },
                nodes: if self.gke { Nodes::GkeSandbox } else { Nodes::Any },
            },
            workspace: self.workspace.clone(),
            program: match self.program {
                ProgramArg::Image => Program::Image,
                ProgramArg::Copy => Program::Copy,
                ProgramArg::Volume => Program::Volume,
            },
            pull_secrets: self.pull_secret.clone(),
            lifetime: self.lifetime,
            until: self.until.clone(),
            probes: self.probe.clone(),
            accept: self.accept.clone(),
        })
    }
}

pub(crate) fn run(args: &KubeArgs, global: Global) -> Outcome {
    if !args.check.is_empty() {
        return check(args, global);
    }
    let context = super::context(global, args.locking.downloads(args.bounds.downloads()))?;
    if let Some(directory) = &args.secrets {
        return secrets(args, &context, directory);
    }
    if let Some(directory) = &args.verify {
        return verify(&context, directory, global);
    }
    if let Some([name, directory]) = args.claim.as_deref() {
        return claim(&context, name, directory, global);
    }
    let exported = kube::export(&context, &args.wish()?);
    context.tell_damage();
    let exported = exported?;
    let directory = args.output.as_deref().filter(|directory| *directory != Path::new("-"));
    match directory {
        Some(directory) => kube::write(directory, &exported.files)?,
        None => render::text(&kube::stream(&exported.files)),
    }
    told(&exported, &args.bounds.key, directory, global);
    Ok(ExitCode::SUCCESS)
}

/// Where the keys of the proxy are, as `--secrets` is told: what was said here or in the manifest, which is not read again there.
fn sources(exported: &Exported, said: &[String]) -> String {
    let mut words = String::new();
    for (variable, key) in &exported.keys {
        let source = match key {
            KeyOf::Request(index) => {
                let text = said.get(*index).map_or("", String::as_str);
                // As `Key` reads it: a provider has no colon.
                match text.split_once('=') {
                    Some((provider, source)) if !provider.contains(':') => source,
                    _ => text,
                }
            }
            KeyOf::Manifest(text) => text,
        };
        words.push_str(" --key ");
        words.push_str(word(format!("{variable}={source}")).as_ref());
    }
    words
}

/// What whoever pastes the commands should know.
fn notes(exported: &Exported, place: &str) -> [String; 2] {
    let Export { namespace, .. } = &exported.export;
    [
        format!(
            "--secrets makes a new authority, certificate and token each time: for this export later \
             `pinfold kube --secrets {place} --only token` or `--only keys`"
        ),
        format!(
            "the namespaces {namespace} and {namespace}-proxy are for this export alone: one with another name or agent \
             would replace this proxy's rules and keys; give it its own by `--namespace`"
        ),
    ]
}

/// What is to be done next, as commands to paste.
fn next(exported: &Exported, said: &[String], directory: Option<&Path>) -> Vec<String> {
    let export = &exported.export;
    let place = directory.map_or_else(|| "DIR".to_owned(), |directory| word(directory).to_string());
    let keys = sources(exported, said);
    let manager = format!("--field-manager=pinfold-{}", export.name);
    let (namespace, name) = (&export.namespace, &export.name);
    let attach =
        |pod: &str| format!("kubectl exec -it -n {namespace} {pod} -c agent -- {PROGRAM} pod attach");
    let mut next = vec![
        format!("kubectl apply -f {place}/namespaces.yaml"),
        format!("pinfold kube --secrets {place}{keys} | kubectl apply --server-side {manager} -f -"),
        format!("kubectl apply -k {place}"),
    ];
    match export.form {
        Form::Sandbox { .. } | Form::Pod => {
            next.push(format!("pinfold kube --verify {place}"));
            next.push(attach(name));
        }
        Form::Pool { .. } => {
            next.push(format!("kubectl create -f {place}/claim.example.yaml"));
            next.push(format!("pinfold kube --claim {name}-1 {place}"));
        }
        Form::Job { .. } => {
            next.push(format!("kubectl wait -n {namespace} --for=condition=Complete job/{name}"));
        }
    }
    next
}

fn told(exported: &Exported, said: &[String], directory: Option<&Path>, global: Global) {
    let export = &exported.export;
    let next = next(exported, said, directory);
    let Some(directory) = directory else {
        return;
    };
    let notes = notes(exported, word(directory).as_ref());
    if global.json {
        let files: Vec<&str> = exported.files.iter().map(|file| file.name).collect();
        render::json(&json!({
            "directory": directory, "files": files, "name": export.name, "namespace": export.namespace,
            "image": export.agent.image, "proxy": export.proxy.image, "keys": export.proxy.keys, "next": next,
            "notes": notes,
        }));
        return;
    }
    if global.quiet {
        return;
    }
    let mut page = Page::default();
    page.line(shown!("wrote {} files to `{}`", exported.files.len(), directory.display()));
    page.line(shown!("image {}", export.agent.image));
    page.line(shown!("proxy {}", export.proxy.image));
    page.blank();
    for command in next {
        page.line(shown!("  {command}"));
    }
    page.blank();
    for note in notes {
        page.line(shown!("{note}"));
    }
    render::out(&page);
}

fn secrets(args: &KubeArgs, context: &Context, directory: &Path) -> Outcome {
    let keys: Vec<Key> = parsed("--key", &args.bounds.key)?;
    let parts: BTreeSet<Part> = args
        .only
        .iter()
        .map(|part| match part {
            PartArg::Certificate => Part::Certificate,
            PartArg::Token => Part::Token,
            PartArg::Keys => Part::Keys,
        })
        .collect();
    // A terminal keeps what it shows, and so does whoever looks at it.
    if rustix::termios::isatty(rustix::stdio::stdout()) {
        return Err(Failure::usage(
            "keys and tokens would be shown on this terminal",
            "write them into a pipe: `pinfold kube --secrets DIR | kubectl apply --server-side --field-manager=pinfold-NAME -f -`",
        ));
    }
    let stream = kube::secrets(context, directory, &keys, &parts)?;
    stream.goes().for_each(render::note);
    render::text(stream.reveal());
    Ok(ExitCode::SUCCESS)
}

fn check(args: &KubeArgs, global: Global) -> Outcome {
    let (first, last) = args.kubernetes.unwrap_or((Minor::OLDEST, Minor::NEWEST));
    let report = check::check(&Asked {
        paths: args.check.clone(),
        versions: first..=last,
        nodes: if args.gke { check::Nodes::Gke } else { check::Nodes::Any },
        policies: args.policy.clone(),
    })?;
    if global.json {
        render::json(&report);
    } else {
        let mut page = Page::default();
        for finding in &report.findings {
            let check::Finding { file, line, object, path, rule, message } = finding;
            let place = if *line == 0 { shown!("{file}") } else { shown!("{file}:{line}") };
            let what =
                [object.as_str(), path].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
            // Of a file that could not be read there is no object.
            let what = if what.is_empty() { String::new() } else { format!("{}: ", what.join(" ")) };
            page.line(shown!("{place}: {what}{message} [{rule}]"));
        }
        if report.more > 0 {
            page.line(shown!("{} more", report.more));
        }
        if !global.quiet {
            let counted =
                |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
            let findings = counted(report.findings.len() + report.more, "finding");
            page.line(shown!("{}, {findings}", counted(report.objects, "object")));
        }
        render::out(&page);
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(context: &Context, directory: &Path, global: Global) -> Outcome {
    let proofs = kube::verify(context, directory)?;
    let failed = proofs.iter().filter(|proof| proof.isolated != Isolated::Proved).count();
    if global.json {
        render::json(&proofs);
    } else {
        let mut page = Page::default();
        for proof in &proofs {
            page.line(match &proof.isolated {
                Isolated::Proved => shown!("{}: no way out but the proxy", proof.pod),
                Isolated::Refuted(rows) => shown!("{}: fails in {}", proof.pod, rows.join(", ")),
                Isolated::Unknown => shown!("{}: not proved: {}", proof.pod, proof.said),
            });
        }
        if !global.quiet {
            page.line(shown!("{} pods, {failed} not proved", proofs.len()));
        }
        render::out(&page);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn claim(context: &Context, name: &Path, directory: &Path, global: Global) -> Outcome {
    let claimed = kube::claim(context, directory, &name.to_string_lossy())?;
    if global.json {
        render::json(&claimed);
    } else if !global.quiet {
        let (namespace, pod) = (&claimed.namespace, &claimed.pod);
        render::note(shown!(
            "{} has its token; the proxy takes it from {} alone",
            claimed.claim,
            claimed.address
        ));
        let mut page = Page::default();
        page.line(shown!("kubectl exec -it -n {namespace} {pod} -c agent -- {PROGRAM} pod attach"));
        render::out(&page);
    }
    Ok(ExitCode::SUCCESS)
}
