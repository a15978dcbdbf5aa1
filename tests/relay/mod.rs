//! A UDP relay on loopback: it delays, thins out, loses and cuts what passes between clients and
//! one server, so that tests meet long, narrow and broken networks without rights or tools.
//!
//! It knows datagrams, not what is in them. Two threads carry, one per direction; one thread
//! receives from all clients and one per client from the server. What the kernel drops because
//! the machine is too slow is not counted: with large buffers that is rare.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use archipelago::os::Clock;
use archipelago::rng::Rng;
use archipelago::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use archipelago::time::Instant;
use socket2::{Domain, Protocol, Socket, Type};

/// As the store's own sockets: the default of 208 KiB loses bursts at 1 Gbit/s.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// Datagrams between a socket and the thread that carries them.
const INBOX_DATAGRAMS_MAX: usize = 16_384;
/// How long a thread may take to notice that the relay has ended.
const NOTICE_MAX: Duration = Duration::from_millis(20);
/// The largest UDP payload.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// One direction of a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Road {
    /// From the last byte sent to the last byte received.
    pub(crate) delay: Duration,
    /// UDP payload that it carries, of all clients together; `None`: as fast as the machine.
    pub(crate) bits_per_second: Option<u64>,
    /// What may wait for its turn to be sent; what finds no room is dropped.
    pub(crate) queue_bytes: u64,
    /// The probability that a datagram is lost.
    pub(crate) loss: f64,
    /// UDP payload of the largest datagram that passes; larger ones are dropped.
    pub(crate) datagram_bytes_max: usize,
}

impl Road {
    /// Nothing but loopback.
    pub(crate) const FREE: Self = Self {
        delay: Duration::ZERO,
        bits_per_second: None,
        queue_bytes: u64::MAX,
        loss: 0.0,
        datagram_bytes_max: DATAGRAM_BYTES_MAX,
    };
}

/// What became of the datagrams of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) carried: u64,
    pub(crate) carried_bytes: u64,
    /// By the road's loss.
    pub(crate) lost: u64,
    /// For want of room in the queue.
    pub(crate) overflowed: u64,
    /// For their size.
    pub(crate) too_large: u64,
    /// While the relay was cut.
    pub(crate) cut: u64,
}

/// A running relay; it ends with this handle.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Listens on a port of its own for clients of `server`. The same seed loses the same
    /// datagrams of each direction, counted in their order.
    pub(crate) fn start(server: SocketAddr, up: Road, down: Road, seed: u64) -> Self {
        let front = Arc::new(socket());
        let address = front.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (up_inbox, to_server) = sync_channel(INBOX_DATAGRAMS_MAX);
        let (down_inbox, to_clients) = sync_channel(INBOX_DATAGRAMS_MAX);
        let clock = Clock::start();
        let carry = |road, name, inbox, tally: fn(&Shared) -> &Tally| {
            let (rng, shared) = (Rng::named(seed, name), Arc::clone(&shared));
            let (waiting, free_at) = (VecDeque::new(), Instant::EPOCH);
            let carrier = Carrier { road, rng, clock, inbox, shared, tally, waiting, free_at };
            spawn(name, move || carrier.run())
        };
        let mut threads = vec![
            carry(up, "relay up", to_server, |shared| &shared.up),
            carry(down, "relay down", to_clients, |shared| &shared.down),
        ];
        let shared_too = Arc::clone(&shared);
        let entry = Entry { server, front, clock, shared: shared_too, up_inbox, down_inbox };
        threads.push(spawn("relay clients", move || entry.run()));
        Self { address, shared, threads }
    }

    /// Where clients find the server.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops everything, what is under way too, until [`heal`](Self::heal).
    pub(crate) fn cut(&self) {
        self.shared.cut.store(true, Ordering::Release);
    }

    /// Carries again.
    pub(crate) fn heal(&self) {
        self.shared.cut.store(false, Ordering::Release);
    }

    /// Cuts for that long, and returns when it carries again. Longer than the idle time of the
    /// connections that lead through it, and they have to be made again.
    pub(crate) fn cut_for(&self, lasts: Duration) {
        self.cut();
        let clock = Clock::start();
        let end = clock.now().after(lasts);
        while clock.now() < end {
            thread::park_timeout(end.since(clock.now()));
        }
        self.heal();
    }

    /// What became of what clients sent, and of what the server sent.
    pub(crate) fn counts(&self) -> (Counts, Counts) {
        (self.shared.up.counts(), self.shared.down.counts())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        let behind = std::mem::take(&mut *self.shared.behind.lock());
        for thread in self.threads.drain(..).chain(behind) {
            // A thread that has panicked has said so.
            drop(thread.join());
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    cut: AtomicBool,
    up: Tally,
    down: Tally,
    /// The threads that receive from the server, one per client.
    behind: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

#[derive(Debug, Default)]
struct Tally {
    carried: AtomicU64,
    carried_bytes: AtomicU64,
    lost: AtomicU64,
    overflowed: AtomicU64,
    too_large: AtomicU64,
    cut: AtomicU64,
}

impl Tally {
    fn counts(&self) -> Counts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            carried: of(&self.carried),
            carried_bytes: of(&self.carried_bytes),
            lost: of(&self.lost),
            overflowed: of(&self.overflowed),
            too_large: of(&self.too_large),
            cut: of(&self.cut),
        }
    }
}

