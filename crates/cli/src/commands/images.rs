//! `pinfold images`: what is in the local store.

use std::process::ExitCode;

use pinfold_engine::keep::images;
use pinfold_engine::keep::images::Which;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use pinfold_base::units;

/// List the images in the local store
#[derive(Debug, clap::Args)]
pub(crate) struct ImagesArgs {
    /// Print digests in full
    #[arg(long)]
    no_trunc: bool,
    /// Also those without a name: what projects run
    #[arg(long, short)]
    all: bool,
}

pub(crate) fn run(args: &ImagesArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    let images = images::list(&context, if args.all { Which::All } else { Which::Named })?;
    context.tell_damage();
    if global.json {
        render::json(&images);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&[
        ("REPOSITORY", Align::Left),
        ("TAG", Align::Left),
        ("DIGEST", Align::Left),
        ("PLATFORMS", Align::Left),
        ("CREATED", Align::Left),
        ("SIZE", Align::Right),
    ])
    .sparing(&["CREATED", "PLATFORMS"]);
    for image in &images {
        let digest = if args.no_trunc { image.digest.to_string() } else { image.digest.short() };
        table.row([
            (&image.repository).into(),
            (&image.tag).into(),
            digest.into(),
            image.platforms.join(", ").into(),
            if image.damaged { "damaged".into() } else { (&image.created).into() },
            units::bytes(image.size).into(),
        ]);
    }
    let mut page = Page::default();
    // Who asks for digests in full wants to copy them.
    page.table_within(&table, render::columns(rustix::stdio::stdout()).filter(|_| !args.no_trunc));
    render::out(&page);
    if images.iter().any(|image| image.damaged) && !global.quiet {
        render::note(
            "`pinfold build` in its project makes a damaged image again, `pinfold rmi NAME` forgets it",
        );
    }
    Ok(ExitCode::SUCCESS)
}
