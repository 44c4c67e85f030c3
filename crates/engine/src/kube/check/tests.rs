use super::*;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n";

fn asked(paths: &[&Path]) -> Asked {
    Asked {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        versions: Minor::OLDEST..=Minor::NEWEST,
        nodes: Nodes::Any,
        policies: Vec::new(),
    }
}

/// A directory with files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    dir
}

fn map(name: &str) -> String {
    MAP.replace("NAME", name)
}

#[test]
fn a_directory_is_read_with_what_is_below_it() {
    let dir = directory(&[
        ("b.yaml", &map("b")),
        ("a/c.yml", &map("c")),
        ("a/d.json", r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "bata": {}}"#),
        ("README.md", "{"),
        (".git/e.yaml", "{"),
    ]);
    std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
    std::os::unix::fs::symlink("b.yaml", dir.path().join("link.yaml")).unwrap();
    let report = check(&asked(&[dir.path()])).unwrap();
    assert_eq!(report.objects, 3);
    let [finding] = &report.findings[..] else { panic!("{report:?}") };
    assert!(finding.file.ends_with("a/d.json"), "{finding:?}");
    assert_eq!((finding.rule.as_str(), finding.path.as_str()), ("schema", "bata"));
    // The same file named twice is one.
    let file = dir.path().join("b.yaml");
    assert_eq!(check(&asked(&[&file, &file])).unwrap().objects, 1);
}

#[test]
fn what_is_hidden_in_a_directory_is_judged_or_told() {
    let dir = directory(&[
        ("k/a.yaml", &map("a")),
        ("k/.h.yaml", "kind: Pod\n"),
        ("k/.hid/deep/x.yml", "{"),
        ("k/.idea/notes.txt", "{"),
        ("k/sub/c.yaml", &map("c")),
        ("elsewhere.yaml", "{"),
    ]);
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, dir.path().join("k").join(at)).unwrap();
    link("sub/c.yaml", "same.yaml");
    link("../elsewhere.yaml", "out.yaml");
    link("nowhere", "gone.json");
    link("sub", "directory.yml");
    link("../elsewhere.yaml", "README");
    let report = check(&asked(&[&dir.path().join("k")])).unwrap();
    assert_eq!(report.objects, 3, "a link within is what it leads to, once");
    let of = |rule: &str| -> Vec<String> {
        let found = report.findings.iter().filter(|finding| finding.rule == rule);
        found.map(|finding| finding.file.rsplit_once("/k/").unwrap().1.to_owned()).collect()
    };
    assert_eq!(of("not-judged"), [".hid", "directory.yml", "gone.json", "out.yaml"], "{report:?}");
    assert_eq!(of("schema"), [".h.yaml"], "{report:?}");
    assert_eq!(report.findings.len(), 5, "{report:?}");
    // Nothing but a link to elsewhere is not as if nothing were there.
    let dir = directory(&[("k/x.txt", "")]);
    std::os::unix::fs::symlink("../gone.yaml", dir.path().join("k/a.yaml")).unwrap();
    assert_eq!(check(&asked(&[&dir.path().join("k")])).unwrap().findings.len(), 1);
}

#[test]
fn a_kustomization_says_what_is_judged() {
    let list = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
    let dir = directory(&[
        ("top/kustomization.yaml", &format!("{list}- a.yaml\n- ../base\n")),
        ("top/a.yaml", &map("a")),
        ("top/example.yaml", "not: judged\n"),
        ("base/kustomization.yaml", &format!("{list}- b.yaml\n- ../top\n")),
        ("base/b.yaml", &map("b")),
    ]);
    let report = check(&asked(&[&dir.path().join("top")])).unwrap();
    assert_eq!(
        (report.objects, report.findings),
        (4, vec![]),
        "two objects, two kustomizations, no end of them"
    );
}

#[test]
fn what_a_kustomization_does_beyond_that_is_told() {
    let text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: other\nresources:\n- a.yaml\n- https://example.org/x\n- missing.yaml\n- ../outside.yaml\n- out.yaml\n- empty\n- /etc/passwd\n";
    let dir = directory(&[
        ("top/kustomization.yaml", text),
        ("top/a.yaml", &map("a")),
        ("top/empty/x.txt", ""),
        ("outside.yaml", &map("b")),
    ]);
    std::os::unix::fs::symlink("../outside.yaml", dir.path().join("top/out.yaml")).unwrap();
    let report = check(&asked(&[&dir.path().join("top")])).unwrap();
    assert_eq!(report.objects, 2);
    let lines: Vec<u32> = report.findings.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [3, 6, 7, 8, 9, 10, 11], "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.rule == "not-judged"), "{report:?}");
}

