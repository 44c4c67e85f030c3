//! Where each path came from: every file has its component, and Debian's are what their packages say.
//!
//! dpkg's `md5sums` find what was changed by mistake, after the package was placed; they are no protection from who can write a list as
//! well as a file. That is what the image's digests are for, and the lock's, which packages were checked against.

use std::collections::HashMap;
use std::collections::HashSet;

use pinfold_base::ImagePath;
use pinfold_image::compose::annotation;
use pinfold_image::survey::Sum;
use pinfold_image::survey::What;

use super::checks::ORIGIN_BASE;
use super::checks::ORIGIN_COMPONENTS;
use super::checks::ORIGIN_DPKG;
use super::checks::ORIGIN_LOCK;
use super::report::Finding;
use super::report::Findings;
use super::report::Outcome;
use super::subject::Subject;
use crate::build::compose::OS_LABELS;
use crate::describe::Package;
use crate::describe::PackageKind;

/// Whose a diversion is that no package made (dpkg-divert(1), `--local`).
const NOBODY: &str = ":";
/// Where dpkg keeps its lists of sums.
const INFO: &str = "/var/lib/dpkg/info/";
/// And where images without dpkg have them.
const STATUS_D: &str = "/var/lib/dpkg/status.d/";
const SUMS: &str = ".md5sums";
/// Scripts that make files.
const SCRIPTS: [&str; 3] = [".preinst", ".postinst", ".config"];

/// Bytes of install scripts that are looked through at most, for all files together.
const SCRIPTS_WORK_MAX: usize = 1 << 30;

/// What commands of install scripts make whose names are not in the scripts (add-shell(8), update-shells(8)).
const BY_COMMANDS: [(&str, [&str; 2]); 2] = [
    ("/etc/shells", ["add-shell", "update-shells"]),
    ("/var/lib/shells.state", ["add-shell", "update-shells"]),
];

/// Whether static checks want an install script.
pub(super) fn is_script(path: &str) -> bool {
    path.strip_prefix(INFO).is_some_and(|name| SCRIPTS.iter().any(|script| name.ends_with(script)))
}

/// Whose content is summed up: what may be of a Debian package, by the components that its layer names.
pub(super) fn sum(image: &pinfold_image::Image) -> impl Fn(usize, &ImagePath) -> Option<Sum> {
    let may_be: Vec<bool> = image
        .layers
        .iter()
        .map(|layer| {
            let components = layer.descriptor.annotations.get(annotation::COMPONENTS);
            components.is_none_or(|text| text.split_ascii_whitespace().any(is_of_debian))
        })
        .collect();
    move |layer, _| may_be.get(layer).copied().unwrap_or(true).then_some(Sum::Md5)
}

fn is_of_debian(component: &str) -> bool {
    component.starts_with("debian/") || component.starts_with("base/")
}

/// What os-release(5) says against the labels that say it to tools which only see the configuration.
pub(super) fn base(subject: &Subject<'_>) -> Outcome {
    let text = ["/usr/lib/os-release", "/etc/os-release"].into_iter().find_map(|file| subject.text(file));
    let Some(text) = text else {
        return Outcome::not_run(ORIGIN_BASE, "the image has no os-release: it is of no distribution");
    };
    let field = |name: &str| {
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
    };
    let mut found = Vec::new();
    for (label, name) in OS_LABELS {
        if let Some(said) =
            subject.runtime.labels.get(label).filter(|said| Some(said.as_str()) != field(name))
        {
            found.push(Finding {
                at: format!("label {label}"),
                problem: format!("it is `{said}`, and os-release says `{}`", field(name).unwrap_or_default()),
            });
        }
    }
    let annotation = |name: &str| subject.image.manifest.value().annotations.get(name);
    let below = annotation(annotation::BASE_NAME).map(|name| format!(", on {name}")).unwrap_or_default();
    let runtimes =
        subject.description.packages.iter().filter(|one| one.component.as_deref() == Some("agent/node"));
    let runtimes: Vec<String> = runtimes
        .map(|one| format!(", {} {}", one.name, one.version.as_deref().unwrap_or_default()))
        .collect();
    let evidence =
        format!("{}{below}{}", field("PRETTY_NAME").unwrap_or("a system without a name"), runtimes.concat());
    Outcome::looked(ORIGIN_BASE, evidence, found)
}

