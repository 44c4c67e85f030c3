//! What process 1 of a pod is to do: `pod.json`, read strictly.
//!
//! ```text
//! { "version": 1,
//!   "proxy":  { "addresses": ["10.96.0.80:8443"], "name": "pinfold-proxy",
//!               "ca": "/etc/pinfold/pod/ca.pem", "token": "/run/pinfold/token/token" },
//!   "listens": [ { "route": 0, "at": { "port": 3128 } } ],
//!   "probes": { "connect": ["1.1.1.1:443"], "accept": [], "patience_seconds": 60 },
//!   "workspace": "/workspace", "writable": ["/workspace", "/tmp"],
//!   "program": ["claude"], "terminal": true,
//!   "tasks": { "directory": "/etc/pinfold/tasks", "words": ["claude", "-p", "{task}"] } }
//! ```
//!
//! **Guarantees**: what is read here can be carried out as far as that can be seen without looking at the pod; nothing that the
//! program may write to holds the token or this file. No I/O. **Refuses** unknown fields, paths with `..`, ports used twice, a proof
//! that proves nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_network::Endpoint;
use pinfold_network::Listen;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// Where [`PodTask`] is in a pod.
pub const POD_FILE: &str = "/etc/pinfold/pod/pod.json";
/// The directory in which process 1 listens for those who attach.
pub const RUN_DIRECTORY: &str = "/run/pinfold/run";
/// What the program never reads, beside the directories of the token and of the proxy's certificates.
pub(crate) const OWN_DIRECTORY: &str = "/etc/pinfold";
/// What stands in [`PodTasks::words`] for the task's text.
pub const TASK_WORD: &str = "{task}";

/// The format written here.
const VERSION: u32 = 1;
/// Bytes of the file accepted; a ConfigMap holds 1 MiB at most.
pub(super) const MAX_FILE: usize = 256 << 10;
const MAX_ADDRESSES: usize = 16;
const MAX_PROBES: usize = 64;
const MAX_PATIENCE: u64 = 3600;
/// A sandbox of a pool waits for a month.
const MAX_WAIT: u64 = 31 * 86_400;
const MAX_WORDS: usize = 1024;
const MAX_PATHS: usize = 256;
/// The kernel takes 107 bytes (unix(7)).
const MAX_SOCKET: usize = 107;

/// What process 1 of a pod is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "pod.json of pinfold")]
pub struct PodTask {
    /// The format: 1.
    pub version: u32,
    /// The one way out.
    pub proxy: PodProxy,
    /// Where the program finds it, on loopback or at sockets.
    #[schemars(with = "Vec<ListenForm>")]
    pub listens: Vec<Listen>,
    /// How it is proved that there is no other.
    pub probes: PodProbes,
    /// The program's working directory.
    pub workspace: PathBuf,
    /// Trees that the program may write to, the workspace among them if it may.
    pub writable: Vec<PathBuf>,
    /// The program and its words, looked up in `PATH`; may be empty where there are [`tasks`](Self::tasks).
    pub program: Vec<String>,
    /// Whether it runs on a terminal that process 1 holds, for whoever attaches; otherwise it has the pod's own streams.
    pub terminal: bool,
    /// The texts of an indexed job.
    #[serde(default)]
    pub tasks: Option<PodTasks>,
}

/// A listener as it is written; its type is the relay's.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Listen")]
#[expect(dead_code, reason = "a form that a schema is made of")]
struct ListenForm {
    /// What connections to it are for: 0 the proxy, else the route of this number.
    route: u8,
    /// Where clients find it.
    at: EndpointForm,
}

/// Where clients find a listener.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", rename = "Endpoint")]
#[expect(dead_code, reason = "a form that a schema is made of")]
enum EndpointForm {
    /// A port on 127.0.0.1.
    Port(u16),
    /// A Unix socket at this path.
    Socket(PathBuf),
    /// The same for clients that name the host they mean.
    Alias(PathBuf),
}

/// How the proxy is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodProxy {
    /// Tried in turn.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<SocketAddr>,
    /// The name that its certificate has.
    pub name: String,
    /// The certificates that its own is checked against, in PEM.
    pub ca: PathBuf,
    /// The file with this sandbox's token.
    pub token: PathBuf,
    /// For how long the token's file may be missing once it is proved that nothing is reached: a sandbox of a pool gets it when it is
    /// claimed.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub token_wait_seconds: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_nothing(seconds: &u64) -> bool {
    *seconds == 0
}

