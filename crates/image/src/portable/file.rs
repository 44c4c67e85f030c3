//! What `pinfold pack` made, opened: an AppImage, the tar, or the directory that was in it.
//!
//! **Guarantees**: whichever it is, what is read is held to the digests that its index has; a file that is open may be replaced under
//! its name meanwhile.

use std::io;
use std::io::BufReader;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use fs_err::File;
use pinfold_archive::encode::Encoding;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::digest::HashingWriter;
use pinfold_base::file::regular;
use serde::de::DeserializeOwned;

use super::About;
use super::FORMAT;
use super::Index;
use super::IndexFile;
use super::IndexProgram;
use super::LAYOUT;
use super::MAGIC;
use super::MAGIC_AT;
use super::MAX_FILES;
use super::MAX_INDEX;
use super::PortableError;
use super::UPDATES;
use super::appdir::is_name;
use super::appimage::AppImage;
use super::folder::Folder;
use super::folder::Tar;
use super::pack::pack;
use super::program::ReadAgain;
use super::tarball::PROGRAM;
use super::tarball::Tarball;
use crate::Image;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::unwrap_io;
use crate::json;

/// Something whose index is what it says.
#[derive(Clone, Debug)]
pub struct Portable {
    name: String,
    carrier: Carrier,
    index: Index,
}

/// In what the files are.
#[derive(Clone, Debug)]
enum Carrier {
    AppImage(AppImage),
    Tar(Tar),
    Folder(Folder),
}

/// Which form something has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One file that starts.
    AppImage,
    /// A tar, compressed or not.
    Tar,
    /// What was in the tar.
    Folder,
}

