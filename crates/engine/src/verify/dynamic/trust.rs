//! HTTPS to a server whose authority the image was given, and to the same server without it.
//!
//! The authority is made for the check. It is given as the manifest's own are: it stands in the image's bundle of certificates, and
//! the variables that programs with bundles of their own obey name that bundle. What counts is what the server saw: a request
//! through TLS, or a client that left.

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_base::error::one_line;
use pinfold_network::Credential;
use pinfold_network::KeyHeader;
use pinfold_network::RequestRules;
use pinfold_network::RouteAddresses;
use pinfold_network::RouteId;
use pinfold_network::RouteSpec;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;

use super::Tally;
use super::agents::Agents;
use super::inside::Inside;
use super::inside::Why;
use super::provider::Seen;
use crate::run::alone::Scheme;
use crate::verify::checks;
use crate::verify::report::Outcome;

/// Where Debian's programs look for certificates.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where the bundle is shown in an image that has none.
const ELSEWHERE: &str = "/run/pinfold-verify.crt";
/// Variables that name a bundle.
const VARIABLES: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];
/// The port of the sandbox that leads to the server.
const PORT: u16 = 3180;
/// Bytes of a bundle that are read.
const BUNDLE_MAX: u64 = 16 << 20;
/// How long a program may take until it has connected.
const TIME: Duration = Duration::from_secs(60);
/// Connections that a client may leave before it counts as one that does not trust.
const TRIES: usize = 3;

/// Programs that are tried where the image has them.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("curl", &["curl", "--silent", "--show-error", "--max-time", "30", "https://127.0.0.1:3180/"]),
    ("git", &["git", "ls-remote", "https://127.0.0.1:3180/repository"]),
    (
        "node",
        &[
            "node",
            "-e",
            "fetch('https://127.0.0.1:3180/').then(() => 0, (error) => { console.error(error.cause ?? error); process.exit(1); })",
        ],
    ),
];

/// Whether a sandbox knows the authority.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Knows {
    Yes,
    No,
}

/// What a client made of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Made {
    /// A request came.
    Request,
    /// It left.
    Left(String),
    /// It did not connect; what it said.
    Nothing(String),
}

fn made(seen: &Seen, said: String) -> Made {
    match (seen.trusted, seen.refused.first()) {
        (1.., _) => Made::Request,
        (0, Some(reason)) => Made::Left(reason.clone()),
        (0, None) => Made::Nothing(said),
    }
}

/// Judges both attempts of one program.
fn judge(with: &Made, without: &Made) -> Result<String, String> {
    match (with, without) {
        (Made::Request, Made::Left(reason)) => Ok(format!("connects; without the authority: {reason}")),
        (Made::Request, Made::Request) => {
            Err("connects without the authority too: it judges no certificate".into())
        }
        (Made::Request, Made::Nothing(said)) => {
            Err(format!("connects; without the authority it was not seen at all, having said `{said}`"))
        }
        (Made::Left(reason), _) => Err(format!("does not connect with the authority: {reason}")),
        (Made::Nothing(said), _) => Err(format!("did not connect, having said `{said}`")),
    }
}

/// Everything of the check.
pub(super) fn authority(inside: &Inside, agents: &Agents) -> Outcome {
    let check = checks::RUN_CA;
    let given = match Given::new(inside) {
        Ok(given) => given,
        Err(problem) => return Outcome::not_run(check, problem),
    };
    let mut tally = Tally::default();
    for (name, args) in PROGRAMS {
        let spec = server_alone(&inside.alone.spec);
        match spec.map_err(Why::Sandbox).and_then(|spec| given.both(inside, &spec, args)) {
            Err(Why::Missing(_)) => tally.absent(format!("no {name}")),
            Err(why) => tally.fails(name, why.text()),
            Ok((with, without)) => add(&mut tally, name, &with, &without),
        }
    }
    for agent in &agents.known {
        let name = &agent.recipe.name;
        let Some(task) = agent.task() else {
            tally.left_out(format!("{name}: how it is given a task is not known"));
            continue;
        };
        let spec = inside.alone.with_agent(&agent.recipe, Scheme::Https);
        let spec = spec.map_err(|error| Why::Sandbox(one_line(&error)));
        match spec.and_then(|spec| given.both(inside, &spec, &task)) {
            Err(why) => tally.fails(name, why.text()),
            Ok((with, without)) => add(&mut tally, name, &with, &without),
        }
    }
    tally.outcome(check, "the image has no curl, git, node or agent")
}

fn add(tally: &mut Tally, name: &str, with: &Made, without: &Made) {
    match judge(with, without) {
        Ok(evidence) => tally.holds(format!("{name} {evidence}")),
        Err(problem) => tally.fails(name, problem),
    }
}

/// The bundle with the authority, on the host.
struct Given {
    file: PathBuf,
    /// Where it is seen inside.
    target: PathBuf,
}

impl Given {
    fn new(inside: &Inside) -> Result<Self, String> {
        let own = own_bundle(&inside.alone.spec.rootfs);
        let (target, mut text) = own.unwrap_or_else(|| (ELSEWHERE.into(), Vec::new()));
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(inside.authority()?.pem().as_bytes());
        let file = inside.folder().join("bundle.crt");
        fs_err::write(&file, text).map_err(|error| one_line(&error))?;
        Ok(Self { file, target })
    }

