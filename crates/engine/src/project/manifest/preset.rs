//! The built-in manifests: ordinary manifests, kept as files in the repository.

use std::path::Path;

use super::ManifestError;
use super::ManifestFile;

/// A built-in manifest.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Preset {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "iteron",
            about: "four coding agents on Debian bookworm with tmux, git and a shell",
            text: include_str!("../../../presets/iteron.toml"),
        },
        Self {
            name: "solo",
            about: "one agent on the smallest base that lets it work with git and a shell",
            text: include_str!("../../../presets/solo.toml"),
        },
        Self {
            name: "sealed",
            about: "a minimal base for one static program, as an unprivileged user",
            text: include_str!("../../../presets/sealed.toml"),
        },
    ];

    /// The preset of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|preset| preset.name == name)
    }

    /// Its text, read.
    pub fn file(&self) -> Result<ManifestFile, ManifestError> {
        ManifestFile::parse(self.text, Path::new(self.name))
    }

    /// A commented manifest for `pinfold init`: the preset's own text, named `image`.
    pub fn manifest_text(&self, image: Option<&str>) -> String {
        let Some(image) = image else { return self.text.to_owned() };
        let named = |line: &str| line.strip_prefix("name = ").is_some();
        let mut done = false;
        self.text
            .lines()
            .map(|line| {
                if named(line) && !std::mem::replace(&mut done, true) {
                    format!("name = \"{image}\"\n")
                } else {
                    format!("{line}\n")
                }
            })
            .collect()
    }
}
