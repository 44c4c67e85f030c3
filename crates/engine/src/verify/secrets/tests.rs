//! Each rule with what it finds and what it passes over. No secret stands here as one: all are put together when a test runs.

use std::collections::BTreeMap;

use pinfold_image::Image;
use pinfold_image::model::Descriptor;
use pinfold_image::model::History;
use pinfold_image::model::ImageConfiguration;
use pinfold_image::model::Index;
use pinfold_image::model::Raw;
use pinfold_image::model::RootFs;
use pinfold_image::model::RuntimeSection;
use pinfold_image::model::media;

use super::tokens::RULES;
use super::*;
use crate::verify::report::Verdict;

mod archives;
mod forms;
mod hidden;
mod root;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ALL: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HEX: &str = "0123456789abcdef";
const AWS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Letters of an alphabet, drawn at random and always the same.
fn drawn(length: usize, alphabet: &str) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letters = alphabet.as_bytes();
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(letters[(state % letters.len() as u64) as usize])
    };
    (0..length).map(letter).collect()
}

/// A key of RFC 5958 as a library makes it, in the lines of RFC 7468.
fn key() -> String {
    pem("PRIVATE KEY", &rcgen::KeyPair::generate().unwrap().serialize_der())
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn found(path: &str, content: &str) -> Vec<&'static str> {
    let scanner = Scanner::new();
    let mut scan = scanner.scan();
    scan.begin(&ImagePath::new(path).unwrap());
    scan.feed(content.as_bytes());
    scan.end().into_iter().map(|secret| secret.what).collect()
}

