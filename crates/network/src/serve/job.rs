//! What is done about one head, on a thread that may wait: decide, record, reach, and pass on or refuse.

use std::io;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::authority::Host;
use pinfold_base::authority::Target;
use pinfold_base::error::one_line;
use rustls::ClientConnection;
use rustls::StreamOwned;
use rustls_pki_types::IpAddr as TlsAddress;
use rustls_pki_types::ServerName;

use crate::dial::Addresses;
use crate::dial::DialError;
use crate::events::end::End;
use crate::events::end::Ending;
use crate::events::end::Patient;
use crate::relay::HostNaming;
use crate::relay::Preamble;
use crate::relay::RouteId;
use crate::route::Route;
use crate::route::end;
use crate::route::line;
use crate::rules::Speech;
use crate::secret::redact::Redactor;
use crate::serve::Shared;
use crate::serve::UnderWay;
use crate::serve::connections::Handoff;
use crate::serve::connections::Record;
use crate::serve::exchange::Exchange;
use crate::serve::exchange::ExchangeError;
use crate::serve::exchange::Upstream;
use crate::serve::journal::Event;
use crate::serve::journal::Note;
use crate::serve::members::Member;
use crate::serve::members::Seat;
use crate::wire::head::RequestHead;
use crate::wire::head::RequestTarget;
use crate::wire::head::is_hop_by_hop;
use crate::wire::head::parse_request;

/// How long writing to either side may wait, and how long a begun TLS record may take.
const STUCK: Duration = Duration::from_secs(60);

/// A refusal: the status and the words for the client.
struct Refusal {
    status: u16,
    reason: String,
}

impl Refusal {
    fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl From<DialError> for Refusal {
    fn from(error: DialError) -> Self {
        let status = match &error {
            DialError::Refused { .. } => 403,
            DialError::Resolve { .. } | DialError::Connect { .. } => 502,
        };
        Self::new(status, one_line(&error))
    }
}

/// An answer of the proxy itself.
pub(crate) fn answer(status: u16, reason: &str) -> Vec<u8> {
    let phrase = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        417 => "Expectation Failed",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Bad Gateway",
    };
    let body = format!("pinfold: {reason}\n");
    let mut out = Vec::with_capacity(256);
    line(&mut out, &[b"HTTP/1.1 ", status.to_string().as_bytes(), b" ", phrase.as_bytes()]);
    line(&mut out, &[b"Content-Type: text/plain; charset=utf-8"]);
    line(&mut out, &[b"Content-Length: ", body.len().to_string().as_bytes()]);
    line(&mut out, &[b"Connection: close"]);
    line(&mut out, &[]);
    out.extend_from_slice(body.as_bytes());
    out
}

/// A connection in the hands of a job: counted, and shut when the proxy stops or its sandbox is not known any more.
#[derive(Debug)]
pub(crate) struct InHand {
    shared: Arc<Shared>,
    /// The event loop that gets it back.
    back: usize,
    client: End,
    seat: Seat,
    listed: Listed,
}

/// Its place among those under way.
#[derive(Debug)]
struct Listed {
    shared: Arc<Shared>,
    slot: usize,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.busy.fetch_sub(1, Ordering::Relaxed);
        self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(self.slot);
    }
}

impl InHand {
    pub(crate) fn new(shared: &Arc<Shared>, back: usize, client: End, seat: Seat) -> io::Result<Self> {
        let socket = client.as_fd().try_clone_to_owned()?;
        let under_way = UnderWay { socket, proof: seat.proof() };
        let slot = shared.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(under_way);
        shared.busy.fetch_add(1, Ordering::Relaxed);
        let listed = Listed { shared: Arc::clone(shared), slot };
        Ok(Self { shared: Arc::clone(shared), back, client, seat, listed })
    }

