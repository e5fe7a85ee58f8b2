//! The recipes of a server, as `apply`, `export` and `diff` read them.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;

use crate::remote::Remote;

/// Characters of a slug at most.
const SLUG_CHARS_MAX: usize = 63;

/// A recipe of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deployed {
    /// The newest version.
    pub(super) newest: u64,
    /// The version that runs; `None` when it is switched off.
    pub(super) active: Option<u64>,
}

/// Every recipe of a server, by slug.
pub(super) async fn recipes(remote: &Remote) -> anyhow::Result<BTreeMap<String, Deployed>> {
    remote.everything("/api/v1/recipes").await?.iter().map(read).collect()
}

/// Exactly the text that was sent as this version.
pub(super) async fn text(remote: &Remote, slug: &str, version: u64) -> anyhow::Result<String> {
    // As JSON: an answer that is plain text would lose its byte-order mark on the way.
    let place = format!("/api/v1/recipes/{slug}/versions/{version}");
    let answer = remote.send(Method::GET, &place, None).await?.good()?.json();
    let text = answer["text"].as_str().context("the server's answer holds no text; is it an older version?")?;
    Ok(text.to_owned())
}

fn read(row: &Value) -> anyhow::Result<(String, Deployed)> {
    let slug = row["slug"].as_str().unwrap_or_default();
    // It becomes part of addresses and the name of a file.
    if !is_slug(slug) {
        bail!("the server's list holds a recipe called {slug:?}, which is no recipe's name. Is it a liaison server?");
    }
    let newest = row["version"].as_u64().with_context(|| format!("the server does not tell the version of recipe {slug}"))?;
    Ok((slug.to_owned(), Deployed { newest, active: row["active_version"].as_u64() }))
}

fn is_slug(text: &str) -> bool {
    (1..=SLUG_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
