//! Whether every library that an ELF file needs is found by its loader, and defines the versions of symbols that are taken
//! from it.
//!
//! Programs are loaded first, with all that they need in turn, breadth first, as loaders do: a name that is loaded is not
//! looked for again. Libraries that no program reached are plugins, and loaded as if they were programs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;

use pinfold_base::ImagePath;

use super::count;
use super::ground::Ground;
use super::ground::Machine;
use super::ground::Object;
use super::known;
use super::loader;
use super::loader::Kind;
use super::loader::Loaded;
use super::loader::Loader;
use super::loader::PLACES_MAX;
use super::loader::Shared;
use crate::verify::checks::CLOSURE_LIBRARIES;
use crate::verify::checks::CLOSURE_VERSIONS;
use crate::verify::report::Finding;
use crate::verify::report::Findings;
use crate::verify::report::Outcome;

/// Most names that are looked for in all: a hundred times what a desktop has.
const WORK_MAX: usize = 5_000_000;

/// Names that the kernel provides.
const KERNEL: [&[u8]; 2] = [b"linux-vdso.so.1", b"linux-gate.so.1"];

/// What came of loading everything.
#[derive(Default)]
struct Judged<'a> {
    /// Who needs what and does not find it.
    missing: BTreeSet<(&'a ImagePath, &'a [u8])>,
    /// Who takes which version from where, which is not defined there.
    versions: BTreeSet<(&'a ImagePath, &'a ImagePath, &'a [u8])>,
    /// Pairs of who takes versions and from where, that were compared.
    compared: HashSet<(&'a ImagePath, &'a ImagePath)>,
    versions_looked: usize,
    /// What was loaded by anybody.
    reached: HashSet<&'a ImagePath>,
    /// Files apart that would not load.
    apart: BTreeSet<&'a ImagePath>,
    work: usize,
}

pub(super) fn check(ground: &Ground<'_>) -> [Outcome; 2] {
    let mut shared = Shared::new(ground);
    let mut judged = Judged::default();
    let mut loaders: HashMap<&[u8], Option<Loader<'_>>> = HashMap::new();
    let is_program =
        |object: &&Object<'_>| object.elf.interpreter.is_some() || ground.commands.contains_key(object.path);
    let (programs, libraries): (Vec<&Object<'_>>, Vec<&Object<'_>>) = ground
        .objects
        .iter()
        .filter(|object| object.machine != Machine::Foreign && !object.elf.needed.is_empty())
        .partition(is_program);
    let mut without_loader = 0;
    for object in programs.iter().chain(&libraries) {
        let is_library = object.elf.interpreter.is_none();
        if is_library && judged.reached.contains(object.path) {
            continue;
        }
        let loader = match object.elf.interpreter.as_deref() {
            // A loader that is not there is said by the check of programs.
            Some(path) => loaders.entry(path).or_insert_with(|| Loader::at(ground, path)).clone(),
            None => loader::of(ground, object.elf, object.machine),
        };
        match loader {
            Some(loader) => judged.load(ground, &mut shared, &loader, object),
            None => without_loader += 1,
        }
    }
    let libraries_reached = judged.reached.len();
    let mut evidence = format!(
        "{} need {}, {}",
        count(programs.len(), "program"),
        count(libraries_reached, "library"),
        format_args!("{} in all", libraries.len()),
    );
    if without_loader > 0 {
        evidence.push_str(&format!(
            "; {} for a C library that the image does not have",
            count(without_loader, "file")
        ));
    }
    if !judged.apart.is_empty() {
        let example = judged.apart.first().map(|path| format!(" (`{path}`)")).unwrap_or_default();
        evidence.push_str(&format!(
            "; {} of packages would not load{example}",
            count(judged.apart.len(), "optional file")
        ));
    }
    let mut missing = judged.missing(ground);
    if judged.work > WORK_MAX || shared.places.get() > PLACES_MAX {
        let problem =
            "its programs need more libraries in more places than are looked at: the rest was not".to_owned();
        missing.first(Finding { at: "/".into(), problem });
    } else if let Some(spent) = ground.spent() {
        missing.first(spent);
    }
    let mut versions = Findings::default();
    for (who, from, version) in &judged.versions {
        versions.add(|| Finding {
            at: who.to_string(),
            problem: format!(
                "it needs version `{}` of `{from}`, which does not define it",
                version.escape_ascii()
            ),
        });
    }
    let taken = format!(
        "{} of symbols, between {} of files",
        count(judged.versions_looked, "version"),
        count(judged.compared.len(), "pair")
    );
    [Outcome::found(CLOSURE_LIBRARIES, evidence, missing), Outcome::found(CLOSURE_VERSIONS, taken, versions)]
}

/// An object with all libraries that are loaded with it.
pub(super) struct Process<'a> {
    chain: Vec<Loaded<'a>>,
    /// Where each name led to.
    pub(super) names: HashMap<&'a [u8], &'a ImagePath>,
    /// Who needs what and does not find it.
    lacking: Vec<(&'a ImagePath, &'a [u8])>,
}

