//! Rows about what is said through the proxy: names in TLS, and what travels beside a key.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::Duration;

use pinfold_network::Credential;
use pinfold_network::RouteSpec;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::weaken::Weaken;

use crate::host::CANARIES;
use crate::host::Host;
use crate::probe::egress::EVIL;
use crate::probe::egress::FOREIGN;
use crate::probe::egress::RETRY;
use crate::probe::egress::SERVED;
use crate::sessions::by_name;
use crate::sessions::sandboxes;
use crate::sessions::spec;

/// A server on the host's loopback, for as long as the suite runs; gives its port.
fn server(answer: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

/// A front of many hosts: asks for a second hello, and plays whom that one names.
fn front(mut stream: TcpStream) {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    let mut asked = false;
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        heard.extend_from_slice(&buffer[..count]);
        if heard.windows(EVIL.len()).any(|window| window == EVIL) {
            let _ = stream.write_all(SERVED);
            return;
        }
        if !std::mem::replace(&mut asked, true) && stream.write_all(&RETRY).is_err() {
            return;
        }
    }
}

/// A tunnel to one host, in which the second hello names another.
pub(crate) fn second_hello(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "second-hello", "second-hello");
    let target = format!("127.0.0.1:{}", server(front));
    spec.args.push(target.clone().into());
    spec.weaken.insert(Weaken::ProxyLoopback);
    spec.network = Network::Proxy(Egress { allow: vec![target.clone()], ..Egress::default() });
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Control: where anything may be spoken, the front serves the other host.
    spec.network = Network::Proxy(Egress { allow: vec![format!("tcp:{target}")], ..Egress::default() });
    by_name(&sandboxes, &spec, runtime, 1)
}

/// A provider that answers with what it was asked.
fn provider(mut stream: TcpStream) {
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !heard.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", heard.len());
    let _ = stream.write_all(&[head.as_bytes(), &heard].concat());
}

/// Requests that bring a credential of their own to a route.
pub(crate) fn beside_the_key(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "beside", "beside-the-key");
    let (variable, key) = CANARIES[0];
    spec.args.push(key.into());
    let upstream = format!("http://127.0.0.1:{}", server(provider));
    let mut with = |request: serde_json::Value| {
        let route: RouteSpec = serde_json::from_value(serde_json::json!({
            "id": 1, "name": "sample", "listen-port": 3180, "upstream": upstream, "header": "x-api-key",
            "placeholder": "placeholder", "paths": ["/v1"], "request": request,
        }))
        .map_err(|error| error.to_string())?;
        let routes = vec![CredentialRoute { route, key: Credential::Env(variable.into()) }];
        spec.network = Network::Proxy(Egress { routes, ..Egress::default() });
        Ok::<_, String>(spec.clone())
    };
    by_name(&sandboxes, &with(serde_json::json!({"query": ["limit"]}))?, runtime, 0)?;
    // Control: what a route names arrives.
    let named = with(serde_json::json!({"query": ["limit"], "headers": [FOREIGN.0]}))?;
    by_name(&sandboxes, &named, runtime, 1)
}
