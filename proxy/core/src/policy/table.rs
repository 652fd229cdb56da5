//! What is known of the world, as data: POSTs that only read, and 2xx answers that mean "no".
//! Each row names its source.

/// One kind of POST that changes nothing.
#[derive(Debug)]
pub(super) struct Read {
    /// Its name in the audit.
    pub(super) name: &'static str,
    pub(super) when: When,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(super) source: &'static str,
}

/// How a POST of a row is known. Hosts are in lower case.
#[derive(Debug)]
pub(super) enum When {
    Host(&'static str),
    /// The host begins and ends so, with something between.
    HostBetween(&'static str, &'static str),
    PathEnd(&'static str),
    /// The path ends so, and the body is protobuf or JSON with this member.
    PathEndAndMember(&'static str, &'static str),
    /// A form with this field.
    FormField(&'static str),
    /// A GraphQL document whose operations are all queries.
    GraphQlQueries,
}

const fn llm(host: &'static str, source: &'static str) -> Read {
    Read { name: "llm-provider", when: When::Host(host), source }
}

pub(super) const READS: &[Read] = &[
    Read {
        name: "oauth-token",
        when: When::FormField("grant_type"),
        source: "https://www.rfc-editor.org/rfc/rfc6749#section-4",
    },
    Read {
        name: "graphql-query",
        when: When::GraphQlQueries,
        source: "https://spec.graphql.org/October2021/#sec-Language.Operations",
    },
    Read {
        name: "search",
        when: When::PathEnd("/_search"),
        source: "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search",
    },
    Read {
        name: "search",
        when: When::PathEnd("/_msearch"),
        source: "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-msearch",
    },
    Read {
        name: "search",
        when: When::PathEnd("/_count"),
        source: "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-count",
    },
    Read {
        name: "otlp",
        when: When::PathEndAndMember("/v1/traces", "resourceSpans"),
        source: "https://opentelemetry.io/docs/specs/otlp/#otlphttp-request",
    },
    Read {
        name: "otlp",
        when: When::PathEndAndMember("/v1/metrics", "resourceMetrics"),
        source: "https://opentelemetry.io/docs/specs/otlp/#otlphttp-request",
    },
    Read {
        name: "otlp",
        when: When::PathEndAndMember("/v1/logs", "resourceLogs"),
        source: "https://opentelemetry.io/docs/specs/otlp/#otlphttp-request",
    },
    llm("api.openai.com", "https://platform.openai.com/docs/api-reference"),
    llm("api.anthropic.com", "https://docs.anthropic.com/en/api/messages"),
    llm("generativelanguage.googleapis.com", "https://ai.google.dev/api/generate-content"),
    llm("api.mistral.ai", "https://docs.mistral.ai/api/"),
    llm("api.cohere.com", "https://docs.cohere.com/reference/chat"),
    llm("api.groq.com", "https://console.groq.com/docs/api-reference"),
    llm("api.deepseek.com", "https://api-docs.deepseek.com/api/create-chat-completion"),
    llm("api.x.ai", "https://docs.x.ai/docs/api-reference"),
    llm("openrouter.ai", "https://openrouter.ai/docs/api-reference/overview"),
    llm("api.together.xyz", "https://docs.together.ai/reference/chat-completions-1"),
    llm("api.fireworks.ai", "https://docs.fireworks.ai/api-reference/introduction"),
    llm("api.perplexity.ai", "https://docs.perplexity.ai/api-reference/chat-completions-post"),
    llm("api.cerebras.ai", "https://inference-docs.cerebras.ai/api-reference/chat-completions"),
    Read {
        name: "llm-provider",
        when: When::HostBetween("", ".openai.azure.com"),
        source: "https://learn.microsoft.com/azure/ai-services/openai/reference",
    },
    Read {
        name: "llm-provider",
        when: When::HostBetween("bedrock-runtime.", ".amazonaws.com"),
        source: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html",
    },
];

/// The rows of providers of language models.
pub(super) fn llm_providers() -> impl Iterator<Item = &'static Read> {
    READS.iter().filter(|row| row.name == "llm-provider")
}

/// 2xx answers of one service that mean that nothing was done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) when: Answers,
    pub(super) means: Means,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(super) source: &'static str,
}

/// Whose answers a row is about.
#[derive(Debug)]
pub(super) enum Answers {
    /// This host, paths that begin so.
    At { host: &'static str, path: &'static str },
    /// GraphQL endpoints, and `application/graphql-response+json`.
    GraphQl,
}

/// What in the body says so.
#[derive(Debug)]
pub(super) enum Means {
    /// The member `ok` is false. With one of these words in the member `error` a part may have been
    /// done all the same: unknown.
    NotOk { unless: &'static [&'static str] },
    /// `errors` is there and `data` is not: nothing was begun. (`data: null` is an execution that
    /// failed on its way.)
    ErrorsWithoutData,
}

pub(super) const REFUSALS: &[Refusal] = &[
    Refusal {
        when: Answers::At { host: "slack.com", path: "/api/" },
        means: Means::NotOk { unless: &["internal_error", "fatal_error"] },
        source: "https://docs.slack.dev/reference/methods/chat.postMessage#errors",
    },
    Refusal {
        when: Answers::GraphQl,
        means: Means::ErrorsWithoutData,
        source: "https://spec.graphql.org/October2021/#sec-Response-Format",
    },
];
