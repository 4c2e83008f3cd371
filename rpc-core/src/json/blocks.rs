//! Where strings stop being plain, found for 64 bytes of text at a time.

use super::scan::ends_of_run;

/// The `"`, `\` and control characters of one block of 64 bytes, as bits.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Where the block begins: a multiple of 64, or nowhere yet.
    base: usize,
    ends: u64,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        // No place lies in this block.
        Self { base: 1, ends: 0 }
    }

    /// The first `"`, `\` or control character at `from` or behind it; or a place at or behind the end of the text.
    #[inline(always)]
    pub(super) fn next_end(&mut self, text: &[u8], from: usize) -> usize {
        let mut at = from;
        if at & !63 != self.base {
            self.base = at & !63;
            self.ends = ends(text, self.base);
        }
        loop {
            let rest = self.ends >> (at & 63);
            if rest != 0 {
                return at + rest.trailing_zeros() as usize;
            }
            self.base += 64;
            at = self.base;
            self.ends = ends(text, self.base);
        }
    }
}

#[inline(always)]
fn ends(text: &[u8], base: usize) -> u64 {
    match text.get(base..).and_then(|rest| rest.first_chunk::<64>()) {
        Some(block) => ends_of(block),
        None => last_ends(text, base),
    }
}

/// The last block is filled up with what ends a run.
#[cold]
#[inline(never)]
fn last_ends(text: &[u8], base: usize) -> u64 {
    let mut block = [0; 64];
    let rest = text.get(base..).unwrap_or_default();
    block[..rest.len()].copy_from_slice(rest);
    ends_of(&block)
}

#[inline(always)]
fn ends_of(block: &[u8; 64]) -> u64 {
    let (quarters, _) = block.as_chunks();
    quarters.iter().rev().fold(0, |ends, quarter| {
        ends << 16 | u64::from(ends_of_run(quarter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::scan::plain_run;

    #[test]
    fn ends_are_found_from_any_place_in_texts_of_any_length() {
        // Ends that lie 1, 2, 3 … bytes apart.
        let mut text = Vec::new();
        for gap in 0..140 {
            text.extend(std::iter::repeat_n(b'a', gap));
            text.push(b"\"\\\n"[gap % 3]);
        }
        for length in [0, 1, 63, 64, 65, 127, 128, 129, 1000, text.len()] {
            let text = &text[..length];
            for step in [1, 2, 7, 63, 64, 65, 200] {
                let mut blocks = Blocks::new();
                for from in (0..=length).step_by(step) {
                    let end = blocks.next_end(text, from);
                    assert_eq!(end.min(length), plain_run(text, from), "{length}, {from}");
                }
            }
        }
    }
}
