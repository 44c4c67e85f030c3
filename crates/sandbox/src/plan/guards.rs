//! The guards of a sandbox that are steps rather than values: each stands in the plan, and who carries out a step asks
//! whether it [`holds`](Guard::holds).
//!
//! **Guarantees**: in a released program every guard holds, in every plan, wherever the plan came from. [`Guard::Down`]
//! carries a [`Power`], and that type has no value there ([`crate::weaken`]): such a plan can be neither made nor read.

use serde::Deserialize;
use serde::Serialize;

use crate::weaken::Power;

/// Whether a guard is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// It is.
    #[default]
    Up,
    /// It is left out, for the negative control of its test.
    Down(Power),
}

impl Guard {
    /// Whether it is in force.
    pub const fn holds(&self) -> bool {
        matches!(self, Self::Up)
    }
}

/// All of them; the default is that each holds. On the wire only what is left out is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guards {
    /// The image cannot be written to.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub read_only_root: Guard,
    /// No capability in any set.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub capabilities: Guard,
    /// The program is in a user namespace below the one that owns the mounts.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub inner_user_namespace: Guard,
    /// No further user namespace can be made.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub nested_namespaces: Guard,
    /// `no_new_privs`.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub no_new_privileges: Guard,
    /// The system-call filter.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub seccomp: Guard,
    /// No descriptor above 2 reaches the program.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub descriptors: Guard,
    /// No descriptor of the caller's reaches the program as its streams.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub streams: Guard,
    /// What root's sandbox is shown of the host has its ids.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub mapped_mounts: Guard,
    /// The program has a session of its own.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub session: Guard,
    /// Process 1 cannot be looked at.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub hidden_init: Guard,
    /// Process 1 runs from a file that nothing inside can write to.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub protected_program: Guard,
    /// No mount's source leads through a link that a sandbox may have made.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub plain_sources: Guard,
    /// What the host runs by itself is neither changed nor made.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub protected_names: Guard,
    /// Directories on the way to it cannot be exchanged.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub held_parents: Guard,
    /// That nothing leads out of a sealed sandbox is proved before its program runs.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub network_proof: Guard,
    /// The user's terminal gets what draws and nothing else.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub shown_output: Guard,
    /// What a session showed is kept within bounds.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub bounded_log: Guard,
    /// What a killed supervisor left is cleared by the next look.
    #[serde(skip_serializing_if = "Guard::holds")]
    pub cleared_leftovers: Guard,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not named holds, and nothing that is not a guard is passed over.
    #[test]
    fn an_empty_record_is_every_guard() {
        let guards: Guards = serde_json::from_str("{}").unwrap();
        assert_eq!(guards, Guards::default());
        assert!(guards.seccomp.holds());
        assert_eq!(serde_json::to_string(&guards).unwrap(), "{}");
        assert!(serde_json::from_str::<Guards>(r#"{"seccmp":"up"}"#).is_err());
    }
}
