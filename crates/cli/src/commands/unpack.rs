//! `pinfold unpack`: an image's files in a directory.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::run;
use pinfold_image::unpack;
use pinfold_sandbox::OciRuntime;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use pinfold_base::units;

/// Unpack an image into a directory that does not exist yet, for other runtimes
#[derive(Debug, clap::Args)]
pub(crate) struct UnpackArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or
    /// docker://HOST/REPOSITORY[:TAG]
    #[arg(add = complete::images())]
    image: String,
    /// Where to unpack it
    directory: PathBuf,
    /// Which platform of the image; this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    #[command(flatten)]
    pulling: args::Pulling,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Write an OCI runtime bundle: rootfs, home and config.json, for `runc run -b DIRECTORY NAME`, without a network
    #[arg(long, value_enum, value_name = "RUNTIME", num_args = 0..=1, require_equals = true, default_missing_value = "runc")]
    bundle: Option<BundleFor>,
}

/// Whose bundle.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BundleFor {
    /// runc, crun, youki
    Runc,
    /// gVisor
    Runsc,
}

pub(crate) fn run(args: &UnpackArgs, global: Global) -> Outcome {
    let context = super::context(global, args.downloads)?;
    let source = super::image(&context, &args.image, args.pulling.finding(args.platform))?;
    let platform = args.platform.or_else(Platform::host).ok_or_else(|| {
        Failure::usage("this machine's platform is not one of an image's", "name one with `--platform`")
    })?;
    let runtime = args.bundle.map(|bundle| match bundle {
        BundleFor::Runc => OciRuntime::Runc,
        BundleFor::Runsc => OciRuntime::Runsc,
    });
    let report = if let Some(runtime) = runtime {
        run::bundle(&context, &source, platform, &args.directory, runtime)?
    } else {
        let image = source.image(platform)?;
        let options = unpack::Options::default();
        unpack::unpack(&source, &image, &args.directory, &options, &*context.reporter)?
    };
    if global.json {
        render::json(&serde_json::json!({ "entries": report.entries, "bytes": report.bytes }));
    } else if !global.quiet {
        render::note(shown!(
            "{} entries, {} in `{}`",
            report.entries,
            units::bytes(report.bytes),
            args.directory.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
