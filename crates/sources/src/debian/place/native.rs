//! What scripts ask for that a file of this room makes, once everything is there.

use std::collections::BTreeSet;

/// Something that is made natively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Native {
    /// `/etc/ssl/certs`.
    Certificates,
    /// `/etc/ssl/certs/java/cacerts`.
    JavaCertificates,
    /// `/etc/pam.d/common-*`.
    Pam,
    /// `/etc/ld.so.cache`.
    LoaderCache,
}

/// What was asked for, by the names of commands and triggers.
pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<Native> {
    let native = |name| match name {
        "ldconfig" => Some(Native::LoaderCache),
        "update-ca-certificates" | "update-ca-certificates-fresh" => Some(Native::Certificates),
        "update-ca-certificates-java" | "update-ca-certificates-java-fresh" => Some(Native::JavaCertificates),
        "pam-auth-update" => Some(Native::Pam),
        _ => None,
    };
    names.filter_map(native).collect()
}
