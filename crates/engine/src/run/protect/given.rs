//! What an interpreter runs of a path that it is given: the file, the same with an ending, or in a directory the file that begins it.
//!
//! ```text
//!   node tools/c2       tools/c2, or tools/c2.js, .json, .node         (nodejs.org: modules, "All together")
//!   node tools/clean    tools/clean/package.json and what its `main` names, tools/clean/index.js, …
//!   python tools/x      tools/x/__main__.py
//! ```
//!
//! **Guarantees**: nothing is run, and of a `package.json` one word is read.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;

use super::shell::Given;

/// Bytes of a `package.json` that are read.
const FILE_MAX: u64 = 1 << 20;
/// Endings that Node.js and its like add, in no order.
const ENDINGS: [&str; 9] = ["cjs", "cts", "js", "json", "jsx", "mjs", "node", "ts", "tsx"];
/// Those that Node.js itself adds.
pub(super) const ADDED: [&str; 3] = ["js", "json", "node"];

/// Paths that may be run for `path`, a path that may be a link or missing, as they are spelled; `path` itself comes first. Of
/// those that the interpreter would look for, `missing` ones are given too if that is asked for.
pub(super) fn runs(path: &Path, given: Given, missing: bool) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut add = |path: PathBuf| {
        if missing || path.is_file() {
            found.push(path);
        }
    };
    match given {
        Given::Python if path.is_dir() => add(path.join("__main__.py")),
        Given::Not | Given::File | Given::Python => {}
        Given::Node if path.is_dir() => {
            let package = path.join("package.json");
            if let Some(main) = main(&package) {
                let main = path.join(main);
                endings(&main).into_iter().for_each(&mut add);
                endings(&main.join("index")).into_iter().for_each(&mut add);
                add(main);
            }
            add(package);
            endings(&path.join("index")).into_iter().for_each(&mut add);
        }
        Given::Node => endings(path).into_iter().for_each(&mut add),
    }
    found
}

/// A path with each ending.
fn endings(path: &Path) -> Vec<PathBuf> {
    ENDINGS.iter().map(|ending| with(path, ending)).collect()
}

/// A path with an ending after those that it has.
pub(super) fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// The file that a package says it begins with.
fn main(package: &Path) -> Option<String> {
    let data = fs::metadata(package).ok().filter(|data| data.is_file() && data.len() <= FILE_MAX)?;
    let text = fs::read_to_string(package).ok().filter(|_| data.len() > 0)?;
    let value: Value = serde_json::from_str(&text).ok()?;
    value["main"].as_str().filter(|main| !main.is_empty() && !main.contains('\0')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected is what `node` and `python3` run of these.
    #[test]
    fn what_is_run_of_a_path_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [
            ("c2.js", ""),
            ("clean/index.js", ""),
            ("clean/other.js", ""),
            ("main/package.json", r#"{"main": "lib/x"}"#),
            ("main/lib/x.js", ""),
            ("module/__main__.py", ""),
        ] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
        }
        for (name, given, expected) in [
            ("c2", Given::Node, &["c2.js"][..]),
            ("c2", Given::Python, &[]),
            ("clean", Given::Node, &["clean/index.js"]),
            ("main", Given::Node, &["main/lib/x.js", "main/package.json"]),
            ("module", Given::Python, &["module/__main__.py"]),
            ("module", Given::File, &[]),
        ] {
            let found = runs(&at(name), given, false);
            assert_eq!(found[0], at(name));
            assert_eq!(found[1..], expected.iter().map(|name| at(name)).collect::<Vec<_>>(), "{name}");
        }
        assert!(runs(&at("clean"), Given::Node, true).contains(&at("clean/package.json")));
    }
}
