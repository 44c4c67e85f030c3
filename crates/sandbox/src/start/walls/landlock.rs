//! The second wall around files: if a mount were ever left writable by mistake, this still says no.
//!
//! Everything may be read and executed; only the trees the plan makes writable may be written to. From ABI 4 on TCP ports
//! can be named, from ABI 6 on abstract Unix sockets and signals end at the sandbox.
//!
//! **Guarantees**: the domain is entered with at least the rights of ABI 1, or the start fails. What a newer ABI adds is
//! used where the kernel has it; the plan's layer shows the number.

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
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

fn restrict(plan: &LandlockPlan) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
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
        .add_rules(path_beneath_rules(&plan.writable, AccessFs::from_all(NEWEST)))?;
    for port in plan.connect_ports.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(created.restrict_self()?.ruleset)
}
