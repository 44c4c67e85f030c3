//! What an image is made of, path by path: which component each file came with, and in which version.
//!
//! The layers say which components they hold. Where one holds several, Debian's own lists say which files are whose, and the
//! directories of npm packages are named after them; what is left is generated, or nobody's.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::contents;
use pinfold_image::contents::Contents;
use pinfold_image::contents::Found;
use pinfold_image::contents::What;
use pinfold_image::inspect::PlatformSummary;
use serde::Serialize;

use crate::context::Context;

/// dpkg's database of what is installed.
const STATUS: &str = "/var/lib/dpkg/status";
/// Its lists of files, one a package.
const LISTS: &str = "/var/lib/dpkg/info/";

/// One component of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Its name: `debian/curl`.
    pub name: String,
    /// Its version, where the image says.
    pub version: Option<String>,
    /// The number of its layer, 1 being the lowest.
    pub layer: usize,
    /// How many paths came with it, directories aside.
    pub files: usize,
    /// Their bytes.
    pub size: u64,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Where it is.
    pub path: String,
    /// Its type and mode as `ls -l` writes them.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a file.
    pub size: u64,
    /// Where a symbolic link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// SHA-256 of its content, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What it came with, where that is known.
    pub component: Option<String>,
    /// The number of its layer, 1 being the lowest.
    pub layer: usize,
}

/// What an image is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Its components, by name.
    pub components: Vec<Component>,
    /// Its files, by path.
    pub files: Vec<File>,
}

/// Reads all of one platform of an image; `summary` is what its documents say.
pub fn parts(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    summary: &PlatformSummary,
) -> Result<Parts, ImageError> {
    let image = source.image(platform)?;
    let contents = contents::read(source, &image, &is_read, &*context.reporter)?;
    Ok(sorted(&contents, summary))
}

/// Which files names and versions are read from.
pub(crate) fn is_read(path: &ImagePath) -> bool {
    let text = path.to_string();
    text == STATUS
        || text.strip_prefix(LISTS).is_some_and(|name| name.strip_suffix(".list").is_some())
        || package_of(&text)
            .is_some_and(|package| text.ends_with(&format!("/node_modules/{package}/package.json")))
}

/// The npm package whose directory a path is in; of those that lie in each other the outermost.
fn package_of(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/lib/node_modules/")?;
    let parts = if rest.starts_with('@') { 2 } else { 1 };
    let end = rest.match_indices('/').nth(parts - 1).map(|(at, _)| at)?;
    Some(&rest[..end])
}

/// What an image is made of, by what was read of it and by what its documents say.
pub(crate) fn sorted(contents: &Contents, summary: &PlatformSummary) -> Parts {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let mut versions = BTreeMap::new();
    for (name, version) in &summary.runtime.labels {
        if let Some(agent) = name.strip_prefix("dev.pinfold.agent.") {
            versions.insert(format!("agent/{agent}"), version.clone());
        }
    }
    // A component of Debian is a source package, which may have several binary ones.
    let status = ImagePath::new(&STATUS[1..]).ok().and_then(|path| contents.kept.get(&path)).map(text);
    let mut sources = BTreeMap::new();
    for Installed { package, source, version } in installed(status.as_deref().unwrap_or_default()) {
        versions.insert(format!("debian/{source}"), version);
        sources.insert(package, format!("debian/{source}"));
    }
    let mut lists: BTreeMap<String, String> = BTreeMap::new();
    for (path, bytes) in &contents.kept {
        let (path, text) = (path.to_string(), text(bytes));
        if let Some(list) = path.strip_prefix(LISTS) {
            let package = list.trim_end_matches(".list").split(':').next().unwrap_or_default();
            let Some(component) = sources.get(package) else { continue };
            lists.extend(text.lines().map(|line| (line.to_owned(), component.clone())));
            lists.insert(path.clone(), component.clone());
        } else if let (Some(package), Ok(json)) =
            (package_of(&path), serde_json::from_str::<serde_json::Value>(&text))
            && let Some(version) = json["version"].as_str()
        {
            versions.insert(format!("npm/{package}"), version.to_owned());
        }
    }
    let named: Vec<BTreeSet<&str>> =
        summary.layers.iter().map(|layer| layer.components.iter().map(String::as_str).collect()).collect();
    let mut components: BTreeMap<&str, Component> = BTreeMap::new();
    for (number, layer) in summary.layers.iter().enumerate() {
        for name in &layer.components {
            let version = versions.get(name).cloned();
            let component =
                Component { name: name.clone(), version, layer: number + 1, ..Component::default() };
            components.insert(name, component);
        }
    }
    let mut files = Vec::new();
    for (path, found) in &contents.paths {
        let path = path.to_string();
        let known = named.get(found.layer);
        let of = known.and_then(|known| owner(&path, known, &lists));
        if let Some(component) = of.as_deref().and_then(|name| components.get_mut(name))
            && found.what != What::Directory
        {
            component.files += 1;
            component.size += found.size;
        }
        let target = match &found.what {
            What::Link(target) => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        };
        files.push(File {
            mode: mode(found),
            uid: found.uid,
            gid: found.gid,
            size: found.size,
            target,
            digest: found.sha256().cloned(),
            component: of,
            layer: found.layer + 1,
            path,
        });
    }
    Parts { components: components.into_values().collect(), files }
}

