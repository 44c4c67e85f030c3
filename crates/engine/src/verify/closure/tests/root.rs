//! The same of directories that somebody else made: roots of Debian, of other tools, of this machine.
#![expect(clippy::print_stdout, reason = "it is there to be read")]

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use pinfold_archive::elf::Partial;
use pinfold_archive::elf::Passed;
use pinfold_base::ImagePath;
use pinfold_image::survey::Facts;
use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

use super::*;
use crate::verify::closure::ground::Ground;
use crate::verify::closure::libraries::Process;
use crate::verify::closure::loader::Loader;
use crate::verify::closure::loader::Shared;

/// `ld.so --list` of glibc loads the libraries of a program without starting it, and says where each is: the loader itself judges
/// our rules for it, on every eighth program of this machine. Off by default: what a machine has installed is no fixed input, and reading
/// it takes minutes.
#[test]
#[ignore = "reads all of this machine's files"]
#[expect(clippy::disallowed_methods, reason = "a foreign program is the point of this test")]
fn the_loader_finds_the_same() {
    if !Path::new(LOADER).exists() {
        println!("skip: {LOADER} is not installed");
        return;
    }
    let survey = survey_of(Path::new("/"));
    let runtime = RuntimeSection::default();
    let who = Who::default();
    let given =
        Given { platform: "linux/amd64".parse().unwrap(), survey: &survey, runtime: &runtime, who: &who };
    let ground = Ground::new(&given);
    let mut shared = Shared::new(&ground);
    let loader = Loader::at(&ground, LOADER.as_bytes()).unwrap();
    let (mut programs, mut libraries) = (0, 0);
    let objects = ground.objects.iter();
    let started = objects.filter(|object| object.elf.interpreter.as_deref() == Some(LOADER.as_bytes()));
    for object in started.step_by(8) {
        let process = Process::start(&ground, &mut shared, &loader, object, &mut 0);
        let file = object.path.to_string();
        let output = std::process::Command::new(LOADER).env_clear().args(["--list", &file]).output().unwrap();
        programs += 1;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some((name, place)) = line.trim().split_once(" => ") else { continue };
            let place = place.split(" (0x").next().unwrap();
            let ours = process.names.get(name.as_bytes()).map(ToString::to_string);
            let theirs = fs::canonicalize(place).ok().map(|path| path.display().to_string());
            assert_eq!(ours, theirs, "`{name}` of {file}");
            libraries += 1;
        }
    }
    println!("{programs} programs with {libraries} libraries");
    assert!(libraries > 100);
}

/// What a directory has, as if it were an image.
fn survey_of(root: &Path) -> Survey {
    let mut survey = Survey::default();
    let mut left: Vec<PathBuf> = vec![root.into()];
    while let Some(directory) = left.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let inside = path.strip_prefix(root).unwrap();
            if ["proc", "sys", "dev", "run", "tmp", "work", "root"].iter().any(|dir| inside.starts_with(dir))
            {
                continue;
            }
            let name = ImagePath::new(inside.as_os_str().as_encoded_bytes()).unwrap();
            let what = if meta.is_dir() {
                left.push(path.clone());
                What::Directory
            } else if meta.is_symlink() {
                What::Link(fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes().into())
            } else if meta.is_file() {
                let text = name.to_string();
                if text.starts_with("/etc/ld") || text == "/etc/passwd" || text == "/etc/group" {
                    survey.kept.insert(name.clone(), fs::read(&path).unwrap());
                }
                What::File(Arc::new(facts_of(&path, meta.len())))
            } else {
                What::Other
            };
            let (mode, uid, gid) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
            survey.paths.insert(name, Seen { layer: 0, what, mode, uid, gid, size: meta.len() });
        }
    }
    survey
}

fn facts_of(path: &Path, size: u64) -> Facts {
    let mut facts = Facts::default();
    let mut partial = Partial::new(size);
    let mut first = Vec::new();
    loop {
        let mut file = fs::File::open(path).unwrap();
        let mut chunk = vec![0; 1 << 17];
        loop {
            let count = file.read(&mut chunk).unwrap();
            if count == 0 {
                break;
            }
            if first.is_empty() {
                first = chunk[..count.min(256)].to_vec();
            }
            partial.feed(&chunk[..count]);
            if partial.is_settled() {
                break;
            }
        }
        match partial.end() {
            Passed::Elf(elf) => facts.elf = Some(elf),
            Passed::Again(again) => {
                partial = again;
                continue;
            }
            Passed::NotElf => {}
            Passed::Malformed(why) => println!("{}: {why}", path.display()),
        }
        break;
    }
    if let Some(line) = first.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap();
        facts.script = Some(line.trim_ascii().into());
    }
    facts
}

/// Off by default, since no such root comes with the sources: a whole one of somebody else's making: `PINFOLD_ROOT=DIR PINFOLD_PLATFORM=linux/arm64 cargo test … -- --ignored`.
#[test]
#[ignore = "looks at the directory that PINFOLD_ROOT names"]
fn a_root_is_closed() {
    let root = std::env::var_os("PINFOLD_ROOT").expect("PINFOLD_ROOT names a directory");
    let platform = std::env::var("PINFOLD_PLATFORM").unwrap_or("linux/amd64".into()).parse().unwrap();
    let survey = survey_of(Path::new(&root));
    assert!(!survey.paths.is_empty(), "`{}` holds nothing", Path::new(&root).display());
    let runtime = RuntimeSection::default();
    let who = Who::default();
    let start = std::time::Instant::now();
    let outcomes = check(&Given { platform, survey: &survey, runtime: &runtime, who: &who });
    println!("{} paths in {:?}", survey.paths.len(), start.elapsed());
    for outcome in &outcomes {
        println!("{} {}: {}", outcome.check, outcome.verdict, outcome.evidence);
        for finding in &outcome.findings {
            println!("    {}: {}", finding.at, finding.problem);
        }
        if outcome.more > 0 {
            println!("    and {} more", outcome.more);
        }
    }
    assert!(outcomes.iter().all(|outcome| outcome.findings.is_empty()));
}
