//! What both sides say before TLS hides it.

use pinfold_base::authority::Host;
use pinfold_network::wire::greeting::Greeting;
use pinfold_network::wire::greeting::GreetingError;
use pinfold_network::wire::hello::parse_hello;

/// SHA-256 of `HelloRetryRequest` (RFC 8446, section 4.1.3).
const RETRY: &[u8] = b"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";
const HOST: &str = "good.example";

fn record(kind: u8, fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind, 3, 3][..], &length, fragment].concat()
}

/// A hello that names a host of twelve letters.
fn hello(name: &[u8]) -> Vec<u8> {
    let extensions = [&[0, 0, 0, 17, 0, 15, 0, 0, 12][..], name].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0, 21], &extensions].concat();
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    [&[1, 0, 0, length][..], &body].concat()
}

fn answer(random: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 38, 3, 3][..], random, &[0; 4]].concat()
}

/// What is said, and whether the server says it: a byte that chooses, a byte of length, and so many bytes.
fn script(mut bytes: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let mut script = Vec::new();
    while let [choice, length, rest @ ..] = bytes {
        let (raw, after) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = after;
        let said = match choice >> 1 & 15 {
            0..4 => raw.to_vec(),
            kind @ 4..9 => record(16 + kind, raw),
            9 => record(22, &hello(HOST.as_bytes())),
            10 => record(22, &hello(b"evil.example")),
            11 => record(22, &answer(RETRY)),
            12 => record(22, &answer(&[7; 32])),
            13 => record(20, &[1]),
            // A message in fragments of the length that was drawn.
            14 => hello(HOST.as_bytes())
                .chunks(usize::from(*length).max(1))
                .flat_map(|part| record(22, part))
                .collect(),
            _ => {
                answer(RETRY).chunks(usize::from(*length).max(1)).flat_map(|part| record(22, part)).collect()
            }
        };
        script.push((choice & 1 == 1, said));
    }
    script
}

/// What reaches the server before its answer, and all that reaches it.
fn pass(script: &[(bool, Vec<u8>)], size: usize) -> Result<(usize, Vec<u8>), GreetingError> {
    let mut greeting = Greeting::new(Host::parse(HOST.as_bytes()).map_err(|_| GreetingError::NoName)?);
    let (mut open, mut out) = (0, Vec::new());
    for (server, said) in script {
        for piece in said.chunks(size) {
            if *server {
                greeting.server(piece)?;
            } else {
                greeting.client(piece, &mut out)?;
            }
            if !greeting.is_done() {
                open = out.len();
            }
        }
    }
    Ok((open, out))
}

/// Any conversation: cut elsewhere it comes to the same; what reaches the server is what was said; and before the server has
/// answered, each hello that reaches it is whole and names the host, at most two of them.
pub fn proxy_greeting(bytes: &[u8]) {
    let script = script(bytes);
    let whole = pass(&script, usize::MAX);
    assert_eq!(whole, pass(&script, 1));
    let Ok((open, out)) = whole else { return };
    let said: Vec<u8> =
        script.iter().filter(|(server, _)| !server).flat_map(|(_, said)| said.clone()).collect();
    assert!(said.starts_with(&out));
    let (mut rest, mut hellos) = (&out[..open], 0);
    while let [kind, _, _, high, low, ..] = rest {
        let mut end = 5 + usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == 22 {
            let read = |end: usize| parse_hello(rest.get(..end)?).ok()?;
            let mut read_to = read(end);
            while read_to.is_none() {
                let [_, _, _, high, low, ..] = rest[end..] else { panic!("a part of a hello was passed on") };
                end += 5 + usize::from(u16::from_be_bytes([high, low]));
                read_to = read(end);
            }
            let name = read_to.and_then(|hello| hello.server_name).map(|name| name.to_string());
            assert_eq!(name.as_deref(), Some(HOST));
            hellos += 1;
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    assert!(hellos <= 2);
}
