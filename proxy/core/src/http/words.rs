//! The words of a name, whatever joins them.

/// The words in lower case: `X-Retry-Count`, `retry_count` and `retryCount` have `retry` and
/// `count`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        let letters: Vec<char> = part.chars().collect();
        let mut word = String::new();
        for (at, letter) in letters.iter().enumerate() {
            let after_lower = at > 0 && !letters[at - 1].is_uppercase();
            let before_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
            if letter.is_uppercase() && at > 0 && (after_lower || before_lower) {
                words.push(std::mem::take(&mut word));
            }
            word.extend(letter.to_lowercase());
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_words_in_any_style() {
        for name in [
            "client_request_id",
            "clientRequestId",
            "ClientRequestID",
            "CLIENT_REQUEST_ID",
            "Client-Request-Id",
            "client.request[id]",
        ] {
            assert_eq!(words(name), ["client", "request", "id"], "{name}");
        }
        for (name, want) in [
            ("URLId", &["url", "id"][..]),
            ("traceparent", &["traceparent"]),
            ("sha256Sum", &["sha256", "sum"]),
            ("größeÄnderung", &["größe", "änderung"]),
            ("__", &[]),
            ("", &[]),
        ] {
            assert_eq!(words(name), want, "{name}");
        }
    }
}
