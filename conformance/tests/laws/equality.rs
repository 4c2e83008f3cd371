//! The same call reaches the handler equal over every binding, and the same reply comes back.

use comity_conformance::{ReplySample, samples};
use comity_core::{
    call::{Authentication, Call, CallContext, ReplyShape},
    endpoint::EndpointForm,
};
use proptest::{prop_assert, prop_assert_eq};

use crate::{
    credentials::{DESTINATION, ORIGIN, credential, key, name},
    recorder::{Answer, Seen},
    run::{cases, runtime},
    wire::wires,
};

/// What the handler of a signed call has to see: the request as the caller wrote it, and the origin that signed it.
fn expected(form: &EndpointForm, request: &dyn comity_core::call::AnyRequest) -> Seen {
    let signed = request.operation().spec().authentication == Authentication::Server;
    let header = || credential(form, ORIGIN, DESTINATION, &key()).to_header();
    Seen {
        request: request.clone_box().into(),
        origin: signed.then(|| name(ORIGIN)),
        destination: Some(name(DESTINATION)),
        credentials: signed.then(header).into_iter().collect(),
        method: form.method().to_owned(),
        target: form.target().to_owned(),
        parts: form.parts().clone(),
        peer: None,
    }
}

#[test]
fn a_call_and_its_reply_are_equal_over_every_binding() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let operation = sample.operation();
        let law = format!("a call is equal everywhere: {operation:?}");
        let strategy = (sample.requests(), sample.replies());
        cases(&law, 40, &strategy, |(request, reply)| {
            let wires = &wires;
            async move {
                let form = request.write().unwrap();
                let mut expected = expected(&form, &*request);
                for wire in wires {
                    // By value, so that each binding makes the form itself.
                    let call = call_of(request.clone_box());
                    let exchange = wire.exchange(call, Answer::Reply(reply.clone())).await;
                    let Some(seen) = exchange.seen else {
                        prop_assert!(false, "{}: {:?}", wire.name, exchange.outcome);
                        unreachable!()
                    };
                    // Without a signature HTTP has no place for it.
                    let nameless = expected.origin.is_none() && !wire.names_destination;
                    expected.destination = (!nameless).then(|| name(DESTINATION));
                    prop_assert_eq!(&seen, &expected, "over {}", wire.name);
                    prop_assert_eq!(exchange.broken, None, "over {}", wire.name);
                    prop_assert_eq!(exchange.outcome, Ok(reply.clone()), "over {}", wire.name);
                }
                Ok(())
            }
        });
    }
}

/// A reply that fails half-way never looks complete, and what came of it is right.
#[test]
fn a_reply_that_breaks_off_is_never_complete() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let operation = sample.operation();
        if operation.spec().reply == ReplyShape::Message {
            continue;
        }
        let law = format!("a broken reply is an error: {operation:?}");
        let strategy = (sample.requests(), sample.replies());
        cases(&law, 12, &strategy, |(request, reply)| {
            let wires = &wires;
            async move {
                for wire in wires {
                    let call = call_of(request.clone_box());
                    let exchange = wire.exchange(call, Answer::Broken(reply.clone())).await;
                    prop_assert!(exchange.seen.is_some(), "over {}", wire.name);
                    match exchange.outcome {
                        Err(_) => {}
                        // A place elsewhere needs no bytes: nothing of the reply is missing.
                        Ok(ReplySample::Blob(blob)) if is_elsewhere(&blob) => {}
                        Ok(some) => {
                            prop_assert!(exchange.broken.is_some(), "complete over {}", wire.name);
                            prop_assert!(some.begins(&reply), "over {}: {:?}", wire.name, some);
                        }
                    }
                }
                Ok(())
            }
        });
    }
}

fn is_elsewhere(blob: &comity_conformance::BlobSample) -> bool {
    matches!(blob.source, comity_core::call::BlobSource::Location(_))
}

/// A call as a client makes it: the request alone.
fn call_of(request: Box<dyn comity_core::call::AnyRequest>) -> Call {
    let form = request.write().unwrap();
    Call::received(request, form, CallContext::to(name(DESTINATION)))
}