/// What must not be reached. Beside what is listed here the pod's own name servers, the API server, clouds' metadata addresses, the
/// default gateways and the public network over IPv6 are tried, whatever stands here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodProbes {
    /// Addresses to which no TCP connection may come about; at port 53 no answer to a question by UDP either.
    #[schemars(with = "Vec<String>")]
    pub connect: Vec<SocketAddr>,
    /// Addresses that may be open all the same: what a cluster cannot close, such as the node's own at the default gateway. The report
    /// of `pod verify` names each that is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub accept: Vec<SocketAddr>,
    /// For how long what is open is tried again, because policies come late, and what of the proxy is not reached.
    pub patience_seconds: u64,
}

/// One text for each pod of an indexed job: the file of [`directory`](Self::directory) that the variable `JOB_COMPLETION_INDEX`
/// names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodTasks {
    /// Files named `0`, `1`, ….
    pub directory: PathBuf,
    /// The program and its words, in the place of [`PodTask::program`]; [`TASK_WORD`] is the text, wherever it stands in them.
    pub words: Vec<String>,
}

/// Why a file is no task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It is longer than a task is.
    #[error("it has more than {MAX_FILE} bytes")]
    Long,
    /// It is no JSON of this form.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// Of another version.
    #[error("version {0} is not known here, only {VERSION}")]
    Version(u32),
    /// One of its values.
    #[error("`{field}`: {problem}")]
    Value {
        /// Which.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Diagnose for TaskError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Version(_) => Some(
                "write the objects anew with `pinfold kube` of the version that is in the pod's image, or update the image".into(),
            ),
            _ => None,
        }
    }
}

fn wrong<T>(field: impl Into<String>, problem: impl Into<String>) -> Result<T, TaskError> {
    Err(TaskError::Value { field: field.into(), problem: problem.into() })
}

impl PodTask {
    /// The version that is written.
    pub const VERSION: u32 = VERSION;

    /// Reads a file's bytes, and checks what stands in them.
    pub fn parse(bytes: &[u8]) -> Result<Self, TaskError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if bytes.len() > MAX_FILE {
            return Err(TaskError::Long);
        }
        // First: a later version has fields that are not known here.
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(TaskError::Version(version));
        }
        let task: Self = serde_json::from_slice(bytes)?;
        task.check()?;
        Ok(task)
    }

    /// Checks the values; whoever writes a task asks this too.
    pub fn check(&self) -> Result<(), TaskError> {
        if self.version != VERSION {
            return Err(TaskError::Version(self.version));
        }
        self.check_proxy()?;
        self.check_listens()?;
        self.check_probes()?;
        absolute("workspace", &self.workspace)?;
        if self.writable.len() > MAX_PATHS {
            return wrong("writable", format!("there are more than {MAX_PATHS}"));
        }
        let hidden = self.hidden();
        for (index, path) in self.writable.iter().enumerate() {
            let field = format!("writable[{index}]");
            absolute(&field, path)?;
            if let Some(own) = hidden.iter().find(|own| own.starts_with(path) || path.starts_with(own)) {
                return wrong(
                    field,
                    format!("the program could get at `{}`, which is process 1's alone", own.display()),
                );
            }
        }
        match &self.tasks {
            None => words("program", &self.program),
            Some(tasks) => {
                absolute("tasks.directory", &tasks.directory)?;
                words("tasks.words", &tasks.words)?;
                if !tasks.words.iter().any(|word| word.contains(TASK_WORD)) {
                    return wrong(
                        "tasks.words",
                        format!("no word has `{TASK_WORD}`, the task's text, in it"),
                    );
                }
                if self.program.is_empty() { Ok(()) } else { words("program", &self.program) }
            }
        }
    }

    fn check_proxy(&self) -> Result<(), TaskError> {
        let PodProxy { addresses, name, ca, token, token_wait_seconds } = &self.proxy;
        if *token_wait_seconds > MAX_WAIT {
            return wrong("proxy.token_wait_seconds", format!("it is more than {MAX_WAIT}"));
        }
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            return wrong("proxy.addresses", format!("one to {MAX_ADDRESSES} are needed"));
        }
        if let Some(address) = addresses.iter().find(|address| address.port() == 0) {
            return wrong("proxy.addresses", format!("{address} has no port"));
        }
        let labels = name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        if name.len() > 253 || !labels {
            return wrong("proxy.name", "it is no DNS name");
        }
        absolute("proxy.ca", ca)?;
        absolute("proxy.token", token)?;
        // What lies beside them is hidden from the program, and the root directory is no directory for that.
        for (field, path) in [("proxy.ca", ca), ("proxy.token", token)] {
            if path.parent().is_none_or(|directory| directory == Path::new("/")) {
                return wrong(field, "it has to be in a directory of its own");
            }
        }
        Ok(())
    }

    fn check_listens(&self) -> Result<(), TaskError> {
        if self.listens.is_empty() || self.listens.len() > 256 {
            return wrong("listens", "1 to 256 are needed");
        }
        let mut places = BTreeSet::new();
        for (index, listen) in self.listens.iter().enumerate() {
            let field = || format!("listens[{index}].at");
            match &listen.at {
                Endpoint::Port(0) => return wrong(field(), "the port is 0, where nobody would find it"),
                Endpoint::Port(_) => {}
                Endpoint::Socket(path) | Endpoint::Alias(path) => {
                    absolute(&field(), path)?;
                    if path.as_os_str().len() > MAX_SOCKET {
                        return wrong(field(), format!("a socket's path has {MAX_SOCKET} bytes at most"));
                    }
                }
            }
            if !places.insert(listen.at.to_string()) {
                return wrong(field(), format!("{} is taken by an earlier one", listen.at));
            }
        }
        Ok(())
    }

    fn check_probes(&self) -> Result<(), TaskError> {
        let PodProbes { connect, accept, patience_seconds } = &self.probes;
        if connect.is_empty() || connect.len() > MAX_PROBES {
            return wrong(
                "probes.connect",
                format!("1 to {MAX_PROBES} addresses are needed, of servers that are up"),
            );
        }
        if accept.len() > MAX_PROBES {
            return wrong("probes.accept", format!("there are more than {MAX_PROBES}"));
        }
        for address in connect {
            if address.port() == 0 || address.ip().is_unspecified() {
                return wrong("probes.connect", format!("nothing can be at {address}"));
            }
            if self.proxy.addresses.contains(address) {
                return wrong("probes.connect", format!("{address} is the proxy's, which is to be open"));
            }
            if accept.contains(address) {
                return wrong("probes.accept", format!("{address} is in `probes.connect` too"));
            }
        }
        if *patience_seconds > MAX_PATIENCE {
            return wrong("probes.patience_seconds", format!("it is more than {MAX_PATIENCE}"));
        }
        Ok(())
    }

    /// What the program may not read: the token, and what is known of the proxy. Shortest first, none below another.
    pub(crate) fn hidden(&self) -> Vec<PathBuf> {
        let directories = [&self.proxy.ca, &self.proxy.token].into_iter().filter_map(|path| path.parent());
        let all: BTreeSet<&Path> = directories.chain([Path::new(OWN_DIRECTORY)]).collect();
        let below = |path: &Path| all.iter().any(|other| *other != path && path.starts_with(other));
        all.iter().filter(|path| !below(path)).map(|path| path.to_path_buf()).collect()
    }
}

