//! One exchange to ruma and back.

use std::{borrow::Cow, collections::BTreeMap};

use bytes::Bytes;
use comity_conformance::{ReplySample, written};
use comity_core::{
    Boxed, Operations,
    auth::{Authenticator, SignedRequest, XMatrixAuthenticator},
    call::{
        Authentication, Call, CallContext, Credentials, Endpoint, Op, Reply, ReplyForm, operation,
    },
    endpoint::{Content, EndpointForm, EndpointParts, ReplyHead, read_content, read_reply},
    json::{Object, Value},
};
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use ruma_common::api::{
    IncomingRequest, IncomingRequestExt, IncomingResponse, IncomingResponseExt, Metadata,
    OutgoingRequest, OutgoingRequestExt, OutgoingResponse, OutgoingResponseExt,
    path_builder::SinglePath,
};
use ruma_federation_api::authentication::XMatrix;

use crate::credentials::{
    Credential, DESTINATION, ORIGIN, OurKeys, name, our_key, ruma_key, ruma_keys,
};

/// What is sent of an operation that both know.
pub(crate) struct Exchange {
    op: Op,
    /// Name, target and content.
    requests: &'static [(&'static str, &'static str, &'static str)],
    /// Name and body.
    replies: Vec<(&'static str, ReplyBody)>,
    request: fn(&EndpointForm) -> Boxed<'static, Result<EndpointForm, String>>,
    reply: fn(ReplyHead, Bytes) -> Result<(ReplyHead, Bytes), String>,
    retype: fn(Reply) -> Result<Reply, String>,
}

/// A reply's body: JSON, or a blob.
pub(crate) enum ReplyBody {
    Json(&'static str),
    Blob(ReplySample),
}

/// An operation of ours and the same of ruma's.
pub(crate) fn pair<O, R>(
    requests: &'static [(&'static str, &'static str, &'static str)],
    replies: &[(&'static str, &'static str)],
) -> Exchange
where
    O: Endpoint,
    R: Metadata<PathBuilder = SinglePath> + OutgoingRequest + IncomingRequest,
    R::Authentication: Credential,
    <R as IncomingRequest>::OutgoingResponse: IncomingResponse,
{
    let replies = replies.iter();
    Exchange {
        op: operation::<O>(),
        requests,
        replies: replies
            .map(|(name, body)| (*name, ReplyBody::Json(body)))
            .collect(),
        request: |form| {
            let (sent, authentication) = (request::<R>(form), O::SPEC.authentication);
            Box::pin(async move { received(sent?, authentication).await })
        },
        reply: reply::<R::OutgoingResponse>,
        retype: |reply| {
            let typed = reply.typed::<O>().map(ReplyForm::into_reply);
            typed.map_err(|error| format!("we refuse the reply: {error}"))
        },
    }
}

impl Exchange {
    /// With blobs as replies.
    pub(crate) fn with_blobs(mut self, blobs: Vec<(&'static str, ReplySample)>) -> Self {
        let blobs = blobs.into_iter();
        self.replies
            .extend(blobs.map(|(name, blob)| (name, ReplyBody::Blob(blob))));
        self
    }

    pub(crate) fn operation(&self) -> &'static str {
        self.op.spec().name
    }

    /// What differs, each as `Operation, request name: what`.
    pub(crate) async fn run(&self) -> Vec<String> {
        let mut found = Vec::new();
        let operation = self.operation();
        for (name, target, content) in self.requests {
            let form = self.ours(target, content);
            for what in match (self.request)(&form).await {
                Ok(back) => compared(form.parts(), back.parts()),
                Err(error) => vec![error],
            } {
                found.push(format!("{operation}, request {name}: {what}"));
            }
        }
        for (name, body) in &self.replies {
            for what in self.reply_differences(body).await {
                found.push(format!("{operation}, reply {name}: {what}"));
            }
        }
        found
    }

