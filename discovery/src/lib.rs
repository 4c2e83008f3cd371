//! From a server name to where to connect, and which bindings the server offers there.

#![forbid(unsafe_code)]
