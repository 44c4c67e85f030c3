//! `$NAME` and `${NAME}` in a text, as Go's `os.Expand` reads them: container-structure-test does so with commands and paths.

/// Whether a sign is a variable's whole name, as in a shell.
fn special(sign: u8) -> bool {
    sign.is_ascii_digit() || b"*#$@!?-".contains(&sign)
}

/// The name at the start of `rest` (behind `$`) and the bytes that it takes. Without a name, bytes to leave out; none where the `$`
/// stands for itself.
fn name(rest: &str) -> (&str, usize) {
    let bytes = rest.as_bytes();
    match bytes {
        [b'{', sign, b'}', ..] if special(*sign) => (&rest[1..2], 3),
        [b'{', ..] => match bytes[1..].iter().position(|byte| *byte == b'}') {
            Some(0) => ("", 2),
            Some(end) => (&rest[1..=end], end + 2),
            None => ("", 1),
        },
        [sign, ..] if special(*sign) => (&rest[..1], 1),
        _ => {
            let end = bytes.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
            let end = end.unwrap_or(bytes.len());
            (&rest[..end], end)
        }
    }
}

/// Puts values in the place of names.
pub(super) fn expand(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if behind.is_empty() {
            out.push('$');
            return out;
        }
        match name(behind) {
            ("", 0) => {
                out.push('$');
                rest = behind;
            }
            ("", taken) => rest = &behind[taken..],
            (name, taken) => {
                out.push_str(&value(name));
                rest = &behind[taken..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases are those of Go's documentation and of its rules for what has no name.
    #[test]
    fn names_are_read_as_go_reads_them() {
        let value = |name: &str| match name {
            "HOME" => "/home/u".to_owned(),
            "1" => "one".to_owned(),
            _ => String::new(),
        };
        for (text, expected) in [
            ("$HOME/x", "/home/u/x"),
            ("${HOME}x", "/home/ux"),
            ("$HOMEx", ""),
            ("$HOME-x", "/home/u-x"),
            ("$1x", "onex"),
            ("$$", ""),
            ("$(ls)", "$(ls)"),
            ("a$", "a$"),
            ("${}x", "x"),
            ("${HOME", "HOME"),
            ("${*}", ""),
            ("ä$HOMEä", "ä/home/uä"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(text, value), expected, "{text}");
        }
    }
}
