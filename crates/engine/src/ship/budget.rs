//! What an image may weigh before it is sent.
//!
//! **Guarantees**: what is weighed is what a registry's manifest lists: the compressed layers of each platform. Manifests are read,
//! layers are not.
//! **Refuses**: an image with a platform that weighs more, and says of the heaviest one which layers weigh most and what is in them.

use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::blobs::read_document;
use pinfold_image::model::Descriptor;
use pinfold_image::model::Manifest;
use pinfold_image::model::Raw;
use pinfold_image::sink::is_manifest;
use pinfold_image::sink::parts;
use pinfold_image::weight;
use pinfold_image::weight::Over;

use super::error::ShipError;

/// What a platform may weigh where nobody says: 700 MiB.
pub const DEFAULT: u64 = 700 << 20;

/// Fails when a platform of the image behind `root` weighs more than `budget` bytes.
pub fn check(source: &ImageSource, root: &Descriptor, budget: u64) -> Result<(), ShipError> {
    let mut heaviest: Option<(String, Over)> = None;
    for (platform, descriptor) in manifests(source, root)? {
        let manifest: Raw<Manifest> = read_document(source.blobs(), &descriptor)?;
        let layers = manifest.value().layers.iter().map(weight::of_layer);
        // What lets the heaviest go lets all go.
        if let Some(over) = Over::of(layers, budget)
            && heaviest.as_ref().is_none_or(|(_, known)| known.size < over.size)
        {
            heaviest = Some((platform, over));
        }
    }
    match heaviest {
        Some((platform, over)) => Err(ShipError::OverBudget { platform, over }),
        None => Ok(()),
    }
}

/// The manifests of images below a document, each with what it is for.
fn manifests(source: &ImageSource, root: &Descriptor) -> Result<Vec<(String, Descriptor)>, ImageError> {
    let named = |manifest: Descriptor| {
        let platform = manifest.platform.as_ref().map(|platform| match &platform.variant {
            Some(variant) if platform.architecture != "arm64" => {
                format!("{}/{}/{variant}", platform.os, platform.architecture)
            }
            _ => format!("{}/{}", platform.os, platform.architecture),
        });
        (platform.unwrap_or_else(|| source.name().to_owned()), manifest)
    };
    Ok(parts(source.blobs(), root)?.into_iter().filter(is_manifest).map(named).collect())
}

#[cfg(test)]
mod tests;
