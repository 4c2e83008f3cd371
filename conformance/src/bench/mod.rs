//! What the trials stand on, for trials of your own: a server and clients that a [`Harness`] set up, and the recorder behind the server.
//!
//! `recorder` is what is called, `servers` stand around it, `credentials` are what they are shown, `drawn` draws
//! random cases, and `calls` makes calls of them.

mod calls;
pub mod credentials;
mod drawn;
mod recorder;
mod servers;

use std::{collections::HashMap, sync::Arc, time::Duration};

use comity_core::{
    Client, Operations,
    auth::{Sign, now_ms},
    call::{Call, CallContext},
    error::Delivery,
    layers::{Clocks, Flow, Side, Trace},
    transport::{Capabilities, Transport},
};

pub use calls::{any_call, any_parts, any_reply, any_request, call_of, form_of};
pub use drawn::{cases, drawn, runtime, simplest};
pub use recorder::{Answer, Recorder, Seen};

use crate::{Declared, Failure, Harness, HarnessError, Outcome, ReplySample, Served};
use credentials::{DESTINATION, EXPIRED, ORIGIN, key, name};
use servers::Switchboard;

/// A server of one binding, with the layers of a real one and a [`Recorder`] behind them, and clients to it. Its key ring fetches the
/// callers' keys over the very binding under test.
///
/// One exchange at a time: the recorder has one answer.
#[derive(Debug)]
pub struct Bench {
    name: String,
    declared: Declared,
    recorder: Recorder,
    signing: Client,
    bare: Client,
    unclocked: Client,
    served: Served,
    _callers: Vec<Served>,
}

/// What one call came to.
#[derive(Debug)]
pub struct Exchange {
    /// What the handler saw: no call or one.
    pub seen: Option<Seen>,
    /// What the caller got.
    pub outcome: Outcome,
    /// What a streamed reply broke off with.
    pub broken: Option<Failure>,
}

impl Bench {
    /// Has a server of `operations` set up, and those that publish the callers' keys.
    ///
    /// # Errors
    /// The harness's own.
    pub async fn new(harness: &dyn Harness, operations: Operations) -> Result<Self, HarnessError> {
        let mut callers = Vec::new();
        let mut ways = HashMap::new();
        for (caller, valid_until) in [
            (ORIGIN, now_ms() + 24 * 3600 * 1000),
            (EXPIRED, now_ms() - 1000),
        ] {
            let caller = name(caller);
            let service = servers::caller(&caller, valid_until)?;
            let served = harness
                .serve(&caller, Operations::federation(), service)
                .await?;
            ways.insert(caller, served.transport().clone());
            callers.push(served);
        }
        let recorder = Recorder::default();
        let fetch = Client::new(Arc::new(Switchboard(ways)));
        let service = servers::destination(harness, &recorder, fetch);
        let served = harness
            .serve(&name(DESTINATION), operations, service)
            .await?;
        let transport = || served.transport().clone();
        let layers = || {
            (
                Trace::layer(Side::Client),
                Clocks::layer(Side::Client),
                Flow::layer(Duration::from_secs(10)),
            )
        };
        let sign = || Sign::layer(name(ORIGIN), key());
        let bench = Self {
            name: harness.name(),
            declared: harness.declared(),
            recorder,
            signing: Client::layered(transport(), (layers(), sign())),
            bare: Client::layered(transport(), layers()),
            unclocked: Client::layered(transport(), sign()),
            served,
            _callers: callers,
        };
        if bench.declared.own_proof {
            bench.be_accepted().await?;
        }
        Ok(bench)
    }

    /// Makes one call that is answered well. A proof that the other end never accepted may be refused by a plain 401, as by a server that knows nothing of it, and trials have handlers answer so.
    async fn be_accepted(&self) -> Result<(), HarnessError> {
        let mut all = crate::samples().into_iter();
        let sample = all.find(|sample| sample.operation().spec().name == "QueryProfile");
        let sample = sample.ok_or("there is no sample of QueryProfile")?;
        let call = Call::received(
            any_request(&sample),
            form_of(&*any_request(&sample))?,
            CallContext::to(name(DESTINATION)),
        );
        let exchange = self
            .exchange(call, Answer::Reply(any_reply(&sample)))
            .await?;
        match exchange.outcome {
            Ok(_) => Ok(()),
            Err(failure) => Err(format!("the first call failed: {failure:?}").into()),
        }
    }

    /// The harness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the harness says of the binding.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// What the transport says of itself.
    pub fn capabilities(&self) -> Capabilities {
        self.transport().capabilities()
    }

    /// The way to the server, without a layer.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        self.served.transport()
    }

    /// What stands behind the server.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// A client with the layers of a real one, that signs; the recorder answers so.
    pub fn client(&self, answer: Answer) -> &Client {
        self.recorder.prepare(answer);
        &self.signing
    }

    /// A client that signs and watches no clock: that a call ends at its deadline is the binding's doing, or the server's.
    pub(crate) fn unclocked(&self, answer: Answer) -> &Client {
        self.recorder.prepare(answer);
        &self.unclocked
    }

    /// Kills the server; `false` if the harness gives no way to.
    pub(crate) fn cut(&self) -> bool {
        self.served.cut()
    }

    /// Sends a call, signed unless it carries credentials, and reads its reply to the end.
    ///
    /// # Errors
    /// There was no reply within the harness's patience; the call came twice; or it came and the caller was told that it did not.
    pub async fn exchange(&self, call: Call, answer: Answer) -> Result<Exchange, String> {
        self.send(&self.signing, call, answer).await
    }

    /// The same with what credentials the call has, if any.
    ///
    /// # Errors
    /// As [`Bench::exchange`].
    pub async fn exchange_as_is(&self, call: Call, answer: Answer) -> Result<Exchange, String> {
        self.send(&self.bare, call, answer).await
    }

    async fn send(&self, client: &Client, call: Call, answer: Answer) -> Result<Exchange, String> {
        self.recorder.prepare(answer);
        let reply = async {
            match client.send(call).await {
                Ok(reply) => {
                    let (reply, broken) = ReplySample::read(reply).await;
                    (Ok(reply), broken.as_ref().map(Failure::from))
                }
                Err(error) => (Err(Failure::from(&error)), None),
            }
        };
        let patience = self.declared.patience;
        let (outcome, broken) = tokio::time::timeout(patience, reply)
            .await
            .map_err(|_| format!("there was no reply within {patience:?}"))?;
        let mut seen = self.recorder.seen();
        if seen.len() > 1 {
            return Err(format!("the call was delivered {} times", seen.len()));
        }
        let untouched = [&outcome.as_ref().err(), &broken.as_ref()]
            .into_iter()
            .flatten()
            .any(|failure| {
                let Failure::Transport { delivery, .. } = failure else {
                    return false;
                };
                *delivery != Delivery::MaybeProcessed
            });
        if untouched && !seen.is_empty() {
            return Err(format!(
                "the call reached the handler, and the caller is told that it did not: {outcome:?} {broken:?}"
            ));
        }
        Ok(Exchange {
            seen: seen.pop(),
            outcome,
            broken,
        })
    }
}