impl Portable {
    /// Opens a file or a directory. [`PortableError::Other`] where it is none of ours.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let name = path.display().to_string();
        if path.is_dir() {
            let (folder, index) = Folder::open(path, &name)?;
            return Self::with(name, Carrier::Folder(folder), index);
        }
        Self::of(regular(path)?, &name)
    }

    /// Reads an open file, called `name` in messages.
    pub fn of(file: File, name: &str) -> Result<Self, ImageError> {
        let mut magic = [0; 3];
        let file = Arc::new(file);
        if whole(file.file().read_exact_at(&mut magic, MAGIC_AT))? && magic == MAGIC {
            let (appimage, index) = AppImage::of(&file, name)?;
            return Self::with(name.to_owned(), Carrier::AppImage(appimage), index);
        }
        let (tar, index) = Tar::of(&file, name)?;
        Self::with(name.to_owned(), Carrier::Tar(tar), index)
    }

    fn with(name: String, carrier: Carrier, index: Index) -> Result<Self, ImageError> {
        let damaged = |reason: &str| PortableError::Damaged { file: name.clone(), reason: reason.to_owned() };
        if index.files.len() > MAX_FILES || index.agents.len() > MAX_FILES {
            return Err(damaged("its index has too many entries").into());
        }
        // They become names of links and words of commands.
        if !std::iter::once(&index.name).chain(&index.agents).all(|name| is_name(name)) {
            return Err(damaged("its index has names that are none").into());
        }
        if index.program.is_none() && !matches!(carrier, Carrier::AppImage(_)) {
            return Err(damaged("its index says nothing of the program").into());
        }
        Ok(Self { name, carrier, index })
    }

    /// What it says is in it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Which form it has.
    pub fn form(&self) -> Form {
        match &self.carrier {
            Carrier::AppImage(_) => Form::AppImage,
            Carrier::Tar(_) => Form::Tar,
            Carrier::Folder(_) => Form::Folder,
        }
    }

    /// Where the squashfs of an AppImage begins, in bytes.
    pub fn offset(&self) -> Option<u64> {
        match &self.carrier {
            Carrier::AppImage(appimage) => Some(appimage.start),
            Carrier::Tar(_) | Carrier::Folder(_) => None,
        }
    }

    /// The digest of the program that it was made with.
    pub fn program_digest(&self) -> &Digest {
        self.program_is().0
    }

    /// Bytes of it.
    pub fn program_size(&self) -> u64 {
        self.program_is().1
    }

    fn program_is(&self) -> (&Digest, u64) {
        match (&self.carrier, &self.index.program) {
            (Carrier::AppImage(appimage), _) => appimage.program_is(),
            (_, Some(program)) => (&program.digest, program.size),
            // Not opened without one.
            (_, None) => (&self.index.image.digest, 0),
        }
    }

    /// That program, as it was before it carried an image; verified at the end of the reading.
    pub fn program(&self) -> Result<VerifiedReader<BlobRead>, ImageError> {
        let reader = match &self.carrier {
            Carrier::AppImage(appimage) => Box::new(appimage.program()?),
            Carrier::Tar(_) | Carrier::Folder(_) => self.part(self.file(PROGRAM)?)?,
        };
        Ok(VerifiedReader::new(reader, self.program_digest().clone(), self.program_size()))
    }

    /// The same, unverified, to be read as often as is wanted. In a tar or a directory it is in memory, verified.
    pub fn unverified_program(&self) -> Result<Box<dyn ReadAgain>, ImageError> {
        if let Carrier::AppImage(appimage) = &self.carrier {
            return Ok(Box::new(appimage.program()?));
        }
        let mut bytes = Vec::new();
        self.program()?.read_to_end(&mut bytes).map_err(unwrap_io)?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    /// The SHA-256 of the file as it is. A directory has none but what [`Self::verify`] gives of it.
    pub fn digest(&self) -> Result<Option<Digest>, ImageError> {
        match &self.carrier {
            Carrier::AppImage(appimage) => digest_of(appimage.all()).map(Some),
            Carrier::Tar(tar) => digest_of(tar.file()).map(Some),
            Carrier::Folder(_) => Ok(None),
        }
    }

    /// The SHA-256 of the tar of its image and program in some encoding, as this program makes it.
    pub fn digest_as(&self, encoding: &Encoding, threads: NonZeroUsize) -> Result<Digest, ImageError> {
        let (image, about) = self.inside()?;
        let (tarball, _) = self.tarball(&image, &about)?;
        Ok(tarball.compressed(self, self.program()?, (encoding, threads), io::sink())?.digest)
    }

    /// The image, and the words that it was packed with.
    fn inside(&self) -> Result<(Image, About), ImageError> {
        let Index { name, image, platform, agents, unpacked, .. } = self.index.clone();
        let updates = self.section(UPDATES.0)?;
        let source = ImageSource::new(&name, image, Box::new(self.clone()));
        Ok((source.image(platform)?, About { name, platform, agents, unpacked, updates }))
    }

    /// Holds all of it to what this program makes of its program, its image and its words. Gives the digest of the file; of a
    /// directory, that of the tar that it is. How a tar is compressed is not looked at.
    pub fn verify(&self) -> Result<Digest, ImageError> {
        let (found, about) = self.inside()?;
        match &self.carrier {
            Carrier::AppImage(appimage) => self.verify_appimage(appimage, &found, &about),
            Carrier::Tar(tar) => {
                let (tarball, program) = self.tarball(&found, &about)?;
                match tarball.difference(tar.stream()?, &program)? {
                    None => digest_of(tar.file()),
                    Some(reason) => Err(self.damaged(reason)),
                }
            }
            Carrier::Folder(folder) => {
                let (tarball, _) = self.tarball(&found, &about)?;
                if let Some(other) = folder.beyond(&tarball.paths())? {
                    return Err(self.damaged(format!("`{other}` is in it, which nobody packed")));
                }
                for (path, bytes) in tarball.small() {
                    if folder.small(path)? != bytes {
                        return Err(self.damaged(format!("`{path}` in it is not what it should be")));
                    }
                }
                digest_of(tarball.read(self, self.program()?))
            }
        }
    }

    fn verify_appimage(
        &self,
        appimage: &AppImage,
        image: &Image,
        about: &About,
    ) -> Result<Digest, ImageError> {
        self.program()?.finish()?;
        let made = pack(&mut appimage.program()?, self, image, about, io::sink())?;
        let actual = digest_of(appimage.all())?;
        if actual == made.digest {
            return Ok(actual);
        }
        let reason =
            "its program and its image are whole, and what is around them is not as this program makes it";
        Err(self.damaged(reason.into()))
    }

    /// What the tar of its image and program is, by this program.
    fn tarball(&self, image: &Image, about: &About) -> Result<(Tarball, IndexProgram), ImageError> {
        let (digest, size) = self.program_is();
        let program = IndexProgram { size, digest: digest.clone() };
        Ok((Tarball::plan(image, about, &program)?, program))
    }

    /// The text of a section of the AppImage specification, without the zeros behind it; nothing where it is no AppImage.
    pub fn section(&self, name: &str) -> Result<String, ImageError> {
        match &self.carrier {
            Carrier::AppImage(appimage) => appimage.section(name),
            Carrier::Tar(_) | Carrier::Folder(_) => Ok(String::new()),
        }
    }

    /// Every file that its index names, as its path, its permission bits and its bytes. The bytes of blobs are not verified.
    pub fn files(&self) -> impl Iterator<Item = Result<(ImagePath, u16, BlobRead), ImageError>> {
        self.index.files.iter().map(|file| {
            let path = ImagePath::new(&file.path)
                .map_err(|_| self.damaged("its index names what is no path".into()))?;
            Ok((path, file.mode & 0o777, self.part(file)?))
        })
    }

    fn file(&self, path: &str) -> Result<&IndexFile, ImageError> {
        let is_it = |file: &&IndexFile| file.path.strip_prefix('/') == Some(path);
        let found = self.index.files.iter().find(is_it);
        found.ok_or_else(|| self.damaged(format!("its index has no `{path}`")))
    }

    fn part(&self, file: &IndexFile) -> Result<BlobRead, ImageError> {
        match &self.carrier {
            Carrier::AppImage(appimage) => appimage.part(file.offset, file.size),
            Carrier::Tar(tar) => tar.part(file.offset, file.size),
            Carrier::Folder(folder) => folder.part(&file.path, file.size),
        }
    }

    fn damaged(&self, reason: String) -> ImageError {
        PortableError::Damaged { file: self.name.clone(), reason }.into()
    }
}

