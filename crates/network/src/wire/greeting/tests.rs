use std::sync::Arc;

use proptest::prelude::*;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::kx_group;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;

use super::*;

const HOST: &str = "good.example";

fn greeting() -> Greeting {
    Greeting::new(Host::parse(HOST.as_bytes()).unwrap())
}

/// What each side said, in the order in which they said it.
pub(crate) type Flights = Vec<(Side, Vec<u8>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Recorded between two programs of OpenSSL: the server asks for another group.
pub(crate) fn openssl() -> Flights {
    let mut flights = Flights::new();
    for line in include_str!("retry.txt").lines().filter(|line| !line.starts_with('#')) {
        match line {
            "" => {}
            "client" => flights.push((Side::Client, Vec::new())),
            "server" => flights.push((Side::Server, Vec::new())),
            digits => {
                let digits: Vec<char> = digits.trim().chars().collect();
                let bytes =
                    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap());
                flights.last_mut().unwrap().1.extend(bytes);
            }
        }
    }
    flights
}

/// Made by rustls: with `retry`, the server takes only a group that the client did not offer a share of.
fn rustls(
    retry: bool,
    versions: &[&'static rustls::SupportedProtocolVersion],
    name: &'static str,
) -> Flights {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut provider = default_provider();
    if retry {
        provider.kx_groups = vec![kx_group::SECP384R1];
    }
    let server = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name).unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut flights = Flights::new();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut &bytes[..]).unwrap();
        server.process_new_packets().unwrap();
        flights.push((Side::Client, bytes));
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut &bytes[..]).unwrap();
        client.process_new_packets().unwrap();
        flights.push((Side::Server, bytes));
    }
    flights
}

/// Passes flights through, cut into pieces; gives what came out for the server and after which flight it was done.
fn pass(flights: &Flights, size: usize) -> Result<(Vec<u8>, Option<usize>), GreetingError> {
    let mut greeting = greeting();
    let mut out = Vec::new();
    let mut done = None;
    for (number, (side, bytes)) in flights.iter().enumerate() {
        for piece in bytes.chunks(size) {
            match side {
                Side::Client => greeting.client(piece, &mut out)?,
                Side::Server => greeting.server(piece)?,
            }
        }
        assert!(greeting.held() <= HELLO_MAX);
        if greeting.is_done() && done.is_none() {
            done = Some(number);
        }
    }
    Ok((out, done))
}

fn said_by_client(flights: &Flights) -> Vec<u8> {
    flights.iter().filter(|(side, _)| *side == Side::Client).flat_map(|(_, bytes)| bytes.clone()).collect()
}

#[test]
fn real_handshakes_pass_as_they_are_and_end_with_the_real_answer() {
    let both = rustls::ALL_VERSIONS;
    for (what, flights, answered) in [
        ("openssl, asked again", openssl(), 3),
        ("rustls, asked again", rustls(true, both, HOST), 3),
        ("rustls 1.3", rustls(false, &[&rustls::version::TLS13], HOST), 1),
        ("rustls 1.2", rustls(false, &[&rustls::version::TLS12], HOST), 1),
    ] {
        for size in [1, 2, 5, 7, 100, 1 << 20] {
            let (out, done) = pass(&flights, size).unwrap();
            assert_eq!(out, said_by_client(&flights), "{what}, {size}");
            assert_eq!(done, Some(answered), "{what}, {size}");
        }
    }
}

/// Another host's name in the place of the first, same length, in the flight with this number.
pub(crate) fn renamed(mut flights: Flights, number: usize) -> Flights {
    let bytes = &mut flights[number].1;
    let at = bytes.windows(HOST.len()).position(|window| window == HOST.as_bytes()).unwrap();
    bytes[at..at + 4].copy_from_slice(b"evil");
    flights
}

#[test]
fn every_hello_names_the_host() {
    let evil = GreetingError::OtherName(Host::parse(b"evil.example").unwrap());
    for flights in [openssl(), rustls(true, rustls::ALL_VERSIONS, HOST)] {
        for number in [0, 2] {
            let flights = renamed(flights.clone(), number);
            for size in [1, 6, 1 << 20] {
                assert_eq!(pass(&flights, size), Err(evil.clone()));
            }
            // Not a byte of it was passed on; what came before was, a CCS before the second hello included.
            let mut greeting = greeting();
            let mut out = Vec::new();
            for (side, bytes) in &flights[..=number] {
                match side {
                    Side::Client => drop(greeting.client(bytes, &mut out)),
                    Side::Server => greeting.server(bytes).unwrap(),
                }
            }
            assert!(!out.windows(4).any(|window| window == b"evil"));
            assert_eq!(out.len(), if number == 0 { 0 } else { flights[0].1.len() + 6 });
        }
    }
}

fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3][..], &length, fragment].concat()
}

