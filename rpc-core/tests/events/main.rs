//! Events and room versions: what becomes of an event on receipt, held against ruma's implementation and a real server's events.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod edus;
mod extensible;
mod fates;
mod fields;
mod jcs;
mod keys;
mod oracle;
mod registry;
mod setting;
mod types;
