//! What `-v` says of a call: who proved to be whom and how, which binding, why that one, where to, and how long it took.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use comity_core::{
    ServerName,
    auth::{OwnProof, now_ms},
    layers::{FellBack, Observed, Observer},
    transport::Route,
};
use serde_json::{Value, json};

use super::reply::Shown;
use crate::{
    printable::Printable,
    times::{FromNow, Utc},
};

/// What the layers tell of the call.
#[derive(Debug, Default)]
pub(super) struct Notes {
    ended: Mutex<Option<Observed>>,
    fallbacks: Mutex<Vec<FellBack>>,
}

impl Observer for Notes {
    fn ended(&self, call: &Observed) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended = Some(call.clone());
    }

    fn fell_back(&self, fallback: &FellBack) {
        let mut all = self
            .fallbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(fallback.clone());
    }
}

/// What there is to say.
pub(super) struct Told {
    pub(super) operation: &'static str,
    pub(super) method: String,
    /// Without the query, which can hold a secret.
    pub(super) path: String,
    /// Who signs, if somebody does.
    pub(super) origin: Option<ServerName>,
    /// The binding that was chosen, and why; none: no binding may carry it.
    pub(super) chosen: Option<(&'static str, String)>,
    pub(super) route: Option<Route>,
    pub(super) resolved: Option<Duration>,
    /// How long it took to learn what the server offers.
    pub(super) chose: Duration,
    pub(super) notes: Arc<Notes>,
}

impl Told {
    /// Why the call went by the binding that it went by at last.
    fn why(&self, fallbacks: &[FellBack]) -> Option<String> {
        match fallbacks.last() {
            Some(fell) => Some(format!("{} failed ({})", fell.from, fell.reason)),
            None => self.chosen.as_ref().map(|(_, why)| why.clone()),
        }
    }

    /// Says it on standard error.
    pub(super) fn report(&self, shown: &Shown<'_>, total: Duration, (sent, received): (u64, u64)) {
        let ended = self
            .notes
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let fallbacks = self
            .notes
            .fallbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let to_head = ended.as_ref().and_then(|call| call.to_head).map(ms);
        let binding = ended.as_ref().map(|call| call.binding);
        let binding = binding.filter(|binding| !binding.is_empty());
        let proof = ended.as_ref().and_then(|call| call.proof.clone());
        let proof = self.origin.as_ref().zip(proof);
        if shown.json {
            let addresses: Option<Vec<_>> = self
                .route
                .as_ref()
                .map(|route| route.addresses.iter().map(ToString::to_string).collect());
            let told: Value = json!({
                "operation": self.operation,
                "method": self.method,
                "path": self.path,
                "proof": proof.as_ref().map(|(origin, proof)| proof_json(origin, proof)),
                "binding": binding,
                "why": self.why(&fallbacks),
                "chosen": self.chosen.as_ref().map(|(binding, why)| json!({ "binding": binding, "why": why })),
                "host": self.route.as_ref().map(|route| &route.host),
                "certificate_name": self.route.as_ref().map(|route| &route.certificate_name),
                "addresses": addresses,
                "fallbacks": fallbacks.iter().map(|fell| json!({ "from": fell.from, "to": fell.to, "reason": fell.reason.name() })).collect::<Vec<_>>(),
                "resolve_ms": self.resolved.map(ms),
                "binding_ms": ms(self.chose),
                "head_ms": to_head,
                "total_ms": ms(total),
                "wire_sent_bytes": sent,
                "wire_received_bytes": received,
            });
            eprintln!("{told}");
            return;
        }
        let mut text = String::new();
        let _ = writeln!(
            text,
            "> {} {} ({})",
            self.method,
            Printable(&self.path),
            self.operation
        );
        if let Some((origin, proof)) = &proof {
            let _ = writeln!(text, "> proven as {origin} {}", proof_text(proof, now_ms()));
        }
        if let Some(route) = &self.route {
            let addresses: Vec<_> = route.addresses.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "> to {} (Host {}, certificate for {})",
                addresses.join(", "),
                Printable(&route.host),
                Printable(&route.certificate_name)
            );
        }
        if let (false, Some((chosen, why))) = (fallbacks.is_empty(), &self.chosen) {
            let _ = writeln!(text, "> {chosen} was tried: {why}");
        }
        let _ = match (binding, self.why(&fallbacks)) {
            (Some(binding), Some(why)) => writeln!(text, "> over {binding}: {why}"),
            (Some(binding), None) => writeln!(text, "> over {binding}"),
            (None, _) => writeln!(text, "> not sent"),
        };
        let (resolved, chose) = (self.resolved.map_or(0.0, ms), ms(self.chose));
        let head = to_head.map_or(String::new(), |head| format!("head after {head} ms, "));
        let total = ms(total);
        let _ = writeln!(
            text,
            "< resolved in {resolved} ms, binding found in {chose} ms, {head}{total} ms in all"
        );
        let _ = writeln!(
            text,
            "< {sent} bytes sent, {received} received, TLS included"
        );
        eprint!("{text}");
    }
}

fn proof_json(origin: &ServerName, proof: &OwnProof) -> Value {
    match proof {
        OwnProof::Session {
            key,
            created,
            expires,
        } => json!({
            "scheme": "session",
            "origin": origin.as_str(),
            "key": key.as_str(),
            "proven_ts": created,
            "expires_ts": expires,
        }),
        OwnProof::XMatrix {
            key,
            instead_of_session,
        } => json!({
            "scheme": "X-Matrix",
            "origin": origin.as_str(),
            "key": key.as_str(),
            "instead_of_session": instead_of_session,
        }),
        // Such a proof is made by no transport of this program.
        _ => Value::Null,
    }
}

fn proof_text(proof: &OwnProof, now: i64) -> String {
    match proof {
        OwnProof::Session {
            key,
            created,
            expires,
        } => {
            let (since, until) = (Utc(*created), Utc(*expires));
            let left = FromNow {
                time: *expires,
                now,
            };
            format!(
                "by a session of the connection, key {key}, proven {since}, good until {until} ({left})"
            )
        }
        OwnProof::XMatrix {
            key,
            instead_of_session,
        } => {
            let instead = match instead_of_session {
                true => "; the connection has no session, or the server refused it",
                false => "",
            };
            format!("by an X-Matrix signature, key {key}{instead}")
        }
        _ => "otherwise".to_owned(),
    }
}
