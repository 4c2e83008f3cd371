//! Requests of one connection are verified side by side.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use comity_core::{
    CallService, Client, Router, ServerName,
    api::{Calls, SendTransaction, SendTransactionReply, Transactions, transactions},
    auth::{KeyFault, KeyId, KeySource, Sign, SigningKey, Verify, VerifyKey, XMatrixAuthenticator},
    call::Authenticated,
    error::FederationError,
    layers::RunToEnd,
};
use comity_net::Protocol;
use tower::{Layer, ServiceBuilder, util::BoxCloneSyncService};

use crate::setting::*;

/// Long enough for a machine with other work to do; nobody waits for it where requests are verified side by side.
const BOUND: Duration = Duration::from_secs(60);

/// How long a request keeps its thread, for another to come meanwhile. What waits behind it on the same thread goes on then.
const WAIT: Duration = Duration::from_millis(50);

/// A key source that keeps its thread for a while, unless another thread asks for a key meanwhile.
#[derive(Debug)]
struct Meeting {
    key: VerifyKey,
    inside: Mutex<Inside>,
    met: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    now: usize,
    /// Two were inside at the same time.
    met: bool,
}

#[async_trait]
impl KeySource for Meeting {
    async fn request_key(&self, _: &ServerName, _: &KeyId) -> Result<VerifyKey, KeyFault> {
        let mut inside = self.inside.lock().unwrap();
        inside.now += 1;
        inside.met |= inside.now > 1;
        self.met.notify_all();
        let alone = |inside: &mut Inside| !inside.met;
        let (mut inside, _) = self.met.wait_timeout_while(inside, WAIT, alone).unwrap();
        inside.now -= 1;
        Ok(self.key.clone())
    }
}

#[derive(Debug)]
struct Takes;

#[async_trait]
impl Transactions for Takes {
    async fn send_transaction(
        &self,
        _: &Authenticated,
        _: SendTransaction,
    ) -> Result<SendTransactionReply, FederationError> {
        Ok(SendTransactionReply::new(&Default::default()))
    }
}

fn server(keys: Arc<Meeting>) -> CallService {
    let verify = XMatrixAuthenticator::new(destination(), keys);
    Router::new().with(transactions(Arc::new(Takes))).layered(
        ServiceBuilder::new()
            .layer(Verify::layer(Arc::new(verify)))
            .layer(RunToEnd::layer(100)),
    )
}

fn signing(client: Client, origin: &ServerName, key: &Arc<SigningKey>) -> Client {
    let sign = Sign::layer(origin.clone(), key.clone());
    let service = tower::service_fn(move |call| {
        let client = client.clone();
        async move { client.send(call).await }
    });
    Client::from_service(BoxCloneSyncService::new(sign.layer(service)))
}

#[test]
fn sixteen_requests_on_one_http2_connection_are_verified_by_two_threads() {
    let key = Arc::new(SigningKey::from_seed("1", &[1; 32]).unwrap());
    let origin: ServerName = "a.example".parse().unwrap();
    let keys = Arc::new(Meeting {
        key: key.verify_key(),
        inside: Mutex::default(),
        met: Condvar::new(),
    });
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let serving = servers.block_on(Serving::tls(server(keys.clone())));
    // The client has a runtime of its own: whoever keeps a thread of the server waiting does not keep it waiting.
    let clients = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let until = Instant::now() + BOUND;
    clients.block_on(async {
        let client = signing(serving.client(Protocol::Http2), &origin, &key);
        while !keys.inside.lock().unwrap().met && Instant::now() < until {
            let calls = (0..16).map(|number| {
                let client = client.clone();
                let transaction = SendTransaction::new(number.to_string(), &origin, 1, []);
                async move { client.send_transaction(&destination(), transaction).await }
            });
            for reply in futures_util::future::join_all(calls).await {
                reply.unwrap();
            }
        }
    });
    assert!(keys.inside.lock().unwrap().met);
}
