//! Behaviour of discovery: a DNS server, HTTPS servers and peers of the test's own, on real sockets of the loopback interface.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod dns;
mod setting;
mod steps;
mod web;
