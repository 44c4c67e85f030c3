//! `cargo xtask heads`: pinfold for both platforms, to be put before an image with `pinfold pack --head`. Compilers: [`cross`].
//!
//! **Guarantees**: a head says its version, under qemu-user where it is of another machine.

use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;

use crate::cross;
use crate::cross::Asked;
use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct HeadsArgs {
    /// Where the programs go: `DIR/pinfold-linux-arm64` and so on
    #[arg(long, value_name = "DIR", default_value = "target/heads")]
    output: PathBuf,
    /// Only these platforms
    #[arg(long, value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Pack an image with this program and each head of another machine, and try the file under qemu-user
    #[arg(long = "try", value_name = "PINFOLD")]
    with: Option<PathBuf>,
}

/// Builds what was asked for.
pub(crate) fn run(args: &HeadsArgs) -> Result<(), String> {
    let output = crate::root().join(&args.output);
    fs::create_dir_all(&output).map_err(|error| error.to_string())?;
    let platforms = if args.platform.is_empty() { Platform::ALL.to_vec() } else { args.platform.clone() };
    // A release carries the worker for each platform, where `cargo xtask worker` has made them.
    let workers = crate::root().join("target/workers");
    let has = |known: Platform| workers.join(format!("linux-{}/sandbox", known.arch.oci())).is_file();
    let carries = std::env::var_os("PINFOLD_WORKERS").is_none() && Platform::ALL.into_iter().all(has);
    let asked = Asked {
        package: "pinfold",
        profile: "release",
        flags: &[],
        variables: if carries { vec![("PINFOLD_WORKERS", workers)] } else { Vec::new() },
    };
    for platform in platforms {
        let built = cross::compiler(&[platform])?.build(platform, &asked)?.join("pinfold");
        let head = output.join(format!("pinfold-linux-{}", platform.arch.oci()));
        fs::copy(&built, &head).map_err(|error| error.to_string())?;
        let bytes = fs::read(&head).map_err(|error| error.to_string())?;
        let version = cross::printed(cross::starting(platform, &head).arg("--version"))?;
        say(&format!(
            "{}: {}, {} bytes, {}",
            head.display(),
            version.trim(),
            bytes.len(),
            Digest::sha256(&bytes)
        ));
        if let Some(pinfold) = args.with.as_ref().filter(|_| Some(platform) != Platform::host()) {
            let pinfold = std::path::absolute(pinfold).map_err(|error| error.to_string())?;
            let words = ["tests/e2e/heads.sh", &pinfold.to_string_lossy(), &head.to_string_lossy()];
            crate::test::step("heads", "bash", &words)?;
        }
    }
    Ok(())
}
