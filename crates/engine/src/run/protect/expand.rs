//! What stands for the beginning of a path in git's configuration and in a shell's words (git-config(1), "pathname").
//!
//! ```text
//!   ~/x              the caller's home        ~NAME/x     that of an account of this machine
//!   %(prefix)/x      where git is installed   :(optional)x      x, if it is there
//! ```
//!
//! **Guarantees**: an account is looked for in one file, and no program is run. What is known by a directory service only is
//! nobody's here, and is told.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;

use crate::context::Environment;

/// Accounts of this machine (passwd(5)).
const ACCOUNTS: &str = "/etc/passwd";
/// Bytes of them that are read.
const ACCOUNTS_MAX: u64 = 16 << 20;

/// What a path of a configuration is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    Path(PathBuf),
    /// Below the home of an account that is not known.
    Account(String),
    Nothing,
}

/// The path that `text` stands for.
pub(super) fn expand(text: &str, environment: &Environment) -> Expanded {
    expand_with(text, environment, Path::new(ACCOUNTS))
}

fn expand_with(text: &str, environment: &Environment, accounts: &Path) -> Expanded {
    let text = text.strip_prefix(":(optional)").unwrap_or(text);
    if text.is_empty() || text.contains('\0') {
        return Expanded::Nothing;
    }
    if let Some(rest) = text.strip_prefix("%(prefix)/") {
        return Expanded::Path(prefix(environment).join(rest.trim_start_matches('/')));
    }
    let Some(rest) = text.strip_prefix('~') else { return Expanded::Path(text.into()) };
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if name.is_empty() { environment.home().map(Path::to_owned) } else { home(name, accounts) };
    match home {
        Some(home) if rest.is_empty() => Expanded::Path(home),
        Some(home) => Expanded::Path(home.join(rest.trim_start_matches('/'))),
        None if name.is_empty() => Expanded::Nothing,
        None => Expanded::Account(name.to_owned()),
    }
}

/// The home of an account.
fn home(name: &str, accounts: &Path) -> Option<PathBuf> {
    let data = fs::metadata(accounts).ok().filter(|data| data.is_file() && data.len() <= ACCOUNTS_MAX)?;
    let text = fs::read(accounts).ok().filter(|_| data.len() > 0)?;
    let text = String::from_utf8_lossy(&text);
    let line =
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
    line.get(5).map(PathBuf::from).filter(|home| home.is_absolute())
}

/// Where git is installed: above the `bin` that it lies in.
fn prefix(environment: &Environment) -> PathBuf {
    let path = environment.raw("PATH").unwrap_or_default();
    let found = std::env::split_paths(path).map(|folder| folder.join("git")).find(|git| git.is_file());
    let real = found.and_then(|git| fs::canonicalize(git).ok());
    let above = real.and_then(|git| git.parent()?.parent().map(Path::to_owned));
    above.unwrap_or_else(|| PathBuf::from("/usr"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of `git config --type=path` (2.47).
    #[test]
    fn a_path_begins_where_git_says() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::write(base.join("passwd"), "root:x:0:0::/root:/bin/sh\nme:x:1:1:a,b:/srv/me:/bin/sh\nbad:x\n")
            .unwrap();
        fs::create_dir_all(base.join("opt/bin")).unwrap();
        fs::write(base.join("opt/bin/git"), "").unwrap();
        let path = format!("{}:/usr/bin", base.join("opt/bin").display());
        let environment = Environment::from([("HOME", "/home/me"), ("PATH", &path)]);
        let opt = base.join("opt/etc/x").display().to_string();
        for (text, expected) in [
            ("a/b", "a/b"),
            ("~/a", "/home/me/a"),
            ("~", "/home/me"),
            ("~me/a/b", "/srv/me/a/b"),
            ("~me", "/srv/me"),
            ("~me//a", "/srv/me/a"),
            ("%(prefix)/etc/x", opt.as_str()),
            (":(optional)~/a", "/home/me/a"),
            ("a~me/b", "a~me/b"),
        ] {
            let found = expand_with(text, &environment, &base.join("passwd"));
            assert_eq!(found, Expanded::Path(expected.into()), "{text}");
        }
        for (text, expected) in [
            ("~nobody-here/a", Expanded::Account("nobody-here".into())),
            ("~bad/a", Expanded::Account("bad".into())),
            ("", Expanded::Nothing),
            (":(optional)", Expanded::Nothing),
        ] {
            assert_eq!(expand_with(text, &environment, &base.join("passwd")), expected, "{text}");
        }
        assert_eq!(expand_with("~/a", &Environment::default(), &base.join("passwd")), Expanded::Nothing);
    }
}
