//! What Nix tells of store paths as JSON: a build that has `exportReferencesGraph` and `__structuredAttrs` (in its `.attrs.json`), and
//! `nix path-info --json --recursive`.
//!
//! ```text
//! { "closure": [ { "path": "/nix/store/HASH-NAME", "narHash": "sha256:…", "narSize": 664, "references": ["/nix/store/…"], "ca": "…" } ], … }
//! [ { "path": … } ]
//! ```
//!
//! Signatures, derivers and times are passed over: a build is not told of them either.
//!
//! **Refuses**: a path twice, what is not known of a path that a database always knows, content addresses of another path.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::Digest;
use pinfold_base::digest::Algorithm;
use serde::Deserialize;

use crate::nix::content_address;
use crate::nix::content_address::Standing;
use crate::nix::hash;
use crate::nix::narinfo::MAX_NAR;
use crate::nix::narinfo::MAX_REFERENCES;
use crate::nix::narinfo::PathInfo;
use crate::nix::store_path::StorePath;

/// The longest list that is read, in bytes.
pub const MAX_LIST: u64 = 64 << 20;

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Build { closure: Vec<Listed> },
    Paths(Vec<Listed>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    path: String,
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
    #[serde(default)]
    ca: Option<String>,
}

/// Reads such a list; the error says what is wrong.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<StorePath, PathInfo>, String> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|_| "it has no list of `path`, `narHash`, `narSize` and `references`".to_owned())?;
    let (Document::Build { closure: listed } | Document::Paths(listed)) = document;
    let mut paths = BTreeMap::new();
    for one in listed {
        let path = StorePath::parse(&one.path).map_err(|error| error.to_string())?;
        let info = one.info(&path).map_err(|reason| format!("`{path}` {reason}"))?;
        if paths.insert(path.clone(), info).is_some() {
            return Err(format!("`{path}` is there twice"));
        }
    }
    Ok(paths)
}

impl Listed {
    fn info(self, path: &StorePath) -> Result<PathInfo, String> {
        let Self { nar_hash, nar_size, references, ca, .. } = self;
        if references.len() > MAX_REFERENCES {
            return Err(format!("has more than {MAX_REFERENCES} references"));
        }
        if !(1..=MAX_NAR).contains(&nar_size) {
            return Err("has a size that is out of bounds".into());
        }
        let references = references.iter().map(|reference| StorePath::parse(reference));
        let references: BTreeSet<StorePath> = references
            .collect::<Result<_, _>>()
            .map_err(|error| format!("refers to something else: {error}"))?;
        if ca.as_ref().is_some_and(|ca| content_address::judge(ca, path, &references) == Standing::Other) {
            return Err("has the content address of another path".into());
        }
        let nar_hash = digest(&nar_hash).ok_or("has a hash that is no SHA-256")?;
        let path = path.clone();
        Ok(PathInfo { path, nar_hash, nar_size, references, deriver: None, ca, signatures: Vec::new() })
    }
}

/// As builds are told it, or as newer Nix writes it elsewhere (`sha256-BASE64`).
fn digest(text: &str) -> Option<Digest> {
    match text.strip_prefix("sha256-") {
        Some(value) => Digest::from_bytes(Algorithm::Sha256, &STANDARD.decode(value).ok()?),
        None => hash::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use pinfold_testkit::nix;
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::nix::testing::locked;

    /// What a build is told of a path of the fixture.
    fn told(path: &nix::StorePath) -> Value {
        let mut all: Value = serde_json::from_str(&nix::told()).unwrap();
        let closure = all["closure"].as_array_mut().unwrap();
        closure.iter().find(|told| told["path"] == *path.path).unwrap().clone()
    }

    fn read(value: &Value) -> Result<BTreeMap<StorePath, PathInfo>, String> {
        parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_build_and_path_info_say_what_a_cache_does() {
        let build = parse(nix::told().as_bytes()).unwrap();
        let all: Vec<Value> = nix::closure().iter().map(told).collect();
        assert_eq!(read(&json!(all)).unwrap(), build);
        let locked = locked();
        assert!(build.keys().eq(locked.paths.iter().map(|path| &path.path)));
        for known in &locked.paths {
            let info = &build[&known.path];
            assert_eq!(
                (&info.nar_hash, info.nar_size, &info.references, &info.ca),
                (&known.nar, known.nar_size, &known.references, &known.ca)
            );
        }
        let mut other = told(&nix::root("hello"));
        let sri = format!("sha256-{}", STANDARD.encode(nix::root("hello").nar_hash.bytes()));
        other["narHash"] = json!(sri);
        assert_eq!(read(&json!([other])).unwrap().len(), 1);
    }

    #[test]
    fn each_odd_list_is_refused_for_its_own_reason() {
        let hello = || told(&nix::root("hello"));
        let with = |name: &str, value: Value| {
            let mut one = hello();
            one[name] = value;
            json!([one])
        };
        let address = |attribute: &str| {
            let narinfo = nix::root(attribute).narinfo();
            let ca = narinfo.lines().find_map(|line| line.strip_prefix("CA: ")).unwrap().to_owned();
            json!(ca)
        };
        assert!(read(&json!([hello()])).is_ok(), "the control");
        for (value, said) in [
            (json!({}), "has no list"),
            (json!({ "/nix/store/x": {} }), "has no list"),
            (json!([{ "path": nix::root("hello").path }]), "has no list"),
            (with("path", json!("/etc/passwd")), "not a store path"),
            (with("references", json!(["/etc/passwd"])), "refers to something else"),
            (with("ca", json!({ "method": "nar" })), "has no list"),
            (json!([hello(), hello()]), "is there twice"),
            (with("narSize", json!(0)), "out of bounds"),
            (with("narHash", json!("sha256-AAAA")), "no SHA-256"),
            (
                with("narHash", json!("sha1:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73")),
                "no SHA-256",
            ),
            (with("ca", address("source")), "another path"),
        ] {
            let error = read(&value).expect_err(said);
            assert!(error.contains(said), "{value}: {error}");
        }
        assert!(read(&json!([told(&nix::root("source"))])).is_ok(), "the control");
    }
}
