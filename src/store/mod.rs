//! Rows in lanes of blocks, dense and sparse. Knows neither nodes nor policies nor files.
