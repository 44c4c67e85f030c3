//! What the two event loops (the relay inside, the proxy outside) are made of: a poller, ends of connections with and without TLS,
//! and pairs of them whose bytes are passed to each other.

pub(crate) mod end;
pub(crate) mod poll;
pub(crate) mod pump;
pub(crate) mod session;
