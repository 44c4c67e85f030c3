//! Agents and runtimes: what recipes bring. Where a recipe's program comes from is the recipe's word ([`Origin`]).

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_image::plan::Volatility;
use pinfold_sources::npm as registry;
use pinfold_sources::npm::LockedNpm;
use serde::Deserialize;
use serde::Serialize;

use super::Archive;
use super::Asking;
use super::Date;
use super::Placed;
use super::Placing;
use super::Remotes;
use super::STILL;
use super::Section;
use super::Server;
use super::Source;
use super::SourceError;
use super::Trust;
use super::json;
use super::nix::Root;
use super::npm;
use crate::context::Environment;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest::ManifestError;
use crate::project::manifest::file::AgentRequest;
use crate::project::recipe::Origin;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;

/// Where npm packages are in an image.
const MODULES: &str = "usr/local/lib/node_modules";

/// Recipes.
#[derive(Clone, Copy, Debug)]
pub struct Agents;

/// One recipe's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedAgent {
    /// Recipe name.
    pub name: String,
    /// The version, one for all platforms.
    pub version: String,
    /// The package of each platform.
    pub packages: BTreeMap<Platform, LockedNpm>,
}

impl Section for Agents {
    type Typed = Option<Vec<AgentRequest>>;
    type Request = Vec<AgentRequest>;
    type Locked = Vec<LockedAgent>;

    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        over.or(preset)
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        Ok(typed.unwrap_or_default())
    }

    fn fits(wanted: &Self::Request, platforms: &[Platform]) -> Result<(), ManifestError> {
        for agent in wanted {
            if let Some(root) = agent.root() {
                Root::of_agent(agent.name(), root)?.covers("agents", platforms)?;
            }
        }
        Ok(())
    }
}

impl Source for Agents {
    fn prefix(&self) -> &'static str {
        "agent"
    }

    fn names(&self, project: &Project) -> Vec<String> {
        project.recipes.iter().map(|recipe| recipe.name.clone()).collect()
    }

    /// What a recipe is fetched by, and what it pulls in; its configuration files are not part of the request.
    fn request(&self, project: &Project) -> Option<String> {
        let part =
            |recipe: &'_ Recipe| json(&(&recipe.name, &recipe.origin, &recipe.debian, &recipe.recipes));
        let parts: Vec<String> = project.recipes.iter().filter_map(part).collect();
        Some(format!("[{}]", parts.join(",")))
    }

    fn trusts(&self, _: &Project, _: &Environment) -> Vec<Trust> {
        Vec::new()
    }

    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let reporter = &asking.remotes.context.reporter;
        let mut notes = Vec::new();
        for recipe in &asking.remotes.project.recipes {
            let old =
                asking.old.into_iter().flat_map(|lock| &lock.agents).find(|old| old.name == recipe.name);
            let kept = old
                .filter(|_| !asking.upgrade.moves(&format!("agent/{}", recipe.name)))
                .map(|old| old.version.as_str());
            let running = Running::begin(&**reporter, Stage::Resolve, &recipe.title, None);
            let resolved = match &recipe.origin {
                Origin::Npm(origin) => npm::program(asking, &recipe.title, origin, kept),
                // It is locked, fetched and placed among the roots of the store.
                Origin::Nix(_) | Origin::Nothing => continue,
            };
            drop(running);
            let resolved = resolved?;
            notes.extend(resolved.notes);
            lock.agents.push(LockedAgent {
                name: recipe.name.clone(),
                version: resolved.version,
                packages: resolved.packages,
            });
        }
        Ok(notes)
    }

    fn bytes(&self, asking: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        npm::told(asking, |platform| {
            let package = |agent: &'_ LockedAgent| format!("agent/{}", agent.name);
            let has = |agent| Some((package(agent), agent.packages.get(&platform)?));
            lock.agents.iter().filter_map(has).collect()
        })
    }

    fn servers(&self, remotes: &Remotes<'_>) -> Vec<Server> {
        let packages = remotes.project.recipes.iter().filter_map(|recipe| match &recipe.origin {
            Origin::Npm(origin) => Some(origin.package.as_str()),
            Origin::Nix(_) | Origin::Nothing => None,
        });
        packages.take(1).map(|package| npm::server(remotes, package)).collect()
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let archive = |agent: &'a LockedAgent| {
            let component = format!("agent/{}", agent.name);
            Some(npm::archive(agent.packages.get(&platform)?, component, &agent.version))
        };
        lock.agents.iter().filter_map(archive).collect()
    }

    fn date(&self, lock: &Lock) -> Option<Date> {
        let packages = lock.agents.iter().flat_map(|agent| agent.packages.values());
        packages.filter_map(|package| package.published).map(Date::Published).max()
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let mut placed = Placed::default();
        for recipe in placing.project.recipes.iter().filter(|recipe| recipe.root().is_none()) {
            match there(placing, recipe) {
                Some(path) => placed.notes.push(format!(
                    "`{path}` is as the base has it: {} of the recipe `{}` is left out",
                    recipe.title, recipe.name
                )),
                None => placed.tree.merge(program(placing, recipe)?)?,
            }
        }
        Ok(placed)
    }

    /// A runtime moves with its minor releases, agents daily.
    fn volatility(&self, project: &Project, name: &str) -> Volatility {
        let recipe = project.recipes.iter().find(|recipe| recipe.name == name);
        match recipe.map_or(RecipeKind::Agent, |recipe| recipe.kind) {
            RecipeKind::Runtime => Volatility::Weekly,
            RecipeKind::Agent | RecipeKind::Model => Volatility::Volatile,
        }
    }
}

