//! `pinfold inspect`: what an image is made of.

use std::process::ExitCode;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_engine::keep::images;
use pinfold_image::inspect;

use super::Outcome;
use crate::args;
use crate::args::Global;
use crate::render;
use crate::render::page::Page;
use crate::render::table::Align;
use crate::render::table::Table;
use crate::render::units;

/// Show an image's layers, components, sizes and configuration
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// NAME[:TAG] or NAME@DIGEST in the local store, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE
    image: String,
}

pub(crate) fn run(args: &InspectArgs, global: Global) -> Outcome {
    let context = super::context(global, args::Downloads { offline: true })?;
    let summary = super::image(&context, &args.image).and_then(|image| Ok(inspect::inspect(&image)?));
    let whole = images::is_whole(&context, &args.image)?;
    context.tell_damage();
    let summary = summary?;
    if !whole {
        context.reporter.warn(
            "some of its blobs are missing or damaged; `pinfold build` in its project makes them again",
        );
    }
    if global.json {
        render::json(&summary);
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::default();
    page.line(&summary.name);
    page.line(summary.digest.to_string());
    for platform in &summary.platforms {
        page.blank();
        page.line(shown!("{}  manifest {}", platform.platform, platform.manifest));
        let runtime = &platform.runtime;
        page.line(shown!(
            "user {}  workdir {}  entrypoint {}  cmd {}",
            if runtime.user.is_empty() { "root" } else { &runtime.user },
            if runtime.working_dir.is_empty() { "/" } else { &runtime.working_dir },
            list(&runtime.entrypoint),
            list(&runtime.cmd)
        ));
        let mut table = Table::new(&[
            ("#", Align::Right),
            ("LAYER", Align::Left),
            ("SIZE", Align::Right),
            ("UNPACKED", Align::Right),
            ("RE-USED", Align::Right),
            ("COMPONENTS", Align::Left),
        ]);
        for (number, layer) in platform.layers.iter().enumerate() {
            let mut components = Shown::from(layer.components.join(" "));
            if components.columns() > 60 {
                components = shown!("{} components", layer.components.len());
            }
            table.row([
                (number + 1).to_string().into(),
                layer.digest.short().into(),
                units::bytes(layer.size).into(),
                layer.uncompressed.map(units::bytes).unwrap_or_default().into(),
                units::bytes(layer.reused).into(),
                components,
            ]);
        }
        page.table(&table);
    }
    render::out(&page);
    Ok(ExitCode::SUCCESS)
}

/// Words, told apart by quotes.
fn list(words: &[String]) -> Shown {
    let quoted = words.iter().map(|word| word.replace('\\', "\\\\").replace('"', "\\\""));
    shown!("[{}]", quoted.map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
}