    /// Deals with the connection, which came in where `preamble` says and whose head is at the start of `bytes`.
    pub(crate) fn run(self, preamble: Preamble, bytes: &[u8]) {
        let Self { shared, back, client, mut seat, listed } = self;
        if shared.stopping.load(Ordering::SeqCst) || !seat.renew(&shared.members()) {
            return;
        }
        let mut client = client.patient(shared.limits.body, STUCK);
        let at = At { shared: &shared, member: seat.member() };
        let outcome = match parse_request(bytes) {
            Ok(Some((head, length))) => decide(at, &mut client, preamble, &head, &bytes[length..]),
            Ok(None) => Err(malformed(at, "the head is not whole")),
            Err(error) => Err(malformed(at, &error.to_string())),
        };
        let next = outcome.unwrap_or_else(|refusal| {
            // The client may be gone; there is nothing else to tell it.
            let _ = client.write_all(&answer(refusal.status, &refusal.reason));
            Next::Parting(Ending::Whole)
        });
        let client = client.into_end();
        // It is counted by the event loop from now on.
        drop(listed);
        let handoff = match next {
            Next::Parting(ending) => Handoff::Parting { client, seat, ending },
            Next::Greeting { upstream, bytes, record } => {
                Handoff::Greeting { client, seat, upstream, bytes, record }
            }
            Next::Tunnel { upstream, bytes, record } => {
                Handoff::Tunnel { client, seat, upstream, bytes, record }
            }
        };
        shared.hand_off(back, handoff);
    }
}

/// Where a decision is made, and for whom.
#[derive(Clone, Copy)]
struct At<'a> {
    shared: &'a Shared,
    member: &'a Member,
}

impl At<'_> {
    fn record(self, note: &Note) -> io::Result<()> {
        self.shared.record(note, self.member)
    }
}

fn malformed(at: At<'_>, reason: &str) -> Refusal {
    let mut note = Note::new(Event::Malformed, &"", false);
    reason.clone_into(&mut note.reason);
    // It is refused whether or not that can be recorded.
    let _ = at.record(&note);
    Refusal::new(400, reason)
}

/// Records a decision. What was allowed and cannot be recorded is refused.
fn record(at: At<'_>, note: &Note) -> Result<(), Refusal> {
    at.record(note).map_err(|_| Refusal::new(503, "the decision cannot be recorded, so nothing is passed on"))
}

/// Records a refusal and gives it back.
fn refuse(at: At<'_>, mut note: Note, refusal: Refusal) -> Refusal {
    note.allowed = false;
    note.reason.clone_from(&refusal.reason);
    note.status = Some(refusal.status);
    // It is refused whether or not that can be recorded.
    let _ = at.record(&note);
    refusal
}

/// What the connection becomes.
enum Next {
    /// All is said.
    Parting(Ending),
    /// A tunnel in which TLS is to be begun.
    Greeting { upstream: OwnedFd, bytes: Vec<u8>, record: Record },
    /// A tunnel.
    Tunnel { upstream: OwnedFd, bytes: Vec<u8>, record: Record },
}

fn decide(
    at: At<'_>,
    client: &mut Patient,
    Preamble { route, host }: Preamble,
    head: &RequestHead,
    ahead: &[u8],
) -> Result<Next, Refusal> {
    match (&head.target, at.member.policy.routes.get(&route)) {
        (RequestTarget::Tunnel(target), _) if route == RouteId::PROXY => tunnel(at, client, target, ahead),
        (RequestTarget::Forward { target, path }, _) if route == RouteId::PROXY => {
            forward(at, client, head, target, path, ahead).map(Next::Parting)
        }
        (RequestTarget::Origin(path), Some(route)) => {
            reverse(at, client, head, (route, host), path, ahead).map(Next::Parting)
        }
        // Who names hosts may write as to a proxy.
        (RequestTarget::Forward { path, .. }, Some(route)) if host == HostNaming::Required => {
            reverse(at, client, head, (route, host), path, ahead).map(Next::Parting)
        }
        (RequestTarget::Origin(_), None) if route == RouteId::PROXY => {
            Err(malformed(at, "this is a proxy: ask for `http://host/…` or CONNECT"))
        }
        (_, Some(_)) => Err(malformed(at, "this is a credential route, not a proxy")),
        (_, None) => Err(malformed(at, "there is no such route")),
    }
}

