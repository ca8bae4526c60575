//! An API server for tests: Leases, pods and Events in memory, with `resourceVersion`s; it can be cut off, fail and be slow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kube::config::AuthInfo;
use serde_json::{Value, json};

use super::access::Access;

/// What goes wrong for one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered so, nothing done.
    Status(u16),
    /// Neither done nor answered.
    Silent,
    /// Done, never answered.
    Unanswered,
    /// On its way until [`FakeApi::deliver`], whoever still waits; never answered.
    Held,
    /// Done and answered after this time.
    Slow(Duration),
}

/// Status and reason.
type Refusal = (u16, &'static str);

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<String, Value>,
    posted: u64,
    tokens: BTreeSet<String>,
    /// By token.
    faults: BTreeMap<String, Fault>,
    /// Method and path of each write that was done.
    writes: Vec<String>,
    held: Vec<(Method, Uri, Bytes)>,
    /// So many calls are spared of the fault.
    let_through: BTreeMap<String, usize>,
}

/// A running one; it ends with the test's process.
#[derive(Clone)]
pub struct FakeApi {
    store: Arc<Mutex<Store>>,
    port: u16,
    dir: Arc<tempfile::TempDir>,
}

impl FakeApi {
    /// Starts one on a port of its own.
    pub fn start() -> Self {
        let store = Arc::new(Mutex::new(Store::default()));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("set");
        let port = listener.local_addr().expect("bound").port();
        let app = Router::new().fallback(handle).with_state(store.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, app).await.expect("served");
            });
        });
        FakeApi { store, port, dir: Arc::new(tempfile::tempdir().expect("a directory")) }
    }

    /// The way to it for a client whose token file holds `name`.
    pub fn access(&self, name: &str) -> Access {
        self.write_token(name, name);
        let url = format!("http://127.0.0.1:{}", self.port).parse().expect("a URL");
        let token_file = Some(self.dir.path().join(name).display().to_string());
        let mut config = kube::Config::new(url);
        config.auth_info = AuthInfo { token_file, ..AuthInfo::default() };
        config.default_namespace = "ns".to_owned();
        Access::new(config)
    }

    /// What is in the token file of a client from now on; only that token is good.
    pub fn write_token(&self, client: &str, token: &str) {
        std::fs::write(self.dir.path().join(client), token).expect("written");
        self.lock().tokens.insert(token.to_owned());
    }

    /// A token that is not good any more.
    pub fn expire(&self, token: &str) {
        self.lock().tokens.remove(token);
    }

    /// From now on this goes wrong for a client; `None`: nothing.
    pub fn fault(&self, token: &str, fault: Option<Fault>) {
        let mut store = self.lock();
        match fault {
            Some(fault) => store.faults.insert(token.to_owned(), fault),
            None => store.faults.remove(token),
        };
    }

    /// So many more calls of a client get through; those after them are held.
    pub fn hold_after(&self, token: &str, calls: usize) {
        self.fault(token, Some(Fault::Held));
        self.lock().let_through.insert(token.to_owned(), calls);
    }

    /// An object, as it stands there.
    pub fn object(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    /// All objects whose path begins so.
    pub fn objects(&self, under: &str) -> Vec<Value> {
        self.lock().objects.iter().filter(|(path, _)| path.starts_with(under)).map(|(_, one)| one.clone()).collect()
    }

    /// Puts an object there, as somebody else would.
    pub fn put(&self, path: &str, mut object: Value) {
        let mut store = self.lock();
        store.stamp(&mut object);
        store.objects.insert(path.to_owned(), object);
    }

    /// Removes one.
    pub fn delete(&self, path: &str) {
        self.lock().objects.remove(path);
    }

    /// What was held arrives; how many calls that were.
    pub fn deliver(&self) -> usize {
        let mut store = self.lock();
        let held = std::mem::take(&mut store.held);
        for (method, uri, body) in &held {
            drop(store.act(method, uri, body));
        }
        held.len()
    }

    /// Every write that was done since the last time, as `PATCH /path`.
    pub fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().writes)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn handle(
    State(store): State<Arc<Mutex<Store>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let locked = || store.lock().unwrap_or_else(PoisonError::into_inner);
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = token.unwrap_or_default().to_owned();
    let (known, fault) = {
        let mut store = locked();
        let spared = store.let_through.get_mut(&token).is_some_and(|left| {
            let some = *left > 0;
            *left = left.saturating_sub(1);
            some
        });
        (store.tokens.contains(&token), store.faults.get(&token).copied().filter(|_| !spared))
    };
    if !known {
        return status(401, "Unauthorized");
    }
    match fault {
        None => {}
        Some(Fault::Status(code)) => return status(code, "as told"),
        Some(Fault::Silent) => return std::future::pending().await,
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Unanswered) => {
            drop(locked().act(&method, &uri, &body));
            return std::future::pending().await;
        }
        Some(Fault::Held) => {
            locked().held.push((method, uri, body));
            return std::future::pending().await;
        }
    }
    locked().act(&method, &uri, &body)
}