/// Every path that is no directory came with a component.
pub(super) fn components(subject: &Subject<'_>) -> Outcome {
    let says = |layer: &pinfold_image::source::ImageLayer| {
        layer.descriptor.annotations.contains_key(annotation::COMPONENTS)
    };
    if !subject.image.layers.iter().any(says) {
        let reason = format!(
            "no layer says what is in it (`{}`): another tool made the image",
            annotation::COMPONENTS
        );
        return Outcome::not_run(ORIGIN_COMPONENTS, reason);
    }
    let mut found = Findings::default();
    let (mut looked, mut made) = (0, 0);
    let mut scripts = Scripts::of(subject);
    for (path, seen) in &subject.survey.paths {
        if seen.what == What::Directory {
            continue;
        }
        looked += 1;
        if subject.owner(path).is_some() {
            continue;
        }
        let by_script = subject.made.component(subject.description, path, seen.layer).is_some();
        // The ledger says what was made; where the lock is not here, the scripts say which names they know.
        if by_script || scripts.names(seen.layer, path) {
            made += 1;
        } else {
            found.add(|| Finding {
                at: path.to_string(),
                problem: format!("none of the components of layer {} brings it", seen.layer + 1),
            });
        }
    }
    // The layers above a base share one tree: none of them takes back what another brings.
    let is_part = |layer: usize| {
        let descriptor = subject.image.layers.get(layer).map(|layer| &layer.descriptor);
        let components = descriptor.and_then(|descriptor| descriptor.annotations.get(annotation::COMPONENTS));
        components.is_some_and(|text| !text.starts_with("base/"))
    };
    for (path, was) in &subject.survey.before {
        for taken in was.iter().filter(|taken| is_part(taken.was.layer)) {
            found.add(|| Finding {
                at: path.to_string(),
                problem: format!(
                    "layer {} brings it, and layer {} replaces or hides it: no component does that",
                    taken.was.layer + 1,
                    taken.by + 1
                ),
            });
        }
    }
    if subject.survey.forgotten > 0 {
        let problem = format!("{} more paths are replaced than are looked at", subject.survey.forgotten);
        found.first(Finding { at: "/".into(), problem });
    }
    if scripts.work > SCRIPTS_WORK_MAX {
        let problem =
            "its install scripts are too long to look for every file in them: the rest was not looked at";
        found.first(Finding { at: "/".into(), problem: problem.into() });
    }
    let components: std::collections::BTreeSet<&str> =
        subject.survey.paths.keys().filter_map(|path| subject.owner(path)).collect();
    let count = components.len();
    let evidence = format!("{looked} files and links of {count} components; {made} by install scripts");
    Outcome::found(ORIGIN_COMPONENTS, evidence, found)
}

/// The texts of install scripts, by the layers that their packages are in: what a script makes stands beside its package, in no list.
struct Scripts {
    layers: Vec<Script>,
    /// Bytes of them that were looked through.
    work: usize,
}

/// The texts of a layer's packages.
#[derive(Default)]
struct Script {
    text: String,
    /// Its words of letters, digits and `_`.
    words: HashSet<String>,
}

impl Scripts {
    fn of(subject: &Subject<'_>) -> Self {
        let mut of_component: HashMap<&str, String> = HashMap::new();
        for package in &subject.description.packages {
            let Some(component) = package.component.as_deref() else { continue };
            let arch = package.arch.as_deref().unwrap_or_default();
            for name in [package.name.clone(), format!("{}:{arch}", package.name)] {
                for script in SCRIPTS {
                    if let Some(text) = subject.text(&format!("{INFO}{name}{script}")) {
                        of_component.entry(component).or_default().push_str(&text);
                    }
                }
            }
        }
        let texts = |layer: &pinfold_image::source::ImageLayer| {
            let components = layer.descriptor.annotations.get(annotation::COMPONENTS);
            let each = components.into_iter().flat_map(|text| text.split_ascii_whitespace());
            let text: String =
                each.filter_map(|component| of_component.get(component).map(String::as_str)).collect();
            let words = words(&text).map(str::to_owned).collect();
            Script { text, words }
        };
        Self { layers: subject.image.layers.iter().map(texts).collect(), work: 0 }
    }

