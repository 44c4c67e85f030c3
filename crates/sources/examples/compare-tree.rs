//! Compares a tree that pinfold composes with one that mmdebstrap made from the same packages, path by path.
//!
//! ```text
//! cargo run -p pinfold-sources --example compare-tree -- [--slim] [--arch arm64] [--place-only] TAR (DEB | DIRECTORY)...
//! ```
//!
//! TAR is what mmdebstrap wrote, the others are the packages. Compared are kind, mode, owner, group, size, target, content,
//! time and hard links. What may differ is in `tests/mmdebstrap-differences.txt`, with reasons. The epoch is the latest time
//! in TAR. Exits with 1 when anything else differs.
//!
//! `--place-only` takes no TAR: it places the packages and prints the ledger.
#![expect(clippy::disallowed_methods, reason = "an example prints")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use pinfold_archive::Contents;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::Listing;
use pinfold_archive::decoded::MemberKind;
use pinfold_base::Algorithm;
use pinfold_base::Arch;
use pinfold_base::Diagnose;
use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::ImagePath;
use pinfold_base::Store;
use pinfold_sources::debian::locked::Indexed;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::debian::place;
use pinfold_sources::debian::place::Database;
use pinfold_sources::debian::place::Options;
use pinfold_sources::debian::place::Package;
use pinfold_sources::debian::place::Slim;
use pinfold_sources::debian::stanza;

const ALLOWED: &str = include_str!("../tests/mmdebstrap-differences.txt");

/// What is compared of a path, by name of the field.
type Fields = BTreeMap<&'static str, String>;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        let mut next: Option<&dyn Error> = Some(error.as_ref());
        while let Some(error) = next {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            next = error.source();
        }
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let (mut slim, mut place_only, mut arch) = (Slim::Full, false, Arch::Amd64);
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--slim" => slim = Slim::Slim,
            "--place-only" => place_only = true,
            "--arch" if arguments.next().as_deref() == Some("arm64") => arch = Arch::Arm64,
            "--arch" => {}
            _ => files.push(PathBuf::from(argument)),
        }
    }
    let reference = if place_only || files.is_empty() { None } else { Some(read_tar(&files.remove(0))?) };
    let debs = collect(&files)?;
    if debs.is_empty() {
        return Err(
            "usage: compare-tree [--slim] [--arch arm64] [--place-only] TAR (DEB | DIRECTORY)...".into()
        );
    }
    let epoch =
        reference.iter().flat_map(BTreeMap::values).filter_map(|fields| fields["mtime"].parse().ok()).max();

    let cache = tempfile::tempdir()?;
    let store = Store::open(cache.path())?;
    let decoded = DecodedStore::new(&store);
    let mut packages = Vec::new();
    for file in &debs {
        let digest = store.put(&file.to_string_lossy(), &fs_err::read(file)?)?;
        let listing = decoded.decode(&digest, Format::Deb)?;
        packages.push((locked(&digest, &listing, &decoded)?, listing));
    }
    // Of a pool that holds more, only the packages of the reference count.
    if let Some(reference) = &reference {
        let list = |name: &str| reference.contains_key(&format!("/var/lib/dpkg/info/{name}.list"));
        packages.retain(|(deb, _)| list(&deb.name) || list(&format!("{}:{}", deb.name, deb.arch)));
    }
    let packages: Vec<Package<'_>> =
        packages.iter().map(|(locked, listing)| Package { locked, listing: Arc::clone(listing) }).collect();
    let options = Options {
        arch,
        epoch: epoch.unwrap_or(1_790_000_000),
        slim,
        database: Database::Dpkg,
        answers: BTreeMap::new(),
        debconf: BTreeMap::new(),
        extra_certificates: Vec::new(),
        accounts: Vec::new(),
        below: None,
    };
    let started = std::time::Instant::now();
    let placed = place::place(&packages, &options, &decoded).inspect_err(|error| {
        for line in error.lines() {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    })?;
    let took = started.elapsed();
    for entry in &placed.ledger {
        if place_only {
            writeln!(out, "{} {} {:?} {:?}", entry.package, entry.script, entry.class, entry.what)?;
        }
    }
    writeln!(
        out,
        "{} packages, {} paths, placed in {} ms",
        packages.len(),
        placed.tree.len(),
        took.as_millis()
    )?;
    let Some(reference) = reference else { return Ok(ExitCode::SUCCESS) };
    let ours = fields_of(&placed.tree, &decoded)?;
    let rules = rules(slim)?;
    let (mut allowed, mut unlisted) = (BTreeMap::<String, usize>::new(), 0_usize);
    for (path, what) in differences(&ours, &reference) {
        if let Some(rule) = rules.iter().find(|rule| rule.covers(&path, &what)) {
            *allowed.entry(format!("{} {}", rule.what, rule.pattern)).or_default() += 1;
        } else {
            unlisted += 1;
            writeln!(out, "{what} {path}")?;
        }
    }
    for (rule, count) in allowed {
        writeln!(out, "allowed {count:6}  {rule}")?;
    }
    writeln!(out, "{} paths in the reference, {unlisted} unlisted differences", reference.len())?;
    Ok(if unlisted == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn collect(files: &[PathBuf]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut debs = Vec::new();
    for file in files {
        if file.is_dir() {
            for entry in fs_err::read_dir(file)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "deb") {
                    debs.push(path);
                }
            }
        } else {
            debs.push(file.clone());
        }
    }
    debs.sort();
    Ok(debs)
}

