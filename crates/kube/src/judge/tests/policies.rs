//! Policies of somebody else's: what they are asked about, what comes of it, and those that are made to do harm.

use std::time::Duration;
use std::time::Instant;

use super::*;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ns, labels: {team: x}}\nspec:\n  containers: [{name: c, image: r.example/i:1}, {name: d, image: other.example/i:1}]\n";

/// A policy about pods.
fn policy(spec: &str) -> Document {
    let text = format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: p}}\nspec:\n  matchConstraints:\n    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]\n{spec}"
    );
    Document { file: "policy.yaml".to_owned(), text: text.into() }
}

/// What a policy says of the pod: rules and messages of what is of policies.
fn said_of(object: &str, policy: Document) -> Vec<(String, String)> {
    let report = judge(&[document(object)], &Judging { policies: vec![policy], ..Judging::new(seeker) });
    let of = report.findings.into_iter().filter(|finding| {
        finding.rule.starts_with("policy/") || finding.rule == "not-judged" || finding.rule == "unreadable"
    });
    of.map(|finding| (finding.rule, finding.message)).collect()
}

/// The same of one expression.
fn said(expression: &str) -> Vec<(String, String)> {
    let quoted = serde_json::to_string(expression).unwrap();
    said_of(POD, policy(&format!("  validations: [{{expression: {quoted}}}]\n")))
}

#[test]
fn what_is_false_is_told_with_its_message() {
    assert_eq!(said("object.spec.containers.all(c, has(c.image))"), []);
    assert_eq!(
        said("object.metadata.name == 'b'"),
        [("policy/p/01".to_owned(), "`object.metadata.name == 'b'` is false".to_owned())]
    );
    let told = policy(
        "  validations:\n  - expression: 'true'\n  - {expression: 'false', message: never}\n  - {expression: 'false', messageExpression: \"'no ' + object.metadata.name\"}\n",
    );
    assert_eq!(
        said_of(POD, told),
        [("policy/p/02".to_owned(), "never".to_owned()), ("policy/p/03".to_owned(), "no a".to_owned())]
    );
}

#[test]
fn variables_come_first_and_conditions_leave_out() {
    let text = "  variables:\n  - {name: images, expression: 'object.spec.containers.map(c, c.image)'}\n  - {name: far, expression: \"variables.images.filter(i, !i.startsWith('r.example/'))\"}\n  validations: [{expression: 'size(variables.far) == 0'}]\n";
    assert_eq!(said_of(POD, policy(text)).len(), 1);
    let near = POD.replace("other.example", "r.example");
    assert_eq!(said_of(&near, policy(text)), []);
    let except = format!(
        "{text}  matchConditions: [{{name: other, expression: \"object.metadata.namespace != 'ns'\"}}]\n"
    );
    assert_eq!(said_of(POD, policy(&except)), []);
    let request = "  validations: [{expression: \"request.operation == 'CREATE' && request.namespace == 'ns' && request.kind.kind == 'Pod' && request.resource.resource == 'pods' && oldObject == null\"}]\n";
    assert_eq!(said_of(POD, policy(request)), []);
}

#[test]
fn a_policy_is_asked_about_what_it_is_about() {
    let no = "  validations: [{expression: 'false'}]\n";
    let told = |change: fn(&str) -> String| {
        let text = String::from_utf8(policy(no).text).unwrap();
        said_of(POD, Document { file: "p".into(), text: change(&text).into() }).len()
    };
    assert_eq!(told(str::to_owned), 1);
    for (expected, change) in [
        (1, (|text: &str| text.replace("[pods]", "['*']")) as fn(&str) -> String),
        (0, |text| text.replace("[pods]", "[pods/ephemeralcontainers, jobs]")),
        (0, |text| text.replace("[CREATE]", "[UPDATE, DELETE]")),
        (1, |text| text.replace("[CREATE]", "['*']")),
        (0, |text| text.replace("apiGroups: ['']", "apiGroups: [apps]")),
        (0, |text| text.replace("apiVersions: [v1]", "apiVersions: [v2]")),
        (0, |text| text.replace("resources: [pods]", "resources: [pods], resourceNames: [b]")),
        (0, |text| {
            text.replace("resourceRules:", "objectSelector: {matchLabels: {team: y}}\n    resourceRules:")
        }),
        (1, |text| {
            text.replace("resourceRules:", "objectSelector: {matchLabels: {team: x}}\n    resourceRules:")
        }),
        (0, |text| {
            text.replace("resourceRules:", "namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [ns]}]}\n    resourceRules:")
        }),
        (1, |text| {
            text.replace(
                "resourceRules:",
                "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ns}}\n    resourceRules:",
            )
        }),
        (0, |text| {
            text.replace("resourceRules:", "excludeResourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: [pods]}]\n    resourceRules:")
        }),
    ] {
        assert_eq!(
            told(change),
            expected,
            "{}",
            change("resources: [pods] resourceRules: [CREATE] apiGroups: [''] apiVersions: [v1]")
        );
    }
}

