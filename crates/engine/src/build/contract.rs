//! What an image tells those inside of it: `/usr/share/pinfold/image.json`, generated when it is built (docs/sbom.md draws it).
//!
//! ```text
//! manifest, recipes ─► sandbox   what it needs of whoever runs it: hosts, names of credentials, writable paths, user, kernel
//! lock, tree        ─► tools     what can be called, where, in which version
//! ```
//!
//! The manifest of the image has the file's digest as an annotation (`dev.pinfold.contract`), so that it can be held against it
//! without an unpacked image.
//!
//! **Guarantees**: equal locks and files give equal bytes, also on two platforms that have the same tools; no secret is in it, only the names of variables that may hold one.
//! **Leaves alone** a file of the user's at that path; then there is no annotation.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents as Bytes;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::image_path::PathError;
use pinfold_sources::nix::LockedRoot;
use serde::Deserialize;
use serde::Serialize;

use crate::describe::commands;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::recipe::Recipe;
use crate::sources;
use crate::sources::STILL;
use crate::sources::nix::Named;
use crate::sources::npm::purl;

/// Where the file is.
pub const PATH: &str = "/usr/share/pinfold/image.json";
/// Format of the file.
const VERSION: u32 = 1;
/// Most commands that are named of one package.
const MAX_COMMANDS: usize = 40;

/// What an image tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Format, 1.
    pub version: u32,
    /// What the project calls it.
    pub name: String,
    /// What it needs of whoever runs it.
    pub sandbox: Sandbox,
    /// What can be called: agents first, then by name.
    pub tools: Vec<Tool>,
}

/// What an image needs of a sandbox. What is not in it, it does not need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sandbox {
    /// Whose its programs are; nothing is root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Account>,
    /// Hosts that its agents talk to and that the manifest allows, as rules of the proxy.
    pub hosts: Vec<String>,
    /// Environment variables that may hold its agents' keys.
    pub credentials: Vec<String>,
    /// Paths that must be writable, and be on no file system of the image: the root may be read-only.
    pub writable: Vec<String>,
    /// What the kernel must let it do.
    pub kernel: Kernel,
}

/// An account of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
}

/// What of a kernel an image needs beyond running programs of its platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kernel {
    /// Capabilities; always none.
    pub capabilities: Vec<String>,
    /// Device nodes.
    pub devices: Vec<String>,
    /// Directories from which programs are mapped and run that agents unpack there: they may not be mounted `noexec`.
    pub executable: Vec<String>,
}

/// Something that can be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The command, or the package where it brings several.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    pub path: String,
    /// What else comes with it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What it is, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The component that it came with: `agent/codex-cli`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The URL of its package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
}

/// Puts the file into a finished tree.
pub(super) fn lay(
    tree: &mut Tree,
    bytes: &dyn Bytes,
    project: &Project,
    lock: &Lock,
    platform: Platform,
) -> io::Result<()> {
    let path = tree.landing(&path().map_err(io::Error::other)?);
    if tree.get(&path).is_some_and(|there| there.owner == Component::generated("files")) {
        return Ok(());
    }
    let contract = Contract {
        version: VERSION,
        name: project.manifest.name.clone(),
        sandbox: sandbox(project),
        tools: tools(tree, bytes, project, lock, platform)?,
    };
    let mut text = serde_json::to_string_pretty(&contract)?;
    text.push('\n');
    let meta = Metadata::root(0o644, STILL);
    tree.insert(path, Node::file(&Component::generated("contract"), meta, Content::inline(text.as_bytes())));
    Ok(())
}

/// The digest of the file, where it is ours.
pub(super) fn digest(tree: &Tree) -> Option<Digest> {
    match tree.get(&tree.landing(&path().ok()?)) {
        Some(Node { kind: NodeKind::File(Content::Inline(bytes)), owner, .. })
            if *owner == Component::generated("contract") =>
        {
            Some(Digest::sha256(bytes))
        }
        _ => None,
    }
}

fn path() -> Result<ImagePath, PathError> {
    ImagePath::new(PATH)
}

