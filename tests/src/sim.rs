//! Simulators of what only Azure has. Each is started on an address, can change its behaviour while it runs, and ends
//! when its handle is dropped.

pub mod dns;
pub mod greeter;
pub mod ntp;
pub mod tds;
pub mod web;

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinHandle;

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
pub struct Behaviour<T>(Arc<Mutex<T>>);

impl<T> Clone for Behaviour<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Behaviour<T> {
    /// A behaviour to begin with.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// How it behaves now.
    pub fn get(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it from now on.
    pub fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}
