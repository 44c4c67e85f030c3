//! Prints the digests by which recipes know the hand-written scripts of packages.
//!
//! ```text
//! cargo run -p pinfold-sources --example script-digests -- SCRIPT...
//! ```
//!
//! Each SCRIPT is a `preinst` or `postinst`, as `dpkg-deb --control` unpacks them.
#![expect(clippy::disallowed_methods, reason = "an example prints")]

use std::error::Error;
use std::io::Write;

use pinfold_sources::debian::place::scripts::recipe_digest;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for path in std::env::args().skip(1) {
        match recipe_digest(&fs_err::read_to_string(&path)?) {
            Some(digest) => writeln!(out, "{} {path}", digest.hex())?,
            None => writeln!(out, "(nothing written by hand) {path}")?,
        }
    }
    Ok(())
}
