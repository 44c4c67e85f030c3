//! Who may do what: policies, the sandboxes that have them, and the places that sandboxes take.
//!
//! ```text
//!   token ─► hash ─► Member ─┬─► Sandbox: its name, its connections (kept when lists are read anew)
//!                            └─► Policy:  allow-list, routes with keys, counts
//!
//!   Seat   one connection of a member; counted while it lives
//! ```
//!
//! **Guarantees**: what a connection may do is looked up by what it has proven, and by nothing that it says. A new list takes
//! effect for who is there already: a seat whose token is gone, or bound to another address, is not renewed. Every identity of a list
//! that is in force has a policy.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;

use super::counts::Counts;
use crate::identity::Identities;
use crate::identity::TokenHash;
use crate::relay::RouteId;
use crate::route::Route;
use crate::route::RouteError;
use crate::route::RouteSpec;
use crate::rules::AllowList;
use crate::secret::Secret;

/// What sandboxes of one policy may reach.
#[derive(Clone, Debug, Default)]
pub struct PolicySpec {
    /// The allow-list.
    pub allow: AllowList,
    /// Credential routes with their keys.
    pub routes: Vec<(RouteSpec, Secret)>,
}

/// All that decides what a proxy for many lets through. It is replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// Policies by their names.
    pub policies: BTreeMap<String, PolicySpec>,
    /// Who has which.
    pub identities: Identities,
}

impl InForce {
    /// Whether it can be in force.
    pub fn check(&self) -> Result<(), InForceError> {
        for (spec, _) in self.policies.values().flat_map(|policy| &policy.routes) {
            spec.check()?;
        }
        let without = self.identities.iter().find(|one| !self.policies.contains_key(one.policy()));
        match without {
            None => Ok(()),
            Some(one) => {
                Err(InForceError::NoPolicy { name: one.name().to_owned(), policy: one.policy().to_owned() })
            }
        }
    }
}

/// Why rules cannot be in force.
#[derive(Debug, thiserror::Error)]
pub enum InForceError {
    /// A route cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// An identity without a policy.
    #[error("the identity `{name}` has the policy `{policy}`, which the configuration does not have")]
    NoPolicy {
        /// The identity.
        name: String,
        /// The policy.
        policy: String,
    },
}

impl Diagnose for InForceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Route(error) => Diagnosis::Inner(error),
            Self::NoPolicy { .. } => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Route(_) => None,
            Self::NoPolicy { policy, .. } => {
                Some(format!("write `[policy.{policy}]`, or give the identity a policy that is there"))
            }
        }
    }
}

/// A policy in force.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) allow: AllowList,
    pub(crate) routes: BTreeMap<RouteId, Route>,
    pub(crate) counts: Arc<Counts>,
}

impl Policy {
    pub(crate) fn new(
        allow: AllowList,
        routes: impl IntoIterator<Item = Result<Route, RouteError>>,
        counts: Arc<Counts>,
    ) -> Result<Self, RouteError> {
        let mut table: BTreeMap<RouteId, Route> = BTreeMap::new();
        for route in routes {
            let route = route?;
            if let Some(first) = table.get(&route.spec().id) {
                return Err(RouteError::Twice {
                    first: first.spec().name.clone(),
                    second: route.spec().name.clone(),
                });
            }
            table.insert(route.spec().id, route);
        }
        Ok(Self { allow, routes: table, counts })
    }
}

/// A sandbox, for as long as somebody knows it.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// None of the one at a Unix socket.
    pub(crate) name: Option<String>,
    /// By which it is told apart where turns are given.
    pub(crate) number: u64,
    connections: AtomicUsize,
}

impl Sandbox {
    fn new(name: Option<String>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            name,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            connections: AtomicUsize::new(0),
        })
    }
}

/// A sandbox with what it may do.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) policy: Arc<Policy>,
    address: Option<IpAddr>,
    hash: Option<TokenHash>,
}

