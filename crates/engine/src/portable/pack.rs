//! Making the file.
//!
//! **Guarantees**: it appears under its name when it is whole. **Refuses**: programs that are not static, or of another platform; agents
//! that the image does not have; names that something else than a file has.

use std::ffi::OsStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::encode::Encoding;
use pinfold_archive::encode::Reuse;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::LayerEncoding;
use pinfold_image::blobs::Blobs;
use pinfold_image::portable;
use pinfold_image::portable::About;
use pinfold_image::portable::HeadError;
use pinfold_image::portable::ReadAgain;
use pinfold_image::recode::Recoded;
use pinfold_image::recode::with_zstd;
use pinfold_image::source::ImageLayer;
use pinfold_image::trust::Admitted;
use serde::Serialize;

use super::vouch;
use super::vouch::VouchError;
use crate::describe;
use crate::describe::SaveError;
use crate::project::recipe::Recipe;
use crate::ship::key;

/// Where this program is.
const OWN: &str = "/proc/self/exe";

/// Endings of archives and of packages that are not made: whoever names one so would be told by nobody that it is something else.
const OTHERS: [&str; 26] = [
    "7z", "ar", "br", "bz2", "cpio", "deb", "exe", "flatpak", "gz", "img", "iso", "lz", "lz4", "lzma", "rar",
    "rpm", "sif", "snap", "squashfs", "tbz", "tbz2", "txz", "xz", "zip", "zst", "zstd",
];

/// How a tar is compressed where its name says gzip: its layers are already, and what is left is not worth the time.
const GZIP: Encoding = Encoding::Gzip { level: 1, reuse: Reuse::Never };
/// The same for zstd.
const ZSTD: Encoding = Encoding::Zstd { level: 1 };
/// How tars are compressed, by what their names end with.
pub(super) const COMPRESSED: [(&str, Encoding); 2] = [(".tar.gz", GZIP), (".tar.zst", ZSTD)];
/// What names of tars end with, and how those are compressed.
const TARS: [(&str, Encoding); 5] =
    [(".tar", Encoding::None), (".tar.gz", GZIP), (".tgz", GZIP), (".tar.zst", ZSTD), (".tar.zstd", ZSTD)];

/// What is made of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One file that starts.
    AppImage,
    /// A directory in a tar.
    Tar(Encoding),
}

impl Form {
    /// The tar that a name says, if it does.
    pub fn tar(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_ascii_lowercase();
        let name = name.as_encoded_bytes();
        let known = TARS.iter().find(|(ending, _)| name.ends_with(ending.as_bytes()));
        known.map(|(_, encoding)| Self::Tar(*encoding))
    }

    /// Whether a name says that it is something that is not made.
    pub fn is_other(file: &Path) -> bool {
        let Some(name) = file.file_name().map(OsStr::to_ascii_lowercase) else { return false };
        let name = String::from_utf8_lossy(name.as_encoded_bytes()).into_owned();
        let Some((_, ending)) = name.rsplit_once('.') else { return false };
        Self::tar(file).is_none() && OTHERS.contains(&ending)
    }

    /// Permission bits of the file.
    fn mode(self) -> u32 {
        match self {
            Self::AppImage => 0o755,
            Self::Tar(_) => 0o644,
        }
    }
}

/// What is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// In which form.
    pub form: Form,
    /// The level of zstd that layers are compressed with anew; as they are unless said.
    pub zstd: Option<u8>,
    /// How many threads compress; the bytes do not depend on it.
    pub threads: NonZeroUsize,
    /// For which platform.
    pub platform: Platform,
    /// The program that goes before the image; this one unless said.
    pub head: Option<PathBuf>,
    /// What the file calls itself.
    pub name: String,
    /// The agent that is meant where none is named.
    pub agent: Option<String>,
    /// Where updates are (AppImageSpec, "Update information").
    pub updates: String,
    /// The file of the key that it is signed with.
    pub sign: Option<PathBuf>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packed {
    /// The file.
    pub file: PathBuf,
    /// What it runs on.
    pub platform: Platform,
    /// Its SHA-256.
    pub digest: Digest,
    /// Bytes of it.
    pub size: u64,
    /// Bytes of the program in it.
    pub program: u64,
    /// The image's manifest.
    pub image: Digest,
    /// That of the image whose layers were compressed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_of: Option<Digest>,
    /// Its agents, the one that is meant first.
    pub agents: Vec<String>,
    /// What was written beside it: its SHA-256, and a signature.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<PathBuf>,
}

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The image has other agents.
    #[error("the image has no agent `{agent}`; it has {}", .has.join(", "))]
    Agent {
        /// Who was asked for.
        agent: String,
        /// Who is there.
        has: Vec<String>,
    },
    /// The program is of another platform.
    #[error("`{}` is no static program for {platform}", .head.display())]
    Head {
        /// The program.
        head: PathBuf,
        /// What it is to run on.
        platform: Platform,
    },
    /// The program would not know what is behind it.
    #[error("`{}` is no pinfold that carries images as this one does", .head.display())]
    Stranger {
        /// The program.
        head: PathBuf,
    },
    /// Something that is no file has its name.
    #[error("`{}` is there already, and is no file", .file.display())]
    Taken {
        /// What.
        file: PathBuf,
    },
    /// Reading the image, or making the file of it.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Signing it.
    #[error(transparent)]
    Sign(#[from] VouchError),
    /// Writing it.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The same.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Diagnose for PackError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Agent { .. } | Self::Head { .. } | Self::Stranger { .. } | Self::Taken { .. } => {
                Diagnosis::Own(Kind::Usage)
            }
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Sign(error) => Diagnosis::Inner(error),
            Self::Save(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Agent { .. } => Some("name one of these, or build the image with the agent".into()),
            Self::Head { platform, .. } => Some(format!(
                "name the pinfold of that platform with `--head FILE`: `cargo xtask heads --platform {platform}` in its sources makes one"
            )),
            Self::Stranger { .. } => Some(
                "name a pinfold of this version with `--head FILE`: it is built from the same sources".into(),
            ),
            Self::Taken { .. } => Some("name another file".into()),
            _ => None,
        }
    }
}

