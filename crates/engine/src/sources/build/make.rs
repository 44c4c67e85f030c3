//! Builds a program for a platform by a tool of this machine, and takes what comes out into the store.
//!
//! ```text
//! cargo     rustc says which targets it has: MACHINE-unknown-linux-musl, else -gnu with +crt-static ─► its messages name the program
//! go        CGO_ENABLED=0 GOOS=linux GOARCH=… go build -trimpath -o a folder of ours
//! command   {platform} and {arch} filled in ─► `output`
//! ```
//!
//! **Guarantees**: what is taken is a regular file that was opened once, at most [`MAX_SIZE`] long, and a program of the platform or a
//! script. **Refuses** anything else, and an `output` that a link leads out of the project.

use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_archive::elf;
use pinfold_archive::elf::ElfClass;
use pinfold_archive::elf::ElfKind;
use pinfold_archive::elf::ElfLoad;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_base::store;
use pinfold_base::store::temporary;
use serde::Deserialize;

use super::section::Build;
use super::section::Made;
use super::tool::LIMIT;
use super::tool::Tool;
use crate::context::Context;
use crate::project::Project;
use crate::project::folder::OpenError;
use crate::project::folder::Opened;
use crate::sources::SourceError;

/// Largest program accepted, in bytes.
const MAX_SIZE: u64 = 1 << 30;
/// Most programs of a crate that are told.
const FEW: usize = 8;

/// What a tool made cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    /// There is no standard library for the platform.
    #[error("cargo cannot build `{path}` for {platform}: this machine's Rust has no standard library for {}", .targets.join(" or "))]
    NoLibrary { path: String, platform: Platform, targets: Vec<String> },
    /// A crate has several programs, or none.
    #[error("the crate in `{}` has {found}", .directory.display())]
    Programs { directory: PathBuf, found: String },
    /// What was to be made is not there.
    #[error("`{path}` was built, and what comes out cannot be read")]
    Output { path: String, source: OpenError },
    /// It lies elsewhere.
    #[error("`{}` is to become `{path}`, and a link leads out of the project there", .output.display())]
    Outside { path: String, output: PathBuf },
    /// It is nothing that is started on the platform.
    #[error("what was built for `{path}` is no program for {platform}: {why}")]
    NoProgram { path: String, platform: Platform, why: String },
    /// A file of ours.
    #[error("cannot keep what was built for `{path}`")]
    Keep { path: String, source: io::Error },
}

impl Diagnose for MakeError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Keep { source, .. } => Diagnosis::Inner(source),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoLibrary { targets, .. } => Some(format!(
                "`rustup target add {}` installs it; or leave the platform out with `platforms` of the entry",
                targets.first().map(String::as_str).unwrap_or_default()
            )),
            Self::Programs { .. } => Some("name the program with `bin`".into()),
            Self::Output { .. } => Some("`output` counts from the folder of the manifest".into()),
            Self::Outside { .. } => Some("have the command make the file in the project".into()),
            Self::NoProgram { platform, .. } => Some(format!(
                "build it for {platform}: a command is told by `{{platform}}`, `{{arch}}` and `PINFOLD_PLATFORM`; or leave the platform \
                 out with `platforms` of the entry"
            )),
            Self::Keep { .. } => None,
        }
    }
}

/// What came out.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) sha256: Digest,
    pub(super) size: u64,
    /// What the user should know of it.
    pub(super) note: Option<String>,
}

/// Builds a program for a platform; nothing for the worker and for pinfold itself, for which nothing is run.
pub(super) fn make(
    context: &Context,
    project: &Project,
    build: &Build,
    platform: Platform,
) -> Result<Option<Product>, SourceError> {
    let path = build.path.to_string();
    let making = Making { context, project, path: &path, platform };
    let item = format!("`{path}` for {platform} by this machine's tools");
    let begin = || Running::begin(&*context.reporter, Stage::Build, item, None);
    match &build.made {
        Made::Worker | Made::Pinfold => Ok(None),
        Made::Cargo { directory, bin, features, profile } => {
            let _running = begin();
            let program = making.cargo(directory, bin.as_deref(), features, profile)?;
            making.take(&making.open(&program)?).map(Some)
        }
        Made::Go { package } => {
            let _running = begin();
            let folder = temporary::directory(&context.home.cache().join(store::TEMPORARY));
            let folder = folder.map_err(|source| making.keep(source))?;
            let program = folder.path.join("program");
            let taken = making.go(package, &program).and_then(|()| making.take(&making.open(&program)?));
            // What stays is swept with what killed processes leave.
            let _ = pinfold_base::directory::remove(&folder.path);
            taken.map(Some)
        }
        Made::Command { words, output } => {
            let _running = begin();
            let output = PathBuf::from(making.filled(output));
            making.command(words, &output)?;
            let opened = making.open(&output)?;
            if opened.outside().is_some() {
                return Err(SourceError::of(MakeError::Outside { path: path.clone(), output }));
            }
            making.take(&opened).map(Some)
        }
    }
}

