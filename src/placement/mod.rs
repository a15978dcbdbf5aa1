//! Slots, the ring and who owns what. Knows neither values nor time.