/// Writes `file`, whole or not at all.
pub fn pack(source: &Admitted<ImageSource>, options: &Options, file: &Path) -> Result<Packed, PackError> {
    let folder = describe::folder(file)?;
    if fs::symlink_metadata(file).is_ok_and(|there| !there.is_file()) {
        return Err(PackError::Taken { file: file.to_owned() });
    }
    let key = options.sign.as_deref().map(key::secret).transpose().map_err(VouchError::from)?;
    let original = source.image(options.platform)?;
    let recoded = match options.zstd {
        Some(level) => Some(with_zstd(source, &original, level, options.threads, folder)?),
        None => None,
    };
    let blobs = recoded.as_ref().map_or(source.blobs(), |recoded| recoded as &dyn Blobs);
    let image = recoded.as_ref().map_or(&original, Recoded::image);
    let agents = agents(image, options.agent.as_deref())?;
    let about = About {
        name: options.name.clone(),
        platform: options.platform,
        agents: agents.clone(),
        unpacked: unpacked(image),
        updates: options.updates.clone(),
    };
    let mut program = head(options)?;
    let new = tempfile::Builder::new().prefix(".pinfold-").tempfile_in(folder)?;
    let out = io::BufWriter::with_capacity(1 << 20, new.as_file());
    let packed = match &options.form {
        Form::AppImage => portable::pack(&mut program, blobs, image, &about, out)?,
        Form::Tar(encoding) => {
            portable::pack_tar(&mut program, blobs, image, &about, (encoding, options.threads), out)?
        }
    };
    new.as_file().sync_all()?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(options.form.mode()))?;
    new.persist(file).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()?;
    let beside = key.map_or_else(|| Ok(Vec::new()), |key| vouch::sign(file, &packed.digest, &key))?;
    Ok(Packed {
        file: file.to_owned(),
        platform: options.platform,
        digest: packed.digest,
        size: packed.size,
        program: packed.program,
        image: image.manifest.digest().clone(),
        beside,
        made_of: recoded.as_ref().map(|_| original.manifest.digest().clone()),
        agents,
    })
}

/// The agents of an image, the one that is meant first.
fn agents(image: &Image, first: Option<&str>) -> Result<Vec<String>, PackError> {
    let config = image.config.value().config.as_ref();
    let named = config.into_iter().flat_map(|config| Recipe::agents_in(&config.labels));
    let mut has: Vec<String> = named.map(str::to_owned).collect();
    if let Some(first) = first {
        let at = has.iter().position(|name| name == first);
        let at = at.ok_or_else(|| PackError::Agent { agent: first.to_owned(), has: has.clone() })?;
        let name = has.remove(at);
        has.insert(0, name);
    }
    Ok(has)
}

/// About how many bytes the image is on a disk, for who wants to know whether there is room: layers compress to about a third.
fn unpacked(image: &Image) -> u64 {
    let plain = |layer: &ImageLayer| match layer.encoding {
        LayerEncoding::Tar => layer.descriptor.size,
        LayerEncoding::Gzip | LayerEncoding::Zstd => layer.descriptor.size.saturating_mul(3),
    };
    image.layers.iter().map(plain).fold(0, u64::saturating_add)
}

/// The program that goes before the image, opened and looked at.
fn head(options: &Options) -> Result<Box<dyn ReadAgain>, PackError> {
    let path = options.head.as_deref().unwrap_or(Path::new(OWN));
    portable::head(path, options.platform).map_err(|error| match error {
        HeadError::Other => PackError::Head { head: path.to_owned(), platform: options.platform },
        HeadError::Stranger => PackError::Stranger { head: path.to_owned() },
        HeadError::Image(error) => error.into(),
    })
}
