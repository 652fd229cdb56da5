//! Each method with good and bad params, those of v0.1 and the later ones.

mod entities;
mod executions;

use testkit::engine;

use crate::transcript::Transcript;

const NOBODY: &str = "00000000-0000-7000-8000-00000000dead";

/// A transcript that begins with a user, a session and a goal.
struct Scene {
    t: Transcript,
    user: String,
    session: String,
    goal: String,
}

impl Scene {
    fn new() -> Self {
        let mut t = Transcript::new(&engine!());
        let user = t.good("a user", "create_user", r#"{"username":"ada"}"#);
        let user = t.name(&user["id"], "ada");
        let params = format!(r#"{{"user_id":"{user}"}}"#);
        let session = t.good("a session", "create_session", &params);
        let session = t.name(&session["id"], "session");
        let params = format!(r#"{{"user_id":"{user}","session_id":"{session}","title":"greet"}}"#);
        let goal = t.good("a goal", "create_goal", &params);
        let goal = t.name(&goal["id"], "goal");
        Self { t, user, session, goal }
    }

    /// The params of a tool call, followed by `more`.
    fn call(&self, input: &str, more: &str) -> String {
        let Self { user, session, goal, .. } = self;
        format!(
            r#"{{"user_id":"{user}","session_id":"{session}","goal_id":"{goal}","tool_name":"send_email","tool_input":{input}{more}}}"#
        )
    }

    /// An execution under a lease, as (id, lease).
    fn leased(&mut self, name: &str) -> (String, String) {
        let more = format!(r#","idempotency_key":"{name}","lease":true"#);
        let params = self.call(r#"{"to":"a"}"#, &more);
        let got = self.t.good("a lease", "execute_tool_idempotent", &params);
        let id = self.t.name(&got["id"], name);
        (id, self.t.name(&got["lease"], &format!("lease of {name}")))
    }
}

/// The id of something that does not exist.
fn id(id: &str) -> String {
    format!(r#"{{"id":"{id}"}}"#)
}
