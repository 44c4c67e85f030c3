//! YAML from outside: what a text may cost its reader.
//!
//! A text of a kilobyte can mean gigabytes by its aliases, and one of brackets alone can nest as deep as it is long. Readers of YAML
//! here are given [`options`], which count both, and say themselves which YAML they read.

/// What a text may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// Values.
    pub nodes: usize,
    /// Events that aliases are replaced by, all together.
    pub replayed: usize,
    /// Levels.
    pub depth: usize,
    /// Aliases and anchors, and how often one of them is repeated.
    pub aliases: usize,
    /// Documents.
    pub documents: usize,
}

/// A reader's options that hold a text to its bounds. Errors have no excerpt: what stands in a text may be secret.
pub fn options(bounds: Bounds) -> serde_saphyr::Options {
    let Bounds { bytes, nodes, replayed, depth, aliases, documents } = bounds;
    let mut budget = serde_saphyr::budget::Budget::default();
    budget.max_reader_input_bytes = Some(bytes);
    budget.max_events = nodes.saturating_mul(4);
    budget.max_nodes = nodes;
    budget.max_depth = depth;
    budget.max_aliases = aliases;
    budget.max_anchors = aliases;
    budget.max_documents = documents;
    budget.max_total_scalar_bytes = bytes.saturating_mul(2);
    budget.max_recorded_anchor_bytes = bytes;
    budget.max_recorded_anchor_events = nodes;
    // Few anchors with many aliases are what people write; what they come to is counted.
    budget.enforce_alias_anchor_ratio = false;
    let mut options = serde_saphyr::Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = replayed;
    options.alias_limits.max_alias_expansions_per_anchor = aliases;
    options.with_snippet = false;
    options
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Map = BTreeMap<String, serde_json::Value>;

    const BOUNDS: Bounds =
        Bounds { bytes: 2000, nodes: 100, replayed: 200, depth: 8, aliases: 10, documents: 2 };

    fn read(text: &str) -> Result<Vec<Map>, serde_saphyr::Error> {
        serde_saphyr::from_multiple_with_options(text, options(BOUNDS))
    }

    #[test]
    fn each_bound_holds() {
        let list = |count: usize, item: &str| format!("a: [{}]\n", vec![item; count].join(", "));
        let nested = |depth: usize| format!("a: {}1{}\n", "[".repeat(depth), "]".repeat(depth));
        let aliases = |count: usize| format!("b: &b x\n{}", list(count, "*b"));
        let documents = |count: usize| "a: 1\n---\n".repeat(count - 1) + "a: 1\n";
        // Three levels of nine each are 729 values of a few bytes.
        let bomb = |levels: usize| {
            let mut text = format!("a0: &a0 [{}]\n", ["x"; 9].join(", "));
            for level in 1..levels {
                let below = vec![format!("*a{}", level - 1); 3].join(", ");
                text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
            }
            text
        };
        for (what, fits, breaks) in [
            ("values", list(90, "x"), list(101, "x")),
            ("levels", nested(7), nested(9)),
            ("aliases", aliases(10), aliases(11)),
            ("documents", documents(2), documents(3)),
            ("what aliases come to", bomb(2), bomb(4)),
        ] {
            assert!(read(&fits).is_ok(), "{what}: {:?}", read(&fits));
            assert!(read(&breaks).is_err(), "{what}");
        }
    }

    #[test]
    fn errors_repeat_nothing_of_the_text() {
        let error = read("a: hunter2-secret: [\n").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