    /// Our request: read from the entry by our types, and written by them.
    fn ours(&self, target: &str, content: &str) -> EndpointForm {
        let call = read(
            self.op.method(),
            target,
            Bytes::from(content.to_owned()),
            Vec::new(),
        );
        let call = call.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(call.operation(), self.op, "{target}");
        let form = call.request().write().unwrap();
        assert_eq!(form.parts(), call.form().unwrap().parts(), "{target}");
        form
    }

    async fn reply_differences(&self, body: &ReplyBody) -> Vec<String> {
        let sample = match body {
            ReplyBody::Json(json) => {
                let head = ReplyHead {
                    status: 200,
                    content_type: Some("application/json".to_owned()),
                    ..ReplyHead::default()
                };
                let read = self.read_reply(head, Bytes::from_static(json.as_bytes()));
                read.await.unwrap()
            }
            ReplyBody::Blob(sample) => sample.clone(),
        };
        let (head, body) = written(self.op, sample.to_reply(None)).await.unwrap();
        let back = match (self.reply)(head, body.clone()) {
            Ok((head, back)) => self.read_reply(head, back).await,
            Err(error) => Err(error),
        };
        match (back, &sample) {
            (Err(error), _) => vec![error],
            (Ok(back), ReplySample::Blob(_)) => match back == sample {
                true => Vec::new(),
                false => vec![format!("{sample:?} became {back:?}")],
            },
            (Ok(back), _) => {
                let (_, back) = written(self.op, back.to_reply(None)).await.unwrap();
                members(&value(&body), &value(&back))
            }
        }
    }

    /// Reads a reply by our types, to its end.
    async fn read_reply(&self, head: ReplyHead, body: Bytes) -> Result<ReplySample, String> {
        let body = stream::once(async { Ok(body) }).boxed();
        let reply = read_reply(self.op, head, body).await;
        let reply = reply.map_err(|error| format!("we refuse the reply: {error}"))?;
        match ReplySample::read((self.retype)(reply)?).await {
            (sample, None) => Ok(sample),
            (_, Some(error)) => Err(format!("the reply breaks off: {error}")),
        }
    }
}

fn read(
    method: &str,
    target: &str,
    body: Bytes,
    credentials: Vec<String>,
) -> Result<Call, comity_core::error::FederationError> {
    let mut context = CallContext::received("http/1");
    context.credentials = Credentials::new(credentials);
    let read = |op: Op| read_content(op, Some("application/json"), body);
    Operations::federation().read(
        Cow::Owned(method.to_owned()),
        target.to_owned(),
        context,
        read,
    )
}

/// Our request, signed by our key, verified and read by ruma, and written and signed again by ruma.
fn request<R>(form: &EndpointForm) -> Result<Request<Vec<u8>>, String>
where
    R: Metadata<PathBuilder = SinglePath> + OutgoingRequest + IncomingRequest,
    R::Authentication: Credential,
{
    let content = match form.content() {
        Content::Json(object) => Some(&object.text()[..]),
        _ => None,
    };
    let signed = SignedRequest {
        method: form.method(),
        uri: form.target(),
        origin: &name(ORIGIN),
        destination: DESTINATION,
        content,
    };
    let request = Request::builder()
        .method(form.method())
        .uri(form.target())
        .header("content-type", "application/json")
        .header("authorization", signed.sign(&our_key()).to_header())
        .body(content.unwrap_or_default())
        .unwrap();
    let credential = XMatrix::extract_from_http_headers(request.headers());
    let destination = ruma_common::ServerName::parse(DESTINATION).unwrap();
    credential
        .map_err(|error| format!("ruma cannot read our credential: {error}"))?
        .verify_http_request(&request, &destination, &ruma_keys())
        .map_err(|error| format!("ruma does not verify our signature: {error}"))?;
    let path: Vec<&str> = form.parts().path.iter().map(String::as_str).collect();
    let read = R::try_from_http_request(request, &path);
    let read = read.map_err(|error| format!("ruma refuses our request: {error}"))?;
    let (base, key) = (format!("https://{DESTINATION}"), ruma_key());
    let written = read.try_into_http_request(&base, R::Authentication::input(&key), ());
    written.map_err(|error| format!("ruma cannot write the request: {error}"))
}

