//! Style, script and fonts: the bundle of `web/dist`, embedded in the binary.
//!
//! `cargo xtask web` makes the bundle; it is never committed. Without it this crate still compiles: the
//! pages then carry the plain stylesheets of `web/static/css`, no script and the system's fonts, and the
//! log says so once.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// The stylesheets in their order, for a binary without the bundle.
const PLAIN_CSS: &str = concat!(
    include_str!("../../../web/static/css/tokens.css"),
    include_str!("../../../web/static/css/base.css"),
    include_str!("../../../web/static/css/shell.css"),
    include_str!("../../../web/static/css/parts.css"),
    include_str!("../../../web/static/css/data.css"),
    include_str!("../../../web/static/css/pages.css"),
    include_str!("../../../web/static/css/run.css"),
    include_str!("../../../web/static/css/letters.css"),
    include_str!("../../../web/static/css/responsive.css"),
    include_str!("../../../web/static/css/preferences.css"),
);

const ICON: &[u8] = include_bytes!("../../../web/static/icon.svg");

const MANIFEST: &str = "manifest.json";

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// One file, ready to be served.
struct File {
    bytes: Cow<'static, [u8]>,
    etag: HeaderValue,
    mime: HeaderValue,
    /// The name carries a hash of the content, so it may be kept for ever.
    hashed: bool,
}

struct Bundle {
    files: HashMap<String, File>,
    /// Logical to hashed names.
    names: HashMap<String, String>,
    complete: bool,
}

static BUNDLE: LazyLock<Bundle> = LazyLock::new(Bundle::load);

/// The address of a file by its logical name, such as `app.css` or `app.js`.
pub fn asset(name: &str) -> String {
    let hashed = BUNDLE.names.get(name).map_or(name, String::as_str);
    format!("/assets/{hashed}")
}

/// Whether the bundle is in this binary, so that the script can be linked.
pub fn is_bundled() -> bool {
    BUNDLE.complete
}

/// `GET /assets/{*path}`
pub async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = BUNDLE.files.get(&path).filter(|_| !path.ends_with(".br") && !path.ends_with(".gz")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let caching = if file.hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let common = [
        (header::ETAG, file.etag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let unchanged = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/").as_bytes() == file.etag.as_bytes()));
    if unchanged {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let packed = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, suffix)| {
        let wanted = accepted.split(',').any(|part| part.split(';').next().unwrap_or_default().trim() == encoding);
        let file = BUNDLE.files.get(&format!("{path}.{suffix}")).filter(|_| wanted)?;
        Some(([(header::CONTENT_ENCODING, HeaderValue::from_static(encoding))], file))
    });
    let kind = [(header::CONTENT_TYPE, file.mime.clone()), (header::VARY, HeaderValue::from_static("accept-encoding"))];
    match packed {
        Some((encoding, packed)) => (common, kind, encoding, packed.body()).into_response(),
        None => (common, kind, file.body()).into_response(),
    }
}

impl Bundle {
    fn load() -> Self {
        let names: Option<HashMap<String, String>> = Dist::get(MANIFEST).and_then(|file| serde_json::from_slice(&file.data).ok());
        let complete = names.as_ref().is_some_and(|names| ["app.css", "app.js"].iter().all(|name| names.contains_key(*name)));
        let mut files = HashMap::new();
        let names = match names.filter(|_| complete) {
            Some(names) => {
                for path in Dist::iter().filter(|path| path != MANIFEST && !path.starts_with('.')) {
                    if let Some(file) = Dist::get(&path) {
                        files.insert(path.to_string(), File::new(&path, file.data, true));
                    }
                }
                names
            }
            None => {
                tracing::warn!("the web bundle is missing, pages run without script and fonts; make it with `cargo xtask web`");
                files.insert("app.css".to_owned(), File::new("app.css", Cow::Borrowed(PLAIN_CSS.as_bytes()), false));
                files.insert("icon.svg".to_owned(), File::new("icon.svg", Cow::Borrowed(ICON), false));
                HashMap::new()
            }
        };
        Self { files, names, complete }
    }
}

impl File {
    fn body(&self) -> bytes::Bytes {
        match &self.bytes {
            Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes::Bytes::copy_from_slice(bytes),
        }
    }

    fn new(path: &str, bytes: Cow<'static, [u8]>, hashed: bool) -> Self {
        let hash = Sha256::digest(&bytes);
        let etag: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let mime = match path.rsplit('.').next() {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("woff2") => "font/woff2",
            Some("svg") => "image/svg+xml",
            Some("json" | "map") => "application/json",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        };
        Self {
            etag: HeaderValue::from_str(&format!("\"{etag}\"")).unwrap_or(HeaderValue::from_static("\"0\"")),
            mime: HeaderValue::from_static(mime),
            bytes,
            hashed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stylesheet_is_always_there() {
        let address = asset("app.css");
        let path = address.strip_prefix("/assets/").expect("is an asset").to_owned();
        let answer = serve(Path(path.clone()), HeaderMap::new()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let etag = answer.headers()[header::ETAG].clone();
        let answer = serve(Path(path), HeaderMap::from_iter([(header::IF_NONE_MATCH, etag)])).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn text_is_packed_if_the_bundle_is_there() {
        let path = asset("app.css").trim_start_matches("/assets/").to_owned();
        let wants = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br;q=0.9"))]);
        let answer = serve(Path(path), wants).await;
        assert_eq!(answer.headers().contains_key(header::CONTENT_ENCODING), is_bundled());
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        for path in ["../Cargo.toml", "manifest.json", ".gitkeep", ""] {
            assert_eq!(serve(Path(path.to_owned()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
