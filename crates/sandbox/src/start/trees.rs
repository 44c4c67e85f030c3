//! What a sandbox of root's is shown of the host, opened by root: process 1 has an id that can open none of it.
//!
//! **Guarantees**: each tree is a detached mount, restricted as the plan says, in which root's files are the sandbox's and the
//! other way round; nothing of it can be seen or reached before process 1 attaches it.
//!
//! **Refuses** file systems that cannot map ids ([`Step::MapMount`]), but for the image: that is only read, and what of it is
//! for root alone is not for the sandbox.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::plan::Namespace;
use crate::plan::Plan;
use crate::plan::ids::Outside;
use crate::start::mounts;
use crate::start::spawn::HostPaths;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::sys::Depth;
use crate::start::sys::Exchanged;

/// The image, and each mount of the host by its target.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) root: OwnedFd,
    pub(crate) mounts: Vec<(PathBuf, OwnedFd)>,
    /// What they are mapped by, kept until they have been handed on.
    pub(crate) _exchanged: Option<Exchanged>,
}

impl Trees {
    /// Opens them, where the ids are not the caller's.
    pub(crate) fn open(plan: &Plan, paths: &HostPaths) -> Result<Option<Self>, StepError> {
        if plan.ids.outside == Outside::Caller {
            return Ok(None);
        }
        let ids = plan.ids;
        let exchanged = sys::exchanged_with_root(ids.host_uid, ids.host_gid).at(Step::OuterIdMap)?;
        let namespace = &exchanged.namespace;
        let root = mounts::image(plan)?;
        // Old kernels have no overlay over such a mount, so that one may stay as it is.
        let _ = sys::map_mount(&root, namespace, Depth::Below);
        let mut opened = Vec::new();
        for mount in &plan.mounts {
            if let Some((path, tree)) = mounts::of_host(mount, paths)? {
                // The host's own processes are shown to a control only, and have no owner to map.
                if plan.guards.mapped_mounts.holds() && plan.namespaces.contains(&Namespace::Pid) {
                    sys::map_mount(&tree, namespace, Depth::Below).on(Step::MapMount, path.display())?;
                }
                opened.push((mount.target.clone(), tree));
            }
        }
        Ok(Some(Self { root, mounts: opened, _exchanged: Some(exchanged) }))
    }
}
