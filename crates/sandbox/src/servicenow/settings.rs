//! What can be changed about an instance while it runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tokens::Policy;

/// The settings, named as in the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// How long an access token is good for, in seconds.
    pub(super) access_token_s: i64,
    /// How long a refresh token is good for, in seconds.
    pub(super) refresh_token_s: i64,
    /// True when each refresh gives a new refresh token.
    pub(super) rotate_refresh_tokens: bool,
    /// True when the Table API takes user name and password.
    pub(super) basic_auth: bool,
    /// True when the password grant is allowed.
    pub(super) password_grant: bool,
    /// `glide.oauth.inbound.client.credential.grant_type.enabled`.
    pub(super) client_credentials: bool,
    /// The user name under which sign-in pages are approved at once; a person fills them in when it is empty.
    pub(super) approve_as: String,
    /// PEM keys whose assertions are taken.
    pub(super) jwt_public_keys: Vec<String>,
    /// `glide.invalid_query.returns_no_rows`.
    pub(super) invalid_query_returns_no_rows: bool,
    /// True when a resolved incident needs a code and notes.
    pub(super) data_policies: bool,
    /// Calls an hour by API: `{"Table API": 100}`.
    pub(super) rate_limits: BTreeMap<String, u64>,
    /// Lists with more rows than that are cut by the time a call may take.
    pub(super) cancel_rows_over: Option<usize>,
    /// True when such an answer is valid JSON with a result and an error, false when it breaks off.
    pub(super) cancelled_json_is_valid: bool,
    /// Records that access rules hide from everybody but administrators: encoded query by table.
    pub(super) hidden: BTreeMap<String, String>,
    /// True when the instance sleeps and answers with a page.
    pub(super) hibernating: bool,
    /// How long an asynchronous transform of `insertMultiple` takes, in seconds.
    pub(super) transform_s: i64,
    /// Items of a batch that are run; the rest comes back as not serviced.
    pub(super) batch_items_run: Option<usize>,
    /// How often an outgoing call of a rule is tried again; the vendor's own calls are not.
    pub(super) webhook_retries: u8,
    /// What addresses in answers begin with; what the client wrote when left out.
    pub(super) base_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_s: 1_800,
            refresh_token_s: 8_640_000,
            rotate_refresh_tokens: false,
            basic_auth: true,
            password_grant: true,
            client_credentials: true,
            approve_as: String::new(),
            jwt_public_keys: Vec::new(),
            invalid_query_returns_no_rows: false,
            data_policies: true,
            rate_limits: BTreeMap::new(),
            cancel_rows_over: None,
            cancelled_json_is_valid: true,
            hidden: BTreeMap::new(),
            hibernating: false,
            transform_s: 1,
            batch_items_run: None,
            webhook_retries: 0,
            base_url: None,
        }
    }
}

impl Settings {
    /// How tokens live under these settings.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            access_s: self.access_token_s,
            slides: false,
            refresh_s: Some(self.refresh_token_s),
            rotates: self.rotate_refresh_tokens,
            refresh_per_subject: None,
        }
    }
}
