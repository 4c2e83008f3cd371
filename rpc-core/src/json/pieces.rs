//! The bytes of a stream that have arrived and are not read yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::delimit::Delimiter;
use super::scan::is_space;

/// Pieces in the order of their arrival, and the part of a value that earlier pieces held.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    /// The offset of the first unread byte in the document.
    offset: u64,
    /// What earlier pieces held of the name or value that is being read.
    partial: Vec<u8>,
}

/// A value is larger than the limit that it was read with.
pub(super) struct TooLarge;

impl Pieces {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The piece that is read next.
    pub(super) fn front(&self) -> Option<&Bytes> {
        self.pieces.front()
    }

    /// The offset of the first unread byte in the document.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset at which the value that is being read begins.
    pub(super) fn value_start(&self) -> u64 {
        self.offset - self.partial.len() as u64
    }

    /// What earlier pieces held of the value that is being read.
    pub(super) fn take_partial(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// Frees everything.
    pub(super) fn clear(&mut self) {
        self.pieces = VecDeque::new();
        self.partial = Vec::new();
    }

    /// Reads on until the value ends: its whole text, or `None` if more bytes are needed. Nothing more of it is consumed if it is
    /// larger than `limit`.
    pub(super) fn collect(
        &mut self,
        delimiter: &mut Delimiter,
        limit: usize,
    ) -> Result<Option<Bytes>, TooLarge> {
        while let Some(piece) = self.pieces.front_mut() {
            let end = delimiter.find_end(piece, 0);
            let length = end.unwrap_or(piece.len());
            if self.partial.len() + length > limit {
                return Err(TooLarge);
            }
            if end.is_some() && self.partial.is_empty() {
                let text = piece.split_to(length);
                self.offset += length as u64;
                self.drop_empty();
                return Ok(Some(text));
            }
            self.partial.extend_from_slice(&piece[..length]);
            self.consume(length);
            if end.is_some() {
                return Ok(Some(Bytes::from(std::mem::take(&mut self.partial))));
            }
        }
        Ok(None)
    }

    /// The first byte that is no white space, which stays unread.
    pub(super) fn peek_token(&mut self) -> Option<u8> {
        while let Some(piece) = self.pieces.front() {
            let spaces = piece.iter().take_while(|&&byte| is_space(byte)).count();
            let token = piece.get(spaces).copied();
            self.consume(spaces);
            if token.is_some() {
                return token;
            }
        }
        None
    }

    /// Drops the next `count` bytes, all in the first piece.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(piece) = self.pieces.front_mut() {
            piece.advance(count);
            self.offset += count as u64;
        }
        self.drop_empty();
    }

    fn drop_empty(&mut self) {
        if self.pieces.front().is_some_and(Bytes::is_empty) {
            self.pieces.pop_front();
        }
    }
}
