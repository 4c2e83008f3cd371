//! `comity resolve`: every step from a server name to a server that answers, as others take them.
//!
//! `probe` connects, `certificate` reads what is shown there; here it is all asked for, judged and told.

mod certificate;
mod probe;

use std::{
    collections::BTreeSet,
    fmt::{Display, Write as _},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use comity_core::{
    Client, ServerName,
    api::{Calls, GetServerKeys, GetVersion},
    auth::now_ms,
    call::{Call, CallContext, operation},
    error::TransportErrorKind,
    layers::{Clocks, Side},
    transport::{Offer, Resolve, Route},
};
use comity_discovery::Explanation;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    failure::{EXIT_CODES, Exit, Failure, chain},
    keys::{Examined, examine, offer_json, offer_text, verdict},
    network::{Network, Reach, server_name},
    printable::{Printable, pretty, put},
    times::{FromNow, Utc},
};
use probe::{Probe, probe};

/// A certificate that ends sooner should have been renewed.
const SOON_MS: i64 = 14 * 86_400_000;

/// What `comity resolve` can be told.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  comity resolve matrix.org
  comity resolve example.org --json
  comity resolve 192.0.2.7:8448 --ca test-ca.crt

{EXIT_CODES}"))]
pub(crate) struct Options {
    /// The server
    #[arg(value_name = "NAME", value_parser = server_name)]
    name: ServerName,
    #[command(flatten)]
    network: Network,
}

/// What was found.
struct Found {
    explanation: Explanation,
    probes: Vec<Probe>,
    version: Option<Value>,
    keys: Option<Examined>,
    bindings: Vec<Tried>,
    faults: Vec<String>,
    warnings: Vec<String>,
    /// What to do about the faults.
    next: BTreeSet<String>,
}

/// A binding that is offered, and whether it answers.
struct Tried {
    source: &'static str,
    offer: Offer,
    fault: Option<String>,
}

/// Runs the command.
pub(crate) async fn main(options: &Options) -> ExitCode {
    let json = options.network.json;
    let reach = match options.network.reach() {
        Ok(reach) => reach,
        Err(failure) => return failure.report("resolve", json),
    };
    let found = match look(&reach, options).await {
        Ok(found) => found,
        Err(failure) => return failure.report("resolve", json),
    };
    let text = match json {
        true => pretty(&found.to_json()) + "\n",
        false => found.text(),
    };
    if let Err(failure) = put(&text) {
        return failure.report("resolve", json);
    }
    ExitCode::from(found.exit())
}

async fn look(reach: &Reach, options: &Options) -> Result<Found, Failure> {
    let limit = options.network.timeout;
    let deadline = Instant::now() + limit;
    let explaining = timeout_at(deadline, reach.discovery.explain(&options.name));
    let Ok(explanation) = explaining.await else {
        let why = format!("{} was not resolved in {limit:?}", options.name);
        return Err(Failure::new(Exit::NoAnswer, why).next("--timeout SECONDS waits longer"));
    };
    let mut found = Found {
        probes: Vec::new(),
        version: None,
        keys: None,
        bindings: Vec::new(),
        faults: Vec::new(),
        warnings: explanation.faults.clone(),
        next: BTreeSet::new(),
        explanation,
    };
    // What was found until then is shown.
    if timeout_at(deadline, found.follow(reach, options))
        .await
        .is_err()
    {
        found
            .faults
            .push(format!("it was not done with after {limit:?}"));
        found
            .next
            .insert("--timeout SECONDS waits longer".to_owned());
    }
    Ok(found)
}

impl Found {
    async fn follow(&mut self, reach: &Reach, options: &Options) {
        let name = &options.name;
        // What was learned a moment ago is not asked again.
        let route = match reach.discovery.resolve(name).await {
            Ok(route) => route,
            Err(error) => {
                self.faults.push(chain(&error));
                self.next.insert(advice(error.kind(), name, name.host()));
                return;
            }
        };
        self.connect(reach, &route).await;
        if self.probes.iter().any(|probe| probe.fault.is_none()) {
            self.ask(reach, options).await;
        }
    }

    fn exit(&self) -> u8 {
        let reached = self.probes.iter().any(|probe| probe.fault.is_none());
        match (self.faults.is_empty(), reached) {
            (true, _) => 0,
            (false, true) => Exit::Answered as u8,
            (false, false) => Exit::NoAnswer as u8,
        }
    }

