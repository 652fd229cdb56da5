//! Credentials whose beginning their issuer has chosen so that scanners find them.
//!
//! Prefixes, alphabets and lengths are facts from the public rule set of gitleaks
//! (<https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml>) and from the documents of
//! the issuers. A length here is the least one, often somewhat below that of the rule: a longer
//! credential is still one.

use Chars::{Alnum, Base64, Dotted, Hex, Upper, Url};

/// What follows a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chars {
    /// Hexadecimal digits.
    Hex,
    /// `A` to `Z` and digits.
    Upper,
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `-` and `_`.
    Url,
    /// The same with `.`.
    Dotted,
    /// The same with `+`, `/` and `=`.
    Base64,
}

impl Chars {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Hex => byte.is_ascii_hexdigit(),
            Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Alnum => byte.is_ascii_alphanumeric(),
            Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Dotted => Url.has(byte) || byte == b'.',
            Base64 => Dotted.has(byte) || matches!(byte, b'+' | b'/' | b'='),
        }
    }
}

/// A kind of credential.
pub(super) struct Prefix {
    /// As the mask names it.
    pub(super) shape: &'static str,
    pub(super) start: &'static str,
    pub(super) chars: Chars,
    /// The least number of bytes behind the prefix.
    pub(super) least: usize,
    /// The prefix alone is too weak: 16 letters and digits in a row must follow, a digit among them.
    pub(super) dense: bool,
}

/// A prefix that is distinctive.
const fn known(shape: &'static str, start: &'static str, chars: Chars, least: usize) -> Prefix {
    Prefix { shape, start, chars, least, dense: false }
}

/// A prefix that words can begin with, too.
const fn weak(shape: &'static str, start: &'static str, chars: Chars, least: usize) -> Prefix {
    Prefix { shape, start, chars, least, dense: true }
}

