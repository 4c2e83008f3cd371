//! Choosing the wire.

mod choice;
mod events;
mod falling_back;
mod laws;
mod looking_up;
mod remembered;
mod sessions;
pub mod wires;

use std::sync::Arc;

use comity_core::transport::{
    Offers, Policies, Policy, Preference, Select, SelectOptions, Transport,
};

use self::wires::{Act, Source, Wire, offer, settle, to, version};

pub const HTTP: &str = "http/1";
pub const GRPC: &str = "grpc/1";

/// Two bindings, and the choice between them.
pub struct Two {
    pub http: Arc<Wire>,
    pub grpc: Arc<Wire>,
    pub select: Select,
}

impl Two {
    pub fn new(sources: Vec<Arc<dyn Offers>>, options: SelectOptions) -> Self {
        let http = Wire::new(HTTP, Act::Reply);
        let grpc = Wire::new(GRPC, Act::Reply);
        let others: Vec<Arc<dyn Transport>> = vec![grpc.clone()];
        let select = Select::new(http.clone(), others, sources, options);
        Self { http, grpc, select }
    }

    /// The operator prefers gRPC.
    pub fn preferring() -> Self {
        let two = Self::new(Vec::new(), SelectOptions::default());
        two.select.set_policies(prefer(GRPC, false));
        two
    }

    /// The destination offers gRPC, and that is known.
    pub async fn offering(target: Option<&str>) -> Self {
        let source = Source::new("signed", vec![offer(GRPC, target)]);
        let two = Self::new(vec![source], SelectOptions::default());
        two.learn().await;
        two
    }

    /// One call, so that the offers are looked up.
    pub async fn learn(&self) {
        self.select.send(version()).await.unwrap();
        settle().await;
    }

    pub fn counts(&self) -> (usize, usize) {
        (self.http.count(), self.grpc.count())
    }

    pub async fn status(&self) -> comity_core::transport::DestinationStatus {
        self.select.destination(&to()).await.unwrap()
    }
}

pub fn prefer(binding: &str, required: bool) -> Policies {
    Policies {
        default: Policy {
            binding: Preference::Only(binding.to_owned()),
            required,
            ..Policy::default()
        },
        ..Policies::default()
    }
}
