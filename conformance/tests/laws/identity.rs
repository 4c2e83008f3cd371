//! Canonical content crosses every binding and comes out the same, byte for byte: requests and replies, with unknown members, nulls,
//! wrong types, absent and empty arrays, with and without a body.

use std::borrow::Cow;

use comity_conformance::{Failure, Sample, samples};
use comity_core::{
    call::{Call, CallContext, Endpoint},
    endpoint::{Content, EndpointForm, EndpointParts},
};
use comity_grpc::GrpcCodec;
use proptest::{prop_assert, prop_assert_eq};
use prost::Message;

use crate::{
    credentials::{DESTINATION, name},
    recorder::Answer,
    run::{cases, runtime},
    wire::wires,
};

/// Content that the operation can read reaches the handler as it was; content that it cannot is refused as reading it refuses it.
/// The reply comes back as it was either way.
#[test]
fn content_is_the_same_on_the_other_side() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let operation = sample.operation();
        let law = format!("content is the same: {operation:?}");
        let strategy = (sample.requests(), sample.contents(), sample.replies());
        cases(&law, 40, &strategy, |(request, content, reply)| {
            let wires = &wires;
            async move {
                let form = request.write().unwrap();
                let parts = EndpointParts {
                    content,
                    ..form.parts().clone()
                };
                let read = operation.read(&parts);
                let form = EndpointForm::received(
                    Cow::Borrowed(operation.method()),
                    form.target().to_owned(),
                    parts.clone(),
                );
                for wire in wires.iter().filter(|wire| wire.reads || read.is_ok()) {
                    let request = read.as_ref().unwrap_or(&request).clone_box();
                    let context = CallContext::to(name(DESTINATION));
                    let call = Call::received(request, form.clone(), context);
                    let answer = Answer::Reply(reply.clone());
                    let exchange = wire.exchange(call, answer).await;
                    match &read {
                        Ok(request) => {
                            let Some(seen) = exchange.seen else {
                                prop_assert!(false, "{}: {:?}", wire.name, exchange.outcome);
                                unreachable!()
                            };
                            prop_assert_eq!(&seen.parts, &parts, "over {}", wire.name);
                            prop_assert!(
                                seen.request.same(&**request),
                                "over {}: {:?} is not {:?}",
                                wire.name,
                                seen.request,
                                request
                            );
                            prop_assert_eq!(exchange.broken, None, "over {}", wire.name);
                            prop_assert_eq!(
                                exchange.outcome,
                                Ok(reply.clone()),
                                "over {}",
                                wire.name
                            );
                        }
                        Err(refusal) => {
                            prop_assert!(exchange.seen.is_none(), "over {}", wire.name);
                            let refusal = Failure::from(&refusal.clone().into());
                            prop_assert_eq!(exchange.outcome, Err(refusal), "over {}", wire.name);
                        }
                    }
                }
                Ok(())
            }
        });
    }
}

/// The typed message carries whatever a body may hold, and says the same again once it was bytes: nothing falls back to `Invoke`.
fn the_typed_message_says_the_same<O: Sample + GrpcCodec>() {
    let name = O::SPEC.name;
    let law = format!("the typed message says the same: {name}");
    cases(
        &law,
        300,
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
