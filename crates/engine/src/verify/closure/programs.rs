//! Of which machine ELF files are, and whether what starts them is there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::ImagePath;
use pinfold_image::survey::What;

use super::count;
use super::ground::Ground;
use super::ground::Machine;
use super::ground::Object;
use super::ground::machine_name;
use super::known;
use super::loader::Loader;
use super::loader::Shared;
use crate::verify::checks::CLOSURE_PROGRAMS;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let libraries = library_directories(ground);
    let mut found = Vec::new();
    let (mut programs, mut others, mut narrow) = (0, 0, 0);
    let mut loaders: BTreeSet<&ImagePath> = BTreeSet::new();
    let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
    let mut left_out = 0;
    for object in &ground.objects {
        let command = ground.commands.get(object.path);
        let in_library_directory =
            object.path.parent().is_some_and(|directory| libraries.contains(&directory));
        if object.machine == Machine::Foreign {
            let machine = machine_name(object.elf);
            let wanted = ground.platform.arch.machine();
            if let Some(command) = command {
                found.push(finding(
                    object,
                    format!("it is for {machine}, not for {wanted}, and is started as `{command}`"),
                ));
            } else if in_library_directory {
                found.push(finding(
                    object,
                    format!("it is for {machine}, not for {wanted}, in a directory of libraries"),
                ));
            } else {
                *elsewhere.entry(machine).or_default() += 1;
            }
            continue;
        }
        narrow += usize::from(object.machine == Machine::Narrow);
        let Some(interpreter) = &object.elf.interpreter else {
            others += 1;
            continue;
        };
        programs += 1;
        let problem = match ground.survey.find(interpreter) {
            Err(nowhere) => format!("its dynamic linker is missing: {nowhere}"),
            Ok((real, _)) => match ground.elf(real.as_bytes()) {
                None => format!("its dynamic linker `{real}` is no ELF file"),
                Some((_, elf)) if elf.machine != object.elf.machine || elf.class != object.elf.class => {
                    format!("its dynamic linker `{real}` is for {}", machine_name(elf))
                }
                Some((path, _)) if ground.executable(path.as_bytes()).is_none() => {
                    format!("its dynamic linker `{real}` is not executable")
                }
                Some((path, _)) => {
                    loaders.insert(path);
                    continue;
                }
            },
        };
        if command.is_none() && known::apart(object.path).is_some() {
            left_out += 1;
        } else {
            found.push(finding(object, problem));
        }
    }
    for (path, seen) in &ground.survey.paths {
        if let What::File(facts) = &seen.what
            && let Some(problem) = facts.malformed.filter(|_| seen.mode & 0o111 != 0)
        {
            found.push(Finding {
                at: path.to_string(),
                problem: format!("it is no program that Linux starts: {problem}"),
            });
        }
    }
    let mut evidence = format!(
        "{} with {}, {} and static programs",
        count(programs, "program"),
        count(loaders.len(), "dynamic linker"),
        count(others, "library"),
    );
    if narrow > 0 {
        evidence.push_str(&format!("; {narrow} of them 32-bit"));
    }
    for (machine, files) in elsewhere {
        evidence.push_str(&format!("; {} for {machine} where nothing starts them", count(files, "file")));
    }
    if left_out > 0 {
        evidence.push_str(&format!("; {} of packages for another C library", count(left_out, "program")));
    }
    Outcome::looked(CLOSURE_PROGRAMS, evidence, found)
}

fn finding(object: &Object<'_>, problem: String) -> Finding {
    Finding { at: object.path.to_string(), problem }
}

/// The directories where the loaders of the image look for everybody, links followed.
fn library_directories(ground: &Ground<'_>) -> BTreeSet<ImagePath> {
    let named: BTreeSet<&[u8]> =
        ground.objects.iter().filter_map(|object| object.elf.interpreter.as_deref()).collect();
    let loaders: Vec<Loader<'_>> = named.into_iter().filter_map(|path| Loader::at(ground, path)).collect();
    let shared = Shared::new(ground);
    let directories = loaders.iter().flat_map(|loader| loader.directories.iter().map(Vec::as_slice));
    let directories = directories.chain(shared.directories());
    directories.filter_map(|directory| ground.survey.real(directory).ok()).collect()
}