impl Blobs for Portable {
    fn location(&self) -> String {
        self.name.clone()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let path = format!("/{LAYOUT}/blobs/{}/{}", digest.algorithm().name(), digest.hex());
        let found = self.index.files.iter().find(|file| file.path == path);
        let missing = || ImageError::MissingBlob { digest: digest.clone(), place: self.name.clone() };
        let file = found.ok_or_else(missing)?;
        Ok((self.part(file)?, file.size))
    }
}

/// Bytes of a file from one place to another.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Read for Part {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buf.len());
        let n = self.file.file().read_at(&mut buf[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn digest_of(all: impl Read) -> Result<Digest, ImageError> {
    let mut hash = HashingWriter::new(Algorithm::Sha256, io::sink());
    io::copy(&mut BufReader::with_capacity(1 << 20, all), &mut hash).map_err(unwrap_io)?;
    Ok(hash.finish().1)
}

/// Whether all of it was there to be read.
pub(super) fn whole(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A document of this format.
pub(super) fn read_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u32,
    }
    let unreadable = |error: ImageError| format!("cannot be read ({error})");
    let Versioned { format } = json::read("it", bytes, MAX_INDEX).map_err(unreadable)?;
    if format != FORMAT {
        return Err(format!("is of format {format}, which another version of pinfold made"));
    }
    json::read("it", bytes, MAX_INDEX).map_err(unreadable)
}
