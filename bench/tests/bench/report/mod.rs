//! The report of results, synthetic and odd ones.

mod comparisons;
mod look;
mod losses;
mod markup;
mod page;
mod synthetic;
mod tables;
