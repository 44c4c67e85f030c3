//! What weighs how much: maps, and the same as tables.

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::units::bytes;

use super::Subject;
use super::html::Html;
use super::svg;
use super::svg::Part;
use crate::describe::side::Side;

/// Kinds of components with the class that colours them, and what they are.
const KINDS: [(&str, &str, &str); 7] = [
    ("debian", "c-debian", "Debian"),
    ("npm", "c-npm", "npm"),
    ("agent", "c-agent", "agents and runtimes"),
    ("binary", "c-binary", "binaries"),
    ("build", "c-binary", "built programs"),
    ("base", "c-base", "base image"),
    ("generated", "c-generated", "generated"),
];

/// The class of a component.
fn class(component: &str) -> &'static str {
    let kind = component.split_once('/').map_or(component, |(kind, _)| kind);
    KINDS.iter().find(|(name, ..)| *name == kind).map_or("c-others", |(_, class, _)| class)
}

pub(super) fn section(html: &mut Html, subject: &Subject<'_>) {
    html.raw("<section id=\"sizes\"><h2>Sizes</h2><p>Areas are bytes: of files by component as they lie on a disk, of layers as they are sent.</p>");
    html.raw("<ul class=\"legend\">");
    for (_, class, name) in KINDS {
        let of = subject.sides.iter().flat_map(|side| &side.components);
        if of.map(|one| self::class(&one.name)).any(|found| found == class) {
            html.raw("<li><i class=\"").raw(class).raw("\"></i>").raw(name).raw("</li>");
        }
    }
    html.raw("</ul>");
    for (number, side) in subject.sides.iter().enumerate() {
        html.raw(if number == 0 { "<details open>" } else { "<details>" });
        html.element("<summary class=\"platform\">", shown!("{}", side.platform()), "</summary>");
        platform(html, side);
        html.raw("</details>");
    }
    html.raw("</section>\n");
}

fn platform(html: &mut Html, side: &Side) {
    let platform = side.platform();
    let components: Vec<Part> = side
        .components
        .iter()
        .map(|one| Part {
            name: Shown::from(&one.name),
            label: Shown::from(one.name.split_once('/').map_or(one.name.as_str(), |(_, short)| short)),
            class: class(&one.name),
            size: one.size,
        })
        .collect();
    let layers: Vec<Part> = side
        .summary
        .layers
        .iter()
        .enumerate()
        .map(|(number, layer)| {
            let created = layer.created_by.strip_prefix("pinfold: ").unwrap_or(&layer.created_by);
            let label = if created.is_empty() { "layer" } else { created };
            let kind = match layer.components.as_slice() {
                [first, rest @ ..] if rest.iter().all(|other| class(other) == class(first)) => class(first),
                _ => "c-others",
            };
            Part {
                name: shown!("layer {}, {label}", number + 1),
                label: shown!("{} {}", number + 1, label.rsplit('/').next().unwrap_or(label)),
                class: kind,
                size: layer.size,
            }
        })
        .collect();
    let unpacked = components.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size));
    figure(
        html,
        "By component",
        &shown!("{} of files", bytes(unpacked)),
        &shown!("Sizes by component on {platform}"),
        components,
    );
    figure(
        html,
        "By layer",
        &shown!("{} compressed", bytes(side.summary.size)),
        &shown!("Sizes by layer on {platform}"),
        layers,
    );
    layer_table(html, side);
}

fn figure(html: &mut Html, heading: &'static str, sum: &Shown, title: &Shown, parts: Vec<Part>) {
    html.raw("<figure><figcaption>").raw(heading).element(
        " <span class=\"soft\">",
        sum.clone(),
        "</span></figcaption>",
    );
    let mut sorted = parts.clone();
    sorted.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
    svg::map(html, title, parts);
    html.raw("<details><summary>The same as a table</summary><table><thead><tr><th>").raw(heading);
    html.raw("<th class=\"n\">Size</tr></thead><tbody>");
    for part in sorted {
        html.element("<tr><td class=\"key\"><code>", part.name, "</code></td>");
        html.element("<td class=\"n\" data-label=\"Size\">", bytes(part.size), "</td></tr>\n");
    }
    html.raw("</tbody></table></details></figure>");
}

fn layer_table(html: &mut Html, side: &Side) {
    html.raw("<details><summary>Layers with their digests</summary><table><thead><tr><th class=\"n\">Layer<th>Digest");
    html.raw("<th class=\"n\">Compressed<th class=\"n\">Unpacked<th>Components</tr></thead><tbody>");
    for (number, layer) in side.summary.layers.iter().enumerate() {
        html.element("<tr><td class=\"n\" data-label=\"Layer\">", (number + 1).to_string(), "</td>");
        html.open_cell("Digest").element("<code>", shown!("{}", layer.digest), "</code></td>");
        html.element("<td class=\"n\" data-label=\"Compressed\">", bytes(layer.size), "</td>");
        let unpacked = layer.uncompressed.map_or("unknown".into(), bytes);
        html.element("<td class=\"n\" data-label=\"Unpacked\">", unpacked, "</td>");
        html.open_cell("Components");
        match layer.components.as_slice() {
            [] => html.raw("<span class=\"soft\">not said</span>"),
            all if all.len() > 3 => {
                html.element("<details><summary>", shown!("{} components", all.len()), "</summary><code>");
                html.text(all.join(" ")).raw("</code></details>")
            }
            all => html.element("<code>", all.join(" "), "</code>"),
        };
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></details>");
}
