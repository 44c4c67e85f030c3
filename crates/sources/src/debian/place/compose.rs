//! Packages installed into an empty tree, step by step, and then what can only be made when everything is there.

use pinfold_archive::Component;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::elf;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Below;
use super::Database;
use super::LedgerEntry;
use super::Options;
use super::PlaceError;
use super::Slim;
use super::below;
use super::ca_certificates;
use super::control::Opened;
use super::dpkg_database;
use super::dpkg_database::Facts;
use super::evaluate;
use super::evaluate::Call;
use super::evaluate::LeftOut;
use super::evaluate::Record;
use super::image::Image;
use super::image::known;
use super::java_keystore;
use super::merge;
use super::merge::Merge;
use super::merge::Rules;
use super::native;
use super::native::Native;
use super::order;
use super::order::Queue;
use super::order::Step;
use super::order::Turn;
use super::pam;
use super::scripts;
use super::scripts::Scripts;
use super::scripts::Text;
use super::slim;
use super::triggers::Due;
use super::triggers::Triggers;
use crate::accounts::Accounts;
use crate::accounts::Passwords;
use crate::accounts::existing;
use crate::debian::script;
use crate::debian::script::world::Alternatives;
use crate::debian::script::world::Budget;
use crate::debian::script::world::Diversion;
use crate::debian::script::world::Fuel;
use crate::debian::script::world::Group;
use crate::debian::script::world::Installed;
use crate::debian::script::world::Questions;
use crate::debian::script::world::StatOverride;
use crate::debian::script::world::State;
use crate::debian::script::world::Template;
use crate::debian::script::world::World;

/// Where update-alternatives has its database.
const DATABASE: &str = "/var/lib/dpkg/alternatives";
/// Owner of what scripts make here and there.
const BASE: &str = "base";

