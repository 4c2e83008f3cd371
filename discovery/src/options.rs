//! How discovery behaves: each limit with its default.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use comity_core::auth::now_ms;
use http::HeaderValue;

/// Who answers questions about names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Dns {
    /// The operating system's servers (`/etc/resolv.conf`) and its hosts file. Its search list is not used: server names are whole.
    #[default]
    System,
    /// These servers, by UDP and TCP, and no hosts file.
    Servers(Vec<SocketAddr>),
}

/// How [`Discovery`](crate::Discovery) behaves.
#[derive(Clone)]
pub struct DiscoveryOptions {
    /// Who answers questions about names: the operating system's servers unless set.
    pub dns: Dns,
    /// Longest time for one question, its aliases and repetitions included: 5 s unless set.
    pub dns_timeout: Duration,
    /// Longest time until a question that no server answered is asked again: 5 min unless set. It begins with 5 s and doubles (RFC 9520 §3.2).
    pub dns_max_error_age: Duration,
    /// Most answers that are kept, and most KiB of them: 50,000 unless set.
    pub dns_capacity: u64,
    /// Longest time that an answer is kept, whatever its TTL: 24 h unless set.
    pub dns_max_ttl: Duration,
    /// How long beyond its TTL an answer serves while no server answers (RFC 8767): 24 h unless set.
    pub dns_stale: Duration,
    /// The port of `https` URLs without one: 443 unless set, for tests.
    pub well_known_port: u16,
    /// Longest time for one `.well-known` document, redirections and repetitions included: 10 s unless set.
    pub well_known_timeout: Duration,
    /// Most bytes of the document: 50 KiB unless set, as other implementations have it.
    pub well_known_max_bytes: usize,
    /// Most redirections on the way to it: 5 unless set.
    pub well_known_redirects: usize,
    /// Most servers whose document, or its absence, is kept, and most KiB of that: 20,000 unless set.
    pub well_known_capacity: u64,
    /// How long a document is kept that does not say: 24 h unless set, give or take a tenth.
    pub well_known_age: Duration,
    /// Shortest time that a document is kept, whatever its headers say: 5 min unless set.
    pub well_known_min_age: Duration,
    /// Longest time that a document is kept, whatever its headers say: 48 h unless set.
    pub well_known_max_age: Duration,
    /// Longest time until a document that could not be had is asked for again: 1 h unless set. It begins with 5 min and doubles; 2 min if there was a document
    /// just before.
    pub well_known_max_error_age: Duration,
    /// Most questions to DNS that are sent at once; more wait: 256 unless set.
    pub dns_at_once: usize,
    /// Most documents that are fetched at once; more wait: 256 unless set.
    pub well_known_at_once: usize,
    /// Most questions, and most documents, that are under way or wait; more are refused: 16,384 unless set.
    pub max_lookups: usize,
    /// Value of `User-Agent`.
    pub user_agent: HeaderValue,
    /// Milliseconds since the Unix epoch, now.
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Default for DiscoveryOptions {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        Self {
            dns: Dns::System,
            dns_timeout: Duration::from_secs(5),
            dns_max_error_age: Duration::from_secs(5 * MINUTE),
            dns_capacity: 50_000,
            dns_max_ttl: Duration::from_secs(24 * HOUR),
            dns_stale: Duration::from_secs(24 * HOUR),
            well_known_port: 443,
            well_known_timeout: Duration::from_secs(10),
            well_known_max_bytes: 50 << 10,
            well_known_redirects: 5,
            well_known_capacity: 20_000,
            well_known_age: Duration::from_secs(24 * HOUR),
            well_known_min_age: Duration::from_secs(5 * MINUTE),
            well_known_max_age: Duration::from_secs(48 * HOUR),
            well_known_max_error_age: Duration::from_secs(HOUR),
            dns_at_once: 256,
            well_known_at_once: 256,
            max_lookups: 16_384,
            user_agent: HeaderValue::from_static(concat!("comity/", env!("CARGO_PKG_VERSION"))),
            now: Arc::new(now_ms),
        }
    }
}

impl fmt::Debug for DiscoveryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryOptions")
            .field("dns", &self.dns)
            .field("dns_timeout", &self.dns_timeout)
            .field("well_known_port", &self.well_known_port)
            .field("well_known_timeout", &self.well_known_timeout)
            .field("max_lookups", &self.max_lookups)
            .finish_non_exhaustive()
    }
}

/// Milliseconds of a duration, for sums with [`DiscoveryOptions::now`].
pub(crate) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether what was learned at a time, and counts until another, counts now. Not if the clock was set back since: it would count for too long.
pub(crate) fn counts(at: i64, until: i64, now: i64) -> bool {
    (at..until).contains(&now)
}
