//! Of which machine ELF files are, and whether what starts them is there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::elf::ElfKind;
use pinfold_archive::elf::ElfLoad;
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
use crate::verify::report::Findings;
use crate::verify::report::Outcome;
use crate::verify::start;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let libraries = library_directories(ground);
    let mut found = Findings::default();
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
                found.add(|| {
                    finding(
                        object,
                        format!("it is for {machine}, not for {wanted}, and is started as `{command}`"),
                    )
                });
            } else if in_library_directory {
                found.add(|| {
                    finding(
                        object,
                        format!("it is for {machine}, not for {wanted}, in a directory of libraries"),
                    )
                });
            } else {
                *elsewhere.entry(machine).or_default() += 1;
            }
            continue;
        }
        narrow += usize::from(object.machine == Machine::Narrow);
        if object.elf.load == ElfLoad::CutOff && (command.is_some() || in_library_directory) {
            found.add(|| finding(object, "it was cut off: it is to be loaded from beyond its end".into()));
        }
        let Some(interpreter) = &object.elf.interpreter else {
            others += 1;
            continue;
        };
        programs += 1;
        let problem = match ground.follow().find(interpreter) {
            _ if !interpreter.starts_with(b"/") => {
                format!("its dynamic linker `{}` is no absolute path", interpreter.escape_ascii())
            }
            Err(nowhere) => format!("its dynamic linker is missing: {nowhere}"),
            Ok((real, _)) => match ground.elf(real.as_bytes()) {
                None => format!("its dynamic linker `{real}` is no ELF file"),
                Some((_, elf)) if elf.machine != object.elf.machine || elf.class != object.elf.class => {
                    format!("its dynamic linker `{real}` is for {}", machine_name(elf))
                }
                Some((path, _)) if ground.executable(path.as_bytes()).is_none() => {
                    format!("its dynamic linker `{real}` is not executable")
                }
                Some((path, _)) if !ground.is_open(path) => {
                    format!("its dynamic linker `{real}` is closed to the image's user")
                }
                Some((path, elf)) => match start::program_of(elf) {
                    Ok(()) => {
                        loaders.insert(path);
                        continue;
                    }
                    Err(problem) => format!("its dynamic linker `{real}` {problem}"),
                },
            },
        };
        if command.is_none() && known::apart(object.path).is_some() {
            left_out += 1;
        } else {
            found.add(|| finding(object, problem));
        }
    }
    for (path, seen) in &ground.survey.paths {
        let What::File(facts) = &seen.what else { continue };
        let command = ground.commands.get(path);
        let is_library = || {
            path.name().windows(3).any(|part| part == b".so")
                && path.parent().is_some_and(|directory| libraries.contains(&directory))
        };
        if let Some(problem) = facts.malformed {
            if seen.mode & 0o111 != 0 {
                found.add(|| Finding {
                    at: path.to_string(),
                    problem: format!("it is no program that Linux starts: {problem}"),
                });
            } else if is_library() {
                found.add(|| Finding {
                    at: path.to_string(),
                    problem: format!("it is no library that a program can load: {problem}"),
                });
            }
        } else if let (Some(command), Some(ElfKind::Other(_))) =
            (command, facts.elf.as_ref().map(|elf| elf.kind))
        {
            found.add(|| Finding {
                at: path.to_string(),
                problem: format!(
                    "it is an ELF file of a kind that is not started, and is started as `{command}`"
                ),
            });
        }
    }
    if let Some(spent) = ground.spent() {
        found.first(spent);
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
    Outcome::found(CLOSURE_PROGRAMS, evidence, found)
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
    directories.filter_map(|directory| ground.follow().real(directory).ok()).collect()
}
