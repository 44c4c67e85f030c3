//! The mounts of a sandbox while they are collected: what every sandbox has, the specification's own, their order, and the
//! mount points that the image lacks.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use super::MountKind;
use super::PlannedMount;
use super::SkeletonKind;
use super::check::check_name;
use super::check::clean;
use super::check::reserved;
use super::proc::MASKED;
use super::proc::READ_ONLY;
use super::refusal::Refusal;
use super::rootfs;
use super::rootfs::Found;
use super::rootfs::RootDirectory;
use super::source::Linked;
use crate::spec::Access;
use crate::spec::EGRESS_SOCKET;
use crate::spec::Exec;
use crate::spec::Keep;
use crate::spec::Kept;
use crate::spec::MODEL_ALIAS;
use crate::spec::MountSource;
use crate::spec::Network;
use crate::spec::OWN_DIRECTORY;
use crate::spec::Sockets;
use crate::spec::Spec;

/// Device nodes of `/dev`, bound from the host.
pub const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Size of `/dev/shm`.
const SHM_BYTES: u64 = 256 << 20;
/// Size of `/run`.
const RUN_BYTES: u64 = 64 << 20;
/// Size of the memory file systems that hold only a few entries.
const SMALL_BYTES: u64 = 1 << 20;

/// The directory of [`MODEL_ALIAS`].
fn alias_directory() -> &'static Path {
    Path::new(MODEL_ALIAS).parent().unwrap_or(Path::new("/"))
}

/// Whether the image has it.
pub(super) fn has_alias(root: &RootDirectory) -> Result<bool, Refusal> {
    Ok(matches!(root.look(alias_directory())?, Found::Directory(_)))
}

/// The mounts while they are collected.
pub(super) struct Layout<'a> {
    pub(super) root: &'a RootDirectory,
    pub(super) mounts: Vec<PlannedMount>,
    pub(super) skeleton: BTreeMap<PathBuf, SkeletonKind>,
    pub(super) links: Vec<Linked>,
}

