//! Where the dynamic loaders of glibc and musl look for a library.
//!
//! ```text
//! glibc   RPATH of who needs it, and of who loaded that, up to the program (each only without a RUNPATH of its own),
//!         LD_LIBRARY_PATH, RUNPATH of who needs it, /etc/ld.so.cache, the loader's own directories
//! musl    LD_LIBRARY_PATH, RPATH or RUNPATH of who needs it and of who loaded that, /etc/ld-musl-ARCH.path or its default
//! ```
//!
//! Both take the first that is of their machine (ld.so(8); musl, ldso/dynlink.c). `glibc-hwcaps` directories are not looked
//! into: a library that is only there is missing on some processors.

use std::cell::Cell;
use std::collections::HashMap;

use pinfold_archive::elf::Elf;
use pinfold_archive::elf::cached_libraries;
use pinfold_base::ImagePath;

use super::ground::Ground;
use super::ground::Machine;
use super::ground::variable;

/// Most places that are looked at for all libraries together: a desktop has some hundred thousand.
pub(super) const PLACES_MAX: usize = 4_000_000;

/// Directories of libraries that glibc's loader takes on some processors, instead of those beside them.
pub(super) const HWCAPS: &[u8] = b"glibc-hwcaps";

/// Where Nix installs.
const STORE: &[u8] = b"/nix/store/";

/// Names that musl's loader takes for itself: `libc.so`, `libpthread.so.0`, …
const MUSL_OWN: [&str; 7] = ["c.", "pthread.", "rt.", "m.", "dl.", "util.", "xnet."];

/// Which loader it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Glibc,
    Musl,
}

/// A dynamic loader of the image.
#[derive(Clone, Debug)]
pub(super) struct Loader<'a> {
    pub(super) kind: Kind,
    /// Its file.
    pub(super) path: &'a ImagePath,
    pub(super) elf: &'a Elf,
    /// Directories that it looks into for everybody, after its cache.
    pub(super) directories: Vec<Vec<u8>>,
    /// What `$LIB` is.
    lib: Vec<u8>,
}

impl<'a> Loader<'a> {
    /// The loader at an absolute path, if it is in the image.
    pub(super) fn at(ground: &Ground<'a>, path: &[u8]) -> Option<Self> {
        let (real, elf) = ground.elf(path)?;
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let home = [b"/", real.parent().unwrap_or_default().as_bytes()].concat();
        let last = home.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        if name.starts_with(b"ld-musl-") || real.name().starts_with(b"ld-musl-") {
            let directories = musl_directories(ground, name);
            return Some(Self { kind: Kind::Musl, path: real, elf, directories, lib: b"lib".into() });
        }
        let triplet = ground.platform.arch.triplet().as_bytes().to_vec();
        let pair = |dir: &[u8]| [[b"/lib/", dir].concat(), [b"/usr/lib/", dir].concat()];
        let plain = [b"/lib".to_vec(), b"/usr/lib".to_vec()];
        let own = elf.machine == ground.platform.arch.elf_machine();
        let has_triplet = ground.follow().real(&pair(&triplet)[1]).is_ok();
        // The directories are compiled in: Debian's by triplet, others' by word size, each where the loader stands itself; a C library
        // of Nix is installed nowhere else than in its store path, and looks nowhere else.
        let (directories, lib) = if home.starts_with(STORE) {
            (vec![home], b"lib".to_vec())
        } else if last.windows(7).any(|part| part == b"-linux-") {
            ([pair(&last), plain].concat(), [b"lib/", &last[..]].concat())
        } else if own && has_triplet {
            ([pair(&triplet), plain].concat(), [b"lib/", &triplet[..]].concat())
        } else if last.starts_with(b"lib") {
            let both = [[b"/", &last[..]].concat(), [b"/usr/", &last[..]].concat()];
            (both.to_vec(), last.clone())
        } else {
            (vec![home], b"lib".to_vec())
        };
        Some(Self { kind: Kind::Glibc, path: real, elf, directories, lib })
    }

