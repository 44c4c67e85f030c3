//! Making such a file.

use std::fmt::Write as _;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use pinfold_archive::elf::extend;
use pinfold_archive::elf::extend::Section;
use pinfold_archive::squashfs::Entry;
use pinfold_archive::squashfs::Place;
use pinfold_archive::squashfs::Plan;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::digest::HashingWriter;

use super::FORMAT;
use super::INDEX;
use super::Index;
use super::IndexFile;
use super::IndexRecord;
use super::LAYOUT;
use super::MAGIC;
use super::MAGIC_AT;
use super::MULTIPLE;
use super::PortableError;
use super::ProgramRecord;
use super::RECORD;
use super::RECORD_SIZE;
use super::Record;
use super::SIGNATURE;
use super::UPDATES;
use super::appdir;
use crate::Image;
use crate::ImageError;
use crate::blobs::Blobs;
use crate::blobs::open_verified;
use crate::blobs::unwrap_io;
use crate::blobs::wrap;
use crate::json;
use crate::layout::INDEX_NAME;
use crate::layout::LAYOUT_FILE;
use crate::layout::LAYOUT_NAME;
use crate::model::Descriptor;
use crate::model::Raw;
use crate::model::media::OCI_MANIFEST;

/// What a file says of itself beside its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it is called: in menus, in help, and as the image's name in its layout.
    pub name: String,
    /// What the image runs on.
    pub platform: Platform,
    /// The agents in it, the one that is meant unless another is named first.
    pub agents: Vec<String>,
    /// Bytes of the image unpacked, about.
    pub unpacked: u64,
    /// Where updates are, as the AppImage specification words it.
    pub updates: String,
}

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its SHA-256.
    pub digest: Digest,
    /// Bytes of it.
    pub size: u64,
    /// Bytes of the program in it.
    pub program: u64,
}

/// What a file of it is made of.
pub(super) enum Source {
    Bytes(Vec<u8>),
    Blob(Descriptor),
    /// The program, where it is a file of its own.
    Program,
}

/// A file's name, permission bits, and what it is made of.
pub(super) type NamedSource = (String, u16, Source);

/// Writes the file that is `image` with `program` before it.
pub fn pack(
    program: &mut (impl Read + Seek),
    blobs: &dyn Blobs,
    image: &Image,
    about: &About,
    out: impl Write,
) -> Result<Packed, ImageError> {
    let refused = |reason: String| PortableError::Program { program: about.name.clone(), reason };
    let of_program = |error| match error {
        extend::ExtendError::Io(error) => ImageError::from(error),
        extend::ExtendError::Program(reason) => refused(reason.into()).into(),
    };
    let (plan, sources, index) = inside(image, about)?;
    let before = described(program)?;
    let squashfs = plan.length().map_err(|error| refused(error.to_string()))?;
    let record = Record { format: FORMAT, program: before, squashfs, index };
    let mut record = json::write("the record", &record)?;
    if record.len() > RECORD_SIZE {
        let (size, limit) = (record.len(), RECORD_SIZE);
        return Err(PortableError::Long { what: "the record", size, limit }.into());
    }
    record.resize(RECORD_SIZE, 0);
    let mut updates = about.updates.clone().into_bytes();
    // It ends with a zero, as in the reference implementation.
    if updates.len() >= UPDATES.1 {
        let (size, limit) = (updates.len(), UPDATES.1 - 1);
        return Err(PortableError::Long { what: "where updates are", size, limit }.into());
    }
    updates.resize(UPDATES.1, 0);
    let sections = [
        Section { name: UPDATES.0, bytes: &updates },
        Section { name: SIGNATURE.0, bytes: &[0; SIGNATURE.1] },
        Section { name: RECORD, bytes: &record },
    ];
    let extended = extend::extend(program, &sections, MULTIPLE).map_err(of_program)?;
    let mut header = extended.header;
    let magic = usize::try_from(MAGIC_AT).unwrap_or_default();
    header[magic..magic + MAGIC.len()].copy_from_slice(&MAGIC);
    let mut out = HashingWriter::new(Algorithm::Sha256, out);
    out.write_all(&header)?;
    program.seek(SeekFrom::Start(header.len() as u64))?;
    io::copy(&mut program.take(extended.length - header.len() as u64), &mut out)?;
    out.write_all(&extended.behind)?;
    let padded = plan.write(&mut out, |path| {
        let found = sources.iter().find(|(known, _)| known == path);
        Ok(match found.map(|(_, source)| source) {
            Some(Source::Bytes(bytes)) => Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read>,
            Some(Source::Blob(blob)) => Box::new(open_verified(blobs, blob).map_err(wrap)?),
            Some(Source::Program) | None => Box::new(io::empty()),
        })
    });
    padded.map_err(|error| match error {
        pinfold_archive::squashfs::SquashfsError::Io(error) => unwrap_io(error),
        error => refused(error.to_string()).into(),
    })?;
    out.flush()?;
    let (_, digest, size) = out.finish();
    Ok(Packed { digest, size, program: extended.size() })
}

