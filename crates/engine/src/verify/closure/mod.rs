//! Whether an image is closed: whatever its programs, scripts, links and configuration lead to is in it.
//!
//! ```text
//! survey ─► Ground   what is started by name, where which loader looks   (ground.rs, loader.rs)
//!             ├► programs    machine and dynamic linker of each ELF file
//!             ├► libraries   what each needs, found as its loader finds it; and the versions of symbols
//!             ├► scripts     interpreters
//!             ├► links       where symbolic links end
//!             └► commands    entrypoint, PATH, npm's programs
//! ```
//!
//! **Guarantees**: pure; the rules are those of ld.so(8), of musl's loader, of execve(2) and path_resolution(7); the work is
//! bounded, and a check that had to stop has failed. What is known to be harmless is listed with its reason in `known.rs`.

mod commands;
mod ground;
mod known;
mod libraries;
mod links;
mod loader;
mod programs;
mod scripts;

use pinfold_base::Platform;
use pinfold_image::model::RuntimeSection;
use pinfold_image::survey::Survey;
use pinfold_image::survey::Who;

use super::report::Outcome;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The platform that it is for.
    pub platform: Platform,
    /// Its files. `/etc/ld.so.cache` and `/etc/ld-musl-*.path` have to be kept.
    pub survey: &'a Survey,
    /// How it is run: PATH, `LD_LIBRARY_PATH`, entrypoint and command.
    pub runtime: &'a RuntimeSection,
    /// Who runs it.
    pub who: &'a Who,
}

/// All of these checks.
pub fn check(given: &Given<'_>) -> Vec<Outcome> {
    let ground = ground::Ground::new(given);
    let programs = programs::check(&ground);
    let [libraries, versions] = libraries::check(&ground);
    vec![
        programs,
        libraries,
        versions,
        scripts::check(&ground),
        links::check(&ground),
        commands::check(&ground),
    ]
}

/// `1 file`, `3 files`, `2 libraries`.
fn count(number: usize, one: &str) -> String {
    match one.strip_suffix('y') {
        _ if number == 1 => format!("1 {one}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {one}s"),
    }
}

#[cfg(test)]
pub(in crate::verify) mod tests;
