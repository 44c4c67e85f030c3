//! The proxy as a service for many sandboxes: what its configuration says, and what is in force of it.
//!
//! ```text
//!   config   proxy.toml as typed and checked; whoever writes such a file (`kube`) writes this type
//! ```

pub mod config;

pub use self::config::ConfigError;
pub use self::config::LimitsFile;
pub use self::config::ListenAt;
pub use self::config::Pause;
pub use self::config::PolicyFile;
pub use self::config::ProxyFile;
pub use self::config::RouteFile;
