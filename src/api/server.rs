//! The HTTP thread: an OS thread with a runtime of its own, so that probes answer while the control loop is stuck
//! (P39) and until the very end (P36).

use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::sync::mpsc as thread_channel;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tower_service::Service;

use super::complaints::Complaints;
use super::connections::{Busy, Connections};
use super::desk::Inbox;
use super::key::PeerKey;
use super::listen::{self, ApiError, Listen, SocketPath};
use super::nonce::Nonces;
use super::routes::{self, App, NONCE, Over};
use super::shared::Shared;

/// A request's head must be there within this time; an idle connection ends after it too.
const HEAD_LIMIT: Duration = Duration::from_secs(3);

/// No connection lives longer.
const LIFETIME: Duration = Duration::from_secs(600);

/// Connections to the HTTP port, and to the socket: a flood of the one does not touch the other.
const HTTP_CONNECTIONS: usize = 128;
const SOCKET_CONNECTIONS: usize = 64;

/// Headers of a request, in number and in bytes.
const HEADERS: usize = 64;
const HEAD_BYTES: usize = 16 * 1024;

/// How long `stop` waits for the thread: open connections never delay the exit (P36).
const STOP_LIMIT: Duration = Duration::from_millis(200);

/// After `accept` failed for want of file descriptors: no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The running HTTP thread. Dropped, it stops; drop it last.
#[derive(Debug)]
pub struct ServerHandle {
    stop: Option<oneshot::Sender<()>>,
    stopped: thread_channel::Receiver<()>,
    http: Option<SocketAddr>,
    _socket: SocketPath,
}

impl ServerHandle {
    /// Where the HTTP port is, if there is one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Closes everything and removes the socket.
    pub fn stop(self) {}
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _already_gone = stop.send(());
        }
        let _late = self.stopped.recv_timeout(STOP_LIMIT);
    }
}

/// Binds both listeners and starts the thread. Errors are the user's to set right, one line each.
pub fn start(
    listen: Listen,
    shared: Arc<Shared>,
    inbox: Inbox,
    key: Option<PeerKey>,
) -> Result<ServerHandle, ApiError> {
    let (socket, path) = listen::bind_socket(&listen.socket)?;
    let http = listen.http.map(listen::bind_http).transpose()?;
    let address = http.as_ref().and_then(|http| http.local_addr().ok());
    let nonces = Nonces::new().map_err(ApiError::Random)?;
    let app = Arc::new(App { shared, inbox, nonces, key, complaints: Complaints::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ApiError::Thread)?;
    let (stop, stopping) = oneshot::channel();
    let (ended, stopped) = thread_channel::sync_channel(1);
    let serve = move || {
        runtime.block_on(async {
            tokio::select! {
                () = serve_both(socket, http, app) => {}
                _ = stopping => {}
            }
        });
        runtime.shutdown_background();
        let _nobody_waits = ended.send(());
    };
    thread::Builder::new().name("http".to_owned()).spawn(serve).map_err(ApiError::Thread)?;
    Ok(ServerHandle { stop: Some(stop), stopped, http: address, _socket: path })
}

async fn serve_both(socket: StdUnixListener, http: Option<std::net::TcpListener>, app: Arc<App>) {
    let over_socket = async {
        match UnixListener::from_std(socket) {
            Ok(socket) => serve_socket(socket, Arc::clone(&app)).await,
            Err(error) => tracing::error!(%error, "the socket cannot be served"),
        }
    };
    let over_http = async {
        match http.map(TcpListener::from_std) {
            Some(Ok(http)) => serve_http(http, Arc::clone(&app)).await,
            Some(Err(error)) => tracing::error!(%error, "the HTTP port cannot be served"),
            None => {}
        }
    };
    tokio::join!(over_socket, over_http);
}

async fn serve_socket(listener: UnixListener, app: Arc<App>) {
    let router = routes::router(Arc::clone(&app), Over::Socket);
    let mut connections = Connections::new(SOCKET_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => take(&mut connections, stream, &router, &app, Over::Socket),
            Err(error) => cannot_accept(&app, &error).await,
        }
    }
}

async fn serve_http(listener: TcpListener, app: Arc<App>) {
    let router = routes::router(Arc::clone(&app), Over::Http);
    let mut connections = Connections::new(HTTP_CONNECTIONS);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A release is one small packet each way: waiting to fill it would cost 40 ms.
                let _as_it_is = stream.set_nodelay(true);
                take(&mut connections, stream, &router, &app, Over::Http);
            }
            Err(error) => cannot_accept(&app, &error).await,
        }
    }
}

async fn cannot_accept(app: &App, error: &std::io::Error) {
    app.complaints.say("connections cannot be accepted", &error.to_string());
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn take<S>(connections: &mut Connections, stream: S, router: &Router, app: &Arc<App>, over: Over)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if !connections.make_place() {
        app.complaints.say("a connection was turned away", "all places are being served");
        return;
    }
    let busy = Busy::default();
    let served = serve(stream, router.clone(), Arc::clone(app), busy.clone(), over);
    connections.add(tokio::spawn(served).abort_handle(), busy);
}

async fn serve<S>(stream: S, router: Router, app: Arc<App>, busy: Busy, over: Over)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let complaints = Arc::clone(&app);
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut router, app, serving) = (router.clone(), Arc::clone(&app), busy.serve());
        async move {
            let answer = router.call(request.map(Body::new)).await.map(|answer| with_nonce(answer, &app, over));
            drop(serving);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(LIFETIME, connection).await
        && error.is_parse()
    {
        complaints.complaints.say("a request made no sense", &error.to_string());
    }
}

/// Every answer of the HTTP port carries the next nonce: whoever looks at us each second can send a message in one
/// round trip.
fn with_nonce(mut answer: Response<Body>, app: &App, over: Over) -> Response<Body> {
    if over == Over::Http
        && let Ok(nonce) = HeaderValue::from_str(&app.nonces.issue())
    {
        answer.headers_mut().insert(NONCE, nonce);
    }
    answer
}
