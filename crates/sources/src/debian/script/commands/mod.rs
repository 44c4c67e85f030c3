//! The commands that maintainer scripts use, each with the options that they use; any other option stops the evaluation.
//!
//! ```text
//! files      mkdir rmdir rm cp mv ln chmod chown chgrp touch install mktemp readlink realpath stat basename dirname
//! text       cat head tail cut tr sort uniq wc seq tee expr …    grep sed awk find xargs    regex: POSIX expressions
//! dpkg       dpkg dpkg-query dpkg-divert dpkg-statoverride dpkg-trigger    alternatives    accounts    debconf
//! caches     what is made natively when everything is there
//! system     who runs what, and tools of Debian    machine: answers about where it runs
//! perl_substitution    where a script has Perl do what sed does
//! ucf        configuration files that scripts put into /etc
//! registers  lists that several packages keep by a program of one
//! apache, servers    what switches on a part of a server's configuration
//! not_done   what is not wanted in a shared image, and what the image lacks for it
//! ```
//!
//! A command is a function of the shell that runs it and its words, with its name first. It writes with [`Shell::say`] and reads
//! with [`Shell::read_all`]; what it changes in the world is noted there.

mod accounts;
mod alternatives;
mod apache;
mod awk;
mod caches;
mod compare;
pub(super) mod debconf;
mod dpkg;
mod expr;
mod files;
mod find;
mod getopt;
mod grep;
mod listing;
mod machine;
mod not_done;
mod options;
mod perl;
mod perl_substitution;
mod regex;
mod registers;
mod sed;
mod servers;
mod sort;
mod system;
mod text;
mod ucf;
mod xargs;

use std::rc::Rc;

use super::shell::Shell;
use super::shell::Status;

/// A word of a command.
pub(super) type Word = Rc<[u8]>;
/// A command: the shell that runs it, its words with its name first.
pub(super) type Command = fn(&mut Shell<'_, '_>, &[Word]) -> Status;

pub(super) use self::not_done::by_convention;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "awk" | "mawk" | "original-awk" => awk::run,
        "egrep" | "fgrep" | "grep" => grep::run,
        "expr" => expr::run,
        "find" => find::find,
        "getopt" => getopt::run,
        "perl" => perl_substitution::run,
        "sed" => sed::run,
        "sort" => sort::run,
        "update-alternatives" => alternatives::run,
        "xargs" => xargs::xargs,
        _ => {
            let rooms = [
                files::find,
                text::find,
                caches::find,
                compare::find,
                dpkg::find,
                accounts::find,
                apache::find,
                servers::find,
                system::find,
                listing::find,
                machine::find,
                registers::find,
                ucf::find,
                not_done::find,
            ];
            return rooms.iter().find_map(|find| find(name));
        }
    })
}

/// A word as text; bytes that are no UTF-8 are replaced.
fn as_text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}
