//! A directory in a tar that is an agent in its sandbox: made, and held to what it should be.
//!
//! ```text
//! NAME/  NAME/pinfold.json  NAME/run.sh  NAME/pinfold  NAME/oci/oci-layout  NAME/oci/index.json  NAME/oci/blobs/sha256/HEX…
//! ```
//!
//! The documents of the image come before its layers. Places in the index count from its own end, so that they do not depend on how
//! long it is.
//!
//! **Guarantees**: equal programs, images and words give equal bytes; nothing is held in memory but names and documents.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::num::NonZeroUsize;

use pinfold_archive::encode::Encoded;
use pinfold_archive::encode::Encoding;
use pinfold_archive::tar::BLOCK;
use pinfold_archive::tar::Piece;
use pinfold_archive::tar::TarError;
use pinfold_archive::tar::write;
use pinfold_base::Digest;

use super::About;
use super::FORMAT;
use super::INDEX;
use super::Index;
use super::IndexFile;
use super::IndexProgram;
use super::LAYOUT;
use super::Packed;
use super::PortableError;
use super::appdir::is_name;
use super::pack::NamedSource;
use super::pack::Source;
use super::pack::described;
use super::pack::layout;
use crate::Image;
use crate::ImageError;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::open_verified;
use crate::blobs::unwrap_io;
use crate::blobs::wrap;
use crate::json;
use crate::model::Descriptor;
use crate::model::LayerEncoding;
use crate::recode::PIECE;
use crate::recode::compress_pieces;

/// The program's file.
pub(super) const PROGRAM: &str = "pinfold";
/// What starts it.
const RUN: &str = "run.sh";
/// All that is in the directory.
pub const FOLDER: [&str; 4] = [RUN, PROGRAM, INDEX, LAYOUT];

/// Starts the program beside it, whatever links lead to it and whatever bytes are in their names: `x` behind what a command prints
/// keeps newlines at the end of a name.
const SCRIPT: &str = r#"#!/bin/sh
self=$0
case $self in /*) ;; *) self=./$self ;; esac
while [ -L "$self" ]; do
  to=$(readlink -- "$self" && echo x) || exit 126
  to=${to%?x}
  case $to in /*) self=$to ;; *) self=${self%/*}/$to ;; esac
done
here=$(cd -P -- "${self%/*}/" && pwd -P && echo x) || exit 126
here=${here%?x}
exec "${here%/}/pinfold" portable "$here" --as="${0##*/}" -- "$@"
"#;

/// A tar that is all decided, and not written.
pub(super) struct Tarball {
    members: Vec<Member>,
}

struct Member {
    header: Vec<u8>,
    /// Below NAME, with a slash behind a directory's.
    path: String,
    size: u64,
    source: Source,
}

impl Member {
    fn padding(&self) -> u64 {
        self.size.next_multiple_of(BLOCK as u64) - self.size
    }

    /// Bytes of it in the tar.
    fn length(&self) -> u64 {
        self.header.len() as u64 + self.size + self.padding()
    }
}

impl Tarball {
    /// Of an image and a program.
    pub(super) fn plan(image: &Image, about: &About, program: &IndexProgram) -> Result<Self, ImageError> {
        let (root, layout) = layout(image, about)?;
        let script = Source::Bytes(SCRIPT.into());
        let first = [(RUN.to_owned(), 0o755, script), (PROGRAM.to_owned(), 0o755, Source::Program)];
        Self::of(about, root, first.into_iter().chain(layout), program)
    }

