//! What is at the paths of an image, compared with what a test wants. Nothing is unpacked or run.
//!
//! A link on the way to a path leads within the image, whatever it says; the path itself is looked at as it stands there, and only
//! its content is that of the file that it leads to.

use std::collections::BTreeSet;

use pinfold_base::ImagePath;
use pinfold_base::Reporter;
use pinfold_base::error::one_line;
use pinfold_image::Image;
use pinfold_image::ImageSource;
use pinfold_image::contents;
use pinfold_image::contents::Contents;
use pinfold_image::contents::Found;
use pinfold_image::contents::What;
use pinfold_image::survey::Nowhere;

use super::Finding;
use super::mismatches;
use crate::project::manifest::test::Class;
use crate::project::manifest::test::Kind;
use crate::project::manifest::test::PathTest;
use crate::project::manifest::test::Permissions;

/// Bytes of all files whose content is looked at.
const CONTENT: u64 = 128 << 20;

/// The paths of an image, and the files that tests look into.
#[derive(Debug, Default)]
pub(super) struct Paths(Contents);

/// What becomes of a link at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    AsItIs,
    Followed,
}

/// What a path leads to.
enum Leads<'a> {
    /// The image's root.
    Root,
    /// A directory that no layer has an entry for, but for what is in it.
    Implied,
    /// This.
    To(ImagePath, &'a Found),
}

impl Paths {
    /// Reads the layers, and what is in the files at `contents`.
    pub(super) fn read(
        source: &ImageSource,
        image: &Image,
        reporter: &dyn Reporter,
        contents: &[String],
    ) -> Result<Self, String> {
        let read = |keep: &dyn Fn(&ImagePath) -> bool| {
            contents::read(source, image, keep, reporter).map_err(|error| one_line(&error))
        };
        // Which files are looked into shows where all links are known.
        let mut paths = Self(read(&|_| false)?);
        let mut wanted = BTreeSet::new();
        let mut size = 0;
        for path in contents {
            if let Ok(Leads::To(path, found)) = paths.lead(path, Last::Followed)
                && matches!(found.what, What::File(_))
                && wanted.insert(path)
            {
                size += found.size;
            }
        }
        if size > CONTENT {
            return Err(format!("the files whose content is tested are larger than {} MiB", CONTENT >> 20));
        }
        if !wanted.is_empty() {
            paths.0.kept = read(&|path| wanted.contains(path))?.kept;
        }
        Ok(paths)
    }

    /// Follows a path; the error says where it ends.
    fn lead(&self, path: &str, last: Last) -> Result<Leads<'_>, String> {
        let told = |nowhere| match nowhere {
            Nowhere::Missing(at) => format!("there is no `{at}`"),
            other => other.to_string(),
        };
        let at = match last {
            Last::AsItIs => self.0.in_real_directory(path.as_bytes()),
            Last::Followed => self.0.real(path.as_bytes()),
        };
        let at = at.map_err(told)?;
        match self.0.get(&at) {
            _ if at.is_root() => Ok(Leads::Root),
            Some(found) => Ok(Leads::To(at, found)),
            None if self.0.below(&at).next().is_some() => Ok(Leads::Implied),
            None => Err(told(Nowhere::Missing(at))),
        }
    }

    /// Judges a path: the evidence and what does not hold, or why it is not known.
    pub(super) fn judge(&self, asked: &PathTest, path: &str) -> Result<(String, Vec<Finding>), String> {
        let finding = |problem: String| Finding { at: path.to_owned(), problem };
        let leads = match self.lead(path, Last::AsItIs) {
            Err(problem) if asked.exists => return Ok((problem.clone(), vec![finding(problem)])),
            Err(problem) => return Ok((problem, Vec::new())),
            Ok(_) if !asked.exists => {
                return Ok((
                    format!("`{path}` is there"),
                    vec![finding("it is there, and must not be".into())],
                ));
            }
            Ok(leads) => leads,
        };
        let found = match leads {
            Leads::To(_, found) => found,
            Leads::Root | Leads::Implied if asked.asks_of_entry() => {
                return Err(format!("no layer has an entry for `{path}`, which says its mode and owner"));
            }
            Leads::Root | Leads::Implied => {
                &Found { layer: 0, what: What::Directory, mode: 0o755, uid: 0, gid: 0, size: 0 }
            }
        };
        let mut findings: Vec<Finding> = stat(asked, found).into_iter().map(finding).collect();
        if let Some(patterns) = &asked.content {
            match self.content(path) {
                Ok(content) => findings.extend(mismatches(path, patterns, content)),
                Err(problem) => findings.push(finding(problem)),
            }
        }
        Ok((format!("{} {}:{} {} bytes", go_mode(found), found.uid, found.gid, found.size), findings))
    }

    fn content(&self, path: &str) -> Result<&[u8], String> {
        match self.lead(path, Last::Followed)? {
            Leads::To(at, Found { what: What::File(_), .. }) => {
                self.0.kept.get(&at).map(Vec::as_slice).ok_or_else(|| "its content was not read".into())
            }
            _ => Err("it is no file".into()),
        }
    }
}

