//! The elector's HTTP side: `GET /` and `GET /health`, for a handful of clients.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::candidate::Candidate;

/// Connections at a time. Who comes later waits in the kernel's queue.
const CONNECTIONS: usize = 64;
/// A connection is closed after this long, whatever it does: a client comes back.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
const HEADER_LIMIT: Duration = Duration::from_secs(5);
const HEADER_BYTES: usize = 16 * 1024;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, candidate: Arc<Candidate>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let candidate = candidate.clone();
                drop(tokio::spawn(async move {
                    let _too_long = timeout(CONNECTION_LIMIT, connection(stream, candidate)).await;
                    drop(place);
                }));
            }
            // Out of file descriptors, for one: it passes, or not, but must not spin.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(stream: TcpStream, candidate: Arc<Candidate>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &candidate);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT).max_buf_size(HEADER_BYTES);
    // Garbage and half a request end the connection; nobody else notices.
    let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn respond(method: &Method, path: &str, candidate: &Candidate) -> Response<String> {
    let leader = candidate.leader().map(|standing| standing.leader).unwrap_or_default();
    let (status, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/") => match serde_json::to_string(&Answer::ours(leader)) {
            Ok(body) => (StatusCode::OK, body),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        },
        (&Method::GET | &Method::HEAD, "/health") if !candidate.healthy() => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the lock cannot be used\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/health") if leader.is_empty() => {
            (StatusCode::INTERNAL_SERVER_ERROR, "no leader\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/health") => (StatusCode::OK, "ok\n".to_owned()),
        (_, "/" | "/health") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if path == "/" {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
