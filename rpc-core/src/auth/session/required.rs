//! Who requires a session of a call, and the error of one that goes by none.

use std::fmt::Display;

use super::{SessionOptions, SessionUse};
use crate::{
    call::CallContext,
    error::{Delivery, TransportError, TransportErrorKind},
};

/// The setting that requires a session of a call: the operator's word counts, else the caller's ([`CallContext::said_of_sessions`]), else what is usual.
pub(crate) fn session_setting(
    operator: Option<SessionUse>,
    caller: Option<(SessionUse, &'static str)>,
    usually_required: bool,
) -> Option<&'static str> {
    match operator.map(|said| (said, "Policy::sessions")).or(caller) {
        Some((said, setting)) => (said == SessionUse::Required).then_some(setting),
        None => usually_required.then_some("SessionOptions::usually"),
    }
}

/// The error of a call that requires a session and has none. `sent` says to whom or over what nothing is sent, with the preposition; `why` stands behind a comma.
pub(crate) fn no_session(
    sent: impl Display,
    setting: &'static str,
    why: impl Display,
) -> TransportError {
    TransportError::new(
        TransportErrorKind::Refused,
        Delivery::NotSent,
        format!("nothing is sent {sent}: a session is required (setting: {setting}), {why}"),
    )
}

impl SessionOptions {
    /// The error of a call that found no session on its connection, if it may go by nothing else ([`use_for`](Self::use_for) says [`SessionUse::Required`]). It names the setting that requires
    /// one. `binding` is what nothing is sent over, and `why` stands behind a comma.
    pub fn refusal(
        &self,
        context: &CallContext,
        binding: &str,
        why: impl Display,
    ) -> Option<TransportError> {
        let usually = self.usually == SessionUse::Required;
        let setting = session_setting(None, context.said_of_sessions(), usually)?;
        Some(no_session(format_args!("over {binding}"), setting, why))
    }
}
