//! Why there are no objects, no secrets, or no proof.

use std::io;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::error::one_line;
use pinfold_base::text::word;
use pinfold_image::ImageError;
use pinfold_image::registry::RegistryError;
use pinfold_network::CredentialError;
use pinfold_sandbox::pod::TaskError;

use crate::build::BuildError;
use crate::proxy::ConfigError;
use crate::run::RunError;
use crate::ship::ShipError;

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The agent or its image.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Building it.
    #[error(transparent)]
    Build(#[from] Box<BuildError>),
    /// The registry.
    #[error(transparent)]
    Ship(#[from] ShipError),
    /// A name of an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What process 1 would not take.
    #[error("process 1 of the pod would refuse this")]
    Task(#[from] TaskError),
    /// What the proxy would not take.
    #[error("the proxy would refuse this")]
    Proxy(#[from] ConfigError),
    /// The image is here alone.
    #[error(
        "`{image}` is in no registry that it is named with, and a cluster takes images from registries alone"
    )]
    NotPushed {
        /// How it is called.
        image: String,
        /// Whether it is a project's, by its name.
        project: bool,
    },
    /// Nobody said which image the proxy has.
    #[error("it is not said which image the proxy has")]
    NoProxyImage,
    /// Nobody said where the proxy is.
    #[error("it is not said at which address of the cluster the proxy is")]
    NoAddress,
    /// Process 1 is not in the image.
    #[error("the image has no `{}`, which is process 1 of its pods", pinfold_kube::objects::PROGRAM)]
    NoProgram,
    /// There is no git in the image.
    #[error("the workspace is to be cloned, and the image has no `git`")]
    NoGit,
    /// An address that is no repository's.
    #[error("no workspace can be cloned from there: {0}")]
    Git(&'static str),
    /// A namespace that is the cluster's.
    #[error("the namespace `{0}` is the cluster's own, and what else is in it would be under these policies")]
    Namespace(String),
    /// An address that no Service has.
    #[error("`--proxy-address` is {address}, {what}, and no Service can have it")]
    Address {
        /// The address.
        address: std::net::IpAddr,
        /// Whose it is.
        what: &'static str,
    },
    /// Something cannot be called so.
    #[error(
        "`{text}` cannot be the name of {what}: it is lower-case letters, digits and `-`, in parts with dots between them"
    )]
    Subdomain {
        /// What.
        what: &'static str,
        /// What was said.
        text: Shown,
    },
    /// There are no tasks to read.
    #[error("the tasks cannot be read: {0}")]
    NoTasks(Shown),
    /// Something cannot be called so.
    #[error(
        "`{text}` cannot be the name of {what}: it is 1 to {most} lower-case letters, digits and `-`, and begins and ends with none of `-`"
    )]
    Name {
        /// What.
        what: &'static str,
        /// What was said.
        text: Shown,
        /// Characters at most.
        most: usize,
    },
    /// A value that nothing can be made of.
    #[error("{what} {problem}")]
    Value {
        /// What was said.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Tasks that cannot be given.
    #[error("line {line} of `{}`: {problem}", .file.display())]
    Tasks {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0 where it is none.
        line: usize,
        /// What is wrong.
        problem: Shown,
    },
    /// A directory with files of somebody else's.
    #[error("`{}` has `{entry}` in it, which is not of an export", .directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// What is in it.
        entry: Shown,
    },
    /// A directory that is no export.
    #[error("`{}` is no export: {problem}", .directory.display())]
    NoExport {
        /// The directory.
        directory: PathBuf,
        /// What is missing or wrong.
        problem: Shown,
    },
    /// A key that was not found.
    #[error("there is no key `{0}` here")]
    NoKey(String),
    /// A key that would go where no built-in recipe sends it.
    #[error("the key `{name}` would go to {places}, where no built-in recipe sends it")]
    Elsewhere {
        /// Its name.
        name: String,
        /// Where the export sends it.
        places: String,
    },
    /// A key that cannot be used.
    #[error("the key `{name}` cannot be used")]
    Key {
        /// Its name.
        name: String,
        /// Why.
        source: CredentialError,
    },
    /// No certificate can be made. The error says nothing of keys.
    #[error("no certificate can be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// kubectl cannot be run.
    #[error("`kubectl` cannot be run: {0}")]
    Kubectl(String),
    /// kubectl failed.
    #[error("`kubectl {command}` failed ({status}){}{said}", if .said.to_string().is_empty() { "" } else { ": " })]
    Failed {
        /// Its words; nothing secret is among them.
        command: String,
        /// How it ended.
        status: String,
        /// What it said last.
        said: Shown,
    },
    /// What kubectl told is not understood.
    #[error("what the cluster says of {what} is not understood: {problem}")]
    Answer {
        /// Of what.
        what: String,
        /// What is wrong.
        problem: Shown,
    },
    /// A file or directory.
    #[error("cannot write the objects")]
    Io(#[from] io::Error),
}

