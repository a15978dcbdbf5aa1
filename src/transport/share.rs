//! How much of a process's memory each peer may take.

use quinn::{Connection, VarInt};

use crate::limits;

/// What one of so many peers may take, each, of what is received and not read, of what is sent
/// and not acknowledged, and of what waits to be sent. A power of two, so that it seldom changes
/// when a peer comes or goes.
pub(super) fn share_of(peers: usize) -> usize {
    let even = limits::PEERS_BYTES_MAX / KINDS / peers.max(1);
    let floor = 1 << even.max(1).ilog2();
    floor.clamp(limits::PEER_SHARE_BYTES_MIN, limits::PEER_SHARE_BYTES_MAX)
}

/// Holds a connection to its share. What was granted before stays granted.
pub(super) fn limit(connection: &Connection, share: usize) {
    // The largest share fits.
    let window = VarInt::from_u32(u32::try_from(share).unwrap_or(u32::MAX));
    connection.set_receive_window(window);
    connection.set_send_window(share as u64);
}

/// Received, sent, waiting.
const KINDS: usize = 3;

const _: () = assert!(limits::PEER_SHARE_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(
    limits::PEERS_MAX * KINDS * limits::PEER_SHARE_BYTES_MIN <= 2 * limits::PEERS_BYTES_MAX
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_have_much_and_many_share_what_there_is() {
        assert_eq!(share_of(0), limits::PEER_SHARE_BYTES_MAX);
        assert_eq!(share_of(1), limits::PEER_SHARE_BYTES_MAX);
        for peers in [10, 64, 65, 1000] {
            let share = share_of(peers);
            assert!(share.is_power_of_two());
            assert!(share * KINDS * peers <= limits::PEERS_BYTES_MAX, "{peers}: {share}");
        }
        assert_eq!(share_of(usize::MAX), limits::PEER_SHARE_BYTES_MIN);
    }
}
