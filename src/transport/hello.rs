//! The first bytes on a control stream: who speaks, and in which cluster.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `ahoy` |
//! | 1 | 0: a server, 1: a worker |
//! | 8 | the server's number, or the worker's token |
//! | 8 | the life of the process: drawn when it starts |
//! | 16 | digest of the list of servers; between servers of more: see [`System`](super::System) |
//!
//! TLS has proved role and data centre by then; the hello adds which of them it is. Peers whose
//! lists of servers differ would place keys differently, so they part here.

use crate::codec::{Reader, Writer};
use crate::error::FrameError;
use crate::id::ServerId;
use crate::node::Peer;

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 4 + 1 + 8 + 8 + 16;

/// Who speaks, and in which cluster.
///
/// ```
/// use archipelago::{node::Peer, transport::Hello};
///
/// let hello = Hello { peer: Peer::Worker(7), life: 3, servers: 1 << 100 };
/// assert_eq!(Hello::decode(&hello.encode())?, hello);
/// # Ok::<(), archipelago::error::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who.
    pub peer: Peer,
    /// Another number than before: it was started again, and holds nothing of what it held.
    pub life: u64,
    /// The digest of the servers that it knows of: [`Plan::digest`](crate::node::Plan::digest);
    /// between servers that were given data centres or tables, of those too.
    pub servers: u128,
}

impl Hello {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(&MAGIC);
        let (kind, number) = match self.peer {
            Peer::Server(server) => (SERVER, u64::from(server.0)),
            Peer::Worker(token) => (WORKER, token),
        };
        writer.u8(kind);
        writer.u64(number);
        writer.u64(self.life);
        writer.raw(&self.servers.to_le_bytes());
        writer.finish()
    }

    /// The hello in exactly these bytes.
    ///
    /// # Errors
    /// `Malformed` or `Truncated`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes);
        let malformed = |field, found| FrameError::Malformed { field, found };
        for (expected, found) in MAGIC.iter().zip(reader.raw(MAGIC.len())?) {
            if expected != found {
                return Err(malformed("magic of a hello", u64::from(*found)));
            }
        }
        let (kind, number) = (reader.u8()?, reader.u64()?);
        let peer = match kind {
            SERVER => {
                let server = u32::try_from(number);
                Peer::Server(ServerId(server.map_err(|_beyond| malformed("server", number))?))
            },
            WORKER => Peer::Worker(number),
            _ => return Err(malformed("kind of a peer", u64::from(kind))),
        };
        let (life, low, high) = (reader.u64()?, reader.u64()?, reader.u64()?);
        reader.end()?;
        Ok(Self { peer, life, servers: u128::from(high) << 64 | u128::from(low) })
    }
}

const MAGIC: [u8; 4] = *b"ahoy";
const SERVER: u8 = 0;
const WORKER: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_golden() {
        let (peer, servers) = (Peer::Server(ServerId(3)), 0x1_0000_0000_0000_0002);
        let hello = Hello { peer, life: 4, servers };
        let expected =
            *b"ahoy\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0";
        assert_eq!(hello.encode(), expected);
        assert_eq!(HELLO_BYTES, expected.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_hello_or_an_error(bytes: [u8; HELLO_BYTES], kind in 0_u8..4) {
            let mut bytes = bytes;
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4] = kind;
            if let Ok(hello) = Hello::decode(&bytes) {
                prop_assert_eq!(hello.encode(), bytes);
            }
            prop_assert!(Hello::decode(&bytes[..HELLO_BYTES - 1]).is_err());
        }
    }
}
