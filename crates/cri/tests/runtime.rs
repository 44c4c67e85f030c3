//! A client and a stand-in for a container runtime, on a Unix socket: what is asked, and what becomes of answers that are none.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use h2::server::SendResponse;
use http::HeaderMap;
use http::Response;
use pinfold_base::Diagnose;
use pinfold_cri::Client;
use pinfold_cri::Code;
use pinfold_cri::CriError;
use pinfold_cri::Socket;
use pinfold_cri::message::Nothing;
use pinfold_cri::message::Sandbox;
use pinfold_cri::message::SandboxConfig;
use pinfold_cri::message::SandboxId;
use pinfold_cri::message::Sandboxes;
use pinfold_cri::message::Version;
use prost::Message;
use prost::bytes::Bytes;

/// What the stand-in says to a call.
#[derive(Clone)]
enum Say {
    /// A message.
    Message(Vec<u8>),
    /// These bytes for a body, and status 0.
    Body(Vec<u8>),
    /// A status and its words, in the first headers.
    Status(&'static str, &'static str),
    /// An HTTP status.
    Http(u16),
    /// A body and no trailers.
    NoTrailers,
    /// Nothing, ever.
    Silence,
}

fn message(message: &impl Message) -> Say {
    Say::Message(message.encode_to_vec())
}

type Calls = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Serves `socket` from a thread that ends with the test; calls are noted.
fn serve(socket: &Path, say: impl Fn(&str) -> Say + Send + 'static) -> Calls {
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    let listener = UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
                // Held so that silence is no reset.
                let mut silent = Vec::new();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let name = request.uri().path().to_owned();
                    assert_eq!(request.headers()["content-type"], "application/grpc");
                    assert_eq!(request.headers()["te"], "trailers");
                    assert_eq!(request.uri().authority().unwrap(), "localhost");
                    let said = say(&name);
                    let noted = Arc::clone(&noted);
                    if matches!(said, Say::Silence) {
                        silent.push((request, respond));
                        continue;
                    }
                    tokio::spawn(async move {
                        let mut body = request.into_body();
                        let mut held = Vec::new();
                        while let Some(part) = body.data().await {
                            held.extend_from_slice(&part.unwrap());
                        }
                        noted.lock().unwrap().push((name, held));
                        answer(respond, said).await;
                    });
                }
            }
        });
    });
    calls
}

