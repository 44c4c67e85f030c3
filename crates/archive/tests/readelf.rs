//! What binutils' `readelf` says of this machine's programs and libraries, which finds versions by section headers, is what
//! our reader says of them, as whole files and as files that pass by in chunks.
#![expect(clippy::disallowed_methods, reason = "a foreign program is the point of this test")]
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use pinfold_archive::elf::Elf;
use pinfold_archive::elf::Partial;
use pinfold_archive::elf::Passed;
use pinfold_archive::elf::parse;

const PLACES: [&str; 4] =
    ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
/// Files that are compared at most, and of which size.
const FILES_MAX: usize = 400;
const SIZE_MAX: u64 = 4 << 20;

/// What both are asked for, as lines of text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said(Vec<String>);

impl Said {
    fn ours(elf: &Elf) -> Self {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut lines = Vec::new();
        lines.extend(elf.needed.iter().map(|name| format!("needed {}", text(name))));
        lines.extend(elf.soname.iter().map(|name| format!("soname {}", text(name))));
        lines.extend(elf.rpath.iter().map(|name| format!("rpath {}", text(name))));
        lines.extend(elf.runpath.iter().map(|name| format!("runpath {}", text(name))));
        lines.extend(elf.no_default_directories.then(|| "NODEFLIB".to_owned()));
        lines.extend(elf.position_independent.then(|| "PIE".to_owned()));
        lines.extend(elf.versions_defined.iter().map(|name| format!("defines {}", text(name))));
        for need in &elf.versions_needed {
            for version in &need.versions {
                let weak = if version.weak { " weak" } else { "" };
                lines.push(format!("takes {} of {}{weak}", text(&version.name), text(&need.library)));
            }
        }
        lines.sort();
        Self(lines)
    }

    fn theirs(output: &str) -> Self {
        let bracket = |line: &str| line.split_once('[').unwrap().1.trim_end_matches(']').to_owned();
        let word = |line: &str, label: &str| {
            line.split_once(label)
                .map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default().to_owned())
        };
        let mut lines = Vec::new();
        let mut library = String::new();
        for line in output.lines() {
            for (tag, label) in [
                ("(NEEDED)", "needed"),
                ("(SONAME)", "soname"),
                ("(RPATH)", "rpath"),
                ("(RUNPATH)", "runpath"),
            ] {
                if line.contains(tag) {
                    lines.push(format!("{label} {}", bracket(line)));
                }
            }
            if line.contains("(FLAGS_1)") {
                let flags = line.split_whitespace().filter(|word| ["NODEFLIB", "PIE"].contains(word));
                lines.extend(flags.map(str::to_owned));
            }
            if line.contains(" Rev: ") {
                lines.extend(word(line, "  Name: ").map(|name| format!("defines {name}")));
            } else if let Some(name) = word(line, "  File: ") {
                library = name;
            } else if let Some(name) = word(line, "   Name: ") {
                let weak = if line.contains("Flags: WEAK") { " weak" } else { "" };
                lines.push(format!("takes {name} of {library}{weak}"));
            }
        }
        lines.sort();
        Self(lines)
    }
}

/// Programs and libraries of this machine, those first that say most in a name: evenly of all places.
fn files() -> Vec<PathBuf> {
    let mut all = Vec::new();
    for place in PLACES {
        let Ok(directory) = fs_err::read_dir(place) else { continue };
        let mut files: Vec<PathBuf> = directory.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.retain(|path| {
            let meta = fs_err::symlink_metadata(path).unwrap();
            meta.is_file() && meta.len() < SIZE_MAX
        });
        let step = (files.len() / (FILES_MAX / 2)).max(1);
        all.extend(files.into_iter().step_by(step));
    }
    all
}

#[test]
fn readelf_says_the_same() {
    if Command::new("readelf").arg("--version").output().is_err() {
        println!("skip: readelf is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return;
    }
    let mut known = BTreeMap::new();
    for path in files() {
        let bytes = fs_err::read(&path).unwrap();
        let whole = parse(&bytes);
        assert_eq!(whole.is_some(), bytes.starts_with(b"\x7fELF"), "{}", path.display());
        for (head, chunk) in [(u64::MAX, 65_536), (64, 5000)] {
            let mut partial = Partial::with_head(bytes.len() as u64, head);
            let passed = loop {
                bytes.chunks(chunk).for_each(|chunk| partial.feed(chunk));
                match partial.end() {
                    Passed::Again(again) => partial = again,
                    passed => break passed,
                }
            };
            match (passed, &whole) {
                (Passed::Elf(elf), Some(whole)) => assert_eq!(*elf, *whole, "{}", path.display()),
                (Passed::NotElf, None) => {}
                (other, _) => panic!("{}: {other:?}", path.display()),
            }
        }
        known.extend(whole.map(|elf| (path, elf)));
    }
    assert!(known.len() > 20, "there is nothing to compare");
    let output = Command::new("readelf").env("LC_ALL", "C").arg("-dVW").args(known.keys()).output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    let mut compared = 0;
    for section in output.split("\nFile: ") {
        let Some((name, said)) = section.split_once('\n') else { continue };
        let Some(elf) = known.get(&PathBuf::from(name)) else { continue };
        assert_eq!(Said::ours(elf), Said::theirs(said), "{name}");
        compared += 1;
    }
    assert_eq!(compared, known.len());
    let versions = known.values().filter(|elf| !elf.versions_needed.is_empty()).count();
    println!("{compared} files, {versions} with versions of symbols");
    assert!(versions > 10);
}
