//! Who asks, under which name the word is kept, and how the user names it on the command line.

use std::fmt;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_base::text;

use crate::project::Named;
use crate::project::Project;
use crate::project::manifest;

/// A project by its manifest's real path, or an image by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    name: String,
    /// The words after `pinfold policy accept` that mean it.
    words: Vec<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Shown::from(&self.name).as_str())
    }
}

impl Subject {
    /// A project.
    pub fn of(project: &Project) -> Self {
        let directory = &project.manifest.directory;
        let real = fs::canonicalize(directory).unwrap_or_else(|_| directory.clone());
        // A manifest's lock has its name (two manifests of one directory are two projects).
        let name = project.lock_file.file_stem().unwrap_or_default();
        let words = match (&project.preset, &project.file) {
            (Some(preset), _) => {
                let agents = preset.agents.iter().flat_map(|agent| ["--agent".to_owned(), agent.clone()]);
                ["--preset".to_owned(), preset.name.clone()].into_iter().chain(agents).collect()
            }
            (None, Some(Named { file, .. })) if *file != Path::new(".").join(manifest::FILE_NAME) => {
                vec!["--file".to_owned(), file.display().to_string()]
            }
            _ => Vec::new(),
        };
        Self { name: format!("the project `{}.toml`", real.join(name).display()), words }
    }

    /// An image. `platform` is written as the user did.
    pub fn image(name: &str, platform: Option<pinfold_base::Platform>) -> Self {
        let platform =
            platform.into_iter().flat_map(|platform| ["--platform".to_owned(), platform.to_string()]);
        Self {
            name: format!("the image `{name}`"),
            words: ["--image".to_owned(), name.to_owned()].into_iter().chain(platform).collect(),
        }
    }

    /// The file that holds the word.
    pub(super) fn record(&self) -> String {
        format!("{}.json", Digest::sha256(self.name.as_bytes()).hex())
    }

    /// The command that agrees to what has this digest.
    pub(super) fn agreement(&self, digest: &Digest) -> String {
        format!("{} --digest {digest}", self.command("pinfold policy accept"))
    }

    /// The command that shows what is asked for.
    pub(super) fn showing(&self) -> String {
        self.command("pinfold policy show")
    }

    fn command(&self, verb: &str) -> String {
        let words = self.words.iter().map(|word| text::word(word).to_string());
        [verb.to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}
