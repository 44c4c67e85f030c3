//! A program that prints a key: everything that decides what it does is found when it is named, and held to when it runs.
//!
//! ```text
//!   command:getkey --file=./x      getkey, by PATH       ─► `#!` of a script, `env` in it or before it, its interpreter
//!                                  ./x, `--file=./x`     ─► a file: what is executed goes by descriptor, data by its real path
//! ```
//!
//! **Guarantees**: no shell, no search, and no relative name is left when it runs: the program and scripts are executed through
//! the descriptors that were judged, in `/`, with a `PATH` of folders that only root and the user can write to and in which no
//! entry leads to what a sandbox may write, and without variables that load code or name a place of a sandbox. **Refuses** words
//! that name such a place or a directory that holds one, patterns and variables whose path may lead there, and program text of
//! a language ([`super::text`]).
//! **Leaves**: what the program reads by itself (its libraries, its configuration below the home) is the user's affair.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::fs::FileType;
use rustix::io::FdFlags;
use serde::Deserialize;
use serde::Serialize;

use super::CredentialError;
use super::SOURCE_MAX;
use super::Surroundings;
use super::held::HeldFile;
use super::held::Role;
use super::text::Seen;
use super::text::Texts;
use super::walk::Astray;
use super::walk::Found;
use super::walk::Links;
use super::walk::Place;
use super::walk::folders;
use super::walk::mentions;
use super::walk::trap;
use super::walk::walk;

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Interpreters of interpreters, as the kernel's own limit.
const DEPTH_MAX: u32 = 5;
/// The first line of a script, as the kernel reads it.
const LINE_MAX: u64 = 256;
/// Words and parts of words that are looked at.
const PARTS_MAX: usize = 16;

/// Programs whose file arguments are programs too. A version after the name does not count.
const INTERPRETERS: [&str; 33] = [
    "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "rbash", "busybox", "python", "pypy", "perl",
    "ruby", "node", "nodejs", "deno", "bun", "lua", "luajit", "php", "tclsh", "wish", "expect", "awk",
    "gawk", "mawk", "java", "guile", "Rscript", "elvish", "nu", "pwsh",
];
/// Programs that run another one, which they look for themselves.
const RUNNERS: [&str; 11] =
    ["timeout", "nice", "nohup", "setsid", "stdbuf", "ionice", "chrt", "taskset", "time", "xargs", "unshare"];
/// Variables that load code into programs, or decide how a shell reads it.
const LOADING: [&str; 27] = [
    "ENV",
    "IFS",
    "PS4",
    "SHELLOPTS",
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "FPATH",
    "PWD",
    "OLDPWD",
    "LOCPATH",
    "NLSPATH",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "CLASSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LUA_INIT",
    "LUA_PATH",
    "LUA_CPATH",
    "DOTNET_STARTUP_HOOKS",
    "PHPRC",
];
/// The same, by how they begin.
const LOADING_PREFIXES: [&str; 7] = ["LD_", "BASH_FUNC_", "PYTHON", "PERL", "RUBY", "GIT_", "MALLOC_"];

/// A program and its words, found and held to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldCommand {
    /// The program as it was named.
    named: String,
    /// The name it is told (`argv[0]`); an interpreter's differs from the script's.
    name: PathBuf,
    program: HeldFile,
    words: Vec<Word>,
    /// Files that decide too without being handed over: interpreters of scripts that another program starts.
    also: Vec<HeldFile>,
    variables: BTreeMap<String, String>,
    folders: Vec<PathBuf>,
    /// Places that no variable may name.
    places: Vec<PathBuf>,
    /// Those of them that a sandbox may write to: no folder of the `PATH` has an entry that leads there.
    #[serde(default)]
    written: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Text(String),
    /// A file, after `before` in the same word.
    File {
        before: String,
        file: HeldFile,
        handed: Handed,
    },
}

/// How a program gets a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Handed {
    /// As the descriptor that was judged: what is executed.
    Descriptor,
    /// By its real path, which nobody else can change: data, whose name may say what it is.
    Path,
}

