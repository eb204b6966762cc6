//! What leaves a plug, and how.

use std::time::Duration;

use serde_json::Value;

/// What leaves the plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A whole HTTP response.
    Response(Response),
    /// Nothing at all, and the end of the connection.
    Nothing,
    /// A reset as soon as the connection is made; the request is not read.
    Reset,
    /// Nothing at all, for as long as the other side waits.
    Silence,
}

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status line's code.
    pub status: u16,
    /// The content type.
    pub kind: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// How a response leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// In one piece.
    Whole,
    /// One byte a chunk and a packet.
    Split,
    /// So many bytes of the body in the first chunk and packet, the rest in another.
    SplitAt(usize),
    /// Half the body, then a reset.
    Torn,
}

/// A plug's whole reaction to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What leaves.
    pub answer: Answer,
    /// How it leaves.
    pub manner: Manner,
    /// How late; meanwhile a plug that serves one client at a time serves nobody else.
    pub delay: Duration,
}

impl Response {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(crate) fn text(status: u16, kind: &'static str, body: &str) -> Self {
        Self { status, kind, headers: vec![], body: body.to_owned() }
    }

    /// A page for people, as a plug's front page is.
    pub(crate) fn page() -> Self {
        let html = "<!DOCTYPE html><html><head><title>Plug - Main Menu</title></head>\
                    <body>ON</body></html>";
        Self::text(200, "text/html", html)
    }
}

impl Reply {
    pub(crate) fn whole(answer: Answer) -> Self {
        Self { answer, manner: Manner::Whole, delay: Duration::ZERO }
    }

    /// The status and body of what was answered, if anything was.
    #[must_use]
    pub fn response(&self) -> Option<(u16, &str)> {
        match &self.answer {
            Answer::Response(response) => Some((response.status, &response.body)),
            Answer::Nothing | Answer::Reset | Answer::Silence => None,
        }
    }

    /// The body as JSON; `null` if there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        let body = self.response().map(|(_, body)| serde_json::from_str(body));
        body.and_then(Result::ok).unwrap_or(Value::Null)
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}
