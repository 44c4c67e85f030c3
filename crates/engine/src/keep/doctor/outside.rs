//! What lies outside of this machine: a network, names, the servers that a build would ask, and what time it is there.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::Diagnose;
use pinfold_base::http;
use pinfold_base::http::Greeting;
use pinfold_base::http::HttpError;
use pinfold_base::http::Step;
use pinfold_sources::debian::lock::release::parse_date;

use super::Finding;
use crate::consent::Agreed;
use crate::context::Context;
use crate::context::Network;
use crate::project::Project;
use crate::sources;
use crate::sources::Remotes;
use crate::sources::Server;

/// 2026-01-01: before pinfold was there.
const EARLIEST: u64 = 1_767_225_600;
/// How far a clock may be off unnoticed.
const SKEW: u64 = 5 * 60;
/// From here on certificates and signed metadata are found invalid.
const FAR: u64 = 24 * 60 * 60;

/// Looks at the network, at each server of the project, and at the clock.
pub(super) fn look(context: &Context, project: Option<&Agreed<Project>>) -> Vec<Finding> {
    if context.network() == Network::Offline {
        return vec![Finding::good("network", "not looked at, for `--offline`"), clock(now(), None)];
    }
    let mut findings = vec![network(&fs_err::read_to_string("/proc/self/net/dev").unwrap_or_default())];
    let client = match http::Client::impatient() {
        Ok(client) => client,
        Err(error) => {
            let fix = error.hint().unwrap_or_else(|| "correct the variable".into());
            findings.push(Finding::bad("servers", error.to_string(), fix));
            findings.push(clock(now(), None));
            return findings;
        }
    };
    let servers: Vec<Server> = project.map(|project| servers(context, project)).unwrap_or_default();
    let asked: Vec<(Finding, Asked)> = std::thread::scope(|scope| {
        let running: Vec<_> = servers.iter().map(|one| scope.spawn(|| ask(&client, one))).collect();
        running.into_iter().filter_map(|one| one.join().ok()).collect()
    });
    findings.extend(names(&asked.iter().map(|(_, asked)| asked).collect::<Vec<_>>()));
    let there = asked.iter().find_map(|(_, asked)| asked.time);
    findings.extend(asked.into_iter().map(|(finding, _)| finding));
    findings.push(clock(now(), there));
    findings
}

/// The servers, those at one origin once.
fn servers(context: &Context, project: &Agreed<Project>) -> Vec<Server> {
    let remotes = Remotes::resolving(context, project, false);
    let all = sources::ALL.iter().flat_map(|(_, source)| source.servers(&remotes));
    let mut seen = BTreeSet::new();
    all.filter(|server| match &server.source {
        Ok(source) => seen.insert((source.url.scheme().name(), source.url.told_host(), source.url.port())),
        Err(_) => true,
    })
    .collect()
}

/// What became of a question, for the findings that are about all of them.
#[derive(Debug, Default)]
struct Asked {
    /// A host whose name has no address.
    unknown: Option<String>,
    /// Whether there was an answer.
    reached: bool,
    /// What time it is there, in seconds since the epoch.
    time: Option<u64>,
}

fn ask(client: &http::Client, server: &Server) -> (Finding, Asked) {
    let source = match &server.source {
        Ok(source) => source,
        Err(error) => {
            let fix = error.hint().unwrap_or_else(|| "`pinfold lock` says more".into());
            return (Finding::bad(&server.what, error.to_string(), fix), Asked::default());
        }
    };
    let begin = Instant::now();
    let host = source.url.told_host();
    match client.greet(&source.url, &source.auth) {
        Ok(greeting) => {
            let time = greeting.date.as_deref().and_then(parse_date);
            (
                greeted(&server.what, &host, &greeting, begin.elapsed()),
                Asked { reached: true, time, unknown: None },
            )
        }
        Err(error) => {
            let unknown = matches!(error, HttpError::Connection { step: Step::Resolve, .. }).then_some(host);
            let asked = Asked { unknown, ..Asked::default() };
            (Finding::bad(&server.what, error.to_string(), fix(&error)), asked)
        }
    }
}

fn greeted(what: &str, host: &str, greeting: &Greeting, time: Duration) -> Finding {
    match greeting.status {
        200..=399 => Finding::good(what, format!("{host} answered in {} ms", time.as_millis())),
        401 | 403 | 407 => Finding::bad(
            what,
            format!("{host} answered {}", greeting.status),
            "give the credentials that it asks for: a token in `.npmrc`, `user:password` in the mirror's address",
        ),
        status => Finding::bad(
            what,
            format!("{host} answered {status}"),
            "correct its address where this machine's configuration has it, or try again later",
        ),
    }
}

fn fix(error: &HttpError) -> String {
    let fix = match error {
        HttpError::Connection { step, .. } => match step {
            Step::Resolve => "see `names`",
            Step::Connect | Step::Wait => {
                "check the network; where one must go through a proxy, set HTTPS_PROXY and HTTP_PROXY"
            }
            Step::Proxy => "check the address and the password in HTTPS_PROXY and HTTP_PROXY",
            Step::Tls => {
                "set SSL_CERT_FILE to a bundle with the authority that signed its certificate, or set the clock right"
            }
            Step::Protocol => "correct its address: what is there does not speak HTTP",
        },
        _ => return error.hint().unwrap_or_else(|| "correct its address".into()),
    };
    fix.into()
}

