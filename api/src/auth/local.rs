//! Which requests are served without a key as long as there is none: those of this machine, to a loopback address.
//!
//! The address of the connection is not enough. A page in a browser of this machine can reach a loopback address by a name of its
//! own (DNS rebinding), and a proxy on this machine sends the requests of others: both are told by what the request says.

use std::net::IpAddr;

use poem::{
    Addr, Request,
    http::{HeaderMap, header::HOST},
};
use url::{Host, Url};

/// Headers of requests that a proxy sends for others.
const PROXY_HEADERS: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Whether the request comes from this machine.
pub(super) fn is_local(request: &Request) -> bool {
    is_local_connection(request.local_addr(), request.remote_addr()) && is_local_request(request.headers())
}

fn is_local_connection(local: &Addr, remote: &Addr) -> bool {
    [local, remote].into_iter().all(is_loopback)
}

/// Whether the headers name this machine and no proxy.
fn is_local_request(headers: &HeaderMap) -> bool {
    let is_proxied = PROXY_HEADERS.iter().any(|name| headers.contains_key(*name));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    !is_proxied && host.is_some_and(is_loopback_host)
}

fn is_loopback(address: &Addr) -> bool {
    address.as_socket_addr().is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Whether the value of a `Host` header is a loopback address or `localhost`.
fn is_loopback_host(host: &str) -> bool {
    match Url::parse(&format!("http://{host}/")).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use poem::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_connections_between_loopback_addresses_are_local() {
        for (local, remote, expected) in [
            ("127.0.0.1:8000", "127.0.0.1:9", true),
            ("[::1]:8000", "[::1]:9", true),
            ("[::ffff:127.0.0.1]:8000", "[::ffff:127.0.0.1]:9", true),
            ("10.0.0.1:8000", "127.0.0.1:9", false),
            ("127.0.0.1:8000", "10.0.0.1:9", false),
            ("0.0.0.0:8000", "8.8.8.8:9", false),
        ] {
            let [local, remote] = [local, remote].map(|text| Addr::from(text.parse::<SocketAddr>().unwrap()));
            assert_eq!(is_local_connection(&local, &remote), expected, "{local} {remote}");
        }
        assert!(!is_local_connection(&Addr::default(), &Addr::default()));
    }

    #[test]
    fn names_of_other_pages_and_requests_of_proxies_are_not_local() {
        for host in ["127.0.0.1:8000", "127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.1.2.3"] {
            assert!(is_local_request(&headers(&[("host", host)])), "{host}");
        }
        for host in
            ["evil.example:8000", "localhost.evil.example", "10.0.0.1", "", "a b", "localhost@evil.example", "::1"]
        {
            assert!(!is_local_request(&headers(&[("host", host)])), "{host}");
        }
        assert!(!is_local_request(&headers(&[])));
        for name in PROXY_HEADERS {
            assert!(!is_local_request(&headers(&[("host", "localhost"), (name, "x")])), "{name}");
        }
    }
}
