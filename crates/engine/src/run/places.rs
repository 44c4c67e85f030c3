//! What sandboxes have of this machine: no key is taken from there, and no program that is to print one.
//!
//! **Guarantees**: the workspace, the project, the repository they belong to, each mount of this run, pinfold's own folders and
//! what every other sandbox can write to are among them; so is each directory with a manifest in it, since agents work there,
//! and for programs what sandboxes could write to that are gone ([`super::given`]).

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_network::Credential;
use pinfold_network::CredentialError;
use pinfold_network::Place;
use pinfold_network::Surroundings;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::MountSource;

use super::git;
use super::given;
use super::request::Request;
use super::request::View;
use super::workspace;
use crate::context::Context;
use crate::project::Project;
use crate::project::manifest;
use crate::project::manifest::Run;

/// Where the keys of a run are looked for; relative names count from `directory`.
pub(super) fn around(
    context: &Context,
    request: &Request,
    project: Option<&Project>,
    declared: &Run,
    directory: &Path,
) -> Surroundings {
    let environment = &context.environment;
    Surroundings {
        directory: fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned()),
        home: environment.home().map(Path::to_owned),
        path: environment.raw("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin")).to_owned(),
        places: places(context, request, project, declared),
    }
}

fn places(context: &Context, request: &Request, project: Option<&Project>, declared: &Run) -> Vec<Place> {
    let mut places = Vec::new();
    let home = context.environment.home();
    if let Ok(workspace) = fs::canonicalize(workspace::split(&request.workspace).0) {
        places.extend(git::beyond(&workspace).iter().map(|path| Place::writable(path, "the repository")));
        places.push(Place::writable(workspace, "the workspace"));
    }
    if let Some(project) = project {
        let directory = &project.manifest.directory;
        if !holds_home(directory, home) {
            places.push(Place::writable(directory, "the project"));
        }
    }
    for bind in declared.mounts.iter().map(|mount| &mount.value).chain(&request.mounts) {
        // Without a home nothing below it is mounted.
        let Some(source) = bind.source(home) else { continue };
        places.push(match bind.access {
            Access::ReadWrite => Place::writable(source, "the mount"),
            Access::ReadOnly => Place::readable(source, "the mount"),
        });
    }
    if request.view == View::Mirror {
        places.extend(home.map(|home| Place::writable(home, "the home that mirror mode hands over,")));
    }
    for folder in [context.home.data(), context.home.cache()] {
        places.push(Place::writable(folder, "pinfold's own folder"));
    }
    places.extend(given::all(context).iter().map(|path| Place::former(path, "what an earlier sandbox had,")));
    let sandboxes = context.sandboxes();
    for sandbox in sandboxes.list().unwrap_or_default() {
        let Ok(spec) = sandboxes.spec(&sandbox.name) else { continue };
        for mount in spec.mounts.iter().filter(|mount| mount.access == Access::ReadWrite) {
            if let MountSource::Host(path) = &mount.source {
                places.push(Place::writable(path, &format!("what the sandbox `{}` has,", sandbox.name)));
            }
        }
    }
    places
}

/// The home, and what is above it, is nobody's workspace.
fn holds_home(directory: &Path, home: Option<&Path>) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    home.is_some_and(|home| real(home).starts_with(real(directory)))
}

/// Refuses files of a key that lie in another project: an agent may work there at another time.
pub(super) fn outside_of_projects(context: &Context, credential: &Credential) -> Result<(), CredentialError> {
    let home = context.environment.home();
    for file in credential.files() {
        let above = file.path().ancestors().skip(1);
        let project = above
            .filter(|folder| !holds_home(folder, home))
            .find(|folder| folder.join(manifest::FILE_NAME).exists());
        if let Some(project) = project {
            return Err(CredentialError::Within {
                path: PathBuf::from(file.path()),
                place: format!("the project `{}`", project.display()),
                doing: "may write to",
            });
        }
    }
    Ok(())
}