fn locked(digest: &Digest, listing: &Listing, contents: &dyn Contents) -> Result<LockedDeb, Box<dyn Error>> {
    let control = listing.control.iter().find_map(|entry| match &entry.kind {
        MemberKind::File { content } if entry.path.as_bytes() == b"control" => Some(content),
        _ => None,
    });
    let control = contents.read(control.ok_or("a package without a control file")?, 1 << 20)?;
    let stanza = stanza::single(&control)?;
    let name = stanza.require("Package")?;
    let source = stanza.text("Source")?.unwrap_or(name).split(' ').next().unwrap_or(name);
    Ok(LockedDeb {
        name: name.into(),
        version: stanza.require("Version")?.into(),
        arch: stanza.require("Architecture")?.into(),
        source: source.into(),
        sha256: digest.clone(),
        size: 0,
        path: String::new(),
        suite: String::new(),
        archive: None,
        manual: true,
        indexed: Indexed::default(),
    })
}

fn hashed(mut reader: impl Read) -> std::io::Result<(u64, String)> {
    let (mut hasher, mut size, mut buffer) = (Hasher::new(Algorithm::Sha256), 0, vec![0; 1 << 16]);
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok((size, hasher.finish().hex()));
        }
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
}

/// Reads with another library than pinfold's own reader.
fn read_tar(file: &PathBuf) -> Result<BTreeMap<String, Fields>, Box<dyn Error>> {
    let mut found: BTreeMap<String, Fields> = BTreeMap::new();
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut archive = tar::Archive::new(std::io::BufReader::new(fs_err::File::open(file)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = ImagePath::new(entry.path_bytes())?.to_string();
        let header = entry.header();
        let mut fields = Fields::new();
        fields.insert("mode", format!("{:04o}", header.mode()? & 0o7777));
        fields.insert("uid", header.uid()?.to_string());
        fields.insert("gid", header.gid()?.to_string());
        fields.insert("mtime", header.mtime()?.to_string());
        let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        match header.entry_type() {
            tar::EntryType::Directory => drop(fields.insert("kind", "directory".into())),
            tar::EntryType::Symlink => {
                fields.insert("kind", "symlink".into());
                fields.insert("target", link.unwrap_or_default().escape_ascii().to_string());
            }
            tar::EntryType::Link => {
                let first = ImagePath::new(link.unwrap_or_default())?.to_string();
                groups.entry(first.clone()).or_default().insert(path.clone());
                fields = found.get(&first).cloned().unwrap_or_default();
            }
            tar::EntryType::Regular => {
                fields.insert("kind", "file".into());
                let (size, digest) = hashed(&mut entry)?;
                fields.insert("size", size.to_string());
                fields.insert("content", digest);
            }
            _ => drop(fields.insert("kind", "device".into())),
        }
        found.insert(path, fields);
    }
    add_links(&mut found, groups);
    Ok(found)
}

fn fields_of(tree: &Tree, contents: &dyn Contents) -> Result<BTreeMap<String, Fields>, Box<dyn Error>> {
    let mut found: BTreeMap<String, Fields> = BTreeMap::new();
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let mut fields = Fields::new();
        fields.insert("mode", format!("{:04o}", node.meta.mode));
        fields.insert("uid", node.meta.uid.to_string());
        fields.insert("gid", node.meta.gid.to_string());
        fields.insert("mtime", node.meta.mtime.to_string());
        match &node.kind {
            NodeKind::Directory => drop(fields.insert("kind", "directory".into())),
            NodeKind::Symlink(target) => {
                fields.insert("kind", "symlink".into());
                fields.insert("target", target.escape_ascii().to_string());
            }
            kind => {
                if let NodeKind::Hardlink(target) = kind {
                    groups.entry(target.to_string()).or_default().insert(path.to_string());
                }
                let content = tree.content(path).ok_or("a hard link without its file")?;
                let (size, digest) = hashed(contents.open(content)?)?;
                fields.insert("kind", "file".into());
                fields.insert("size", size.to_string());
                fields.insert("content", digest);
            }
        }
        found.insert(path.to_string(), fields);
    }
    add_links(&mut found, groups);
    Ok(found)
}

