//! Recipes: data files that teach one agent (or one runtime, such as node).
//!
//! A recipe says where a program comes from, where its files go, what it needs, how it is configured to work alone, which
//! hosts it talks to and how its credentials reach it. The built-in ones are in `recipes/`; a user's own is a file of the
//! same form, named in the manifest by its path.
//!
//! **Refuses**: unknown keys, recipes that need each other in a circle, paths that leave the home directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use fs_err as fs;
use pinfold_base::Arch;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::text::nearest;
use pinfold_network::KeyHeader;
use pinfold_network::RequestRules;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::project::folder::Folder;
use crate::project::folder::OpenError;
use crate::project::manifest::AbsolutePath;
use crate::project::manifest::Manifest;
use crate::project::manifest::ManifestError;
use crate::project::manifest::Mode;
use crate::project::manifest::PlatformName;
use crate::project::manifest::run::WorkspacePath;
use crate::sources::nix::Root;
use crate::sources::nix::RootFile;

/// How labels of images begin that say which agents are in one: `dev.pinfold.agent.NAME = VERSION`. What agents need (`node`) has one, too.
pub const AGENT_LABEL: &str = "dev.pinfold.agent.";

/// Largest recipe accepted, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// The npm package of one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlatformPackage {
    /// Package name.
    pub package: String,
    /// Its version in terms of the recipe's: `{version}` or, say, `{version}-linux-x64`.
    pub version: String,
}

/// What a recipe teaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecipeKind {
    /// A program that people run: it may be asked for by name, and it moves daily.
    #[default]
    Agent,
    /// What other programs run on. Nobody runs it by name, and it moves with its minor releases.
    Runtime,
    /// A provider's model for the worker of a sealed image: a route and the worker's flags. Nothing is installed for it.
    Model,
}

/// Where a program comes from. Written as a request it is its content alone, so that a new kind of origin moves no lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Origin {
    /// An npm registry.
    Npm(NpmOrigin),
    /// The store of Nix. All that the program needs is there with it.
    Nix(Root),
    /// Nowhere: there is none.
    Nothing,
}

impl Origin {
    /// Asks for another version than the recipe's own.
    fn ask_for(&mut self, version: &str) -> Result<(), ManifestError> {
        match self {
            Self::Npm(npm) => version.clone_into(&mut npm.version),
            Self::Nix(_) => {
                let message =
                    format!("a version `{version}` of a store path cannot be chosen: name the other path");
                return Err(ManifestError::value("agents", message));
            }
            Self::Nothing => {}
        }
        Ok(())
    }
}

/// A program of an npm registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NpmOrigin {
    /// The package whose versions count.
    pub package: String,
    /// Range, tag or exact version.
    pub version: String,
    /// Platform packages that are placed instead of the package itself.
    #[serde(default)]
    pub platforms: BTreeMap<PlatformName, PlatformPackage>,
    /// Why its install scripts need not run.
    #[serde(default)]
    pub scripts: Option<String>,
    /// What happens to its dependencies.
    #[serde(default)]
    pub dependencies: Dependencies,
}

/// What happens to a package's npm dependencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dependencies {
    /// They are not installed: the package brings everything it needs.
    #[default]
    Skip,
}

/// Files of the package to place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Place {
    /// File or directory in the package, `.` for all of it. `{musl-triple}` and `{npm-arch}` are filled in.
    pub from: String,
    /// Where it stands in the image.
    pub to: AbsolutePath,
    /// Mode of a single file; as packed unless said.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Files and directories below `from` to leave out.
    #[serde(default)]
    pub drop: Vec<String>,
}

/// A link to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipeLink {
    /// Where it stands.
    pub path: AbsolutePath,
    /// Where it leads.
    pub target: String,
}

/// A configuration file in the user's home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HomeFile {
    /// Relative to the home directory.
    pub path: String,
    /// Its text.
    pub content: String,
    /// Permissions; 0644 unless said.
    #[serde(default)]
    pub mode: Option<Mode>,
}

/// How to ask the program about itself, in tests and by `verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Check {
    /// Arguments that print its version.
    pub version: Vec<String>,
    /// Arguments that make it validate its configuration.
    pub config: Vec<String>,
}

