//! What the demo says in the end: a table, what was proven, what differs; for people or as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::{measure::Row, room::LargeJoin};

/// The whole outcome.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    pub(crate) room: RoomReport,
    pub(crate) transports: Vec<&'static str>,
    /// Joins of the large room; none for a file.
    pub(crate) joins: Vec<LargeJoin>,
    pub(crate) calls: Vec<Row>,
    pub(crate) proven: Vec<String>,
    pub(crate) unchecked: Vec<String>,
    pub(crate) differences: Vec<String>,
    /// Entries of the file that were left out.
    pub(crate) skipped: Vec<String>,
    pub(crate) seconds: f64,
}

/// The room that was carried.
#[derive(Debug, Serialize)]
pub(crate) struct RoomReport {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    /// Where it comes from: `made here`, or the file's path. One that is made here is made for each transport anew; this is the first, and the
    /// others are as large.
    pub(crate) source: String,
    /// Entries of the file that were there before.
    pub(crate) repeated: usize,
}

impl Report {
    /// The text for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let room = &self.room;
        // A file's room is the same behind each transport; of those that are made here, each transport has one.
        let one = match self.joins.len() {
            0 => "Room",
            _ => "For each transport a room like",
        };
        let _ = writeln!(
            text,
            "{one} {} (version {}, {}): {}, {}\n",
            room.id,
            room.version,
            room.source,
            counted(room.events, "event"),
            bytes(room.bytes as f64)
        );
        if room.repeated > 0 {
            let _ = writeln!(
                text,
                "{} repeated entries are held once\n",
                count(room.repeated)
            );
        }
        self.write_joins(&mut text);
        self.write_table(&mut text);
        let sections = [
            ("Proven", &self.proven),
            ("Not checked", &self.unchecked),
            ("Left out of the room", &self.skipped),
            ("DIFFERENCES", &self.differences),
        ];
        for (title, lines) in sections {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}");
                for line in lines {
                    let _ = writeln!(text, "  - {line}");
                }
            }
        }
        let _ = writeln!(text, "\n{:.1} s; {}", self.seconds, self.conclusion());
        text
    }

    fn conclusion(&self) -> String {
        match (self.differences.len(), self.skipped.len()) {
            (0, 0) => "nothing differs".to_owned(),
            (0, skipped) => {
                format!("nothing differs; {skipped} entries of the file could not be used")
            }
            (differences, _) => format!("{differences} differences"),
        }
    }

    fn write_joins(&self, text: &mut String) {
        if self.joins.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "{:<27} {:>12} {:>10} {:>22}",
            "join of such a room, over", "state events", "time", "live heap of a stream"
        );
        for join in &self.joins {
            let _ = writeln!(
                text,
                "{:<27} {:>12} {:>10} {:>22}",
                join.transport,
                count(join.events),
                time(join.seconds * 1e6),
                bytes(join.live_heap as f64),
            );
        }
        text.push_str(
            "Time: checked, authorized and kept. Live heap: both servers together, above what they hold, while a join streams and nothing is kept.\n\n",
        );
    }

    fn write_table(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "{:<17} {:<8} {:>6} {:>10} {:>10} {:>12} {:>12}",
            "operation", "over", "calls", "p50", "p99", "sent/call", "recvd/call"
        );
        let mut operation = "";
        for row in &self.calls {
            let name = if row.operation == operation {
                ""
            } else {
                row.operation
            };
            operation = row.operation;
            let per_call = |total: Option<u64>| {
                total.map_or_else(
                    || "–".to_owned(),
                    |total| bytes(total as f64 / row.calls as f64),
                )
            };
            let _ = writeln!(
                text,
                "{name:<17} {:<8} {:>6} {:>10} {:>10} {:>12} {:>12}",
                row.transport,
                count(row.calls),
                time(row.p50_us),
                time(row.p99_us),
                per_call(row.bytes_sent),
                per_call(row.bytes_received),
            );
        }
    }
}

/// A number with its thousands set apart.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of these: `1 event`, `2 events`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(number))
}

fn time(microseconds: f64) -> String {
    match microseconds {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

pub(crate) fn bytes(number: f64) -> String {
    match number {
        b if b < 1024.0 => format!("{b:.0} B"),
        b if b < 1024.0 * 1024.0 => format!("{:.1} KiB", b / 1024.0),
        b => format!("{:.1} MiB", b / (1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [count(7), count(1_000), count(1_234_567)],
            ["7", "1,000", "1,234,567"]
        );
        assert_eq!(
            [time(12.4), time(1_500.0), time(2.5e6)],
            ["12 µs", "1.50 ms", "2.50 s"]
        );
        assert_eq!(
            [bytes(12.0), bytes(2048.0), bytes(3.5 * 1048576.0)],
            ["12 B", "2.0 KiB", "3.5 MiB"]
        );
    }
}
