//! CycloneDX 1.6 as JSON (cyclonedx.org/docs/1.6/json): what is written of it.
//!
//! ```text
//! metadata.component   the image, its layers as properties
//! components           the operating system and the packages, each with the layers that it is in as properties
//! dependencies         the image on all of them, each on those that it needs
//! ```
//!
//! Names of properties are ours: `pinfold:layer` (a diff_id), `pinfold:component`, `pinfold:source`, `pinfold:path`, `pinfold:archive`,
//! `pinfold:files`, `pinfold:size`.

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use serde::Serialize;

use super::Description;
use super::Package;
use super::PackageKind;
use super::sbom::image_purl;
use super::sbom::seconds;
use super::sbom::text;

/// The media type of such a document.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// A document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    tools: Tools,
    component: Component,
}

#[derive(Debug, Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Debug, Serialize)]
struct Supplier {
    name: String,
}

#[derive(Debug, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Serialize)]
struct Choice {
    expression: String,
}

#[derive(Debug, Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

/// The document of a description.
pub(super) fn document(description: &Description) -> Document {
    let image = image(description);
    let of_image = image.reference.clone().unwrap_or_default();
    let mut components = Vec::new();
    let mut all = Vec::new();
    if let Some(os) = &description.os {
        let reference = "operating-system".to_owned();
        all.push(reference.clone());
        components.push(Component {
            kind: "operating-system",
            reference: Some(reference),
            name: text(&os.id),
            version: os.version.as_deref().map(text),
            description: os.name.as_deref().map(text),
            ..Component::default()
        });
    }
    components.extend(description.packages.iter().map(component));
    all.extend(description.packages.iter().map(|package| package.purl.clone()));
    let mut dependencies = vec![Dependency { of: of_image, depends_on: all }];
    dependencies.extend(description.packages.iter().map(|package| Dependency {
        of: package.purl.clone(),
        depends_on:
            package.depends.iter().filter(|purl| description.package(purl).is_some()).cloned().collect(),
    }));
    let tool = Component {
        kind: "application",
        name: "pinfold".into(),
        version: Some(env!("CARGO_PKG_VERSION").into()),
        ..Component::default()
    };
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: serial(&description.identity),
        version: 1,
        metadata: Metadata {
            timestamp: description.created.as_deref().and_then(seconds),
            tools: Tools { components: vec![tool] },
            component: image,
        },
        components,
        dependencies,
    }
}

fn image(description: &Description) -> Component {
    let purl = image_purl(description);
    let layers = description.layers.iter();
    Component {
        kind: "container",
        reference: Some(purl.clone()),
        name: description.name(),
        version: Some(description.manifest.to_string()),
        hashes: vec![hash(&description.manifest)],
        purl: Some(purl),
        properties: layers
            .map(|layer| Property { name: "pinfold:layer", value: layer.diff_id.to_string() })
            .collect(),
        ..Component::default()
    }
}

fn component(package: &Package) -> Component {
    let mut properties = Vec::new();
    let mut say = |name: &'static str, value: String| properties.push(Property { name, value: text(&value) });
    for layer in &package.layers {
        say("pinfold:layer", layer.to_string());
    }
    if let Some(component) = &package.component {
        say("pinfold:component", component.clone());
    }
    if let Some((name, version)) = &package.source {
        say("pinfold:source", format!("{name} {version}"));
    }
    for path in &package.told_by {
        say("pinfold:path", path.clone());
    }
    if let Some(path) = package.download.as_ref().and_then(|download| download.path.clone()) {
        say("pinfold:archive", path);
    }
    say("pinfold:files", package.files.to_string());
    say("pinfold:size", package.size.to_string());
    let expression =
        package.license.as_ref().map(|license| Choice { expression: license.expression.clone() });
    Component {
        kind: match package.kind {
            PackageKind::Deb | PackageKind::Npm | PackageKind::Python | PackageKind::Nix => "library",
            PackageKind::Generic => "application",
            PackageKind::Base => "container",
        },
        reference: Some(package.purl.clone()),
        supplier: package.supplier.as_deref().map(|name| Supplier { name: text(name) }),
        name: text(&package.name),
        version: package.version.as_deref().map(text),
        description: package.summary.as_deref().map(text),
        hashes: package.download.iter().map(|download| hash(&download.digest)).collect(),
        licenses: expression.into_iter().collect(),
        purl: Some(package.purl.clone()),
        properties,
    }
}

fn hash(digest: &Digest) -> Hash {
    let alg = match digest.algorithm() {
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Sha512 => "SHA-512",
    };
    Hash { alg, content: digest.hex() }
}

/// A UUID of version 8 (RFC 9562, "custom") that is made of a digest.
fn serial(identity: &Digest) -> String {
    let hex = identity.hex();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("urn:uuid:{}-{}-8{}-a{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}
