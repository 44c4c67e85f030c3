//! The proxy as a service for many sandboxes: what its configuration says, and what is in force of it.
//!
//! ```text
//!   config    proxy.toml as typed and checked; whoever writes such a file (`kube`) writes this type
//!   files     all that it names, read as a whole: certificate, identities, keys of providers
//!   service   served, looked at every second for changes, drained
//!   health    /healthz, /readyz, /metrics
//! ```
//!
//! **Guarantees**: what is in force was read whole and goes together. Files that change are in force within seconds, without a restart,
//! for who is connected as well; files that cannot be used change nothing, and that is told. **Refuses** TCP without TLS and identities.

pub mod config;
mod error;
pub mod files;
mod health;
mod service;
#[cfg(test)]
mod tests;

pub use self::config::ConfigError;
pub use self::config::LimitsFile;
pub use self::config::ListenAt;
pub use self::config::Pause;
pub use self::config::PolicyFile;
pub use self::config::ProxyFile;
pub use self::config::RouteFile;
pub use self::error::ServiceError;
pub use self::service::Checked;
pub use self::service::CheckedConnections;
pub use self::service::CheckedPolicy;
pub use self::service::CheckedRoute;
pub use self::service::Service;
pub use self::service::Told;
pub use self::service::check;
