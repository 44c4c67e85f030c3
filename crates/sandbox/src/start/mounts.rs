//! The file system of the sandbox, made by process 1 in its own mount namespace.
//!
//! ```text
//!   1  all mounts private                      nothing we do is seen outside
//!   2  open what comes from the host           as detached copies with nosuid,nodev (and ro) already set
//!   3  the image, read-only                    a detached copy, or a read-only overlay of mount points over it
//!   4  each mount of the plan onto the image   target opened without following any link
//!   5  what the host runs by itself, kept      see `protect`
//!   6  our own memory file systems read-only   /dev, /run
//!   7  pivot_root, and the host's root is gone
//! ```
//!
//! **Guarantees**: no path of the image is resolved outside it (`RESOLVE_IN_ROOT`) or through a link; a mount is
//! restricted before it can be reached. The new mount interface is used throughout (Linux 5.12).

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;
use rustix::mount::MountPropagationFlags;
use rustix::mount::MoveMountFlags;
use rustix::mount::OpenTreeFlags;
use rustix::mount::UnmountFlags;

use crate::plan::MountKind;
use crate::plan::Plan;
use crate::plan::PlannedMount;
use crate::plan::SkeletonKind;
use crate::spec::Access;
use crate::start::protect;
use crate::start::spawn::HostPaths;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::sys::Depth;
use crate::start::sys::MountAttributes;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY: Mode = Mode::from_raw_mode(0o755);
/// A copy of the mount that a descriptor is of.
const COPY: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_EMPTY_PATH);
/// A device node of the host: it works, but its owner and mode are not the sandbox's to change.
const DEVICE: MountAttributes =
    MountAttributes::NO_SUID.with(MountAttributes::NO_EXEC).with(MountAttributes::READ_ONLY);

/// Makes the file system of `plan` and moves this process into it.
pub(crate) fn enter(plan: &Plan, paths: &HostPaths) -> Result<(), StepError> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at(Step::PrivateMounts)?;
    // Before anything is attached: the image's own mount may hide a source that lies below it.
    let sources = plan
        .mounts
        .iter()
        .map(|mount| Ok((mount, source(mount, paths)?)))
        .collect::<Result<Vec<_>, StepError>>()?;
    let root = attach_root(plan)?;
    let mut late = Vec::new();
    let mut covers = Covers::default();
    for (mount, fd) in sources {
        match mount.kind {
            MountKind::Mask => covers.cover(&root, &mount.target)?,
            MountKind::Protect => read_only(&root, &mount.target)?,
            _ if protect::concerns(&mount.kind) => {}
            _ => {
                let Some(fd) = fd else { continue };
                let file = match &mount.kind {
                    MountKind::Device(_) | MountKind::Egress => true,
                    MountKind::Host(source) => !is_directory(&fd).on(Step::OpenMount, source.display())?,
                    _ => false,
                };
                let target = target(&root, &mount.target, file)?;
                attach(&fd, &target, &mount.target)?;
                if mount.access == Access::ReadOnly && matches!(mount.kind, MountKind::Memory { .. }) {
                    late.push((&mount.target, fd));
                }
            }
        }
    }
    if plan
        .mounts
        .iter()
        .any(|mount| mount.target == Path::new("/dev") && matches!(mount.kind, MountKind::Memory { .. }))
    {
        device_links(&root)?;
    }
    protect::put(&root, plan.mounts.iter())?;
    for (path, fd) in late {
        sys::restrict_mount(&fd, MountAttributes::READ_ONLY, Depth::One)
            .on(Step::SealRoot, path.display())?;
    }
    if plan.guards.read_only_root.holds() {
        sys::restrict_mount(&root, MountAttributes::READ_ONLY, Depth::One).on(Step::SealRoot, "/")?;
    }
    rustix::process::fchdir(&root).on(Step::Pivot, "/")?;
    rustix::process::pivot_root(".", ".").on(Step::Pivot, plan.rootfs.display())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).at(Step::LeaveOldRoot)?;
    rustix::process::chdir("/").at(Step::LeaveOldRoot)
}

