//! What of the host a sandbox sees: the workspace, what git needs beyond it, and what the user named.
//!
//! This is the place where another way of working on the workspace (a private clone, merged back) would be chosen.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Sockets;
use rustix::fs::Access as May;

use super::apart::Apart;
use super::error::RunError;
use super::git;
use super::given;
use super::named;
use super::request::Request;
use super::request::View;
use crate::context::Context;
use crate::project::manifest::run::Bind;

/// Directories of the system that are nobody's workspace.
const SYSTEM: [&str; 9] = ["/etc", "/usr", "/bin", "/dev", "/proc", "/sys", "/run", "/var", "/tmp"];

/// A directory to work on, and where it appears inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Workspace {
    /// Real path on the host.
    pub(super) source: PathBuf,
    /// Path inside.
    pub(super) target: PathBuf,
}

/// The two parts of `DIR[:TARGET]`.
pub(super) fn split(text: &str) -> (&str, Option<PathBuf>) {
    match text.split_once(":/") {
        Some((path, target)) => (path, Some(PathBuf::from(format!("/{target}")))),
        None => (text, None),
    }
}

/// The directory of `DIR[:TARGET]`, the current one where nothing is said.
pub fn workspace_directory(text: &str) -> &Path {
    match split(text).0 {
        "" => Path::new("."),
        path => Path::new(path),
    }
}

impl Workspace {
    /// That of a request. Where the whole home is shown, nothing of it can be kept apart.
    pub(super) fn of(context: &Context, request: &Request) -> Result<Self, RunError> {
        let workspace = Self::find(&request.workspace, context.environment.home(), request.view, &|| {
            given::all(context)
        })?;
        match Apart::of(context, request.view)?.reason(&workspace.source, Access::ReadWrite) {
            Some(reason) => Err(RunError::Workspace { path: workspace.source, reason }),
            None => Ok(workspace),
        }
    }

    /// Reads `DIR[:TARGET]`. Handing over the home directory, or what is above it, is refused; so is what cannot be
    /// written to.
    fn find(
        text: &str,
        home: Option<&Path>,
        view: View,
        given: &dyn Fn() -> Vec<PathBuf>,
    ) -> Result<Self, RunError> {
        let (path, target) = split(text);
        let real = named::real(Path::new(path), None, home, given)?;
        let refuse = |reason| Err(RunError::Workspace { path: real.clone(), reason });
        if !real.is_dir() {
            return refuse("it is no directory");
        }
        let home = home.filter(|_| view == View::Isolated);
        let home = home.map(|home| fs::canonicalize(home).unwrap_or_else(|_| home.to_owned()));
        if home.is_some_and(|home| home.starts_with(&real)) {
            return refuse("it holds the home directory, with its keys and configuration");
        }
        if real == Path::new("/") || SYSTEM.iter().any(|dir| real == Path::new(dir)) {
            return refuse("it is a directory of the system");
        }
        if rustix::fs::access(&real, May::WRITE_OK | May::READ_OK | May::EXEC_OK).is_err() {
            return refuse("you cannot write to it");
        }
        Ok(Self { target: target.unwrap_or_else(|| real.clone()), source: real })
    }

    /// Its mount, and those of the repository it belongs to.
    pub(super) fn mounts(&self) -> Vec<Mount> {
        let beyond = git::beyond(&self.source);
        std::iter::once(Mount::writable(&self.source, &self.target))
            .chain(beyond.into_iter().map(|path| Mount::writable(&path, &path)))
            .collect()
    }
}

/// What was named. A source that is a Unix socket is the user's word for that socket.
pub(super) fn mount(bind: &Bind) -> Mount {
    let sockets = if is_socket(&bind.source) { Sockets::Allow } else { Sockets::Refuse };
    Mount { access: bind.access, sockets, ..Mount::read_only(&bind.source, &bind.target) }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_only_unless_said() {
        let of = |text: &str| mount(&text.parse().unwrap());
        assert_eq!(of("/a"), Mount::read_only("/a", "/a"));
        assert_eq!(of("/a:/b:ro"), Mount::read_only("/a", "/b"));
        assert_eq!(of("/a:/b:rw"), Mount::writable("/a", "/b"));
    }

    #[test]
    fn a_socket_is_named_by_its_own_path_only() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let of = |path: &Path| mount(&path.to_str().unwrap().parse().unwrap()).sockets;
        assert_eq!((of(&socket), of(dir.path())), (Sockets::Allow, Sockets::Refuse));
    }

    #[test]
    fn the_home_and_the_system_are_no_workspaces() {
        let refused = |text: &str, home: Option<&Path>| {
            matches!(Workspace::find(text, home, View::Isolated, &Vec::new), Err(RunError::Workspace { .. }))
        };
        assert!(refused("/", None) && refused("/etc", None) && refused("/tmp", None));
        let dir = tempfile::tempdir().unwrap();
        let (path, home) = (dir.path().to_str().unwrap(), dir.path().join("me"));
        assert!(refused(path, Some(&home)));
        assert!(Workspace::find(path, Some(&home), View::Mirror, &Vec::new).is_ok());
        let found = Workspace::find(path, Some(Path::new("/home/me")), View::Isolated, &Vec::new).unwrap();
        assert_eq!(found.source, found.target);
        assert_eq!(
            Workspace::find(&format!("{path}:/workspace"), None, View::Isolated, &Vec::new).unwrap().target,
            Path::new("/workspace")
        );
    }
}
