//! `kube --check`: objects in files, judged without a cluster.
//!
//! ```text
//!   FILE    as it is                        -   stdin
//!   DIR     with a kustomization: what it lists, directories that it lists too
//!           without: every .yaml, .yml and .json below it, in the order of names; hidden files too, since `kubectl` applies them
//! ```
//! **Guarantees**: bounded time and memory whatever is named; equal files give equal reports. Nothing is fetched, and nothing is run.
//! **Refuses** what is no regular file, and more than is written by hand or by `kube`. What a kustomization lists by an address,
//! what it lists outside of its own directory, and what it would change of objects before they are applied, is a finding; so is a link
//! to elsewhere, and a hidden directory with objects in it.

use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::file;
use pinfold_base::text::word;
pub use pinfold_kube::judge::Document;
pub use pinfold_kube::judge::Finding;
use pinfold_kube::judge::Judging;
pub use pinfold_kube::judge::Minor;
pub use pinfold_kube::judge::Nodes;
pub use pinfold_kube::judge::Report;
use pinfold_kube::judge::judge;
use pinfold_kube::judge::kustomization;

use crate::verify::secrets;

/// Most bytes of a file.
const SIZE: u64 = 32 << 20;
/// Most bytes of all.
const ALL: u64 = 64 << 20;
/// Most files.
const FILES: usize = 20_000;
/// How deep directories and kustomizations are gone into.
const DEPTH: usize = 16;
/// What a directory's kustomization is called.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Files and directories; `-` is stdin.
    pub paths: Vec<PathBuf>,
    /// The versions of Kubernetes that all have to take the objects.
    pub versions: RangeInclusive<Minor>,
    /// Whose nodes they are for.
    pub nodes: Nodes,
    /// Files with policies that are asked too.
    pub policies: Vec<PathBuf>,
}

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// One file is too long.
    #[error("`{}` is longer than 32 MiB", path.display())]
    Long {
        /// Which.
        path: PathBuf,
    },
    /// Together they are too much.
    #[error("`{}` has more than 20,000 files or 64 MiB of objects", path.display())]
    Much {
        /// Where.
        path: PathBuf,
    },
    /// No object is in it.
    #[error("{} has no object in it", place(path))]
    Empty {
        /// Which; `-` is stdin.
        path: PathBuf,
    },
    /// There is no file in it.
    #[error("`{}` has no file with objects", path.display())]
    Nothing {
        /// Which.
        path: PathBuf,
    },
}

impl Diagnose for CheckError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Read { source, .. } if source.kind() != io::ErrorKind::NotFound => Kind::System,
            _ => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a file, a directory with objects in it, or `-` for stdin".into())
            }
            Self::Read { .. } => None,
            Self::Long { .. } => Some("split it into files of fewer objects".into()),
            Self::Much { .. } => Some("judge its directories one by one".into()),
            Self::Empty { path } if path == Path::new("-") => {
                Some("look at what wrote into the pipe: it has failed, or had nothing to write".into())
            }
            Self::Empty { .. } => Some("name files with objects: `apiVersion`, `kind` and `metadata`".into()),
            Self::Nothing { path } => Some(format!(
                "objects are in files that end with `.yaml`, `.yml` or `.json`; `pinfold kube -o {}` writes some",
                word(path)
            )),
        }
    }
}

/// How a file that was named is called.
fn place(path: &Path) -> String {
    if path == Path::new("-") { "stdin".into() } else { format!("`{}`", path.display()) }
}

/// Whether a text has nothing but blanks, comments and lines between documents: no object, however it is read.
fn is_blank(text: &[u8]) -> bool {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).all(|line| {
        let line = line.strip_prefix(b"---").map_or(line, <[u8]>::trim_ascii_start);
        line.is_empty() || line.starts_with(b"#") || line == b"..."
    })
}

/// Judges what is named. What was named and has no object in it is an error: whoever asks has lost something.
pub fn check(asked: &Asked) -> Result<Report, CheckError> {
    let mut gathered = Gathered::default();
    for path in &asked.paths {
        gathered.root(path)?;
    }
    let mut policies = Gathered::default();
    for path in &asked.policies {
        policies.named(path)?;
    }
    let judging = Judging {
        versions: asked.versions.clone(),
        nodes: asked.nodes,
        policies: policies.documents,
        ..Judging::new(secrets::spotted)
    };
    let mut report = judge(&gathered.documents, &judging);
    if let Some(path) = asked.paths.first()
        && report.objects == 0
        && report.findings.is_empty()
        && gathered.findings.is_empty()
    {
        return Err(CheckError::Empty { path: path.clone() });
    }
    report.findings.splice(0..0, gathered.findings);
    Ok(report)
}

/// Documents that have been read.
#[derive(Default)]
struct Gathered {
    documents: Vec<Document>,
    findings: Vec<Finding>,
    /// Files and kustomizations that were read, by where they really are.
    seen: BTreeSet<PathBuf>,
    bytes: u64,
}

impl Gathered {
    /// What somebody has named.
    fn root(&mut self, path: &Path) -> Result<(), CheckError> {
        if path == Path::new("-") {
            self.read(path, io::stdin().lock())?;
            return self.said(path, self.documents.len() - 1);
        }
        let read = |source| CheckError::Read { path: path.to_owned(), source };
        if !fs_err::metadata(path).map_err(read)?.is_dir() {
            return self.named(path);
        }
        let before = (self.documents.len(), self.findings.len());
        match kustomization_of(path) {
            Some(file) => self.kustomized(path, &file, 0)?,
            None => self.directory(path, path, 0)?,
        }
        if (self.documents.len(), self.findings.len()) == before {
            return Err(CheckError::Nothing { path: path.to_owned() });
        }
        Ok(())
    }

