//! `doctor`: what this machine offers, and what to do where it offers too little.

use std::path::Path;

use pinfold_base::Platform;
use serde::Serialize;

use crate::context::Context;

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Something will not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// What was found.
    pub found: String,
    /// How good that is.
    pub grade: Grade,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn good(what: &str, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), grade: Grade::Good, fix: None }
    }

    /// Worth knowing.
    pub fn note(what: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), grade: Grade::Note, fix: Some(fix.into()) }
    }

    /// Something will not work.
    pub fn bad(what: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), grade: Grade::Bad, fix: Some(fix.into()) }
    }
}

/// Looks at everything. Never fails: what cannot be looked at is a finding.
pub fn examine(context: &Context) -> Vec<Finding> {
    let mut findings = vec![Finding::good("program", format!("pinfold {}", env!("CARGO_PKG_VERSION")))];
    findings.push(match Platform::host() {
        Some(platform) => Finding::good("platform", platform.to_string()),
        None => Finding::note("platform", "neither amd64 nor arm64", "images can be built here, not run"),
    });
    for (what, folder) in [("cache", context.home.cache()), ("images", context.home.data())] {
        findings.push(folder_finding(what, folder));
    }
    findings.push(match context.http() {
        Ok(_) => Finding::good("certificates", "the system's trust store"),
        Err(error) => {
            Finding::bad("certificates", error.to_string(), "install ca-certificates, or set SSL_CERT_FILE")
        }
    });
    findings
}

fn folder_finding(what: &str, folder: &Path) -> Finding {
    let fix = "set PINFOLD_HOME to a folder on a disk with some GiB free";
    if let Err(error) = fs_err::create_dir_all(folder) {
        return Finding::bad(what, error.to_string(), fix);
    }
    if let Err(error) = tempfile::tempfile_in(folder) {
        return Finding::bad(what, format!("`{}` cannot be written: {error}", folder.display()), fix);
    }
    Finding::good(what, folder.display().to_string())
}