/// A datagram on its way.
struct Datagram {
    arrived: Instant,
    bytes: Vec<u8>,
    /// Through which socket it leaves.
    through: Arc<UdpSocket>,
    /// Where to; `None` where the socket is connected.
    to: Option<SocketAddr>,
}

/// Receives from all clients; gives each a socket of its own towards the server, so that the
/// server tells them apart.
struct Entry {
    server: SocketAddr,
    front: Arc<UdpSocket>,
    clock: Clock,
    shared: Arc<Shared>,
    up_inbox: SyncSender<Datagram>,
    down_inbox: SyncSender<Datagram>,
}

impl Entry {
    fn run(self) {
        let mut backs: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        receive(&self.front, &self.shared, |client, bytes| {
            let back = backs.entry(client).or_insert_with(|| self.back_of(client));
            let (arrived, through, to) = (self.clock.now(), Arc::clone(back), None);
            self.up_inbox.send(Datagram { arrived, bytes: bytes.into(), through, to }).is_ok()
        });
    }

    /// A client's socket towards the server, and the thread that receives what comes back.
    fn back_of(&self, client: SocketAddr) -> Arc<UdpSocket> {
        let back = Arc::new(socket());
        back.connect(self.server).unwrap();
        let (from, through) = (Arc::clone(&back), Arc::clone(&self.front));
        let (clock, shared, inbox) =
            (self.clock, Arc::clone(&self.shared), self.down_inbox.clone());
        let thread = spawn("relay server", move || {
            receive(&from, &shared, |_server, bytes| {
                let (arrived, through) = (clock.now(), Arc::clone(&through));
                let to = Some(client);
                inbox.send(Datagram { arrived, bytes: bytes.into(), through, to }).is_ok()
            });
        });
        self.shared.behind.lock().push(thread);
        back
    }
}

/// Carries one direction: every datagram leaves when its time has come, in the order of arrival.
struct Carrier {
    road: Road,
    rng: Rng,
    clock: Clock,
    inbox: Receiver<Datagram>,
    shared: Arc<Shared>,
    tally: fn(&Shared) -> &Tally,
    /// Those under way, with the time at which they are there.
    waiting: VecDeque<(Instant, Datagram)>,
    /// When everything accepted so far has been sent.
    free_at: Instant,
}

impl Carrier {
    fn run(mut self) {
        while !self.shared.is_over() {
            let now = self.clock.now();
            while let Some((_, datagram)) = self.waiting.pop_front_if(|(due, _)| *due <= now) {
                self.deliver(&datagram);
            }
            match self.waiting.front() {
                // What arrives meanwhile is due later: nothing has to wake this thread.
                Some((due, _)) => thread::park_timeout(due.since(now).min(NOTICE_MAX)),
                None => match self.inbox.recv_timeout(NOTICE_MAX) {
                    Ok(datagram) => self.accept(datagram),
                    Err(RecvTimeoutError::Timeout) => {},
                    Err(RecvTimeoutError::Disconnected) => return,
                },
            }
            while let Ok(datagram) = self.inbox.try_recv() {
                self.accept(datagram);
            }
        }
    }

    /// Loses a datagram, or lets it queue.
    fn accept(&mut self, datagram: Datagram) {
        let tally = (self.tally)(&self.shared);
        if self.shared.is_cut() {
            tally.cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if datagram.bytes.len() > self.road.datagram_bytes_max {
            tally.too_large.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.rng.chance(self.road.loss) {
            tally.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let arrived = datagram.arrived;
        if let Some(rate) = self.road.bits_per_second {
            let backlog = self.free_at.since(arrived).as_nanos();
            let queued = backlog * u128::from(rate) / BIT_NANOSECONDS;
            let bytes = datagram.bytes.len() as u128;
            if queued + bytes > u128::from(self.road.queue_bytes) {
                tally.overflowed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let takes = (bytes * BIT_NANOSECONDS / u128::from(rate.max(1))) as u64;
            self.free_at = self.free_at.max(arrived).after(Duration::from_nanos(takes));
        } else {
            self.free_at = arrived;
        }
        self.waiting.push_back((self.free_at.after(self.road.delay), datagram));
    }

    fn deliver(&self, datagram: &Datagram) {
        let tally = (self.tally)(&self.shared);
        if self.shared.is_cut() {
            tally.cut.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Datagram { bytes, through, to, .. } = datagram;
        let sent = match to {
            Some(client) => through.send_to(bytes, *client),
            None => through.send(bytes),
        };
        // Nobody listens there: as in a real network, the datagram is gone.
        if sent.is_ok() {
            tally.carried.fetch_add(1, Ordering::Relaxed);
            tally.carried_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

/// Bits of a byte times nanoseconds of a second.
const BIT_NANOSECONDS: u128 = 8_000_000_000;

/// Hands on what arrives, until the relay is over or `hand_on` says so.
fn receive(
    socket: &UdpSocket,
    shared: &Shared,
    mut hand_on: impl FnMut(SocketAddr, &[u8]) -> bool,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while !shared.is_over() {
        // Time is up, or nobody listens where something was sent: neither is an end.
        let Ok((bytes, from)) = socket.recv_from(&mut buffer) else { continue };
        if !hand_on(from, &buffer[..bytes]) {
            return;
        }
    }
}

fn socket() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    // The kernel may grant less; then a fast test loses more.
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES).unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).unwrap();
    socket.set_read_timeout(Some(NOTICE_MAX)).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.into()
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.into()).spawn(body).unwrap()
}
