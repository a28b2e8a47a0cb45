//! An HTTP server that can be stopped, and that keeps no connection on which nothing comes.

use axum::{
    Extension, Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request},
    middleware::map_request,
    serve::Listener,
};
use futures_util::{StreamExt, stream};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use shared::fault::Fault;
use std::{
    future::ready,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    select,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

/// How long open requests have to finish.
const GRACE: Duration = Duration::from_secs(5);
/// How long a connection may take to send a request's head, from its beginning or its last answer on, and then the body.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the stack cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with {option}")]
    Port {
        /// Address and port.
        address: SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// The folder cannot be used.
    #[error("cannot keep data in {folder}: {cause}; choose another folder with --data")]
    Data {
        /// The folder.
        folder: String,
        /// What went wrong.
        cause: String,
    },
    /// Another program uses the folder.
    #[error("{folder} is in use; stop the one that uses it, or choose another folder with --data")]
    InUse {
        /// The folder.
        folder: String,
    },
    /// Tables or demo data cannot be made.
    #[error("cannot make the demo data: {0}")]
    DemoData(#[from] Fault),
    /// A server cannot be started.
    #[error("cannot start a server: {0}")]
    Io(#[from] io::Error),
}

/// A running server.
pub struct Server {
    /// Its address, such as `http://127.0.0.1:3000`.
    pub url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Listens on a port of 127.0.0.1; 0 takes a free one.
///
/// # Errors
/// Names the port, and the option that sets it.
pub async fn bind(port: u16, option: &'static str) -> Result<TcpListener, StartError> {
    bind_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), option).await
}

/// Listens on an address of this machine; port 0 takes a free one.
///
/// # Errors
/// As [`bind`].
pub async fn bind_to(address: SocketAddr, option: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Port { address, option, source })
}

impl Server {
    /// Serves the router, which is told who calls.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn start(listener: TcpListener, router: Router) -> io::Result<Self> {
        let router = router.layer(map_request(|request| ready(in_time(request))));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        Self::spawn(listener, |mut listener, mut stopped| async move {
            let connections = GracefulShutdown::new();
            loop {
                let (stream, peer) = select! {
                    accepted = Listener::accept(&mut listener) => accepted,
                    () = &mut stopped => break,
                };
                // A client that has the head must not wait for the body; where this fails it only takes longer.
                let _ = stream.set_nodelay(true);
                let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
                let connection = http.serve_connection(TokioIo::new(stream), service);
                // It fails if the client leaves or stalls; nobody is there to be told.
                tokio::spawn(connections.watch(connection));
            }
            drop(listener);
            connections.shutdown().await;
        })
    }

    /// Runs a server that stops when the future it is given ends.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn spawn<F>(
        listener: TcpListener,
        serve: impl FnOnce(TcpListener, std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let stopped = Box::pin(async { stopped.await.unwrap_or_default() });
        Ok(Self { url, stop, task: tokio::spawn(serve(listener, stopped)) })
    }

    /// Lets open requests finish, and stops.
    pub async fn stop(mut self) {
        // It fails only if the server has already ended.
        let _ = self.stop.send(());
        if timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// The request with a body that fails if it does not come in time.
fn in_time(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    let deadline = Instant::now() + PATIENCE;
    request.map(|body| {
        let chunks = stream::unfold(Some(body.into_data_stream()), move |chunks| async move {
            let mut chunks = chunks?;
            match timeout_at(deadline, chunks.next()).await {
                Ok(chunk) => Some((chunk?, Some(chunks))),
                Err(late) => Some((Err(axum::Error::new(late)), None)),
            }
        });
        Body::from_stream(chunks)
    })
}
