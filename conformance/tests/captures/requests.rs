//! Requests.

use std::{borrow::Cow, sync::Arc};

use comity_conformance::{BodySample, ReplySample};
use comity_core::{
    Operations,
    auth::{Authenticator, XMatrixAuthenticator, XMatrixCredentials},
    call::{Authentication, Call, CallContext, Credentials},
    endpoint::{EndpointForm, read_content},
    error::FederationError,
};

use crate::{
    loopback::{Answer, Loopback},
    recording::{Exchange, Keys, exchanges},
};

/// The call that a server makes of what arrived.
pub(crate) fn call(exchange: &Exchange) -> Result<Call, FederationError> {
    call_of(exchange, &Operations::federation())
}

/// The same of a server that knows these operations.
fn call_of(exchange: &Exchange, operations: &Operations) -> Result<Call, FederationError> {
    let mut context = CallContext::received("http/1");
    context.destination = Some(exchange.host.clone());
    context.credentials = Credentials::new(exchange.credentials.clone());
    operations.read(
        Cow::Owned(exchange.method.clone()),
        exchange.target.clone(),
        context,
        |op| read_content(op, Some("application/json"), exchange.content.clone()),
    )
}

#[tokio::test]
async fn every_request_is_read_written_again_and_verified_before_grpc_and_behind_it() {
    for exchange in exchanges() {
        let name = &exchange.name;
        let mut call = call(&exchange).unwrap_or_else(|error| panic!("{name}: {error}"));
        let form = call.form().unwrap().clone();
        let again = call.request().write().unwrap();
        assert_eq!(again.method(), exchange.method, "{name}");
        assert_eq!(again.parts().path, form.parts().path, "{name}");
        assert_eq!(again.content(), form.content(), "{name}");
        assert_eq!(pairs(&again), pairs(&form), "{name}");
        // Synapse sends canonical JSON: it is kept as it came.
        if !exchange.content.is_empty() {
            let content = form.content().object().unwrap();
            assert_eq!(content.text(), &exchange.content, "{name}");
        }

        let headers = exchange.credentials.iter().map(String::as_bytes);
        let named = XMatrixCredentials::from_headers(headers).unwrap();
        let keys = Arc::new(Keys::load());
        let authenticator = XMatrixAuthenticator::new(exchange.host.clone(), keys);
        let origin = authenticator.authenticate(&mut call).await.unwrap();
        assert_eq!(origin.server_name(), named.origin(), "{name}");

        let loopback = Loopback::start(&exchange.host, Operations::federation()).await;
        let spec = call.spec();
        let unrecognized = Answer::Error(FederationError::unrecognized());
        let (seen, outcome) = loopback.send(call.duplicate(), unrecognized).await;
        let seen = seen.unwrap_or_else(|| panic!("{name}: {outcome:?}"));
        assert!(
            seen.rpc.ends_with(spec.name),
            "{name}: went by {}",
            seen.rpc
        );
        assert_eq!(seen.form, form, "{name}");
        assert_eq!(seen.credentials, exchange.credentials, "{name}");
        // Synapse signs its requests for keys as well, and nobody asks for it.
        let asked = spec.authentication == Authentication::Server;
        assert_eq!(
            seen.origin.as_ref(),
            asked.then_some(named.origin()),
            "{name}"
        );
    }
}

/// The parameters of the query. Their order is the sender's choice, and what is signed is its target, not ours.
fn pairs(form: &EndpointForm) -> Vec<(&str, &str)> {
    let mut pairs: Vec<_> = form.parts().query.iter().collect();
    pairs.sort_by_key(|(name, _)| *name);
    pairs
}

/// So does every request at a server that has no row for it, and at ours if it had none.
#[tokio::test]
async fn every_request_passes_where_no_row_knows_it_and_so_does_its_reply() {
    let operations = || Operations::none().with_unregistered();
    for exchange in exchanges() {
        let name = &exchange.name;
        let call = call_of(&exchange, &operations()).unwrap();
        let form = call.form().unwrap().clone();
        let reply = ReplySample::Body(BodySample {
            status: 200,
            content_type: exchange.reply.content_type.clone(),
            content_disposition: None,
            pieces: vec![exchange.reply_body.clone()],
        });
        let loopback = Loopback::start(&exchange.host, operations()).await;
        let (seen, outcome) = loopback.send(call, Answer::Reply(reply.clone())).await;
        let seen = seen.unwrap_or_else(|| panic!("{name}: {outcome:?}"));
        assert!(
            seen.rpc.ends_with("/Invoke"),
            "{name}: went by {}",
            seen.rpc
        );
        assert_eq!(seen.form, form, "{name}");
        assert_eq!(seen.form.target(), exchange.target, "{name}");
        assert!(seen.origin.is_some(), "{name}");
        let (crossed, broken) = ReplySample::read(outcome.unwrap()).await;
        assert!(broken.is_none(), "{name}: {broken:?}");
        assert_eq!(crossed, reply, "{name}");
    }
}

/// The tests above can fail: nothing but the recorded bytes verifies.
#[tokio::test]
async fn a_recorded_signature_over_anything_else_is_refused_on_both_sides_of_grpc() {
    for exchange in exchanges() {
        let name = exchange.name.clone();
        let other = Exchange {
            target: format!(
                "{}{}x=1",
                exchange.target,
                if exchange.target.contains('?') {
                    '&'
                } else {
                    '?'
                }
            ),
            ..exchange
        };
        let mut call = call(&other).unwrap();
        let asked = call.spec().authentication == Authentication::Server;
        let keys = Arc::new(Keys::load());
        let authenticator = XMatrixAuthenticator::new(other.host.clone(), keys);
        let error = authenticator.authenticate(&mut call).await.unwrap_err();
        assert_eq!(error.http_status(), 401, "{name}");

        let loopback = Loopback::start(&other.host, Operations::federation()).await;
        let unrecognized = Answer::Error(FederationError::unrecognized());
        let (seen, _) = loopback.send(call, unrecognized).await;
        assert_eq!(seen.is_some(), !asked, "{name}");
    }
}
