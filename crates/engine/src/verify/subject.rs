//! What static checks look at: one platform of an image, all that was read of it, and what it should be.

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::Image;
use pinfold_image::model::RuntimeSection;
use pinfold_image::survey::Seen;
use pinfold_image::survey::Survey;
use pinfold_image::survey::What;

use super::report::Finding;
use crate::describe;
use crate::describe::Description;
use crate::describe::Origins;
use crate::describe::explain::effects::Makers;
use crate::project::recipe::Recipe;
use crate::run::Declared;
use crate::run::image::passwd_fields;

/// What names of labels with the agents' versions begin with.
const AGENT: &str = "dev.pinfold.agent.";

/// Who an image runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// As the configuration says it; empty is root.
    pub said: String,
    /// Its name, where the image's passwd(5) has it.
    pub name: Option<String>,
    /// Its number, where one is said or found.
    pub uid: Option<u32>,
    /// Its group's number, likewise.
    pub gid: Option<u32>,
    /// Its home.
    pub home: Option<String>,
}

impl User {
    /// Reads the configuration's `User` (image-spec config.md) with the image's passwd(5) and group(5).
    fn find(said: &str, passwd: &str, group: &str) -> Self {
        let (name, of) = said.split_once(':').unwrap_or((said, ""));
        let name = if name.is_empty() { "0" } else { name };
        let line = passwd_fields(name, passwd);
        let field = |at: usize| line.as_ref().map(|fields| fields[at]);
        let number = |text: &str| text.parse::<u32>().ok();
        let named = || {
            let mut lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
            lines.find(|fields| fields.len() >= 3 && fields[0] == of).and_then(|fields| number(fields[2]))
        };
        let gid = if of.is_empty() { field(3).and_then(number) } else { number(of).or_else(named) };
        Self {
            said: said.into(),
            name: field(0).map(str::to_owned),
            uid: number(name).or_else(|| field(2).and_then(number)),
            gid,
            home: field(5).filter(|home| home.starts_with('/')).map(str::to_owned),
        }
    }
}

/// One agent that an image says it has.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// The version that the image's label says.
    pub version: String,
    /// What pinfold knows of it; `None` for a user's own.
    pub recipe: Option<Recipe>,
}

/// One platform of an image.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The platform.
    pub platform: Platform,
    /// Its documents.
    pub image: &'a Image,
    /// Its files.
    pub survey: &'a Survey,
    /// The packages that they came with.
    pub description: &'a Description,
    /// What it was built of, where that is at hand.
    pub origins: &'a Origins,
    /// What install scripts made, where its lock is known.
    pub made: Makers<'a>,
    /// What it may weigh, in bytes.
    pub budget: u64,
    /// How it is run.
    pub runtime: RuntimeSection,
    /// Who it runs as.
    pub user: User,
    /// The agents that its labels name.
    pub agents: Vec<Agent>,
}

impl<'a> Subject<'a> {
    /// Puts together what is known of a platform.
    pub fn new(
        (platform, image): (Platform, &'a Image),
        description: &'a Description,
        (origins, made): (&'a Origins, Makers<'a>),
        budget: u64,
    ) -> Self {
        let survey = &description.contents;
        let runtime = image.config.value().config.clone().unwrap_or_default();
        let text = |path: &str| {
            let kept = ImagePath::new(path).ok().and_then(|path| survey.kept.get(&path));
            kept.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
        };
        let user = User::find(&runtime.user, &text("etc/passwd"), &text("etc/group"));
        let agents = runtime.labels.iter().filter_map(|(label, version)| {
            let name = label.strip_prefix(AGENT)?;
            Some(Agent { name: name.into(), version: version.clone(), recipe: Recipe::built_in(name).ok() })
        });
        let agents = agents.collect();
        Self { platform, image, survey, description, origins, made, budget, runtime, user, agents }
    }

    /// The component that a path came with.
    pub fn owner(&self, path: &ImagePath) -> Option<&str> {
        self.description.component_of(path)
    }

    /// A finding at a path, with the component that brought it.
    pub fn finding(&self, path: &ImagePath, problem: impl Into<String>) -> Finding {
        let of = self.owner(path).map(|owner| format!(" ({owner})")).unwrap_or_default();
        Finding { at: format!("{path}"), problem: format!("{}{of}", problem.into()) }
    }

    /// The content of a small file.
    pub fn text(&self, path: &str) -> Option<String> {
        let path = ImagePath::new(path.trim_start_matches('/')).ok()?;
        self.survey.kept.get(&path).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// What is at an absolute path, without following links.
    pub fn at(&self, path: &str) -> Option<&Seen> {
        self.survey.get(&ImagePath::new(path.trim_start_matches('/')).ok()?)
    }

    /// Its variables.
    pub fn env(&self) -> BTreeMap<&str, &str> {
        self.runtime.env.iter().filter_map(|pair| pair.split_once('=')).collect()
    }

    /// Whether a path lies where a sandbox with a read-only root has something that can be written to.
    pub fn is_writable_at_run(&self, path: &str) -> bool {
        let below =
            |dir: &str| path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        let volumes = self.runtime.volumes.keys().map(|volume| volume.trim_end_matches('/'));
        let home = self.user.home.as_deref().filter(|home| *home != "/");
        volumes.chain(home).chain(["/tmp", "/run", "/dev", "/proc", "/sys"]).any(below)
    }

    /// Files with what they are, by path.
    pub fn files(&self) -> impl Iterator<Item = (&ImagePath, &Seen, &pinfold_image::survey::Facts)> {
        self.survey.paths.iter().filter_map(|(path, seen)| match &seen.what {
            What::File(facts) => Some((path, seen, &**facts)),
            _ => None,
        })
    }

    /// The contract of a run that the image carries as a label.
    pub fn declared(&self) -> Option<crate::project::manifest::run::Run> {
        Declared::from_labels("", &self.runtime.labels).ok()
    }
}

/// Which files' contents static checks want.
pub(super) fn is_kept(path: &ImagePath) -> bool {
    let name = path.to_string();
    matches!(
        name.as_str(),
        "/etc/passwd"
            | "/var/lib/dpkg/diversions"
            | "/etc/group"
            | "/etc/shadow"
            | "/etc/machine-id"
            | "/etc/hostname"
            | "/etc/resolv.conf"
            | "/etc/hosts"
            | "/etc/ld.so.conf"
            | "/etc/ld.so.cache"
            | "/etc/environment"
            | "/etc/os-release"
            | "/usr/lib/os-release"
    ) || describe::is_read(path)
        || name.starts_with("/etc/ld.so.conf.d/")
        || name.starts_with("/etc/ld-musl-")
        || name.strip_prefix("/var/lib/dpkg/info/").is_some_and(|rest| rest.ends_with(".md5sums"))
        || name.strip_prefix("/var/lib/dpkg/status.d/").is_some()
        || super::origin::is_script(&name)
        || super::authorities::is_read(&name)
        || is_configuration(&name)
}

/// Whether an agent reads it as its configuration.
fn is_configuration(path: &str) -> bool {
    static NAMES: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let names = NAMES.get_or_init(|| {
        Recipe::built_in_agents()
            .flat_map(|recipe| recipe.home.iter().map(|file| file.path.clone()))
            .collect()
    });
    names.iter().any(|name| path.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('/')))
        || path.ends_with("/.tmux.conf")
        || super::agents::administrator().any(|name| name == path)
}
