//! HTML that is written piece by piece.
//!
//! **Guarantees**: markup is ours, known when pinfold was built; whatever else gets in is text of which everything is seen ([`Shown`]) and
//! nothing is markup. So no name in an image can become an element, an attribute or a style.

use std::fmt::Write as _;

use pinfold_base::Shown;

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup of ours.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text.
    pub(super) fn text(&mut self, text: impl Into<Shown>) -> &mut Self {
        for c in text.into().as_str().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds a length or a coordinate, with one digit behind the point.
    pub(super) fn length(&mut self, length: f64) -> &mut Self {
        let _ = write!(self.0, "{length:.1}");
        self
    }

    /// Adds an element of ours that holds text.
    pub(super) fn element(
        &mut self,
        open: &'static str,
        text: impl Into<Shown>,
        close: &'static str,
    ) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    /// Adds a cell of a table; on a phone its label stands before it.
    pub(super) fn cell(&mut self, label: &'static str, text: impl Into<Shown>) -> &mut Self {
        self.open_cell(label).text(text).raw("</td>")
    }

    /// Begins a cell.
    pub(super) fn open_cell(&mut self, label: &'static str) -> &mut Self {
        self.raw("<td data-label=\"").raw(label).raw("\">")
    }

    /// The markup.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.element("<p title=\"", "a\" onload='x'>&<script>\n\u{202e}", "\">");
        let said = r#"<p title="a&quot; onload=&#39;x&#39;&gt;&amp;&lt;script&gt;\n\u{202e}">"#;
        assert_eq!(html.finish(), said);
    }
}