/// A reverse route on the sandbox's loopback: the agent speaks plain HTTP with a placeholder, the supervisor speaks TLS to
/// the provider with the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Route {
    /// Base address of the provider.
    pub upstream: String,
    /// How the key is sent.
    pub header: KeyHeader,
    /// Path prefixes that may be asked for, each ending at a segment's edge.
    pub paths: Vec<String>,
    /// What of a request is passed on: methods, headers, query parameters, escapes, media types.
    #[serde(default)]
    pub request: RequestRules,
    /// Environment variables of the host that may hold the key, in order.
    pub key: Vec<String>,
    /// How keys of this kind begin, where alternatives are told apart by that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<String>,
    /// Which provider it is; the recipe's name unless said. Routes of one name are alternatives, the first with a key counts.
    #[serde(default)]
    pub name: Option<String>,
    /// Environment variables of the host that may hold another base address (a gateway), in order.
    #[serde(default)]
    pub base: Vec<String>,
    /// Headers added to every request, such as what goes with a key of another kind.
    #[serde(default)]
    pub append_headers: BTreeMap<String, String>,
    /// Environment of the sandbox; `{port}`, `{port:NAME}` and `{placeholder}` are filled in.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// A change to a configuration file of the home for the time of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunHomeFile {
    /// Relative to the home directory.
    pub path: String,
    /// Text put before what is there.
    #[serde(default)]
    pub prepend: String,
    /// Text put after what is there.
    #[serde(default)]
    pub append: String,
    /// Text instead of what is there.
    #[serde(default)]
    pub replace: Option<String>,
}

/// What the agent needs when it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RecipeRun {
    /// Arguments that make it work without asking, beside its configuration.
    pub autonomous: Vec<String>,
    /// Hosts it talks to.
    pub hosts: Vec<String>,
    /// How its keys reach it.
    pub route: Vec<Route>,
    /// Files changed for a run.
    pub file: Vec<RunHomeFile>,
    /// Paths in a workspace that the agent obeys by itself: no sandbox changes or makes them. While one is missing, an empty
    /// directory stands in its place.
    pub protect: Vec<WorkspacePath>,
    /// The same for files whose place the agent cannot bear a directory in: where it runs, nothing stands there, and one that was
    /// made is told at the end.
    pub protect_files: Vec<WorkspacePath>,
    /// Flags of the worker of a sealed image, each with its value; for recipes of kind `model`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worker: Vec<String>,
}

/// One recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "pinfold recipe")]
pub struct RecipeFile {
    /// Name in manifests.
    name: String,
    /// Name for people.
    title: String,
    /// What it is: `agent` (default), `runtime`, something that agents need and nobody runs by name, or `model`, a provider's for
    /// the worker of a sealed image.
    #[serde(default)]
    kind: RecipeKind,
    /// The command it brings.
    command: String,
    /// Other recipes it needs.
    #[serde(default)]
    recipes: Vec<String>,
    /// Debian packages it needs.
    #[serde(default)]
    debian: Vec<String>,
    /// Where it comes from: an npm registry.
    npm: Option<NpmOrigin>,
    /// Or the store of Nix, as a root of `[nix]`.
    nix: Option<RootFile>,
    /// What is placed.
    #[serde(default)]
    place: Vec<Place>,
    /// Links.
    #[serde(default)]
    link: Vec<RecipeLink>,
    /// Environment of the image.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Configuration in the home directory, present when the image has a user.
    #[serde(default)]
    home: Vec<HomeFile>,
    /// How to check it.
    #[serde(default)]
    check: Check,
    /// How to run it.
    #[serde(default)]
    run: RecipeRun,
}

/// What a recipe means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Name in manifests.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What it is.
    pub kind: RecipeKind,
    /// The command it brings.
    pub command: String,
    /// Other recipes it needs.
    pub recipes: Vec<String>,
    /// Debian packages it needs.
    pub debian: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// What is placed.
    pub place: Vec<Place>,
    /// Links.
    pub link: Vec<RecipeLink>,
    /// Environment of the image.
    pub env: BTreeMap<String, String>,
    /// Configuration in the home directory, present when the image has a user.
    pub home: Vec<HomeFile>,
    /// How to check it.
    pub check: Check,
    /// How to run it.
    pub run: RecipeRun,
    /// Where its text was.
    #[serde(skip)]
    pub text: Text,
}

