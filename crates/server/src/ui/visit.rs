//! Who looks at a page and how: session, theme, zone, place. And the headers every page carries.

use askama::Template;
use axum::{
    extract::{FromRequestParts, Query, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::CookieJar;
use store::RunFilter;

use crate::{
    RequestId,
    error::ApiError,
    pages::{MessagePage, NavCounts, Person, Shell, Theme, Zone},
    state::{App, Shared},
};

/// Nothing from elsewhere, no inline script; inline styles only place bars.
const POLICY: &str =
    "default-src 'self'; style-src-attr 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Dead letters are counted so far for the sidebar.
const DEAD_LETTERS_COUNTED: u32 = 100;

/// The query of an address; what cannot be read counts as not said.
pub(crate) type Asked<T> = Result<Query<T>, QueryRejection>;

/// What a request for a page says about whoever looks, signed in or not.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) jar: CookieJar,
    pub(crate) here: String,
    request_id: String,
}

/// A signed-in person. Anybody else is sent to the sign-in page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    visit: Visit,
    /// The name, for the record.
    pub(crate) name: String,
}

impl Visit {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap, request_id: &str) -> Self {
        let here = match uri.path_and_query() {
            Some(place) if method == Method::GET => place.as_str().to_owned(),
            // A form leads back to the page it stands on.
            _ => match uri.path().strip_prefix("/runs/").and_then(|rest| rest.split_once('/')) {
                Some((run, _)) => format!("/runs/{run}"),
                None => "/runs".to_owned(),
            },
        };
        Self { jar: CookieJar::from_headers(headers), here, request_id: request_id.to_owned() }
    }

    pub(crate) fn of(parts: &Parts) -> Self {
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.as_str()).unwrap_or_default();
        Self::new(&parts.method, &parts.uri, &parts.headers, request_id)
    }

    /// The surroundings of a page for somebody who may not be signed in.
    pub(crate) fn shell(&self, app: &App, user: Option<&str>) -> Shell {
        let zone =
            self.jar.get("tz").and_then(|cookie| decoded(cookie.value())).map_or_else(Zone::utc, |name| Zone::named(&name));
        Shell {
            theme: Theme::from_cookie(self.jar.get("theme").map(axum_extra::extract::cookie::Cookie::value)),
            zone,
            environment: app.settings.environment.clone(),
            user: user.map(|name| Person { name: name.to_owned() }),
            request_id: self.request_id.clone(),
            ..Shell::bare(app.now().micros(), &self.here)
        }
    }

    /// The same for whoever the session cookie names, as far as the store answers.
    pub(crate) async fn shell_of_session(&self, app: &App) -> Shell {
        let session = app.session(&self.jar).await.ok().flatten();
        self.shell(app, session.as_ref().map(|session| session.user.as_str()))
    }
}

impl Visitor {
    /// The surroundings of a page.
    pub(crate) async fn shell(&self, app: &App) -> Shell {
        let open = RunFilter { dead_letters: true, limit: DEAD_LETTERS_COUNTED, ..RunFilter::default() };
        // A sidebar without its number is better than no page.
        let dead_letters = app.store().runs(&open).await.map_or(0, |rows| rows.len() as u64);
        Shell { counts: NavCounts { dead_letters, ..NavCounts::default() }, ..self.visit.shell(app, Some(&self.name)) }
    }

    /// The surroundings without numbers, for live updates.
    pub(crate) fn plain_shell(&self, app: &App) -> Shell {
        self.visit.shell(app, Some(&self.name))
    }
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Response> {
        let visit = Visit::of(parts);
        match app.session(&visit.jar).await {
            Ok(Some(session)) => Ok(Self { visit, name: session.user }),
            // A script asks again by itself; a page sends the person to sign in.
            Ok(None) if parts.uri.path().starts_with("/ui/") => Err(StatusCode::UNAUTHORIZED.into_response()),
            Ok(None) => Err(to_signin(&visit.here)),
            Err(error) => Err(failed(app, &visit, &error.into()).await),
        }
    }
}