    fn of(
        about: &About,
        root: Descriptor,
        sources: impl Iterator<Item = NamedSource>,
        program: &IndexProgram,
    ) -> Result<Self, ImageError> {
        let About { name, platform, agents, unpacked, .. } = about.clone();
        let refused = |reason: &str| PortableError::Program { program: name.clone(), reason: reason.into() };
        if !is_name(&name) {
            return Err(refused("its name is not of letters, digits, `-` and `_`").into());
        }
        let member = |path: String, mode: u16, source: Source| {
            let size = match &source {
                Source::Bytes(bytes) => bytes.len() as u64,
                Source::Blob(blob) => blob.size,
                Source::Program => program.size,
            };
            let header = write::member_of_mode(format!("{name}/{path}").as_bytes(), mode.into(), size);
            header.map(|header| Member { header, path, size, source }).map_err(refused)
        };
        let folder = |path: String| member(path, 0o755, Source::Bytes(Vec::new()));
        let (mut members, mut files, mut at) = (Vec::<Member>::new(), Vec::new(), 0);
        for (path, mode, source) in sources {
            for (end, _) in path.match_indices('/') {
                let above = &path[..=end];
                if members.iter().all(|member| member.path != above) {
                    let folder = folder(above.into())?;
                    at += folder.length();
                    members.push(folder);
                }
            }
            let member = member(path, mode, source)?;
            let offset = at + member.header.len() as u64;
            files.push(IndexFile { path: format!("/{}", member.path), offset, size: member.size, mode });
            at += member.length();
            members.push(member);
        }
        let program = Some(program.clone());
        let index = Index {
            format: FORMAT,
            name: name.clone(),
            image: root,
            platform,
            agents,
            unpacked,
            program,
            files,
        };
        let index = member(INDEX.into(), 0o644, Source::Bytes(json::write("the index", &index)?))?;
        members.splice(0..0, [folder(String::new())?, index]);
        Ok(Self { members })
    }

    /// Its bytes, made of what `blobs` has and of the program; what is read is verified.
    pub(super) fn read<'a>(
        &'a self,
        blobs: &'a dyn Blobs,
        program: VerifiedReader<impl Read + 'a>,
    ) -> impl Read + 'a {
        self.rolled(blobs, program)
    }

    /// The same in some encoding. A gzip stores what is compressed already: it would take a second for each 100 MB, and gain nothing.
    pub(super) fn compressed(
        &self,
        blobs: &dyn Blobs,
        program: VerifiedReader<impl Read>,
        how: (&Encoding, NonZeroUsize),
        out: impl Write + Send,
    ) -> Result<Encoded, ImageError> {
        compress_pieces(self.rolled(blobs, program), how, out)
    }

    fn rolled<'a>(&'a self, blobs: &'a dyn Blobs, program: VerifiedReader<impl Read + 'a>) -> Rolled<'a> {
        Rolled {
            members: self.members.iter(),
            blobs,
            program: Some(Box::new(program)),
            current: Stretch::plain(io::empty()),
            next: VecDeque::new(),
            is_ended: false,
        }
    }

    /// Holds a tar to it, read once: what is wrong, if something is.
    pub(super) fn difference(
        &self,
        tar: impl Read,
        program: &IndexProgram,
    ) -> Result<Option<String>, ImageError> {
        let mut tar = BufReader::with_capacity(1 << 20, tar);
        for member in &self.members {
            let is_right = same(&mut tar, &member.header)?
                && match &member.source {
                    Source::Bytes(bytes) => same(&mut tar, bytes)?,
                    Source::Blob(blob) => has_digest(&mut tar, &blob.digest, blob.size)?,
                    Source::Program => has_digest(&mut tar, &program.digest, program.size)?,
                }
                && same(&mut tar, &[0; BLOCK][..usize::try_from(member.padding()).unwrap_or_default()])?;
            if !is_right {
                return Ok(Some(format!("`{}` in it is not what it should be", member.path)));
            }
        }
        if !same(&mut tar, &write::END)? || tar.read(&mut [0]).map_err(unwrap_io)? != 0 {
            return Ok(Some("it does not end where it should".into()));
        }
        Ok(None)
    }

    /// All that is in it, by the paths below NAME; directories without a slash.
    pub(super) fn paths(&self) -> BTreeSet<&str> {
        self.members.iter().map(|member| member.path.trim_end_matches('/')).collect()
    }

    /// Its small files, by their paths below NAME.
    pub(super) fn small(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.members.iter().filter(|member| !member.path.ends_with('/')).filter_map(|member| {
            match &member.source {
                Source::Bytes(bytes) if !member.path.is_empty() => Some((&*member.path, &**bytes)),
                _ => None,
            }
        })
    }
}

