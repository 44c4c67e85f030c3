//! Objects as they are judged.