/// Where a recipe's text was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// It is one of pinfold's own.
    BuiltIn,
    /// A file, which somebody may have changed.
    File {
        /// Where it lies.
        real: PathBuf,
        /// Whether the project leads there by itself, though it is not in it.
        strays: bool,
    },
}

/// Who names a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// The manifest, the lock or another recipe: what lies outside of the project needs the user's word.
    Project,
    /// The user, on the command line.
    User,
}

const BUILT_IN: &[(&str, &str)] = &[
    ("claude-code", include_str!("../../../recipes/claude-code.toml")),
    ("claude-code-model", include_str!("../../../recipes/claude-code-model.toml")),
    ("codex-cli", include_str!("../../../recipes/codex-cli.toml")),
    ("codex-cli-model", include_str!("../../../recipes/codex-cli-model.toml")),
    ("gemini-cli", include_str!("../../../recipes/gemini-cli.toml")),
    ("gemini-cli-model", include_str!("../../../recipes/gemini-cli-model.toml")),
    ("node", include_str!("../../../recipes/node.toml")),
    ("opencode", include_str!("../../../recipes/opencode.toml")),
];

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// No built-in recipe of that name.
    #[error("there is no agent `{0}`")]
    Unknown(String),
    /// Its text is wrong.
    #[error(transparent)]
    Text(#[from] ManifestError),
    /// Its file cannot be read.
    #[error("cannot read the recipe of agent `{name}`")]
    Read {
        /// As named in the manifest.
        name: String,
        /// What happened; names the path.
        #[source]
        source: std::io::Error,
    },
    /// Recipes need each other in a circle.
    #[error("the recipe `{0}` needs itself")]
    Circle(String),
}

impl Diagnose for RecipeError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Text(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Unknown(name) => Some(match Recipe::like(name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "the built-in agents are {}; a recipe of your own is named by a path such as `./my-agent.toml`",
                    Recipe::agents().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                ),
            }),
            Self::Circle(name) => Some(format!("take `{name}` out of `recipes` of the recipe that it needs")),
            _ => None,
        }
    }
}

impl RecipeFile {
    /// Checks what only makes sense together.
    fn meaning(self, text: Text) -> Result<Recipe, ManifestError> {
        let home = self.home.iter().map(|file| &file.path);
        for path in home.chain(self.run.file.iter().map(|file| &file.path)) {
            let inside =
                !path.starts_with('/') && path.split('/').all(|name| !matches!(name, "" | "." | ".."));
            if !inside {
                return Err(ManifestError::value(
                    format!("recipe `{}`, home", self.name),
                    format!("`{path}` is not a path below the home directory"),
                ));
            }
        }
        let fits = |name: &str| {
            name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !fits(&self.name) || !fits(&self.command) {
            return Err(ManifestError::value(
                "name",
                "recipe and command names are letters, digits, `-`, `_`, `.`",
            ));
        }
        let is_model = self.kind == RecipeKind::Model;
        if (is_model && self.run.worker.is_empty()) || self.run.worker.len() % 2 == 1 {
            return Err(ManifestError::value(
                format!("recipe `{}`, worker", self.name),
                "a recipe of kind `model` has flags of the worker, each with its value",
            ));
        }
        let origin = match (self.npm, self.nix) {
            (None, None) if is_model => Origin::Nothing,
            (Some(npm), None) => Origin::Npm(npm),
            (None, Some(_)) if !self.place.is_empty() || !self.link.is_empty() => {
                return Err(ManifestError::value(
                    format!("recipe `{}`", self.name),
                    "`place` and `link` are for what comes from npm: of `nix` the command alone is linked",
                ));
            }
            (None, Some(root)) => Origin::Nix(Root::of_agent(&self.name, &root)?),
            _ => {
                return Err(ManifestError::value(
                    format!("recipe `{}`", self.name),
                    "where the program comes from is said once: by a table `[npm]`, or by `nix`",
                ));
            }
        };
        Ok(Recipe {
            name: self.name,
            title: self.title,
            kind: self.kind,
            command: self.command,
            recipes: self.recipes,
            debian: self.debian,
            origin,
            place: self.place,
            link: self.link,
            env: self.env,
            home: self.home,
            check: self.check,
            run: self.run,
            text,
        })
    }
}

impl Recipe {
    /// Names of the built-in agents (recipes that are not merely a runtime).
    pub fn agents() -> impl Iterator<Item = &'static str> {
        Self::built_in_agents().map(|recipe| recipe.name.as_str())
    }

