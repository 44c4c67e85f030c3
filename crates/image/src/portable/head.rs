//! A pinfold to be put before an image, or into one: as it was before it carried an image itself.

use std::io;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Platform;

use super::Portable;
use super::PortableError;
use super::ReadAgain;
use super::is_marked;
use crate::ImageError;

/// Largest program accepted, in bytes.
const MAX_PROGRAM: u64 = 1 << 30;

/// Why a file is none.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// It is no static program of the platform.
    #[error("it is no static program of the platform")]
    Other,
    /// It is one, of somebody else's or of a version that carries images otherwise.
    #[error("it is no pinfold that carries images as this one does")]
    Stranger,
    /// It carries an image, and that is damaged.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl From<io::Error> for HeadError {
    fn from(error: io::Error) -> Self {
        Self::Image(error.into())
    }
}

/// The program of a file, opened and looked at.
pub fn head(path: &Path, platform: Platform) -> Result<Box<dyn ReadAgain>, HeadError> {
    let mut program: Box<dyn ReadAgain> = match Portable::open(path) {
        Ok(carrying) => {
            carrying.program()?.finish()?;
            carrying.unverified_program()?
        }
        Err(ImageError::Portable(PortableError::Other { .. })) => {
            let file = fs::File::open(path)?;
            if file.metadata()?.len() > MAX_PROGRAM {
                return Err(HeadError::Other);
            }
            Box::new(file)
        }
        Err(error) => return Err(error.into()),
    };
    let known = pinfold_archive::elf::read_open(&mut program)?;
    if known.is_none_or(|elf| elf.machine != platform.arch.elf_machine() || elf.interpreter.is_some()) {
        return Err(HeadError::Other);
    }
    program.rewind()?;
    if !is_marked(&mut program)? {
        return Err(HeadError::Stranger);
    }
    program.rewind()?;
    Ok(program)
}