/// The program as it is.
pub(super) fn described(program: &mut (impl Read + Seek)) -> Result<ProgramRecord, ImageError> {
    let mut header = [0; extend::HEADER];
    program.rewind()?;
    let mut known = 0;
    while known < header.len() {
        match program.read(&mut header[known..])? {
            0 => break,
            n => known += n,
        }
    }
    program.rewind()?;
    let mut out = HashingWriter::new(Algorithm::Sha256, io::sink());
    io::copy(program, &mut out)?;
    let (_, digest, size) = out.finish();
    let mut digits = String::new();
    for byte in &header[..known] {
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(ProgramRecord { size, digest, header: digits })
}

type Inside = (Plan, Vec<(ImagePath, Source)>, IndexRecord);

/// The image's layout, in order: its small files, the documents, the layers; with the descriptor of its manifest.
pub(super) fn layout(image: &Image, about: &About) -> Result<(Descriptor, Vec<NamedSource>), ImageError> {
    let manifest = &image.manifest;
    let media_type = manifest.value().media_type.as_deref().unwrap_or(OCI_MANIFEST);
    let mut root = Descriptor::new(media_type, manifest.digest().clone(), manifest.bytes().len() as u64);
    root.platform = Some(about.platform.into());
    let mut named = root.clone();
    named.annotations.insert("org.opencontainers.image.ref.name".into(), about.name.clone());
    let layout = Raw::compose(crate::model::Index::new(vec![named]))?;
    let mut sources: Vec<NamedSource> = vec![
        (format!("{LAYOUT}/{LAYOUT_NAME}"), 0o644, Source::Bytes(LAYOUT_FILE.to_vec())),
        (format!("{LAYOUT}/{INDEX_NAME}"), 0o644, Source::Bytes(layout.bytes().to_vec())),
    ];
    let config = manifest.value().config.clone();
    let layers = image.layers.iter().map(|layer| layer.descriptor.clone());
    for blob in [root.clone(), config].into_iter().chain(layers) {
        let name = format!("{LAYOUT}/blobs/{}/{}", blob.digest.algorithm().name(), blob.digest.hex());
        // A layer may be there twice.
        if sources.iter().all(|(known, ..)| *known != name) {
            sources.push((name, 0o444, Source::Blob(blob)));
        }
    }
    Ok((root, sources))
}

/// What the squashfs holds, in order: small files, blobs, the index, which says where all of them are.
fn inside(image: &Image, about: &About) -> Result<Inside, ImageError> {
    let (root, layout) = layout(image, about)?;
    let mut sources: Vec<NamedSource> = Vec::new();
    for (name, mode, bytes) in appdir::files(about)? {
        sources.push((name, mode, Source::Bytes(bytes)));
    }
    sources.extend(layout);
    let mut plan = Plan::new();
    let mut add = |name: &str, mode: u16, size: u64| -> Result<(ImagePath, Place), ImageError> {
        let wrong = |reason: String| PortableError::Program { program: name.to_owned(), reason };
        let path = ImagePath::new(name).map_err(|error| wrong(error.to_string()))?;
        plan.add(&path, Entry::File { size, mode }).map_err(|error| wrong(error.to_string()))?;
        let place = plan.place(&path).unwrap_or(Place { offset: 0, size });
        Ok((path, place))
    };
    let (mut contents, mut files) = (Vec::new(), Vec::new());
    for (name, mode, source) in sources {
        let size = match &source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Blob(blob) => blob.size,
            Source::Program => 0,
        };
        let (path, place) = add(&name, mode, size)?;
        files.push(IndexFile { path: path.to_string(), offset: place.offset, size, mode });
        contents.push((path, source));
    }
    let About { name, platform, agents, unpacked, .. } = about.clone();
    let index = Index { format: FORMAT, name, image: root, platform, agents, unpacked, program: None, files };
    let bytes = json::write("the index", &index)?;
    let (path, place) = add(INDEX, 0o644, bytes.len() as u64)?;
    let record = IndexRecord { offset: place.offset, size: place.size, digest: Digest::sha256(&bytes) };
    contents.push((path, Source::Bytes(bytes)));
    Ok((plan, contents, record))
}
