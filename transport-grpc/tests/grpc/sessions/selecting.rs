//! A server that selects between HTTPS, which leads nowhere, and gRPC with sessions.

use std::sync::Arc;

use comity_core::{
    Client, ServerName,
    auth::{SessionOptions, Sign},
    transport::{
        FixedRoutes, Offer, Offered, Offers, Policies, Policy, Select, SelectOptions, Transport,
    },
};
use comity_http::HttpTransport;
use comity_net::{Pool, PoolOptions};

use super::setting::{key, name};
use crate::setting::Serving;

pub(crate) fn select(
    serving: &Serving,
    source: &'static str,
    policy: Policy,
    sessions: SessionOptions,
) -> Select {
    let nowhere = Pool::new(serving.connector(), PoolOptions::default());
    let https = Arc::new(HttpTransport::new(Arc::new(FixedRoutes::new()), nowhere));
    let grpc: Arc<dyn Transport> = Arc::new(serving.transport().with_sessions(sessions));
    let says: Arc<dyn Offers> = Arc::new(Says(source));
    let select = Select::new(https, vec![grpc], vec![says], SelectOptions::default());
    select.set_policies(Policies {
        default: policy,
        ..Policies::default()
    });
    select
}

pub(crate) fn signing(select: Select) -> Client {
    let sign = Sign::layer(name("a.test"), key(1));
    Client::layered(Arc::new(select), sign)
}

/// Says that gRPC is offered, with sessions.
#[derive(Debug)]
struct Says(&'static str);

#[async_trait::async_trait]
impl Offers for Says {
    fn source(&self) -> &'static str {
        self.0
    }

    fn is_signed(&self) -> bool {
        self.0 == "signed"
    }

    async fn offered(&self, _: &ServerName) -> Option<Offered> {
        Some(Offered {
            offers: vec![Offer {
                binding: comity_grpc::BINDING.to_owned(),
                connect_to: None,
                priority: 0,
                session: true,
            }],
            until: i64::MAX,
        })
    }
}
