//! Faults in how a call is passed on.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use comity_conformance::bench::credentials::{DESTINATION, ORIGIN, credential, key};
use comity_core::{
    auth::{Parsed, XMatrix},
    call::{Call, Credentials, Idempotency},
    endpoint::{Content, EndpointForm, EndpointParts, Query, target::TARGET_LIMIT},
    error::{CallError, FederationError, TransportErrorKind},
    json::{Members, Object, Value},
};
use tokio::sync::Mutex;

use crate::{Mutant, again, client, mutated::Fault};

pub(crate) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "drops unknown members of a request",
        fault: Fault::Server(|call| read_as(call, |parts| content(parts, without_unknown))),
    },
    Mutant {
        name: "drops unknown query parameters",
        fault: Fault::Server(|call| {
            read_as(call, |mut parts| {
                parts.query = kept(&parts.query, |name, _| !name.starts_with("org.example"));
                parts
            })
        }),
    },
    Mutant {
        name: "reorders a repeated parameter",
        fault: Fault::Server(|call| read_as(call, sorted_query)),
    },
    Mutant {
        name: "turns integers of a request to floats",
        fault: Fault::Client(|| client(|call| sent_as(call, |parts| content(parts, floats)))),
    },
    Mutant {
        name: "re-encodes the body of a request",
        fault: Fault::Client(|| client(|call| sent_as(call, |parts| content(parts, re_encoded)))),
    },
    Mutant {
        name: "sends {} where there was no body",
        fault: Fault::Client(|| {
            client(|call| {
                sent_as(call, |mut parts| {
                    if parts.content == Content::Absent {
                        parts.content = Content::Json(Object::empty());
                    }
                    parts
                })
            })
        }),
    },
    Mutant {
        name: "normalises the target",
        fault: Fault::Client(|| {
            client(|call| {
                let Some(form) = call.form().cloned() else {
                    return call;
                };
                let operation = call.operation();
                let parts = form.parts().clone();
                let form =
                    EndpointForm::from_parts(operation.method(), operation.path(), parts).unwrap();
                with_form(call, form)
            })
        }),
    },
    Mutant {
        name: "writes percent-encoding in lower case",
        fault: Fault::Client(|| client(|call| retargeted(call, lower_escapes))),
    },
    Mutant {
        name: "takes + in a path for a space",
        fault: Fault::Server(|call| {
            read_as(call, |mut parts| {
                for parameter in &mut parts.path {
                    *parameter = parameter.replace('+', " ");
                }
                parts
            })
        }),
    },
    Mutant {
        name: "drops a second credential",
        fault: Fault::Client(|| {
            client(|call| {
                let first = |credentials: &Credentials| {
                    credentials.iter().take(1).map(str::to_owned).collect()
                };
                with_credentials(call, first)
            })
        }),
    },
    Mutant {
        name: "trims the credentials",
        fault: Fault::Client(|| {
            client(|call| {
                let trimmed = |one: &str| one.split_whitespace().collect::<Vec<_>>().join(" ");
                with_credentials(call, |all| all.iter().map(trimmed).collect())
            })
        }),
    },
    Mutant {
        name: "trusts a mirrored origin",
        fault: Fault::Server(mirrored),
    },
    Mutant {
        name: "lets everybody in as the origin that signed last",
        fault: Fault::Server(|call| {
            if call.context().credentials.is_empty() {
                vouched(call, ORIGIN)
            } else {
                call
            }
        }),
    },
    Mutant {
        name: "ignores the deadline",
        fault: Fault::Client(|| {
            client(|mut call| {
                call.context_mut().deadline = None;
                call
            })
        }),
    },
    Mutant {
        name: "delivers twice",
        fault: Fault::Client(|| {
            Arc::new(|way, call| {
                Box::pin(async move {
                    let first = call.duplicate();
                    let _ = way.send(first).await;
                    way.send(call).await
                })
            })
        }),
    },
    Mutant {
        name: "repeats a consuming call",
        fault: Fault::Client(|| {
            Arc::new(|way, call| {
                Box::pin(async move {
                    let consuming = call.spec().idempotency == Idempotency::None;
                    let second = call.duplicate();
                    match way.send(call).await {
                        Err(_) if consuming => way.send(second).await,
                        reply => reply,
                    }
                })
            })
        }),
    },
    Mutant {
        name: "repeats a consuming call when the connection is lost",
        fault: Fault::Client(|| {
            Arc::new(|way, call| {
                Box::pin(async move {
                    let consuming = call.spec().idempotency == Idempotency::None;
                    let second = call.duplicate();
                    match way.send(call).await {
                        Err(CallError::Transport(error))
                            if consuming && error.kind() == TransportErrorKind::Closed =>
                        {
                            way.send(second).await
                        }
                        reply => reply,
                    }
                })
            })
        }),
    },
    Mutant {
        name: "repeats a refused call after a while",
        fault: Fault::Client(|| {
            Arc::new(|way, call| {
                Box::pin(async move {
                    let second = call.duplicate();
                    let reply = way.send(call).await;
                    if let Err(CallError::Federation(error)) = &reply
                        && error.http_status() == 503
                    {
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(800)).await;
                            way.send(second).await.is_ok()
                        });
                    }
                    reply
                })
            })
        }),
    },
    Mutant {
        name: "deduplicates by key",
        fault: Fault::Client(|| {
            remembering(|call| matches!(call.spec().idempotency, Idempotency::Keyed { .. }))
        }),
    },
    Mutant {
        name: "answers safe calls out of a cache",
        fault: Fault::Client(|| remembering(|call| call.spec().idempotency == Idempotency::Safe)),
    },
    Mutant {
        name: "lowers a size limit in silence",
        fault: Fault::Client(|| {
            Arc::new(|way, mut call| {
                Box::pin(async move {
                    if let Content::Json(content) = call.make_form()?.content()
                        && content.text().len() > 1 << 19
                    {
                        return Err(FederationError::new(413, "M_TOO_LARGE", "too large").into());
                    }
                    way.send(call).await
                })
            })
        }),
    },
    Mutant {
        name: "cuts a target over its limit",
        fault: Fault::Client(|| {
            client(|call| {
                retargeted(call, |target| {
                    target[..target.len().min(TARGET_LIMIT)].to_owned()
                })
            })
        }),
    },
    Mutant {
        name: "refuses long targets",
        fault: Fault::Client(|| {
            Arc::new(|way, mut call| {
                Box::pin(async move {
                    if call.make_form()?.target().len() > 4 << 10 {
                        return Err(FederationError::new(414, "M_UNKNOWN", "too long").into());
                    }
                    way.send(call).await
                })
            })
        }),
    },
];