impl Layout<'_> {
    fn add(&mut self, target: impl Into<PathBuf>, kind: MountKind, access: Access) {
        self.mounts.push(PlannedMount::new(target, kind, access));
    }

    /// Memory of the program's own for a few small files.
    fn add_small(&mut self, target: impl Into<PathBuf>) {
        let kind = MountKind::Memory { bytes: SMALL_BYTES, mode: 0o700 };
        let mount = PlannedMount::new(target, kind, Access::ReadWrite);
        self.mounts.push(PlannedMount { exec: Exec::Denied, ..mount });
    }

    /// What every sandbox has.
    pub(super) fn standard(&mut self, spec: &Spec, home: &Path) -> Result<(), Refusal> {
        let memory = |bytes, mode| MountKind::Memory { bytes, mode };
        self.add("/dev", memory(SMALL_BYTES, 0o755), Access::ReadOnly);
        for name in DEVICES {
            self.add(
                Path::new("/dev").join(name),
                MountKind::Device(Path::new("/dev").join(name)),
                Access::ReadWrite,
            );
        }
        self.add("/dev/pts", MountKind::Terminals, Access::ReadWrite);
        self.add("/dev/shm", memory(SHM_BYTES, 0o1777), Access::ReadWrite);
        self.add("/dev/mqueue", MountKind::Queues, Access::ReadWrite);
        self.add("/proc", MountKind::Proc, Access::ReadWrite);
        for entry in READ_ONLY {
            self.add(entry.path, MountKind::Protect, Access::ReadOnly);
        }
        for entry in MASKED {
            self.add(entry.path, MountKind::Mask, Access::ReadOnly);
        }
        self.add("/tmp", memory(spec.tmp_bytes, 0o1777), Access::ReadWrite);
        // Programs keep process ids and sockets here (`nginx -t` does); what is ours below it is on a mount of its own, which
        // cannot be renamed from inside.
        self.add("/run", memory(RUN_BYTES, 0o755), Access::ReadWrite);
        self.add("/run/lock", memory(SMALL_BYTES, 0o1777), Access::ReadWrite);
        if spec.is_sealed() {
            self.add_small(OWN_DIRECTORY);
        } else {
            self.add(OWN_DIRECTORY, memory(SMALL_BYTES, 0o755), Access::ReadOnly);
        }
        if matches!(spec.network, Network::Proxy(_) | Network::Routes(_)) {
            self.add(EGRESS_SOCKET, MountKind::Egress, Access::ReadWrite);
        }
        if matches!(spec.network, Network::Routes(_)) && has_alias(self.root)? {
            self.add_small(alias_directory());
        }
        reserved("home directory", home)?;
        let kind = match spec.home.keep {
            Keep::Home | Keep::Run => MountKind::Home,
            Keep::Nothing => memory(spec.tmp_bytes, 0o700),
        };
        self.add(home, kind, Access::ReadWrite);
        Ok(())
    }

    /// One mount of the specification.
    pub(super) fn user(&mut self, mount: &crate::spec::Mount) -> Result<(), Refusal> {
        let target = clean("mount target", &mount.target)?;
        reserved("mount target", &target)?;
        let closed =
            |other: &PlannedMount| matches!(other.kind, MountKind::Closed { .. } | MountKind::Socket { .. });
        if self.mounts.iter().any(|other| other.target == target && !closed(other)) {
            return Err(Refusal::Twice(target));
        }
        let kind = match &mount.source {
            MountSource::Memory(bytes) => MountKind::Memory { bytes: *bytes, mode: 0o755 },
            MountSource::Image(written) => {
                check_name(&written.image)?;
                for path in written.whole.iter().chain(&written.alone) {
                    clean("path in the image", &target.join(path))?;
                }
                if let Kept::Shared(directory) = &written.kept {
                    clean("mount source", directory)?;
                }
                if !matches!(self.root.look(&target)?, Found::Directory(_)) {
                    return Err(Refusal::TargetKind(target));
                }
                MountKind::Written(written.clone())
            }
            MountSource::Host(path) => {
                clean("mount source", path)?;
                let failed = |source| Refusal::Source { path: path.clone(), source };
                let resolved = crate::plan::source::resolve(path).map_err(failed)?;
                self.links.extend(resolved.links.into_iter().map(|link| Linked { path: path.clone(), link }));
                let source = resolved.real;
                clean("mount source", &source)?;
                if let Some(judged) = mount.judged {
                    // By its path without links: whoever opens it later follows none.
                    let stat = rustix::fs::lstat(&source).map_err(|errno| failed(errno.into()))?;
                    if (stat.st_dev, stat.st_ino) != judged {
                        return Err(Refusal::Exchanged(path.clone()));
                    }
                }
                if source == Path::new("/") {
                    return Err(Refusal::Reserved { what: "mount source", path: source });
                }
                if mount.sockets == Sockets::Refuse {
                    self.search(&source, &target)?;
                }
                MountKind::Host(source)
            }
        };
        let planned = PlannedMount::new(target, kind, mount.access);
        self.mounts.push(PlannedMount { exec: mount.exec, ..planned });
        Ok(())
    }

    /// Sockets that the user named are not covered, nor those that another mount hides.
    pub(super) fn named_sockets(&mut self, spec: &Spec) {
        let allowed = spec.mounts.iter().filter(|mount| mount.sockets == Sockets::Allow);
        let allowed: Vec<&Path> = allowed.map(|mount| mount.target.as_path()).collect();
        let shown = |mount: &PlannedMount| match &mount.kind {
            MountKind::Host(source) => Some((mount.target.clone(), Some(source.clone()))),
            MountKind::Memory { .. } | MountKind::Home | MountKind::Written(_) => {
                Some((mount.target.clone(), None))
            }
            _ => None,
        };
        let shown: Vec<(PathBuf, Option<PathBuf>)> = self.mounts.iter().filter_map(shown).collect();
        self.mounts.retain(|mount| {
            let MountKind::Socket { source: socket, .. } = &mount.kind else { return true };
            let is_named = shown.iter().any(|(target, source)| {
                allowed.contains(&target.as_path())
                    && source.as_ref().is_some_and(|source| socket.starts_with(source))
            });
            let above = shown.iter().filter(|(target, _)| mount.target.starts_with(target));
            let is_there = above.max_by_key(|(target, _)| target.components().count()).is_some_and(
                |(target, source)| match (source, mount.target.strip_prefix(target)) {
                    (Some(source), Ok(rest)) => source.join(rest) == *socket,
                    _ => false,
                },
            );
            is_there && !is_named
        });
    }

    /// Covers sockets on which a program of the host's listens, and what could not be looked into.
    fn search(&mut self, source: &Path, target: &Path) -> Result<(), Refusal> {
        let scan =
            rootfs::scan(source).map_err(|error| Refusal::Scan { path: source.to_owned(), source: error })?;
        let is_full = scan.sockets.len() == rootfs::SOCKETS_MAX;
        for rootfs::Socket { path, device, inode } in scan.sockets {
            let socket = source.join(&path);
            if is_full || path.as_os_str().is_empty() || path.to_str().is_none() || inode == 0 {
                let socket = if path.as_os_str().is_empty() { source.to_owned() } else { socket };
                return Err(Refusal::Socket { mount: source.to_owned(), socket });
            }
            let kind = MountKind::Socket { source: socket, device, inode };
            self.add(target.join(path), kind, Access::ReadOnly);
        }
        for rootfs::Closed { path, device, inode } in scan.closed {
            if path.as_os_str().is_empty() || path.to_str().is_none() {
                return Err(Refusal::Closed(source.join(path)));
            }
            self.add(target.join(path), MountKind::Closed { device, inode }, Access::ReadOnly);
        }
        Ok(())
    }

    /// Outer mounts before inner ones; otherwise the order of the list.
    pub(super) fn sort(&mut self) {
        self.mounts.sort_by_key(|mount| mount.target.components().count());
    }

    /// Looks at each target and notes what the image lacks.
    pub(super) fn skeleton(&mut self) -> Result<(), Refusal> {
        for (index, mount) in self.mounts.iter().enumerate() {
            let covered = self.mounts[..index].iter().any(|outer| mount.target.starts_with(&outer.target));
            if covered {
                continue;
            }
            let wants = match &mount.kind {
                MountKind::Host(source) if !source.is_dir() => SkeletonKind::File,
                MountKind::Socket { .. } => SkeletonKind::File,
                _ => SkeletonKind::Directory(0o755),
            };
            let found = self.root.look(&mount.target)?;
            match (found, wants) {
                (Found::Directory(_), SkeletonKind::Directory(_)) | (Found::File, SkeletonKind::File) => {}
                (Found::Missing, _) => {
                    for parent in mount.target.ancestors().skip(1) {
                        let mode = match self.root.look(parent)? {
                            Found::Directory(mode) => mode,
                            _ => 0o755,
                        };
                        self.skeleton.insert(parent.to_owned(), SkeletonKind::Directory(mode));
                    }
                    self.skeleton.insert(mount.target.clone(), wants);
                }
                _ => return Err(Refusal::TargetKind(mount.target.clone())),
            }
        }
        Ok(())
    }
}
