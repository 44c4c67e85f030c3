//! The proxy for many, running: served, watched, read anew, drained.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::Diagnose as _;
use pinfold_base::error::one_line;
use pinfold_network::Credential;
use pinfold_network::Dialer;
use pinfold_network::JournalConfig;
use pinfold_network::JournalTo;
use pinfold_network::Proxy;
use pinfold_network::ProxyConfig;
use pinfold_network::ProxyHandle;
use pinfold_network::ProxyLimits;
use pinfold_network::ServiceConfig;
use pinfold_network::Surroundings;
use pinfold_network::Trust;
use pinfold_network::connections_within_limit;
use pinfold_network::raise_open_files;
use serde::Serialize;

use super::LimitsFile;
use super::ListenAt;
use super::ProxyFile;
use super::ServiceError;
use super::files;
use super::files::Reading;
use super::files::Stamps;
use super::files::beside;
use super::health::Health;
use super::health::State;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether the last connection has gone.
const DRAINED: Duration = Duration::from_millis(100);
/// Looks at which files may differ from the look before and still be waited for.
const UNSETTLED: u32 = 10;
/// After how long files that could not be used are read again though they did not change.
const AGAIN: Duration = Duration::from_secs(30);
/// The size of a journal's file before it is turned over.
const JOURNAL_MAX: u64 = 64 << 20;
/// The most event loops.
const LOOPS_MAX: usize = 4;

/// What is told while it runs, one line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Told {
    /// It serves.
    Serving {
        /// Where sandboxes connect to.
        listen: String,
        /// Where health is asked for.
        health: Option<SocketAddr>,
        /// Tokens that are known.
        identities: usize,
        /// Policies.
        policies: usize,
        /// Connections that there is room for.
        connections: usize,
    },
    /// Changed files are in force.
    Reloaded {
        /// Tokens that are known.
        identities: usize,
        /// Policies.
        policies: usize,
    },
    /// Changed files cannot be used, and what was read before stays in force.
    NotReloaded {
        /// Why.
        error: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A key was changed that counts from the next start only.
    NextStart {
        /// The key.
        key: &'static str,
    },
    /// It takes no more connections.
    Draining {
        /// Those that are there.
        connections: usize,
        /// How long they may go on.
        seconds: u64,
    },
    /// It has ended.
    Ended {
        /// Connections that were cut.
        cut: usize,
    },
}

/// What a configuration means, for who asks before it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Where sandboxes would connect to.
    pub listen: String,
    /// Where health would be asked for.
    pub health: Option<SocketAddr>,
    /// Where decisions would be recorded.
    pub journal: String,
    /// Tokens that are known.
    pub identities: usize,
    /// Of these, bound to an address.
    pub bound: usize,
    /// Policies.
    pub policies: Vec<CheckedPolicy>,
    /// Connections at once.
    pub connections: CheckedConnections,
}

/// How many connections a configuration allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedConnections {
    /// Of all sandboxes.
    pub all: usize,
    /// Of one.
    pub per_sandbox: usize,
    /// What the limit of open files of whoever asks leaves room for, with two for each.
    pub open_files: usize,
}

/// A route of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedRoute {
    /// Its name.
    pub name: String,
    /// The provider.
    pub upstream: String,
}

/// A policy of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedPolicy {
    /// Its name.
    pub name: String,
    /// Tokens that have it.
    pub identities: usize,
    /// Rules of the allow-list.
    pub rules: usize,
    /// Routes.
    pub routes: Vec<CheckedRoute>,
}

/// Reads a configuration with all that it names, and says what it means. Serves nothing.
pub fn check(path: &Path, listen: Option<&ListenAt>) -> Result<Checked, ServiceError> {
    let Reading { file, in_force, .. } = files::read(path, listen)?;
    let limits = limits(&file.limits);
    let identities = &in_force.identities;
    let policy = |(name, policy): (&String, &super::PolicyFile)| CheckedPolicy {
        name: name.clone(),
        identities: identities.iter().filter(|identity| identity.policy() == name).count(),
        rules: policy.allow.len(),
        routes: policy
            .route
            .iter()
            .map(|route| CheckedRoute { name: route.name.clone(), upstream: route.upstream.to_string() })
            .collect(),
    };
    // As it is done when it is served; where the limit cannot be raised there are fewer.
    let _ = raise_open_files();
    Ok(Checked {
        listen: file.listen.to_string(),
        health: file.health,
        journal: file.journal.clone(),
        identities: identities.len(),
        bound: identities.iter().filter(|identity| identity.address().is_some()).count(),
        policies: file.policy.iter().map(policy).collect(),
        connections: CheckedConnections {
            all: limits.connections,
            per_sandbox: limits.per_sandbox,
            open_files: connections_within_limit(),
        },
    })
}

