//! A client whose heap is counted while it reads a `send_join` reply as a stream: a program of its own, so that counting costs the timed passes nothing.
//!
//! Takes a server's port and how many state events to ask for. Prints, before and at the most: what is resident in KiB, and what of the heap is in use in bytes; then how
//! many events came.

use cap::Cap;
use comity_floors::{
    joining::{arrivals, client},
    memory::Peak,
    setting::runtime,
};
use mimalloc::MiMalloc;

#[global_allocator]
static HEAP: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

static PEAK: Peak = Peak::new(|| HEAP.allocated());

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map(|number| number.parse().expect("two numbers"))
        .collect();
    let [port, state] = numbers[..] else {
        panic!("join PORT EVENTS");
    };
    PEAK.watch();
    runtime().block_on(async {
        let client = client(u16::try_from(port).expect("a port"));
        // Idle is: connected, keys and tables loaded, one small reply read.
        arrivals(&client, 10).await;
        let idle = PEAK.begin();
        println!("{}\n{}", idle.resident, idle.heap);
        let arrived = arrivals(&client, state).await;
        let peak = PEAK.most();
        println!("{}\n{}\n{arrived}", peak.resident, peak.heap);
    });
}
