//! An image whose zstd layers are plain tars, for readers that know nothing newer.

use std::io;
use std::path::Path;

use pinfold_archive::codec::decoder;
use pinfold_base::Algorithm;
use pinfold_base::beside::BesideFolder;
use pinfold_base::digest::HashingWriter;

use crate::ImageError;
use crate::ImageSource;
use crate::blobs::unwrap_io;
use crate::layout::Layout;
use crate::model::Descriptor;
use crate::model::LayerEncoding;
use crate::model::Raw;
use crate::model::media;
use crate::recode::Over;
use crate::sink::Sink;
use crate::sink::copy;

/// Copies the image of a manifest to a sink, zstd layers as plain tars, which wait for their turn in a folder of their own below
/// `dir`. Says which manifest it has there.
pub(super) fn copy_plain(
    source: &ImageSource,
    root: &Descriptor,
    dir: &Path,
    sink: impl Sink,
) -> Result<Descriptor, ImageError> {
    let image = source.image_of(root)?;
    if image.layers.iter().all(|layer| layer.encoding != LayerEncoding::Zstd) {
        copy(source.blobs(), root, sink)?;
        return Ok(root.clone());
    }
    let dir = BesideFolder::within(dir)?;
    let made = Layout::create(dir.path())?;
    let mut manifest = image.manifest.value().clone();
    for (layer, descriptor) in image.layers.iter().zip(&mut manifest.layers) {
        if layer.encoding == LayerEncoding::Zstd {
            let size = unpack_layer(source, layer, &made)?;
            *descriptor = Descriptor {
                annotations: descriptor.annotations.clone(),
                ..Descriptor::new(media::OCI_LAYER, layer.diff_id.clone(), size)
            };
        }
    }
    let manifest = Raw::synthesize(manifest)?;
    made.put_document(&manifest)?;
    let root = Descriptor { platform: root.platform.clone(), ..manifest.descriptor() };
    copy(&Over { made: &made, below: source.blobs() }, &root, sink)?;
    Ok(root)
}

/// Stores the tar of a layer, checked against its diff_id, and says its size.
fn unpack_layer(
    source: &ImageSource,
    layer: &crate::source::ImageLayer,
    to: &Layout,
) -> Result<u64, ImageError> {
    let mut blob = source.open(&layer.descriptor)?;
    let mut file = to.temporary()?;
    let (_, digest, size) = {
        let mut hash = HashingWriter::new(Algorithm::Sha256, &mut file);
        io::copy(&mut decoder(layer.encoding.compression(), &mut blob)?, &mut hash).map_err(unwrap_io)?;
        hash.finish()
    };
    blob.finish()?;
    if digest != layer.diff_id {
        let what = "the tar of a layer".into();
        return Err(ImageError::WrongDigest { what, expected: layer.diff_id.clone(), actual: digest });
    }
    to.put_reader(file.reopen()?, &layer.diff_id, size)?;
    Ok(size)
}
