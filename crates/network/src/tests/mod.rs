//! The proxy as a sandbox sees it: relay, socket, server and upstream servers in one process, on loopback.
//!
//! Functions are named after the rows of the isolation test list they are for (`n6_…`, `s3_…`).

mod network;
mod secrets;
mod service;
pub(crate) mod world;