/// Whether the next bytes of a stream are these.
fn same(tar: &mut impl Read, expected: &[u8]) -> Result<bool, ImageError> {
    let mut bytes = Vec::new();
    tar.take(expected.len() as u64).read_to_end(&mut bytes).map_err(unwrap_io)?;
    Ok(bytes == expected)
}

/// Whether so many next bytes of a stream have this digest.
fn has_digest(tar: &mut impl Read, digest: &Digest, size: u64) -> Result<bool, ImageError> {
    match VerifiedReader::new(tar.take(size), digest.clone(), size).finish() {
        Ok(()) => Ok(true),
        Err(ImageError::WrongDigest { .. } | ImageError::WrongSize { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is read of a tar next.
struct Stretch<'a> {
    reader: Box<dyn Read + 'a>,
    /// Whether it is compressed already.
    density: Density,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Density {
    Plain,
    Compressed,
}

impl<'a> Stretch<'a> {
    fn plain(reader: impl Read + 'a) -> Self {
        Self { reader: Box::new(reader), density: Density::Plain }
    }
}

/// A tar, stretch by stretch.
struct Rolled<'a> {
    members: std::slice::Iter<'a, Member>,
    blobs: &'a dyn Blobs,
    program: Option<Box<dyn Read + 'a>>,
    current: Stretch<'a>,
    /// What comes behind it.
    next: VecDeque<Stretch<'a>>,
    is_ended: bool,
}

impl<'a> Rolled<'a> {
    /// Goes on to the next stretch, if there is one.
    fn advance(&mut self) -> Result<bool, ImageError> {
        if let Some(next) = self.next.pop_front() {
            self.current = next;
            return Ok(true);
        }
        let Some(member) = self.members.next() else {
            let is_new = !std::mem::replace(&mut self.is_ended, true);
            self.current = Stretch::plain(io::Cursor::new(write::END));
            return Ok(is_new);
        };
        let content: Stretch<'a> = match &member.source {
            Source::Bytes(bytes) => Stretch::plain(&bytes[..]),
            Source::Blob(blob) => {
                let reader = Box::new(open_verified(self.blobs, blob)?);
                let is_plain = matches!(LayerEncoding::of(&blob.media_type), None | Some(LayerEncoding::Tar));
                let density = if is_plain { Density::Plain } else { Density::Compressed };
                Stretch { reader, density }
            }
            Source::Program => Stretch::plain(self.program.take().unwrap_or_else(|| Box::new(io::empty()))),
        };
        self.current = Stretch::plain(&member.header[..]);
        self.next.extend([content, Stretch::plain(io::repeat(0).take(member.padding()))]);
        Ok(true)
    }

    /// The next bytes, and whether they are compressed already.
    fn piece(&mut self) -> Result<Option<Piece<'static>>, TarError> {
        loop {
            let mut bytes = Vec::new();
            self.current.reader.by_ref().take(PIECE).read_to_end(&mut bytes)?;
            if !bytes.is_empty() {
                return Ok(Some(match self.current.density {
                    Density::Plain => Piece::Bytes(bytes),
                    Density::Compressed => Piece::Dense(bytes),
                }));
            }
            if !self.advance().map_err(wrap)? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Rolled<'_> {
    type Item = Result<Piece<'static>, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.piece().transpose()
    }
}

impl Read for Rolled<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.current.reader.read(buf)?;
            if n > 0 || buf.is_empty() || !self.advance().map_err(wrap)? {
                return Ok(n);
            }
        }
    }
}

/// Writes the tar of `image` and `program`, compressed.
pub fn pack_tar(
    program: &mut (impl Read + Seek),
    blobs: &dyn Blobs,
    image: &Image,
    about: &About,
    (encoding, threads): (&Encoding, NonZeroUsize),
    out: impl Write + Send,
) -> Result<Packed, ImageError> {
    let before = described(program)?;
    let (size, digest) = (before.size, before.digest);
    let tarball = Tarball::plan(image, about, &IndexProgram { size, digest: digest.clone() })?;
    program.rewind()?;
    let program = VerifiedReader::new(program, digest, size);
    let encoded = tarball.compressed(blobs, program, (encoding, threads), out)?;
    Ok(Packed { digest: encoded.digest, size: encoded.size, program: size })
}