fn sandbox(project: &Project) -> Sandbox {
    let Project { manifest, recipes, .. } = project;
    let routes = || recipes.iter().flat_map(|recipe| &recipe.run.route);
    let of_agents = recipes.iter().flat_map(|recipe| recipe.run.hosts.iter().cloned());
    let hosts: BTreeSet<String> =
        of_agents.chain(manifest.run.allow.iter().map(|rule| rule.text().to_owned())).collect();
    let credentials: BTreeSet<String> = routes().flat_map(|route| route.key.iter().cloned()).collect();
    let user = manifest.user.as_ref().map(|user| Account {
        name: user.name.clone(),
        uid: user.uid,
        gid: user.gid,
        home: user.home.to_string(),
    });
    let home = user.as_ref().map(|user| user.home.clone());
    let volumes = manifest.image.volumes.iter().map(ToString::to_string);
    let writable: BTreeSet<String> = home.into_iter().chain(["/tmp".to_owned()]).chain(volumes).collect();
    let executable = if recipes.is_empty() { Vec::new() } else { vec!["/tmp".to_owned()] };
    Sandbox {
        user,
        hosts: hosts.into_iter().collect(),
        credentials: credentials.into_iter().collect(),
        writable: writable.into_iter().collect(),
        kernel: Kernel { executable, ..Kernel::default() },
    }
}

/// What recipes bring, then what the manifest and recipes ask of other sources by name, as far as it can be called.
fn tools(
    tree: &Tree,
    bytes: &dyn Bytes,
    project: &Project,
    lock: &Lock,
    platform: Platform,
) -> io::Result<Vec<Tool>> {
    let mut tools: Vec<Tool> =
        project.recipes.iter().filter_map(|recipe| agent(tree, recipe, (project, lock), platform)).collect();
    let mut others = debian(tree, bytes, project)?;
    others.extend(npm(tree, lock, platform));
    others.extend(nix(tree, lock, platform));
    others.extend(binaries(tree, project, lock, platform));
    others.sort_by(|one, other| one.name.cmp(&other.name).then_with(|| one.path.cmp(&other.path)));
    tools.extend(others);
    Ok(tools)
}

fn agent(
    tree: &Tree,
    recipe: &Recipe,
    (project, lock): (&Project, &Lock),
    platform: Platform,
) -> Option<Tool> {
    let component = recipe.component();
    let (version, purl) = match lock.agents.iter().find(|agent| agent.name == recipe.name) {
        Some(locked) => {
            let package = locked.packages.get(&platform)?;
            (locked.version.clone(), Some(purl(&package.name, &package.version)))
        }
        None => (sources::nix::versions(project, lock, platform).remove(recipe.name.as_str())?, None),
    };
    let mut mine = tree.iter().filter(|(_, node)| node.owner == component);
    let (path, _) =
        mine.find(|(path, node)| !node.is_directory() && path.name() == recipe.command.as_bytes())?;
    // A link to it on the usual way is what is called.
    let usual = ImagePath::new(format!("usr/local/bin/{}", recipe.command)).ok();
    let path = usual.filter(|usual| tree.contains(usual)).unwrap_or_else(|| path.clone());
    Some(Tool {
        name: recipe.command.clone(),
        version,
        path: path.to_string(),
        about: Some(recipe.title.clone()),
        component: Some(component.to_string()),
        purl,
        ..Tool::default()
    })
}

/// Packages of Debian that were asked for by name.
fn debian(tree: &Tree, bytes: &dyn Bytes, project: &Project) -> io::Result<Vec<Tool>> {
    let asked = project.manifest.sources.debian.iter().flat_map(|debian| &debian.packages);
    let asked = asked.chain(project.recipes.iter().flat_map(|recipe| &recipe.debian));
    let asked: BTreeSet<&str> =
        asked.map(|name| name.split([':', '=', '/', ' ']).next().unwrap_or_default()).collect();
    let mut tools = Vec::new();
    for mut package in commands(tree, bytes, &asked)? {
        let own = package.paths.iter().position(|path| path.name() == package.name.as_bytes());
        let Some(path) = (!package.paths.is_empty()).then(|| package.paths.remove(own.unwrap_or(0))) else {
            continue;
        };
        let mut commands: Vec<String> =
            package.paths.iter().map(|path| String::from_utf8_lossy(path.name()).into_owned()).collect();
        commands.sort();
        commands.truncate(MAX_COMMANDS);
        tools.push(Tool {
            name: package.name,
            version: package.version,
            path: path.to_string(),
            commands,
            about: package.summary,
            component: Some(format!("debian/{}", package.source)),
            purl: None,
        });
    }
    Ok(tools)
}