fn limits(file: &LimitsFile) -> ProxyLimits {
    ProxyLimits {
        connections: file.connections.unwrap_or(40_000),
        per_sandbox: file.per_sandbox.unwrap_or(256),
        requests: file.requests.unwrap_or(2_048),
        requests_per_sandbox: file.requests_per_sandbox.unwrap_or(32),
        dials: 256,
        ..ProxyLimits::default()
    }
}

/// The file of a socket, which is removed at the end unless somebody else has put another one in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and number.
    id: (u64, u64),
}

impl SocketFile {
    fn id(path: &Path) -> std::io::Result<(u64, u64)> {
        let stat = fs::symlink_metadata(path)?;
        Ok((stat.dev(), stat.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::id(&self.path).is_ok_and(|id| id == self.id) {
            // One that stays harms nobody: the next start takes its place.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A proxy that serves what its files say.
#[derive(Debug)]
pub struct Service {
    path: PathBuf,
    listen: Option<ListenAt>,
    file: ProxyFile,
    address: Option<SocketAddr>,
    /// Where one sandbox connects to; it goes with this.
    socket: Option<SocketFile>,
    stamps: Stamps,
    /// What was there when it was last looked, where that is not what was read, and for how many looks it has been so.
    seen: Option<(Stamps, u32)>,
    /// When files that could not be used are read again.
    again: Option<Instant>,
    handle: Arc<ProxyHandle>,
    state: Arc<State>,
    health: Option<Health>,
}

impl Service {
    /// Starts to serve. `listen` counts instead of what the configuration says.
    pub fn start(path: &Path, listen: Option<ListenAt>) -> Result<Self, ServiceError> {
        let (dialer, trust) = (Dialer::default(), Trust::System);
        let Reading { file, in_force, tls, stamps } = files::read(path, listen.as_ref())?;
        // As many connections as may be had; where the limit cannot be raised there are fewer.
        let _ = raise_open_files();
        let limits = limits(&file.limits);
        let journal = JournalConfig { path: beside(path, Path::new(&file.journal)), size_max: JOURNAL_MAX };
        let mut socket = None;
        let (proxy, address) = match (&file.listen, tls) {
            (ListenAt::Tcp(at), Some(tls)) => {
                let failed = |source| ServiceError::Listen { what: "sandboxes", at: at.to_string(), source };
                let listener = TcpListener::bind(at).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                let journal = if file.journal == "-" { JournalTo::Output } else { JournalTo::File(journal) };
                let loops = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(LOOPS_MAX);
                let config = ServiceConfig { in_force, tls, journal, limits, dialer, trust, loops };
                (Proxy::service(listener, config)?, Some(address))
            }
            (ListenAt::Unix(at), _) => {
                let around = Surroundings::default();
                let mut config = ProxyConfig { limits, dialer, trust, ..ProxyConfig::default() };
                // It was checked that there is one.
                if let Some((name, policy)) = file.policy.first_key_value() {
                    config.allow =
                        in_force.policies.get(name).map(|spec| spec.allow.clone()).unwrap_or_default();
                    for route in &policy.route {
                        let key = Credential::file(&beside(path, &route.key), &around)?;
                        config.routes.push((route.spec(), key));
                    }
                }
                config.journal = (file.journal != "-").then_some(journal);
                let at = beside(path, at);
                let proxy = Proxy::bind(&at, config)?;
                socket = SocketFile::id(&at).ok().map(|id| SocketFile { path: at, id });
                (proxy, None)
            }
            (ListenAt::Tcp(_), None) => {
                // `check` asks for both, so this is never reached; without them nothing is served.
                file.check(path)?;
                let source = std::io::Error::other("there is no certificate");
                return Err(ServiceError::Listen { what: "sandboxes", at: file.listen.to_string(), source });
            }
        };
        let handle = Arc::new(proxy.spawn()?);
        let state = State::new(Arc::clone(&handle));
        let health = file.health.map(|at| {
            Health::start(at, Arc::clone(&state)).map_err(|source| ServiceError::Listen {
                what: "health",
                at: at.to_string(),
                source,
            })
        });
        let health = health.transpose()?;
        let path = path.to_owned();
        Ok(Self {
            path,
            listen,
            file,
            address,
            socket,
            stamps,
            seen: None,
            again: None,
            handle,
            state,
            health,
        })
    }

    /// Where sandboxes connect to, over TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where health is asked for.
    pub fn health(&self) -> Option<SocketAddr> {
        self.health.as_ref().map(Health::address)
    }

    /// Serves until `ending` says so (it waits for so long at most), then drains. What happens is `told`.
    pub fn run(
        mut self,
        mut ending: impl FnMut(Duration) -> bool,
        mut told: impl FnMut(&Told),
    ) -> Result<(), ServiceError> {
        told(&Told::Serving {
            listen: self.address.map_or_else(|| self.file.listen.to_string(), |address| address.to_string()),
            health: self.health(),
            identities: self.handle.figures().identities,
            policies: self.file.policy.len(),
            connections: self.handle.places(),
        });
        while !ending(LOOK) {
            if self.handle.has_failed() {
                return self.end();
            }
            self.look(&mut told);
        }
        self.handle.drain();
        self.state.draining.store(true, Ordering::SeqCst);
        let until = Instant::now() + self.file.drain.0;
        let connections = self.handle.connections();
        told(&Told::Draining { connections, seconds: self.file.drain.0.as_secs() });
        while self.handle.connections() > 0 && Instant::now() < until && !self.handle.has_failed() {
            thread::sleep(DRAINED);
        }
        let cut = self.handle.connections();
        self.end()?;
        told(&Told::Ended { cut });
        Ok(())
    }

    fn end(self) -> Result<(), ServiceError> {
        let Self { handle, state, health, socket, .. } = self;
        drop((health, state, socket));
        // Answers that are being given hold it for a moment; dropping the last one stops it as well.
        match Arc::into_inner(handle) {
            Some(handle) => Ok(handle.stop()?),
            None => Ok(()),
        }
    }

    /// Reads files that have changed and were the same in two looks, so that none is read while it is being written. What cannot be used changes nothing.
    pub fn look(&mut self, mut told: impl FnMut(&Told)) {
        // A socket's rules are one sandbox's, which is started with them.
        if self.address.is_none() {
            return;
        }
        let now = Instant::now();
        let stamps = Stamps::of(&self.path, &self.file);
        let changed = stamps != self.stamps;
        if !changed && self.again.is_none_or(|again| again > now) {
            return;
        }
        if changed {
            let looks = self.seen.as_ref().map_or(0, |(_, looks)| *looks);
            let settled = self.seen.as_ref().is_some_and(|(seen, _)| *seen == stamps);
            // Who changes a file every second holds up nothing for long.
            if !settled && looks < UNSETTLED {
                self.seen = Some((stamps, looks + 1));
                return;
            }
        }
        self.seen = None;
        match self.reload() {
            Ok(said) => {
                self.again = None;
                self.state.reloads.fetch_add(1, Ordering::Relaxed);
                self.state.current.store(true, Ordering::Relaxed);
                said.iter().for_each(&mut told);
            }
            Err(error) => {
                self.again = Some(now + AGAIN);
                self.state.current.store(false, Ordering::Relaxed);
                self.state.reload_failures.fetch_add(1, Ordering::Relaxed);
                // The same failure is told once.
                if changed {
                    told(&Told::NotReloaded { error: one_line(&error), hint: error.hint() });
                }
                self.stamps = stamps;
            }
        }
    }

    fn reload(&mut self) -> Result<Vec<Told>, ServiceError> {
        let Reading { file, in_force, tls, stamps } = files::read(&self.path, self.listen.as_ref())?;
        let (identities, policies) = (in_force.identities.len(), in_force.policies.len());
        self.handle.replace(in_force)?;
        if let Some(tls) = tls {
            self.handle.replace_tls(tls);
        }
        let mut said = vec![Told::Reloaded { identities, policies }];
        let before = &self.file;
        for (key, differs) in [
            ("listen", file.listen != before.listen),
            ("health", file.health != before.health),
            ("journal", file.journal != before.journal),
            ("limits", file.limits != before.limits),
        ] {
            if differs {
                said.push(Told::NextStart { key });
            }
        }
        self.file = file;
        self.stamps = stamps;
        Ok(said)
    }
}