#[test]
fn what_only_a_cluster_knows_is_told_as_not_judged() {
    for expression in [
        "authorizer.group('').resource('pods').check('create').allowed()",
        "params.most > 1",
        "request.userInfo.username == 'a'",
        "has(request.options)",
        "namespaceObject.metadata.name == 'n'",
        "quantity('1Gi').isGreaterThan(quantity('1Mi'))",
        "object.metadata.name.lowerAscii() == 'a'",
        "cel.bind(x, 1, x == 1)",
        "object.spec.__dash__ == 1",
        "[1, 2].all(i, v, v > 0)",
    ] {
        let found = said(expression);
        assert_eq!(found.len(), 1, "{expression}");
        assert_eq!(found[0].0, "not-judged", "{expression}: {found:?}");
    }
    let namespace =
        format!("{POD}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: ns, labels: {{a: b}}}}\n");
    let asks = "  validations: [{expression: \"namespaceObject.metadata.labels['a'] == 'b'\"}]\n";
    assert_eq!(said_of(&namespace, policy(asks)), []);
}

#[test]
fn what_cannot_be_evaluated_is_refused_unless_the_policy_lets_it_through() {
    for expression in [
        "object.spec.missing == 1",
        "object.metadata.name > 1",
        "1 +",
        "'a'",
        "object.spec.containers[7].name == 'a'",
        "",
    ] {
        let found = said(expression);
        assert_eq!(found.len(), 1, "{expression}");
        assert_eq!(found[0].0, "policy/p/01", "{expression}: {found:?}");
        let quoted = serde_json::to_string(expression).unwrap();
        let through =
            policy(&format!("  failurePolicy: Ignore\n  validations: [{{expression: {quoted}}}]\n"));
        assert_eq!(said_of(POD, through), [], "{expression}");
    }
    let variable = policy(
        "  variables: [{name: v, expression: 'params.x'}]\n  validations: [{expression: 'variables.v == 1'}, {expression: 'true'}]\n",
    );
    let found = said_of(POD, variable);
    assert_eq!(found.len(), 1);
    assert!(found[0].0 == "not-judged" && found[0].1.contains("`params`"), "{found:?}");
}

#[test]
fn a_file_without_a_policy_is_told() {
    let none = Document { file: "p.yaml".into(), text: POD.into() };
    assert_eq!(
        said_of(POD, none),
        [("unreadable".to_owned(), "there is no ValidatingAdmissionPolicy in it".to_owned())]
    );
    let broken = Document { file: "p.yaml".into(), text: "a: [".into() };
    assert_eq!(said_of(POD, broken)[0].0, "unreadable");
}

#[test]
fn hostile_expressions_end_soon() {
    let list = format!("[{}]", vec!["1"; 500].join(","));
    let mut expressions = vec![
        // What multiplies.
        format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, a + b + c + d > 0))))"),
        format!("size({list}.map(a, {list}.map(b, {list}.map(c, {list})))) > 0"),
        // What is deep.
        format!("{}true", "!".repeat(3000)),
        format!("{}1{} == 1", "(".repeat(3000), ")".repeat(3000)),
        format!("{}1{} == 1", "[".repeat(3000), "]".repeat(3000)),
        format!("{}1{}", "size([".repeat(1000), "])".repeat(1000)),
        format!("1{} > 1", " + 1".repeat(1900)),
        format!("1{} > 1", "+1".repeat(4000)),
        format!("object{} == 1", ".a".repeat(1900)),
        format!("true{}", " ? true : true".repeat(500)),
        format!("{}-1 == 1", "-".repeat(1990)),
        format!("true{}", " && true".repeat(900)),
        format!("object{}", "[0]".repeat(650)),
        // Expressions that cost to be built.
        format!("object.metadata.name.matches('{}')", "(a{50}){50}".repeat(5)),
        "object.metadata.name.matches('(((a{100}){100}){100}){100}')".to_owned(),
        "'x'.matches('(x+x+)+y')".to_owned(),
        "x".repeat(100_000),
    ];
    expressions.push(format!("'{}' == ''", "a".repeat(8000)));
    for expression in expressions {
        let start = Instant::now();
        let found = said(&expression);
        assert!(found.len() <= 1);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}: {}", &expression[..60]);
    }
    // Variables that double.
    let mut text = "  variables:\n  - {name: v0, expression: \"'aaaaaaaaaaaaaaaa'\"}\n".to_owned();
    for index in 1..60 {
        text.push_str(&format!(
            "  - {{name: v{index}, expression: 'variables.v{0} + variables.v{0}'}}\n",
            index - 1
        ));
    }
    text.push_str("  validations: [{expression: 'size(variables.v59) > 0'}]\n");
    let found = said_of(POD, policy(&text));
    assert!(found[0].1.contains("too long"), "{found:?}");
    // Nothing of that keeps sensible ones out.
    let long = (0..200)
        .map(|index| format!("object.spec.containers.all(c, c.name != 'n{index}')"))
        .collect::<Vec<_>>();
    assert_eq!(said(&long[..100].join(" && ")), []);
}
