//! What an image tells those inside of it: `/usr/share/pinfold/image.json`.
//!
//! ```text
//! sandbox   what it needs of whoever runs it: hosts, names of credentials, writable paths, user, kernel
//! tools     what can be called, where, in which version
//! ```

use pinfold_base::Platform;
use serde::Deserialize;
use serde::Serialize;

/// Where the file is.
pub const PATH: &str = "/usr/share/pinfold/image.json";

/// What an image tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Format, 1.
    pub version: u32,
    /// What the project calls it.
    pub name: String,
    /// `linux/amd64`.
    pub platform: Platform,
    /// What it needs of whoever runs it.
    pub sandbox: Sandbox,
    /// What can be called: agents first, then by name.
    pub tools: Vec<Tool>,
}

/// What an image needs of a sandbox. What is not in it, it does not need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sandbox {
    /// Whose its programs are; nothing is root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Account>,
    /// Hosts that its agents talk to and that the manifest allows, as rules of the proxy.
    pub hosts: Vec<String>,
    /// Environment variables that may hold its agents' keys.
    pub credentials: Vec<String>,
    /// Paths that must be writable, and be on no file system of the image: the root may be read-only.
    pub writable: Vec<String>,
    /// What the kernel must let it do.
    pub kernel: Kernel,
}

/// An account of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

/// What of a kernel an image needs beyond running programs of its platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kernel {
    /// Capabilities; always none.
    pub capabilities: Vec<String>,
    /// Device nodes.
    pub devices: Vec<String>,
    /// Directories from which programs are mapped and run that agents unpack there: they may not be mounted `noexec`.
    pub executable: Vec<String>,
}

/// Something that can be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The command, or the package where it brings several.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    pub path: String,
    /// What else comes with it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What it is, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The component that it came with: `agent/codex-cli`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The URL of its package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
}
