//! What part of the page is asked for, and whether it loads itself again.

/// What the page's address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Which page of destinations, from 1.
    pub(super) page: usize,
    /// Whether it loads itself again.
    pub(super) refresh: bool,
}

impl View {
    /// Reads `page=2&refresh=off`. What is not understood is as if it were not there.
    pub(super) fn of(query: &str) -> Self {
        let mut view = Self {
            page: 1,
            refresh: true,
        };
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("page", page)) => view.page = page.parse().unwrap_or(1).max(1),
                Some(("refresh", refresh)) => view.refresh = refresh != "off",
                _ => {}
            }
        }
        view
    }

    /// The address that asks for it, as it stands in an attribute.
    pub(super) fn address(self) -> String {
        let refresh = if self.refresh { "" } else { "&amp;refresh=off" };
        format!("/?page={}{refresh}", self.page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_from_any_query() {
        let first = View {
            page: 1,
            refresh: true,
        };
        assert_eq!(View::of(""), first);
        assert_eq!(View::of("page=0&page=x&&=&refresh=on&q"), first);
        let paused = View {
            page: 7,
            refresh: false,
        };
        assert_eq!(View::of("refresh=off&page=7"), paused);
    }
}
