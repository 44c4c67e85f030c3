//! Selectors of labels, as NetworkPolicies, budgets and policies have them.

use super::value::Node;

/// Whether a selector takes what has these labels. A selector without anything takes all.
pub(super) fn selects<'a>(selector: &Node, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let exact = selector.get("matchLabels").and_then(Node::map);
    let exact = exact.into_iter().flatten().all(|entry| {
        let found = label(&entry.name);
        found.is_some() && found == entry.node.text()
    });
    exact
        && selector.items_at("matchExpressions").iter().all(|expression| {
            let found = expression.text_at("key").and_then(&label);
            let listed = || expression.items_at("values").iter().any(|value| value.text() == found);
            match expression.text_at("operator") {
                Some("In") => found.is_some() && listed(),
                Some("NotIn") => found.is_none() || !listed(),
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}
