//! Which socket: the one that was named, the one of the environment that other clients of the interface obey too, or containerd's.

use std::path::Path;
use std::path::PathBuf;

use crate::error::CriError;

/// Where containerd listens.
pub const DEFAULT_SOCKET: &str = "/run/containerd/containerd.sock";
/// The variable that names another socket.
pub const SOCKET_VARIABLE: &str = "CONTAINER_RUNTIME_ENDPOINT";

/// A runtime's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket(PathBuf);

impl Socket {
    /// What was named, else what the environment says, else containerd's own.
    pub fn find(named: Option<&str>, environment: Option<&str>) -> Result<Self, CriError> {
        match named.or(environment.filter(|text| !text.is_empty())) {
            None => Ok(Self(DEFAULT_SOCKET.into())),
            Some(text) => Self::parse(text),
        }
    }

    /// An absolute path, or the same as an address of scheme `unix`.
    fn parse(text: &str) -> Result<Self, CriError> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        let path = path.strip_prefix("unix:").unwrap_or(path);
        // The kernel's limit, with the byte that ends it.
        if !path.starts_with('/') || path.len() > 107 || path.contains('\0') {
            return Err(CriError::Address(text.to_owned()));
        }
        Ok(Self(path.into()))
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_what_was_named_first() {
        let found = |named, environment| {
            Socket::find(named, environment).map(|socket| socket.path().display().to_string())
        };
        assert_eq!(found(None, None).unwrap(), DEFAULT_SOCKET);
        assert_eq!(found(None, Some("")).unwrap(), DEFAULT_SOCKET);
        assert_eq!(found(None, Some("unix:///run/k3s/c.sock")).unwrap(), "/run/k3s/c.sock");
        assert_eq!(found(Some("/a.sock"), Some("unix:///b.sock")).unwrap(), "/a.sock");
        assert_eq!(found(Some("unix:/a.sock"), None).unwrap(), "/a.sock");
        for wrong in
            ["tcp://127.0.0.1:1", "a.sock", "unix://a.sock", "", "/a\0b", &format!("/{}", "x".repeat(107))]
        {
            assert!(matches!(found(Some(wrong), None), Err(CriError::Address(_))), "{wrong}");
        }
    }
}
