//! A named sandbox as a unit of the user's systemd: `~/.config/systemd/user/pinfold-NAME.service`.
//!
//! ```text
//! ExecStart   this program, `run --name NAME` and the words that were said, in the foreground: systemd starts it again
//! ExecStop    this program, `stop NAME`
//! Environment where things are, and which address models have (`ANTHROPIC_BASE_URL`), as the caller has them
//! ```
//!
//! What fences a sandbox is pinfold's own; a unit's settings that make mount or user namespaces are left out, since sandboxes are made in
//! namespaces of their own, which those would forbid.
//!
//! **Guarantees**: every word stands in the unit so that systemd gives it on as it was (systemd.service(5), "Command lines"). **Refuses**
//! words that no unit can hold, files that are not ours, and keys that stand in the caller's environment alone: a unit has none of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::store::persist;
use pinfold_base::store::temporary;
use pinfold_network::HeldCommand;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::plan::check_name;

use crate::context::Context;
use crate::project::recipe::Recipe;

/// How units of ours begin.
const HEADER: &str = "# Written by `pinfold service install`, and removed by `pinfold service uninstall`.\n";
/// Variables of the caller's that say where things are, which the service shall find too.
const PLACES: [&str; 6] =
    ["PATH", "PINFOLD_HOME", "PINFOLD_WORKERS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"];
/// Ends of a program by a signal that asks for it, as `pinfold stop` makes them: nothing is to be started again.
const ASKED: &str = "143";
/// Largest unit that is read, in bytes.
const MAX_UNIT: u64 = 1 << 20;
/// Columns of what systemd says.
const TOLD: usize = 600;
/// Exit codes of workers that starting again does not help: wrong words, a bug, no key; and pinfold's own refusals.
const LAST: &str = "64 70 77 125 126 127";

/// Why a service cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No such name can be.
    #[error(transparent)]
    Name(#[from] SandboxError),
    /// A word cannot stand in a unit.
    #[error("`{}` cannot stand in a unit of systemd: it is no UTF-8, or has a character that is none", Shown::bytes(.0.as_encoded_bytes()))]
    Word(OsString),
    /// A key or variable that only the caller has.
    #[error("{0} is of your environment, which a service has not")]
    Caller(String),
    /// There is no home for units.
    #[error("there is no home directory, where units of systemd would be")]
    NoHome,
    /// There is no systemd, or none for the user.
    #[error("systemd does not take the unit: {said}")]
    Systemd {
        /// What it says.
        said: Shown,
    },
    /// There is no such unit.
    #[error("there is no unit `{}`", .0.display())]
    Missing(PathBuf),
    /// Somebody else wrote it.
    #[error("`{}` was not written by pinfold", .0.display())]
    Foreign(PathBuf),
    /// A file.
    #[error("cannot keep the unit")]
    Io(#[from] io::Error),
}

impl Diagnose for ServiceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Name(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Systemd { .. } | Self::NoHome => Diagnosis::Own(Kind::System),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Caller(_) => "keep the key in a file (mode 0600) and say `--key file:PATH`, or `--key command:PROGRAM`; a variable is \
                                said with its value, `--env NAME=VALUE`"
                .into(),
            Self::Systemd { .. } => "`--print` writes the unit to stdout, for another machine or another supervisor; \
                                     `pinfold run --detach` needs none, and runs until this machine ends"
                .into(),
            Self::Missing(_) => "`pinfold service install NAME -- WORDS` writes one".into(),
            Self::Foreign(_) => "move it away, or take another name".into(),
            Self::Name(_) | Self::Word(_) | Self::NoHome | Self::Io(_) => return None,
        })
    }
}

/// What is to be kept running.
#[derive(Clone, Debug)]
pub struct Service {
    /// The sandbox's name.
    pub name: String,
    /// This program.
    pub program: PathBuf,
    /// What follows `run --name NAME`.
    pub words: Vec<OsString>,
    /// Where relative names count from.
    pub directory: PathBuf,
}

