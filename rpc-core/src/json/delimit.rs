//! Finds where a JSON value ends, without judging it, in pieces of any size.

use super::scan::plain_run;

/// Where is the end of the value that began? It counts brackets and knows strings, nothing more: whoever gets the text checks it
/// strictly. That is sound, because a value that is well-formed ends exactly where this says.
#[derive(Debug, Default)]
pub(super) struct Delimiter {
    began: bool,
    depth: u64,
    within: Within,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Structure,
    String,
    /// Directly behind a backslash.
    Escape,
    /// A number or a literal, which only what follows it can end.
    Word,
}

impl Delimiter {
    /// Reads the next piece from `start` on. The place behind the value if it ends here, `None` if it goes on.
    pub(super) fn find_end(&mut self, piece: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        loop {
            match self.within {
                Within::String => {
                    at = plain_run(piece, at);
                    let &byte = piece.get(at)?;
                    at += 1;
                    match byte {
                        b'"' => {
                            self.within = Within::Structure;
                            if self.depth == 0 {
                                return Some(at);
                            }
                        }
                        b'\\' => self.within = Within::Escape,
                        _ => {}
                    }
                }
                Within::Escape => {
                    piece.get(at)?;
                    at += 1;
                    self.within = Within::String;
                }
                Within::Word => {
                    let &byte = piece.get(at)?;
                    if !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.') {
                        return Some(at);
                    }
                    at += 1;
                }
                Within::Structure => {
                    let &byte = piece.get(at)?;
                    at += 1;
                    match byte {
                        b'"' => self.within = Within::String,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' => {
                            self.depth = self.depth.saturating_sub(1);
                            if self.depth == 0 {
                                return Some(at);
                            }
                        }
                        _ if !self.began => self.within = Within::Word,
                        _ => {}
                    }
                    self.began = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_at_the_same_place_however_it_is_cut() {
        let values = [
            r#"{"a":"]}\"\\","b":[[],{}]}"#,
            r#""a\\\"b""#,
            "-1.5e+7",
            "null",
            "[[[]]]",
            r#"[{"a":"[\\"},[1,2]]"#,
        ];
        for value in values {
            for behind in [",1", "]", "}", " "] {
                let text = format!("{value}{behind}");
                for cut in 0..text.len() {
                    let mut delimiter = Delimiter::default();
                    let end = delimiter
                        .find_end(&text.as_bytes()[..cut], 0)
                        .or_else(|| delimiter.find_end(text.as_bytes(), cut));
                    assert_eq!(end, Some(value.len()), "{text} cut at {cut}");
                }
            }
        }
    }
}
