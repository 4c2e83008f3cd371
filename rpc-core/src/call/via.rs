//! Values of `Via` (RFC 9110 §7.6.3): `received-protocol SP received-by [ SP comment ]`, a list.

/// The hops of one value of `Via`: elements of a list, whose commas may stand in comments too. Empty ones are left out.
pub fn hops(value: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let mut escaped = false;
    let separates = move |character: char| {
        let after_backslash = std::mem::replace(&mut escaped, false);
        match character {
            _ if after_backslash => {}
            '\\' if depth > 0 => escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' => return depth == 0,
            _ => {}
        }
        false
    };
    let elements = value.split(separates).map(str::trim);
    elements.filter(|element| !element.is_empty())
}

/// Who received the call at this hop: a host or a name of its own choosing.
pub fn received_by(hop: &str) -> Option<&str> {
    hop.split_ascii_whitespace().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_taken_apart() {
        for (value, expected) in [
            ("", &[][..]),
            (" , ,", &[]),
            ("1.1 a", &["1.1 a"]),
            (
                "1.1 a, http/1 b:8448 ,2 c",
                &["1.1 a", "http/1 b:8448", "2 c"],
            ),
            (
                r"1.1 a (x, y \) z), grpc/1 [::1]:8448",
                &[r"1.1 a (x, y \) z)", "grpc/1 [::1]:8448"],
            ),
            // What is malformed is one hop, and no more than that.
            ("1.1 a (b, 1.1 c", &["1.1 a (b, 1.1 c"]),
            (")1.1 a, 1.1 b", &[")1.1 a", "1.1 b"]),
        ] {
            assert_eq!(hops(value).collect::<Vec<_>>(), expected, "{value}");
        }
    }

    #[test]
    fn a_hop_tells_who_received() {
        assert_eq!(
            received_by("1.1 a.example:8448 (x)"),
            Some("a.example:8448")
        );
        assert_eq!(received_by("http/1\ta.example"), Some("a.example"));
        assert_eq!(received_by("a.example"), None);
        assert_eq!(received_by(""), None);
    }
}
