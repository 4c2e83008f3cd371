//! A server, a client, or both, as they are told.

use super::{
    Line,
    order::{Answer, Order, Site, Used, network},
    usage::{Idle, cpu, resident},
};
use crate::{
    model::Outcome,
    network::delayed,
    scenario::{self, Caller, Plan},
    subject::{self, Client, Guard, Setting, SetupError, Subject},
};
use futures_util::future::{BoxFuture, FutureExt};

/// Does one order and those that belong to it, and answers each. What stands afterwards stands until the process ends.
pub(super) async fn play(subject: Subject, order: Order, mut line: Line) {
    let mut part = Part {
        subject: &subject,
        setting: None,
        client: None,
        guards: Vec::new(),
        idle: None,
        mark: None,
    };
    let mut next = Some(order);
    while let Some(order) = next {
        let answer = match order {
            Order::WarmUp(plan) => part.act(&plan, &mut line).await,
            order => part.obey(order).await,
        };
        line.answer(&answer.unwrap_or_else(|error| Answer::Failed(error.to_string())));
        next = line.next().await;
    }
}

/// What a client counts on its sockets: bytes, and requests that went again.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    sent: u64,
    received: u64,
    resent: u64,
}

struct Part<'a> {
    subject: &'a Subject,
    setting: Option<Setting>,
    client: Option<Client>,
    guards: Vec<Guard>,
    idle: Option<Idle>,
    /// CPU, and what was counted, at the beginning.
    mark: Option<(f64, Counted)>,
}

impl Part<'_> {
    async fn obey(&mut self, order: Order) -> Result<Answer, SetupError> {
        match order {
            Order::Serve(site) => self.serve(site).await,
            Order::Connect {
                site,
                addresses,
                delayed,
            } => {
                let setting = site.setting();
                let client = match self.subject {
                    Subject::Apart(wire) => wire.connect(&setting, &addresses).await?,
                    Subject::Together(_) => return Err("it has no client of its own".into()),
                };
                self.take(setting, client, delayed)
            }
            Order::Join { site, delayed } => {
                let scenario = site.scenario;
                let setting = site.setting();
                let (operations, service) = scenario::service(&setting, scenario);
                let harness = match self.subject {
                    Subject::Together(harness) => harness,
                    Subject::Apart(_) => return Err("it stands in two processes".into()),
                };
                let joined = subject::together(&**harness, &setting, operations, service);
                let (client, guard) = joined.await?;
                self.guards.push(guard);
                self.take(setting, client, delayed)
            }
            Order::FirstCall { limit } => {
                let (setting, client) = self.client()?;
                let took = scenario::first_call(client, setting, limit).await?;
                Ok(Answer::Called {
                    seconds: took.as_secs_f64(),
                })
            }
            Order::Idle => {
                self.idle = Some(Idle::now());
                Ok(Answer::Done)
            }
            Order::Begin => {
                self.mark = Some((cpu(), self.counted()));
                Ok(Answer::Done)
            }
            Order::End => {
                let counted = self.counted();
                let (cpu, before) = self.mark.take().ok_or("there was no beginning")?;
                let idle = self.idle.unwrap_or_else(Idle::now);
                Ok(Answer::Used(Used {
                    process: idle.used(cpu),
                    counted: (
                        counted.sent - before.sent,
                        counted.received - before.received,
                    ),
                    resent: counted.resent - before.resent,
                }))
            }
            Order::WarmUp(_) | Order::Measure | Order::Judge => Err("not now".into()),
        }
    }

    async fn serve(&mut self, site: Site) -> Result<Answer, SetupError> {
        let scenario = site.scenario;
        let setting = site.setting();
        let (operations, service) = scenario::service(&setting, scenario);
        let Subject::Apart(wire) = self.subject else {
            return Err("it has no server of its own".into());
        };
        let (addresses, guard) = wire.serve(&setting, operations, service).await?;
        self.guards.push(guard);
        Ok(Answer::Serving { addresses })
    }

    fn take(
        &mut self,
        setting: Setting,
        mut client: Client,
        delay: Option<String>,
    ) -> Result<Answer, SetupError> {
        if let Some(name) = delay {
            client.transport = delayed(client.transport, network(&name)?);
        }
        self.setting = Some(setting);
        self.client = Some(client);
        Ok(Answer::Done)
    }

    fn client(&self) -> Result<(&Setting, &Client), SetupError> {
        let both = self.setting.as_ref().zip(self.client.as_ref());
        both.ok_or_else(|| "there is no client yet".into())
    }

    /// What the client counted so far; nothing for a server.
    fn counted(&self) -> Counted {
        let counters = self.client.as_ref().map(|client| &client.counters);
        counters.map_or_else(Counted::default, |counters| Counted {
            sent: counters.sent(),
            received: counters.received(),
            resent: counters.resent(),
        })
    }

    /// Warms up, and measures when it is told to.
    async fn act(&mut self, plan: &Plan, line: &mut Line) -> Result<Answer, SetupError> {
        let (setting, client) = self.client()?;
        let (setting, client) = (setting.clone(), client.clone());
        let caller = Caller::new(&client, &setting, plan);
        // Before the warm-up: what it fills stays filled, and is not idle.
        self.idle = Some(Idle::now());
        // What fails now fails again where it counts.
        warm_up(&caller).await;
        let mut answer = Answer::Done;
        loop {
            line.answer(&answer);
            answer = match line.next().await {
                Some(Order::Measure) => Answer::Outcome(measure(&caller).await),
                Some(Order::End) => return self.obey(Order::End).await,
                Some(Order::Begin) => self.obey(Order::Begin).await?,
                Some(_) => return Err("not now".into()),
                None => return Ok(Answer::Done),
            };
        }
    }
}

// Boxed: the compiler loses track of lifetimes in them where they are spawned, and takes them for futures that stay on their thread.

fn warm_up<'a>(caller: &'a Caller<'a>) -> BoxFuture<'a, Outcome> {
    caller.warm_up().boxed()
}

fn measure<'a>(caller: &'a Caller<'a>) -> BoxFuture<'a, Outcome> {
    caller.measure(&resident).boxed()
}
