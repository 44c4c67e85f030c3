//! A cluster that is there, asked through kubectl of the `PATH`: sandboxes of a pool get their tokens, pods tell their proof.
//!
//! ```text
//!   claim    SandboxClaim ─► Sandbox ─► pod and its address;   token ─► identity (Secret of the proxy) ─► pod (stdin of `pod token`)
//!   verify   pods of the export ─► `pod verify --json` in each
//! ```
//!
//! **Guarantees**: a token goes through pipes alone; no word of a command and no error has it. The proxy knows an identity before its
//! pod has the token, and takes it from this pod's address alone. What kubectl prints is bounded, and so is its time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_kube::objects::PROGRAM;
use pinfold_kube::objects::secrets::IDENTITY_PARTS;
use pinfold_kube::objects::secrets::Secrets;
use pinfold_network::HeldCommand;
use pinfold_network::Token;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::KubeError;
use super::read;
use super::secrets;
use crate::context::Context;
use crate::ship::login;

/// What is kept of what kubectl prints, in bytes: ten thousand pods are fewer.
const MAX_ANSWER: u64 = 256 << 20;
/// The same of what it complains about, and of that what is told, in columns.
const MAX_SAID: u64 = 64 << 10;
const TOLD: usize = 600;
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a claim may take until its sandbox is there.
const READY: &str = "--timeout=120s";
/// Pods that are asked at once.
const AT_ONCE: usize = 8;

/// kubectl, as it was found.
struct Kubectl {
    held: HeldCommand,
    variables: Vec<(OsString, OsString)>,
}

impl Kubectl {
    fn find(context: &Context) -> Result<Self, KubeError> {
        let held = HeldCommand::find(&["kubectl".to_owned()], &login::around(context))
            .map_err(|error| KubeError::Kubectl(error.to_string()))?;
        let own = |(name, value): (&std::ffi::OsStr, &std::ffi::OsStr)| (name.to_owned(), value.to_owned());
        Ok(Self { held, variables: context.environment.all().map(own).collect() })
    }

    /// Runs it to its end, with `input` for it to read: what it prints when all went well.
    fn run(&self, words: &[&str], input: &[u8]) -> Result<Vec<u8>, KubeError> {
        let answer = self.answer(words, input)?;
        if answer.status.success() { Ok(answer.out) } else { Err(answer.failed(words)) }
    }

    /// Runs it to its end, with `input` for it to read. No word is secret.
    fn answer(&self, words: &[&str], input: &[u8]) -> Result<Answer, KubeError> {
        let cannot = |error: &dyn std::fmt::Display| KubeError::Kubectl(error.to_string());
        let mut command =
            self.held.command(self.variables.iter().cloned()).map_err(|error| cannot(&error))?;
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot(&error))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let end = Instant::now() + PATIENCE;
        let (status, out, err) = std::thread::scope(|scope| {
            let kept = |from: Option<Box<dyn io::Read + Send>>, most: u64| {
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    // What comes after goes nowhere, and the program ends by a broken pipe.
                    let _ = from.map(|from| from.take(most).read_to_end(&mut kept));
                    kept
                })
            };
            let out = kept(stdout.map(|pipe| Box::new(pipe) as Box<dyn io::Read + Send>), MAX_ANSWER);
            let err = kept(stderr.map(|pipe| Box::new(pipe) as Box<dyn io::Read + Send>), MAX_SAID);
            // One that does not read all of it says by its end whether that is wrong.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            let status = loop {
                match child.try_wait() {
                    Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                    Ok(None) => {
                        let _ = child.kill();
                        let _ = child.wait();
                        break Err(io::Error::other("it took longer than three minutes"));
                    }
                    Ok(Some(status)) => break Ok(status),
                    Err(error) => break Err(error),
                }
            };
            (status, out.join().unwrap_or_default(), err.join().unwrap_or_default())
        });
        Ok(Answer { status: status.map_err(|error| cannot(&error))?, out, err })
    }

    /// The objects that it prints as JSON.
    fn get<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, KubeError> {
        let words: Vec<&str> =
            ["get"].into_iter().chain(words.iter().copied()).chain(["-o", "json"]).collect();
        let answer = self.run(&words, &[])?;
        serde_json::from_slice(&answer)
            .map_err(|error| KubeError::answer(format!("`{}`", words.join(" ")), error))
    }
}

