//! Fetching a suite: its signed Release file, then the indexes it names.
//!
//! ```text
//! BASE/dists/SUITE/InRelease                                     else Release, with Release.gpg beside it
//! BASE/dists/SUITE/COMPONENT/binary-ARCH/by-hash/SHA256/HEX      first, where the archive has it
//! BASE/dists/SUITE/COMPONENT/binary-ARCH/Packages.xz             then .gz, then uncompressed
//! BASE/DIRECTORY/InRelease, BASE/DIRECTORY/Packages.xz           a flat archive: one index, all architectures
//! ```
//!
//! Indexes are kept decompressed below `CACHE/metadata/packages-HEX`, where HEX is the SHA-256 that the Release file gives
//! for the decompressed form; a file there is hashed before it is used, every time.
//!
//! **Guarantees**: nothing is decompressed before its size and digest agree with the signed file. **Refuses**: indexes over
//! 512 MiB, decompressed or not; Release files that list no index of the component and architecture.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use fs_err as fs;
use pinfold_archive::codec;
use pinfold_archive::codec::Compression;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::http::HttpError;
use pinfold_base::http::Source;
use pinfold_base::http::Unjudged;

use super::AskedSuite;
use super::Freshness;
use super::Inputs;
use super::LockError;
use super::index::Text;
use super::mirrors;
use super::mirrors::Archive;
use super::openpgp;
use super::openpgp::Expiry;
use super::release::Release;
use crate::debian::locked::LockedSuite;

/// Where indexes are kept, below the cache folder.
pub const FOLDER: &str = "metadata";

/// Longest index that is read, in bytes, decompressed or not.
const MAX_INDEX: u64 = 512 << 20;

/// The most names that an error tells.
const SHOWN: usize = 12;

/// What a suite has where it lacks an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum There {
    /// The component for these architectures.
    Arches(String),
    /// These components.
    Components(String),
    /// Nothing that is named so.
    Nothing,
}

/// A suite whose Release file was checked.
#[derive(Debug)]
pub struct Suite {
    asked: AskedSuite,
    /// Provenance for the lock.
    pub locked: LockedSuite,
    /// What the Release file says.
    pub release: Release,
    archive: Archive,
}

impl Suite {
    /// Fetches and checks the Release file. `seen` is the suite in the lock, if it is there.
    pub fn open(
        asked: &AskedSuite,
        seen: Option<&LockedSuite>,
        inputs: &Inputs<'_>,
    ) -> Result<Self, LockError> {
        let seen = seen.map(|suite| suite.date);
        let called = asked.to_string();
        let mut archive = inputs.mirrors.archive(&asked.archive, &asked.name, &asked.components, seen)?;
        let (at, signed) = Signed::fetch(asked, &archive, inputs)?;
        // One mirror answers for everything: its neighbours may be of another day.
        archive.bases.rotate_left(at);
        let keyring = inputs.mirrors.keyring(&called, &archive)?;
        let expiry = match archive.freshness {
            Freshness::Checked => Expiry::Now,
            Freshness::Unchecked => Expiry::AtSignature,
        };
        let Signed { answer, beside } = signed;
        let (release, inrelease) = answer.judge(|bytes| {
            let verified = match &beside {
                None => openpgp::verify(bytes, &keyring, inputs.now, expiry),
                Some(beside) => openpgp::verify_beside(bytes, beside, &keyring, inputs.now, expiry),
            };
            let verified = verified.map_err(|source| LockError::Signature {
                suite: called.clone(),
                table: asked.table(),
                keys: archive.keys,
                source,
            })?;
            let release = Release::read(&called, &verified.text)?;
            let fits = release.check(&asked.name, inputs.now, archive.freshness, seen);
            fits.map_err(|error| error.of(called.clone()))?;
            Ok::<_, LockError>((release, Digest::sha256(bytes)))
        })?;
        let locked = LockedSuite {
            name: asked.name.clone(),
            codename: release.codename.clone(),
            archive: asked.archive.clone(),
            inrelease,
            date: release.date,
        };
        Ok(Self { asked: asked.clone(), locked, release, archive })
    }

    /// As what it was asked for.
    pub fn asked(&self) -> &AskedSuite {
        &self.asked
    }

