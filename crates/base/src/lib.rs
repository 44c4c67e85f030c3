//! Words everybody uses: digests, platforms, paths inside images, the content store, HTTP, progress, errors, text from outside.
//!
//! **Guarantees**: nothing here knows a package format, a registry or a policy. Values are small and comparable; the only
//! parts that touch the outside are [`store`] (files below one folder), [`file`] (one to be read) and [`http`] (the network, when asked).
//!
//! **Refuses**: paths that could leave an image ([`image_path`]), bytes that do not match their digest ([`store`]),
//! answers longer than announced ([`http`]).
#![forbid(unsafe_code)]

pub mod address;
pub mod authority;
pub mod beside;
pub mod digest;
pub mod directory;
pub mod error;
pub mod file;
pub mod home;
pub mod http;
pub mod image_path;
pub mod platform;
pub mod report;
pub mod socket;
pub mod store;
pub mod text;
pub mod time;
pub mod units;
pub mod yaml;

pub use digest::Algorithm;
pub use digest::Digest;
pub use digest::Hasher;
pub use error::Diagnose;
pub use error::Diagnosis;
pub use error::Kind;
pub use home::Home;
pub use home::private_folder;
pub use image_path::ImagePath;
pub use platform::Arch;
pub use platform::Platform;
pub use report::Reporter;
pub use store::Store;
pub use text::Shown;
