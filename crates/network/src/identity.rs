//! Who speaks: tokens of sandboxes, and the list by which a proxy that serves many tells them apart.
//!
//! ```text
//!   token       32 random bytes, in a file as 64 lower-case hexadecimal digits     with the sandbox, nowhere else
//!   identities  NAME SHA256 POLICY [ADDRESS]     a line each, `#` begins a comment   with the proxy
//!
//!   SHA256   of the 32 bytes, as 64 lower-case hexadecimal digits
//!   NAME     1 to 253 of a-z 0-9 . -              what journal and limits go by
//!   POLICY   1 to 100 of A-Z a-z 0-9 . _ -        a policy of the proxy's configuration
//!   ADDRESS  the only address this identity connects from
//! ```
//!
//! **Guarantees**: pure; a token prints as nothing, and its memory is overwritten when it goes. The proxy keeps hashes alone: who
//! reads its list cannot pass for a sandbox. A token that is shown is hashed before it is looked for, so the time that takes says
//! nothing of the tokens that exist.
//!
//! **Refuses** a list whose last line has no end, which could be half of what was to be written (a line without its address would let
//! anybody in), and for the same reason one of no byte; a list with one line that cannot be read, two lines with one token (it would be two sandboxes), one name with two
//! policies, more than [`IDENTITIES_MAX`] lines. Two tokens of one name are allowed: that is how one is changed without a gap.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::digest::Algorithm;
use rustix::rand::GetRandomFlags;

/// Bytes of a token.
pub const TOKEN_BYTES: usize = 32;
/// The most identities of a proxy.
pub const IDENTITIES_MAX: usize = 1_000_000;
/// The longest line of an identities file.
const LINE_MAX: usize = 1_000;
/// The longest name of a sandbox, as of a name in DNS, and of a policy.
const NAME_MAX: usize = 253;
const POLICY_MAX: usize = 100;

/// The secret by which a sandbox is known. Printing it shows nothing of it.
pub struct Token(Box<[u8; TOKEN_BYTES]>);

impl Token {
    /// A new one, of the kernel's random bytes.
    pub fn generate() -> io::Result<Self> {
        let mut token = Self(Box::new([0; TOKEN_BYTES]));
        let mut filled = 0;
        while filled < TOKEN_BYTES {
            filled += rustix::rand::getrandom(&mut token.0[filled..], GetRandomFlags::empty())?;
        }
        Ok(token)
    }

    /// Reads the text of a token's file; white space around it is no part of it.
    pub fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let text = text.trim_ascii();
        if text.len() != 2 * TOKEN_BYTES {
            return Err(TokenError { bytes: text.len() });
        }
        let mut token = Self(Box::new([0; TOKEN_BYTES]));
        for (byte, digits) in token.0.iter_mut().zip(text.chunks_exact(2)) {
            let value = |digit: u8| match digit {
                b'0'..=b'9' => Ok(digit - b'0'),
                b'a'..=b'f' => Ok(digit - b'a' + 10),
                _ => Err(TokenError { bytes: text.len() }),
            };
            *byte = value(digits[0])? << 4 | value(digits[1])?;
        }
        Ok(token)
    }

    /// The token as it came over the wire.
    pub fn of(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(Box::new(bytes))
    }

    /// What is known of it elsewhere.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Digest::sha256(&self.0[..]))
    }

    /// The text of its file, with a line's end. It shows the token: it goes into that file and nowhere else.
    pub fn reveal(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(2 * TOKEN_BYTES + 1);
        for byte in self.0.iter() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text.push('\n');
        text
    }

    /// The bytes, for the preamble.
    pub(crate) fn expose(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a token)")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the writes from being dropped as dead stores.
        std::hint::black_box(&self.0);
    }
}

/// A text that is no token. It says nothing of the text but its length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 64 lower-case hexadecimal digits, and this is something else ({bytes} bytes)")]
pub struct TokenError {
    bytes: usize,
}

impl Diagnose for TokenError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("make a new one with its line in the identities: `pinfold kube --secrets DIR`".into())
    }
}

