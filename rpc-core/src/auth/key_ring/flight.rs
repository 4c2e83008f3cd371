//! One fetch per server at a time, which goes on whoever stops waiting for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::known::{Known, Need};
use crate::ServerName;

/// What a fetch will give.
pub(super) type Awaited = watch::Receiver<Option<Arc<Known>>>;

/// What a fetch is for.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    pub(super) need: Need,
    /// Whether it follows at once on another, that was for something else.
    pub(super) again: bool,
}

type Running = HashMap<ServerName, (Awaited, Arc<Errand>)>;

/// The fetches under way.
#[derive(Clone, Default)]
pub(super) struct Flights {
    running: Arc<Mutex<Running>>,
}

/// Whether a fetch of a server may begin.
pub(super) enum Flight {
    /// There is one already, for that.
    Running(Awaited, Arc<Errand>),
    /// It may begin: whoever holds the second part tells what came of it.
    Begins(Awaited, Landing, Arc<Errand>),
    /// There are too many.
    TooMany,
}

/// Ends a flight, when it is told what came of it or dropped.
pub(super) struct Landing {
    flights: Flights,
    server: ServerName,
    tell: watch::Sender<Option<Arc<Known>>>,
}

impl Flights {
    /// The flight to `server`, if there are not `most` others.
    pub(super) fn to(&self, server: &ServerName, errand: Errand, most: usize) -> Flight {
        let mut running = self.lock();
        if let Some((awaited, errand)) = running.get(server) {
            return Flight::Running(awaited.clone(), errand.clone());
        }
        if running.len() >= most {
            return Flight::TooMany;
        }
        let (tell, awaited) = watch::channel(None);
        let errand = Arc::new(errand);
        running.insert(server.clone(), (awaited.clone(), errand.clone()));
        let landing = Landing {
            flights: self.clone(),
            server: server.clone(),
            tell,
        };
        Flight::Begins(awaited, landing, errand)
    }

    /// Whether there are `most` flights.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.lock().len() >= most
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        // Every change is one insertion or one removal, so a panic elsewhere leaves nothing half done.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Landing {
    /// Tells all that wait. Whoever comes later begins a flight of its own.
    pub(super) fn land(self, known: Arc<Known>) {
        self.tell.send_replace(Some(known));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.server);
    }
}
