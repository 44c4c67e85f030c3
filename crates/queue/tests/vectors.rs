//! The page `docs/queue.md` against the code, and both against Python's `cryptography`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "these tests run Python, say what they skip, and may fail"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use pinfold_queue::Direction;
use pinfold_queue::FormatError;
use pinfold_queue::Header;
use pinfold_queue::Message;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::format;

struct Vector {
    header: Header,
    body: Vec<u8>,
    file: Vec<u8>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Key and vectors as they stand on the page.
fn page() -> (SessionKey, SandboxId, Vec<Vector>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/queue.md");
    let page = fs_err::read_to_string(path).unwrap();
    let (_, answers) = page.split_once("## Known answers").unwrap();
    let key = answers.split_once("Key ").unwrap().1.split_once(',').unwrap().0;
    let mut vectors = Vec::new();
    for text in answers.split("direction ").skip(1) {
        let lines: Vec<&str> = text.lines().collect();
        let words: Vec<&str> = lines[0].split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let [letter, "seq", seq, "created", created, "salt", salt] = words[..] else {
            panic!("{}", lines[0])
        };
        let direction = match letter {
            "i" => Direction::ToWorker,
            "o" => Direction::FromWorker,
            _ => Direction::State,
        };
        let header = Header {
            direction,
            seq: seq.parse().unwrap(),
            created: created.parse().unwrap(),
            salt: bytes(salt).try_into().unwrap(),
        };
        let body = lines[1].strip_prefix("body ").unwrap().as_bytes().to_vec();
        vectors.push(Vector { header, body, file: bytes(lines[2].strip_prefix("file ").unwrap()) });
    }
    assert_eq!(vectors.len(), 3, "one for each direction");
    (SessionKey::from_bytes(&bytes(key)).unwrap(), SandboxId::new("w1").unwrap(), vectors)
}

#[test]
fn the_page_is_what_the_code_does() {
    let (key, name, vectors) = page();
    for Vector { header, body, file } in vectors {
        assert_eq!(format::seal(&key, &name, &header, &body).unwrap(), file, "{header:?}");
        let opened = format::open(&key, &name, header.direction, Some(header.seq), file.clone());
        assert_eq!(opened.unwrap(), (header, body.clone()));
        if header.direction != Direction::State {
            let message = Message::parse(header.direction, &body).unwrap();
            assert_eq!(message.to_body().unwrap(), body);
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = format::open(&key, &name, header.direction, Some(header.seq), flipped).unwrap_err();
            assert_eq!(error == FormatError::Tag, bit >= 16 * 8, "bit {bit}: {error}");
        }
    }
}

/// Runs the script; nothing where Python or the module is not installed.
fn python(arguments: &[&str], input: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pfq1.py");
    let has = Command::new("python3").args(["-c", "import cryptography"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        eprintln!("skip: python3-cryptography is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return None;
    }
    let mut child = Command::new("python3")
        .args(["-B".as_ref(), script.as_os_str()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(output.stdout) } else { Err(error) })
}

#[test]
fn python_opens_what_we_seal() {
    let (key, name, vectors) = page();
    let key_hex = hex(key.expose());
    for Vector { header, body, .. } in vectors {
        let header = Header::new(header.direction, header.seq, header.created).unwrap();
        let mut file = format::seal(&key, &name, &header, &body).unwrap();
        let Some(opened) = python(&["open", &key_hex, "w1"], &file) else { return };
        let letter = char::from(header.direction.byte());
        let mut expected = format!("{letter} {} {}\n", header.seq, header.created).into_bytes();
        expected.extend(&body);
        assert_eq!(opened.unwrap(), expected);
        // It can fail.
        assert!(python(&["open", &key_hex, "w2"], &file).unwrap().is_err(), "another sandbox");
        file[60] ^= 1;
        assert!(python(&["open", &key_hex, "w1"], &file).unwrap().unwrap_err().contains("InvalidTag"));
    }
}

#[test]
fn we_open_what_python_seals() {
    let (key, name, _) = page();
    let key_hex = hex(key.expose());
    for (letter, direction, seq, length) in [
        ("i", Direction::ToWorker, 0, 0),
        ("o", Direction::FromWorker, u64::MAX, 1000),
        ("s", Direction::State, 3, format::BODY_MAX),
    ] {
        let (body, salt) = (vec![b'x'; length], "a5".repeat(32));
        let words = ["seal", &key_hex, "w1", letter, &seq.to_string(), "42", &salt];
        let Some(file) = python(&words, &body) else { return };
        let (header, opened) = format::open(&key, &name, direction, Some(seq), file.unwrap()).unwrap();
        assert_eq!((header.seq, header.created, opened), (seq, 42, body));
    }
}