async fn answer(mut respond: SendResponse<Bytes>, said: Say) {
    let head = |status: u16| Response::builder().status(status).header("content-type", "application/grpc");
    let (mut rest, end) = match said {
        Say::Http(status) => return drop(respond.send_response(head(status).body(()).unwrap(), true)),
        Say::Status(code, words) => {
            let head = head(200).header("grpc-status", code).header("grpc-message", words);
            return drop(respond.send_response(head.body(()).unwrap(), true));
        }
        Say::NoTrailers => (b"\0\0\0\0\0".to_vec(), false),
        Say::Body(body) => (body, true),
        Say::Message(bytes) => {
            ([&[0][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes].concat(), true)
        }
        Say::Silence => return,
    };
    let mut stream = respond.send_response(head(200).body(()).unwrap(), false).unwrap();
    // In small parts: an answer is what they are together.
    while !rest.is_empty() {
        let part = rest.drain(..rest.len().min(60_000)).collect::<Vec<_>>();
        stream.reserve_capacity(part.len());
        let mut left = Bytes::from(part);
        while !left.is_empty() {
            let Some(Ok(room)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
                return;
            };
            let now = left.split_to(room.min(left.len()));
            let last = !end && rest.is_empty() && left.is_empty();
            if stream.send_data(now, last).is_err() {
                return;
            }
        }
    }
    if end {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let _ = stream.send_trailers(trailers);
    }
}

fn version() -> Say {
    message(&Version { runtime_name: "containerd".into(), runtime_version: "1.6.20".into() })
}

/// A stand-in that is a runtime but for one call.
fn but_for(call: &'static str, said: Say) -> (tempfile::TempDir, Client, Calls) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cri.sock");
    let calls = serve(&path, move |name| if name.ends_with(call) { said.clone() } else { version() });
    let client = Client::connect(&Socket::find(path.to_str(), None).unwrap()).unwrap();
    (dir, client, calls)
}

#[test]
fn a_call_is_one_message_there_and_one_back() {
    let (_dir, client, calls) = but_for("/RunPodSandbox", message(&SandboxId { id: "abc".into() }));
    assert_eq!(client.version().unwrap().runtime_version, "1.6.20");
    let config = SandboxConfig { hostname: "h".into(), ..Default::default() };
    assert_eq!(client.run_sandbox(&config).unwrap(), "abc");
    let calls = calls.lock().unwrap();
    let (name, body) = calls.last().unwrap();
    assert_eq!(name, "/runtime.v1.RuntimeService/RunPodSandbox");
    // By hand, from the interface's definition: field 1 (the configuration) has field 2 (the host name).
    assert_eq!(body, b"\0\0\0\0\x05\x0a\x03\x12\x01h");
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    // Field 2 `x`, then field 99, a number.
    let (_dir, client, _) = but_for("/Version", Say::Body(b"\0\0\0\0\x06\x12\x01x\x98\x06\x07".to_vec()));
    assert_eq!(client.version().unwrap().runtime_name, "x");
}

#[test]
fn a_list_is_of_those_that_have_the_label() {
    let sandbox = |id: &str, value: &str| Sandbox {
        id: id.into(),
        labels: [("pinfold".to_owned(), value.to_owned())].into(),
    };
    let all = Sandboxes { sandboxes: vec![sandbox("a", "mine"), sandbox("b", "other"), Sandbox::default()] };
    let (_dir, client, _) = but_for("/ListPodSandbox", message(&all));
    assert_eq!(client.sandboxes("pinfold", "mine").unwrap(), ["a"]);
}

#[test]
fn an_error_of_the_runtime_is_told_in_its_words() {
    let (_dir, client, _) = but_for("/RunPodSandbox", Say::Status("2", "failed to find network info%0A!"));
    let error = client.run_sandbox(&SandboxConfig::default()).unwrap_err();
    let CriError::Status { code: Code::Other(2), message, .. } = &error else { panic!("{error:?}") };
    assert_eq!(message, "failed to find network info\n!");
    assert!(error.hint().unwrap().contains("CNI"), "{error:?}");
    // What is gone already is removed.
    let (_dir, client, _) = but_for("PodSandbox", Say::Status("5", "no such sandbox"));
    client.remove_sandbox("abc").unwrap();
    let (_dir, client, _) = but_for("/RemovePodSandbox", Say::Status("13", "busy"));
    assert!(matches!(client.remove_sandbox("abc"), Err(CriError::Status { call: "RemovePodSandbox", .. })));
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let (_dir, client, _) = but_for("/ImageStatus", message(&Nothing {}));
    let error = client.image("docker.io/library/a:1").unwrap_err();
    assert!(error.to_string().contains("docker.io/library/a:1"), "{error}");
    assert!(error.hint().unwrap().contains("pinfold load"));
}

#[test]
fn what_is_no_answer_is_refused() {
    for (said, words) in [
        (Say::Http(404), "HTTP status 404"),
        (Say::NoTrailers, "no `grpc-status`"),
        (Say::Body(Vec::new()), "no message"),
        (Say::Body(b"\x01\0\0\0\0".to_vec()), "compressed"),
        (Say::Body(b"\0\0\0\0\x09short".to_vec()), "9 bytes comes in 5"),
        (Say::Body(b"\0\0\0\0\x02\x12\x09".to_vec()), ""),
        (Say::Body(vec![0; pinfold_cri::ANSWER_MAX + 6]), "over 16777216 bytes"),
    ] {
        let (_dir, client, _) = but_for("/PodSandboxStatus", said);
        let error = client.sandbox_info("abc").unwrap_err();
        assert!(matches!(error, CriError::Foreign { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error} has no {words}");
    }
    // The control: at the limit it is read, and is then no message of the interface.
    let mut whole = u32::try_from(pinfold_cri::ANSWER_MAX).unwrap().to_be_bytes().to_vec();
    whole.insert(0, 0);
    whole.resize(pinfold_cri::ANSWER_MAX + 5, 0);
    let (_dir, client, _) = but_for("/PodSandboxStatus", Say::Body(whole));
    assert!(!client.sandbox_info("abc").unwrap_err().to_string().contains("over"));
}

#[test]
fn a_runtime_without_the_interface_is_too_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cri.sock");
    serve(&path, |_| Say::Status("12", "unknown service runtime.v1.RuntimeService"));
    let error = Client::connect(&Socket::find(path.to_str(), None).unwrap()).unwrap_err();
    assert!(matches!(error, CriError::Unknown { call: "Version" }), "{error:?}");
    assert!(error.hint().unwrap().contains("1.6 or newer"));
}

#[test]
fn what_does_not_listen_or_does_not_speak_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let connect = |path: &Path| Client::connect(&Socket::find(path.to_str(), None).unwrap());
    let path = dir.path().join("none.sock");
    assert!(matches!(connect(&path), Err(CriError::NoSocket(named)) if named == path));
    // Nobody behind it any more.
    let path = dir.path().join("dead.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(connect(&path), Err(CriError::NoSocket(_))));
    // Another program's.
    let path = dir.path().join("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert!(matches!(connect(&path), Err(CriError::Foreign { .. })));
    // One that may not be connected to: root may, so that only others can tell.
    let path = dir.path().join("closed.sock");
    drop(UnixListener::bind(&path).unwrap());
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    match connect(&path) {
        Err(CriError::Denied(named)) => assert_eq!(named, path),
        // Root may.
        Err(CriError::NoSocket(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn silence_ends() {
    let (_dir, client, _) = but_for("/ContainerStatus", Say::Silence);
    let error = client.wait("abc", std::time::Duration::ZERO);
    assert!(matches!(error, Err(CriError::Silent { call: "ContainerStatus", .. })), "{error:?}");
}
