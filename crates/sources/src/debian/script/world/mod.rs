//! What scripts see and change: the tree, accounts, alternatives, diversions, answers of debconf, the list of packages.
//!
//! A plain value, without the shell that changes it: the caller makes it, evaluates scripts over it in dpkg's order, and takes the
//! tree out. Each change is noted, in the words of the ledger.
//!
//! **Guarantees**: a path never leads out of the tree; what is read, written and noted is bounded by the [`Fuel`], which is
//! a part of the image's [`Budget`].

mod alternatives;
mod files;
mod fuel;
mod questions;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use pinfold_archive::Component;
use pinfold_archive::Contents;
use pinfold_archive::Tree;
use pinfold_base::Arch;
use pinfold_base::ImagePath;

pub(in crate::debian) use self::alternatives::Alternatives;
pub(in crate::debian::script) use self::alternatives::Choice;
pub(in crate::debian) use self::alternatives::Group;
pub(in crate::debian::script) use self::files::Errno;
pub(in crate::debian::script) use self::files::Kept;
pub(in crate::debian::script) use self::files::Kind;
pub(in crate::debian::script) use self::files::Last;
pub(in crate::debian::script) use self::files::Stat;
pub(in crate::debian) use self::fuel::Budget;
pub(in crate::debian) use self::fuel::FUEL;
pub(in crate::debian) use self::fuel::Fuel;
pub(in crate::debian::script) use self::questions::DATABASE;
pub(in crate::debian) use self::questions::Questions;
pub(in crate::debian) use self::questions::Template;
pub(in crate::debian::script) use self::questions::is_translation;
pub(in crate::debian) use self::questions::split;
use crate::accounts::Accounts;

/// Most lines of the ledger for one script; what goes over is counted.
const MAX_NOTES: usize = 200;
/// Longest line of the ledger, in characters.
const MAX_NOTE: usize = 300;

/// What a line costs in memory beside its text.
const NOTE_BYTES: u64 = 48;

/// What any other text that stays costs beside itself.
const KEPT_BYTES: usize = 64;

/// A package as scripts and dpkg's tools see it.
#[derive(Clone, Debug, Default)]
pub(in crate::debian) struct Installed {
    /// Its version.
    pub(in crate::debian) version: String,
    /// Its architecture, or `all`.
    pub(in crate::debian) arch: String,
    /// Fields of its control file that `dpkg-query` is asked for.
    pub(in crate::debian) fields: Arc<BTreeMap<String, String>>,
    /// Its state: unpacked, then configured.
    pub(in crate::debian) state: State,
    /// Absolute paths of its files, as it ships them.
    pub(in crate::debian) files: Arc<Vec<Vec<u8>>>,
}

/// How far dpkg has come with a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::debian) enum State {
    /// Not unpacked yet.
    #[default]
    Absent,
    /// Unpacked, its `postinst` has not run.
    Unpacked,
    /// Configured.
    Installed,
}

/// `dpkg-divert`: the path of one package's file is left to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debian) struct Diversion {
    /// The absolute path.
    pub(in crate::debian) path: String,
    /// Where other packages' files of that path go.
    pub(in crate::debian) to: String,
    /// The package whose file stays; `None` for a local diversion.
    pub(in crate::debian) package: Option<String>,
}

/// `dpkg-statoverride`: owner and mode of a path, whatever packages say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debian) struct StatOverride {
    /// User name.
    pub(in crate::debian) user: String,
    /// Group name.
    pub(in crate::debian) group: String,
    /// Permission bits.
    pub(in crate::debian) mode: u32,
    /// The absolute path.
    pub(in crate::debian) path: String,
}

