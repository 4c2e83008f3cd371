//! A typed message stands for exactly what a body may hold: unknown members, nulls, wrong types, absent and empty arrays.

use std::time::Duration;

use comity_conformance::{Sample, bench::cases};
use comity_core::{
    call::Endpoint,
    endpoint::{Content, EndpointParts},
};
use comity_grpc::GrpcCodec;
use proptest::{prop_assert, prop_assert_eq};
use prost::Message;

/// The typed message carries whatever a body may hold, and says the same again once it was bytes: nothing falls back to `Invoke`.
fn the_typed_message_says_the_same<O: Sample + GrpcCodec>() {
    let name = O::SPEC.name;
    let law = format!("the typed message says the same: {name}");
    let tried = cases(
        &law,
        300,
        Duration::from_secs(60),
        &(O::requests(), O::contents()),
        |(request, content)| async move {
            let parts = EndpointParts {
                content,
                ..Endpoint::write(&request)
            };
            let Some(message) = O::request_to_message(&parts) else {
                // A body where the specification has none.
                prop_assert!(
                    O::METHOD == "GET" && parts.content != Content::Absent,
                    "not carried: {:?}",
                    parts
                );
                return Ok(());
            };
            let message = O::Request::decode(&message.encode_to_vec()[..]).unwrap();
            let fields = O::request_from_message(&message).unwrap();
            prop_assert!(fields.matches(&parts), "it does not say {:?}", parts);
            prop_assert_eq!(fields.ingest(O::SPEC.limits.request).unwrap(), parts);
            Ok(())
        },
    );
    assert_eq!(tried, Ok(()), "{law}");
}

/// A row of the table without a codec does not compile.
macro_rules! every_codec {
    ($(
        $(#[$group_doc:meta])*
        group $Group:ident $routes:ident {
            $(
                $(#[$doc:meta])*
                $auth:ident $method:ident: $Request:ty => $Reply:ty { $($facts:tt)* }
            )*
        }
    )*) => {
        #[test]
        fn typed_messages_say_what_the_content_said() {
            $($( the_typed_message_says_the_same::<$Request>(); )*)*
        }
    };
}

comity_core::operations!(every_codec);