/// The users and groups of the package that brings them.
pub(super) fn accounts(packages: &[Opened<'_>], contents: &dyn Contents) -> Result<Accounts, PlaceError> {
    let Some(package) = packages.iter().find(|package| package.name() == "base-passwd") else {
        return Ok(Accounts::minimal());
    };
    let read = |name: &str| -> Result<Vec<u8>, PlaceError> {
        let path = known(&format!("usr/share/base-passwd/{name}.master"));
        let content = package.listing.data.iter().find_map(|entry| match &entry.kind {
            pinfold_archive::decoded::MemberKind::File { content } if entry.path == path => Some(content),
            _ => None,
        });
        let failed =
            |source| PlaceError::Read { package: package.name().into(), member: path.to_string(), source };
        let content = content.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        contents.read(content, 1 << 20).map_err(failed)
    };
    Ok(Accounts::from_masters(&read("passwd")?, &read("group")?)?)
}

/// What has been put together.
pub(super) struct Composed {
    pub(super) tree: Tree,
    pub(super) ledger: Vec<LedgerEntry>,
}

/// Composes the image from packages and their scripts; the ledger of all scripts.
pub(super) fn compose(
    packages: &[Opened<'_>],
    options: &Options,
    contents: &dyn Contents,
    mut budget: Budget,
) -> Result<Composed, PlaceError> {
    let mut scripts = Vec::with_capacity(packages.len());
    for package in packages {
        let found = scripts::of(package, &options.answers, contents)?;
        for (name, text) in found.all() {
            evaluate::keep(&mut budget, package, name, text.bytes.len())?;
        }
        scripts.push(found);
    }
    let beginning = Beginning::read(packages, options, contents, &mut budget)?;
    let work = || {
        let facts = order::facts(packages)?;
        let steps = order::steps(&facts);
        let mut left_out = LeftOut::new();
        let mut unknown = Vec::new();
        for _ in 0..MAX_ATTEMPTS {
            let mut attempt =
                Attempt::new(packages, &scripts, options, contents, &left_out, &beginning, budget);
            for step in &steps {
                attempt.step(step, &facts)?;
            }
            // Where something is half done, what failed after it may have failed by that.
            if attempt.record.failed.is_empty() {
                return match std::mem::take(&mut attempt.record.unknown) {
                    none if none.is_empty() => attempt.finish(),
                    unknown => Err(PlaceError::UnknownScripts(unknown)),
                };
            }
            unknown = std::mem::take(&mut attempt.record.unknown);
            let mut failed = std::mem::take(&mut attempt.record.failed);
            // What was kept is gone with the attempt, what was done is not.
            budget.steps = attempt.world.fuel.budget().steps;
            drop(attempt);
            left_out.append(&mut failed);
        }
        Err(if unknown.is_empty() { PlaceError::Unsettled } else { PlaceError::UnknownScripts(unknown) })
    };
    script::on_a_deep_stack(work).map_err(|source| PlaceError::Read {
        package: "dpkg".into(),
        member: "its scripts".into(),
        source,
    })?
}

/// How often an image is begun anew without what could not be evaluated.
const MAX_ATTEMPTS: usize = 8;

/// What each attempt begins with.
struct Beginning {
    accounts: Accounts,
    installed: BTreeMap<String, Installed>,
    /// The manifest's answers, for questions that come with their templates.
    questions: Questions,
    /// For each package its templates of debconf's questions.
    templates: Vec<Vec<Template>>,
    triggers: Triggers,
    before: Before,
}

/// What dpkg's tools keep of an image below.
#[derive(Default)]
struct Before {
    diversions: Vec<Diversion>,
    overrides: Vec<StatOverride>,
    alternatives: Alternatives,
}

impl Before {
    fn read(options: &Options, contents: &dyn Contents) -> Result<Self, PlaceError> {
        let Some(Below { tree, .. }) = &options.below else { return Ok(Self::default()) };
        let groups = below::alternatives(tree, contents)?
            .into_iter()
            .filter_map(|(name, text)| Some(((DATABASE.to_owned(), name), Group::parse(&text)?)));
        Ok(Self {
            diversions: below::diversions(tree, contents)?,
            overrides: below::overrides(tree, contents)?,
            alternatives: groups.collect(),
        })
    }
}

impl Beginning {
    fn read(
        packages: &[Opened<'_>],
        options: &Options,
        contents: &dyn Contents,
        budget: &mut Budget,
    ) -> Result<Self, PlaceError> {
        let mut questions = Questions::default();
        for (question, answer) in &options.debconf {
            questions.give(question, answer.value());
        }
        let mut templates = Vec::with_capacity(packages.len());
        for package in packages {
            let found = evaluate::templates(package, contents)?;
            let bytes = found.iter().map(Template::size).sum();
            evaluate::keep(budget, package, "templates", bytes)?;
            templates.push(found);
        }
        Ok(Self {
            accounts: match &options.below {
                Some(below) => Accounts::of_tree(&below.tree, contents)?,
                None => accounts(packages, contents)?,
            },
            before: Before::read(options, contents)?,
            installed: evaluate::installed(packages)?,
            questions,
            templates,
            triggers: Triggers::read(packages, contents)?,
        })
    }
}

/// An image while packages are installed into it.
struct Attempt<'a> {
    packages: &'a [Opened<'a>],
    scripts: &'a [Scripts],
    options: &'a Options,
    left_out: &'a LeftOut,
    beginning: &'a Beginning,
    world: World<'a>,
    merge: Merge<'a>,
    triggers: Triggers,
    record: Record,
    /// Whether scripts have run, for which directories and links are completed first.
    begun: bool,
    shadow: bool,
}

impl<'a> Attempt<'a> {
    fn new(
        packages: &'a [Opened<'a>],
        scripts: &'a [Scripts],
        options: &'a Options,
        contents: &'a dyn Contents,
        left_out: &'a LeftOut,
        beginning: &'a Beginning,
        budget: Budget,
    ) -> Self {
        let accounts = beginning.accounts.clone();
        let tree = options.below.as_ref().map(|below| below.tree.clone()).unwrap_or_default();
        let mut world = World::new(tree, accounts, options.arch, options.epoch, contents);
        world.fuel = Fuel::of_image(budget);
        world.packages = beginning.installed.clone();
        world.questions = beginning.questions.clone();
        world.diversions.clone_from(&beginning.before.diversions);
        world.overrides.clone_from(&beginning.before.overrides);
        world.alternatives.clone_from(&beginning.before.alternatives);
        let mut merge = Merge::new(packages, options.slim, options.epoch, contents);
        let mut triggers = beginning.triggers.clone();
        for (index, package) in packages.iter().enumerate().filter(|(_, package)| package.is_present()) {
            merge.done.push(index);
            triggers.present(index);
            if let Some(known) = world.packages.get_mut(package.name()) {
                known.state = State::Installed;
            }
        }
        Self {
            packages,
            scripts,
            options,
            left_out,
            beginning,
            world,
            merge,
            triggers,
            record: Record::default(),
            begun: false,
            shadow: false,
        }
    }

    fn step(&mut self, step: &Step, facts: &[order::Facts]) -> Result<(), PlaceError> {
        match *step {
            Step::Files(index) => {
                self.files(index)?;
                self.triggers.files(index, self.packages);
            }
            Step::Preinst(index) => {
                let before = self.world.diversions.clone();
                if let Some(text) = &self.scripts[index].preinst {
                    self.run(index, "preinst", &["install"], text, None)?;
                }
                self.activate();
                self.mark(index, State::Unpacked);
                // Where the package was there already, its files that are diverted since are put once more, as dpkg does it.
                if self.merge.done.contains(&index) && self.world.diversions != before {
                    self.again(index, &before)?;
                }
            }
            Step::Configure(ref packages) => {
                let mut queue = Queue::new(facts, packages.clone());
                while let Some(turn) = queue.next(&|index| self.triggers.standing(index)) {
                    match turn {
                        Turn::Configure(index) => self.configure(index)?,
                        Turn::Triggers(index) if self.is_ready(index, facts) => {
                            self.triggered(index)?;
                            queue.progress();
                        }
                        Turn::Triggers(_) => {}
                    }
                }
            }
            Step::Triggers => self.deferred(facts)?,
        }
        Ok(())
    }

    fn files(&mut self, index: usize) -> Result<(), PlaceError> {
        let World { tree, accounts, diversions, overrides, .. } = &mut self.world;
        self.merge.unpack(tree, index, &Rules::new(accounts, diversions, overrides), None)
    }

    /// Puts those files of a package that are diverted now and were not before.
    fn again(&mut self, index: usize, before: &[Diversion]) -> Result<(), PlaceError> {
        let World { tree, accounts, diversions, overrides, .. } = &mut self.world;
        let before: BTreeSet<&str> = before.iter().map(|one| one.path.as_str()).collect();
        let new = diversions.iter().filter(|one| !before.contains(one.path.as_str()));
        let only: BTreeSet<&[u8]> = new.map(|one| one.path.trim_start_matches('/').as_bytes()).collect();
        self.merge.unpack(tree, index, &Rules::new(accounts, diversions, overrides), Some(&only))
    }

    fn mark(&mut self, index: usize, state: State) {
        if let Some(package) = self.world.packages.get_mut(self.packages[index].name()) {
            package.state = state;
        }
    }

    fn configure(&mut self, index: usize) -> Result<(), PlaceError> {
        let scripts = &self.scripts[index];
        self.triggers.configuring(index);
        if let Some(text) = &scripts.config {
            // Questions have their templates' defaults where they cannot be asked.
            if self.left_out.contains_key(&(index, "config".into())) {
                let what = "not done: questions of debconf; their defaults stand".into();
                evaluate::leave_out(&mut self.record, (index, "config"), text, what);
            } else {
                self.run(index, "config", &["configure", ""], text, Some("config"))?;
            }
        }
        if let Some(text) = &scripts.postinst {
            self.run(index, "postinst", &["configure", ""], text, None)?;
        }
        self.mark(index, State::Installed);
        self.triggers.configured(index);
        self.activate();
        Ok(())
    }

    /// Whether nothing that the package needs awaits something.
    fn is_ready(&self, index: usize, facts: &[order::Facts]) -> bool {
        order::is_satisfied(&facts[index], &|index| self.triggers.standing(index))
    }

    /// Processes all triggers. Those of a package that needs one which awaits something wait for that, as long as it helps.
    fn deferred(&mut self, facts: &[order::Facts]) -> Result<(), PlaceError> {
        let (mut waiting, mut helped) = (Vec::new(), true);
        loop {
            while let Some(index) = self.triggers.next() {
                if helped && !self.is_ready(index, facts) {
                    waiting.push(index);
                    continue;
                }
                self.triggered(index)?;
                helped = true;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            helped = std::mem::take(&mut waiting).into_iter().fold(false, |helped, index| {
                self.triggers.defer(index);
                helped || self.is_ready(index, facts)
            });
        }
    }

    /// Runs `postinst triggered NAMES` where something waits for it.
    fn triggered(&mut self, index: usize) -> Result<(), PlaceError> {
        let packages = self.packages;
        let (due, given_up) = self.triggers.due(index, &|index| order::bin(packages[index].name()));
        if let Some((other, names)) = given_up {
            self.give_up(other, &names);
        }
        match due {
            Due::Nothing => {}
            Due::GivenUp(names) => self.give_up(index, &names),
            Due::Run(names) => {
                if let Some(text) = &self.scripts[index].postinst {
                    match self.left_out.get(&(index, names.clone())) {
                        None => self.run(index, "postinst", &["triggered", &names], text, Some(&names))?,
                        Some(why) => {
                            let what = format!("not done: triggered by {names}: {why}");
                            evaluate::leave_out(&mut self.record, (index, "postinst"), text, what);
                        }
                    }
                }
                self.triggers.processed(index);
                self.activate();
            }
        }
        Ok(())
    }

    fn give_up(&mut self, index: usize, names: &str) {
        if let Some(text) = &self.scripts[index].postinst {
            let what = format!("not done: triggered by {names}: packages trigger each other without an end");
            evaluate::leave_out(&mut self.record, (index, "postinst"), text, what);
        }
    }

    fn run(
        &mut self,
        index: usize,
        name: &'static str,
        args: &[&str],
        text: &Text,
        may_fail: Option<&str>,
    ) -> Result<(), PlaceError> {
        if !std::mem::replace(&mut self.begun, true) {
            self.begin()?;
        }
        // As debconf does it when a script begins to talk to it.
        let package = self.packages[index].name();
        if scripts::asks(text) && !self.world.questions.has_loaded(package) {
            self.world.questions.load(package, self.beginning.templates[index].clone());
        }
        let call = Call { index, name, args };
        evaluate::run(&mut self.world, self.packages, &call, text, may_fail, &mut self.record)?;
        if !self.shadow && self.world.asked.contains("shadowconfig") {
            self.shadow = true;
            self.write_accounts()?;
        }
        Ok(())
    }

    /// What scripts have activated, now that they have ended.
    fn activate(&mut self) {
        for (name, by) in std::mem::take(&mut self.world.triggers) {
            let by = by.and_then(|by| self.packages.iter().position(|package| package.name() == by));
            self.triggers.activate(&name, by);
            self.world.asked.insert(name);
        }
    }

    /// What scripts find besides the packages' files.
    fn begin(&mut self) -> Result<(), PlaceError> {
        merge::link_merged_directories(&mut self.world.tree, self.options.epoch);
        // What packages ship below these is placed where they lead; the script of base-files looks at them.
        let owner = Component::generated(BASE);
        for (path, target) in [("var/run", "/run"), ("var/lock", "/run/lock")] {
            if self.world.tree.contains(&known("var")) && !self.world.tree.contains(&known(path)) {
                self.world.tree.insert(known(path), Node::symlink(&owner, self.options.epoch, target));
            }
        }
        self.write_accounts()?;
        self.world.tree.complete(&owner, self.options.epoch)?;
        Ok(())
    }

    fn write_accounts(&mut self) -> Result<(), PlaceError> {
        let (options, shadow) = (self.options, self.shadow);
        self.as_image(|image| write_accounts(image, options, shadow))
    }

    /// The world's tree and accounts, as an image for a while.
    fn as_image<T>(&mut self, work: impl FnOnce(&mut Image<'a>) -> T) -> T {
        let world = &mut self.world;
        let tree = std::mem::take(&mut world.tree);
        let accounts = std::mem::replace(&mut world.accounts, Accounts::minimal());
        let mut image = Image { tree, accounts, epoch: world.epoch, contents: world.contents };
        let result = work(&mut image);
        (world.tree, world.accounts) = (image.tree, image.accounts);
        result
    }

    /// What can only be made when everything is there.
    fn finish(mut self) -> Result<Composed, PlaceError> {
        let (options, packages) = (self.options, self.packages);
        let base = Component::generated(BASE);
        merge::link_merged_directories(&mut self.world.tree, options.epoch);
        self.write_accounts()?;
        let World { tree, accounts, alternatives, diversions, overrides, asked, contents, .. } = self.world;
        let natives = native::of(asked.iter().map(String::as_str));
        let mut image = Image { tree, accounts, epoch: options.epoch, contents };
        image.tree.complete(&base, options.epoch)?;
        let dpkg = options.database == Database::Dpkg;
        // Written with each change where there is a directory for it; here where there was none.
        let before = &self.beginning.before.alternatives;
        let own = alternatives.iter().filter(|(key, group)| before.get(key) != Some(group));
        for ((folder, name), group) in own.filter(|((folder, _), _)| folder == DATABASE) {
            let path = known(folder.trim_start_matches('/')).join(name).unwrap_or_default();
            if dpkg {
                image.put("dpkg", &path, group.file());
            } else {
                image.tree.remove(&path);
            }
        }
        if natives.contains(&Native::Certificates) {
            ca_certificates::write(&mut image, &options.extra_certificates)?;
        }
        if natives.contains(&Native::JavaCertificates) {
            java_keystore::write(&mut image)?;
        }
        if natives.contains(&Native::Pam) {
            pam::write(&mut image)?;
        }
        let below = options.below.is_some();
        let has_dpkg = packages.iter().any(|package| package.name() == "dpkg" && !package.is_present());
        if options.slim == Slim::Slim && has_dpkg {
            image.put("dpkg", &known(slim::RULES_FILE), slim::rules_file());
        }
        match options.database {
            Database::Dpkg => {
                let facts = Facts {
                    changed: diversions != self.beginning.before.diversions
                        || overrides != self.beginning.before.overrides,
                    packages,
                    unpacked: &self.merge.done,
                    replaced: &self.merge.replaced,
                    diversions: &diversions,
                    overrides: &overrides,
                    arch: options.arch,
                };
                dpkg_database::write(&mut image, &facts)?;
            }
            Database::StatusD => dpkg_database::write_status_d(&mut image, packages)?,
        }
        // What a base has of documentation is the base's.
        if options.slim == Slim::Slim && !below {
            slim::sweep(&mut image.tree);
        }
        image.tree.complete(&base, options.epoch)?;
        if natives.contains(&Native::LoaderCache) {
            loader_cache(&mut image, packages, options)?;
        }
        image.tree.complete(&base, options.epoch)?;
        Ok(Composed { tree: image.tree, ledger: evaluate::finish(self.scripts, self.record) })
    }
}

/// passwd, group, shadow, gshadow, and the homes of the users that the manifest adds.
fn write_accounts(image: &mut Image<'_>, options: &Options, shadow: bool) -> Result<(), PlaceError> {
    if options.below.is_some() {
        let Image { tree, accounts, epoch, contents } = image;
        return Ok(existing::write(tree, *contents, accounts, *epoch)?);
    }
    const OWNER: &str = "accounts";
    for user in &options.accounts {
        image.accounts.add_user(user)?;
        let meta = Metadata::root(user.home_mode, options.epoch).owned_by(user.uid, user.gid);
        // Parents such as /home belong to root.
        image.directory(OWNER, &user.home, meta);
    }
    let passwords = if shadow { Passwords::Shadow } else { Passwords::InPlace };
    let files = image.accounts.files_with(options.epoch, passwords);
    image.put(OWNER, &known("etc/passwd"), files.passwd);
    image.put(OWNER, &known("etc/group"), files.group);
    if shadow {
        let gid = image.accounts.gid("shadow").unwrap_or(0);
        let meta = Metadata::root(0o640, options.epoch).owned_by(0, gid);
        image.put_with(OWNER, &known("etc/shadow"), files.shadow, meta.clone());
        image.put_with(OWNER, &known("etc/gshadow"), files.gshadow, meta);
    }
    Ok(())
}

fn loader_cache(image: &mut Image<'_>, packages: &[Opened<'_>], options: &Options) -> Result<(), PlaceError> {
    let failed = |error: elf::LdSoCacheError| PlaceError::LoaderCache(error.to_string());
    let links = elf::soname_links(&image.tree, image.contents, options.arch).map_err(failed)?;
    for (path, target) in links {
        image.link(BASE, &path, target);
    }
    let version = packages.iter().find(|package| package.name() == "libc-bin");
    let version = version.map_or("", |package| package.locked.version.as_str());
    // `2.36-9+deb12u10` is release 2.36.
    let release = version.split('-').next().unwrap_or(version);
    let generator = format!("ldconfig (Debian GLIBC {version}) stable release version {release}");
    let bytes = elf::ld_so_cache(&image.tree, image.contents, options.arch, &generator).map_err(failed)?;
    image.put("ld.so.cache", &known("etc/ld.so.cache"), bytes);
    Ok(())
}
