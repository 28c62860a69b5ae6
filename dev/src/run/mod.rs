//! `darkroom-dev run`: the whole stack in one terminal.

mod backends;
mod data;
mod service;
mod stack;
mod terminal;

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use darkroom_dev::{http, port};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::{Instant, sleep},
};

pub(crate) use self::stack::{print_env, running};
use self::{
    backends::Backends,
    data::Data,
    service::{Service, ServiceControl},
    stack::Stack,
    terminal::Terminal,
};

/// How long the api may take to become ready.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Starts everything, waits for Ctrl-C, SIGTERM or a fault, and stops everything: first the services, then Postgres and
/// the S3 server.
pub(crate) async fn run() -> Result<ExitCode> {
    let began = Instant::now();
    let mut signals = Signals::listen()?;
    let terminal = Terminal::new();
    let services = [Service::find("api")?, Service::find("worker")?];
    let data = Data::open()?;
    let api_port = api_port()?;
    terminal.print("darkroom", &format!("starting; everything is kept in {}", data.dir().display()));
    let mut backends = tokio::select! {
        // No service uses them yet, so starting can be cancelled at any point.
        _ = signals.next() => return Ok(ExitCode::SUCCESS),
        started = Backends::start(&data, api_port, &terminal) => started?,
    };
    let stack = Stack::new(&data, &backends, api_port, began);
    let outcome = run_services(&stack, services, &mut backends, &mut signals, &terminal).await;
    backends.stop().await;
    terminal.print("darkroom", "stopped");
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Runs the api and the worker until a signal or a fault.
async fn run_services(
    stack: &Stack,
    services: [Service; 2],
    backends: &mut Backends,
    signals: &mut Signals,
    terminal: &Terminal,
) -> Result<()> {
    let [api, _] = &services;
    let key = tokio::select! {
        _ = signals.next() => return Ok(()),
        key = api.ensure_key(&stack.env, &stack.key_file) => key?,
    };
    let control = Arc::new(ServiceControl::default());
    let mut running = JoinSet::new();
    for service in services {
        running.spawn(service.keep_running(stack.env.clone(), terminal.clone(), Arc::clone(&control)));
    }
    let ready = async {
        wait_until_ready(&stack.api).await?;
        control.set_ready();
        stack.announce(&key, terminal)?;
        std::future::pending::<Result<()>>().await
    };
    let outcome = tokio::select! {
        name = signals.next() => {
            terminal.print("darkroom", &format!("{name}: stopping; repeat to stop at once"));
            Ok(())
        }
        reason = backends.ended() => Err(anyhow::anyhow!("Postgres has stopped: {reason}")),
        Some(ended) = running.join_next() => ended?,
        failed = ready => failed,
    };
    stack.forget();
    control.stop();
    let mut ended = Ok(());
    loop {
        tokio::select! {
            next = running.join_next() => match next {
                Some(result) => ended = ended.and(result?),
                None => break,
            },
            _ = signals.next() => control.kill(),
        }
    }
    outcome.and(ended)
}

/// Polls `/readyz` until the api, Postgres, the bucket and staging are ready.
async fn wait_until_ready(api: &str) -> Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    let http = http::client();
    loop {
        let answer = http.get(format!("{api}/readyz")).timeout(Duration::from_secs(5)).send().await;
        let problem = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => "it does not answer".to_owned(),
        };
        if Instant::now() > deadline {
            bail!("the api is not ready after {} s: {problem}", READY_LIMIT.as_secs());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn api_port() -> Result<u16> {
    let wanted = port_from("PORT")?.unwrap_or(8000);
    if !port::is_free(wanted) {
        bail!("port {wanted} is in use: stop what listens there, or choose another port, such as PORT={}", {
            wanted.checked_add(1).unwrap_or(8000)
        });
    }
    Ok(wanted)
}

/// A port from the environment, if it is set.
fn port_from(variable: &str) -> Result<Option<u16>> {
    let text = env::var(variable).unwrap_or_default();
    match text.trim() {
        "" => Ok(None),
        number => match number.parse() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => bail!("{variable} must be a port from 1 to 65535"),
        },
    }
}

/// The signals that stop the stack.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "the terminal was closed",
        }
    }
}