/// ruma's request, verified and read by us.
async fn received(
    request: Request<Vec<u8>>,
    authentication: Authentication,
) -> Result<EndpointForm, String> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().unwrap().as_str();
    let credentials = head.headers.get_all("authorization").iter();
    let credentials = credentials
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let mut call = read(head.method.as_str(), target, body.into(), credentials)
        .map_err(|error| format!("we refuse ruma's request: {error}"))?;
    if authentication == Authentication::Server {
        let authenticator = XMatrixAuthenticator::new(name(DESTINATION), OurKeys::shared());
        let proven = authenticator.authenticate(&mut call).await;
        proven.map_err(|error| format!("we do not verify ruma's signature: {error}"))?;
    }
    let form = call.request().write();
    form.map_err(|error| format!("we cannot write ruma's request: {error}"))
}

/// Our reply, read by ruma and written again.
fn reply<R>(head: ReplyHead, body: Bytes) -> Result<(ReplyHead, Bytes), String>
where
    R: IncomingResponse + OutgoingResponse,
{
    let mut response = Response::builder().status(head.status);
    if let Some(content_type) = head.content_type {
        response = response.header("content-type", content_type);
    }
    let read = R::try_from_http_response(response.body(&body[..]).unwrap());
    let read = read.map_err(|error| format!("ruma refuses our reply: {error}"))?;
    let written = read.try_into_http_response::<Vec<u8>>();
    let written = written.map_err(|error| format!("ruma cannot write the reply: {error}"))?;
    let (head, body) = written.into_parts();
    let header = |name: &str| Some(head.headers.get(name)?.to_str().unwrap().to_owned());
    let head = ReplyHead {
        status: head.status.as_u16(),
        content_type: header("content-type"),
        content_disposition: header("content-disposition"),
        retry_after: header("retry-after"),
    };
    Ok((head, body.into()))
}

fn value(body: &Bytes) -> Value {
    Value::parse(body.clone(), body.len()).unwrap()
}

/// What differs between two requests, in short.
fn compared(ours: &EndpointParts, back: &EndpointParts) -> Vec<String> {
    let mut found = Vec::new();
    if ours.path != back.path {
        found.push(format!("path {:?} became {:?}", ours.path, back.path));
    }
    let pairs = |parts: &EndpointParts| {
        let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in parts.query.iter() {
            pairs
                .entry(name.to_owned())
                .or_default()
                .push(value.to_owned());
        }
        pairs
    };
    changes("query parameter", &pairs(ours), &pairs(back), &mut found);
    match (&ours.content, &back.content) {
        (Content::Json(one), Content::Json(other)) => {
            found.extend(members(&one.to_value(), &other.to_value()));
        }
        (one, other) if one == other => {}
        (one, other) => found.push(format!("content {one:?} became {other:?}")),
    }
    found
}

/// What differs between two JSON values, by the members of objects.
fn members(ours: &Value, back: &Value) -> Vec<String> {
    let (Some(one), Some(other)) = (Object::from_value(ours), Object::from_value(back)) else {
        return match ours == back {
            true => Vec::new(),
            false => vec![format!("{ours:?} became {back:?}")],
        };
    };
    let map = |object: &Object| -> BTreeMap<String, String> {
        let members = object.members();
        members
            .map(|(name, value)| (name.into_owned(), value.as_text().to_owned()))
            .collect()
    };
    let mut found = Vec::new();
    changes("member", &map(&one), &map(&other), &mut found);
    found
}

fn changes<T: PartialEq + std::fmt::Debug>(
    what: &str,
    ours: &BTreeMap<String, T>,
    back: &BTreeMap<String, T>,
    found: &mut Vec<String>,
) {
    for (name, value) in ours {
        match back.get(name) {
            None => found.push(format!("{what} `{name}` is lost")),
            Some(other) if other != value => {
                found.push(format!("{what} `{name}`: {value:?} became {other:?}"));
            }
            Some(_) => {}
        }
    }
    for (name, value) in back {
        if !ours.contains_key(name) {
            found.push(format!("{what} `{name}` is added: {value:?}"));
        }
    }
}
