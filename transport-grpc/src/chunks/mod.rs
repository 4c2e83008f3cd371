//! A streamed reply as `Chunk`s, and back. One code for every operation: the array's place in the row's list is its name.
//!
//! Neither side makes the message as a value. Its fields are few, and a room's state has hundreds of thousands of elements: the writer puts each
//! behind the others as it comes, in the buffer that goes out, and the reader takes each out as a slice of what came in.
//!
//! | file | subject |
//! | --- | --- |
//! | here | what may follow what |
//! | `writer` | from parts to framed chunks |
//! | `reader` | from chunks to parts |
//! | `layout` | the elements of a chunk, found without decoding it |
//! | `properties` | what holds for any bytes, for a fuzzer and for its corpus |

mod layout;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod reader;
mod writer;

use std::collections::HashSet;

pub(crate) use reader::read;
pub(crate) use writer::write;

type Arrays = &'static [&'static str];

/// What may follow what, so that the parts make one JSON object.
#[derive(Default)]
struct Order {
    begun: Vec<usize>,
    open: Option<usize>,
    members: HashSet<String>,
}

impl Order {
    fn array(&mut self, array: usize, name: &str) -> Result<(), String> {
        if self.begun.contains(&array) || self.members.contains(name) {
            return Err(format!("array `{name}` begins twice"));
        }
        self.begun.push(array);
        self.open = Some(array);
        Ok(())
    }

    fn item(&self, array: usize, name: &str) -> Result<(), String> {
        match self.open == Some(array) {
            true => Ok(()),
            false => Err(format!(
                "an element of `{name}` comes while that array is not open"
            )),
        }
    }

    fn member(&mut self, name: &str, arrays: Arrays) -> Result<(), String> {
        let begun = self.begun.iter().any(|&array| arrays[array] == name);
        if begun || !self.members.insert(name.to_owned()) {
            return Err(format!("member `{name}` comes twice"));
        }
        self.open = None;
        Ok(())
    }
}
