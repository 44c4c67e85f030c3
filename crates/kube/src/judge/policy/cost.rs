//! What an expression costs at most, reckoned before it is evaluated.
//!
//! The language has no loops but those over lists and maps that are there, so its steps can be counted from above: how often a
//! loop goes round is at most the length of what it goes over, and no value is heavier than what it is made of. What is
//! reckoned is often far more than what happens; it is only there to keep out what multiplies.

use cel::Value;
use cel::common::ast::EntryExpr;
use cel::common::ast::Expr;
use cel::common::ast::IdedExpr;
use cel::common::ast::LiteralValue;
use cel::objects::Key;

use super::evaluate::Scope;

/// Steps that one expression may take.
const STEPS: u64 = 20_000_000;
/// Steps of building and asking a regular expression, beside the letters that it reads.
const REGEX: u64 = 200_000;
/// How deep values are weighed.
const DEEP: usize = 200;

/// How heavy a value is at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Items of the list or the map itself.
    items: u64,
    /// Values in all.
    nodes: u64,
    /// The same with bytes of texts.
    all: u64,
}

impl Weight {
    const ONE: Self = Self { items: 0, nodes: 1, all: 1 };

    /// Of a value that is there.
    pub(super) fn of(value: &Value) -> Self {
        let text = |length: usize| Self { all: 1 + length as u64, ..Self::ONE };
        match value {
            Value::List(list) => {
                let sum = list.iter().fold(Self::ONE, |sum, item| sum.with(Self::of(item)));
                Self { items: list.len() as u64, ..sum }
            }
            Value::Map(map) => {
                let named = |sum: Self, (key, item): (&Key, &Value)| {
                    let length = if let Key::String(name) = key { name.len() } else { 1 };
                    sum.with(text(length)).with(Self::of(item))
                };
                Self { items: map.map.len() as u64, ..map.map.iter().fold(Self::ONE, named) }
            }
            Value::String(letters) => text(letters.len()),
            Value::Bytes(bytes) => text(bytes.len()),
            _ => Self::ONE,
        }
    }

    /// With something that it holds.
    fn with(self, other: Self) -> Self {
        let sum = self.and(other);
        Self { items: self.items, ..sum }
    }

    fn and(self, other: Self) -> Self {
        Self {
            items: self.items.saturating_add(other.items),
            nodes: self.nodes.saturating_add(other.nodes),
            all: self.all.saturating_add(other.all),
        }
    }

    /// The heavier of two.
    fn or(self, other: Self) -> Self {
        Self {
            items: self.items.max(other.items),
            nodes: self.nodes.max(other.nodes),
            all: self.all.max(other.all),
        }
    }

    /// Of something within it.
    fn within(self) -> Self {
        Self { items: self.nodes, ..self }
    }
}

