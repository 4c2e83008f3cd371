//! The report of results, synthetic and odd ones.

mod look;
mod synthetic;
mod tables;