/// What a path came with, among the components of its layer.
fn owner(path: &str, components: &BTreeSet<&str>, lists: &BTreeMap<String, String>) -> Option<String> {
    // dpkg's lists have some paths as they were before `/usr` was merged.
    let listed = || lists.get(path).or_else(|| lists.get(path.strip_prefix("/usr")?));
    let package = || package_of(path).map(|package| format!("npm/{package}"));
    let single = || components.iter().next().filter(|_| components.len() == 1).map(|name| (*name).to_owned());
    let is_here = |name: &String| components.contains(name.as_str());
    listed().cloned().filter(is_here).or_else(|| package().filter(is_here)).or_else(single)
}

/// A stanza of dpkg's status.
#[derive(Debug, PartialEq, Eq)]
struct Installed {
    package: String,
    /// The source package and its version; those of the package itself unless they are named.
    source: String,
    version: String,
}

fn installed(status: &str) -> impl Iterator<Item = Installed> {
    status.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| {
            let mut lines = stanza.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
        };
        let (package, version) = (field("Package")?, field("Version")?);
        let source = field("Source").unwrap_or_else(|| package.clone());
        let (source, version) = match source.split_once(" (") {
            Some((source, version)) => (source.to_owned(), version.trim_end_matches(')').to_owned()),
            None => (source, version),
        };
        Some(Installed { package, source, version })
    })
}

/// `drwxr-xr-x`, as `ls -l` writes it.
pub(crate) fn mode(found: &Found) -> String {
    let kind = match found.what {
        What::Directory => 'd',
        What::File(_) => '-',
        What::Link(_) => 'l',
        What::Other => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = found.mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, found.mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        // `ls -ld` of GNU coreutils 9.1 after `chmod`.
        for (what, mode, text) in [
            (What::Directory, 0o1777, "drwxrwxrwt"),
            (What::Directory, 0o755, "drwxr-xr-x"),
            (What::File(Arc::default()), 0o4755, "-rwsr-xr-x"),
            (What::File(Arc::default()), 0o2745, "-rwxr-Sr-x"),
            (What::File(Arc::default()), 0o4644, "-rwSr--r--"),
            (What::File(Arc::default()), 0o1640, "-rw-r----T"),
            (What::Link(Box::default()), 0o777, "lrwxrwxrwx"),
        ] {
            let found = Found { layer: 0, what: what.clone(), mode, uid: 0, gid: 0, size: 0 };
            assert_eq!(super::mode(&found), text, "{mode:o}");
        }
    }

    #[test]
    fn packages_are_told_from_paths() {
        for (path, package) in [
            ("/usr/local/lib/node_modules/typescript/lib/tsc.js", Some("typescript")),
            ("/usr/local/lib/node_modules/@openai/codex/bin/codex.js", Some("@openai/codex")),
            ("/usr/local/lib/node_modules/a/node_modules/b/package.json", Some("a")),
            ("/usr/local/lib/node_modules/a", None),
            ("/usr/bin/curl", None),
        ] {
            assert_eq!(package_of(path), package, "{path}");
        }
        let read = |path: &str| is_read(&ImagePath::new(path.trim_start_matches('/')).unwrap());
        assert!(read("/usr/local/lib/node_modules/@openai/codex/package.json"));
        assert!(
            !read("/usr/local/lib/node_modules/a/node_modules/b/package.json"),
            "what is inside is not asked"
        );
        assert!(
            read("/var/lib/dpkg/info/libc6:amd64.list") && !read("/var/lib/dpkg/info/libc6:amd64.md5sums")
        );
    }

    #[test]
    fn a_path_is_of_the_component_that_its_layer_can_have_it_from() {
        let lists = BTreeMap::from([("/bin/sh".to_owned(), "debian/dash".to_owned())]);
        let of = |path: &str, components: &[&str]| owner(path, &components.iter().copied().collect(), &lists);
        let debian = ["debian/dash", "debian/curl"];
        assert_eq!(of("/usr/bin/sh", &debian).as_deref(), Some("debian/dash"), "merged /usr");
        assert_eq!(of("/etc/hosts", &debian), None);
        assert_eq!(of("/etc/hosts", &["generated/etc"]).as_deref(), Some("generated/etc"));
        let npm = ["npm/a", "npm/b"];
        assert_eq!(of("/usr/local/lib/node_modules/b/x.js", &npm).as_deref(), Some("npm/b"));
        assert_eq!(of("/usr/bin/sh", &npm), None, "dash is in no such layer");
    }

    #[test]
    fn versions_are_read_from_dpkgs_status() {
        let status = "Package: dash\nStatus: install ok installed\nVersion: 0.5.12-2\n\n\
                      Package: libc6\nSource: glibc\nVersion: 2.36-9\n\n\
                      Package: bash\nSource: bash (5.2.15-2)\nVersion: 5.2.15-2+b13\n\n";
        let told = installed(status).map(|one| format!("{} {} {}", one.package, one.source, one.version));
        assert_eq!(
            told.collect::<Vec<_>>(),
            ["dash dash 0.5.12-2", "libc6 glibc 2.36-9", "bash bash 5.2.15-2"]
        );
    }
}
