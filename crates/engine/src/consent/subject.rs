//! Who asks, under which name the word is kept, and how the user names it on the command line.

use std::fmt;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Digest;

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
        f.write_str(&self.name)
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
            (None, Some(file)) if *file != Path::new(".").join(manifest::FILE_NAME) => {
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

    /// The command that agrees.
    pub(super) fn command(&self) -> String {
        let words = self.words.iter().map(|word| format!(" {}", quoted(word)));
        format!("pinfold policy accept{}", words.collect::<String>())
    }
}

/// A word as a shell reads it (POSIX, 2.2.2).
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_into_a_shell() {
        for (word, expected) in [
            ("./a/pinfold.toml", "./a/pinfold.toml"),
            ("my project.toml", "'my project.toml'"),
            ("$(rm -r ~)", "'$(rm -r ~)'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
