//! Simulators of what only Azure has, and of what firewalls, proxies and broken servers make of it. Each is started on
//! an address, can change its behaviour while it runs, and ends when its handle is dropped.

pub mod dns;
pub mod greeter;
mod listening;
pub mod ntp;
pub mod switch;
pub mod tds;
pub mod web;
pub mod world;

use std::{future::Future, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{net::TcpStream, sync::watch, task::JoinHandle};

use crate::authority::Authority;

/// Longer than any probe waits.
const FOREVER: Duration = Duration::from_secs(600);

/// A running simulator.
#[derive(Debug)]
pub struct Running(JoinHandle<()>);

impl Running {
    /// Runs a simulator's loop until the handle is dropped.
    pub fn spawn(server: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(server))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How a simulator behaves; can be changed while it runs.
#[derive(Debug, Default)]
pub struct Behaviour<T>(Arc<watch::Sender<T>>);

impl<T> Clone for Behaviour<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Behaviour<T> {
    /// A behaviour to begin with.
    pub fn new(value: T) -> Self {
        Self(Arc::new(watch::Sender::new(value)))
    }

    /// How it behaves now.
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Changes it from now on.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }

    /// Waits until it behaves so.
    async fn until(&self, is_so: impl FnMut(&T) -> bool) {
        drop(self.0.subscribe().wait_for(is_so).await);
    }
}

/// What a server with certificates is made of.
#[derive(Clone, Debug)]
pub struct Front {
    /// The authority of its certificate.
    pub authority: Arc<Authority>,
    /// The authority of an inspecting firewall.
    pub inspector: Arc<Authority>,
    /// Its name: on the certificate for clients that send none, and the only host that it serves.
    pub name: String,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// RST.
    #[default]
    Reset,
    /// FIN.
    Close,
    /// It stays open without a word.
    Silence,
}

impl End {
    /// Ends a connection.
    async fn of(self, stream: TcpStream) -> std::io::Result<()> {
        match self {
            Self::Reset => stream.set_zero_linger(),
            Self::Close => Ok(()),
            Self::Silence => {
                tokio::time::sleep(FOREVER).await;
                Ok(())
            }
        }
    }
}