impl HeldCommand {
    /// Finds what `words` run.
    pub fn find(words: &[String], around: &Surroundings) -> Result<Self, CredentialError> {
        let named = words.first().cloned().unwrap_or_default();
        let failed =
            |problem: &str| CredentialError::Command { program: named.clone(), problem: problem.into() };
        around.refuse_home()?;
        let search = Search { around, folders: folders(&around.path, &around.written()) };
        let mut left: VecDeque<String> = words.iter().cloned().collect();
        let mut variables = BTreeMap::new();
        // Words of an interpreter come before those that were given.
        let mut before: Vec<Word> = Vec::new();
        let mut also = Vec::new();
        let mut given: Option<Vec<Word>> = None;
        for _ in 0..DEPTH_MAX {
            let program = left.pop_front().ok_or_else(|| failed("there is no program"))?;
            let (name, file, found) = search.program(&program)?;
            if file.is_system() && name.file_name() == Some(OsStr::new("env")) {
                unwrap_env(&mut left, &mut variables).map_err(|problem| failed(&problem))?;
                for value in variables.values() {
                    around.refuse_word(value)?;
                    around.refuse_pattern(value)?;
                }
                continue;
            }
            let line = interpreter(&found).map_err(|problem| failed(&problem))?;
            if given.is_none() {
                // What the user wrote is looked at once, with the program it is for.
                let runs = Runs::of(&name, &file);
                let texts = Texts::of(&name, file.path());
                given = Some(search.words(left.drain(..), runs, texts, &mut also)?);
            }
            let Some(line) = line else {
                let rest = left.drain(..).map(Word::Text);
                let words = rest.chain(before).chain(given.unwrap_or_default()).collect();
                let places = around.places.iter().map(|place| place.path().to_owned()).collect();
                let written = around.written().iter().map(|place| place.path().to_owned()).collect();
                let folders = search.folders;
                return Ok(Self {
                    named,
                    name,
                    program: file,
                    words,
                    also,
                    variables,
                    folders,
                    places,
                    written,
                });
            };
            // The script is what its interpreter is given, after the interpreter's own words.
            before = left.drain(..).map(Word::Text).chain(before).collect();
            before.insert(0, Word::File { before: String::new(), file, handed: Handed::Descriptor });
            left = line.into();
        }
        Err(failed("its interpreters have interpreters of their own, too many of them"))
    }

    /// The files it hangs on, each once.
    pub fn files(&self) -> impl Iterator<Item = &HeldFile> {
        let words = self.words.iter().filter_map(|word| match word {
            Word::File { file, .. } => Some(file),
            Word::Text(_) => None,
        });
        std::iter::once(&self.program).chain(words).chain(&self.also)
    }

    /// The program as it was named.
    pub fn named(&self) -> &str {
        &self.named
    }