/// One program for one platform.
struct Making<'a> {
    context: &'a Context,
    project: &'a Project,
    path: &'a str,
    platform: Platform,
}

/// A message of cargo, as far as it counts (The Cargo Book, "External tools", JSON messages).
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

/// What an artifact was made of.
#[derive(Deserialize)]
struct Target {
    name: String,
}

impl Making<'_> {
    fn tool(&self, name: &str) -> Result<Tool, SourceError> {
        Tool::find(self.context, self.project, name, self.path).map_err(SourceError::of)
    }

    fn run(&self, tool: &Tool, hint: impl FnOnce(&str) -> Option<String>) -> Result<Vec<u8>, SourceError> {
        tool.run(self.context, self.path, LIMIT, hint).map_err(SourceError::of)
    }

    fn keep(&self, source: io::Error) -> SourceError {
        SourceError::of(MakeError::Keep { path: self.path.to_owned(), source })
    }

    fn directory(&self, below: &Path) -> PathBuf {
        let directory = self.project.manifest.directory.join(below);
        std::path::absolute(&directory).unwrap_or(directory)
    }

    /// A text of the manifest with the platform filled in.
    fn filled(&self, text: &str) -> String {
        text.replace("{platform}", &self.platform.to_string()).replace("{arch}", self.platform.arch.oci())
    }

    fn cargo(
        &self,
        directory: &Path,
        bin: Option<&str>,
        features: &[String],
        profile: &str,
    ) -> Result<PathBuf, SourceError> {
        let folder = self.directory(directory);
        let (target, is_gnu) = self.target(&folder)?;
        let environment = &self.context.environment;
        let mut tool = self.tool("cargo")?.within(folder);
        tool = tool.words(["build", "--locked", "--profile", profile, "--target", &target]);
        tool = tool.words(["--message-format", "json-render-diagnostics"]);
        if let Some(bin) = bin {
            tool = tool.words(["--bin", bin]);
        }
        if !features.is_empty() {
            tool = tool.words(["--features", &features.join(",")]);
        }
        if is_gnu {
            const STATIC: &str = "-C target-feature=+crt-static";
            // Flags of the caller's count before all others (The Cargo Book, `build.rustflags`).
            tool = if let Some(own) = environment.filled("RUSTFLAGS") {
                tool.with("RUSTFLAGS", format!("{own} {STATIC}"))
            } else {
                let flags = "rustflags=[\"-C\", \"target-feature=+crt-static\"]";
                tool.words(["--config", &format!("target.{target}.{flags}")])
            };
        }
        let (triplet, name) = (self.platform.arch.triplet(), target.to_uppercase().replace('-', "_"));
        let (linker, gcc) = (format!("CARGO_TARGET_{name}_LINKER"), format!("{triplet}-gcc"));
        let foreign = Some(self.platform) != Platform::host();
        if foreign && environment.filled(&linker).is_none() && environment.has_program(&gcc) {
            tool = tool.with(linker, &gcc).with(format!("CC_{}", target.replace('-', "_")), &gcc);
        }
        let hint = |said: &str| {
            if said.contains("--locked") {
                return Some("its `Cargo.lock` is not up to date: `cargo build` there writes it".to_owned());
            }
            (foreign || said.contains("linker `")).then(|| {
                format!(
                    "for {target} a linker is needed: Debian has `gcc-{triplet}` and `libc6-dev-{}-cross`; another is named as \
                     `target.{target}.linker` in `.cargo/config.toml`",
                    self.platform.arch.debian()
                )
            })
        };
        let messages = self.run(&tool, hint)?;
        let programs = messages.split(|byte| *byte == b'\n').filter_map(|line| {
            let message: Message = serde_json::from_slice(line).ok()?;
            let name = message.target.map(|target| target.name)?;
            Some((name, message.executable?)).filter(|_| message.reason == "compiler-artifact")
        });
        let programs: Vec<(String, PathBuf)> = programs.collect();
        let found = match &programs[..] {
            [(_, program)] => return Ok(program.clone()),
            [] => "no program".to_owned(),
            several => {
                let names = several.iter().take(FEW).map(|(name, _)| format!("`{}`", Shown::from(name)));
                format!("several programs: {}", names.collect::<Vec<_>>().join(", "))
            }
        };
        Err(SourceError::of(MakeError::Programs { directory: directory.to_owned(), found }))
    }

    /// The target whose standard library is there, and whether its C library is glibc.
    fn target(&self, folder: &Path) -> Result<(String, bool), SourceError> {
        let rustc = self.context.environment.filled("RUSTC").unwrap_or("rustc");
        let known = ["musl", "gnu"].map(|c| format!("{}-unknown-linux-{c}", self.platform.arch.machine()));
        for (target, is_gnu) in known.iter().zip([false, true]) {
            let tool = self.tool(rustc)?.within(folder.to_owned());
            let tool = tool.words(["--print", "target-libdir", "--target", target]);
            let printed = self.run(&tool, |_| None)?;
            if Path::new(String::from_utf8_lossy(&printed).trim()).is_dir() {
                return Ok((target.clone(), is_gnu));
            }
        }
        Err(SourceError::of(MakeError::NoLibrary {
            path: self.path.to_owned(),
            platform: self.platform,
            targets: known.to_vec(),
        }))
    }

    fn go(&self, package: &str, program: &Path) -> Result<(), SourceError> {
        let mut tool = self.tool("go")?;
        let mut package = package;
        // A module of its own below the project is built in its folder.
        let own = self.directory(Path::new(package));
        if own.join("go.mod").is_file() {
            (tool, package) = (tool.within(own), ".");
        }
        let tool =
            tool.words(["build", "-trimpath", "-buildvcs=false", "-o"]).words([program]).words([package]);
        let tool =
            tool.with("CGO_ENABLED", "0").with("GOOS", "linux").with("GOARCH", self.platform.arch.oci());
        self.run(&tool, |_| None).map(drop)
    }

    fn command(&self, words: &[String], output: &Path) -> Result<(), SourceError> {
        let mut words = words.iter().map(|word| self.filled(word));
        let tool = self.tool(&words.next().unwrap_or_default())?.words(words);
        let arch = self.platform.arch;
        let tool = tool
            .with("PINFOLD_PLATFORM", self.platform.to_string())
            .with("PINFOLD_ARCH", arch.oci())
            .with("PINFOLD_MACHINE", arch.machine())
            .with("PINFOLD_OUTPUT", self.directory(output));
        self.run(&tool, |_| None).map(drop)
    }

    fn open(&self, program: &Path) -> Result<Opened, SourceError> {
        let opened = self.project.inputs.folder().file(program);
        let failed = |source| SourceError::of(MakeError::Output { path: self.path.to_owned(), source });
        let opened = opened.map_err(failed)?;
        if opened.size() > MAX_SIZE {
            return Err(failed(OpenError::TooLong { path: program.to_owned(), max: MAX_SIZE }));
        }
        Ok(opened)
    }

    /// Into the store, and judged.
    fn take(&self, opened: &Opened) -> Result<Product, SourceError> {
        let stored = |error: store::StoreError| SourceError::of(error);
        let mut writer = self.context.store.writer_unknown(self.path, Algorithm::Sha256).map_err(stored)?;
        let mut reader = opened.reader().take(MAX_SIZE);
        io::copy(&mut reader, &mut writer).map_err(|source| self.keep(source))?;
        let (sha256, size) = writer.finish().map_err(stored)?;
        let file =
            fs_err::File::open(self.context.store.path(&sha256)).map_err(|source| self.keep(source))?;
        let judged = judge(file, self.platform).map_err(|source| self.keep(source))?;
        match judged {
            Judged::Program => Ok(Product { sha256, size, note: None }),
            Judged::Script => {
                let note = format!("`{}` is a script: what it asks for has to be in the image", self.path);
                Ok(Product { sha256, size, note: Some(note) })
            }
            Judged::Neither(why) => {
                let path = self.path.to_owned();
                Err(SourceError::of(MakeError::NoProgram { path, platform: self.platform, why }))
            }
        }
    }
}

