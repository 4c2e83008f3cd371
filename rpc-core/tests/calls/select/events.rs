//! Every fallback is an event of `tracing`, and none holds a secret.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use comity_core::{
    auth::Sign,
    error::{Delivery, TransportErrorKind as Kind},
    transport::{Transport, TransportService},
};
use tower::{Layer, ServiceExt};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{
    Two,
    wires::{Act, send, version},
};
use crate::homeserver::{key, name};

/// Writes down each event.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push((level, line.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What two calls to a destination log whose preferred binding fails.
async fn fell_back() -> Vec<(Level, String)> {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let two = Two::preferring();
    two.grpc.always(Act::Fail(Kind::Tls, Delivery::NotSent));
    let signed = Sign::layer(name("a.example"), key(1))
        .layer(TransportService::new(Arc::new(two.select.clone())));
    signed.oneshot(send()).await.unwrap();
    two.select.send(version()).await.unwrap();
    lines.0.lock().unwrap().clone()
}

fn fallbacks(lines: &[(Level, String)]) -> Vec<&(Level, String)> {
    lines
        .iter()
        .filter(|(_, line)| line.contains("monotonic_counter.binding_fallbacks=1"))
        .collect()
}

#[tokio::test]
async fn a_fallback_is_an_event_with_its_reason_and_without_a_secret() {
    // A thread without a subscriber that meets an event first can have `tracing` pass it over for all of them, in a race with ours. Then it is told to ask again.
    let mut lines = fell_back().await;
    for _ in 0..10 {
        if fallbacks(&lines).len() == 2 {
            break;
        }
        tracing::callsite::rebuild_interest_cache();
        lines = fell_back().await;
    }
    let fallbacks = fallbacks(&lines);
    let [(first, what), (second, later)] = &fallbacks[..] else {
        panic!("{lines:?}")
    };
    assert_eq!((*first, *second), (Level::INFO, Level::DEBUG));
    for part in [
        "destination=b.example",
        "operation=\"SendTransaction\"",
        "from=\"grpc/1\"",
        "to=\"http/1\"",
        "reason=tls",
    ] {
        assert!(what.contains(part), "{what}");
    }
    assert!(later.contains("reason=backing_off"), "{later}");
    assert!(
        lines
            .iter()
            .any(|(_, line)| line.contains("left alone") && line.contains("grpc/1")),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|(_, line)| line.contains("X-Matrix")));
}