/// The same call with another endpoint form.
fn with_form(call: Call, form: EndpointForm) -> Call {
    Call::received(call.request().clone_box(), form, call.context().clone())
}

/// The handler gets another request than was sent; what was signed stays as it is.
fn read_as(call: Call, change: impl FnOnce(EndpointParts) -> EndpointParts) -> Call {
    let form = call.form().unwrap().clone();
    let parts = change(form.parts().clone());
    match call.operation().read(&parts) {
        Ok(request) => {
            let (method, target) = (form.method().to_owned(), form.target().to_owned());
            let form = EndpointForm::received(Cow::Owned(method), target, parts);
            Call::received(request, form, call.context().clone())
        }
        Err(_) => call,
    }
}

/// Something else goes over the wire than was signed.
fn sent_as(mut call: Call, change: impl FnOnce(EndpointParts) -> EndpointParts) -> Call {
    let Ok(form) = call.make_form().cloned() else {
        return call;
    };
    let (method, target) = (form.method().to_owned(), form.target().to_owned());
    let parts = change(form.parts().clone());
    with_form(
        call,
        EndpointForm::received(Cow::Owned(method), target, parts),
    )
}

fn retargeted(mut call: Call, change: fn(&str) -> String) -> Call {
    let Ok(form) = call.make_form().cloned() else {
        return call;
    };
    let (method, target) = (form.method().to_owned(), change(form.target()));
    let parts = form.parts().clone();
    with_form(
        call,
        EndpointForm::received(Cow::Owned(method), target, parts),
    )
}