/// What is mounted, as a mount that is not attached anywhere yet.
fn source(mount: &PlannedMount, paths: &HostPaths) -> Result<Option<OwnedFd>, StepError> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let noexec = MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let target = mount.target.as_path();
    match &mount.kind {
        MountKind::Host(path) => bind(path, mount.access).map(Some),
        MountKind::Home => match &paths.home {
            Some(path) => bind(path, mount.access).map(Some),
            None => Err(StepError::new(Step::OpenMount, target.display().to_string(), Errno::NOENT)),
        },
        MountKind::Egress => match &paths.egress {
            Some(path) => {
                let fd = clone(path, &[])?;
                let attributes =
                    MountAttributes::NO_SUID.with(MountAttributes::NO_DEV).with(MountAttributes::NO_EXEC);
                sys::restrict_mount(&fd, attributes, Depth::One).on(Step::RestrictMount, path.display())?;
                Ok(Some(fd))
            }
            None => Err(StepError::new(Step::OpenMount, target.display().to_string(), Errno::NOENT)),
        },
        MountKind::Memory { bytes, mode } => {
            let mut options = vec![("mode", format!("{mode:o}"))];
            if *bytes > 0 {
                options.push(("size", bytes.to_string()));
            }
            // Our own small ones hold nothing to execute; what the program writes to must be executable (compilers, npm).
            let more = if mount.access == Access::ReadOnly { noexec } else { MountAttrFlags::empty() };
            make("tmpfs", &options, flags | more, target).map(Some)
        }
        MountKind::Proc => make("proc", &[], flags | noexec, target).map(Some),
        MountKind::Terminals => {
            let options = [("ptmxmode", "0666".to_owned()), ("mode", "0620".to_owned())];
            make("devpts", &options, MountAttrFlags::MOUNT_ATTR_NOSUID | noexec, target).map(Some)
        }
        MountKind::Queues => make("mqueue", &[], flags | noexec, target).map(Some),
        MountKind::Device(path) => {
            let fd = clone(path, &[])?;
            let stat = rustix::fs::fstat(&fd).on(Step::OpenMount, path.display())?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
                return Err(StepError::new(Step::OpenMount, path.display().to_string(), Errno::NODEV));
            }
            sys::restrict_mount(&fd, DEVICE, Depth::One).on(Step::RestrictMount, path.display())?;
            Ok(Some(fd))
        }
        MountKind::Mask
        | MountKind::Protect
        | MountKind::Hold(_)
        | MountKind::Keep(_)
        | MountKind::Missing(_) => Ok(None),
    }
}

/// A detached copy of a tree of the host, restricted with everything mounted below it.
fn bind(path: &Path, access: Access) -> Result<OwnedFd, StepError> {
    let fd = clone(path, &[OpenTreeFlags::AT_RECURSIVE])?;
    let attributes = MountAttributes::NO_SUID.with(MountAttributes::NO_DEV);
    let attributes = match access {
        Access::ReadOnly => attributes.with(MountAttributes::READ_ONLY),
        Access::ReadWrite => attributes,
    };
    sys::restrict_mount(&fd, attributes, Depth::Below).on(Step::RestrictMount, path.display())?;
    Ok(fd)
}

/// A detached copy of the mount at `path`. The path was resolved when the sandbox was planned; a link that has appeared
/// since is an error.
fn clone(path: &Path, more: &[OpenTreeFlags]) -> Result<OwnedFd, StepError> {
    let fd = rustix::fs::openat2(
        rustix::fs::CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    )
    .on(Step::OpenMount, path.display())?;
    rustix::mount::open_tree(&fd, "", more.iter().fold(COPY, |flags, more| flags | *more))
        .on(Step::OpenMount, path.display())
}

/// A new file system, not attached.
pub(super) fn make(
    kind: &str,
    options: &[(&str, String)],
    flags: MountAttrFlags,
    target: &Path,
) -> Result<OwnedFd, StepError> {
    let on = || target.display();
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).on(Step::OpenMount, on())?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, value.as_str())
            .on(Step::OpenMount, on())?;
    }
    rustix::mount::fsconfig_create(context.as_fd()).on(Step::OpenMount, on())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).on(Step::OpenMount, on())
}

/// The image as a mount on its own place, not yet entered. Its descriptor stands for the root of what will be inside.
fn attach_root(plan: &Plan) -> Result<OwnedFd, StepError> {
    let on = || plan.rootfs.display();
    let below = clone(&plan.rootfs, &[OpenTreeFlags::AT_RECURSIVE])?;
    let mut attributes = MountAttributes::NO_SUID.with(MountAttributes::NO_DEV);
    if plan.guards.read_only_root.holds() {
        attributes = attributes.with(MountAttributes::READ_ONLY);
    }
    sys::restrict_mount(&below, attributes, Depth::Below).on(Step::RestrictMount, on())?;
    let place =
        || rustix::fs::open(&plan.rootfs, LOOK | OFlags::DIRECTORY, Mode::empty()).on(Step::OpenRoot, on());
    attach(&below, &place()?, &plan.rootfs)?;
    if plan.skeleton.is_empty() {
        return Ok(below);
    }
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let top = make("tmpfs", &[("mode", "755".into()), ("size", "1m".into())], flags, Path::new("/"))?;
    for entry in &plan.skeleton {
        let name = relative(&entry.path);
        let made = match entry.kind {
            SkeletonKind::Directory(_) if name == Path::new("") => Ok(()),
            SkeletonKind::Directory(mode) => {
                rustix::fs::mkdirat(&top, name, Mode::from_raw_mode(mode & 0o777))
            }
            SkeletonKind::File => create(&top, name),
        };
        made.on(Step::Skeleton, entry.path.display())?;
    }
    // An overlay takes its layers from mounts of this namespace only, so the upper one is attached too.
    attach(&top, &place()?, &plan.rootfs)?;
    let layers = format!("/proc/self/fd/{}:/proc/self/fd/{}", top.as_raw_fd(), below.as_raw_fd());
    let merged = make(
        "overlay",
        &[("lowerdir", layers)],
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_RDONLY,
        &plan.rootfs,
    )
    .map_err(|error| StepError { step: Step::OverlayRoot, ..error })?;
    attach(&merged, &place()?, &plan.rootfs)?;
    Ok(merged)
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn is_directory(fd: impl AsFd) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Directory)
}

