//! The server: accepts connections, speaks HTTP/1.1 on them, and stops without breaking off what is under way.
//!
//! Not `poem::Server`, which has no way to limit how long a client takes over its headers, nor how much a connection
//! buffers.

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

/// How long a client may take over a request's headers, and how long a connection may lie idle. Longer than the 60 s
/// after which common load balancers close an idle connection: they have to be first, or requests get lost.
const HEADERS: Duration = Duration::from_secs(75);
/// What a connection buffers at most, in bytes; also the limit of a request's headers.
const BUFFER: usize = 64 << 10;
/// Pause after the system has refused a connection, for example because too many files are open.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` resolves. Then no connection is accepted any more, and requests under way have `grace` to end.
pub async fn serve<E>(listener: TcpListener, endpoint: E, stop: impl Future<Output = ()>, grace: Duration)
where
    E: Endpoint<Output = Response> + 'static,
{
    let endpoint = Arc::new(endpoint);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(BUFFER);
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
            Err(error) if of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!("cannot accept a connection: {error}");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    tracing::info!("stopping; {} connections are open", connections.count());
    if timeout(grace, connections.shutdown()).await.is_err() {
        tracing::warn!("requests are still running after {} s and are broken off", grace.as_secs());
    }
}

/// The two ends of a connection.
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

/// Whether it was the peer that gave the connection up, which is no fault of this machine.
fn of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected)
}
