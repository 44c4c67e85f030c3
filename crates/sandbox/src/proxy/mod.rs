//! The way out: an allow-listed proxy owned by the supervisor, and routes that add credentials.
//!
//! ```text
//!        inside the sandbox (no interface but loopback)   │   the supervisor
//!                                                         │
//!   agent ─► 127.0.0.1:3128 ─┐                            │            ┌─► allow-list ─► resolve, check ─► dial
//!   agent ─► 127.0.0.1:3129 ─┴─ relay ─► one Unix socket ─┼─► server ──┤
//!                                                         │            └─► route: key added, TLS to the provider
//! ```
#![forbid(unsafe_code)]

pub mod address;
pub mod body;
pub mod dial;
mod exchange;
pub mod head;
pub mod hello;
pub mod host;
mod job;
pub mod journal;
mod poll;
mod pool;
mod pump;
mod redact;
pub mod relay;
pub mod route;
pub mod rules;
pub mod secret;
mod serve;
pub mod server;
#[cfg(test)]
mod tests;

pub use dial::DialError;
pub use dial::Dialer;
pub use dial::LoopbackForTests;
pub use dial::Resolve;
pub use host::Host;
pub use host::HostError;
pub use host::Target;
pub use relay::Listen;
pub use relay::Relay;
pub use relay::RelayError;
pub use relay::RelayLimits;
pub use relay::RelayStop;
pub use relay::RouteId;
pub use relay::environment;
pub use relay::raise_open_files;
pub use route::BaseUrl;
pub use route::KeyHeader;
pub use route::RouteError;
pub use route::RouteReach;
pub use route::RouteSpec;
pub use rules::Decision;
pub use rules::Policy;
pub use rules::Rule;
pub use rules::RuleError;
pub use secret::Credential;
pub use secret::CredentialError;
pub use secret::Secret;
pub use server::JournalConfig;
pub use server::Proxy;
pub use server::ProxyConfig;
pub use server::ProxyError;
pub use server::ProxyHandle;
pub use server::ProxyLimits;
pub use server::Trust;