impl Store {
    fn stamp(&mut self, object: &mut Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    fn act(&mut self, method: &Method, uri: &Uri, body: &[u8]) -> Response {
        let path = uri.path().to_owned();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let answer = match method.as_str() {
            "GET" => return self.get(&path, uri.query().unwrap_or_default()),
            "POST" => self.create(&path, sent),
            "PUT" => self.replace(&path, sent),
            "PATCH" => self.patch(&path, &sent),
            _ => return status(405, "MethodNotAllowed"),
        };
        match answer {
            Ok(object) => {
                self.writes.push(format!("{method} {path}"));
                (StatusCode::OK, object.to_string()).into_response()
            }
            Err((code, reason)) => status(code, reason),
        }
    }

    fn get(&self, path: &str, query: &str) -> Response {
        if let Some(object) = self.objects.get(path) {
            return (StatusCode::OK, object.to_string()).into_response();
        }
        let plural = path.rsplit('/').next().unwrap_or_default();
        if !["pods", "leases", "events"].contains(&plural) {
            return status(404, "NotFound");
        }
        let wanted = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).unwrap_or_default();
        let wanted = wanted.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",");
        let matches = |object: &Value| {
            wanted
                .split(',')
                .filter_map(|term| term.split_once('='))
                .all(|(label, value)| object["metadata"]["labels"].get(label).and_then(Value::as_str) == Some(value))
        };
        let all = self.objects.iter().filter(|(at, _)| at.starts_with(&format!("{path}/"))).map(|(_, one)| one);
        let items: Vec<&Value> = all.filter(|object| matches(object)).collect();
        let version = self.version.to_string();
        let kind = "PartialObjectMetadataList";
        let list = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": version}, "items": items});
        (StatusCode::OK, list.to_string()).into_response()
    }

    fn create(&mut self, path: &str, mut object: Value) -> Result<Value, Refusal> {
        self.posted += 1;
        let made = format!("{}{}", object["metadata"]["generateName"].as_str().unwrap_or_default(), self.posted);
        let name = object["metadata"]["name"].as_str().unwrap_or(&made).to_owned();
        let at = format!("{path}/{name}");
        if self.objects.contains_key(&at) {
            return Err((409, "AlreadyExists"));
        }
        object["metadata"]["name"] = json!(name);
        self.stamp(&mut object);
        self.objects.insert(at, object.clone());
        Ok(object)
    }

    fn replace(&mut self, path: &str, mut object: Value) -> Result<Value, Refusal> {
        self.unchanged(path, &object)?;
        self.stamp(&mut object);
        self.objects.insert(path.to_owned(), object.clone());
        Ok(object)
    }

    /// A merge patch.
    fn patch(&mut self, path: &str, change: &Value) -> Result<Value, Refusal> {
        let before = self.unchanged(path, change)?;
        let mut object = before.clone();
        merge(&mut object, change);
        // As the real one: a patch that changes nothing is no change.
        if object != before {
            self.stamp(&mut object);
        }
        self.objects.insert(path.to_owned(), object.clone());
        Ok(object)
    }

    fn unchanged(&self, path: &str, sent: &Value) -> Result<Value, Refusal> {
        let Some(known) = self.objects.get(path) else { return Err((404, "NotFound")) };
        let asked = &sent["metadata"]["resourceVersion"];
        if !asked.is_null() && *asked != known["metadata"]["resourceVersion"] {
            return Err((409, "Conflict"));
        }
        Ok(known.clone())
    }
}

fn merge(object: &mut Value, change: &Value) {
    let Value::Object(fields) = change else { return *object = change.clone() };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        if let (true, Some(map)) = (value.is_null(), object.as_object_mut()) {
            map.remove(name);
        } else {
            merge(&mut object[name.as_str()], value);
        }
    }
}

fn status(code: u16, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": format!("{reason}, says the fake")});
    (StatusCode::from_u16(code).expect("a status"), body.to_string()).into_response()
}
