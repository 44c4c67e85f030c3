//! Why a sandbox is not planned. Nothing has been started or written when one of these is returned.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::text::word;

use crate::probe::NamespaceProblem;

/// Why a sandbox is not planned.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a name.
    #[error(
        "`{0}` is not a name for a sandbox: expected 1 to 64 of `A-Za-z0-9@._-`, beginning with a letter or digit"
    )]
    Name(String),
    /// Not a host name.
    #[error("`{0}` is not a host name")]
    Hostname(String),
    /// Id 0.
    #[error("the user inside the sandbox cannot be root")]
    RootInside,
    /// Empty argument list.
    #[error("there is no program to run")]
    NoProgram,
    /// A NUL byte, or a variable name with `=`.
    #[error("the {0} list has an entry that the kernel cannot pass on")]
    Nul(&'static str),
    /// Relative, with `..`, or not UTF-8.
    #[error("the {what} `{}` is not an absolute path without `..`", path.display())]
    Path {
        /// Which path.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// A path the sandbox needs for itself.
    #[error("the {what} cannot be `{}`", path.display())]
    Reserved {
        /// Which path.
        what: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Two mounts on one target.
    #[error("`{}` is mounted twice", .0.display())]
    Twice(PathBuf),
    /// The image cannot be read.
    #[error("cannot read the root file system `{}`", path.display())]
    Rootfs {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image has a link where something is to be mounted.
    #[error("the image has a symbolic link at `{}`, where `{}` is to be mounted", link.display(), target.display())]
    LinkInImage {
        /// The target.
        target: PathBuf,
        /// The component that is a link.
        link: PathBuf,
    },
    /// The image has a file where a directory is needed, or the other way round.
    #[error("`{}` in the image cannot be mounted on: it is not of the same kind as what is mounted", .0.display())]
    TargetKind(PathBuf),
    /// A mount's source cannot be read.
    #[error("cannot mount `{}`", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A mount's source leads through a link that a sandbox may have made.
    #[error(
        "`{}` leads through the link `{}`, which lies in a directory that the sandbox may write to",
        path.display(),
        link.display()
    )]
    LinkInWorkspace {
        /// The source.
        path: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// A mount's source is not what was judged.
    #[error("`{}` is another one than a moment ago, when it was looked at for this sandbox", .0.display())]
    Exchanged(PathBuf),
    /// A protected path is a link, whose entry no mount can hold.
    #[error("`{}` is protected and is a symbolic link, which a sandbox could exchange", path.display())]
    ProtectedLink {
        /// The path.
        path: PathBuf,
        /// What it leads to, where that is there.
        leads_to: PathBuf,
        /// How the user calls what is protected.
        name: String,
    },
    /// A protected path cannot be looked at.
    #[error("cannot look at `{}`, which is protected", path.display())]
    Protected {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The search for sockets failed.
    #[error("cannot look for Unix sockets below `{}`", path.display())]
    Scan {
        /// The source.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory cannot be searched for sockets, nor covered.
    #[error("`{}` cannot be looked into, and could hold a Unix socket", .0.display())]
    Closed(PathBuf),
    /// A socket would be visible.
    #[error("mounting `{}` would let the sandbox connect to the Unix socket `{}`", mount.display(), socket.display())]
    Socket {
        /// The mount's source.
        mount: PathBuf,
        /// The socket.
        socket: PathBuf,
    },
    /// A sealed sandbox with another way out than its routes.
    #[error("a sealed sandbox has its routes and no other network, and `{0}` was asked for")]
    SealedNetwork(&'static str),
    /// No user namespaces.
    #[error("this machine does not let ordinary users make user namespaces: {0}")]
    NoUserNamespaces(NamespaceProblem),
    /// No Landlock.
    #[error("this kernel has no Landlock, and the policy requires it")]
    NoLandlock,
    /// Landlock too old for ports.
    #[error("Landlock here is ABI {abi}, and the policy's TCP ports need 4")]
    NoLandlockPorts {
        /// What there is.
        abi: u32,
    },
    /// No cgroup to use.
    #[error("limits cannot be enforced by cgroups here: {0}")]
    NoCgroup(String),
}

impl Diagnose for Refusal {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Name(_)
            | Self::Hostname(_)
            | Self::RootInside
            | Self::NoProgram
            | Self::Nul(_)
            | Self::Path { .. }
            | Self::Reserved { .. }
            | Self::Twice(_) => Kind::Usage,
            Self::Rootfs { .. } | Self::Source { .. } | Self::Scan { .. } | Self::Protected { .. } => {
                Kind::System
            }
            _ => Kind::Refused,
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Socket { .. } => {
                "mount a directory without the socket, or stop the program that made it and remove the socket; \
                 a read-only mount does not stop connections"
                    .into()
            }
            Self::Closed(path) => {
                format!("make it readable with `chmod u+rx {}`, or mount a directory without it", word(path).as_str())
            }
            Self::LinkInWorkspace { .. } => "mount the directory it leads to by its own path, if that is wanted".into(),
            Self::ProtectedLink { name, .. } if name.is_empty() => return None,
            Self::ProtectedLink { path, leads_to, name } => fix(path, leads_to, name),
            Self::LinkInImage { .. } => "build the image with a directory at that place".into(),
            Self::NoUserNamespaces(problem) => problem.fix(),
            Self::NoLandlock => {
                "boot with `landlock` in the kernel's parameter `lsm=`, or use Linux 5.13 or later".into()
            }
            Self::NoLandlockPorts { .. } => "use Linux 6.7 or later, or leave the ports to the network namespace".into(),
            Self::NoCgroup(_) => {
                "start it in a systemd user session, as with `systemd-run --user --scope -p Delegate=yes pinfold run …`, or leave out \
                 the limits of memory and processors".into()
            }
            _ => return None,
        })
    }
}

/// What to do about a link in the place of `name`: git can be told of the directory itself.
fn fix(path: &Path, leads_to: &Path, name: &str) -> String {
    let (link, to, name) = (word(path), word(leads_to), word(name));
    let tree = path.ends_with(".git/hooks").then(|| path.ancestors().nth(2)).flatten();
    if let Some(tree) = tree.map(word) {
        return format!(
            "tell git of the directory itself: `rm {link} && git -C {tree} config core.hooksPath {to}`; or let a sandbox change it: `--unprotect {name}`"
        );
    }
    format!(
        "write `{to}` where `{link}` is named now, or put it in the place of the link; or let a sandbox change it: `--unprotect {name}`"
    )
}