    fn to(&self, spec: &Spec, knows: Knows) -> Spec {
        let mut spec = spec.clone();
        if knows == Knows::Yes {
            spec.mounts.push(Mount::read_only(&self.file, &self.target));
            for name in VARIABLES {
                spec.env.insert(name.into(), self.target.display().to_string());
            }
        }
        spec
    }

    fn both(&self, inside: &Inside, spec: &Spec, args: &[&str]) -> Result<(Made, Made), Why> {
        let attempt = |knows: Knows| {
            let provider = inside.provider().map_err(Why::Sandbox)?;
            let enough = |seen: &Seen| {
                seen.trusted > 0 || seen.refused.len() >= if knows == Knows::Yes { TRIES } else { 1 }
            };
            let spec = self.to(spec, knows);
            let said = inside.follow(&spec, args, TIME, Some(&provider), &|| provider.has(enough))?;
            Ok(made(&provider.seen(), said.last()))
        };
        Ok((attempt(Knows::Yes)?, attempt(Knows::No)?))
    }
}

/// The image's own bundle, and where it is inside: links lead to it in images of Nix, and nothing is mounted on a link. They are
/// followed with the image as the root; a pipe in its place is not waited for.
fn own_bundle(root: &Path) -> Option<(PathBuf, Vec<u8>)> {
    let root = fs_err::canonicalize(root).ok()?;
    let top = fs_err::File::open(&root).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file =
        rustix::fs::openat2(&top, BUNDLE.trim_start_matches('/'), flags, Mode::empty(), inside).ok()?;
    let real = fs_err::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let target = Path::new("/").join(real.strip_prefix(&root).ok()?);
    let file = fs_err::File::from_parts(file.into(), real);
    let data = file.metadata().ok()?;
    let mut text = Vec::new();
    if !data.is_file() || data.len() > BUNDLE_MAX || file.take(BUNDLE_MAX).read_to_end(&mut text).is_err() {
        return None;
    }
    Some((target, text))
}

/// A sandbox whose loopback has the server's port and nothing else.
fn server_alone(spec: &Spec) -> Result<Spec, String> {
    let route = RouteSpec {
        id: RouteId(1),
        name: "verify".into(),
        listen_port: PORT,
        // Nobody is asked there: the port leads to the stand-in.
        upstream: "https://127.0.0.1"
            .parse()
            .map_err(|error| one_line(&error as &pinfold_network::RouteError))?,
        header: KeyHeader::Bearer,
        placeholder: String::new(),
        paths: vec!["/".into()],
        request: RequestRules::default(),
        reach: RouteAddresses::Public,
        set_headers: std::collections::BTreeMap::new(),
        append_headers: std::collections::BTreeMap::new(),
    };
    let key = Credential::Env(String::new());
    let egress = Egress { allow: Vec::new(), routes: vec![CredentialRoute { route, key }] };
    Ok(Spec { network: Network::Proxy(egress), ..spec.clone() })
}

#[cfg(test)]
mod tests {
    use rustix::fs::FileType;

    use super::*;

    #[test]
    fn both_attempts_count() {
        let (request, left) = (Made::Request, Made::Left("received fatal alert: UnknownCA".into()));
        let nothing = Made::Nothing("curl: option unknown".into());
        assert!(judge(&request, &left).is_ok());
        for (with, without, part) in [
            (&request, &request, "judges no certificate"),
            (&left, &left, "with the authority"),
            (&nothing, &left, "option unknown"),
            (&request, &nothing, "not seen"),
        ] {
            let problem = judge(with, without).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn a_bundle_is_found_behind_links_and_never_outside() {
        let dir = tempfile::tempdir().unwrap();
        let certs = dir.path().join("etc/ssl/certs");
        fs_err::create_dir_all(&certs).unwrap();
        let bundle = certs.join("ca-certificates.crt");
        let link = |target: &str| {
            fs_err::remove_file(&bundle).ok();
            std::os::unix::fs::symlink(target, &bundle).unwrap();
        };
        link("/etc/passwd");
        assert_eq!(own_bundle(dir.path()), None, "the image has none");
        link("../../../../../../../../../etc/passwd");
        assert_eq!(own_bundle(dir.path()), None, "nor above its root");
        fs_err::create_dir_all(dir.path().join("nix/store/made")).unwrap();
        fs_err::write(dir.path().join("nix/store/made/bundle.crt"), "y").unwrap();
        link("/nix/store/made/bundle.crt");
        assert_eq!(own_bundle(dir.path()), Some(("/nix/store/made/bundle.crt".into(), b"y".to_vec())));
        fs_err::remove_file(&bundle).unwrap();
        fs_err::write(&bundle, "x").unwrap();
        assert_eq!(own_bundle(dir.path()), Some((BUNDLE.into(), b"x".to_vec())));
        fs_err::remove_file(&bundle).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &bundle, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(own_bundle(dir.path()), None, "a pipe is not waited for");
    }
}
