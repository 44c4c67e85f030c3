//! A program of this machine that is run to build another: the one step of pinfold that runs the user's tools outside of any sandbox.
//!
//! **Guarantees**: it is found on the caller's `PATH`, in no folder of the project and in none that is relative; it has the caller's
//! variables, but no key that a recipe knows; it reads nothing from the terminal and stays in the caller's process group, so that
//! Ctrl-C ends it with all that it started. It ends within [`LIMIT`], and what it prints is bounded.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::shown;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::context::Context;
use crate::project::Project;
use crate::project::recipe::Recipe;

/// How long it may take.
pub(super) const LIMIT: Duration = Duration::from_secs(3600);
/// Most that it may print, in bytes.
const MAX_PRINTED: u64 = 256 << 20;
/// Lines of its output that are shown when it fails, and bytes of it that are read for them.
const LINES: usize = 40;
const TAIL: u64 = 64 << 10;
/// Columns of such a line.
const WIDE: usize = 300;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Processes below it that are looked for when it has to end.
const MAX_TREE: usize = 10_000;

/// It did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// It is not there.
    #[error("there is no `{name}` on this machine's PATH, to build `{path}` with")]
    Missing {
        /// The program.
        name: String,
        /// What is built.
        path: String,
    },
    /// It cannot be started.
    #[error("cannot start `{name}` to build `{path}`")]
    Start {
        /// The program.
        name: String,
        /// What is built.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It failed, took too long or printed too much.
    #[error("`{name}` did not build `{path}`: {why}")]
    Failed {
        /// The program.
        name: String,
        /// What is built.
        path: String,
        /// What happened.
        why: String,
        /// The last of what it printed.
        printed: Vec<Shown>,
        /// What may help.
        hint: Option<String>,
    },
}

impl Diagnose for ToolError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn lines(&self) -> Vec<Shown> {
        let first = std::iter::once(Shown::of(self));
        match self {
            Self::Failed { printed, .. } => {
                first.chain(printed.iter().map(|line| shown!("  | {line}"))).collect()
            }
            _ => first.collect(),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("install it: `[[build]]` runs the tools that are here; or leave the entry out".into())
            }
            Self::Start { .. } => None,
            Self::Failed { hint, .. } => hint.clone(),
        }
    }
}

/// A program with its words, to be run in a folder.
#[derive(Debug)]
pub(super) struct Tool {
    /// As it is named.
    name: String,
    program: PathBuf,
    words: Vec<OsString>,
    folder: PathBuf,
    more: Vec<(OsString, OsString)>,
    /// Variables that keys are in.
    keys: Vec<OsString>,
}

impl Tool {
    /// The program of a name: by `PATH`, or with a slash in it by its path from the project's folder.
    pub(super) fn find(
        context: &Context,
        project: &Project,
        name: &str,
        path: &str,
    ) -> Result<Self, ToolError> {
        let folder = &project.manifest.directory;
        let program = if name.contains('/') {
            let program = folder.join(name);
            program.is_file().then(|| std::path::absolute(&program).unwrap_or(program))
        } else {
            on_path(context.environment.raw("PATH").unwrap_or_default(), folder, name)
        };
        let program =
            program.ok_or_else(|| ToolError::Missing { name: name.to_owned(), path: path.to_owned() })?;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        let recipes = Recipe::built_in_agents().map(|known| &known.run.route);
        let recipes = recipes.chain(project.recipes.iter().map(|own| &own.run.route));
        let keys = recipes.flatten().flat_map(|route| &route.key).map(OsString::from).collect();
        Ok(Self { name: name.to_owned(), program, words: Vec::new(), folder, more: Vec::new(), keys })
    }

    /// With further words.
    pub(super) fn words<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// In another folder than the project's.
    pub(super) fn within(self, folder: PathBuf) -> Self {
        Self { folder, ..self }
    }

