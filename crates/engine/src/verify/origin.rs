//! Where each path came from: every file has its component, and Debian's are what their packages say.
//!
//! dpkg's `md5sums` find what was changed by mistake, after the package was placed; they are no protection from who can write a list as
//! well as a file. That is what the image's digests are for, and the lock's, which packages were checked against.

use std::collections::HashMap;

use pinfold_base::ImagePath;
use pinfold_image::compose::annotation;
use pinfold_image::survey::Sum;
use pinfold_image::survey::What;

use super::checks::ORIGIN_BASE;
use super::checks::ORIGIN_COMPONENTS;
use super::checks::ORIGIN_DPKG;
use super::checks::ORIGIN_LOCK;
use super::report::Finding;
use super::report::Outcome;
use super::subject::Subject;
use crate::build::compose::OS_LABELS;
use crate::describe::Package;
use crate::describe::PackageKind;

/// Where dpkg keeps its lists of sums.
const INFO: &str = "/var/lib/dpkg/info/";
/// And where images without dpkg have them.
const STATUS_D: &str = "/var/lib/dpkg/status.d/";
const SUMS: &str = ".md5sums";
/// Scripts that make files.
const SCRIPTS: [&str; 3] = [".preinst", ".postinst", ".config"];

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
    let mut found = Vec::new();
    let (mut looked, mut made) = (0, 0);
    let scripts = Scripts::of(subject);
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
            found.push(Finding {
                at: path.to_string(),
                problem: format!("none of the components of layer {} brings it", seen.layer + 1),
            });
        }
    }
    let components: std::collections::BTreeSet<&str> =
        subject.survey.paths.keys().filter_map(|path| subject.owner(path)).collect();
    let count = components.len();
    let evidence = format!("{looked} files and links of {count} components; {made} by install scripts");
    Outcome::looked(ORIGIN_COMPONENTS, evidence, found)
}

/// The texts of install scripts, by the layers that their packages are in: what a script makes stands beside its package, in no list.
struct Scripts {
    layers: Vec<String>,
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
            each.filter_map(|component| of_component.get(component).map(String::as_str)).collect()
        };
        Self { layers: subject.image.layers.iter().map(texts).collect() }
    }

    /// Whether a script of a layer's packages has the path's name as a word.
    fn names(&self, layer: usize, path: &ImagePath) -> bool {
        let name = String::from_utf8_lossy(path.name()).into_owned();
        let Some(text) = self.layers.get(layer).filter(|_| !name.is_empty()) else { return false };
        let shown = path.to_string();
        let commands = BY_COMMANDS.iter().find(|(made, _)| *made == shown);
        if commands.is_some_and(|(_, commands)| commands.iter().any(|command| text.contains(command))) {
            return true;
        }
        let edge = |byte: Option<u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_');
        text.match_indices(&name).any(|(at, _)| {
            let before = at.checked_sub(1).map(|at| text.as_bytes()[at]);
            // `dot.bashrc` becomes `.bashrc`.
            (edge(before) || name.starts_with('.')) && edge(text.as_bytes().get(at + name.len()).copied())
        })
    }
}

/// Files of Debian packages against the sums that their packages brought.
pub(super) fn dpkg(subject: &Subject<'_>) -> Outcome {
    let diverted = diversions(subject.text("/var/lib/dpkg/diversions").as_deref().unwrap_or_default());
    let mut found = Vec::new();
    let (mut lists, mut files, mut left_out) = (0, 0, 0);
    for (path, bytes) in &subject.survey.kept {
        let name = path.to_string();
        let Some(package) = name.strip_prefix(INFO).or_else(|| name.strip_prefix(STATUS_D)) else { continue };
        let Some(package) = package.strip_suffix(SUMS) else { continue };
        lists += 1;
        for line in String::from_utf8_lossy(bytes).lines() {
            let Some((sum, file)) = line.split_once("  ") else { continue };
            let file = format!("/{}", file.trim_start_matches("./").trim_start_matches('/'));
            let here = diverted.get(&file).filter(|(_, by)| by != package).map_or(&file, |(to, _)| to);
            let tell =
                |problem: String| Finding { at: here.clone(), problem: format!("{problem} ({package})") };
            let at = subject.survey.in_real_directory(here.as_bytes()).ok();
            match at.as_ref().and_then(|at| subject.survey.get(at)).map(|seen| &seen.what) {
                Some(What::File(facts)) => {
                    files += 1;
                    match facts.md5() {
                        Some(is) if hex(is) == sum => {}
                        Some(is) => {
                            found.push(tell(format!("its MD5 is {}, the package says {sum}", hex(is))));
                        }
                        None => found.push(tell("it stands in a layer that names no Debian package".into())),
                    }
                }
                // Another package's link or directory may stand in its place; dpkg itself only sums up files.
                Some(_) => found.push(tell("it is no file, and the package brings one".into())),
                None if may_be_left_out(here) => left_out += 1,
                None => found.push(tell("it is missing, and the package brings it".into())),
            }
        }
    }
    if lists == 0 {
        return Outcome::not_run(ORIGIN_DPKG, "the image has no lists of MD5 sums of Debian packages");
    }
    let left_out = match left_out {
        0 => String::new(),
        count => format!("; {count} pages of documentation and translations are not there"),
    };
    Outcome::looked(ORIGIN_DPKG, format!("{files} files by {lists} lists{left_out}"), found)
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
    let (mut compared, mut within) = (0, 0);
    for package in packages {
        match &package.download {
            Some(_) => compared += 1,
            // What an archive brings inside of itself is in no lock of its own.
            None if package.kind != PackageKind::Deb || is_below(package.component.as_deref()) => within += 1,
            None => found.push(Finding {
                at: package.told_by.first().cloned().unwrap_or_default(),
                problem: format!("{} is installed, and no archive of the lock brings it", package.purl),
            }),
        }
    }
    let mut archives = 0;
    for (purl, component) in subject.origins.components() {
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
