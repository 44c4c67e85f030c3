//! What the fuzz targets do with their bytes: one function each, called by `fuzz/fuzz_targets/NAME.rs` with bytes that a fuzzer makes
//! up, and by an ordinary test with the seeds in `fuzz/seeds/NAME`. (`fuzz` is a workspace of its own, since it needs another
//! compiler; so they live here, where both can call them.)
//!
//! **Guarantees**: a function returns, or panics because a promise of the code under it was broken. A finding becomes a seed.
#![forbid(unsafe_code)]

mod address;
mod ar;
mod blocks;
mod elf;
mod escape;
mod identity;
mod image;
mod index;
mod inflate;
mod kube_judge;
mod layer;
mod nar;
mod nix;
mod npmrc;
mod packument;
mod pattern;
mod planner;
mod pod;
mod project;
mod proxy_greeting;
mod proxy_head;
mod proxy_hello;
mod proxy_identity;
mod proxy_redact;
mod proxy_relay;
mod proxy_route;
mod proxy_rules;
mod queue;
mod registry;
mod script;
mod secrets;
mod settings;
mod shown;
mod shrinkwrap;
mod signed;
mod stanza;
mod structure;
mod tar;
mod worker_stream;
mod zip;

pub use address::address;
pub use ar::ar;
pub use blocks::blocks;
pub use elf::elf;
pub use escape::escape;
pub use identity::identity;
pub use image::unpack;
pub use index::index;
pub use inflate::inflate;
pub use kube_judge::kube_judge;
pub use layer::layer;
pub use nar::nar;
pub use nix::narinfo;
pub use nix::nixconf;
pub use nix::nixlist;
pub use nix::nixnames;
pub use npmrc::npmrc;
pub use packument::packument;
pub use pattern::pattern;
pub use planner::planner;
pub use pod::pod;
pub use project::lock;
pub use project::manifest;
pub use project::recipe;
pub use project::words;
pub use proxy_greeting::proxy_greeting;
pub use proxy_head::proxy_head;
pub use proxy_hello::proxy_hello;
pub use proxy_identity::proxy_identity;
pub use proxy_redact::proxy_redact;
pub use proxy_relay::proxy_relay;
pub use proxy_route::proxy_route;
pub use proxy_rules::proxy_rules;
pub use queue::queue;
pub use registry::bundle;
pub use registry::challenge;
pub use registry::document;
pub use registry::logins;
pub use script::script;
pub use secrets::secrets;
pub use settings::settings;
pub use shown::shown;
pub use shrinkwrap::shrinkwrap;
pub use signed::signed;
pub use stanza::stanza;
pub use structure::structure;
pub use tar::tar;
pub use worker_stream::worker_stream;
pub use zip::zip;

/// A target: its name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("address", address),
    ("ar", ar),
    ("blocks", blocks),
    ("bundle", bundle),
    ("challenge", challenge),
    ("document", document),
    ("elf", elf),
    ("escape", escape),
    ("identity", identity),
    ("index", index),
    ("inflate", inflate),
    ("kube_judge", kube_judge),
    ("layer", layer),
    ("lock", lock),
    ("logins", logins),
    ("manifest", manifest),
    ("nar", nar),
    ("narinfo", narinfo),
    ("nixconf", nixconf),
    ("nixlist", nixlist),
    ("nixnames", nixnames),
    ("npmrc", npmrc),
    ("packument", packument),
    ("pattern", pattern),
    ("planner", planner),
    ("pod", pod),
    ("proxy_greeting", proxy_greeting),
    ("proxy_head", proxy_head),
    ("proxy_hello", proxy_hello),
    ("proxy_identity", proxy_identity),
    ("proxy_redact", proxy_redact),
    ("proxy_relay", proxy_relay),
    ("proxy_route", proxy_route),
    ("proxy_rules", proxy_rules),
    ("queue", queue),
    ("recipe", recipe),
    ("script", script),
    ("secrets", secrets),
    ("settings", settings),
    ("shown", shown),
    ("shrinkwrap", shrinkwrap),
    ("signed", signed),
    ("stanza", stanza),
    ("structure", structure),
    ("tar", tar),
    ("unpack", unpack),
    ("words", words),
    ("worker_stream", worker_stream),
    ("zip", zip),
];
