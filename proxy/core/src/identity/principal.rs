//! Whose credentials a request carries.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

use super::authorization;
use crate::http::meaning::{is_credential, is_credential_parameter, parameter_name};

/// The credentials that a request carries: fields and query parameters, sorted by name, the values
/// of one name in their order. Of an Authorization that is new in each request, only the lasting
/// parts. The proxy's own credentials name the scope and are not among them.
pub fn principal_parts(headers: &HeaderMap, query: Option<&str>) -> Vec<(String, Vec<u8>)> {
    let fields = headers
        .iter()
        .filter(|(name, _)| is_credential(name.as_str()) && *name != "proxy-authorization")
        .flat_map(|(name, value)| match whom_it_names(headers, name) {
            Some(parts) => parts,
            None => vec![(name.as_str().to_owned(), value.as_bytes().to_vec())],
        });
    let parameters = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let name = parameter_name(name);
        is_credential_parameter(&name).then(|| (format!("?{name}"), value.as_bytes().to_vec()))
    });
    let mut parts: Vec<_> = fields.chain(parameters).collect();
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    parts
}

/// The lasting parts of the only Authorization, under names that no field has.
fn whom_it_names(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<(String, Vec<u8>)>> {
    if name != AUTHORIZATION || headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return None;
    }
    let parts = authorization::lasting(headers.get(name)?.as_bytes())?;
    let named = |(part, value): (&str, &str)| (format!("{name} {part}"), value.as_bytes().to_vec());
    Some(parts.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests;
