//! What tests need from the outside world, in their own process: an HTTP server that misbehaves on request, an npm registry.

pub mod http;
pub mod npm;