/// A token of GitHub's own explanation of their checksums, without what it begins with.
fn checked() -> String {
    format!("{}{}", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17")
}

#[test]
fn every_rule_finds_its_secret_and_passes_over_what_is_nearly_one() {
    // The key of forty-two in every byte, of age's own test vectors.
    let age = format!("{}{}", "GFPYYSJZ".repeat(6), "GFPQ4EGAEX");
    let aws = format!("{}\naws_secret = {}", drawn(16, AWS), drawn(40, ALL));
    // What a secret begins with, what makes it one, and what does not.
    let table: &[(&str, String, String)] = &[
        (
            "-----BEGIN ",
            key().replacen("-----BEGIN ", "", 1),
            "PRIVATE KEY-----\nMIIE...\n-----END PRIVATE KEY-----".into(),
        ),
        // A key and a certificate, in base 64 once more.
        (
            keys::CODED,
            ssh_body(&key()).replacen(keys::CODED, "", 1),
            ssh_body(&pem("CERTIFICATE", &[7; 200])),
        ),
        (
            "PuTTY-User-Key-File-",
            format!("3: ssh-rsa\nPrivate-Lines: 8\n{}\n", drawn(64, ALL)),
            "3: ssh-rsa\nPublic-Lines: 8\n".into(),
        ),
        ("AGE-SECRET-KEY-1", age.clone(), age.replacen('Q', "P", 1)),
        ("sk-ant-", format!("api03-{}AA", drawn(93, ALL)), format!("api03-{}", "x".repeat(95))),
        ("T3BlbkFJ", String::new(), String::new()),
        ("sk-or-v1-", drawn(64, HEX), drawn(63, HEX)),
        ("AIzaSy", drawn(33, ALL), drawn(34, ALL)),
        ("ya29.", drawn(120, ALL), drawn(20, ALL)),
        ("GOCSPX-", drawn(28, ALL), "abcdefghijklmnopqrstuvwxyz01".into()),
        ("1//0", drawn(99, ALL), drawn(40, ALL)),
        ("xai-", drawn(80, ALL), drawn(79, ALL)),
        ("gsk_", drawn(52, ALL), drawn(51, ALL)),
        ("hf_", drawn(34, LETTERS), "transformers_of_the_hub_and_others".into()),
        ("r8_", drawn(37, ALL), drawn(36, ALL)),
        ("pplx-", drawn(48, ALL), drawn(47, ALL)),
        ("ghp_", checked(), drawn(36, ALL)),
        ("gho_", checked(), drawn(36, ALL)),
        ("ghu_", checked(), drawn(36, ALL)),
        ("ghs_", checked(), drawn(36, ALL)),
        ("ghr_", checked(), format!("{}x", checked())),
        ("github_pat_", format!("{}_{}", drawn(22, ALL), drawn(59, ALL)), drawn(60, ALL)),
        ("glpat-", drawn(20, ALL), "xxxxxxxxxxxxxxxxxxxx".into()),
        ("glrt-", drawn(20, ALL), drawn(19, ALL)),
        ("AKIA", aws.clone(), drawn(16, AWS)),
        ("ASIA", aws, format!("{}EXAMPLE {}", drawn(9, AWS), drawn(40, ALL))),
        (
            "xoxb-",
            format!("1234567890123-1234567890123-{}", drawn(24, ALL)),
            format!("123-{}", drawn(24, ALL)),
        ),
        ("xoxp-", format!("1234567890123-1234567890123-{}", drawn(24, ALL)), "not-a-real-token".into()),
        ("xoxa-", format!("1234567890123-1234567890123-{}", drawn(24, ALL)), String::new()),
        ("xoxr-", format!("1234567890123-1234567890123-{}", drawn(24, ALL)), String::new()),
        ("xoxs-", format!("1234567890123-1234567890123-{}", drawn(24, ALL)), String::new()),
        ("xapp-1-", format!("A0917365284-9182736450918-{}", drawn(64, HEX)), "A0123".into()),
        (
            "hooks.slack.com/services/T",
            format!("01234567/B01234567/{}", drawn(24, ALL)),
            // A placeholder, as documentation has it.
            "00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX".into(),
        ),
        ("npm_", checked(), "config_registry_of_a_long_name_here_".into()),
        ("pypi-AgE", drawn(150, ALL), drawn(40, ALL)),
        ("sk_live_", drawn(24, ALL), "a".repeat(24)),
        ("rk_live_", drawn(99, ALL), drawn(20, ALL)),
        (
            "SG.",
            format!("{}.{}", drawn(22, ALL), drawn(43, ALL)),
            format!("{}.{}", drawn(22, ALL), drawn(42, ALL)),
        ),
        ("dckr_pat_", drawn(27, ALL), drawn(28, ALL)),
        ("dop_v1_", drawn(64, HEX), drawn(64, "g")),
        ("shpat_", drawn(32, HEX), drawn(31, HEX)),
        ("lin_api_", drawn(40, ALL), drawn(41, ALL)),
        ("tskey-", format!("auth-{}-{}", drawn(12, ALL), drawn(32, ALL)), "auth-key".into()),
        ("hvs.", drawn(95, ALL), drawn(24, ALL)),
        ("sntrys_", drawn(120, ALL), drawn(10, ALL)),
        ("AccountKey=", format!("{}==", drawn(86, ALL)), format!("{}==", drawn(85, ALL))),
    ];
    for (rule, (literal, secret, nearly)) in RULES.iter().zip(table) {
        assert_eq!(rule.literal, *literal, "the table's order is that of the rules");
        if secret.is_empty() {
            continue;
        }
        let text = |secret: &str| format!("const a = \"{literal}{secret}\";\n");
        assert_eq!(found("a.js", &text(secret)), [rule.what], "{literal}");
        assert_eq!(found("a.js", &text(nearly)), [""; 0], "{literal}{nearly}");
        // A longer word that ends like it is another word. Keys of several lines begin where they like.
        if literal.as_bytes()[0].is_ascii_lowercase() && *literal != "hooks.slack.com/services/T" {
            assert_eq!(found("a.js", &format!("x{literal}{secret}")), [""; 0], "x{literal}");
        }
    }
    assert_eq!(RULES.len(), table.len());
    let openai = |start: &str| format!("{start}{}T3BlbkFJ{}", drawn(40, ALL), drawn(40, ALL));
    assert_eq!(found("a", &openai("key: sk-proj-")), ["a key of OpenAI"]);
    assert_eq!(found("a", &openai("key: other-")), [""; 0]);
    let ssh = |body: &str| {
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n")
    };
    let body = &ssh_body(&ssh_text());
    assert_eq!(found("id", &ssh(body)), ["a private key"]);
    assert_eq!(found("id", &ssh(&drawn(200, ALL))), [""; 0]);
}

fn ssh_text() -> String {
    format!("openssh-key-v1\0{}", drawn(201, ALL))
}

fn ssh_body(text: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)
}

