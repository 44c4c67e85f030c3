//! What tests need from the outside world, in their own process: an HTTP server that misbehaves on request, an npm registry, a
//! signed Debian archive, a Nix binary cache, tars that are wrong on purpose, and a machine to run the program on.

pub mod cut;
pub mod debian;
pub mod docker_registry;
pub mod http;
pub mod machine;
pub mod model;
pub mod nix;
pub mod npm;
pub mod openpgp;
pub mod raw_tar;
pub mod registry;
pub mod sample;
pub mod tar;
pub mod tokens;
