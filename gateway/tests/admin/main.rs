//! The operator's pages, over real sockets and in a real browser.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod browser;
mod fixture;
mod pages;
