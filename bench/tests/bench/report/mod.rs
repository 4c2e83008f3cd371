//! The report of results, synthetic and odd ones.

mod synthetic;
mod tables;
