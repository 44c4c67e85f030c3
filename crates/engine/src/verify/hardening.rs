//! What an image should not have: set-id bits, what everybody may write to, capabilities, traces of a machine.

use std::net::IpAddr;

use pinfold_base::ImagePath;
use pinfold_image::survey::Access;
use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

use super::checks::HARDENING_CAPABILITIES;
use super::checks::HARDENING_MACHINE;
use super::checks::HARDENING_OWNERS;
use super::checks::HARDENING_READ_ONLY;
use super::checks::HARDENING_SET_ID;
use super::checks::HARDENING_WRITABLE;
use super::report::Finding;
use super::report::Findings;
use super::report::Outcome;
use super::subject;
use super::subject::Subject;

const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;

/// Files that are of one machine: where they stand (`*` is one name), and what they are.
const MACHINE: [(&str, &str); 14] = [
    ("/etc/ssh/ssh_host_*_key", "a host key: every machine that runs the image would have it"),
    ("/etc/dropbear/dropbear_*_host_key", "a host key: every machine that runs the image would have it"),
    ("/etc/ssl/private/ssl-cert-snakeoil.key", "a key that a package makes for one machine"),
    ("/var/lib/systemd/random-seed", "a random seed: it must be new on each machine"),
    ("/var/lib/systemd/credential.secret", "a secret that is made for one machine"),
    ("/var/lib/urandom/random-seed", "a random seed: it must be new on each machine"),
    ("/boot/grub/grubenv", "the state of a machine's boot loader"),
    ("/var/cache/ldconfig/aux-cache", "it holds the inodes of the machine that made it"),
    ("/var/lib/dhcp/*.leases", "leases of the machine that made the image"),
    ("/root/.bash_history", "the commands of who made the image"),
    ("/root/.wget-hsts", "hosts that who made the image has asked"),
    ("/root/.lesshst", "what who made the image has searched for"),
    ("/root/.viminfo", "what who made the image has edited"),
    ("/etc/krb5.keytab", "the key of a machine"),
];

/// Files that only their content makes one machine's.
const CONTENT: [(&str, &str); 4] = [
    ("/etc/machine-id", "an id: systemd makes one where the file is empty or missing"),
    ("/var/lib/dbus/machine-id", "an id: it must be new on each machine"),
    ("/etc/hostname", "the name of the machine that made the image"),
    ("/etc/resolv.conf", "the resolver of the machine that made the image"),
];

/// Names of machines, of this one's own network and of others.
const HOSTS: &str = "/etc/hosts";

/// All of these checks.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Outcome> {
    vec![
        set_id(subject),
        writable(subject),
        owners(subject),
        capabilities(subject),
        machine(subject),
        read_only(subject),
    ]
}

fn paths<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (&'a ImagePath, &'a Seen)> {
    subject.survey.all().filter(|(_, seen)| !matches!(seen.what, What::Link(_)))
}

fn set_id(subject: &Subject<'_>) -> Outcome {
    let found = paths(subject).filter(|(_, seen)| seen.mode & SET_ID != 0);
    let found =
        found.map(|(path, seen)| subject.finding(path, format!("its mode is {:04o}", seen.mode & 0o7777)));
    let kept = if paths(subject).any(|(_, seen)| seen.mode & SET_ID != 0) {
        "; `[policy] set-id` of a manifest says which such bits are kept"
    } else {
        ""
    };
    let evidence = format!("{} files and directories{kept}", paths(subject).count());
    Outcome::looked(HARDENING_SET_ID, evidence, found)
}

fn writable(subject: &Subject<'_>) -> Outcome {
    let open = |(_, seen): &(&ImagePath, &Seen)| seen.mode & OTHERS_WRITE != 0;
    let sticky = |(_, seen): &(&ImagePath, &Seen)| seen.what == What::Directory && seen.mode & STICKY != 0;
    let shared = paths(subject).filter(|seen| open(seen) && sticky(seen));
    let shared: Vec<String> = shared.map(|(path, _)| path.to_string()).collect();
    let found = paths(subject).filter(|seen| open(seen) && !sticky(seen));
    let found =
        found.map(|(path, seen)| subject.finding(path, format!("its mode is {:04o}", seen.mode & 0o7777)));
    let evidence = match shared.len() {
        0 => "nothing is writable for everybody".to_owned(),
        1..=4 => format!("with the sticky bit: {}", shared.join(", ")),
        count => format!("{count} directories with the sticky bit"),
    };
    Outcome::looked(HARDENING_WRITABLE, evidence, found)
}

