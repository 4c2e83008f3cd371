//! Questions to name servers, and what their answers say.
//!
//! hickory's pool of servers sends and repeats; aliases are followed here, as its resolver loses the records of a service whose own name is an alias.

use std::{net::IpAddr, sync::Arc};

use hickory_resolver::{
    Hosts, NameServerPool, PoolContext, TlsConfig,
    config::{NameServerConfig, ResolverConfig, ResolverOpts},
    net::{
        DnsError, NetError,
        runtime::TokioRuntimeProvider,
        xfer::{DnsHandle, FirstAnswer, RetryDnsHandle},
    },
    proto::{
        op::{DnsRequestOptions, Query, ResponseCode},
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};

use super::{Absence, Kind, Question, srv::Service};
use crate::{DiscoveryError, DiscoveryOptions, Dns, addresses::MAX_ADDRESSES};

/// Most aliases on the way from a name to its records.
const MAX_ALIASES: usize = 8;

/// Most records of one answer that are looked at.
const MAX_RECORDS: usize = 256;

/// The greatest TTL there is, in seconds (RFC 2181 §8).
const MAX_TTL: u32 = i32::MAX as u32;

/// Seconds for which what needs no server counts.
const FIXED_TTL: u32 = 3600;

/// Seconds for which nothing is asked again about a name that does not exist, if the answer does not say (it has no SOA record).
const NEGATIVE_TTL: u32 = 60;

/// What an answer says.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) found: Found,
    /// What the name is an alias of, if it is one.
    pub(super) alias: Option<String>,
    /// Seconds.
    pub(super) ttl: u32,
}

#[derive(Debug)]
pub(super) enum Found {
    Addresses(Vec<IpAddr>),
    /// Unordered; none if the only record says that there is no such service (target `.`).
    Services(Vec<Service>),
    Absent(Absence),
}

/// The name servers.
pub(super) struct Wire {
    servers: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    hosts: Hosts,
    options: DnsRequestOptions,
}

impl Wire {
    pub(super) fn new(settings: &DiscoveryOptions) -> Result<Self, DiscoveryError> {
        let (config, mut opts, hosts) = match &settings.dns {
            Dns::System => {
                let (config, opts) = read_system_conf()
                    .map_err(|error| DiscoveryError::SystemDns(error.to_string()))?;
                // No hosts file is no fault.
                (config, opts, Hosts::from_system().unwrap_or_default())
            }
            Dns::Servers(addresses) => {
                let servers = addresses.iter().map(|address| {
                    let mut server = NameServerConfig::udp_and_tcp(address.ip());
                    for connection in &mut server.connections {
                        connection.port = address.port();
                    }
                    server
                });
                let config = ResolverConfig::from_name_servers(servers.collect());
                (config, ResolverOpts::default(), Hosts::default())
            }
        };
        if config.name_servers().is_empty() {
            return Err(DiscoveryError::NoNameServer);
        }
        let mut options = DnsRequestOptions::default();
        options.recursion_desired = true;
        options.use_edns = true;
        options.edns_payload_len = opts.edns_payload_len;
        // One repetition has to fit in.
        opts.timeout = opts.timeout.min(settings.dns_timeout / 2);
        opts.max_active_requests = settings.dns_at_once;
        let attempts = opts.attempts;
        let tls = TlsConfig::new().map_err(|error| DiscoveryError::SystemDns(error.to_string()))?;
        let context = Arc::new(PoolContext::new(opts, tls));
        let servers = config.name_servers().to_vec();
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        Ok(Self {
            servers: RetryDnsHandle::new(pool, attempts),
            hosts,
            options,
        })
    }

    /// Asks, and follows aliases.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, question: &Question) -> Result<Told, String> {
        // A text that DNS cannot hold (an empty label, one of over 63 bytes) names nothing. The dot keeps search lists out.
        let Ok(asked) = Name::from_ascii(format!("{}.", question.name)) else {
            return Ok(absent(Absence::NoName, None, NEGATIVE_TTL));
        };
        // RFC 7686 §2.
        if question.name.ends_with(".onion") {
            return Ok(absent(Absence::NoName, None, FIXED_TTL));
        }
        let kind = match question.kind {
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
            Kind::Srv => RecordType::SRV,
        };
        if let Some(told) = listed(&self.hosts, &asked, kind) {
            return Ok(told);
        }
        let mut aliases = Aliases::new(asked);
        loop {
            let name = aliases.name().clone();
            let query = Query::query(name.clone(), kind);
            let sent = self.servers.lookup(query, self.options).first_answer();
            let response = match sent.await {
                Ok(response) => response,
                Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                    let absence = match none.response_code {
                        ResponseCode::NXDomain => Absence::NoName,
                        _ => Absence::NoRecord,
                    };
                    let ttl = sane(none.negative_ttl.unwrap_or(NEGATIVE_TTL)).min(aliases.ttl);
                    return Ok(absent(absence, aliases.target(), ttl));
                }
                Err(error) => return Err(error.to_string()),
            };
            aliases.follow(&response.answers)?;
            let records: Vec<&Record> = response
                .answers
                .iter()
                .filter(|record| record.record_type() == kind && record.name == *aliases.name())
                .take(MAX_RECORDS)
                .collect();
            if !records.is_empty() {
                let ttl = records.iter().map(|record| sane(record.ttl)).min();
                return Ok(Told {
                    found: found(question.kind, &records),
                    ttl: ttl.unwrap_or(0).min(aliases.ttl),
                    alias: aliases.target(),
                });
            }
            if *aliases.name() == name {
                let ttl = sane(response.negative_ttl().unwrap_or(NEGATIVE_TTL));
                let alias = aliases.target();
                return Ok(absent(Absence::NoRecord, alias, ttl.min(aliases.ttl)));
            }
        }
    }
}

