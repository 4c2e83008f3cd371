//! No call is lost and none is doubled, whatever goes wrong on the way and whatever the operator does meanwhile.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use comity_core::{
    CallService,
    api::{ClaimKeys, GetEvent, SendTransaction},
    auth::Origin,
    call::{AnyRequest, Call, CallContext, Endpoint, Idempotency as Repetition, Reply, operation},
    endpoint::{EndpointParts, read_content},
    error::{CallError, Delivery, FederationError, TransportError, TransportErrorKind as Kind},
    layers::{Clocks, Idempotency, MemoryAnswers, RunToEnd, Side},
    transport::{
        Capabilities, Policies, Policy, Preference, Select, SelectOptions, Transport,
        TransportService,
    },
};
use proptest::{prelude::*, strategy::ValueTree};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{GRPC, HTTP, prefer, wires::reply_to};
use crate::homeserver::name;

/// What happens to one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    /// The receiver never sees it, and that is known.
    Lost(Kind, Delivery),
    /// It breaks, and nobody knows whether before or behind the receiver.
    Breaks {
        processed: bool,
        kind: Kind,
    },
    /// It breaks while the receiver is about to process it.
    BreaksBefore,
    Hangs {
        processed: bool,
    },
    Refused,
}

/// What the receiver did, by what was asked.
#[derive(Debug, Default)]
struct Receiver {
    effects: Mutex<HashMap<String, usize>>,
}

impl Receiver {
    fn effects(&self, id: &str) -> usize {
        self.effects.lock().unwrap().get(id).copied().unwrap_or(0)
    }

    /// The receiver's half as the layers' page says, shared by its bindings.
    fn service(self: &Arc<Self>) -> CallService {
        let this = self.clone();
        let handler = service_fn(move |mut call: Call| {
            let this = this.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                *this
                    .effects
                    .lock()
                    .unwrap()
                    .entry(id(&mut call))
                    .or_default() += 1;
                Ok::<_, CallError>(reply_to(&call))
            }
        });
        BoxCloneSyncService::new(
            ServiceBuilder::new()
                .layer(RunToEnd::layer(100_000))
                .layer(Idempotency::layer(Arc::new(MemoryAnswers::default())))
                .service(handler),
        )
    }
}

fn id(call: &mut Call) -> String {
    let form = call.make_form().unwrap();
    format!("{} {:?}", form.target(), form.content().bytes())
}

#[derive(Debug)]
struct Faulty {
    name: &'static str,
    receiver: CallService,
    fates: Mutex<VecDeque<Fate>>,
    attempts: Arc<Mutex<HashMap<String, usize>>>,
}

impl Faulty {
    fn deliver(&self, call: &Call) -> impl Future<Output = Result<Reply, CallError>> + use<> {
        let mut context = CallContext::received(self.name);
        context.set_proof(Origin::danger_assume_proven(name("a.example"), "test"));
        let form = call.form().unwrap().clone();
        let call = Call::received(call.request().clone_box(), form, context);
        self.receiver.clone().oneshot(call)
    }
}

#[async_trait]
impl Transport for Faulty {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE
    }

    async fn send(&self, mut call: Call) -> Result<Reply, CallError> {
        let attempts = self.attempts.clone();
        *attempts.lock().unwrap().entry(id(&mut call)).or_default() += 1;
        let fate = self.fates.lock().unwrap().pop_front();
        let failed = |kind, delivery| Err(TransportError::new(kind, delivery, "as told").into());
        match fate.unwrap_or(Fate::Arrives) {
            Fate::Arrives => self.deliver(&call).await,
            Fate::Lost(kind, delivery) => failed(kind, delivery),
            Fate::Breaks { processed, kind } => {
                if processed {
                    self.deliver(&call).await?;
                }
                failed(kind, Delivery::MaybeProcessed)
            }
            Fate::BreaksBefore => {
                tokio::spawn(self.deliver(&call));
                failed(Kind::Closed, Delivery::MaybeProcessed)
            }
            Fate::Hangs { processed } => {
                if processed {
                    self.deliver(&call).await?;
                }
                std::future::pending().await
            }
            Fate::Refused => Err(FederationError::new(403, "M_FORBIDDEN", "no").into()),
        }
    }
}

