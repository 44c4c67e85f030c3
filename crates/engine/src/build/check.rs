//! Whether what was placed can start: judged on the tree, before anything is composed.
//!
//! Looked at are the commands of agents, the entry point and the default command (over `PATH`, through links), the interpreter
//! that a program or script asks for, links of recipes, the user's shell, and the working directory.
//!
//! **Guarantees**: everything that is found is told at once, for all platforms. Nothing is executed.
//! **Refuses**: an image of which one of these is not there. What a sandbox or a volume brings (`/proc`, `/dev`, …) is not looked
//! for.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::Read as _;

use pinfold_archive::Contents;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::elf;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;

use crate::project::Project;
use crate::project::manifest::environment::Under;
use crate::project::manifest::environment::environment;
use crate::sources;
use crate::sources::Placed;

/// What is there only once an image runs.
const LATER: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];

/// Longest first line of a script; Linux reads 256 bytes.
const FIRST_LINE: u64 = 256;

/// One thing that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    what: String,
    hint: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What cannot work, and on which platforms.
#[derive(Debug, Default)]
pub(super) struct Findings {
    all: BTreeMap<Finding, Vec<Platform>>,
}

/// The image could be built, and not be run.
#[derive(Debug, thiserror::Error)]
#[error("the image cannot work:")]
pub struct CheckError {
    findings: Vec<(Finding, Vec<Platform>)>,
}

impl Diagnose for CheckError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn lines(&self) -> Vec<Shown> {
        let each = self.findings.iter().map(|(finding, platforms)| {
            let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            shown!("  {finding} ({})", names.join(", "))
        });
        std::iter::once(Shown::of(self)).chain(each).collect()
    }

    fn own_hint(&self) -> Option<String> {
        let mut hints: Vec<&str> = Vec::new();
        for (Finding { hint, .. }, _) in &self.findings {
            if !hints.contains(&hint.as_str()) {
                hints.push(hint);
            }
        }
        Some(hints.join("; "))
    }
}

impl Findings {
    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// An error when something was found.
    pub(super) fn done(self) -> Result<(), CheckError> {
        if self.all.is_empty() {
            return Ok(());
        }
        Err(CheckError { findings: self.all.into_iter().collect() })
    }

    /// Looks at the tree of a platform.
    pub(super) fn look(
        &mut self,
        project: &Project,
        placed: &Placed,
        contents: &dyn Contents,
        platform: Platform,
    ) -> io::Result<()> {
        let Project { manifest, recipes, .. } = project;
        let tree = &placed.tree;
        let under = Under::of(placed.below.as_deref());
        let env = environment(&manifest.image.env, recipes, &under, &sources::folders(&manifest.sources));
        let path = env.ok().and_then(|mut env| env.remove("PATH"));
        let path = path.unwrap_or_default();
        let volumes = manifest.image.volumes.iter().map(|volume| volume.0.to_string());
        let later = LATER.map(str::to_owned).into_iter().chain(volumes).collect();
        let debian = manifest.sources.debian.is_some() || placed.below.is_some();
        let image = Image { tree, contents, path: &path, later, debian };
        let mut found = |finding: Option<Finding>| {
            if let Some(finding) = finding {
                self.all.entry(finding).or_default().push(platform);
            }
        };
        for recipe in recipes {
            for link in &recipe.link {
                let whole = &link.path.0;
                if image.is_later(&link.target) || tree.resolve(whole).is_some() {
                    continue;
                }
                found(Some(Finding {
                    what: format!(
                        "link `{whole}` of the recipe `{}` leads to `{}`, which is not there",
                        recipe.name, link.target
                    ),
                    hint: "correct the recipe's `[[link]]`, or place what it leads to".into(),
                }));
            }
            let what = format!("`{}` of the agent `{}`", recipe.command, recipe.name);
            found(image.command(
                &recipe.command,
                &what,
                "correct `command`, `place` or `link` in the recipe",
            )?);
        }
        // A preset alone may leave it open: `sealed-debian` waits for a program.
        let hint = match project.file {
            Some(_) => "place the program, or name another in `[image]`",
            None => "write a manifest with `pinfold init`, and place the program there",
        };
        let own = &manifest.image;
        let entrypoint = own.entrypoint.as_deref().unwrap_or_default();
        let cmd = own.cmd.as_deref().unwrap_or_default();
        // What a base starts with is the base's.
        let inherited = own.entrypoint.is_none() && placed.below.is_some();
        let init = entrypoint.last().is_none_or(|word| word == "--") && !inherited;
        let entry = entrypoint.first().map(|word| (word, "entrypoint"));
        let cmd = cmd.first().filter(|_| init).map(|word| (word, "cmd"));
        for (word, key) in entry.into_iter().chain(cmd) {
            found(image.command(word, &format!("`{word}` of `image.{key}`"), hint)?);
        }
        if let Some(user) = &manifest.user
            && !matches!(user.shell.rsplit('/').next(), Some("nologin" | "false"))
            // The usual one is nobody's wish: images without any shell have it in their list of users too.
            && user.shell != "/bin/sh"
        {
            let hint = "add the package that brings the shell, or name another `shell` in `[user]`";
            found(image.command(&user.shell, &format!("`{}` of `user.shell`", user.shell), hint)?);
        }
        if let Some(workdir) = &manifest.image.workdir {
            let name = workdir.0.to_string();
            let there = tree
                .resolve(&workdir.0)
                .and_then(|path| tree.get(&path))
                .is_some_and(pinfold_archive::Node::is_directory);
            if !there && !workdir.0.is_root() && !image.is_later(&name) {
                found(Some(Finding {
                    what: format!("`{name}` of `image.workdir` is no directory of the image"),
                    hint: format!(
                        "make it with `[[dir]]` and `path = \"{name}\"`, or name another `workdir` in `[image]`"
                    ),
                }));
            }
        }
        Ok(())
    }
}