/// What the hosts file says; it has the last word on a name that it lists, also if it lists no address of this family.
fn listed(hosts: &Hosts, name: &Name, kind: RecordType) -> Option<Told> {
    let of = |kind| {
        let query = Query::query(name.clone(), kind);
        hosts.lookup_static_host(&query)
    };
    let (v4, v6) = (of(RecordType::A), of(RecordType::AAAA));
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let lookup = match kind {
        RecordType::A => v4,
        RecordType::AAAA => v6,
        _ => return None,
    };
    let addresses: Vec<IpAddr> = lookup
        .iter()
        .flat_map(|lookup| lookup.answers())
        .filter_map(|record| record.data.ip_addr())
        .take(MAX_ADDRESSES)
        .collect();
    Some(match addresses.is_empty() {
        true => absent(Absence::NoRecord, None, FIXED_TTL),
        false => Told {
            found: Found::Addresses(addresses),
            alias: None,
            ttl: FIXED_TTL,
        },
    })
}

/// A TTL with its first bit set is one of zero (RFC 2181 §8).
fn sane(ttl: u32) -> u32 {
    if ttl > MAX_TTL { 0 } else { ttl }
}

fn absent(absence: Absence, alias: Option<String>, ttl: u32) -> Told {
    Told {
        found: Found::Absent(absence),
        alias,
        ttl,
    }
}

fn found(kind: Kind, records: &[&Record]) -> Found {
    if kind != Kind::Srv {
        let addresses = records.iter().filter_map(|record| record.data.ip_addr());
        return Found::Addresses(addresses.take(MAX_ADDRESSES).collect());
    }
    let services = records.iter().filter_map(|record| match &record.data {
        // A target that is the root, or no port, cannot be connected to.
        RData::SRV(srv) if !srv.target.is_root() && srv.port != 0 => Some(Service {
            target: text(&srv.target),
            port: srv.port,
            priority: srv.priority,
            weight: srv.weight,
        }),
        _ => None,
    });
    Found::Services(services.collect())
}

/// The names on the way from the one that was asked about to the one that has records.
struct Aliases {
    names: Vec<Name>,
    /// The least of their TTLs.
    ttl: u32,
}

impl Aliases {
    fn new(name: Name) -> Self {
        Self {
            names: vec![name],
            ttl: MAX_TTL,
        }
    }

    fn name(&self) -> &Name {
        self.names.last().expect("it begins with one name")
    }

    fn target(&self) -> Option<String> {
        (self.names.len() > 1).then(|| text(self.name()))
    }

    /// Goes as far as these records lead, in whatever order they are.
    fn follow(&mut self, records: &[Record]) -> Result<(), String> {
        while let Some((target, ttl)) = alias_of(self.name(), records) {
            if self.names.contains(target) {
                return Err(format!("{} is an alias of itself", text(target)));
            }
            if self.names.len() > MAX_ALIASES {
                return Err(format!("more than {MAX_ALIASES} aliases in a row"));
            }
            self.ttl = self.ttl.min(sane(ttl));
            self.names.push(target.clone());
        }
        Ok(())
    }
}

fn alias_of<'r>(name: &Name, records: &'r [Record]) -> Option<(&'r Name, u32)> {
    records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some((&target.0, record.ttl)),
        _ => None,
    })
}

/// A name as it is written in this crate: lower case, without the dot at its end.
fn text(name: &Name) -> String {
    let mut text = name.to_lowercase().to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_has_the_last_word_on_addresses_of_what_it_lists() {
        let mut hosts = Hosts::default();
        let text = "192.0.2.1 a.test other\n192.0.2.2 a.test\n2001:db8::1 b.test # c.test\n";
        hosts.read_hosts_conf(text.as_bytes()).unwrap();
        let of = |name: &str, kind| {
            let name = Name::from_ascii(name).unwrap();
            listed(&hosts, &name, kind).map(|told| match told.found {
                Found::Addresses(addresses) => addresses.len(),
                _ => 0,
            })
        };
        assert_eq!(of("a.test.", RecordType::A), Some(2));
        assert_eq!(of("A.TEST.", RecordType::A), Some(2));
        assert_eq!(of("a.test.", RecordType::AAAA), Some(0));
        assert_eq!(of("b.test.", RecordType::AAAA), Some(1));
        assert_eq!(of("b.test.", RecordType::A), Some(0));
        assert_eq!(of("a.test.", RecordType::SRV), None);
        assert_eq!(of("c.test.", RecordType::A), None);
    }
}
