//! The thread that spawns children.
//!
//! A child dies with the thread that spawned it (`PR_SET_PDEATHSIG`), and a thread of tokio may end before the process
//! does; this one lives as long as its sender. A fork also blocks for milliseconds.

use std::{io, sync::mpsc, thread};

use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use super::process::{Child, Program};

/// Where the thread sends the spawned child.
type Answer = oneshot::Sender<io::Result<Child>>;

/// A handle of the thread. The thread ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Spawner {
    requests: mpsc::Sender<Answer>,
    /// The thread has the sender.
    alive: watch::Receiver<()>,
}

impl Spawner {
    /// Starts the thread. It spawns `program` within `runtime`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(program: Program, runtime: Handle) -> io::Result<Self> {
        let (sender, requests) = mpsc::channel();
        let (guard, alive) = watch::channel(());
        let work = move || {
            let _alive = guard;
            spawner_thread(&program, &runtime, &requests);
        };
        thread::Builder::new().name("render-spawner".to_owned()).spawn(work)?;
        Ok(Self { requests: sender, alive })
    }

    /// Waits until the thread has ended, which it does only after a panic.
    pub(super) async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }

    /// Spawns a child.
    pub(super) async fn spawn_child(&self) -> io::Result<Child> {
        let ended = || io::Error::other("the spawner thread has ended");
        let (answer, spawned) = oneshot::channel();
        self.requests.send(answer).map_err(|_| ended())?;
        spawned.await.map_err(|_| ended())?
    }
}

fn spawner_thread(program: &Program, runtime: &Handle, requests: &mpsc::Receiver<Answer>) {
    let _entered = runtime.enter();
    while let Ok(answer) = requests.recv() {
        // If the receiver is gone, the child is dropped here, which kills it.
        _ = answer.send(Child::spawn(program));
    }
}