struct World {
    receiver: Arc<Receiver>,
    attempts: Arc<Mutex<HashMap<String, usize>>>,
    select: Select,
}

impl World {
    fn new(http: Vec<Fate>, grpc: Vec<Fate>) -> Self {
        let receiver = Arc::new(Receiver::default());
        let attempts: Arc<Mutex<HashMap<_, _>>> = Arc::default();
        let service = receiver.service();
        let wire = |name, fates: Vec<Fate>| {
            Arc::new(Faulty {
                name,
                receiver: service.clone(),
                fates: Mutex::new(fates.into()),
                attempts: attempts.clone(),
            })
        };
        let others: Vec<Arc<dyn Transport>> = vec![wire(GRPC, grpc)];
        let options = SelectOptions {
            // A binding gets many chances, so that faults meet many calls.
            backoff: Duration::from_millis(1),
            longest_backoff: Duration::from_millis(2),
            ..SelectOptions::default()
        };
        let select = Select::new(wire(HTTP, http), others, Vec::new(), options);
        select.set_policies(prefer(GRPC, false));
        Self {
            receiver,
            attempts,
            select,
        }
    }

    /// Sends a call, and judges what came of it. Gives whether it succeeded.
    async fn judge(&self, mut call: Call, time: Duration) -> Result<bool, TestCaseError> {
        let (id, repetition) = (id(&mut call), call.spec().idempotency);
        let begun = Instant::now();
        call.context_mut().limit_deadline(begun + time);
        let stack = ServiceBuilder::new()
            .layer(Clocks::layer(Side::Client))
            .service(TransportService::new(Arc::new(self.select.clone())));
        let result = stack.oneshot(call).await;
        // What the receiver is still about to do.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let effects = self.receiver.effects(&id);
        let attempts = self.attempts.lock().unwrap().get(&id).copied();
        prop_assert!(attempts.unwrap_or(0) <= 2, "{id}: {attempts:?} attempts");
        if repetition != Repetition::Safe {
            prop_assert!(effects <= 1, "{id}: {effects} effects");
        }
        match &result {
            Ok(_) => prop_assert!(effects >= 1, "{id}: an answer without an effect"),
            Err(CallError::Transport(error)) if error.delivery() != Delivery::MaybeProcessed => {
                prop_assert_eq!(effects, 0, "{}: {}", id, error);
            }
            Err(_) => {}
        }
        Ok(result.is_ok())
    }
}

/// A call of each idempotency, different from every other.
fn numbered(class: usize, number: usize) -> Call {
    let to = name("b.example");
    match class {
        0 => {
            let body = format!(r#"{{"one_time_keys":{{"@u{number}:b.example":{{}}}}}}"#);
            Call::new(to, read::<ClaimKeys>(Vec::new(), body))
        }
        1 => {
            let body = r#"{"origin":"a.example","origin_server_ts":1,"pdus":[]}"#;
            let path = vec![format!("txn{number}")];
            Call::new(to, read::<SendTransaction>(path, body.to_owned()))
        }
        _ => {
            let parts = EndpointParts {
                path: vec![format!("$event{number}")],
                ..EndpointParts::default()
            };
            Call::new(to, GetEvent::read(&parts).unwrap())
        }
    }
}

fn read<O: Endpoint>(path: Vec<String>, body: String) -> impl AnyRequest {
    let content = read_content(operation::<O>(), None, body.into()).unwrap();
    O::read(&EndpointParts {
        path,
        content,
        ..EndpointParts::default()
    })
    .unwrap()
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Resolve,
        Kind::Connect,
        Kind::Tls,
        Kind::Closed,
        Kind::Protocol,
        Kind::Timeout,
        Kind::Busy,
        Kind::Unsupported,
        Kind::Refused,
        Kind::Carrier,
        Kind::LimitExceeded,
        Kind::Cancelled,
    ])
}

