//! ps-server as a library.