/// CONNECT.
fn tunnel(at: At<'_>, client: &mut Patient, target: &Target, ahead: &[u8]) -> Result<Next, Refusal> {
    let mut note = Note::new(Event::Connect, target, true);
    note.method = "CONNECT".into();
    let Some((rule, speech)) = at.member.policy.allow.admits(target) else {
        let refusal = Refusal::new(403, at.member.policy.allow.decide(target).reason);
        return Err(refuse(at, note, refusal));
    };
    let (upstream, address) = match at.shared.dialer.dial(target, Addresses::Public) {
        Ok(dialled) => dialled,
        Err(error) => return Err(refuse(at, note, error.into())),
    };
    let tuned = upstream.set_nonblocking(true).and_then(|()| upstream.set_nodelay(true));
    if let Err(error) = tuned {
        return Err(refuse(at, note, Refusal::new(502, error.to_string())));
    }
    let record_of =
        Record { target: target.clone(), reason: format!("rule `{rule}`"), address, since: Instant::now() };
    // With TLS the decision is made, and recorded, when the server name is known.
    if speech == Speech::Raw {
        note.reason.clone_from(&record_of.reason);
        note.address = Some(address.to_string());
        record(at, &note)?;
    }
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .map_err(|error| Refusal::new(400, error.to_string()))?;
    let (upstream, bytes, record) = (upstream.into(), ahead.to_vec(), record_of);
    Ok(match speech {
        Speech::Web => Next::Greeting { upstream, bytes, record },
        Speech::Raw => Next::Tunnel { upstream, bytes, record },
    })
}

