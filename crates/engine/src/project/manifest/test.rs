//! Tests of an image that its owner writes: `[[test]]`, and what files of other tools become ([`crate::verify::own`]).
//!
//! A test asks one thing: a command and what it prints, a path and what it is, or the image's configuration. Nothing of it is part of
//! an image or a lock.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::AbsolutePath;
use super::ManifestError;
use super::Mode;
use super::Owner;
use super::User;
use super::pattern::Pattern;

/// Tests of one manifest or file.
pub const TESTS_MAX: usize = 1000;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// What it asks.
    pub asks: Asks,
}

/// What a test asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asks {
    /// What a command does.
    Command(CommandTest),
    /// What is at a path.
    Path(PathTest),
    /// What the image's configuration says.
    Image(ImageTest),
    /// Nothing that could hold: it is written wrongly.
    Nonsense(String),
    /// Something that is not looked at here.
    Unsupported(String),
}

/// What a text must match, and what it must not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Patterns {
    /// Each is found in it.
    pub expected: Vec<Pattern>,
    /// None is.
    pub excluded: Vec<Pattern>,
}

/// What a command must do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CommandTest {
    /// Commands that are run before it in the same sandbox; how they end does not matter.
    pub setup: Vec<Vec<String>>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Variables beside those of the image, later ones in the place of earlier.
    pub env: Vec<(String, String)>,
    /// Whether `$NAME` in arguments and values is a variable of the image.
    pub variables: Variables,
    /// The code it ends with.
    pub exit_code: i64,
    /// Its standard output.
    pub stdout: Patterns,
    /// Its standard error.
    pub stderr: Patterns,
}

/// What `$NAME` is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variables {
    /// Itself.
    #[default]
    AsWritten,
    /// The value that the variable has in the image, as Go's `os.Expand` puts it there. These are taken for the image's own; what
    /// stands in their values is expanded too.
    Expanded(Vec<(String, String)>),
}

/// What must be at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PathTest {
    /// The path, absolute.
    pub path: String,
    /// Whether `$NAME` in it is a variable of the image.
    pub variables: Variables,
    /// Whether something is there.
    pub exists: bool,
    /// What it is.
    pub kind: Option<Kind>,
    /// Its permissions.
    pub permissions: Option<Permissions>,
    /// Its numeric owner.
    pub uid: Option<u32>,
    /// Its numeric group.
    pub gid: Option<u32>,
    /// Who may execute it.
    pub executable_by: Option<Class>,
    /// The content of the file there, or of that a link leads to.
    pub content: Option<Patterns>,
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// Permissions of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permissions {
    /// The bits.
    Bits(u32),
    /// What Go's `FileMode` prints: `drwxr-xr-x`, `urwxr-xr-x`, `Lrwxrwxrwx`.
    Text(String),
}

/// Classes of users that a path's bits are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// One of the three.
    Any,
    /// The owner.
    Owner,
    /// The group.
    Group,
    /// Others.
    Other,
}

/// What a variable or label must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// This text.
    Text(String),
    /// Something that matches.
    Pattern(Pattern),
}

/// What an image's configuration must say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageTest {
    /// Variables.
    pub env: Vec<(String, Value)>,
    /// Variables that are not there.
    pub no_env: Vec<String>,
    /// Labels.
    pub labels: Vec<(String, Value)>,
    /// Entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments.
    pub cmd: Option<Vec<String>>,
    /// Working directory.
    pub workdir: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Ports that are exposed, as `8080` or `8080/udp`.
    pub ports: Vec<String>,
    /// Ports that are not.
    pub no_ports: Vec<String>,
    /// Volumes that are declared.
    pub volumes: Vec<String>,
    /// Volumes that are not.
    pub no_volumes: Vec<String>,
}

/// `[[test]]` as typed: one of `command`, `path` and `image`, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TestFile {
    /// Its name, which is shown.
    pub(super) name: String,
    /// A command and its arguments, run in a sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    /// Variables of the command, beside those of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    /// Code that the command ends with; 0 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    /// Regular expressions (Go's) that are found in the command's standard output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stdout: Vec<String>,
    /// Those that are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stdout_excluded: Vec<String>,
    /// Regular expressions that are found in its standard error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stderr: Vec<String>,
    /// Those that are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stderr_excluded: Vec<String>,
    /// A path of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<AbsolutePath>,
    /// Whether something is there; yes unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    /// What is there: `file`, `directory` or `link`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Its permissions, octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// `root`, `user` or `UID:GID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    /// Regular expressions that are found in its content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    content: Vec<String>,
    /// Those that are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    content_excluded: Vec<String>,
    /// What the image's configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<ImageTestFile>,
}

/// `[test.image]` as typed. What is not named may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ImageTestFile {
    /// Variables and their values.
    env: BTreeMap<String, String>,
    /// Labels and their values.
    labels: BTreeMap<String, String>,
    /// Entry point.
    entrypoint: Option<Vec<String>>,
    /// Default arguments.
    cmd: Option<Vec<String>>,
    /// Working directory.
    workdir: Option<String>,
    /// User.
    user: Option<String>,
    /// Volumes that are declared.
    volumes: Vec<String>,
}

impl TestFile {
    fn key(&self, part: &str) -> String {
        format!("test `{}`{}{part}", self.name, if part.is_empty() { "" } else { "." })
    }

