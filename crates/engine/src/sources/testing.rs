//! What tests of several sources share: a machine without a network configuration, a project of a text, trees as lines.

use pinfold_archive::Contents as _;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Home;
use pinfold_base::report::Silent;

use crate::build::resolve;
use crate::build::resolve::ResolveError;
use crate::consent;
use crate::consent::Agreed;
use crate::context::Context;
use crate::context::Network;
use crate::project::Project;
use crate::project::inputs::Inputs;
use crate::project::lock::Lock;
use crate::sources::Upgrade;

/// A folder for a project and a machine's stores.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A machine's surroundings; each name is a machine of its own.
    pub(crate) fn context(&self, name: &str, network: Network) -> Context {
        Context::at(Home::under(&self.dir.path().join(name)), network, Box::new(Silent)).unwrap()
    }

    pub(crate) fn online(&self) -> Context {
        self.context("home", Network::Online)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("project").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// The project of a manifest's text.
    pub(crate) fn project(&self, manifest: &str) -> Project {
        self.write("pinfold.toml", manifest);
        Project::discover(&self.folder()).unwrap()
    }

    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("project")
    }
}

/// A project that is only looked at.
pub(crate) fn project(manifest: &str) -> Project {
    let world = World::new();
    world.project(manifest)
}

/// The project as the next verb reads it, and the user's word for all that it asks for.
pub(crate) fn agreed(context: &Context, project: &Project) -> Agreed<Project> {
    let folder = project.inputs.folder().clone();
    let inputs = Inputs::open(folder, &project.manifest, &project.lock_file).unwrap();
    consent::accept(context, Project { inputs, ..project.clone() }).unwrap()
}

pub(crate) fn lock(context: &Context, project: &Project, upgrade: &Upgrade) -> Result<Lock, ResolveError> {
    resolve::lock(context, &agreed(context, project), upgrade).map(|outcome| outcome.lock)
}

/// Components of the layers of a lock.
pub(crate) fn layers(lock: &Lock) -> Vec<String> {
    lock.layers.iter().map(|layer| layer.components.join(" ")).collect()
}

/// What is below `dir` of a tree, a line each: `path mode owner what`.
pub(crate) fn lines(context: &Context, tree: &Tree, dir: &str) -> Vec<String> {
    let shown = |(path, node): (&pinfold_base::ImagePath, &pinfold_archive::Node)| {
        let what = match &node.kind {
            NodeKind::Directory => "directory".to_owned(),
            NodeKind::File(content) => {
                format!("{:?}", String::from_utf8_lossy(&context.decoded.read(content, 1 << 20).unwrap()))
            }
            NodeKind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            NodeKind::Hardlink(target) => format!("= {target}"),
        };
        format!("{path} {:04o} {} {what}", node.meta.mode, node.owner)
    };
    tree.iter().filter(|(path, _)| path.to_string().starts_with(dir)).map(shown).collect()
}

/// An error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    pinfold_base::error::one_line(error)
}
