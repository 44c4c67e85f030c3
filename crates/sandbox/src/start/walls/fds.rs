//! Only 0, 1 and 2 reach the program.

/// Marks everything above 2 to be closed when the program is executed. The program inherits what its supervisor was given
/// as standard streams, and nothing else (CVE-2024-21626).
pub(crate) fn keep_standard_streams() -> rustix::io::Result<()> {
    crate::start::sys::close_on_exec_from(3)
}
