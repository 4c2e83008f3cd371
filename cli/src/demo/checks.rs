//! What is not timed: what was signed arrives as it was signed, what is not signed well is refused, an error arrives as it was made.

use comity_core::{
    api::{Calls, DownloadMedia},
    auth::{SignedRequest, SigningKey},
    call::{Blob, Body, Call, Credentials, Reply},
    endpoint::Content,
    error::{CallError, FederationError},
};
use futures_util::StreamExt;

use super::{
    calls::show,
    report::count,
    stage::{Actor, Seen, seen},
};

/// Whether the receiver saw of each call exactly what was signed.
pub(crate) async fn signed_bytes<H>(
    from: &Actor<H>,
    to: &Actor<H>,
    calls: &[Call],
) -> Result<String, String> {
    for mut call in calls.iter().map(Call::duplicate) {
        let name = call.spec().name;
        let header = sign(from, to, &mut call, &from.identity.key)?;
        let wanted = Seen {
            credentials: vec![header],
            origin: Some(from.name().clone()),
            ..seen(&call)
        };
        to.witness.take();
        let answered = match from.client.send(call).await {
            Ok(reply) => drain(reply).await,
            // The receiver does not have the operation: what it saw counts all the same.
            Err(CallError::Federation(error)) if error.is_unknown_endpoint() => Ok(()),
            Err(error) => Err(error),
        };
        answered.map_err(|error| format!("{name}: {}", show(error)))?;
        match to.witness.take() {
            Some(seen) if seen == wanted => {}
            seen => {
                return Err(format!(
                    "the receiver of {name} saw {seen:?} instead of {wanted:?}"
                ));
            }
        }
    }
    Ok(format!(
        "method, target, content and credentials of {} signed operations were the same bytes at the receiver, \
         unknown members and parameters included, and proved the origin",
        count(calls.len())
    ))
}

async fn drain(reply: Reply) -> Result<(), CallError> {
    match reply {
        Reply::Message(_) => {}
        Reply::Events(mut events) => {
            while let Some(part) = events.parts.next().await {
                part?;
            }
        }
        Reply::Blob(Blob { mut bytes, .. }) | Reply::Body(Body { mut bytes, .. }) => {
            while let Some(chunk) = bytes.next().await {
                chunk?;
            }
        }
    }
    Ok(())
}

/// The credential for a call, by this key in the caller's name.
fn sign<H>(
    from: &Actor<H>,
    to: &Actor<H>,
    call: &mut Call,
    key: &SigningKey,
) -> Result<String, String> {
    let form = call.make_form().map_err(show)?;
    let content = match form.content() {
        Content::Json(object) => Some(&object.text()[..]),
        _ => None,
    };
    Ok(SignedRequest {
        method: form.method(),
        uri: form.target(),
        origin: from.name(),
        destination: to.name().as_str(),
        content,
    }
    .sign(key)
    .to_header())
}

/// Whether calls without a good signature are refused, each of them.
pub(crate) async fn refusals<H>(
    from: &Actor<H>,
    to: &Actor<H>,
    calls: &[Call],
) -> Result<String, String> {
    // The same key ID, so that only the signature tells.
    let forger = SigningKey::generate(from.identity.key.key_id().version()).map_err(show)?;
    for (call, another) in calls.iter().zip(calls.iter().cycle().skip(1)) {
        let forged = sign(from, to, &mut call.duplicate(), &forger)?;
        let others = sign(from, to, &mut another.duplicate(), &from.identity.key)?;
        for (what, credentials) in [
            ("a forged signature", vec![forged]),
            ("a signature of another request", vec![others]),
            ("a missing signature", Vec::new()),
        ] {
            let mut call = call.duplicate();
            let name = call.spec().name;
            call.context_mut().credentials = Credentials::new(credentials);
            match from.bare.send(call).await {
                Err(CallError::Federation(error))
                    if error.http_status() == 401 && error.errcode() == Some("M_UNAUTHORIZED") => {}
                Err(error) => {
                    return Err(format!("{name} with {what} was answered: {}", show(error)));
                }
                Ok(_) => return Err(format!("{name} with {what} was let in")),
            }
        }
    }
    Ok(format!(
        "each of {} operations with a forged signature, with that of another request and with none was refused with 401 M_UNAUTHORIZED",
        count(calls.len())
    ))
}

/// Whether an error arrives as it was made.
pub(crate) async fn an_error<H>(from: &Actor<H>, to: &Actor<H>) -> Result<String, String> {
    let request = DownloadMedia {
        media_id: "no such/file".to_owned(),
        ..DownloadMedia::default()
    };
    let why = format!("{} has no file {:?}", to.name(), request.media_id);
    let wanted = FederationError::not_found(why);
    match from.client.download_media(to.name(), request).await {
        Err(CallError::Federation(got))
            if got.http_status() == 404
                && got.body() == wanted.body()
                && got.kind() == wanted.kind() =>
        {
            Ok("an error's status, code and body were the same bytes".to_owned())
        }
        Err(error) => Err(format!("an error arrived changed: {}", show(error))),
        Ok(_) => Err("a file that is not there was served".to_owned()),
    }
}