impl Service {
    /// The unit's text.
    pub fn unit(&self, context: &Context) -> Result<String, ServiceError> {
        check_name(&self.name).map_err(SandboxError::from)?;
        let program = quoted(self.program.as_os_str())?;
        let run = ["run", "--name", &self.name].into_iter().map(OsStr::new);
        let run = run.chain(self.words.iter().map(OsString::as_os_str));
        let run = run.map(quoted).collect::<Result<Vec<_>, _>>()?.join(" ");
        let name = quoted(OsStr::new(&self.name))?;
        let models = Recipe::built_in_agents().flat_map(|recipe| &recipe.run.route);
        let bases: BTreeSet<&str> = models.flat_map(|route| &route.base).map(String::as_str).collect();
        let places =
            PLACES.into_iter().chain(bases).filter_map(|name| Some((name, context.environment.raw(name)?)));
        let mut variables = String::new();
        for (name, value) in places.filter(|(_, value)| !value.is_empty()) {
            // What stands in an address before its host is a secret.
            if name.ends_with("_BASE_URL") && value.as_encoded_bytes().contains(&b'@') {
                return Err(ServiceError::Caller(format!("the name or password in `{name}`")));
            }
            let mut pair = OsString::from(format!("{name}="));
            pair.push(value);
            variables += &format!("Environment={}\n", quoted(&pair)?);
        }
        // A colon before the program: dollars are dollars.
        Ok(format!(
            "{HEADER}[Unit]\nDescription=pinfold sandbox {}\nStartLimitIntervalSec=300\nStartLimitBurst=5\n\n\
             [Service]\nType=exec\nWorkingDirectory={}\n{variables}\
             ExecStart=:{program} {run}\nExecStop=:{program} stop {name}\n\
             Restart=on-failure\nRestartSec=2\nRestartPreventExitStatus={LAST} {ASKED}\nTimeoutStopSec=30\nDelegate=yes\nOOMPolicy=continue\n\
             NoNewPrivileges=yes\nUMask=0077\nLimitCORE=0\nRestrictRealtime=yes\n\n\
             [Install]\nWantedBy=default.target\n",
            self.name,
            path(&self.directory)?,
        ))
    }
}

/// A word as systemd reads it: in double quotes, with C's escapes, and `%` doubled (systemd.syntax(7), "Quoting").
fn quoted(word: &OsStr) -> Result<String, ServiceError> {
    let refused = || ServiceError::Word(word.to_owned());
    let text = word.to_str().ok_or_else(refused)?;
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\0' => return Err(refused()),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}

/// A path where a unit has one to the end of its line.
fn path(path: &Path) -> Result<String, ServiceError> {
    let refused = || ServiceError::Word(path.as_os_str().to_owned());
    let text = path.to_str().ok_or_else(refused)?;
    let odd = text.chars().any(char::is_control) || text.ends_with(['\\', ' ']) || !text.starts_with('/');
    if odd { Err(refused()) } else { Ok(text.replace('%', "%%")) }
}

fn unit_name(name: &str) -> String {
    format!("pinfold-{name}.service")
}

/// Where the unit of a name is or will be.
pub fn place(context: &Context, name: &str) -> Result<PathBuf, ServiceError> {
    check_name(name).map_err(SandboxError::from)?;
    let environment = &context.environment;
    let said = environment.raw("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = said.or_else(|| Some(environment.home()?.join(".config"))).ok_or(ServiceError::NoHome)?;
    Ok(folder.join("systemd/user").join(unit_name(name)))
}

/// The unit of a name, as it was installed.
pub fn installed(context: &Context, name: &str) -> Result<String, ServiceError> {
    let file = place(context, name)?;
    let size = match fs::symlink_metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ServiceError::Missing(file)),
        found => Some(found?).filter(std::fs::Metadata::is_file).map(|found| found.len()),
    };
    if size.is_none_or(|size| size > MAX_UNIT) {
        return Err(ServiceError::Foreign(file));
    }
    let text = fs::read_to_string(&file)?;
    if text.starts_with(HEADER) { Ok(text) } else { Err(ServiceError::Foreign(file)) }
}

