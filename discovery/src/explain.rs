//! What was asked on the way to a route, what was found, and what is wrong with it.

use std::{net::SocketAddr, sync::Arc};

use comity_core::{
    ServerName,
    error::TransportError,
    transport::{Offered, Route},
};
use comity_net::AddressGuard;
use serde::Serialize;

use crate::{
    dns::{Answer, Known},
    well_known,
};

/// TTLs over this, in seconds, are noted as a fault: one day. That is how long an answer is kept at most, unless set otherwise.
const LONG_TTL: u32 = 24 * 3600;

/// Every step from a server name to where it is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The name that was resolved.
    pub server_name: String,
    /// What was asked, in order.
    pub steps: Vec<Step>,
    /// Where it leads; `None` if nowhere.
    pub route: Option<ExplainedRoute>,
    /// Why it leads nowhere.
    pub error: Option<String>,
    /// The bindings that `.well-known` hints at, best first.
    pub hint: Vec<ExplainedOffer>,
    /// What is wrong, also where it was borne.
    pub faults: Vec<String>,
}

/// One question and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// The step's number in the specification: `1` to `6`, `3.1` to `3.5`.
    pub number: &'static str,
    /// What was asked: `GET https://…`, `SRV _matrix-fed._tcp.…`, `A …`, or the name that said all by itself.
    pub asked: String,
    /// What was found, a line for each.
    pub found: Vec<String>,
    /// For how many seconds that counts from now.
    pub seconds: Option<i64>,
    /// Why nothing was found.
    pub fault: Option<String>,
}

/// The end of the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedRoute {
    /// Value of `Host`.
    pub host: String,
    /// What the certificate has to be for.
    pub certificate_name: String,
    /// Whether that is sent as SNI: not if it is an address.
    pub sni: bool,
    /// In the order in which they are tried.
    pub addresses: Vec<ExplainedAddress>,
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedAddress {
    /// Address and port.
    pub address: SocketAddr,
    /// Whether the address guard lets it be connected to.
    pub permitted: bool,
}

/// A binding that is hinted at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedOffer {
    /// Identifier and version.
    pub binding: String,
    /// Where to connect for it, if not where HTTPS goes.
    pub target: Option<String>,
    /// The lowest is preferred.
    pub priority: i64,
}

impl Step {
    pub(crate) fn new(number: &'static str, asked: String) -> Self {
        Self {
            number,
            asked,
            found: Vec::new(),
            seconds: None,
            fault: None,
        }
    }
}

/// What is written down while a name is resolved; nothing, if nobody asked for it.
pub(crate) struct Notes(Option<Written>);

pub(crate) struct Written {
    now: i64,
    steps: Vec<Step>,
    faults: Vec<String>,
}

impl Notes {
    pub(crate) fn off() -> Self {
        Self(None)
    }

    pub(crate) fn on(now: i64) -> Self {
        Self(Some(Written {
            now,
            steps: Vec::new(),
            faults: Vec::new(),
        }))
    }

    pub(crate) fn step(&mut self, step: impl FnOnce(&mut Written) -> Step) {
        if let Some(written) = &mut self.0 {
            let step = step(written);
            written.steps.push(step);
        }
    }

    pub(crate) fn well_known(&mut self, server: &ServerName, known: &well_known::Known) {
        self.step(|written| {
            let url = format!("https://{server}/.well-known/matrix/server");
            let mut step = Step::new("3", format!("GET {url}"));
            let hops = known.hops.iter();
            step.found = hops.map(|hop| format!("redirected to {hop}")).collect();
            step.seconds = Some(written.left(known.until));
            match &known.found {
                Ok(document) => step.found.push(format!("m.server = {}", document.server)),
                Err(fault) => step.fault = Some(fault.why.clone()),
            }
            step
        });
    }