#[rustfmt::skip]
pub(super) const PREFIXES: &[Prefix] = &[
    known("1password", "ops_eyJ", Base64, 100),
    known("adafruit", "aio_", Alnum, 28),
    known("age", "AGE-SECRET-KEY-1", Upper, 50),
    weak("airtable", "pat", Dotted, 70),
    weak("alibaba", "LTAI", Alnum, 16),
    known("anthropic", "sk-ant-", Url, 16),
    weak("api-key", "sk-", Url, 20),
    weak("api-key", "sk_", Url, 20),
    weak("api-key", "api_key_", Url, 16),
    known("artifactory", "AKCp", Alnum, 60),
    weak("atlassian", "ATATT3", Base64, 20),
    weak("atlassian", "ATBB", Alnum, 20),
    weak("atlassian", "ATCTT3", Base64, 20),
    known("aws", "ABIA", Upper, 16),
    known("aws", "ABSK", Base64, 60),
    known("aws", "ACCA", Upper, 16),
    known("aws", "AKIA", Upper, 16),
    known("aws", "ASIA", Upper, 16),
    known("aws", "bedrock-api-key-", Base64, 20),
    known("brevo", "xkeysib-", Url, 40),
    known("brevo", "xsmtpsib-", Url, 40),
    known("browserbase", "bb_live_", Url, 15),
    known("buildkite", "bkua_", Hex, 40),
    known("circleci", "CCIPAT_", Url, 30),
    known("clojars", "CLOJARS_", Alnum, 50),
    known("cloudflare", "v1.0-", Url, 100),
    known("contentful", "CFPAT-", Url, 40),
    weak("crates-io", "cio", Alnum, 32),
    weak("databricks", "dapi", Hex, 32),
    known("defined-networking", "dnkey-", Url, 40),
    known("digitalocean", "doo_v1_", Hex, 40),
    known("digitalocean", "dop_v1_", Hex, 40),
    known("digitalocean", "dor_v1_", Hex, 40),
    known("docker", "dckr_oat_", Url, 20),
    known("docker", "dckr_pat_", Url, 20),
    known("doppler", "dp.audit.", Dotted, 30),
    known("doppler", "dp.ct.", Dotted, 30),
    known("doppler", "dp.pt.", Dotted, 30),
    known("doppler", "dp.sa.", Dotted, 30),
    known("doppler", "dp.scim.", Dotted, 30),
    known("doppler", "dp.st.", Dotted, 30),
    weak("dropbox", "sl.", Dotted, 100),
    known("duffel", "duffel_live_", Url, 30),
    known("duffel", "duffel_test_", Url, 30),
    known("dynatrace", "dt0c01.", Dotted, 60),
    weak("e2b", "e2b_", Hex, 40),
    weak("easypost", "EZAK", Alnum, 54),
    weak("easypost", "EZTK", Alnum, 54),
    known("figma", "figd_", Url, 30),
    known("firebase", "APA91b", Url, 100),
    weak("firecrawl", "fc-", Hex, 32),
    known("flutterwave", "FLWSECK-", Url, 12),
    known("flutterwave", "FLWSECK_TEST-", Url, 12),
    weak("fly-io", "fm1_", Base64, 30),
    weak("fly-io", "fm2_", Base64, 30),
    weak("fly-io", "fo1_", Base64, 30),
    known("frame-io", "fio-u-", Url, 50),
    known("github", "ghu_", Alnum, 20),
    known("github", "gho_", Alnum, 20),
    known("github", "ghp_", Alnum, 20),
    known("github", "ghr_", Alnum, 20),
    known("github", "ghs_", Alnum, 20),
    known("github", "github_pat_", Url, 20),
    known("gitlab", "GR1348941", Url, 20),
    known("gitlab", "glagent-", Url, 20),
    known("gitlab", "glcbt-", Url, 16),
    known("gitlab", "gldt-", Url, 16),
    known("gitlab", "glffct-", Url, 16),
    known("gitlab", "glft-", Url, 16),
    known("gitlab", "glimt-", Url, 16),
    known("gitlab", "gloas-", Url, 20),
    known("gitlab", "glpat-", Url, 16),
    known("gitlab", "glptt-", Url, 20),
    known("gitlab", "glrt-", Url, 16),
    known("gitlab", "glsoat-", Url, 16),
    known("google", "AIza", Url, 30),
    known("google", "GOCSPX-", Url, 20),
    known("google", "ya29.", Dotted, 20),
    weak("google", "1//0", Url, 30),
    known("grafana", "glc_", Base64, 20),
    known("grafana", "glsa_", Url, 20),
    known("groq", "gsk_", Alnum, 30),
    known("heroku", "HRKU-", Url, 30),
    weak("hubspot", "pat-eu1-", Url, 30),
    weak("hubspot", "pat-na1-", Url, 30),
    known("hugging-face", "api_org_", Alnum, 30),
    known("hugging-face", "hf_", Alnum, 30),
    weak("infracost", "ico-", Alnum, 32),
    weak("jina", "jina_", Url, 30),
    known("langfuse", "sk-lf-", Url, 16),
    known("langsmith", "lsv2_pt_", Url, 30),
    known("langsmith", "lsv2_sk_", Url, 30),
    known("linear", "lin_api_", Alnum, 30),
    known("linear", "lin_oauth_", Alnum, 30),
    weak("lob", "live_", Hex, 35),
    weak("lob", "test_", Hex, 35),
    known("mailgun", "key-", Hex, 32),
    weak("mapbox", "sk.eyJ", Dotted, 40),
    known("neon", "napi_", Alnum, 40),
    weak("netlify", "nfp_", Alnum, 30),
    known("new-relic", "NRAK-", Url, 19),
    known("new-relic", "NRII-", Url, 19),
    known("new-relic", "NRJS-", Url, 19),
    known("new-relic", "NRRA-", Url, 19),
    known("notion", "ntn_", Alnum, 40),
    weak("notion", "secret_", Alnum, 43),
    known("npm", "npm_", Alnum, 30),
    weak("nuget", "oy2", Alnum, 43),
    known("nvidia", "nvapi-", Url, 40),
    known("openai", "sk-admin-", Url, 20),
    known("openai", "sk-proj-", Url, 20),
    known("openai", "sk-svcacct-", Url, 20),
    known("openrouter", "sk-or-v1-", Url, 20),
    known("openshift", "sha256~", Url, 40),
    known("perplexity", "pplx-", Alnum, 30),
    known("pinecone", "pcsk_", Url, 40),
    known("plaid", "access-development-", Url, 30),
    known("plaid", "access-production-", Url, 30),
    known("plaid", "access-sandbox-", Url, 30),
    known("planetscale", "pscale_oauth_", Dotted, 20),
    known("planetscale", "pscale_pw_", Dotted, 20),
    known("planetscale", "pscale_tkn_", Dotted, 20),
    known("postman", "PMAK-", Url, 40),
    known("prefect", "pnu_", Alnum, 36),
    known("pulumi", "pul-", Hex, 40),
    weak("pypi", "pypi-", Url, 30),
    known("readme", "rdme_", Alnum, 60),
    weak("render", "rnd_", Alnum, 20),
    known("replicate", "r8_", Alnum, 30),
    weak("resend", "re_", Url, 24),
    known("rubygems", "rubygems_", Hex, 40),
    known("scalingo", "tk-us-", Url, 40),
    known("sendgrid", "SG.", Dotted, 40),
    known("sentry", "sntrys_", Base64, 30),
    known("sentry", "sntryu_", Base64, 30),
    known("shippo", "shippo_live_", Hex, 30),
    known("shippo", "shippo_test_", Hex, 30),
    known("shopify", "shpat_", Hex, 32),
    known("shopify", "shpca_", Hex, 32),
    known("shopify", "shppa_", Hex, 32),
    known("shopify", "shpss_", Hex, 32),
    known("slack", "xapp-", Url, 10),
    known("slack", "xoxa-", Url, 10),
    known("slack", "xoxb-", Url, 10),
    known("slack", "xoxc-", Url, 10),
    known("slack", "xoxd-", Base64, 10),
    known("slack", "xoxe-", Url, 10),
    known("slack", "xoxe.", Dotted, 10),
    known("slack", "xoxo-", Url, 10),
    known("slack", "xoxp-", Url, 10),
    known("slack", "xoxr-", Url, 10),
    known("slack", "xoxs-", Url, 10),
    known("sourcegraph", "sgp_", Url, 40),
    weak("square", "EAAA", Url, 55),
    known("square", "sq0atp-", Url, 20),
    known("square", "sq0csp-", Url, 20),
    known("stripe", "rk_live_", Alnum, 10),
    known("stripe", "rk_prod_", Alnum, 10),
    known("stripe", "rk_test_", Alnum, 10),
    known("stripe", "sk_live_", Alnum, 10),
    known("stripe", "sk_prod_", Alnum, 10),
    known("stripe", "sk_test_", Alnum, 10),
    known("supabase", "sb_secret_", Url, 20),
    weak("supabase", "sbp_", Hex, 40),
    known("tailscale", "tskey-", Url, 20),
    weak("tavily", "tvly-", Url, 20),
    known("trello", "ATTA", Hex, 60),
    weak("twilio", "SK", Hex, 32),
    known("typeform", "tfp_", Dotted, 40),
    known("vault", "hvb.", Url, 20),
    known("vault", "hvr.", Url, 20),
    known("vault", "hvs.", Url, 20),
    weak("vercel", "vck_", Alnum, 24),
    weak("vercel", "vcp_", Alnum, 24),
    known("webhook-secret", "whsec_", Base64, 20),
    weak("x-ai", "xai-", Alnum, 40),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_stands_once() {
        let mut starts: Vec<_> = PREFIXES.iter().map(|prefix| prefix.start).collect();
        let all = starts.len();
        starts.sort_unstable();
        starts.dedup();
        assert_eq!(starts.len(), all);
    }
}