/// Whether there is any way out. `table` is the kernel's `net/dev`.
fn network(table: &str) -> Finding {
    let names = table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    let names: Vec<&str> = names.filter(|name| *name != "lo").collect();
    if names.is_empty() {
        return Finding::bad(
            "network",
            "there is no interface but `lo`: this process is offline",
            "run it where there is a network; without one, `--offline` uses what is fetched or vendored",
        );
    }
    Finding::good("network", names.join(", "))
}

/// Whether names have addresses; nothing where nobody was asked by name.
fn names(asked: &[&Asked]) -> Option<Finding> {
    let unknown: BTreeSet<&str> = asked.iter().filter_map(|one| one.unknown.as_deref()).collect();
    if !unknown.is_empty() {
        let unknown: Vec<&str> = unknown.into_iter().collect();
        return Some(Finding::bad(
            "names",
            format!("no address for {}", unknown.join(", ")),
            "check the name servers in `/etc/resolv.conf`, and the spelling of the host",
        ));
    }
    asked.iter().any(|one| one.reached).then(|| Finding::good("names", "the servers' names have addresses"))
}

/// Whether this machine's time is that of a server, where one told it.
fn clock(now: u64, there: Option<u64>) -> Finding {
    let fix = "set the clock (`timedatectl set-ntp true`): certificates and signed metadata are valid at their time only";
    let told = pinfold_base::time::rfc3339(now);
    match there {
        Some(there) if now.abs_diff(there) >= SKEW => {
            let off = now.abs_diff(there);
            let way = if now > there { "ahead of" } else { "behind" };
            let found = format!("{told}, {} min {way} the servers", off / 60);
            if off >= FAR { Finding::bad("clock", found, fix) } else { Finding::note("clock", found, fix) }
        }
        Some(_) => Finding::good("clock", format!("{told}, as the servers have it")),
        None if now < EARLIEST => Finding::bad("clock", told, fix),
        None => Finding::good("clock", told),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

#[cfg(test)]
mod tests {
    use pinfold_base::http::SafeUrl;
    use pinfold_base::http::Source;
    use pinfold_testkit::http::Response;
    use pinfold_testkit::http::Server as Web;

    use super::super::Grade;
    use super::*;

    fn asked(url: &str) -> (Finding, Asked) {
        let source = Ok(Source::open(SafeUrl::parse(url).unwrap()));
        ask(
            &http::Client::with(http::Options { retries: 0, ..http::Options::default() }),
            &Server { what: "npm registry".into(), source },
        )
    }

    #[test]
    fn a_server_is_told_by_what_it_answers() {
        for (status, grade, fix) in [
            (200, Grade::Good, None),
            (401, Grade::Bad, Some("credentials")),
            (404, Grade::Bad, Some("correct its address")),
            (503, Grade::Bad, Some("")),
        ] {
            let web =
                Web::start(move |_| Response::status(status).header("Date", "Sat, 11 Jul 2026 10:16:37 GMT"));
            let (finding, asked) = asked(&web.url("/tool"));
            assert_eq!(finding.grade, grade, "{status}: {finding:?}");
            assert_eq!(finding.fix.is_some(), fix.is_some(), "{status}: {finding:?}");
            assert!(finding.fix.unwrap_or_default().contains(fix.unwrap_or_default()), "{status}");
            assert_eq!(web.requests().len(), 1, "asked once");
            if status < 500 {
                assert_eq!((asked.reached, asked.time), (true, Some(1_783_764_997)));
            }
        }
    }

    #[test]
    fn nobody_there_and_a_name_without_an_address_are_told_apart() {
        // Bound and closed: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (finding, asked) = asked(&format!("http://127.0.0.1:{port}/"));
        assert!(finding.grade == Grade::Bad && finding.fix.unwrap().contains("HTTPS_PROXY"));
        assert!(!asked.reached && asked.unknown.is_none());
        assert!(names(&[&asked]).is_none(), "it was asked by number");
        let unknown = Asked { unknown: Some("mirror.example".into()), ..Asked::default() };
        let finding = names(&[&asked, &unknown]).unwrap();
        assert_eq!((finding.grade, finding.found.as_str()), (Grade::Bad, "no address for mirror.example"));
        let reached = Asked { reached: true, ..Asked::default() };
        assert_eq!(names(&[&reached]).unwrap().grade, Grade::Good);
    }

    #[test]
    fn a_machine_with_nothing_but_loopback_is_offline() {
        // As Linux 6.1 has it, in `unshare -n` and out of it.
        let head = "Inter-|   Receive                            |  Transmit\n face |bytes    packets errs\n";
        let alone = format!("{head}    lo:       0       0    0    0\n");
        assert_eq!(network(&alone).grade, Grade::Bad);
        assert_eq!(network(&format!("{alone}  eth0: 1234 5 0 0\n")), Finding::good("network", "eth0"));
    }

    #[test]
    fn the_clock_is_held_to_that_of_a_server() {
        let at = 1_783_764_997;
        for (now, there, grade, text) in [
            (at, Some(at), Grade::Good, "2026-07-11T10:16:37Z, as the servers have it"),
            (at + SKEW - 1, Some(at), Grade::Good, "as the servers"),
            (at + SKEW, Some(at), Grade::Note, "5 min ahead of the servers"),
            (at - FAR, Some(at), Grade::Bad, "1440 min behind the servers"),
            (at, None, Grade::Good, "2026-07-11T10:16:37Z"),
            (0, None, Grade::Bad, "1970-01-01T00:00:00Z"),
        ] {
            let found = clock(now, there);
            assert!(found.grade == grade && found.found.contains(text), "{found:?}");
        }
    }
}
