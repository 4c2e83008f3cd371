//! The rows of the table, with their documentation.

use comity_core::call::{Op, operation};

/// A group of operations.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) docs: &'static [&'static str],
    pub(super) rows: Vec<Row>,
}

/// One operation.
pub(super) struct Row {
    pub(super) operation: Op,
    pub(super) docs: &'static [&'static str],
    /// Name of the request's type.
    pub(super) request: &'static str,
    /// Name of the reply's type.
    pub(super) reply: &'static str,
}

/// The last name of a path: `$crate::api::GetVersion` is `GetVersion`.
fn last(path: &'static str) -> &'static str {
    path.rsplit("::").next().unwrap_or(path).trim()
}

macro_rules! every_row {
    ($(
        $(#[doc = $group_doc:literal])*
        group $Group:ident $routes:ident {
            $(
                $(#[doc = $doc:literal])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        /// Every group of the table, in its order.
        pub(super) fn groups() -> Vec<Group> {
            vec![$(
                Group {
                    name: stringify!($Group),
                    docs: &[$($group_doc),*],
                    rows: vec![$(
                        Row {
                            operation: operation::<$Request>(),
                            docs: &[$($doc),*],
                            request: last(stringify!($Request)),
                            reply: last(stringify!($Reply)),
                        }
                    ),*],
                }
            ),*]
        }
    };
}

comity_core::operations!(every_row);
