//! A suite's packages in memory: the text of `Packages` files as it came, and small tables over it.
//!
//! ```text
//! texts      Packages of (suite, component), decompressed, once          ~50 MB for bookworm main
//! packages   one record per stanza: which text, where, name, version ...  32 bytes x 64 000
//! by name    record numbers sorted by (name, best first)                  4 bytes each
//! provides   (virtual name, record, version), sorted                      ~30 bytes x 50 000
//! ```
//!
//! Relations are read from the text only for the packages the walk looks at. Form: Debian Policy 5.3 and the repository
//! format ("Packages Indices").
//!
//! **Guarantees**: the candidate of a name is apt's: highest pin, then highest version, then the first text; none where no pin
//! is above zero.
//! **Refuses**: stanzas without name, version or architecture, odd names, versions dpkg would refuse, `Filename` that could
//! leave the archive, one version of a package with two digests in a suite, texts over 4 GiB in total. Stanzas of another architecture
//! are an error, for they hint at a mix-up, but in the one index of a flat archive.

use std::cmp::Reverse;
use std::ops::Range;

use memchr::memmem;
use pinfold_base::Algorithm;
use pinfold_base::Digest;

use super::relation;
use super::relation::Operator;
use super::relation::Relation;
use super::relation::RelationError;
use crate::debian::locked::Indexed;
use crate::debian::locked::RELATIONS;
use crate::debian::stanza;
use crate::debian::stanza::Form;
use crate::debian::stanza::Stanza;
use crate::debian::stanza::StanzaError;
use crate::debian::version;

/// One `Packages` file, decompressed and verified.
#[derive(Debug)]
pub struct Text {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Number of the suite it belongs to, in the order of the request.
    pub suite: u16,
    /// apt's pin of the suite: what was asked for, else 500, 100 (`ButAutomaticUpgrades`) or 1 (`NotAutomatic`). Below zero
    /// nothing of it is a candidate.
    pub pin: i16,
    /// Whether it holds packages of every architecture, of which others are passed over.
    pub mixed: bool,
    /// What to call it in messages.
    pub label: String,
}

/// Number of a record in its universe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

/// Where a name is first read: the text, the stanza in it, the field, the place in that.
pub type Mention = (u16, u32, usize, usize);

/// How important a package is said to be, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Not said; apt counts that as the most important of all.
    Unstated,
    /// `required`
    Required,
    /// `important`
    Important,
    /// `standard`
    Standard,
    /// `optional`
    Optional,
    /// `extra`, and anything unknown
    Extra,
}

/// A stanza's place and the few values that are asked for often.
#[derive(Clone, Debug)]
struct Record {
    begin: u32,
    end: u32,
    name: (u32, u16),
    version: (u32, u16),
    text: u16,
    priority: Priority,
    essential: bool,
    any: bool,
}

/// What cannot be used in an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The text is not made of stanzas.
    #[error("`{label}` is damaged")]
    Stanza {
        /// Which index.
        label: String,
        /// Where and how.
        source: StanzaError,
    },
    /// A stanza does not describe a package.
    #[error("`{label}`, line {line}: {reason}")]
    Package {
        /// Which index.
        label: String,
        /// The stanza's first line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The indexes are too large altogether.
    #[error("the package indexes hold more than 4 GiB or 65535 files")]
    TooLarge,
}

/// All packages of one architecture in all suites.
#[derive(Debug)]
pub struct Universe {
    arch: String,
    texts: Vec<Text>,
    suites: Vec<Vec<String>>,
    records: Vec<Record>,
    by_name: Vec<Id>,
    provides: Vec<Provide>,
}

#[derive(Clone, Copy, Debug)]
struct Provide {
    name: (u32, u16),
    version: (u32, u16),
    text: u16,
    by: Id,
}

