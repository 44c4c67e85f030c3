//! `[[build]]` as typed, what it means, and what is locked of it.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::text;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::project::manifest::AbsolutePath;
use crate::project::manifest::ManifestError;
use crate::project::manifest::Mode;
use crate::project::manifest::Owner;
use crate::project::manifest::PlatformName;

/// A program that is built on the host before it is locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuildFile {
    /// Where it stands in the image.
    pub(crate) path: AbsolutePath,
    /// `true`: the worker that pinfold carries. Nothing is run for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worker: Option<bool>,
    /// `true`: this pinfold itself, for sandboxes that are pods. Nothing is run for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinfold: Option<bool>,
    /// The folder of a crate: `cargo build --locked` is run there for the platform's target, on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cargo: Option<PathBuf>,
    /// Which of the crate's programs it is, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bin: Option<String>,
    /// Features of the crate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    /// The profile of cargo; `release` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    /// A package of Go, such as `./cmd/sandbox`: `go build -trimpath` is run for it without cgo, on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    go: Option<String>,
    /// A program and its words, run on this machine in the folder of the manifest; `{platform}` and `{arch}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    /// The file that `command` makes, seen from the manifest; `{platform}` and `{arch}` are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Platforms that it is for; all of the image's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platforms: Option<Vec<PlatformName>>,
    /// Permissions, octal; 0755 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// `root` (default), `user` or `UID:GID`.
    #[serde(default)]
    owner: Owner,
}

/// What `[[build]]` means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Build {
    /// Where it stands in the image.
    pub path: AbsolutePath,
    /// How it is made.
    pub made: Made,
    /// Platforms that it is for; all of the image's unless said.
    pub platforms: Option<Vec<PlatformName>>,
    /// Permissions.
    pub mode: Mode,
    /// Whose it is.
    pub owner: Owner,
}

/// How a program is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// It is the worker that pinfold carries.
    Worker,
    /// It is pinfold itself.
    Pinfold,
    /// By cargo.
    #[serde(rename_all = "kebab-case")]
    Cargo {
        /// The crate's folder, seen from the manifest.
        directory: PathBuf,
        /// Which of its programs.
        bin: Option<String>,
        /// Its features.
        features: Vec<String>,
        /// Its profile.
        profile: String,
    },
    /// By Go.
    Go {
        /// The package.
        package: String,
    },
    /// By a command.
    Command {
        /// The program and its words.
        words: Vec<String>,
        /// What it makes, seen from the manifest.
        output: String,
    },
}

impl Made {
    /// Whether a tool of this machine is run for it.
    pub fn runs(&self) -> bool {
        !matches!(self.by(), By::Worker | By::Pinfold)
    }

    /// By what it is made.
    pub fn by(&self) -> By {
        match self {
            Self::Worker => By::Worker,
            Self::Pinfold => By::Pinfold,
            Self::Cargo { .. } => By::Cargo,
            Self::Go { .. } => By::Go,
            Self::Command { .. } => By::Command,
        }
    }
}

/// What is done, as a command.
impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |word: &String| text::word(word).to_string();
        match self {
            Self::Worker => f.write_str("the worker that pinfold carries"),
            Self::Pinfold => f.write_str("this pinfold itself"),
            Self::Cargo { directory, bin, features, profile } => {
                write!(f, "`cargo build --locked --profile {}", text::word(profile))?;
                bin.iter().try_for_each(|bin| write!(f, " --bin {}", text::word(bin)))?;
                if !features.is_empty() {
                    write!(f, " --features {}", text::word(features.join(",")))?;
                }
                write!(f, "` in `{}`", directory.display())
            }
            Self::Go { package } => write!(f, "`go build -trimpath {}`", text::word(package)),
            Self::Command { words, output } => {
                let words: Vec<String> = words.iter().map(word).collect();
                write!(f, "`{}`, which makes `{output}`", words.join(" "))
            }
        }
    }
}

impl Build {
    /// Whether it is for a platform.
    pub fn is_for(&self, platform: Platform) -> bool {
        self.platforms.as_ref().is_none_or(|platforms| platforms.contains(&PlatformName(platform)))
    }

    /// The name of its component behind `build/`: `sandbox` for `/sandbox`.
    pub fn name(&self) -> String {
        self.path.0.to_string().trim_start_matches('/').to_owned()
    }

    /// The part of it that a lock answers.
    pub(super) fn request(&self) -> (&AbsolutePath, &Made, &Option<Vec<PlatformName>>) {
        (&self.path, &self.made, &self.platforms)
    }

