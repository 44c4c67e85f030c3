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
            about: "a worker behind encrypted queues, as an unprivileged user without a network, and nothing around it",
            text: include_str!("../../../presets/sealed.toml"),
        },
        Self {
            name: "sealed-debian",
            about: "a minimal Debian for one program of yours, as an unprivileged user",
            text: include_str!("../../../presets/sealed-debian.toml"),
        },
        Self {
            name: "proxy",
            about: "the way out of sandboxes that are pods: pinfold itself and the authorities that Debian trusts",
            text: include_str!("../../../presets/proxy.toml"),
        },
        Self {
            name: "nix",
            about: "one agent among packages of nixpkgs, with a Nix that works inside and no distribution",
            text: include_str!("../../../presets/nix.toml"),
        },
    ];

    /// The preset of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|preset| preset.name == name)
    }

    /// Its text, read; on another suite of Debian where one is named.
    pub fn file(&self, suite: Option<&str>) -> Result<ManifestFile, ManifestError> {
        let own = ManifestFile::parse(self.text, Path::new(self.name))?;
        let Some(suite) = suite else { return Ok(own) };
        let over = format!("[debian]\nsuite = {}\n", toml::Value::from(suite));
        Ok(own.overlaid_by(ManifestFile::parse(&over, Path::new(self.name))?))
    }

    /// A commented manifest for `pinfold init`: the preset's own text, with the image's name and the suite where they are named.
    pub fn manifest_text(&self, image: Option<&str>, suite: Option<&str>) -> String {
        let mut text = self.text.to_owned();
        for (key, value) in [("name", image), ("suite", suite)] {
            let Some(value) = value else { continue };
            let begins = format!("{key} = ");
            let line = text.lines().find(|line| line.starts_with(&begins)).map(str::to_owned);
            if let Some(line) = line {
                let own = line[begins.len()..].trim_matches('"').to_owned();
                text = text.replacen(&line, &format!("{begins}\"{value}\""), 1);
                if key == "suite" {
                    text = text.replacen(&format!("Debian {own}"), &format!("Debian {value}"), 1);
                }
            }
        }
        text
    }
}
