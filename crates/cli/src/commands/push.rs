//! `pinfold push`: an image to a registry.

use std::path::PathBuf;
use std::process::ExitCode;

use pinfold_base::Platform;
use pinfold_base::shown;
use pinfold_engine::build;
use pinfold_engine::build::Naming;
use pinfold_engine::build::heal::healing;
use pinfold_engine::context::Context;
use pinfold_engine::keep::images;
use pinfold_engine::keep::images::FindError;
use pinfold_engine::project::manifest::parse_budget;
use pinfold_engine::settings::Format;
use pinfold_engine::ship::find::Finding;
use pinfold_engine::ship::find::Pull;
use pinfold_engine::ship::pull::Platforms;
use pinfold_engine::ship::push;
use pinfold_engine::ship::push::Bill;
use pinfold_engine::ship::push::Planned;
use pinfold_engine::ship::push::Pushed;
use pinfold_engine::ship::push::Repeat;
use pinfold_engine::ship::sign::Said;
use pinfold_engine::ship::sign::Signing;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::place::remote;
use pinfold_image::trust::Admitted;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::complete;
use crate::render;
use crate::render::diagnostic::Failure;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use pinfold_base::units;

/// Send an image to a registry: all of its platforms as one index, the tag last
#[derive(Debug, clap::Args)]
#[command(override_usage = "pinfold push [OPTIONS] [IMAGE] HOST/REPOSITORY[:TAG]")]
pub(crate) struct PushArgs {
    /// The image and where it goes. Without the image: what the local store has under that name, else the project here, built first
    #[arg(required = true, num_args = 1..=2, value_name = "NAME", add = complete::images())]
    words: Vec<String>,
    #[command(flatten)]
    project: args::Project,
    #[command(flatten)]
    locking: args::Locking,
    /// Send this platform's manifest alone instead of the index
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Let a platform's compressed layers have up to this size, instead of the manifest's `policy.size-budget` or 700MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    budget: Option<u64>,
    /// Let the registry take blobs from this repository of its own (may be repeated)
    #[arg(long, value_name = "REPOSITORY")]
    mount_from: Vec<String>,
    /// Sign it with the key of this file, or by a program: command:'PROGRAM WORD…' (given what is signed on stdin, it prints the signature in DER); without it what `[sign]` of config.toml says
    #[arg(long, value_name = "KEY", conflicts_with = "no_sign")]
    sign: Option<String>,
    /// The public key of the program that signs
    #[arg(long, value_name = "FILE", requires = "sign")]
    sign_public: Option<PathBuf>,
    /// The form of signatures: a sigstore bundle, cosign's older form for readers that know no other, or both
    #[arg(long, value_enum, value_name = "FORM")]
    sign_format: Option<SignFormat>,
    /// Do not sign it, whatever config.toml says
    #[arg(long)]
    no_sign: bool,
    /// Attach no bill of materials (SPDX) to the platforms' manifests
    #[arg(long)]
    no_sbom: bool,
    /// Look at every part of an image that is there under its name already: send what is missing, and attach what is not attached
    #[arg(long)]
    repair: bool,
    /// Say what would be sent, and send nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// The form of signatures.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SignFormat {
    Bundle,
    Legacy,
    Both,
}

