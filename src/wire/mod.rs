//! One message enum and its frames.