/// A ServerHello with this random, and `more` bytes after it.
fn answer(random: [u8; 32], more: usize) -> Vec<u8> {
    let length = u32::try_from(2 + 32 + more).unwrap().to_be_bytes();
    [&[2][..], &length[1..], &[3, 3], &random, &vec![0; more]].concat()
}

fn hello() -> Vec<u8> {
    openssl().swap_remove(0).1
}

#[test]
fn what_is_out_of_place_is_refused() {
    use GreetingError as E;
    use Side::Client;
    use Side::Server;
    let retry = record(HANDSHAKE, &answer(RETRY_RANDOM, 6));
    let real = record(HANDSHAKE, &answer([7; 32], 6));
    let ccs = record(CHANGE_CIPHER_SPEC, &[1]);
    let early = record(APPLICATION_DATA, &[9; 40]);
    let cases: Vec<(&str, Flights, E)> = vec![
        ("two hellos in one flight", vec![(Client, [hello(), hello()].concat())], E::Unasked),
        (
            "a hello behind early data",
            vec![(Client, [hello(), ccs.clone(), early.clone(), hello()].concat())],
            E::Unasked,
        ),
        ("a second hello before the answer", vec![(Client, hello()), (Client, hello())], E::Unasked),
        (
            "a second hello before the whole HelloRetryRequest",
            vec![(Client, hello()), (Server, retry[..retry.len() - 1].to_vec()), (Client, hello())],
            E::Unasked,
        ),
        (
            "a third hello",
            vec![(Client, hello()), (Server, retry.clone()), (Client, hello()), (Client, hello())],
            E::Unasked,
        ),
        (
            "two HelloRetryRequests",
            vec![(Client, hello()), (Server, retry.clone()), (Client, hello()), (Server, retry.clone())],
            E::Retries,
        ),
        (
            "two HelloRetryRequests at once",
            vec![(Client, hello()), (Server, [retry.clone(), retry.clone()].concat())],
            E::Answer,
        ),
        (
            "both answers at once",
            vec![(Client, hello()), (Server, [retry.clone(), real.clone()].concat())],
            E::Answer,
        ),
        (
            "both answers in one record",
            vec![
                (Client, hello()),
                (Server, record(HANDSHAKE, &[answer(RETRY_RANDOM, 6), answer([7; 32], 6)].concat())),
            ],
            E::Answer,
        ),
        (
            "the real answer in the record of the other",
            vec![
                (Client, hello()),
                (Server, record(HANDSHAKE, &[answer(RETRY_RANDOM, 0), answer([7; 32], 0)].concat())),
            ],
            E::Answer,
        ),
        ("HelloRequest", vec![(Client, hello()), (Server, record(HANDSHAKE, &[0, 0, 0, 0]))], E::Answer),
        (
            "HelloRetryRequest of the drafts",
            vec![(Client, hello()), (Server, record(HANDSHAKE, &[6, 0, 0, 2, 3, 3]))],
            E::Answer,
        ),
        (
            "HelloVerifyRequest",
            vec![(Client, hello()), (Server, record(HANDSHAKE, &[3, 0, 0, 2, 3, 3]))],
            E::Answer,
        ),
        (
            "plain HTTP",
            vec![(Client, hello()), (Server, b"HTTP/1.1 400 Bad Request\r\n".to_vec())],
            E::Answer,
        ),
        ("an answer before the question", vec![(Server, real.clone())], E::Answer),
        ("data before the answer", vec![(Client, hello()), (Server, early.clone())], E::Answer),
        (
            "a CCS between its fragments",
            vec![(Client, hello()), (Server, [record(HANDSHAKE, &[2, 0]), ccs.clone()].concat())],
            E::Answer,
        ),
        ("an empty record", vec![(Client, hello()), (Server, record(HANDSHAKE, &[]))], E::Answer),
        (
            "a ServerHello too short",
            vec![(Client, hello()), (Server, record(HANDSHAKE, &[2, 0, 0, 33, 3, 3]))],
            E::Answer,
        ),
        ("early data first", vec![(Client, early.clone())], E::Hello(HelloError::NotTls)),
        ("a CCS first", vec![(Client, ccs.clone())], E::Hello(HelloError::NotTls)),
        (
            "a CCS between a hello's fragments",
            vec![(Client, [record(HANDSHAKE, &hello()[5..20]), ccs.clone()].concat())],
            E::Hello(HelloError::Malformed),
        ),
        (
            "early data between a second hello's fragments",
            vec![
                (Client, hello()),
                (Server, retry.clone()),
                (Client, [record(HANDSHAKE, &hello()[5..20]), early.clone()].concat()),
            ],
            E::Hello(HelloError::Malformed),
        ),
        ("a heartbeat", vec![(Client, [hello(), record(24, &[1, 0, 1, 0])].concat())], E::Client),
        ("a long CCS", vec![(Client, [hello(), record(CHANGE_CIPHER_SPEC, &[1, 1])].concat())], E::Client),
        (
            "plain text after the hello",
            vec![(Client, [hello(), b"GET / HTTP/1.1\r\n".to_vec()].concat())],
            E::Client,
        ),
        (
            "a second hello with nothing else",
            vec![(Client, hello()), (Server, retry.clone()), (Client, b"SSH-2.0-x".to_vec())],
            E::Client,
        ),
    ];
    for (what, flights, expected) in cases {
        for size in [1, 3, 1 << 20] {
            assert_eq!(pass(&flights, size), Err(expected.clone()), "{what}, {size}");
        }
    }
}

