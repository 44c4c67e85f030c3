use pinfold_base::Digest;

use super::*;
use crate::describe::Origins;
use crate::describe::tests::STATUS;
use crate::describe::tests::described;
use crate::describe::tests::summary;
use crate::verify::checks;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;
use crate::verify::report::Verdict;

const HOSTILE: &str = "\"><script>alert('x')</script><img src=x onerror=alert(1)>\n\u{202e}";

fn side(status: &str, size: &str) -> Side {
    let layers: &[&[&str]] = &[&["debian/curl"], &["generated/files"]];
    let files = [
        (0, "var/lib/dpkg/status", status),
        (0, "var/lib/dpkg/info/curl.list", "/usr/bin/curl\n"),
        (0, "usr/bin/curl", size),
        (1, HOSTILE, "text"),
    ];
    let mut summary = summary(layers);
    summary.layers[1].created_by = HOSTILE.into();
    summary.runtime.labels.insert(HOSTILE.into(), HOSTILE.into());
    summary.runtime.env.push(format!("A={HOSTILE}"));
    summary.runtime.labels.insert(format!("dev.pinfold.agent.{HOSTILE}"), HOSTILE.into());
    Side::of(summary, described(&files, layers, &Origins::default()))
}

/// A page of an image whose every word is hostile.
fn hostile() -> String {
    let mut arm = side(
        &STATUS.replace("1:7.88.1-10\nPre", &format!("{}\nPre", HOSTILE.replace('\n', " "))),
        "a program",
    );
    arm.summary.platform = Platform::ALL[1];
    let sides = [side(STATUS, "1"), arm];
    let image = ImageSummary {
        name: HOSTILE.into(),
        digest: Digest::sha256(b"image"),
        media_type: String::new(),
        annotations: BTreeMap::new(),
        platforms: sides.iter().map(|side| side.summary.clone()).collect(),
        others: 0,
    };
    let finding = Finding { at: HOSTILE.into(), problem: HOSTILE.into() };
    let report = Report {
        image: HOSTILE.into(),
        digest: Digest::sha256(b"image"),
        outcomes: vec![
            Outcome::looked(checks::OCI_BLOBS, HOSTILE, []).on(Platform::ALL[0]),
            Outcome::looked(checks::OCI_BLOBS, HOSTILE, [finding]).on(Platform::ALL[1]),
            Outcome { check: format!("test: {HOSTILE}"), ..Outcome::not_run(checks::RUN_START, "no kvm") },
        ],
    };
    let entry = serde_json::json!({
        "package": HOSTILE, "script": HOSTILE, "sha256": Digest::sha256(b"x"), "class": "evaluated",
        "what": [HOSTILE, "a", "b", "c", "d", HOSTILE],
    });
    let ledger: Vec<LedgerEntry> = vec![serde_json::from_value(entry).unwrap()];
    let lock =
        Lock { ledger: Platform::ALL.map(|platform| (platform, ledger.clone())).into(), ..Lock::default() };
    let packages = joined(sides.iter().map(|side| (side.platform(), packages_of(side))));
    page(&Subject {
        summary: &image,
        sides: &sides,
        packages: &packages,
        checks: Some(&report),
        lock: Some(&lock),
    })
}

/// The elements of a page, and the attributes of each.
fn elements(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let name: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '!' || *c == '/').collect();
        let mut attributes = Vec::new();
        let mut inside = rest[name.len()..].trim_start();
        while !inside.starts_with('>') {
            let end = inside.find(['=', '>', ' ', '/']).unwrap();
            if end > 0 {
                attributes.push(inside[..end].to_owned());
            }
            inside = match inside[end..].strip_prefix("=\"") {
                Some(value) => &value[value.find('"').unwrap() + 1..],
                None => inside[end..].strip_prefix([' ', '/']).unwrap_or(&inside[end..]),
            };
            inside = inside.trim_start();
        }
        rest = inside;
        found.push((name, attributes));
    }
    found
}

#[test]
fn a_hostile_image_gets_neither_elements_nor_attributes() {
    let page = hostile();
    let known = [
        "!doctype",
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "div",
        "main",
        "header",
        "footer",
        "section",
        "article",
        "nav",
        "a",
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "i",
        "span",
        "code",
        "dl",
        "dt",
        "dd",
        "details",
        "summary",
        "figure",
        "figcaption",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "svg",
        "g",
        "rect",
        "text",
    ];
    let attributes = [
        "html",
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "id",
        "class",
        "href",
        "aria-label",
        "role",
        "viewBox",
        "x",
        "y",
        "width",
        "height",
        "rx",
        "open",
        "data-label",
    ];
    for (name, found) in elements(&page) {
        let name = name.trim_start_matches('/');
        assert!(known.contains(&name), "<{name}>");
        for attribute in found {
            assert!(attributes.contains(&attribute.as_str()), "<{name} {attribute}>");
        }
    }
    assert!(!page.contains('\u{202e}'), "what turns text around is seen instead");
    // Control: it is all there, as text.
    let text = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;";
    assert!(page.matches(text).count() > 15, "{}", page.matches(text).count());
}

#[test]
fn nothing_is_loaded_and_the_policy_forbids_it() {
    let page = hostile();
    assert!(page.contains(
        "content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\""
    ));
    for word in ["http://", "https://", "url(", "@import", " src=\"", "<link", "javascript:"] {
        assert!(!page.contains(word), "{word}");
    }
    let anchors = page.matches("href=\"").count();
    assert_eq!((anchors, page.matches("href=\"#").count()), (6, 6));
}

#[test]
fn the_same_subject_gives_the_same_page() {
    assert_eq!(hostile(), hostile());
}

#[test]
fn every_part_says_what_it_knows() {
    let page = hostile();
    for text in [
        "1 failed",
        "1 passed",
        "1 not run",
        "every blob has the size and digest",
        "FAILED",
        "not alike on all platforms",
        "no kvm",
        "2 more",
        "linux/amd64 and linux/arm64",
        "paths are on linux/amd64 alone",
        "debian/curl",
        "role=\"img\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // One platform, unchecked, without a lock: each is said.
    let sides = [side(STATUS, "1")];
    let image = ImageSummary {
        name: "x".into(),
        digest: Digest::sha256(b"image"),
        media_type: String::new(),
        annotations: BTreeMap::new(),
        platforms: vec![sides[0].summary.clone()],
        others: 0,
    };
    let page = page_of(&image, &sides);
    for text in [
        "Nothing was checked",
        "The lock that the image was built of is not known",
        "The page is about linux/amd64 alone",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("FAILED"));
}

fn page_of(image: &ImageSummary, sides: &[Side]) -> String {
    page(&Subject { summary: image, sides, packages: &[], checks: None, lock: None })
}

#[test]
fn a_package_of_all_platforms_is_one_row() {
    let package = |version: &str, platform| Package {
        name: "debian/a".into(),
        version: version.into(),
        license: None,
        component: "debian/a".into(),
        platforms: vec![platform],
    };
    let [amd64, arm64] = Platform::ALL;
    let found =
        joined([(amd64, vec![package("1", amd64)]), (arm64, vec![package("1", arm64), package("2", arm64)])]);
    let told: Vec<_> = found.iter().map(|one| (one.version.as_str(), one.platforms.len())).collect();
    assert_eq!(told, [("1", 2), ("2", 1)]);
    assert_eq!(Verdict::NotRun.to_string(), "not run");
}