fn create(root: impl AsFd, name: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(root, name, flags, Mode::from_raw_mode(0o600)).map(drop)
}

/// Opens a path inside, following no link.
pub(super) fn look(root: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let name = relative(path);
    let name = if name == Path::new("") { Path::new(".") } else { name };
    rustix::fs::openat2(root, name, LOOK, Mode::empty(), resolve)
}

/// The mount point at `path`, made if it does not exist (which works below mounts that can be written to).
fn target(root: &OwnedFd, path: &Path, file: bool) -> Result<OwnedFd, StepError> {
    match look(root, path) {
        Err(Errno::NOENT) => {}
        result => return result.on(Step::OpenTarget, path.display()),
    }
    let mut at = look(root, Path::new("/")).on(Step::OpenTarget, "/")?;
    let mut names = relative(path).components().peekable();
    let mut walked = std::path::PathBuf::from("/");
    while let Some(name) = names.next() {
        walked.push(name);
        let name = Path::new(name.as_os_str());
        let made = if names.peek().is_none() && file {
            create(&at, name)
        } else {
            rustix::fs::mkdirat(&at, name, DIRECTORY)
        };
        match made {
            // A read-only parent answers EROFS even for what exists.
            Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS) => {}
            Err(errno) => return Err(StepError::new(Step::MakeTarget, path.display().to_string(), errno)),
        }
        at = look(root, &walked).on(Step::MakeTarget, path.display())?;
    }
    Ok(at)
}

pub(super) fn attach(from: impl AsFd, to: impl AsFd, path: &Path) -> Result<(), StepError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(from, "", to, "", flags).on(Step::Attach, path.display())
}

/// What masked paths are covered with: `/dev/null`, and an empty directory. Each is made once; further covers are copies of
/// the first, restricted as it is.
#[derive(Debug, Default)]
struct Covers {
    file: Option<OwnedFd>,
    directory: Option<OwnedFd>,
}

impl Covers {
    /// Covers what stands at `path`. What this kernel does not have is passed over.
    fn cover(&mut self, root: &OwnedFd, path: &Path) -> Result<(), StepError> {
        let place = match look(root, path) {
            Err(Errno::NOENT | Errno::ACCESS) => return Ok(()),
            result => result.on(Step::OpenTarget, path.display())?,
        };
        let directory = is_directory(&place).on(Step::OpenTarget, path.display())?;
        let first = if directory { &mut self.directory } else { &mut self.file };
        if let Some(first) = first {
            let copy = rustix::mount::open_tree(&*first, "", COPY).on(Step::OpenMount, path.display())?;
            return attach(&copy, &place, path);
        }
        let made = if directory { nothing(path)? } else { null()? };
        attach(&made, &place, path)?;
        *first = Some(made);
        Ok(())
    }
}

/// An empty directory that stays empty.
fn nothing(path: &Path) -> Result<OwnedFd, StepError> {
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    make("tmpfs", &[("mode", "555".into()), ("size", "4k".into())], flags, path)
}

/// The host's `/dev/null`. Refused (ENODEV) where it is something else (CVE-2025-31133).
pub(super) fn null() -> Result<OwnedFd, StepError> {
    const PATH: &str = "/dev/null";
    let fd = clone(Path::new(PATH), &[])?;
    let stat = rustix::fs::fstat(&fd).on(Step::OpenMount, PATH)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
        || stat.st_rdev != rustix::fs::makedev(1, 3)
    {
        return Err(StepError::new(Step::OpenMount, PATH, Errno::NODEV));
    }
    sys::restrict_mount(&fd, DEVICE, Depth::One).on(Step::RestrictMount, PATH)?;
    Ok(fd)
}

/// Mounts a path on itself, read-only.
fn read_only(root: &OwnedFd, path: &Path) -> Result<(), StepError> {
    let place = match look(root, path) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.on(Step::OpenTarget, path.display())?,
    };
    let copy = rustix::mount::open_tree(&place, "", COPY | OpenTreeFlags::AT_RECURSIVE)
        .on(Step::OpenMount, path.display())?;
    let attributes = MountAttributes::READ_ONLY
        .with(MountAttributes::NO_SUID)
        .with(MountAttributes::NO_DEV)
        .with(MountAttributes::NO_EXEC);
    sys::restrict_mount(&copy, attributes, Depth::Below).on(Step::RestrictMount, path.display())?;
    attach(&copy, &place, path)
}

/// The links every program expects in `/dev`.
fn device_links(root: &OwnedFd) -> Result<(), StepError> {
    let dev = look(root, Path::new("/dev")).at(Step::DeviceLinks)?;
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        rustix::fs::symlinkat(target, &dev, name).on(Step::DeviceLinks, name)?;
    }
    Ok(())
}