/// A plain request in absolute form.
fn forward(
    at: At<'_>,
    client: &mut Patient,
    head: &RequestHead,
    target: &Target,
    path: &str,
    ahead: &[u8],
) -> Result<Ending, Refusal> {
    let mut note = Note::new(Event::Http, target, true);
    note.method.clone_from(&head.method);
    let Some((rule, _)) = at.member.policy.allow.admits(target) else {
        let refusal = Refusal::new(403, at.member.policy.allow.decide(target).reason);
        return Err(refuse(at, note, refusal));
    };
    if matches!(head.method.as_str(), "TRACE" | "TRACK") {
        return Err(refuse(at, note, Refusal::new(403, "TRACE is not passed on")));
    }
    let (upstream, address) = match at.shared.dialer.dial(target, Addresses::Public) {
        Ok(dialled) => dialled,
        Err(error) => return Err(refuse(at, note, error.into())),
    };
    note.reason = format!("rule `{rule}`");
    note.address = Some(address.to_string());
    record(at, &note)?;
    let upstream = tune(upstream).map_err(|error| Refusal::new(502, error.to_string()))?;
    let mut out = Vec::with_capacity(1024);
    line(&mut out, &[head.method.as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1"]);
    let host = if target.port == 80 { target.host.to_string() } else { target.to_string() };
    line(&mut out, &[b"Host: ", host.as_bytes()]);
    for field in &head.fields {
        if !field.is("Host") && !is_hop_by_hop(field, &head.fields) {
            line(&mut out, &[field.name.as_bytes(), b": ", &field.value]);
        }
    }
    end(&mut out, head.body);
    let exchange =
        Exchange::new(client, ahead.to_vec(), Upstream::Plain(upstream), head, None, at.shared.limits.answer);
    pass_on(at, exchange, &out, note).map(|(_, ending)| ending)
}

/// A request at a credential route.
fn reverse(
    at: At<'_>,
    client: &mut Patient,
    head: &RequestHead,
    (route, host): (&Route, HostNaming),
    path: &str,
    ahead: &[u8],
) -> Result<Ending, Refusal> {
    let spec = route.spec();
    let mut note = Note::new(Event::Route, &spec.name, true);
    note.method.clone_from(&head.method);
    path.split('?').next().unwrap_or_default().clone_into(&mut note.path);
    if host == HostNaming::Required && !route.is_named_by(head) {
        let reason = format!("this socket leads to `{}` only", spec.upstream.target().host);
        return Err(refuse(at, note, Refusal::new(403, reason)));
    }
    if let Err(error) = route.admits(head, path) {
        return Err(refuse(at, note, Refusal::new(403, error.to_string())));
    }
    let key = match route.key().get() {
        Ok(key) => key,
        Err(error) => {
            // Not 503: that is tried again and again by agents, and only the user can mend this.
            let refusal = Refusal::new(403, format!("route `{}`: {}", spec.name, one_line(&error)));
            return Err(refuse(at, note, refusal));
        }
    };
    let target = spec.upstream.target();
    let reached =
        at.shared.dialer.dial(target, route.reach()).map_err(Refusal::from).and_then(|(stream, address)| {
            let stream = tune(stream).map_err(|error| Refusal::new(502, error.to_string()))?;
            let upstream = if spec.upstream.is_tls() {
                encrypt(at.shared, stream, &target.host)?
            } else {
                Upstream::Plain(stream)
            };
            Ok((upstream, address))
        });
    let (upstream, address) = match reached {
        Ok(reached) => reached,
        Err(refusal) => return Err(refuse(at, note, refusal)),
    };
    note.reason = format!("route to `{}`", spec.upstream);
    note.address = Some(address.to_string());
    record(at, &note)?;
    let out = route.rewrite(head, path, &key);
    let redactor = Redactor::new(&key);
    let exchange =
        Exchange::new(client, ahead.to_vec(), upstream, head, Some(redactor), at.shared.limits.answer);
    let (status, ending) = pass_on(at, exchange, &out, note)?;
    if status == 401 || status == 403 {
        route.key().forget();
    }
    Ok(ending)
}

/// Runs the exchange and records how it ended: with which status, and whether all of the answer is out.
fn pass_on(
    at: At<'_>,
    mut exchange: Exchange<'_>,
    head: &[u8],
    mut note: Note,
) -> Result<(u16, Ending), Refusal> {
    let since = Instant::now();
    let outcome = exchange.run(head);
    note.event = Event::Closed;
    note.sent = Some(exchange.sent);
    note.received = Some(exchange.received);
    note.milliseconds = u64::try_from(since.elapsed().as_millis()).ok();
    at.member.policy.counts.add_bytes(exchange.sent, exchange.received);
    match &outcome {
        Ok(status) => note.status = Some(*status),
        Err(error) => note.reason = one_line(error),
    }
    // The request was allowed and recorded as such; it is over either way.
    let _ = at.record(&note);
    match outcome {
        Ok(status) => Ok((status, Ending::Whole)),
        // A part of the answer is out: nothing may follow that could be taken for the rest of it.
        Err(_) if exchange.answered => Ok((0, Ending::Cut)),
        Err(ExchangeError::ClientGone) => Ok((0, Ending::Cut)),
        Err(error) => Err(Refusal::new(error.status(), one_line(&error))),
    }
}

fn tune(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STUCK))?;
    stream.set_write_timeout(Some(STUCK))?;
    Ok(stream)
}

fn encrypt(shared: &Shared, mut stream: TcpStream, host: &Host) -> Result<Upstream, Refusal> {
    let failed =
        |error: &dyn std::error::Error| Refusal::new(502, format!("TLS to `{host}` failed: {error}"));
    let config = shared.tls().map_err(|error| Refusal::new(502, error))?;
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|error| failed(&error))?,
        Host::Address(address) => ServerName::IpAddress(TlsAddress::from(*address)),
    };
    let mut connection = ClientConnection::new(config, name).map_err(|error| failed(&error))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| failed(&error))?;
    }
    Ok(Upstream::Tls(Box::new(StreamOwned::new(connection, stream))))
}
