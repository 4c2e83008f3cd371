//! Where strings stop being plain, found for 64 bytes of text at a time.

use wide::u8x16;

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
    let (quarters, _) = block.as_chunks::<16>();
    let mask = |quarter: &[u8; 16]| {
        let bytes = u8x16::new(*quarter);
        // A quote is 0x22, the only byte above the control characters that this exchange brings to 0x20 or below.
        let swapped = bytes ^ u8x16::splat(2);
        let ends =
            swapped.simd_eq(swapped.min(u8x16::splat(0x20))) | bytes.simd_eq(u8x16::splat(b'\\'));
        u64::from(ends.to_bitmask())
    };
    mask(&quarters[0])
        | mask(&quarters[1]) << 16
        | mask(&quarters[2]) << 32
        | mask(&quarters[3]) << 48
}
