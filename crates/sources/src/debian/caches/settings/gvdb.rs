//! GVDB, the format of compiled settings: hash tables of names, with values of GVariant, in one file.
//!
//! ```text
//! "GVariant"  version  options  root                 a pointer is start and end; all numbers are little-endian, of four bytes
//! table   bloom  buckets  first item of each bucket  items
//! item    hash  parent  start of its name  length of its name (2)  type (1)  0  pointer
//! type    v: a value, boxed in a variant    L: indexes of children    H: another table
//! ```
//!
//! Programs find any order of items; the order here is that of `glib-compile-schemas`, so that its files can be compared. It
//! comes from two hash tables: one of the library's, whose order of places is [`Table`]'s, and that of the file.
//!
//! **Guarantees**: equal names in equal order give equal bytes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A hash table as the library lays it out: open addressing, quadratic probing, sizes of powers of two. Names go in once.
#[derive(Debug)]
pub(super) struct Table<T> {
    items: Vec<(String, T)>,
    by_name: BTreeMap<String, usize>,
    /// By place: hash and index in `items`.
    places: Vec<Option<(u32, usize)>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { items: Vec::new(), by_name: BTreeMap::new(), places: (0..8).map(|_| None).collect() }
    }
}

/// The largest primes below powers of two, by exponent: names are spread over these.
const PRIMES: [usize; 21] = [
    1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071, 262_139,
    524_287, 1_048_573,
];

impl<T> Table<T> {
    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.by_name.get(name).map(|&at| &self.items[at].1)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.by_name.get(name).map(|&at| &mut self.items[at].1)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Puts a new name.
    pub(super) fn insert(&mut self, name: &str, value: T) {
        let index = self.items.len();
        self.items.push((name.to_owned(), value));
        self.by_name.insert(name.to_owned(), index);
        // 0 and 1 mark places without a name.
        let hash = match hash(name) {
            0 | 1 => 2,
            hash => hash,
        };
        let place = self.free(hash, |place| self.places[place].is_some());
        self.places[place] = Some((hash, index));
        let used = self.items.len();
        if self.places.len() <= used + used / 16 {
            self.grow(used);
        }
    }

    /// Takes names away, as if they had never been.
    pub(super) fn remove(&mut self, names: &BTreeSet<String>) {
        for (name, value) in std::mem::take(self).items {
            if !names.contains(&name) {
                self.insert(&name, value);
            }
        }
    }

    /// In the order of places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.places.iter().flatten().map(|&(_, at)| (self.items[at].0.as_str(), &self.items[at].1))
    }

    fn free(&self, hash: u32, taken: impl Fn(usize) -> bool) -> usize {
        let prime = PRIMES[(self.places.len().trailing_zeros() as usize).min(PRIMES.len() - 1)];
        let (mut place, mut step) = (hash.wrapping_mul(11) as usize % prime, 0);
        while taken(place) {
            step += 1;
            place = (place + step) & (self.places.len() - 1);
        }
        place
    }

    /// Makes room, moving names in the order in which the library does: whoever is in the way is moved next.
    fn grow(&mut self, used: usize) {
        let wanted = used * 1333 / 1000;
        let size = (wanted + 1).next_power_of_two().max(8);
        let old = self.places.len();
        self.places.resize_with(size.max(old), || None);
        let mut settled = vec![false; self.places.len()];
        for at in 0..old {
            if settled[at] {
                continue;
            }
            let mut moving = self.places[at].take();
            while let Some((hash, index)) = moving {
                let place = self.free(hash, |place| settled[place]);
                settled[place] = true;
                moving = self.places[place].replace((hash, index));
            }
        }
    }
}

/// The hash of Bernstein, of signed bytes.
fn hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| {
        hash.wrapping_mul(33).wrapping_add(i32::from(byte.cast_signed()).cast_unsigned())
    })
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Item {
    /// The one nameless item of a table: all items with a parent are below it.
    Root,
    /// A value's bytes, already boxed, below the root or not.
    Value(Vec<u8>, bool),
    /// A table of its own, below the root.
    Table(Table<Item>),
}

/// A file with this table.
pub(super) fn file(table: &Table<Item>) -> Vec<u8> {
    let mut out = b"GVariant\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let (start, end) = write(&mut out, table);
    out[16..20].copy_from_slice(&number(start));
    out[20..24].copy_from_slice(&number(end));
    out
}

/// Sizes are far below 4 GiB: sources are bounded.
fn number(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}

fn aligned(out: &mut Vec<u8>, to: usize) -> usize {
    out.resize(out.len().next_multiple_of(to), 0);
    out.len()
}

fn write(out: &mut Vec<u8>, table: &Table<Item>) -> (usize, usize) {
    let count = table.items.len();
    let mut buckets: Vec<Vec<(&str, &Item)>> = (0..count).map(|_| Vec::new()).collect();
    for (name, item) in table.iter() {
        buckets[hash(name) as usize % count].push((name, item));
    }
    // Each is put before those that are in its bucket already.
    let order: Vec<(&str, &Item)> = buckets.iter().flat_map(|bucket| bucket.iter().rev().copied()).collect();
    let index: BTreeMap<&str, usize> = order.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();

    let start = aligned(out, 4);
    out.extend(number(5 << 27));
    out.extend(number(count));
    let mut first = 0;
    for bucket in &buckets {
        out.extend(number(first));
        first += bucket.len();
    }
    let items = out.len();
    out.resize(items + 24 * count, 0);
    let end = out.len();
    for (at, (name, item)) in order.iter().enumerate() {
        let parent = match item {
            Item::Value(_, true) | Item::Table(_) => index.get("").map_or(u32::MAX, |&root| root as u32),
            _ => u32::MAX,
        };
        let name_start = out.len();
        out.extend(name.bytes());
        let (kind, (value_start, value_end)) = match item {
            Item::Value(bytes, _) => {
                let start = aligned(out, 8);
                out.extend(bytes);
                (b'v', (start, out.len()))
            }
            Item::Table(table) => (b'H', write(out, table)),
            Item::Root => {
                let below = |item: &Item| matches!(item, Item::Value(_, true) | Item::Table(_));
                let children: Vec<usize> =
                    index.iter().filter(|&(_, &at)| below(order[at].1)).map(|(_, &at)| at).collect();
                if children.is_empty() {
                    (0, (0, 0))
                } else {
                    let start = aligned(out, 4);
                    out.extend(children.iter().flat_map(|&child| number(child)));
                    (b'L', (start, out.len()))
                }
            }
        };
        let mut entry = Vec::with_capacity(24);
        entry.extend(hash(name).to_le_bytes());
        entry.extend(parent.to_le_bytes());
        entry.extend(number(name_start));
        entry.extend((name.len() as u16).to_le_bytes());
        entry.extend([kind, 0]);
        entry.extend(number(value_start));
        entry.extend(number(value_end));
        out[items + 24 * at..][..24].copy_from_slice(&entry);
    }
    (start, end)
}
