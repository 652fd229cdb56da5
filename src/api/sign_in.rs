//! Signs browsers in to an API with a token: with a cookie that scripts cannot read, and a key that
//! only pages of this origin have.
//!
//! A cookie is sent to every port of a host, so other local servers see it; the key is in the
//! storage of the page, which only this origin can read. Neither is of use without the other, and
//! neither is the token.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use store::Store;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::response::{JSON, ResponseBody, TEXT, respond};

/// The header with the key of the page.
const PAGE_KEY: HeaderName = HeaderName::from_static("state-engine-page");
const COOKIE: &str = "state-engine";

/// The most signed-in browsers; a further one replaces the oldest.
const MAX_BROWSERS: usize = 32;

/// The signed-in browsers, forgotten when the engine stops.
#[derive(Debug)]
pub(crate) struct SignIns {
    store: Store,
    state: Mutex<SignedIn>,
}

#[derive(Default)]
struct SignedIn {
    /// The ticket of the one-time URL, until it is used.
    ticket: Option<String>,
    browsers: VecDeque<BrowserKeys>,
}

struct BrowserKeys {
    cookie: String,
    page: String,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Serialize)]
struct PageKey<'a> {
    page_key: &'a str,
}

impl SignIns {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, state: Mutex::default() }
    }

    /// Creates a ticket for one sign-in; voids an earlier one.
    pub(crate) fn ticket(&self) -> String {
        let ticket = self.random("ticket");
        self.lock().ticket = Some(ticket.clone());
        ticket
    }

    /// Whether the request has the cookie and the page key of a browser.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut pages = headers.get_all(PAGE_KEY).iter();
        let (Some(page), None) = (pages.next(), pages.next()) else { return false };
        let cookies = cookies(headers);
        let state = self.lock();
        state.browsers.iter().any(|pair| {
            let page = pair.page.as_bytes().ct_eq(page.as_bytes());
            cookies.iter().any(|cookie| (pair.cookie.as_bytes().ct_eq(cookie) & page).into())
        })
    }

    /// `/sign-in/TICKET` in a browser: redirects to the dashboard, with the page key where only the
    /// page sees it. A ticket works once.
    pub(crate) fn sign_in_with_ticket(&self, ticket: &str) -> Response<ResponseBody> {
        let mut state = self.lock();
        let right =
            state.ticket.as_ref().is_some_and(|it| it.as_bytes().ct_eq(ticket.as_bytes()).into());
        if !right {
            drop(state);
            return redirect("/#/sign-in?used=1");
        }
        state.ticket = None;
        drop(state);
        let pair = self.pair();
        let mut response = redirect(&format!("/#/?page_key={}", pair.page));
        self.remember(pair, &mut response);
        response
    }

    /// `/sign-in` with the token as bearer, which the caller has checked.
    pub(crate) fn sign_in_with_token(&self) -> Response<ResponseBody> {
        let pair = self.pair();
        let body = serde_json::to_vec(&PageKey { page_key: &pair.page }).unwrap_or_default();
        let mut response = respond(StatusCode::OK, JSON, body);
        no_store(&mut response);
        self.remember(pair, &mut response);
        response
    }

    fn pair(&self) -> BrowserKeys {
        BrowserKeys { cookie: self.random("cookie"), page: self.random("page") }
    }

    fn remember(&self, pair: BrowserKeys, response: &mut Response<ResponseBody>) {
        let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", pair.cookie);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        let mut state = self.lock();
        if state.browsers.len() == MAX_BROWSERS {
            state.browsers.pop_front();
        }
        state.browsers.push_back(pair);
    }

    /// 256 bits that nobody can guess: a digest of a fresh id under the secret of the store.
    fn random(&self, label: &str) -> String {
        self.store.keyed_digest(&format!("sign-in/{label}"), Uuid::now_v7().as_bytes()).hex(32)
    }

    fn lock(&self) -> MutexGuard<'_, SignedIn> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookies(headers: &HeaderMap) -> Vec<&[u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    fields
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"="))
        .collect()
}

fn redirect(path: &str) -> Response<ResponseBody> {
    let mut response = respond(StatusCode::SEE_OTHER, TEXT, "");
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    no_store(&mut response);
    response
}

fn no_store(response: &mut Response<ResponseBody>) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
