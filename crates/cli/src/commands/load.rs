//! `pinfold load`: an image into another tool's own storage.

use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::build;
use pinfold_engine::build::heal::healing;
use pinfold_engine::ship::load;
use pinfold_engine::ship::load::Loaded;
use pinfold_engine::ship::load::Tool;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Give an image to podman, Docker or containerd
///
/// The names of that tool's own settings count: CONTAINER_HOST, DOCKER_HOST=unix:///PATH, CONTAINERD_ADDRESS, CONTAINERD_NAMESPACE
/// (`k8s.io` for a cluster's images).
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE or
    /// docker://HOST/REPOSITORY[:TAG]; without it the project here, built first
    #[arg(add = complete::images())]
    image: Option<String>,
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    locking: args::Locking,
    #[command(flatten)]
    pulling: args::Pulling,
    #[command(flatten)]
    downloads: args::Downloads,
    /// Whose storage
    #[arg(long, value_enum, value_name = "TOOL")]
    to: To,
    /// Which platform of the image; this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
}

/// Whose storage.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum To {
    Podman,
    Docker,
    Containerd,
}

impl To {
    fn meant(self) -> Tool {
        match self {
            Self::Podman => Tool::Podman,
            Self::Docker => Tool::Docker,
            Self::Containerd => Tool::Containerd,
        }
    }
}

pub(crate) fn run(args: &LoadArgs, global: Global) -> Outcome {
    let context = super::context(global, args.locking.downloads(args.downloads))?;
    let tool = args.to.meant();
    let loaded = if let Some(image) = &args.image {
        let source = super::image(&context, image, args.pulling.finding(args.platform));
        let loaded = source.and_then(|source| Ok(load::load(&context, image, &source, args.platform, tool)?));
        context.tell_damage();
        loaded?
    } else {
        let project = super::agreed(&context, &args.project)?;
        let options = build::Options {
            platforms: args.platform.into_iter().collect(),
            ..build::Options::new(args.locking.meant())
        };
        // A blob that turns out to be damaged on the way is made again by another build.
        healing(&context, || {
            let outcome = build::build(&context, &project, &options)?;
            let name = outcome.built.reference.clone();
            Ok::<_, Failure>(load::load(&context, &name, &outcome.source, args.platform, tool)?)
        })?
    };
    if global.json {
        render::json(&loaded);
    } else if !global.quiet {
        render::out(&told(&loaded));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(Loaded { image, to, name, id, platform }: &Loaded) -> Page {
    Page::from(match (name, id) {
        (Some(called), _) | (None, Some(called)) => shown!("{to} has {image} ({platform}) as {called}"),
        (None, None) => shown!("{to} has {image} ({platform})"),
    })
}
