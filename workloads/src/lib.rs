//! Data loaders and training functions.

pub mod data;
