//! A DNS server, over UDP and TCP, that says what a test wants it to say.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::{
    op::{Header, HeaderCounts, Metadata, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, SOA, SRV},
    },
};
use hickory_server::{
    Server,
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

/// What is answered about one name and type.
#[derive(Clone)]
pub enum Say {
    Records(Vec<Record>),
    /// The name exists, without such a record; with an SOA record of this TTL.
    NoData(u32),
    /// There is no such name; with an SOA record of this TTL.
    NoName(u32),
    /// There is no such name, without an SOA record.
    NoNameAtAll,
    ServFail,
    /// Nothing.
    Silence,
    /// After a while.
    Late(Duration, Box<Say>),
}

#[derive(Default)]
struct Zone {
    says: HashMap<(String, RecordType), Say>,
    asked: Vec<(String, RecordType)>,
    reply_to_all: Option<Say>,
}

/// The server. It is gone with its last clone.
#[derive(Clone)]
pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _server: Arc<Server<Handler>>,
}

impl Dns {
    pub async fn start() -> Self {
        let zone = Arc::<Mutex<Zone>>::default();
        let mut server = Server::new(Handler(Arc::clone(&zone)));
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64);
        Self {
            address,
            zone,
            _server: Arc::new(server),
        }
    }

    pub fn say(&self, name: &str, kind: RecordType, say: Say) {
        let mut zone = self.zone.lock().unwrap();
        zone.says.insert((name.to_owned(), kind), say);
    }

    /// All questions get this answer, until it is taken back.
    pub fn say_to_all(&self, say: Option<Say>) {
        self.zone.lock().unwrap().reply_to_all = say;
    }

    /// Addresses of either family, TTL 300.
    pub fn host(&self, name: &str, addresses: &[&str]) {
        self.host_for(name, addresses, 300);
    }

    pub fn host_for(&self, name: &str, addresses: &[&str], ttl: u32) {
        let of = |v6: bool| {
            let addresses = addresses.iter().map(|text| text.parse::<IpAddr>().unwrap());
            let records: Vec<Record> = addresses
                .filter(|ip| ip.is_ipv6() == v6)
                .map(|ip| Record::from_rdata(fqdn(name), ttl, RData::from(ip)))
                .collect();
            match records.is_empty() {
                true => Say::NoData(ttl),
                false => Say::Records(records),
            }
        };
        self.say(name, RecordType::A, of(false));
        self.say(name, RecordType::AAAA, of(true));
    }

    /// Targets as (priority, weight, port, target), TTL 300.
    pub fn srv(&self, name: &str, targets: &[(u16, u16, u16, &str)]) {
        let records = targets.iter().map(|(priority, weight, port, target)| {
            let srv = SRV::new(*priority, *weight, *port, fqdn(target));
            Record::from_rdata(fqdn(name), 300, RData::SRV(srv))
        });
        self.say(name, RecordType::SRV, Say::Records(records.collect()));
    }

    /// An alias, whatever is asked about the name.
    pub fn alias(&self, name: &str, target: &str) {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::SRV] {
            self.say(name, kind, Say::Records(vec![cname(name, target, 300)]));
        }
    }

    /// How often this was asked.
    pub fn asked(&self, name: &str, kind: RecordType) -> usize {
        let zone = self.zone.lock().unwrap();
        let matching = zone
            .asked
            .iter()
            .filter(|asked| asked.0 == name && asked.1 == kind);
        matching.count()
    }

    pub fn asked_in_all(&self) -> usize {
        self.zone.lock().unwrap().asked.len()
    }
}

pub fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap()
}

pub fn cname(name: &str, target: &str, ttl: u32) -> Record {
    Record::from_rdata(fqdn(name), ttl, RData::CNAME(CNAME(fqdn(target))))
}

pub fn a(name: &str, address: &str, ttl: u32) -> Record {
    let ip: IpAddr = address.parse().unwrap();
    Record::from_rdata(fqdn(name), ttl, RData::from(ip))
}

struct Handler(Arc<Mutex<Zone>>);

impl Handler {
    /// What there is to say, noting that it was asked.
    fn look_up(&self, name: String, kind: RecordType) -> Say {
        let mut zone = self.0.lock().unwrap();
        let says = zone.reply_to_all.clone().or_else(|| {
            let say = zone.says.get(&(name.clone(), kind)).cloned();
            let known = zone.says.keys().any(|(known, _)| *known == name);
            say.or_else(|| known.then_some(Say::NoData(300)))
        });
        zone.asked.push((name, kind));
        says.unwrap_or(Say::NoName(300))
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let query = request.request_info().unwrap().query;
        let name = query.name().to_string();
        let name = name.trim_end_matches('.').to_owned();
        let mut say = self.look_up(name, query.query_type());
        while let Say::Late(pause, then) = say {
            tokio::time::sleep(pause).await;
            say = *then;
        }
        let soa = |ttl: u32| {
            let soa = SOA::new(fqdn("ns"), fqdn("admin"), 1, 1, 1, 1, ttl);
            vec![Record::from_rdata(fqdn("test"), ttl, RData::SOA(soa))]
        };
        let (code, answers, authority) = match say {
            Say::Records(records) => (ResponseCode::NoError, records, vec![]),
            Say::NoData(ttl) => (ResponseCode::NoError, vec![], soa(ttl)),
            Say::NoName(ttl) => (ResponseCode::NXDomain, vec![], soa(ttl)),
            Say::NoNameAtAll => (ResponseCode::NXDomain, vec![], vec![]),
            Say::ServFail => (ResponseCode::ServFail, vec![], vec![]),
            Say::Silence | Say::Late(..) => {
                let counts = HeaderCounts::default();
                return ResponseInfo::from(Header { metadata, counts });
            }
        };
        metadata.response_code = code;
        let builder = MessageResponseBuilder::from_message_request(request);
        let message = builder.build(metadata, &answers, &[], &authority, &[]);
        response.send_response(message).await.unwrap()
    }
}
