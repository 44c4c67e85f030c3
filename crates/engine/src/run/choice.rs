//! The image that is meant: a project's, built first if need be, or one that is there. What it says about its sandboxes, which
//! agents it has, and who is asked for when it wants more than the defaults.
//!
//! ```text
//!   Choice (what is meant) ─► Wanted (with what it wants) ─► agree ─► Chosen (what is run)
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::Platform;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_network::Credential;

use super::credentials;
use super::credentials::BadKey;
use super::credentials::Found;
use super::declared::Declared;
use super::error::RunError;
use super::image;
use super::request::Basis;
use super::request::Request;
use super::sealed;
use super::specify;
use crate::consent;
use crate::consent::Agreed;
use crate::consent::Ask;
use crate::consent::Part;
use crate::consent::Subject;
use crate::consent::Wishes;
use crate::context::Context;
use crate::keep::images;
use crate::project;
use crate::project::Project;
use crate::project::ProjectError;
use crate::project::lock;
use crate::project::manifest;
use crate::project::manifest::Run;
use crate::project::preset_folder;
use crate::project::recipe;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;
use crate::project::upward;
use crate::ship::ShipError;
use crate::ship::find::Finding;
use crate::ship::find::find;

/// Which image is run.
#[derive(Debug)]
pub(super) enum Choice {
    /// That of a project, built first if need be.
    Project(Box<Project>),
    /// One that is there.
    Image(Admitted<ImageSource>),
}

impl Choice {
    /// The image that a request means, seen from the current directory.
    pub(super) fn find(context: &Context, request: &Request) -> Result<Self, RunError> {
        let project = match &request.basis {
            Basis::Image(text) => {
                let finding = Finding { pull: request.pull, platforms: request.platform.into() };
                return Ok(Self::Image(find(context, text, finding)?));
            }
            Basis::At(place) => {
                return Ok(Self::Image(images::find_at(context, place).map_err(ShipError::from)?));
            }
            Basis::Manifest(file) => Project::from_file(file)?,
            Basis::Preset(name) => preset(context, Path::new("."), name, request.agent())?,
            Basis::Here => {
                match upward::find(Path::new("."), context.environment.home()).map_err(ProjectError::from)? {
                    Some(directory) => Project::from_file(&directory.join(manifest::FILE_NAME))?,
                    None => preset(context, Path::new("."), "solo", request.agent())?,
                }
            }
        };
        Ok(Self::Project(Box::new(project)))
    }

    /// Together with what it wants for its sandboxes.
    pub(super) fn wanted(self, context: &Context, request: &Request) -> Result<Wanted, RunError> {
        let platform = specify::platform(request)?;
        let subject = match &self {
            Self::Image(source) => Subject::image(source.name(), request.platform),
            Self::Project(project) => Subject::of(project),
        };
        let (declared, mut recipes) = (self.declared(platform)?, self.recipes(platform)?);
        if declared.sealed {
            // No image has it: it is a route and flags.
            recipes.extend(request.agent().and_then(sealed::model));
        }
        let Found { keys, bad } = match &self {
            Self::Image(_) => Found::default(),
            Self::Project(project) => credentials::declared(context, request, project),
        };
        let wishes = Wishes { declared, recipes, keys };
        Ok(Wanted { choice: self, subject, wishes, bad })
    }

    /// Agents it has. Those of an image are known by its labels, and only built-in recipes can be meant.
    fn recipes(&self, platform: Platform) -> Result<Vec<Recipe>, RunError> {
        match self {
            Self::Project(project) => Ok(project.recipes.clone()),
            Self::Image(source) => {
                let labels = image::labels(&image::of(source, platform)?);
                Ok(Recipe::agents_in(&labels).map(Recipe::built_in).collect::<Result<_, _>>()?)
            }
        }
    }

    /// What verbs other than `run` mean by the same words, where that is another project.
    pub(super) fn built_here(
        context: &Context,
        request: &Request,
        agents: &[String],
    ) -> Result<Option<Self>, RunError> {
        let here = Path::new(".");
        let project = match &request.basis {
            Basis::Preset(name) => {
                let home = context.environment.home();
                Project::of_preset(context.home.data(), here, home, (name, None), agents)?
            }
            Basis::Here
                if !here.join(manifest::FILE_NAME).exists() && here.join(lock::FILE_NAME).exists() =>
            {
                // A lock that remembers no preset is no project by itself.
                let Ok(project) = Project::discover(here) else { return Ok(None) };
                project
            }
            _ => return Ok(None),
        };
        Ok(Some(Self::Project(Box::new(project))))
    }

    /// What it says about its sandboxes.
    fn declared(&self, platform: Platform) -> Result<Run, RunError> {
        match self {
            Self::Project(project) => Ok(project.manifest.run.clone()),
            Self::Image(source) => {
                Declared::from_labels(source.name(), &image::labels(&image::of(source, platform)?))
            }
        }
    }
}

/// What is meant, with everything that it wants.
#[derive(Debug)]
pub(super) struct Wanted {
    choice: Choice,
    subject: Subject,
    wishes: Wishes,
    /// Keys that it names and that cannot be used.
    bad: Vec<BadKey>,
}

