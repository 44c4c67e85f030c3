//! What a build is for: an image with a name, or the one that its project runs.
//!
//! **Guarantees**: a name that was another project's is taken with a word to the user. What a project runs has no name, so that a
//! run never takes one: the store keeps it, and what was run before it, for the project. Two processes that build for one project
//! know of each other: the second waits, and says for whom.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;

use fs_err as fs;
use fs_err::File;
use pinfold_base::Digest;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::Reference;
use pinfold_image::model::Descriptor;
use pinfold_image::trust::Admitted;
use pinfold_image::trust::made;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::BuildError;
use crate::context::Context;
use crate::project::Project;

/// Where the locks of builds are, below the cache folder.
const TURNS: &str = "turns";

/// What the image is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// `NAME:latest`, by the manifest's name.
    Manifest,
    /// This name.
    As(Reference),
    /// It has no name: it is what the project runs.
    Unnamed,
}

/// The image that is wanted.
#[derive(Debug)]
pub(super) struct Goal {
    name: Option<Reference>,
    project: String,
    /// Where the project is, for people and as its key in the store.
    owner: String,
}

impl Goal {
    pub(super) fn of(project: &Project, naming: &Naming) -> Result<Self, ImageError> {
        let name = match naming {
            Naming::Manifest => Some(format!("{}:latest", project.manifest.name).parse()?),
            Naming::As(name) => Some(name.clone()),
            Naming::Unnamed => None,
        };
        Ok(Self { name, project: project.manifest.name.clone(), owner: owner(project) })
    }

    /// The name, as text.
    pub(super) fn name(&self) -> Option<String> {
        self.name.as_ref().map(ToString::to_string)
    }

    /// What an image is called that reached the goal.
    pub(super) fn reference(&self, index: &Digest) -> String {
        self.name().unwrap_or_else(|| format!("{}@{index}", self.project))
    }

    /// The image of this digest, where the goal was reached with it before.
    pub(super) fn reached(
        &self,
        store: &ImageStore,
        index: &Digest,
    ) -> Result<Option<Admitted<ImageSource>>, ImageError> {
        if let Some(name) = &self.name {
            let found = Some(store.resolve(name)?).filter(|found| found.digest == *index);
            return Ok(found.map(|found| self.source(store, found)));
        }
        let kept = store.kept(&self.owner)?;
        let Some(found) = kept.iter().find(|found| found.digest == *index) else { return Ok(None) };
        if kept.last() != Some(found) {
            store.keep(&self.owner, found, &self.old_name()?)?;
        }
        Ok(Some(self.source(store, found.clone())))
    }

    /// Gives the image its name, or keeps it for the project.
    pub(super) fn reach(
        &self,
        context: &Context,
        store: &ImageStore,
        index: &Descriptor,
    ) -> Result<Admitted<ImageSource>, ImageError> {
        match &self.name {
            Some(name) => {
                let before = store.tag(name, index, Some(&self.owner))?;
                if let Some(other) = before.filter(|other| *other != self.owner) {
                    context.reporter.warn(&format!(
                        "`{name}` was the image of `{other}`; now it is that of `{}` (`name` in the manifest or `--tag` gives another name)",
                        self.owner
                    ));
                }
            }
            None => store.keep(&self.owner, index, &self.old_name()?)?,
        }
        Ok(self.source(store, index.clone()))
    }

    fn source(&self, store: &ImageStore, index: Descriptor) -> Admitted<ImageSource> {
        made(ImageSource::new(&self.reference(&index.digest), index, Box::new(store.clone())))
    }

    /// What earlier versions called what a project runs.
    fn old_name(&self) -> Result<Reference, ImageError> {
        format!("{}:run", self.project).parse()
    }
}

/// Fails where a project would take a name by itself that the user's rules are about: what has it would then be run without the
/// signature that they demand. The user may say it.
pub(super) fn refuse_ruled(context: &Context, naming: &Naming, goal: &Goal) -> Result<(), BuildError> {
    let Some(name) =
        goal.name.as_ref().filter(|name| *naming == Naming::Manifest && name.registry().is_some())
    else {
        return Ok(());
    };
    match context.settings()?.trust.of(Some(name)) {
        None => Ok(()),
        Some(rule) => {
            Err(BuildError::Ruled { name: name.name().to_owned(), rule: rule.images().to_string() })
        }
    }
}

/// Waits until no other process builds for the project.
pub(super) fn turn(context: &Context, project: &Project) -> io::Result<Turn> {
    let folder = context.home.cache().join(TURNS);
    fs::create_dir_all(&folder)?;
    let path = folder.join(Digest::sha256(owner(project).as_bytes()).hex());
    let mut file = fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    let mut waited = false;
    loop {
        let how =
            if waited { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
        match rustix::fs::flock(file.file(), how) {
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                let who = text
                    .trim()
                    .parse::<u32>()
                    .map_or_else(|_| String::new(), |id| format!(" (process {id})"));
                let name = &project.manifest.name;
                context
                    .reporter
                    .note(&format!("another `pinfold`{who} builds `{name}` right now; waiting for it"));
                waited = true;
            }
            // Without locks the builds do the same work, and the names change in one step all the same.
            Ok(()) | Err(_) => break,
        }
    }
    file.set_len(0)?;
    io::Seek::rewind(&mut file)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Turn { waited, _file: file })
}

/// The right to build for a project, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    /// Whether another process built meanwhile.
    pub(super) waited: bool,
    _file: File,
}

/// Where a project is.
fn owner(project: &Project) -> String {
    let real = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let lock = real(
        project.lock_file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    )
    .unwrap_or_else(|_| project.lock_file.clone());
    match (&project.file, &project.preset) {
        (Some(named), _) => real(&named.file).unwrap_or_else(|_| named.file.clone()).display().to_string(),
        (None, Some(preset)) => format!("preset {} in {}", preset.name, lock.display()),
        (None, None) => lock.display().to_string(),
    }
}
