//! What static checks look at: one platform of an image, all that was read of it, and what it should be.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::Image;
use pinfold_image::model::RuntimeSection;
use pinfold_image::survey::Access;
use pinfold_image::survey::Follow;
use pinfold_image::survey::Seen;
use pinfold_image::survey::Survey;
use pinfold_image::survey::What;
use pinfold_image::survey::Who;

use super::report::Finding;
use crate::describe;
use crate::describe::Description;
use crate::describe::Origins;
use crate::describe::explain::effects::Makers;
use crate::project::recipe::AGENT_LABEL;
use crate::project::recipe::Recipe;
use crate::run::Declared;
use crate::run::image::passwd_fields;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

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
    /// Whom the configuration names, as the image's files know it.
    fn of(survey: &Survey, runtime: &RuntimeSection) -> Self {
        let text = |path| text(survey, path).unwrap_or_default();
        Self::find(&runtime.user, &text(PASSWD), &text(GROUP))
    }

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

impl User {
    /// What files see of it. Without a group of its own the user is in those that name it too, as runtimes set it; whom the image does
    /// not know is root here, and told by another check.
    fn who(&self, group: &str) -> Who {
        let named = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let name = self.name.as_deref().filter(|_| !self.said.contains(':'))?;
            let is_member = fields.get(3)?.split(',').any(|member| member == name);
            fields[2].parse().ok().filter(|_| is_member)
        };
        let gids = self.gid.into_iter().chain(group.lines().filter_map(named)).collect();
        Who { uid: self.uid.unwrap_or_default(), gids }
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
    /// The same as files see it.
    pub who: Who,
    /// The agents that its labels name.
    pub agents: Vec<Agent>,
    /// Directories that can be written to where the root cannot.
    writable: Vec<String>,
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
        let user = User::of(survey, &runtime);
        let agents = runtime.labels.iter().filter_map(|(label, version)| {
            let name = label.strip_prefix(AGENT_LABEL)?;
            Some(Agent { name: name.into(), version: version.clone(), recipe: Recipe::built_in(name).ok() })
        });
        let agents = agents.collect();
        let writable = writable(survey, &runtime, &user);
        let who = user.who(&text(survey, GROUP).unwrap_or_default());
        Self {
            platform,
            image,
            survey,
            description,
            origins,
            made,
            budget,
            runtime,
            user,
            who,
            agents,
            writable,
        }
    }

    /// How the image's user follows paths.
    pub fn follow(&self) -> Follow<'_> {
        Follow { survey: self.survey, who: Some(&self.who), budget: None }
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

    /// The content of a small file, links followed.
    pub fn text(&self, path: &str) -> Option<String> {
        text(self.survey, path)
    }

    /// The same, where the image's user may read it. The error says who may.
    pub fn read(&self, path: &str) -> Option<Result<String, String>> {
        let text = self.text(path)?;
        let why = match self.follow().find(path.as_bytes()) {
            Ok((_, seen)) if self.who.may(Access::Read, seen) => return Some(Ok(text)),
            Ok((real, seen)) => {
                let mode = seen.mode & 0o7777;
                format!("`{real}` belongs to {}:{} with the mode {mode:04o}", seen.uid, seen.gid)
            }
            Err(nowhere) => nowhere.to_string(),
        };
        Some(Err(format!("the image's user may not read it: {why}")))
    }

    /// What an absolute path leads to, links followed.
    pub fn at(&self, path: &str) -> Option<&'a Seen> {
        self.survey.find(path.as_bytes()).ok().map(|(_, seen)| seen)
    }

    /// Its variables.
    pub fn env(&self) -> BTreeMap<&str, &str> {
        self.runtime.env.iter().filter_map(|pair| pair.split_once('=')).collect()
    }

    /// Whether a path lies where a sandbox with a read-only root has something that can be written to.
    pub fn is_writable_at_run(&self, path: &str) -> bool {
        let below = |dir: &String| {
            path == *dir || path.strip_prefix(dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.writable.iter().any(below)
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

/// Where a sandbox with a read-only root has something that can be written to: the home and the volumes, links followed, and what it
/// mounts. A volume at the root is no place of its own: nothing but the image's files is in it.
fn writable(survey: &Survey, runtime: &RuntimeSection, user: &User) -> Vec<String> {
    let real = |path: &str| survey.real(path.as_bytes()).ok().map(|real| real.to_string());
    let named = runtime.volumes.keys().chain(&user.home).map(|path| path.trim_end_matches('/').to_owned());
    let named: Vec<String> = named.collect();
    let real: Vec<String> = named.iter().filter_map(|path| real(path)).collect();
    let mounted = ["/tmp", "/run", "/dev", "/proc", "/sys"].map(str::to_owned);
    let is_root = |path: &String| ImagePath::new(path).map_or(true, |path| path.is_root());
    named.into_iter().chain(real).filter(|path| !is_root(path)).chain(mounted).collect()
}

fn text(survey: &Survey, path: &str) -> Option<String> {
    let real = survey.real(path.as_bytes()).ok()?;
    survey.kept.get(&real).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// Files that links lead to from where static checks read, and whose content was not kept, since it stands elsewhere.
pub(super) fn linked(survey: &Survey, runtime: &RuntimeSection) -> BTreeSet<ImagePath> {
    let home = User::of(survey, runtime).home.unwrap_or_default();
    let files = Recipe::built_in_agents().flat_map(|recipe| recipe.home.iter());
    let mut paths: Vec<String> = files.map(|file| format!("{home}/{}", file.path)).collect();
    paths.extend(READ.into_iter().chain(super::agents::administrator()).map(str::to_owned));
    for directory in super::agents::directories(&home) {
        paths.extend(children(survey, &directory));
    }
    let missing = |path: String| {
        let (real, seen) = survey.find(path.as_bytes()).ok()?;
        (matches!(seen.what, What::File(_)) && !survey.kept.contains_key(real)).then(|| real.clone())
    };
    paths.into_iter().filter_map(missing).collect()
}

/// The paths of what stands in a directory, links followed to the directory.
pub(super) fn children(survey: &Survey, directory: &str) -> Vec<String> {
    let Ok(real) = survey.real(directory.as_bytes()) else { return Vec::new() };
    survey.children(&real).map(|(path, _)| path.to_string()).collect()
}

/// Files that static checks read, wherever links lead from there.
const READ: [&str; 14] = [
    PASSWD,
    GROUP,
    "/etc/shadow",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/ld.so.conf",
    "/etc/ld.so.cache",
    "/etc/environment",
    "/etc/os-release",
    "/usr/lib/os-release",
    "/var/lib/dpkg/diversions",
];

/// Which files' contents static checks want.
pub(super) fn is_kept(path: &ImagePath) -> bool {
    let name = path.to_string();
    READ.contains(&name.as_str())
        || describe::is_read(path)
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
        || path.rsplit_once('/').is_some_and(|(directory, _)| super::agents::is_directory(directory))
}
