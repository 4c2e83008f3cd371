//! Every body that the specification shows: read by our types, written again, canonically equal, through JSON and through gRPC.

use std::collections::BTreeMap;

use bytes::Bytes;
use comity_conformance::{AnySample, ReplySample, samples, written};
use comity_core::{
    call::{AnyRequest, Op, Reply},
    endpoint::{
        Content, EndpointForm, EndpointParts, Query, ReplyHead, read_content, read_reply,
        target::Segment,
    },
    json::Value,
};
use futures_util::{StreamExt, stream};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};

use crate::{
    compare::Difference,
    loopback::Loopback,
    operation::{Example, Specified, endpoint},
    rows::{Row, rows},
};

/// How many bodies went both ways, and which did not.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) requests: usize,
    pub(crate) replies: usize,
    pub(crate) differences: Vec<Difference>,
}

/// Sends every example of the operations that the table has.
///
/// # Errors
/// There is no loopback.
pub(crate) async fn check(specified: &[Specified]) -> Result<Report, String> {
    let loopback = Loopback::start().await?;
    let here: BTreeMap<String, (AnySample, Row)> = samples()
        .into_iter()
        .zip(rows())
        .map(|(sample, row)| {
            (
                endpoint(row.op.method(), row.op.path().as_str()),
                (sample, row),
            )
        })
        .collect();
    let mut report = Report::default();
    for one in specified {
        let (method, path) = (&one.operation.method, &one.operation.path);
        let Some((sample, row)) = here.get(&endpoint(method, path)) else {
            continue;
        };
        let mut fail = |place: &str, error: String| {
            report.differences.push(Difference {
                endpoint: format!("{method} {path}"),
                what: format!("{place}: {error}"),
            });
        };
        let none = [Example {
            place: "request without a body".to_owned(),
            value: serde_json::Value::Null,
        }];
        let requests = match one.requests.is_empty() {
            true => &none[..],
            false => &one.requests,
        };
        for example in requests {
            report.requests += 1;
            if let Err(error) = request(row, one, example, &loopback).await {
                fail(&example.place, error);
            }
        }
        for example in &one.replies {
            report.replies += 1;
            if let Err(error) = reply(row, sample, example, &loopback).await {
                fail(&example.place, error);
            }
        }
    }
    Ok(report)
}

async fn request(
    row: &Row,
    one: &Specified,
    example: &Example,
    loopback: &Loopback,
) -> Result<(), String> {
    let parts = parts(row.op, one, example)?;
    let request = row
        .op
        .read(&parts)
        .map_err(|error| format!("refused: {error}"))?;
    let form = request
        .write()
        .map_err(|error| format!("cannot be written: {error}"))?;
    same_parts("JSON", form.parts(), &parts)?;
    if !(row.has_message)(form.parts()) {
        return Err("no gRPC message carries it".to_owned());
    }
    let arrived: EndpointForm = loopback.request(request, form).await?;
    same_parts("gRPC", arrived.parts(), &parts)
}

/// The request that the examples of parameters and body make. Each path parameter and required query parameter has one, as
/// a request without it is refused.
fn parts(op: Op, one: &Specified, example: &Example) -> Result<EndpointParts, String> {
    let mut path = Vec::new();
    for segment in op.path().segments() {
        if let Segment::Parameter(name) = segment {
            let value = one.path_examples.get(name);
            path.push(
                value
                    .ok_or_else(|| format!("no example of `{name}`"))?
                    .clone(),
            );
        }
    }
    let mut query = Query::new();
    for (name, value) in &one.query_examples {
        query.push(name, value);
    }
    let content = match &example.value {
        serde_json::Value::Null => Content::Absent,
        body => {
            let body = serde_json::to_vec_pretty(body).map_err(|error| error.to_string())?;
            read_content(op, Some("application/json"), body.into())
                .map_err(|error| format!("refused: {error}"))?
        }
    };
    Ok(EndpointParts {
        path,
        query,
        content,
    })
}

/// Equal but for the order of query parameters of different names, which is ours to choose.
fn same_parts(way: &str, arrived: &EndpointParts, sent: &EndpointParts) -> Result<(), String> {
    let sorted = |query: &Query| {
        let mut pairs: Vec<_> = query
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        pairs.sort_by(|one, other| one.0.cmp(&other.0));
        pairs
    };
    if arrived.path == sent.path
        && arrived.content == sent.content
        && sorted(&arrived.query) == sorted(&sent.query)
    {
        return Ok(());
    }
    Err(format!("differs through {way}: {arrived:?}"))
}

async fn reply(
    row: &Row,
    sample: &AnySample,
    example: &Example,
    loopback: &Loopback,
) -> Result<(), String> {
    let body: Bytes = serde_json::to_vec_pretty(&example.value)
        .map_err(|error| error.to_string())?
        .into();
    let expected = Value::parse(body.clone(), body.len())
        .map_err(|error| format!("is no JSON that can be signed: {error}"))?;
    let read = |body: Bytes| async {
        let head = ReplyHead {
            status: 200,
            content_type: Some("application/json".to_owned()),
            ..ReplyHead::default()
        };
        let body = stream::once(async { Ok(body) }).boxed();
        let reply = read_reply(row.op, head, body).await;
        let reply = reply.and_then(row.retype);
        reply.map_err(|error| format!("refused: {error}"))
    };
    let again = body_of(row.op, read(body.clone()).await?).await?;
    same_text("JSON", &again, &expected)?;
    let (answer, broken) = ReplySample::read(read(body).await?).await;
    if let Some(error) = broken {
        return Err(format!("breaks off: {error}"));
    }
    let arrived = loopback.reply(any_request(sample)?, answer).await?;
    let arrived = (row.retype)(arrived).map_err(|error| format!("refused: {error}"))?;
    same_text("gRPC", &body_of(row.op, arrived).await?, &expected)
}

/// A request of the operation, the same one each time.
fn any_request(sample: &AnySample) -> Result<Box<dyn AnyRequest>, String> {
    let tree = sample.requests().new_tree(&mut TestRunner::deterministic());
    Ok(tree.map_err(|reason| reason.to_string())?.current())
}

/// A reply's body as HTTP sends it.
async fn body_of(op: Op, reply: Reply) -> Result<Value, String> {
    let written = written(op, reply).await;
    let (_, bytes) = written.map_err(|error| format!("breaks off: {error}"))?;
    let length = bytes.len();
    Value::parse(bytes, length).map_err(|error| format!("written as no JSON: {error}"))
}

fn same_text(way: &str, arrived: &Value, sent: &Value) -> Result<(), String> {
    if arrived == sent {
        return Ok(());
    }
    Err(format!("differs through {way}: {arrived:?}"))
}