impl PushArgs {
    /// Who signs.
    fn signing(&self, context: &Context) -> Result<Option<Signing>, Failure> {
        if self.no_sign {
            return Ok(None);
        }
        let format = self.sign_format.map(|format| match format {
            SignFormat::Bundle => Format::Bundle,
            SignFormat::Legacy => Format::Legacy,
            SignFormat::Both => Format::Both,
        });
        let said = Said { with: self.sign.clone(), public: self.sign_public.clone(), format };
        Ok(Signing::of(context, &said)?)
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    parse_budget(text).ok_or_else(|| "a size looks like `700MiB` or `1.5GB`, with its unit".to_owned())
}

/// What was done or would be.
enum Done {
    Pushed(Pushed),
    Planned(Planned),
}

pub(crate) fn run(args: &PushArgs, global: Global) -> Outcome {
    let downloads = args.locking.downloads(args::Downloads::default());
    let context = super::context(global, downloads)?;
    let (image, destination) = match &args.words[..] {
        [image, destination] => (Some(image), destination),
        words => (None, &words[0]),
    };
    let destination = push::Destination::of(remote(destination)?)?;
    let options = push::Options {
        platform: args.platform,
        budget: args.budget,
        mount_from: args.mount_from.clone(),
        sign: args.signing(&context)?,
        bill: if args.no_sbom { Bill::Leave } else { Bill::Attach },
        repeat: if args.repair { Repeat::Repair } else { Repeat::Leave },
    };
    let send = |source: &Admitted<ImageSource>, options: &push::Options| -> Result<Done, Failure> {
        Ok(if args.dry_run {
            Done::Planned(push::plan(&context, source, &destination, options)?)
        } else {
            Done::Pushed(push::push(&context, source, &destination, options)?)
        })
    };
    let finding =
        Finding { pull: Pull::Missing, platforms: args.platform.map_or(Platforms::All, Platforms::One) };
    let kept = match image {
        Some(image) => Some(super::image(&context, image, finding)?),
        None => match images::find(&context, &destination.reference().to_string()) {
            Ok(source) => Some(source),
            Err(FindError::Image(ImageError::NotFound { .. })) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let done = if let Some(source) = kept {
        let done = send(&source, &options);
        context.tell_damage();
        done?
    } else {
        let project = super::agreed(&context, &args.project)?;
        let wanted = build::Options {
            platforms: args.platform.into_iter().collect(),
            name: Naming::Unnamed,
            ..build::Options::new(args.locking.meant())
        };
        let options =
            push::Options { budget: args.budget.or(project.manifest.policy.size_budget), ..options.clone() };
        // A blob that turns out to be damaged while it is sent is made again by another build.
        healing(&context, || {
            let outcome = build::build(&context, &project, &wanted)?;
            send(&outcome.source, &options)
        })?
    };
    if let Some(platform) = args.platform {
        context.reporter.note(&format!("this is {platform} alone, not the index of all platforms"));
    }
    match (&done, global.json) {
        (Done::Pushed(pushed), true) => render::json(pushed),
        (Done::Planned(planned), true) => render::json(planned),
        (Done::Pushed(pushed), false) => render::out(&told(pushed, global)),
        (Done::Planned(planned), false) => render::out(&table(planned)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What was sent.
fn told(pushed: &Pushed, global: Global) -> Page {
    let name = Page::from(pushed.digest.to_string());
    if global.quiet {
        return name;
    }
    let sent = &pushed.sent;
    let mut page = Page::default();
    if sent.unchanged {
        page.line(shown!("{} is there already", pushed.reference));
    } else {
        page.line(shown!(
            "pushed {}: {} sent ({}), {} mounted, {} there before",
            pushed.reference,
            sent.sent.len(),
            units::bytes(sent.bytes),
            sent.mounted.len(),
            sent.there
        ));
    }
    if let Some(signed) = &pushed.signed {
        page.line(shown!(
            "signed by {}: {}{}",
            signed.key,
            if signed.provenance {
                "with what it was built of"
            } else if signed.has_bundles {
                "the signature alone, since what it was built of is not known here"
            } else {
                "the signature alone: this form holds no more"
            },
            if signed.new == 0 { ", as before" } else { "" }
        ));
    }
    match &pushed.bills {
        Some(bills) if bills.new > 0 => page.line("attached a bill of materials to each platform"),
        _ => {}
    }
    page.line(pushed.digest.to_string());
    page
}

/// What would be sent.
fn table(planned: &Planned) -> Page {
    let mut page = Page::default();
    if !planned.missing.is_empty() {
        let mut table = Table::new(&[("DIGEST", Align::Left), ("SIZE", Align::Right), ("TYPE", Align::Left)]);
        for part in &planned.missing {
            table.row([
                part.digest.short().into(),
                units::bytes(part.size).into(),
                (&part.media_type).into(),
            ]);
        }
        page.table(&table);
        page.blank();
    }
    page.line(shown!(
        "{} would get {} parts ({}), {} mounted; {} are there",
        planned.reference,
        planned.missing.len(),
        units::bytes(planned.bytes),
        planned.mounted.len(),
        planned.there
    ));
    if let Some(signed) = &planned.signed {
        let what = if signed.provenance { " and what it was built of" } else { "" };
        page.line(match signed.new {
            0 => shown!("{} has signed it", signed.key),
            new => shown!("{} would sign it{what}: {new} signatures and statements", signed.key),
        });
    }
    if let Some(bills) = planned.bills.filter(|bills| bills.new > 0) {
        page.line(shown!("{} bills of materials would be attached", bills.new));
    }
    page.line(planned.digest.to_string());
    page
}
