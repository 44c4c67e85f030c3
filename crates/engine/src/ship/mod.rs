//! Ship: images to and from registries and other tools; trust before use.
//!
//! ```text
//! key       files of keys to sign with
//! ```

pub mod key;