/// What kubectl did.
struct Answer {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Answer {
    fn failed(&self, words: &[&str]) -> KubeError {
        let text = String::from_utf8_lossy(&self.err);
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        KubeError::Failed {
            command: words.join(" "),
            status: self.status.to_string(),
            said: Shown::new(last).within(TOLD),
        }
    }
}

/// What process 1 tells of its pod.
#[derive(Deserialize)]
struct Report {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    verdict: String,
}

#[derive(Deserialize)]
struct Claim {
    #[serde(default)]
    status: ClaimStatus,
}

#[derive(Default, Deserialize)]
struct ClaimStatus {
    #[serde(default)]
    sandbox: Named,
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Sandbox {
    #[serde(default)]
    status: SandboxStatus,
}

#[derive(Default, Deserialize)]
struct SandboxStatus {
    #[serde(default)]
    selector: String,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Named,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<IpAddr>,
}

/// A sandbox of a pool that has its token.
#[derive(Debug, serde::Serialize)]
pub struct Claimed {
    /// The claim.
    pub claim: String,
    /// The namespace of its pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The only address that the proxy takes the token from.
    pub address: IpAddr,
}

/// A name that kubectl takes for nothing but a name.
fn plain<'a>(what: &str, name: &'a str) -> Result<&'a str, KubeError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if name.is_empty() || name.len() > 253 || name.starts_with('-') || !name.bytes().all(fits) {
        return Err(KubeError::answer(what, format!("`{}` is no name", Shown::new(name))));
    }
    Ok(name)
}

/// Hands over its own token to the sandbox that a claim of the export's pool has.
pub fn claim(context: &Context, directory: &Path, name: &str) -> Result<Claimed, KubeError> {
    let export = read::directory(directory)?;
    if export.kind != "SandboxWarmPool" {
        return Err(KubeError::no_export(directory, "it has no pool to claim a sandbox of"));
    }
    let name = plain("the claim", name)?;
    let kubectl = Kubectl::find(context)?;
    let inside = ["-n", &export.namespace];
    let claim = format!("sandboxclaim/{name}");
    kubectl.run(&["wait", "--for=condition=Ready", READY, inside[0], inside[1], &claim], &[])?;
    let found: Claim = kubectl.get(&[inside[0], inside[1], &claim])?;
    let sandbox = plain("the claim's sandbox", &found.status.sandbox.name)?.to_owned();
    let sandbox = format!("sandbox/{sandbox}");
    let found: Sandbox = kubectl.get(&[inside[0], inside[1], &sandbox])?;
    let selector = found.status.selector;
    if selector.is_empty() || selector.starts_with('-') {
        return Err(KubeError::answer(sandbox, "it has no selector of its pod"));
    }
    let pods: List<Pod> = kubectl.get(&["pods", inside[0], inside[1], "-l", &selector])?;
    let [pod] = &pods.items[..] else {
        return Err(KubeError::answer(sandbox, format!("it has {} pods instead of one", pods.items.len())));
    };
    let (Some(address), pod) = (pod.status.pod_ip, plain("the pod", &pod.metadata.name)?) else {
        return Err(KubeError::answer(sandbox, "its pod has no address"));
    };
    let token = Token::generate()?;
    // Known to the proxy before anybody has it; the proxy takes some seconds to see it, and process 1 tries for longer.
    let list = secrets::identity(name, &token, &export, Some(address))?;
    let part = usize::from(Digest::sha256(name.as_bytes()).bytes()[0]) % IDENTITY_PARTS;
    let known = Secrets {
        namespace: export.namespace.clone(),
        proxy_namespace: format!("{}-proxy", export.namespace),
        identities: BTreeMap::from([(part, BTreeMap::from([(format!("claim.{name}"), list)]))]),
        ..Secrets::default()
    };
    // A manager of its own: what others have in the same Secret stays.
    let manager = format!("--field-manager=pinfold-claim-{name}");
    kubectl.run(&["apply", "--server-side", &manager, "-f", "-"], known.stream().as_bytes())?;
    let words = ["exec", "-i", inside[0], inside[1], pod, "-c", "agent", "--", PROGRAM, "pod", "token"];
    kubectl.run(&words, token.reveal().as_bytes())?;
    Ok(Claimed { claim: name.to_owned(), namespace: export.namespace.clone(), pod: pod.to_owned(), address })
}