fn owners(subject: &Subject<'_>) -> Outcome {
    let Some(uid) = subject.user.uid.filter(|uid| *uid != 0) else {
        let reason = match subject.user.uid {
            Some(_) => "the image runs as root, whose everything is".to_owned(),
            None => format!("the image runs as `{}`, whom it does not know", subject.user.said),
        };
        return Outcome::not_run(HARDENING_OWNERS, reason);
    };
    let (mut mine, mut nix, mut found) = (0, 0, Findings::default());
    for (path, seen) in subject.survey.all() {
        let by_group = || {
            !matches!(seen.what, What::Link(_))
                && seen.mode & GROUP_WRITES != 0
                && subject.who.gids.contains(&seen.gid)
        };
        let how = if seen.uid == uid {
            format!("it belongs to {uid}")
        } else if by_group() {
            format!("its mode is {:04o}, and {uid} is in its group {}", seen.mode & 0o7777, seen.gid)
        } else if given_by_acl(subject, seen) {
            format!("its access control list lets {uid} write")
        } else {
            continue;
        };
        mine += 1;
        let at = path.to_string();
        if is_nix_state(&at) {
            nix += 1;
        } else if !subject.is_writable_at_run(&at) {
            let problem = format!("{how}, who may change it where the root can be written to");
            found.add(|| subject.finding(path, problem));
        }
    }
    let evidence = match nix {
        0 => format!("{mine} paths of {uid}, in its home and declared volumes"),
        _ => format!("{mine} paths of {uid}, {nix} of them the state of Nix"),
    };
    Outcome::found(HARDENING_OWNERS, evidence, found)
}

/// Whether a list (acl(5), as the kernel stores it: a version, then entries of tag, permissions and id) lets the image's user write.
fn given_by_acl(subject: &Subject<'_>, seen: &Seen) -> bool {
    const USER: u16 = 2;
    const GROUP: u16 = 8;
    const MASK: u16 = 16;
    const WRITE: u16 = 2;
    let What::File(facts) = &seen.what else { return false };
    let list = facts.xattrs.iter().find(|(name, _)| &**name == b"system.posix_acl_access");
    let Some(entries) = list.and_then(|(_, value)| value.get(4..)) else { return false };
    let entry = |bytes: &[u8]| -> (u16, u16, u32) {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        (half(0), half(2), u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]))
    };
    let entries: Vec<(u16, u16, u32)> = entries.chunks_exact(8).map(entry).collect();
    let mask = entries.iter().find(|(tag, ..)| *tag == MASK).map_or(u16::MAX, |(_, allows, _)| *allows);
    entries.iter().any(|(tag, allows, id)| {
        let is_mine = match *tag {
            USER => *id == subject.who.uid,
            GROUP => subject.who.gids.contains(id),
            _ => false,
        };
        is_mine && allows & mask & WRITE != 0
    })
}

/// Whether a path is what Nix writes to: without a daemon it works as the image's user. Store paths themselves are nobody's to change.
fn is_nix_state(path: &str) -> bool {
    matches!(path, "/nix/store" | "/nix/store/.links" | "/nix/var") || path.starts_with("/nix/var/")
}

fn capabilities(subject: &Subject<'_>) -> Outcome {
    let found = subject
        .files()
        .filter(|(_, _, facts)| facts.xattrs.iter().any(|(name, _)| &**name == b"security.capability"));
    let found =
        found.map(|(path, _, _)| subject.finding(path, "it brings capabilities (`security.capability`)"));
    Outcome::looked(HARDENING_CAPABILITIES, format!("{} files", subject.files().count()), found)
}

fn machine(subject: &Subject<'_>) -> Outcome {
    let mut found = Findings::default();
    for (pattern, problem) in MACHINE {
        let Some((directory, name)) = pattern.rsplit_once('/') else { continue };
        for path in subject::children(subject.survey, directory) {
            let of = path.rsplit_once('/').map_or("", |(_, of)| of);
            if matches(name, of) && is_file(subject, &path) {
                found.add(|| at(subject, &format!("{directory}/{of}"), problem));
            }
        }
    }
    for (name, problem) in CONTENT {
        if let Some(Seen { what: What::File(_), size, .. }) = subject.at(name)
            && says_something(subject.text(name).as_deref(), *size)
        {
            found.add(|| at(subject, name, problem));
        }
    }
    for line in subject.text(HOSTS).unwrap_or_default().lines() {
        if let Some(address) = names_a_machine(line) {
            let problem = format!("it names the machine at {address}, which is of where the image was made");
            found.add(|| at(subject, HOSTS, &problem));
        }
    }
    let evidence =
        format!("{} places of ids, keys, seeds, names and histories", MACHINE.len() + CONTENT.len() + 1);
    Outcome::found(HARDENING_MACHINE, evidence, found)
}

fn is_file(subject: &Subject<'_>, path: &str) -> bool {
    subject.at(path).is_some_and(|seen| matches!(seen.what, What::File(_)))
}

fn at(subject: &Subject<'_>, path: &str, problem: &str) -> Finding {
    match ImagePath::new(path) {
        Ok(path) => subject.finding(&path, problem),
        Err(_) => Finding { at: path.to_owned(), problem: problem.to_owned() },
    }
}