    async fn connect(&mut self, reach: &Reach, route: &Route) {
        self.probes = probe(reach, route).await;
        let works = self.probes.iter().any(|probe| probe.fault.is_none());
        for probe in &self.probes {
            if let Some(fault) = &probe.fault {
                // Others go on with the next address, after a pause.
                let fault = format!("{}: {fault}", probe.address);
                match works {
                    true => self.warnings.push(fault),
                    false => {
                        self.faults.push(fault);
                        let name = &self.explanation.server_name;
                        let kind = probe.kind.unwrap_or(TransportErrorKind::Connect);
                        self.next
                            .insert(advice(kind, name, &route.certificate_name));
                    }
                }
                continue;
            }
            let Some(certificate) = &probe.certificate else {
                continue;
            };
            let (time, now) = (certificate.not_after, now_ms());
            if time - now < SOON_MS {
                let from_now = FromNow { time, now };
                let warning = format!("the certificate at {} ends {from_now}", probe.address);
                self.warnings.push(warning);
            }
        }
    }

    async fn ask(&mut self, reach: &Reach, options: &Options) {
        let name = &options.name;
        let client = reach.client(options.network.timeout);
        match client.get_version(name, GetVersion::default()).await {
            Ok(reply) => {
                let object = comity_core::call::MessageForm::write(&reply);
                self.version = serde_json::from_slice(object.text()).ok();
            }
            Err(error) => self
                .warnings
                .push(format!("it does not tell its version: {}", chain(&error))),
        }
        match client.get_server_keys(name, GetServerKeys::default()).await {
            Ok(reply) => {
                let mut examined = examine(&reply.document, name, now_ms());
                self.faults.append(&mut examined.faults);
                self.warnings.append(&mut examined.warnings);
                self.keys = Some(examined);
            }
            Err(error) => {
                self.faults
                    .push(format!("it gives no keys: {}", chain(&error)));
                self.next.insert(
                    "whatever stands before the homeserver has to pass /_matrix/key/ and /_matrix/federation/ to it, unchanged"
                        .to_owned(),
                );
            }
        }
        self.try_bindings(reach, options).await;
    }

    /// Calls over every binding that is offered and known here.
    async fn try_bindings(&mut self, reach: &Reach, options: &Options) {
        let signed = self.keys.iter().flat_map(|keys| &keys.offers);
        let signed: Vec<_> = signed.map(|offer| ("signed", offer.clone())).collect();
        let hints = self.explanation.hint.iter().map(|hint| {
            let offer = Offer {
                binding: hint.binding.clone(),
                connect_to: hint.target.as_ref().and_then(|target| target.parse().ok()),
                priority: hint.priority,
                session: false,
            };
            ("hint", offer)
        });
        let hints: Vec<_> = hints.collect();
        for (source, offer) in signed.into_iter().chain(hints) {
            let fault = match offer.binding == comity_grpc::BINDING {
                true => over_grpc(reach, options, &offer).await.err(),
                false => None,
            };
            if let Some(fault) = &fault {
                self.warnings.push(format!(
                    "{}, which it offers, does not work, and costs others a failed attempt: {fault}",
                    offer_text(&offer)
                ));
            }
            self.bindings.push(Tried {
                source,
                offer,
                fault,
            });
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.explanation.server_name);
        for step in &self.explanation.steps {
            let _ = writeln!(text, "  step {:<4}{}", step.number, Printable(&step.asked));
            for found in &step.found {
                let _ = writeln!(text, "           {}", Printable(found));
            }
            if let Some(fault) = &step.fault {
                let _ = writeln!(text, "           nothing: {}", Printable(fault));
            }
        }
        if let Some(route) = &self.explanation.route {
            let sni = if route.sni { "" } else { ", no SNI" };
            let _ = writeln!(
                text,
                "  leads to   Host {}, certificate for {}{sni}",
                route.host, route.certificate_name
            );
        }
        for probe in &self.probes {
            self.probe_text(probe, &mut text);
        }
        if let Some(server) = self.version.as_ref().map(|version| &version["server"]) {
            let part = |name: &str| server[name].as_str().unwrap_or("?").to_owned();
            let _ = writeln!(
                text,
                "  runs       {} {}",
                Printable(&part("name")),
                Printable(&part("version"))
            );
        }
        let keys = self.keys.as_ref().map(|keys| keys.lines("    "));
        if let Some(lines) = keys.filter(|lines| !lines.is_empty()) {
            let _ = writeln!(text, "  key document:");
            text.push_str(&lines);
        }
        for tried in &self.bindings {
            let works = match &tried.fault {
                Some(fault) => format!("does not work: {}", Printable(fault)),
                None if tried.offer.binding == comity_grpc::BINDING => "works".to_owned(),
                None => "is not known here".to_owned(),
            };
            let _ = writeln!(
                text,
                "  binding    {} ({}): {works}",
                offer_text(&tried.offer),
                tried.source
            );
        }
        text.push_str(&verdict(&self.faults, &self.warnings));
        for next in &self.next {
            let _ = writeln!(text, "next: {}", Printable(next));
        }
        text
    }