    /// Whether a script of a layer's packages has the path's name as a word.
    fn names(&mut self, layer: usize, path: &ImagePath) -> bool {
        let name = String::from_utf8_lossy(path.name()).into_owned();
        let Some(Script { text, words: known }) = self.layers.get(layer).filter(|_| !name.is_empty()) else {
            return false;
        };
        let shown = path.to_string();
        let commands = BY_COMMANDS.iter().find(|(made, _)| *made == shown);
        if commands.is_some_and(|(_, commands)| commands.iter().any(|command| text.contains(command))) {
            return true;
        }
        // What stands there as a word stands there with all of its own words.
        if !words(&name).all(|word| known.contains(word)) || self.work > SCRIPTS_WORK_MAX {
            return false;
        }
        self.work += text.len();
        let edge = |byte: Option<u8>| byte.is_none_or(|byte| !is_of_word(byte));
        text.match_indices(&name).any(|(at, _)| {
            let before = at.checked_sub(1).map(|at| text.as_bytes()[at]);
            // `dot.bashrc` becomes `.bashrc`.
            (edge(before) || name.starts_with('.')) && edge(text.as_bytes().get(at + name.len()).copied())
        })
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
}

/// Files of Debian packages against the sums that their packages brought.
pub(super) fn dpkg(subject: &Subject<'_>) -> Outcome {
    let diverted = diversions(subject.text("/var/lib/dpkg/diversions").as_deref().unwrap_or_default());
    let mut found = Findings::default();
    let (mut files, mut left_out, mut unread) = (0, 0, 0);
    let mut lists: HashSet<&str> = HashSet::new();
    let kept = subject.survey.kept.iter().map(|(path, bytes)| (path.to_string(), bytes));
    let kept: Vec<(String, &Vec<u8>)> = kept.filter(|(name, _)| name.ends_with(SUMS)).collect();
    for (name, bytes) in &kept {
        let Some(package) = name.strip_prefix(INFO).or_else(|| name.strip_prefix(STATUS_D)) else { continue };
        let Some(package) = package.strip_suffix(SUMS) else { continue };
        lists.insert(package);
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.is_empty()) {
            let Some((sum, file)) = sum_and_file(line) else {
                unread += 1;
                continue;
            };
            let file = format!("/{}", file.trim_start_matches("./").trim_start_matches('/'));
            let diversion = diverted.get(&file).filter(|(_, by)| by != package);
            let here = diversion.map_or(&file, |(to, _)| to);
            let mut tell = |at: &str, problem: String| {
                found.add(|| Finding { at: at.to_owned(), problem: format!("{problem} ({package})") });
            };
            let what = |path: &str| {
                let at = subject.survey.in_real_directory(path.as_bytes()).ok()?;
                subject.survey.get(&at).map(|seen| &seen.what)
            };
            if diversion.is_some_and(|(_, by)| by == NOBODY) && matches!(what(&file), Some(What::File(_))) {
                tell(&file, "it stands where a file of the package was, and no package brings it".into());
            }
            match what(here) {
                Some(What::File(facts)) => {
                    files += 1;
                    match facts.md5() {
                        Some(is) if hex(is) == sum => {}
                        Some(is) => tell(here, format!("its MD5 is {}, the package says {sum}", hex(is))),
                        None => tell(here, "it stands in a layer that names no Debian package".into()),
                    }
                }
                // Another package's link or directory may stand in its place; dpkg itself only sums up files.
                Some(_) => tell(here, "it is no file, and the package brings one".into()),
                None if may_be_left_out(here) => left_out += 1,
                None => tell(here, "it is missing, and the package brings it".into()),
            }
        }
    }
    let installed = subject.description.packages.iter().filter(|one| one.kind == PackageKind::Deb);
    let has_list = |package: &Package| {
        let arch = package.arch.as_deref().unwrap_or_default();
        lists.contains(package.name.as_str()) || lists.contains(format!("{}:{arch}", package.name).as_str())
    };
    let without = installed.filter(|package| !has_list(package)).count();
    if lists.is_empty() {
        let reason = match without {
            0 => "the image has no lists of MD5 sums of Debian packages".to_owned(),
            count => format!("the image has {count} Debian packages, and no lists of their MD5 sums"),
        };
        return Outcome::not_run(ORIGIN_DPKG, reason);
    }
    let mut evidence = format!("{files} files by {} lists", lists.len());
    for (count, what) in [
        (left_out, "pages of documentation and translations are not there"),
        (without, "installed packages have no list"),
        (unread, "lines of lists are no sums of files"),
    ] {
        if count > 0 {
            evidence.push_str(&format!("; {count} {what}"));
        }
    }
    Outcome::found(ORIGIN_DPKG, evidence, found)
}

