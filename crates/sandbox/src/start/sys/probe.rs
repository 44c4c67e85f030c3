//! Questions to the kernel that can only be asked by trying.

use rustix::io::Errno;

use super::check;

/// Landlock's ABI number.
pub(crate) fn landlock_abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1; // LANDLOCK_CREATE_RULESET_VERSION
    // SAFETY: with the version flag the kernel demands a null pointer and size 0, and reads no memory.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    check(abi).ok().and_then(|abi| u32::try_from(abi).ok()).filter(|abi| *abi > 0)
}

/// Makes a user namespace with a mount namespace in it, in a child that ends at once. Both are needed: where AppArmor
/// restricts user namespaces, the first succeeds and the second does not.
pub(crate) fn try_user_namespace() -> Result<(), Errno> {
    let flags = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::SIGCHLD).cast_unsigned();
    // SAFETY: without CLONE_VM and without a stack the call behaves as fork; the child calls nothing but `_exit`, which is
    // allowed whatever other threads held at the time.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::c_ulong::from(flags), 0, 0, 0, 0) };
    match check(pid)? {
        // SAFETY: ends the child without running any of the parent's destructors.
        0 => unsafe { libc::_exit(0) },
        pid => {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or(Errno::SRCH)?;
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            Ok(())
        }
    }
}
