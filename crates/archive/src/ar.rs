//! ar archives, as .deb packages are: read strictly, as a stream.
//!
//! ```text
//! "!<arch>\n"
//! name 16 | mtime 12 | uid 6 | gid 6 | mode 8 | size 10 | "`\n"      60 bytes of text, then SIZE bytes, then "\n" if SIZE is odd
//! ```
//!
//! **Refuses** what no .deb has (deb(5)): tables of long names (GNU `//`, BSD `#1/`), symbol tables, names with a slash,
//! repeated names, more than [`MAX_MEMBERS`] members, sizes that are no plain decimal, an archive that ends early.
//! Owners, times and modes of members mean nothing and are not read.

use std::io;
use std::io::BufRead;
use std::io::Read;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;

use crate::part::Parts;
use crate::tar::is_damage;

/// Most members accepted. A .deb has three.
pub const MAX_MEMBERS: usize = 16;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// What is wrong with an ar archive.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// It breaks the format or holds something that a .deb must not.
    #[error("ar archive is refused at byte {offset}: {reason}")]
    Format {
        /// Where.
        offset: u64,
        /// Why.
        reason: &'static str,
    },
    /// It could not be read.
    #[error("failed to read an ar archive")]
    Io(#[from] io::Error),
}

impl Diagnose for ArError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Io(error) if !is_damage(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Integrity),
        }
    }
}

/// The header of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the padding and without the slash that some writers add.
    pub name: Box<[u8]>,
    /// Bytes of content.
    pub size: u64,
    /// Where its content starts in the archive.
    pub offset: u64,
}

/// Reads an archive from a stream. Reading the `Reader` itself gives the content of the current member.
#[derive(Debug)]
pub struct Reader<R> {
    stream: Parts<R>,
    padded: bool,
    names: Vec<Box<[u8]>>,
}

impl<R: BufRead> Reader<R> {
    /// Starts at the beginning of an archive and checks its magic.
    pub fn new(inner: R) -> Result<Self, ArError> {
        let mut stream = Parts::new(inner, "the ar archive ends inside a member");
        let mut magic = [0; MAGIC.len()];
        if stream.fill(&mut magic)? < magic.len() || magic != *MAGIC {
            return Err(ArError::Format { offset: 0, reason: "it does not begin with `!<arch>`" });
        }
        Ok(Self { stream, padded: false, names: Vec::new() })
    }

    /// The next member, skipping what was not read of the one before; `None` at the end.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArError> {
        if self.stream.end(0)? > 0 {
            return Err(self.refuse("it ends inside a member"));
        }
        if std::mem::take(&mut self.padded) {
            let mut byte = [0];
            if self.stream.fill(&mut byte)? != 1 || byte != *b"\n" {
                return Err(self.refuse("the padding of a member is not a line feed"));
            }
        }
        let offset = self.stream.position();
        let refuse = |reason| ArError::Format { offset, reason };
        let mut header = [0; HEADER];
        match self.stream.fill(&mut header)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(refuse("it ends inside a header")),
        }
        if header[58..] != *b"`\n" {
            return Err(refuse("a header does not end as it should"));
        }
        let name = header[..16].trim_ascii_end();
        let name = name.strip_suffix(b"/").unwrap_or(name);
        if name.is_empty()
            || name.starts_with(b"#1/")
            || name.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'/')
        {
            return Err(refuse("the name of a member is not a plain name"));
        }
        if self.names.iter().any(|seen| **seen == *name) {
            return Err(refuse("a name is given twice"));
        }
        if self.names.len() == MAX_MEMBERS {
            return Err(refuse("it has too many members"));
        }
        let digits = header[48..58].trim_ascii_end();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(refuse("the size of a member is no decimal number"));
        }
        // Ten digits at most, so 34 bits: no overflow.
        let size = digits.iter().fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0'));
        self.names.push(name.into());
        self.stream.begin(size);
        self.padded = size % 2 == 1;
        Ok(Some(Member { name: name.into(), size, offset: self.stream.position() }))
    }

    fn refuse(&self, reason: &'static str) -> ArError {
        ArError::Format { offset: self.stream.position(), reason }
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `ar rcD` of binutils writes it (fields 0, 0, 0, 644): checked by eye against its output.
    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len()).into_bytes();
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
        bytes
    }

    fn archive(members: &[Vec<u8>]) -> Vec<u8> {
        [MAGIC.to_vec(), members.concat()].concat()
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArError> {
        let mut reader = Reader::new(bytes)?;
        let mut members = Vec::new();
        while let Some(member) = reader.next_member()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            let at = usize::try_from(member.offset).unwrap();
            assert_eq!(bytes[at..at + content.len()], content);
            members.push((String::from_utf8(member.name.to_vec()).unwrap(), content));
        }
        Ok(members)
    }

    #[test]
    fn members_come_in_order_with_their_bytes() {
        let bytes = archive(&[
            member("debian-binary", b"2.0\n"),
            member("control.tar.xz/", b"odd"),
            member("data.tar.xz", b""),
        ]);
        let members = read_all(&bytes).unwrap();
        assert_eq!(
            members,
            [
                ("debian-binary".into(), b"2.0\n".to_vec()),
                ("control.tar.xz".into(), b"odd".to_vec()),
                ("data.tar.xz".into(), Vec::new())
            ]
        );
        // Members that are not read are skipped.
        let mut reader = Reader::new(&bytes[..]).unwrap();
        let mut count = 0;
        while reader.next_member().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn odd_archives_are_refused() {
        let good = archive(&[member("a", b"xyz"), member("b", b"12")]);
        assert!(read_all(&good).is_ok());
        for cut in 1..good.len() {
            // Cut between two members an archive is whole; anywhere else it is not.
            let whole = cut == MAGIC.len() || cut == MAGIC.len() + 64;
            assert_eq!(read_all(&good[..cut]).is_ok(), whole, "cut at {cut}");
        }
        for (name, what) in
            [("", "empty"), ("//", "long names"), ("#1/20", "BSD"), ("a/b", "slash"), ("a b", "blank")]
        {
            assert!(read_all(&archive(&[member(name, b"x")])).is_err(), "{what}");
        }
        assert!(read_all(&archive(&[member("a", b""), member("a", b"")])).is_err());
        let many: Vec<_> = (0..=MAX_MEMBERS).map(|n| member(&n.to_string(), b"")).collect();
        assert!(read_all(&archive(&many)).is_err());
        let mut negative = good.clone();
        negative[8 + 48..8 + 50].copy_from_slice(b"-3");
        assert!(read_all(&negative).is_err());
        let mut padding = good;
        padding[8 + 63] = b'x';
        assert!(read_all(&padding).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read_all(&archive(&[member("a", b"x"), tail]));
        }
    }
}