/// Writes the unit and starts it, now and whenever the user's systemd starts. Gives its file.
pub fn install(context: &Context, service: &Service) -> Result<PathBuf, ServiceError> {
    let (text, file) = (service.unit(context)?, place(context, &service.name)?);
    let old = match installed(context, &service.name) {
        Err(ServiceError::Missing(_)) => None,
        old => Some(old?),
    };
    let systemctl = Systemctl::find(context)?;
    write(&file, &text)?;
    let unit = unit_name(&service.name);
    let done = systemctl.run(&["daemon-reload"]).and_then(|()| systemctl.run(&["enable", "--now", &unit]));
    if let Err(error) = done {
        // Nothing is left that would start by itself another day.
        match old {
            Some(old) => write(&file, &old)?,
            None => fs::remove_file(&file)?,
        }
        let _ = systemctl.run(&["daemon-reload"]);
        return Err(error);
    }
    Ok(file)
}

/// Ends it, and removes the unit. The sandbox stays.
pub fn uninstall(context: &Context, name: &str) -> Result<PathBuf, ServiceError> {
    installed(context, name)?;
    let file = place(context, name)?;
    let systemctl = Systemctl::find(context)?;
    systemctl.run(&["disable", "--now", &unit_name(name)])?;
    fs::remove_file(&file)?;
    systemctl.run(&["daemon-reload"])?;
    Ok(file)
}

fn write(file: &Path, text: &str) -> Result<(), ServiceError> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut new = temporary::file(folder)?;
    new.write_all(text.as_bytes())?;
    persist(new, file).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(())
}

/// The user's systemd, asked by its own program.
struct Systemctl<'a> {
    held: HeldCommand,
    context: &'a Context,
}

impl<'a> Systemctl<'a> {
    fn find(context: &'a Context) -> Result<Self, ServiceError> {
        let around = context.surroundings(context.home.data(), "pinfold's own folder");
        let held = HeldCommand::find(&["systemctl".to_owned()], &around);
        let held = held.map_err(|error| ServiceError::Systemd { said: Shown::of(&error) })?;
        Ok(Self { held, context })
    }