#[test]
fn keys_are_found_however_they_are_written() {
    let key = key();
    let written = [
        key.clone(),
        key.replace('\n', "\r\n"),
        format!("{{\"private_key\": \"{}\"}}", key.trim().replace('\n', "\\n")),
        format!("var k = '{}'", key.trim().replace('\n', "\\\n")),
        format!("some text\n{key}more"),
    ];
    for text in written {
        assert_eq!(found("k", &text), ["a private key"], "{text}");
    }
    // The words without a body, and a body that is not what the words say.
    let harmed = key.replacen("\nM", "\nN", 1);
    for text in [
        "-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0",
        &harmed,
        &key.replace("PRIVATE", "PUBLIC"),
    ] {
        assert_eq!(found("k", text), [""; 0], "{text}");
    }
    let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let certificate = pem("CERTIFICATE", certificate.cert.der());
    assert_eq!(found("k", &certificate), [""; 0]);
}

/// Wherever chunks end, a secret is found once, at its place.
#[test]
fn chunks_hide_nothing() {
    let token = format!("\"ghp_{}\"", checked());
    let scanner = Scanner::new();
    let mut scan = scanner.scan();
    for size in [1000, 30_000] {
        for place in [0, 1, 150, 4090, 4100, 8500, 8600, 9000, 20_000, size - token.len()] {
            let Some(rest) = usize::checked_sub(size, place + token.len()) else { continue };
            let bytes = [".".repeat(place), token.clone(), ".".repeat(rest)].concat();
            for chunk in [1, 7, 160, 4096, 4256, 8511, 8512, 8513, 9999, 1 << 20] {
                scan.begin(&ImagePath::new("x").unwrap());
                bytes.as_bytes().chunks(chunk).for_each(|chunk| scan.feed(chunk));
                let found: Vec<u64> = scan.end().into_iter().map(|secret| secret.offset).collect();
                assert_eq!(found, [place as u64 + 1], "at {place} of {size} in chunks of {chunk}");
            }
        }
    }
    // What a rule wants to see before its literal may be in the chunk before.
    let text = format!("{} sk-{}T3BlbkFJ{}", ".".repeat(20_000), drawn(20, ALL), drawn(20, ALL))
        + &".".repeat(20_000);
    for cut in 20_000..20_050 {
        scan.begin(&ImagePath::new("x").unwrap());
        scan.feed(&text.as_bytes()[..cut]);
        scan.feed(&text.as_bytes()[cut..]);
        assert_eq!(scan.end().len(), 1, "cut at {cut}");
    }
}