    /// Keys that are set and go with another kind of test than `kept`.
    fn strays(&self, kept: &str) -> Option<&'static str> {
        let of_command = [
            ("env", !self.env.is_empty()),
            ("exit-code", self.exit_code.is_some()),
            ("stdout", !self.stdout.is_empty()),
            ("stdout-excluded", !self.stdout_excluded.is_empty()),
            ("stderr", !self.stderr.is_empty()),
            ("stderr-excluded", !self.stderr_excluded.is_empty()),
        ];
        let of_path = [
            ("exists", self.exists.is_some()),
            ("type", self.kind.is_some()),
            ("mode", self.mode.is_some()),
            ("owner", self.owner.is_some()),
            ("content", !self.content.is_empty()),
            ("content-excluded", !self.content_excluded.is_empty()),
        ];
        let command = of_command.into_iter().filter(|_| kept != "command");
        let path = of_path.into_iter().filter(|_| kept != "path");
        command.chain(path).find(|(_, set)| *set).map(|(key, _)| key)
    }

    fn patterns(
        &self,
        key: &str,
        expected: &[String],
        excluded: &[String],
    ) -> Result<Patterns, ManifestError> {
        let compile = |text: &String| {
            Pattern::new(text).map_err(|problem| {
                ManifestError::value(self.key(key), format!("`{text}` is no regular expression: {problem}"))
            })
        };
        Ok(Patterns {
            expected: expected.iter().map(compile).collect::<Result<_, _>>()?,
            excluded: excluded.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// What it means; `user` is the image's.
    pub(super) fn meaning(self, user: Option<&User>) -> Result<Test, ManifestError> {
        if self.name.trim().is_empty() {
            return Err(ManifestError::value(
                "test.name",
                "a test has no name: write one, it is what is shown",
            ));
        }
        let kinds = [
            ("command", self.command.is_some()),
            ("path", self.path.is_some()),
            ("image", self.image.is_some()),
        ];
        let mut asked = kinds.into_iter().filter(|(_, set)| *set).map(|(kind, _)| kind);
        let (Some(kind), None) = (asked.next(), asked.next()) else {
            return Err(ManifestError::value(
                self.key(""),
                "exactly one of `command`, `path` and `image` is needed",
            ));
        };
        if let Some(key) = self.strays(kind) {
            return Err(ManifestError::value(self.key(key), format!("it says nothing about a `{kind}`")));
        }
        let asks = match (&self.command, &self.path, &self.image) {
            (Some(command), _, _) => self.command_test(command)?,
            (_, Some(path), _) => self.path_test(path, user)?,
            (_, _, Some(image)) => Asks::Image(ImageTest {
                env: texts(&image.env),
                labels: texts(&image.labels),
                entrypoint: image.entrypoint.clone(),
                cmd: image.cmd.clone(),
                workdir: image.workdir.clone(),
                user: image.user.clone(),
                volumes: image.volumes.clone(),
                ..ImageTest::default()
            }),
            (None, None, None) => Asks::Nonsense("it asks nothing".into()),
        };
        Ok(Test { name: self.name, asks })
    }

    fn command_test(&self, command: &[String]) -> Result<Asks, ManifestError> {
        if command.first().is_none_or(String::is_empty) {
            return Err(ManifestError::value(self.key("command"), "it is empty: name a program"));
        }
        let bad = |text: &String| text.contains('\0');
        if command.iter().any(bad)
            || self
                .env
                .iter()
                .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return Err(ManifestError::value(
                self.key("command"),
                "no argument or variable can be written so",
            ));
        }
        Ok(Asks::Command(CommandTest {
            command: command.to_owned(),
            env: self.env.clone().into_iter().collect(),
            exit_code: self.exit_code.unwrap_or(0).into(),
            stdout: self.patterns("stdout", &self.stdout, &self.stdout_excluded)?,
            stderr: self.patterns("stderr", &self.stderr, &self.stderr_excluded)?,
            ..CommandTest::default()
        }))
    }

    fn path_test(&self, path: &AbsolutePath, user: Option<&User>) -> Result<Asks, ManifestError> {
        let exists = self.exists.unwrap_or(true);
        let content = self.patterns("content", &self.content, &self.content_excluded)?;
        let asked = self.kind.is_some()
            || self.mode.is_some()
            || self.owner.is_some()
            || content != Patterns::default();
        if !exists && asked {
            return Err(ManifestError::value(
                self.key("exists"),
                "what is not there has no type, mode, owner or content",
            ));
        }
        let ids = match (self.owner, user) {
            (None, _) => None,
            (Some(Owner::Root), _) => Some((0, 0)),
            (Some(Owner::Ids(uid, gid)), _) => Some((uid, gid)),
            (Some(Owner::User), Some(user)) => Some((user.uid, user.gid)),
            (Some(Owner::User), None) => {
                return Err(ManifestError::value(self.key("owner"), "there is no `[user]`"));
            }
        };
        Ok(Asks::Path(PathTest {
            path: path.0.to_string(),
            exists,
            kind: self.kind,
            permissions: self.mode.map(|mode| Permissions::Bits(mode.0)),
            uid: ids.map(|(uid, _)| uid),
            gid: ids.map(|(_, gid)| gid),
            content: (content != Patterns::default()).then_some(content),
            ..PathTest::default()
        }))
    }
}

fn texts(pairs: &BTreeMap<String, String>) -> Vec<(String, Value)> {
    pairs.iter().map(|(name, value)| (name.clone(), Value::Text(value.clone()))).collect()
}

/// What all of them mean.
pub(super) fn meaning(tests: Vec<TestFile>, user: Option<&User>) -> Result<Vec<Test>, ManifestError> {
    if tests.len() > TESTS_MAX {
        return Err(ManifestError::value("test", format!("there are more than {TESTS_MAX}")));
    }
    tests.into_iter().map(|test| test.meaning(user)).collect()
}