/// The parts of an expression.
pub(super) fn below(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(of) => {
            vec![&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(map.entries.iter().map(|entry| &entry.expr)),
        Expr::Struct(of) => entries(of.entries.iter().map(|entry| &entry.expr)),
        Expr::Select(select) => vec![&select.operand],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entries<'a>(entries: impl Iterator<Item = &'a EntryExpr>) -> Vec<&'a IdedExpr> {
    let mut parts = Vec::new();
    for entry in entries {
        match entry {
            EntryExpr::StructField(field) => parts.push(&field.value),
            EntryExpr::MapEntry(entry) => parts.extend([&entry.key, &entry.value]),
        }
    }
    parts
}

/// What an expression costs at most; `None` where that is more than is allowed.
pub(super) fn of(expression: &IdedExpr, scope: &Scope<'_>) -> Option<u64> {
    let mut reckoned = Reckoned { scope, bound: Vec::new(), weighed: 0 };
    let (cost, weight) = reckoned.node(expression, 0)?;
    // What it comes to is kept as well.
    let cost = cost.saturating_add(weight.all);
    (cost <= STEPS).then_some(cost)
}

struct Reckoned<'a, 'b> {
    scope: &'a Scope<'b>,
    /// Names that loops have bound, the innermost last.
    bound: Vec<(&'a str, Weight)>,
    /// Values that were looked at to weigh them.
    weighed: u64,
}

impl<'a> Reckoned<'a, '_> {
    fn node(&mut self, node: &'a IdedExpr, depth: usize) -> Option<(u64, Weight)> {
        if depth > DEEP {
            return None;
        }
        if let Some(value) = self.exact(node) {
            // Weighing it took as long as that.
            self.weighed = self.weighed.saturating_add(value.nodes);
            return (self.weighed <= STEPS).then_some((2 + value.nodes, value));
        }
        match &node.expr {
            Expr::Ident(name) => Some((1, self.name(name))),
            Expr::Literal(literal) => Some((1, of_literal(literal))),
            Expr::Unspecified => Some((1, Weight::ONE)),
            Expr::Select(select) => {
                let (cost, weight) = self.node(&select.operand, depth + 1)?;
                Some((cost.saturating_add(2), weight.within()))
            }
            Expr::Call(call) => {
                let (mut cost, mut sum, mut heaviest) = (2_u64, Weight::ONE, Weight::ONE);
                for part in below(node) {
                    let (of_part, weight) = self.node(part, depth + 1)?;
                    cost = cost.saturating_add(of_part);
                    sum = sum.and(weight);
                    heaviest = heaviest.or(weight);
                }
                Some(match call.func_name.as_str() {
                    "matches" => {
                        (cost.saturating_add(REGEX).saturating_add(sum.all.saturating_mul(64)), Weight::ONE)
                    }
                    "_?_:_" => (cost, heaviest),
                    "_[_]" => (cost, heaviest.within()),
                    "_&&_" | "_||_" | "!_" | "size" | "type" => (cost, Weight::ONE),
                    _ => (cost.saturating_add(sum.all), sum),
                })
            }
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
                let parts = below(node);
                let (mut cost, mut sum) = (1_u64, Weight { items: parts.len() as u64, ..Weight::ONE });
                for part in parts {
                    let (of_part, weight) = self.node(part, depth + 1)?;
                    cost = cost.saturating_add(of_part).saturating_add(weight.all);
                    sum = sum.with(weight);
                }
                Some((cost, sum))
            }
            Expr::Comprehension(of) => {
                let (before, range) = self.node(&of.iter_range, depth + 1)?;
                let (first, start) = self.node(&of.accu_init, depth + 1)?;
                let rounds = range.items.saturating_add(1);
                let depth_of_names = self.bound.len();
                self.bound.push((&of.iter_var, range.within()));
                if let Some(name) = &of.iter_var2 {
                    self.bound.push((name, range.within()));
                }
                // The accumulator alone grows, by what a step adds to it.
                self.bound.push((&of.accu_var, Weight::default()));
                let (of_cond, _) = self.node(&of.loop_cond, depth + 1)?;
                let (of_step, added) = self.node(&of.loop_step, depth + 1)?;
                let grown = Weight {
                    items: start.items.saturating_add(rounds.saturating_mul(added.items.max(1))),
                    nodes: start.nodes.saturating_add(rounds.saturating_mul(added.nodes)),
                    all: start.all.saturating_add(rounds.saturating_mul(added.all)),
                };
                self.bound.truncate(depth_of_names);
                self.bound.push((&of.accu_var, grown));
                let (after, result) = self.node(&of.result, depth + 1)?;
                self.bound.truncate(depth_of_names);
                // Each round may copy what has been gathered.
                let gathers = matches!(of.accu_init.expr, Expr::List(_) | Expr::Map(_));
                let copied = if gathers { grown.all } else { 0 };
                let round = of_cond.saturating_add(of_step).saturating_add(copied).saturating_add(4);
                let cost = before
                    .saturating_add(first)
                    .saturating_add(after)
                    .saturating_add(rounds.saturating_mul(round));
                (cost <= STEPS).then_some((cost, result))
            }
        }
    }

    /// The weight of what is reached by names alone, from a variable whose value is known.
    fn exact(&self, node: &IdedExpr) -> Option<Weight> {
        let mut names = Vec::new();
        let mut at = node;
        loop {
            match &at.expr {
                Expr::Select(select) if !select.test && names.len() < DEEP => {
                    names.push(select.field.as_str());
                    at = &select.operand;
                }
                Expr::Ident(name) if !self.bound.iter().any(|(bound, _)| bound == name) => {
                    let mut value = match name.as_str() {
                        "variables" => self.scope.value_of(names.pop()?)?,
                        "object" => self.scope.object(),
                        _ => return None,
                    };
                    while let Some(name) = names.pop() {
                        let Value::Map(map) = value else { return Some(Weight::ONE) };
                        let Some(found) = map.map.get(&Key::from(name)) else { return Some(Weight::ONE) };
                        value = found;
                    }
                    return Some(Weight::of(value));
                }
                _ => return None,
            }
        }
    }

    fn name(&self, name: &str) -> Weight {
        let bound = self.bound.iter().rev().find(|(bound, _)| *bound == name).map(|(_, weight)| *weight);
        bound.or_else(|| self.scope.weight(name)).unwrap_or(Weight::ONE)
    }
}

fn of_literal(literal: &LiteralValue) -> Weight {
    let long = match literal {
        LiteralValue::String(text) => text.inner().len(),
        LiteralValue::Bytes(bytes) => bytes.inner().len(),
        _ => 0,
    };
    Weight { all: 1 + long as u64, ..Weight::ONE }
}
