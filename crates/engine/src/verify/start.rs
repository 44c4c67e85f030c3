//! What Linux starts: the file that a command is (execvp(3)), and whether it is a program, or a script whose interpreters end in one
//! (execve(2)).
//!
//! **Guarantees**: a command that is found is a file that the image's user may start, on every directory of the way, and that begins as
//! what the kernel takes: an ELF file of a kind that is started and with all that is mapped, or `#!` and a chain of at most
//! [`INTERPRETERS_MAX`] interpreters that ends in such a file. Shells would start more: texts, as scripts of their own.

use pinfold_archive::elf::Elf;
use pinfold_archive::elf::ElfKind;
use pinfold_archive::elf::ElfLoad;
use pinfold_base::ImagePath;
use pinfold_image::survey::Access;
use pinfold_image::survey::Facts;
use pinfold_image::survey::Follow;
use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

/// Interpreters that are scripts in turn, at most (execve(2), "Interpreter scripts").
const INTERPRETERS_MAX: usize = 4;
/// How much of PATH is told.
const PATH_TOLD: usize = 200;

/// The file that a command is: with a slash as it stands, else in the directories of `path`. The error says what is wrong.
pub(super) fn command(follow: &Follow<'_>, path: &str, name: &str) -> Result<ImagePath, String> {
    if name.contains('/') {
        return file(follow, name.as_bytes(), 0).cloned();
    }
    let mut other = None;
    for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
        let candidate = format!("{}/{name}", directory.trim_end_matches('/'));
        match file(follow, candidate.as_bytes(), 0) {
            Ok(real) => return Ok(real.clone()),
            // What is there and does not work says more than that it is in no other directory.
            Err(problem)
                if other.is_none()
                    && follow
                        .survey
                        .in_real_directory(candidate.as_bytes())
                        .is_ok_and(|at| follow.survey.paths.contains_key(&at)) =>
            {
                other = Some(format!("`{candidate}` does not work: {problem}"));
            }
            Err(_) => {}
        }
    }
    Err(other.unwrap_or_else(|| {
        let mut told: String = path.chars().take(PATH_TOLD).collect();
        if told.len() < path.len() {
            told.push('…');
        }
        format!("`{name}` is in no directory of PATH (`{told}`)")
    }))
}

/// The file that Linux starts at an absolute path, which is the interpreter of so many scripts.
fn file<'a>(follow: &Follow<'a>, path: &[u8], of: usize) -> Result<&'a ImagePath, String> {
    let (real, seen) = follow.find(path).map_err(|nowhere| nowhere.to_string())?;
    let What::File(facts) = &seen.what else { return Err(format!("`{real}` is no file")) };
    executable(follow, real, seen)?;
    if let Some(line) = facts.script.as_deref() {
        if of == INTERPRETERS_MAX {
            return Err("its interpreters are scripts of each other, more than Linux follows".into());
        }
        let next =
            interpreter(line).ok_or_else(|| format!("the first line of `{real}` names no interpreter"))?;
        let told = || format!("`{}`, the interpreter of `{real}`, does not start", next.escape_ascii());
        file(follow, next, of + 1).map_err(|problem| format!("{}: {problem}", told()))?;
        return Ok(real);
    }
    program(facts).map_err(|problem| format!("`{real}` {problem}"))?;
    Ok(real)
}

/// Whether who follows may start a file.
fn executable(follow: &Follow<'_>, real: &ImagePath, seen: &Seen) -> Result<(), String> {
    if seen.mode & 0o111 == 0 {
        return Err(format!("`{real}` is not executable"));
    }
    match follow.who {
        Some(who) if !who.may(Access::Execute, seen) => Err(format!(
            "`{real}` belongs to {}:{} with the mode {:04o}, so that {} may not start it",
            seen.uid,
            seen.gid,
            seen.mode & 0o7777,
            who.uid
        )),
        _ => Ok(()),
    }
}

/// Whether a content is a program, or a dynamic linker. The error says what is wrong, after the file's name.
fn program(facts: &Facts) -> Result<(), &'static str> {
    match (&facts.elf, facts.malformed) {
        (_, Some(_)) => Err("is no program that Linux starts: it is an ELF file that is damaged"),
        (None, None) => Err("is neither a program nor a script"),
        (Some(elf), None) => program_of(elf),
    }
}

/// The same of an ELF file.
pub(super) fn program_of(elf: &Elf) -> Result<(), &'static str> {
    match (elf.kind, elf.load) {
        (ElfKind::Other(_), _) => Err("is an ELF file of a kind that is not started"),
        (_, ElfLoad::Nothing) => Err("is an ELF file with nothing in it to be loaded"),
        (_, ElfLoad::CutOff) => Err("is a program that was cut off: it is to be loaded from beyond its end"),
        (_, ElfLoad::Whole) => Ok(()),
    }
}

/// The interpreter that a first line names.
pub(super) fn interpreter(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    words.next()
}

