//! The pipeline: manifest, recipe, lock, fetch, place, layers, compose, build. A library; it prints nothing.
//!
//! A build reads top to bottom:
//!
//! ```text
//! manifest   what was asked           resolve  what exists → lock      place    archives → one tree per platform
//! recipe     what agents bring along  fetch    lock → archives         compose  trees → layers → image → index
//! ```
//!
//! **Guarantees**: each step is a function from value to value; only [`resolve`] asks registries what exists; [`build`] gives
//! the same bytes for the same lock and files.
#![forbid(unsafe_code)]

pub mod build;
pub mod compose;
pub mod context;
pub mod doctor;
pub mod fetch;
pub mod gc;
pub mod images;
pub mod layers;
pub mod local;
pub mod lock;
pub mod manifest;
pub mod origins;
pub mod parallel;
pub mod place;
pub mod project;
pub mod recipe;
pub mod resolve;
pub mod run;

/// The JSON schema of a type that people write.
pub fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
    schemars::SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}
