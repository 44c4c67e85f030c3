//! What of the user's home an agent may be given by name. None of it is, unless it is asked for.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_engine::context::Environment;

use super::error::PortableVerbError;
use crate::render;
use crate::render::table::Align;
use crate::render::table::Table;

/// The agent of SSH, and where it is.
const AGENT: &str = "ssh-agent";
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";
/// Where its socket is inside.
const AGENT_INSIDE: &str = "/run/ssh-agent.sock";

/// Something that can be shared.
struct Share {
    name: &'static str,
    /// As `pinfold run --volume` has it, with `/*` for each of what is there; for the agent of SSH, whose socket is wherever it is, for
    /// the help alone.
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
        volume: "~/.config/*:rw",
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
        name: AGENT,
        volume: "$SSH_AUTH_SOCK:/run/ssh-agent.sock:rw",
        exposes: "signatures of all keys in your agent while it runs, wherever it may connect to; the keys stay outside",
    },
    Share {
        name: "ssh",
        volume: "~/.ssh:~/.ssh:ro",
        exposes: "your private keys, which can be sent anywhere that is allowed",
    },
];

/// The words of `pinfold run` that a name means.
pub(super) fn words(name: &str, environment: &Environment) -> Result<Vec<OsString>, PortableVerbError> {
    if name == AGENT {
        return agent(environment.raw(AGENT_VARIABLE));
    }
    let found = SHARES.iter().find(|share| share.name == name);
    let share = found.ok_or_else(|| PortableVerbError::Share(name.to_owned()))?;
    let volumes = match share.volume.strip_suffix("/*:rw") {
        None => vec![is_there(share, environment.home())?.into()],
        Some(folder) => each(Path::new(folder), environment.home()),
    };
    Ok(volumes.into_iter().flat_map(|volume| ["--volume".into(), volume]).collect())
}

/// The mount of a share whose source is there.
fn is_there(share: &Share, home: Option<&Path>) -> Result<&'static str, PortableVerbError> {
    let source = share.volume.split(':').next().unwrap_or_default();
    let real = source.strip_prefix("~/").and_then(|below| Some(home?.join(below)));
    match real {
        Some(real) if !real.exists() => Err(PortableVerbError::Missing { share: share.name, place: source }),
        _ => Ok(share.volume),
    }
}

/// What is in a folder below `~`, by itself each: a mount of all of it would hold pinfold's own configuration, which no sandbox gets to
/// write. Nothing for a folder that is not there. A link that leads out of the folder, or nowhere, is left out and told: what is behind
/// it was not asked for. So is a name that no mount can have.
fn each(folder: &Path, home: Option<&Path>) -> Vec<OsString> {
    let real = folder.strip_prefix("~").ok().and_then(|below| fs::canonicalize(home?.join(below)).ok());
    let Some(real) = real else { return Vec::new() };
    let own = real.join("pinfold");
    let is_in = |name: &OsStr| {
        fs::canonicalize(real.join(name))
            .is_ok_and(|path| path.starts_with(&real) && path != real && !path.starts_with(&own))
    };
    let entries = fs::read_dir(&real).into_iter().flatten().flatten();
    let mut names: Vec<OsString> =
        entries.map(|entry| entry.file_name()).filter(|name| name != "pinfold").collect();
    names.sort();
    let mut volumes = Vec::new();
    for name in names {
        let path = folder.join(&name);
        if name.as_encoded_bytes().contains(&b':') || !is_in(&name) {
            render::note(shown!(
                "`{}` is not shared: it leads elsewhere, or has a name that no mount can have",
                path.display()
            ));
            continue;
        }
        let mut volume = path.clone().into_os_string();
        volume.push(":");
        volume.push(path);
        volume.push(":rw");
        volumes.push(volume);
    }
    volumes
}

/// The socket of the user's agent, by its own path and not a link's, and the variable that says where it is.
fn agent(named: Option<&OsStr>) -> Result<Vec<OsString>, PortableVerbError> {
    let named = named.filter(|named| !named.is_empty()).ok_or(PortableVerbError::Agent("that is not set"))?;
    let socket = fs::canonicalize(named)
        .ok()
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()));
    let socket = socket.ok_or(PortableVerbError::Agent("there is no socket"))?;
    let mut mount = socket.into_os_string();
    mount.push(format!(":{AGENT_INSIDE}:rw"));
    let variable = format!("{AGENT_VARIABLE}={AGENT_INSIDE}").into();
    Ok(vec!["--volume".into(), mount, "--env".into(), variable])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_shared_by_its_socket_and_nothing_else() {
        let with = |named: Option<&OsStr>| -> Environment {
            named.map(|named| ("SSH_AUTH_SOCK", named)).into_iter().collect()
        };
        let scratch = tempfile::tempdir().unwrap();
        let socket = scratch.path().join("a b");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let real = fs::canonicalize(&socket).unwrap();
        for named in [&socket, &link] {
            let words = words(AGENT, &with(Some(named.as_os_str()))).unwrap();
            let mount = format!("{}:/run/ssh-agent.sock:rw", real.display());
            assert_eq!(words, ["--volume", &mount, "--env", "SSH_AUTH_SOCK=/run/ssh-agent.sock"]);
        }
        let refused = |named: Option<&OsStr>| words(AGENT, &with(named)).unwrap_err().to_string();
        assert!(
            refused(None).ends_with("that is not set")
                && refused(Some(OsStr::new(""))).ends_with("that is not set")
        );
        for named in [scratch.path(), &scratch.path().join("none")] {
            assert!(refused(Some(named.as_os_str())).ends_with("there is no socket"));
        }
        assert!(matches!(words("nothing", &Environment::default()), Err(PortableVerbError::Share(_))));
        let home = Environment::from([("HOME", scratch.path())]);
        assert_eq!(words("ssh", &home).unwrap_err().to_string(), "there is no `~/.ssh`");
        fs::create_dir(scratch.path().join(".ssh")).unwrap();
        assert_eq!(words("ssh", &home).unwrap(), ["--volume", "~/.ssh:~/.ssh:ro"]);
    }

    #[test]
    fn a_folder_is_shared_by_what_is_in_it_without_the_configuration_of_pinfold() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::from([("HOME", home.path().as_os_str())]);
        let shared = || words("config", &environment).unwrap();
        assert_eq!(shared(), [""; 0], "nothing is there");
        for name in ["pinfold", "git", "a:b", "gh"] {
            fs::create_dir_all(home.path().join(".config").join(name)).unwrap();
        }
        fs::create_dir(home.path().join(".ssh")).unwrap();
        // A link within the folder is what it means; no other is followed.
        let (inside, out) = ([("in", "git")], [("keys", "../.ssh"), ("etc", "/etc"), ("me", ".")]);
        for (link, target) in
            inside.into_iter().chain(out).chain([("gone", "none"), ("loop", "loop"), ("own", "pinfold")])
        {
            std::os::unix::fs::symlink(target, home.path().join(".config").join(link)).unwrap();
        }
        let expected = [
            "--volume",
            "~/.config/gh:~/.config/gh:rw",
            "--volume",
            "~/.config/git:~/.config/git:rw",
            "--volume",
            "~/.config/in:~/.config/in:rw",
        ];
        assert_eq!(shared(), expected);
    }
}