#[test]
fn logins_are_known_by_name_and_content() {
    let word = drawn(24, ALL);
    let table: &[(&str, String, &str)] = &[
        (
            "root/.npmrc",
            format!("//registry.example/:_authToken={word}"),
            "//registry.example/:_authToken=${NPM_TOKEN}\nregistry=https://registry.example/",
        ),
        (
            "home/me/.netrc",
            format!("machine a.example login me password {word}"),
            "machine a.example login me",
        ),
        (
            "root/.docker/config.json",
            format!("{{\"auths\":{{\"a.example\":{{\"auth\":\"{word}\"}}}}}}"),
            "{\"auths\":{\"a.example\":{}},\"credsStore\":\"pass\"}",
        ),
        (
            "run/containers/auth.json",
            format!("{{\"auths\":{{\"a.example\":{{\"identitytoken\":\"{word}\"}}}}}}"),
            "{}",
        ),
        ("root/.git-credentials", format!("https://me:{word}@a.example\n"), "https://a.example\n"),
        (
            "root/.aws/credentials",
            format!("[default]\naws_secret_access_key = {word}"),
            "[default]\nregion = eu-central-1",
        ),
        (
            "root/.kube/config",
            format!("users:\n- user:\n    client-key-data: {word}"),
            "clusters:\n- cluster:\n    server: https://a.example",
        ),
        ("root/.pypirc", format!("[pypi]\nusername = me\npassword = {word}"), "[pypi]\nusername = me"),
        (
            "root/.config/gh/hosts.yml",
            format!("github.com:\n    oauth_token: {word}"),
            "github.com:\n    user: me",
        ),
        (
            "root/.config/gcloud/application_default_credentials.json",
            format!("{{\"refresh_token\":\"{word}\"}}"),
            "{\"type\":\"authorized_user\"}",
        ),
        (
            "home/me/.codex/auth.json",
            format!("{{\"tokens\":{{\"refresh_token\":\"{word}\"}}}}"),
            "{\"OPENAI_API_KEY\":null}",
        ),
        (
            "home/me/.claude/.credentials.json",
            format!("{{\"claudeAiOauth\":{{\"accessToken\":\"{word}\"}}}}"),
            "{}",
        ),
        ("home/me/.gemini/oauth_creds.json", format!("{{\"refresh_token\":\"{word}\"}}"), "[1]"),
        ("root/.vault-token", word.clone(), ""),
        ("root/.pgpass", format!("a.example:5432:db:me:{word}"), "# host:port:db:user:"),
        (
            "srv/.env",
            format!("DB_PASSWORD={word}"),
            "DB_PASSWORD=\nDB_PASSWORD=changeme\nPORT=8080\nTOKEN=${TOKEN}\nGREETING=hello",
        ),
        (
            "etc/shadow",
            "root:$y$j9T$abc$def:19000:0:99999:7:::".into(),
            "root:*:19000:0:99999:7:::\nme:!:19000::::::",
        ),
        (
            "etc/pip/pip.conf",
            format!("[global]\nindex-url = https://me:{word}@a.example/simple"),
            "[global]\nindex-url = https://a.example/simple",
        ),
    ];
    for (path, secret, none) in table {
        assert_eq!(found(path, secret).len(), 1, "{path}: {secret}");
        assert_eq!(found(path, none), [""; 0], "{path}");
        assert_eq!(found("usr/share/other", secret), [""; 0], "{path} has another name");
    }
}

