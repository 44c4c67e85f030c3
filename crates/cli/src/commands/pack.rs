//! `pinfold pack`: one file that is an agent in its sandbox.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_base::units;
use pinfold_engine::build;
use pinfold_engine::build::Naming;
use pinfold_engine::portable;
use pinfold_engine::portable::Form;
use pinfold_engine::portable::Options;
use pinfold_image::ImageSource;
use pinfold_image::Place;
use pinfold_image::trust::Admitted;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;

/// Make one file of an image that runs its agent, isolated, on a machine that has nothing else: an AppImage, or a tar
///
/// Without IMAGE it is the project's, built first. The same program, image and options give the same file.
#[derive(Debug, clap::Args)]
pub(crate) struct PackArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store or, with its registry, there; oci:DIR[:TAG], oci-archive:FILE,
    /// docker-archive:FILE or docker://HOST/REPOSITORY[:TAG]
    #[arg(add = complete::images(), conflicts_with_all = ["file", "preset", "suite"])]
    image: Option<String>,
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    locking: args::Locking,
    #[command(flatten)]
    pulling: args::Pulling,
    #[command(flatten)]
    downloads: args::Downloads,
    /// The file; NAME-ARCHITECTURE.AppImage (or .tar.gz) in the current directory unless said
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// An AppImage, or a directory in a tar that is compressed as its name says: .tar, .tar.gz, .tar.zst. As FILE is named unless said
    #[arg(long, value_enum, value_name = "FORM")]
    format: Option<FormArg>,
    /// Which platform of the image; this machine's unless said
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Put this pinfold before the image instead of the one that is running, such as one for another platform
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// What the file calls itself; the image's name unless said
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Compress the layers anew: zstd, or zstd:LEVEL with a level of 1 to 22 (3 unless said). The image has another digest then
    #[arg(long, value_name = "HOW", value_parser = zstd)]
    compress: Option<u8>,
    /// Sign it with the key of this file: FILE.sha256 and FILE.sigstore.json stand beside it then
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Where updates are, as AppImages say it: `zsync|URL`
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    update_info: String,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FormArg {
    Appimage,
    Tar,
}

/// Reads `zstd[:LEVEL]`.
fn zstd(text: &str) -> Result<u8, String> {
    let level = match text.split_once(':') {
        None if text == "zstd" => Some(3),
        Some(("zstd", level)) => level.parse().ok().filter(|level| (1..=22).contains(level)),
        _ => None,
    };
    level.ok_or_else(|| "it is `zstd`, or `zstd:LEVEL` with a level of 1 to 22".into())
}

impl PackArgs {
    /// The file, and what is made.
    fn target(&self, name: &str, platform: Platform) -> Result<(PathBuf, Form), Failure> {
        let ending = if self.format == Some(FormArg::Tar) { "tar.gz" } else { "AppImage" };
        let unsaid = || PathBuf::from(format!("{name}-{}.{ending}", platform.arch.machine()));
        let file = self.output.clone().unwrap_or_else(unsaid);
        let form = match (self.format, Form::tar(&file)) {
            (None, None) if Form::is_other(&file) => {
                return Err(Failure::usage(
                    format!("`{}` would be an archive that `pack` does not make", file.display()),
                    "name it FILE.AppImage, FILE.tar, FILE.tar.gz or FILE.tar.zst; `--format appimage` makes an AppImage under any name",
                ));
            }
            (Some(FormArg::Appimage), _) | (None, None) => Form::AppImage,
            (_, Some(tar)) => tar,
            (Some(FormArg::Tar), None) => {
                return Err(Failure::usage(
                    format!("`{}` does not say how the tar is compressed", file.display()),
                    "name it FILE.tar, FILE.tar.gz or FILE.tar.zst",
                ));
            }
        };
        if form != Form::AppImage && !self.update_info.is_empty() {
            return Err(Failure::usage(
                "a tar has no place for `--update-info`",
                "leave it out, or make an AppImage",
            ));
        }
        Ok((file, form))
    }
}

pub(crate) fn run(args: &PackArgs, global: Global) -> Outcome {
    let downloads = args.locking.downloads(args.downloads);
    let context = super::context(global, downloads)?;
    let platform = args.platform.or_else(Platform::host).ok_or_else(|| {
        Failure::usage("this machine's platform is not one of an image's", "name one with `--platform`")
    })?;
    let (source, called) = image(args, &context, platform)?;
    let name = args.name.clone().unwrap_or(called);
    let (file, form) = args.target(&name, platform)?;
    let options = Options {
        form,
        zstd: args.compress,
        threads: context.threads,
        platform,
        head: args.head.clone(),
        name,
        // Of a project they say what is built, and the first is meant; of an image they choose.
        agent: args.project.agents.first().cloned(),
        updates: args.update_info.clone(),
        sign: args.sign.clone(),
    };
    let packed = portable::pack(&source, &options, &file);
    context.tell_damage();
    let packed = packed?;
    if global.json {
        render::json(&packed);
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::default();
    if !global.quiet {
        page.line(shown!(
            "packed `{}`: {}, of which the program is {}; image {}",
            file.display(),
            units::bytes(packed.size),
            units::bytes(packed.program),
            packed.image
        ));
        for file in &packed.beside {
            page.line(shown!("beside it: `{}`", file.display()));
        }
    }
    page.line(packed.digest.to_string());
    render::out(&page);
    if let Some(original) = packed.made_of.filter(|_| !global.quiet) {
        render::note(shown!(
            "its layers are compressed anew: what is signed of {original} is not signed of it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The image that is meant, and what it is called.
fn image(
    args: &PackArgs,
    context: &pinfold_engine::context::Context,
    platform: Platform,
) -> Result<(Admitted<ImageSource>, String), Failure> {
    if let Some(text) = &args.image {
        let found = super::image(context, text, args.pulling.finding(Some(platform)))?;
        return Ok((found, called(text)));
    }
    let project = super::agreed(context, &args.project)?;
    let options = build::Options {
        platforms: vec![platform],
        name: Naming::Unnamed,
        ..build::Options::new(args.locking.meant())
    };
    let outcome = build::build(context, &project, &options)?;
    Ok((outcome.source, project.manifest.name.clone()))
}

/// The last part of an image's name.
fn called(text: &str) -> String {
    let name = match text.parse::<Place>() {
        Ok(Place::Store(reference) | Place::Registry(reference)) => reference.name().to_owned(),
        Ok(Place::Location(location)) => {
            location.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
        }
        Err(_) => text.to_owned(),
    };
    name.rsplit('/').next().unwrap_or_default().to_owned()
}