impl Wanted {
    /// Who asks, and everything that is asked for. Refuses keys that cannot be used: nobody can agree to them.
    pub(super) fn asks(mut self, context: &Context) -> Result<Part, RunError> {
        self.refuse_bad_keys(context)?;
        Ok(self.part(context))
    }

    fn refuse_bad_keys(&mut self, context: &Context) -> Result<(), RunError> {
        let bad = std::mem::take(&mut self.bad);
        if bad.is_empty() {
            return Ok(());
        }
        let mut open = consent::open(context, &self.part(context));
        // Of a key that cannot be used, it is told why.
        let is_bad = |whose: &str| bad.iter().any(|bad| bad.whose == credentials::declared_by(whose));
        open.retain(|told| !matches!(&told.ask, Ask::Credential { agent, .. } if is_bad(agent)));
        RunError::of_keys(bad, open)
    }

    fn part(&self, context: &Context) -> Part {
        let asks = consent::asks(&context.environment, self.project(), &self.wishes);
        Part { subject: self.subject.clone(), asks }
    }

    /// The keys that the user named for this run. They are held to the same as the project's.
    pub(super) fn requested(
        &mut self,
        context: &Context,
        request: &Request,
    ) -> Result<BTreeMap<String, Credential>, RunError> {
        let agent = request.agent().and_then(|name| agent(&self.wishes.recipes, name));
        // An agent that is not there is told by itself.
        if request.agent().is_some() && agent.is_none() {
            return Ok(BTreeMap::new());
        }
        let declared = &self.wishes.declared;
        let Found { keys, bad } = credentials::requested(context, request, self.project(), declared, agent)?;
        self.bad.extend(bad);
        Ok(keys)
    }

    fn project(&self) -> Option<&Project> {
        match &self.choice {
            Choice::Project(project) => Some(project),
            Choice::Image(_) => None,
        }
    }

    /// Refuses keys that cannot be used and what the user has not agreed to.
    pub(super) fn agree(mut self, context: &Context) -> Result<Chosen, RunError> {
        self.refuse_bad_keys(context)?;
        let Self { choice, subject, wishes, .. } = self;
        Ok(match choice {
            Choice::Project(project) => {
                let (project, wishes) = consent::agree_to_run(context, subject, *project, wishes)?;
                Chosen { image: ImageOf::Project(Box::new(project)), wishes }
            }
            Choice::Image(source) => {
                let wishes = consent::agree_to_image(context, subject, wishes)?;
                Chosen { image: ImageOf::Source(source), wishes }
            }
        })
    }
}

/// Whose image is run, all that it asks for agreed to.
#[derive(Debug)]
pub(super) enum ImageOf {
    /// A project's, built first if need be.
    Project(Box<Agreed<Project>>),
    /// One that is there.
    Source(Admitted<ImageSource>),
}

/// What is run.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The image.
    pub(super) image: ImageOf,
    /// What its sandboxes are to have.
    pub(super) wishes: Agreed<Wishes>,
}

impl Chosen {
    /// What a person calls it.
    fn name(&self) -> &str {
        match &self.image {
            ImageOf::Project(project) => &project.manifest.name,
            ImageOf::Source(source) => source.name(),
        }
    }

    /// Its agent of this name.
    pub(super) fn agent(&self, name: &str) -> Result<Recipe, RunError> {
        let recipes = &self.wishes.recipes;
        agent(recipes, name).cloned().ok_or_else(|| RunError::NoAgent {
            image: self.name().to_owned(),
            agent: name.to_owned(),
            known: recipes
                .iter()
                .filter(|recipe| recipe.kind == RecipeKind::Agent)
                .map(|recipe| recipe.name.clone())
                .collect(),
        })
    }
}

/// The agent of this name. A recipe of the user's own is named by its path, as in the manifest, or by its name.
pub(super) fn agent<'a>(recipes: &'a [Recipe], name: &str) -> Option<&'a Recipe> {
    // By the file that was read: what has its name by now may be another.
    let file = Path::new(name);
    let named = |recipe: &&Recipe| recipe.name == name || recipe.command == name;
    if recipe::is_path(name) {
        recipes.iter().find(|recipe| recipe.is_of(file))
    } else {
        recipes.iter().find(named)
    }
}

/// The project of a built-in manifest, its lock kept in the data folder so that `directory` stays untouched. `solo` is that of
/// the agent, named as seen from `directory`.
fn preset(
    context: &Context,
    directory: &Path,
    preset: &str,
    agent: Option<&str>,
) -> Result<Project, RunError> {
    // Not the current directory: what lies there (an `.npmrc`, say) is not part of a preset.
    let open = |name: &str| {
        let folder = preset_folder(context.home.data(), name)?;
        Ok::<_, RunError>(Project::from_preset(&folder, preset, None)?)
    };
    if preset != "solo" {
        return open(preset);
    }
    let agent = agent.unwrap_or("claude-code");
    let recipe = Recipe::load(agent, directory)?;
    let agents = [agent.to_owned()];
    let (folder, named) = project::kept_apart(preset, None, &agents, directory)?;
    Ok(open(&folder)?.with_recipe(&named[0], recipe)?)
}
