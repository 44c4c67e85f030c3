//! Selectors of labels, as NetworkPolicies, budgets and policies have them.

use std::collections::BTreeMap;

use super::value::Map;
use super::value::Node;

/// What may be compared at most for the objects of one call: what selectors ask for, once for each object that is held against them.
pub(super) const COMPARED: usize = 5_000_000;

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

/// What a selector asks for, counted.
fn size(selector: &Node) -> usize {
    let exact = selector.get("matchLabels").and_then(Node::map).map_or(0, |map| map.iter().len());
    let listed = |expression: &Node| 1 + expression.items_at("values").len();
    1 + exact + selector.items_at("matchExpressions").iter().map(listed).sum::<usize>()
}

/// The name and value of a label, where one is asked for.
type Label<'a> = Option<(&'a str, &'a str)>;

/// Many selectors with what they are of, found by their namespace and a label that they ask for: most ask for one that few others do.
#[derive(Debug)]
pub(super) struct Selectors<'a, T> {
    all: Vec<(T, &'a Node, usize)>,
    /// By namespace, and the name and value of the label that the fewest of all ask for; without one those that ask for no value.
    by_label: BTreeMap<(&'a str, Label<'a>), Vec<usize>>,
    /// What was compared.
    compared: usize,
}

impl<'a, T: Copy> Selectors<'a, T> {
    /// Of what has a namespace and a selector.
    pub(super) fn new(all: impl Iterator<Item = (T, &'a str, &'a Node)>) -> Self {
        // A value that is no text is that of no label, and such a selector takes nothing.
        let exact = |selector: &'a Node| {
            let entries = selector.get("matchLabels").and_then(Node::map).into_iter().flatten();
            entries.map(|entry| (entry.name.as_str(), entry.node.text().unwrap_or_default()))
        };
        let all: Vec<_> = all.collect();
        let mut asked: BTreeMap<_, usize> = BTreeMap::new();
        for (_, namespace, selector) in &all {
            for label in exact(selector) {
                *asked.entry((*namespace, label)).or_default() += 1;
            }
        }
        let mut by_label: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, (_, namespace, selector)) in all.iter().enumerate() {
            let label = exact(selector).min_by_key(|label| asked.get(&(*namespace, *label)));
            by_label.entry((*namespace, label)).or_default().push(index);
        }
        let all = all.into_iter().map(|(of, _, selector)| (of, selector, size(selector))).collect();
        Self { all, by_label, compared: 0 }
    }

    /// Those of a namespace that take what has these labels, in the order in which they were given; `None` where so much would have to be
    /// compared, by all calls together, that it could take long.
    pub(super) fn of(&mut self, namespace: &str, labels: Option<&Map>) -> Option<Vec<T>> {
        let named = labels
            .into_iter()
            .flatten()
            .map(|entry| Some((entry.name.as_str(), entry.node.text().unwrap_or_default())));
        let keys = named.chain([None]).map(|label| (namespace, label));
        let mut found: Vec<usize> =
            keys.filter_map(|key| self.by_label.get(&key)).flatten().copied().collect();
        let size = |index: &usize| self.all[*index].2;
        self.compared = self.compared.saturating_add(found.iter().map(size).sum());
        if self.compared > COMPARED {
            return None;
        }
        found.sort_unstable();
        let label = |name: &str| labels?.get(name)?.text();
        let taken = found.into_iter().map(|index| &self.all[index]);
        Some(taken.filter(|(_, selector, _)| selects(selector, label)).map(|(of, ..)| *of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn the_index_finds_what_each_selector_takes() {
        let selectors: Vec<Node> = [
            "{}",
            "matchLabels: {a: b}",
            "matchLabels: {a: b, c: d}",
            "matchLabels: {a: 1}",
            "matchLabels: {c: d}\nmatchExpressions: [{key: a, operator: Exists}]",
            "matchExpressions: [{key: a, operator: In, values: [b, x]}]",
            "matchExpressions: [{key: a, operator: DoesNotExist}]",
            "matchExpressions: [{key: a, operator: NotIn, values: [b]}]",
            "matchLabels: null",
        ]
        .map(node)
        .into();
        let given =
            selectors.iter().enumerate().flat_map(|(at, node)| [(at, "n", node), (at + 100, "m", node)]);
        let mut index = Selectors::new(given);
        for labels in ["{a: b}", "{a: b, c: d}", "{c: d}", "{a: x}", "{}", "{a: 1}", "{e: f, a: b}"].map(node)
        {
            let labels = labels.map();
            let by_one: Vec<usize> = (0..selectors.len())
                .filter(|at| selects(&selectors[*at], |name| labels?.get(name)?.text()))
                .collect();
            assert_eq!(index.of("n", labels), Some(by_one), "{labels:?}");
        }
        assert_eq!(index.of("n", None), Some(vec![0, 6, 7, 8]));
        assert_eq!(index.of("m", None), Some(vec![100, 106, 107, 108]));
        assert_eq!(index.of("o", None), Some(vec![]));
    }

    #[test]
    fn what_could_take_long_is_told_and_not_done() {
        let same = node("matchLabels: {a: b, c: d}");
        let labels = node("{a: b}");
        let mut index = Selectors::new((0..2000).map(|at| (at, "n", &same)));
        let calls = (0..100_000).take_while(|_| index.of("n", labels.map()).is_some()).count();
        // Each has the label by which they are all found, and each of them is three to compare.
        assert_eq!(calls, COMPARED / (3 * 2000));
        let other = node("{c: e}");
        let mut index = Selectors::new((0..2000).map(|at| (at, "n", &same)));
        assert!(
            (0..10_000).all(|_| index.of("n", other.map()).is_some()),
            "what none asks for costs nothing"
        );
    }
}
