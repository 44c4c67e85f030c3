//! Changes to files of a sandbox's own home before it starts: what an agent must be told stands in its configuration, which
//! stays a file that it can write to.
//!
//! ```text
//!   text   BEFORE what is there AFTER       made anew at each start, so that it stands there once
//!   JSON   what is there, with these keys   other keys stay
//!   less   what is there, and what it lacks of a file of the image
//!   whole  a text instead of what is there  for files of other kinds
//! ```
//!
//! **Guarantees**: the home is the agent's, so no link in it is followed and nothing but a regular file is read or replaced; what
//! cannot be changed for such a reason is told, and left as it is. What is taken back is what was put there, to the letter.

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Component;
use std::path::Path;

use pinfold_base::text::Shown;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::Map;
use serde_json::Value;

use crate::spec::Change;
use crate::spec::HomeEdit;

/// The largest file that is changed.
const SIZE_MAX: u64 = 1 << 20;
/// How deep JSON is changed.
const DEPTH_MAX: usize = 16;

/// Makes each change in `home`. What cannot be made is told.
pub(crate) fn all(home: &Path, edits: &[HomeEdit]) {
    for edit in edits {
        if let Err(error) = one(home, edit) {
            let path = Shown::of(&edit.path.display());
            let error = Shown::of(&error);
            let what = match edit.change {
                Change::Missing(_) => "stays without what the image has there",
                _ => "does not say where the agent's key is",
            };
            tracing::warn!("`~/{path}` {what}: {error}");
        }
    }
}

fn one(home: &Path, edit: &HomeEdit) -> io::Result<()> {
    let name = edit.path.file_name().ok_or(Errno::INVAL)?;
    let Some(folder) = folder(home, edit.path.parent().unwrap_or(Path::new("")), edit.is_there)? else {
        return Ok(());
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let (before, mode) = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
        Ok(file) => {
            let stat = rustix::fs::fstat(&file)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(io::Error::other("it is no regular file"));
            }
            let mut text = String::new();
            let size = fs_err::File::from_parts(file.into(), &edit.path)
                .take(SIZE_MAX + 1)
                .read_to_string(&mut text)?;
            if size as u64 > SIZE_MAX {
                return Err(io::Error::other("it is too large"));
            }
            (text, stat.st_mode & 0o777)
        }
        Err(Errno::NOENT) if edit.is_there => (String::new(), 0o600),
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::LOOP) => return Err(io::Error::other("it is a link")),
        Err(errno) => return Err(errno.into()),
    };
    let after = changed(&before, edit)?;
    if after == before {
        return Ok(());
    }
    // Renamed into its place: whoever reads it meanwhile reads one or the other.
    let new = format!(".pinfold-{}", std::process::id());
    let _ = rustix::fs::unlinkat(&folder, &new, rustix::fs::AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &new, flags, Mode::from_raw_mode(mode))?;
    fs_err::File::from_parts(file.into(), &edit.path).write_all(after.as_bytes())?;
    Ok(rustix::fs::renameat(&folder, &new, &folder, name)?)
}

/// A folder of the home, made where it is wanted and missing.
fn folder(home: &Path, below: &Path, is_wanted: bool) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = rustix::fs::open(home, flags, Mode::empty())?;
    for part in below.components() {
        let Component::Normal(name) = part else { return Err(Errno::INVAL.into()) };
        if is_wanted {
            match rustix::fs::mkdirat(&here, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        here = match rustix::fs::openat(&here, name, flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOENT) if !is_wanted => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(io::Error::other("a link leads there")),
            Err(errno) => return Err(errno.into()),
        };
    }
    Ok(Some(here))
}

impl HomeEdit {
    /// What becomes of a file with the text `before`, for a home that is filled elsewhere.
    pub fn applied(&self, before: &str) -> io::Result<String> {
        changed(before, self)
    }
}

