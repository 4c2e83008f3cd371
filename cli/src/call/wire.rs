//! Sending one call: which binding, where to, and how it went.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use comity_core::{
    Client, ServerName,
    auth::{Sign, SigningKey},
    call::{Call, Reply},
    endpoint::split_target,
    error::CallError,
    layers::{Clocks, FellBack, Observe, Observed, Observer, Side},
    transport::{
        Capabilities, ConnectTo, Offers, Policies, Policy, Preference, Route, Select,
        SelectOptions, Transport, route_of,
    },
};
use comity_grpc::BINDING as GRPC;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceBuilder;

use super::{Binding, reply::Shown};
use crate::{failure::Failure, network::Reach, printable::Printable};

/// Longest time that a source of bindings is waited for: a call goes by HTTPS without it.
const OFFERS_TAKE: Duration = Duration::from_secs(15);

/// What sends a call.
pub(super) struct Sent<'a> {
    reach: &'a Reach,
    binding: Binding,
    signer: Option<(ServerName, Arc<SigningKey>)>,
    limit: Duration,
}

impl<'a> Sent<'a> {
    pub(super) fn new(
        reach: &'a Reach,
        binding: Binding,
        signer: Option<(ServerName, Arc<SigningKey>)>,
        limit: Duration,
    ) -> Self {
        Self {
            reach,
            binding,
            signer,
            limit,
        }
    }

    /// Sends the call, shows its reply to the end, and tells how it went if that is wanted.
    pub(super) async fn send(
        self,
        mut call: Call,
        shown: &Shown<'_>,
        verbose: bool,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let destination = shown.destination;
        let form = call
            .make_form()
            .map_err(|error| Failure::of_call(destination, error))?;
        let (method, target) = (form.method().to_owned(), form.target().to_owned());
        let mut told = Told {
            operation: call.spec().name,
            method,
            path: split_target(&target).0.to_owned(),
            signed_by: self
                .signer
                .as_ref()
                .map(|(origin, key)| (origin.clone(), key.key_id().to_string())),
            why: None,
            route: None,
            resolved: None,
            chose: Duration::ZERO,
            notes: Arc::new(Notes::default()),
        };

        if verbose {
            let resolving = Instant::now();
            let route = route_of(&self.reach.discovery, call.context()).await;
            told.resolved = Some(resolving.elapsed());
            told.route = route.ok();
        }

        let choosing = Instant::now();
        let (transport, why) = self
            .transport(
                destination,
                call.context().connect_to.is_some(),
                &told.notes,
            )
            .await;
        told.why = why;
        told.chose = choosing.elapsed();
        let observe = Observe::layer(Side::Client, told.notes.clone());
        let clocks = Clocks::layer(Side::Client);
        let stack = ServiceBuilder::new().layer(observe).layer(clocks);
        let client = match self.signer {
            Some((origin, key)) => {
                Client::layered(transport, stack.layer(Sign::layer(origin, key)))
            }
            None => Client::layered(transport, stack),
        };
        let left = self.limit.saturating_sub(begun.elapsed());
        let result = match client.with_deadline(left).send(call).await {
            Ok(reply) => shown.show(reply).await,
            Err(error) => Err(Failure::of_call(destination, error)),
        };
        if verbose {
            let counters = &self.reach.counters;
            let bytes = (counters.sent(), counters.received());
            told.report(shown, begun.elapsed(), bytes);
        }
        result
    }

    /// The binding, with what it falls back to, and why that one.
    async fn transport(
        &self,
        destination: &ServerName,
        told_where: bool,
        notes: &Arc<Notes>,
    ) -> (Arc<dyn Transport>, Option<String>) {
        let http: Arc<dyn Transport> = Arc::new(self.reach.http());
        let offered = match (self.binding, told_where) {
            (Binding::Https, _) | (Binding::Grpc, true) => None,
            _ => self.offered(destination).await,
        };
        let why = match (self.binding, &offered) {
            (Binding::Auto, None) => Some("it offers no other".to_owned()),
            (Binding::Auto, Some((source, _))) => Some(format!("it offers that ({source})")),
            _ => None,
        };
        let found = offered.is_some();
        let grpc: Arc<dyn Transport> = Arc::new(At {
            inner: Arc::new(self.reach.grpc()),
            to: offered.and_then(|(_, to)| to),
        });
        let (first, others) = match self.binding {
            Binding::Grpc => (grpc, vec![]),
            Binding::Auto if found => (http, vec![grpc]),
            _ => (http, vec![]),
        };
        let options = SelectOptions {
            observer: Some(notes.clone()),
            ..SelectOptions::default()
        };
        let select = Select::new(first, others, vec![], options);
        if found && self.binding == Binding::Auto {
            select.set_policies(Policies {
                default: Policy {
                    binding: Preference::Only(GRPC.to_owned()),
                    ..Policy::default()
                },
                ..Policies::default()
            });
        }
        (Arc::new(select), why)
    }

    /// Whether gRPC is offered, by which source, and where.
    async fn offered(&self, destination: &ServerName) -> Option<(&'static str, Option<ConnectTo>)> {
        let keys = self.reach.keys(OFFERS_TAKE.min(self.limit));
        let sources: [&dyn Offers; 2] = [&keys, &self.reach.discovery];
        for source in sources {
            let asked = timeout(OFFERS_TAKE.min(self.limit), source.offered(destination));
            let Ok(Some(offered)) = asked.await else {
                continue;
            };
            let mut offers = offered.offers.into_iter();
            if let Some(offer) = offers.find(|offer| offer.binding == GRPC) {
                return Some((source.source(), offer.connect_to));
            }
        }
        None
    }
}

/// A binding whose offer says where to connect for it. What the command line says counts more.
#[derive(Debug)]
struct At {
    inner: Arc<dyn Transport>,
    to: Option<ConnectTo>,
}

#[async_trait]
impl Transport for At {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let context = call.context_mut();
        context.connect_to = context.connect_to.take().or_else(|| self.to.clone());
        self.inner.send(call).await
    }
}

/// What the layers tell of the call.
#[derive(Debug, Default)]
struct Notes {
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

/// What `-v` says.
struct Told {
    operation: &'static str,
    method: String,
    /// Without the query, which can hold a secret.
    path: String,
    signed_by: Option<(ServerName, String)>,
    why: Option<String>,
    route: Option<Route>,
    resolved: Option<Duration>,
    /// How long it took to learn what the server offers.
    chose: Duration,
    notes: Arc<Notes>,
}

impl Told {
    fn report(&self, shown: &Shown<'_>, total: Duration, (sent, received): (u64, u64)) {
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
        let binding = ended.as_ref().map_or("", |call| call.binding);
        if shown.json {
            let addresses: Option<Vec<_>> = self
                .route
                .as_ref()
                .map(|route| route.addresses.iter().map(ToString::to_string).collect());
            let told: Value = json!({
                "operation": self.operation,
                "method": self.method,
                "path": self.path,
                "signed_by": self.signed_by.as_ref().map(|(origin, key)| json!({ "origin": origin.as_str(), "key": key })),
                "binding": binding,
                "why": self.why,
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
        if let Some((origin, key)) = &self.signed_by {
            let _ = writeln!(text, "> signed as {origin} by {key}");
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
        let _ = match &self.why {
            Some(why) => writeln!(text, "> over {binding}: {why}"),
            None => writeln!(text, "> over {binding}"),
        };
        for fell in fallbacks.iter() {
            let _ = writeln!(
                text,
                "> {} failed ({}), so over {}",
                fell.from, fell.reason, fell.to
            );
        }
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
