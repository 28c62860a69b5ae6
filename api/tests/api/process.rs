//! The binary as another process that serves the database of an [`Api`].

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use crate::harness::{Api, until};

pub(crate) fn darkroom_api() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom-api"));
    command.env_clear();
    command
}

/// A serving process. Dropping it kills it.
pub(crate) struct Process {
    pub(crate) url: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a process beside this api, with more settings, and waits until it listens.
    pub(crate) async fn start(api: &Api, settings: &[(&'static str, &str)]) -> Self {
        let more = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let env: HashMap<_, _> = api.env().into_iter().chain(more).collect();
        let mut child = darkroom_api().envs(env).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let reader = {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            })
        };
        let url = || {
            let lines = lines.lock().unwrap();
            lines.iter().find_map(|line| line.split_once("listening on ").map(|(_, url)| url.to_owned()))
        };
        until(|| url().is_some()).await;
        let url = url().unwrap().replace("0.0.0.0", "127.0.0.1");
        Self { url, child, lines, reader: Some(reader) }
    }

    /// Stops the process with SIGTERM and returns its log.
    pub(crate) async fn stop(mut self) -> String {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let reader = self.reader.take().unwrap();
        tokio::task::spawn_blocking(move || reader.join().unwrap()).await.unwrap();
        assert!(self.child.wait().unwrap().success());
        self.lines.lock().unwrap().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
