use std::io::Write as _;

use pinfold_network::relay::HostNaming;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use super::*;

/// A stand-in, and the folder of its socket.
fn provider() -> (tempfile::TempDir, Provider) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::new().unwrap());
    let provider = Provider::start(&dir.path().join("s"), authority).unwrap();
    (dir, provider)
}

fn connect(provider: &Provider, route: u8) -> UnixStream {
    let mut stream = UnixStream::connect(provider.socket()).unwrap();
    let preamble = Preamble { route: RouteId(route), host: HostNaming::Free };
    stream.write_all(&preamble.encode()).unwrap();
    stream
}

fn post(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn exchange(provider: &Provider, request: &[u8]) -> String {
    let mut stream = connect(provider, 1);
    stream.write_all(request).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// For each provider: the first request is answered with the command, one that brings a result with the end of the turn. What
/// the command itself says proves nothing.
#[test]
fn a_command_is_asked_for_once_and_proved_by_what_it_prints() {
    let result = |text: &str| {
        [
            (
                "/v1/messages?beta=true",
                json!({
                    "stream": true, "tools": [{ "name": "Bash" }],
                    "messages": [{ "role": "user", "content": [{ "type": "tool_result", "content": text }] }]
                }),
            ),
            (
                "/v1/responses",
                json!({
                    "tools": [{ "type": "namespace", "name": "n", "tools": [{ "name": "exec_command" }] }],
                    "input": [{ "type": "function_call_output", "output": text }]
                }),
            ),
            (
                "/v1beta/models/m:streamGenerateContent?alt=sse",
                json!({
                    "tools": [{ "functionDeclarations": [{ "name": "run_shell_command" }] }],
                    "contents": [{ "parts": [{ "functionResponse": { "response": { "output": text } } }] }]
                }),
            ),
        ]
    };
    for index in 0..3 {
        let (_dir, provider) = provider();
        let (path, body) = &result(TASK.command)[index];
        let mut first = body.clone();
        for key in ["messages", "input", "contents"] {
            if let Some(conversation) = first.get_mut(key) {
                *conversation = json!([]);
            }
        }
        let asked = exchange(&provider, &post(path, &first));
        assert!(asked.contains("pinfold-verify") && provider.seen().asked, "{path}: {asked}");
        assert!(!exchange(&provider, &post(path, body)).contains("pinfold-verify"), "{path}");
        assert!(!provider.seen().proved, "{path}: the command is no proof of itself");
        exchange(&provider, &post(path, &result(TASK.proof)[index].1));
        assert!(provider.seen().proved, "{path}");
        assert_eq!(provider.seen().requests.len(), 3);
    }
}

/// Without a shell among its tools nobody is asked for a command.
#[test]
fn who_offers_no_shell_is_asked_for_nothing() {
    let (_dir, provider) = provider();
    exchange(&provider, &post("/v1/messages", &json!({ "stream": true, "tools": [{ "name": "Read" }] })));
    exchange(&provider, &post("/v1/responses", &json!({ "tools": [{ "name": "view" }] })));
    assert!(!provider.seen().asked);
}

fn client(provider: &Provider, knows: bool) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    if knows {
        let pem = provider.shared.authority.pem();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap()
}

fn until(provider: &Provider, what: impl Fn(&Seen) -> bool) -> bool {
    (0..200).any(|_| {
        let holds = provider.has(&what);
        if !holds {
            thread::sleep(Duration::from_millis(20));
        }
        holds
    })
}

#[test]
fn who_knows_the_authority_is_told_from_who_does_not() {
    let (_dir, provider) = provider();
    let mut stream = StreamOwned::new(client(&provider, true), connect(&provider, 1));
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    assert!(until(&provider, |seen| seen.trusted == 1));
    drop(stream);
    assert_eq!(provider.seen().refused, [""; 0]);

    let mut stream = StreamOwned::new(client(&provider, false), connect(&provider, 1));
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap_err();
    drop(stream);
    assert!(until(&provider, |seen| seen.refused.len() == 1));
    assert_eq!(provider.seen().trusted, 1);

    // As a program does that judges the certificate once the handshake is over.
    let mut stream = StreamOwned::new(client(&provider, true), connect(&provider, 1));
    stream.conn.complete_io(&mut stream.sock).unwrap();
    drop(stream);
    assert!(until(&provider, |seen| seen.refused.len() == 2));
}

#[test]
fn strange_clients_are_hung_up_on() {
    let (_dir, provider) = provider();
    for bytes in [
        &b"\r\n\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"nonsense\r\n\r\n",
    ] {
        assert_eq!(exchange(&provider, bytes), "");
    }
    // The proxy's port leads nowhere.
    let mut stream = connect(&provider, 0);
    stream.write_all(b"CONNECT registry.example:443 HTTP/1.1\r\nHost: registry.example:443\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
    assert_eq!(provider.seen(), Seen::default());
}
