//! What the checks stand on: files found through links, and what is started by name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use pinfold_archive::elf::Elf;
use pinfold_archive::elf::ElfClass;
use pinfold_archive::elf::ElfKind;
use pinfold_base::Arch;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::model::RuntimeSection;
use pinfold_image::survey::Budget;
use pinfold_image::survey::Facts;
use pinfold_image::survey::Follow;
use pinfold_image::survey::Seen;
use pinfold_image::survey::Survey;
use pinfold_image::survey::What;
use pinfold_image::survey::Who;

use super::Given;
use crate::verify::report::Finding;
use crate::verify::start;

/// Where shells and runtimes look if the image does not say (`_PATH_DEFPATH` of containers: what runc and crun set).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Paths whose end is remembered, and commands.
const FOUND_MAX: usize = 1 << 18;
/// Parts of paths that are followed at most for all checks together: a desktop has some hundred thousand links.
const PARTS_MAX: usize = 6_000_000;
/// `e_machine` of 32-bit x86 and ARM.
const X86: u16 = 3;
const ARM: u16 = 40;

/// Whether the platform's kernel starts an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Machine {
    /// It is the platform's.
    Own,
    /// It is the 32-bit one that kernels of the platform start too.
    Narrow,
    /// It is another's.
    Foreign,
}

impl Machine {
    fn of(elf: &Elf, platform: Platform) -> Self {
        let narrow = match platform.arch {
            Arch::Amd64 => X86,
            Arch::Arm64 => ARM,
        };
        match elf.class {
            ElfClass::Elf64 if elf.machine == platform.arch.elf_machine() => Self::Own,
            ElfClass::Elf32 if elf.machine == narrow => Self::Narrow,
            _ => Self::Foreign,
        }
    }
}

/// The name of an `e_machine`, as `readelf` says it, or its number.
pub(super) fn machine_name(elf: &Elf) -> String {
    let name = match (elf.machine, elf.class) {
        (62, ElfClass::Elf64) => "x86-64",
        (62, ElfClass::Elf32) => "x32",
        (X86, _) => "Intel 80386",
        (183, _) => "AArch64",
        (ARM, _) => "ARM",
        (243, _) => "RISC-V",
        (21, _) => "PowerPC64",
        (22, _) => "IBM S/390",
        (8, _) => "MIPS",
        (258, _) => "LoongArch",
        (number, _) => return format!("machine {number}"),
    };
    name.into()
}

/// A program or library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) elf: &'a Elf,
    pub(super) machine: Machine,
}

