//! Treemaps as inline SVG, once for wide and once for narrow screens: text keeps its size, which scaling would not.

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::units::bytes;

use super::html::Html;
use super::treemap::Rect;
use super::treemap::squarified;

/// Rectangles of one map; what is smaller is summed up in the last.
const MAX: usize = 60;
/// The width of a character of the labels, about.
const CHARACTER: f64 = 6.9;
/// The height of a line.
const LINE: f64 = 15.0;
/// The shortest beginning of a name that says anything.
const SHORTEST: usize = 6;
/// Between the edge and the text.
const PADDING: f64 = 6.0;

/// One thing with a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its name in full.
    pub name: Shown,
    /// What stands in its rectangle.
    pub label: Shown,
    /// The class that colours it.
    pub class: &'static str,
    /// Bytes.
    pub size: u64,
}

/// A treemap of parts; nothing where they have no size.
pub(super) fn map(html: &mut Html, title: &Shown, mut parts: Vec<Part>) {
    parts.retain(|part| part.size > 0);
    parts.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    if parts.is_empty() {
        return;
    }
    if parts.len() > MAX {
        let rest = parts.split_off(MAX - 1);
        let name = shown!("{} others", rest.len());
        let size = rest.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size));
        parts.push(Part { label: name.clone(), name, class: "c-others", size });
        parts.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    }
    draw(
        html,
        title,
        &parts,
        ("<svg class=\"map wide\" viewBox=\"0 0 1040 430\" role=\"img\"", 1040.0, 430.0),
    );
    draw(
        html,
        title,
        &parts,
        ("<svg class=\"map narrow\" viewBox=\"0 0 360 520\" role=\"img\"", 360.0, 520.0),
    );
}

fn draw(html: &mut Html, title: &Shown, parts: &[Part], (open, w, h): (&'static str, f64, f64)) {
    html.raw(open).raw(" aria-label=\"").text(title.clone()).raw("\">");
    let sizes: Vec<u64> = parts.iter().map(|part| part.size).collect();
    for (part, rect) in parts.iter().zip(squarified(&sizes, Rect { x: 0.0, y: 0.0, w, h })) {
        // A gap of a pixel between neighbours.
        let (w, h) = ((rect.w - 1.5).max(0.5), (rect.h - 1.5).max(0.5));
        html.raw("<g><title>")
            .text(shown!("{}: {}", part.name, bytes(part.size)))
            .raw("</title><rect class=\"");
        html.raw(part.class).raw("\" x=\"").length(rect.x).raw("\" y=\"").length(rect.y);
        html.raw("\" width=\"").length(w).raw("\" height=\"").length(h).raw("\" rx=\"2\"/>");
        label(html, part, Rect { w, h, ..rect });
        html.raw("</g>");
    }
    html.raw("</svg>");
}

/// The name, and below it the size, as far as they fit.
fn label(html: &mut Html, part: &Part, rect: Rect) {
    let columns = columns(rect.w - 2.0 * PADDING);
    let fits = part.label.columns() <= columns || columns >= SHORTEST;
    if !fits || rect.h < LINE + 4.0 {
        return;
    }
    let mut line = |class: &'static str, text: Shown, y: f64| {
        html.raw("<text class=\"").raw(class).raw("\" x=\"").length(rect.x + PADDING);
        html.raw("\" y=\"").length(rect.y + y).raw("\">").text(text).raw("</text>");
    };
    line("name", cut(&part.label, columns), LINE);
    let size = Shown::from(bytes(part.size));
    if rect.h >= 2.0 * LINE + 6.0 && size.columns() <= columns {
        line("size", size, 2.0 * LINE);
    }
}

/// The beginning of a name: in a map the begins differ.
fn cut(label: &Shown, columns: usize) -> Shown {
    if label.columns() <= columns {
        return label.clone();
    }
    let begin: String = label.as_str().chars().take(columns.saturating_sub(1)).collect();
    shown!("{begin}…").within(columns)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few hundred at most, not below nothing"
)]
fn columns(width: f64) -> usize {
    (width / CHARACTER).max(0.0) as usize
}
