//! The files of the dashboard, compiled into the binary. A debug build reads them from `dashboard/`
//! if it exists, so that a reload shows a change.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use store::key::Digest;

use super::response::{ResponseBody, respond};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Only our own scripts, styles and connections; no framing. Every text of a tool is data.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; object-src 'none'";

struct StaticPage {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! pages {
    ($($path:literal $media_type:ident),+ $(,)?) => {
        &[$(StaticPage {
            path: $path,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../dashboard/", $path)),
        }),+]
    };
}

const PAGES: &[StaticPage] = pages! {
    "index.html" HTML,
    "boot.js" JS,
    "style.css" CSS,
    "favicon.svg" SVG,
    "vendor/preact-htm.js" JS,
    "src/app.js" JS,
    "src/api.js" JS,
    "src/attempts.js" JS,
    "src/call.js" JS,
    "src/calls.js" JS,
    "src/compared.js" JS,
    "src/doubt.js" JS,
    "src/empty.js" JS,
    "src/events.js" JS,
    "src/format.js" JS,
    "src/json.js" JS,
    "src/keys.js" JS,
    "src/live.js" JS,
    "src/pages.js" JS,
    "src/parts.js" JS,
    "src/phases.js" JS,
    "src/query.js" JS,
    "src/route.js" JS,
    "src/session.js" JS,
    "src/sessions.js" JS,
    "src/settle.js" JS,
    "src/sign-in.js" JS,
    "src/stats.js" JS,
    "src/theme.js" JS,
    "src/timeline.js" JS,
};

/// Whether a browser requests a page to show.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

/// The file at `path`, or `None` if there is none.
pub(crate) fn get(path: &str, headers: &HeaderMap) -> Option<Response<ResponseBody>> {
    let name = match path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let page = PAGES.iter().find(|page| page.path == name)?;
    let bytes = page.read();
    let tag = format!("\"{}\"", Digest::of(&bytes).hex(16));
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|tags| tags.to_str().is_ok_and(|tags| tags.split(',').any(|one| one.trim() == tag)));
    let (status, bytes) = if known {
        (StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        (StatusCode::OK, Bytes::from(bytes.into_owned()))
    };
    let mut response = respond(status, page.media_type, bytes);
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    let fixed: [(HeaderName, &str); 5] = [
        // Revalidated each time: that is cheap on the loopback, and no page mixes versions.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

impl StaticPage {
    fn read(&self) -> Cow<'static, [u8]> {
        if cfg!(debug_assertions) {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboard");
            if let Ok(bytes) = std::fs::read(std::path::Path::new(folder).join(self.path)) {
                return bytes.into();
            }
        }
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_served_and_nothing_else() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        for page in PAGES {
            assert!(get(&format!("/{}", page.path), &HeaderMap::new()).is_some());
        }
        for file in std::fs::read_dir(root.join("src")).unwrap() {
            let name = format!("src/{}", file.unwrap().file_name().to_str().unwrap());
            assert!(PAGES.iter().any(|page| page.path == name), "{name} is not in the table");
        }
        for path in ["/package.json", "/src/", "/src/../package.json", "/src/app.js/", "/nothing"] {
            assert!(get(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let first = get("/", &HeaderMap::new()).unwrap();
        let headers =
            HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone())]);
        assert_eq!(get("/", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(first.status(), StatusCode::OK);
    }
}
