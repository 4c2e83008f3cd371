//! Hostile text costs time in proportion to its length, whatever its shape.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use bytes::Bytes;
use comity_core::json::{Object, Value};
use rustix::time::{ClockId, clock_gettime};

const NO_LIMIT: usize = usize::MAX;

fn value(text: &str) -> Value {
    Value::parse(Bytes::copy_from_slice(text.as_bytes()), NO_LIMIT).unwrap()
}

fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// The CPU time of reading a text, the least of a few.
fn cost(text: &[u8]) -> Duration {
    let bytes = Bytes::copy_from_slice(text);
    let once = || {
        let begun = thread_cpu();
        // Refused or not, it costs.
        drop(Object::parse(bytes.clone(), NO_LIMIT));
        drop(Value::parse(bytes.clone(), NO_LIMIT));
        thread_cpu() - begun
    };
    (0..4).map(|_| once()).min().unwrap()
}

/// Sixteen times the text costs sixteen times as much, or a bit more for sorting and for what no cache holds; if it cost the square,
/// it would be 256 times.
fn in_proportion(what: &str, text: impl Fn(usize) -> Vec<u8>) {
    let (short, long) = (text(SHORT), text(16 * SHORT));
    let ratio = cost(&long).as_secs_f64() / cost(&short).as_secs_f64();
    assert!(ratio < 100.0, "{what}: {ratio}");
}

const SHORT: usize = 2_000;

/// `n` members from `names`, as text.
fn members(names: impl Iterator<Item = String>) -> Vec<u8> {
    let members: Vec<_> = names.map(|name| format!("\"{name}\":0")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

fn levels(open: &str, close: &str, n: usize) -> Vec<u8> {
    format!("{}0{}", open.repeat(n), close.repeat(n)).into_bytes()
}

fn string(of: &str, n: usize) -> Vec<u8> {
    format!("{{\"a\":\"{}\"}}", of.repeat(n)).into_bytes()
}

/// An order without pattern.
fn scattered(n: usize) -> impl Iterator<Item = usize> {
    (0..n).map(|at| at.wrapping_mul(0x9e37_79b9) % 1_000_003)
}

#[test]
fn many_members_in_any_order_cost_in_proportion() {
    in_proportion("descending", |n| {
        members((0..n).rev().map(|at| format!("{at:07}")))
    });
    in_proportion("scattered", |n| {
        members(scattered(n).map(|at| format!("{at:07}")))
    });
    in_proportion("scattered behind one beginning", |n| {
        members(scattered(n).map(|at| format!("beginning{at:07}")))
    });
    in_proportion("scattered, escaped", |n| {
        members(scattered(n).map(|at| format!("\\u0061{at:07}")))
    });
    in_proportion("one name again and again", |n| {
        members((0..n).map(|_| "a".to_owned()))
    });
    in_proportion("two names in turn", |n| {
        members((0..n).map(|at| (at % 2).to_string()))
    });
    in_proportion("long names that differ at their ends", |n| {
        let beginning = "x".repeat(1_000);
        members(scattered(n / 100).map(|at| format!("{beginning}\\n{at:07}")))
    });
}

#[test]
fn deep_nesting_costs_in_proportion() {
    in_proportion("disordered at each level", |n| {
        levels("{\"b\":1,\"a\":", "}", n)
    });
    in_proportion("disordered around each level", |n| {
        levels("{\"b\":", ",\"a\":1}", n)
    });
    in_proportion("disordered at each second level", |n| {
        levels("{\"b\":1,\"a\":{\"a\":[", "]}}", n)
    });
    in_proportion("repeated at each level", |n| {
        levels("{\"a\":1,\"a\":", "}", n)
    });
    in_proportion("overridden at each level", |n| {
        levels("{\"a\":", ",\"a\":1}", n)
    });
    in_proportion("arrays", |n| levels("[", "]", 4 * n));
    in_proportion("arrays that do not end", |n| b"[".repeat(8 * n));
    in_proportion("spaces at each level", |n| levels("[ ", " ]", 2 * n));
}

#[test]
fn long_runs_cost_in_proportion() {
    for escape in ["\\u00e9", "\\ud83d\\ude00", "\\/", "\\n", "\\u0001", "é"] {
        in_proportion(escape, |n| string(escape, 4 * n));
    }
    in_proportion("escapes in a name", |n| {
        format!("{{\"{0}b\":0,\"{0}a\":0}}", "\\u0061".repeat(2 * n)).into_bytes()
    });
    in_proportion("spaces", |n| {
        format!("[1,{}\t2]", " ".repeat(16 * n)).into_bytes()
    });
    in_proportion("digits", |n| {
        format!("[1.{}]", "0".repeat(16 * n)).into_bytes()
    });
    in_proportion("bytes that are no UTF-8 at the end", |n| {
        [string("abcdefgh", 4 * n), vec![0xff]].concat()
    });
}

#[test]
fn a_departure_from_canonical_form_costs_in_proportion_wherever_it_is() {
    in_proportion("at the end of many elements", |n| {
        format!("{{\"a\":[{}-0]}}", "{},".repeat(4 * n)).into_bytes()
    });
    in_proportion("in each element", |n| {
        format!("{{\"a\":[{}0]}}", "{\"b\":1,\"a\":[2]},".repeat(n)).into_bytes()
    });
    in_proportion("the last member belongs before all others", |n| {
        let names = (1..n).map(|at| format!("{at:07}"));
        members(names.chain(["0".to_owned()]))
    });
    in_proportion("at the end of one large element", |n| {
        format!("[[{}0] ]", "0,".repeat(8 * n)).into_bytes()
    });
}

#[test]
fn a_million_levels_are_put_in_order() {
    let n = 1_000_000;
    let disordered = levels("{\"b\":1,\"a\":", "}", n);
    let ordered = levels("{\"a\":", ",\"b\":1}", n);
    let read = value(std::str::from_utf8(&disordered).unwrap());
    assert_eq!(read.as_bytes(), ordered);
    assert_eq!(read.facts().depth, n as u32);
}