    /// Names of the built-in models.
    pub fn models() -> impl Iterator<Item = &'static str> {
        let all = (0..BUILT_IN.len()).filter_map(Self::known);
        all.filter(|recipe| recipe.kind == RecipeKind::Model).map(|recipe| recipe.name.as_str())
    }

    /// Those that an image with these labels has.
    pub fn agents_in(labels: &BTreeMap<String, String>) -> impl Iterator<Item = &'static str> {
        Self::agents().filter(|name| labels.contains_key(&format!("{AGENT_LABEL}{name}")))
    }

    /// Their recipes.
    pub fn built_in_agents() -> impl Iterator<Item = &'static Self> {
        (0..BUILT_IN.len()).filter_map(Self::known).filter(|recipe| recipe.kind == RecipeKind::Agent)
    }

    /// A built-in recipe, read once for the whole program: a start needs most of them, some more than once. A test reads all,
    /// so none is missing.
    fn known(index: usize) -> Option<&'static Self> {
        static READ: [OnceLock<Option<Recipe>>; BUILT_IN.len()] = [const { OnceLock::new() }; BUILT_IN.len()];
        let (name, text) = BUILT_IN.get(index)?;
        READ.get(index)?.get_or_init(|| Self::read(text, Path::new(name), Text::BuiltIn).ok()).as_ref()
    }

    /// The built-in agent that is most likely meant by a name: it is like its own, or is that of its command.
    pub fn like(name: &str) -> Option<&'static str> {
        let brings = |agent: &&str| Self::built_in(agent).is_ok_and(|recipe| recipe.command == name);
        Self::agents().find(brings).or_else(|| nearest(name, Self::agents()))
    }

    /// Reads a recipe.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        Self::read(text, file, Text::File { real: file.to_owned(), strays: false })
    }

    fn read(text: &str, file: &Path, from: Text) -> Result<Self, ManifestError> {
        let typed: RecipeFile =
            toml::from_str(text).map_err(|error| ManifestError::from_toml(&error, file, text))?;
        typed.meaning(from)
    }

    /// The built-in recipe called `name`.
    pub fn built_in(name: &str) -> Result<Self, RecipeError> {
        let index = BUILT_IN.iter().position(|(known, _)| *known == name);
        let known = index.and_then(Self::known).cloned();
        known.ok_or_else(|| RecipeError::Unknown(name.to_owned()))
    }

    /// The recipe called `name` by the user, seen from `directory`: a built-in one, or a file when it looks like a path.
    pub fn load(name: &str, directory: &Path) -> Result<Self, RecipeError> {
        if !is_path(name) {
            return Self::built_in(name);
        }
        let folder = Folder::open(directory)
            .map_err(|error| RecipeError::Read { name: name.to_owned(), source: error.into() })?;
        Self::open(name, &folder, NamedBy::User)
    }

    /// The same, opened by the descriptor of a directory.
    fn open(name: &str, folder: &Folder, named_by: NamedBy) -> Result<Self, RecipeError> {
        if !is_path(name) {
            return Self::built_in(name);
        }
        let failed = |error: OpenError| RecipeError::Read { name: name.to_owned(), source: error.into() };
        let opened = folder.file(name.as_ref()).map_err(failed)?;
        let text = String::from_utf8(opened.bytes(MAX_SIZE).map_err(failed)?).map_err(|error| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
            RecipeError::Read { name: name.to_owned(), source }
        })?;
        let strays = opened.outside().is_some() && named_by == NamedBy::Project;
        Ok(Self::read(&text, opened.path(), Text::File { real: opened.real().to_owned(), strays })?)
    }

    /// Whether it is one of pinfold's own, or says the same in every word.
    pub fn is_built_in(&self) -> bool {
        let same = |known: &Self| Self { text: Text::BuiltIn, ..self.clone() } == *known;
        self.text == Text::BuiltIn || Self::built_in(&self.name).is_ok_and(|known| same(&known))
    }

    /// What it has of Nix, where its program comes from there.
    pub fn root(&self) -> Option<&Root> {
        match &self.origin {
            Origin::Nix(root) => Some(root),
            Origin::Npm(_) | Origin::Nothing => None,
        }
    }

    /// The same agent with its program from the store of Nix, where all that it runs on comes with it.
    fn from_store(self, typed: &RootFile) -> Result<Self, ManifestError> {
        let origin = Origin::Nix(Root::of_agent(&self.name, typed)?);
        Ok(Self { origin, recipes: Vec::new(), place: Vec::new(), link: Vec::new(), ..self })
    }

    /// Whether it was read from this file.
    pub fn is_of(&self, file: &Path) -> bool {
        matches!(&self.text, Text::File { real, .. } if fs::canonicalize(file).is_ok_and(|file| file == *real))
    }

    /// Name of one of its routes.
    pub fn route_name<'a>(&'a self, route: &'a Route) -> &'a str {
        route.name.as_deref().unwrap_or(&self.name)
    }

    /// The names of its routes, each once: the providers whose keys it can use.
    pub fn route_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.run.route.iter().map(|route| self.route_name(route)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// A member of the package with its placeholders filled in.
    pub fn member(text: &str, platform: Platform) -> String {
        let triple = match platform.arch {
            Arch::Amd64 => "x86_64-unknown-linux-musl",
            Arch::Arm64 => "aarch64-unknown-linux-musl",
        };
        text.replace("{musl-triple}", triple).replace("{npm-arch}", platform.arch.npm())
    }

    /// The component its files belong to.
    pub fn component(&self) -> pinfold_archive::Component {
        pinfold_archive::Component::new("agent", &self.name)
    }
}

