//! Objects as they are written.