/// The way to the sign-in page and back.
pub(crate) fn to_signin(here: &str) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
    Redirect::to(&if here == "/" || here == "/runs" { "/signin".to_owned() } else { format!("/signin?{query}") }).into_response()
}

/// A path of this site, or nothing: never another site's address.
pub(crate) fn local(path: Option<&str>) -> Option<&str> {
    path.filter(|path| {
        let mut bytes = path.bytes();
        // `//host` and `/\host` are addresses of other sites to a browser.
        bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\')) && path.bytes().all(|byte| byte > 0x20)
    })
}

fn decoded(text: &str) -> Option<String> {
    form_urlencoded::parse(format!("v={text}").as_bytes()).next().map(|(_, value)| value.into_owned())
}

/// Writes a page with the headers every page carries.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "ui.page: a template could not be written");
            return (StatusCode::INTERNAL_SERVER_ERROR, "Liaison failed. The log has the details.").into_response();
        }
    };
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, html).into_response()
}

/// The page of an error.
pub(crate) async fn failed(app: &App, visit: &Visit, error: &ApiError) -> Response {
    let shell = visit.shell_of_session(app).await;
    if error.status == StatusCode::NOT_FOUND && error.code == "NOT_FOUND" && error.message.starts_with("There is no page") {
        return page(error.status, &MessagePage::not_found(shell));
    }
    let (what, why) = words(error);
    page(error.status, &MessagePage::failed(shell, what, why))
}

/// What the page of an error says: what happened, and why.
fn words(error: &ApiError) -> (&'static str, &str) {
    match error.status.as_u16() {
        503 if error.code == "DATABASE_UNAVAILABLE" => {
            ("The page could not be loaded", "The database does not answer. Your recipes keep running as far as they can.")
        }
        503 => ("This is not possible now", &error.message),
        507 => ("The disk is full", &error.message),
        500..=599 => ("Liaison failed", "The log has the details under the request’s ID, which “Copy details” gives you."),
        404 => ("Nothing is here", &error.message),
        409 => ("This is not possible now", &error.message),
        _ => ("This did not work", &error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_paths_are_followed() {
        for good in ["/", "/runs?status=failed", "/runs/run_1?step=a%5B0%5D.b"] {
            assert_eq!(local(Some(good)), Some(good));
        }
        for bad in ["", "runs", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/a\r\nSet-Cookie: x"] {
            assert_eq!(local(Some(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_form_leads_back_to_its_page() {
        let here = |method: Method, uri: &'static str| Visit::new(&method, &Uri::from_static(uri), &HeaderMap::new(), "").here;
        assert_eq!(here(Method::GET, "/runs?q=1"), "/runs?q=1");
        assert_eq!(here(Method::POST, "/runs/run_1/resume"), "/runs/run_1");
        assert_eq!(here(Method::POST, "/signout"), "/runs");
    }

    #[test]
    fn an_error_page_says_what_happened() {
        use store::StoreError;
        let of = |error: ApiError| words(&error).0.to_owned() + ": " + words(&error).1;
        let full = of(StoreError::Unavailable(format!("{} on the disk", store::NO_ROOM)).into());
        assert!(full.starts_with("The disk is full") && full.contains("Free some room"), "{full}");
        let away = of(StoreError::Unavailable("gone".to_owned()).into());
        assert!(away.contains("The database does not answer"), "{away}");
        let stopping = of(engine::IntakeError::Stopping.into());
        assert!(stopping.contains("is stopping") && !stopping.contains("database"), "{stopping}");
    }

    #[test]
    fn zones_come_percent_encoded() {
        assert_eq!(decoded("America%2FNew_York").as_deref(), Some("America/New_York"));
        assert_eq!(decoded("Etc%2FGMT%2B1").as_deref(), Some("Etc/GMT+1"));
    }
}
