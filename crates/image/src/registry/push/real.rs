//! Against Debian's `docker-registry`: two who push at once, and tokens.

use std::sync::Barrier;
use std::time::Duration;

use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_base::http::Secret;
use pinfold_base::report::Silent;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::registry::USER;
use pinfold_testkit::tokens::Life;

use super::tests::image;
use super::*;
use crate::registry::Credentials;
use crate::registry::Endpoint;
use crate::registry::Keyring;
use crate::registry::Nobody;
use crate::sink::copy;

/// Rounds of two pushes: one in four or five failed when a refusal was believed at once.
const ROUNDS: usize = 20;

struct Me;

impl Keyring for Me {
    fn find(&self, _: &str, _: &str) -> Result<Credentials, RegistryError> {
        Ok(Credentials::Password { user: USER.0.into(), password: Secret::new(USER.1) })
    }
}

fn client(registry: &DockerRegistry, repository: &str, keyring: Arc<dyn Keyring>) -> Client {
    let http = http::Client::with(http::Options {
        pause: Duration::from_millis(50),
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    Client::new(http, Endpoint::of(&registry.host(), false).unwrap(), repository, keyring)
}

fn push(
    client: &Client,
    tag: &str,
    from: &dyn Blobs,
    root: &Descriptor,
    mount_from: &[&str],
) -> Result<Sent, ImageError> {
    let how = Sending {
        tag: Some(tag.into()),
        mount_from: mount_from.iter().map(|name| (*name).to_owned()).collect(),
        ..Sending::default()
    };
    let sink = RegistrySink::new(client, &how, &Silent);
    let told = sink.told();
    copy(from, root, sink)?;
    let sent = told.lock().unwrap().clone();
    Ok(sent)
}

/// All of an image that is under a tag, read back.
fn whole(client: &Client, tag: &str, from: &dyn Blobs, root: &Descriptor) {
    assert_eq!(client.head_manifest(&Which::Tag(tag.into())).unwrap().unwrap().digest, root.digest);
    for part in parts(from, root).unwrap() {
        if is_document(&part) {
            let which = Which::Digest(part.digest.clone());
            assert!(client.get_manifest(&which, Some(&part)).unwrap().is_some(), "{}", part.digest);
        } else {
            assert_eq!(client.head_blob(&part.digest).unwrap(), Some(part.size));
        }
    }
}

#[test]
fn two_pushes_of_one_image_at_once_both_end_well() {
    let Some(registry) = DockerRegistry::start(Auth::Open) else { return };
    let (memory, root) = image();
    for round in 0..ROUNDS {
        let repository = format!("team/{round}");
        // To one tag, and to a tag of their own.
        let tags = if round % 2 == 0 { ["1", "1"] } else { ["1", "2"] };
        let at_once = Barrier::new(2);
        std::thread::scope(|scope| {
            for tag in tags {
                let client = client(&registry, &repository, Arc::new(Nobody));
                let (memory, root, at_once) = (&memory, &root, &at_once);
                scope.spawn(move || {
                    at_once.wait();
                    push(&client, tag, memory, root, &[])
                        .unwrap_or_else(|error| panic!("round {round}: {error}"));
                });
            }
        });
        for tag in tags {
            whole(&client(&registry, &repository, Arc::new(Nobody)), tag, &memory, &root);
        }
    }
}

#[test]
fn a_registry_that_wants_tokens_gets_them_for_what_is_asked() {
    let long = Duration::from_secs(300);
    let Some(registry) = DockerRegistry::start(Auth::Tokens(Life { told: long, real: long })) else { return };
    let (memory, root) = image();
    let asked = |from: usize| registry.tokens().unwrap().requests().len() - from;
    // Nobody may write, and may read what is public.
    let nobody = client(&registry, "public/x", Arc::new(Nobody));
    let error = push(&nobody, "1", &memory, &root, &[]).unwrap_err();
    assert!(error.to_string().contains("denies"), "{error}");
    let mine = client(&registry, "public/x", Arc::new(Me));
    let before = asked(0);
    assert_eq!(push(&mine, "1", &memory, &root, &[]).unwrap().sent.len(), 3);
    assert!((1..=2).contains(&asked(before)), "one token to look, one to write: {}", asked(before));
    whole(&client(&registry, "public/x", Arc::new(Nobody)), "1", &memory, &root);
    let error = client(&registry, "team/x", Arc::new(Nobody)).head_manifest(&Which::Tag("1".into()));
    assert!(matches!(error, Err(RegistryError::Denied { .. })), "{error:?}");
    // A repository that blobs may be mounted from, and one that may not be read: it is asked for once.
    let other = client(&registry, "team/y", Arc::new(Me));
    assert_eq!(push(&other, "1", &memory, &root, &["public/x"]).unwrap().mounted.len(), 3);
    let other = client(&registry, "team/z", Arc::new(Me));
    let before = asked(0);
    let sent = push(&other, "1", &memory, &root, &["denied/x"]).unwrap();
    assert_eq!((sent.sent.len(), sent.mounted.len()), (3, 0));
    let with_source = registry.tokens().unwrap().requests()[before..]
        .iter()
        .filter(|request| request.path.contains("denied"))
        .count();
    assert!((1..=3).contains(&with_source), "asked for one blob, and not for each of three: {with_source}");
    whole(&other, "1", &memory, &root);
    let error = push(&client(&registry, "denied/x", Arc::new(Me)), "1", &memory, &root, &[]).unwrap_err();
    assert!(error.to_string().contains("denies"), "{error}");
}

/// A token whose reader was told that it lives longer.
#[test]
fn a_token_that_dies_in_the_middle_of_a_push_is_renewed() {
    let life = Life { told: Duration::from_secs(300), real: Duration::from_secs(1) };
    let Some(registry) = DockerRegistry::start(Auth::Tokens(life)) else { return };
    let (memory, root) = image();
    let client = client(&registry, "team/x", Arc::new(Me));
    let how = Sending { tag: Some("1".into()), ..Sending::default() };
    let asked = || registry.tokens().unwrap().requests().len();
    let at_the_tag = Mutex::new(0);
    let rest = || {
        *at_the_tag.lock().unwrap() = asked();
        std::thread::sleep(Duration::from_millis(2_100));
        Ok(())
    };
    copy(&memory, &root, RegistrySink::new(&client, &how, &Silent).before_tag(&rest)).unwrap();
    assert!(asked() > *at_the_tag.lock().unwrap(), "a token died");
    whole(&client, "1", &memory, &root);
}
