//! This pinfold itself, for each platform: process 1 of sandboxes that are pods, and their proxy.
//!
//! ```text
//! PINFOLD_HEADS=DIR   DIR/pinfold-linux-ARCH, as `cargo xtask heads` writes them
//! the program that runs, for its own platform, where there is none
//! ```
//!
//! **Guarantees**: what is given is a static pinfold of the platform, as it was before it carried an image. **Refuses** to guess: a
//! platform without one is an error.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_image::portable;
use pinfold_image::portable::HeadError;

use crate::context::Context;

/// Where those of other platforms are.
pub(super) const VARIABLE: &str = "PINFOLD_HEADS";
/// Where this program is.
const OWN: &str = "/proc/self/exe";

/// There is no pinfold that could be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ItselfError {
    /// None for the platform.
    #[error("there is no pinfold for {platform} to put into the image")]
    None { platform: Platform },
    /// The one there is is none to put anywhere.
    #[error("`{}` cannot be put into an image for {platform}", .file.display())]
    Wrong { platform: Platform, file: PathBuf, source: HeadError },
    /// It is another than the lock has.
    #[error("the lock has the pinfold {locked} for {platform}, and this one is {own}")]
    Other { platform: Platform, locked: Digest, own: Digest },
}

impl Diagnose for ItselfError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Other { .. } => {
                "`pinfold lock` takes this one; `--vendor DIR` names inputs that were kept".into()
            }
            Self::None { .. } | Self::Wrong { .. } => format!(
                "a static pinfold is taken as it runs for its own platform; `cargo xtask heads` in its sources makes one for each below \
                 `target/heads`, which `{VARIABLE}=DIR` names; or leave the platform out: `platforms = […]`"
            ),
        })
    }
}

/// The program of a platform.
pub(super) fn program(context: &Context, platform: Platform) -> Result<Vec<u8>, ItselfError> {
    let named = context.environment.raw(VARIABLE).and_then(|folder| named(folder, platform));
    let own = || Some(PathBuf::from(OWN)).filter(|_| Platform::host() == Some(platform));
    let file = named.or_else(own).ok_or(ItselfError::None { platform })?;
    let wrong = |source: HeadError| ItselfError::Wrong { platform, file: file.clone(), source };
    let mut program = portable::head(&file, platform).map_err(wrong)?;
    let mut bytes = Vec::new();
    program.read_to_end(&mut bytes).map_err(|error| wrong(error.into()))?;
    Ok(bytes)
}

/// The one of a folder, if it is there.
fn named(folder: &OsStr, platform: Platform) -> Option<PathBuf> {
    let file = Path::new(folder).join(format!("pinfold-linux-{}", platform.arch.oci()));
    (!folder.is_empty() && file.is_file()).then_some(file)
}
