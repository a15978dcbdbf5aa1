//! Checkers over histories, one law a file.