impl From<BuildError> for KubeError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

impl From<RegistryError> for KubeError {
    fn from(error: RegistryError) -> Self {
        Self::Ship(error.into())
    }
}

impl KubeError {
    /// A value that nothing can be made of.
    pub(super) fn value(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Value { what, problem: problem.into() }
    }

    /// A directory that is no export.
    pub(super) fn no_export(directory: &std::path::Path, problem: impl std::fmt::Display) -> Self {
        Self::NoExport { directory: directory.to_owned(), problem: Shown::of(&problem) }
    }

    /// What a cluster told that is not understood.
    pub(super) fn answer(what: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Answer { what: what.into(), problem: Shown::of(&problem) }
    }
}

impl Diagnose for KubeError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Run(error) => Diagnosis::Inner(error),
            Self::Build(error) => Diagnosis::Inner(&**error),
            Self::Ship(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Task(error) => Diagnosis::Inner(error),
            Self::Proxy(error) => Diagnosis::Inner(error),
            Self::Key { source, .. } => Diagnosis::Inner(source),
            Self::Io(error) => Diagnosis::Inner(error),
            Self::NotPushed { .. } | Self::NoProgram | Self::Foreign { .. } | Self::Elsewhere { .. } => {
                Diagnosis::Own(Kind::Refused)
            }
            Self::Certificate(_) | Self::Kubectl(_) | Self::Failed { .. } | Self::Answer { .. } => {
                Diagnosis::Own(Kind::System)
            }
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::Task(error) => vec![Shown::of(self), pinfold_base::shown!("  {}", one_line(error))],
            Self::Proxy(error) => std::iter::once(Shown::of(self)).chain(error.lines()).collect(),
            _ => match self.inner() {
                Some(inner) if inner.to_string() == self.to_string() => inner.lines(),
                _ => vec![Shown::of(self)],
            },
        }
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::NotPushed { image, project: false } => format!(
                "`pinfold push {} HOST/REPOSITORY:TAG` and name it so with `--image`, or say `--push HOST/REPOSITORY:TAG` here",
                word(image)
            ),
            Self::NotPushed { project: true, .. } => "`pinfold push HOST/REPOSITORY:TAG` and name that with `--image`, or say \
                                                      `--push HOST/REPOSITORY:TAG` here"
                .into(),
            Self::NoProxyImage => "`pinfold push --preset proxy HOST/REPOSITORY:TAG` makes one; name it with `--proxy-image`".into(),
            Self::NoAddress | Self::Address { .. } => "say `--proxy-address` with a free address of those that Services of the cluster have; \
                                `kubectl get service kubernetes -o jsonpath={.spec.clusterIP}` shows one of them"
                .into(),
            Self::NoProgram => "add to its manifest `[[build]]` with `path = \"/usr/local/libexec/pinfold/pinfold\"` and `pinfold = true`, \
                                or say `--program copy`, which takes it from the proxy's image"
                .into(),
            Self::NoGit => "add `git` to the image's packages, or say `--workspace empty`".into(),
            Self::Git(_) => "say `git:https://HOST/PATH`, of a public host and without a login; in a pool `empty` or `pvc:SIZE`, and let the agent clone".into(),
            Self::Name { what, .. } if what.ends_with("sandbox") => "say `--name`, such as `--name claude-code-1`".into(),
            Self::Namespace(_) => "say a namespace of its own, such as `--namespace agents`".into(),
            Self::NoTasks(_) => "name a file that has a task in each line".into(),
            Self::Subdomain { .. } => "`kubectl get secrets,runtimeclasses` shows what there is".into(),
            Self::Name { .. } => "a namespace is called like `agents`".into(),
            Self::Tasks { .. } => "a task is a line; in a file called `.jsonl` it is a line with a text or `{\"task\": \"…\"}` in JSON".into(),
            Self::Foreign { .. } => "name a directory of its own, or move the file away".into(),
            Self::NoExport { .. } => "name the directory that `pinfold kube … -o DIR` wrote".into(),
            Self::NoKey(name) => format!("set `{name}`, or say where it is: `--key {name}=file:PATH`"),
            Self::Elsewhere { name, .. } => {
                let name = word(name);
                format!("see `proxy.toml` in the export; if they may have this key, say `--key {name}=env:{name}`")
            }
            Self::Kubectl(_) => "install kubectl, and see that `kubectl get pods` reaches the cluster".into(),
            Self::Failed { .. } => "see that `kubectl` reaches the cluster and may do this, and that the objects are applied".into(),
            _ => return None,
        })
    }
}