impl Universe {
    /// Reads the texts. `arch` is Debian's name of the architecture.
    pub fn read(arch: &str, texts: Vec<Text>) -> Result<Self, IndexError> {
        let total: usize = texts.iter().map(|text| text.bytes.len()).sum();
        if u32::try_from(total).is_err() || u16::try_from(texts.len()).is_err() {
            return Err(IndexError::TooLarge);
        }
        let mut universe = Self {
            arch: arch.to_owned(),
            texts,
            suites: Vec::new(),
            records: Vec::new(),
            by_name: Vec::new(),
            provides: Vec::new(),
        };
        // A stanza of a real index has about 800 bytes.
        universe.records.reserve(total / 700);
        let texts = std::mem::take(&mut universe.texts);
        for (number, text) in texts.iter().enumerate() {
            universe.read_text(number as u16, text)?;
        }
        universe.texts = texts;
        universe.sort();
        universe.refuse_doubles()?;
        Ok(universe)
    }

    /// With what each suite is called, by its number: the name asked for first, then what its Release file says.
    #[must_use]
    pub fn calling(self, suites: Vec<Vec<String>>) -> Self {
        Self { suites, ..self }
    }

    fn read_text(&mut self, number: u16, text: &Text) -> Result<(), IndexError> {
        let mut stanzas = stanza::stanzas(&text.bytes, Form::Machine);
        loop {
            let before = stanzas.offset();
            let Some(stanza) = stanzas.next() else { return Ok(()) };
            let stanza = stanza.map_err(|source| IndexError::Stanza { label: text.label.clone(), source })?;
            let range = before as u32..stanzas.offset() as u32;
            self.add(number, text, &stanza, range).map_err(|reason| IndexError::Package {
                label: text.label.clone(),
                line: stanza.line(),
                reason,
            })?;
        }
    }

    fn add(
        &mut self,
        number: u16,
        text: &Text,
        stanza: &Stanza<'_>,
        range: Range<u32>,
    ) -> Result<(), String> {
        let (mut name, mut version, mut arch) = (None, None, None);
        let (mut priority, mut essential, mut any, mut provides) = (Priority::Unstated, false, false, None);
        for field in stanza.fields() {
            let value = field.value.trim_ascii();
            match field.name {
                "Package" => name = Some(value),
                "Version" => version = Some(value),
                "Architecture" => arch = Some(value),
                "Priority" => priority = Priority::read(value),
                "Essential" => essential = value == b"yes",
                "Multi-Arch" => any = value == b"allowed",
                "Provides" => provides = Some(value),
                _ => {}
            }
        }
        let name = name.and_then(|name| str::from_utf8(name).ok()).ok_or("field `Package` is missing")?;
        if !relation::is_name(name) {
            return Err(format!("`{}` is not the name of a package", name.escape_debug()));
        }
        let version = version.ok_or("field `Version` is missing")?;
        version::check(version).map_err(|error| error.to_string())?;
        let arch = arch.ok_or("field `Architecture` is missing")?;
        if arch != b"all" && arch != self.arch.as_bytes() {
            if text.mixed {
                return Ok(());
            }
            return Err(format!("`{name}` is for `{}`, not for `{}`", arch.escape_ascii(), self.arch));
        }
        let place = |part: &[u8]| (place_of(&text.bytes, part), part.len() as u16);
        let by = Id(self.records.len() as u32);
        self.records.push(Record {
            begin: range.start,
            end: range.end,
            name: place(name.as_bytes()),
            version: place(version),
            text: number,
            priority,
            essential,
            any,
        });
        if let Some(provides) = provides {
            let provides = str::from_utf8(provides).map_err(|_| "field `Provides` is not UTF-8")?;
            for relation in relation::list(provides).map_err(|error| error.to_string())? {
                let version = match relation.version {
                    None => (0, 0),
                    Some((Operator::Equal, version)) => place(version.as_bytes()),
                    Some(_) => {
                        return Err(format!("`{name}` provides `{relation}`, which is no exact version"));
                    }
                };
                self.provides.push(Provide {
                    name: place(relation.name.as_bytes()),
                    version,
                    text: number,
                    by,
                });
            }
        }
        Ok(())
    }

