//! `comity keys`: a server's keys, as it publishes them and as notaries relay them.
//!
//! `examine` looks a document through; here it is fetched and shown.

mod examine;

use std::{fmt::Write as _, process::ExitCode, time::Instant};

use clap::Args;
use comity_core::{
    Client, ServerName,
    api::{Calls, GetServerKeys, QueryServerKeys},
    auth::now_ms,
};
use serde_json::{Value, json};

use crate::{
    failure::{EXIT_CODES, Exit, Failure},
    network::{Network, server_name},
    printable::{Printable, pretty, put},
};
pub(crate) use examine::{Examined, examine, offer_json, offer_text};

/// What `comity keys` can be told.
#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  comity keys matrix.org
  comity keys example.org --notary matrix.org
  comity keys example.org --json | jq .document

{EXIT_CODES}"))]
pub(crate) struct Options {
    /// The server
    #[arg(value_name = "NAME", value_parser = server_name)]
    name: ServerName,
    /// Asks these servers too, what they relay of the server's keys
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    notary: Vec<ServerName>,
    #[command(flatten)]
    network: Network,
}

/// What came of it all.
struct Found {
    examined: Option<Examined>,
    took_ms: f64,
    notaries: Vec<Relayed>,
    faults: Vec<String>,
    warnings: Vec<String>,
}

/// What a notary gave.
struct Relayed {
    notary: ServerName,
    documents: Vec<Examined>,
    fault: Option<String>,
}

/// Runs the command.
pub(crate) async fn main(options: &Options) -> ExitCode {
    let json = options.network.json;
    let shown = match run(options).await {
        Ok(found) => match json {
            true => put(&format!("{}\n", found.to_json(&options.name))),
            false => put(&found.text(&options.name)),
        }
        .map(|()| found.faults.is_empty()),
        Err(failure) => Err(failure),
    };
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(Exit::Answered as u8),
        Err(failure) => failure.report("keys", json),
    }
}

async fn run(options: &Options) -> Result<Found, Failure> {
    let reach = options.network.reach()?;
    let client = reach.client(options.network.timeout);
    let name = &options.name;
    let begun = Instant::now();
    let direct = client.get_server_keys(name, GetServerKeys::default()).await;
    let took_ms = (begun.elapsed().as_secs_f64() * 1e4).round() / 10.0;
    let mut found = Found {
        examined: None,
        took_ms,
        notaries: Vec::new(),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    match direct {
        Ok(reply) => {
            let mut examined = examine(&reply.document, name, now_ms());
            found.faults.append(&mut examined.faults);
            found.warnings.append(&mut examined.warnings);
            found.examined = Some(examined);
        }
        // A notary may know keys of a server that is gone.
        Err(error) if options.notary.is_empty() => return Err(Failure::of_call(name, error)),
        Err(error) => found.faults.push(format!(
            "{name} itself gives none: {}",
            crate::failure::chain(&error)
        )),
    }
    for notary in &options.notary {
        let relayed = ask(&client, notary, name).await;
        found.compare(&relayed);
        found.notaries.push(relayed);
    }
    Ok(found)
}

async fn ask(client: &Client, notary: &ServerName, name: &ServerName) -> Relayed {
    let request = QueryServerKeys {
        server_name: name.as_str().to_owned(),
        ..QueryServerKeys::default()
    };
    match client.query_server_keys(notary, request).await {
        Ok(reply) => Relayed {
            notary: notary.clone(),
            documents: reply
                .documents()
                .map(|document| examine(document, name, now_ms()))
                .collect(),
            fault: None,
        },
        Err(error) => Relayed {
            notary: notary.clone(),
            documents: Vec::new(),
            fault: Some(crate::failure::chain(&error)),
        },
    }
}

impl Found {
    /// What a notary relays should be what the server says itself.
    fn compare(&mut self, relayed: &Relayed) {
        let notary = &relayed.notary;
        if let Some(fault) = &relayed.fault {
            self.faults
                .push(format!("the notary {notary} does not answer: {fault}"));
            return;
        }
        if relayed.documents.is_empty() {
            self.warnings
                .push(format!("the notary {notary} has no keys of it"));
        }
        let direct = self.examined.as_ref().and_then(|own| own.keys.as_ref());
        for document in &relayed.documents {
            for fault in &document.faults {
                self.faults
                    .push(format!("from the notary {notary}: {fault}"));
            }
            if let (Some(direct), Some(keys)) = (direct, &document.keys)
                && direct.verify_keys != keys.verify_keys
            {
                self.warnings
                    .push(format!("the notary {notary} relays other current keys"));
            }
        }
    }

    fn text(&self, name: &ServerName) -> String {
        let mut text = format!("{name}\n");
        if let Some(examined) = &self.examined {
            let _ = writeln!(text, "  from the server itself, in {} ms:", self.took_ms);
            text.push_str(&examined.lines("    "));
        }
        for Relayed {
            notary, documents, ..
        } in &self.notaries
        {
            for document in documents {
                let _ = writeln!(text, "  from the notary {notary}:");
                text.push_str(&document.lines("    "));
            }
        }
        text.push_str(&verdict(&self.faults, &self.warnings));
        text
    }

    fn to_json(&self, name: &ServerName) -> String {
        let notaries: Vec<Value> = self
            .notaries
            .iter()
            .map(|relayed| {
                json!({
                    "notary": relayed.notary.as_str(),
                    "documents": relayed.documents.iter().map(Examined::to_json).collect::<Vec<_>>(),
                    "error": relayed.fault,
                })
            })
            .collect();
        let mut value = match &self.examined {
            Some(examined) => examined.to_json(),
            None => json!({}),
        };
        value["asked"] = json!(name.as_str());
        value["notaries"] = json!(notaries);
        value["faults"] = json!(self.faults);
        value["warnings"] = json!(self.warnings);
        value["ok"] = json!(self.faults.is_empty());
        pretty(&value)
    }
}

/// What is wrong and what is odd, each on a line.
pub(crate) fn verdict(faults: &[String], warnings: &[String]) -> String {
    let mut text = String::new();
    for fault in faults {
        let _ = writeln!(text, "wrong: {}", Printable(fault));
    }
    for warning in warnings {
        let _ = writeln!(text, "odd: {}", Printable(warning));
    }
    if faults.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    text
}
