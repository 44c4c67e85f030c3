//! The way out of a sandbox, and nothing of the sandbox: an allow-listed proxy that the supervisor owns, routes that add a
//! key on the way, and the relay inside that leads to both.
//!
//! ```text
//!        inside the sandbox (no interface but loopback)   │   the supervisor
//!                                                         │
//!   agent ─► 127.0.0.1:3128 ─┐                            │            ┌─► allow-list ─► resolve, check ─► dial
//!   agent ─► 127.0.0.1:3129 ─┼─ relay ─► one Unix socket ─┼─► serve ───┤
//!   agent ─► /run/…/x.sock ──┘                            │            └─► route: key added, TLS to the provider
//!
//!   rules    which hosts and ports                 wire     heads, chunks and the TLS hello, read strictly from bytes
//!   dial     name ─► checked address ─► connection serve    the proxy: event loop, jobs, exchanges, journal
//!   route    one provider behind a loopback port   relay    the only listener inside
//!   secret   the key: where from, never shown      events   what the two event loops are made of
//!   identity tokens of sandboxes, and their list   tls      between a relay and a proxy that serves many
//! ```
//!
//! **Guarantees**: what cannot be read, decided, recorded or reached is refused with a reason. A connection is made to an
//! address that was checked, never to a name. A key is in no error, no log and no answer, and leaves for its provider only.
//! Memory and threads are bounded whatever the inside does.
//!
//! **Refuses** what two parsers might read differently: there is one spelling of everything on the wire, and what goes on
//! is written anew. Addresses of this machine and of its private networks are reached only where the user configured them.
//!
//! Knows nothing of namespaces, mounts or images, and imports only `base`. Whoever starts a sandbox hands [`Proxy`] a
//! socket's path and [`Relay`] the same path as seen from inside.
#![forbid(unsafe_code)]

pub mod dial;
mod events;
pub mod identity;
pub mod relay;
pub mod route;
pub mod rules;
pub mod secret;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod wire;

pub use dial::DialError;
pub use dial::Dialer;
pub use dial::LoopbackForTests;
pub use dial::Resolve;
pub use identity::Identities;
pub use identity::Identity;
pub use identity::IdentityError;
pub use identity::Token;
pub use identity::TokenError;
pub use identity::TokenHash;
pub use relay::Endpoint;
pub use relay::Listen;
pub use relay::ProveError;
pub use relay::Relay;
pub use relay::RelayError;
pub use relay::RelayLimits;
pub use relay::RelayStop;
pub use relay::RouteId;
pub use relay::Upstream;
pub use relay::connections_within_limit;
pub use relay::environment;
pub use relay::raise_open_files;
pub use relay::runtime_environment;
pub use route::BaseUrl;
pub use route::Escape;
pub use route::HeaderName;
pub use route::KeyHeader;
pub use route::MediaType;
pub use route::Method;
pub use route::QueryParameter;
pub use route::RequestRules;
pub use route::RouteAddresses;
pub use route::RouteError;
pub use route::RouteSpec;
pub use rules::AllowList;
pub use rules::Decision;
pub use rules::Rule;
pub use rules::RuleError;
pub use secret::Credential;
pub use secret::CredentialError;
pub use secret::HeldCommand;
pub use secret::HeldFile;
pub use secret::OwnError;
pub use secret::Place;
pub use secret::Secret;
pub use secret::Surroundings;
pub use secret::read_own;
pub use serve::Figures;
pub use serve::InForce;
pub use serve::InForceError;
pub use serve::JournalConfig;
pub use serve::JournalTo;
pub use serve::PolicyFigures;
pub use serve::PolicySpec;
pub use serve::Proxy;
pub use serve::ProxyConfig;
pub use serve::ProxyError;
pub use serve::ProxyHandle;
pub use serve::ProxyLimits;
pub use serve::ResultFigures;
pub use serve::ServiceConfig;
pub use serve::Trust;
pub use serve::refused::Refusals;
pub use serve::refused::Refused;
pub use tls::ServerTls;
pub use tls::TlsError;
