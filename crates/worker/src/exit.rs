//! How the worker ends.

use std::fmt;

/// Why it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By a signal.
    Stopped,
    /// The command line; what is wrong with it.
    Usage(String),
    /// Queue or state cannot be used.
    Damaged(String),
    /// The provider failed too often in a row.
    Provider(String),
    /// It is to be started again.
    Again(String),
    /// There is no key.
    NoKey(String),
    /// Something that cannot be.
    Bug(String),
}

impl Exit {
    /// The code (`sysexits.h` where it has one).
    pub fn code(&self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Usage(_) => 64,
            Self::Damaged(_) => 65,
            Self::Provider(_) => 69,
            Self::Bug(_) => 70,
            Self::Again(_) => 75,
            Self::NoKey(_) => 77,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Usage(why) => f.write_str(why),
            Self::Damaged(why) => write!(f, "the queue cannot be used: {why}"),
            Self::Provider(why) => write!(f, "the provider cannot be used: {why}"),
            Self::Again(why) => write!(f, "to be started again: {why}"),
            Self::NoKey(why) => write!(f, "no key: {why}"),
            Self::Bug(why) => write!(f, "this is an error in the worker: {why}"),
        }
    }
}