impl<'a> Process<'a> {
    /// Loads `root`; `work` counts the names that are looked for, and ends it at [`WORK_MAX`].
    pub(super) fn start(
        ground: &Ground<'a>,
        shared: &mut Shared<'a>,
        loader: &Loader<'a>,
        root: &Object<'a>,
        work: &mut usize,
    ) -> Self {
        let origin = [b"/", root.path.parent().unwrap_or_default().as_bytes()].concat();
        let mut chain = vec![Loaded { path: root.path, elf: root.elf, origin, by: None }];
        let mut names: HashMap<&'a [u8], &'a ImagePath> = HashMap::new();
        let mut files: HashSet<&'a ImagePath> = HashSet::from([root.path]);
        let mut lacking = Vec::new();
        let mut at = 0;
        while at < chain.len() && *work <= WORK_MAX && shared.places.get() <= PLACES_MAX {
            let elf = chain[at].elf;
            for name in &elf.needed {
                *work += 1;
                if names.contains_key(&**name) || KERNEL.contains(&&**name) {
                    continue;
                }
                if loader.is(name) {
                    names.insert(name, loader.path);
                    continue;
                }
                let first = || {
                    let path = known::loaded_first(chain[at].path, name)?;
                    let (path, elf) = ground.elf(path.as_bytes())?;
                    Some((path, elf, [b"/", path.parent()?.as_bytes()].concat()))
                };
                let found = shared.find(ground, loader, &chain, at, name);
                let Some((path, elf, origin)) = found.or_else(first) else {
                    lacking.push((chain[at].path, &**name));
                    continue;
                };
                names.insert(name, path);
                if let Some(soname) = elf.soname.as_deref() {
                    names.entry(soname).or_insert(path);
                }
                if files.insert(path) {
                    chain.push(Loaded { path, elf, origin, by: Some(at) });
                }
            }
            at += 1;
        }
        Self { chain, names, lacking }
    }
}

impl<'a> Judged<'a> {
    /// Loads an object as a program with its libraries, and notes what comes of it.
    fn load(&mut self, ground: &Ground<'a>, shared: &mut Shared<'a>, loader: &Loader<'a>, root: &Object<'a>) {
        let Process { chain, names, lacking } = Process::start(ground, shared, loader, root, &mut self.work);
        let is_command = ground.commands.contains_key(root.path);
        if !lacking.is_empty() && !is_command && known::apart(root.path).is_some() {
            self.apart.insert(root.path);
            return;
        }
        self.missing.extend(lacking);
        self.reached.extend(chain.iter().skip(1).map(|loaded| loaded.path));
        // musl's loader has no versions.
        if loader.kind == Kind::Glibc {
            for who in &chain {
                self.compare(ground, who, &names);
            }
        }
    }

    /// Compares the versions that an object takes with those that are defined where its names led to.
    fn compare(&mut self, ground: &Ground<'a>, who: &Loaded<'a>, names: &HashMap<&'a [u8], &'a ImagePath>) {
        for need in &who.elf.versions_needed {
            let Some(from) = names.get(&*need.library) else { continue };
            if !self.compared.insert((who.path, from)) {
                continue;
            }
            let Some((_, elf)) = ground.elf(from.as_bytes()) else { continue };
            // Of a library without any versions the loader takes what there is, and says so (`no version information`).
            if elf.versions_defined.is_empty() {
                continue;
            }
            let defined: HashSet<&[u8]> = elf.versions_defined.iter().map(|name| &**name).collect();
            for version in &need.versions {
                self.versions_looked += 1;
                if !version.weak && !defined.contains(&*version.name) {
                    self.versions.insert((who.path, from, &version.name));
                }
            }
        }
    }

    fn missing(&self, ground: &Ground<'a>) -> Findings {
        // The first of each name, and the first that some processors alone find.
        let mut by_name: BTreeMap<&[u8], (&ImagePath, Option<&ImagePath>)> = BTreeMap::new();
        for object in &ground.objects {
            let (_, of_some) = by_name.entry(object.path.name()).or_insert((object.path, None));
            if of_some.is_none() && object.path.components().any(|part| part == loader::HWCAPS) {
                *of_some = Some(object.path);
            }
        }
        let elsewhere = |name: &[u8]| match by_name.get(name) {
            Some((_, Some(path))) => format!(" on every processor (`{path}` is for some alone)"),
            Some((path, None)) if ground.is_open(path) => {
                format!(" (`{path}` has the name, where it does not look or for another machine)")
            }
            Some((path, None)) => format!(" (`{path}` has the name, and the image's user may not read it)"),
            None => String::new(),
        };
        let mut found = Findings::default();
        for (who, name) in &self.missing {
            found.add(|| Finding {
                at: who.to_string(),
                problem: format!(
                    "it needs `{}`, which its loader does not find{}",
                    name.escape_ascii(),
                    elsewhere(name)
                ),
            });
        }
        found
    }
}
