//! The places where two requests differ.

use serde::Serialize;

use crate::masking::mask::has_mask;

/// How many differences are listed.
const MAX_LISTED: usize = 20;

/// The longest name that is listed in full, in characters.
const MAX_NAME: usize = 128;

/// Where two requests differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// At most 20, in the order of a request.
    pub differs: Vec<Difference>,
    /// There are more than are listed.
    #[serde(skip_serializing_if = "is_false")]
    pub more: bool,
    /// A value is masked in both, so that it may differ unseen.
    #[serde(skip_serializing_if = "is_false")]
    pub masked: bool,
    /// The lines of a rule that make these two one call, if a rule can do that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<String>,
}

/// One place where two requests differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is a part of.
    pub part: DifferentPart,
    /// Its name: a header's, a query parameter's, a form field's, or a JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The part of a request that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferentPart {
    /// The method.
    Method,
    /// Scheme, host, port or path.
    Url,
    /// A parameter of the query. Without a name: the order of the parameters.
    Query,
    /// A header field.
    Header,
    /// A member of a JSON body.
    Member,
    /// A field of a form. Without a name: the order of the fields.
    Field,
    /// The body as a whole.
    Body,
    /// The client's own key.
    Key,
    /// Whose call it is.
    Credentials,
    /// `Agent-Repeat`.
    Repeat,
}

impl Differences {
    /// Adds a difference that the stored requests do not show.
    pub fn add(&mut self, part: DifferentPart, name: Option<&str>) {
        if self.is_full() {
            self.more = true;
        } else {
            self.differs.push(Difference { part, name: name.map(shortened) });
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.differs.len() >= MAX_LISTED
    }

    /// The differences in words. One or two sentences.
    pub fn sentence(&self) -> String {
        let masked = if self.masked { " A masked value may differ." } else { "" };
        if self.differs.is_empty() {
            return format!("Nothing that is stored of the two differs.{masked}");
        }
        let named: Vec<String> = self.differs.iter().map(Difference::in_words).collect();
        let more = if self.more { " and more" } else { "" };
        format!("They differ in {}{more}.{masked}", named.join(", "))
    }

    /// Compares two texts, of which equal ones may hide a difference behind a mask.
    pub(super) fn text(
        &mut self,
        part: DifferentPart,
        name: Option<&str>,
        texts: [Option<&str>; 2],
    ) {
        if texts[0] == texts[1] {
            self.masked |= texts[0].is_some_and(has_mask);
        } else {
            self.add(part, name);
        }
    }
}

impl Difference {
    fn in_words(&self) -> String {
        let what = match self.part {
            DifferentPart::Method => "the method",
            DifferentPart::Url => "the URL",
            DifferentPart::Query if self.name.is_none() => "the order of the query",
            DifferentPart::Query => "query parameter",
            DifferentPart::Header => "header",
            DifferentPart::Member => "member",
            DifferentPart::Field if self.name.is_none() => "the order of the form's fields",
            DifferentPart::Field => "form field",
            DifferentPart::Body => "the body",
            DifferentPart::Key => "the idempotency key",
            DifferentPart::Credentials => "the credentials",
            DifferentPart::Repeat => "Agent-Repeat",
        };
        match &self.name {
            Some(name) => format!("{what} {name}"),
            None => what.to_owned(),
        }
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