#[test]
fn what_may_stand_there_passes() {
    use Side::Client;
    use Side::Server;
    let retry = record(HANDSHAKE, &answer(RETRY_RANDOM, 6));
    let real = record(HANDSHAKE, &answer([7; 32], 6));
    let ccs = record(CHANGE_CIPHER_SPEC, &[1]);
    let early = record(APPLICATION_DATA, &[9; 16000]);
    // A random that is one byte off is a real answer.
    let mut near = RETRY_RANDOM;
    near[31] ^= 1;
    for (what, flights, done) in [
        (
            "early data",
            vec![(Client, [hello(), ccs.clone(), early.clone()].concat()), (Server, real.clone())],
            Some(1),
        ),
        (
            "early data, asked again",
            vec![
                (Client, [hello(), ccs.clone(), early.clone()].concat()),
                (Server, [retry.clone(), ccs.clone()].concat()),
                (Client, [early.clone(), ccs.clone(), hello()].concat()),
                (Server, real.clone()),
            ],
            Some(3),
        ),
        (
            "a warning before the answer",
            vec![(Client, hello()), (Server, [record(ALERT, &[1, 112]), real.clone()].concat())],
            Some(1),
        ),
        (
            "a refusal",
            vec![(Client, hello()), (Server, record(ALERT, &[2, 40])), (Client, record(ALERT, &[2, 40]))],
            None,
        ),
        ("another random", vec![(Client, hello()), (Server, record(HANDSHAKE, &answer(near, 6)))], Some(1)),
        (
            "an answer in fragments, whatever follows",
            vec![
                (Client, hello()),
                (Server, answer([7; 32], 6).chunks(9).flat_map(|piece| record(HANDSHAKE, piece)).collect()),
                (Client, b"anything".to_vec()),
                (Server, b"anything".to_vec()),
            ],
            Some(1),
        ),
        (
            "a HelloRetryRequest in fragments",
            vec![
                (Client, hello()),
                (
                    Server,
                    answer(RETRY_RANDOM, 6).chunks(9).flat_map(|piece| record(HANDSHAKE, piece)).collect(),
                ),
                (Client, hello()[5..].chunks(50).flat_map(|piece| record(HANDSHAKE, piece)).collect()),
                (Server, real.clone()),
            ],
            Some(3),
        ),
    ] {
        for size in [1, 3, 1 << 20] {
            assert_eq!(pass(&flights, size), Ok((said_by_client(&flights), done)), "{what}, {size}");
        }
    }
}

#[test]
fn a_greeting_is_bounded() {
    let mut greeting = greeting();
    let mut out = Vec::new();
    let start = record(HANDSHAKE, &[&[1, 0, 0x7f, 0xff][..], &[0; 1000]].concat());
    greeting.client(&start, &mut out).unwrap();
    let piece = record(HANDSHAKE, &[0; 1000]);
    let failed = (0..40).find_map(|_| greeting.client(&piece, &mut out).err());
    assert_eq!(failed, Some(HelloError::TooLong.into()));
    assert!(greeting.held() <= HELLO_MAX + 1000 && out.is_empty());
}

proptest! {
    /// However the bytes are cut and whoever speaks first, the outcome is the same.
    #[test]
    fn any_cut(parts in proptest::collection::vec((any::<bool>(), 0usize..9, any::<u8>()), 0..7), size in 1usize..40) {
        let pieces = [
            hello(),
            record(HANDSHAKE, &answer(RETRY_RANDOM, 6)),
            record(HANDSHAKE, &answer([7; 32], 6)),
            record(CHANGE_CIPHER_SPEC, &[1]),
            record(APPLICATION_DATA, &[9; 40]),
            record(ALERT, &[1, 112]),
            record(HANDSHAKE, &hello()[5..30]),
            renamed(openssl(), 0).swap_remove(0).1,
            vec![0x16, 3],
        ];
        let flights: Flights = parts
            .iter()
            .map(|&(client, number, cut)| {
                let mut bytes = pieces[number].clone();
                if cut < 50 {
                    bytes.truncate(usize::from(cut));
                }
                (if client { Side::Client } else { Side::Server }, bytes)
            })
            .collect();
        let whole = pass(&flights, 1 << 20);
        prop_assert_eq!(&pass(&flights, size), &whole);
        if let Ok((out, _)) = whole {
            let said = said_by_client(&flights);
            prop_assert!(said.starts_with(&out));
        }
    }
}
