//! [`Bearer`]: the token that a client sends, and when it is to be read or issued anew. Decides; does no I/O.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::config::ExecConfig;
use tokio::time::Instant;

use super::plugin::Issued;
use super::token::Token;
use crate::ConnectFailure;

/// How long before its end an expiring token is replaced.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// How often a token file is read again.
const FILE_INTERVAL: Duration = Duration::from_secs(60);

/// How long after a plugin ran it is not run again, whatever calls for it: a server that refuses every token must not
/// make it run on each request.
const PLUGIN_PAUSE: Duration = Duration::from_secs(5);

/// The same for a file, which costs little to read.
const FILE_PAUSE: Duration = Duration::from_millis(100);

/// The token that a client sends.
#[derive(Clone)]
pub(crate) struct Bearer {
    source: Origin,
    token: Option<Token>,
    expires: Option<Timestamp>,
    /// When the certificate that came with the first token, or instead of one, ends. Nothing can put another in its
    /// place: it lives in the TLS configuration.
    certificate_expires: Option<Timestamp>,
    /// When the last renewal ended, or the first token came.
    renewed: Instant,
    stage: Stage,
    /// Whether the server refused the token.
    refused: bool,
    /// Why the last renewal failed.
    failure: Option<ConnectFailure>,
}

/// What is known of the standing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is the first, and no server took it yet. A new one would hardly be better.
    ///
    /// Left for `Proven` when a server takes it, for `Renewed` by a renewal.
    First,
    /// It is the first, and a server took it. If one refuses it now, something has changed.
    ///
    /// Left for `Renewed` by a renewal.
    Proven,
    /// A renewal brought it, or failed to bring another. Never left: a server that takes a token for one request may
    /// refuse it for another, and then the pause is what keeps renewals apart.
    Renewed,
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) enum Origin {
    /// There is one, or none, and that is all.
    Fixed,
    File(PathBuf),
    Plugin {
        exec: Arc<ExecConfig>,
        deadline: Duration,
    },
}

impl Origin {
    /// How long after a renewal the next one is not begun.
    fn pause(&self) -> Duration {
        match self {
            Self::Fixed => Duration::MAX,
            Self::File(_) => FILE_PAUSE,
            Self::Plugin { .. } => PLUGIN_PAUSE,
        }
    }
}

/// Whether the token is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    No,
    /// Yes, and the standing one is good meanwhile.
    Soon,
    /// Yes, and nothing can be sent before.
    Now,
}

impl Bearer {
    fn new(source: Origin, token: Option<Token>, expires: Option<Timestamp>) -> Self {
        let certificate_expires = None;
        let (renewed, stage) = (Instant::now(), Stage::First);
        Self { source, token, expires, certificate_expires, renewed, stage, refused: false, failure: None }
    }

    /// No token: the configuration holds what there is of credentials.
    pub(crate) fn none() -> Self {
        Self::new(Origin::Fixed, None, None)
    }

    pub(crate) fn fixed(token: Token) -> Self {
        Self::new(Origin::Fixed, Some(token), None)
    }

    pub(crate) fn from_file(path: PathBuf, token: Token) -> Self {
        Self::new(Origin::File(path), Some(token), None)
    }

    /// Each renewal may take as long as `deadline`.
    pub(crate) fn from_plugin(exec: ExecConfig, issued: Issued, deadline: Duration) -> Self {
        let Issued { token, identity, expires } = issued;
        let certificate_expires = expires.filter(|_| identity.is_some());
        let bearer = match token {
            Some(token) => Self::new(Origin::Plugin { exec: Arc::new(exec), deadline }, Some(token), expires),
            None => Self::none(),
        };
        Self { certificate_expires, ..bearer }
    }

    /// When the client as a whole ceases to be good: nothing renews a certificate.
    pub(crate) fn client_valid_until(&self) -> Option<Timestamp> {
        self.certificate_expires
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.source
    }

