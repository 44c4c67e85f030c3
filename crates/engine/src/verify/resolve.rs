//! Where a path leads inside an image, links followed as Linux follows them (path_resolution(7)), never out of its root.

use std::fmt;

use pinfold_base::ImagePath;
use pinfold_image::survey::Seen;
use pinfold_image::survey::Survey;
use pinfold_image::survey::What;

/// Links that are followed at most (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;
/// Parts of a path that are followed at most, links' targets included.
const PARTS_MAX: usize = 4096;

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// There is nothing at this path, to which it leads.
    Missing(String),
    /// It leads through this path, which is no directory.
    NotDirectory(String),
    /// Its links lead to each other, or are too many.
    Loop,
}

impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(at) => write!(f, "`{at}` is not in the image"),
            Self::NotDirectory(at) => write!(f, "`{at}` is no directory"),
            Self::Loop => write!(f, "its links lead in a circle"),
        }
    }
}

/// Whether the last part of a path is followed where it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Follow,
    Keep,
}

/// The path of what an absolute path leads to, all links followed. The root leads to the root.
pub fn real(survey: &Survey, path: &[u8]) -> Result<ImagePath, Nowhere> {
    walk(survey, path, Last::Follow)
}

/// The same with the links to its directory followed, and its last part left as it is, whether or not it is there.
pub fn in_real_directory(survey: &Survey, path: &[u8]) -> Result<ImagePath, Nowhere> {
    walk(survey, path, Last::Keep)
}

/// What an absolute path leads to.
pub fn find<'a>(survey: &'a Survey, path: &[u8]) -> Result<(ImagePath, &'a Seen), Nowhere> {
    let real = real(survey, path)?;
    let missing = || Nowhere::Missing(format!("{real}"));
    survey.paths.get(&real).map(|seen| (real.clone(), seen)).ok_or_else(missing)
}

fn walk(survey: &Survey, path: &[u8], last: Last) -> Result<ImagePath, Nowhere> {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/')
            .rev()
            .filter(|part| !part.is_empty() && *part != b".")
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut left = parts(path);
    let mut at: Vec<Vec<u8>> = Vec::new();
    let (mut links, mut steps) = (0, 0);
    while let Some(part) = left.pop() {
        steps += 1;
        if steps > PARTS_MAX {
            return Err(Nowhere::Loop);
        }
        if part == b".." {
            at.pop();
            continue;
        }
        at.push(part);
        let joined = at.join(&b'/');
        let text = || format!("/{}", joined.escape_ascii());
        let here = ImagePath::new(&joined).map_err(|_| Nowhere::Missing(text()))?;
        if last == Last::Keep && left.is_empty() {
            return Ok(here);
        }
        match survey.paths.get(&here).map(|seen| &seen.what) {
            None => return Err(Nowhere::Missing(text())),
            Some(What::Link(target)) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Nowhere::Loop);
                }
                at.pop();
                if target.starts_with(b"/") {
                    at.clear();
                }
                left.extend(parts(target));
            }
            Some(What::Directory) => {}
            Some(_) if left.is_empty() => {}
            Some(_) => return Err(Nowhere::NotDirectory(text())),
        }
    }
    let joined = at.join(&b'/');
    if joined.is_empty() {
        return Ok(ImagePath::root());
    }
    ImagePath::new(&joined).map_err(|_| Nowhere::Missing(format!("/{}", joined.escape_ascii())))
}

/// The executable file that a command is, found as execvp(3) does: with a slash as it stands, else in the directories of `path`.
/// The error says what is wrong.
pub fn command(survey: &Survey, path: &str, name: &str) -> Result<ImagePath, String> {
    let executable = |candidate: &str| match find(survey, candidate.as_bytes()) {
        Ok((real, Seen { what: What::File(_), mode, .. })) if mode & 0o111 != 0 => Ok(real),
        Ok((real, Seen { what: What::File(_), .. })) => Err(format!("`{real}` is not executable")),
        Ok((real, _)) => Err(format!("`{real}` is no file")),
        Err(nowhere) => Err(nowhere.to_string()),
    };
    if name.contains('/') {
        return executable(name);
    }
    let mut other = None;
    for directory in path.split(':').filter(|directory| directory.starts_with('/')) {
        let candidate = format!("{}/{name}", directory.trim_end_matches('/'));
        match executable(&candidate) {
            Ok(real) => return Ok(real),
            // What is there and does not work says more than that it is in no other directory.
            Err(problem)
                if in_real_directory(survey, candidate.as_bytes())
                    .is_ok_and(|at| survey.paths.contains_key(&at)) =>
            {
                other.get_or_insert(format!("`{candidate}` does not work: {problem}"));
            }
            Err(_) => {}
        }
    }
    Err(other.unwrap_or_else(|| format!("`{name}` is in no directory of PATH (`{path}`)")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn survey(entries: &[(&str, What)]) -> Survey {
        let seen = |what: &What| Seen { layer: 0, what: what.clone(), mode: 0o755, uid: 0, gid: 0, size: 0 };
        let paths = entries.iter().map(|(path, what)| (ImagePath::new(path).unwrap(), seen(what))).collect();
        Survey { paths, ..Survey::default() }
    }

    fn link(target: &str) -> What {
        What::Link(target.as_bytes().into())
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let file = || What::File(Arc::default());
        let image = survey(&[
            ("bin", link("usr/bin")),
            ("usr", What::Directory),
            ("usr/bin", What::Directory),
            ("usr/bin/sh", link("/bin/dash")),
            ("usr/bin/dash", file()),
            ("usr/bin/out", link("../../../../bin/dash")),
            ("usr/bin/dir", link("..")),
            ("usr/bin/root", link("/")),
            ("loop", link("loop")),
            ("a", link("b")),
            ("b", link("/a/x")),
            ("dangling", link("/usr/bin/none")),
        ]);
        let of = |path: &str| real(&image, path.as_bytes()).map(|real| real.to_string());
        for path in [
            "/bin/sh",
            "usr/bin/sh",
            "/usr/bin/out",
            "//bin/./../bin/sh",
            "/bin/root/bin/sh",
            "/bin/dir/bin/dash",
        ] {
            assert_eq!(of(path), Ok("/usr/bin/dash".into()), "{path}");
        }
        assert_eq!(of("/loop"), Err(Nowhere::Loop));
        assert_eq!(of("/a"), Err(Nowhere::Loop));
        assert_eq!(of("/dangling"), Err(Nowhere::Missing("/usr/bin/none".into())));
        assert_eq!(of("/bin/sh/x"), Err(Nowhere::NotDirectory("/usr/bin/dash".into())));
        assert_eq!(of("/../.."), Ok(ImagePath::root().to_string()));
        let kept = in_real_directory(&image, b"/bin/sh").unwrap();
        assert_eq!(kept.to_string(), "/usr/bin/sh");
        assert_eq!(command(&image, "/none:/bin", "sh").unwrap().to_string(), "/usr/bin/dash");
        assert!(command(&image, "/none:/bin", "dir").unwrap_err().contains("no file"));
        assert!(command(&image, "/bin", "zsh").unwrap_err().contains("in no directory of PATH"));
    }
}
