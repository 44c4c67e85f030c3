//! One expression: compiled once, reckoned, evaluated.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::LazyLock;

use cel::Context;
use cel::Env;
use cel::ExecutionError;
use cel::Program;
use cel::Value;
use cel::common::ast::Expr;
use cel::common::ast::IdedExpr;

use super::super::object::Object;
use super::super::text::line;
use super::super::text::short;
use super::cost;
use super::cost::Weight;
use super::subject;
use super::subject::Subject;

/// Most bytes of an expression.
const LONG: usize = 8 << 10;
/// Deepest nesting of an expression.
const DEEP: usize = 150;
/// Most calls, operators and brackets, before anything is parsed.
const SIGNS: usize = 2000;

/// What is there beside operators, for which the language has functions too.
const FUNCTIONS: [&str; 14] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "has",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// What of a request is known before there is one.
const REQUEST: [&str; 6] = ["operation", "name", "namespace", "kind", "resource", "dryRun"];

/// The language, made once.
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// An expression.
#[derive(Debug)]
pub(super) struct Expression {
    text: String,
    compiled: Result<Compiled, Outcome>,
}

#[derive(Debug)]
struct Compiled {
    program: Box<Program>,
    /// The names that stand behind `variables.`.
    variables: BTreeSet<String>,
    /// Whether it asks for the namespace's object.
    wants_namespace: bool,
}

/// What came of an expression.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Value(Value),
    /// It stands on what is not known here.
    Unknown(String),
    /// A cluster could not evaluate it either.
    Broken(String),
}

/// What expressions may name.
pub(super) struct Scope<'a> {
    context: Context<'static, 'static>,
    object: Value,
    weights: Vec<(&'static str, Weight)>,
    variables: Vec<(String, Value)>,
    has_namespace: bool,
    left: &'a Cell<u64>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(subject: &Subject<'_>, namespace: Option<&Object>, left: &'a Cell<u64>) -> Self {
        let text = |text: &str| Value::String(text.to_owned().into());
        let pairs = |last: &str, name: &str| {
            subject::map([
                ("group".to_owned(), text(subject.group)),
                ("version".to_owned(), text(subject.version)),
                (last.to_owned(), text(name)),
            ])
        };
        let request = subject::map([
            ("operation".to_owned(), text("CREATE")),
            ("name".to_owned(), text(subject.object.name())),
            ("namespace".to_owned(), text(subject.object.namespace())),
            ("dryRun".to_owned(), Value::Bool(false)),
            ("kind".to_owned(), pairs("kind", subject.kind)),
            ("resource".to_owned(), pairs("resource", &subject.resource)),
        ]);
        let object = subject.value();
        let of_namespace = namespace.map(|object| subject::value(&object.root));
        let mut scope = Self {
            context: Context::with_env(Arc::clone(&LANGUAGE)),
            object: object.clone(),
            weights: Vec::new(),
            variables: Vec::new(),
            has_namespace: namespace.is_some(),
            left,
        };
        scope.bind("object", object);
        scope.bind("oldObject", Value::Null);
        scope.bind("request", request);
        scope.bind("namespaceObject", of_namespace.unwrap_or(Value::Null));
        scope.bind("variables", subject::map([]));
        scope
    }

    fn bind(&mut self, name: &'static str, value: Value) {
        self.weights.retain(|(known, _)| *known != name);
        self.weights.push((name, Weight::of(&value)));
        self.context.add_variable_from_value(name, value);
    }

    /// Another variable has its value.
    pub(super) fn variable(&mut self, name: &str, value: Value) {
        self.variables.push((name.to_owned(), value));
        self.bind("variables", subject::map(self.variables.iter().cloned()));
    }

    /// How heavy a value of a name is at most.
    pub(super) fn weight(&self, name: &str) -> Option<Weight> {
        self.weights.iter().find(|(known, _)| *known == name).map(|(_, weight)| *weight)
    }

    /// What is asked about.
    pub(super) fn object(&self) -> &Value {
        &self.object
    }

    /// The value that a variable was found to have.
    pub(super) fn value_of(&self, name: &str) -> Option<&Value> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Expression {
    /// Compiles it; `left` is what all expressions together may still have of letters.
    pub(super) fn compile(text: &str, left: &mut usize) -> Self {
        let compiled = match left.checked_sub(text.len()) {
            Some(rest) => {
                *left = rest;
                compile(text)
            }
            None => Err(Outcome::Unknown("there are more expressions than are evaluated here".to_owned())),
        };
        Self { text: text.to_owned(), compiled }
    }

    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }

    /// The variables that it names.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.compiled
            .as_ref()
            .ok()
            .into_iter()
            .flat_map(|compiled| compiled.variables.iter().map(String::as_str))
    }

    /// Evaluates it.
    pub(super) fn evaluate(&self, scope: &Scope<'_>) -> Outcome {
        let compiled = match &self.compiled {
            Ok(compiled) => compiled,
            Err(outcome) => return outcome.clone(),
        };
        if compiled.wants_namespace && !scope.has_namespace {
            return Outcome::Unknown(
                "it asks for the namespace's object, which is not among what is judged".to_owned(),
            );
        }
        let Some(cost) = cost::of(compiled.program.expression(), scope) else {
            return Outcome::Unknown("evaluating it may take too long".to_owned());
        };
        let Some(left) = scope.left.get().checked_sub(cost) else {
            return Outcome::Unknown(
                "evaluating everything may take too long: judge fewer objects at once".to_owned(),
            );
        };
        scope.left.set(left);
        match compiled.program.execute(&scope.context) {
            Ok(value) => Outcome::Value(value),
            Err(error) => broken(&error),
        }
    }
}