/// Everybody who is known, as of one reading.
#[derive(Debug)]
pub(crate) struct Members {
    only: Option<Arc<Member>>,
    by_hash: HashMap<TokenHash, Arc<Member>>,
    policies: BTreeMap<String, Arc<Policy>>,
}

impl Members {
    /// The one sandbox of a Unix socket.
    pub(crate) fn one(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        let only =
            Member { sandbox: Sandbox::new(None), policy: Arc::clone(&policy), address: None, hash: None };
        Self {
            only: Some(Arc::new(only)),
            by_hash: HashMap::new(),
            policies: BTreeMap::from([(String::new(), policy)]),
        }
    }

    /// Those of a list. What was counted `before` goes on.
    pub(crate) fn many(in_force: InForce, before: Option<&Self>) -> Result<Self, InForceError> {
        let mut policies = BTreeMap::new();
        for (name, spec) in in_force.policies {
            let counts = before.and_then(|before| before.policies.get(&name));
            let counts = counts.map(|policy| Arc::clone(&policy.counts)).unwrap_or_default();
            let routes = spec.routes.into_iter().map(|(spec, key)| Route::with_key(spec, key));
            policies.insert(name, Arc::new(Policy::new(spec.allow, routes, counts)?));
        }
        let mut sandboxes: HashMap<&str, Arc<Sandbox>> = before
            .into_iter()
            .flat_map(|before| before.by_hash.values())
            .filter_map(|member| Some((member.sandbox.name.as_deref()?, Arc::clone(&member.sandbox))))
            .collect();
        let mut by_hash = HashMap::with_capacity(in_force.identities.len());
        for identity in in_force.identities.iter() {
            let policy = policies.get(identity.policy()).ok_or_else(|| InForceError::NoPolicy {
                name: identity.name().to_owned(),
                policy: identity.policy().to_owned(),
            })?;
            let sandbox = sandboxes
                .entry(identity.name())
                .or_insert_with(|| Sandbox::new(Some(identity.name().to_owned())));
            let member = Member {
                sandbox: Arc::clone(sandbox),
                policy: Arc::clone(policy),
                address: identity.address(),
                hash: Some(identity.hash().clone()),
            };
            by_hash.insert(identity.hash().clone(), Arc::new(member));
        }
        Ok(Self { only: None, by_hash, policies })
    }

    /// The one whose every connection is.
    pub(crate) fn only(&self) -> Option<&Arc<Member>> {
        self.only.as_ref()
    }

    /// Whose token it is, if it may come from there.
    pub(crate) fn find(&self, hash: &TokenHash, peer: IpAddr) -> Option<&Arc<Member>> {
        let member = self.by_hash.get(hash)?;
        member.address.is_none_or(|address| address == peer.to_canonical()).then_some(member)
    }

    pub(crate) fn policies(&self) -> &BTreeMap<String, Arc<Policy>> {
        &self.policies
    }

    /// Tokens that are known.
    pub(crate) fn count(&self) -> usize {
        self.by_hash.len()
    }
}

/// One connection of a member. It is counted while it lives.
#[derive(Debug)]
pub(crate) struct Seat {
    member: Arc<Member>,
    peer: Option<IpAddr>,
}

