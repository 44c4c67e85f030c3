//! What may be printed holds no secret, and says what stood there.

use pinfold_base::Platform;
use pinfold_image::inspect::LayerSummary;
use pinfold_image::inspect::PlatformSummary;
use serde_json::json;

use super::*;
use crate::verify::secrets::hidden;

fn anthropic() -> String {
    format!("sk-ant-api03-{}AA", drawn(93, ALL))
}

#[test]
fn texts_keep_what_is_no_secret() {
    let (secret, word) = (anthropic(), drawn(24, ALL));
    let table = [
        (
            format!("RUN curl -H \"x-api-key: {secret}\" a.example"),
            "RUN curl -H \"x-api-key: <a key of Anthropic>\" a.example",
        ),
        (format!("RUN |1 API_KEY={word} make; ls"), "RUN |1 API_KEY=<a secret, as its name says> make; ls"),
        (format!("git clone https://me:{word}@a.example\n"), "git clone <an address with a password>\n"),
        (format!("echo ghp_{} > x", checked()), "echo <a token of GitHub> > x"),
        (secret.clone(), "<a key of Anthropic>"),
        // A key is more than one word, and one of AWS is two.
        (format!("RUN echo '{}' > k", key()), "<a private key>"),
        (format!("run AKIA{} {}", drawn(16, AWS), drawn(40, ALL)), "<a key of AWS>"),
        ("COPY . /srv # buildkit".into(), "COPY . /srv # buildkit"),
        (String::new(), ""),
    ];
    for (text, expected) in table {
        let told = hidden::text(&text);
        assert_eq!(told, expected);
        assert_eq!(hidden::text(&told), expected, "what is hidden stays as it is");
    }
    assert_eq!(hidden::value("API_KEY", &drawn(64, HEX)), "<a secret, as its name says>");
    assert_eq!(hidden::value("GPG_KEY", &drawn(40, HEX)), drawn(40, HEX));
}

#[test]
fn nothing_that_documents_say_holds_one() {
    let secret = anthropic();
    let pair = || BTreeMap::from([("x".to_owned(), secret.clone()), (secret.clone(), "y".into())]);
    let runtime = json!({
        "User": secret, "WorkingDir": format!("/{secret}"), "StopSignal": secret,
        "Env": ["PATH=/bin", format!("K={secret}"), secret, format!("{secret}=1")],
        "Entrypoint": ["/bin/app", format!("--key={secret}")], "Cmd": [secret],
        "Labels": pair(), "Volumes": { (secret.as_str()): {} }, "ExposedPorts": { (secret.as_str()): {} },
        "Healthcheck": { "Test": ["CMD-SHELL", format!("curl {secret}")] }, "OnBuild": [format!("ENV K={secret}")],
        "Shell": [secret], "Other": { (secret.as_str()): { "SECRET_KEY": drawn(64, HEX) } },
    });
    let digest = Digest::sha256(b"");
    let layer = LayerSummary {
        digest: digest.clone(),
        diff_id: digest.clone(),
        encoding: "tar",
        size: 1,
        uncompressed: None,
        reused: 0,
        encoder: Some(secret.clone()),
        components: vec![secret.clone()],
        created_by: format!("RUN curl {secret}"),
    };
    let mut summary = PlatformSummary {
        platform: Platform::ALL[0],
        manifest: digest.clone(),
        config: digest,
        created: Some(secret.clone()),
        size: 1,
        uncompressed: None,
        layers: vec![layer],
        runtime: serde_json::from_value(runtime).unwrap(),
    };
    let told = |summary: &PlatformSummary| serde_json::to_string(summary).unwrap();
    assert_eq!(told(&summary).matches("sk-ant-").count(), 20, "all of them are there before");
    hidden::platform(&mut summary);
    let text = told(&summary);
    assert!(!text.contains("sk-ant-") && !text.contains(&drawn(64, HEX)), "{text}");
    assert!(text.contains("\"PATH=/bin\",\"K=<a key of Anthropic>\""), "{text}");
    assert!(text.contains("\"created_by\":\"RUN curl <a key of Anthropic>\""), "{text}");
}
