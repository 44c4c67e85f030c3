//! Protected paths in another runtime.
//!
//! ```text
//!   runc     a `createContainer` hook, this program, does in the sandbox's mount namespace what process 1 does otherwise
//!   runsc    executes no such hook: mounts like any other, from the host's paths
//! ```
//!
//! `runsc` follows links in sources. What could be exchanged for one between planning and mounting is held in its place by
//! every sandbox that protects it too; one that does not, on the same directory at the same time, is a reason not to start
//! ([`crate::supervise::state`]).

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::oci::config::BundleError;
use crate::plan::MountKind;
use crate::plan::Plan;
use crate::plan::PlannedMount;
use crate::spec::Access;
use crate::spec::StandIn;
use crate::start::protect::IGNORE;
use crate::start::protect::concerns;
use crate::start::spawn::hook::HOOK_WORD;
use crate::start::spawn::hook::Task;

/// The hook, if the plan protects anything.
pub(super) fn hook(plan: &Plan, program: Option<&Path>) -> Result<Option<Value>, BundleError> {
    let mounts: Vec<PlannedMount> =
        plan.mounts.iter().filter(|mount| concerns(&mount.kind)).cloned().collect();
    let Some(first) = mounts.first() else { return Ok(None) };
    let program = program.ok_or_else(|| BundleError::NotGiven(first.target.clone()))?;
    let task = Task { rootfs: plan.rootfs.clone(), mounts };
    let task = serde_json::to_string(&task).unwrap_or_default();
    Ok(Some(json!({"path": program, "args": ["pinfold", HOOK_WORD, task]})))
}

/// An empty directory that nobody writes to.
pub(super) fn nothing(target: &Path) -> Value {
    json!({"destination": target, "type": "tmpfs", "source": "tmpfs",
        "options": ["ro", "nosuid", "nodev", "noexec", "mode=555", "size=4k"]})
}

/// One of the plan's mounts as the runtime's own; `coverings` is what [`write`] has filled.
///
/// A path of the host costs gVisor 5 ms: each is a file server's. In a sealed sandbox, which has neither git nor a program that
/// wants to find a file of its own there, directories that stand in for missing ones are memory instead.
pub(super) fn mount(
    plan: &Plan,
    mount: &PlannedMount,
    coverings: Option<&PathBuf>,
) -> Result<Value, BundleError> {
    if let (MountKind::Missing(StandIn::Directory), Some(_)) = (&mount.kind, &plan.key) {
        return Ok(nothing(&mount.target));
    }
    let (source, access) = source(mount, coverings)?;
    let access = if access == Access::ReadOnly { "ro" } else { "rw" };
    Ok(json!({"destination": mount.target, "type": "bind", "source": source,
        "options": ["rbind", access, "nosuid", "nodev", "rprivate"]}))
}

/// Which path of the host such a mount shows, and how.
pub(super) fn source(
    mount: &PlannedMount,
    coverings: Option<&PathBuf>,
) -> Result<(PathBuf, Access), BundleError> {
    let target = &mount.target;
    let covering = || coverings.cloned().ok_or_else(|| BundleError::NotGiven(target.clone()));
    Ok(match &mount.kind {
        MountKind::Hold(source) => (source.clone(), Access::ReadWrite),
        MountKind::Missing(kind) => (covering()?.join(name(kind, target)), Access::ReadOnly),
        MountKind::Keep(source) => (source.clone(), Access::ReadOnly),
        _ => return Err(BundleError::NotGiven(target.clone())),
    })
}

fn name(kind: &StandIn, target: &Path) -> String {
    match kind {
        StandIn::Directory | StandIn::Watched(_) => "directory".to_owned(),
        StandIn::File => "nothing".to_owned(),
        StandIn::Text(_) => format!("text{}", target.display().to_string().replace('/', "+")),
    }
}

/// Fills `folder` with what covers the stand-ins, if there are any.
pub(crate) fn write(plan: &Plan, folder: &Path) -> std::io::Result<()> {
    if plan.stand_ins.is_empty() {
        return Ok(());
    }
    fs_err::create_dir_all(folder.join("directory"))?;
    fs_err::write(folder.join("directory").join(IGNORE.0), IGNORE.1)?;
    fs_err::write(folder.join("nothing"), "")?;
    for mount in &plan.mounts {
        if let MountKind::Missing(kind @ StandIn::Text(text)) = &mount.kind {
            fs_err::write(folder.join(name(kind, &mount.target)), text)?;
        }
    }
    Ok(())
}