    fn sort(&mut self) {
        let mut by_name: Vec<Id> = (0..self.records.len() as u32).map(Id).collect();
        by_name.sort_by(|&left, &right| {
            self.name(left)
                .cmp(self.name(right))
                .then_with(|| self.pin(right).cmp(&self.pin(left)))
                .then_with(|| version::compare(self.version(right).as_bytes(), self.version(left).as_bytes()))
                .then_with(|| self.record(left).text.cmp(&self.record(right).text))
        });
        self.by_name = by_name;
        let mut provides = std::mem::take(&mut self.provides);
        provides.sort_by(|left, right| {
            self.slice(left.text, left.name)
                .cmp(self.slice(right.text, right.name))
                .then(left.by.cmp(&right.by))
        });
        self.provides = provides;
    }

    /// One version of a package is one file: a suite that names two leaves it to chance which of them comes.
    fn refuse_doubles(&self) -> Result<(), IndexError> {
        for pair in self.by_name.windows(2) {
            let &[left, right] = pair else { continue };
            let same = self.name(left) == self.name(right)
                && self.suite(left) == self.suite(right)
                && version::compare(self.version(left).as_bytes(), self.version(right).as_bytes()).is_eq();
            if !same {
                continue;
            }
            let (one, two) = (self.stanza(left)?, self.stanza(right)?);
            let sum =
                |stanza: &Stanza<'_>| stanza.field("SHA256").map(|field| field.value.trim_ascii().to_vec());
            if sum(&one) != sum(&two) {
                return Err(IndexError::Package {
                    label: self.texts[usize::from(self.record(right).text)].label.clone(),
                    line: two.line(),
                    reason: format!(
                        "`{}` {} is there twice, with different digests",
                        self.name(right),
                        self.version(right)
                    ),
                });
            }
        }
        Ok(())
    }

