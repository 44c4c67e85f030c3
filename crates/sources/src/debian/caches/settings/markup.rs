//! The subset of XML that GLib reads: elements, attributes, text, the five entities and numbers of characters.
//!
//! **Guarantees**: what is between comments, instructions and declarations is given in order. Nothing is looked up, and nothing
//! is larger than it was written.
//!
//! **Refuses**: what GLib refuses of structure: unclosed and crossed elements, unknown entities. Several roots it takes.

/// Most attributes of an element.
const MAX_ATTRIBUTES: usize = 64;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// An element begins.
    Start(&'a str, Vec<(&'a str, String)>),
    /// An element ends.
    End(&'a str),
    /// Text, entities replaced.
    Text(String),
}

/// A document that is being read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
    open: Vec<&'a str>,
    /// An element without content has ended where it began.
    empty: bool,
    begun: bool,
}

/// Why a document is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest, open: Vec::new(), empty: false, begun: false }
    }

    /// The names of the open elements.
    pub(super) fn open(&self) -> &[&'a str] {
        &self.open
    }

    /// The next event; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Event<'a>>, Broken> {
        if self.empty {
            self.empty = false;
            return self.open.pop().map(|name| Some(Event::End(name))).ok_or(Broken);
        }
        loop {
            if let Some(rest) = self.rest.strip_prefix("<!--") {
                self.rest = after(rest, "-->")?;
            } else if let Some(rest) = self.rest.strip_prefix("<![CDATA[") {
                let end = rest.find("]]>").ok_or(Broken)?;
                self.rest = &rest[end + 3..];
                if self.open.is_empty() {
                    return Err(Broken);
                }
                return Ok(Some(Event::Text(rest[..end].to_owned())));
            } else if let Some(rest) = self.rest.strip_prefix("<?") {
                self.rest = after(rest, "?>")?;
            } else if let Some(rest) = self.rest.strip_prefix("<!") {
                self.rest = declaration(rest)?;
            } else if let Some(rest) = self.rest.strip_prefix("</") {
                let (name, rest) = name(rest)?;
                self.rest = rest.trim_start().strip_prefix('>').ok_or(Broken)?;
                if self.open.pop() != Some(name) {
                    return Err(Broken);
                }
                return Ok(Some(Event::End(name)));
            } else if let Some(rest) = self.rest.strip_prefix('<') {
                return self.start(rest).map(Some);
            } else if self.rest.is_empty() {
                return if self.open.is_empty() && self.begun { Ok(None) } else { Err(Broken) };
            } else {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                if !self.open.is_empty() {
                    return unescaped(text).map(|text| Some(Event::Text(text)));
                }
                if !text.trim().is_empty() {
                    return Err(Broken);
                }
            }
        }
    }

    fn start(&mut self, rest: &'a str) -> Result<Event<'a>, Broken> {
        let (element, mut rest) = name(rest)?;
        let mut attributes: Vec<(&str, String)> = Vec::new();
        loop {
            let trimmed = rest.trim_start();
            if let Some(after) = trimmed.strip_prefix("/>") {
                (self.rest, self.empty) = (after, true);
                break;
            }
            if let Some(after) = trimmed.strip_prefix('>') {
                self.rest = after;
                break;
            }
            let (attribute, after) = name(trimmed)?;
            let value = after.trim_start().strip_prefix('=').ok_or(Broken)?.trim_start();
            let quote = value.chars().next().filter(|quote| matches!(quote, '\'' | '"')).ok_or(Broken)?;
            let value = &value[1..];
            let end = value.find(quote).ok_or(Broken)?;
            if attributes.len() == MAX_ATTRIBUTES || attributes.iter().any(|(known, _)| *known == attribute) {
                return Err(Broken);
            }
            attributes.push((attribute, unescaped(&value[..end])?));
            rest = &value[end + 1..];
        }
        self.begun = true;
        self.open.push(element);
        Ok(Event::Start(element, attributes))
    }
}

fn after<'a>(rest: &'a str, end: &str) -> Result<&'a str, Broken> {
    rest.find(end).map(|at| &rest[at + end.len()..]).ok_or(Broken)
}

/// What follows a declaration: its angle brackets are balanced.
fn declaration(rest: &str) -> Result<&str, Broken> {
    let mut depth = 1;
    for (at, c) in rest.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(&rest[at + 1..]);
        }
    }
    Err(Broken)
}

fn name(rest: &str) -> Result<(&str, &str), Broken> {
    let ends = |c: char| c.is_whitespace() || "=/>'\"<&".contains(c);
    let end = rest.find(ends).unwrap_or(rest.len());
    if end == 0 { Err(Broken) } else { Ok(rest.split_at(end)) }
}

fn unescaped(text: &str) -> Result<String, Broken> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (entity, after) = after.split_once(';').ok_or(Broken)?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            other => {
                let number = other.strip_prefix('#').ok_or(Broken)?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                let code = code.map_err(|_| Broken)?;
                char::from_u32(code).filter(|&c| c != '\0').ok_or(Broken)?
            }
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
