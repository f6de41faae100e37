//! The web server's own thread: it accepts, renders and sends there, so that no client, however slow, and no page,
//! however large, delays a probe or the time that is measured for it.

use std::{
    io,
    thread::{self, JoinHandle},
};

use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

use super::accepting::{self, Limits, Site};

/// Threads beside it at most, which read the store.
const MOST_BESIDE: usize = 4;

/// The thread. It ends gracefully when this is dropped.
#[derive(Debug)]
pub struct WebThread {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl WebThread {
    /// Starts serving on a listener that is bound already; `beside` runs there as long as it serves.
    ///
    /// # Errors
    /// When the thread, its runtime or the move of the listener into that runtime fails.
    pub async fn start(
        listener: TcpListener,
        site: Site,
        limits: Limits,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = listener.into_std()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell_started, started) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let serve = move || {
            // Made here and not by the caller: a runtime may not be dropped inside another one.
            let runtime = match Builder::new_current_thread().enable_all().max_blocking_threads(MOST_BESIDE).build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell_started.send(Err(error))),
            };
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        drop(tell_started.send(Ok(())));
                        tokio::spawn(beside);
                        accepting::serve(listener, site, limits, async move { drop(stopped.await) }).await;
                    }
                    Err(error) => drop(tell_started.send(Err(error))),
                }
            });
            // What reads the store for a page may hang there, and is not waited for.
            runtime.shutdown_background();
            drop(tell_ended);
        };
        let thread = thread::Builder::new().name("web".to_owned()).spawn(serve)?;
        started.await.unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))?;
        Ok(Self { stop, ended, thread })
    }

    /// Accepts no more, lets connections end within the drain time, and waits for that.
    pub async fn stop(self) {
        drop(self.stop);
        // Nothing is ever sent: the channel closes when the thread ends, also by a panic.
        drop(self.ended.await);
        if self.thread.join().is_err() {
            tracing::error!("the web server died; this is a defect of the agent");
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the clients of the tests need a plain connection, not a probe")]
mod tests {
    use std::{
        net::SocketAddr,
        sync::{Arc, Mutex, mpsc as blocking},
        time::Duration,
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::{mpsc, watch},
    };

    use super::*;
    use crate::{
        config::tests::loaded,
        engine::{monitor::Monitor, snapshot::Snapshot},
        model::endpoint::Status,
        model::rounds::Rounds,
        readers::metrics::{self, Serving},
        sample,
        web::{
            pages::{Page, Pages},
            server,
        },
    };

    /// Longer than any machine takes; only a test that fails waits so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    async fn fetch(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let request = b"GET /metrics HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the server closes in order");
        answer
    }

    /// A monitor that watches this one address.
    fn watching(peer: SocketAddr) -> Monitor {
        let text = format!(
            "resolvers: {{custom: [127.0.0.1]}}\ndiagnosis: {{enabled: false}}\n\
             profile: custom\n\
             endpoints: {{add: [{{host: {}, port: {}, class: tcp}}]}}\n",
            peer.ip(),
            peer.port()
        );
        Monitor::new(loaded(&text), Rounds::One, 1024, [7; 32])
    }

    #[tokio::test]
    async fn the_end_waits_for_no_reading_that_hangs() {
        let (_keep, snapshots) = watch::channel(Arc::new(sample::snapshot()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let router = server::routes(
            Pages::new(snapshots, Arc::new(|_: Page, _: &Snapshot, _: &Serving| String::new())),
            mpsc::channel(1).0,
        );
        let site = Site { router, tally: Arc::default() };
        let (disk, hangs) = blocking::channel::<()>();
        let (tell_begun, begun) = oneshot::channel();
        let (tell_over, over) = blocking::channel();
        let reading = move || {
            let _begun = tell_begun.send(());
            let _mended = hangs.recv_timeout(PATIENCE);
            let _over = tell_over.send(());
        };
        let beside = async { drop(tokio::task::spawn_blocking(reading).await) };
        let web = WebThread::start(listener, site, Limits::default(), beside).await.expect("a thread");
        begun.await.expect("it reads");
        web.stop().await;
        assert_eq!(over.try_recv(), Err(blocking::TryRecvError::Empty), "it was waited for");
        drop(disk);
    }

    #[tokio::test]
    async fn probes_go_on_while_a_large_page_is_rendered_and_clients_share_it() {
        let (_keep, snapshots) = watch::channel(Arc::new(sample::large(10_000)));
        let (tell_begun, mut begun) = mpsc::unbounded_channel();
        let (go, may_go) = blocking::channel::<()>();
        let may_go = Mutex::new(may_go);
        let render = move |_: Page, snapshot: &Snapshot, _: &Serving| {
            tell_begun.send(thread::current().id()).expect("the test listens");
            may_go.lock().expect("nobody panicked").recv_timeout(PATIENCE).expect("the test goes on");
            metrics::render(snapshot, "0.1.0")
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("bound above");
        let router = server::routes(Pages::new(snapshots, Arc::new(render)), mpsc::channel(1).0);
        let site = Site { router, tally: Arc::default() };
        let web = WebThread::start(listener, site, Limits::default(), async {}).await.expect("a thread");

        let clients = [fetch(address), fetch(address), fetch(address)].map(tokio::spawn);
        let renderer = begun.recv().await.expect("a client asked");
        assert_ne!(renderer, thread::current().id());

        // The page is stuck now. A whole round of probes runs, on this thread.
        let peer = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let mut monitor = watching(peer.local_addr().expect("bound above"));
        while !monitor.is_settled() {
            monitor.step().await;
        }
        let probed = Arc::clone(&monitor.subscribe().borrow());
        assert_eq!((probed.endpoints[0].attempts, probed.endpoints[0].status), (1, Status::Healthy));
        assert!(clients.iter().all(|client| !client.is_finished()), "no client can have its page yet");

        go.send(()).expect("the page waits");
        let mut pages = Vec::new();
        for client in clients {
            let answer = client.await.expect("the client does not panic");
            pages.push(answer.split_once("\r\n\r\n").expect("an answer has a head").1.to_owned());
        }
        assert_eq!(pages[0], metrics::render(&sample::large(10_000), "0.1.0"));
        assert!(pages.iter().all(|page| *page == pages[0]));
        assert!(begun.try_recv().is_err(), "one rendering served all");
        web.stop().await;
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }
}
