//! Policies of somebody else's: each ValidatingAdmissionPolicy is asked as a cluster would ask it when an object is made.
//!
//! ```text
//! matchConstraints ─► is the object one that it is about?   (subject.rs)
//! variables, in their order, and then matchConditions and validations   (evaluate.rs)
//!   each expression first has its cost reckoned, which is at most what is allowed   (cost.rs)
//! ```
//! A template of sandboxes is asked about as the Sandbox that is made of it, because that is what a cluster would refuse later.
//!
//! **Guarantees**: time and memory are bounded for any expression. An expression with what only a server knows (`authorizer`,
//! `params`, who asks), or with functions that are not known here, is told as "not judged", never taken for kept.
//! Bindings are not looked at: a policy that is given is asked.

mod cost;
mod evaluate;
mod subject;

use std::cell::Cell;
use std::collections::BTreeMap;

use cel::Value;

use self::evaluate::Expression;
use self::evaluate::Outcome;
use self::evaluate::Scope;
use self::subject::Constraints;
use self::subject::Subject;
use super::NOT_JUDGED;
use super::object::Object;
use super::read;
use super::sink::Path;
use super::sink::Sink;
use super::text::line;
use super::text::short;
use super::types::Document;
use super::value::Node;

/// Most policies.
const POLICIES: usize = 100;
/// Most expressions of one.
const EXPRESSIONS: usize = 300;
/// Most bytes of the expressions of all.
const LETTERS: usize = 256 << 10;
/// What all evaluations of one run may cost, in steps.
const ALL: u64 = 300_000_000;

/// All policies that are asked.
#[derive(Debug)]
pub(super) struct Policies {
    policies: Vec<Policy>,
    left: Cell<u64>,
}

/// One policy.
#[derive(Debug)]
struct Policy {
    name: String,
    constraints: Constraints,
    /// Whether what cannot be evaluated is refused.
    fails: bool,
    variables: Vec<(String, Expression)>,
    conditions: Vec<Expression>,
    validations: Vec<Validation>,
}

/// What has to be true.
#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: Option<String>,
    told_by: Option<Expression>,
}

impl Policies {
    /// Reads all, and compiles their expressions once. What is no policy is a finding.
    pub(super) fn read(documents: &[Document], sink: &mut Sink<'_>) -> Self {
        let mut policies = Vec::new();
        let mut letters = LETTERS;
        for document in documents {
            let mut tell = |line, object, message: &str| {
                sink.beside(&document.file, line, object, "unreadable", message.to_owned());
            };
            match read::objects(document, 0) {
                Err(problem) => tell(problem.line, String::new(), &problem.message),
                Ok(objects) => {
                    let before = policies.len();
                    for object in &objects {
                        if object.is("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") {
                            if policies.len() >= POLICIES {
                                tell(object.root.line, object.title(), "there are more than 100 policies");
                                break;
                            }
                            policies.push(Policy::read(object, &mut letters));
                        }
                    }
                    if policies.len() == before {
                        tell(0, String::new(), "there is no ValidatingAdmissionPolicy in it");
                    }
                }
            }
        }
        Self { policies, left: Cell::new(ALL) }
    }

    /// Asks all policies about all objects.
    pub(super) fn judge(&self, objects: &[Object], sink: &mut Sink<'_>) {
        if self.policies.is_empty() {
            return;
        }
        let namespaces: BTreeMap<&str, &Object> = objects
            .iter()
            .filter(|object| object.is("", "Namespace"))
            .map(|object| (object.name(), object))
            .collect();
        for object in objects {
            let namespace = namespaces.get(object.namespace()).copied();
            let subjects = Subject::of(object);
            for policy in &self.policies {
                let mut about =
                    subjects.iter().filter(|subject| policy.constraints.takes(subject, namespace));
                if let Some(subject) = about.next() {
                    policy.judge(subject, namespace, &self.left, sink);
                }
            }
        }
    }
}