#[test]
fn configuration_is_judged_by_names_and_forms() {
    let scanner = Scanner::new();
    let jwt = |parts: [&str; 2]| {
        let part =
            |text: &str| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        format!("{}.{}.{}", part(parts[0]), part(parts[1]), drawn(43, ALL))
    };
    let random = drawn(40, ALL);
    let secrets = [
        ("GITHUB_TOKEN", drawn(30, ALL)),
        ("anything", format!("ghp_{}", checked())),
        ("DATABASE_URL", "postgres://me:s3cr3tW0rd@db.example/x".into()),
        ("SESSION", jwt(["{\"alg\":\"HS256\"}", "{\"sub\":\"1\"}"])),
        ("com.example.build", random.clone()),
    ];
    for (name, value) in &secrets {
        assert!(pairs::variable(&scanner, name, value).is_some(), "{name}={value}");
    }
    let hex = drawn(40, HEX);
    let digest = format!("sha256:{}", drawn(64, HEX));
    let harmless = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("GPG_KEY", &hex),
        ("org.opencontainers.image.revision", &hex),
        ("org.opencontainers.image.base.digest", &digest),
        ("NPM_TOKEN", "${NPM_TOKEN}"),
        ("ANTHROPIC_AUTH_TOKEN", "pinfold-proxy-token"),
        ("OPENAI_API_KEY", "dummy-key-for-the-proxy"),
        ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "32000123"),
        ("SECRET_FILE", "run-secrets-database-word"),
        ("id", "123e4567-e89b-12d3-a456-426614174000"),
        (
            "org.opencontainers.image.source",
            "https://git.example/Organisation/AVeryLongRepositoryNameWith2Numbers",
        ),
        ("NODE_VERSION", "22.23.3"),
        ("LANG", "C.UTF-8"),
        ("JWT", "a.b.c"),
    ];
    let uuid = "8a1b04c9-3f52-4d7e-9b16-c2f0a7d5e381".to_owned();
    let named = [
        ("SECRET_KEY", drawn(64, HEX)),
        ("DD_API_KEY", drawn(32, HEX)),
        ("HEROKU_API_KEY", uuid.clone()),
        ("DB_PASS", drawn(20, ALL)),
        ("SMTP_PWD", drawn(20, ALL)),
        ("DB_PASSWORD", format!("Prod-Password-{}", "9xK2vQ")),
        ("AWS_SECRET_ACCESS_KEY", format!("/{}", drawn(39, ALL))),
        ("DATABASE_URL", format!("postgres://u:p%40{}@h/db", drawn(16, ALL))),
        ("URLS", format!("https://a.example,https://u:{}@h", drawn(16, ALL))),
    ];
    for (name, value) in &named {
        assert!(pairs::variable(&scanner, name, value).is_some(), "{name}={value}");
    }
    // What the same values are under other names, and what is no value.
    for (name, value) in [
        ("SESSION", named[0].1.as_str()),
        ("BUILD", &uuid),
        ("APP_SECRET_SHA256", &named[0].1),
        ("RELEASE_SIGNING_KEY", &hex),
        ("PWD", "/srv/app_Of2Names"),
        ("OLDPWD", "srv-application"),
        ("COMPASS", "north-by-north-west"),
        ("DB_PASSWORD", "my-secret-password-here"),
        ("API_TOKEN", "your-token-goes-here-v2"),
        ("DB_PASS", "/run/secrets/db"),
        ("DATABASE_URL", "postgres://%s:%s@%s/db"),
    ] {
        assert_eq!(pairs::variable(&scanner, name, value), None, "{name}={value}");
    }
    for (name, value) in harmless {
        assert_eq!(pairs::variable(&scanner, name, value), None, "{name}={value}");
    }
    let step = |text: &str| pairs::text(&scanner, "", text);
    assert!(step(&format!("/bin/sh -c curl --token={} https://a.example", drawn(24, ALL))).is_some());
    assert!(step(&format!("|1 API_KEY={} /bin/sh -c make", drawn(24, ALL))).is_some());
    assert_eq!(step("RUN |1 API_KEY=${KEY} make"), None);
    assert_eq!(
        step(&format!("RUN curl -H X-Auth:{random} a.example")),
        Some("a value that looks drawn at random")
    );
    assert_eq!(step(&format!("ADD file:{} in / # sha256:{}", drawn(64, HEX), drawn(64, HEX))), None);
    assert_eq!(step("RUN curl -O https://a.example/OpenJDK21U-jdk_x64_linux_hotspot_21.0.2_13.tar.gz"), None);
    assert_eq!(step("COPY --from=build /app/token.js /app/secret.js # buildkit"), None);

    let mut configuration = ImageConfiguration {
        created: None,
        author: None,
        architecture: "amd64".into(),
        variant: None,
        os: "linux".into(),
        config: Some(RuntimeSection { env: vec!["A=1".into()], ..RuntimeSection::default() }),
        rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new(), other: BTreeMap::default() },
        history: vec![History { created_by: "COPY . /".into(), empty_layer: true, ..History::default() }],
        other: BTreeMap::default(),
    };
    let mut index = Index::new(vec![Descriptor::new(media::OCI_MANIFEST, Digest::sha256(b""), 0)]);
    let told = |configuration: &ImageConfiguration, index: &Index| {
        let descriptor = Descriptor::new(media::OCI_CONFIG, Digest::sha256(b""), 0);
        let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": descriptor, "layers": [] });
        let image = Image {
            manifest: Raw::parse(serde_json::to_vec(&manifest).unwrap()).unwrap(),
            config: Raw::parse(serde_json::to_vec(configuration).unwrap()).unwrap(),
            layers: Vec::new(),
        };
        let outcome = config(&scanner, &image, Some(index));
        assert!(!format!("{outcome:?}").contains(&random), "a finding tells no secret");
        outcome.findings.into_iter().map(|finding| finding.at).collect::<Vec<_>>()
    };
    assert_eq!(told(&configuration, &index), [""; 0]);
    let secret = format!("X_SECRET={random}");
    configuration.history[0].created_by = format!("ENV {secret}");
    configuration.author = Some(secret.clone());
    // What Docker has besides.
    let section = configuration.config.as_mut().unwrap();
    section.other.insert("OnBuild".into(), serde_json::json!([format!("RUN {secret} make")]));
    section.other.insert("Shell".into(), serde_json::json!(["/bin/sh", "-c"]));
    section.labels.insert("token".into(), random.clone());
    section
        .other
        .insert("Healthcheck".into(), serde_json::json!({ "Test": ["CMD-SHELL", format!("curl {secret}")] }));
    section.env.push(random.clone());
    section.working_dir = format!("/{random}");
    section.user = secret.clone();
    section.volumes.insert(format!("/v/{random}"), BTreeMap::default());
    configuration.history[0].other.insert("author".into(), secret.clone().into());
    configuration.other.insert("container_config".into(), serde_json::json!({ "Env": [secret] }));
    index.annotations.insert("org.example.key".into(), random.clone());
    index.manifests[0].annotations.insert("org.example.entry".into(), random.clone());
    assert_eq!(
        told(&configuration, &index),
        [
            "annotation org.example.key (index)",
            "annotation org.example.entry (index)",
            "Env <a value that looks drawn at random>",
            "label token",
            "user",
            "working directory",
            "volume",
            "OnBuild (config)",
            "Healthcheck (config)",
            "history 1",
            "author (history 1)",
            "author",
            "container_config (configuration)",
        ]
    );
}

#[test]
fn files_are_told_with_their_layer_and_known_keys_are_counted() {
    let scanner = Scanner::new();
    let mut files = Files::new(&scanner, Path::new("/nowhere"));
    let known =
        ["usr/lib/python3.11/test/keycert.pem", "usr/share/go-1.19/src/crypto/tls/testdata/example-key.pem"];
    for path in ["srv/key.pem", known[0], known[1], "usr/lib/python3.11/keycert.txt"] {
        files.begin(1, &ImagePath::new(path).unwrap(), 0);
        files.feed(if path.ends_with("txt") { "none".to_owned() } else { key() }.as_bytes());
        files.end();
    }
    let [outcome, _] = files.outcomes();
    assert_eq!(outcome.verdict, Verdict::Failed);
    let found: Vec<_> =
        outcome.findings.iter().map(|finding| (finding.at.as_str(), finding.problem.as_str())).collect();
    assert_eq!(found, [("/srv/key.pem", "a private key at byte 0, in layer 2")]);
    assert!(
        outcome.evidence.starts_with("4 files") && outcome.evidence.contains("2 known key"),
        "{}",
        outcome.evidence
    );
}
