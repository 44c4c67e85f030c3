//! The proxy as a service: one port for many sandboxes, rules that are replaced while it runs, figures, and an end that waits.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Figures;
use super::InForce;
use super::InForceError;
use super::JournalConfig;
use super::Listener;
use super::Members;
use super::Pools;
use super::Proxy;
use super::ProxyError;
use super::ProxyHandle;
use super::ProxyLimits;
use super::Shared;
use super::Trust;
use super::journal::Journal;
use crate::dial::Dialer;
use crate::tls::ServerTls;

/// Where decisions are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalTo {
    /// The standard output.
    Output,
    /// A file.
    File(JournalConfig),
}

/// All that a proxy for many sandboxes is made from.
#[derive(Debug)]
pub struct ServiceConfig {
    /// Who is known, and what each may reach.
    pub in_force: InForce,
    /// The proxy's certificate and key.
    pub tls: ServerTls,
    /// Where decisions are recorded.
    pub journal: JournalTo,
    /// Numbers and times.
    pub limits: ProxyLimits,
    /// How names become connections.
    pub dialer: Dialer,
    /// Whose certificates providers are believed with.
    pub trust: Trust,
    /// Event loops, each with a thread.
    pub loops: usize,
}

impl Proxy {
    /// Serves a port that is bound already, for every sandbox that has an identity.
    pub fn service(listener: TcpListener, config: ServiceConfig) -> Result<Self, ProxyError> {
        let ServiceConfig { in_force, tls, journal, limits, dialer, trust, loops } = config;
        let members = Members::many(in_force, None)?;
        let journal = match journal {
            JournalTo::Output => Journal::output().map_err(ProxyError::Journal)?,
            JournalTo::File(file) => Journal::open(&file.path, file.size_max).map_err(ProxyError::Journal)?,
        };
        let pools = Pools::of_many(&limits);
        let shared = Shared::new(members, Some(tls.0), Some(journal), limits, dialer, trust, loops)?;
        Ok(Self { listener: Listener::Tcp(listener), pools, shared: Arc::new(shared) })
    }
}

impl ProxyHandle {
    /// From now on this is in force, for who is there as well: who is not known any more loses its connections, and so does a tunnel
    /// to what is not allowed any more. On an error all stays as it was.
    pub fn replace(&self, in_force: InForce) -> Result<(), InForceError> {
        let members = Members::many(in_force, Some(&self.shared.members()))?;
        let members = Arc::new(members);
        *self.shared.members.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&members);
        self.shared.wake();
        let under_way = self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, one) in under_way.iter() {
            if one.proof.as_ref().is_some_and(|(hash, peer)| members.find(hash, *peer).is_none()) {
                // It may be closed already.
                let _ = rustix::net::shutdown(one.socket.as_fd(), rustix::net::Shutdown::Both);
            }
        }
        Ok(())
    }

    /// From now on hand-shakes are made with this certificate.
    pub fn replace_tls(&self, tls: ServerTls) {
        *self.shared.server_tls.write().unwrap_or_else(PoisonError::into_inner) = Some(tls.0);
    }

    /// Takes no more connections; those that are there go on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Connections that there is room for.
    pub fn places(&self) -> usize {
        self.shared.limits.connections
    }

    /// Whether a loop has ended though nobody stopped it; [`ProxyHandle::stop`] says why.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(std::thread::JoinHandle::is_finished)
    }

    /// What it has done, and does.
    pub fn figures(&self) -> Figures {
        let members = self.shared.members();
        let counts = &self.shared.counts;
        Figures {
            connections: self.shared.places_taken(),
            tunnels: counts.tunnels.load(Ordering::Relaxed),
            requests: self.shared.busy.load(Ordering::Relaxed),
            identities: members.count(),
            accepted: counts.accepted.load(Ordering::Relaxed),
            shakes_failed: counts.shakes_failed.load(Ordering::Relaxed),
            unknown: counts.unknown.load(Ordering::Relaxed),
            crowded: counts.crowded.load(Ordering::Relaxed),
            policies: members
                .policies()
                .iter()
                .map(|(name, policy)| (name.clone(), policy.counts.figures()))
                .collect(),
        }
    }
}
