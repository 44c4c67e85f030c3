//! SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3): what is written of it.
//!
//! ```text
//! SPDXRef-DOCUMENT ─DESCRIBES─► SPDXRef-Image ─CONTAINS─► SPDXRef-Layer-1 ─CONTAINS─► SPDXRef-Package-… ─DEPENDS_ON─► another
//!                                             ─CONTAINS─► SPDXRef-OperatingSystem
//!                                             ─DESCENDANT_OF─► the image below
//! ```
//!
//! Nothing is concluded: `licenseConcluded` and `copyrightText` are NOASSERTION, a licence is what the package declares. Addresses are
//! not in it, since mirrors differ: the path below the archive is in `sourceInfo`, the archive's digest in `checksums`.

use std::collections::BTreeMap;

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
pub const MEDIA_TYPE: &str = "application/spdx+json";
/// How the names of our documents begin; they lead nowhere.
const NAMESPACE: &str = "https://pinfold.dev/spdx/";

const NOTHING: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const OS: &str = "SPDXRef-OperatingSystem";

/// A document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    #[serde(rename = "documentNamespace")]
    namespace: String,
    creation_info: CreationInfo,
    packages: Vec<SpdxPackage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted>,
    relationships: Vec<Relationship>,
}

#[derive(Debug, Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<String>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    primary_package_purpose: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, Serialize)]
struct ExternalRef {
    #[serde(rename = "referenceCategory")]
    category: &'static str,
    #[serde(rename = "referenceType")]
    kind: &'static str,
    #[serde(rename = "referenceLocator")]
    locator: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    license_id: String,
    #[serde(rename = "extractedText")]
    text: String,
    name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    #[serde(rename = "relationshipType")]
    kind: &'static str,
    related_spdx_element: String,
}

impl SpdxPackage {
    fn new(id: String, name: &str, purpose: &'static str) -> Self {
        Self {
            name: text(name),
            id,
            version_info: None,
            supplier: None,
            download_location: NOTHING,
            files_analyzed: false,
            checksums: Vec::new(),
            source_info: None,
            license_concluded: NOTHING,
            license_declared: NOTHING.into(),
            copyright_text: NOTHING,
            summary: None,
            comment: None,
            external_refs: Vec::new(),
            primary_package_purpose: purpose,
        }
    }

    fn with_purl(self, purl: String) -> Self {
        let reference = ExternalRef { category: "PACKAGE-MANAGER", kind: "purl", locator: purl };
        Self { external_refs: vec![reference], ..self }
    }
}

/// The name of the document of a manifest that is of this identity: no other document has it.
pub fn namespace(manifest: &Digest, identity: &Digest) -> String {
    format!("{NAMESPACE}{}/{}", manifest.hex(), identity.hex())
}