    fn probe_text(&self, probe: &Probe, text: &mut String) {
        let how = match (&probe.tls, &probe.protocol) {
            (Some(tls), Some(protocol)) => format!("{tls}, {protocol}"),
            (Some(tls), None) => format!("{tls}, no ALPN"),
            _ => "no connection".to_owned(),
        };
        let verdict = if probe.fault.is_some() { "BAD" } else { "ok" };
        let _ = writeln!(
            text,
            "  address    {} {verdict}, {how}, {} ms",
            probe.address, probe.took_ms
        );
        if let Some(certificate) = &probe.certificate {
            let names = certificate.names.join(", ");
            let issuer = certificate.issuer.as_deref().unwrap_or("nobody");
            let (from, until) = (Utc(certificate.not_before), Utc(certificate.not_after));
            let _ = writeln!(text, "             certificate for {}", Printable(&names));
            let _ = writeln!(
                text,
                "             by {}, {from} to {until}",
                Printable(issuer)
            );
        }
        if let Some(fault) = &probe.fault {
            let _ = writeln!(text, "             {}", Printable(fault));
        }
    }

    fn to_json(&self) -> Value {
        let bindings = self.bindings.iter().map(|tried| {
            let mut offer = offer_json(&tried.offer);
            offer["source"] = json!(tried.source);
            offer["fault"] = json!(tried.fault);
            offer
        });
        json!({
            "discovery": self.explanation,
            "addresses": self.probes,
            "version": self.version,
            "keys": self.keys.as_ref().map(Examined::to_json),
            "bindings": bindings.collect::<Vec<_>>(),
            "faults": self.faults,
            "warnings": self.warnings,
            "next": self.next,
            "ok": self.faults.is_empty(),
        })
    }
}

/// What the operator of `name` can do about a failure, or who looks from here.
fn advice(kind: TransportErrorKind, name: impl Display, certificate: &str) -> String {
    match kind {
        TransportErrorKind::Resolve => format!(
            "{name} needs an address in the DNS, or https://{name}/.well-known/matrix/server to say where the server is"
        ),
        TransportErrorKind::Tls => format!(
            "the server has to show a certificate for {certificate}, in date, with its intermediates, by an authority that others trust; --ca FILE trusts one more here"
        ),
        TransportErrorKind::Refused => {
            "nobody outside can reach a private address; if that is meant, --allow-address RANGE connects to it from here".to_owned()
        }
        _ => "the port has to be open to the world; another port is told by /.well-known/matrix/server or an SRV record _matrix-fed._tcp".to_owned(),
    }
}

/// One small call, to where the offer says.
async fn over_grpc(reach: &Reach, options: &Options, offer: &Offer) -> Result<(), String> {
    let clocks = Clocks::layer(Side::Client);
    let client =
        Client::layered(Arc::new(reach.grpc()), clocks).with_deadline(options.network.timeout);
    let op = operation::<GetVersion>();
    let mut context = CallContext::to(options.name.clone());
    context.connect_to = offer.connect_to.clone();
    let form = comity_core::endpoint::EndpointForm::from_parts(
        op.method(),
        op.path(),
        comity_core::endpoint::EndpointParts::default(),
    )
    .map_err(|error| chain(&error))?;
    let call = Call::read(op, form, context).map_err(|error| chain(&error))?;
    client
        .send(call)
        .await
        .map(drop)
        .map_err(|error| chain(&error))
}