fn add_links(found: &mut BTreeMap<String, Fields>, groups: BTreeMap<String, BTreeSet<String>>) {
    for (first, mut names) in groups {
        names.insert(first);
        let all = names.iter().cloned().collect::<Vec<_>>().join(" ");
        for name in names {
            if let Some(fields) = found.get_mut(&name) {
                fields.insert("links", all.clone());
            }
        }
    }
}

/// What differs: the path, and words such as `only-mmdebstrap file` or `mode 0644 0755` (ours, theirs).
fn differences(ours: &BTreeMap<String, Fields>, theirs: &BTreeMap<String, Fields>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for path in paths {
        let mut note = |what: String| found.push((path.clone(), what));
        match (ours.get(path), theirs.get(path)) {
            (Some(ours), None) => note(format!("only-pinfold {}", ours["kind"])),
            (None, Some(theirs)) => note(format!("only-mmdebstrap {}", theirs["kind"])),
            (Some(ours), Some(theirs)) => {
                let fields: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
                for field in fields {
                    let (a, b) = (ours.get(field), theirs.get(field));
                    let chosen = theirs.get("target").is_some_and(|to| to.starts_with("/etc/alternatives/"));
                    let field = match *field {
                        "mtime" if theirs["kind"] == "directory" => "mtime-of-directory",
                        "mtime" if chosen => "mtime-of-alternative",
                        field => field,
                    };
                    if a != b {
                        let none = String::from("-");
                        note(format!("{field} {} {}", a.unwrap_or(&none), b.unwrap_or(&none)));
                    }
                }
            }
            (None, None) => {}
        }
    }
    found
}

/// An allowed difference: `WHAT PATTERN REASON…`.
struct Rule {
    what: String,
    pattern: String,
}

impl Rule {
    fn covers(&self, path: &str, what: &str) -> bool {
        let mut words = what.split(' ');
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (wanted, kind) = self.what.split_once('/').unwrap_or((&self.what, ""));
        wanted == first && (kind.is_empty() || kind == second) && matches(&self.pattern, path)
    }
}

fn rules(slim: Slim) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    for line in ALLOWED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.splitn(3, char::is_whitespace).collect();
        let [what, pattern, reason] = words[..] else { return Err(format!("no reason: {line}")) };
        assert!(!reason.trim().is_empty(), "no reason: {line}");
        match what.strip_prefix("slim:") {
            Some(what) if slim == Slim::Slim => {
                rules.push(Rule { what: what.into(), pattern: pattern.into() });
            }
            Some(_) => {}
            None => rules.push(Rule { what: what.into(), pattern: pattern.into() }),
        }
    }
    Ok(rules)
}

/// `*` stands for anything.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|left| {
            (0..=left.len()).any(|at| left.is_char_boundary(at) && matches(rest, &left[at..]))
        }),
    }
}
