//! The way to the API server: as the pod's service account, with a limit on every call.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

/// No call takes longer. A renewal every 2 s that is given up at 10 s may fail four times.
pub const CALL_LIMIT: Duration = Duration::from_secs(2);
/// More of an API server's complaint than this is not shown.
const WORDS_LIMIT: usize = 300;

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 404.
    #[error("there is none")]
    Missing,
    /// 409: not as it was read, or somebody else was first.
    #[error("somebody else has changed it")]
    Conflict,
    /// 403: it stays so until somebody grants the right.
    #[error("the service account has no right to: {0}")]
    Forbidden(String),
    /// No answer in time, a refusal, a token that is not valid any more, a fault of the server: it may pass. What was
    /// to be written may or may not be.
    #[error("{0}")]
    Away(String),
}

/// How the API server is reached, and as whom.
#[derive(Clone)]
pub struct Access {
    config: Config,
}

impl Access {
    /// As the service account of the pod that we run in.
    pub fn of_the_pod() -> Result<Self, String> {
        Config::incluster_env().map(Access::new).map_err(|error| chain(&error))
    }

    /// As told.
    pub fn new(config: Config) -> Self {
        Access { config }
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> &str {
        &self.config.default_namespace
    }

    /// A client of our own making: kube's usual one tries a call again by itself, for as long as it takes, and logs
    /// every failure.
    fn client(&self) -> kube::Result<Client> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CALL_LIMIT));
        tcp.set_nodelay(true);
        let tls = self.config.rustls_https_connector_with_connector(tcp)?;
        let mut http = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let http = http.pool_max_idle_per_host(1).build::<_, Body>(tls);
        let service = ServiceBuilder::new()
            .layer(self.config.base_uri_layer())
            .option_layer(self.config.auth_layer()?)
            .map_err(BoxError::from)
            .service(http);
        Ok(Client::new(service, self.namespace().to_owned()))
    }
}

/// Makes calls, one after the other. After a failure everything begins anew: connection, certificates, and the token,
/// which is read from its file (and once a minute in any case).
pub struct Caller {
    /// No call takes longer.
    pub limit: Duration,
    access: Access,
    client: Option<Client>,
}

impl Caller {
    /// Not connected yet.
    pub fn new(access: Access) -> Self {
        Caller { limit: CALL_LIMIT, access, client: None }
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> &str {
        self.access.namespace()
    }

    /// One call. Belongs into a runtime.
    pub async fn call<T>(&mut self, ask: impl AsyncFnOnce(Client) -> kube::Result<T>) -> Result<T, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.access.client().map_err(sort)?,
        };
        let answer = match tokio::time::timeout(self.limit, ask(client.clone())).await {
            Ok(answer) => answer.map_err(sort),
            Err(_) => Err(Failure::Away(format!("no answer within {} ms", self.limit.as_millis()))),
        };
        if !matches!(answer, Err(Failure::Away(_))) {
            self.client = Some(client);
        }
        answer
    }
}

fn sort(error: kube::Error) -> Failure {
    let kube::Error::Api(status) = error else { return Failure::Away(chain(&error)) };
    match status.code {
        404 => Failure::Missing,
        409 => Failure::Conflict,
        403 => Failure::Forbidden(short(&status.message)),
        code => Failure::Away(format!("{code} {}: {}", status.reason, short(&status.message))),
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        // Many errors repeat what is behind them.
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = inner.source();
    }
    short(&words)
}

/// Fit for a log line.
fn short(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(WORDS_LIMIT).collect()
}