    /// With a variable.
    pub(super) fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.more.push((name.into(), value.into()));
        self
    }

    /// Runs it to its end, which is to build `path`. Gives what it printed to stdout; `hint` is for what it printed to stderr.
    pub(super) fn run(
        &self,
        context: &Context,
        path: &str,
        limit: Duration,
        hint: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Vec<u8>, ToolError> {
        let start = |source| ToolError::Start { name: self.name.clone(), path: path.to_owned(), source };
        // Files, not pipes: a daemon that it leaves behind would hold a pipe open.
        let file = || context.store.temporary().map_err(|error| start(io::Error::other(error.to_string())));
        let (out, err) = (file()?, file()?);
        let stdio =
            |file: &tempfile::NamedTempFile| file.as_file().try_clone().map(Stdio::from).map_err(start);
        let kept = context.environment.all().filter(|(name, _)| !self.keys.iter().any(|key| name == key));
        #[expect(clippy::disallowed_methods, reason = "the user agreed that this program runs here")]
        let mut command = Command::new(&self.program);
        command
            .args(&self.words)
            .current_dir(&self.folder)
            .env_clear()
            .envs(kept)
            .envs(self.more.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stdio(&out)?)
            .stderr(stdio(&err)?);
        let mut child = command.spawn().map_err(start)?;
        let why = wait(&mut child, limit, || size(&out).saturating_add(size(&err))).map_err(start)?;
        let Some(why) = why else {
            let mut bytes = Vec::new();
            let mut file = fs::File::open(out.path()).map_err(start)?;
            file.by_ref().take(MAX_PRINTED).read_to_end(&mut bytes).map_err(start)?;
            return Ok(bytes);
        };
        // What compilers complain is on stderr; scripts say it anywhere.
        let said = Some(tail(err.path())).filter(|said| !said.trim().is_empty());
        let said = said.unwrap_or_else(|| tail(out.path()));
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        Err(ToolError::Failed {
            name: self.name.clone(),
            path: path.to_owned(),
            why,
            printed: last.iter().map(|line| Shown::from(*line).within(WIDE)).collect(),
            hint: hint(&said),
        })
    }
}

/// A program on `PATH`, but for folders that are relative or in the project.
fn on_path(path: &OsStr, project: &Path, name: &str) -> Option<PathBuf> {
    let project = fs::canonicalize(project).ok();
    let folders =
        path.as_bytes().split(|byte| *byte == b':').map(|folder| Path::new(OsStr::from_bytes(folder)));
    let outside = |folder: &&Path| {
        let real = fs::canonicalize(folder).ok();
        folder.is_absolute()
            && real.is_some_and(|real| project.as_ref().is_none_or(|project| !real.starts_with(project)))
    };
    let runs = |program: &PathBuf| {
        program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok()
    };
    folders.filter(outside).map(|folder| folder.join(name)).find(runs)
}

/// Waits for the end: `None` where it did well, else what happened.
fn wait(child: &mut Child, limit: Duration, printed: impl Fn() -> u64) -> io::Result<Option<String>> {
    let deadline = Instant::now() + limit;
    let why = loop {
        if let Some(status) = child.try_wait()? {
            return Ok((!status.success()).then(|| status.to_string()));
        }
        if Instant::now() >= deadline {
            break format!("it took longer than {} s", limit.as_secs());
        }
        if printed() > MAX_PRINTED {
            break format!("it printed more than {} MiB", MAX_PRINTED >> 20);
        }
        std::thread::sleep(LOOK);
    };
    end(child);
    child.wait()?;
    Ok(Some(why))
}

/// Ends it with all that it started, as far as they are still below it.
fn end(child: &mut Child) {
    let mut all = vec![child.id()];
    let mut at = 0;
    while let Some(&process) = all.get(at) {
        at += 1;
        if all.len() > MAX_TREE {
            break;
        }
        // proc_pid_task(5); kernels without the file have none to tell.
        let below =
            fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        all.extend(below.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    for process in all.into_iter().skip(1) {
        if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    let _ = child.kill();
}

fn size(file: &tempfile::NamedTempFile) -> u64 {
    file.as_file().metadata().map_or(0, |data| data.len())
}

/// The end of a file as text. It is for people: failures are no matter.
fn tail(file: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(file)?;
        let size = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}
