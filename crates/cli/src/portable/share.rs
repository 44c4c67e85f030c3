//! What of the user's home an agent may be given by name. None of it is, unless it is asked for.

use pinfold_base::Shown;

use super::error::PortableVerbError;
use crate::render::table::Align;
use crate::render::table::Table;

/// Something that can be shared.
struct Share {
    name: &'static str,
    /// As `pinfold run --volume` has it.
    volume: &'static str,
    /// What that exposes.
    exposes: &'static str,
}

const SHARES: &[Share] = &[
    Share {
        name: "claude-config",
        volume: "~/.claude:~/.claude:rw",
        exposes: "your login, history and settings of Claude Code; what it writes there, your own Claude Code obeys",
    },
    Share {
        name: "config",
        volume: "~/.config:~/.config:rw",
        exposes: "settings and logins of your programs; what is written there, they obey (autostart, systemd)",
    },
    Share {
        name: "npm-global",
        volume: "~/.npm-global:~/.npm-global:rw",
        exposes: "programs that you run yourself: they can be changed",
    },
    Share { name: "git", volume: "~/mnt_git:~/mnt_git:rw", exposes: "all repositories in ~/mnt_git" },
    Share {
        name: "gitconfig",
        volume: "~/.gitconfig:~/.gitconfig:ro",
        exposes: "your name, address and aliases",
    },
    Share {
        name: "ssh",
        volume: "~/.ssh:~/.ssh:ro",
        exposes: "your private keys, which can be sent anywhere that is allowed",
    },
];

/// The mount that a name means.
pub(super) fn volume(name: &str) -> Result<&'static str, PortableVerbError> {
    let found = SHARES.iter().find(|share| share.name == name);
    found.map(|share| share.volume).ok_or_else(|| PortableVerbError::Share(name.to_owned()))
}

/// What can be shared.
pub(super) fn names() -> Vec<&'static str> {
    SHARES.iter().map(|share| share.name).collect()
}

/// What can be shared, for the help.
pub(super) fn table() -> Table {
    let mut table =
        Table::new(&[("SHARE", Align::Left), ("MOUNT", Align::Left), ("WHAT THAT EXPOSES", Align::Left)]);
    for share in SHARES {
        table.row([Shown::from(share.name), share.volume.into(), share.exposes.into()]);
    }
    table
}
