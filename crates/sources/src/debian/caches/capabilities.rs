//! Capabilities of files as text and as the attribute `security.capability`: what `setcap` reads and writes.
//!
//! ```text
//! text        clauses between blanks: NAMES then an operator and letters, once or more: `cap_net_raw,cap_chown=ep cap_kill+i`
//! attribute   0x02000000, with 1 where effective; permitted, inheritable of 0 to 31; the same of 32 to 63
//! ```
//!
//! **Guarantees**: the bytes are those of `setcap` of libcap 2.66; `all` and no name mean capabilities 0 to 40.
//!
//! **Refuses**: names, operators and letters that are none, and sets of which only a part would be effective: no file can say so.

/// The attribute's name.
pub(in crate::debian) const ATTRIBUTE: &[u8] = b"security.capability";
/// Second revision of the attribute.
const REVISION: u32 = 0x0200_0000;
/// By number.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The attribute that a text stands for.
pub(in crate::debian) fn attribute(text: &str) -> Option<Vec<u8>> {
    let all = (1_u64 << NAMES.len()) - 1;
    let (mut effective, mut inheritable, mut permitted) = (0_u64, 0_u64, 0_u64);
    for clause in text.split_ascii_whitespace() {
        let first = clause.find(['=', '+', '-'])?;
        let (names, mut actions) = clause.split_at(first);
        // Without a name there is nothing to add to or take from.
        let which = match names {
            "" if actions.starts_with('=') => all,
            names => names.split(',').try_fold(0, |sum, name| Some(sum | one(name, all)?))?,
        };
        while let Some(operator) = actions.chars().next() {
            let letters = &actions[1..];
            let end = letters.find(['=', '+', '-']).unwrap_or(letters.len());
            let has = |letter| letters[..end].contains(letter);
            if letters[..end].contains(|letter| !"eip".contains(letter)) {
                return None;
            }
            for (set, letter) in [(&mut effective, 'e'), (&mut inheritable, 'i'), (&mut permitted, 'p')] {
                match operator {
                    '=' | '+' if has(letter) => *set |= which,
                    '=' => *set &= !which,
                    '-' if has(letter) => *set &= !which,
                    _ => {}
                }
            }
            actions = &letters[end..];
        }
    }
    // What is effective is permitted; one bit says it of all.
    permitted |= effective;
    if effective != 0 && (permitted | inheritable) & !effective != 0 {
        return None;
    }
    let words = [
        REVISION | u32::from(effective != 0),
        permitted as u32,
        inheritable as u32,
        (permitted >> 32) as u32,
        (inheritable >> 32) as u32,
    ];
    Some(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// The bit of a capability, by name or number.
fn one(name: &str, all: u64) -> Option<u64> {
    let lower = name.to_ascii_lowercase();
    if lower == "all" {
        return Some(all);
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        let number: u32 = name.parse().ok()?;
        return 1_u64.checked_shl(number);
    }
    let name = lower.strip_prefix("cap_")?;
    NAMES.iter().position(|known| *known == name).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was given to setcap of libcap 2.66, and the attribute of the file read back; without one it had refused.
    #[test]
    fn attributes_are_those_of_setcap() {
        for (text, expected) in [
            ("cap_net_raw+ep", "0100000200200000000000000000000000000000"),
            ("cap_net_raw=ep", "0100000200200000000000000000000000000000"),
            ("=ep", "01000002ffffffff00000000ff01000000000000"),
            ("all=ep", "01000002ffffffff00000000ff01000000000000"),
            ("cap_net_admin,cap_net_raw+eip", "0100000200300000003000000000000000000000"),
            ("cap_net_bind_service,cap_net_admin=ep", "0100000200140000000000000000000000000000"),
            ("cap_setuid=i", "0000000200000000800000000000000000000000"),
            ("cap_chown+p cap_sys_nice+p", "0000000201008000000000000000000000000000"),
            ("cap_sys_nice=eip cap_sys_nice-i", "0100000200008000000000000000000000000000"),
            ("all+ep cap_chown-ep", "01000002feffffff00000000ff01000000000000"),
            ("CAP_NET_RAW=pe", "0100000200200000000000000000000000000000"),
            ("cap_bpf,40+ep", "0100000200000000000000008001000000000000"),
            ("cap_net_raw+e", "0100000200200000000000000000000000000000"),
            ("cap_net_raw+p cap_chown+e", ""),
            ("", "0000000200000000000000000000000000000000"),
            ("=", "0000000200000000000000000000000000000000"),
            ("cap_nope=ep", ""),
            ("cap_net_raw", ""),
            ("cap_net_raw=x", ""),
            ("cap_net_raw=+ep", "0100000200200000000000000000000000000000"),
            ("cap_net_raw=p+e", "0100000200200000000000000000000000000000"),
            ("cap_syslog+ep-e", "0000000200000000000000000400000000000000"),
            ("cap_chown,=ep", ""),
            ("+ep", ""),
            ("cap_chown =ep", ""),
            ("cap_chown+ep,cap_kill+ep", ""),
            ("  cap_chown+ep  ", "0100000201000000000000000000000000000000"),
            ("63=ep", "0100000200000000000000000000008000000000"),
            ("cap_net_raw=", "0000000200000000000000000000000000000000"),
        ] {
            let found = attribute(text).unwrap_or_default();
            let pairs = expected.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            let expected: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