    /// Fetches the indexes for a platform. `number` is this suite's place in the request.
    pub fn texts(
        &self,
        platform: Platform,
        number: u16,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Text>, LockError> {
        let mut texts = Vec::new();
        if !self.asked.is_for(platform.arch) {
            return Ok(texts);
        }
        if self.asked.is_flat() {
            texts.push(self.text("", number, inputs)?);
        }
        for component in &self.asked.components {
            texts.extend(self.component(component, platform, number, inputs)?);
        }
        Ok(texts)
    }

    /// The same of one component, whether or not it was asked for.
    pub fn component(
        &self,
        component: &str,
        platform: Platform,
        number: u16,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Text>, LockError> {
        let arch = platform.arch.debian();
        let mut texts = vec![self.text(&format!("{component}/binary-{arch}/"), number, inputs)?];
        if self.release.separate_all {
            match self.text(&format!("{component}/binary-all/"), number, inputs) {
                // `all` may be folded into the others although the Release file does not say so.
                Err(LockError::NoIndex { .. }) => {}
                text => texts.push(text?),
            }
        }
        Ok(texts)
    }

    fn text(&self, folder: &str, number: u16, inputs: &Inputs<'_>) -> Result<Text, LockError> {
        let label = format!("{}/{folder}Packages", self.asked.to_string().trim_end_matches('/'));
        let Some(bytes) = self.index(folder, &label, inputs)? else {
            return Err(LockError::NoIndex { label, table: self.asked.table(), there: self.there(folder) });
        };
        let pin = self.asked.priority.unwrap_or(self.release.pin);
        Ok(Text { bytes, suite: number, pin, mixed: self.asked.is_flat(), label })
    }

    /// What there is instead of the index of a component and architecture.
    fn there(&self, folder: &str) -> There {
        let component = folder.rsplit_once("/binary-").map_or("", |(component, _)| component);
        let (mut arches, mut components) = (BTreeSet::new(), BTreeSet::new());
        for (of, rest) in self.release.paths().filter_map(|path| path.rsplit_once("/binary-")) {
            let Some((arch, file)) = rest.split_once('/') else { continue };
            if !file.starts_with("Packages") {
                continue;
            }
            components.insert(of);
            if of == component {
                arches.insert(arch);
            }
        }
        let told = |names: BTreeSet<&str>| {
            let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > SHOWN { " and more" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        match (arches.is_empty(), components.is_empty()) {
            (false, _) => There::Arches(told(arches)),
            (true, false) => There::Components(told(components)),
            (true, true) => There::Nothing,
        }
    }

    fn index(&self, folder: &str, label: &str, inputs: &Inputs<'_>) -> Result<Option<Vec<u8>>, LockError> {
        let plain = self.release.file(&format!("{folder}Packages"));
        let kept = plain.map(|(digest, size)| {
            (inputs.store.root().join(FOLDER).join(format!("packages-{}", digest.hex())), digest, size)
        });
        if let Some((path, digest, size)) = &kept
            && let Some(bytes) = read_kept(path, digest, *size)
        {
            return Ok(Some(bytes));
        }
        let mut missing = None;
        for (suffix, compression) in
            [(".xz", Compression::Xz), (".gz", Compression::Gzip), ("", Compression::None)]
        {
            let Some((digest, size)) = self.release.file(&format!("{folder}Packages{suffix}")) else {
                continue;
            };
            let compressed = match self.fetch(folder, suffix, digest, size, inputs) {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => {
                    missing.get_or_insert(error);
                    continue;
                }
                Err(error) => {
                    return Err(LockError::Fetch { what: format!("`{label}`"), source: Box::new(error) });
                }
            };
            let damaged = |reason: String| LockError::Damaged { label: label.to_owned(), reason };
            check(&compressed, digest, size).map_err(damaged)?;
            let bytes = decompress(compressed, compression, plain.map(|(_, size)| size)).map_err(damaged)?;
            if let Some((digest, size)) = plain {
                check(&bytes, digest, size).map_err(damaged)?;
            }
            if let Some((path, ..)) = &kept {
                // The index is only kept to be quicker next time: a full disk must not stop a lock that is otherwise done.
                if let Err(error) = inputs.store.write(path, &bytes) {
                    inputs.reporter.warn(&format!("the index is not kept: {error}"));
                }
            }
            return Ok(Some(bytes));
        }
        match missing {
            Some(error) => Err(LockError::Fetch { what: format!("`{label}`"), source: Box::new(error) }),
            None => Ok(None),
        }
    }

    fn fetch(
        &self,
        folder: &str,
        suffix: &str,
        digest: &Digest,
        size: u64,
        inputs: &Inputs<'_>,
    ) -> Result<Vec<u8>, HttpError> {
        let get = |source: &Source| inputs.fetch.get(source, size.min(MAX_INDEX));
        if self.release.by_hash {
            let by_hash = self.asked.path(&format!("{folder}by-hash/SHA256/{}", digest.hex()));
            match first(&self.archive.bases, &by_hash, get) {
                Err(error) if error.is_not_found() => {}
                other => return other.map(|(_, bytes)| bytes),
            }
        }
        let named = self.asked.path(&format!("{folder}Packages{suffix}"));
        first(&self.archive.bases, &named, get).map(|(_, bytes)| bytes)
    }
}

/// The signed file of a suite, as it came.
struct Signed {
    answer: Unjudged,
    /// Its signatures, where they are a file of their own.
    beside: Option<Vec<u8>>,
}

impl Signed {
    /// From the first base that has it, and which that is. An archive without `InRelease` may have `Release` and `Release.gpg`.
    fn fetch(asked: &AskedSuite, archive: &Archive, inputs: &Inputs<'_>) -> Result<(usize, Self), LockError> {
        let called = asked.to_string();
        let limit = openpgp::MAX_SIGNED as u64;
        let failed = |what: String| |source| LockError::Fetch { what, source: Box::new(source) };
        let current = |file: &str| {
            first(&archive.bases, &asked.path(file), |source| inputs.fetch.current(source, limit))
        };
        let missing = match current("InRelease") {
            Ok((at, answer)) => return Ok((at, Self { answer, beside: None })),
            Err(error) if error.is_not_found() => error,
            Err(error) => return Err(failed(format!("the Release file of `{called}`"))(error)),
        };
        let (at, answer) = match current("Release") {
            Ok(found) => found,
            Err(error) if error.is_not_found() => {
                return Err(LockError::NoSuite {
                    suite: called,
                    archive: asked.archive.clone(),
                    source: Box::new(missing),
                });
            }
            Err(error) => return Err(failed(format!("the Release file of `{called}`"))(error)),
        };
        let signatures = asked.path("Release.gpg");
        let beside = first(&archive.bases[at..=at], &signatures, |source| inputs.fetch.get(source, limit));
        match beside {
            Ok((_, beside)) => Ok((at, Self { answer, beside: Some(beside) })),
            Err(error) if error.is_not_found() => Err(LockError::Unsigned { suite: called }),
            Err(error) => Err(failed(format!("the signatures of `{called}`"))(error)),
        }
    }
}

/// The file from the first base that has it, and which base that was; else the first error.
fn first<T>(
    bases: &[Source],
    path: &str,
    get: impl Fn(&Source) -> Result<T, HttpError>,
) -> Result<(usize, T), HttpError> {
    let mut failure = None;
    for (number, base) in bases.iter().enumerate() {
        let outcome = mirrors::below(base, path).map_err(HttpError::from).and_then(|source| get(&source));
        match outcome {
            Ok(found) => return Ok((number, found)),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| HttpError::Offline { what: path.to_owned() }))
}

fn check(bytes: &[u8], digest: &Digest, size: u64) -> Result<(), String> {
    if bytes.len() as u64 != size {
        return Err(format!("{} bytes came instead of {size}", bytes.len()));
    }
    let actual = Digest::sha256(bytes);
    if actual == *digest { Ok(()) } else { Err(format!("its digest is {actual} instead of {digest}")) }
}

fn decompress(bytes: Vec<u8>, compression: Compression, size: Option<u64>) -> Result<Vec<u8>, String> {
    if compression == Compression::None {
        return Ok(bytes);
    }
    let limit = size.unwrap_or(MAX_INDEX).min(MAX_INDEX);
    let failed = |error: std::io::Error| format!("it cannot be decompressed: {error}");
    let decoder = codec::decoder(compression, &bytes[..]).map_err(failed)?;
    let mut out = Vec::with_capacity(usize::try_from(size.unwrap_or(0).min(limit)).unwrap_or(0));
    decoder.take(limit + 1).read_to_end(&mut out).map_err(failed)?;
    if out.len() as u64 > limit {
        return Err(format!("it is longer than {limit} bytes when decompressed"));
    }
    Ok(out)
}

fn read_kept(path: &Path, digest: &Digest, size: u64) -> Option<Vec<u8>> {
    if fs::metadata(path).ok()?.len() != size || size > MAX_INDEX {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    check(&bytes, digest, size).ok().map(|()| bytes)
}
