//! The report of results, synthetic and odd ones.

mod look;
mod markup;
mod page;
mod synthetic;
mod tables;
