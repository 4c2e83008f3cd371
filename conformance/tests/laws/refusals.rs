//! What does not prove its origin never reaches the handler, and every binding says so in the same words.

use comity_conformance::{Failure, Outcome, samples};
use comity_core::{
    auth::{SigningKey, XMatrix},
    call::{Authentication, Call, CallContext, Credentials},
    endpoint::{Content, EndpointForm},
    json::Object,
};
use proptest::{prop_assert, prop_assert_eq};

use crate::{
    credentials::{DESTINATION, EXPIRED, NOWHERE, ORIGIN, credential, key, name, over},
    recorder::Answer,
    run::{cases, runtime},
    wire::wires,
};

/// A way to fail: what the caller sends as `Authorization`, and the status that answers it.
struct Fault {
    what: &'static str,
    status: u16,
    credentials: fn(&EndpointForm) -> Vec<String>,
}

fn stranger() -> SigningKey {
    SigningKey::from_seed("law", &[2; 32]).unwrap()
}

fn good(form: &EndpointForm) -> XMatrix {
    credential(form, ORIGIN, DESTINATION, &key())
}

const FAULTS: [Fault; 18] = [
    Fault {
        what: "no credential",
        status: 401,
        credentials: |_| Vec::new(),
    },
    Fault {
        what: "a credential of another scheme",
        status: 401,
        credentials: |_| vec!["Bearer abc".to_owned()],
    },
    Fault {
        what: "a malformed credential",
        status: 400,
        credentials: |_| vec!["X-Matrix origin=".to_owned()],
    },
    Fault {
        what: "an origin that is no server name",
        status: 400,
        credentials: |form| vec![good(form).to_header().replace(ORIGIN, "a_b")],
    },
    Fault {
        what: "the signature of another key",
        status: 401,
        credentials: |form| vec![credential(form, ORIGIN, DESTINATION, &stranger()).to_header()],
    },
    Fault {
        what: "another origin's name over the signature",
        status: 401,
        credentials: |form| {
            let mut forged = credential(form, "other.example", DESTINATION, &key());
            forged.origin = name(ORIGIN);
            vec![forged.to_header()]
        },
    },
    Fault {
        what: "a good and a wrong signature",
        status: 401,
        credentials: |form| {
            let wrong = credential(form, ORIGIN, DESTINATION, &stranger());
            vec![good(form).to_header(), wrong.to_header()]
        },
    },
    Fault {
        what: "two origins",
        status: 400,
        credentials: |form| {
            let other = credential(form, EXPIRED, DESTINATION, &key());
            vec![good(form).to_header(), other.to_header()]
        },
    },
    Fault {
        what: "another destination",
        status: 401,
        credentials: |form| vec![credential(form, ORIGIN, "other.example", &key()).to_header()],
    },
    Fault {
        what: "our name over a signature for another destination",
        status: 401,
        credentials: |form| {
            let mut forged = credential(form, ORIGIN, "other.example", &key());
            forged.destination = Some(DESTINATION.to_owned());
            vec![forged.to_header()]
        },
    },
    Fault {
        what: "another destination, unsaid",
        status: 401,
        credentials: |form| {
            let mut forged = credential(form, ORIGIN, "other.example", &key());
            forged.destination = None;
            let header = forged.to_header();
            vec![header.replace(",destination=\"other.example\"", "")]
        },
    },
    Fault {
        what: "the signature of another target",
        status: 401,
        credentials: |form| {
            let target = format!("{}x", form.target());
            let (method, content) = (form.method(), form.content());
            vec![over(method, &target, content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "the signature of the target escaped differently",
        status: 401,
        credentials: |form| {
            let target = form.target().replacen("/_matrix", "/%5fmatrix", 1);
            let (method, content) = (form.method(), form.content());
            vec![over(method, &target, content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "the signature of another method",
        status: 401,
        credentials: |form| {
            let (target, content) = (form.target(), form.content());
            vec![over("DELETE", target, content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "the signature of another content",
        status: 401,
        credentials: |form| {
            let content = match form.content() {
                Content::Json(_) => Content::Absent,
                _ => Content::Json(Object::empty()),
            };
            let (method, target) = (form.method(), form.target());
            vec![over(method, target, &content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "a key that the origin does not publish",
        status: 401,
        credentials: |form| {
            let other = SigningKey::from_seed("other", &[1; 32]).unwrap();
            vec![credential(form, ORIGIN, DESTINATION, &other).to_header()]
        },
    },
    Fault {
        what: "an expired key",
        status: 401,
        credentials: |form| vec![credential(form, EXPIRED, DESTINATION, &key()).to_header()],
    },
    Fault {
        what: "an origin whose keys cannot be had",
        status: 401,
        credentials: |form| vec![credential(form, NOWHERE, DESTINATION, &key()).to_header()],
    },
];

#[test]
fn what_is_not_proven_is_refused_everywhere_alike() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let operation = sample.operation();
        if operation.spec().authentication != Authentication::Server {
            continue;
        }
        let law = format!("what is not proven is refused: {operation:?}");
        let strategy = (sample.requests(), sample.replies());
        cases(&law, 4, &strategy, |(request, reply)| {
            let wires = &wires;
            async move {
                let form = request.write().unwrap();
                for fault in &FAULTS {
                    let mut first: Option<(&str, Outcome)> = None;
                    for wire in wires {
                        let mut context = CallContext::to(name(DESTINATION));
                        context.credentials = Credentials::new((fault.credentials)(&form));
                        let call = Call::received(request.clone_box(), form.clone(), context);
                        let answer = Answer::Reply(reply.clone());
                        let exchange = wire.exchange_as_is(call, answer).await;
                        let over = format!("{} over {}", fault.what, wire.name);
                        prop_assert!(exchange.seen.is_none(), "{over} reached the handler");
                        let refused = matches!(
                            &exchange.outcome,
                            Err(Failure::Answer { http_status, errcode, .. })
                                if *http_status == fault.status && errcode.as_deref() == Some("M_UNAUTHORIZED")
                        );
                        prop_assert!(refused, "{over}: {:?}", exchange.outcome);
                        match &first {
                            None => first = Some((&wire.name, exchange.outcome)),
                            Some((other, outcome)) => {
                                prop_assert_eq!(
                                    outcome,
                                    &exchange.outcome,
                                    "{} and {}",
                                    over,
                                    other
                                );
                            }
                        }
                    }
                }
                Ok(())
            }
        });
    }
}

/// Where a typed message travels beside the target that was signed, it has to say the same: else a gateway could have one thing signed
/// and another done. Elsewhere the target is all there is, and the handler gets what was signed.
#[test]
fn a_target_that_disagrees_with_the_message_is_refused() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let operation = sample.operation();
        let law = format!("target and message agree: {operation:?}");
        let strategy = (sample.requests(), sample.requests(), sample.replies());
        cases(&law, 12, &strategy, |(said, signed, reply)| {
            let wires = &wires;
            async move {
                let (said, signed) = (said.write().unwrap(), signed.write().unwrap());
                if (&said.parts().path, &said.parts().query)
                    == (&signed.parts().path, &signed.parts().query)
                {
                    return Ok(());
                }
                let parts = said.parts().clone();
                let target = signed.target().to_owned();
                let form = EndpointForm::received(operation.method().into(), target, parts);
                for wire in wires.iter().filter(|wire| wire.reads) {
                    let request = operation.read(form.parts()).unwrap();
                    let context = CallContext::to(name(DESTINATION));
                    let call = Call::received(request, form.clone(), context);
                    let exchange = wire.exchange(call, Answer::Reply(reply.clone())).await;
                    if wire.typed {
                        prop_assert!(
                            exchange.seen.is_none(),
                            "reached the handler over {}",
                            wire.name
                        );
                        let refused = matches!(
                            &exchange.outcome,
                            Err(Failure::Answer { http_status: 401, errcode, .. })
                                if errcode.as_deref() == Some("M_UNAUTHORIZED")
                        );
                        prop_assert!(refused, "over {}: {:?}", wire.name, exchange.outcome);
                    } else if let Some(seen) = exchange.seen {
                        prop_assert_eq!(
                            &seen.parts.path,
                            &signed.parts().path,
                            "over {}",
                            wire.name
                        );
                        prop_assert_eq!(
                            &seen.parts.query,
                            &signed.parts().query,
                            "over {}",
                            wire.name
                        );
                    }
                }
                Ok(())
            }
        });
    }
}