    /// The loader that libraries are meant for, which name none: of the image's own machine, by the C library that they need.
    pub(super) fn of_library(ground: &Ground<'a>, elf: &Elf) -> Option<Self> {
        let arch = ground.platform.arch;
        let musl = || Self::at(ground, format!("/lib/ld-musl-{}.so.1", arch.machine()).as_bytes());
        let glibc = || {
            let paths: &[&str] = match arch {
                pinfold_base::Arch::Amd64 => &["/lib64/ld-linux-x86-64.so.2"],
                pinfold_base::Arch::Arm64 => &["/lib/ld-linux-aarch64.so.1"],
            };
            paths.iter().find_map(|path| Self::at(ground, path.as_bytes()))
        };
        let needs = |wanted: &dyn Fn(&[u8]) -> bool| elf.needed.iter().any(|name| wanted(name));
        if needs(&|name| name == b"libc.so" || name.starts_with(b"libc.musl-")) {
            return musl();
        }
        if needs(&|name| name == b"libc.so.6") {
            return glibc();
        }
        glibc().or_else(musl)
    }

    /// Whether the loader is itself what this name means.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        let own = self.elf.soname.as_deref().unwrap_or(self.path.name());
        let musl = || {
            name.strip_prefix(b"lib")
                .is_some_and(|rest| MUSL_OWN.iter().any(|own| rest.starts_with(own.as_bytes())))
        };
        name == own || self.kind == Kind::Musl && musl()
    }
}

fn musl_directories(ground: &Ground<'_>, name: &[u8]) -> Vec<Vec<u8>> {
    let arch =
        name.strip_prefix(b"ld-musl-").and_then(|rest| rest.strip_suffix(b".so.1")).unwrap_or_default();
    let path = ImagePath::new([b"etc/ld-musl-", arch, b".path"].concat()).ok();
    let said = path.and_then(|path| ground.survey.kept.get(&path));
    let said = said.map_or(&b"/lib:/usr/local/lib:/usr/lib"[..], Vec::as_slice);
    let said = said.split(|byte| matches!(byte, b':' | b'\n')).map(<[u8]>::trim_ascii);
    said.filter(|directory| directory.starts_with(b"/")).map(<[u8]>::to_vec).collect()
}

/// An object on its way into a process.
#[derive(Clone, Debug)]
pub(super) struct Loaded<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) elf: &'a Elf,
    /// The directory under which it was found: `$ORIGIN`.
    pub(super) origin: Vec<u8>,
    /// Who needed it first; `None` for the program.
    pub(super) by: Option<usize>,
}

/// What is looked for in the same places by everybody, and what came of it.
pub(super) struct Shared<'a> {
    cache: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    environment: Vec<Vec<u8>>,
    /// Places that were looked at.
    pub(super) places: Cell<usize>,
    found: HashMap<(Vec<u8>, *const Elf, bool), Option<Found<'a>>>,
}

/// A library, and the directory under which it was found.
pub(super) type Found<'a> = (&'a ImagePath, &'a Elf, Vec<u8>);

impl<'a> Shared<'a> {
    pub(super) fn new(ground: &Ground<'a>) -> Self {
        let kept = ImagePath::new("etc/ld.so.cache").ok().and_then(|path| ground.survey.kept.get(&path));
        let mut cache: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for library in kept.and_then(|bytes| cached_libraries(bytes)).unwrap_or_default() {
            cache.entry(library.name.into()).or_default().push(library.path.into());
        }
        let environment = variable(ground.runtime, "LD_LIBRARY_PATH").unwrap_or_default();
        let environment = environment.split([':', ';']).filter(|directory| directory.starts_with('/'));
        Self {
            cache,
            environment: environment.map(|dir| dir.as_bytes().to_vec()).collect(),
            places: Cell::new(0),
            found: HashMap::new(),
        }
    }

    /// Directories of the cache and of `LD_LIBRARY_PATH`.
    pub(super) fn directories(&self) -> impl Iterator<Item = &[u8]> {
        let of_cache = self.cache.values().flatten().filter_map(|path| {
            let end = path.iter().rposition(|byte| *byte == b'/')?;
            Some(&path[..end])
        });
        of_cache.chain(self.environment.iter().map(Vec::as_slice))
    }

