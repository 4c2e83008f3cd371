//! What is done to a server: the two sides of each scenario.
//!
//! Both sides stand on the typed API and know no wire. The content is random, drawn from the seed, and the same on both sides without being sent; a side that
//! gets something else says so.

use crate::model::Scenario;

/// How many servers a scenario calls. A cold start calls one more than it measures: the first is its warm-up.
pub const fn servers(scenario: Scenario) -> usize {
    match scenario {
        Scenario::Burst => 20,
        Scenario::ColdStart => 101,
        _ => 1,
    }
}