/// What is known of an image.
pub(super) struct Ground<'a> {
    pub(super) platform: Platform,
    pub(super) survey: &'a Survey,
    pub(super) runtime: &'a RuntimeSection,
    /// PATH.
    pub(super) path: String,
    /// Programs and libraries; object files and the like are not among them.
    pub(super) objects: Vec<Object<'a>>,
    /// Files that are started by a name that people or the image use, and one such name.
    pub(super) commands: BTreeMap<&'a ImagePath, String>,
    /// Directories of PATH, links followed, each once.
    pub(super) path_directories: Vec<(String, ImagePath)>,
    who: &'a Who,
    budget: Budget,
    found: RefCell<HashMap<Vec<u8>, Option<&'a ImagePath>>>,
    started: RefCell<HashMap<String, Result<ImagePath, String>>>,
    open: RefCell<HashMap<&'a ImagePath, bool>>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(given: &Given<'a>) -> Self {
        let path = variable(given.runtime, "PATH").unwrap_or(PATH).to_owned();
        let files = given.survey.paths.iter().filter_map(|(path, seen)| match &seen.what {
            What::File(facts) => Some((path, facts.elf.as_deref()?)),
            _ => None,
        });
        let objects = files
            .filter(|(_, elf)| matches!(elf.kind, ElfKind::Executable | ElfKind::Dynamic))
            .map(|(path, elf)| Object { path, elf, machine: Machine::of(elf, given.platform) });
        let mut ground = Self {
            platform: given.platform,
            survey: given.survey,
            runtime: given.runtime,
            path,
            objects: objects.collect(),
            commands: BTreeMap::new(),
            path_directories: Vec::new(),
            who: given.who,
            budget: Budget::new(PARTS_MAX),
            found: RefCell::default(),
            started: RefCell::default(),
            open: RefCell::default(),
        };
        ground.path_directories = ground.directories_of_path();
        ground.commands = ground.named();
        ground
    }

    /// How paths are followed, permissions aside.
    pub(super) fn follow(&self) -> Follow<'_> {
        Follow { survey: self.survey, who: None, budget: Some(&self.budget) }
    }

    /// The finding of a check that had to stop.
    pub(super) fn spent(&self) -> Option<Finding> {
        let problem = "its paths lead through more links than are followed: the rest was not looked at";
        self.budget.is_spent().then(|| Finding { at: "/".into(), problem: problem.into() })
    }

    fn directories_of_path(&self) -> Vec<(String, ImagePath)> {
        let mut known = HashSet::new();
        let names = self.path.split(':').filter(|name| name.starts_with('/'));
        let real = names.filter_map(|name| {
            let real = self.follow().real(name.as_bytes()).ok()?;
            known.insert(real.clone()).then(|| (name.trim_end_matches('/').to_owned(), real))
        });
        real.collect()
    }

    /// The file that an absolute path leads to.
    pub(super) fn file(&self, path: &[u8]) -> Option<(&'a ImagePath, &'a Facts, u32)> {
        let found = self.found.borrow().get(path).copied();
        let found = found.unwrap_or_else(|| {
            let real = self.follow().real(path).ok();
            let real = real.and_then(|real| self.survey.paths.get_key_value(&real)).map(|(path, _)| path);
            if self.found.borrow().len() < FOUND_MAX {
                self.found.borrow_mut().insert(path.to_vec(), real);
            }
            real
        })?;
        match self.survey.paths.get(found) {
            Some(Seen { what: What::File(facts), mode, .. }) => Some((found, facts, *mode)),
            _ => None,
        }
    }

    /// The ELF file that an absolute path leads to.
    pub(super) fn elf(&self, path: &[u8]) -> Option<(&'a ImagePath, &'a Elf)> {
        let (path, facts, _) = self.file(path)?;
        Some((path, facts.elf.as_deref()?))
    }

    /// The executable file that an absolute path leads to.
    pub(super) fn executable(&self, path: &[u8]) -> Option<&'a ImagePath> {
        self.file(path).filter(|(_, _, mode)| mode & 0o111 != 0).map(|(path, ..)| path)
    }

    /// Whether the image's user can read a file.
    pub(super) fn is_open(&self, path: &'a ImagePath) -> bool {
        let known = self.open.borrow().get(path).copied();
        known.unwrap_or_else(|| {
            let follow = Follow { who: Some(self.who), ..self.follow() };
            let is_open = self.survey.get(path).is_none_or(|seen| start::may_read(&follow, path, seen));
            self.open.borrow_mut().insert(path, is_open);
            is_open
        })
    }

    /// The file that the image's user starts by a name.
    pub(super) fn start(&self, name: &str) -> Result<ImagePath, String> {
        if let Some(known) = self.started.borrow().get(name) {
            return known.clone();
        }
        let follow = Follow { who: Some(self.who), ..self.follow() };
        let started = start::command(&follow, &self.path, name);
        if self.started.borrow().len() < FOUND_MAX {
            self.started.borrow_mut().insert(name.to_owned(), started.clone());
        }
        started
    }

    /// The program of the entrypoint, or of the command where there is none.
    pub(super) fn first_word(&self) -> Option<&'a str> {
        let words = self.runtime.entrypoint.iter().chain(&self.runtime.cmd);
        words.map(String::as_str).next()
    }

    /// What an init that is started first starts in turn (tini(1), dumb-init(1), catatonit(1)); `None` where it is none of these, or has
    /// options that are not known here.
    pub(super) fn behind_init(&self) -> Option<&'a str> {
        let mut words = self.runtime.entrypoint.iter().chain(&self.runtime.cmd).map(String::as_str);
        let init = words.next()?;
        if !["tini", "tini-static", "dumb-init", "catatonit"].contains(&init.rsplit('/').next()?) {
            return None;
        }
        while let Some(word) = words.next() {
            match word {
                "--" => return words.next(),
                "-s" | "-g" | "-w" | "-v" | "-vv" | "-vvv" | "--single-child" => {}
                "-p" | "-e" => {
                    words.next()?;
                }
                _ if word.starts_with('-') => return None,
                _ => return Some(word),
            }
        }
        None
    }

    /// The executable file of a word of entrypoint or command: relative ones count from the working directory.
    pub(super) fn command(&self, word: &str) -> Result<ImagePath, String> {
        if word.contains('/') && !word.starts_with('/') {
            let whole = format!("{}/{word}", self.runtime.working_dir);
            return self.start(&whole);
        }
        self.start(word)
    }

    fn named(&self) -> BTreeMap<&'a ImagePath, String> {
        let mut commands = BTreeMap::new();
        for (name, directory) in &self.path_directories {
            for (path, _) in self.survey.children(directory) {
                if let Some(real) = self.executable(path.as_bytes()) {
                    let word = format!("{name}/{}", String::from_utf8_lossy(path.name()));
                    commands.entry(real).or_insert(word);
                }
            }
        }
        if let Some(word) = self.first_word()
            && let Ok(real) = self.command(word)
            && let Some((real, _)) = self.survey.paths.get_key_value(&real)
        {
            commands.insert(real, word.to_owned());
        }
        // What a script starts is started with it, and what that starts.
        let mut left: Vec<&ImagePath> = commands.keys().copied().collect();
        while let Some(path) = left.pop() {
            let line = self.file(path.as_bytes()).and_then(|(_, facts, _)| facts.script.as_deref());
            let interpreter = line.and_then(|line| self.executable(start::interpreter(line)?));
            if let Some(interpreter) = interpreter.filter(|path| !commands.contains_key(path)) {
                commands.insert(interpreter, interpreter.to_string());
                left.push(interpreter);
            }
        }
        commands
    }
}

/// The value of a variable of the image; of several the last.
pub(super) fn variable<'a>(runtime: &'a RuntimeSection, name: &str) -> Option<&'a str> {
    let pairs = runtime.env.iter().rev().filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}
