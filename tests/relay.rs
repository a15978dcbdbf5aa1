//! The relay itself: it delays, narrows, loses and cuts what it was asked to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "relay/mod.rs"]
mod relay;

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use archipelago::os::Clock;
use archipelago::time::Instant;
use relay::{Counts, Relay, Road};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client and a server with a relay between them.
struct Pair {
    relay: Relay,
    client: UdpSocket,
    server: UdpSocket,
}

impl Pair {
    fn new(up: Road, down: Road) -> Self {
        let [client, server] = [(); 2].map(|()| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        });
        let relay = Relay::start(server.local_addr().unwrap(), up, down, 1);
        client.connect(relay.address()).unwrap();
        Self { relay, client, server }
    }

    /// Waits until every one of `sent` datagrams towards the server is accounted for.
    fn settled(&self, sent: u64) -> Counts {
        let clock = Clock::start();
        loop {
            let Counts { carried, lost, overflowed, cut, .. } = self.relay.counts().0;
            if carried + lost + overflowed + cut == sent {
                return self.relay.counts().0;
            }
            assert!(clock.now().since(Instant::EPOCH) < PATIENCE, "{:?}", self.relay.counts());
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

#[test]
fn both_directions_are_delayed_and_answers_find_their_client() {
    let road = |milliseconds| Road { delay: Duration::from_millis(milliseconds), ..Road::FREE };
    let Pair { relay, client, server } = Pair::new(road(30), road(50));
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    let clock = Clock::start();
    client.send(b"one").unwrap();
    other.send_to(b"two", relay.address()).unwrap();
    let mut buffer = [0; 16];
    for _ in 0..2 {
        let (bytes, from) = server.recv_from(&mut buffer).unwrap();
        assert!(clock.now() >= Instant::EPOCH.after(Duration::from_millis(30)));
        server.send_to(&buffer[..bytes], from).unwrap();
    }
    for (socket, said) in [(&client, b"one"), (&other, b"two")] {
        let bytes = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..bytes], said);
    }
    assert!(clock.now() >= Instant::EPOCH.after(Duration::from_millis(80)));
}

#[test]
fn the_loss_asked_for_is_lost_and_a_seed_repeats_it() {
    let road = Road { loss: 0.25, ..Road::FREE };
    let lost = [(); 2].map(|()| {
        let pair = Pair::new(road, Road::FREE);
        for _ in 0..1000 {
            pair.client.send(b"x").unwrap();
        }
        pair.settled(1000).lost
    });
    assert!((200..300).contains(&lost[0]), "{lost:?} of 1000");
    assert_eq!(lost[0], lost[1]);
}

#[test]
fn a_narrow_road_takes_its_time_and_drops_what_finds_no_room() {
    // 1 Mbit/s: 8 ms for 1000 bytes.
    let queue_bytes = 10_000;
    let road = Road { bits_per_second: Some(1_000_000), queue_bytes, ..Road::FREE };
    let pair = Pair::new(road, Road::FREE);
    let clock = Clock::start();
    for _ in 0..200 {
        pair.client.send(&[7; 1000]).unwrap();
    }
    let counts = pair.settled(200);
    let took = clock.now().since(Instant::EPOCH);
    let least = Duration::from_millis(8) * u32::try_from(counts.carried).unwrap();
    assert!(took >= least && counts.carried >= 10, "{took:?}, {counts:?}");
    assert!(counts.overflowed > 0 && counts.lost == 0, "{counts:?}");
}

#[test]
fn a_cut_road_carries_nothing_and_a_healed_one_does() {
    let delay = Duration::from_secs(1);
    let pair = Pair::new(Road { delay, ..Road::FREE }, Road::FREE);
    let clock = Clock::start();
    pair.client.send(b"under way").unwrap();
    pair.relay.cut_for(2 * delay);
    assert!(clock.now() >= Instant::EPOCH.after(2 * delay));
    pair.client.send(b"after").unwrap();
    let mut buffer = [0; 16];
    let bytes = pair.server.recv(&mut buffer).unwrap();
    assert_eq!((&buffer[..bytes], pair.relay.counts().0.cut), (&b"after"[..], 1));
}

/// A figure of the machine, not a promise: run it alone, optimised.
#[test]
#[ignore = "needs an idle machine and --release"]
fn a_gigabit_over_a_long_road_is_carried() {
    let road = Road {
        delay: Duration::from_millis(40),
        bits_per_second: Some(1_000_000_000),
        queue_bytes: 12_500_000,
        ..Road::FREE
    };
    let pair = Pair::new(road, road);
    let clock = Clock::start();
    let datagram = [7; 1400];
    let lasts = Duration::from_secs(3);
    let mut sent = 0_u64;
    while clock.now().since(Instant::EPOCH) < lasts {
        // As fast as the road, in bursts of ten.
        let due = Instant(sent * 8 * datagram.len() as u64);
        if clock.now() < due {
            std::thread::yield_now();
            continue;
        }
        for _ in 0..10 {
            pair.client.send(&datagram).unwrap();
            sent += 1;
        }
    }
    std::thread::park_timeout(Duration::from_secs(1));
    let counts = pair.relay.counts().0;
    println!("{sent} sent, {counts:?}");
    assert!(counts.carried * 100 >= sent * 98, "{sent} sent, {counts:?}");
}