/// What a file is to whoever would start it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// A program of the platform.
    Program,
    /// A text that names its interpreter.
    Script,
    /// Neither, and why.
    Neither(String),
}

/// Whether a file is started on a platform.
pub(super) fn judge(mut file: impl io::Read + io::Seek, platform: Platform) -> io::Result<Judged> {
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head)?;
    if head.starts_with(b"#!") {
        return Ok(Judged::Script);
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(Judged::Neither("it is neither an ELF file nor a script".into()));
    }
    let arch = platform.arch;
    let of = |machine: u16| {
        let known = Platform::ALL.into_iter().find(|known| known.arch.elf_machine() == machine);
        known.map_or_else(|| format!("machine {machine}"), |known| known.to_string())
    };
    Ok(match elf::read_open(&mut file)? {
        None => Judged::Neither("its ELF headers cannot be read".into()),
        Some(elf) if elf.machine != arch.elf_machine() || elf.class != ElfClass::Elf64 => {
            Judged::Neither(format!("it is one for {}", of(elf.machine)))
        }
        Some(elf) if elf.load != ElfLoad::Whole => {
            Judged::Neither("it is cut off, or has nothing to run".into())
        }
        Some(elf) if matches!(elf.kind, ElfKind::Other(_)) => Judged::Neither("it is an object file".into()),
        Some(elf) if elf.kind == ElfKind::Dynamic && elf.soname.is_some() && elf.interpreter.is_none() => {
            Judged::Neither("it is a shared library".into())
        }
        Some(_) => Judged::Program,
    })
}
