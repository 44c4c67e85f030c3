//! `pam-auth-update --package --force`: the stacks `/etc/pam.d/common-*` from the profiles of packages.
//!
//! ```text
//! Name: Unix authentication            profile, /usr/share/pam-configs/unix
//! Default: yes
//! Priority: 256
//! Auth-Type: Primary                   Primary or Additional
//! Auth:                                lines for a profile that is not the first of its stack
//!         [success=end default=ignore]        pam_unix.so nullok try_first_pass
//! Auth-Initial:                        lines for the first one
//!         [success=end default=ignore]        pam_unix.so nullok
//! ```
//!
//! A template (`/usr/share/pam/common-auth`) has a line `$auth_primary` and a line `$auth_additional` that are replaced. In a
//! primary block the word `end` in a control field becomes the number of modules left, so that it jumps behind the block.
//!
//! **Refuses**: profiles with lines that fit no field, and priorities that are no numbers.

use std::fmt::Write as _;

use super::PlaceError;
use super::image::Image;
use super::image::known;

const PACKAGE: &str = "libpam-runtime";

/// Stack, template, what the template calls it, and the field of the profiles.
const STACKS: [(&str, &str, &str); 5] = [
    ("account", "account", "Account"),
    ("auth", "auth", "Auth"),
    ("password", "password", "Password"),
    ("session", "session", "Session"),
    ("session-noninteractive", "session_nonint", "Session"),
];

/// What stands where no profile is primary.
const NO_PRIMARY: &str = "[default=1]\t\t\tpam_permit.so";

struct Profile {
    name: String,
    priority: i64,
    default: bool,
    interactive_only: bool,
    /// Fields with the lines below them.
    fields: Vec<(String, String, Vec<String>)>,
}

impl Profile {
    fn value(&self, field: &str) -> &str {
        self.fields.iter().find(|(name, ..)| name == field).map_or("", |(_, value, _)| value)
    }

    fn lines(&self, field: &str) -> Option<&[String]> {
        self.fields.iter().find(|(name, ..)| name == field).map(|(.., lines)| lines.as_slice())
    }
}

/// Writes the stacks and the state of pam-auth-update.
pub(super) fn write(image: &mut Image<'_>) -> Result<(), PlaceError> {
    let mut profiles = Vec::new();
    for path in image.files_in(&known("usr/share/pam-configs")) {
        let text = image.read(PACKAGE, &path)?.unwrap_or_default();
        let name = String::from_utf8_lossy(path.name()).into_owned();
        profiles.push(parse(&name, &String::from_utf8_lossy(&text))?);
    }
    // Of equal priority the last name comes first, as pam-auth-update sorts.
    profiles.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| b.name.cmp(&a.name)));
    for (stack, variable, field) in STACKS {
        let Some(template) = image.read(PACKAGE, &known(&format!("usr/share/pam/common-{stack}")))? else {
            continue;
        };
        let chosen: Vec<&Profile> = profiles
            .iter()
            .filter(|profile| {
                profile.default && !(stack == "session-noninteractive" && profile.interactive_only)
            })
            .collect();
        let primary = block(&chosen, field, "Primary");
        let additional = block(&chosen, field, "Additional");
        let kind = field.to_ascii_lowercase();
        let mut text = String::new();
        for line in String::from_utf8_lossy(&template).lines() {
            if line.trim() == format!("${variable}_primary") {
                text.push_str(&rendered(&kind, &primary, true));
            } else if line.trim() == format!("${variable}_additional") {
                text.push_str(&rendered(&kind, &additional, false));
            } else {
                text.push_str(line);
                text.push('\n');
            }
        }
        image.put("base", &known(&format!("etc/pam.d/common-{stack}")), text);
        image.put("base", &known(&format!("var/lib/pam/{stack}")), state(&primary, &additional));
    }
    let seen: String = profiles.iter().flat_map(|profile| [profile.name.as_str(), "\n"]).collect();
    image.put("base", &known("var/lib/pam/seen"), seen);
    Ok(())
}