/// SHA-256 of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(Digest);

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl FromStr for TokenHash {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Digest::from_hex(Algorithm::Sha256, text).map(Self).map_err(|_| Problem::Hash)
    }
}

/// One sandbox, as the proxy knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    hash: TokenHash,
    policy: String,
    address: Option<IpAddr>,
}

impl Identity {
    /// An identity, or what is wrong with its name or its policy's.
    pub fn new(name: &str, hash: TokenHash, policy: &str, address: Option<IpAddr>) -> Result<Self, Problem> {
        let named = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(named) {
            return Err(Problem::Name);
        }
        if !is_policy_name(policy) {
            return Err(Problem::Policy);
        }
        // An address that is written as one of IPv6 is the same one.
        let address = address.map(|address| address.to_canonical());
        Ok(Self { name: name.to_owned(), hash, policy: policy.to_owned(), address })
    }

    /// What journal and limits go by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its token is known by.
    pub fn hash(&self) -> &TokenHash {
        &self.hash
    }

    /// The policy that it has.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The only address it may come from, if it is bound to one.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether a connection from `peer` can be its own.
    pub fn comes_from(&self, peer: IpAddr) -> bool {
        self.address.is_none_or(|address| address == peer.to_canonical())
    }

    fn read(line: &str) -> Result<Self, Problem> {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(hash), Some(policy)) = (words.next(), words.next(), words.next()) else {
            return Err(Problem::Words);
        };
        let address = words.next().map(|text| text.parse().map_err(|_| Problem::Address)).transpose()?;
        if words.next().is_some() {
            return Err(Problem::Words);
        }
        Self::new(name, hash.parse()?, policy, address)
    }
}

/// The line of an identities file, without its end.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.hash, self.policy)?;
        match self.address {
            Some(address) => write!(f, " {address}"),
            None => Ok(()),
        }
    }
}

/// Whether a policy may be called so.
pub fn is_policy_name(name: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.len() <= POLICY_MAX && name.bytes().all(named)
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not three or four words.
    #[error("a line is `NAME SHA256 POLICY` and perhaps an address")]
    Words,
    /// Not the name of a sandbox.
    #[error("the name is not 1 to 253 of `a-z0-9.-`")]
    Name,
    /// Not a hash.
    #[error("the hash is not 64 lower-case hexadecimal digits")]
    Hash,
    /// Not the name of a policy.
    #[error("the policy's name is not 1 to 100 of `A-Za-z0-9._-`")]
    Policy,
    /// Not an address.
    #[error("the address is none of IPv4 or IPv6")]
    Address,
    /// Bytes that are no text.
    #[error("it is not UTF-8")]
    Text,
    /// An endless line.
    #[error("the line is longer than 1,000 bytes")]
    Long,
    /// The same token on another line.
    #[error("its token is another line's, too")]
    Token,
    /// The same name with another policy.
    #[error("its name has another policy on another line")]
    OtherPolicy,
    /// Too many lines.
    #[error("there are more than 1,000,000 identities")]
    Many,
    /// A file that may have been cut.
    #[error("its last line has no end, so the file may be half of itself")]
    Cut,
    /// A file of no byte.
    #[error("the file is empty, as one that was not written to its end")]
    Empty,
}

/// A line of an identities file that cannot be used. Nothing of the line is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{file}`, line {line}: {problem}")]
pub struct IdentityError {
    file: String,
    line: usize,
    problem: Problem,
}

impl IdentityError {
    /// What is wrong.
    pub fn problem(&self) -> Problem {
        self.problem
    }
}

impl Diagnose for IdentityError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self.problem {
            Problem::Token => "give each sandbox a token of its own".into(),
            Problem::OtherPolicy => "give both lines one policy, or the sandboxes two names".into(),
            Problem::Many => "run a proxy for each part of the sandboxes".into(),
            Problem::Cut => {
                "write the file whole, with a newline at its end, beside the old one, and rename it over that"
                    .into()
            }
            Problem::Empty => "for a list of nobody write a line with a comment, such as `# nobody`".into(),
            _ => "write `NAME SHA256 POLICY [ADDRESS]`, where SHA256 is that of the token's 32 bytes".into(),
        })
    }
}

