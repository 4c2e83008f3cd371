//! The connections of a listener, and which of them goes when it is full.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Activity;

/// A connection that has had no request for this long goes when another waits for its place: long enough for a handshake and the first request of a peer that means it.
pub(super) const IDLE_ENOUGH: Duration = Duration::from_secs(1);

/// The connections that are open.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<Members>);

#[derive(Debug, Default)]
struct Members {
    activities: HashMap<u64, Arc<Activity>>,
    joined: u64,
}

impl Crowd {
    /// Counts a connection in until the place is dropped.
    pub(super) fn join(self: &Arc<Self>, activity: &Arc<Activity>) -> Place {
        let mut members = self.lock();
        members.joined += 1;
        let number = members.joined;
        members.activities.insert(number, Arc::clone(activity));
        Place {
            crowd: Arc::clone(self),
            number,
        }
    }

    /// Asks the connection that has been without a request for longest to go; one that has one never goes. Without this, whoever opens as many connections as may be and
    /// says nothing would keep everybody else out. Whether there is one that goes.
    pub(super) fn make_room(&self) -> bool {
        let members = self.lock();
        let idle = members.activities.values();
        let idle = idle.filter_map(|activity| Some((activity.idle_since()?, activity)));
        let longest = idle.min_by_key(|(since, _)| *since);
        if let Some((since, activity)) = longest
            && since.elapsed() >= IDLE_ENOUGH
        {
            tracing::debug!(
                connections = members.activities.len(),
                "full: an idle connection makes room"
            );
            activity.dismiss();
            return true;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the others.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().activities.remove(&self.number);
    }
}
