//! Caches that packages make when they are installed by starting a program, and that programs need when they run.
//!
//! Values from values: what lies in the directories goes in, the bytes of the cache come out, as the program writes them. The
//! commands of the scripts (`script::commands::caches`) read and write the tree.
//!
//! **Guarantees**: equal files give equal bytes, those of the suite's own program; nothing of a package is run.

pub(in crate::debian) mod capabilities;
pub(in crate::debian) mod modules;
pub(in crate::debian) mod settings;