fn changed(before: &str, edit: &HomeEdit) -> io::Result<String> {
    match &edit.change {
        Change::Around { before: head, after: tail } => {
            let mut text = before.to_owned();
            for part in [head, tail] {
                if !part.is_empty() {
                    text = text.replacen(part.as_str(), "", 1);
                }
            }
            Ok(if edit.is_there { format!("{head}{text}{tail}") } else { text })
        }
        Change::Missing(text) if before.trim().is_empty() => Ok(text.clone()),
        Change::Missing(text) => {
            let Ok(Value::Object(lower)) = serde_json::from_str(text) else { return Ok(before.to_owned()) };
            let mut value: Value =
                serde_json::from_str(before).map_err(|_| io::Error::other("it is no JSON"))?;
            let old = value.clone();
            fill(&mut value, &lower, 0);
            if value == old {
                return Ok(before.to_owned());
            }
            Ok(serde_json::to_string_pretty(&value).map_err(io::Error::from)? + "\n")
        }
        Change::Whole { text, .. } if edit.is_there => Ok(text.clone()),
        Change::Whole { text, without } => Ok(if before == text { without } else { before }.to_owned()),
        Change::Keys(keys) => {
            let text = if before.trim().is_empty() { "{}" } else { before };
            let mut value: Value =
                serde_json::from_str(text).map_err(|_| io::Error::other("it is no JSON"))?;
            let old = value.clone();
            if edit.is_there {
                put(&mut value, keys, 0);
            } else {
                take(&mut value, keys, 0);
            }
            if value == old {
                return Ok(before.to_owned());
            }
            Ok(serde_json::to_string_pretty(&value).map_err(io::Error::from)? + "\n")
        }
    }
}

/// Lays `keys` over a value.
fn put(value: &mut Value, keys: &Value, depth: usize) {
    match keys {
        Value::Object(keys) if depth < DEPTH_MAX => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            if let Value::Object(object) = value {
                for (name, key) in keys {
                    put(object.entry(name.clone()).or_insert(Value::Null), key, depth + 1);
                }
            }
        }
        _ => *value = keys.clone(),
    }
}

/// Adds what of `lower` is missing. What is there stays, whatever it is.
fn fill(value: &mut Value, lower: &Map<String, Value>, depth: usize) {
    let Value::Object(object) = value else { return };
    for (name, below) in lower {
        match (object.get_mut(name), below) {
            (None, below) => drop(object.insert(name.clone(), below.clone())),
            (Some(value), Value::Object(below)) if depth < DEPTH_MAX => fill(value, below, depth + 1),
            (Some(_), _) => {}
        }
    }
}

