//! What the gateway takes in: every call, whatever is in it.

use std::{any::TypeId, sync::OnceLock};

use comity_core::{
    Operations,
    call::{Alternative, AnyOperation, AnyRequest, Op, OperationSpec, Unregistered},
    endpoint::{ContentKind, EndpointForm, EndpointParts, PathTemplate, TrailingSlash},
    error::FederationError,
};

/// Every operation of the table, and every call that no row knows. A request of a row that is not of the row's type counts as one that no row knows: what it means is
/// for the homeserver to say, which may know better.
pub(crate) fn operations() -> Operations {
    static ROWS: OnceLock<Vec<Op>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| {
        let table = Operations::federation();
        let rows = table
            .iter()
            .map(|op| &*Box::leak(Box::new(AsItIs(op))) as Op);
        rows.collect()
    });
    Operations::none()
        .with(rows.iter().copied())
        .expect("the table has each operation once")
        .with_unregistered()
}

/// A row of the table whose requests need not be of its type.
struct AsItIs(Op);

impl AnyOperation for AsItIs {
    fn spec(&self) -> &'static OperationSpec {
        self.0.spec()
    }

    fn id(&self) -> TypeId {
        self.0.id()
    }

    fn method(&self) -> &'static str {
        self.0.method()
    }

    fn path(&self) -> &'static PathTemplate {
        self.0.path()
    }

    fn alternatives(&self) -> &'static [Alternative] {
        self.0.alternatives()
    }

    fn content(&self) -> ContentKind {
        self.0.content()
    }

    fn reply_in_tuple(&self) -> bool {
        self.0.reply_in_tuple()
    }

    fn trailing_slash(&self) -> TrailingSlash {
        self.0.trailing_slash()
    }

    fn read(&self, parts: &EndpointParts) -> Result<Box<dyn AnyRequest>, FederationError> {
        self.0.read(parts)
    }

    fn read_form(&self, form: &EndpointForm) -> Result<Box<dyn AnyRequest>, FederationError> {
        match self.0.read_form(form) {
            Err(error) if error.http_status() == 400 => Unregistered::operation().read_form(form),
            read => read,
        }
    }
}
