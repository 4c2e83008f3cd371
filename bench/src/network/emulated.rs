//! Two network namespaces with an emulated link between them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tun_rs::{DeviceBuilder, SyncDevice};

use super::{
    Namespace, NetworkError,
    echo::Echo,
    link::{self, Link},
    pump::{Counted, MTU, Pump},
};
use crate::model::{Network, Wire};

/// Name of the device, in both namespaces.
const DEVICE: &str = "comity0";

/// Packets that wait in a device for its pump. Connections hand over their whole window at once, which may be several megabytes.
const DEVICE_QUEUE: usize = 20_000;

/// Both sides' addresses; nothing else is in their namespaces.
const NET: &str = "10.77.0.0/30";
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// A connection's receive buffer at first: what `net.ipv4.tcp_rmem` has allowed at most for many years, unless memory is short.
const RECEIVE_BUFFER: u64 = 6 * 1024 * 1024;

/// How often it is measured what is to be taken off, and with how many echoes.
const CALIBRATIONS: u32 = 5;
const ECHOES: u32 = 101;

/// Delays shorter than this are so short that the packets' way beside the link counts.
pub(super) const SHORT: Duration = Duration::from_millis(5);

/// Two network namespaces, each with a TUN device, and two pumps between them that delay, drop and pace IP packets of up to 1,500 bytes.
///
/// **Delay.** One way, from one socket to the other. What a packet's way takes without any delay (the kernel's, and waking up a pump and the
/// receiver) is part of it: for a delay below 5 ms it is measured with echoes when the network is opened, and taken off the link's delay.
///
/// **Loss.** Each packet is lost by a draw of its own, seeded for each direction.
///
/// **Rate.** Packets leave one after another, each in the time that its IP bytes take. What waits is bounded by one product of rate and
/// round trip, and by no less than 48,000 bytes; the newest is refused. Without a rate 64 MiB can be under way.
///
/// **TCP** is the host's, with what is set for it, but for three things. The congestion control is CUBIC, the kernel's own default, as hosts
/// differ and figures are to be compared. `net.ipv4.tcp_no_metrics_save` is set, so that a connection does not begin with what an earlier one
/// learnt. And a connection begins with the receive buffer that it would grow to on most hosts (`net.ipv4.tcp_rmem`): how the kernel grows it depends on how much of a
/// burst has been read when it looks, and behind a link without a rate, which delivers a burst at once, one connection in three was left with 64 KiB for good.
/// The rest is as ever: an initial window of 10 packets, SACK, a slow start after idleness. Packets are no larger than the MTU: the device is
/// offered no segmentation.
///
/// Dropping it stops the pumps and ends the namespaces; processes in them keep theirs until they end.
#[derive(Debug)]
pub struct Emulated {
    /// From the client, and to it. They stand first, as they are to end before the namespaces.
    pumps: [Pump; 2],
    client: Namespace,
    server: Namespace,
    taken_off: Duration,
}

/// Packets that did not arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Lost by a draw, from the client.
    pub lost_sent: u64,
    /// Lost by a draw, to the client.
    pub lost_received: u64,
    /// Refused by the link's full queue, from the client.
    pub refused_sent: u64,
    /// Refused by the link's full queue, to the client.
    pub refused_received: u64,
    /// Refused by the devices, which the pumps did not empty in time. It should be 0: neither loss nor rate of the network, but a shortcoming.
    pub overrun: u64,
}

impl Emulated {
    /// Opens a network like `network`, whose losses are drawn from `seed`. It takes up to half a second.
    ///
    /// # Errors
    /// What is missing: root, TUN, `ip` of iproute2, `unshare` or `nsenter` of util-linux.
    pub fn open(network: &Network, seed: u64) -> Result<Self, NetworkError> {
        let client = Namespace::new()?;
        let server = Namespace::new()?;
        let devices = [device(&client, CLIENT)?, device(&server, SERVER)?];
        let delay = Duration::from_secs_f64(network.delay);
        let taken_off = if !delay.is_zero() && delay < SHORT {
            beside_the_link(delay, &client, &server, &devices)?
        } else {
            Duration::ZERO
        };
        Ok(Self {
            pumps: pumps(network, taken_off, seed, &devices)?,
            client,
            server,
            taken_off,
        })
    }

    /// The client's side.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The server's side.
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The address that the server listens on.
    pub fn server_address(&self) -> IpAddr {
        SERVER.into()
    }

    /// The client's address.
    pub fn client_address(&self) -> IpAddr {
        CLIENT.into()
    }

    /// What has passed so far: IP bytes, as their sender sent them, with those that were lost or refused.
    pub fn counters(&self) -> Wire {
        let [there, back] = self.counted();
        Wire {
            sent: there.bytes.load(Relaxed),
            received: back.bytes.load(Relaxed),
            packets_sent: Some(there.packets.load(Relaxed)),
            packets_received: Some(back.packets.load(Relaxed)),
        }
    }

