//! The records of a message that is written as encoders write it, for readers that take what they need from where it lies. Whatever else protobuf allows is
//! the decoder's: such a reader gives `None` for it. The counting of [`elements`](crate::elements) walks records as well, but has to find all that the decoder would, so it takes everything.

/// What a length stands before.
pub(crate) fn bytes<'m>(rest: &mut &'m [u8]) -> Option<&'m [u8]> {
    let length = short_varint(rest)?;
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes)
}

/// A number of at most four bytes: as much as a message can be long, and none that overflows.
#[inline]
pub(crate) fn short_varint(rest: &mut &[u8]) -> Option<usize> {
    varint::<4>(rest).map(|value| value as usize)
}

/// A number of at most eight bytes: every positive integer that canonical JSON has, and none that overflows.
#[inline]
pub(crate) fn long_varint(rest: &mut &[u8]) -> Option<u64> {
    varint::<8>(rest)
}

#[inline]
fn varint<const BYTES: u32>(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..BYTES {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The elements of a list (`{ repeated bytes items = 1; }`) that holds nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<'m> {
    records: &'m [u8],
    /// How many elements there are.
    pub(crate) elements: usize,
    /// The bytes of all of them together.
    pub(crate) bytes: usize,
}

/// The key of an element: field 1, of bytes.
const ITEM: u8 = 1 << 3 | 2;

impl<'m> List<'m> {
    pub(crate) fn read(records: &'m [u8]) -> Option<Self> {
        let mut list = Self {
            records,
            elements: 0,
            bytes: 0,
        };
        let mut rest = records;
        while let Some((&ITEM, behind)) = rest.split_first() {
            rest = behind;
            list.bytes += bytes(&mut rest)?.len();
            list.elements += 1;
        }
        rest.is_empty().then_some(list)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'m [u8]> {
        let mut rest = self.records;
        std::iter::from_fn(move || {
            rest = rest.get(1..)?;
            bytes(&mut rest)
        })
    }
}