    pub(crate) fn service(&mut self, number: &'static str, service: &str, known: &Known) {
        self.step(|written| {
            let mut step = written.question(number, format!("SRV {service}"), known);
            if let Answer::Services(targets) = &known.answer {
                if number == "5" || number == "3.4" {
                    written.fault(format!(
                        "{service} is deprecated since v1.8 of the specification; _matrix-fed._tcp takes its place"
                    ));
                }
                if targets.is_empty() {
                    step.found.push("no such service is offered".to_owned());
                }
                step.found.extend(targets.iter().map(|to| {
                    format!(
                        "{}:{} (priority {}, weight {})",
                        to.target, to.port, to.priority, to.weight
                    )
                }));
            }
            step
        });
    }

    pub(crate) fn addresses(
        &mut self,
        number: &'static str,
        name: &str,
        port: u16,
        (v6, v4): &(Arc<Known>, Arc<Known>),
        of_service: bool,
    ) {
        for (kind, known) in [("AAAA", v6), ("A", v4)] {
            self.step(|written| {
                let mut step = written.question(number, format!("{kind} {name}"), known);
                if let Answer::Addresses(addresses) = &known.answer {
                    let addresses = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
                    step.found.extend(addresses.map(|to| to.to_string()));
                }
                step
            });
        }
        if let (Some(written), true, Some(alias)) = (&mut self.0, of_service, &v4.alias) {
            written.fault(format!(
                "{name}, the target of an SRV record, is an alias of {alias}, which RFC 2782 forbids"
            ));
        }
    }
}

impl Written {
    fn question(&mut self, number: &'static str, asked: String, known: &Known) -> Step {
        if known.ttl > LONG_TTL {
            self.fault(format!("{asked} has a TTL of {} s", known.ttl));
        }
        let mut step = Step::new(number, asked);
        step.seconds = Some(self.left(known.until));
        if let Some(alias) = &known.alias {
            step.found.push(format!("an alias of {alias}"));
        }
        if let Some(why) = &known.stale {
            let stale = format!("{}: an old answer is used: {why}", step.asked);
            self.fault(stale);
        }
        step.fault = match &known.answer {
            Answer::Absent(absence) => Some(absence.as_str().to_owned()),
            Answer::Failed(why) => Some(why.clone()),
            _ => None,
        };
        step
    }

    fn fault(&mut self, fault: String) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn left(&self, until: i64) -> i64 {
        until.saturating_sub(self.now).max(0) / 1000
    }
}

impl Explanation {
    pub(crate) fn new(
        server: &ServerName,
        notes: Notes,
        route: Result<Route, TransportError>,
        hint: Option<Offered>,
        guard: &AddressGuard,
    ) -> Self {
        let (steps, mut faults) = match notes.0 {
            Some(written) => (written.steps, written.faults),
            None => (Vec::new(), Vec::new()),
        };
        let error = route.as_ref().err().map(|error| error.message().to_owned());
        let route = route.ok().map(|route| ExplainedRoute {
            sni: route.certificate_name.parse::<std::net::IpAddr>().is_err(),
            addresses: route
                .addresses
                .iter()
                .map(|&address| ExplainedAddress {
                    address,
                    permitted: guard.permits(address.ip()),
                })
                .collect(),
            host: route.host,
            certificate_name: route.certificate_name,
        });
        for address in route.iter().flat_map(|route| &route.addresses) {
            if !address.permitted {
                let ip = address.address.ip();
                faults.push(format!(
                    "{ip} is not global: it is connected to only if its range is allowed"
                ));
            }
        }
        if let Some(fault) = well_known_fault(&steps) {
            faults.push(fault);
        }
        let hint = hint.map_or_else(Vec::new, |offered| {
            let offers = offered.offers.into_iter();
            offers
                .map(|offer| ExplainedOffer {
                    target: offer.connect_to.map(|to| to.to_string()),
                    binding: offer.binding,
                    priority: offer.priority,
                })
                .collect()
        });
        Self {
            server_name: server.as_str().to_owned(),
            steps,
            route,
            error,
            hint,
            faults,
        }
    }
}

/// That there is no document is nothing wrong; that there is one which does not serve is.
fn well_known_fault(steps: &[Step]) -> Option<String> {
    let step = steps.iter().find(|step| step.number == "3")?;
    let fault = step.fault.as_ref()?;
    (!fault.contains("answered with 404")).then(|| format!("{}: {fault}", step.asked))
}