/// The profiles of one block of one stack with their lines. The first one of a block uses its initial lines.
fn block<'a>(chosen: &[&'a Profile], field: &str, kind: &str) -> Vec<(&'a str, &'a [String])> {
    let mut found = Vec::new();
    for profile in chosen.iter().filter(|profile| profile.value(&format!("{field}-Type")) == kind) {
        let usual = profile.lines(field);
        let initial = profile.lines(&format!("{field}-Initial"));
        let lines = if found.is_empty() { initial.or(usual) } else { usual };
        found.extend(lines.map(|lines| (profile.name.as_str(), lines)));
    }
    found
}

fn rendered(kind: &str, block: &[(&str, &[String])], primary: bool) -> String {
    let lines: Vec<&String> = block.iter().flat_map(|(_, lines)| lines.iter()).collect();
    if lines.is_empty() {
        return if primary { format!("{kind}\t{NO_PRIMARY}\n") } else { String::new() };
    }
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let (control, gap, module, options) = pieces(line);
        let control = with_jumps(control, lines.len() - at);
        // One blank after the module even where it has no options: that is how pam-auth-update joins the parts.
        let _ = write!(text, "{kind}\t{control}{gap}{module} {options}");
        text.push('\n');
    }
    text
}

/// Control field, the blanks behind it, module, options.
fn pieces(line: &str) -> (&str, &str, &str, &str) {
    let end = if line.starts_with('[') { line.find(']').map(|at| at + 1) } else { None };
    let end = end.or_else(|| line.find(char::is_whitespace)).unwrap_or(line.len());
    let (control, rest) = line.split_at(end);
    let rest_trimmed = rest.trim_start();
    let gap = &rest[..rest.len() - rest_trimmed.len()];
    match rest_trimmed.split_once(char::is_whitespace) {
        Some((module, options)) => (control, gap, module, options.trim()),
        None => (control, gap, rest_trimmed, ""),
    }
}

/// `success=end` becomes `success=N`.
fn with_jumps(control: &str, left: usize) -> String {
    let mut text = String::new();
    for (at, word) in control.split_inclusive(['=', ' ', ']']).enumerate() {
        let bare = word.trim_end_matches([' ', ']']);
        if at > 0 && bare == "end" {
            text.push_str(&word.replacen("end", &left.to_string(), 1));
        } else {
            text.push_str(word);
        }
    }
    text
}

