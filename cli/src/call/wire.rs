//! Sending one call: which binding, where to, and how it went.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use comity_core::{
    Client, ServerName,
    auth::{SessionOptions, SessionUse, Sign, SigningKey},
    call::Call,
    endpoint::split_target,
    error::{CallError, TransportErrorKind},
    layers::{Clocks, Observe, Side},
    transport::{Policies, Policy, Preference, Select, SelectOptions, Why, route_of},
};
use comity_grpc::BINDING as GRPC;
use comity_http::BINDING as HTTP;
use tokio::time::timeout;
use tower::ServiceBuilder;

use super::{
    Binding,
    reply::Shown,
    told::{Notes, Told},
};
use crate::{failure::Failure, network::Reach};

/// What sends a call.
pub(super) struct Sent<'a> {
    pub(super) reach: &'a Reach,
    pub(super) binding: Binding,
    /// What the command line says of sessions.
    pub(super) sessions: Option<SessionUse>,
    pub(super) signer: Option<(ServerName, Arc<SigningKey>)>,
    pub(super) limit: Duration,
}

impl Sent<'_> {
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
            origin: self.signer.as_ref().map(|(origin, _)| origin.clone()),
            chosen: None,
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
        let select = self.select(&call, &told.notes);
        // What is offered has half of the time that is left: without an answer the call goes by HTTPS, in the other half.
        let left = self.limit.saturating_sub(begun.elapsed());
        let most = SelectOptions::default().look_up.min(left / 2);
        let is_known = timeout(most, select.look_up(destination)).await.is_ok();
        let status = select.destination(destination).await;
        told.chosen =
            status.and_then(|status| Some((status.binding?, self.why(status.why, is_known))));
        told.chose = choosing.elapsed();
        let observe = Observe::layer(Side::Client, told.notes.clone());
        let clocks = Clocks::layer(Side::Client);
        let stack = ServiceBuilder::new().layer(observe).layer(clocks);
        let transport = Arc::new(select);
        let client = match &self.signer {
            Some((origin, key)) => {
                let sign = Sign::layer(origin.clone(), key.clone());
                Client::layered(transport, stack.layer(sign))
            }
            None => Client::layered(transport, stack),
        };
        let left = self.limit.saturating_sub(begun.elapsed());
        let result = match client.with_deadline(left).send(call).await {
            Ok(reply) => shown.show(reply).await,
            Err(error) => Err(self.failure(destination, error)),
        };
        if verbose {
            let counters = &self.reach.counters;
            let bytes = (counters.sent(), counters.received());
            told.report(shown, begun.elapsed(), bytes);
        }
        result
    }

    /// The choice between the bindings: by what the command line says, else by what the server offers, as `comity serve` chooses.
    fn select(&self, call: &Call, notes: &Arc<Notes>) -> Select {
        let options = SelectOptions {
            observer: Some(notes.clone()),
            // Whoever waits for it says how long.
            look_up: self.limit,
            ..SelectOptions::default()
        };
        let keys = self.reach.keys(options.look_up);
        // The pool is this call's alone.
        let grpc = self.reach.grpc().with_sessions(SessionOptions::default());
        let select = Select::new(
            Arc::new(self.reach.http()),
            vec![Arc::new(grpc)],
            vec![Arc::new(keys), Arc::new(self.reach.discovery.clone())],
            options,
        );
        select.set_policies(Policies {
            default: Policy {
                binding: match self.binding {
                    Binding::Auto => Preference::Auto,
                    Binding::Https => Preference::Only(HTTP.to_owned()),
                    Binding::Grpc => Preference::Only(GRPC.to_owned()),
                },
                connect_to: call.context().connect_to.clone(),
                required: self.binding == Binding::Grpc,
                sessions: self.sessions,
            },
            ..Policies::default()
        });
        select
    }

    fn why(&self, why: Why, is_known: bool) -> String {
        match why {
            Why::Offered(source) => format!("it offers that ({source})"),
            Why::Policy => "--binding says so".to_owned(),
            _ if !is_known => "what it offers could not be learnt".to_owned(),
            _ => "it offers no other".to_owned(),
        }
    }

    fn failure(&self, destination: &ServerName, error: CallError) -> Failure {
        let is_refused = matches!(&error, CallError::Transport(error) if error.kind() == TransportErrorKind::Refused);
        let failure = Failure::of_call(destination, error);
        match self.sessions {
            Some(SessionUse::Required) if is_refused => failure.next(
                "--sessions auto signs the call where there is no session; --allow-address RANGE lets connections to private addresses pass",
            ),
            _ => failure,
        }
    }
}
