//! The principal of an Authorization field that a client creates for each request. With a
//! signature, or the response to a nonce, each try of a client would be the call of another
//! principal.

/// The parts of the field that are the same in all tries of a client, by name. `None`: all of it
/// is, or it does not follow its RFC, so that the whole field is the principal.
pub(super) fn lasting(field: &[u8]) -> Option<Vec<(&str, &str)>> {
    let (scheme, parameters) = std::str::from_utf8(field).ok()?.split_once(' ')?;
    let parameters = read(parameters)?;
    let named = |name: &'static str| {
        let (_, value) = parameters.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        (!value.is_empty()).then_some((name, *value))
    };
    match scheme.to_ascii_lowercase().as_str() {
        "aws4-hmac-sha256" => Some(vec![("access key", access_key(named("credential")?.1)?)]),
        "oauth" => {
            named("oauth_consumer_key")?;
            // All but the parts that are random. A callback or a verifier is part of the call's
            // meaning (RFC 5849, 2).
            let drawn = ["oauth_nonce", "oauth_timestamp", "oauth_signature"];
            let mut lasting: Vec<_> =
                parameters.into_iter().filter(|(name, _)| !drawn.contains(name)).collect();
            lasting.sort_unstable();
            Some(lasting)
        }
        "digest" => Some(vec![named("username")?, named("realm")?]),
        _ => None,
    }
}

/// The id in `ID/20260131/REGION/SERVICE/aws4_request`.
fn access_key(credential: &str) -> Option<&str> {
    let mut parts = credential.rsplitn(5, '/');
    let is_scope = parts.next()? == "aws4_request";
    let (_service, _region, date, id) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    (is_scope && is_date && !id.is_empty()).then_some(id)
}

/// Reads `name=value, name="value"`. `None`: readers may differ about it, since a name is there
/// twice, a value is escaped, or two parameters are separated by more than one comma.
fn read(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    let mut rest = text.trim();
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-*".contains(&byte);
        if name.is_empty()
            || !name.bytes().all(is_name)
            || value.contains('\\')
            || parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
        {
            return None;
        }
        parameters.push((name, value.trim()));
        match after.trim_start() {
            "" => return Some(parameters),
            more => rest = more.strip_prefix(',')?.trim_start(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasting_text(field: &str) -> Option<String> {
        let parts = lasting(field.as_bytes())?;
        let parts: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(parts.join(" "))
    }

    #[test]
    fn what_each_request_draws_is_left_out() {
        for (field, want) in [
            (
                "AWS4-HMAC-SHA256 Credential=AKID/20260131/eu-west-1/sns/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=ab12",
                "access key=AKID",
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/20260131/r/s3/aws4_request,SignedHeaders=host,Signature=f",
                "access key=a/b",
            ),
            (
                "OAuth realm=\"r\", oauth_consumer_key=\"c%26\", oauth_token=\"t\", \
                 oauth_nonce=\"n\", oauth_timestamp=\"1\", oauth_signature=\"s%3D\"",
                "oauth_consumer_key=c%26 oauth_token=t realm=r",
            ),
            (
                "OAuth oauth_callback=\"b\", oauth_consumer_key=\"c\",oauth_token=\"\"",
                "oauth_callback=b oauth_consumer_key=c oauth_token=",
            ),
            (
                "Digest username=\"ada, l\", realm=\"a=b\", nonce=\"n\", uri=\"/\", nc=00000001, \
                 cnonce=\"c\", response=\"r\"",
                "username=ada, l realm=a=b",
            ),
        ] {
            assert_eq!(lasting_text(field).as_deref(), Some(want), "{field}");
        }
    }

    #[test]
    fn what_cannot_be_read_counts_as_a_whole() {
        for field in [
            "Bearer a.b.c",
            "Bearer credential=x",
            "Basic dXNlcjpwYXNz",
            "AWS AKID:signature",
            "AWS4-HMAC-SHA256 Credential=AKID, Signature=a",
            "AWS4-HMAC-SHA256 Credential=/20260131/r/s/aws4_request, Signature=a",
            "AWS4-HMAC-SHA256 Credential=A/2026013x/r/s/aws4_request, Signature=a",
            "AWS4-HMAC-SHA256 Credential=A/20260131/r/s/other, Signature=a",
            "AWS4-HMAC-SHA256 Signature=a",
            "OAuth oauth_token=\"t\"",
            "OAuth oauth_consumer_key=\"c\", oauth_consumer_key=\"d\"",
            "OAuth oauth_consumer_key=\"c\",, oauth_token=\"t\"",
            "OAuth ya29.token",
            "Digest username=\"a\"",
            "Digest username*=UTF-8''a, realm=\"r\"",
            "Digest username=\"a\\\"b\", realm=\"r\"",
            "Digest username=\"a\" realm=\"r\"",
            "Digest username=\"a, realm=\"r",
            "Digest",
            "",
        ] {
            assert_eq!(lasting_text(field), None, "{field}");
        }
    }
}
