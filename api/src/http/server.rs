//! The HTTP/1.1 server with bounds, deadlines and graceful shutdown.
//!
//! Not `poem::Server`, which can limit neither connections nor the time that a client takes, nor a connection's buffer.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
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

pub use super::connections::ConnectionLimits;
pub(crate) use super::connections::RESERVE as RESERVED_CONNECTIONS;
use super::{
    client_io::ClientIo,
    connections::{Connection, Connections, RequestSlot},
    middleware::{self, Overloaded},
    pace::Pace,
    refusal::{FirstBytes, refuse},
};

/// How long a connection may be idle. Longer than the 60 s after which common load balancers close an idle connection: if the
/// server closes first, requests are lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Maximum buffer of a connection in bytes; also the limit of a request's headers.
const MAX_BUFFER: usize = 64 << 10;
/// Delay after `accept` has failed, for example because too many files are open.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Time between two attempts to make room for a connection.
const ROOM_RETRY_DELAY: Duration = Duration::from_millis(1);

/// How a listener treats its clients.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Maximum numbers of connections and requests.
    pub limits: ConnectionLimits,
    /// How long a client may take nothing of a response.
    pub idle_timeout: Duration,
    /// The minimum rate at which a client must take a response, in bytes per second, after the first 30 s; 0: none.
    pub min_bytes_per_second: u32,
    /// How long running requests may continue after `stop`.
    pub grace: Duration,
}

/// Serves until `stop` resolves. Then it accepts no more connections and waits for running requests.
pub async fn serve<E>(listener: TcpListener, endpoint: E, stop: impl Future<Output = ()>, options: ServerOptions)
where
    E: Endpoint<Output = Response> + 'static,
{
    let endpoint = Arc::new(endpoint);
    let connections = Connections::new(options.limits);
    let pace = Pace::new(options.idle_timeout, options.min_bytes_per_second);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_BUFFER);
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(stream, peer)| Ok((Addresses::of(&stream, peer)?, stream))) {
            Ok((addresses, stream)) => {
                let admitted = tokio::select! {
                    () = &mut stop => break,
                    admitted = admit(&connections, stream) => admitted,
                };
                let Some((connection, stream)) = admitted else { continue };
                let connection = Arc::new(connection);
                let client = Arc::clone(&connection.client);
                let io = TokioIo::new(ClientIo::new(stream, Arc::clone(&client), pace.clone()));
                let endpoint = Arc::clone(&endpoint);
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    respond(Arc::clone(&endpoint), Arc::clone(&connection), addresses.clone(), request)
                });
                let served = graceful.watch(http.serve_connection(io, service));
                tokio::spawn(async move {
                    tokio::select! {
                        () = client.evicted() => tracing::debug!("a connection was closed to make room"),
                        served = served => if let Err(error) = served {
                            tracing::debug!("a connection ended: {error}");
                        },
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
    tracing::info!("stopping, {} connections are open", graceful.count());
    if timeout(options.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("aborting the requests that are still running after {} s", options.grace.as_secs());
    }
}

/// Makes room for a connection. Without any, also in the reserve, a probe waits for it, and another request is refused: `None`.
async fn admit(connections: &Arc<Connections>, stream: TcpStream) -> Option<(Connection, TcpStream)> {
    if let Some(connection) = connections.add(false) {
        return Some((connection, stream));
    }
    let stream = stream.into_std().ok()?;
    loop {
        let first = FirstBytes::peek(&stream);
        if first == FirstBytes::Other {
            refuse(&stream);
            return None;
        }
        if let Some(connection) = connections.add(first == FirstBytes::Probe) {
            return Some((connection, TcpStream::from_std(stream).ok()?));
        }
        sleep(ROOM_RETRY_DELAY).await;
    }
}

/// Responds to one request. Beyond the bounds, only probes are served.
async fn respond<E: Endpoint<Output = Response>>(
    endpoint: Arc<E>,
    connection: Arc<Connection>,
    Addresses { local, remote }: Addresses,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<TrackedBody<impl Body<Data = Bytes, Error = io::Error> + Send + Unpin + 'static>>, Infallible>
{
    let is_probe = middleware::is_probe(request.uri().path());
    let mut request = Request::from((request, local, remote, Scheme::HTTP));
    let slot = connection.begin_request(!is_probe && !connection.is_reserve);
    if slot.is_err() || connection.is_reserve && !is_probe {
        request.extensions_mut().insert(Overloaded);
    }
    request.extensions_mut().insert(Arc::clone(&connection.client));
    let mut response: hyper::Response<_> = endpoint.get_response(request).await.into();
    if connection.is_reserve {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let slot = slot.unwrap_or_else(|slot| slot);
    Ok(response.map(|body| TrackedBody { body, _slot: slot }))
}

/// A response's body; the request ends when it has been sent or the connection has broken.
struct TrackedBody<B> {
    body: B,
    _slot: RequestSlot,
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
