//! Calls of a sample's operation.

use comity_core::{
    call::{AnyRequest, Call, CallContext},
    endpoint::{EndpointForm, EndpointParts},
};

use super::{
    credentials::{DESTINATION, name},
    drawn,
};
use crate::{AnySample, ReplySample};

/// Some request, always the same.
pub fn any_request(sample: &AnySample) -> Box<dyn AnyRequest> {
    drawn(sample.operation().spec().name, &sample.requests(), 1).remove(0)
}

/// Some reply, always the same.
pub fn any_reply(sample: &AnySample) -> ReplySample {
    drawn(sample.operation().spec().name, &sample.replies(), 1).remove(0)
}

/// The parts of [`any_request`].
///
/// # Errors
/// As [`form_of`].
pub fn any_parts(sample: &AnySample) -> Result<EndpointParts, String> {
    Ok(form_of(&*any_request(sample))?.parts().clone())
}

/// The call of [`any_request`].
///
/// # Errors
/// As [`form_of`].
pub fn any_call(sample: &AnySample) -> Result<Call, String> {
    call_of(sample, any_parts(sample)?)
}

/// A request's endpoint form.
///
/// # Errors
/// The sample gives what cannot be sent.
pub fn form_of(request: &dyn AnyRequest) -> Result<EndpointForm, String> {
    let form = request.write();
    form.map_err(|error| format!("the sample gives {request:?}, which cannot be sent: {error}"))
}

/// A call with these parts, with the target as we encode it.
///
/// # Errors
/// The operation cannot read them, or they cannot be sent.
pub fn call_of(sample: &AnySample, parts: EndpointParts) -> Result<Call, String> {
    let operation = sample.operation();
    let request = operation
        .read(&parts)
        .map_err(|error| format!("{operation:?} cannot be read: {error}"))?;
    let form = EndpointForm::from_parts(operation.method(), operation.path(), parts)
        .map_err(|error| format!("{operation:?} cannot be sent: {error}"))?;
    let context = CallContext::to(name(DESTINATION));
    Ok(Call::received(request, form, context))
}
