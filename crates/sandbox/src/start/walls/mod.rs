//! The walls that a process builds around itself and cannot leave: no capability, Landlock, the system-call filter, limits,
//! no descriptor but three. Each file puts up one; the order is [`super::spawn`]'s.

pub(crate) mod caps;
pub(crate) mod fds;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod seccomp;
