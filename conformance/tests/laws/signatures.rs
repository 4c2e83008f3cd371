//! A signature survives a change of transport: what was signed arrives, whatever way its target was escaped and its credential written.

use std::borrow::Cow;

use comity_conformance::samples;
use comity_core::{
    call::{AnyRequest, Authentication, Call, CallContext, Credentials},
    endpoint::{EndpointForm, EndpointParts, TrailingSlash},
};
use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, sample::select};

use crate::{
    credentials::{DESTINATION, ORIGIN, credential, key, name},
    recorder::Answer,
    run::{cases, runtime},
    wire::wires,
};

#[test]
fn a_request_verifies_with_its_target_escaped_in_any_way() {
    let wires = runtime().block_on(wires());
    for sample in samples() {
        let operation = sample.operation();
        let law = format!("a signature survives: {operation:?}");
        let strategy = (
            sample.requests(),
            sample.replies(),
            vec(any::<u8>(), 1..32),
            select(&HEADERS[..]),
        );
        cases(&law, 40, &strategy, |(request, reply, choices, header)| {
            let wires = &wires;
            async move {
                let form = escaped_anew(&*request, Choices::new(choices));
                let credential = credential(&form, ORIGIN, DESTINATION, &key());
                let credentials: Vec<_> = match operation.spec().authentication {
                    Authentication::Server => header(&credential.to_header(), DESTINATION),
                    // Some servers sign these as well; it travels and is not looked at.
                    _ => vec!["Bearer x".to_owned(), credential.to_header()],
                };
                for wire in wires {
                    let mut context = CallContext::to(name(DESTINATION));
                    context.credentials = Credentials::new(credentials.clone());
                    let call = Call::received(request.clone_box(), form.clone(), context);
                    let exchange = wire.exchange(call, Answer::Reply(reply.clone())).await;
                    let Some(seen) = exchange.seen else {
                        prop_assert!(
                            false,
                            "{}: {} {:?}",
                            wire.name,
                            form.target(),
                            exchange.outcome
                        );
                        unreachable!()
                    };
                    prop_assert_eq!(seen.method, form.method(), "over {}", wire.name);
                    prop_assert_eq!(seen.target, form.target(), "over {}", wire.name);
                    prop_assert_eq!(&seen.parts, form.parts(), "over {}", wire.name);
                    prop_assert!(seen.request.same(&*request), "over {}", wire.name);
                    prop_assert_eq!(&seen.credentials, &credentials, "over {}", wire.name);
                    let signed = operation.spec().authentication == Authentication::Server;
                    prop_assert_eq!(seen.origin, signed.then(|| name(ORIGIN)));
                    prop_assert_eq!(exchange.outcome, Ok(reply.clone()), "over {}", wire.name);
                }
                Ok(())
            }
        });
    }
}

/// Ways to write a credential that receivers must bear (SS "Request Authentication", RFC 9110 §11.4).
const HEADERS: [fn(&str, &str) -> Vec<String>; 6] = [
    |header, _| vec![header.to_owned()],
    // Unquoted, as SyTest sends it.
    |header, _| vec![header.replace('"', "")],
    |header, _| vec![header.replacen("X-Matrix", "x-mAtRiX", 1)],
    // Senders before v1.3 leave out the destination and sign it all the same.
    |header, destination| vec![header.replace(&format!(",destination=\"{destination}\""), "")],
    |header, _| vec![header.replace(',', " , ,") + ",unknown=\"x\""],
    |header, _| vec!["Bearer x".to_owned(), header.to_owned(), header.to_owned()],
];

/// The request's form with another spelling of the same target, and of the operation if it has several.
fn escaped_anew(request: &dyn AnyRequest, mut choices: Choices) -> EndpointForm {
    let operation = request.operation();
    let parts = request.write().unwrap().parts().clone();
    let EndpointParts { path, query, .. } = &parts;
    let mut target = String::new();
    let mut parameters = path.iter();
    let others = operation.alternatives();
    let other = others.get(usize::from(choices.next()) % (others.len() + 1));
    let (method, template) = other.map_or((operation.method(), operation.path()), |other| {
        (other.method, &other.path)
    });
    for segment in template.segments() {
        target.push('/');
        match segment {
            comity_core::endpoint::target::Segment::Literal(text) => target.push_str(text),
            comity_core::endpoint::target::Segment::Parameter(_) => {
                // `+` is literal in a path.
                choices.write(
                    &mut target,
                    parameters.next().unwrap(),
                    "!$&'()*+,;=:@-._~[]",
                );
            }
        }
    }
    if operation.trailing_slash() == TrailingSlash::Accept && choices.next().is_multiple_of(4) {
        target.push('/');
    }
    if !query.is_empty() || choices.next().is_multiple_of(4) {
        target.push('?');
    }
    for (index, (name, value)) in query.iter().enumerate() {
        if index > 0 {
            target.push('&');
        }
        if choices.next().is_multiple_of(8) {
            // An empty piece means nothing.
            target.push('&');
        }
        choices.write_form(&mut target, name);
        if !value.is_empty() || name.is_empty() || choices.next().is_multiple_of(2) {
            target.push('=');
            choices.write_form(&mut target, value);
        }
    }
    EndpointForm::received(Cow::Borrowed(method), target, parts)
}

/// An endless row of choices.
struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    fn next(&mut self) -> u8 {
        let byte = self.bytes[self.at % self.bytes.len()];
        self.at += 1;
        byte.rotate_left((self.at / self.bytes.len()) as u32)
    }

    /// Each character raw if it may be, or escaped though it need not be, in either case of hexadecimal digits.
    fn write(&mut self, out: &mut String, text: &str, raw: &str) {
        for byte in text.bytes() {
            let may_be_raw = byte.is_ascii_alphanumeric() || raw.as_bytes().contains(&byte);
            match self.next() % 4 {
                0 | 1 if may_be_raw => out.push(char::from(byte)),
                2 => out.push_str(&format!("%{byte:02X}")),
                _ => out.push_str(&format!("%{byte:02x}")),
            }
        }
    }

    /// The same in a query, where `+` is a space.
    fn write_form(&mut self, out: &mut String, text: &str) {
        for (index, piece) in text.split(' ').enumerate() {
            if index > 0 {
                out.push_str(if self.next().is_multiple_of(2) {
                    "+"
                } else {
                    "%20"
                });
            }
            self.write(out, piece, "!$'()*,;:@/?-._~[]");
        }
    }
}
