//! What a real Synapse sent: every request is read and verified, crosses gRPC and is verified again; every reply is read, written
//! again and crosses gRPC, and is the same.
//!
//! `fixtures/README.md` says where the recordings come from. `recording` reads them, `loopback` is a gRPC server that verifies.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml exempts test functions, not what they call"
)]

mod edus;
mod loopback;
mod recording;
mod replies;
mod requests;

use comity_core::call::{Op, Reply, operation};

use comity_core::{
    call::{Endpoint, ReplyForm},
    error::CallError,
};

/// Reads a reply by its type, and makes one of it again.
type Retype = fn(Reply) -> Result<Reply, CallError>;

fn row<O: Endpoint>() -> (Op, Retype) {
    let retype: Retype = |reply| reply.typed::<O>().map(ReplyForm::into_reply);
    (operation::<O>(), retype)
}

macro_rules! every_row {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        fn rows() -> Vec<(Op, Retype)> {
            vec![$($( row::<$Request>() ),*),*]
        }
    };
}

comity_core::operations!(every_row);

/// How an operation's replies are read by their type.
fn retype(op: Op) -> Retype {
    let mut rows = rows().into_iter();
    rows.find(|(known, _)| *known == op).unwrap().1
}