/// What is looked at.
struct Image<'a> {
    tree: &'a Tree,
    contents: &'a dyn Contents,
    path: &'a str,
    later: Vec<String>,
    debian: bool,
}

impl Image<'_> {
    /// Whether a path is there only once the image runs.
    fn is_later(&self, path: &str) -> bool {
        let below = |folder: &String| {
            path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.later.iter().any(below)
    }

    /// Why a word cannot be executed.
    fn command(&self, word: &str, what: &str, hint: &str) -> io::Result<Option<Finding>> {
        let finding =
            |why: &str, hint: &str| Some(Finding { what: format!("{what} {why}"), hint: hint.to_owned() });
        if self.is_later(word) || word.is_empty() {
            return Ok(None);
        }
        let found = match self.find(word) {
            Find::There(path) => path,
            Find::Later => return Ok(None),
            Find::Nowhere if word.contains('/') => return Ok(finding("is not there", hint)),
            Find::Nowhere => return Ok(finding(&format!("is not on `PATH` ({})", self.path), hint)),
            Find::NotExecutable => return Ok(finding("is no executable file", hint)),
        };
        let Some(wants) = self.interpreter(&found)? else { return Ok(None) };
        let loader = wants.iter().find(|word| matches!(self.find(word), Find::Nowhere | Find::NotExecutable));
        let fix = if self.debian {
            "add the package that brings it"
        } else {
            "add `[debian]` with `suite = \"bookworm\"`, which brings the base that programs need"
        };
        Ok(loader.and_then(|loader| finding(&format!("asks for `{loader}`, which is not there"), fix)))
    }

    /// A program by its path, or looked for as a shell does.
    fn find(&self, word: &str) -> Find {
        if word.starts_with('/') {
            return self.at(word);
        }
        if word.contains('/') {
            // From the directory that somebody stands in.
            return Find::Later;
        }
        let mut first = Find::Nowhere;
        for folder in self.path.split(':').filter(|folder| folder.starts_with('/')) {
            if self.is_later(folder) {
                return Find::Later;
            }
            match self.at(&format!("{folder}/{word}")) {
                Find::There(path) => return Find::There(path),
                Find::NotExecutable => first = Find::NotExecutable,
                Find::Nowhere | Find::Later => {}
            }
        }
        first
    }

    fn at(&self, path: &str) -> Find {
        let whole = ImagePath::new(path.trim_start_matches('/')).ok();
        let Some(real) = whole.and_then(|path| self.tree.resolve(&path)) else { return Find::Nowhere };
        let node = self.tree.get(&real);
        let target = match node.map(|node| &node.kind) {
            Some(NodeKind::Hardlink(target)) => self.tree.get(target),
            _ => node,
        };
        match target {
            Some(node) if matches!(node.kind, NodeKind::File(_)) && node.meta.mode & 0o111 != 0 => {
                Find::There(real)
            }
            _ => Find::NotExecutable,
        }
    }

    /// What the kernel executes for a file: the dynamic linker, or the interpreter of a script and what that looks for.
    fn interpreter(&self, path: &ImagePath) -> io::Result<Option<Vec<String>>> {
        let Some(content) = self.tree.content(path) else { return Ok(None) };
        let mut head = Vec::new();
        self.contents.open(content)?.take(FIRST_LINE).read_to_end(&mut head)?;
        if head.starts_with(b"\x7fELF") {
            let elf = elf::read(self.contents, content)?;
            let loader = elf.and_then(|elf| elf.interpreter);
            return Ok(loader.map(|loader| vec![String::from_utf8_lossy(&loader).into_owned()]));
        }
        let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        let Some(program) = words.next() else { return Ok(None) };
        let mut wants = vec![program.to_owned()];
        if program.rsplit('/').next() == Some("env") {
            wants.extend(words.find(|word| !word.starts_with('-') && !word.contains('=')).map(str::to_owned));
        }
        Ok(Some(wants))
    }
}

/// Where a program is.
enum Find {
    There(ImagePath),
    NotExecutable,
    Nowhere,
    /// Nobody can say before it runs.
    Later,
}

#[cfg(test)]
mod tests;
