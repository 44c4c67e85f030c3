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
fn readers_of_json_and_yaml_agree_about_json() {
    let object = |value: &str| format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"a\": {value}}}");
    for value in [
        "0",
        "-0",
        "1",
        "-17",
        "1.0",
        "0.5",
        "1e2",
        "1E+2",
        "1e-2",
        "-1.5e10",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"yes\"",
        "\"0o7\"",
        "\"<<\"",
        "\"# x\"",
        "\"a\\/b\\\\\\\"\\n\\r\\t\\b\\f\"",
        "\"\\u00e4\\u0085\\u2028\\u0000\"",
        "\"\u{1f600}\"",
        "[]",
        "[1, [2, {}]]",
        "{\"<<\": 1, \"1\": 2, \"\": 3}",
    ] {
        let text = object(value);
        let nodes =
            read::objects(&document(text.clone()), 0).unwrap_or_else(|error| panic!("{value}: {error:?}"));
        let json = serde_json::from_str(&text).unwrap();
        assert!(nodes[0].root.says(&json), "{value}: {nodes:?}");
        assert_eq!(nodes[0].root.line, 1, "{value}");
    }
    // What only YAML can say is YAML for Kubernetes too.
    assert_eq!(judged("{apiVersion: v1, kind: List, a: !!str 1}").objects, 1);
    // Names that stand twice are refused by either.
    unreadable(object("{\"a\": 1, \"a\": 1}"));
    unreadable(object("{\"a\\ud83d\\ude00\": 1, \"a\\ud83d\\ude00\": 1}"));
    // No half of an escape by itself, no object behind another without a line between them, no number beyond all.
    unreadable(object("\"\\ud83d\""));
    unreadable(format!("{}{}", object("1"), object("2")));
    assert_ne!(judged(&object("1e999")).findings, []);
}

/// The controls of what is compared with.
#[test]
fn other_values_of_json_are_others() {
    let node = |text: &str| serde_saphyr::from_str::<value::Node>(text).unwrap();
    for (yaml, json) in [
        ("a: '1'", "{\"a\": 1}"),
        ("a: 1", "{\"a\": \"1\"}"),
        ("a: 1", "{\"a\": 2}"),
        ("a: 0", "{\"a\": 0.5}"),
        ("a: 1.5", "{\"a\": 1}"),
        ("a: yes", "{\"a\": \"yes\"}"),
        ("a: null", "{\"a\": \"\"}"),
        ("a: null", "{}"),
        ("{}", "{\"a\": null}"),
        ("a: []", "{\"a\": {}}"),
        ("a: [1]", "{\"a\": [1, 1]}"),
        ("b: 1", "{\"a\": 1}"),
    ] {
        assert!(!node(yaml).says(&serde_json::from_str(json).unwrap()), "{yaml} {json}");
    }
    assert!(node("{b: [1, x], a: {c: 0.5}}").says(&serde_json::json!({"a": {"c": 0.5}, "b": [1, "x"]})));
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
    // Kubernetes takes no notice of a `!` alone: a merge key, a boolean and a number for it, texts for others.
    for tag in
        ["! <<: {a: c}", "! '<<': {a: c}", "b: ! yes", "b: ! 1", "b: !int 1", "b: !<!> 1", "b: !!binary YQ=="]
    {
        let (line, message) = unreadable(format!("{MAP}data:\n  a: b\n  {tag}\n"));
        assert_eq!(line, 6, "{tag}");
        assert!(message.contains("tag"), "{tag}: {message}");
    }
    for value in ["!!str yes", "! is no tag in a text", "'! 1'", "a ! b", "\"!int\""] {
        let value = value.replace("! is", "x ! is");
        assert_eq!(judged(&format!("{MAP}data: {{a: {value}}}\n")).findings, [], "{value}");
    }
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

#[test]
fn the_place_of_what_cannot_be_read_is_told_once() {
    for (text, line) in
        [("a: 1\nb: c: d\n", 2), ("a: [\n", 2), ("{\n\"a\": \"\\ud800\"}\n", 2), ("a: 1\na: 2\n", 2)]
    {
        let report = judged(text);
        let [finding] = &report.findings[..] else { panic!("{report:?}") };
        assert_eq!(finding.rule, "unreadable");
        assert!(finding.line >= line - 1, "{finding:?}");
        let message = &finding.message;
        assert!(
            !message.is_empty() && !message.contains(" line ") && !message.contains(" column "),
            "{message}"
        );
    }
}
