//! Named scenarios in virtual time.
