//! Serial numbers of certificates as people write them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A certificate's serial number: lower-case hexadecimal, without leading zero bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Serial(String);

impl Serial {
    /// Of a number's bytes, the highest first.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let significant = bytes.iter().skip_while(|byte| **byte == 0);
        Self(significant.map(|byte| format!("{byte:02x}")).collect())
    }

    /// The number's bytes, the highest first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let pairs = self.0.as_bytes().chunks(2);
        pairs.filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
    }

    /// Its digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_do_not_make_another_number() {
        let serial = Serial::from_bytes(&[0, 0xab, 0x01]);
        assert_eq!((serial.as_str(), serial.to_bytes()), ("ab01", vec![0xab, 0x01]));
        assert_eq!(serial, Serial::from_bytes(&[0xab, 0x01]));
    }
}