/// What one pod tells of itself.
#[derive(Debug, serde::Serialize)]
pub struct Proof {
    /// The pod.
    pub pod: String,
    /// Whether it has no way out but the proxy.
    pub isolated: Isolated,
    /// What it says: its report, or why there is none.
    pub said: Value,
}

/// What a pod's report comes to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolated {
    /// Every row of it says so.
    Proved,
    /// These rows say that it is not.
    Refuted(Vec<String>),
    /// There is no report.
    Unknown,
}

/// Asks each pod of an export that runs whether it has no way out but the proxy.
pub fn verify(context: &Context, directory: &Path) -> Result<Vec<Proof>, KubeError> {
    let export = read::directory(directory)?;
    let kubectl = Kubectl::find(context)?;
    let labels = format!("app.kubernetes.io/name=pinfold-sandbox,app.kubernetes.io/instance={}", export.name);
    let pods: List<Pod> = kubectl.get(&["pods", "-n", &export.namespace, "-l", &labels])?;
    let mut names = Vec::new();
    for pod in pods.items.iter().filter(|pod| pod.status.phase == "Running") {
        names.push(plain("a pod", &pod.metadata.name)?);
    }
    if names.is_empty() {
        return Err(KubeError::answer(
            format!("`{}` in `{}`", export.name, export.namespace),
            format!("none of its {} pods runs", pods.items.len()),
        ));
    }
    let proofs = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(names.len()) {
            scope.spawn(|| {
                while let Some(pod) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let proof = proof(&kubectl, &export.namespace, pod);
                    proofs.lock().unwrap_or_else(PoisonError::into_inner).push(proof);
                }
            });
        }
    });
    let mut proofs = proofs.into_inner().unwrap_or_else(PoisonError::into_inner);
    proofs.sort_by(|one, other| one.pod.cmp(&other.pod));
    Ok(proofs)
}

fn proof(kubectl: &Kubectl, namespace: &str, pod: &str) -> Proof {
    let words = ["exec", "-n", namespace, pod, "-c", "agent", "--", PROGRAM, "pod", "verify", "--json"];
    let proof = |isolated, said| Proof { pod: pod.to_owned(), isolated, said };
    let answer = match kubectl.answer(&words, &[]) {
        Ok(answer) => answer,
        Err(error) => return proof(Isolated::Unknown, Value::from(error.to_string())),
    };
    match serde_json::from_slice::<Report>(&answer.out) {
        Ok(report) => {
            let failed = |row: &&Row| row.verdict != "pass" && row.verdict != "gap";
            let failed: Vec<String> =
                report.rows.iter().filter(failed).map(|row| Shown::new(&row.name).to_string()).collect();
            // By the rows too: an exit code may get lost on the way.
            let proved = answer.status.success() && failed.is_empty() && !report.rows.is_empty();
            let said = serde_json::from_slice(&answer.out).unwrap_or_default();
            proof(if proved { Isolated::Proved } else { Isolated::Refuted(failed) }, said)
        }
        Err(_) => proof(Isolated::Unknown, Value::from(answer.failed(&words).to_string())),
    }
}