/// The document of a description.
pub(super) fn document(description: &Description) -> Document {
    let mut packages = vec![image(description)];
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
    for (number, layer) in description.layers.iter().enumerate() {
        let id = layer_id(number);
        relationships.push(relationship(IMAGE, "CONTAINS", &id));
        packages.push(SpdxPackage {
            version_info: Some(layer.diff_id.to_string()),
            checksums: vec![checksum(&layer.digest)],
            comment: (!layer.components.is_empty())
                .then(|| format!("components: {}", text(&layer.components.join(" ")))),
            ..SpdxPackage::new(id, &format!("layer {}", number + 1), "ARCHIVE")
        });
    }
    if let Some(os) = &description.os {
        relationships.push(relationship(IMAGE, "CONTAINS", OS));
        packages.push(SpdxPackage {
            version_info: os.version.as_deref().map(text),
            summary: os.name.as_deref().map(text),
            ..SpdxPackage::new(OS.into(), &os.id, "OPERATING-SYSTEM")
        });
    }
    let numbers: BTreeMap<&Digest, usize> =
        description.layers.iter().enumerate().rev().map(|(number, layer)| (&layer.diff_id, number)).collect();
    let mut others = BTreeMap::new();
    for one in &description.packages {
        let id = package_id(&one.purl, one);
        for layer in one.layers.iter().filter_map(|diff_id| numbers.get(diff_id)) {
            relationships.push(relationship(&layer_id(*layer), "CONTAINS", &id));
        }
        if one.layers.is_empty() {
            relationships.push(relationship(IMAGE, "CONTAINS", &id));
        }
        if one.kind == PackageKind::Base {
            relationships.push(relationship(IMAGE, "DESCENDANT_OF", &id));
        }
        for other in one.depends.iter().filter_map(|purl| description.package(purl)) {
            relationships.push(relationship(&id, "DEPENDS_ON", &package_id(&other.purl, other)));
        }
        others.extend(one.license.iter().flat_map(|license| license.others.clone()));
        packages.push(package(id, one));
    }
    let extracted = others.into_iter().map(|(license_id, name)| Extracted {
        license_id,
        text: format!("What the package names `{}`; its text is in the package.", text(&name)),
        name: text(&name),
    });
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: description.name(),
        namespace: namespace(&description.manifest, &description.identity),
        creation_info: CreationInfo {
            created: description
                .created
                .as_deref()
                .and_then(seconds)
                .unwrap_or_else(|| pinfold_base::time::rfc3339(0)),
            creators: vec![format!("Tool: pinfold-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages,
        has_extracted_licensing_infos: extracted.collect(),
        relationships,
    }
}

fn image(description: &Description) -> SpdxPackage {
    let image = SpdxPackage::new(IMAGE.into(), &description.name(), "CONTAINER");
    SpdxPackage {
        version_info: Some(description.manifest.to_string()),
        checksums: vec![checksum(&description.manifest)],
        comment: Some(format!("the image of {}", description.platform)),
        ..image.with_purl(image_purl(description))
    }
}

fn package(id: String, package: &Package) -> SpdxPackage {
    let purpose = match package.kind {
        PackageKind::Deb | PackageKind::Npm | PackageKind::Python | PackageKind::Nix => "LIBRARY",
        PackageKind::Generic => "APPLICATION",
        PackageKind::Base => "CONTAINER",
    };
    let source = package
        .source
        .as_ref()
        .map(|(name, version)| format!("built of the source package {name} {version}"));
    let path = package.download.as_ref().and_then(|download| download.path.as_ref());
    let from: Vec<String> = source.into_iter().chain(path.map(|path| format!("archive {path}"))).collect();
    let component = package.component.as_ref().map(|component| format!("component {component}, "));
    let mut spdx = SpdxPackage {
        version_info: package.version.as_deref().map(text),
        supplier: Some(package.supplier.as_deref().map_or_else(|| NOTHING.into(), supplier)),
        checksums: package.download.iter().map(|download| checksum(&download.digest)).collect(),
        source_info: (!from.is_empty()).then(|| text(&from.join("; "))),
        summary: package.summary.as_deref().map(text),
        comment: Some(text(&format!(
            "{}{} files, {} bytes",
            component.unwrap_or_default(),
            package.files,
            package.size
        ))),
        ..SpdxPackage::new(id, &package.name, purpose)
    };
    if let Some(license) = &package.license {
        spdx.license_declared.clone_from(&license.expression);
    }
    spdx.with_purl(package.purl.clone())
}

/// `Organization: Name (mail)`.
fn supplier(said: &str) -> String {
    let (name, mail) = match said.split_once('<') {
        Some((name, mail)) => (name, mail.split('>').next()),
        None => (said, None),
    };
    // Parentheses are the form's own.
    let plain =
        |part: &str| text(part).replace(['(', ')'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let (name, mail) = (plain(name), mail.map(plain).filter(|mail| mail.contains('@')));
    match (name.is_empty(), mail) {
        (false, Some(mail)) => format!("Organization: {name} ({mail})"),
        (false, None) => format!("Organization: {name}"),
        (true, Some(mail)) => format!("Organization: {mail}"),
        (true, None) => NOTHING.into(),
    }
}

fn checksum(digest: &Digest) -> Checksum {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
    };
    Checksum { algorithm, checksum_value: digest.hex() }
}

fn relationship(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: from.into(), kind, related_spdx_element: to.into() }
}

fn layer_id(number: usize) -> String {
    format!("SPDXRef-Layer-{}", number + 1)
}

/// Readable, and one for each package URL.
fn package_id(purl: &str, package: &Package) -> String {
    let name: String = package
        .name
        .chars()
        .take(60)
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let hex = Digest::sha256(purl.as_bytes()).hex();
    format!("SPDXRef-Package-{}-{}", name.trim_matches('-'), hex.get(..16).unwrap_or_default())
}
