//! What is judged, and how each rule is broken.

mod export;
mod exported;
mod own;
mod policies;
mod reading;
mod sandboxes;
mod schemas;
mod security;

use std::path::PathBuf;

use super::*;

/// Knows one kind of key, and names that say what they are.
pub(super) fn seeker(name: &str, text: &[u8]) -> Option<&'static str> {
    let key = text.windows(7).any(|part| part == b"sk-ant-");
    let named = name.ends_with("_KEY") && text.len() > 20;
    (key || named).then_some("a key of Anthropic")
}

/// A document with a name.
pub(super) fn document(text: impl Into<Vec<u8>>) -> Document {
    Document { file: "a.yaml".to_owned(), text: text.into() }
}

/// What is said of a text.
pub(super) fn judged(text: &str) -> Report {
    judge(&[document(text)], &Judging::new(seeker))
}

/// The same by one version.
pub(super) fn judged_by(minor: u8, text: &str) -> Report {
    let minor = Minor::new(minor).unwrap();
    judge(&[document(text)], &Judging { versions: minor..=minor, ..Judging::new(seeker) })
}

/// Which rules that begin like this are broken, each once.
pub(super) fn rules(report: &Report, start: &str) -> Vec<String> {
    let of = report.findings.iter().map(|finding| finding.rule.clone());
    let mut rules: Vec<String> = of.filter(|rule| rule.starts_with(start)).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// A text in which one thing stands in the place of another.
pub(super) fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "`{from}` is there to be changed");
    text.replacen(from, to, 1)
}

/// A folder of somebody else's data that `PINFOLD_KUBE_DATA` names; tests that want it do nothing where it is not set.
pub(super) fn data(folder: &str) -> Option<Vec<(PathBuf, String)>> {
    let root = PathBuf::from(std::env::var_os("PINFOLD_KUBE_DATA")?);
    let mut files: Vec<PathBuf> =
        fs_err::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "`{folder}` has files");
    Some(files.into_iter().map(|path| (path.clone(), fs_err::read_to_string(path).unwrap())).collect())
}

#[test]
fn versions_are_read_and_shown() {
    for text in ["1.36", "v1.36", "1.36.2", "v1.36.0"] {
        assert_eq!(text.parse::<Minor>().unwrap().to_string(), "1.36");
    }
    for text in ["", "1.33", "1.38", "2.36", "36", "1.x"] {
        assert!(text.parse::<Minor>().unwrap_err().contains("1.34 to 1.37"), "{text}");
    }
}

#[test]
fn findings_stand_in_the_order_of_files_and_lines() {
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nbata: {}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: A}\n";
    let documents = [
        Document { file: "b.yaml".into(), text: bad.into() },
        Document { file: "a.yaml".into(), text: bad.replace("name: a", "name: b").into() },
    ];
    let report = judge(&documents, &Judging::new(seeker));
    let places: Vec<(&str, u32)> =
        report.findings.iter().map(|finding| (finding.file.as_str(), finding.line)).collect();
    let mut sorted = places.clone();
    sorted.sort_by_key(|(file, line)| (*file == "a.yaml", *line));
    assert_eq!(places, sorted);
    assert_eq!(places[0], ("b.yaml", 4));
    assert_eq!(report.objects, 4);
    assert_eq!(report, judge(&documents, &Judging::new(seeker)));
}

#[test]
fn no_secret_is_told() {
    for text in [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: sk-ant-1}\nspec: {restartPolicy: sk-ant-2, sk-ant-3: 1, containers: [{name: a, image: sk-ant-4, env: [{name: A, value: sk-ant-5}]}]}\n",
        "apiVersion: sk-ant-1\nkind: sk-ant-2\nmetadata: {namespace: sk-ant-3}\n",
        "sk-ant-1: [\n",
        "a: {sk-ant-1: 1, sk-ant-1: 2}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nbinaryData: {a: c2stYW50LTE=}\n",
    ] {
        let report = judged(text);
        assert!(!report.findings.is_empty(), "{text}");
        let told = format!("{report:?}");
        assert!(!told.contains("sk-ant-"), "{told}");
    }
}

#[test]
fn what_is_not_known_is_told_as_that() {
    let unknown = judged("apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: a}\nspec: {a: 1}\n");
    assert_eq!(rules(&unknown, ""), ["not-judged"]);
    let older = judged("apiVersion: agents.x-k8s.io/v1alpha1\nkind: Sandbox\nmetadata: {name: a}\n");
    assert!(older.findings[0].message.contains("`agents.x-k8s.io/v1beta1`"), "{older:?}");
    for text in ["kind: Pod\n", "apiVersion: v1\n", "- a\n", "a\n", "apiVersion: 1\nkind: Pod\n"] {
        assert_eq!(rules(&judged(text), ""), ["schema"], "{text}");
    }
}

#[test]
fn what_stands_twice_is_told() {
    let one = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: x}\nautomountServiceAccountToken: false\n";
    assert_eq!(judged(one).findings, []);
    // Two exports share what is around them.
    let again = "metadata: {namespace: x, name: a}\nautomountServiceAccountToken: false\napiVersion: v1\nkind: ServiceAccount\n";
    assert_eq!(judged(&format!("{one}---\n{again}")).findings, []);
    assert_eq!(rules(&judged(&format!("{one}---\n{}", changed(again, "false", "true"))), ""), ["names"]);
    let other = one.replace("namespace: x", "namespace: z");
    assert_eq!(judged(&format!("{one}---\n{other}")).findings, []);
}
