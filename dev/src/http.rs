//! The HTTP client of tests and of the demonstration.

/// A client. It speaks plain HTTP to the local stack, but reqwest is built so that it wants a TLS provider.
pub fn client() -> reqwest::Client {
    // Fails only if a provider is installed already, and any provider works.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
