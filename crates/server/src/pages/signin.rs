//! Sign in by the one-time link that `liaison serve` prints.

use askama::Template;
use askama_web::WebTemplate;

use super::shell::Shell;

/// What the sign-in page has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigninState {
    /// No link yet: tell where to find one.
    Ask,
    /// A good link was opened: one press signs in. Opening alone does not, so that link previews
    /// cannot use it up.
    Confirm {
        /// The one-time token, sent back by the form.
        token: String,
    },
    /// The link was used before, is too old, or was never one of ours: the store does not tell which.
    Refused,
    /// The link is not one of ours, or was cut when it was copied.
    Unknown,
    /// The session ended.
    SignedOut,
}

/// `/signin`
#[derive(Debug, Clone, Template, WebTemplate)]
#[template(path = "signin.html")]
pub struct SigninPage {
    /// The surroundings, without a person.
    pub shell: Shell,
    /// What to say.
    pub state: SigninState,
    /// Where to go afterwards: a path of this site, sent back as `next`.
    pub next: Option<String>,
}

impl SigninPage {
    fn title(&self) -> &'static str {
        "Sign in"
    }

    fn token(&self) -> Option<&str> {
        match &self.state {
            SigninState::Confirm { token } => Some(token),
            _ => None,
        }
    }

    /// What is wrong with the link, and what to do, if something is.
    fn problem(&self) -> Option<(&'static str, &'static str)> {
        match self.state {
            SigninState::Refused => Some((
                "This link does not work any more",
                "Each link signs in once, within 15 minutes. See below how to get a new one.",
            )),
            SigninState::Unknown => Some((
                "This is not a sign-in link",
                "It may have been cut when it was copied. Copy the whole link, or get a new one.",
            )),
            SigninState::Ask | SigninState::Confirm { .. } | SigninState::SignedOut => None,
        }
    }

    fn signed_out(&self) -> bool {
        self.state == SigninState::SignedOut
    }
}
