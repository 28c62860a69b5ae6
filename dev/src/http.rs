//! The HTTP client of tests and of the demonstration.

/// A client. It speaks plain HTTP to the local stack, but reqwest is built so that it wants a TLS provider.
pub fn client() -> reqwest::Client {
    // Fails only where one is installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