/// What an error means. The values that it has are not told: they may be secret, and long.
fn broken(error: &ExecutionError) -> Outcome {
    match error {
        ExecutionError::NoSuchKey(name) => Outcome::Broken(format!("there is no `{}`", short(name))),
        ExecutionError::UndeclaredReference(name) => {
            Outcome::Unknown(format!("`{}` is not known here", short(name)))
        }
        ExecutionError::NoSuchOverload(error) => {
            Outcome::Broken(format!("`{}` does not take values of these types", short(error.function())))
        }
        _ => Outcome::Broken("its values are not what it expects".to_owned()),
    }
}

fn compile(text: &str) -> Result<Compiled, Outcome> {
    if text.trim().is_empty() {
        return Err(Outcome::Broken("there is no expression".to_owned()));
    }
    let signs =
        text.bytes().filter(|byte| !byte.is_ascii_alphanumeric() && !byte.is_ascii_whitespace()).count();
    if text.len() > LONG || signs > SIGNS {
        return Err(Outcome::Unknown("the expression is longer than what is evaluated here".to_owned()));
    }
    let program = Program::compile(text)
        .map_err(|error| Outcome::Broken(format!("it is no expression ({})", line(&error.to_string()))))?;
    let mut seen = Seen::default();
    seen.look(program.expression(), 0)?;
    let Seen { variables, wants_namespace } = seen;
    Ok(Compiled { program: Box::new(program), variables, wants_namespace })
}

/// What an expression names.
#[derive(Default)]
struct Seen {
    variables: BTreeSet<String>,
    wants_namespace: bool,
}

impl Seen {
    fn look(&mut self, node: &IdedExpr, depth: usize) -> Result<(), Outcome> {
        if depth > DEEP {
            return Err(Outcome::Unknown(
                "the expression is nested deeper than what is evaluated here".to_owned(),
            ));
        }
        match &node.expr {
            Expr::Ident(name) => match name.as_str() {
                "params" | "authorizer" => {
                    return Err(Outcome::Unknown(format!("`{name}` is known to a cluster alone")));
                }
                "namespaceObject" => self.wants_namespace = true,
                _ => {}
            },
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr {
                    if name == "variables" {
                        self.variables.insert(select.field.clone());
                    }
                    if name == "request" && !REQUEST.contains(&select.field.as_str()) {
                        let field = short(&select.field);
                        return Err(Outcome::Unknown(format!(
                            "`request.{field}` is known to a cluster alone"
                        )));
                    }
                }
                if select.field.starts_with("__") {
                    let field = short(&select.field);
                    return Err(Outcome::Unknown(format!("names such as `{field}` are not known here")));
                }
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                let operator =
                    name.starts_with(|letter: char| !letter.is_ascii_alphabetic()) || name == "@in";
                if !operator && !FUNCTIONS.contains(&name) {
                    return Err(Outcome::Unknown(format!(
                        "the function `{}` is not known here",
                        short(name)
                    )));
                }
            }
            Expr::Struct(_) => {
                return Err(Outcome::Unknown("types of its own are not known here".to_owned()));
            }
            _ => {}
        }
        for below in cost::below(node) {
            self.look(below, depth + 1)?;
        }
        Ok(())
    }
}