    /// Whether another token may follow the standing one.
    pub(crate) fn is_renewable(&self) -> bool {
        !matches!(self.source, Origin::Fixed)
    }

    /// What to send.
    pub(crate) fn token(&self, now: Timestamp) -> Result<Option<&Token>, ConnectFailure> {
        match &self.failure {
            Some(failure) if self.has_expired(now) => Err(failure.clone()),
            _ => Ok(self.token.as_ref()),
        }
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// Notes that the server refused `token`; if another one is in use by now that says nothing.
    pub(crate) fn refuse(&mut self, token: &Token) {
        self.refused |= self.token.as_ref() == Some(token);
    }

    /// Notes that the server took `token`.
    pub(crate) fn accept(&mut self, token: &Token) {
        if self.stage == Stage::First && self.token.as_ref() == Some(token) {
            self.stage = Stage::Proven;
        }
    }

    pub(crate) fn renew(&mut self, renewal: Result<(Token, Option<Timestamp>), ConnectFailure>, at: Instant) {
        self.renewed = at;
        self.stage = Stage::Renewed;
        self.refused = false;
        match renewal {
            Ok((token, expires)) => {
                self.token = Some(token);
                self.expires = expires;
                self.failure = None;
            }
            Err(failure) => self.failure = Some(failure),
        }
    }

    pub(crate) fn due(&self, wall: Timestamp, now: Instant) -> Due {
        let age = now.saturating_duration_since(self.renewed);
        let paused = age < self.source.pause();
        if matches!(self.source, Origin::Fixed) || (paused && !(self.refused && self.stage == Stage::Proven)) {
            return Due::No;
        }
        let file_is_old = matches!(self.source, Origin::File(_)) && age >= FILE_INTERVAL;
        let expires_soon = self.expires.is_some_and(|expires| wall.saturating_add(EARLY).is_ok_and(|at| at >= expires));
        if self.refused || self.has_expired(wall) {
            Due::Now
        } else if file_is_old || expires_soon {
            Due::Soon
        } else {
            Due::No
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use kube::config::ExecConfig;
    use secrecy::SecretString;
    use tokio::time::Instant;

    use super::{Bearer, Due, FILE_PAUSE, Origin, PLUGIN_PAUSE};
    use crate::ConnectFailure;
    use crate::connect::plugin::{Identity, Issued};
    use crate::connect::token::Token;

    fn token(text: &str) -> Token {
        Token::new(&SecretString::from(text)).unwrap()
    }

    fn file() -> Bearer {
        Bearer::from_file("/token".into(), token("first"))
    }

    /// A bearer from a plugin whose token expires in this many seconds from [`wall`].
    fn plugin(expires_in: Option<i64>) -> Bearer {
        let source = Origin::Plugin { exec: Arc::default(), deadline: Duration::from_secs(1) };
        Bearer::new(source, Some(token("first")), expires_in.map(|seconds| wall() + SignedDuration::from_secs(seconds)))
    }

    fn wall() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// What is due so many seconds after the last renewal, on both clocks.
    fn due(bearer: &Bearer, seconds: u64) -> Due {
        due_after(bearer, Duration::from_secs(seconds))
    }

    fn due_after(bearer: &Bearer, age: Duration) -> Due {
        bearer.due(wall() + age, bearer.renewed + age)
    }

    #[test]
    fn what_cannot_be_renewed_is_never_due() {
        for mut bearer in [Bearer::none(), Bearer::fixed(token("first"))] {
            bearer.refuse(&token("first"));
            assert_eq!(due(&bearer, 1_000_000), Due::No);
        }
    }

    #[test]
    fn a_token_file_is_read_again_once_a_minute() {
        assert_eq!([0, 59, 60, 600].map(|age| due(&file(), age)), [Due::No, Due::No, Due::Soon, Due::Soon]);
    }

    #[test]
    fn a_token_is_renewed_a_minute_before_it_expires_and_not_sent_after() {
        let bearer = plugin(Some(300));
        let table = [(0, Due::No), (239, Due::No), (240, Due::Soon), (299, Due::Soon), (300, Due::Now)];
        for (age, expected) in table {
            assert_eq!(due(&bearer, age), expected, "after {age} s");
        }
        assert_eq!(due(&plugin(None), 1_000_000), Due::No, "a token without an end stays");
    }

    #[test]
    fn a_refused_token_is_renewed_before_the_next_request() {
        for mut bearer in [file(), plugin(None)] {
            bearer.refuse(&token("another"));
            assert_eq!(due(&bearer, 10), Due::No, "it was not this one");
            bearer.refuse(&token("first"));
            assert_eq!(due(&bearer, 10), Due::Now);
        }
    }

    #[test]
    fn renewals_are_never_close_to_each_other() {
        for (mut bearer, pause) in [(file(), FILE_PAUSE), (plugin(None), PLUGIN_PAUSE), (plugin(Some(0)), PLUGIN_PAUSE)]
        {
            bearer.renew(Ok((token("second"), bearer.expires)), bearer.renewed);
            bearer.accept(&token("second"));
            bearer.refuse(&token("second"));
            let ages = [Duration::ZERO, pause.saturating_sub(Duration::from_millis(1)), pause];
            assert_eq!(ages.map(|age| due_after(&bearer, age)), [Due::No, Due::No, Due::Now]);
        }
    }

    #[test]
    fn a_first_token_that_the_server_took_before_it_refused_it_is_renewed_at_once() {
        for mut bearer in [file(), plugin(None)] {
            bearer.refuse(&token("first"));
            assert_eq!(due(&bearer, 0), Due::No, "it was never any good, and was issued just now");
            bearer.accept(&token("another"));
            assert_eq!(due(&bearer, 0), Due::No, "it was not this one");
            bearer.accept(&token("first"));
            assert_eq!(due(&bearer, 0), Due::Now);
        }
    }

    #[test]
    fn a_first_token_that_ends_soon_is_not_issued_again_at_once() {
        let mut bearer = plugin(Some(0));
        bearer.accept(&token("first"));
        assert_eq!(due(&bearer, PLUGIN_PAUSE.as_secs() - 1), Due::No);
        assert_eq!(due(&bearer, PLUGIN_PAUSE.as_secs()), Due::Now);
    }

    #[test]
    fn a_renewal_that_fails_is_told_once_the_token_has_expired() {
        let mut bearer = plugin(Some(300));
        bearer.renew(Err(ConnectFailure::NoThread), Instant::now());
        assert_eq!(bearer.token(wall()).unwrap(), Some(&token("first")));
        let expired = wall() + SignedDuration::from_secs(300);
        assert!(matches!(bearer.token(expired), Err(ConnectFailure::NoThread)));

        bearer.renew(Ok((token("second"), None)), Instant::now());
        assert_eq!(bearer.token(expired).unwrap(), Some(&token("second")));
    }

    #[test]
    fn a_client_ends_with_its_certificate_also_where_a_token_is_renewed() {
        let until = |with_token: bool, with_certificate: bool| {
            let token = with_token.then(|| token("first"));
            let identity = with_certificate.then(Identity::default);
            let issued = Issued { token, identity, expires: Some(wall()) };
            let mut bearer = Bearer::from_plugin(ExecConfig::default(), issued, Duration::from_secs(1));
            let later = wall() + SignedDuration::from_secs(300);
            bearer.renew(Ok((super::tests::token("second"), Some(later))), Instant::now());
            bearer.client_valid_until()
        };
        assert_eq!(until(true, false), None, "a token is renewed");
        assert_eq!(until(false, true), Some(wall()));
        assert_eq!(until(true, true), Some(wall()), "the certificate that came with the token is not");
    }
}