fn absolute(field: &str, path: &Path) -> Result<(), TaskError> {
    let plain =
        path.components().all(|component| matches!(component, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || path.as_os_str().as_encoded_bytes().contains(&0) {
        return wrong(field, format!("`{}` is no absolute path without `..`", path.display()));
    }
    if path == Path::new("/") {
        return wrong(field, "it is the root directory");
    }
    if path.as_os_str().len() > 4095 {
        return wrong(field, "the path is longer than the kernel takes");
    }
    Ok(())
}

fn words(field: &str, words: &[String]) -> Result<(), TaskError> {
    if words.first().is_none_or(String::is_empty) {
        return wrong(field, "no program is named");
    }
    if words.len() > MAX_WORDS {
        return wrong(field, format!("there are more than {MAX_WORDS} words"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return wrong(field, "a word has a zero byte in it");
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "version": 1,
            "proxy": { "addresses": ["10.96.0.80:8443"], "name": "pinfold-proxy",
                "ca": "/etc/pinfold/pod/ca.pem", "token": "/run/pinfold/token/token" },
            "listens": [ {"route": 0, "at": {"port": 3128}}, {"route": 1, "at": {"port": 3129}} ],
            "probes": { "connect": ["1.1.1.1:443", "8.8.8.8:53", "169.254.169.254:80", "[2606:4700:4700::1111]:443"],
                "patience_seconds": 60 },
            "workspace": "/workspace",
            "writable": ["/workspace", "/home/x", "/tmp", "/run/pinfold/run"],
            "program": ["claude"], "terminal": true, "tasks": null,
        })
    }

    /// One that can be carried out.
    pub(crate) fn task() -> PodTask {
        parse(&good()).unwrap()
    }

    fn parse(value: &Value) -> Result<PodTask, TaskError> {
        PodTask::parse(&serde_json::to_vec(value).unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        let task = parse(&good()).unwrap();
        assert_eq!(parse(&serde_json::to_value(&task).unwrap()).unwrap(), task);
        assert_eq!(task.hidden(), [Path::new("/etc/pinfold"), Path::new("/run/pinfold/token")]);
        let mut job = good();
        job["tasks"] = json!({ "directory": "/etc/pinfold/tasks", "words": ["claude", "-p", "Do: {task}"] });
        job["program"] = json!([]);
        parse(&job).unwrap();
        let mut accepting = good();
        accepting["probes"]["accept"] = json!(["10.0.0.1:10250"]);
        parse(&accepting).unwrap();
        // What may be left out.
        let mut least = good();
        least.as_object_mut().unwrap().remove("tasks");
        assert_eq!(parse(&least).unwrap(), task);
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_its_place() {
        let long: Vec<String> = (0..65).map(|number| format!("10.0.0.{number}:1")).collect();
        for (pointer, value, told) in [
            ("/version", json!(2), "version 2 is not known here"),
            ("/version", json!("1"), "invalid type"),
            ("/extra", json!(1), "unknown field `extra`"),
            ("/probes/extra", json!(1), "unknown field `extra`"),
            ("/proxy/addresses", json!([]), "`proxy.addresses`: one to 16"),
            ("/proxy/addresses", json!(["10.96.0.80:0"]), "has no port"),
            ("/proxy/addresses", json!(["pinfold-proxy:8443"]), "invalid socket address"),
            ("/proxy/name", json!(""), "no DNS name"),
            ("/proxy/name", json!("a b"), "no DNS name"),
            ("/proxy/ca", json!("ca.pem"), "`proxy.ca`: `ca.pem` is no absolute path"),
            ("/proxy/token", json!("/token"), "in a directory of its own"),
            ("/proxy/token", json!("/run/../etc/x/token"), "without `..`"),
            ("/listens", json!([]), "`listens`: 1 to 256"),
            ("/listens/1/at/port", json!(3128), "`listens[1].at`: 127.0.0.1 port 3128 is taken"),
            ("/listens/0/at/port", json!(0), "the port is 0"),
            ("/listens/0/at", json!({"socket": "x.sock"}), "no absolute path"),
            ("/listens/0/at", json!({"socket": format!("/{}", "x".repeat(120))}), "107 bytes"),
            ("/probes/connect", json!([]), "1 to 64 addresses"),
            ("/probes/connect", json!(long), "1 to 64 addresses"),
            ("/probes/connect", json!(["10.96.0.80:8443"]), "is the proxy's"),
            ("/probes/connect", json!(["0.0.0.0:53"]), "nothing can be at"),
            ("/probes/accept", json!(["1.1.1.1:443"]), "is in `probes.connect` too"),
            ("/probes/patience_seconds", json!(3601), "more than 3600"),
            ("/probes/patience_seconds", json!(-1), "invalid value"),
            ("/workspace", json!("workspace"), "`workspace`"),
            ("/writable", json!(["/"]), "the root directory"),
            ("/writable/0", json!("/run"), "`writable[0]`: the program could get at `/run/pinfold/token`"),
            ("/writable/0", json!("/run/pinfold/token"), "process 1's alone"),
            ("/writable/0", json!("/etc"), "could get at `/etc/pinfold`"),
            ("/writable/0", json!("/etc/pinfold/x"), "could get at `/etc/pinfold`"),
            ("/program", json!([]), "`program`: no program is named"),
            ("/program", json!([""]), "no program is named"),
            ("/program", json!(["a\u{0}"]), "a zero byte"),
            ("/tasks", json!({"directory": "/t", "words": ["claude"]}), "no word has `{task}`"),
            ("/tasks", json!({"directory": "t", "words": ["{task}"]}), "`tasks.directory`"),
        ] {
            let mut task = good();
            if let Some(place) = task.pointer_mut(pointer) {
                *place = value.clone();
            } else {
                let (above, name) = pointer.rsplit_once('/').unwrap();
                task.pointer_mut(above).unwrap()[name] = value.clone();
            }
            let error = parse(&task).unwrap_err().to_string();
            assert!(error.contains(told), "{pointer} {value}: {error}");
        }
        for (bytes, told) in [
            (&b""[..], "EOF"),
            (b"[]", "invalid"),
            (b"{\"version\": 1, \"version\": 1}", "duplicate field"),
            (&vec![b' '; MAX_FILE + 1], "more than"),
        ] {
            let error = PodTask::parse(bytes).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn every_field_that_is_needed_is() {
        for name in ["version", "proxy", "listens", "probes", "workspace", "writable", "program", "terminal"]
        {
            let mut task = good();
            task.as_object_mut().unwrap().remove(name);
            let error = parse(&task).unwrap_err().to_string();
            assert!(error.contains("missing field"), "{name}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = PodTask::parse(&bytes);
        }
    }
}