/// Whether a recipe's name is that of a file.
pub fn is_path(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|extension| extension == "toml")
}

/// The recipes a manifest asks for, with those they need, each once: needed ones first, then in the manifest's order.
pub fn recipes(manifest: &Manifest, folder: &Folder, named_by: NamedBy) -> Result<Vec<Recipe>, RecipeError> {
    let mut found = Vec::new();
    for agent in &manifest.sources.agents {
        let mut recipe = Recipe::open(agent.name(), folder, named_by)?;
        if let Some(root) = agent.root() {
            recipe = recipe.from_store(root)?;
        }
        add(recipe, agent.version(), folder, &mut Vec::new(), &mut found)?;
    }
    Ok(found)
}

/// One recipe with those it needs, needed ones first.
pub(super) fn with_needed(recipe: Recipe, folder: &Folder) -> Result<Vec<Recipe>, RecipeError> {
    let mut found = Vec::new();
    add(recipe, None, folder, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn add(
    mut recipe: Recipe,
    version: Option<&str>,
    folder: &Folder,
    path: &mut Vec<String>,
    found: &mut Vec<Recipe>,
) -> Result<(), RecipeError> {
    if path.contains(&recipe.name) {
        return Err(RecipeError::Circle(recipe.name));
    }
    if found.iter().any(|known| known.name == recipe.name) {
        return Ok(());
    }
    if recipe.kind == RecipeKind::Model {
        let message = format!("`{}` is a model for sealed images, and nothing to install", recipe.name);
        return Err(ManifestError::value("agents", message).into());
    }
    if let Some(version) = version {
        recipe.origin.ask_for(version)?;
    }
    path.push(recipe.name.clone());
    for needed in &recipe.recipes {
        // It is the recipe that names it.
        add(Recipe::open(needed, folder, NamedBy::Project)?, None, folder, path, found)?;
    }
    path.pop();
    found.push(recipe);
    Ok(())
}

#[cfg(test)]
mod tests;