/// All sandboxes that a proxy knows.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    by_hash: BTreeMap<TokenHash, Identity>,
    policies: BTreeMap<String, String>,
}

impl Identities {
    /// Reads the files of a list: each with the name it has in errors.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, IdentityError> {
        let mut identities = Self::default();
        for (file, bytes) in files {
            let cut = match bytes {
                [] => Some(Problem::Empty),
                [.., b'\n'] => None,
                _ => Some(Problem::Cut),
            };
            if let Some(problem) = cut {
                let line = bytes.split(|&byte| byte == b'\n').count();
                return Err(IdentityError { file: file.to_owned(), line, problem });
            }
            for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
                identities.read_line(bytes).map_err(|problem| IdentityError {
                    file: file.to_owned(),
                    line,
                    problem,
                })?;
            }
        }
        Ok(identities)
    }

    fn read_line(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if bytes.len() > LINE_MAX {
            return Err(Problem::Long);
        }
        let line = std::str::from_utf8(bytes).map_err(|_| Problem::Text)?;
        let line = line.split('#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() { Ok(()) } else { self.add(Identity::read(line)?) }
    }

    /// Adds one.
    pub fn add(&mut self, identity: Identity) -> Result<(), Problem> {
        if self.by_hash.len() == IDENTITIES_MAX {
            return Err(Problem::Many);
        }
        if self.by_hash.contains_key(&identity.hash) {
            return Err(Problem::Token);
        }
        let policy = self.policies.entry(identity.name.clone()).or_insert_with(|| identity.policy.clone());
        if *policy != identity.policy {
            return Err(Problem::OtherPolicy);
        }
        self.by_hash.insert(identity.hash.clone(), identity);
        Ok(())
    }

    /// Whose token it is.
    pub fn find(&self, hash: &TokenHash) -> Option<&Identity> {
        self.by_hash.get(hash)
    }

    /// All of them, in the order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.by_hash.values()
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}

