use pinfold_base::Platform;
use pinfold_image::contents::Replaced;

use super::*;
use crate::describe::Origins;
use crate::describe::tests::STATUS;
use crate::describe::tests::described;
use crate::describe::tests::summary;

const LAYERS: &[&[&str]] =
    &[&["debian/glibc", "debian/curl"], &["generated/base", "generated/files"], &["agent/codex-cli"]];

fn side() -> Side {
    let files = [
        (0, "var/lib/dpkg/status", STATUS),
        (0, "var/lib/dpkg/info/curl.list", "/usr/bin/curl\n/bin/wcurl\n"),
        (0, "usr/bin/curl", "a program"),
        (0, "usr/bin/wcurl", "a script"),
        (0, "usr/bin/made", "by a script"),
        (1, "bin", "->usr/bin"),
        (1, "etc/motd", "hi"),
        (2, "opt/codex", "12345"),
        (2, "opt/other", "->nowhere"),
    ];
    let mut description = described(&files, LAYERS, &Origins::default());
    let path = ImagePath::new("usr/bin/curl").unwrap();
    let was = Found { size: 3, mode: 0o755, ..description.contents.paths[&path].clone() };
    description.contents.before.insert(path, vec![Replaced { was, by: 1 }]);
    Side::of(summary(LAYERS), description)
}

fn explained(path: &str, lock: Option<&Lock>) -> Explained {
    explain(&side(), lock, &ImagePath::new(path).unwrap())
}

fn lock(what: &[&str]) -> Lock {
    let entry = serde_json::json!({
        "package": "curl", "script": "postinst", "sha256": Digest::sha256(b"script"), "class": "evaluated", "what": what,
    });
    let ledger = BTreeMap::from([(Platform::ALL[0], vec![serde_json::from_value(entry).unwrap()])]);
    Lock { ledger, ..Lock::default() }
}

#[test]
fn a_file_of_a_package_is_told_with_its_way_layer_and_version() {
    let told = explained("bin/wcurl", None);
    assert_eq!(told.path, "/usr/bin/wcurl");
    let hop = &told.links[0];
    assert_eq!((hop.link.as_str(), hop.target.as_str(), hop.layer), ("/bin", "usr/bin", 2));
    assert_eq!(hop.component.as_deref(), Some("generated/base"));
    let found = told.found.unwrap();
    assert_eq!((found.kind, found.mode.as_str(), found.size), ("file", "-rw-r--r--", 8));
    assert_eq!(found.digest, Some(Digest::sha256(b"a script")));
    assert_eq!(found.component.as_deref(), Some("debian/curl"));
    assert_eq!(found.version.as_deref(), Some("1:7.88.1-10"));
    assert_eq!(found.package.unwrap().name, "curl");
    assert_eq!((found.layer.number, &found.layer.digest), (1, &summary(LAYERS).layers[0].digest));
    assert!(found.reason.contains("`curl` ships it"), "{}", found.reason);
    assert!(found.before.is_empty() && found.effects.is_empty() && told.missing.is_none());
}

#[test]
fn what_layers_below_had_is_told() {
    let found = explained("usr/bin/curl", None).found.unwrap();
    let before = &found.before[0];
    assert_eq!((before.layer, before.until, before.size, before.mode.as_str()), (1, 2, 3, "0755"));
}

#[test]
fn scripts_are_told_by_the_path_that_they_name() {
    let lock = lock(&[
        "mode /usr/bin/curl 0755",
        "mode /usr/bin/curl-config 0755",
        "link /bin/curl -> x",
        "content of /etc/other",
    ]);
    let found = explained("usr/bin/curl", Some(&lock)).found.unwrap();
    assert_eq!(found.effects.len(), 1);
    assert_eq!(found.effects[0].what, ["mode /usr/bin/curl 0755", "link /bin/curl -> x"]);
    // A path that is named like another one's beginning, and one that nobody names.
    assert!(explained("usr/bin/wcurl", Some(&lock)).found.unwrap().effects.is_empty());
    assert!(explained("usr/bin/curl", None).found.unwrap().effects.is_empty());
}

#[test]
fn what_only_one_component_can_have_is_its_and_what_several_can_have_is_nobodys() {
    assert_eq!(explained("opt/codex", None).found.unwrap().component.as_deref(), Some("agent/codex-cli"));
    let motd = explained("etc/motd", None).found.unwrap();
    assert_eq!(motd.component.as_deref(), Some("generated/files"));
    assert!(motd.reason.contains("of the manifest"), "{}", motd.reason);
    let made = explained("etc/motd", Some(&lock(&["content of /etc/motd"]))).found.unwrap();
    assert_eq!(made.reason, "the postinst of `curl` made it");
    let made = explained("usr/bin/made", Some(&lock(&["content of /usr/bin/made"]))).found.unwrap();
    assert_eq!(made.component.as_deref(), Some("debian/curl"));
    assert_eq!(made.reason, "the postinst of `curl` made it");
    // Another package's script, of which no component is in the layer, wrote it before: what is said is of one package.
    let mut both = lock(&["content of /usr/bin/made"]);
    for ledger in both.ledger.values_mut() {
        let mut before = ledger[0].clone();
        before.package = "debianutils".into();
        ledger.insert(0, before);
    }
    let made = explained("usr/bin/made", Some(&both)).found.unwrap();
    assert_eq!((made.effects.len(), made.effects[0].package.as_str()), (2, "debianutils"));
    assert_eq!(made.component.as_deref(), Some("debian/curl"));
    assert_eq!(made.reason, "the postinst of `curl` made it");
    assert_eq!(explained("usr/bin/made", None).found.unwrap().component, None);
    let left = explained("usr/bin/made", Some(&lock(&["not done: content of /usr/bin/made"]))).found.unwrap();
    assert_eq!(left.component, None, "what was not done has made nothing");
}

#[test]
fn a_directory_tells_what_is_below_it() {
    let told = explained("/", None).found.unwrap();
    let shares: Vec<_> =
        told.below.iter().map(|share| (share.component.as_deref().unwrap_or("-"), share.paths)).collect();
    assert!(shares.contains(&("debian/curl", 3)) && shares.contains(&("agent/codex-cli", 2)), "{shares:?}");
    assert_eq!(shares.iter().map(|(_, paths)| paths).sum::<usize>(), 9);
}

#[test]
fn what_is_near_is_told_where_nothing_is() {
    let told = explained("usr/bin/crul", None);
    assert!(told.found.is_none());
    let missing = told.missing.unwrap();
    assert_eq!((missing.parent.as_str(), missing.similar), ("/usr/bin", vec!["/usr/bin/curl".to_owned()]));
    let missing = explained("usr/local/bin/codex", None).missing.unwrap();
    assert_eq!((missing.parent.as_str(), missing.similar), ("/usr", vec!["/opt/codex".to_owned()]));
    let dangling = explained("opt/other", None);
    assert_eq!((dangling.path.as_str(), dangling.links.len()), ("/opt/nowhere", 1));
    assert!(dangling.found.is_none());
}
