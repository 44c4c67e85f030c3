//! The pipeline, from what a person wrote to an image, and from an image to a sandbox. A library; it prints nothing.
//!
//! ```text
//! project   what was asked: manifest, recipes, lock          run    an agent's name and a directory → a sandbox's specification
//! consent   the user's word on what is asked: Agreed<Project>  keep   what is on the disk: images, room, the machine's fitness
//! worker    messages to a sealed worker and back          proxy     the way out of many sandboxes, as a service
//! kube      an agent's sandbox as objects of a cluster
//! build     resolve (what exists → lock), fetch, place,      ship   images to and from registries
//!           layers, compose: the file names are the pipeline  settings   what the user configured: whose images are trusted
//! ```
//!
//! **Guarantees**: each step is a function from value to value; only [`build::resolve`] asks registries what exists; [`build`]
//! gives the same bytes for the same lock and files.
#![forbid(unsafe_code)]

pub mod build;
pub mod consent;
pub mod context;
pub mod describe;
pub mod keep;
pub mod kube;
pub mod pem;
pub mod portable;
pub mod project;
pub mod proxy;
pub mod run;
pub mod service;
pub mod settings;
pub mod ship;
pub mod sources;
pub mod syntax;
pub mod verify;
pub mod worker;

/// The JSON schema of a type that people write.
pub fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
    schemars::SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}