fn content(mut parts: EndpointParts, change: fn(&Object) -> Object) -> EndpointParts {
    if let Content::Json(object) = &parts.content {
        parts.content = Content::Json(change(object));
    }
    parts
}

fn without_unknown(object: &Object) -> Object {
    object.filtered(|name| !name.starts_with("org.example"))
}

/// What a JSON library without integers makes of it.
fn floats(object: &Object) -> Object {
    let text = String::from_utf8_lossy(object.text()).replace(":1,", ":1.0,");
    again(&text).unwrap_or_else(|| object.clone())
}

/// What a JSON library with doubles makes of it.
fn re_encoded(object: &Object) -> Object {
    let value: Result<serde_json::Value, _> = serde_json::from_slice(object.text());
    let text = value.map(|value| value.to_string());
    text.ok()
        .and_then(|text| again(&text))
        .unwrap_or_else(Object::empty)
}

fn kept(query: &Query, keep: impl Fn(&str, &str) -> bool) -> Query {
    let mut kept = Query::new();
    for (name, value) in query.iter().filter(|(name, value)| keep(name, value)) {
        kept.push(name, value);
    }
    kept
}

/// As a map gives it back.
fn sorted_query(mut parts: EndpointParts) -> EndpointParts {
    let mut pairs: Vec<_> = parts
        .query
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    pairs.sort();
    parts.query = Query::new();
    for (name, value) in pairs {
        parts.query.push(name, value);
    }
    parts
}

fn lower_escapes(target: &str) -> String {
    let mut pieces = target.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        out.push_str(&format!("%{}{rest}", escape.to_lowercase()));
    }
    out
}

fn with_credentials(mut call: Call, change: impl Fn(&Credentials) -> Vec<String>) -> Call {
    let changed = change(&call.context().credentials);
    call.context_mut().credentials = Credentials::new(changed);
    call
}

/// Whoever a credential names is believed, and vouched for.
fn mirrored(call: Call) -> Call {
    let claimed = call.context().credentials.iter().find_map(claimed);
    match claimed {
        Some(claimed) => vouched(call, claimed.origin.as_str()),
        None => call,
    }
}

fn claimed(header: &str) -> Option<XMatrix> {
    match XMatrix::parse(header) {
        Ok(Parsed::XMatrix(credential)) => Some(credential),
        _ => None,
    }
}

fn vouched(mut call: Call, origin: &str) -> Call {
    let form = call.form().unwrap();
    let header = credential(form, origin, DESTINATION, &key()).to_header();
    call.context_mut().credentials = Credentials::new(vec![header]);
    call
}

/// Remembers the message that answered a call of the same operation and target.
fn remembering(which: fn(&Call) -> bool) -> crate::mutated::Act {
    type Remembered = Mutex<HashMap<(&'static str, String), Object>>;
    let remembered: Arc<Remembered> = Arc::default();
    Arc::new(move |way, mut call| {
        let remembered = remembered.clone();
        Box::pin(async move {
            if !which(&call) {
                return way.send(call).await;
            }
            let key = (call.spec().name, call.make_form()?.target().to_owned());
            if let Some(content) = remembered.lock().await.get(&key) {
                return Ok(crate::message(content.clone()));
            }
            let mut reply = way.send(call).await?;
            if let comity_core::call::Reply::Message(message) = &mut reply {
                let content = message.content().clone();
                remembered.lock().await.insert(key, content);
            }
            Ok(reply)
        })
    })
}

/// Used by the faults of replies as well.
pub(crate) fn no_empty_arrays(object: &Object) -> Object {
    let mut members = Members::from_object(object);
    let empty: Vec<String> = members
        .iter()
        .filter(|(_, value)| is_empty_array(value))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in empty {
        members.remove(&name);
    }
    members.to_object()
}

fn is_empty_array(value: &Value) -> bool {
    value.as_text() == "[]"
}
