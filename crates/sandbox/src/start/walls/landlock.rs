//! The second wall around files: if a mount were ever left writable by mistake, this still says no.
//!
//! Everything may be read and executed but what the plan hides; only the trees the plan makes writable may be written to. From ABI 4 on TCP ports
//! can be named, from ABI 6 on abstract Unix sockets and signals end at the sandbox, from ABI 9 on only sockets that were made
//! inside can be connected or sent to by path, wherever they stand, and those of the host where the user said so.
//!
//! **Guarantees**: the domain is entered with at least the rights of ABI 1, or the start fails. What a newer ABI adds is
//! used where the kernel has it; the plan's layer shows the number. A rule cannot take away what another gives above it: where trees
//! are hidden, everything beside the ways to them is allowed in their place, and names may be listed everywhere.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::CompatLevel;
use landlock::Compatible;
use landlock::NetPort;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::RulesetStatus;
use landlock::Scope;
use landlock::path_beneath_rules;
use rustix::io::Errno;

use crate::plan::LandlockPlan;

/// The newest ABI whose rights are known here.
const NEWEST: ABI = ABI::V6;

/// What lies beside the ways to hidden trees; each takes a descriptor for a moment.
const BESIDE: usize = 65_536;

/// Enters the domain. Sets `no_new_privs` as well.
pub(crate) fn enter(plan: &LandlockPlan) -> Result<(), Errno> {
    let readable = if plan.hidden.is_empty() {
        vec![PathBuf::from("/")]
    } else {
        beside(&plan.hidden)
            .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))?
    };
    // The crate hides the kernel's number inside its error; the step's name says what matters.
    let status = restrict(plan, &readable).map_err(|_| Errno::PERM)?;
    if status == RulesetStatus::NotEnforced { Err(Errno::NOSYS) } else { Ok(()) }
}

/// What is denied unless a rule allows it.
fn handled() -> BitFlags<AccessFs> {
    AccessFs::from_all(NEWEST) | AccessFs::ResolveUnix
}

/// Everything but the hidden trees: what stands beside them and beside the directories on the way to them. Links are passed over: a rule
/// is for what they lead to, which stands elsewhere under its own name.
fn beside(hidden: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    // By the names that they really have; what is not there cannot be read.
    let real: BTreeSet<PathBuf> = hidden
        .iter()
        .map(|path| match fs_err::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.clone()),
            result => result,
        })
        .collect::<Result<_, _>>()?;
    let ways: BTreeSet<&Path> = real.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let mut found = Vec::new();
    for way in ways.iter().filter(|way| !real.iter().any(|path| way.starts_with(path))) {
        let entries = match fs_err::read_dir(way) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let is_beside = !real.contains(&path) && !ways.contains(path.as_path());
            if is_beside && !entry.file_type()?.is_symlink() {
                found.push(path);
            }
        }
        if found.len() > BESIDE {
            return Err(Errno::TOOBIG.into());
        }
    }
    Ok(found)
}

fn restrict(plan: &LandlockPlan, readable: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled())?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    if plan.connect_ports.is_some() {
        ruleset = ruleset
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessNet::ConnectTcp)?
            .set_compatibility(CompatLevel::BestEffort);
    }
    let mut created = ruleset
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(readable, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(["/dev"], AccessFs::from_read(NEWEST) | AccessFs::IoctlDev))?
        .add_rules(path_beneath_rules(&plan.writable, AccessFs::from_all(NEWEST)))?
        .add_rules(path_beneath_rules(&plan.sockets, AccessFs::ResolveUnix))?;
    for port in plan.connect_ports.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(created.restrict_self()?.ruleset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_hidden_trees_is_all_but_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs_err::canonicalize(dir.path()).unwrap();
        for path in ["run/own/token", "run/own/run", "run/lock", "etc/own/pod", "usr/bin"] {
            fs_err::create_dir_all(root.join(path)).unwrap();
        }
        fs_err::write(root.join("run/file"), "").unwrap();
        std::os::unix::fs::symlink("run", root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("run/own"), root.join("usr/own")).unwrap();
        let below = |hidden: &[&str]| {
            let hidden: Vec<PathBuf> = hidden.iter().map(|path| root.join(path)).collect();
            let found = beside(&hidden).unwrap();
            let own = found.iter().filter_map(|path| path.strip_prefix(&root).ok());
            own.map(|path| path.display().to_string()).collect::<BTreeSet<_>>()
        };
        let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(
            below(&["run/own/token", "etc/own"]),
            set(&["run/lock", "run/file", "run/own/run", "usr"])
        );
        // By its other name, and one of two that contain each other.
        assert_eq!(below(&["usr/own/token"]), set(&["etc", "run/lock", "run/file", "run/own/run", "usr"]));
        assert_eq!(below(&["run", "run/own"]), set(&["etc", "usr"]));
        // Nothing is there.
        assert_eq!(below(&["run/none/token"]), set(&["etc", "usr", "run/own", "run/lock", "run/file"]));
    }

    /// No rule about reading or writing gives the right to connect to a socket, which the kernel is asked to deny from ABI 9 on.
    #[test]
    fn sockets_are_denied_but_by_their_own_rule() {
        assert!(handled().contains(AccessFs::ResolveUnix));
        for given in [AccessFs::from_read(NEWEST) | AccessFs::IoctlDev, AccessFs::from_all(NEWEST)] {
            assert!(!given.contains(AccessFs::ResolveUnix), "{given:?}");
            assert!(handled().contains(given), "{given:?}");
        }
        // The number in the kernel's own list (include/uapi/linux/landlock.h).
        assert_eq!(BitFlags::from(AccessFs::ResolveUnix).bits(), 1 << 16);
        assert!(AccessFs::from_all(ABI::V9).contains(AccessFs::ResolveUnix));
        assert!(!AccessFs::from_all(ABI::V8).contains(AccessFs::ResolveUnix));
    }
}
