//! What does not prove its origin never reaches the handler, and its caller learns why.

use comity_core::{
    auth::{SigningKey, XMatrix},
    call::{Authentication, Call, CallContext, Credentials},
    endpoint::{Content, EndpointForm},
    json::Object,
};

use super::{Checked, OfOperation, any_reply, any_request, ensure, form_of, random, shown};
use crate::{
    AnySample, Bench, Failure,
    bench::{
        Answer,
        credentials::{
            DESTINATION, EXPIRED, NOWHERE, ORIGIN, credential, key, name, over, signing_key,
        },
        runtime,
    },
};

/// What proofs can be, each one case.
const KINDS: [&str; 5] = [
    "missing",
    "malformed",
    "wrong",
    "other destination",
    "expired key",
];

/// Random pairs of what is said and what is signed.
const PAIRS: u32 = 12;

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    if sample.operation().spec().authentication != Authentication::Server {
        return vec![
            OfOperation::new(
                "no authentication: credentials are not looked at",
                not_looked_at,
            ),
            agreement(),
        ];
    }
    let kinds = KINDS.into_iter().map(|kind| {
        OfOperation::new(format!("authentication: {kind}"), move |bench, sample| {
            let faults = FAULTS.iter().filter(|fault| fault.kind == kind);
            for fault in faults {
                runtime().block_on(is_refused(bench, sample, fault))?;
            }
            Ok(())
        })
    });
    let mut cases: Vec<_> = kinds.collect();
    cases.push(agreement());
    cases
}

fn agreement() -> OfOperation {
    OfOperation::new("a target that disagrees with the request", disagreement)
}

async fn is_refused(bench: &Bench, sample: &AnySample, fault: &Fault) -> Checked {
    let request = any_request(sample);
    let form = form_of(&*request)?;
    let mut context = CallContext::to(name(DESTINATION));
    context.credentials = Credentials::new((fault.credentials)(&form));
    let call = Call::received(request, form, context);
    let answer = Answer::Reply(any_reply(sample));
    let exchange = bench.exchange_as_is(call, answer).await?;
    ensure!(
        exchange.seen.is_none(),
        "{} reached the handler",
        fault.what
    );
    let refused = matches!(
        &exchange.outcome,
        Err(Failure::Answer { http_status, errcode, .. })
            if *http_status == fault.status && errcode.as_deref() == Some("M_UNAUTHORIZED")
    );
    ensure!(
        refused,
        "{} is answered {} and not {} M_UNAUTHORIZED",
        fault.what,
        shown(&exchange.outcome),
        fault.status
    );
    Ok(())
}

/// Whatever they are, the handler gets the call, and no origin with it.
fn not_looked_at(bench: &Bench, sample: &AnySample) -> Checked {
    for fault in &FAULTS {
        let request = any_request(sample);
        let form = form_of(&*request)?;
        let credentials = (fault.credentials)(&form);
        let mut context = CallContext::to(name(DESTINATION));
        context.credentials = Credentials::new(credentials.clone());
        let call = Call::received(request, form, context);
        let answer = Answer::Reply(any_reply(sample));
        let exchange = runtime().block_on(bench.exchange_as_is(call, answer))?;
        let Some(seen) = exchange.seen else {
            let outcome = shown(&exchange.outcome);
            return Err(format!("with {} it did not arrive: {outcome}", fault.what).into());
        };
        ensure!(
            seen.origin.is_none() && seen.credentials == credentials,
            "with {} the handler saw {}",
            fault.what,
            shown(&seen)
        );
    }
    Ok(())
}

/// Where a typed message travels beside the target that was signed, it has to say the same: else a gateway could have one thing signed
/// and another done. Elsewhere the target is all there is, and the handler gets what was signed.
fn disagreement(bench: &Bench, sample: &AnySample) -> Checked {
    super::needs_reading(bench)?;
    let operation = sample.operation();
    let law = format!("target and message agree: {operation:?}");
    let strategy = (sample.requests(), sample.requests());
    let reply = any_reply(sample);
    random(bench, &law, PAIRS, &strategy, |(said, signed)| {
        let reply = &reply;
        async move {
            let (said, signed) = (form_of(&*said)?, form_of(&*signed)?);
            let asked = signed.parts();
            let parts = said.parts().clone();
            if (&parts.path, &parts.query) == (&asked.path, &asked.query) {
                return Ok(());
            }
            let target = signed.target().to_owned();
            let form = EndpointForm::received(operation.method().into(), target, parts);
            let request = operation.read(form.parts());
            let request = request.map_err(|error| error.to_string())?;
            let context = CallContext::to(name(DESTINATION));
            let call = Call::received(request, form, context);
            let answer = Answer::Reply(reply.clone());
            let exchange = bench.exchange(call, answer).await?;
            if let Some(seen) = exchange.seen {
                ensure!(
                    !bench.declared().typed
                        && (&seen.parts.path, &seen.parts.query) == (&asked.path, &asked.query),
                    "{} was signed, and the handler got {}",
                    signed.target(),
                    shown(&seen.parts)
                );
                return Ok(());
            }
            let refused = matches!(
                &exchange.outcome,
                Err(Failure::Answer { http_status: 401, errcode, .. })
                    if errcode.as_deref() == Some("M_UNAUTHORIZED")
            );
            // What is no call at all may be refused for that.
            ensure!(
                refused || !bench.declared().typed,
                "it is answered {}",
                shown(&exchange.outcome)
            );
            Ok(())
        }
    })
}

