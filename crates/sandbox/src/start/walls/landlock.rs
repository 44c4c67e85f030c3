//! The second wall around files: if a mount were ever left writable by mistake, this still says no.
//!
//! Everything may be read and executed; only the trees the plan makes writable may be written to. From ABI 4 on TCP ports
//! can be named, from ABI 6 on abstract Unix sockets and signals end at the sandbox, from ABI 9 on only sockets that were made
//! inside can be connected or sent to by path, wherever they stand, and those of the host where the user said so.
//!
//! **Guarantees**: the domain is entered with at least the rights of ABI 1, or the start fails. What a newer ABI adds is
//! used where the kernel has it; the plan's layer shows the number.

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

/// Enters the domain. Sets `no_new_privs` as well.
pub(crate) fn enter(plan: &LandlockPlan) -> Result<(), Errno> {
    // The crate hides the kernel's number inside its error; the step's name says what matters.
    let status = restrict(plan).map_err(|_| Errno::PERM)?;
    if status == RulesetStatus::NotEnforced { Err(Errno::NOSYS) } else { Ok(()) }
}

/// What is denied unless a rule allows it.
fn handled() -> BitFlags<AccessFs> {
    AccessFs::from_all(NEWEST) | AccessFs::ResolveUnix
}

fn restrict(plan: &LandlockPlan) -> Result<RulesetStatus, RulesetError> {
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
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(NEWEST)))?
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
