//! What is spoken on the way: heads of HTTP/1.1, chunked bodies, what TLS says in the open.
//!
//! Everything here comes from somebody who may want two parsers to disagree. So each reader takes bytes, does no I/O, has
//! a limit on what it takes, knows one spelling and refuses the rest; what is passed on is written anew from the value.

pub mod body;
pub mod greeting;
pub mod head;
pub mod hello;
pub mod preamble;
