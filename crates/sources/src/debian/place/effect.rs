//! What a script would have done, as a value.

use std::fmt;

use serde::Deserialize;

/// One effect of a script on a fresh install. Paths are as the script has them, before the merged /usr.
///
/// Nothing here goes over a path that exists, unless it says so: that is how the scripts behave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Effect {
    /// A directory where there is none. Missing parents are made too.
    Directory {
        path: String,
        #[serde(default = "mode_755")]
        mode: Mode,
        #[serde(default = "root")]
        group: String,
    },
    /// A copy of a file of the image, with its mode and time.
    Copy { from: String, to: String },
    /// A file with this text, for all to read unless it says otherwise.
    File {
        path: String,
        #[serde(default)]
        text: String,
        #[serde(default = "mode_644")]
        mode: Mode,
        #[serde(default = "root")]
        group: String,
    },
    /// A symbolic link.
    Link { path: String, target: String },
    /// A symbolic link in the place of a shipped directory.
    ReplaceByLink { path: String, target: String },
    /// Mode and group of a file that is there.
    Permissions { path: String, mode: Mode, group: String },
    /// `update-alternatives --install`.
    Alternative(Alternative),
    /// `dpkg-divert`, where the directory of the path exists; the package's own files are already where they belong.
    Divert { path: String, to: String },
    /// `addgroup --system`.
    SystemGroup { name: String },
    /// `adduser --system`.
    SystemUser {
        name: String,
        #[serde(default = "nowhere")]
        home: String,
        #[serde(default)]
        gecos: String,
        #[serde(default)]
        group: Option<String>,
    },
    /// `add-shell`.
    Shell { path: String },
    /// A larger thing that this room has its own code for.
    Native { what: Native },
    /// Something deliberately not done.
    NotDone { what: String },
}

/// What a file of this room makes natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Native {
    /// passwd and group from base-passwd's masters.
    Accounts,
    /// shadow and gshadow.
    Shadow,
    /// `/etc/ssl/certs`.
    Certificates,
    /// `/etc/ssl/certs/java/cacerts`.
    JavaCertificates,
    /// `/etc/pam.d/common-*`.
    Pam,
    /// `/etc/shells`.
    Shells,
    /// `/etc/ld.so.cache`.
    LoaderCache,
}

/// One choice of an alternative.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alternative {
    /// The generic path, `/usr/bin/awk`.
    pub(super) link: String,
    /// The name in `/etc/alternatives`.
    pub(super) name: String,
    /// What is to be chosen, `/usr/bin/mawk`.
    pub(super) path: String,
    /// The higher wins.
    pub(super) priority: i32,
    /// Links that follow: link, name, path.
    #[serde(default)]
    pub(super) slaves: Vec<(String, String, String)>,
}

/// Permission bits, written in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Mode(pub(super) u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(format!("`{text}` is no mode: expected octal digits such as `0755`")),
        }
    }
}

fn mode_755() -> Mode {
    Mode(0o755)
}

fn mode_644() -> Mode {
    Mode(0o644)
}

fn root() -> String {
    "root".into()
}

fn nowhere() -> String {
    "/nonexistent".into()
}

/// As the ledger says it.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, mode, group } => {
                write!(f, "directory {path} {:04o}", mode.0)?;
                if group == "root" { Ok(()) } else { write!(f, " group {group}") }
            }
            Self::Copy { from, to } => write!(f, "copy {from} to {to}"),
            Self::File { path, mode, .. } => write!(f, "file {path} {:04o}", mode.0),
            Self::Link { path, target } | Self::ReplaceByLink { path, target } => {
                write!(f, "link {path} -> {target}")
            }
            Self::Permissions { path, mode, group } => {
                write!(f, "permissions {path} {:04o} group {group}", mode.0)
            }
            Self::Alternative(alternative) => {
                write!(
                    f,
                    "alternative {} -> {} ({})",
                    alternative.name, alternative.path, alternative.priority
                )
            }
            Self::Divert { path, to } => write!(f, "diversion {path} to {to}"),
            Self::SystemGroup { name } => write!(f, "system group {name}"),
            Self::SystemUser { name, .. } => write!(f, "system user {name}"),
            Self::Shell { path } => write!(f, "shell {path}"),
            Self::Native { what } => f.write_str(match what {
                Native::Accounts => "passwd and group from the masters",
                Native::Shadow => "shadow and gshadow",
                Native::Certificates => "certificate bundle and hash links",
                Native::JavaCertificates => "keystore of Java",
                Native::Pam => "common PAM stacks",
                Native::Shells => "list of login shells",
                Native::LoaderCache => "cache of the dynamic loader",
            }),
            Self::NotDone { what } => write!(f, "not done: {what}"),
        }
    }
}
