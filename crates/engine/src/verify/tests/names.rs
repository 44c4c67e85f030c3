//! Secrets beside the bytes of files: in names, targets and attributes; and files that are a login, or a key, by another name.

use super::*;

const NOTES: &str = "usr/share/tool-notes";
const EXAMPLE: &str = "usr/share/doc/tool/key.pem";

fn key() -> String {
    use base64::Engine;
    let der = rcgen::KeyPair::generate().unwrap().serialize_der();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// An image with notes that are a login by another name alone, and a key that is an example where it lies.
fn sample() -> Sample {
    let mut sample = Sample::good();
    let meta = Metadata::root(0o644, 7);
    sample.file(NOTES, meta.clone(), "machine a.example login me password Zq8vKw2LmP0x\n");
    sample.file(EXAMPLE, meta, &key());
    sample
}

#[test]
fn files_are_judged_by_every_name() {
    assert_eq!(failed(&report(&sample())), [], "under their first names they are none");
    type Break = Box<dyn Fn(&mut Sample)>;
    let token = image::token();
    let login = "a login of hosts at byte 0, in layer";
    let cases: Vec<(String, Break)> = vec![
        (
            format!("/root/.netrc: {login}"),
            Box::new(|sample| sample.link("root/.netrc", &format!("/{NOTES}"))),
        ),
        (format!("/root/.netrc: {login}"), Box::new(|sample| sample.hard_link("root/.netrc", NOTES))),
        (
            format!("/root/.netrc: {login}"),
            Box::new(|sample| {
                sample.hard_link("usr/share/tool-other", NOTES);
                sample.link("root/one", "/usr/share/tool-other");
                sample.link("root/.netrc", "one");
            }),
        ),
        (
            "/srv/k.pem: a private key".into(),
            Box::new(|sample| sample.link("srv/k.pem", &format!("/{EXAMPLE}"))),
        ),
        ("/srv/k.pem: a private key".into(), Box::new(|sample| sample.hard_link("srv/k.pem", EXAMPLE))),
        (
            "/srv/<a key of Anthropic>: a key of Anthropic in its name".into(),
            Box::new({
                let token = token.clone();
                move |sample| sample.file(&format!("srv/{token}"), Metadata::root(0o644, 7), "")
            }),
        ),
        (
            "/srv/x: a key of Anthropic in an extended attribute".into(),
            Box::new(move |sample| {
                let mut meta = Metadata::root(0o644, 7);
                meta.xattrs.insert(b"user.key".to_vec(), token.clone().into_bytes());
                sample.file("srv/x", meta, "");
            }),
        ),
    ];
    for (expected, breaks) in cases {
        let mut sample = sample();
        breaks(&mut sample);
        let report = report(&sample);
        let failed = failed(&report);
        let [("secrets.files", found)] = &failed[..] else { panic!("{expected}: {failed:#?}") };
        assert!(found.starts_with(&expected) && !found.contains(&image::token()), "{expected}: {found}");
    }
    // The target is missing besides.
    let mut sample = sample();
    sample.link("srv/x", &format!("/run/{}", image::token()));
    let report = report(&sample);
    let outcome = report.outcomes.iter().find(|outcome| outcome.check == "secrets.files").unwrap();
    assert_eq!(outcome.findings.len(), 1, "{outcome:?}");
    assert!(outcome.findings[0].problem.starts_with("a key of Anthropic in the path that it leads to"));
}

#[test]
fn links_of_harmless_files_are_none() {
    let mut sample = sample();
    sample.file("usr/share/tool-rc", Metadata::root(0o644, 7), "registry=https://registry.example/\n");
    sample.link("root/.npmrc", "/usr/share/tool-rc");
    sample.hard_link("home/me/.npmrc", "usr/share/tool-rc");
    sample.link("usr/share/doc/tool/other.pem", "key.pem");
    assert_eq!(failed(&report(&sample)), []);
}
