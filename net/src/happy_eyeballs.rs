//! Several addresses of one route: the first connection that comes about wins (RFC 8305 §5).

use std::time::Duration;

use futures_util::future::{Either, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;

/// A peer that accepted, and whose handshake is under way, is given this many delays before the next address is tried beside it: a handshake takes
/// one or two round trips more, and a second connection is work for the peer.
const HANDSHAKE_DELAYS: u32 = 4;

/// Tries `addresses` in their order. Each has a lead of `delay` over the next one, which starts at once if it fails. An attempt has two halves: `dial`, and
/// `secure` with what that gave. What loses is dropped.
///
/// # Errors
///
/// All failures, in the order in which they happened; none if there was no address.
pub(crate) async fn first_to_connect<A, T, C, E, D, S>(
    addresses: Vec<A>,
    delay: Duration,
    dial: impl Fn(A) -> D,
    secure: impl Fn(T) -> S,
) -> Result<C, Vec<E>>
where
    D: Future<Output = Result<T, E>>,
    S: Future<Output = Result<C, E>>,
{
    let mut waiting = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut securing = 0;
    let mut failures = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => under_way.push(Either::Left(dial(address).map(Half::Dialled))),
            None if under_way.is_empty() => return Err(failures),
            None => {}
        }
        // Until it is time for the next address.
        loop {
            let lead = if securing > 0 {
                delay * HANDSHAKE_DELAYS
            } else {
                delay
            };
            let half = tokio::select! {
                biased;
                Some(half) = under_way.next() => half,
                () = sleep(lead), if waiting.len() > 0 => break,
            };
            match half {
                Half::Dialled(Ok(dialled)) => {
                    securing += 1;
                    under_way.push(Either::Right(secure(dialled).map(Half::Secured)));
                }
                Half::Secured(Ok(connected)) => return Ok(connected),
                Half::Dialled(Err(error)) => {
                    failures.push(error);
                    break;
                }
                Half::Secured(Err(error)) => {
                    securing -= 1;
                    failures.push(error);
                    break;
                }
            }
        }
    }
}

enum Half<T, C, E> {
    Dialled(Result<T, E>),
    Secured(Result<C, E>),
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    /// What an address does: milliseconds until TCP is there, and until TLS is; `Err` fails then.
    type Play = (Result<u64, u64>, Result<u64, u64>);

    async fn after(what: Result<u64, u64>, name: usize) -> Result<usize, usize> {
        let (Ok(ms) | Err(ms)) = what;
        sleep(Duration::from_millis(ms)).await;
        what.map(|_| name).map_err(|_| name)
    }

    /// The winner or the failures in order, when that was, and when each address was dialled, in milliseconds.
    async fn race(plays: &[Play]) -> (Result<usize, Vec<usize>>, u64, Vec<u64>) {
        let start = Instant::now();
        let now = || u64::try_from(start.elapsed().as_millis()).unwrap();
        let dialled = RefCell::new(Vec::new());
        let outcome = first_to_connect(
            (0..plays.len()).collect(),
            DELAY,
            |at| {
                dialled.borrow_mut().push(now());
                after(plays[at].0, at)
            },
            |at| after(plays[at].1, at),
        )
        .await;
        let ended = now();
        (outcome, ended, dialled.into_inner())
    }

    const NEVER: u64 = 1 << 40;

    #[tokio::test(start_paused = true)]
    async fn a_first_address_that_answers_is_the_only_one_dialled() {
        let plays = [(Ok(100), Ok(200)), (Ok(0), Ok(0))];
        assert_eq!(race(&plays).await, (Ok(0), 300, vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_costs_one_delay() {
        let plays = [(Ok(NEVER), Ok(0)), (Ok(10), Ok(10))];
        assert_eq!(race(&plays).await, (Ok(1), 270, vec![0, 250]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        let plays = [(Err(5), Ok(0)), (Ok(5), Err(5)), (Ok(5), Ok(5))];
        assert_eq!(race(&plays).await, (Ok(2), 25, vec![0, 5, 15]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_finish_wins_though_it_started_later() {
        let plays = [(Ok(400), Ok(400)), (Ok(50), Ok(50))];
        assert_eq!(race(&plays).await, (Ok(1), 350, vec![0, 250]));
        let plays = [(Ok(260), Ok(10)), (Ok(100), Ok(100))];
        assert_eq!(race(&plays).await, (Ok(0), 270, vec![0, 250]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_accepted_has_time_for_its_handshake() {
        let plays = [(Ok(200), Ok(900)), (Ok(0), Ok(0))];
        assert_eq!(race(&plays).await, (Ok(0), 1100, vec![0]));
        // But not for ever.
        let plays = [(Ok(200), Ok(NEVER)), (Ok(0), Ok(1))];
        assert_eq!(race(&plays).await, (Ok(1), 1201, vec![0, 1200]));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_told_in_order() {
        let plays = [(Err(300), Ok(0)), (Err(100), Ok(0)), (Ok(0), Err(1))];
        assert_eq!(
            race(&plays).await,
            (Err(vec![0, 2, 1]), 350, vec![0, 250, 300])
        );
        assert_eq!(race(&[]).await, (Err(vec![]), 0, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn sixteen_silent_addresses_are_all_tried_within_sixteen_delays() {
        let plays = [(Err(10_000), Ok(0)); 16];
        let (outcome, ended, dialled) = race(&plays).await;
        assert_eq!(outcome.unwrap_err().len(), 16);
        assert_eq!((ended, dialled.last()), (13_750, Some(&3_750)));
    }
}
