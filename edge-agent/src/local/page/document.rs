//! The page itself: one document, with its style and its script in it and nothing from elsewhere.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Response;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use ring::digest::{SHA256, digest};

/// Its content type.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The whole document.
pub(super) const PAGE: &str = concat!(
    include_str!("head.html"),
    "<style>",
    include_str!("style.css"),
    "</style>",
    include_str!("body.html"),
    "<script>",
    include_str!("script.js"),
    "</script>\n</body>\n</html>\n"
);

/// Only the style and the script that stand in the page count, told by their digests, and the script
/// may fetch from here alone: a station's or session's name can do nothing but be read.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    let style = hash(include_str!("style.css"));
    let script = hash(include_str!("script.js"));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("a policy is plain ASCII")
});

/// Adds what the page may do to an answer that carries it.
pub(super) fn page<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}