/// Whether a library at a path can be opened by who follows.
pub(super) fn may_read(follow: &Follow<'_>, path: &ImagePath, seen: &Seen) -> bool {
    let open = |dir: ImagePath| {
        let seen = follow.survey.paths.get(&dir);
        seen.is_none_or(|seen| follow.who.is_none_or(|who| who.may(Access::Execute, seen)))
    };
    let mut above = std::iter::successors(path.parent(), ImagePath::parent).take_while(|dir| !dir.is_root());
    follow.who.is_none_or(|who| who.may(Access::Read, seen)) && above.all(open)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pinfold_image::survey::Survey;
    use pinfold_image::survey::Who;

    use super::*;
    use crate::verify::closure::tests::elf;

    fn put(survey: &mut Survey, path: &str, facts: Facts) {
        set(survey, path, What::File(Arc::new(facts)), 0o755);
    }

    fn set(survey: &mut Survey, path: &str, what: What, mode: u32) {
        let seen = Seen { layer: 0, what, mode, uid: 0, gid: 0, size: 0 };
        survey.paths.insert(ImagePath::new(path).unwrap(), seen);
    }

    fn of(elf: Elf) -> Facts {
        Facts { elf: Some(Box::new(elf)), ..Facts::default() }
    }

    fn line(line: &str) -> Facts {
        Facts { script: Some(line.as_bytes().into()), ..Facts::default() }
    }

    fn image() -> Survey {
        let mut survey = Survey::default();
        set(&mut survey, "bin", What::Directory, 0o755);
        put(&mut survey, "bin/sh", of(elf(&[])));
        survey
    }

    fn problem(survey: &Survey, name: &str) -> String {
        let who = Who { uid: 1000, gids: vec![1000] };
        let follow = Follow { survey, who: Some(&who), budget: None };
        command(&follow, "/none:/bin", name).err().unwrap_or_default()
    }

    #[test]
    fn a_command_is_what_linux_starts() {
        let with = |facts: Facts| {
            let mut survey = image();
            put(&mut survey, "bin/x", facts);
            problem(&survey, "x")
        };
        assert_eq!(problem(&image(), "sh"), "");
        assert_eq!(with(line("/bin/sh -e")), "");
        let kind = |kind| of(Elf { kind, ..elf(&[]) });
        let load = |load| of(Elf { load, ..elf(&[]) });
        assert_eq!(with(kind(ElfKind::Executable)), "");
        for (facts, expected) in [
            (kind(ElfKind::Other(1)), "of a kind that is not started"),
            (kind(ElfKind::Other(4)), "of a kind that is not started"),
            (load(ElfLoad::Nothing), "nothing in it"),
            (load(ElfLoad::CutOff), "beyond its end"),
            (Facts { malformed: Some("it ends early"), ..Facts::default() }, "damaged"),
            (Facts::default(), "neither a program nor a script"),
            (line("/bin/x"), "scripts of each other"),
            (line("/bin/none"), "is not in the image"),
            (line(" "), "names no interpreter"),
        ] {
            let told = with(facts);
            assert!(told.contains(expected), "{expected}: {told}");
        }
    }

    /// execve(2): a script may be the interpreter of a script, four times.
    #[test]
    fn chains_of_interpreters_end() {
        let mut survey = image();
        put(&mut survey, "bin/s1", line("/bin/sh"));
        for number in 2..=5 {
            put(&mut survey, &format!("bin/s{number}"), line(&format!("/bin/s{}", number - 1)));
        }
        assert_eq!(problem(&survey, "s4"), "");
        assert!(problem(&survey, "s5").contains("scripts of each other"));
    }

    #[test]
    fn the_images_user_must_get_there() {
        let mut survey = image();
        put(&mut survey, "bin/tool", of(elf(&[])));
        let at = ImagePath::new("bin/tool").unwrap();
        let with = |survey: &mut Survey, mode, uid, gid| {
            let seen = survey.paths.get_mut(&at).unwrap();
            (seen.mode, seen.uid, seen.gid) = (mode, uid, gid);
            problem(survey, "tool")
        };
        assert_eq!(with(&mut survey, 0o711, 0, 0), "");
        assert_eq!(with(&mut survey, 0o710, 0, 1000), "");
        assert_eq!(with(&mut survey, 0o700, 1000, 0), "");
        assert!(with(&mut survey, 0o700, 0, 0).contains("may not start it"));
        // The owner's bits are the owner's, though others have more.
        assert!(with(&mut survey, 0o071, 1000, 1000).contains("may not start it"));
        assert_eq!(with(&mut survey, 0o755, 0, 0), "");
        set(&mut survey, "bin", What::Directory, 0o700);
        assert!(problem(&survey, "tool").contains("closed to the image's user"));
        let root = Who::default();
        let follow = Follow { survey: &survey, who: Some(&root), budget: None };
        assert!(command(&follow, "/bin", "tool").is_ok());
    }

    #[test]
    fn names_are_looked_for_on_path_and_path_is_told_in_short() {
        let mut survey = image();
        set(&mut survey, "bin/dir", What::Directory, 0o755);
        set(&mut survey, "bin/text", What::File(Arc::default()), 0o644);
        assert!(problem(&survey, "dir").contains("no file"));
        assert!(problem(&survey, "text").contains("not executable"));
        assert!(problem(&survey, "zsh").contains("in no directory of PATH"));
        let follow = Follow { survey: &survey, who: None, budget: None };
        let long = format!("/bin:{}", "/none:".repeat(10_000));
        assert!(command(&follow, &long, "zsh").unwrap_err().len() < 1000);
    }
}