    /// What the lock remembers of how it is made: the first 16 hexadecimal digits of the SHA-256.
    pub(super) fn mark(&self) -> String {
        let mut hex = Digest::sha256(&serde_json::to_vec(&self.made).unwrap_or_default()).hex();
        hex.truncate(16);
        hex
    }
}

/// By what a program was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// pinfold carries it.
    Worker,
    /// It is pinfold.
    Pinfold,
    /// A tool of a machine.
    Cargo,
    /// Likewise.
    Go,
    /// Likewise.
    Command,
}

/// A program of one platform, as locked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBuild {
    /// Where it stands in the image.
    pub path: String,
    /// By what it was made.
    pub by: By,
    /// How, as a digest: what is made otherwise is not this.
    pub made: String,
    /// What came out.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl LockedBuild {
    /// The name of its component behind `build/`.
    pub(super) fn name(&self) -> &str {
        self.path.trim_start_matches('/')
    }
}

/// What entries mean, each checked.
pub(super) fn meaning(typed: Vec<BuildFile>) -> Result<Vec<Build>, ManifestError> {
    let mut all: Vec<Build> = Vec::new();
    for one in typed {
        let build = one.meaning()?;
        if all.iter().any(|other| other.path == build.path) {
            return Err(ManifestError::value(
                format!("build `{}`", build.path),
                "there are two entries for it: leave one of the two out",
            ));
        }
        all.push(build);
    }
    Ok(all)
}

impl BuildFile {
    fn meaning(self) -> Result<Build, ManifestError> {
        let path = self.path;
        let wrong = |message: String| ManifestError::value(format!("build `{path}`"), message);
        if path.0.is_root() {
            return Err(wrong("it is the root directory, and no file".into()));
        }
        let ways = [
            self.worker.is_some(),
            self.pinfold.is_some(),
            self.cargo.is_some(),
            self.go.is_some(),
            self.command.is_some() || self.output.is_some(),
        ];
        if ways.iter().filter(|way| **way).count() != 1 {
            return Err(wrong(
                "exactly one of `worker = true`, `pinfold = true`, `cargo`, `go`, and `command` with `output` is needed"
                    .into(),
            ));
        }
        let of_cargo = self.bin.is_some() || !self.features.is_empty() || self.profile.is_some();
        if self.cargo.is_none() && of_cargo {
            return Err(wrong("`bin`, `features` and `profile` go with `cargo`".into()));
        }
        let odd = |word: &str| word.is_empty() || word.contains('\0');
        let option = |word: &str| odd(word) || word.starts_with('-');
        for (key, value) in [("worker", self.worker), ("pinfold", self.pinfold)] {
            if value == Some(false) {
                return Err(wrong(format!("`{key}` is `true`, or is left out")));
            }
        }
        let carried = match (self.worker, self.pinfold) {
            (Some(_), _) => Some(Made::Worker),
            (_, Some(_)) => Some(Made::Pinfold),
            _ => None,
        };
        let made = match (carried, self.cargo, self.go, self.command, self.output) {
            (Some(carried), ..) => carried,
            (_, Some(directory), ..) => {
                let profile = self.profile.unwrap_or_else(|| "release".into());
                let words = self.bin.iter().chain(&self.features).chain([&profile]);
                if let Some(odd) = words.into_iter().find(|word| option(word)) {
                    return Err(wrong(format!("cargo has nothing that is called `{odd}`")));
                }
                Made::Cargo { directory, bin: self.bin, features: self.features, profile }
            }
            (_, _, Some(package), ..) if option(&package) => {
                return Err(wrong(format!("`{package}` is no package of Go: expected `./cmd/NAME`, say")));
            }
            (_, _, Some(package), ..) => Made::Go { package },
            (_, _, _, Some(words), Some(output)) => {
                if words.first().is_none_or(|word| odd(word)) || words.iter().any(|word| word.contains('\0'))
                {
                    return Err(wrong(
                        "`command` is a list of words, and the first of them a program".into(),
                    ));
                }
                if odd(&output) || Path::new(&output).is_absolute() {
                    return Err(wrong("`output` is a file seen from the manifest".into()));
                }
                Made::Command { words, output }
            }
            _ => {
                return Err(wrong("`command` and `output` go together: a program, and what it makes".into()));
            }
        };
        Ok(Build {
            made,
            platforms: self.platforms,
            mode: self.mode.unwrap_or(Mode(0o755)),
            owner: self.owner,
            path,
        })
    }
}
