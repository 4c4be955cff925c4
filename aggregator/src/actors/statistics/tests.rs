//! Coefficients against published values.