/// A way to fail: what the caller sends as `Authorization`, and the status that answers it.
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    /// What it is tried with, as one case.
    kind: &'static str,
    status: u16,
    pub(crate) credentials: fn(&EndpointForm) -> Vec<String>,
}

fn stranger() -> SigningKey {
    signing_key("law", 2)
}

fn good(form: &EndpointForm) -> XMatrix {
    credential(form, ORIGIN, DESTINATION, &key())
}

pub(crate) const FAULTS: [Fault; 18] = [
    Fault {
        what: "no credential",
        kind: "missing",
        status: 401,
        credentials: |_| Vec::new(),
    },
    Fault {
        what: "a credential of another scheme",
        kind: "missing",
        status: 401,
        credentials: |_| vec!["Bearer abc".to_owned()],
    },
    Fault {
        what: "a malformed credential",
        kind: "malformed",
        status: 400,
        credentials: |_| vec!["X-Matrix origin=".to_owned()],
    },
    Fault {
        what: "an origin that is no server name",
        kind: "malformed",
        status: 400,
        credentials: |form| vec![good(form).to_header().replace(ORIGIN, "a_b")],
    },
    Fault {
        what: "the signature of another key",
        kind: "wrong",
        status: 401,
        credentials: |form| vec![credential(form, ORIGIN, DESTINATION, &stranger()).to_header()],
    },
    Fault {
        what: "another origin's name over the signature",
        kind: "wrong",
        status: 401,
        credentials: |form| {
            let mut forged = credential(form, "other.example", DESTINATION, &key());
            forged.origin = name(ORIGIN);
            vec![forged.to_header()]
        },
    },
    Fault {
        what: "a good and a wrong signature",
        kind: "wrong",
        status: 401,
        credentials: |form| {
            let wrong = credential(form, ORIGIN, DESTINATION, &stranger());
            vec![good(form).to_header(), wrong.to_header()]
        },
    },
    Fault {
        what: "two origins",
        kind: "malformed",
        status: 400,
        credentials: |form| {
            let other = credential(form, EXPIRED, DESTINATION, &key());
            vec![good(form).to_header(), other.to_header()]
        },
    },
    Fault {
        what: "another destination",
        kind: "other destination",
        status: 401,
        credentials: |form| vec![credential(form, ORIGIN, "other.example", &key()).to_header()],
    },
    Fault {
        what: "our name over a signature for another destination",
        kind: "other destination",
        status: 401,
        credentials: |form| {
            let mut forged = credential(form, ORIGIN, "other.example", &key());
            forged.destination = Some(DESTINATION.to_owned());
            vec![forged.to_header()]
        },
    },
    Fault {
        what: "another destination, unsaid",
        kind: "other destination",
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
        kind: "wrong",
        status: 401,
        credentials: |form| {
            let target = format!("{}x", form.target());
            let (method, content) = (form.method(), form.content());
            vec![over(method, &target, content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "the signature of the target escaped differently",
        kind: "wrong",
        status: 401,
        credentials: |form| {
            let target = form.target().replacen("/_matrix", "/%5fmatrix", 1);
            let (method, content) = (form.method(), form.content());
            vec![over(method, &target, content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "the signature of another method",
        kind: "wrong",
        status: 401,
        credentials: |form| {
            let (target, content) = (form.target(), form.content());
            vec![over("DELETE", target, content, ORIGIN, DESTINATION, &key()).to_header()]
        },
    },
    Fault {
        what: "the signature of another content",
        kind: "wrong",
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
        kind: "wrong",
        status: 401,
        credentials: |form| {
            let other = signing_key("other", 1);
            vec![credential(form, ORIGIN, DESTINATION, &other).to_header()]
        },
    },
    Fault {
        what: "an expired key",
        kind: "expired key",
        status: 401,
        credentials: |form| vec![credential(form, EXPIRED, DESTINATION, &key()).to_header()],
    },
    Fault {
        what: "an origin whose keys cannot be had",
        kind: "wrong",
        status: 401,
        credentials: |form| vec![credential(form, NOWHERE, DESTINATION, &key()).to_header()],
    },
];