impl PathTest {
    /// Whether it wants what only an entry of a layer says.
    fn asks_of_entry(&self) -> bool {
        self.permissions.is_some() || self.executable_by.is_some() || self.uid.is_some() || self.gid.is_some()
    }
}

/// What Go's `FileMode.String` prints of it.
fn go_mode(found: &Found) -> String {
    let mut text = String::new();
    let kind = match found.what {
        What::Directory => Some('d'),
        What::Link(_) => Some('L'),
        What::Other => Some('?'),
        What::File(_) => None,
    };
    let bits = [(0o4000, 'u'), (0o2000, 'g'), (0o1000, 't')];
    text.extend(kind);
    text.extend(bits.into_iter().filter(|(bit, _)| found.mode & bit != 0).map(|(_, letter)| letter));
    if text.is_empty() {
        text.push('-');
    }
    for (at, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if found.mode & (0o400 >> at) == 0 { '-' } else { letter });
    }
    text
}

/// What of an entry is not as it is wanted.
fn stat(asked: &PathTest, found: &Found) -> Vec<String> {
    let mut problems = Vec::new();
    let kind = match found.what {
        What::Directory => Some(Kind::Directory),
        What::File(_) => Some(Kind::File),
        What::Link(_) => Some(Kind::Link),
        What::Other => None,
    };
    let word = |kind| match kind {
        Some(Kind::Directory) => "a directory",
        Some(Kind::File) => "a file",
        Some(Kind::Link) => "a link",
        None => "a device or FIFO",
    };
    if asked.kind.is_some() && asked.kind != kind {
        problems.push(format!("it is {}, not {}", word(kind), word(asked.kind)));
    }
    match &asked.permissions {
        Some(Permissions::Bits(bits)) if *bits != found.mode & 0o7777 => {
            problems.push(format!("its mode is {:04o}, not {bits:04o}", found.mode & 0o7777));
        }
        Some(Permissions::Text(text)) if *text != go_mode(found) => {
            problems.push(format!("its permissions are `{}`, not `{text}`", go_mode(found)));
        }
        _ => {}
    }
    for (what, wanted, has) in [("owner", asked.uid, found.uid), ("group", asked.gid, found.gid)] {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != has) {
            problems.push(format!("its {what} is {has}, not {wanted}"));
        }
    }
    let wanted = asked.executable_by.map(|class| match class {
        Class::Any => (0o111, "anybody"),
        Class::Owner => (0o100, "its owner"),
        Class::Group => (0o010, "its group"),
        Class::Other => (0o001, "others"),
    });
    if let Some((_, whom)) = wanted.filter(|(bits, _)| found.mode & bits == 0) {
        problems.push(format!("it is not executable by {whom}: `{}`", go_mode(found)));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(what: What, mode: u32) -> Found {
        Found { layer: 0, what, mode, uid: 1000, gid: 50, size: 3 }
    }

    fn file() -> What {
        What::File(Arc::default())
    }

    fn paths() -> Paths {
        let link = |target: &str| What::Link(target.as_bytes().into());
        let entries = [
            ("etc", found(What::Directory, 0o755)),
            ("etc/motd", found(file(), 0o644)),
            ("etc/link", found(link("motd"), 0o777)),
            ("etc/out", found(link("/../../etc/motd"), 0o777)),
            ("etc/self", found(link("self"), 0o777)),
            ("usr/bin/su", found(file(), 0o4755)),
            ("bin", found(link("usr/bin"), 0o777)),
            ("tmp", found(What::Directory, 0o1777)),
        ];
        let path = |text: &str| ImagePath::new(text).unwrap();
        Paths(Contents {
            paths: entries.into_iter().map(|(name, found)| (path(name), found)).collect(),
            kept: [(path("etc/motd"), b"hi\n".to_vec())].into(),
            ..Contents::default()
        })
    }

    /// The strings are those that Go prints for these modes.
    #[test]
    fn modes_are_written_as_go_writes_them() {
        let paths = paths();
        let of = |path: &str| match paths.lead(path, Last::AsItIs) {
            Ok(Leads::To(_, found)) => go_mode(found),
            _ => String::new(),
        };
        assert_eq!(of("/etc"), "drwxr-xr-x");
        assert_eq!(of("/etc/motd"), "-rw-r--r--");
        assert_eq!(of("/bin"), "Lrwxrwxrwx");
        assert_eq!(of("/bin/su"), "urwxr-xr-x");
        assert_eq!(of("/tmp/"), "dtrwxrwxrwx");
    }

    #[test]
    fn links_lead_within_the_image_and_come_to_an_end() {
        let paths = paths();
        for path in ["/etc/motd", "/etc/link", "/etc/out", "etc/../etc/./motd"] {
            assert_eq!(paths.content(path), Ok(&b"hi\n"[..]), "{path}");
        }
        for (path, part) in [
            ("/etc/self", "links"),
            ("/etc/none", "no `/etc/none`"),
            ("/etc/motd/x", "no directory"),
            ("/etc", "no file"),
            ("/usr", "no file"),
            ("/", "no file"),
        ] {
            let problem = paths.content(path).unwrap_err();
            assert!(problem.contains(part), "{path}: {problem}");
        }
    }

    #[test]
    fn each_wish_is_judged() {
        let paths = paths();
        let there = PathTest { exists: true, ..PathTest::default() };
        let count =
            |path: &str, asked: &PathTest| paths.judge(asked, path).map(|(_, findings)| findings.len());
        assert_eq!(count("/etc/motd", &there), Ok(0));
        assert_eq!(count("/usr", &there), Ok(0));
        assert_eq!(count("/none", &there), Ok(1));
        let gone = PathTest::default();
        assert_eq!((count("/none", &gone), count("/etc", &gone)), (Ok(0), Ok(1)));
        let with = |change: fn(&mut PathTest)| {
            let mut asked = there.clone();
            change(&mut asked);
            asked
        };
        type Wish = fn(&mut PathTest);
        let cases: [(Wish, Wish); 6] = [
            (|a| a.kind = Some(Kind::File), |a| a.kind = Some(Kind::Link)),
            (
                |a| a.permissions = Some(Permissions::Bits(0o644)),
                |a| a.permissions = Some(Permissions::Bits(0o600)),
            ),
            (
                |a| a.permissions = Some(Permissions::Text("-rw-r--r--".into())),
                |a| a.permissions = Some(Permissions::Text("rw-r--r--".into())),
            ),
            (|a| a.uid = Some(1000), |a| a.uid = Some(0)),
            (|a| a.gid = Some(50), |a| a.gid = Some(0)),
            (|a| a.executable_by = None, |a| a.executable_by = Some(Class::Any)),
        ];
        for (holds, fails) in cases {
            assert_eq!(count("/etc/motd", &with(holds)), Ok(0));
            assert_eq!(count("/etc/motd", &with(fails)), Ok(1));
        }
        assert_eq!(count("/bin/su", &with(|a| a.executable_by = Some(Class::Other))), Ok(0));
        // What nobody says is not guessed.
        assert!(count("/usr", &with(|a| a.uid = Some(0))).is_err());
    }
}
