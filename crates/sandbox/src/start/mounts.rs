//! The file system of the sandbox, made by process 1 in its own mount namespace.
//!
//! ```text
//!   1  all mounts private                      nothing we do is seen outside
//!   2  open what comes from the host           as detached copies with nosuid,nodev (and ro) already set
//!   3  the image, read-only                    a detached copy, or a read-only overlay of mount points over it
//!   4  each mount of the plan onto the image   what is written over it as an overlay, target opened without following any link
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
use std::path::PathBuf;

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
use crate::spec::Exec;
use crate::start::protect;
use crate::start::spawn::HostPaths;
use crate::start::spawn::Place;
use crate::start::spawn::UPPER;
use crate::start::spawn::WORK;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::sys::Depth;
use crate::start::sys::MountAttributes;
use crate::start::trees::Trees;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY: Mode = Mode::from_raw_mode(0o755);
/// A copy of the mount that a descriptor is of.
const COPY: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_EMPTY_PATH);
/// A device node of the host: it works, but its owner and mode are not the sandbox's to change.
const DEVICE: MountAttributes =
    MountAttributes::NO_SUID.with(MountAttributes::NO_EXEC).with(MountAttributes::READ_ONLY);

/// Makes the file system of `plan` and moves this process into it. What of the host is in `trees` was opened before, by
/// somebody who may; the rest is opened here.
pub(crate) fn enter(plan: &Plan, paths: &HostPaths, trees: Option<Trees>) -> Result<(), StepError> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .at(Step::PrivateMounts)?;
    let (image, mut opened) = match trees {
        Some(trees) => (trees.root, trees.mounts),
        None => (self::image(plan)?, Vec::new()),
    };
    let mut sources = Vec::new();
    for mount in &plan.mounts {
        let of_host = matches!(
            mount.kind,
            MountKind::Host(_) | MountKind::Home | MountKind::Egress | MountKind::Written(_)
        );
        let known = opened.iter().position(|(target, _)| of_host && *target == mount.target);
        let source = match known {
            Some(index) => Some(opened.swap_remove(index).1),
            None => source(mount, paths)?,
        };
        sources.push((mount, source));
    }
    // Before the root: nothing may lie over that when it is entered.
    for (mount, source) in &sources {
        if let (Some(Place::Over(_)), Some(place)) = (paths.written.get(&mount.target), source) {
            attach(place, self::place(plan)?, &mount.target)?;
        }
    }
    let root = attach_root(plan, &image)?;
    let mut late = Vec::new();
    let mut covers = Covers::default();
    for (mount, fd) in sources {
        match mount.kind {
            MountKind::Mask => covers.cover(&root, &mount.target)?,
            MountKind::Closed { device, inode } | MountKind::Socket { device, inode, .. } => {
                let on = || mount.target.display();
                let place = look(&root, &mount.target).on(Step::OpenTarget, on())?;
                let stat = rustix::fs::fstat(&place).on(Step::OpenTarget, on())?;
                if (stat.st_dev, stat.st_ino) != (device, inode) {
                    return Err(StepError::new(Step::OpenTarget, on().to_string(), Errno::STALE));
                }
                covers.lay(&place, &mount.target)?;
            }
            MountKind::Protect => read_only(&root, &mount.target)?,
            _ if protect::concerns(&mount.kind) => {}
            _ => {
                let Some(mut fd) = fd else { continue };
                if let Some(Place::Over(_)) = paths.written.get(&mount.target) {
                    fd = over_image(&mount.target, &image, &fd)?;
                }
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
        MountKind::Host(_) | MountKind::Home | MountKind::Egress | MountKind::Written(_) => {
            Ok(of_host(mount, paths)?.map(|(_, tree)| tree))
        }
        MountKind::Memory { bytes, mode } => {
            let mut options = vec![("mode", format!("{mode:o}"))];
            if *bytes > 0 {
                options.push(("size", bytes.to_string()));
            }
            // Our own small ones hold nothing to execute; what the program writes to must be executable (compilers, npm).
            let ours = mount.access == Access::ReadOnly || mount.exec == Exec::Denied;
            let more = if ours { noexec } else { MountAttrFlags::empty() };
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
        | MountKind::Closed { .. }
        | MountKind::Socket { .. }
        | MountKind::Protect
        | MountKind::Hold(_)
        | MountKind::Keep(_)
        | MountKind::Missing(_) => Ok(None),
    }
}

/// What a mount shows of the host's files, and where they are; `None` for a mount that shows none.
pub(crate) fn of_host(
    mount: &PlannedMount,
    paths: &HostPaths,
) -> Result<Option<(PathBuf, OwnedFd)>, StepError> {
    let given = |path: &Option<PathBuf>| {
        let missing = || StepError::new(Step::OpenMount, mount.target.display().to_string(), Errno::NOENT);
        path.clone().ok_or_else(missing)
    };
    let path = match &mount.kind {
        MountKind::Host(path) => path.clone(),
        MountKind::Home => given(&paths.home)?,
        MountKind::Egress => given(&paths.egress)?,
        MountKind::Written(_) => given(&paths.written.get(&mount.target).map(|place| place.path().clone()))?,
        _ => return Ok(None),
    };
    let tree = if mount.kind == MountKind::Egress {
        let socket = clone(&path, &[])?;
        let attributes =
            MountAttributes::NO_SUID.with(MountAttributes::NO_DEV).with(MountAttributes::NO_EXEC);
        sys::restrict_mount(&socket, attributes, Depth::One).on(Step::RestrictMount, path.display())?;
        socket
    } else {
        bind(&path, mount)?
    };
    Ok(Some((path, tree)))
}

/// A detached copy of a tree of the host, restricted with everything mounted below it.
fn bind(path: &Path, mount: &PlannedMount) -> Result<OwnedFd, StepError> {
    let fd = clone(path, &[OpenTreeFlags::AT_RECURSIVE])?;
    let mut attributes = MountAttributes::NO_SUID.with(MountAttributes::NO_DEV);
    if mount.access == Access::ReadOnly {
        attributes = attributes.with(MountAttributes::READ_ONLY);
    }
    if mount.exec == Exec::Denied {
        attributes = attributes.with(MountAttributes::NO_EXEC);
    }
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

/// The image's directory, read-only with everything mounted below it; not attached.
pub(crate) fn image(plan: &Plan) -> Result<OwnedFd, StepError> {
    let tree = clone(&plan.rootfs, &[OpenTreeFlags::AT_RECURSIVE])?;
    let mut attributes = MountAttributes::NO_SUID.with(MountAttributes::NO_DEV);
    if plan.guards.read_only_root.holds() {
        attributes = attributes.with(MountAttributes::READ_ONLY);
    }
    sys::restrict_mount(&tree, attributes, Depth::Below).on(Step::RestrictMount, plan.rootfs.display())?;
    Ok(tree)
}

/// Somewhere in the root that is left later, to attach what has to be attached before it is left. Not the image's own place,
/// which this process may not be able to reach, and not the root itself, over which nothing else may lie when it is left.
fn place(plan: &Plan) -> Result<OwnedFd, StepError> {
    let open = |path: &Path| rustix::fs::open(path, LOOK | OFlags::DIRECTORY, Mode::empty());
    let usual = ["/tmp", "/run", "/usr", "/sys"].into_iter().find_map(|path| open(Path::new(path)).ok());
    usual.map_or_else(|| open(&plan.rootfs), Ok).on(Step::OpenRoot, plan.rootfs.display())
}

/// The image attached in the root that is left later, not yet entered. The descriptor that is returned stands for the root
/// of what will be inside. It is an overlay of mount points over the image's directory, also when none are missing: an
/// overlay is a file system of its own, which says nothing of where the directory is, and a watch set in it sees nobody else.
fn attach_root(plan: &Plan, below: &OwnedFd) -> Result<OwnedFd, StepError> {
    let place = || place(plan);
    attach(below, &place()?, &plan.rootfs)?;
    if !plan.guards.read_only_root.holds() {
        return below.try_clone().on(Step::OpenRoot, plan.rootfs.display());
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

/// The directory `target` of the image under what is written over it: an overlay whose upper part is in `place`. Both are attached.
/// Extended attributes of a user's stand for those that only root may set (Linux 5.11).
fn over_image(target: &Path, image: &OwnedFd, place: &OwnedFd) -> Result<OwnedFd, StepError> {
    let step = Step::OverlayWritten;
    let on = || target.display();
    let lower = look(image, target).on(step, on())?;
    let within = |name: &str| format!("/proc/self/fd/{}/{name}", place.as_raw_fd());
    let layers = [
        ("lowerdir", format!("/proc/self/fd/{}", lower.as_raw_fd())),
        ("upperdir", within(UPPER)),
        ("workdir", within(WORK)),
    ];
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).on(step, on())?;
    for (key, value) in &layers {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, value.as_str()).on(step, on())?;
    }
    rustix::mount::fsconfig_set_flag(context.as_fd(), "userxattr").on(step, on())?;
    rustix::mount::fsconfig_create(context.as_fd()).on(step, on())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).on(step, on())
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
    let mut walked = PathBuf::from("/");
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
        self.lay(&place, path)
    }

    /// Covers `place`.
    fn lay(&mut self, place: &OwnedFd, path: &Path) -> Result<(), StepError> {
        let directory = is_directory(place).on(Step::OpenTarget, path.display())?;
        let first = if directory { &mut self.directory } else { &mut self.file };
        if let Some(first) = first {
            let copy = rustix::mount::open_tree(&*first, "", COPY).on(Step::OpenMount, path.display())?;
            return attach(&copy, place, path);
        }
        let made = if directory { nothing(path)? } else { null()? };
        attach(&made, place, path)?;
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
fn null() -> Result<OwnedFd, StepError> {
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
