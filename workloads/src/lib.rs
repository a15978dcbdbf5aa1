//! Data loaders and training functions.