impl Seat {
    /// A place for one more, if the sandbox has fewer than `most`.
    pub(crate) fn take(member: &Arc<Member>, peer: Option<IpAddr>, most: usize) -> Option<Self> {
        let connections = &member.sandbox.connections;
        if connections.fetch_add(1, Ordering::Relaxed) >= most {
            connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { member: Arc::clone(member), peer })
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Whether the member is known still; from now on its newest rules count.
    pub(crate) fn renew(&mut self, members: &Members) -> bool {
        let Some((hash, peer)) = self.member.hash.as_ref().zip(self.peer) else { return true };
        let Some(member) = members.find(hash, peer) else { return false };
        if !Arc::ptr_eq(member, &self.member) {
            let member = Arc::clone(member);
            member.sandbox.connections.fetch_add(1, Ordering::Relaxed);
            self.member.sandbox.connections.fetch_sub(1, Ordering::Relaxed);
            self.member = member;
        }
        true
    }

    /// By what a job under way is found again when its member is not known any more.
    pub(crate) fn proof(&self) -> Option<(TokenHash, IpAddr)> {
        self.member.hash.clone().zip(self.peer)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.member.sandbox.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::identity::Token;

    fn in_force(tokens: &[(&str, &Token, &str, Option<&str>)]) -> InForce {
        let mut identities = Identities::default();
        for (name, token, policy, address) in tokens {
            let address = address.map(|address| address.parse().unwrap());
            identities.add(Identity::new(name, token.hash(), policy, address).unwrap()).unwrap();
        }
        let allow = |rule| AllowList::parse([rule]).unwrap();
        let policy = |rule| PolicySpec { allow: allow(rule), routes: Vec::new() };
        let policies = [("p", "p.example"), ("q", "q.example")];
        InForce {
            policies: policies.into_iter().map(|(name, rule)| (name.to_owned(), policy(rule))).collect(),
            identities,
        }
    }

    #[test]
    fn a_token_gives_its_own_policy_and_its_own_places() {
        let [a, b, stranger] = [(); 3].map(|()| Token::generate().unwrap());
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let list = [("a", &a, "p", None), ("b", &b, "q", Some("10.0.0.1"))];
        let members = Members::many(in_force(&list), None).unwrap();
        let rule = |token: &Token, peer: IpAddr| {
            let member = members.find(&token.hash(), peer)?;
            Some(member.policy.allow.rules()[0].to_string())
        };
        assert_eq!(rule(&a, peer).as_deref(), Some("p.example"));
        assert_eq!(rule(&b, peer).as_deref(), Some("q.example"));
        assert_eq!(rule(&b, "::ffff:10.0.0.1".parse().unwrap()).as_deref(), Some("q.example"));
        assert_eq!(rule(&b, "10.0.0.2".parse().unwrap()), None);
        assert_eq!(rule(&stranger, peer), None);
        let of = |token: &Token| members.find(&token.hash(), peer).unwrap();
        let seats: Vec<Seat> = (0..2).map(|_| Seat::take(of(&a), Some(peer), 2).unwrap()).collect();
        assert!(Seat::take(of(&a), Some(peer), 2).is_none());
        assert!(Seat::take(of(&b), Some(peer), 2).is_some(), "another's places are its own");
        drop(seats);
        assert!(Seat::take(of(&a), Some(peer), 1).is_some());
    }

    #[test]
    fn a_seat_follows_the_newest_list_or_is_lost() {
        let [a, second] = [(); 2].map(|()| Token::generate().unwrap());
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let first = Members::many(in_force(&[("a", &a, "p", None)]), None).unwrap();
        let mut seat = Seat::take(first.find(&a.hash(), peer).unwrap(), Some(peer), 9).unwrap();
        // Another policy, and one more token of the same sandbox.
        let list = [("a", &a, "q", None), ("a", &second, "q", None)];
        let then = Members::many(in_force(&list), Some(&first)).unwrap();
        assert!(seat.renew(&then));
        assert_eq!(seat.member().policy.allow.rules()[0].to_string(), "q.example");
        assert!(Seat::take(then.find(&second.hash(), peer).unwrap(), Some(peer), 1).is_none(), "one sandbox");
        for gone in [vec![("a", &second, "q", None)], vec![("a", &a, "q", Some("10.0.0.2"))]] {
            assert!(!seat.renew(&Members::many(in_force(&gone), Some(&then)).unwrap()));
        }
        let error = Members::many(in_force(&[("a", &a, "r", None)]), None).unwrap_err();
        assert!(error.to_string().contains("the policy `r`"), "{error}");
    }
}
