//! The report of results, synthetic and odd ones.

mod look;
mod losses;
mod markup;
mod page;
mod synthetic;
mod tables;
