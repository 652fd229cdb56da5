//! POSTs that only read, and 2xx answers that mean "no", as data. Each row names its source.

/// One kind of POST that changes nothing.
#[derive(Debug)]
pub(super) struct ReadOnlyPost {
    /// Its name in the audit.
    pub(super) name: &'static str,
    pub(super) when: PostMatch,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(super) source: &'static str,
}

/// How a POST of a row is recognised. Hosts are in lower case.
#[derive(Debug)]
pub(super) enum PostMatch {
    Host(&'static str),
    /// The host begins and ends with these, and has something between.
    HostBetween(&'static str, &'static str),
    PathEnd(&'static str),
    /// The path ends with this, and the body is protobuf or JSON with this member.
    PathEndAndMember(&'static str, &'static str),
    /// A form with this field.
    FormField(&'static str),
    /// A GraphQL document whose operations are all queries.
    GraphQlQueries,
    /// JSON-RPC of which every method only reads, by the words of its name.
    RpcReads,
    /// The operation in `X-Amz-Target`, or in the field `Action` beside `Version`, only reads, by
    /// the words of its name.
    AwsRead,
    /// The path ends with a colon and an operation that only reads, by the words of its name.
    CustomRead,
    /// The path has one of these patterns, as in a rule.
    Path(&'static [&'static str]),
    /// The same, and the body has these members.
    PathAndMembers(&'static [&'static str], &'static [&'static str]),
    /// The path ends with one of these segments, and the body only says what to wait for.
    Poll(&'static [&'static str]),
}

const fn llm(host: &'static str, source: &'static str) -> ReadOnlyPost {
    ReadOnlyPost { name: "llm-provider", when: PostMatch::Host(host), source }
}

pub(super) const READ_ONLY_POSTS: &[ReadOnlyPost] = &[
    ReadOnlyPost {
        name: "oauth-token",
        when: PostMatch::FormField("grant_type"),
        source: "https://www.rfc-editor.org/rfc/rfc6749#section-4",
    },
    ReadOnlyPost {
        name: "graphql-query",
        when: PostMatch::GraphQlQueries,
        source: "https://spec.graphql.org/October2021/#sec-Language.Operations",
    },
    ReadOnlyPost {
        name: "search",
        when: PostMatch::PathEnd("/_search"),
        source: "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search",
    },
    ReadOnlyPost {
        name: "search",
        when: PostMatch::PathEnd("/_msearch"),
        source: "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-msearch",
    },
    ReadOnlyPost {
        name: "search",
        when: PostMatch::PathEnd("/_count"),
        source: "https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-count",
    },
    ReadOnlyPost {
        name: "otlp",
        when: PostMatch::PathEndAndMember("/v1/traces", "resourceSpans"),
        source: "https://opentelemetry.io/docs/specs/otlp/#otlphttp-request",
    },
    ReadOnlyPost {
        name: "otlp",
        when: PostMatch::PathEndAndMember("/v1/metrics", "resourceMetrics"),
        source: "https://opentelemetry.io/docs/specs/otlp/#otlphttp-request",
    },
    ReadOnlyPost {
        name: "otlp",
        when: PostMatch::PathEndAndMember("/v1/logs", "resourceLogs"),
        source: "https://opentelemetry.io/docs/specs/otlp/#otlphttp-request",
    },
    ReadOnlyPost {
        name: "json-rpc-read",
        when: PostMatch::RpcReads,
        source: "https://ethereum.org/developers/docs/apis/json-rpc/",
    },
    ReadOnlyPost {
        name: "aws-read",
        when: PostMatch::AwsRead,
        source: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html",
    },
    ReadOnlyPost {
        name: "custom-method-read",
        when: PostMatch::CustomRead,
        source: "https://docs.cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull",
    },
    ReadOnlyPost {
        name: "telegram-get",
        when: PostMatch::Path(&["**/bot*:*/get*"]),
        source: "https://core.telegram.org/bots/api#getupdates",
    },
    ReadOnlyPost {
        name: "service-bus-peek",
        when: PostMatch::Path(&["**/messages/head"]),
        source: "https://learn.microsoft.com/rest/api/servicebus/peek-lock-message-non-destructive-read",
    },
    ReadOnlyPost {
        name: "webdriver-find",
        when: PostMatch::PathAndMembers(
            &[
                "**/session/*/element",
                "**/session/*/elements",
                "**/session/*/element/*/element",
                "**/session/*/element/*/elements",
                "**/session/*/shadow/*/element",
                "**/session/*/shadow/*/elements",
            ],
            &["using", "value"],
        ),
        source: "https://www.w3.org/TR/webdriver2/#element-retrieval",
    },
    ReadOnlyPost {
        name: "poll",
        when: PostMatch::Poll(&["poll", "longpoll", "polling"]),
        source: "https://www.rfc-editor.org/rfc/rfc6202#section-2",
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
    ReadOnlyPost {
        name: "llm-provider",
        when: PostMatch::HostBetween("", ".openai.azure.com"),
        source: "https://learn.microsoft.com/azure/ai-services/openai/reference",
    },
    ReadOnlyPost {
        name: "llm-provider",
        when: PostMatch::HostBetween("bedrock-runtime.", ".amazonaws.com"),
        source: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html",
    },
];

/// The rows of providers of language models.
pub(super) fn llm_providers() -> impl Iterator<Item = &'static ReadOnlyPost> {
    READ_ONLY_POSTS.iter().filter(|row| row.name == "llm-provider")
}

/// 2xx answers of one service which mean that nothing was done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) when: RefusalScope,
    pub(super) means: RefusalSign,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people, and by a test"))]
    pub(super) source: &'static str,
}

/// The answers that a row matches.
#[derive(Debug)]
pub(super) enum RefusalScope {
    /// Answers of this host, for paths that begin with this.
    At { host: &'static str, path: &'static str },
    /// GraphQL endpoints, and `application/graphql-response+json`.
    GraphQl,
}

/// What in the body says that nothing was done.
#[derive(Debug)]
pub(super) enum RefusalSign {
    /// The member `ok` is false. With one of these words in the member `error` a part may have been
    /// done, so that the outcome is unknown.
    NotOk { unless: &'static [&'static str] },
    /// `errors` is there and `data` is not: nothing was begun. (`data: null` is an execution that
    /// failed halfway.)
    ErrorsWithoutData,
}

pub(super) const REFUSALS: &[Refusal] = &[
    Refusal {
        when: RefusalScope::At { host: "slack.com", path: "/api/" },
        means: RefusalSign::NotOk { unless: &["internal_error", "fatal_error"] },
        source: "https://docs.slack.dev/reference/methods/chat.postMessage#errors",
    },
    Refusal {
        when: RefusalScope::GraphQl,
        means: RefusalSign::ErrorsWithoutData,
        source: "https://spec.graphql.org/October2021/#sec-Response-Format",
    },
];