    /// Debian's name of the architecture.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// How many stanzas there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All records, in the order of the texts.
    pub fn all(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.records.len() as u32).map(Id)
    }

    /// apt's candidate of a name.
    pub fn candidate(&self, name: &str) -> Option<Id> {
        self.named(name).first().copied().filter(|&id| self.pin(id) > 0)
    }

    /// Whether a package of that name meets a relation to it.
    pub fn meets(&self, relation: &Relation<'_>, id: Id) -> bool {
        self.provides(relation, id, Some(self.version(id)))
    }

    /// Whether what a package provides, in `version` if it says one, meets a relation to that.
    pub fn provides(&self, relation: &Relation<'_>, id: Id, version: Option<&str>) -> bool {
        let qualified = match relation.qualifier {
            None | Some("native") => true,
            Some("any") => self.any(id),
            Some(arch) => arch == self.arch(),
        };
        qualified
            && relation.version.is_none_or(|(operator, bound)| {
                version.is_some_and(|version| operator.holds(version.as_bytes(), bound.as_bytes()))
            })
    }

    /// The versions of a package, best first.
    pub fn named(&self, name: &str) -> &[Id] {
        let begin = self.by_name.partition_point(|&id| self.name(id) < name);
        let length = self.by_name[begin..].partition_point(|&id| self.name(id) == name);
        &self.by_name[begin..begin + length]
    }

    /// The versions of each name, best first, in the order of the names.
    pub fn names(&self) -> impl Iterator<Item = &[Id]> + use<'_> {
        self.by_name.chunk_by(|&left, &right| self.name(left) == self.name(right))
    }

    /// Who provides a virtual name, and in which version if it says one.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = (Id, Option<&str>)> + use<'_> {
        let begin = self.provides.partition_point(|one| self.slice(one.text, one.name) < name);
        let length = self.provides[begin..].partition_point(|one| self.slice(one.text, one.name) == name);
        self.provides[begin..begin + length]
            .iter()
            .map(|one| (one.by, (one.version.1 > 0).then(|| self.slice(one.text, one.version))))
    }

    /// Package name.
    pub fn name(&self, id: Id) -> &str {
        let record = self.record(id);
        self.slice(record.text, record.name)
    }

    /// Version.
    pub fn version(&self, id: Id) -> &str {
        let record = self.record(id);
        self.slice(record.text, record.version)
    }

    /// Priority.
    pub fn priority(&self, id: Id) -> Priority {
        self.record(id).priority
    }

    /// Whether it is `Essential: yes`.
    pub fn essential(&self, id: Id) -> bool {
        self.record(id).essential
    }

    /// Whether it is `Multi-Arch: allowed`, so that `name:any` means it.
    pub fn any(&self, id: Id) -> bool {
        self.record(id).any
    }

    /// Number of its suite, in the order of the request.
    pub fn suite(&self, id: Id) -> u16 {
        self.texts[usize::from(self.record(id).text)].suite
    }

    /// What its suite was asked for as.
    pub fn suite_name(&self, id: Id) -> &str {
        self.suites
            .get(usize::from(self.suite(id)))
            .and_then(|names| names.first())
            .map_or("", String::as_str)
    }

    /// Whether its suite is called so.
    pub fn is_of(&self, id: Id, suite: &str) -> bool {
        let names = self.suites.get(usize::from(self.suite(id)));
        names.is_some_and(|names| names.iter().any(|name| name == suite))
    }

    /// All that suites are called.
    pub fn suite_names(&self) -> impl Iterator<Item = &str> {
        self.suites.iter().flatten().map(String::as_str)
    }

    /// apt's pin of its suite.
    pub fn pin(&self, id: Id) -> i16 {
        self.texts.get(usize::from(self.record(id).text)).map_or(0, |text| text.pin)
    }

    /// The whole stanza.
    pub fn stanza(&self, id: Id) -> Result<Stanza<'_>, IndexError> {
        let record = self.record(id);
        let text = &self.texts[usize::from(record.text)];
        let bytes = &text.bytes[record.begin as usize..record.end as usize];
        stanza::single(bytes).map_err(|source| IndexError::Stanza { label: text.label.clone(), source })
    }

    /// The groups of a relation field (`Depends`, ...) that apply to this architecture; none when the field is missing.
    pub fn relations(&self, id: Id, field: &'static str) -> Result<Vec<Vec<Relation<'_>>>, IndexError> {
        let wrong = |reason: String| IndexError::Package {
            label: self.texts[usize::from(self.record(id).text)].label.clone(),
            line: 0,
            reason: format!("`{}`, field `{field}`: {reason}", self.name(id)),
        };
        let Some(value) = self.stanza(id)?.get(field) else { return Ok(Vec::new()) };
        let value = str::from_utf8(value).map_err(|_| wrong("not UTF-8".into()))?;
        let mut groups = relation::groups(value).map_err(|error: RelationError| wrong(error.to_string()))?;
        for group in &mut groups {
            group.retain(|relation| relation.applies_to(&self.arch));
        }
        groups.retain(|group| !group.is_empty());
        Ok(groups)
    }

    /// The very same file in the first archive that has it and may give it: apt fetches it from there, whatever the pins.
    pub fn first_alike(&self, id: Id) -> Result<Id, IndexError> {
        let same = |other: Id| self.version(other) == self.version(id) && self.pin(other) > 0;
        let mut first = id;
        for &other in self.named(self.name(id)).iter().filter(|&&other| same(other)) {
            if other < first && self.stanza(other)?.get("SHA256") == self.stanza(id)?.get("SHA256") {
                first = other;
            }
        }
        Ok(first)
    }

    /// What a lock says of the .deb: name of the source package, digest, size, path in the archive.
    pub fn download(&self, id: Id) -> Result<Download<'_>, IndexError> {
        let wrong = |reason: String| IndexError::Package {
            label: self.texts[usize::from(self.record(id).text)].label.clone(),
            line: 0,
            reason: format!("`{}`: {reason}", self.name(id)),
        };
        let stanza = self.stanza(id)?;
        let require = |name| stanza.require(name).map_err(|error| wrong(error.to_string()));
        // Flat archives have it as `./NAME`.
        let path = require("Filename")?;
        let path = path.strip_prefix("./").unwrap_or(path);
        if !is_safe_path(path) {
            return Err(wrong(format!("`Filename: {}` could leave the archive", path.escape_debug())));
        }
        let source = stanza.text("Source").map_err(|error| wrong(error.to_string()))?;
        let source = source.and_then(|text| text.split_ascii_whitespace().next()).unwrap_or(self.name(id));
        if !relation::is_name(source) {
            return Err(wrong(format!("`Source: {}` is not the name of a package", source.escape_debug())));
        }
        Ok(Download {
            source,
            sha256: Digest::from_hex(Algorithm::Sha256, require("SHA256")?)
                .map_err(|error| wrong(error.to_string()))?,
            size: require("Size")?.parse().map_err(|_| wrong("field `Size` is not a number".into()))?,
            path,
            all: require("Architecture")? == "all",
        })
    }

    /// The fields that decide which packages go together, as they are written.
    pub fn indexed(&self, id: Id) -> Result<Indexed, IndexError> {
        let stanza = self.stanza(id)?;
        let fields = RELATIONS.into_iter().filter_map(|field| {
            let value = String::from_utf8_lossy(stanza.get(field)?.trim_ascii()).into_owned();
            Some((field, value))
        });
        Ok(Indexed::new(fields.collect()))
    }

    /// Of several ids: essential first, then by priority, then by name.
    pub fn rank(&self, id: Id) -> impl Ord + use<'_> {
        (self.weight(id), self.name(id))
    }

    /// Essential first, then by priority: what decides first among providers.
    pub fn weight(&self, id: Id) -> impl Ord + use<> {
        (Reverse(self.essential(id)), self.priority(id))
    }

    /// Where a name is first read, fields in apt's order. apt numbers packages so, and of equal providers takes the one that it met last.
    pub fn mention(&self, name: &str) -> Option<Mention> {
        let finder = memmem::Finder::new(name);
        for (number, text) in self.texts.iter().enumerate() {
            let number = number as u16;
            let mut from = 0;
            while let Some(found) = text.bytes.get(from..).and_then(|rest| finder.find(rest)) {
                let at = (from + found) as u32;
                let before = self.records.partition_point(|one| (one.text, one.begin) <= (number, at));
                let Some(record) = before.checked_sub(1).map(|before| &self.records[before]) else { break };
                if let Some((field, place)) = self.mention_in(Id(before as u32 - 1), name) {
                    return Some((number, record.begin, field, place));
                }
                from = record.end.max(at + 1) as usize;
            }
        }
        None
    }

    /// The first place of a stanza where a package of this name is meant.
    fn mention_in(&self, id: Id, name: &str) -> Option<(usize, usize)> {
        const FIELDS: [&str; 9] = [
            "Package",
            "Pre-Depends",
            "Depends",
            "Conflicts",
            "Breaks",
            "Recommends",
            "Suggests",
            "Replaces",
            "Enhances",
        ];
        let part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
        let stanza = self.stanza(id).ok()?;
        FIELDS.iter().enumerate().find_map(|(number, field)| {
            let value = stanza.get(field)?;
            let mut places = memmem::find_iter(value, name);
            // `name:any` is a package of its own.
            let place = places.find(|&at| {
                let before = at.checked_sub(1).and_then(|at| value.get(at));
                let behind = value.get(at + name.len());
                !before.is_some_and(part_of_name)
                    && !behind.is_some_and(|byte| part_of_name(byte) || *byte == b':')
            });
            place.map(|place| (number, place))
        })
    }

    fn record(&self, id: Id) -> &Record {
        &self.records[id.0 as usize]
    }

    fn slice(&self, text: u16, place: (u32, u16)) -> &str {
        let bytes = &self.texts[usize::from(text)].bytes;
        let range = place.0 as usize..place.0 as usize + usize::from(place.1);
        bytes.get(range).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Priority {
    fn read(text: &[u8]) -> Self {
        match text {
            b"required" => Self::Required,
            b"important" => Self::Important,
            b"standard" => Self::Standard,
            b"optional" => Self::Optional,
            _ => Self::Extra,
        }
    }
}

/// Where a .deb is and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download<'a> {
    /// Name of the source package.
    pub source: &'a str,
    /// Digest of the .deb.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its path relative to the archive.
    pub path: &'a str,
    /// Whether it is `Architecture: all`.
    pub all: bool,
}

/// Whether a path of an index stays below its archive when joined to a URL: relative, no empty, `.` or `..` parts, no
/// characters that a URL would read otherwise.
pub fn is_safe_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 1024
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+-._~:=@,".contains(&byte))
}

/// Offset of `part`, a slice of `whole`.
fn place_of(whole: &[u8], part: &[u8]) -> u32 {
    (part.as_ptr().addr() - whole.as_ptr().addr()) as u32
}