    /// A file that somebody has named.
    fn named(&mut self, path: &Path) -> Result<(), CheckError> {
        let before = self.documents.len();
        self.file(path)?;
        self.said(path, before)
    }

    /// Whether what was read from a document on says something.
    fn said(&self, path: &Path, from: usize) -> Result<(), CheckError> {
        match self.documents.get(from) {
            Some(document) if is_blank(&document.text) => Err(CheckError::Empty { path: path.to_owned() }),
            _ => Ok(()),
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), CheckError> {
        let read = |source| CheckError::Read { path: path.to_owned(), source };
        let real = fs_err::canonicalize(path).map_err(read)?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        let file = file::regular(path).map_err(read)?;
        self.read(path, file)
    }

    fn read(&mut self, path: &Path, from: impl Read) -> Result<(), CheckError> {
        let mut text = Vec::new();
        let read = |source| CheckError::Read { path: path.to_owned(), source };
        from.take(SIZE + 1).read_to_end(&mut text).map_err(read)?;
        if text.len() as u64 > SIZE {
            return Err(CheckError::Long { path: path.to_owned() });
        }
        self.bytes += text.len() as u64;
        if self.bytes > ALL || self.documents.len() >= FILES {
            return Err(CheckError::Much { path: path.to_owned() });
        }
        self.documents.push(Document { file: path.display().to_string(), text });
        Ok(())
    }

    /// Every file with objects below a directory that was named. Links to directories are not gone after, as `kubectl` does not.
    fn directory(&mut self, named: &Path, path: &Path, depth: usize) -> Result<(), CheckError> {
        let read = |source| CheckError::Read { path: path.to_owned(), source };
        if depth > DEPTH {
            return Err(CheckError::Much { path: path.to_owned() });
        }
        let mut entries = Vec::new();
        for entry in fs_err::read_dir(path).map_err(read)? {
            let entry = entry.map_err(read)?;
            entries.push((entry.path(), entry.file_type().map_err(read)?));
            if entries.len() > FILES {
                return Err(CheckError::Much { path: path.to_owned() });
            }
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (path, kind) in entries {
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if kind.is_dir() && !hidden {
                self.directory(named, &path, depth + 1)?;
            } else if kind.is_dir() {
                if !path.ends_with(".git") && has_objects(&path) {
                    let message =
                        "a hidden directory with objects is not gone into: name it to have it judged";
                    self.put(&path, 0, "", message.into());
                }
            } else if !is_for_objects(&path) {
            } else if kind.is_file() || path.is_file() && is_within(&path, named) {
                self.file(&path)?;
            } else {
                let message =
                    "it leads elsewhere, or is no regular file, and is not read: `kubectl` would try to";
                self.put(&path, 0, "", message.into());
            }
        }
        Ok(())
    }

    /// What a kustomization lists, and itself.
    fn kustomized(&mut self, directory: &Path, file: &Path, depth: usize) -> Result<(), CheckError> {
        let before = self.documents.len();
        self.file(file)?;
        let Some(document) = self.documents.get(before) else { return Ok(()) };
        let told = kustomization(document);
        for (line, message) in told.changes {
            self.tell(file, line, message);
        }
        for (line, name) in told.resources {
            if name.contains("://") || name.starts_with("git@") || name.contains('?') {
                self.tell(file, line, "what it lists by an address is not fetched".into());
                continue;
            }
            let path = directory.join(&name);
            let Ok(metadata) = fs_err::metadata(&path) else {
                self.tell(file, line, "what it lists here is not there".into());
                continue;
            };
            let up = Path::new(&name)
                .components()
                .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
            if metadata.is_dir() {
                match kustomization_of(&path) {
                    Some(inner) if depth < DEPTH => self.kustomized(&path, &inner, depth + 1)?,
                    Some(_) => self.tell(file, line, "kustomizations are nested too deep here".into()),
                    None => {
                        self.tell(file, line, "the directory that it lists here has no kustomization".into());
                    }
                }
            } else if up || !is_within(&path, directory) {
                // As Kustomize has it: whoever writes a kustomization does not choose which files of others are read.
                self.tell(file, line, "a file outside of the kustomization's directory is not read".into());
            } else {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, file: &Path, line: u32, message: String) {
        self.put(file, line, "resources", message);
    }

    fn put(&mut self, file: &Path, line: u32, path: &str, message: String) {
        if self.findings.len() < FILES {
            self.findings.push(Finding {
                file: file.display().to_string(),
                line,
                object: String::new(),
                path: path.into(),
                rule: "not-judged".into(),
                message,
            });
        }
    }
}

/// Whether a file is called as those with objects are.
fn is_for_objects(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known))
}

/// Whether there is a file for objects below a directory, or more than is looked through.
fn has_objects(path: &Path) -> bool {
    let mut left = FILES;
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs_err::read_dir(&directory) else { return true };
        for entry in entries {
            let Ok(entry) = entry else { return true };
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if left == 0 || !is_directory && is_for_objects(&entry.path()) {
                return true;
            }
            left -= 1;
            if is_directory {
                directories.push(entry.path());
            }
        }
    }
    false
}

/// Whether a file really is below a directory.
fn is_within(path: &Path, directory: &Path) -> bool {
    let real = |path: &Path| fs_err::canonicalize(path).ok();
    match (real(path), real(directory)) {
        (Some(path), Some(directory)) => path.starts_with(directory),
        _ => false,
    }
}

/// The file that says what of a directory is applied.
fn kustomization_of(directory: &Path) -> Option<PathBuf> {
    KUSTOMIZATIONS.iter().map(|name| directory.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests;
