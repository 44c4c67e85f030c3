//! Operating system and architecture in the spellings of OCI, Debian and npm.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

/// A processor architecture that pinfold makes images for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// The architecture this program runs on, if it is one of ours.
    pub const fn host() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::Amd64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Arm64)
        } else {
            None
        }
    }

    /// `GOARCH`, as in an OCI image configuration; Debian uses the same two words.
    pub const fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Debian's architecture name.
    pub const fn debian(self) -> &'static str {
        self.oci()
    }

    /// Debian's multiarch triplet, as in `/usr/lib/TRIPLET`.
    pub const fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// What `uname -m` says on it.
    pub const fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// `process.arch` of Node.js, as in a `package.json`'s `cpu`.
    pub const fn npm(self) -> &'static str {
        match self {
            Self::Amd64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    /// `e_machine` of the ELF header.
    pub const fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}

/// A platform of an image index. The operating system is always Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The architecture.
    pub arch: Arch,
}

/// A platform pinfold does not build for.
#[derive(Debug, thiserror::Error)]
#[error("platform `{0}` is not known: expected `linux/amd64` or `linux/arm64`")]
pub struct ParsePlatformError(String);

impl Platform {
    /// Both platforms, in the order in which they appear in an index.
    pub const ALL: [Self; 2] = [Self { arch: Arch::Amd64 }, Self { arch: Arch::Arm64 }];

    /// The platform this program runs on, if it is one of ours.
    pub fn host() -> Option<Self> {
        Arch::host().map(|arch| Self { arch })
    }

    /// `linux`, in every spelling.
    pub const fn os(self) -> &'static str {
        "linux"
    }

    /// The OCI variant: `v8` for arm64 (image-spec, image-index.md, "Platform Variants").
    pub const fn variant(self) -> Option<&'static str> {
        match self.arch {
            Arch::Amd64 => None,
            Arch::Arm64 => Some("v8"),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.arch.oci())
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linux/amd64" => Ok(Self { arch: Arch::Amd64 }),
            "linux/arm64" | "linux/arm64/v8" => Ok(Self { arch: Arch::Arm64 }),
            _ => Err(ParsePlatformError(text.into())),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