/// Where the base has what a runtime would bring: a base of Node.js is taken for its own Node.js.
fn there(placing: &Placing<'_>, recipe: &Recipe) -> Option<ImagePath> {
    let below = placing.below.filter(|_| recipe.kind == RecipeKind::Runtime)?;
    let command =
        recipe.place.iter().map(|place| &place.to.0).find(|path| path.name() == recipe.command.as_bytes())?;
    below.tree.content(command).map(|_| command.clone())
}

/// What one recipe brings.
fn program(placing: &Placing<'_>, recipe: &Recipe) -> Result<Tree, SourceError> {
    let missing = || SourceError::not_locked(&recipe.name, placing.platform);
    let locked = placing.lock.agents.iter().find(|agent| agent.name == recipe.name).ok_or_else(missing)?;
    let package = locked.packages.get(&placing.platform).ok_or_else(missing)?;
    let what = format!("{} {}", recipe.name, locked.version);
    let listing = placing.listing(&what, &package.integrity, Format::Tar)?;
    let component = recipe.component();
    let mut rules = Vec::new();
    for place in &recipe.place {
        let path = |text: &String| ImagePath::new(text).map_err(SourceError::from);
        rules.push(registry::FileRule {
            from: path(&Recipe::member(&place.from, placing.platform))?,
            to: place.to.0.clone(),
            mode: place.mode.map(|mode| mode.0),
            drop: place.drop.iter().map(path).collect::<Result<_, _>>()?,
        });
    }
    // Scanners know a package by this file, and a program alone by nothing.
    let manifest = ImagePath::new("package.json")?;
    if !rules.iter().any(|rule| rule.from.is_root() || rule.from == manifest) {
        rules.push(registry::FileRule {
            to: ImagePath::new(format!("{MODULES}/{}/package.json", package.name))?,
            from: manifest,
            mode: Some(0o644),
            drop: Vec::new(),
        });
    }
    let placed = registry::Package::open(package, &listing, &placing.context.decoded)
        .and_then(|package| package.chosen(&rules, &component, STILL))
        .map_err(SourceError::of)?;
    let mut tree = placed.tree;
    for link in &recipe.link {
        let node = Node::symlink(&component, STILL, &link.target);
        tree.add(link.path.0.clone(), node)?;
    }
    Ok(tree)
}