    /// Finds what `chain[who]` needs under `name`.
    pub(super) fn find(
        &mut self,
        ground: &Ground<'a>,
        loader: &Loader<'a>,
        chain: &[Loaded<'a>],
        who: usize,
        name: &[u8],
    ) -> Option<Found<'a>> {
        let who = &chain[who];
        let expand = |text: &[u8], of: &Loaded<'_>| expanded(text, &of.origin, &loader.lib, ground);
        let places = &self.places;
        let fits = |path: &[u8]| {
            places.set(places.get() + 1);
            if places.get() > PLACES_MAX {
                return None;
            }
            let (real, elf) = ground.elf(path)?;
            let fits = elf.machine == who.elf.machine && elf.class == who.elf.class && ground.is_open(real);
            let origin = path[..path.iter().rposition(|byte| *byte == b'/')?].to_vec();
            fits.then_some((real, elf, origin))
        };
        if name.contains(&b'/') {
            return fits(&expand(name, who)).filter(|_| name.starts_with(b"/") || name.starts_with(b"$"));
        }
        let within = |directory: &[u8]| {
            if directory.starts_with(b"/") { fits(&[directory, b"/", name].concat()) } else { None }
        };
        let listed = |list: Option<&[u8]>, of: &Loaded<'_>| {
            let directories = list.unwrap_or_default().split(|byte| *byte == b':');
            directories.filter(|text| !text.is_empty()).find_map(|text| within(&expand(text, of)))
        };
        let ancestors = || std::iter::successors(Some(who), |of| of.by.map(|by| &chain[by]));
        match loader.kind {
            Kind::Glibc => {
                let inherited = || {
                    let mut without = ancestors().filter(|of| of.elf.runpath.is_none());
                    without.find_map(|of| listed(of.elf.rpath.as_deref(), of))
                };
                // A RUNPATH takes the RPATHs of all others away too.
                let by_rpath = if who.elf.runpath.is_none() { inherited() } else { None };
                by_rpath
                    .or_else(|| self.environment.iter().find_map(|directory| within(directory)))
                    .or_else(|| listed(who.elf.runpath.as_deref(), who))
            }
            Kind::Musl => self.environment.iter().find_map(|directory| within(directory)).or_else(|| {
                ancestors().find_map(|of| listed(of.elf.runpath.as_deref().or(of.elf.rpath.as_deref()), of))
            }),
        }
        .or_else(|| {
            let without_defaults = who.elf.no_default_directories && loader.kind == Kind::Glibc;
            let key = (name.to_vec(), std::ptr::from_ref(loader.elf), without_defaults);
            if let Some(found) = self.found.get(&key) {
                return found.clone();
            }
            let cached = self.cache.get(name).filter(|_| loader.kind == Kind::Glibc);
            let is_default = |path: &[u8]| {
                let directory = path.iter().rposition(|byte| *byte == b'/').map(|end| &path[..end]);
                loader.directories.iter().any(|default| Some(&default[..]) == directory)
            };
            let mut cached =
                cached.into_iter().flatten().filter(|path| !without_defaults || !is_default(path));
            let found = cached.find_map(|path| fits(path)).or_else(|| {
                let mut defaults = loader.directories.iter().filter(|_| !without_defaults);
                defaults.find_map(|directory| within(directory))
            });
            self.found.insert(key, found.clone());
            found
        })
    }
}

/// A path with `$ORIGIN`, `$LIB` and `$PLATFORM`, with or without braces, as what they mean.
fn expanded(text: &[u8], origin: &[u8], lib: &[u8], ground: &Ground<'_>) -> Vec<u8> {
    let machine = ground.platform.arch.machine().as_bytes();
    let tokens = [(&b"ORIGIN"[..], origin), (b"LIB", lib), (b"PLATFORM", machine)];
    let mut out = Vec::new();
    let mut left = text;
    'text: while let Some((first, rest)) = left.split_first() {
        if *first == b'$' {
            for (token, value) in tokens {
                let braced =
                    rest.strip_prefix(b"{").and_then(|rest| rest.strip_prefix(token)?.strip_prefix(b"}"));
                if let Some(rest) = braced.or_else(|| rest.strip_prefix(token)) {
                    out.extend_from_slice(value);
                    left = rest;
                    continue 'text;
                }
            }
        }
        out.push(*first);
        left = rest;
    }
    out
}

/// The loader of a program: the one that it names.
pub(super) fn of<'a>(ground: &Ground<'a>, elf: &Elf, machine: Machine) -> Option<Loader<'a>> {
    match &elf.interpreter {
        Some(path) => Loader::at(ground, path),
        None if machine == Machine::Own => Loader::of_library(ground, elf),
        None => None,
    }
}
