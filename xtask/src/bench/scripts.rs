//! What a hostile install script costs until its fuel is used up: time and memory, one process for each. And what all scripts
//! of a real image cost, beside the rows of building it.
//!
//! That each ends is tested (`sources::debian::script::tests::hostile`); how long a whole tank lasts depends on the machine, and
//! the prices in `world/fuel.rs` are set by these rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_base::Arch;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::Store;
use pinfold_engine::project::lock::Lock;
use pinfold_sources::debian::place;
use pinfold_sources::debian::place::Answer;
use pinfold_sources::debian::place::Database;
use pinfold_sources::debian::place::Options;
use pinfold_sources::debian::place::Package;
use pinfold_sources::debian::place::Slim;
use pinfold_sources::debian::script;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

use super::BenchArgs;
use super::Row;
use super::line;
use super::measure;
use crate::say;

/// A second, as the evaluator promises.
const GOAL: f64 = 1.0;

/// All scripts of the preset `iteron`, with what they ask to be made when everything is there.
const ALL: f64 = 0.1;

/// Scripts without an end, each spending its fuel on something else.
const SCRIPTS: [&str; 28] = [
    "while :; do :; done",
    "x=x; while :; do x=$x$x; done",
    "x=x; while :; do x=\"$x$x\"; y=x; done",
    "while :; do echo y; done",
    "while :; do echo y >> /etc/f; done",
    "while :; do x=$(echo a); done",
    "while :; do (x=1); done",
    "i=0; while :; do i=$((i+1)); : > /tmp/$i; done",
    "i=0; while :; do i=$((i+1)); eval v$i=1; done",
    "while :; do echo /*/*/*/*; done",
    "while :; do echo /d/*a*a*a*a*a*b; done",
    "while :; do for i in /d/*; do :; done; done",
    "while :; do [ -e /etc/loop ]; done",
    "while :; do . /etc/long; done",
    "while :; do case x in a|b|c|d) ;; esac; done",
    "read x < /etc/long; while :; do y=${x##*[!x ]}; done",
    "read x < /etc/long; while :; do for i in $x; do :; done; done",
    "while :; do eval 'if true; then :; fi'; done",
    "e=:\\;:\\;; while :; do e=\"$e$e\"; eval \"$e\"; done",
    "while :; do nothing_here; done",
    "while :; do rm -f /etc/f; : > /etc/f; done",
    "f() { f; }; f",
    "while :; do : | : | :; done",
    "while :; do sed 's/x/yy/g' /etc/long; done",
    "while :; do grep -E '(x|xy)( |  )*z' /etc/long; done",
    "while :; do echo a | sed 's/a/b/'; done",
    "awk 'BEGIN{x=sprintf(\"%4096s\",\"\"); for(;;) a[n++]=substr(x,1)}'",
    "while :; do sort /etc/long > /etc/f; done",
];

/// Measures each.
pub(super) fn rows(args: &BenchArgs, folder: &Path) -> Result<Vec<Row>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?.display().to_string();
    let mut rows = Vec::new();
    say(&format!(
        "\n{:<46} {:>8} {:>8} {:>8}  {:<8}",
        "hostile install script (a whole tank of fuel)", "CPU s", "wall s", "peak MiB", "CPU goal"
    ));
    for (index, text) in SCRIPTS.iter().enumerate().filter(|(_, text)| text.contains(&args.only)) {
        let cost = measure(folder, &[], &[&own, "role", "script", &index.to_string()])?;
        let name: String = text.chars().take(46).collect();
        let row = Row {
            name,
            cpu: cost.cpu,
            wall: cost.wall,
            peak: cost.peak,
            note: String::new(),
            target: Some(GOAL),
        };
        say(&line(&row));
        rows.push(row);
    }
    Ok(rows)
}

/// What the scripts of a locked and fetched project cost: placing its packages as they are, less placing them with every
/// script skipped. So the caches that scripts ask for are in it, and what both do (merging, the dpkg
/// database) is not. The least of the runs counts, since the two are measured apart.
pub(super) fn evaluated(cache: &Path, lock: &Path, runs: usize) -> Result<Row, String> {
    let store = Store::open(cache).map_err(|error| error.to_string())?;
    let decoded = DecodedStore::new(&store);
    let lock = Lock::load(lock).map_err(|error| error.to_string())?.ok_or("there is no lock")?;
    let locked = lock.debian.as_ref().and_then(|debian| debian.packages.get(&Platform { arch: Arch::Amd64 }));
    let mut packages = Vec::new();
    for locked in locked.ok_or("the lock has no Debian packages")? {
        let listing = decoded.decode(&locked.sha256, Format::Deb).map_err(|error| error.to_string())?;
        packages.push(Package { locked, listing });
    }
    let skipped = |package: &Package<'_>| {
        (package.locked.name.clone(), Answer::Skip { reason: "measured without".into() })
    };
    let without: BTreeMap<String, Answer> = packages.iter().map(skipped).collect();
    let (mut least, mut wall) = ([f64::MAX; 2], f64::MAX);
    for _ in 0..runs.max(1) {
        for (at, answers) in [BTreeMap::new(), without.clone()].into_iter().enumerate() {
            let options = Options {
                arch: Arch::Amd64,
                epoch: lock.epoch,
                slim: Slim::Slim,
                database: Database::Dpkg,
                answers,
                debconf: BTreeMap::new(),
                extra_certificates: Vec::new(),
                accounts: Vec::new(),
                below: None,
            };
            let (began, begin) = (Instant::now(), processor());
            place::place(&packages, &options, &decoded).map_err(|error| error.to_string())?;
            least[at] = least[at].min(processor().saturating_sub(begin).as_secs_f64());
            if at == 0 {
                wall = wall.min(began.elapsed().as_secs_f64());
            }
        }
    }
    Ok(Row {
        name: "all install scripts of the preset, evaluated".into(),
        cpu: (least[0] - least[1]).max(0.0),
        wall,
        peak: 0.0,
        note: format!("{} packages; wall: with placing", packages.len()),
        target: Some(ALL),
    })
}

/// Time that this process has used: the evaluation has a thread of its own.
fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Evaluates one of them with all the fuel that a script has. An error when it came to an end.
pub(super) fn evaluate(index: usize) -> Result<(), String> {
    let text = SCRIPTS.get(index).ok_or("there is no script of this number")?;
    match script::try_out(text.as_bytes(), &mut tree(), script::FUEL) {
        Ok(status) => Err(format!("it came to an end, with status {status}")),
        Err(_) => Ok(()),
    }
}

/// A tree with a link in a circle, a long file and many files.
fn tree() -> Tree {
    let owner = Component::generated("bench");
    let path = |name: &str| ImagePath::new(name).unwrap_or_default();
    let file = |text: Vec<u8>| Node::file(&owner, Metadata::root(0o644, 0), Content::inline(text));
    let mut tree = Tree::new();
    for name in ["", "usr", "usr/bin", "etc", "d", "tmp"] {
        tree.insert(path(name), Node::directory(&owner, Metadata::root(0o755, 0)));
    }
    tree.insert(path("etc/long"), file(b"x ".repeat(100_000)));
    tree.insert(path("etc/loop"), Node::symlink(&owner, 0, "loop"));
    for index in 0..1_000 {
        tree.insert(path(&format!("d/{index:04}{}", "a".repeat(100))), file(Vec::new()));
    }
    tree
}