fn state(primary: &[(&str, &[String])], additional: &[(&str, &[String])]) -> String {
    let mut text = String::new();
    if primary.is_empty() {
        let _ = write!(text, "Module: null\n{NO_PRIMARY}\n");
    }
    for (name, lines) in primary.iter().chain(additional) {
        let _ = writeln!(text, "Module: {name}");
        for line in *lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn parse(name: &str, text: &str) -> Result<Profile, PlaceError> {
    let wrong = |line: usize, what: &str| PlaceError::Line {
        package: PACKAGE.into(),
        member: format!("/usr/share/pam-configs/{name}"),
        line: line + 1,
        what: what.into(),
    };
    let mut profile = Profile {
        name: name.into(),
        priority: 0,
        default: false,
        interactive_only: false,
        fields: Vec::new(),
    };
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if line.contains(|c: char| c.is_control() && c != '\t') {
            return Err(wrong(at, "it holds a control character"));
        }
        if line.starts_with([' ', '\t']) {
            let Some((_, _, lines)) = profile.fields.last_mut() else {
                return Err(wrong(at, "it continues no field"));
            };
            lines.push(line.trim().to_owned());
            continue;
        }
        let Some((field, value)) = line.split_once(':') else { return Err(wrong(at, "it is no field")) };
        let value = value.trim();
        match field {
            "Priority" => {
                profile.priority = value.parse().map_err(|_| wrong(at, "the priority is no number"))?;
            }
            "Default" => profile.default = value == "yes",
            "Session-Interactive-Only" => profile.interactive_only = value == "yes",
            _ => profile.fields.push((field.into(), value.into(), Vec::new())),
        }
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Tree;
    use pinfold_archive::tree::InlineOnly;

    use super::*;
    use crate::accounts::Accounts;

    const UNIX: &str = "Name: Unix authentication\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\
        \t[success=end default=ignore]\tpam_unix.so nullok try_first_pass\nAuth-Initial:\n\
        \t[success=end default=ignore]\tpam_unix.so nullok\nSession-Type: Additional\nSession:\n\
        \trequired\tpam_unix.so\nSession-Initial:\n\trequired\tpam_unix.so\n";

    fn stacks(profiles: &[(&str, &str)]) -> Result<Image<'static>, PlaceError> {
        let mut image =
            Image { tree: Tree::new(), accounts: Accounts::minimal(), epoch: 7, contents: &InlineOnly };
        for (name, text) in profiles {
            image.put("x", &known(&format!("usr/share/pam-configs/{name}")), text);
        }
        image.put("x", &known("usr/share/pam/common-auth"), "# a\n$auth_primary\n# b\n$auth_additional\n");
        image.put("x", &known("usr/share/pam/common-session"), "$session_primary\n$session_additional\n");
        let nonint = "$session_nonint_primary\n$session_nonint_additional\n";
        image.put("x", &known("usr/share/pam/common-session-noninteractive"), nonint);
        write(&mut image).map(|()| image)
    }

    fn text(image: &Image<'_>, path: &str) -> String {
        String::from_utf8(image.read("", &known(path)).unwrap().unwrap()).unwrap()
    }

    // Lines as pam-auth-update 1.5.2 writes them, the blank behind a module without options included.
    #[test]
    fn one_profile() {
        let image = stacks(&[("unix", UNIX)]).unwrap();
        assert_eq!(
            text(&image, "etc/pam.d/common-auth"),
            "# a\nauth\t[success=1 default=ignore]\tpam_unix.so nullok\n# b\n"
        );
        assert_eq!(
            text(&image, "etc/pam.d/common-session"),
            "session\t[default=1]\t\t\tpam_permit.so\nsession\trequired\tpam_unix.so \n"
        );
        assert_eq!(
            text(&image, "var/lib/pam/auth"),
            "Module: unix\n[success=end default=ignore]\tpam_unix.so nullok\n"
        );
        assert_eq!(
            text(&image, "var/lib/pam/session"),
            "Module: null\n[default=1]\t\t\tpam_permit.so\nModule: unix\nrequired\tpam_unix.so\n"
        );
    }

    #[test]
    fn several_profiles_jump_behind_the_block() {
        let sss = "Name: SSS\nDefault: yes\nPriority: 128\nAuth-Type: Primary\nAuth:\n\t[success=end]\tpam_sss.so a\n";
        let home = "Name: Home\nDefault: yes\nPriority: 0\nSession-Type: Additional\n\
                    Session-Interactive-Only: yes\nSession:\n\toptional\tpam_mkhomedir.so\n";
        let umask = "Name: Umask\nDefault: yes\nPriority: 0\nSession-Type: Additional\nSession:\n\toptional\tpam_umask.so\n";
        let off =
            "Name: Off\nDefault: no\nPriority: 999\nAuth-Type: Primary\nAuth:\n\trequired\tpam_off.so\n";
        let image =
            stacks(&[("home", home), ("off", off), ("sss", sss), ("umask", umask), ("unix", UNIX)]).unwrap();
        assert_eq!(
            text(&image, "etc/pam.d/common-auth"),
            "# a\nauth\t[success=2 default=ignore]\tpam_unix.so nullok\nauth\t[success=1]\tpam_sss.so a\n# b\n"
        );
        assert!(text(&image, "etc/pam.d/common-session").contains("mkhomedir"));
        assert!(!text(&image, "etc/pam.d/common-session-noninteractive").contains("mkhomedir"));
        assert_eq!(text(&image, "var/lib/pam/seen"), "off\nunix\nsss\numask\nhome\n");
    }

    #[test]
    fn broken_profiles_are_refused() {
        for profile in ["\tx\n", "Name\n", "Priority: high\n", "Auth:\n\tx\u{7}y\n"] {
            assert!(matches!(stacks(&[("p", profile)]), Err(PlaceError::Line { .. })), "{profile:?}");
        }
    }

    #[test]
    fn the_word_end_is_replaced_only_as_a_value() {
        assert_eq!(with_jumps("[success=end default=ignore]", 3), "[success=3 default=ignore]");
        assert_eq!(with_jumps("[end=ok success=end]", 2), "[end=ok success=2]");
        assert_eq!(with_jumps("required", 2), "required");
    }
}