fn fates() -> impl Strategy<Value = Fate> {
    let unsent = prop::sample::select(vec![Delivery::NotSent, Delivery::Rejected]);
    prop_oneof![
        2 => Just(Fate::Arrives),
        3 => (kinds(), unsent).prop_map(|(kind, delivery)| Fate::Lost(kind, delivery)),
        3 => (any::<bool>(), kinds()).prop_map(|(processed, kind)| Fate::Breaks { processed, kind }),
        1 => Just(Fate::BreaksBefore),
        1 => any::<bool>().prop_map(|processed| Fate::Hangs { processed }),
        1 => Just(Fate::Refused),
    ]
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_call_is_lost_and_none_is_doubled(
        http in prop::collection::vec(fates(), 0..12),
        grpc in prop::collection::vec(fates(), 0..12),
        classes in prop::collection::vec(0..3_usize, 1..12),
    ) {
        paused().block_on(async {
            let world = World::new(http, grpc);
            for (number, class) in classes.into_iter().enumerate() {
                world.judge(numbered(class, number), MINUTE).await?;
            }
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn with_a_baseline_that_works_only_what_may_not_be_repeated_fails(
        grpc in fates(),
        class in 0..3_usize,
    ) {
        paused().block_on(async {
            let world = World::new(Vec::new(), vec![grpc]);
            let succeeds = world.judge(numbered(class, 0), MINUTE).await?;
            let expected = match grpc {
                Fate::Arrives => true,
                Fate::Refused => false,
                Fate::Lost(kind, _) => kind != Kind::Cancelled,
                Fate::Breaks { kind, .. } => {
                    let given_up = matches!(kind, Kind::Cancelled | Kind::LimitExceeded | Kind::Refused);
                    class != 0 && !given_up
                }
                Fate::BreaksBefore | Fate::Hangs { .. } => class != 0,
            };
            prop_assert_eq!(succeeds, expected);
            Ok::<(), TestCaseError>(())
        })?;
    }
}

fn flips() -> [Policies; 6] {
    let required = prefer(GRPC, true);
    let moved = Policies {
        default: Policy {
            binding: Preference::Auto,
            connect_to: Some("192.0.2.1:1".parse().unwrap()),
            required: false,
            sessions: None,
        },
        ..Policies::default()
    };
    let switched_off = Policies {
        disabled: [GRPC.to_owned()].into(),
        ..prefer(GRPC, false)
    };
    [
        prefer(GRPC, false),
        prefer(HTTP, false),
        required,
        moved,
        switched_off,
        Policies::default(),
    ]
}

/// Thousands of calls on several threads while the operator changes his mind all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn policies_change_under_load_without_a_call_lost_or_doubled() {
    const CALLS: usize = 6_000;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut some = |number: usize| -> Vec<Fate> {
        let fates = prop::collection::vec(fates(), number);
        let fates = fates.new_tree(&mut runner).unwrap().current();
        // Those that hang take real time here.
        let hangs = |fate: &Fate| matches!(fate, Fate::Hangs { .. });
        fates.into_iter().filter(|fate| !hangs(fate)).collect()
    };
    let (http, grpc) = (some(CALLS / 4), some(CALLS));
    let world = Arc::new(World::new(http, grpc));
    let select = world.select.clone();
    let flipping = tokio::spawn(async move {
        let mut times = 0;
        loop {
            for policies in flips() {
                select.set_policies(policies);
                times += 1;
                if times % 7 == 0 {
                    let _ = select.destinations();
                }
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        }
    });
    let calls = (0..CALLS).map(|number| {
        let world = world.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(number as u64 * 50)).await;
            world.judge(numbered(number % 3, number), MINUTE).await
        })
    });
    let mut succeeded = 0;
    for judged in futures_util::future::join_all(calls).await {
        succeeded += usize::from(judged.unwrap().unwrap());
    }
    flipping.abort();
    // How many depends on which policy stood for how long: enough to mean something.
    assert!(succeeded > CALLS / 10, "{succeeded}");
    let status = world.select.destinations();
    let bindings = &status[0].bindings;
    assert!(bindings.iter().all(|binding| binding.in_flight == 0));
    assert!(
        bindings.iter().all(|binding| binding.calls > 10),
        "{bindings:?}"
    );
    assert!(!bindings[1].fallbacks.is_empty());
}
