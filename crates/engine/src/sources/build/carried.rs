//! The worker that this pinfold carries, for each platform: the program of a sealed image, of this project's own sources.
//!
//! ```text
//! PINFOLD_WORKERS=DIR   at run time        DIR/linux-ARCH/sandbox, as `cargo xtask worker` writes them
//!                       when it was built  likewise; they are in the program (crates/engine/build.rs)
//! ```
//!
//! **Guarantees**: what is given is a static program of the platform. **Refuses** to guess: a platform without one is an error.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use pinfold_archive::elf;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;

use super::make::Judged;
use super::make::judge;
use crate::context::Context;
use crate::project::folder::Folder;
use crate::project::folder::OpenError;

include!(concat!(env!("OUT_DIR"), "/workers.rs"));

/// Where workers are for those who build their own.
pub(super) const VARIABLE: &str = "PINFOLD_WORKERS";
/// Largest worker accepted, in bytes; written is one of at most 2 MB.
const MAX_SIZE: u64 = 64 << 20;

/// There is no worker that could be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerError {
    /// None for the platform.
    #[error("this pinfold carries no worker for {platform}")]
    None { platform: Platform },
    /// The one that is named cannot be read.
    #[error("cannot read the worker for {platform}")]
    Read { platform: Platform, source: OpenError },
    /// It is no static program of the platform.
    #[error("`{}` is no worker for {platform}: {why}", .file.display())]
    Wrong { platform: Platform, file: PathBuf, why: String },
    /// It is another than the lock has.
    #[error("the lock has the worker {locked} for {platform}, and this pinfold carries {carried}")]
    Other { platform: Platform, locked: Digest, carried: Digest },
}

impl Diagnose for WorkerError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Other { .. } => {
                "`pinfold lock` takes the one that is carried; `--vendor DIR` names inputs that were kept"
                    .into()
            }
            _ => format!(
                "`cargo xtask worker` in pinfold's sources makes them below `target/workers`, which `{VARIABLE}=DIR` names; or leave the \
                 platform out: `platforms = […]`"
            ),
        })
    }
}

/// Where the worker of a platform is below a folder of workers.
fn place(folder: &Path, platform: Platform) -> PathBuf {
    folder.join(format!("linux-{}", platform.arch.oci())).join("sandbox")
}

/// The worker of a platform.
pub(super) fn worker(context: &Context, platform: Platform) -> Result<Cow<'static, [u8]>, WorkerError> {
    let Some(folder) = context.environment.raw(VARIABLE).filter(|folder| !folder.is_empty()) else {
        let embedded = EMBEDDED.iter().find(|(arch, _)| *arch == platform.arch.oci());
        return embedded.map(|(_, bytes)| (*bytes).into()).ok_or(WorkerError::None { platform });
    };
    let read = |source| WorkerError::Read { platform, source };
    let file = place(Path::new(folder), platform);
    let opened =
        Folder::open(Path::new(folder)).and_then(|folder| folder.file(&place(Path::new(""), platform)));
    let bytes = opened.and_then(|opened| opened.bytes(MAX_SIZE)).map_err(read)?;
    let wrong = |why: String| WorkerError::Wrong { platform, file: file.clone(), why };
    match judge(io::Cursor::new(&bytes), platform) {
        Ok(Judged::Program) if elf::parse(&bytes).is_some_and(|elf| elf.interpreter.is_none()) => {
            Ok(bytes.into())
        }
        Ok(Judged::Program) => {
            Err(wrong("it asks for a dynamic linker, which a sealed image has not".into()))
        }
        Ok(Judged::Script) => Err(wrong("it is a script".into())),
        Ok(Judged::Neither(why)) => Err(wrong(why)),
        Err(error) => Err(wrong(error.to_string())),
    }
}
