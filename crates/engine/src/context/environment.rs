//! The caller's environment as a value: taken once where the program begins, read everywhere else.
//!
//! **Guarantees**: nothing in this crate looks at the process's own environment. Below it two rooms still do: `base::http` for the
//! proxy variables, `network::secret` for a key when it is used. **Refuses** to print values: keys are among them.
//!
//! The directory that relative paths count from stays the process's own, as it is for every file that is opened.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Variables by name. The default one has none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// What the machine says about the user, where no variable names a home.
    account: Option<PathBuf>,
}

impl Environment {
    /// The value of `name`, whatever its bytes.
    pub fn raw(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of `name` where it is text; other values are nobody's configuration.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).and_then(OsStr::to_str)
    }

    /// The same where there is any text.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|value| !value.is_empty())
    }

    /// The caller's home directory: the variable's, else the account's where that was looked up.
    pub fn home(&self) -> Option<&Path> {
        self.said_home().or(self.account.as_deref())
    }

    fn said_home(&self) -> Option<&Path> {
        self.raw("HOME").map(Path::new).filter(|home| home.is_absolute())
    }

    /// The same, with the home of the caller's account where no variable names one: it holds keys and settings all the same.
    #[must_use]
    pub fn with_account(mut self) -> Self {
        if self.said_home().is_none() {
            let user = rustix::process::getuid().as_raw();
            self.account = fs_err::read("/etc/passwd").ok().and_then(|accounts| home_of(user, &accounts));
        }
        self
    }

    /// Whether a program of this name is in one of the folders of `PATH`.
    pub fn has_program(&self, name: &str) -> bool {
        let folders = self.raw("PATH").unwrap_or_default().as_bytes().split(|byte| *byte == b':');
        folders
            .map(|folder| PathBuf::from(OsStr::from_bytes(folder)).join(name))
            .any(|program| program.is_file())
    }

    /// All that is text.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let text = |(name, value): (&OsString, &OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        self.variables.iter().filter_map(text).collect()
    }

    /// All of it, for a program that is started.
    pub fn all(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// The home of a user in what passwd(5) describes. `/` is nobody's own.
fn home_of(user: u32, accounts: &[u8]) -> Option<PathBuf> {
    let user = user.to_string();
    let home = accounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':').skip(2);
        (fields.next()? == user.as_bytes()).then(|| fields.nth(2))?
    })?;
    let home = Path::new(OsStr::from_bytes(home));
    (home.is_absolute() && home != Path::new("/")).then(|| home.to_owned())
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let pair = |(name, value): (N, V)| (name.into(), value.into());
        Self { variables: variables.into_iter().map(pair).collect(), account: None }
    }
}

impl<N: Into<OsString>, V: Into<OsString>, const COUNT: usize> From<[(N, V); COUNT]> for Environment {
    fn from(variables: [(N, V); COUNT]) -> Self {
        variables.into_iter().collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_text_is_not_configuration_and_is_passed_on_all_the_same() {
        let odd = OsString::from(OsStr::from_bytes(b"\xff"));
        let environment =
            Environment::from([("ODD", odd.clone()), ("EVEN", "x".into()), ("NONE", "".into())]);
        assert_eq!((environment.text("ODD"), environment.raw("ODD")), (None, Some(odd.as_os_str())));
        assert_eq!((environment.text("NONE"), environment.filled("NONE")), (Some(""), None));
        assert_eq!(environment.texts().into_keys().collect::<Vec<_>>(), ["EVEN", "NONE"]);
        assert_eq!(environment.all().count(), 3);
    }

    #[test]
    fn values_are_not_printed() {
        let text = format!("{:?}", Environment::from([("API_KEY", "canary")]));
        assert!(text.contains("API_KEY") && !text.contains("canary"), "{text}");
    }

    #[test]
    fn a_home_is_an_absolute_path() {
        for (home, found) in [("/home/me", Some("/home/me")), ("me", None), ("", None)] {
            assert_eq!(Environment::from([("HOME", home)]).home(), found.map(Path::new), "{home}");
        }
        assert_eq!(Environment::default().home(), None);
    }

    #[test]
    fn without_the_variable_the_account_says_where_the_home_is() {
        let accounts =
            b"root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000:Me,,,:/home/me:/bin/sh\nold:x:7\nd:x:2:2::/:\n";
        for (user, home) in [(0, Some("/root")), (1000, Some("/home/me")), (7, None), (2, None), (100, None)]
        {
            assert_eq!(home_of(user, accounts), home.map(PathBuf::from), "{user}");
        }
        let said = Environment::from([("HOME", "/elsewhere")]).with_account();
        assert_eq!(said.home(), Some(Path::new("/elsewhere")));
        // As getent(1), which asks the machine by itself, has it.
        #[expect(clippy::disallowed_methods, reason = "an independent source")]
        let output = std::process::Command::new("getent")
            .args(["passwd", &rustix::process::getuid().as_raw().to_string()])
            .output();
        if let Ok(output) = output
            && let Some(home) = String::from_utf8_lossy(&output.stdout).split(':').nth(5)
            && home.len() > 1
        {
            for environment in [Environment::default(), Environment::from([("HOME", "")])] {
                assert_eq!(environment.with_account().home(), Some(Path::new(home)));
            }
        }
    }

    #[test]
    fn programs_are_looked_for_where_path_says() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("runc"), "").unwrap();
        let path = format!("/nowhere:{}", dir.path().display());
        let environment = Environment::from([("PATH", path)]);
        assert!(environment.has_program("runc") && !environment.has_program("runsc"));
        assert!(!Environment::default().has_program("sh"));
    }
}
