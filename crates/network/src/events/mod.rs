//! What the two event loops (the relay inside, the proxy outside) are made of: a poller, and pairs of sockets whose bytes
//! are passed to each other.

pub(crate) mod poll;
pub(crate) mod pump;
