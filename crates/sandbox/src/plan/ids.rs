//! Which ids of the host a sandbox has: the caller's, but for root's, where ids that nobody has stand in.
//!
//! **Guarantees**: a sandbox that the machine's root starts is not root for the host's kernel, whatever it gets past, unless
//! the caller has said that it may be. What it writes to the host's directories is root's all the same: they are mounted with
//! the two ids exchanged (`start::trees`).

use serde::Deserialize;
use serde::Serialize;

use crate::plan::wall::Standing;
use crate::plan::wall::Wall;
use crate::probe::Probe;
use crate::spec::Need;
use crate::spec::Spec;

/// First of the ids that stand for those of root's sandboxes, where root has none in `/etc/subuid`. systemd keeps what
/// begins here for containers.
pub(crate) const FIRST: u32 = 524_288;

/// Ids outside and inside. Both outer namespace and sandbox map one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// The user id on the host.
    pub host_uid: u32,
    /// The group id on the host.
    pub host_gid: u32,
    /// The user id inside.
    pub uid: u32,
    /// The group id inside.
    pub gid: u32,
    /// Whose the ids on the host are.
    #[serde(default)]
    pub outside: Outside,
}

/// Whose ids a sandbox has on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// The caller's.
    #[default]
    Caller,
    /// Nobody's; they stand in for root's.
    StandIn,
    /// Nobody's where all mounts can be had for them, root's otherwise: the caller has said that it may be.
    StandInOrRoot,
}

impl IdMap {
    /// Those of `spec`, and how the wall stands with them.
    pub(super) fn plan(spec: &Spec, probe: &Probe) -> (Self, Standing) {
        let outside = match spec.policy.stand_in {
            _ if probe.uid != 0 || !in_first_namespace() => Outside::Caller,
            Need::Required => Outside::StandIn,
            Need::IfAvailable => Outside::StandInOrRoot,
            Need::Off => Outside::Caller,
        };
        let (host_uid, host_gid) = match outside {
            Outside::Caller => (probe.uid, probe.gid),
            Outside::StandIn | Outside::StandInOrRoot => (stand_in("/etc/subuid"), stand_in("/etc/subgid")),
        };
        let ids = Self { host_uid, host_gid, uid: spec.user.uid, gid: spec.user.gid, outside };
        (ids, ids.standing())
    }

    /// Root's own after all.
    pub(crate) fn as_root(self) -> Self {
        let gid = rustix::process::getegid().as_raw();
        Self { host_uid: 0, host_gid: gid, outside: Outside::Caller, ..self }
    }

    /// How the wall of user namespaces stands with these.
    pub(crate) fn standing(&self) -> Standing {
        match (self.outside, self.host_uid) {
            (Outside::Caller, 0) => Standing::graded(
                Wall::UserNamespaces,
                "started by root: outside, the program's id is root's; an ordinary user's sandbox has one wall more",
            ),
            (Outside::Caller, _) => Standing::on(Wall::UserNamespaces),
            (Outside::StandIn | Outside::StandInOrRoot, uid) => Standing::graded(
                Wall::UserNamespaces,
                format!("started by root: outside, the program's id is {uid}, which is nobody's"),
            ),
        }
    }
}

/// Whether ids here are those of the machine: root of a user namespace has an ordinary id there.
fn in_first_namespace() -> bool {
    fs_err::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// The id after the first of root's own range, which is id 0 of root's containers elsewhere.
fn stand_in(file: &str) -> u32 {
    fs_err::read_to_string(file).ok().and_then(|text| range_of_root(&text)).unwrap_or(FIRST) + 1
}

/// subuid(5): name or id, first id, count.
fn range_of_root(text: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse::<u32>().ok()?);
        (matches!(owner, "root" | "0") && count > 1 && first > 0 && first < u32::MAX - 2).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_own_range_is_found() {
        for (text, expected) in [
            ("", None),
            ("alice:100000:65536\n", None),
            ("alice:100000:65536\nroot:200000:65536\n", Some(200_000)),
            ("0:300000:65536", Some(300_000)),
            ("root:0:65536", None),
            ("root:200000:1", None),
            ("root:4294967294:65536", None),
            ("root:x:1", None),
        ] {
            assert_eq!(range_of_root(text), expected, "{text}");
        }
    }
}
