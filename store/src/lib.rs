//! What a server keeps over a restart, in one file of redb.

#![forbid(unsafe_code)]
