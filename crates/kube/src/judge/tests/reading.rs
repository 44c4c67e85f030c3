//! Documents of all kinds, and those that are made to do harm.

use super::*;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn unreadable(text: impl Into<Vec<u8>>) -> (u32, String) {
    let report = judge(&[document(text)], &Judging::new(seeker));
    assert_eq!(rules(&report, ""), ["unreadable"]);
    (report.findings[0].line, report.findings[0].message.clone())
}

#[test]
fn documents_are_separated_and_empty_ones_are_nothing() {
    let text = format!("---\n# a comment\n---\n{MAP}---\n{}", MAP.replace("name: a", "name: b"));
    let report = judged(&text);
    assert_eq!((report.objects, report.findings), (2, vec![]));
    assert_eq!(judged("").objects, 0);
    assert_eq!(judged("\u{feff}# only a comment\n").objects, 0);
}

#[test]
fn json_is_read_too() {
    let text = r#"{"apiVersion": "v1", "kind": "ConfigMap",
"metadata": {"name": "a"}, "data": {"a": "\ud83d\ude00 \u00e4"}, "bata": 1}"#;
    let report = judged(text);
    assert_eq!((report.objects, report.findings.len()), (1, 1));
    let plain = text.replace("\\ud83d\\ude00", "");
    assert_eq!(judged(&plain).findings[0].line, 2, "the reader of YAML knows the lines of JSON");
    let twice = text.replace("\"bata\": 1", "\"data\": {}");
    assert_eq!(rules(&judged(&twice), ""), ["unreadable"]);
}

#[test]
fn lists_are_taken_apart() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}, spec: {containers: []}}\n";
    assert_eq!(judged(list).objects, 2);
    let pods = "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n  spec: {kontainers: []}\n";
    let report = judged(pods);
    assert_eq!(report.objects, 1);
    assert!(
        report.findings.iter().any(|finding| finding.object == "Pod/a" && finding.path == "spec.kontainers")
    );
}

#[test]
fn scalars_are_what_kubernetes_takes_them_for() {
    let pod = |volume: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers: []\n  volumes: [{{name: v, secret: {{secretName: s, {volume}}}}}]\n"
        )
    };
    let schema = |volume: &str| rules(&judged(&pod(volume)), "schema").len();
    for volume in
        ["defaultMode: 0440", "defaultMode: 288", "optional: yes", "optional: Off", "optional: true"]
    {
        assert_eq!(schema(volume), 0, "{volume}");
    }
    for volume in ["defaultMode: '0440'", "defaultMode: 1.5", "optional: 'yes'", "optional: 1"] {
        assert_eq!(schema(volume), 1, "{volume}");
    }
    assert_eq!(
        judged(&format!("{MAP}data: {{a: yes}}\n")).findings[0].path,
        "data.a",
        "a boolean is no text"
    );
    assert_eq!(judged(&format!("{MAP}data: {{a: 'yes', b: |\n  x\n}}\n")).findings.len(), 1, "it is no YAML");
}

#[test]
fn a_name_that_stands_twice_is_refused_where_it_stands() {
    let (line, message) = unreadable(format!("{MAP}data:\n  a: b\n  a: c\n"));
    assert!(line >= 5, "{line}");
    assert!(message.contains('a'), "{message}");
    let many = (0..40).map(|index| format!("  k{}: v\n", index % 39)).collect::<Vec<_>>().concat();
    unreadable(format!("{MAP}data:\n{many}"));
}

#[test]
fn what_multiplies_or_nests_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    unreadable(bomb);
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        unreadable(format!("{}x{}", open.repeat(5000), close.repeat(5000)));
    }
    // What only JSON can say is as deep as anything else at most.
    unreadable(format!("{{\"\\ud83d\\ude00\": {}1{}}}", "[".repeat(40), "]".repeat(40)));
    unreadable("\"\\ud83d\": ".repeat(10_000));
    unreadable(vec![b'a'; read::SIZE + 1]);
    unreadable(b"\xff\xfe".to_vec());
    unreadable("a: !!python/object x\n");
}

#[test]
fn what_readers_of_yaml_do_not_agree_about_is_refused() {
    for (end, code) in [('\u{85}', "0085"), ('\u{2028}', "2028"), ('\u{2029}', "2029")] {
        // Kubernetes reads a field behind what others take for a comment.
        let (line, message) = unreadable(format!("{MAP}# a note{end}data: {{a: 1}}\n"));
        assert_eq!(line, 4, "{code}");
        assert!(
            message.contains(&format!("U+{code}")) && message.contains(&format!("`\\u{code}`")),
            "{message}"
        );
        unreadable(format!("\u{feff}{{\"apiVersion\": \"{end}\"}}"));
        assert_eq!(judged(&format!("{MAP}data: {{a: \"x\\u{code}y\"}}\n")).findings, []);
    }
    for merge in ["<<: {a: c}", "<<: [{a: c}]", "!!merge <<: {a: c}", "? <<\n  : {a: c}"] {
        let (line, message) = unreadable(format!("{MAP}data:\n  a: b\n  {merge}\n"));
        assert_eq!(line, 6, "{merge}");
        assert!(message.contains("merge keys"), "{message}");
    }
    unreadable(format!("{MAP}x: &x {{<<: {{a: b}}}}\ndata: *x\n"));
    // In quotes it is a name like any other, and a text is none.
    let names = |text: &str| judged(&format!("{MAP}data: {text}\n"));
    assert_eq!(names("{a: <<}").findings, []);
    assert_eq!(rules(&names("{'<<': x}"), ""), ["names"]);
}

#[test]
fn aliases_are_as_if_they_were_written_out() {
    let text = format!("{MAP}data:\n  a: &text hello\n  b: *text\n");
    assert_eq!(judged(&text).findings, []);
    let text = format!("{MAP}data: &data\n  a: b\nbinaryData: *data\n");
    let report = judged(&text);
    assert_eq!(report.findings[0].path, "binaryData.a");
}