    /// What has not arrived so far.
    pub fn drops(&self) -> Drops {
        let [there, back] = self.counted();
        let overrun = [&self.client, &self.server]
            .map(|side| side.device(DEVICE).unwrap_or_default().refused);
        Drops {
            lost_sent: there.lost.load(Relaxed),
            lost_received: back.lost.load(Relaxed),
            refused_sent: there.refused.load(Relaxed),
            refused_received: back.refused.load(Relaxed),
            overrun: overrun.iter().sum(),
        }
    }

    /// What ended a pump, if one has ended: nothing goes over the network any more.
    pub fn broken(&self) -> Option<String> {
        let mut ended = self.counted().into_iter();
        ended.find_map(|counted| counted.ended.get().cloned())
    }

    /// CPU that the pumps have used so far, which is neither side's. Part of it is what the kernel does for a receiver when a packet arrives.
    pub fn pump_cpu(&self) -> Duration {
        self.pumps.iter().map(Pump::cpu).sum()
    }

    /// What was taken off the link's delay, for what the packets' way takes beside it. Zero for a delay of 5 ms and more.
    pub fn taken_off(&self) -> Duration {
        self.taken_off
    }

    /// What went from the client, and what to it.
    pub(super) fn counted(&self) -> [&Counted; 2] {
        self.pumps.each_ref().map(|pump| &*pump.counted)
    }
}

/// Opens a device in a namespace, with an address.
fn device(namespace: &Namespace, address: Ipv4Addr) -> Result<Arc<SyncDevice>, NetworkError> {
    let opened = namespace.within(|| {
        let device = DeviceBuilder::new().name(DEVICE).build_sync()?;
        device.set_nonblocking(true)?;
        Ok(Arc::new(device))
    })?;
    let device = opened.map_err(|source| NetworkError::Tun { source })?;
    namespace.configure(&format!(
        "link set lo up\n\
         link set {DEVICE} mtu {MTU} txqueuelen {DEVICE_QUEUE}\n\
         addr add {address}/30 dev {DEVICE}\n\
         link set {DEVICE} up\n\
         route replace {NET} dev {DEVICE} scope link src {address} congctl cubic\n"
    ))?;
    forget_connections(namespace)?;
    let buffers = namespace.setting("net.ipv4.tcp_rmem")?;
    if let Some(buffers) = with_receive_buffer(&buffers) {
        namespace.set("net.ipv4.tcp_rmem", &buffers)?;
    }
    Ok(device)
}

/// Has connections learn nothing from earlier ones; see [`Emulated`].
pub(super) fn forget_connections(namespace: &Namespace) -> Result<(), NetworkError> {
    namespace.set("net.ipv4.tcp_no_metrics_save", "1")
}

/// `net.ipv4.tcp_rmem` (least, at first, most) with [`RECEIVE_BUFFER`] at first; none if that much is not allowed.
fn with_receive_buffer(buffers: &str) -> Option<String> {
    let mut buffers = buffers.split_ascii_whitespace();
    let (least, _, most) = (buffers.next()?, buffers.next()?, buffers.next()?);
    (most.parse::<u64>().ok()? >= RECEIVE_BUFFER)
        .then(|| format!("{least} {RECEIVE_BUFFER} {most}"))
}

/// The pumps from the client and to it.
fn pumps(
    network: &Network,
    taken_off: Duration,
    seed: u64,
    [near, far]: &[Arc<SyncDevice>; 2],
) -> Result<[Pump; 2], NetworkError> {
    let link = |seed| Link::new(network, taken_off, seed);
    let [there, back] = link::seeds(seed).map(link);
    Ok([
        Pump::start("comity-net-up", near.clone(), far.clone(), there)?,
        Pump::start("comity-net-down", far.clone(), near.clone(), back)?,
    ])
}

/// What a packet's way takes beside the link's delay, on a machine that does nothing else: the least of several medians. It is measured with the
/// delay in place, as a processor wakes up faster when it has slept for a shorter while.
fn beside_the_link(
    delay: Duration,
    client: &Namespace,
    server: &Namespace,
    devices: &[Arc<SyncDevice>; 2],
) -> Result<Duration, NetworkError> {
    let clean = Network {
        name: "calibration",
        delay: delay.as_secs_f64(),
        loss: 0.0,
        rate: None,
    };
    let _pumps = pumps(&clean, Duration::ZERO, 0, devices)?;
    let mut least = Duration::MAX;
    for _ in 0..CALIBRATIONS {
        // Its thread may come to run on the other processor, and stay there, which makes some 10 µs of difference.
        let echo = Echo::open(client, server, SERVER)?;
        least = least.min(echo.way(ECHOES, delay)?);
    }
    Ok(least.saturating_sub(delay).min(delay))
}
