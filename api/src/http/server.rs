//! The HTTP/1.1 server with graceful shutdown.
//!
//! Not `poem::Server`, which can limit neither the time that a client takes to send its headers nor a connection's buffer.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use poem::{
    Addr, Endpoint, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// How long a client may take to send a request's headers, and how long a connection may be idle. Longer than the 60 s after
/// which common load balancers close an idle connection: if the server closes first, requests are lost.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Maximum buffer of a connection in bytes; also the limit of a request's headers.
const MAX_BUFFER: usize = 64 << 10;
/// Delay after `accept` has failed, for example because too many files are open.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves. Then it accepts no more connections and waits at most `grace` for running requests.
pub async fn serve<E>(listener: TcpListener, endpoint: E, stop: impl Future<Output = ()>, grace: Duration)
where
    E: Endpoint<Output = Response> + 'static,
{
    let endpoint = Arc::new(endpoint);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_BUFFER);
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, peer)| Ok((Addresses::of(&stream, peer)?, stream))) {
            Ok((addresses, stream)) => {
                let endpoint = Arc::clone(&endpoint);
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let (endpoint, Addresses { local, remote }) = (Arc::clone(&endpoint), addresses.clone());
                    async move {
                        let request = Request::from((request, local, remote, Scheme::HTTP));
                        Ok::<hyper::Response<_>, Infallible>(endpoint.get_response(request).await.into())
                    }
                });
                let connection = http.serve_connection(TokioIo::new(stream), service);
                let connection = connections.watch(connection);
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!("a connection ended: {error}");
                    }
                });
            }
            Err(error) if is_peer_error(&error) => {}
            Err(error) => {
                tracing::error!("cannot accept a connection: {error}");
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
    drop(listener);
    tracing::info!("stopping, {} connections are open", connections.count());
    if timeout(grace, connections.shutdown()).await.is_err() {
        tracing::warn!("aborting the requests that are still running after {} s", grace.as_secs());
    }
}

/// The local and the remote address of a connection.
#[derive(Clone)]
struct Addresses {
    local: LocalAddr,
    remote: RemoteAddr,
}

impl Addresses {
    fn of(stream: &TcpStream, peer: std::net::SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            local: LocalAddr(Addr::SocketAddr(stream.local_addr()?)),
            remote: RemoteAddr(Addr::SocketAddr(peer)),
        })
    }
}

/// Whether the peer closed the connection before it was accepted; the server can accept the next one at once.
fn is_peer_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected)
}
