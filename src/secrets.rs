//! Passwords and private keys: where they are, and how they are read without showing them anywhere.
//!
//! A secret lives in an environment variable, in a file of its own or in the encrypted store. The configuration
//! names the place by a [`SecretRef`]. Errors and Debug output hold names and places, never a secret.

mod reference;

pub use reference::{SecretName, SecretNameError, SecretRef};
