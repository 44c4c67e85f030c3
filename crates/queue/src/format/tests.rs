//! Known answers, and what must not open.

use proptest::prelude::*;

use super::*;

/// Key 00 01 … 1f, salt 20 21 … 3f.
fn key() -> SessionKey {
    SessionKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|n| n as u8)).unwrap()
}

fn sandbox() -> SandboxId {
    SandboxId::new("w1").unwrap()
}

fn header(direction: Direction) -> Header {
    Header { direction, seq: 7, created: 1_796_027_696_789, salt: std::array::from_fn(|n| n as u8 + 32) }
}

const BODY: &[u8] = b"a body";

fn sealed(direction: Direction) -> Vec<u8> {
    seal(&key(), &sandbox(), &header(direction), BODY).unwrap()
}

fn opened(file: Vec<u8>) -> Result<(Header, Vec<u8>), FormatError> {
    open(&key(), &sandbox(), Direction::ToWorker, Some(7), file)
}

#[test]
fn what_was_sealed_opens() {
    for direction in [Direction::ToWorker, Direction::FromWorker, Direction::State] {
        let file = sealed(direction);
        assert_eq!(file.len(), HEADER + BODY.len() + TAG);
        let (found, body) = open(&key(), &sandbox(), direction, Some(7), file.clone()).unwrap();
        assert_eq!((found, body.as_slice()), (header(direction), BODY));
        assert!(open(&key(), &sandbox(), direction, None, file).is_ok(), "where the place has no number");
    }
    let empty = seal(&key(), &sandbox(), &header(Direction::ToWorker), b"").unwrap();
    assert_eq!(opened(empty).unwrap().1, b"");
}

#[test]
fn another_place_key_or_sandbox_does_not_open() {
    let file = sealed(Direction::ToWorker);
    let expect = |result: Result<(Header, Vec<u8>), FormatError>| result.unwrap_err();
    assert_eq!(
        expect(open(&key(), &sandbox(), Direction::FromWorker, Some(7), file.clone())),
        FormatError::Direction { found: Direction::ToWorker, expected: Direction::FromWorker }
    );
    assert_eq!(
        expect(open(&key(), &sandbox(), Direction::ToWorker, Some(8), file.clone())),
        FormatError::Sequence { found: 7, expected: 8 }
    );
    let other = SandboxId::new("w2").unwrap();
    assert_eq!(expect(open(&key(), &other, Direction::ToWorker, Some(7), file.clone())), FormatError::Tag);
    let other = SessionKey::generate().unwrap();
    assert_eq!(
        expect(open(&other, &sandbox(), Direction::ToWorker, Some(7), file.clone())),
        FormatError::Tag
    );
    // A header that claims the other direction has another message key, too.
    let mut turned = sealed(Direction::FromWorker);
    turned[5] = b'i';
    assert_eq!(expect(opened(turned)), FormatError::Tag);
    let mut moved = file;
    moved[15] = 8;
    assert_eq!(expect(open(&key(), &sandbox(), Direction::ToWorker, Some(8), moved)), FormatError::Tag);
}

/// Every single bit, each with the error that says where it was.
#[test]
fn no_bit_can_be_flipped() {
    let file = sealed(Direction::ToWorker);
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = opened(flipped).unwrap_err();
        let right = match bit / 8 {
            0..4 => error == FormatError::Magic,
            4 => matches!(error, FormatError::Version(_)),
            5 => matches!(error, FormatError::UnknownDirection(_) | FormatError::Direction { .. }),
            6..8 => error == FormatError::Reserved,
            8..16 => matches!(error, FormatError::Sequence { expected: 7, .. }),
            _ => error == FormatError::Tag,
        };
        assert!(right, "bit {bit}: {error:?}");
    }
}

#[test]
fn no_byte_can_be_missing_or_added() {
    let file = sealed(Direction::ToWorker);
    for length in 0..file.len() {
        let error = opened(file[..length].to_vec()).unwrap_err();
        let right = match length {
            // Nothing is there that is not PFQ1.
            0..72 => error == FormatError::Truncated(length),
            _ => error == FormatError::Tag,
        };
        assert!(right, "{length}: {error:?}");
    }
    assert_eq!(opened([file.as_slice(), b"\0"].concat()).unwrap_err(), FormatError::Tag);
    assert_eq!(opened(b"not".to_vec()).unwrap_err(), FormatError::Magic);
}

#[test]
fn limits_hold_for_both_sides() {
    let most = vec![0; BODY_MAX];
    let file = seal(&key(), &sandbox(), &header(Direction::ToWorker), &most).unwrap();
    assert_eq!(file.len(), Direction::ToWorker.file_max());
    assert_eq!(opened(file.clone()).unwrap().1.len(), BODY_MAX);
    let more = vec![0; BODY_MAX + 1];
    assert!(matches!(
        seal(&key(), &sandbox(), &header(Direction::ToWorker), &more),
        Err(FormatError::TooLarge(_))
    ));
    assert!(matches!(opened([file, vec![0]].concat()), Err(FormatError::TooLarge(_))));
    assert!(seal(&key(), &sandbox(), &header(Direction::State), &more).is_ok());
}

#[test]
fn two_messages_have_two_salts() {
    let one = Header::new(Direction::ToWorker, 1, 2).unwrap();
    assert_ne!(one.salt, Header::new(Direction::ToWorker, 1, 2).unwrap().salt);
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(opened(bytes).is_err());
    }

    #[test]
    fn any_header_comes_back(seq: u64, created: u64, salt: [u8; 32]) {
        let header = Header { direction: Direction::State, seq, created, salt };
        prop_assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
    }
}
