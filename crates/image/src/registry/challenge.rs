//! `WWW-Authenticate`, read strictly: several challenges in one header or in several, quoted commas (RFC 9110, section 11.6.1).
//!
//! **Guarantees**: bytes in, values out, bounded. **Refuses**: a parameter that comes twice, text behind a value without a comma,
//! more than the bounds below.

use std::collections::BTreeMap;

/// Longest header read, in bytes.
const MAX_HEADER: usize = 8 << 10;
/// Most challenges in one answer.
const MAX_CHALLENGES: usize = 16;
/// Most parameters of one challenge.
const MAX_PARAMETERS: usize = 32;

/// One way in that a server offers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Challenge {
    /// `basic`, `bearer` and so on, lower case.
    pub scheme: String,
    /// By name, lower case.
    pub parameters: BTreeMap<String, String>,
}

/// Reads all headers of that name.
pub fn read(headers: &[&str]) -> Result<Vec<Challenge>, &'static str> {
    let mut challenges = Vec::new();
    for header in headers {
        if header.len() > MAX_HEADER {
            return Err("its challenge is longer than 8 KiB");
        }
        let mut text = Text { bytes: header.as_bytes(), at: 0 };
        while text.skip_to_item() {
            if challenges.len() == MAX_CHALLENGES {
                return Err("it offers more than 16 challenges");
            }
            challenges.push(text.challenge()?);
        }
    }
    Ok(challenges)
}

struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Text<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) -> usize {
        let from = self.at;
        while self.peek().is_some_and(&skipped) {
            self.at += 1;
        }
        self.at - from
    }

    fn blank(&mut self) -> usize {
        self.skip(|byte| matches!(byte, b' ' | b'\t'))
    }

    /// To the next item of a list, whose items may be empty. Whether there is one.
    fn skip_to_item(&mut self) -> bool {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        self.peek().is_some()
    }

    fn is_at_end_of_item(&mut self) -> bool {
        self.blank();
        matches!(self.peek(), None | Some(b','))
    }

    fn token(&mut self) -> Option<String> {
        let from = self.at;
        self.skip(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        let token = self.bytes.get(from..self.at).filter(|token| !token.is_empty())?;
        Some(token.iter().copied().map(char::from).collect())
    }

    fn challenge(&mut self) -> Result<Challenge, &'static str> {
        let scheme = self.token().ok_or("its challenge has no scheme")?.to_ascii_lowercase();
        let mut challenge = Challenge { scheme, ..Challenge::default() };
        if self.blank() == 0 {
            return if self.is_at_end_of_item() {
                Ok(challenge)
            } else {
                Err("its challenge has an odd scheme")
            };
        }
        // One text instead of parameters, as `Negotiate` has it.
        let from = self.at;
        let read = self.skip(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        self.skip(|byte| byte == b'=');
        if read > 0 && self.is_at_end_of_item() {
            return Ok(challenge);
        }
        self.at = from;
        while self.skip_to_item() {
            let from = self.at;
            let name = self.token().ok_or("its challenge has a parameter without a name")?;
            self.blank();
            if self.peek() != Some(b'=') {
                // The scheme of the next challenge.
                self.at = from;
                break;
            }
            self.at += 1;
            self.blank();
            let value =
                if self.peek() == Some(b'"') { self.quoted()? } else { self.token().unwrap_or_default() };
            if !self.is_at_end_of_item() {
                return Err("its challenge has text behind a value");
            }
            if challenge.parameters.len() == MAX_PARAMETERS {
                return Err("its challenge has more than 32 parameters");
            }
            if challenge.parameters.insert(name.to_ascii_lowercase(), value).is_some() {
                return Err("its challenge has a parameter twice");
            }
        }
        Ok(challenge)
    }

    fn quoted(&mut self) -> Result<String, &'static str> {
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let byte = self.peek().ok_or("its challenge has a quote that does not end")?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(value).map_err(|_| "its challenge is no text"),
                b'\\' => {
                    value.push(self.peek().ok_or("its challenge has a quote that does not end")?);
                    self.at += 1;
                }
                _ => value.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(header: &str) -> Result<Vec<String>, &'static str> {
        let told = |challenge: Challenge| {
            let parameters: Vec<String> =
                challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", challenge.scheme, parameters.join(" ; ")).trim_end().to_owned()
        };
        read(&[header]).map(|found| found.into_iter().map(told).collect())
    }

    #[test]
    fn challenges_are_taken_apart() {
        // The third is the example of RFC 9110, section 11.6.1; the first that of the distribution specification's token page.
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#,
                &[
                    "bearer realm=https://auth.example/token ; scope=repository:a/b:pull,push ; service=registry.example",
                ][..],
            ),
            (r#"Basic realm="Registry Realm""#, &["basic realm=Registry Realm"]),
            (
                r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#,
                &["basic realm=simple", r#"newauth realm=apps ; title=Login to "apps" ; type=1"#],
            ),
            ("Negotiate, Basic realm=x", &["negotiate", "basic realm=x"]),
            ("Negotiate YWJj==, Bearer realm=\"y\"", &["negotiate", "bearer realm=y"]),
            (" , ,Bearer  REALM = \"a , b\" ,, Service=c ,", &["bearer realm=a , b ; service=c"]),
            ("Bearer error=\"\"", &["bearer error="]),
            ("", &[]),
        ] {
            assert_eq!(read_one(header).unwrap(), expected, "{header}");
        }
        assert_eq!(read(&["Basic realm=a", "Bearer realm=b"]).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        for header in [
            "\"quoted\"",
            "Bearer realm=\"open",
            "Bearer realm=\"open\\",
            "Bearer realm=\"a\" service=\"b\"",
            "Bearer realm=\"a\", realm=\"b\"",
            "Bearer realm=\"a\", Realm=\"b\"",
            "Bearer =x",
            "Bearer@x",
        ] {
            assert!(read_one(header).is_err(), "{header}");
        }
        let many = |n: usize, text: &str| vec![text; n].join(",");
        assert!(read_one(&many(16, "A")).is_ok() && read_one(&many(17, "A")).is_err());
        let parameters = |n: usize| (0..n).map(|n| format!("p{n}=x")).collect::<Vec<_>>().join(",");
        assert!(read_one(&format!("A {}", parameters(32))).is_ok());
        assert!(read_one(&format!("A {}", parameters(33))).is_err());
        assert!(read_one(&format!("A p=\"{}\"", "x".repeat(9000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\t]{0,60}") {
            let _ = read(&[&text]);
        }
    }
}
