//! The walls of a sealed sandbox while it lives: what its own worker sees inside, and what this machine's kernel says of it.
//!
//! ```text
//!   probe ─► queue ─► worker, inside, as its user ─► probe-result ─► judge ─┐
//!   /proc of this machine: the worker's process ─► outside ──────────────────┴─► rows: PASS  FAIL  GAP
//! ```
//!
//! **Guarantees**: a row that the worker leaves out, or answers otherwise than with one of three words, has failed. What the
//! worker says is its own word: who does not trust it reads the rows `outside.…`, which ask it nothing. **Leaves** runtimes with
//! another kernel, whose processes are none of this machine's: their rows outside are gaps.

mod outside;

use std::path::PathBuf;
use std::time::Duration;

use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::message::Probe;
use pinfold_queue::probes;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::oci::config::GUEST_PATH;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::MountSource;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::context::Context;
use crate::worker::Queue;
use crate::worker::Waited;
use crate::worker::WorkerError;

/// How long a worker may take, which may be at work on something else.
const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes of what a row tells.
const SEEN: usize = 600;

/// How a row came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The wall was tried, and holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be tried.
    Gap,
}

impl Standing {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Gap => "GAP",
        }
    }
}

/// One wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which: one of [`probes::ROWS`], or `outside.…`.
    pub name: String,
    /// How it stands.
    pub verdict: Standing,
    /// What was seen.
    pub seen: String,
}

impl Row {
    fn new(name: &str, verdict: Standing, seen: impl Into<String>) -> Self {
        let mut seen: String = seen.into();
        if seen.len() > SEEN {
            let end = (0..=SEEN).rev().find(|end| seen.is_char_boundary(*end)).unwrap_or(0);
            seen.truncate(end);
        }
        Self { name: name.into(), verdict, seen }
    }
}

/// The rows of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standings {
    /// The sandbox.
    pub sandbox: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

impl Standings {
    /// Whether a wall does not hold.
    pub fn failed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict == Standing::Fail)
    }
}

/// Asks the worker of a running sandbox, and looks at it from outside.
pub fn sealed(context: &Context, name: &str) -> Result<Standings, WorkerError> {
    let sandboxes = context.sandboxes();
    let queue = Queue::of(&sandboxes, name)?;
    let spec = sandboxes.spec(name)?;
    let list = list(&sandboxes, &spec);
    let probe = Message::new(Content::Probe(Probe { list }))
        .map_err(|source| WorkerError::Sealed { what: "probe".into(), source })?;
    // Before the worker is asked: an answer is no reason for it to look otherwise.
    let outside = outside::rows(&spec);
    let id = queue.send(&probe)?.id();
    let lives = || matches!(sandboxes.status(name), Ok(Status::Running));
    let mut result = None;
    queue.wait(id, PATIENCE, lives, |waited| {
        if let Waited::End(said) = waited {
            result = Some(said.message.content);
        }
        true
    })?;
    let mut rows = match result {
        Some(Content::ProbeResult(result)) => judge(&result),
        Some(Content::Error(failure)) => {
            vec![Row::new("inside", Standing::Fail, format!("{}: {}", failure.code, failure.message))]
        }
        _ => vec![Row::new("inside", Standing::Fail, "the worker answers no probe")],
    };
    rows.extend(outside);
    Ok(Standings { sandbox: name.to_owned(), rows })
}

/// What the worker is told: the places that belong to its sandbox, and those of this machine that must not be there.
fn list(sandboxes: &Sandboxes, spec: &Spec) -> Value {
    let mut mounts: Vec<PathBuf> = spec.mounts.iter().map(|mount| mount.target.clone()).collect();
    mounts.push(spec.home.target.clone());
    // What stays as it is in a mount is a mount of its own, or the first directory on the way to it that is missing is one.
    for path in spec.protect.iter().map(|protected| &protected.path).chain(&spec.hold) {
        for mount in &spec.mounts {
            if let MountSource::Host(source) = &mount.source
                && let Ok(rest) = path.strip_prefix(source)
            {
                let on_the_way = rest.ancestors().filter(|part| !part.as_os_str().is_empty());
                mounts.extend(on_the_way.map(|part| mount.target.join(part)));
            }
        }
    }
    mounts.sort_unstable();
    mounts.dedup();
    mounts.extend(
        [
            "/run/pinfold",
            "/run/ironclaw",
            "/run",
            "/run/lock",
            "/tmp",
            "/var/tmp",
            "/sandbox",
            spec::EGRESS_SOCKET,
            GUEST_PATH,
        ]
        .map(PathBuf::from),
    );
    let mut absent = vec![sandboxes.directory().to_owned()];
    absent.extend(spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Host(source) => Some(source.clone()),
        _ => None,
    }));
    // A path of the host that the sandbox has on purpose.
    absent.retain(|path| !mounts.iter().any(|mount| mount.starts_with(path) || path.starts_with(mount)));
    let texts = |paths: Vec<PathBuf>| {
        paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let caller = rustix::process::geteuid().as_raw();
    json!({ "mounts": texts(mounts), "absent": texts(absent), "caller": caller })
}

/// What a `probe-result` says.
fn judge(result: &Value) -> Vec<Row> {
    let told: Vec<&Value> = result["probes"].as_array().into_iter().flatten().take(1000).collect();
    probes::ROWS
        .iter()
        .map(|name| {
            let mut found = told.iter().filter(|row| row["name"] == **name);
            let (first, second) = (found.next(), found.next());
            let Some(row) = first.filter(|_| second.is_none()) else {
                let why =
                    if first.is_none() { "the worker leaves it out" } else { "the worker says it twice" };
                return Row::new(name, Standing::Fail, why);
            };
            let seen = row["seen"].as_str().unwrap_or_default();
            match row["verdict"].as_str() {
                Some("pass") => Row::new(name, Standing::Pass, seen),
                Some("fail") => Row::new(name, Standing::Fail, seen),
                Some("gap") => Row::new(name, Standing::Gap, seen),
                _ => Row::new(name, Standing::Fail, "the worker gives no verdict"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(verdict: &str) -> Vec<Value> {
        probes::ROWS.iter().map(|name| json!({ "name": name, "verdict": verdict, "seen": "s" })).collect()
    }

    fn failed(rows: &[Value]) -> Vec<String> {
        let rows = judge(&json!({ "probes": rows }));
        assert_eq!(rows.len(), probes::ROWS.len());
        rows.into_iter().filter(|row| row.verdict == Standing::Fail).map(|row| row.name).collect()
    }

    #[test]
    fn only_what_the_worker_says_in_its_words_holds() {
        assert_eq!(failed(&told("pass")), [""; 0]);
        assert_eq!(failed(&told("gap")), [""; 0]);
        assert_eq!(failed(&told("fail")).len(), probes::ROWS.len());
        assert_eq!(failed(&told("PASS")).len(), probes::ROWS.len());
        let mut rows = told("pass");
        rows.remove(3);
        assert_eq!(failed(&rows), [probes::ROWS[3]], "one that is left out");
        rows.push(rows[0].clone());
        assert_eq!(failed(&rows), [probes::ROWS[0], probes::ROWS[3]], "one that is there twice");
        rows[0]["verdict"] = "fail".into();
        rows.pop();
        assert_eq!(failed(&rows), [probes::ROWS[0], probes::ROWS[3]]);
        for junk in [json!(null), json!([]), json!({ "probes": 7 }), json!({ "probes": [7] })] {
            assert!(judge(&junk).iter().all(|row| row.verdict == Standing::Fail));
        }
    }
}
