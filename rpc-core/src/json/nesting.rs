//! Which containers are open: one bit for each level, on the heap.

/// A stack of bits. `true` is an object, `false` an array.
///
/// The newest 64 levels sit in a register, older ones are spilt to the heap: a body of `n` bytes costs at most `n / 8` bytes here.
#[derive(Debug, Default, Clone)]
pub(super) struct Nesting {
    newest: u64,
    spilt: Vec<u64>,
    depth: u32,
}

impl Nesting {
    /// How many containers are open.
    #[inline(always)]
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// Is the innermost container an object? Meaningless at depth 0.
    #[inline(always)]
    pub(super) fn in_object(&self) -> bool {
        self.newest & 1 == 1
    }

    #[inline(always)]
    pub(super) fn open(&mut self, object: bool) {
        if self.depth.is_multiple_of(64) && self.depth != 0 {
            self.spilt.push(self.newest);
        }
        self.newest = (self.newest << 1) | u64::from(object);
        self.depth += 1;
    }

    /// Closes the innermost container. The caller has seen `depth() > 0`.
    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.newest >>= 1;
        self.depth -= 1;
        if self.depth.is_multiple_of(64) && self.depth != 0 {
            self.newest = self
                .spilt
                .pop()
                .expect("64 levels were spilt when they were opened");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_every_level() {
        let mut nesting = Nesting::default();
        let object = |level: u32| (level * 7).is_multiple_of(3);
        for level in 0..1000 {
            nesting.open(object(level));
        }
        for level in (0..1000).rev() {
            assert_eq!(nesting.in_object(), object(level), "level {level}");
            assert_eq!(nesting.depth(), level + 1);
            nesting.close();
        }
        assert_eq!(nesting.depth(), 0);
    }
}
