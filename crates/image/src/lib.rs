//! OCI images: their documents, their layers, the places they are kept in, and unpacking.
//!
//! **Guarantees**: documents are composed deterministically ([`compose`]) and kept with the bytes their digests are of
//! ([`model::Raw`]); what is read is verified against its digest while it is read; what is written appears whole or not at
//! all; unpacking never touches anything outside of its root ([`unpack`]).
//!
//! **Refuses**: what the specifications forbid and what their readers disagree about ([`model`], [`verify`]), hostile
//! layers ([`unpack`]), names that are none ([`reference`]).
#![forbid(unsafe_code)]

pub mod base;
pub mod blobs;
pub mod compose;
pub mod contents;
mod error;
pub mod export;
pub mod inspect;
#[cfg(test)]
mod interop;
mod json;
#[cfg(test)]
mod judges;
pub mod layout;
pub mod location;
#[cfg(test)]
mod memory;
pub mod model;
mod pass;
pub mod place;
pub mod plan;
pub mod portable;
pub mod recode;
pub mod reference;
pub mod registry;
pub mod sign;
pub mod sink;
pub mod source;
pub mod store;
pub mod survey;
pub mod trust;
pub mod unpack;
pub mod verify;
pub mod weight;

pub use base::Base;
pub use compose::ComposedImage;
pub use compose::LayerBlob;
pub use compose::RuntimeConfig;
pub use error::ImageError;
pub use location::Location;
pub use model::LayerEncoding;
pub use place::Place;
pub use plan::Assignment;
pub use plan::LayerPlan;
pub use reference::Reference;
pub use sink::Sink;
pub use source::Image;
pub use source::ImageSource;
pub use store::ImageStore;
pub use unpack::RootfsStore;
pub use unpack::UnpackError;
