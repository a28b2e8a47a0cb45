//! An HTTP server that can be stopped.

use axum::Router;
use shared::fault::Fault;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

/// How long open requests have to finish.
const GRACE: Duration = Duration::from_secs(5);

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
        Self::spawn(listener, |listener, stopped| async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let serving = axum::serve(listener, service).with_graceful_shutdown(stopped).await;
            serving.unwrap_or_else(|error| tracing::error!(%error, "server failed"));
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
