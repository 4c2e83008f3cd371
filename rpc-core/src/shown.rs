//! What someone else wrote, shown to a person: on a page or in a terminal.

use std::fmt::{self, Write};

/// Displays in HTML a text that someone else chose, for use between tags and in a quoted attribute.
///
/// Besides HTML's own characters it replaces those that are not seen or that turn the text around them: control characters, and Unicode's marks of direction and
/// width. A server could else pass for another one.
#[derive(Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if is_unseen(c) => write!(f, "\u{fffd}{:x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Control characters, Unicode's marks of direction and width, and what is no character: what a peer writes shows none of them to a person, on a page or in a terminal.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_escaped_can_end_a_tag_or_an_attribute() {
        let hostile = "<script>'\"&</script>";
        let escaped = Escaped(hostile).to_string();
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
        assert_eq!(Escaped("a&b").to_string(), "a&amp;b");
        assert_eq!(Escaped("hs1.example:8448").to_string(), "hs1.example:8448");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        let turned = Escaped("\u{202e}elpmaxe.1sh\0").to_string();
        assert_eq!(turned, "\u{fffd}202eelpmaxe.1sh\u{fffd}0");
    }
}