impl Policy {
    fn read(object: &Object, letters: &mut usize) -> Self {
        let spec = object.root.get("spec");
        let list = |name: &str| spec.map_or(&[][..], |spec| spec.items_at(name)).iter().take(EXPRESSIONS);
        let mut expression =
            |node: &Node, name: &str| Expression::compile(node.text_at(name).unwrap_or_default(), letters);
        let name = |node: &Node| node.text_at("name").unwrap_or_default().to_owned();
        let variables = list("variables").map(|node| (name(node), expression(node, "expression"))).collect();
        let conditions = list("matchConditions").map(|node| expression(node, "expression")).collect();
        let validations = list("validations").map(|node| Validation {
            expression: expression(node, "expression"),
            message: node.text_at("message").map(line),
            told_by: node.get("messageExpression").map(|_| expression(node, "messageExpression")),
        });
        Self {
            name: short(object.name()),
            constraints: Constraints::read(object),
            validations: validations.collect(),
            fails: spec.and_then(|spec| spec.text_at("failurePolicy")) != Some("Ignore"),
            variables,
            conditions,
        }
    }

    fn judge(
        &self,
        subject: &Subject<'_>,
        namespace: Option<&Object>,
        left: &Cell<u64>,
        sink: &mut Sink<'_>,
    ) {
        let mut scope = Scope::new(subject, namespace, left);
        let mut broken = BTreeMap::new();
        for (name, expression) in &self.variables {
            match expression.evaluate(&scope) {
                Outcome::Value(value) => scope.variable(name, value),
                other => {
                    broken.insert(name.as_str(), other);
                }
            }
        }
        // What stands on a variable that could not be evaluated has its fate.
        let evaluate = |expression: &Expression| match expression.evaluate(&scope) {
            Outcome::Broken(text) => {
                let by = expression.variables().find_map(|name| broken.get(name));
                by.cloned().unwrap_or(Outcome::Broken(text))
            }
            other => other,
        };
        for (index, condition) in self.conditions.iter().enumerate() {
            match evaluate(condition) {
                Outcome::Value(Value::Bool(true)) => {}
                Outcome::Value(Value::Bool(false)) => return,
                other => {
                    return self.tell(subject, &format!("condition {}", index + 1), NOT_JUDGED, &other, sink);
                }
            }
        }
        for (index, validation) in self.validations.iter().enumerate() {
            let rule = format!("policy/{}/{:02}", self.name, index + 1);
            match evaluate(&validation.expression) {
                Outcome::Value(Value::Bool(true)) => {}
                Outcome::Value(Value::Bool(false)) => {
                    let told =
                        validation.told_by.as_ref().and_then(|expression| match evaluate(expression) {
                            Outcome::Value(Value::String(text)) if !text.trim().is_empty() => {
                                Some(line(&text))
                            }
                            _ => None,
                        });
                    let message = told
                        .or_else(|| validation.message.clone())
                        .unwrap_or_else(|| format!("`{}` is false", short(validation.expression.text())));
                    put(subject, &rule, message, sink);
                }
                other => self.tell(subject, &format!("validation {}", index + 1), &rule, &other, sink),
            }
        }
    }

    /// An expression that came to nothing.
    fn tell(&self, subject: &Subject<'_>, what: &str, rule: &str, outcome: &Outcome, sink: &mut Sink<'_>) {
        let name = &self.name;
        match outcome {
            Outcome::Unknown(text) => {
                put(
                    subject,
                    NOT_JUDGED,
                    format!("{what} of the policy `{name}` is not judged: {text}"),
                    sink,
                );
            }
            // A cluster lets through what it cannot evaluate where the policy says so.
            _ if !self.fails => {}
            Outcome::Broken(text) => {
                put(
                    subject,
                    rule,
                    format!("{what} of the policy `{name}` cannot be evaluated: {text}"),
                    sink,
                );
            }
            Outcome::Value(_) => {
                put(subject, rule, format!("{what} of the policy `{name}` is neither true nor false"), sink);
            }
        }
    }
}

fn put(subject: &Subject<'_>, rule: &str, message: String, sink: &mut Sink<'_>) {
    let object = subject.object;
    let line = object.root.get("spec").map_or(object.root.line, |node| node.line);
    sink.put(object, &Path::Root.name("spec"), line, rule, message);
}