/// npm packages that were asked for by name.
fn npm(tree: &Tree, lock: &Lock, platform: Platform) -> Vec<Tool> {
    let placed = lock.npm.get(&platform).into_iter().flatten().filter(|one| one.requested);
    let tool = |one: &pinfold_sources::npm::Placement| {
        let there = |command: &&String| {
            ImagePath::new(format!("usr/local/bin/{command}")).is_ok_and(|path| tree.contains(&path))
        };
        let mut commands: Vec<String> = one.bins.keys().filter(there).cloned().collect();
        let own = one.package.name.rsplit('/').next().unwrap_or_default();
        let own = commands.iter().position(|command| command == own);
        let first = (!commands.is_empty()).then(|| commands.remove(own.unwrap_or(0)))?;
        commands.truncate(MAX_COMMANDS);
        Some(Tool {
            path: format!("/usr/local/bin/{first}"),
            name: one.package.name.clone(),
            version: one.package.version.clone(),
            commands,
            about: None,
            component: Some(format!("npm/{}", one.package.name)),
            purl: Some(purl(&one.package.name, &one.package.version)),
        })
    };
    placed.filter_map(tool).collect()
}

/// Roots of Nix's store other than agents, with the commands that are on PATH.
fn nix(tree: &Tree, lock: &Lock, platform: Platform) -> Vec<Tool> {
    let named = |root: &LockedRoot| {
        let there = ImagePath::new(format!("nix/store/{}/bin", root.path.base_name()));
        let folder = there.ok().and_then(|folder| tree.resolve(&folder))?;
        let names = tree.children(&folder).map(|(path, _)| String::from_utf8_lossy(path.name()).into_owned());
        let called = |name: &String| {
            ImagePath::new(format!("{}/{name}", sources::nix::COMMANDS))
                .is_ok_and(|path| tree.content(&path).is_some())
        };
        let mut commands: Vec<String> = names.filter(called).collect();
        let Named { name, version } = Named::of(&root.path);
        let own = commands.iter().position(|command| command == name);
        let first = (!commands.is_empty()).then(|| commands.remove(own.unwrap_or(0)))?;
        commands.truncate(MAX_COMMANDS);
        Some(Tool {
            path: format!("{}/{first}", sources::nix::COMMANDS),
            name: name.to_owned(),
            version,
            commands,
            component: Some(format!("nix/{name}")),
            ..Tool::default()
        })
    };
    let roots = lock.nix.get(&platform).into_iter().flat_map(|locked| &locked.roots);
    roots.filter(|root| root.agent.is_none()).filter_map(named).collect()
}

/// Programs by URL: the first of their members that is one.
fn binaries(tree: &Tree, project: &Project, lock: &Lock, platform: Platform) -> Vec<Tool> {
    let locked: BTreeMap<&str, &str> = lock
        .binaries
        .get(&platform)
        .into_iter()
        .flatten()
        .map(|binary| (binary.name.as_str(), binary.version.as_str()))
        .collect();
    let tool = |binary: &crate::sources::binary::Binary| {
        let component = Component::new("binary", &binary.name);
        let version = locked.get(binary.name.as_str())?;
        let runs = |node: &Node| matches!(node.kind, NodeKind::File(_)) && node.meta.mode & 0o111 != 0;
        let mut mine = tree.iter().filter(|(_, node)| node.owner == component && runs(node));
        let (path, _) = mine.next()?;
        Some(Tool {
            name: binary.name.clone(),
            version: (*version).to_owned(),
            path: path.to_string(),
            component: Some(component.to_string()),
            ..Tool::default()
        })
    };
    project.manifest.sources.binary.iter().filter_map(tool).collect()
}
