//! Files of tests that container-structure-test reads, schema version 2.0.0, as tests of ours.
//!
//! ```yaml
//! schemaVersion: 2.0.0
//! globalEnvVars:      [{key: PATH, value: "/env/bin:$PATH"}]
//! commandTests:       [{name: …, command: …, args: […], setup: [[…]], exitCode: 0, expectedOutput: [regex], …}]
//! fileExistenceTests: [{name: …, path: …, shouldExist: true, permissions: '-rw-r--r--', uid: 0, gid: 0, isExecutableBy: any}]
//! fileContentTests:   [{name: …, path: …, expectedContents: [regex], excludedContents: [regex]}]
//! metadataTest:       {envVars: […], labels: […], entrypoint: […], cmd: […], exposedPorts: […], volumes: […], workdir: …, user: …}
//! licenseTests:       [{debian: true, files: […]}]
//! ```
//!
//! [`parse`] does no I/O. **Refuses** keys that the schema does not have, a key twice, other versions, more than [`SIZE`] bytes, and
//! aliases that make much of little: the reader counts what they are replaced by ([`yaml::options`]). A test that is written wrongly
//! (without a name, with an expression that does not compile) is a test that fails, as there. **Leaves** teardown commands (each
//! test has a sandbox of its own, which goes with it), and says so of licences and options of containers.

use std::collections::BTreeSet;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::yaml;
use pinfold_base::yaml::Bounds;
use serde::Deserialize;

use crate::project::manifest::pattern::Pattern;
use crate::project::manifest::test::Asks;
use crate::project::manifest::test::Class;
use crate::project::manifest::test::CommandTest;
use crate::project::manifest::test::ImageTest;
use crate::project::manifest::test::PathTest;
use crate::project::manifest::test::Patterns;
use crate::project::manifest::test::Permissions;
use crate::project::manifest::test::TESTS_MAX;
use crate::project::manifest::test::Test;
use crate::project::manifest::test::Value;
use crate::project::manifest::test::Variables;

/// Largest file, in bytes.
pub const SIZE: usize = 1 << 20;
/// The version that is read.
const VERSION: &str = "2.0.0";
/// Nodes of the document, and of what aliases are replaced by.
const NODES: usize = 100_000;
/// What a file may cost.
const BOUNDS: Bounds =
    Bounds { bytes: SIZE, nodes: NODES, replayed: NODES, depth: 32, aliases: 1000, documents: 1 };

/// Why a text is no file of tests.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is too long.
    #[error("it is larger than 1 MiB")]
    Long,
    /// It is not YAML, or not what the schema says.
    #[error("it is no file of structure tests: {0}")]
    Form(String),
    /// Another version of the schema.
    #[error("its `schemaVersion` is {0}, and 2.0.0 is read")]
    Version(String),
    /// So many tests.
    #[error("it has more than {TESTS_MAX} tests")]
    Many,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum StructureError {
    /// It cannot be opened.
    #[error("cannot read `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is wrong.
    #[error("`{}` cannot be used: {problem}", file.display())]
    Problem {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: Problem,
    },
}

impl Diagnose for StructureError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }
}