/// The address of a line of hosts(5) that is of no machine's own network (RFC 1122, 3.2.1.3) and of no multicast group (RFC 4291, 2.7).
fn names_a_machine(line: &str) -> Option<&str> {
    let address = line.split('#').next()?.split_ascii_whitespace().next()?;
    let is_everybodys = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            address.is_loopback() || address.is_unspecified() || address.is_broadcast()
        }
        // Debian's hosts(5) has `fe00::0 ip6-localnet`.
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address.is_multicast()
                || address.segments() == [0xfe00, 0, 0, 0, 0, 0, 0, 0]
        }
        Err(_) => false,
    };
    (!is_everybodys).then_some(address)
}

/// Whether a file has more than comments and what stands for an id that is yet to be made (machine-id(5)).
fn says_something(text: Option<&str>, size: u64) -> bool {
    let Some(text) = text else { return size > 0 };
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| {
        !line.is_empty() && !line.starts_with(['#', ';']) && line != "uninitialized" && line != "localhost"
    })
}

/// Whether a path is the pattern, in which `*` stands for any bytes but `/`.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, end)) => path
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|middle| !middle.is_empty() && !middle.contains('/')),
    }
}

/// What agents write to must be the user's, in a place that can be written to.
fn read_only(subject: &Subject<'_>) -> Outcome {
    let (Some(home), Some(uid)) = (&subject.user.home, subject.user.uid) else {
        return Outcome::not_run(
            HARDENING_READ_ONLY,
            "the image has no account for its user, so no home is known",
        );
    };
    let mut found = Vec::new();
    let mut looked = 0;
    let mut judge = |path: &str, writes: &str| {
        looked += 1;
        let missing = |problem: String| Finding { at: path.to_owned(), problem };
        match subject.survey.find(path.as_bytes()).ok() {
            None => found.push(missing(format!("{writes} writes there, and it is not in the image"))),
            Some((real, _)) if !subject.is_writable_at_run(&real.to_string()) => {
                found.push(missing(format!(
                    "{writes} writes there, where a read-only root cannot be written to"
                )));
            }
            Some((_, seen)) if seen.uid != uid || seen.mode & 0o200 == 0 => found.push(missing(format!(
                "{writes} writes there; it belongs to {} with the mode {:04o}",
                seen.uid,
                seen.mode & 0o7777
            ))),
            Some(_) => {}
        }
    };
    judge(home, "its user");
    for agent in &subject.agents {
        for file in agent.recipe.iter().flat_map(|recipe| &recipe.home) {
            if let Some((directory, _)) = file.path.rsplit_once('/') {
                judge(&format!("{home}/{directory}"), &agent.name);
            }
        }
    }
    let may = |seen: &Seen| subject.who.may(Access::Write, seen) && subject.who.may(Access::Execute, seen);
    if let Some(seen) = subject.at("/tmp").filter(|seen| !may(seen)) {
        found.push(Finding {
            at: "/tmp".into(),
            problem: format!("its user may not write there: its mode is {:04o}", seen.mode & 0o7777),
        });
    }
    let volumes = subject.runtime.volumes.len();
    let evidence =
        format!("{looked} directories that are written to; writable: {home}, /tmp and {volumes} volumes");
    Outcome::looked(HARDENING_READ_ONLY, evidence, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nix_may_write_to_its_state_and_to_no_store_path() {
        for path in ["/nix/store", "/nix/store/.links", "/nix/var", "/nix/var/nix/db/db.sqlite"] {
            assert!(is_nix_state(path), "{path}");
        }
        for path in [
            "/nix",
            "/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-a",
            "/nix/store/.links/x",
            "/nix/variable",
            "/nix/profile",
        ] {
            assert!(!is_nix_state(path), "{path}");
        }
    }

    #[test]
    fn patterns_stand_for_one_name() {
        assert!(matches("/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_ed25519_key"));
        assert!(!matches("/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_ed25519_key.pub"));
        assert!(!matches("/var/lib/dhcp/*.leases", "/var/lib/dhcp/a/b.leases"));
        assert!(!matches("/var/lib/dhcp/*.leases", "/var/lib/dhcp/.leases"));
    }

    #[test]
    fn hosts_names_this_machine_and_nobody_elses() {
        for line in [
            "127.0.0.1 localhost",
            "127.0.1.1\tbox",
            "::1 localhost ip6-localhost ip6-loopback",
            "fe00::0 ip6-localnet",
            "ff02::1 ip6-allnodes",
            "# 172.17.0.2 box",
            "",
        ] {
            assert_eq!(names_a_machine(line), None, "{line}");
        }
        assert_eq!(names_a_machine("172.17.0.2 4f2ab1c0ffee box.example"), Some("172.17.0.2"));
        assert_eq!(names_a_machine(" 2001:db8::7 box # here"), Some("2001:db8::7"));
    }

    #[test]
    fn comments_say_nothing_of_a_machine() {
        assert!(!says_something(Some("# made at the start\n\n"), 22));
        assert!(!says_something(Some("uninitialized\n"), 14));
        assert!(says_something(Some("nameserver 192.0.2.1\n"), 21));
        assert!(says_something(None, 3), "too large to be kept is not empty");
    }
}