    fn run(&self, words: &[&str]) -> Result<(), ServiceError> {
        let said = |said: &str| ServiceError::Systemd { said: Shown::from(said).within(TOLD) };
        let variables =
            self.context.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut command = self.held.command(variables).map_err(|error| said(&error.to_string()))?;
        command.arg("--user").args(words).current_dir("/").stdin(Stdio::null());
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        Err(said(last))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use pinfold_base::Home;
    use pinfold_base::report::Silent;

    use super::*;
    use crate::context::Network;

    fn context(folder: &Path, path: &str) -> Context {
        let home = Home::under(&folder.join("pinfold"));
        let mut context = Context::at(home, Network::Offline, Box::new(Silent)).unwrap();
        let config = folder.join("config");
        context.environment =
            [("XDG_CONFIG_HOME", config.as_os_str()), ("PATH", OsStr::new(path))].into_iter().collect();
        context
    }

    fn service(words: &[&str]) -> Service {
        Service {
            name: "w1".into(),
            program: "/usr/bin/env".into(),
            words: words.iter().map(OsString::from).collect(),
            directory: "/".into(),
        }
    }

    #[test]
    fn words_stand_in_a_unit_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path(), "/usr/bin:/a b%c");
        let unit = service(&["--key", "file:/k %h \"x\" \\ $HOME", "a\nb", "é"]).unit(&context).unwrap();
        assert!(unit.contains(
            "\nExecStart=:\"/usr/bin/env\" \"run\" \"--name\" \"w1\" \"--key\" \"file:/k %%h \\\"x\\\" \\\\ $HOME\" \"a\\nb\" \"é\"\n"
        ), "{unit}");
        assert!(unit.contains("\nExecStop=:\"/usr/bin/env\" stop \"w1\"\n"), "{unit}");
        assert!(unit.contains("\nEnvironment=\"PATH=/usr/bin:/a b%%c\"\n"), "{unit}");
        // Addresses of models as the caller has them, but no secret in one.
        let with = |base: &str| {
            let mut context = self::context(dir.path(), "/usr/bin");
            context.environment =
                [("ANTHROPIC_BASE_URL", base), ("OTHER_BASE_URL", "x")].into_iter().collect();
            service(&[]).unit(&context)
        };
        let unit = with("http://127.0.0.1:9").unwrap();
        assert!(unit.contains("\nEnvironment=\"ANTHROPIC_BASE_URL=http://127.0.0.1:9\"\n"), "{unit}");
        assert!(!unit.contains("OTHER_BASE_URL"), "{unit}");
        assert!(with("http://name:word@127.0.0.1").unwrap_err().to_string().contains("ANTHROPIC_BASE_URL"));
        let odd = |service: Service| service.unit(&context).unwrap_err().to_string();
        assert!(odd(service(&["a\0"])).contains("cannot stand in a unit"));
        assert!(
            odd(Service { directory: "/a\nExecStart=x".into(), ..service(&[]) }).contains("cannot stand")
        );
        assert!(odd(Service { name: "../x".into(), ..service(&[]) }).contains("name"));
    }

    /// systemd itself, where it is there, is the judge of the whole, and reads the words back.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the judge is a program")]
    fn systemd_takes_the_unit() {
        if !Path::new("/usr/bin/systemd-analyze").is_file() {
            assert!(std::env::var_os("CI").is_none(), "systemd-analyze is missing");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path(), "/usr/bin:/bin");
        let judged = |text: &str| {
            let file = dir.path().join("pinfold-w1.service");
            fs::write(&file, text).unwrap();
            let output = std::process::Command::new("/usr/bin/systemd-analyze")
                .args(["--user", "verify"])
                .arg(&file)
                .env("XDG_RUNTIME_DIR", dir.path())
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let unit =
            service(&["--key", "file:/k %h \"x\" \\ $HOME", "a\nb", "é;", ";"]).unit(&context).unwrap();
        let about = |said: &str| {
            said.lines().filter(|line| line.contains("pinfold-w1")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(about(&judged(&unit)), [""; 0]);
        let wrong = unit.replace("Restart=on-failure", "Restart=sometimes");
        assert!(!about(&judged(&wrong)).is_empty(), "it can fail");
        assert!(!about(&judged(&unit.replace("\"a\\nb\"", "\"a\\nb"))).is_empty(), "so it can for words");
    }

    #[test]
    fn a_unit_is_written_and_removed_with_systemd_alone() {
        let dir = tempfile::tempdir().unwrap();
        let tools = dir.path().join("tools");
        fs::create_dir(&tools).unwrap();
        let none = context(dir.path(), tools.to_str().unwrap());
        let error = install(&none, &service(&[])).unwrap_err();
        assert!(matches!(error, ServiceError::Systemd { .. }), "{error}");
        assert!(error.hint().unwrap().contains("`--print`"));
        // Stands for systemctl: writes down what it is told; fails where a file says so.
        let log = dir.path().join("log");
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>'{0}'\n[ ! -e '{0}.fail' ] || {{ echo 'Failed to connect to bus' >&2; exit 1; }}\n",
            log.display()
        );
        fs::write(tools.join("systemctl"), script).unwrap();
        fs::set_permissions(tools.join("systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let context = context(dir.path(), &format!("{}:/usr/bin:/bin", tools.display()));
        let file = install(&context, &service(&["x"])).unwrap();
        assert_eq!(file, dir.path().join("config/systemd/user/pinfold-w1.service"));
        assert_eq!(installed(&context, "w1").unwrap(), service(&["x"]).unit(&context).unwrap());
        assert_eq!(
            fs::read_to_string(&log).unwrap(),
            "--user daemon-reload\n--user enable --now pinfold-w1.service\n"
        );
        // One that systemd does not take leaves what was there.
        fs::write(format!("{}.fail", log.display()), "").unwrap();
        let error = install(&context, &service(&["y"])).unwrap_err();
        assert!(error.to_string().contains("Failed to connect to bus"), "{error}");
        assert!(installed(&context, "w1").unwrap().contains("\"x\""));
        fs::remove_file(format!("{}.fail", log.display())).unwrap();
        uninstall(&context, "w1").unwrap();
        let error = uninstall(&context, "w1").unwrap_err();
        assert!(
            matches!(error, ServiceError::Missing(_)) && error.hint().unwrap().contains("service install")
        );
        // What is somebody else's stays.
        fs::write(&file, "[Unit]\n").unwrap();
        for error in [install(&context, &service(&[])).unwrap_err(), uninstall(&context, "w1").unwrap_err()] {
            assert!(matches!(error, ServiceError::Foreign(_)), "{error}");
            assert!(error.hint().unwrap().contains("another name"));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "[Unit]\n");
    }
}