/// Takes away what is as `keys` has it, and objects that are empty then. Whether nothing is left.
fn take(value: &mut Value, keys: &Value, depth: usize) -> bool {
    match (value, keys) {
        (Value::Object(object), Value::Object(keys)) if depth < DEPTH_MAX => {
            for (name, key) in keys {
                if object.get_mut(name).is_some_and(|value| take(value, key, depth + 1)) {
                    object.remove(name);
                }
            }
            object.is_empty()
        }
        (value, keys) => value == keys,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn around(is_there: bool) -> HomeEdit {
        let change =
            Change::Around { before: "\nto = 'route'\n".into(), after: "\n[route]\nport = 1\n".into() };
        HomeEdit { path: ".agent/config.toml".into(), change, is_there }
    }

    fn keys(is_there: bool) -> HomeEdit {
        let keys = serde_json::json!({ "provider": { "p": { "url": "u" } } });
        HomeEdit { path: ".agent/config.json".into(), change: Change::Keys(keys), is_there }
    }

    #[test]
    fn a_file_says_where_the_key_is_once_and_keeps_what_was_written_to_it() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".agent/config.toml");
        let text = || fs_err::read_to_string(&file).unwrap();
        // Without a key there is nothing to take away, and nothing is made.
        one(home.path(), &around(false)).unwrap();
        assert!(!home.path().join(".agent").exists());
        one(home.path(), &around(true)).unwrap();
        let first = text();
        assert_eq!(first, "\nto = 'route'\n\n[route]\nport = 1\n");
        one(home.path(), &around(true)).unwrap();
        assert_eq!(text(), first);
        // As the agent adds to it, in the middle and at the end.
        fs_err::write(&file, format!("{first}[mcp.foo]\n").replace("\n\n[route]", "\nmodel = 1\n\n[route]"))
            .unwrap();
        one(home.path(), &around(true)).unwrap();
        assert_eq!(text(), "\nto = 'route'\nmodel = 1\n[mcp.foo]\n\n[route]\nport = 1\n");
        one(home.path(), &around(false)).unwrap();
        assert_eq!(text(), "model = 1\n[mcp.foo]\n");
    }

    #[test]
    fn keys_are_laid_over_json_and_taken_away_again() {
        let home = tempfile::tempdir().unwrap();
        fs_err::create_dir(home.path().join(".agent")).unwrap();
        let file = home.path().join(".agent/config.json");
        let value = || serde_json::from_slice::<Value>(&fs_err::read(&file).unwrap()).unwrap();
        fs_err::write(&file, r#"{"theme":"x","provider":{"q":{"url":"v"}}}"#).unwrap();
        one(home.path(), &keys(true)).unwrap();
        let with = serde_json::json!({"theme":"x","provider":{"q":{"url":"v"},"p":{"url":"u"}}});
        assert_eq!(value(), with);
        one(home.path(), &keys(false)).unwrap();
        assert_eq!(value(), serde_json::json!({"theme":"x","provider":{"q":{"url":"v"}}}));
        // What is no JSON is the agent's to mend.
        fs_err::write(&file, "{ // mine").unwrap();
        assert!(one(home.path(), &keys(true)).is_err());
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "{ // mine");
    }

    #[test]
    fn a_whole_text_stands_in_the_place_of_another_until_it_is_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        let edit = |is_there| HomeEdit {
            path: "config".into(),
            change: Change::Whole { text: "route\n".into(), without: "plain\n".into() },
            is_there,
        };
        let after = |before: &str, is_there| {
            fs_err::write(&file, before).unwrap();
            one(home.path(), &edit(is_there)).unwrap();
            fs_err::read_to_string(&file).unwrap()
        };
        assert_eq!(after("plain\n", true), "route\n");
        assert_eq!(after("route\n", false), "plain\n");
        assert_eq!(after("mine\n", false), "mine\n");
    }

    #[test]
    fn what_the_image_has_is_added_where_it_is_missing_and_nothing_else_is_changed() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".agent/settings.json");
        let image = r#"{"permissions":{"mode":"all","more":[1]},"skip":true,"env":{"A":"1"}}"#;
        let add = |text: &str| {
            let change = Change::Missing(text.into());
            one(home.path(), &HomeEdit { path: ".agent/settings.json".into(), change, is_there: true })
        };
        let text = || fs_err::read_to_string(&file).unwrap();
        add(image).unwrap();
        assert_eq!(text(), image, "a file that is not there is the image's");
        let own = r#"{"theme":"dark","permissions":{"mode":"ask","allow":["x"]},"env":"none"}"#;
        fs_err::write(&file, own).unwrap();
        add(image).unwrap();
        let expected = serde_json::json!({
            "theme": "dark", "permissions": { "mode": "ask", "allow": ["x"], "more": [1] }, "env": "none", "skip": true,
        });
        assert_eq!(serde_json::from_str::<Value>(&text()).unwrap(), expected);
        let whole = text();
        add(image).unwrap();
        assert_eq!(text(), whole, "nothing is missing any more");
        // Not JSON: the one is the owner's to mend, the other is no matter of keys.
        fs_err::write(&file, "{ // mine").unwrap();
        assert!(add(image).is_err());
        add("key = 1\n").unwrap();
        assert_eq!(text(), "{ // mine");
        fs_err::write(&file, "[]").unwrap();
        add(image).unwrap();
        assert_eq!(text(), "[]");
    }

    #[test]
    fn no_link_that_an_agent_left_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (home, host) = (dir.path().join("home"), dir.path().join("host"));
        for folder in [&home, &host] {
            fs_err::create_dir(folder).unwrap();
        }
        fs_err::write(host.join("config.toml"), "mine\n").unwrap();
        symlink(&host, home.join(".agent")).unwrap();
        assert!(one(&home, &around(true)).is_err());
        fs_err::remove_file(home.join(".agent")).unwrap();
        fs_err::create_dir(home.join(".agent")).unwrap();
        symlink(host.join("config.toml"), home.join(".agent/config.toml")).unwrap();
        assert!(one(&home, &around(true)).is_err());
        fs_err::remove_file(home.join(".agent/config.toml")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            home.join(".agent/config.toml"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(one(&home, &around(true)).is_err());
        assert_eq!(fs_err::read_to_string(host.join("config.toml")).unwrap(), "mine\n");
        let mut outside = around(true);
        outside.path = "../host/config.toml".into();
        assert!(one(&home, &outside).is_err());
    }
}