/// A line of md5sum(1): the sum, and the name after two blanks, or after a blank and `*`.
fn sum_and_file(line: &str) -> Option<(&str, &str)> {
    let (sum, rest) = line.split_at_checked(32)?;
    let file =
        rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *")).or_else(|| rest.strip_prefix(' '))?;
    let is_sum = sum.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    (is_sum && !file.is_empty()).then_some((sum, file))
}

/// Packages in the image against the archives that it was built of, both ways.
pub(super) fn lock(subject: &Subject<'_>) -> Outcome {
    if subject.origins.is_empty() {
        let reason = "neither a lock nor the provenance of this image is here: it was built elsewhere";
        return Outcome::not_run(ORIGIN_LOCK, reason);
    }
    let packages = &subject.description.packages;
    let mut found = Vec::new();
    let is_below = |component: Option<&str>| component.is_some_and(|name| name.starts_with("base/"));
    // Packages of a base are in its database, or in the one that was written over it, and in nobody's lock: ours have components.
    let stands_on = subject.origins.components().any(|(_, component)| is_below(component));
    let is_of_base = |package: &Package| match package.component.as_deref() {
        None => stands_on,
        component => is_below(component),
    };
    let (mut compared, mut within) = (0, 0);
    for package in packages {
        match &package.download {
            Some(_) => compared += 1,
            // What an archive brings inside of itself is in no lock of its own.
            None if package.kind != PackageKind::Deb || is_of_base(package) => within += 1,
            None => found.push(Finding {
                at: package.told_by.first().cloned().unwrap_or_default(),
                problem: format!("{} is installed, and no archive of the lock brings it", package.purl),
            }),
        }
    }
    let mut archives = 0;
    let origins = subject.origins.on(subject.platform);
    for (purl, component) in origins.components() {
        if is_of_other(purl, subject.platform.arch.debian()) {
            continue;
        }
        archives += 1;
        let there = |package: &Package| {
            package.purl.split_once("&distro=").map_or(package.purl.as_str(), |(purl, _)| purl) == purl
                || component.is_some() && package.component.as_deref() == component
        };
        if !is_below(component) && !packages.iter().any(there) {
            let at = component.unwrap_or("the lock").to_owned();
            found
                .push(Finding { at, problem: format!("{purl} was fetched for the image, and is not in it") });
        }
    }
    let evidence = format!("{compared} packages of {archives} archives; {within} more came inside of others");
    Outcome::looked(ORIGIN_LOCK, evidence, found)
}

/// Whether a Debian package is for another architecture than this one: a build is noted with all of its platforms.
fn is_of_other(purl: &str, arch: &str) -> bool {
    let Some((_, qualifiers)) = purl.split_once('?').filter(|_| purl.starts_with("pkg:deb/")) else {
        return false;
    };
    let mut of = qualifiers.split('&').filter_map(|qualifier| qualifier.strip_prefix("arch="));
    of.next().is_some_and(|of| of != arch && of != "all")
}

/// What people leave out of images (`path-exclude` of dpkg.cfg(5)), and no program misses.
fn may_be_left_out(path: &str) -> bool {
    const WHERE: [&str; 6] = [
        "/usr/share/doc/",
        "/usr/share/man/",
        "/usr/share/info/",
        "/usr/share/locale/",
        "/usr/share/lintian/",
        "/usr/share/groff/",
    ];
    WHERE.iter().any(|start| path.starts_with(start))
}

/// dpkg's diversions: three lines each, what is diverted, where to, and whose file stays (`:` is nobody's).
fn diversions(text: &str) -> HashMap<String, (String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let each = lines.chunks_exact(3).map(|one| (one[0].to_owned(), (one[1].to_owned(), one[2].to_owned())));
    each.collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_as_md5sum_writes_them() {
        let sum = "8d777f385d3dfec8815d20f7496026dc";
        for (between, file) in [("  ", "a b"), (" *", "a"), (" ", "a")] {
            assert_eq!(sum_and_file(&format!("{sum}{between}{file}")), Some((sum, file)), "{between}");
        }
        for line in [
            "",
            sum,
            "8d77  a",
            &format!("{sum}  "),
            &format!("\\{sum}  a"),
            &format!("{}  a", "G".repeat(32)),
        ] {
            assert_eq!(sum_and_file(line), None, "{line}");
        }
    }
}
