//! Request fields that select what is done, to what, or for which account.

/// A field, in lower case, and the document that says what it selects.
pub(super) const KNOWN_FIELDS: &[(&str, &str)] = &[
    // HTTP.
    ("content-type", "https://www.rfc-editor.org/rfc/rfc9110#section-8.3"),
    ("content-encoding", "https://www.rfc-editor.org/rfc/rfc9110#section-8.4"),
    ("content-language", "https://www.rfc-editor.org/rfc/rfc9110#section-8.5"),
    ("content-range", "https://www.rfc-editor.org/rfc/rfc9110#section-14.4"),
    ("range", "https://www.rfc-editor.org/rfc/rfc9110#section-14.2"),
    ("if-match", "https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1"),
    ("if-none-match", "https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2"),
    ("if-modified-since", "https://www.rfc-editor.org/rfc/rfc9110#section-13.1.3"),
    ("if-unmodified-since", "https://www.rfc-editor.org/rfc/rfc9110#section-13.1.4"),
    ("if-range", "https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5"),
    ("content-disposition", "https://www.rfc-editor.org/rfc/rfc6266"),
    ("prefer", "https://www.rfc-editor.org/rfc/rfc7240"),
    ("link", "https://www.rfc-editor.org/rfc/rfc8288#section-3"),
    ("slug", "https://www.rfc-editor.org/rfc/rfc5023#section-9.7"),
    ("depth", "https://www.rfc-editor.org/rfc/rfc4918#section-10.2"),
    ("destination", "https://www.rfc-editor.org/rfc/rfc4918#section-10.3"),
    ("if", "https://www.rfc-editor.org/rfc/rfc4918#section-10.4"),
    ("lock-token", "https://www.rfc-editor.org/rfc/rfc4918#section-10.5"),
    ("overwrite", "https://www.rfc-editor.org/rfc/rfc4918#section-10.6"),
    ("x-http-method", "https://learn.microsoft.com/openspecs/windows_protocols/ms-odata"),
    ("x-http-method-override", "https://cloud.google.com/apis/docs/system-parameters"),
    ("x-method-override", "https://expressjs.com/en/resources/middleware/method-override.html"),
    ("soapaction", "https://www.w3.org/TR/2000/NOTE-SOAP-20000508/#_Toc478383528"),
    // Uploads in parts.
    ("upload-offset", "https://tus.io/protocols/resumable-upload#upload-offset"),
    ("upload-length", "https://tus.io/protocols/resumable-upload#upload-length"),
    ("upload-metadata", "https://tus.io/protocols/resumable-upload#upload-metadata"),
    ("upload-concat", "https://tus.io/protocols/resumable-upload#upload-concat"),
    ("upload-complete", "https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/"),
    (
        "x-goog-upload-command",
        "https://developers.google.com/photos/library/guides/resumable-uploads",
    ),
    (
        "x-goog-upload-offset",
        "https://developers.google.com/photos/library/guides/resumable-uploads",
    ),
    ("x-upload-content-type", "https://developers.google.com/drive/api/guides/manage-uploads"),
    (
        "dropbox-api-arg",
        "https://www.dropbox.com/developers/documentation/http/documentation#formats",
    ),
    ("x-upsert", "https://supabase.com/docs/guides/storage/uploads/standard-uploads"),
    // The operation.
    ("x-amz-target", "https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html"),
    ("x-amz-copy-source", "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"),
    ("x-ms-copy-source", "https://learn.microsoft.com/rest/api/storageservices/copy-blob"),
    (
        "x-ms-version",
        "https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services",
    ),
    (
        "x-ms-documentdb-partitionkey",
        "https://learn.microsoft.com/rest/api/cosmos-db/common-cosmosdb-rest-request-headers",
    ),
    (
        "x-ms-documentdb-is-upsert",
        "https://learn.microsoft.com/rest/api/cosmos-db/common-cosmosdb-rest-request-headers",
    ),
    (
        "x-goog-if-generation-match",
        "https://cloud.google.com/storage/docs/xml-api/reference-headers",
    ),
    ("x-restli-method", "https://learn.microsoft.com/linkedin/shared/api-guide/concepts/methods"),
    ("content-profile", "https://docs.postgrest.org/en/stable/references/api/schemas.html"),
    ("x-hasura-role", "https://hasura.io/docs/2.0/auth/authorization/roles-variables/"),
    ("ce-id", "https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/bindings"),
    ("ce-source", "https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/bindings"),
    ("ce-subject", "https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/bindings"),
    ("ce-type", "https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/bindings"),
    // The version of an API, which gives a body its meaning.
    ("stripe-version", "https://docs.stripe.com/api/versioning"),
    ("x-github-api-version", "https://docs.github.com/rest/about-the-rest-api/api-versions"),
    ("notion-version", "https://developers.notion.com/reference/versioning"),
    ("square-version", "https://developer.squareup.com/docs/build-basics/versioning-overview"),
    ("linkedin-version", "https://learn.microsoft.com/linkedin/marketing/versioning"),
    // For which account. `SUBJECTS` knows the others by word.
    ("stripe-account", "https://docs.stripe.com/connect/authentication"),
    ("stripe-context", "https://docs.stripe.com/context"),
    ("openai-organization", "https://platform.openai.com/docs/api-reference/authentication"),
    ("openai-project", "https://platform.openai.com/docs/api-reference/authentication"),
    ("x-goog-user-project", "https://cloud.google.com/apis/docs/system-parameters"),
    ("xero-tenant-id", "https://developer.xero.com/documentation/guides/oauth2/tenants"),
    ("x-scope-orgid", "https://grafana.com/docs/loki/latest/operations/multi-tenancy/"),
    ("x-vault-namespace", "https://developer.hashicorp.com/vault/docs/enterprise/namespaces"),
    ("on-behalf-of", "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/subusers"),
    (
        "impersonate-user",
        "https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation",
    ),
    ("dropbox-api-select-user", "https://developers.dropbox.com/dbx-team-files-guide"),
];

/// Words of fields that say for which account a call acts, as in `X-Tenant-Id`.
pub(super) const SUBJECTS: &[&str] = &[
    "account",
    "accountid",
    "behalf",
    "customer",
    "customerid",
    "impersonate",
    "merchant",
    "merchantid",
    "org",
    "organisation",
    "organization",
    "organizationid",
    "orgid",
    "project",
    "projectid",
    "subaccount",
    "team",
    "teamid",
    "tenant",
    "tenantid",
    "user",
    "userid",
    "workspace",
    "workspaceid",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_name_their_source() {
        for (name, source) in KNOWN_FIELDS {
            assert_eq!(*name, name.to_ascii_lowercase());
            assert!(source.starts_with("https://"), "{name}");
        }
    }
}
