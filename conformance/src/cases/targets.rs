//! The target and the credentials arrive as they were sent, whatever way the target was escaped and the credentials were written; so
//! a signature holds at the far end.

use std::borrow::Cow;

use comity_core::{
    call::{AnyRequest, Authentication, Call, CallContext, Credentials},
    endpoint::{EndpointForm, EndpointParts, TrailingSlash},
};
use proptest::{collection::vec, prelude::any, sample::select};

use super::{
    Checked, OfOperation, any_parts, any_reply, crossing::came_back, ensure, form_of, random, shown,
};
use crate::{
    AnySample, Bench, Kind, Place,
    bench::{
        Answer,
        credentials::{DESTINATION, ORIGIN, credential, key, name},
        runtime,
    },
};

/// Random spellings of each operation's target.
const SPELLINGS: u32 = 12;

pub(super) fn of(sample: &AnySample) -> Vec<OfOperation> {
    let mut cases = vec![
        OfOperation::new("target and credentials as they were sent", as_sent),
        OfOperation::new("several credentials in their order", several_credentials),
    ];
    if repeatable(sample).next().is_some() {
        cases.push(OfOperation::new(
            "a query parameter that comes repeatedly",
            repeated,
        ));
    }
    cases
}

fn as_sent(bench: &Bench, sample: &AnySample) -> Checked {
    let law = format!("a signature survives: {:?}", sample.operation());
    let choices = (vec(any::<u8>(), 1..32), select(&HEADERS[..]));
    let strategy = (sample.requests(), choices);
    random(
        bench,
        &law,
        SPELLINGS,
        &strategy,
        |(request, choices)| async move {
            let (bytes, header) = choices;
            let form = escaped_anew(&*request, Choices::new(bytes))?;
            let credential = credential(&form, ORIGIN, DESTINATION, &key()).to_header();
            let credentials = header(&credential, DESTINATION);
            arrives(bench, sample, &*request, form, credentials).await
        },
    )
}

/// Some servers sign what needs no signature; it travels and is not looked at.
fn several_credentials(bench: &Bench, sample: &AnySample) -> Checked {
    let parts = any_parts(sample)?;
    let call = super::call_of(sample, parts)?;
    let form = call.form().ok_or("the call has no form")?.clone();
    let credential = credential(&form, ORIGIN, DESTINATION, &key()).to_header();
    let credentials = vec![
        "Bearer b".to_owned(),
        credential.clone(),
        "Bearer a,  b".to_owned(),
        credential.replace(',', " , "),
    ];
    runtime().block_on(arrives(bench, sample, call.request(), form, credentials))
}

async fn arrives(
    bench: &Bench,
    sample: &AnySample,
    request: &dyn AnyRequest,
    form: EndpointForm,
    credentials: Vec<String>,
) -> Checked {
    let reply = any_reply(sample);
    let mut context = CallContext::to(name(DESTINATION));
    context.credentials = Credentials::new(credentials.clone());
    let call = Call::received(request.clone_box(), form.clone(), context);
    let exchange = bench.exchange(call, Answer::Reply(reply.clone())).await?;
    let Some(seen) = &exchange.seen else {
        let outcome = shown(&exchange.outcome);
        return Err(format!("{} did not arrive: {outcome}", form.target()).into());
    };
    ensure!(
        (seen.method.as_str(), seen.target.as_str()) == (form.method(), form.target()),
        "{} {} arrived as {} {}",
        form.method(),
        form.target(),
        seen.method,
        seen.target
    );
    ensure!(
        &seen.parts == form.parts() && seen.request.same(request),
        "{} was read as {}",
        form.target(),
        shown(&seen.parts)
    );
    ensure!(
        seen.credentials == credentials,
        "the credentials {credentials:?} arrived as {:?}",
        seen.credentials
    );
    let signed = sample.operation().spec().authentication == Authentication::Server;
    ensure!(
        seen.origin == signed.then(|| name(ORIGIN)),
        "the origin is {:?}",
        seen.origin
    );
    came_back(&exchange, &reply)
}

/// The parameters of the query that are read by their type, and one that nobody knows.
fn repeatable(sample: &AnySample) -> impl Iterator<Item = (&'static str, Kind)> {
    let parameters = sample.parameters().iter();
    let query = parameters.filter(|one| one.place == Place::Query);
    query
        .map(|one| (one.name, one.kind))
        .chain([("org.example.repeated", Kind::String)])
}

/// The first of several counts, as servers in use read it, and the others reach the handler.
fn repeated(bench: &Bench, sample: &AnySample) -> Checked {
    for (name, kind) in repeatable(sample) {
        let values = match kind {
            Kind::Integer => ["8", "7", "8"],
            Kind::Boolean => ["true", "false", "true"],
            Kind::OneOf(texts) => [texts[0], texts[texts.len() - 1], texts[0]],
            _ => ["$b", "$a", "$b"],
        };
        let mut parts = any_parts(sample)?;
        parts.query.take_all(name);
        parts.query.push(name, values[0]);
        parts.query.push("org.example.between", "1");
        parts.query.push(name, values[1]);
        parts.query.push(name, values[2]);
        let call = super::call_of(sample, parts)?;
        let form = call.form().ok_or("the call has no form")?.clone();
        let header = credential(&form, ORIGIN, DESTINATION, &key()).to_header();
        let query = form.parts().query.clone();
        let arriving = arrives(bench, sample, call.request(), form, vec![header]);
        runtime().block_on(arriving)?;
        // Whoever passes the request on passes on all of them.
        let again = form_of(call.request())?;
        let again = &again.parts().query;
        ensure!(
            again.all(name).eq(values) && again.iter().count() == query.iter().count(),
            "`{name}` is passed on as {again:?}"
        );
    }
    Ok(())
}

/// Ways to write a credential that receivers must bear (SS "Request Authentication", RFC 9110 §11.4).
type Written = fn(&str, &str) -> Vec<String>;
const HEADERS: [Written; 6] = [
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
fn escaped_anew(request: &dyn AnyRequest, mut choices: Choices) -> Result<EndpointForm, String> {
    let operation = request.operation();
    let parts = form_of(request)?.parts().clone();
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
                let parameter = parameters.next().map_or("", String::as_str);
                choices.write(&mut target, parameter, "!$&'()*+,;=:@-._~[]");
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
    Ok(EndpointForm::received(Cow::Borrowed(method), target, parts))
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
