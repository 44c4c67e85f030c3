//! The files of a proxy for many, changed while it serves.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use pinfold_base::Diagnose as _;
use pinfold_base::Kind;
use pinfold_network::Endpoint;
use pinfold_network::Listen;
use pinfold_network::Relay;
use pinfold_network::RelayLimits;
use pinfold_network::RouteId;
use pinfold_network::Token;
use pinfold_network::Upstream;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;

use super::CheckedRoute;
use super::Service;
use super::Told;
use super::check;

const NAME: &str = "pinfold-proxy";

/// A folder of all the files, with an authority.
struct Folder {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: String,
}

impl Folder {
    fn new(tokens: &[(&str, &Token)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        let folder = Self { dir, issuer: Issuer::new(params, key), ca };
        folder.certify();
        fs::create_dir(folder.at("identities")).unwrap();
        folder.identities("list", tokens);
        folder.write("key", "sk-first-key-0001\n");
        folder.config("");
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        // As an operator writes: whole, under the final name at once.
        fs::write(self.at("new"), text).unwrap();
        fs::rename(self.at("new"), self.at(name)).unwrap();
    }

    fn certify(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write("tls.crt", &pem("CERTIFICATE", certificate.der()));
        self.write("tls.key", &pem("PRIVATE KEY", &key.serialize_der()));
    }

    fn identities(&self, name: &str, tokens: &[(&str, &Token)]) {
        let lines: Vec<String> =
            tokens.iter().map(|(name, token)| format!("{name} {} p\n", token.hash())).collect();
        self.write(&format!("identities/{name}"), &lines.concat());
    }

    fn config(&self, more: &str) {
        self.write(
            "proxy.toml",
            &format!(
                "listen = \"127.0.0.1:0\"\nhealth = \"127.0.0.1:0\"\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n\
                 identities = \"identities\"\njournal = \"journal\"\ndrain = \"5s\"\n{more}\n\
                 [policy.p]\nallow = [\"a.example\"]\n[[policy.p.route]]\nid = 1\nname = \"provider\"\n\
                 upstream = \"https://provider.example\"\nheader = \"bearer\"\nkey = \"key\"\npaths = [\"/v1\"]\n"
            ),
        );
    }

    fn file(&self) -> PathBuf {
        self.at("proxy.toml")
    }

    fn start(&self) -> Service {
        Service::start(&self.file(), None).unwrap()
    }

    /// What the proxy says to a sandbox that asks for what nobody allows.
    fn asks(&self, service: &Service, token: &Token) -> String {
        let upstream = Upstream::Tls {
            addresses: vec![service.address().unwrap()],
            name: NAME.into(),
            ca: self.ca.clone().into_bytes(),
            token: token.clone(),
        };
        let listen = [Listen { route: RouteId::PROXY, at: Endpoint::Port(0) }];
        let relay = Relay::bind_with(&upstream, &listen, RelayLimits::default()).unwrap();
        let address = relay.addresses().unwrap()[0].1;
        let stop = relay.stopper();
        let thread = relay.spawn().unwrap();
        let answer = get(address, "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n");
        stop.stop();
        thread.join().unwrap().unwrap();
        answer
    }
}

/// A block of PEM (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn get(address: SocketAddr, question: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(question.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// What is told in two looks: files that have changed are read when they have not changed again.
fn looked(service: &mut Service) -> Vec<Told> {
    let mut said = Vec::new();
    service.look(|told| said.push(told.clone()));
    service.look(|told| said.push(told.clone()));
    said
}

#[test]
fn files_are_in_force_when_they_change_and_bad_ones_change_nothing() {
    let [a, b] = [(); 2].map(|()| Token::generate().unwrap());
    let folder = Folder::new(&[("a", &a)]);
    let mut service = folder.start();
    assert!(folder.asks(&service, &a).contains("no rule allows"));
    assert!(folder.asks(&service, &b).contains("not known"));
    assert_eq!(looked(&mut service), [], "nothing has changed");
    folder.identities("more", &[("b", &b)]);
    assert_eq!(looked(&mut service), [Told::Reloaded { identities: 2, policies: 1 }]);
    assert!(folder.asks(&service, &b).contains("no rule allows"));
    // Each bad file is told once, and what was read before stays.
    let bad: [(&str, String, &str); 8] = [
        ("identities/more", format!("b {} p", b.hash()), "its last line has no end"),
        ("identities/more", String::new(), "the file is empty"),
        ("identities/more", "b what p\n".into(), "line 1"),
        ("identities/more", format!("b {} q\n", b.hash()), "the policy `q`"),
        ("tls.crt", "none".into(), "no certificate in PEM"),
        (
            "tls.key",
            pem("PRIVATE KEY", &KeyPair::generate().unwrap().serialize_der()),
            "certificate and key cannot be used",
        ),
        ("key", "two words".into(), "is not a key"),
        ("proxy.toml", "listen = 1".into(), "invalid type"),
    ];
    for (name, text, why) in bad {
        let before = fs::read_to_string(folder.at(name)).unwrap();
        folder.write(name, &text);
        let said = looked(&mut service);
        assert!(
            matches!(&said[..], [Told::NotReloaded { error, .. }] if error.contains(why)),
            "{name}: {said:?}"
        );
        let shown = format!("{said:?}");
        assert!(!shown.contains("sk-first") && !shown.contains("PRIVATE") && !shown.contains("two words"));
        assert_eq!(looked(&mut service), []);
        assert!(folder.asks(&service, &b).contains("no rule allows"), "{name}");
        folder.write(name, &before);
        assert!(matches!(looked(&mut service)[..], [Told::Reloaded { .. }]), "{name}");
    }
    // A new certificate, and keys that count from the next start.
    folder.certify();
    folder.config("[limits]\nconnections = 5\n");
    let said = looked(&mut service);
    assert!(said.contains(&Told::NextStart { key: "limits" }), "{said:?}");
    assert!(folder.asks(&service, &a).contains("no rule allows"));
    // One list less is its sandboxes less.
    fs::remove_file(folder.at("identities/more")).unwrap();
    assert_eq!(looked(&mut service), [Told::Reloaded { identities: 1, policies: 1 }]);
    assert!(folder.asks(&service, &b).contains("not known"));
    let health = service.health().unwrap();
    let metrics = get(health, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    for line in [
        "pinfold_proxy_identities 1\n",
        "pinfold_proxy_reloads_total{result=\"failed\"} 8\n",
        "pinfold_proxy_current 1\n",
        "pinfold_proxy_requests_total{policy=\"p\",kind=\"tunnel\",result=\"refused\"} ",
        "# TYPE pinfold_proxy_unknown_total counter\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let journal = fs::read_to_string(folder.at("journal")).unwrap();
    for token in [&a, &b] {
        assert!(!metrics.contains(token.reveal().trim()) && !journal.contains(token.reveal().trim()));
    }
    assert!(!metrics.contains("sk-first") && !journal.contains("sk-first"));
}

#[test]
fn a_file_is_read_when_it_is_the_same_in_two_looks() {
    let [a, b] = [(); 2].map(|()| Token::generate().unwrap());
    let folder = Folder::new(&[("a", &a)]);
    let mut service = folder.start();
    let once = |service: &mut Service| {
        let mut said = Vec::new();
        service.look(|told| said.push(told.clone()));
        said
    };
    folder.identities("more", &[("b", &b)]);
    assert_eq!(once(&mut service), []);
    // It is still being written.
    folder.identities("more", &[]);
    folder.write("identities/more", "# nobody\n");
    assert_eq!(once(&mut service), []);
    assert_eq!(once(&mut service), [Told::Reloaded { identities: 1, policies: 1 }]);
    assert_eq!(once(&mut service), []);
    // What never rests is read all the same.
    let looks = (1..30).find(|round| {
        folder.write("identities/more", &format!("# {}\n", "x".repeat(*round)));
        !once(&mut service).is_empty()
    });
    assert_eq!(looks, Some(11));
}

/// As a cluster mounts a Secret: names are links through `..data`, which is put in the place of the old one.
#[test]
fn links_of_a_cluster_are_followed() {
    let [a, b] = [(); 2].map(|()| Token::generate().unwrap());
    let folder = Folder::new(&[("a", &a)]);
    let at = |name: &str| folder.at("identities").join(name);
    let version = |name: &str, token: &Token| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("list"), format!("x {} p\n", token.hash())).unwrap();
        std::os::unix::fs::symlink(name, at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
    };
    fs::remove_file(at("list")).unwrap();
    version("..1", &a);
    std::os::unix::fs::symlink("..data/list", at("list")).unwrap();
    let mut service = folder.start();
    assert!(folder.asks(&service, &a).contains("no rule allows"));
    version("..2", &b);
    assert_eq!(looked(&mut service), [Told::Reloaded { identities: 1, policies: 1 }]);
    assert!(folder.asks(&service, &b).contains("no rule allows"));
    assert!(folder.asks(&service, &a).contains("not known"));
}

#[test]
fn it_says_what_it_does_and_ends_when_it_is_told() {
    let token = Token::generate().unwrap();
    let folder = Folder::new(&[("a", &token)]);
    let service = folder.start();
    let health = service.health().unwrap();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/x", 404), ("/metrics?a", 200)] {
        let answer = get(health, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    assert!(get(health, "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").contains(" 400 "));
    // Who asks slowly holds up nobody.
    let slow: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(health).unwrap()).collect();
    assert!(get(health, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").contains(" 200 "));
    drop(slow);
    let mut said = Vec::new();
    let mut turns = 0;
    let ending = |_| {
        turns += 1;
        turns > 2
    };
    service.run(ending, |told| said.push(told.clone())).unwrap();
    assert!(matches!(said[0], Told::Serving { identities: 1, policies: 1, .. }), "{said:?}");
    assert_eq!(said[1..], [Told::Draining { connections: 0, seconds: 5 }, Told::Ended { cut: 0 }]);
}

#[test]
fn what_is_missing_is_named_before_anything_is_served() {
    let token = Token::generate().unwrap();
    let folder = Folder::new(&[("a", &token)]);
    let checked = check(&folder.file(), None).unwrap();
    assert_eq!((checked.identities, checked.bound, checked.policies[0].identities), (1, 0, 1));
    assert_eq!(
        checked.policies[0].routes,
        [CheckedRoute { name: "provider".into(), upstream: "https://provider.example".into() }]
    );
    for (name, what) in [
        ("tls.crt", "cannot read the certificate"),
        ("tls.key", "cannot read the key of the certificate"),
        ("key", "cannot read the key"),
    ] {
        fs::rename(folder.at(name), folder.at("away")).unwrap();
        let error = check(&folder.file(), None).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("name another file")), "{name}");
        fs::rename(folder.at("away"), folder.at(name)).unwrap();
    }
    let error = check(Path::new(&folder.at("missing.toml")), None).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the configuration"), "{error}");
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.hint().is_some_and(|hint| hint.starts_with("name it with `--config FILE`")));
    let json = serde_json::to_value(&checked).unwrap();
    assert_eq!(json["policies"][0]["routes"][0]["name"], "provider");
    assert!(json["connections"]["open_files"].as_u64().unwrap() > 0, "{json}");
    fs::rename(folder.at("identities"), folder.at("elsewhere")).unwrap();
    let error = check(&folder.file(), None).unwrap_err();
    assert!(error.to_string().contains("cannot read the identities"), "{error}");
    // A port that is taken.
    let other = Folder::new(&[("a", &token)]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let held = std::net::TcpListener::bind(taken.unwrap()).unwrap();
    let at = format!("127.0.0.1:{}", held.local_addr().unwrap().port()).parse().unwrap();
    let error = Service::start(&other.file(), Some(at)).unwrap_err();
    assert!(error.to_string().contains("cannot listen at"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("another address or port")));
    // One sandbox at a socket.
    other.write("proxy.toml", "[policy.p]\nallow = [\"a.example\"]\n");
    let at: super::ListenAt = format!("unix:{}", other.at("s").display()).parse().unwrap();
    let service = Service::start(&other.file(), Some(at)).unwrap();
    assert!(service.address().is_none() && Path::new(&other.at("s")).exists());
    service.run(|_| true, |_| ()).unwrap();
    assert!(!Path::new(&other.at("s")).exists(), "it goes with the proxy");
}

#[test]
fn only_a_socket_of_nobody_is_replaced() {
    let folder = Folder::new(&[]);
    folder.write("proxy.toml", "[policy.p]\nallow = [\"a.example\"]\n");
    let start = |name: &str| {
        let at: super::ListenAt = format!("unix:{}", folder.at(name).display()).parse().unwrap();
        Service::start(&folder.file(), Some(at))
    };
    // The proxy's own files among them.
    let error = start("proxy.toml").unwrap_err();
    assert!(error.to_string().contains("something else than a socket is there"), "{error}");
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.hint().is_some_and(|hint| hint.starts_with("move it away")), "{:?}", error.hint());
    assert!(fs::read_to_string(folder.at("proxy.toml")).unwrap().contains("a.example"));
    let service = start("s").unwrap();
    let error = start("s").unwrap_err();
    assert!(error.to_string().contains("somebody listens there already"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.starts_with("end who listens there")), "{:?}", error.hint());
    service.run(|_| true, |_| ()).unwrap();
    // What somebody left who is gone.
    drop(std::os::unix::net::UnixListener::bind(folder.at("left")).unwrap());
    start("left").unwrap().run(|_| true, |_| ()).unwrap();
}