/// What scripts change.
pub(in crate::debian) struct World<'a> {
    /// The file system.
    pub(in crate::debian) tree: Tree,
    /// Users and groups; written to the tree with every change.
    pub(in crate::debian) accounts: Accounts,
    /// Groups of alternatives.
    pub(in crate::debian) alternatives: Alternatives,
    /// Diversions in the order in which they were made.
    pub(in crate::debian) diversions: Vec<Diversion>,
    /// Sums of the last new file that ucf was given, by the path it was for.
    pub(in crate::debian) ucf_sums: BTreeMap<String, String>,
    /// Whose that path is, as ucfr was told.
    pub(in crate::debian) ucf_packages: BTreeMap<String, String>,
    /// Overrides by path.
    pub(in crate::debian) overrides: Vec<StatOverride>,
    /// Questions of debconf and their answers: from templates, and from the manifest.
    pub(in crate::debian) questions: Questions,
    /// Triggers that were activated, in order: name or path, and the package that awaits what comes of it.
    pub(in crate::debian) triggers: Vec<(String, Option<String>)>,
    /// Programs whose work is done when everything is there.
    pub(in crate::debian) asked: BTreeSet<String>,
    /// Packages by name.
    pub(in crate::debian) packages: BTreeMap<String, Installed>,
    /// The architecture that the image is for.
    pub(in crate::debian) arch: Arch,
    /// Time of everything that is made, in seconds since 1970.
    pub(in crate::debian) epoch: u64,
    /// The bytes of the tree's files.
    pub(in crate::debian) contents: &'a dyn Contents,
    /// What one script may use, out of what the image may; set anew before each.
    pub(in crate::debian) fuel: Fuel,
    /// Whose files those are that a script makes: root's, or of whom `su` was asked for.
    pub(in crate::debian::script) creator: (u32, u32),
    /// Who owns what is made: the package whose script runs.
    owner: Component,
    /// A file that bytes are appended to, and its bytes so far. Only the last such file is kept apart from the tree.
    written: Option<(ImagePath, Vec<u8>)>,
    /// Other names of files, by the file; nothing where they were not asked for since the script began.
    names: Option<BTreeMap<ImagePath, BTreeSet<ImagePath>>>,
    notes: Vec<String>,
    unnoted: usize,
}

impl<'a> World<'a> {
    /// A world with this tree and nothing else.
    pub(in crate::debian) fn new(
        tree: Tree,
        accounts: Accounts,
        arch: Arch,
        epoch: u64,
        contents: &'a dyn Contents,
    ) -> Self {
        Self {
            tree,
            accounts,
            alternatives: Alternatives::new(),
            diversions: Vec::new(),
            ucf_sums: BTreeMap::new(),
            ucf_packages: BTreeMap::new(),
            overrides: Vec::new(),
            questions: Questions::default(),
            triggers: Vec::new(),
            asked: BTreeSet::new(),
            packages: BTreeMap::new(),
            arch,
            epoch,
            contents,
            fuel: Fuel::default(),
            creator: (0, 0),
            owner: Component::generated("base"),
            written: None,
            names: None,
            notes: Vec::new(),
            unnoted: 0,
        }
    }

    /// Before a script: what it makes belongs to `owner`, it has the fuel of one script, nothing is noted.
    pub(in crate::debian) fn begin(&mut self, owner: Component) {
        self.owner = owner;
        self.fuel.refill();
        self.creator = (0, 0);
        self.names = None;
        self.notes.clear();
        self.unnoted = 0;
    }

    /// After a script: what was done, in order.
    pub(in crate::debian) fn take_notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        if self.unnoted > 0 {
            notes.push(format!("{} more changes", self.unnoted));
        }
        notes
    }

    /// Notes a change for the ledger. The same line twice in a row is one.
    pub(in crate::debian::script) fn note(&mut self, what: impl Into<String>) {
        let what: String = what.into();
        // Without fuel the evaluation ends at the next look.
        let _ = self.fuel.spend(300 + (what.len() * self.questions.secrets()) as u64);
        let mut what = self.questions.hide(what);
        if let Some((end, _)) = what.char_indices().nth(MAX_NOTE) {
            what.truncate(end);
            what.push('…');
        }
        if self.notes.last() == Some(&what) {
            return;
        }
        if self.notes.len() < MAX_NOTES {
            let _ = self.fuel.keep(what.len() as u64 + NOTE_BYTES);
            self.notes.push(what);
        } else {
            self.unnoted += 1;
        }
    }

    /// Charges the image with texts that stay when the script has ended: answers, choices, diversions.
    pub(in crate::debian::script) fn keep(&self, texts: &[&str]) -> Result<(), Errno> {
        let bytes: usize = texts.iter().map(|text| text.len() + KEPT_BYTES).sum();
        self.fuel.keep(bytes as u64)
    }

    /// Notes something that is deliberately not done.
    pub(in crate::debian::script) fn not_done(&mut self, what: &str) {
        self.note(format!("not done: {what}"));
    }
}
