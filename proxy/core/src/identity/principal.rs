//! Whose credentials a request carries.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::auth_params::{Parts, credential_id};
use super::connection_auth::{self, Login};
use super::jwt::{self, Token};
use super::{authorization, ntlm};
use crate::http::field_words::is_proof;
use crate::http::meaning::{is_credential, is_credential_parameter, parameter_name};
use crate::http::signatures::{Signing, is_signature};

/// The credentials that a request carries: fields and query parameters, sorted by name, the values
/// of one name in their order. Of what a client creates for each request, only the lasting parts.
/// The proxy's own credentials name the scope and are not among them. A request without an
/// Authorization speaks as `login`.
pub fn principal_parts(
    headers: &HeaderMap,
    query: Option<&str>,
    login: &Login,
) -> Vec<(String, Vec<u8>)> {
    let fields = headers
        .iter()
        .filter(|(name, _)| *name != "proxy-authorization")
        .flat_map(|(name, value)| of_field(headers, name, value));
    let signing = query.map(Signing::of_query);
    let is_signed = signing.is_some_and(Signing::is_signed);
    let parameters = query.into_iter().flat_map(|query| query.split('&')).flat_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        of_parameter(&parameter_name(name), value, is_signed)
    });
    let connection = match headers.get(AUTHORIZATION) {
        None => login.credentials.iter().flat_map(of_authorization).collect(),
        Some(value) if connection_auth::is_handshake(value.as_bytes()) => {
            vec![("connection".to_owned(), login.connection.as_bytes().to_vec())]
        }
        Some(_) => Vec::new(),
    };
    let mut parts: Vec<_> = fields.chain(parameters).chain(connection).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts
}

/// The parts of one query parameter that say whose call it is. `name` is as a server reads it.
fn of_parameter(name: &str, value: &str, is_signed: bool) -> Vec<(String, Vec<u8>)> {
    let part = |value: &[u8]| vec![(format!("?{name}"), value.to_vec())];
    match name {
        // The credentials of a role change with each of its sessions.
        "x-amz-security-token" if is_signed => Vec::new(),
        "x-amz-credential" | "x-goog-credential" if is_signed => {
            part(credential_id(value).as_bytes())
        }
        // https://developer.atlassian.com/cloud/confluence/understanding-jwt-for-connect-apps/
        "jwt" if is_signed => {
            let claims = jwt::read(value).and_then(Token::into_lasting).unwrap_or_default();
            let named =
                |(claim, value): (String, String)| (format!("?{claim}"), value.into_bytes());
            claims.into_iter().map(named).collect()
        }
        other if is_credential_parameter(other) => part(value.as_bytes()),
        _ => Vec::new(),
    }
}

/// The parts of the only Authorization.
fn of_authorization(value: &HeaderValue) -> Vec<(String, Vec<u8>)> {
    of_field(&HeaderMap::new(), &AUTHORIZATION, value)
}

/// The parts of one field that say whose call it is, under names that no field has, or the whole
/// field.
fn of_field(headers: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> Vec<(String, Vec<u8>)> {
    let field = name.as_str();
    let whole = || vec![(field.to_owned(), value.as_bytes().to_vec())];
    let named = |parts: Parts| {
        let named =
            |(part, value): (String, String)| (format!("{field} {part}"), value.into_bytes());
        parts.into_iter().map(named).collect()
    };
    let is_only = headers.get_all(name).iter().nth(1).is_none();
    if name == AUTHORIZATION && is_only {
        let user = ntlm::user(value.as_bytes());
        return user.or_else(|| authorization::lasting(value.as_bytes())).map_or_else(whole, named);
    }
    let token = || value.to_str().ok().and_then(jwt::read);
    if is_credential(field) {
        let claims = token().filter(|_| is_only).and_then(Token::into_lasting);
        return claims.map_or_else(whole, named);
    }
    if let Some(parts) = authorization::lasting_in(field, value.as_bytes()).filter(|_| is_only) {
        return named(parts);
    }
    if is_proof(field) {
        return match token() {
            Some(Token::Lasting) => whole(),
            Some(Token::OneOfMany(claims)) => named(claims),
            None => Vec::new(),
        };
    }
    if is_signature(field) || field == "signature-input" {
        return named(authorization::signer(value.as_bytes()));
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
