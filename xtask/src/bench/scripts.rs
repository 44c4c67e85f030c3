//! What a hostile install script costs until its fuel is used up: time and memory, one process for each.
//!
//! That each ends is tested (`sources::debian::script::tests::hostile`); how long a whole tank lasts depends on the machine, and
//! the prices in `world/fuel.rs` are set by these rows.

use std::path::Path;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;
use pinfold_sources::debian::script;

use super::BenchArgs;
use super::Row;
use super::line;
use super::measure;
use crate::say;

/// A second, as the evaluator promises.
const GOAL: f64 = 1.0;

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
