//! A TCP proxy in front of Postgres whose connections can go silent, as when a host loses its power or a firewall drops
//! its state.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test that cannot go on panics")]

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use url::Url;

/// A proxy on 127.0.0.1. Dropping it refuses new connections.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    /// Number of times that the connections went silent.
    silences: watch::Sender<u64>,
    /// Whether new connections are accepted, and nothing passes over them.
    is_mute: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// A wire to the server of this URL.
    pub async fn to(server: &str) -> Self {
        let server = Url::parse(server).unwrap();
        let server = (server.host_str().unwrap().to_owned(), server.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (silences, watching) = watch::channel(0);
        let (is_mute, muting) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, watching, mut muting) = (server.clone(), watching.clone(), muting.clone());
                tokio::spawn(async move {
                    if muting.wait_for(|is_mute| !is_mute).await.is_ok() {
                        carry(client, server, watching).await;
                    }
                });
            }
        });
        Self { port, silences, is_mute, accepting }
    }

    /// The URL of the server over this wire.
    pub fn url(&self, server: &str) -> String {
        let mut url = Url::parse(server).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    /// From now on nothing passes over the present connections, which stay open. New connections work.
    pub fn silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }

    /// From now on nothing passes over present or new connections, until [`Wire::unmute`].
    pub fn mute(&self) {
        self.is_mute.send_replace(true);
        self.silence();
    }

    /// New connections work again, also those made meanwhile; those from before [`Wire::mute`] stay silent.
    pub fn unmute(&self) {
        self.is_mute.send_replace(false);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut client: TcpStream, server: (String, u16), mut silences: watch::Receiver<u64>) {
    silences.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        changed = silences.changed() => if changed.is_err() { return },
    }
    // Both ends stay open until the wire is dropped.
    while silences.changed().await.is_ok() {}
}