/// Reads the tests of a file.
pub fn read(file: &Path) -> Result<Vec<Test>, StructureError> {
    let mut text = String::new();
    fs_err::File::open(file)
        .and_then(|opened| opened.take(SIZE as u64 + 1).read_to_string(&mut text))
        .map_err(|source| StructureError::File { file: file.to_owned(), source })?;
    parse(&text).map_err(|problem| StructureError::Problem { file: file.to_owned(), problem })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
#[derive(Default)]
struct Document {
    schema_version: Option<String>,
    global_env_vars: Option<Vec<EnvVar>>,
    command_tests: Option<Vec<CommandEntry>>,
    file_existence_tests: Option<Vec<ExistenceEntry>>,
    file_content_tests: Option<Vec<ContentEntry>>,
    metadata_test: Option<MetadataEntry>,
    license_tests: Option<Vec<LicenseEntry>>,
    container_run_options: Option<RunOptions>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct EnvVar {
    key: String,
    value: String,
    is_regex: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct CommandEntry {
    name: String,
    setup: Option<Vec<Vec<String>>>,
    /// Read, and left.
    teardown: Option<Vec<Vec<String>>>,
    env_vars: Option<Vec<EnvVar>>,
    exit_code: i64,
    command: String,
    args: Option<Vec<String>>,
    expected_output: Option<Vec<String>>,
    excluded_output: Option<Vec<String>>,
    expected_error: Option<Vec<String>>,
    excluded_error: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct ExistenceEntry {
    name: String,
    path: String,
    should_exist: Option<bool>,
    permissions: String,
    uid: Option<i64>,
    gid: Option<i64>,
    is_executable_by: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct ContentEntry {
    name: String,
    path: String,
    expected_contents: Option<Vec<String>>,
    excluded_contents: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct MetadataEntry {
    /// The name that the schema had first.
    env: Option<Vec<EnvVar>>,
    env_vars: Option<Vec<EnvVar>>,
    unbound_env_vars: Option<Vec<EnvVar>>,
    labels: Option<Vec<EnvVar>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    exposed_ports: Option<Vec<String>>,
    unexposed_ports: Option<Vec<String>>,
    volumes: Option<Vec<String>>,
    unmounted_volumes: Option<Vec<String>>,
    workdir: String,
    user: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct LicenseEntry {
    debian: bool,
    files: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct RunOptions {
    user: String,
    privileged: bool,
    allocate_tty: bool,
    env_file: String,
    env_vars: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    bind_mounts: Option<Vec<String>>,
}

impl RunOptions {
    /// The first that asks for something.
    fn first(&self) -> Option<&'static str> {
        let filled = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let options = [
            ("user", !self.user.is_empty()),
            ("privileged", self.privileged),
            ("allocateTty", self.allocate_tty),
            ("envFile", !self.env_file.is_empty()),
            ("envVars", filled(&self.env_vars)),
            ("capabilities", filled(&self.capabilities)),
            ("bindMounts", filled(&self.bind_mounts)),
        ];
        options.into_iter().find(|(_, set)| *set).map(|(name, _)| name)
    }
}

/// The first line of an error; a reader's may draw what it means below that.
fn line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// Reads the text of a file.
pub fn parse(text: &str) -> Result<Vec<Test>, Problem> {
    if text.len() > SIZE {
        return Err(Problem::Long);
    }
    let file: Document = serde_saphyr::from_str_with_options(text, yaml::options(BOUNDS))
        .map_err(|error| Problem::Form(line(&error.to_string())))?;
    match file.schema_version.as_deref() {
        Some(VERSION) => {}
        Some("") | None => return Err(Problem::Version("not there".into())),
        Some(other) => return Err(Problem::Version(format!("`{}`", line(other)))),
    }
    let tests = file.tests();
    if tests.len() > TESTS_MAX { Err(Problem::Many) } else { Ok(tests) }
}

/// What is not written wrongly.
type Written<T> = Result<T, String>;

fn test(name: String, asks: Written<Asks>) -> Test {
    Test { name, asks: asks.unwrap_or_else(Asks::Nonsense) }
}

fn named(kind: &str, name: &str) -> String {
    format!("{kind}: {}", if name.is_empty() { "(without a name)" } else { name })
}

fn patterns(expected: Option<Vec<String>>, excluded: Option<Vec<String>>) -> Written<Patterns> {
    let compile = |list: Option<Vec<String>>| {
        list.unwrap_or_default()
            .into_iter()
            .map(|text| {
                Pattern::new(&text).map_err(|problem| format!("`{text}` is no regular expression: {problem}"))
            })
            .collect::<Written<Vec<Pattern>>>()
    };
    Ok(Patterns { expected: compile(expected)?, excluded: compile(excluded)? })
}

fn required(name: &str, what: &str, value: &str) -> Written<()> {
    if name.is_empty() {
        return Err("a test has no name".into());
    }
    if value.is_empty() { Err(format!("it has no {what}")) } else { Ok(()) }
}

impl Document {
    fn tests(self) -> Vec<Test> {
        let refused = self.container_run_options.as_ref().and_then(RunOptions::first);
        let global = self.global_env_vars.unwrap_or_default();
        let global: Vec<(String, String)> = global.into_iter().map(|var| (var.key, var.value)).collect();
        let mut tests = Vec::new();
        for entry in self.command_tests.unwrap_or_default() {
            let name = named("command", &entry.name);
            let asks = entry.asks(&global);
            tests.push(match (refused, asks) {
                (Some(option), Ok(_)) => {
                    let reason =
                        format!("`containerRunOptions.{option}` asks for what a sandbox does not have");
                    Test { name, asks: Asks::Unsupported(reason) }
                }
                (_, asks) => test(name, asks),
            });
        }
        for entry in self.file_existence_tests.unwrap_or_default() {
            tests.push(test(named("file existence", &entry.name), entry.asks(&global)));
        }
        for entry in self.file_content_tests.unwrap_or_default() {
            tests.push(test(named("file content", &entry.name), entry.asks()));
        }
        for entry in self.license_tests.unwrap_or_default() {
            let what = if entry.debian { "of Debian packages" } else { "of files" };
            let reason = format!(
                "the licences {what} ({} files) are not compared with a list",
                entry.files.map_or(0, |files| files.len())
            );
            tests.push(Test { name: "licenses".into(), asks: Asks::Unsupported(reason) });
        }
        if let Some(asks) = self.metadata_test.map(MetadataEntry::asks) {
            let is_empty = matches!(&asks, Ok(asked) if *asked == ImageTest::default());
            if !is_empty {
                tests.push(test("metadata".into(), asks.map(Asks::Image)));
            }
        }
        tests
    }
}

impl CommandEntry {
    fn asks(self, global: &[(String, String)]) -> Written<Asks> {
        required(&self.name, "command", &self.command)?;
        let env_vars = self.env_vars.unwrap_or_default();
        if env_vars.iter().any(|var| var.key.is_empty() || var.value.is_empty()) {
            return Err("a variable has no name or no value".into());
        }
        let setup = self.setup.unwrap_or_default();
        if setup.iter().chain(self.teardown.iter().flatten()).any(Vec::is_empty) {
            return Err("a command of its setup or teardown is empty".into());
        }
        let own = env_vars.into_iter().map(|var| (var.key, var.value));
        let env: Vec<(String, String)> = global.iter().cloned().chain(own).collect();
        let command: Vec<String> =
            std::iter::once(self.command).chain(self.args.unwrap_or_default()).collect();
        let words = setup.iter().flatten().chain(&command);
        let values = env.iter().flat_map(|(name, value)| [name, value]);
        if words.chain(values).any(|text| text.contains('\0'))
            || env.iter().any(|(name, _)| name.is_empty() || name.contains('='))
        {
            return Err("an argument or variable cannot be written so".into());
        }
        Ok(Asks::Command(CommandTest {
            setup,
            command,
            env,
            variables: Variables::Expanded(global.to_owned()),
            exit_code: self.exit_code,
            stdout: patterns(self.expected_output, self.excluded_output)?,
            stderr: patterns(self.expected_error, self.excluded_error)?,
        }))
    }
}

impl ExistenceEntry {
    fn asks(self, global: &[(String, String)]) -> Written<Asks> {
        required(&self.name, "path", &self.path)?;
        // -1 is how the tool writes that nobody asks.
        let id = |id: Option<i64>| match id {
            None | Some(-1) => Ok(None),
            Some(id) => u32::try_from(id).map(Some).map_err(|_| format!("{id} is no id")),
        };
        Ok(Asks::Path(PathTest {
            path: self.path,
            variables: Variables::Expanded(global.to_owned()),
            exists: self.should_exist.unwrap_or(true),
            permissions: (!self.permissions.is_empty()).then_some(Permissions::Text(self.permissions)),
            uid: id(self.uid)?,
            gid: id(self.gid)?,
            executable_by: match self.is_executable_by.as_str() {
                "" => None,
                "any" => Some(Class::Any),
                "owner" => Some(Class::Owner),
                "group" => Some(Class::Group),
                "other" => Some(Class::Other),
                other => {
                    return Err(format!("`isExecutableBy: {other}` is none of owner, group, other and any"));
                }
            },
            ..PathTest::default()
        }))
    }
}

impl ContentEntry {
    fn asks(self) -> Written<Asks> {
        required(&self.name, "path", &self.path)?;
        Ok(Asks::Path(PathTest {
            path: self.path,
            exists: true,
            content: Some(patterns(self.expected_contents, self.excluded_contents)?),
            ..PathTest::default()
        }))
    }
}

impl MetadataEntry {
    fn asks(self) -> Written<ImageTest> {
        let pairs = |list: Vec<EnvVar>, what: &str| {
            let pair = |var: EnvVar| {
                if var.key.is_empty() {
                    return Err(format!("a {what} has no name"));
                }
                let value = if var.is_regex {
                    let wrong = |problem| format!("`{}` is no regular expression: {problem}", var.value);
                    Value::Pattern(Pattern::new(&var.value).map_err(wrong)?)
                } else {
                    Value::Text(var.value)
                };
                Ok((var.key, value))
            };
            list.into_iter().map(pair).collect::<Written<Vec<_>>>()
        };
        let texts = |list: Option<Vec<String>>, what: &str| {
            let list = list.unwrap_or_default();
            if list.iter().any(String::is_empty) { Err(format!("a {what} is empty")) } else { Ok(list) }
        };
        let env = self.env.into_iter().chain(self.env_vars).flatten().collect();
        let unbound: BTreeSet<String> =
            self.unbound_env_vars.unwrap_or_default().into_iter().map(|var| var.key).collect();
        Ok(ImageTest {
            env: pairs(env, "variable")?,
            no_env: unbound.into_iter().collect(),
            labels: pairs(self.labels.unwrap_or_default(), "label")?,
            entrypoint: self.entrypoint,
            cmd: self.cmd,
            workdir: (!self.workdir.is_empty()).then_some(self.workdir),
            user: (!self.user.is_empty()).then_some(self.user),
            ports: texts(self.exposed_ports, "port")?,
            no_ports: texts(self.unexposed_ports, "port")?,
            volumes: texts(self.volumes, "volume")?,
            no_volumes: texts(self.unmounted_volumes, "volume")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../../fuzz/seeds/structure/documented.yaml");

    /// The examples of the tool's documentation, all in one file.
    #[test]
    fn the_documented_examples_are_read() {
        let tests = parse(DOCUMENTED).unwrap();
        let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "command: gunicorn flask",
                "command: say hello world",
                "file existence: Root",
                "file content: Debian Sources",
                "licenses",
                "metadata"
            ]
        );
        let Asks::Command(command) = &tests[0].asks else { panic!("{:?}", tests[0]) };
        assert_eq!(command.setup, [vec!["virtualenv", "/env"], vec!["pip", "install", "gunicorn", "flask"]]);
        assert_eq!(command.env, [("PATH".to_owned(), "/env/bin:$PATH".to_owned())]);
        let Asks::Command(hello) = &tests[1].asks else { panic!("{:?}", tests[1]) };
        assert_eq!(hello.command, ["bash", "-c", "echo hello &&\necho world\n"]);
        let Asks::Path(root) = &tests[2].asks else { panic!("{:?}", tests[2]) };
        assert_eq!(root.permissions, Some(Permissions::Text("-rw-r--r--".into())));
        assert_eq!((root.uid, root.executable_by), (Some(1000), Some(Class::Group)));
        let Asks::Image(image) = &tests[5].asks else { panic!("{:?}", tests[5]) };
        assert_eq!(image.ports, ["8080", "2345"]);
        assert_eq!(image.entrypoint, Some(Vec::new()));
        assert!(matches!(&tests[4].asks, Asks::Unsupported(_)));
    }

    #[test]
    fn what_is_written_wrongly_fails_and_the_rest_is_read() {
        let text = "schemaVersion: 2.0.0\nfileExistenceTests:\n- path: /x\n- {name: a, path: ''}\n\
                    - {name: b, path: /x, isExecutableBy: me}\nfileContentTests:\n- {name: c, path: /x, expectedContents: ['(']}\n\
                    commandTests:\n- {name: d, command: ls, setup: [[]]}\n- {name: e, command: ls, envVars: [{key: A}]}\n\
                    - {name: f, command: ls}\n";
        let tests = parse(text).unwrap();
        let wrong = tests.iter().filter(|test| matches!(test.asks, Asks::Nonsense(_))).count();
        assert_eq!((tests.len(), wrong), (7, 6));
    }

    #[test]
    fn what_the_schema_does_not_have_is_refused() {
        for (text, part) in [
            ("commandTests: []\n", "not there"),
            ("schemaVersion: 1.0.0\n", "1.0.0"),
            ("schemaVersion: 2.0.0\ncommandTest: []\n", "commandTest"),
            ("schemaVersion: 2.0.0\nschemaVersion: 2.0.0\n", "uplicate"),
            ("schemaVersion: 2.0.0\ncommandTests: {a: b}\n", "no file"),
            ("schemaVersion: [", "no file"),
            ("", "not there"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    /// A kilobyte that means gigabytes.
    #[test]
    fn aliases_that_make_much_of_little_are_refused() {
        let mut text = String::from("schemaVersion: 2.0.0\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (last, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            let list = vec![format!("*{last}"); 10].join(", ");
            text.push_str(&format!("{next}: &{next} [{list}]\n"));
        }
        text.push_str("commandTests: *i\n");
        let begun = std::time::Instant::now();
        assert!(matches!(parse(&text), Err(Problem::Form(_))));
        assert!(begun.elapsed().as_secs() < 5);
        assert!(parse(&format!("{}x{}", "[".repeat(10_000), "]".repeat(10_000))).is_err());
        assert!(matches!(parse(&" ".repeat(SIZE + 1)), Err(Problem::Long)));
        // What people write with them is read.
        let shared = "schemaVersion: 2.0.0\nfileContentTests:\n- {name: a, path: /a, expectedContents: &c [x]}\n- {name: b, path: /b, expectedContents: *c}\n";
        assert_eq!(parse(shared).unwrap().len(), 2);
    }

    #[test]
    fn options_of_containers_are_not_passed_over() {
        let text = "schemaVersion: 2.0.0\ncontainerRunOptions: {privileged: true}\ncommandTests:\n- {name: a, command: ls}\n";
        assert!(
            matches!(&parse(text).unwrap()[0].asks, Asks::Unsupported(reason) if reason.contains("privileged"))
        );
    }
}