#[test]
fn what_cannot_be_read_is_an_error_with_a_next_step() {
    let dir = directory(&[("empty/x.txt", "")]);
    let gone = check(&asked(&[&dir.path().join("gone")])).unwrap_err();
    assert_eq!(gone.kind(), Kind::Usage);
    assert_eq!(gone.hint().unwrap(), "name a file, a directory with objects in it, or `-` for stdin");
    let nothing = check(&asked(&[&dir.path().join("empty")])).unwrap_err();
    assert!(nothing.hint().unwrap().contains("`pinfold kube -o "), "{nothing}");
    let long = dir.path().join("long.yaml");
    fs_err::File::create(&long).unwrap().set_len(SIZE + 1).unwrap();
    let error = check(&asked(&[&long])).unwrap_err();
    assert_eq!(error.hint().unwrap(), "split it into files of fewer objects");
    for index in 0..=DEPTH {
        let deep: PathBuf = std::iter::repeat_n("d", index + 2).collect();
        fs_err::create_dir_all(dir.path().join(deep)).unwrap();
    }
    fs_err::remove_file(&long).unwrap();
    let error = check(&asked(&[dir.path()])).unwrap_err();
    assert_eq!(error.hint().unwrap(), "judge its directories one by one");
}

#[test]
fn what_was_named_and_has_no_object_is_an_error() {
    let dir = directory(&[
        ("a.yaml", &map("a")),
        ("empty.yaml", ""),
        ("comments.yaml", "\u{feff}# one\n--- # two\n\n...\n"),
        ("list.yaml", "apiVersion: v1\nkind: List\nitems: []\n"),
        ("below/a.yaml", "# nothing\n"),
    ]);
    let at = |name: &str| dir.path().join(name);
    for name in ["empty.yaml", "comments.yaml", "list.yaml", "below"] {
        let error = check(&asked(&[&at(name)])).unwrap_err();
        assert_eq!((error.kind(), error.to_string().contains(name)), (Kind::Usage, true), "{error}");
        assert_eq!(error.hint().unwrap(), "name files with objects: `apiVersion`, `kind` and `metadata`");
    }
    // Others that are named beside it have objects: still one is missing.
    check(&asked(&[&at("a.yaml"), &at("empty.yaml")])).unwrap_err();
    check(&Asked { policies: vec![at("empty.yaml")], ..asked(&[&at("a.yaml")]) }).unwrap_err();
    assert_eq!(check(&asked(&[&at("a.yaml"), &at("list.yaml")])).unwrap().objects, 1);
    let pipe = CheckError::Empty { path: "-".into() };
    assert_eq!(pipe.to_string(), "stdin has no object in it");
    assert!(pipe.hint().unwrap().starts_with("look at what wrote into the pipe"));
    assert!(!is_blank(b"--- {}\n") && !is_blank(b"a"));
}

#[test]
fn a_key_is_known_and_not_told() {
    // In the form of a key, and nobody's.
    let key = format!("sk-ant-api03-{}AA", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7".repeat(4).get(..91).unwrap());
    let pod = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  settings: 'key = {key}'\n  DATABASE_PASSWORD: hunter2-Xq9z\n"
    );
    let dir = directory(&[("a.yaml", &pod)]);
    let report = check(&asked(&[dir.path()])).unwrap();
    let lines: Vec<u32> = report.findings.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [5, 6], "{report:?}");
    let told = format!("{report:?}");
    assert!(!told.contains(&key[..20]) && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_key_in_the_secret_of_another_is_known_by_its_name_or_its_form() {
    let key = format!("sk-ant-api03-{}AA", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7".repeat(4).get(..91).unwrap());
    let secret = |values: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: shop}}\n{values}\n")
    };
    for (values, told) in [
        (format!("stringData: {{any: {key}}}"), true),
        ("stringData: {ANTHROPIC_API_KEY: sk-ant-api03-NEWCOMERKEY1234567890}".into(), true),
        // The same in base 64.
        ("data: {api-key: c2stYW50LWFwaTAzLU5FV0NPTUVSS0VZMTIzNDU2Nzg5MA==}".into(), true),
        // What Secrets are for, and what stands for a key.
        ("stringData: {password: hunter2-Xq9z}".into(), false),
        ("stringData: {ANTHROPIC_API_KEY: your-key-here}".into(), false),
    ] {
        let dir = directory(&[("a.yaml", &secret(&values))]);
        let report = check(&asked(&[dir.path()])).unwrap();
        let rules: Vec<&str> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(rules == ["pinfold/secret"], told, "{values}: {report:?}");
        assert!(!format!("{report:?}").contains("sk-ant-"), "{report:?}");
    }
}
