//! Who calls: basic sign-in, API keys and access tokens.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    State,
    data::{Person, Record},
    scene::{Call, Refusal},
};

/// Wrong passwords in a row that lock an account.
const WRONG_PASSWORDS_MAX: u32 = 5;

/// What people and programs sign in with.
#[derive(Default)]
pub(super) struct Secrets {
    /// Passwords by user name. They are not kept in records, which anybody may read.
    pub(super) passwords: HashMap<String, String>,
    /// The user's `sys_id` by API key.
    pub(super) api_keys: HashMap<String, String>,
    pub(super) wrong: HashMap<String, u32>,
}

impl State {
    /// Whom a call is made for.
    pub(super) fn caller(&mut self, call: &Call, now_s: i64) -> Result<Person, Refusal> {
        let authorization = call.header("authorization");
        let (scheme, rest) = authorization.split_once(' ').unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer") {
            let grant = self.tokens.check(now_s, rest.trim()).map_err(|_| Refusal::not_signed_in())?;
            return self.person(&grant.subject);
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let (name, password) = pair(rest).ok_or_else(Refusal::not_signed_in)?;
            if !self.settings.basic_auth {
                return Err(Refusal::not_signed_in());
            }
            let id = self.sign_in(&name, &password).ok_or_else(Refusal::not_signed_in)?;
            return self.person(&id);
        }
        let key =
            [call.header("x-sn-apikey"), call.param("x-sn-apikey").unwrap_or_default()].into_iter().find(|key| !key.is_empty());
        let id = key.and_then(|key| self.secrets.api_keys.get(key)).cloned().ok_or_else(Refusal::not_signed_in)?;
        self.person(&id)
    }

    /// The `sys_id` of who has that name and password. Wrong passwords lock the account, which looks the same.
    pub(super) fn sign_in(&mut self, name: &str, password: &str) -> Option<String> {
        let user = self.data.first("sys_user", "user_name", name)?.clone();
        if !may_sign_in(&user) {
            return None;
        }
        if self.secrets.passwords.get(name).is_some_and(|known| known == password) {
            self.secrets.wrong.remove(name);
            return Some(user.id().to_owned());
        }
        let wrong = self.secrets.wrong.entry(name.to_owned()).or_insert(0);
        *wrong += 1;
        if *wrong >= WRONG_PASSWORDS_MAX {
            self.secrets.wrong.remove(name);
            self.data.put((*user).clone().with("locked_out", "true"));
        }
        None
    }

    /// The user of a `sys_id`, if they may sign in.
    pub(super) fn person(&self, id: &str) -> Result<Person, Refusal> {
        let user = self.data.find("sys_user", id).filter(|user| may_sign_in(user));
        user.map(|user| Person::of(user)).ok_or_else(Refusal::not_signed_in)
    }
}

fn may_sign_in(user: &Record) -> bool {
    user.get("active") == "true" && user.get("locked_out") != "true"
}

/// Name and password of a basic sign-in.
pub(super) fn pair(encoded: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}