    /// The program alone, for words of the caller's own, with the caller's variables as [`Self::output`] has them. It goes by
    /// its real path, where only root and the user can put another one. For a command that was found without words.
    pub fn command(
        &self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Command, CredentialError> {
        for file in self.files() {
            file.again()?;
        }
        // Of a script the program is the interpreter, and the script comes after the interpreter's words.
        let script = self.words.iter().rev().find_map(|word| match word {
            Word::File { file, .. } => Some(file),
            Word::Text(_) => None,
        });
        #[expect(clippy::disallowed_methods, reason = "found, judged and held to")]
        let mut command = Command::new(script.unwrap_or(&self.program).path());
        command.arg0(&self.named).env_clear().envs(self.environment(variables));
        Ok(command)
    }

    /// Runs it with the caller's variables, without those that load code or lead to a place of a sandbox: what it prints.
    pub fn output(
        &self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<u8>, CredentialError> {
        self.run(variables, None)
    }

    /// The same for one that is told something on stdin.
    pub fn answer(
        &self,
        variables: impl Iterator<Item = (OsString, OsString)>,
        told: &[u8],
    ) -> Result<Vec<u8>, CredentialError> {
        self.run(variables, Some(told))
    }

    fn run(
        &self,
        variables: impl Iterator<Item = (OsString, OsString)>,
        told: Option<&[u8]>,
    ) -> Result<Vec<u8>, CredentialError> {
        let failed = |problem: io::Error| CredentialError::Command {
            program: self.named.clone(),
            problem: problem.to_string(),
        };
        for file in &self.also {
            file.again()?;
        }
        let program = self.program.again()?;
        let mut handed = Vec::new();
        let mut words = Vec::new();
        for word in &self.words {
            words.push(match word {
                Word::Text(text) => OsString::from(text),
                Word::File { before, file, handed: Handed::Path } => {
                    file.again()?;
                    joined(before, file.path())
                }
                Word::File { before, file, handed: Handed::Descriptor } => {
                    let readable = file.again()?.readable().map_err(failed)?;
                    // Above the three that the program has of its own.
                    let fd = rustix::io::fcntl_dupfd_cloexec(&readable, 3)
                        .map_err(|error| failed(error.into()))?;
                    let word = joined(before, &super::descriptor(fd.as_fd()));
                    handed.push(fd);
                    word
                }
            });
        }
        let program_fd =
            rustix::io::fcntl_dupfd_cloexec(&program.fd, 3).map_err(|error| failed(error.into()))?;
        #[expect(clippy::disallowed_methods, reason = "the user named this program as the source of a key")]
        let mut command = Command::new(super::descriptor(program_fd.as_fd()));
        command
            .arg0(&self.name)
            .args(words)
            .current_dir("/")
            .env_clear()
            .envs(self.environment(variables))
            .stdin(if told.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            // What a helper complains about may hold the key; it is not ours to show.
            .stderr(Stdio::null());
        let mut child = spawn(&mut command, handed).map_err(failed)?;
        if let (Some(mut stdin), Some(told)) = (child.stdin.take(), told.map(<[u8]>::to_vec)) {
            // Beside the reading, since it may print before it has read all. One that does not read says so by its answer; this
            // ends with it.
            std::thread::spawn(move || stdin.write_all(&told));
        }
        let answer = collect(&mut child, Instant::now() + TIMEOUT);
        if answer.is_err() {
            // It may have ended meanwhile; either way it is reaped.
            let _ = child.kill();
            let _ = child.wait();
        }
        answer.map_err(|problem| match self.folders().1.first() {
            // What it looks for may be there.
            Some(reason) => {
                failed(io::Error::other(format!("{problem}; its PATH is without a folder, because {reason}")))
            }
            None => failed(problem),
        })
    }

    /// Where the program may look for others, as of now, and why not in the rest. What it starts by itself nobody judges: a
    /// folder in which one entry leads to a sandbox is no folder for it.
    fn folders(&self) -> (Vec<&Path>, Vec<String>) {
        let written: Vec<Place> =
            self.written.iter().map(|path| Place::writable(path, "what a sandbox may write to,")).collect();
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for folder in &self.folders {
            match trap(folder, &written) {
                None => kept.push(folder.as_path()),
                Some(reason) => left_out.push(reason),
            }
        }
        (kept, left_out)
    }

    /// The supervisor's variables, without those that load code and those that lead to a place of a sandbox.
    fn environment(&self, all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        let places: Vec<Place> = self.places.iter().map(|path| Place::writable(path, "")).collect();
        let path = self
            .folders()
            .0
            .iter()
            .map(|folder| folder.as_os_str())
            .collect::<Vec<_>>()
            .join(OsStr::new(":"));
        let kept = all.filter(|(name, value)| {
            name != "PATH" && !is_loading(name.as_bytes()) && !leads_to(value.as_bytes(), &places)
        });
        let own = self.variables.iter().map(|(name, value)| (name.into(), value.into()));
        kept.chain([("PATH".into(), path)]).chain(own).collect()
    }
}

fn joined(before: &str, path: &Path) -> OsString {
    let mut word = OsString::from(before);
    word.push(path);
    word
}

/// The descriptors are open in the program only: those of another thread's wait.
fn spawn(command: &mut Command, handed: Vec<OwnedFd>) -> io::Result<Child> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for fd in &handed {
        rustix::io::fcntl_setfd(fd, FdFlags::empty())?;
    }
    let child = command.spawn();
    drop(handed);
    child
}

fn is_loading(name: &[u8]) -> bool {
    LOADING.iter().any(|loading| loading.as_bytes() == name)
        || LOADING_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Whether a variable's value names a place, as text or through links.
fn leads_to(value: &[u8], places: &[Place]) -> bool {
    places.iter().any(|place| mentions(value, place.path()))
        || value.split(|byte| *byte == b':').map(|part| Path::new(OsStr::from_bytes(part))).any(|part| {
            part.is_absolute() && matches!(walk(part, Links::Follow, places), Err(Astray::Within(_)))
        })
}

/// Takes the words of env(1) away: assignments become variables, what `-S` splits becomes words, the program stays.
fn unwrap_env(left: &mut VecDeque<String>, variables: &mut BTreeMap<String, String>) -> Result<(), String> {
    while let Some(word) = left.pop_front() {
        if let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.starts_with('-')) {
            if is_loading(name.as_bytes()) || name == "PATH" {
                return Err(format!("`{name}` would decide what it loads"));
            }
            variables.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let split = word.strip_prefix("--split-string=").or_else(|| word.strip_prefix("-S"));
        match (split, word.as_str()) {
            (Some(""), _) | (None, "-S" | "--" | "--split-string") => {}
            (Some(words), _) => {
                if words.contains(['\'', '"', '\\', '$']) {
                    return Err("what `env -S` splits has quotes or variables in it".into());
                }
                words.split_whitespace().rev().for_each(|word| left.push_front(word.to_owned()));
            }
            (None, option) if option.starts_with('-') => {
                return Err(format!("`env {option}` is not understood: name the program without it"));
            }
            (None, _) => {
                left.push_front(word);
                return Ok(());
            }
        }
    }
    Err("`env` has no program".into())
}

/// The words of a script's first line; `None` for what is no script.
pub(super) fn interpreter(found: &Found) -> Result<Option<Vec<String>>, String> {
    // The kernel, too, must read a script; a program that may only be executed is none.
    let Ok(file) = found.readable() else { return Ok(None) };
    let mut head = Vec::new();
    file.take(LINE_MAX).read_to_end(&mut head).map_err(|error| error.to_string())?;
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return Err("its first line has no end".into());
    };
    let line = str::from_utf8(&line[..end]).map_err(|_| "its first line is not text".to_owned())?;
    let line = line.trim_matches([' ', '\t', '\r']);
    let (program, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if !program.starts_with('/') {
        return Err(format!("its interpreter `{program}` has no absolute path"));
    }
    let rest = rest.trim_matches([' ', '\t']);
    // The kernel hands over what follows as one word.
    Ok(Some([program, rest].iter().filter(|word| !word.is_empty()).map(|&word| word.to_owned()).collect()))
}

/// What a program does with words that are files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs {
    Nothing,
    /// Scripts.
    Files,
    /// Programs, found by itself through `PATH`.
    Programs,
}

impl Runs {
    fn of(name: &Path, file: &HeldFile) -> Self {
        let is = |known: &[&str]| {
            [name, file.path()].iter().filter_map(|path| path.file_name()?.to_str()).any(|name| {
                let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
                known.contains(&name) || known.contains(&bare)
            })
        };
        if is(&RUNNERS) {
            Self::Programs
        } else if is(&INTERPRETERS) {
            Self::Files
        } else {
            Self::Nothing
        }
    }
}

/// Where words lead.
struct Search<'a> {
    around: &'a Surroundings,
    folders: Vec<PathBuf>,
}

impl Search<'_> {
    /// The program that a word names, as execvp(3) would find it.
    fn program(&self, word: &str) -> Result<(PathBuf, HeldFile, Found), CredentialError> {
        let path = if word.contains('/') { self.around.path_of(word) } else { self.by_path(word)? };
        let (file, found) = HeldFile::find(&path, Role::Program, &self.around.places)?;
        if found.stat.st_mode & 0o111 == 0 {
            return Err(CredentialError::Exposed { path, problem: "is not executable" });
        }
        // Its own name decides what a program of many names does, and where a virtual environment is.
        let name = if path.is_absolute() { path } else { file.path().to_owned() };
        Ok((name, file, found))
    }