/// The text of a file with all of them.
impl fmt::Display for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("# nobody\n");
        }
        self.iter().try_for_each(|identity| writeln!(f, "{identity}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// By `printf '%064d' 0 | xxd -r -p | sha256sum`.
    const ZERO: &str = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";

    fn parse(text: &str) -> Result<Identities, IdentityError> {
        Identities::parse([("a", text.as_bytes())])
    }

    fn hash(number: usize) -> String {
        Digest::sha256(number.to_string().as_bytes()).hex()
    }

    #[test]
    fn a_token_is_known_by_its_hash_and_never_shown() {
        let text = "0".repeat(64);
        let token = Token::parse(format!(" {text}\n").as_bytes()).unwrap();
        assert_eq!(token.hash().to_string(), ZERO);
        assert_eq!(token.reveal(), format!("{text}\n"));
        let one = Token::generate().unwrap();
        let again = Token::parse(one.reveal().as_bytes()).unwrap();
        assert_eq!((one.hash(), one.reveal()), (again.hash(), again.reveal()));
        assert_ne!(one.hash(), Token::generate().unwrap().hash());
        let said = format!("{one} {one:?} {:?}", Some(&one));
        let digits = one.reveal();
        // Negative control: the window would be found where the token is.
        let shows = |said: &str| {
            digits.trim().as_bytes().windows(8).any(|part| said.as_bytes().windows(8).any(|at| at == part))
        };
        assert!(!shows(&said) && shows(&digits), "{said}");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_shown() {
        for text in
            ["", "0", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"g".repeat(64), &"é".repeat(32)]
        {
            let error = Token::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(text.is_empty() || text == "0" || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn lines_are_read_and_written() {
        let text = format!(
            "# sandboxes\n\na-1.team {ZERO} claude-code\n  b {} codex 10.0.0.7 # bound\r\nb {} codex ::ffff:10.0.0.8\n",
            hash(1),
            hash(2),
        );
        let identities = parse(&text).unwrap();
        assert_eq!(identities.len(), 3);
        let first = identities.find(&ZERO.parse().unwrap()).unwrap();
        assert_eq!((first.name(), first.policy(), first.address()), ("a-1.team", "claude-code", None));
        assert!(first.comes_from("192.0.2.1".parse().unwrap()));
        let bound = identities.find(&hash(1).parse().unwrap()).unwrap();
        assert!(bound.comes_from("10.0.0.7".parse().unwrap()));
        assert!(bound.comes_from("::ffff:10.0.0.7".parse().unwrap()));
        assert!(!bound.comes_from("10.0.0.8".parse().unwrap()));
        assert!(identities.find(&hash(2).parse().unwrap()).unwrap().comes_from("10.0.0.8".parse().unwrap()));
        assert!(identities.find(&hash(3).parse().unwrap()).is_none());
        let written = identities.to_string();
        let again: Vec<_> = parse(&written).unwrap().iter().cloned().collect();
        assert_eq!(again, identities.iter().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn one_wrong_line_is_the_lists_end_and_is_named() {
        use Problem as P;
        let (one, two) = (hash(1), hash(2));
        let long = format!("{} {one} p", "a".repeat(254));
        for (line, problem) in [
            ("a", P::Words),
            (&format!("a {one}"), P::Words),
            (&format!("a {one} p 10.0.0.1 more"), P::Words),
            (&format!("A {one} p"), P::Name),
            (&format!("a_b {one} p"), P::Name),
            (&long, P::Name),
            (&format!("a {} p", &one[1..]), P::Hash),
            (&format!("a {} p", one.to_uppercase()), P::Hash),
            (&format!("a {one} p/q"), P::Policy),
            (&format!("a {one} p 10.0.0"), P::Address),
            (&format!("a {one} p host"), P::Address),
            (&"x".repeat(1_001), P::Long),
            (&format!("b {two} p"), P::Token),
            (&format!("z {one} q"), P::OtherPolicy),
        ] {
            let error = parse(&format!("z {two} p\n{line}\n")).unwrap_err();
            assert_eq!(error.problem(), problem, "{line}");
            assert!(error.to_string().starts_with("`a`, line 2: "), "{error}");
            assert!(!error.to_string().contains(&one), "{error}");
        }
        assert_eq!(Identities::parse([("a", &b"\xff\n"[..])]).unwrap_err().problem(), P::Text);
        // The same token in another file is the same token.
        let line = format!("a {one} p\n");
        let twice = Identities::parse([("a", line.as_bytes()), ("b", line.as_bytes())]);
        assert_eq!(twice.unwrap_err().to_string(), "`b`, line 1: its token is another line's, too");
    }

    /// What a writer that was interrupted has left behind could be a line of fewer words, which binds to no address.
    #[test]
    fn half_a_list_is_none() {
        let whole = format!("a {} p\nb {} p 10.1.2.3\n", hash(1), hash(2));
        assert_eq!(parse(&whole).unwrap().len(), 2);
        for cut in 0..whole.len() {
            let read = parse(&whole[..cut]).map(|read| read.len()).map_err(|error| error.problem());
            let expected = match cut {
                0 => Err(Problem::Empty),
                // All of its first line.
                _ if whole[..cut].ends_with('\n') => Ok(1),
                _ => Err(Problem::Cut),
            };
            assert_eq!(read, expected, "{cut}");
        }
        let error = parse(&whole[..whole.len() - " 10.1.2.3\n".len()]).unwrap_err();
        assert!(error.to_string().starts_with("`a`, line 2: its last line has no end"), "{error}");
        assert!(error.hint().unwrap().contains("rename"));
        assert!(parse("# nobody\n").unwrap().is_empty());
        assert!(parse(&Identities::default().to_string()).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(identities) = Identities::parse([("a", &bytes[..])]) {
                let written = identities.to_string();
                prop_assert_eq!(parse(&written).unwrap().len(), identities.len());
            }
            let _ = Token::parse(&bytes);
        }
    }
}
