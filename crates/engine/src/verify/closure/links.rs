//! Where symbolic links lead.

use pinfold_base::ImagePath;
use pinfold_image::survey::Nowhere;
use pinfold_image::survey::What;

use super::count;
use super::ground::Ground;
use super::known;
use crate::verify::checks::CLOSURE_LINKS;
use crate::verify::report::Finding;
use crate::verify::report::Findings;
use crate::verify::report::Outcome;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let (mut links, mut at_run, mut known_ones) = (0, 0, 0);
    let mut found = Findings::default();
    for (path, seen) in &ground.survey.paths {
        let What::Link(target) = &seen.what else { continue };
        links += 1;
        let Err(nowhere) = ground.follow().real(path.as_bytes()) else { continue };
        let missing = match &nowhere {
            Nowhere::Missing(at) => Some(at),
            Nowhere::Spent => break,
            Nowhere::NotDirectory(_) | Nowhere::Closed(_) | Nowhere::Loop | Nowhere::Impossible => None,
        };
        match missing {
            Some(missing) if is_at_run(ground, missing) => at_run += 1,
            Some(missing) if known::link(path, missing) => known_ones += 1,
            _ => found.add(|| Finding {
                at: path.to_string(),
                problem: format!("it leads to `{}`: {nowhere}", target.escape_ascii()),
            }),
        }
    }
    let mut evidence = count(links, "symbolic link");
    if at_run > 0 {
        evidence.push_str(&format!("; {at_run} to what only a running system has"));
    }
    if known_ones > 0 {
        evidence.push_str(&format!("; {known_ones} to what small images leave out"));
    }
    if let Some(spent) = ground.spent() {
        found.first(spent);
    }
    Outcome::found(CLOSURE_LINKS, evidence, found)
}

/// Whether something comes there when a container runs: of the kernel, of what runs, or of a volume.
fn is_at_run(ground: &Ground<'_>, path: &ImagePath) -> bool {
    let mut volumes = ground.runtime.volumes.keys().filter_map(|volume| ImagePath::new(volume).ok());
    known::at_run(path) || volumes.any(|volume| !volume.is_root() && path.starts_with(&volume))
}