    fn by_path(&self, name: &str) -> Result<PathBuf, CredentialError> {
        let is_program = |path: &Path| {
            rustix::fs::stat(path).is_ok_and(|stat| {
                FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0
            })
        };
        let found = self.folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path));
        found.ok_or_else(|| {
            let all = self.around.path.as_bytes().split(|byte| *byte == b':');
            let elsewhere =
                all.map(|folder| self.around.directory.join(OsStr::from_bytes(folder)).join(name));
            match elsewhere.into_iter().find(|path| is_program(path)) {
                // The reason why that folder does not count.
                Some(path) => match HeldFile::find(&path, Role::Program, &self.around.places) {
                    Err(error) => error,
                    Ok(_) => CredentialError::NoProgram { program: name.to_owned() },
                },
                None => CredentialError::NoProgram { program: name.to_owned() },
            }
        })
    }

    /// The words of a program. What a shell is told in one of them is a command with words of its own.
    fn words(
        &self,
        given: impl Iterator<Item = String>,
        mut runs: Runs,
        mut texts: Texts,
        also: &mut Vec<HeldFile>,
    ) -> Result<Vec<Word>, CredentialError> {
        let mut words = Vec::new();
        for text in given {
            let word = self.word(text.clone(), &mut runs, also)?;
            self.around.refuse_pattern(&text)?;
            let real = match &word {
                Word::File { file, .. } => Some(file.path()),
                Word::Text(_) => None,
            };
            match texts.see(&text, real) {
                Seen::Word => words.push(word),
                // It reaches nothing of a sandbox where no sandbox has anything.
                _ if self.around.written().is_empty() => words.push(word),
                Seen::Text(language) => {
                    return Err(CredentialError::Text { word: text, language });
                }
                Seen::Command(command) => {
                    // It looks for its program and files by itself: they are held, and the shell is told the same.
                    let inner = self.words(command.into_iter(), Runs::Programs, Texts::default(), also)?;
                    also.extend(inner.into_iter().filter_map(|word| match word {
                        Word::File { file, .. } => Some(file),
                        Word::Text(_) => None,
                    }));
                    words.push(Word::Text(text));
                }
            }
        }
        Ok(words)
    }

    /// A word of a program, with what of it is a file.
    fn word(&self, word: String, runs: &mut Runs, also: &mut Vec<HeldFile>) -> Result<Word, CredentialError> {
        if *runs == Runs::Programs && !word.contains('/') && !word.starts_with('-') {
            // Which word is the program is for the runner to know; each is found where it would find it.
            match self.by_path(&word) {
                Ok(path) => match self.file(&path, String::new(), runs, also)? {
                    Word::File { file, .. } if file.is_system() => {}
                    found => return Ok(found),
                },
                Err(CredentialError::NoProgram { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        for (start, end) in parts(&word) {
            let part = &word[start..end];
            let path = self.around.path_of(part);
            let is_path = ["/", "./", "../", "~/"].iter().any(|beginning| part.starts_with(beginning));
            let whole = end == word.len();
            if !whole && !is_path {
                continue;
            }
            let found = match walk(&path, Links::Follow, &self.around.written()) {
                Ok(found) => found,
                Err(Astray::Io(_)) => continue,
                // Another word is a name until there is a file of that name.
                Err(astray) if is_path || rustix::fs::stat(&path).is_ok_and(|stat| is_file(&stat)) => {
                    return Err(CredentialError::astray(&path, astray));
                }
                Err(_) => continue,
            };
            match found.kind() {
                FileType::RegularFile if whole => {
                    return self.file(&path, word[..start].to_owned(), runs, also);
                }
                FileType::RegularFile if part.starts_with('/') => {
                    also.push(HeldFile::find(&path, Role::Data, &self.around.places)?.0);
                }
                // Run in `/`, it would not be found.
                FileType::RegularFile => return Err(CredentialError::Word { word }),
                FileType::Directory if whole && is_path => {
                    self.around.refuse_above(&found.path, &word)?;
                    return Ok(Word::Text(format!("{}{}", &word[..start], found.path.display())));
                }
                _ => {}
            }
        }
        self.around.refuse_word(&word)?;
        self.around.refuse_directories(&word)?;
        Ok(Word::Text(word))
    }

    fn file(
        &self,
        path: &Path,
        before: String,
        runs: &mut Runs,
        also: &mut Vec<HeldFile>,
    ) -> Result<Word, CredentialError> {
        let places = &self.around.places;
        let executable = rustix::fs::stat(path).is_ok_and(|stat| stat.st_mode & 0o111 != 0);
        let role = if executable || *runs == Runs::Files { Role::Program } else { Role::Data };
        if *runs == Runs::Files {
            // What follows the script is the script's.
            *runs = Runs::Nothing;
        }
        let (file, found) = HeldFile::find(path, role, places)?;
        let failed = |problem| CredentialError::Command { program: path.display().to_string(), problem };
        if executable && let Some(line) = interpreter(&found).map_err(failed)? {
            // If it is started, the kernel starts this.
            also.push(HeldFile::find(Path::new(&line[0]), Role::Program, places)?.0);
            // And what `env` is told there.
            for word in &line[1..] {
                self.around.refuse_word(word)?;
            }
        }
        let handed = if role == Role::Program { Handed::Descriptor } else { Handed::Path };
        Ok(Word::File { before, file, handed })
    }
}

fn is_file(stat: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Parts of a word that may be a path: the word, what follows `=`, `:`, `,` or `@`, and what is glued to a short option.
fn parts(word: &str) -> Vec<(usize, usize)> {
    let is_delimiter = |c: char| "=:,@".contains(c);
    let mut starts = vec![0];
    starts.extend(word.match_indices(is_delimiter).map(|(at, _)| at + 1));
    if word.starts_with('-') && word.is_char_boundary(2) {
        starts.push(2);
    }
    starts.sort_unstable();
    starts.dedup();
    let mut parts = Vec::new();
    for start in starts.into_iter().take(PARTS_MAX) {
        let ends = word[start..].match_indices(is_delimiter).map(|(at, _)| start + at);
        // The longest first: a path may hold these characters.
        let mut ends: Vec<usize> = ends.take(PARTS_MAX).chain([word.len()]).collect();
        ends.reverse();
        parts.extend(ends.into_iter().filter(|end| *end > start).map(|end| (start, end)));
    }
    parts
}

fn collect(child: &mut Child, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut output = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    let late = || io::Error::other("it took longer than 30 s");
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut watched = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut watched, Some(&timeout)) {
            Ok(0) => return Err(late()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match output.read(&mut buffer)? {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if bytes.len() > SOURCE_MAX {
            return Err(io::Error::other("it printed more than a key"));
        }
    }
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(bytes),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None if Instant::now() >= deadline => return Err(late()),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_load_code_or_lead_to_a_sandbox_stay_outside() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("project");
        fs_err::create_dir(&place).unwrap();
        std::os::unix::fs::symlink(&place, dir.path().join("link")).unwrap();
        let around = Surroundings {
            directory: "/".into(),
            path: "/usr/bin:/bin".into(),
            places: vec![Place::writable(&place, "the workspace")],
            home: None,
        };
        let command = HeldCommand::find(&["sh".into()], &around).unwrap();
        let place = place.display();
        let link = dir.path().join("link");
        let link = link.display();
        for (name, value, passes) in [
            ("HOME", "/home/me".to_owned(), true),
            ("PASSWORD_STORE_DIR", "/home/me/store".to_owned(), true),
            ("AWS_PROFILE", "work".to_owned(), true),
            ("SSH_AUTH_SOCK", "/run/user/1000/agent".to_owned(), true),
            ("BESIDE", format!("{place}-2/x"), true),
            ("LD_PRELOAD", "/home/me/x.so".to_owned(), false),
            ("LD_LIBRARY_PATH", "lib".to_owned(), false),
            ("BASH_ENV", "/home/me/x".to_owned(), false),
            ("BASH_FUNC_cat%%", "() { x; }".to_owned(), false),
            ("PYTHONSTARTUP", "x".to_owned(), false),
            ("PERL5OPT", "-Mx".to_owned(), false),
            ("NODE_OPTIONS", "--require ./x".to_owned(), false),
            ("GIT_DIR", ".git".to_owned(), false),
            ("GIT_SSH_COMMAND", "x".to_owned(), false),
            ("PWD", "/".to_owned(), false),
            ("PASSWORD_STORE_DIR", format!("{place}/store"), false),
            ("XDG_CONFIG_HOME", format!("{link}/config"), false),
            ("XDG_DATA_DIRS", format!("/usr/share:{place}"), false),
            ("PAGER", format!("sh {place}/pager"), false),
            ("CONFIG", format!("file://{place}"), false),
        ] {
            let all = [(OsString::from(name), OsString::from(&value))];
            let kept = command.environment(all.into_iter());
            assert_eq!(kept.iter().any(|(kept, _)| kept == name), passes, "{name}={value}");
            assert!(kept.iter().any(|(name, value)| name == "PATH" && value == "/usr/bin:/bin"));
        }
    }

    #[test]
    fn parts_of_a_word_are_tried_from_its_beginning() {
        let of = |word: &str| parts(word).into_iter().map(|(a, b)| word[a..b].to_owned()).collect::<Vec<_>>();
        assert_eq!(of("a"), ["a"]);
        assert_eq!(of("--file=./x"), ["--file=./x", "--file", "file=./x", "file", "./x"]);
        assert_eq!(of("@x"), ["@x", "x"]);
        assert_eq!(of("-fx"), ["-fx", "x"]);
        assert_eq!(of("-é"), ["-é"]);
        assert!(parts(&"=".repeat(10_000)).len() <= 17 * 17);
    }
}
