//! The words of names and texts.

/// The words of a text in lower case, also those of a name such as `ReadTimeoutError` or
/// `refresh_token`.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let begins = c.is_uppercase()
            && (before.is_lowercase()
                || before.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase()));
        if (!c.is_alphanumeric() || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_words() {
        for (name, want) in [
            ("refresh_token", "refresh token"),
            ("user[passWord]", "user pass word"),
            ("HTTPReadTimeout", "http read timeout"),
            ("eth_getBlockByNumber", "eth get block by number"),
            ("ETIMEDOUT: a.b", "etimedout a b"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), want);
        }
    }
}
