//! Behaviour of discovery: a DNS server, HTTPS servers and peers of the test's own, on real sockets of the loopback interface.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod caching;
mod crowds;
mod dns;
mod explanations;
mod hints;
mod hostile_addresses;
mod hostile_dns;
mod hostile_web;
mod refreshing;
mod services;
mod setting;
mod steps;
mod web;
