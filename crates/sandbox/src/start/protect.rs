//! The protected paths of a plan, put in place in a sandbox's root that is not entered yet.
//!
//! **Guarantees**: each path is resolved below that root and through no link, so what was exchanged since the plan was made
//! is an error and leads nowhere else; nothing is passed over. Whoever makes the mounts carries this out: process 1, or the
//! hook of a runtime ([`crate::start::spawn::hook`]).

use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::mount::OpenTreeFlags;
use rustix::mount::UnmountFlags;

use super::mounts;
use crate::plan::MountKind;
use crate::plan::PlannedMount;
use crate::spec::StandIn;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::sys::Depth;
use crate::start::sys::MountAttributes;

/// In a directory that stands in for a missing one: git passes over it, and programs that write this file are content.
pub(crate) const IGNORE: (&str, &[u8]) = (".gitignore", b"*\n");

/// Where the memory that holds the coverings is mounted for the time of the work: every sandbox has it, it is empty, and no
/// target of the user's lies below it, as one may below `/tmp`.
const AWAY: &str = "/dev/shm";

/// Whether a mount is one of these.
pub(crate) const fn concerns(kind: &MountKind) -> bool {
    matches!(kind, MountKind::Hold(_) | MountKind::Keep(_) | MountKind::Missing(_))
}

/// Puts those of `mounts` in place that protect something, outer ones first.
pub(crate) fn put<'a>(
    root: &OwnedFd,
    mounts: impl Iterator<Item = &'a PlannedMount>,
) -> Result<(), StepError> {
    let mut coverings = None;
    for mount in mounts.filter(|mount| concerns(&mount.kind)) {
        let path = mount.target.as_path();
        let place = mounts::look(root, path).on(Step::Protect, path.display())?;
        let copy = match &mount.kind {
            MountKind::Hold(_) => copy(&place, MountAttributes::default(), path)?,
            MountKind::Keep(_) => copy(&place, MountAttributes::READ_ONLY, path)?,
            MountKind::Missing(kind) => {
                let coverings = match &mut coverings {
                    Some(coverings) => coverings,
                    none => none.insert(Coverings::mount(root)?),
                };
                coverings.copy(kind, path)?
            }
            _ => continue,
        };
        mounts::attach(&copy, &place, path)?;
    }
    coverings.map_or(Ok(()), Coverings::unmount)
}

/// A detached copy of a place with everything mounted below it, restricted further.
fn copy(place: &OwnedFd, attributes: MountAttributes, path: &Path) -> Result<OwnedFd, StepError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let copy = rustix::mount::open_tree(place, "", flags).on(Step::Protect, path.display())?;
    let attributes = attributes.with(MountAttributes::NO_SUID).with(MountAttributes::NO_DEV);
    sys::restrict_mount(&copy, attributes, Depth::Below).on(Step::Protect, path.display())?;
    Ok(copy)
}

/// Memory with what covers the stand-ins. A part of a mount can be copied only while the mount is attached somewhere.
struct Coverings {
    top: OwnedFd,
    texts: usize,
}

impl Coverings {
    fn mount(root: &OwnedFd) -> Result<Self, StepError> {
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let options = [("mode", "755".to_owned()), ("size", "1m".to_owned())];
        let top = mounts::make("tmpfs", &options, flags, Path::new(AWAY))?;
        rustix::fs::mkdirat(&top, "directory", Mode::from_raw_mode(0o755)).on(Step::Protect, AWAY)?;
        write(&top, &format!("directory/{}", IGNORE.0), IGNORE.1).on(Step::Protect, AWAY)?;
        let place = mounts::look(root, Path::new(AWAY)).on(Step::Protect, AWAY)?;
        mounts::attach(&top, &place, Path::new(AWAY))?;
        Ok(Self { top, texts: 0 })
    }

    fn copy(&mut self, kind: &StandIn, path: &Path) -> Result<OwnedFd, StepError> {
        let text = match kind {
            StandIn::Text(text) => Some(text.as_str()),
            // A regular file: git refuses to add a device.
            StandIn::File => Some(""),
            StandIn::Directory | StandIn::Watched(_) => None,
        };
        let name = match text {
            Some(text) => {
                self.texts += 1;
                let name = format!("text-{}", self.texts);
                write(&self.top, &name, text.as_bytes()).on(Step::Protect, path.display())?;
                name
            }
            None => "directory".to_owned(),
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let copy = rustix::mount::open_tree(&self.top, name, flags).on(Step::Protect, path.display())?;
        sys::restrict_mount(&copy, MountAttributes::READ_ONLY, Depth::One)
            .on(Step::Protect, path.display())?;
        Ok(copy)
    }

    fn unmount(self) -> Result<(), StepError> {
        let path = format!("/proc/self/fd/{}", self.top.as_raw_fd());
        rustix::mount::unmount(path, UnmountFlags::DETACH).on(Step::Protect, AWAY)
    }
}

fn write(top: &OwnedFd, name: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(top, name, flags, Mode::from_raw_mode(0o444))?;
    if rustix::io::write(&file, bytes)? == bytes.len() { Ok(()) } else { Err(Errno::NOSPC) }
}
