//! Giving up every capability, in every set, for good.

use rustix::process::Pid;
use rustix::thread::CapabilitiesSecureBits;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;

/// The same as far as it can be done without the right to change bounds, which a pod's containers do not have, and where the kernel does
/// not know the bits, as gVisor's. What is left in the bounding set then is out of reach with `no_new_privs`, without which this is not
/// enough.
pub(crate) fn give_up() -> rustix::io::Result<()> {
    drop_all().or_else(|_| set_none())
}

/// Empties the bounding, ambient, inheritable, permitted and effective sets of this thread, and locks the bits by which
/// id 0 would gain them again.
pub(crate) fn drop_all() -> rustix::io::Result<()> {
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits)?;
    rustix::thread::clear_ambient_capability_set()?;
    for number in 0..64 {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << number,
        )) {
            Ok(()) => {}
            // The first number this kernel does not know.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    set_none()
}

fn set_none() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None::<Pid>,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )
}
